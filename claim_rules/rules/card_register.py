"""CARD, the claim against the card register: name, birth, sex, registered facility, validity. All warn."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from claim_rules.catalogue import CARD, rule
from claim_rules.dictionary import DECISIONS
from claim_rules.engine import Case, claim_findings
from claim_rules.findings import WARN, findings
from claim_rules.reference import OPEN_END
from claim_rules.rules.card import APPRAISAL, paper_groups, registered

BASIS = f"Luật BHYT Điều 16, Điều 28; {APPRAISAL}"
NEWBORN_DAYS = 28
_NAMED_AFTER_PARENT = r"^(?:con|cb|c/b)\s"


def name_key(names: pd.Series) -> pd.Series:
    """Names as they are compared: without case, extra spaces and full stops, wherever the tone mark stands in a word.

    "HOÀ" and "hòa" are the same name; "Hoa" is another.
    """
    text = pc.utf8_lower(pc.utf8_normalize(pa.array(names.astype("str").array, pa.large_string()), form="NFD"))
    text = pc.replace_substring_regex(text, r"[.\s]+", " ")
    # the tone mark goes behind the letters of its word
    text = pc.replace_substring_regex(
        text, "([\u0300\u0301\u0303\u0309\u0323])([^ \u0300\u0301\u0303\u0309\u0323]*)", r"\2\1"
    )
    return pd.Series(pc.utf8_trim_whitespace(text).to_numpy(zero_copy_only=False), index=names.index).astype("str")


def _days(text: pd.Series) -> pd.Series:
    return pd.to_datetime(text.str[:8].where(text.str[:8].str.fullmatch("[0-9]{8}")), format="%Y%m%d", errors="coerce")


def _differs(rows: pd.DataFrame, same: pd.Series, visits: pd.DataFrame) -> pd.Series:
    """Visits that the register knows something of, and none of it is the same (aligned with visits)."""
    any_same = same.groupby(rows["claim"]).any().reindex(visits.index)
    return any_same.notna() & ~any_same.fillna(True).astype("bool")


@rule(
    "CARD-003",
    stage=CARD,
    level="claim",
    severity=WARN,
    decisions=DECISIONS,
    needs={"cards": ("MA_THE_BHYT", "HO_TEN")},
    title_vi="Họ tên khớp dữ liệu thẻ",
    title_en="The name is that of the card register",
    message_vi="Họ tên {observed} khác họ tên trong dữ liệu thẻ.",
    message_en="The name {observed} is not that of the card register.",
    basis=BASIS,
)
def other_name(case: Case) -> pd.DataFrame:
    """HO_TEN differs from that of every card held. A newborn (28 days, or "con bà …") may be named after a parent."""
    visits = case.visits
    rows = registered(case, "HO_TEN")
    rows = rows[rows["HO_TEN"] != ""]
    own = visits["HO_TEN"]
    same = name_key(rows["HO_TEN"]) == rows["claim"].map(name_key(own))
    after_parent = own.str.lower().str.contains(_NAMED_AFTER_PARENT) | visits.index.isin(
        rows.loc[rows["HO_TEN"].str.lower().str.contains(_NAMED_AFTER_PARENT), "claim"]
    )
    age = (_days(visits["NGAY_VAO"]) - _days(visits["NGAY_SINH"])).dt.days
    where = _differs(rows, same, visits) & (own != "") & ~after_parent & ~(age <= NEWBORN_DAYS)
    return claim_findings("CARD-003", visits, where, field="HO_TEN", observed=own)


@rule(
    "CARD-004",
    stage=CARD,
    level="claim",
    severity=WARN,
    decisions=DECISIONS,
    needs={"cards": ("MA_THE_BHYT", "NGAY_SINH")},
    title_vi="Ngày sinh khớp dữ liệu thẻ",
    title_en="The date of birth is that of the card register",
    message_vi="Ngày sinh của hồ sơ khác ngày sinh trong dữ liệu thẻ.",
    message_en="The date of birth is not that of the card register.",
    basis=BASIS,
)
def other_birth(case: Case) -> pd.DataFrame:
    """NGAY_SINH does not fit that of any card held. Where one side knows the year alone, or no day, the rest counts."""
    rows = registered(case, "NGAY_SINH")
    rows = rows[rows["NGAY_SINH"].str.fullmatch(r"[0-9]{4}(?:[0-9]{2}){0,4}")]
    listed = rows["NGAY_SINH"].str.ljust(8, "0")
    own = rows["claim"].map(case.visits["NGAY_SINH"]).astype("str").str.ljust(8, "0")
    same = pd.Series(True, index=rows.index)
    for start, stop in ((0, 4), (4, 6), (6, 8)):
        mine, theirs = own.str[start:stop], listed.str[start:stop]
        same &= (mine == theirs) | (mine == "00") | (theirs == "00")
    where = _differs(rows, same, case.visits) & case.visits["NGAY_SINH"].str.fullmatch("[0-9]{4,12}")
    return claim_findings("CARD-004", case.visits, where, field="NGAY_SINH")


@rule(
    "CARD-005",
    stage=CARD,
    level="claim",
    severity=WARN,
    decisions=DECISIONS,
    needs={"cards": ("MA_THE_BHYT", "GIOI_TINH")},
    title_vi="Giới tính khớp dữ liệu thẻ",
    title_en="The sex is that of the card register",
    message_vi="Giới tính {observed}, dữ liệu thẻ ghi {expected}.",
    message_en="Sex {observed}, the card register has {expected}.",
    basis=BASIS,
)
def other_sex(case: Case) -> pd.DataFrame:
    """GIOI_TINH 1 or 2, and the register has the other one; 3 (undetermined) on either side fits both."""
    rows = registered(case, "GIOI_TINH")
    rows = rows[rows["GIOI_TINH"].isin(["1", "2"])]
    own = case.visits["GIOI_TINH"]
    same = rows["GIOI_TINH"] == rows["claim"].map(own)
    where = _differs(rows, same, case.visits) & own.isin(["1", "2"])
    expected = rows.groupby("claim")["GIOI_TINH"].first().reindex(case.visits.index, fill_value="")
    return claim_findings("CARD-005", case.visits, where, field="GIOI_TINH", observed=own, expected=expected)


def _items(case: Case, name: str) -> pd.DataFrame:
    """Items of a `;` list of XML1 that is parallel to the cards: claim, position and the item."""
    items = case.visits[name].str.split(";").explode().str.strip()
    out = pd.DataFrame({"claim": items.index, name: items.to_numpy()})
    out["position"] = out.groupby("claim").cumcount()
    return out


@rule(
    "CARD-006",
    stage=CARD,
    level="claim",
    severity=WARN,
    decisions=DECISIONS,
    needs={"cards": ("MA_THE_BHYT", "MA_DKBD", "GT_THE_TU", "GT_THE_DEN")},
    title_vi="Nơi đăng ký ban đầu khớp dữ liệu thẻ",
    title_en="The facility of registration is that of the card register",
    message_vi="Nơi đăng ký ban đầu {observed}, dữ liệu thẻ ngày vào viện ghi {expected}.",
    message_en="Registered with {observed}; the card register has {expected} on the day of arrival.",
    basis=BASIS,
)
def other_facility(case: Case) -> pd.DataFrame:
    """An item of MA_DKBD is not that of its card's row in the register that holds on NGAY_VAO; without one, nothing."""
    rows = registered(case, "MA_DKBD", "GT_THE_TU", "GT_THE_DEN").rename(columns={"MA_DKBD": "listed"})
    day = rows["claim"].map(case.visits["day_in"])
    rows = rows[(rows["GT_THE_TU"] <= day) & (day <= rows["GT_THE_DEN"].replace("", OPEN_END)) & (rows["listed"] != "")]
    rows = rows.merge(_items(case, "MA_DKBD"), on=["claim", "position"])
    rows = rows[rows["MA_DKBD"] != ""]
    rows["same"] = rows["listed"] == rows["MA_DKBD"]
    wrong = rows[~rows.groupby(["claim", "position"])["same"].transform("any")].drop_duplicates("claim")
    return _from_rows("CARD-006", case, wrong, "MA_DKBD", wrong["MA_DKBD"], wrong["listed"])


def _from_rows(
    rule_id: str, case: Case, rows: pd.DataFrame, name: str | pd.Series, observed: pd.Series, expected: pd.Series
) -> pd.DataFrame:
    if rows.empty:
        return findings()
    told = {"field": name, "observed": observed, "expected": expected}
    frame = pd.DataFrame({"claim": rows["claim"], "rule": rule_id, "table": "XML1", **told})
    return findings(frame.sort_values("claim").reset_index(drop=True))


@rule(
    "CARD-007",
    stage=CARD,
    level="claim",
    severity=WARN,
    decisions=DECISIONS,
    needs={"cards": ("MA_THE_BHYT", "GT_THE_TU", "GT_THE_DEN")},
    title_vi="Hạn thẻ khớp dữ liệu thẻ",
    title_en="The validity of the card is that of the register",
    message_vi="{field} = {observed}, dữ liệu thẻ ghi {expected}.",
    message_en="{field} = {observed}, the card register has {expected}.",
    basis=BASIS,
)
def other_validity(case: Case) -> pd.DataFrame:
    """GT_THE_TU and GT_THE_DEN of a card are those of none of its rows in the register.

    Where a row has the same start the end is told, else the start. A blank end (army, police) is not compared.
    """
    rows = registered(case, "GT_THE_TU", "GT_THE_DEN").rename(columns={"GT_THE_TU": "start", "GT_THE_DEN": "end"})
    for name in ("GT_THE_TU", "GT_THE_DEN"):
        rows = rows.merge(_items(case, name), on=["claim", "position"])
    rows = rows[rows["GT_THE_TU"] != ""]
    place = ["claim", "position"]
    rows["same_start"] = rows["start"] == rows["GT_THE_TU"]
    rows["same"] = rows["same_start"] & ((rows["end"] == rows["GT_THE_DEN"]) | (rows["GT_THE_DEN"] == ""))
    wrong = rows[~rows.groupby(place)["same"].transform("any")]
    wrong = wrong.sort_values([*place, "same_start"], ascending=[True, True, False]).drop_duplicates("claim")
    differing = pd.Series("GT_THE_TU", index=wrong.index, dtype="str").where(~wrong["same_start"], "GT_THE_DEN")
    observed = wrong["GT_THE_TU"].where(~wrong["same_start"], wrong["GT_THE_DEN"])
    expected = wrong["start"].where(~wrong["same_start"], wrong["end"])
    return _from_rows("CARD-007", case, wrong, differing, observed, expected)


@rule(
    "CARD-016",
    stage=CARD,
    level="claim",
    severity=WARN,
    decisions=DECISIONS,
    needs={"cards": ("MA_THE_BHYT",)},
    title_vi="Thẻ quân đội, công an, cơ yếu không có trong dữ liệu thẻ: xem hạn trên thẻ",
    title_en="A card of army, police or cipher staff that the register does not know counts as printed",
    message_vi="Thẻ {observed} không có trong dữ liệu thẻ; chấp nhận hạn ghi trên thẻ, cần xem người bệnh còn phục vụ.",
    message_en="Card {observed} is not in the register; its printed dates count, check that the holder still serves.",
    basis=f"Quyết định 130/QĐ-BYT bảng XML1 trường 16-19; {APPRAISAL}",
)
def on_paper_only(case: Case) -> pd.DataFrame:
    """A card of QN, HC, LS, XK, CY, CA that cards.csv does not have."""
    held = case.cards
    held = held[held["card"].str.startswith(paper_groups())]
    known = set(registered(case)["card"])
    where = pd.Series(case.visits.index.isin(held.loc[~held["card"].isin(known), "claim"]), index=case.visits.index)
    return claim_findings("CARD-016", case.visits, where, field="MA_THE_BHYT", observed=case.visits["MA_THE_BHYT"])
