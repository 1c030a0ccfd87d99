"""SUM: do the amounts of the lines and of the claim add up?"""

from __future__ import annotations

import pandas as pd

from claim_rules import benefit, law, money
from claim_rules.catalogue import SPLIT, TOTALS, rule
from claim_rules.engine import Case, Column, claim_findings, line_findings
from claim_rules.findings import ADJUST_AMOUNT, CLAIM, WARN, concat
from claim_rules.rules.structure import FORMAT

BASIS = f"{FORMAT}; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm k"


def line_tolerance() -> int:
    """Difference of a line that passes, 1/100 đồng."""
    return int(law.load("tolerance")["line_amount"]["value"])


def amounts(values: pd.Series) -> pd.Series:
    """Amounts in 1/100 đồng as text."""
    return money.text(values, money.AMOUNT_DECIMALS)


def stated(case: Case, *names: str) -> pd.Series:
    """Lines that really state all of these numbers (bool)."""
    return case.present[list(names)].all(axis=1)


def wrong_amount(
    rule_id: str, case: Case, where: pd.Series, name: str, right: pd.Series, severity: str = "", correct: bool = True
) -> pd.DataFrame:
    """Findings for an amount of the lines where `where` is true; `right` is the amount due."""
    extra: dict[str, Column] = {"correct_field": name, "correct_value": right} if correct else {}
    return line_findings(
        rule_id,
        case.lines,
        where,
        severity=severity,
        field=name,
        observed=lambda hit: amounts(case.lines.loc[hit, name]),
        expected=lambda hit: amounts(right.loc[hit]),
        **extra,
    )


@rule(
    "SUM-001",
    stage=SPLIT,
    level="line",
    severity=ADJUST_AMOUNT,
    title_vi="Thành tiền bệnh viện của thuốc",
    title_en="Hospital amount of a drug line",
    message_vi="{field} = {observed}, số lượng × đơn giá = {expected}.",
    message_en="{field} = {observed}, quantity × price = {expected}.",
    basis=f"{BASIS}; XML2 trường 20",
)
def drug_hospital_amount(case: Case) -> pd.DataFrame:
    """XML2.THANH_TIEN_BV against SO_LUONG × DON_GIA."""
    lines = case.lines
    right = benefit.hospital_amounts(lines)["v0"]
    where = (
        (lines["table"] == "XML2")
        & stated(case, "THANH_TIEN_BV", "SO_LUONG", "DON_GIA_BV")
        & ((lines["THANH_TIEN_BV"] - right).abs() > line_tolerance())
    )
    return wrong_amount("SUM-001", case, where, "THANH_TIEN_BV", right)


def _in_scope_findings(rule_id: str, case: Case, table: str, less_is_fine: pd.Series) -> pd.DataFrame:
    """Above the computed amount: the excess is cut. Below it, where nothing explains it: a warning."""
    lines = case.lines
    right = benefit.in_scope_amount(lines)
    claimed = lines["THANH_TIEN_BH"]
    mine = (lines["table"] == table) & stated(case, "THANH_TIEN_BH", "SO_LUONG", "DON_GIA_BH", "TYLE_TT_BH")
    tolerance = line_tolerance()
    above = mine & (claimed - right > tolerance)
    below = mine & (right - claimed > tolerance) & ~less_is_fine
    if below.any():
        below &= ~benefit.supported(lines, case.options)
    return concat(
        (
            wrong_amount(rule_id, case, above, "THANH_TIEN_BH", right),
            wrong_amount(rule_id, case, below, "THANH_TIEN_BH", right, severity=WARN, correct=False),
        )
    )


@rule(
    "SUM-002",
    stage=SPLIT,
    level="line",
    severity=ADJUST_AMOUNT,
    title_vi="Thành tiền BHYT của thuốc",
    title_en="In-scope amount of a drug line",
    message_vi="{field} = {observed}, số lượng × đơn giá × tỷ lệ = {expected}.",
    message_en="{field} = {observed}, quantity × price × rate = {expected}.",
    basis=f"{BASIS}; XML2 trường 21",
)
def drug_in_scope_amount(case: Case) -> pd.DataFrame:
    """XML2.THANH_TIEN_BH against SO_LUONG × DON_GIA × TYLE_TT_BH, with or without support to the facility."""
    return _in_scope_findings("SUM-002", case, "XML2", _out_of_scope(case))


def _out_of_scope(case: Case) -> pd.Series:
    return ~benefit.covered(case.claims) & (case.lines["THANH_TIEN_BH"] == 0)


@rule(
    "SUM-003",
    stage=SPLIT,
    level="line",
    severity=ADJUST_AMOUNT,
    title_vi="Thành tiền bệnh viện của dịch vụ, vật tư",
    title_en="Hospital amount of a service or supply line",
    message_vi="{field} = {observed}, tính theo đơn giá và tỷ lệ là {expected}.",
    message_en="{field} = {observed}, by price and rate it is {expected}.",
    basis=f"{BASIS}; XML3 trường 19",
)
def service_hospital_amount(case: Case) -> pd.DataFrame:
    """XML3.THANH_TIEN_BV against the readings of 4750 and 3176; the plain product only at 100 % or under 130."""
    lines = case.lines
    readings = benefit.hospital_amounts(lines)
    claimed = lines["THANH_TIEN_BV"]
    near = {name: (claimed - readings[name]).abs() <= line_tolerance() for name in readings.columns}
    plain = near["v0"] & ((lines["TYLE_TT_DV"] == benefit.FULL) | (case.claims.visit("decision") == "130"))
    where = (
        (lines["table"] == "XML3")
        & stated(case, "THANH_TIEN_BV", "SO_LUONG", "DON_GIA_BV")
        & ~(near["v1"] | near["v2"] | plain)
    )
    return wrong_amount("SUM-003", case, where, "THANH_TIEN_BV", readings["v1"])


@rule(
    "SUM-004",
    stage=SPLIT,
    level="line",
    severity=ADJUST_AMOUNT,
    title_vi="Thành tiền BHYT của dịch vụ, vật tư",
    title_en="In-scope amount of a service or supply line",
    message_vi="{field} = {observed}, số lượng × đơn giá BHYT × tỷ lệ = {expected}.",
    message_en="{field} = {observed}, quantity × insured price × rates = {expected}.",
    basis=f"{BASIS}; XML3 trường 20",
)
def service_in_scope_amount(case: Case) -> pd.DataFrame:
    """XML3.THANH_TIEN_BH against SO_LUONG × DON_GIA_BH × TYLE_TT_DV × TYLE_TT_BH; a capped package may be less."""
    capped = case.lines["GOI_VTYT"] != ""
    return _in_scope_findings("SUM-004", case, "XML3", capped | _out_of_scope(case))


@rule(
    "SUM-005",
    stage=SPLIT,
    level="line",
    severity=ADJUST_AMOUNT,
    title_vi="Dòng chi phí cân đối các nguồn chi trả",
    title_en="The payers of a line add up to its amount",
    message_vi="Thành tiền {observed} khác tổng T_BHTT + T_BNCCT + T_BNTT + T_NGUONKHAC = {expected}.",
    message_en="Amount {observed} differs from T_BHTT + T_BNCCT + T_BNTT + T_NGUONKHAC = {expected}.",
    basis=BASIS,
)
def line_balance(case: Case) -> pd.DataFrame:
    """THANH_TIEN_BV = T_BHTT + T_BNCCT + T_BNTT + T_NGUONKHAC; otherwise the line is split anew."""
    lines = case.lines
    payers = lines[["T_BHTT", "T_BNCCT", "T_BNTT", "T_NGUONKHAC"]].sum(axis=1)
    where = stated(case, "THANH_TIEN_BV", "T_BHTT") & ((lines["THANH_TIEN_BV"] - payers).abs() > line_tolerance())
    return line_findings(
        "SUM-005",
        lines,
        where,
        field="THANH_TIEN_BV",
        observed=lambda hit: amounts(lines.loc[hit, "THANH_TIEN_BV"]),
        expected=lambda hit: amounts(payers.loc[hit]),
        correct_field="T_BHTT",
    )


def claim_tolerance(case: Case) -> pd.Series:
    """Difference of each claim's totals that passes, 1/100 đồng."""
    return case.visits["lines"] * line_tolerance()


_TOTALS = {
    "SUM-011": ("T_TONGCHI_BV", "THANH_TIEN_BV", "Tổng chi phí bệnh viện", "Total hospital cost"),
    "SUM-012": ("T_TONGCHI_BH", "THANH_TIEN_BH", "Tổng chi phí trong phạm vi BHYT", "Total in-scope cost"),
    "SUM-013": ("T_BNTT", "T_BNTT", "Tổng người bệnh tự trả", "Total self-payment"),
    "SUM-014": ("T_BNCCT", "T_BNCCT", "Tổng cùng chi trả", "Total co-payment"),
    "SUM-016": ("T_NGUONKHAC", "T_NGUONKHAC", "Tổng nguồn khác", "Total of other sources"),
}


def _header_rule(rule_id: str, header: str, column: str, title_vi: str, title_en: str) -> None:
    @rule(
        rule_id,
        stage=TOTALS,
        level="claim",
        severity=ADJUST_AMOUNT,
        title_vi=f"{title_vi} bằng tổng các dòng",
        title_en=f"{title_en} equals the sum of the lines",
        message_vi="{field} = {observed}, tổng các dòng XML2, XML3 là {expected}; lấy theo các dòng.",
        message_en="{field} = {observed}, the lines of XML2 and XML3 sum to {expected}; the lines prevail.",
        basis=BASIS,
    )
    def header_total(case: Case) -> pd.DataFrame:
        stated = case.visits[f"{header}#"]
        of_lines = case.claims.sums(column)
        where = (stated - of_lines).abs() > claim_tolerance(case)
        return claim_findings(
            rule_id, case.visits, where, field=header, observed=amounts(stated), expected=amounts(of_lines)
        )


for _id, (_header, _column, _vi, _en) in _TOTALS.items():
    _header_rule(_id, _header, _column, _vi, _en)


@rule(
    "SUM-015",
    stage=TOTALS,
    level="claim",
    severity=ADJUST_AMOUNT,
    title_vi="Tổng quỹ BHYT thanh toán bằng tổng các dòng",
    title_en="The total asked from the fund equals the sum of the lines",
    message_vi="{field} = {observed}, theo chi tiết là {expected}; thanh toán theo số nhỏ hơn.",
    message_en="{field} = {observed}, by the details it is {expected}; the smaller is paid.",
    basis=f"{BASIS}; XML1 trường 50",
)
def fund_total(case: Case) -> pd.DataFrame:
    """XML1.T_BHTT against the lines, and without other sources against T_TONGCHI_BH − T_BNCCT. The claim is paid at
    most what XML1.T_BHTT asks for (contracts, report, money)."""
    visits = case.visits
    stated = visits["T_BHTT#"]
    tolerance = claim_tolerance(case)
    of_lines = case.claims.sums("T_BHTT")
    differs = ((stated - of_lines).abs() > tolerance).fillna(False).astype("bool")
    formula = visits["T_TONGCHI_BH#"] - visits["T_BNCCT#"]
    alone = (case.claims.sums("T_NGUONKHAC") == 0) | (case.options["header_total"] == "formula")
    off_formula = alone & ((stated - formula).abs() > tolerance).fillna(False)
    right = of_lines.astype("Int64").where(differs, formula)
    return claim_findings(
        "SUM-015",
        visits,
        differs | off_formula.astype("bool"),
        field="T_BHTT",
        observed=amounts(stated),
        expected=amounts(right),
        correct_field=CLAIM,
        correct_value=stated.fillna(0).clip(lower=0),
    )


@rule(
    "SUM-017",
    stage=TOTALS,
    level="claim",
    severity=ADJUST_AMOUNT,
    title_vi="Hồ sơ cân đối các nguồn chi trả",
    title_en="The payers of a claim add up to its cost",
    message_vi="T_TONGCHI_BV = {observed} khác tổng các nguồn chi trả {expected}; đề nghị cơ sở sửa lại.",
    message_en="T_TONGCHI_BV = {observed} differs from the sum of payers {expected}; please correct and send again.",
    basis=BASIS,
)
def claim_balance(case: Case) -> pd.DataFrame:
    """T_TONGCHI_BV = T_BHTT + T_BNCCT + T_BNTT + T_NGUONKHAC."""
    visits = case.visits
    payers = sum(
        (visits[f"{name}#"].fillna(0) for name in ("T_BHTT", "T_BNCCT", "T_BNTT", "T_NGUONKHAC")), 0 * visits["lines"]
    )
    stated = visits["T_TONGCHI_BV#"]
    where = (stated - payers).abs() > claim_tolerance(case)
    return claim_findings(
        "SUM-017", visits, where, field="T_TONGCHI_BV", observed=amounts(stated), expected=amounts(payers)
    )
