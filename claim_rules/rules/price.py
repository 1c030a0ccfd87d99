"""PRICE: is the price one that was approved for this facility on that day?"""

from __future__ import annotations

import pandas as pd

from claim_rules import law, money
from claim_rules.benefit import supplies
from claim_rules.catalogue import CATALOGUE, SPLIT, rule
from claim_rules.engine import Case, claim_findings, line_findings
from claim_rules.findings import ADJUST_AMOUNT, LINE_CAP, Ruling, corrections, findings
from claim_rules.rules.arithmetic import amounts, line_tolerance
from claim_rules.rules.listing import drug_rows, service_rows

BASIS = "Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm d"


def _above(rule_id: str, case: Case, field: pd.Series | str, rows: pd.DataFrame, price: pd.Series) -> pd.DataFrame:
    """Lines whose insured price is above the dearest approved one by more than the price tolerance."""
    lines = case.lines
    approved = price.groupby(rows["index"]).max().reindex(lines.index).astype("Int64")
    tolerance = int(law.load("tolerance")["unit_price"]["value"])
    where = approved.notna() & (lines["DON_GIA_BH"] - approved.fillna(0) > tolerance)
    return line_findings(
        rule_id,
        lines,
        where,
        field=field,
        observed=lambda hit: money.text(lines.loc[hit, "DON_GIA_BH"], money.PRICE_DECIMALS),
        expected=lambda hit: money.text(approved.loc[hit], money.PRICE_DECIMALS),
        correct_field="DON_GIA_BH",
        correct_value=approved,
    )


@rule(
    "PRICE-001",
    stage=CATALOGUE,
    level="line",
    severity=ADJUST_AMOUNT,
    title_vi="Đơn giá thuốc không cao hơn giá được duyệt",
    title_en="The price of a drug is not above the approved one",
    message_vi="Đơn giá thuốc {observed} cao hơn giá được duyệt {expected}.",
    message_en="Drug price {observed} is above the approved price {expected}.",
    basis=BASIS,
    needs={"drugs": ("MA_THUOC", "MA_CSKCB", "DON_GIA", "DON_GIA_BH", "TU_NGAY", "DEN_NGAY")},
)
def drug_price(case: Case) -> pd.DataFrame:
    """XML2.DON_GIA against DON_GIA_BH of drugs.csv (DON_GIA where that is empty)."""
    rows = drug_rows(case)
    insured = money.parse(rows["DON_GIA_BH"], money.PRICE_DECIMALS)
    price = insured.fillna(money.parse(rows["DON_GIA"], money.PRICE_DECIMALS))
    return _above("PRICE-001", case, "DON_GIA", rows, price)


@rule(
    "PRICE-003",
    stage=CATALOGUE,
    level="line",
    severity=ADJUST_AMOUNT,
    title_vi="Đơn giá dịch vụ không cao hơn giá được duyệt",
    title_en="The price of a service is not above the approved one",
    message_vi="Đơn giá BHYT {observed} cao hơn giá được duyệt {expected}.",
    message_en="Insured price {observed} is above the approved price {expected}.",
    basis=BASIS,
    needs={"services": ("MA_TUONG_DUONG", "MA_CSKCB", "DON_GIA", "TU_NGAY", "DEN_NGAY")},
)
def service_price(case: Case) -> pd.DataFrame:
    """XML3.DON_GIA_BH of a service against DON_GIA of services.csv."""
    rows = service_rows(case)
    return _above("PRICE-003", case, "DON_GIA_BH", rows, money.parse(rows["DON_GIA"], money.PRICE_DECIMALS))


@rule(
    "PRICE-013",
    stage=SPLIT,
    level="claim",
    severity=ADJUST_AMOUNT,
    title_vi="Vật tư y tế của một lần dùng dịch vụ không quá 45 tháng lương cơ sở",
    title_en="The supplies of one service cost at most 45 months of the base salary",
    message_vi="Chi phí vật tư của một gói là {observed} đ, chỉ được tính {expected} đ (45 tháng lương cơ sở).",
    message_en="The supplies of a package come to VND {observed}; at most {expected} count (45 months of base salary).",
    basis=f"Thông tư 04/2017/TT-BYT Điều 3 khoản 5, Thông tư 24/2025/TT-BYT; {BASIS}",
)
def package_cap(case: Case) -> Ruling:
    """A package (GOI_VTYT of one MA_DICH_VU at one NGAY_YL) above the cap of that day, for no exempt card group
    (law/supply_cap): its lines get their shares of the cap. Option supply_cap: A caps THANH_TIEN_BH, B T_BHTT.

    Once per claim: the sum of its packages that are above. A package over by no more than the tolerance of its lines
    passes. Cut is what is left of it by all other rules, where that is still above. No list says which supplies are
    stents, so further stents are not taken out of the package (second_stent).
    """
    lines = case.lines
    package = supplies.packages(case.claims)
    if package.isna().all():
        return Ruling(findings())
    whole = case.options["supply_cap"] == "A"
    field = "THANH_TIEN_BH" if whole else "T_BHTT"

    def beyond(asked: pd.Series) -> tuple[pd.Series, pd.Series]:
        right = supplies.capped(case.claims, asked)
        excess = (asked - right).groupby(package)
        above = excess.transform("sum") > line_tolerance() * excess.transform("size")
        return right, above.reindex(lines.index, fill_value=False).astype("bool")

    def cut(asked: pd.Series) -> pd.DataFrame:
        right, over = beyond(asked)
        return corrections("PRICE-013", lines, over, field if whole else LINE_CAP, right)

    right, over = beyond(lines[field])
    claims = case.visits.index
    parts = [
        values.where(over, 0).groupby(lines["claim"]).sum().reindex(claims, fill_value=0)
        for values in (lines[field], right)
    ]
    found = claim_findings(
        "PRICE-013",
        case.visits,
        parts[0] > parts[1],
        table="XML3",
        field=field,
        observed=amounts(parts[0]),
        expected=amounts(parts[1]),
    )
    if found.empty:
        return Ruling(found)
    return Ruling(
        found,
        cut(lines[field]),
        anew=lambda standing: cut(standing["in_scope" if whole else "fund"].reindex(lines.index)),
    )
