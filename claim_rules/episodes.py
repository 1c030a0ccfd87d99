"""Visits of the same persons, inside a delivery and among earlier claims: what cross-claim rules look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from claim_rules import law
from claim_rules.benefit.amounts import full_price_amount
from claim_rules.lines import ClaimLines

VISITS, PERSONS, LINES, ORDER = "visits", "persons", "lines", "order"
"""Frames of other claims (Case.history) that the functions here read."""

VISIT_TEXTS = (
    "MA_CSKCB",
    "MA_LK",
    "NGAY_VAO",
    "NGAY_VAO_NOI_TRU",
    "NGAY_RA",
    "MA_LOAI_KCB",
    "MA_DOITUONG_KCB",
    "MA_BENH_CHINH",
)
"""Elements of XML1 that are kept of an earlier claim; none is personal."""

LINE_TEXTS = ("table", "code", "NGAY_YL", "MA_HIEU_SP")
"""What is kept of the lines of an earlier claim; code: MA_THUOC, MA_DICH_VU or MA_VAT_TU."""

COSTS = ("in_scope", "full_price")
"""Amounts of a visit (claim_rules.options, small_visit_base) that are kept beside VISIT_TEXTS; int64 1/100 đồng."""

NO_PERSON = 500
"""A number that more visits than this bear stands for no person (a placeholder that many records share)."""

NEAR_DAYS = 2
"""Visits of one person further apart are not held beside one another, whichever delivery brings them."""

_MINUTE_TEXT = r"[0-9]{12}"
_DAY = 24 * 60


def person_keys(visits: pd.DataFrame) -> pd.DataFrame:
    """Numbers by which a person is known: frame (id, key), several for one visit.

    visits: MA_THE_BHYT (`;` list) and SO_CCCD as text; id: its index. The last ten digits of a card are the person's
    insurance number, whatever the card's group; a citizen id has twelve digits. A number of equal digits is nobody's.
    """
    cards = visits["MA_THE_BHYT"].str.split(";").explode().str.strip()
    number = cards.str.extract(r"^(?:[A-Z]{2}[1-5][0-9]{2})?([0-9]{10})$", expand=False)
    citizen = visits["SO_CCCD"].str.strip().str.extract(r"^([0-9]{12})$", expand=False)
    both = pd.concat([number, citizen]).dropna()
    both = both[~both.str.fullmatch(r"([0-9])\1*")]
    return pd.DataFrame({"id": both.index.astype("int64"), "key": both.astype("str").to_numpy()}).drop_duplicates(
        ignore_index=True
    )


def repeated(visits: pd.DataFrame) -> pd.Series:
    """Which claims of a delivery an earlier HOSO of it brought already (bool, aligned).

    visits: MA_CSKCB and MA_LK, in the order of the claims.
    """
    return (visits["MA_LK"] != "") & visits[["MA_CSKCB", "MA_LK"]].duplicated()


def standing(visits: pd.DataFrame, history: Mapping[str, pd.DataFrame]) -> pd.Series:
    """Which claims of a delivery others are held against (bool, aligned): not one that is repeated in it, nor one that
    a later delivery has replaced (ORDER, replaced "1")."""
    stands = ~repeated(visits)
    if ORDER in history and "replaced" in history[ORDER]:
        told = history[ORDER]
        stands &= ~visits.index.isin(told.loc[told["replaced"] == "1", "claim"])
    return stands


def line_codes(lines: pd.DataFrame) -> pd.Series:
    """The code of each line: MA_THUOC, MA_DICH_VU, else MA_VAT_TU (str, aligned)."""
    code = lines["MA_THUOC"].where(lines["table"] == "XML2", lines["MA_DICH_VU"])
    return code.where(code != "", lines["MA_VAT_TU"])


@dataclass
class Episodes:
    """The visits of a delivery beside other standing claims of the same persons.

    visits: index id (own: position of the claim; other: below 0), VISIT_TEXTS, `own` (bool), `order` (int64: rises
    with the first receipt of the claim, which a new version does not change), `start`, `stay`, `end` (minutes since an
    epoch, float, NA where it is no time), `inpatient` (bool), `stands` (bool), COSTS (Int64; of other claims, NA where
    they are not known).
    pairs: frame (left, right) of ids of one person's visits at most NEAR_DAYS apart: left of this delivery, right any
    other standing claim (another MA_CSKCB or MA_LK); a recall (law/repeats.yaml) is no visit and in none. lines: id,
    LINE_TEXTS, of the others that stand in a pair and of all own.
    """

    visits: pd.DataFrame
    pairs: pd.DataFrame
    lines: pd.DataFrame

    def of(self, side: str, column: str) -> pd.Series:
        """A column of visits for one side of the pairs (aligned with pairs)."""
        return self.pairs[side].map(self.visits[column])

    @property
    def after(self) -> pd.Series:
        """Where the left claim was received after the right one (bool, aligned with pairs)."""
        return self.of("left", "order") > self.of("right", "order")


def build(claims: ClaimLines, history: Mapping[str, pd.DataFrame]) -> Episodes:
    """Visits of a delivery and, where they are known, other standing claims of the same persons.

    history: VISITS (id int64 from 0, VISIT_TEXTS, `received` int64: rises with the first receipt of the claim; COSTS
    where they are known), PERSONS (id, key), LINES (id, LINE_TEXTS) and ORDER (claim, `received` by the same measure,
    of the delivery's own claims; without it they count as 1, 2, ...; replaced: see `standing`).
    """
    own = claims.visits.reindex(columns=list(VISIT_TEXTS)).copy()
    own["MA_CSKCB"] = claims.visits["facility"].where(claims.visits["facility"] != "", own["MA_CSKCB"])
    own["own"] = True
    own["stands"] = standing(claims.visits, history)
    own["order"] = orders(claims.visits, history)
    for name in COSTS:
        own[name] = pd.Series(pd.NA, index=own.index, dtype="Int64")
    parts, keys, lines = [own], [person_keys(claims.visits)], [_own_lines(claims)]
    if VISITS in history:
        other = history[VISITS].copy()
        other.index = pd.Index(-1 - other["id"], name="claim")
        other["own"] = False
        other["stands"] = True
        other["order"] = other["received"].astype("int64")
        other = other.reindex(columns=[*VISIT_TEXTS, "own", "stands", "order", *COSTS])
        parts.append(other.astype(dict.fromkeys(COSTS, "Int64")))
        keys.append(history[PERSONS].assign(id=-1 - history[PERSONS]["id"]))
        lines.append(history[LINES].assign(id=-1 - history[LINES]["id"]))
    visits = pd.concat(parts)
    for name, element in (("start", "NGAY_VAO"), ("end", "NGAY_RA")):
        visits[name] = _minutes(visits[element])
    admitted = _minutes(visits["NGAY_VAO_NOI_TRU"])
    visits["stay"] = admitted.where(admitted.notna(), visits["start"])
    visits["inpatient"] = visits["MA_LOAI_KCB"].isin(law.load("inpatient")["codes"])
    return Episodes(visits, _pairs(visits, pd.concat(keys, ignore_index=True)), pd.concat(lines, ignore_index=True))


def visit_costs(claims: ClaimLines) -> pd.DataFrame:
    """What the 15 % test may look at: claim and COSTS (int64 1/100 đồng), of every claim of a delivery."""
    full = full_price_amount(claims).groupby(claims.lines["claim"]).sum().reindex(claims.visits.index, fill_value=0)
    sums = {"in_scope": claims.sums("THANH_TIEN_BH"), "full_price": full}
    return pd.DataFrame({"claim": claims.visits.index} | {name: sums[name].astype("int64").array for name in COSTS})


def orders(visits: pd.DataFrame, history: Mapping[str, pd.DataFrame]) -> pd.Series:
    """When each claim of a delivery was first received, by the measure of the history (int64, index of visits)."""
    order = pd.Series(np.arange(1, len(visits) + 1), index=visits.index, dtype="int64")
    if ORDER in history:
        order = history[ORDER].set_index("claim")["received"].reindex(visits.index).fillna(order)
    return order.astype("int64")


def _own_lines(claims: ClaimLines) -> pd.DataFrame:
    lines = claims.lines
    kept = pd.DataFrame({"id": lines["claim"], "table": lines["table"], "code": line_codes(lines)})
    for name in ("NGAY_YL", "MA_HIEU_SP"):
        kept[name] = lines[name]
    return kept


def _minutes(text: pd.Series) -> pd.Series:
    time = pd.to_datetime(text.where(text.str.fullmatch(_MINUTE_TEXT)), format="%Y%m%d%H%M", errors="coerce")
    return (time - pd.Timestamp("2000-01-01")) / pd.Timedelta(minutes=1)


def recalls(visits: pd.DataFrame) -> pd.Series:
    """Visits that take an earlier claim back, by MA_DOITUONG_KCB (bool)."""
    return visits["MA_DOITUONG_KCB"].isin(law.load("repeats")["recalled"])


def _pairs(visits: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    recalled = visits.index[recalls(visits)]
    keys = keys[keys["id"].isin(visits.index) & ~keys["id"].isin(recalled)]
    stands = visits["stands"]
    borne = keys.groupby("key")["id"].transform("size")
    keys = keys[(borne > 1) & (borne <= NO_PERSON)]
    right = keys[keys["id"].map(stands).astype("bool")]
    both = keys[keys["id"] >= 0].merge(right, on="key", suffixes=("_left", "_right"))
    pairs = both[["id_left", "id_right"]].drop_duplicates(ignore_index=True)
    pairs.columns = pd.Index(["left", "right"])
    same = pd.Series(True, index=pairs.index)
    for name in ("MA_CSKCB", "MA_LK"):
        same &= pairs["left"].map(visits[name]) == pairs["right"].map(visits[name])
    same &= pairs["left"].map(visits["MA_LK"]) != ""
    near = pairs["right"].map(visits["start"]) <= pairs["left"].map(visits["end"]) + NEAR_DAYS * _DAY
    near &= pairs["left"].map(visits["start"]) <= pairs["right"].map(visits["end"]) + NEAR_DAYS * _DAY
    return pairs[near & ~same & (pairs["left"] != pairs["right"])].reset_index(drop=True)
