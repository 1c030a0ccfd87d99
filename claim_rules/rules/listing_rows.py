"""CAT, the catalogue itself: may what is listed for a day be relied on?"""

from __future__ import annotations

import pandas as pd

from claim_rules import money
from claim_rules.catalogue import CATALOGUE, rule
from claim_rules.dictionary import DECISIONS
from claim_rules.engine import Case
from claim_rules.findings import WARN, findings
from claim_rules.frames import stripped
from claim_rules.reference import PRICES, SAME_ITEM, listed_price, missing, overlaps, rows_on

_HOLDS = ("TU_NGAY", "DEN_NGAY")
_LISTED = {
    "drugs": ("XML2", "MA_THUOC", "MA_THUOC", "Thuốc", "drug"),
    "services": ("XML3", "MA_DICH_VU", "MA_TUONG_DUONG", "Dịch vụ", "service"),
    "supplies": ("XML3", "MA_VAT_TU", "MA_VAT_TU", "Vật tư", "supply"),
}
"""File -> claim table and its code, the column of the file, and words."""


def _needs(*names: str) -> dict[str, tuple[str, ...]]:
    return {name: (_LISTED[name][2], "MA_CSKCB", PRICES[-1], *_HOLDS) for name in names}


@rule(
    "CAT-024",
    stage=CATALOGUE,
    level="delivery",
    severity=WARN,
    title_vi="Danh mục không có hai giá cho cùng một mục trong cùng thời gian",
    title_en="The catalogue has one price for an item at a time",
    message_vi="Mã {observed}: danh mục có hai giá cùng hiệu lực.",
    message_en="Code {observed}: the catalogue has two prices at a time.",
    basis="Quy trình giám định BHYT, biểu B9_1, B10_1, B11_1 (danh mục 03/DM, 04/DM, 05/DM)",
    needs=_needs("drugs", "services"),
    wants=_needs("supplies"),
    decisions=DECISIONS,
)
def two_prices(case: Case) -> pd.DataFrame:
    """Two rows of the same item (SAME_ITEM) at the same facility hold on the same days, bounds inclusive, and their
    prices differ by more than the tolerance of unit prices.

    The list of rules calls it a warning of the catalogue's own appraisal. So the report of a load names every such
    pair under this id; a delivery is told only of those that bear on it: on a day of one of its lines both rows held,
    and the line was judged by the dearer. The finding is the delivery's, once for each pair, and no amount rests on it.
    Of facilities, departments, staff and machines the files have no price.
    """
    found = []
    for name in _LISTED:
        if not missing(case.reference, _needs(name)):
            found += _of(case, name)
    return findings(found)


def _of(case: Case, name: str) -> list[dict[str, object]]:
    table, code, column, word_vi, word_en = _LISTED[name]
    lines = case.lines[(case.lines["table"] == table) & (case.lines["T_BHTT"] > 0) & (case.lines[code] != "")]
    listed = case.reference[name]
    # the rows of the delivery's own codes: of a long list the rest is not looked at
    own = stripped(listed[column]).isin(lines[code]) & stripped(listed["MA_CSKCB"]).isin(case.visits["MA_CSKCB"])
    near = listed[own].reset_index(drop=True)
    if near.empty:
        return []
    keys = [key for key in SAME_ITEM[name] if key in near]
    near = near.assign(**{key: stripped(near[key]) for key in keys})
    pairs = overlaps(near.drop_duplicates(), keys)
    pairs = pairs[pairs["kind"] == "price"].reset_index(drop=True)
    if pairs.empty:
        return []
    pairs = pairs.join(near[[column, "MA_CSKCB"]], on="row")
    wanted = lines[[code, "day"]].assign(facility=lines["claim"].map(case.visits["MA_CSKCB"]))
    wanted = wanted.drop_duplicates()
    bears = rows_on(wanted, pairs, {code: column, "facility": "MA_CSKCB"}).drop_duplicates(["row", "before"])
    price = money.text(listed_price(near).fillna(0).astype("int64"), money.PRICE_DECIMALS).tolist()
    columns = ["row", "before", column, "MA_CSKCB", *_HOLDS]
    out: list[dict[str, object]] = []
    for row, before, item, place, first, last in bears.sort_values(["row", "before"])[columns].itertuples(
        index=False, name=None
    ):
        prices = f"{price[before]} / {price[row]}"
        until = last or "…"
        out.append(
            {
                "rule": "CAT-024",
                "field": code,
                "observed": item,
                "detail_vi": f"{word_vi} {item} của cơ sở {place} có hai giá cùng hiệu lực từ {first} đến {until}: "
                f"{prices}; giá cao hơn được dùng, cơ sở cần chốt ngày kết thúc của giá cũ",
                "detail_en": f"{word_en} {item} of facility {place} has two prices at a time from {first} to {until}: "
                f"{prices}; the dearer one counts, the facility must end the old one",
            }
        )
    return out
