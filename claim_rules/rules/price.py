"""PRICE: is the price one that was approved for this facility on that day?"""

from __future__ import annotations

import pandas as pd

from claim_rules import law, money
from claim_rules.catalogue import CATALOGUE, rule
from claim_rules.engine import Case, line_findings
from claim_rules.findings import ADJUST_AMOUNT
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
