"""SUM: other sources, shares of the fund, prices, quantities and totals that cannot be."""

from __future__ import annotations

import pandas as pd

from claim_rules import benefit, law, money
from claim_rules.catalogue import SPLIT, TOTALS, rule
from claim_rules.engine import PAYMENT_METHODS, Case, claim_findings, line_findings
from claim_rules.episodes import recalls
from claim_rules.findings import ADJUST_AMOUNT, MORE, REJECT_CLAIM, REJECT_LINE, WARN, Ruling, corrections
from claim_rules.rules.arithmetic import BASIS, amounts, claim_tolerance, line_tolerance, stated, wrong_amount
from claim_rules.rules.exemption import crossing_share

PARTS = ("T_NGUONKHAC_NSNN", "T_NGUONKHAC_VTNN", "T_NGUONKHAC_VTTN", "T_NGUONKHAC_CL")


@rule(
    "SUM-006",
    stage=SPLIT,
    level="line",
    severity=ADJUST_AMOUNT,
    title_vi="Tổng nguồn khác của dòng bằng các nguồn thành phần",
    title_en="Other sources of a line equal their parts",
    message_vi="T_NGUONKHAC = {observed}, tổng các nguồn thành phần là {expected}.",
    message_en="T_NGUONKHAC = {observed}, its parts add up to {expected}.",
    basis=f"{BASIS}; XML2 trường 26, XML3 trường 27",
)
def other_sources_parts(case: Case) -> pd.DataFrame:
    """T_NGUONKHAC against NSNN + VTNN + VTTN + CL; the line is split anew with the sum of the parts."""
    parts = case.lines[list(PARTS)].sum(axis=1)
    where = stated(case, "T_NGUONKHAC") & ((case.lines["T_NGUONKHAC"] - parts).abs() > line_tolerance())
    return wrong_amount("SUM-006", case, where, "T_NGUONKHAC", parts)


@rule(
    "SUM-007",
    stage=SPLIT,
    level="line",
    severity=WARN,
    title_vi="Nguồn khác nằm trong thành tiền của dòng",
    title_en="Other sources lie within the amount of the line",
    message_vi="T_NGUONKHAC = {observed} không nằm trong khoảng từ 0 đến thành tiền {expected}.",
    message_en="T_NGUONKHAC = {observed} does not lie between 0 and the amount {expected}.",
    basis=f"{BASIS}; XML3 trường 27",
)
def other_sources_range(case: Case) -> pd.DataFrame:
    """T_NGUONKHAC below 0, above THANH_TIEN_BV, or all of it while the fund is asked too.

    The field notes define the split only for 0 < T_NGUONKHAC < THANH_TIEN_BV. Below 0 the fund's share is judged
    without it; what bears the whole line leaves the fund nothing to pay (SUM-008).
    """
    lines = case.lines
    other, whole = lines["T_NGUONKHAC"], lines["THANH_TIEN_BV"]
    beyond = other - whole > line_tolerance()
    where = stated(case, "T_NGUONKHAC", "THANH_TIEN_BV") & (
        (other < 0) | beyond | ((other == whole) & (other > 0) & (lines["T_BHTT"] > 0))
    )
    return wrong_amount("SUM-007", case, where, "T_NGUONKHAC", whole, correct=False)


@rule(
    "SUM-008",
    stage=SPLIT,
    level="line",
    severity=ADJUST_AMOUNT,
    title_vi="Quỹ BHYT thanh toán của dòng không vượt mức hưởng",
    title_en="The fund's share of a line is not above its rate",
    message_vi="T_BHTT = {observed}, theo mức hưởng và nguồn khác chỉ được {expected}.",
    message_en="T_BHTT = {observed}, by rate and other sources at most {expected}.",
    basis=f"{BASIS}; XML3 trường 30",
)
def fund_share(case: Case) -> Ruling:
    """T_BHTT above THANH_TIEN_BH × MUC_HUONG, less what other sources leave of it after self- and co-payment.

    By variant B of option exemption_crossing the line with which the year's co-payments pass six months may have more
    (exemption.crossing_share); a line that another rule alone corrects is split by its rate.
    """
    lines = case.lines
    shares = benefit.split(lines["THANH_TIEN_BV"], lines["THANH_TIEN_BH"], lines["MUC_HUONG"], lines["T_NGUONKHAC"])
    right = shares["T_BHTT"].clip(lower=0)
    share = crossing_share(case, lines["T_BHTT"] - right)
    where = stated(case, "T_BHTT", "THANH_TIEN_BH", "MUC_HUONG") & (lines["T_BHTT"] - right - share > line_tolerance())
    found = wrong_amount("SUM-008", case, where, "T_BHTT", right + share)
    return Ruling(found, corrections("SUM-008", lines, share > 0, MORE, share))


_PARTS_OF_TOTAL = {
    "SUM-009": ("T_THUOC", "Tổng tiền thuốc", "Total of drugs", "XML1 trường 44"),
    "SUM-010": ("T_VTYT", "Tổng tiền vật tư y tế", "Total of supplies", "XML1 trường 45"),
}


def _part_rule(rule_id: str, header: str, title_vi: str, title_en: str, place: str) -> None:
    @rule(
        rule_id,
        stage=TOTALS,
        level="claim",
        severity=WARN,
        title_vi=f"{title_vi} bằng tổng các dòng",
        title_en=f"{title_en} equals the sum of its lines",
        message_vi="{field} = {observed}, tổng các dòng là {expected}.",
        message_en="{field} = {observed}, the lines add up to {expected}.",
        basis=f"{BASIS}; {place}",
    )
    def check(case: Case) -> pd.DataFrame:
        sent, of_lines = case.visits[f"{header}#"], benefit.claim_totals(case.claims)[header]
        where = ((sent - of_lines).abs() > claim_tolerance(case)).fillna(False)
        return claim_findings(
            rule_id, case.visits, where, field=header, observed=amounts(sent), expected=amounts(of_lines)
        )


for _id, _facts in _PARTS_OF_TOTAL.items():
    _part_rule(_id, *_facts)


@rule(
    "SUM-018",
    stage=TOTALS,
    level="claim",
    severity=REJECT_CLAIM,
    title_vi="Các tổng của hồ sơ không âm và không vượt nhau",
    title_en="The totals of a claim are not negative and none is above the one it is part of",
    message_vi="{field} = {observed} không hợp lý (giới hạn {expected}).",
    message_en="{field} = {observed} cannot be (bound: {expected}).",
    basis=BASIS,
)
def impossible_totals(case: Case) -> pd.DataFrame:
    """T_BHTT below 0 or above T_TONGCHI_BH, that above T_TONGCHI_BV, or T_TONGCHI_BV 0 although lines cost something.

    A line whose insured price is above the hospital's own justifies a larger in-scope total; recalled claims (code 8)
    may be negative unless the contract says that they carry no sign (option recall_sign).
    """
    visits, lines = case.visits, case.lines
    tolerance = claim_tolerance(case)
    fund, in_scope, whole = (visits[f"{name}#"] for name in ("T_BHTT", "T_TONGCHI_BH", "T_TONGCHI_BV"))
    dearer = set(lines.loc[lines["DON_GIA_BH"] > lines["DON_GIA_BV"], "claim"])
    justified = pd.Series(visits.index.isin(dearer), index=visits.index)
    tests = (
        ("T_BHTT", fund, fund < 0, "0"),
        ("T_BHTT", fund, fund - in_scope > tolerance, in_scope),
        ("T_TONGCHI_BH", in_scope, (in_scope - whole > tolerance) & ~justified, whole),
        ("T_TONGCHI_BV", whole, (whole == 0) & (case.claims.sums("THANH_TIEN_BV") > tolerance), "> 0"),
    )
    recalled = recalls(visits) & (case.options["recall_sign"] == "negative")
    found = pd.Series(False, index=visits.index)
    field, observed, bound = (pd.Series("", index=visits.index, dtype="str") for _ in range(3))
    for name, value, test, limit in tests:
        where = test.fillna(False).astype("bool") & ~found & ~recalled
        field[where], observed[where] = name, amounts(value[where])
        bound[where] = limit if isinstance(limit, str) else amounts(limit[where])
        found |= where
    return claim_findings("SUM-018", visits, found, field=field, observed=observed, expected=bound)


@rule(
    "SUM-019",
    stage=SPLIT,
    level="line",
    severity=REJECT_LINE,
    title_vi="Dòng có đơn giá 0 không được đề nghị thanh toán",
    title_en="A line without a price is not paid",
    message_vi="Đơn giá bằng 0 nhưng đề nghị quỹ thanh toán {observed}.",
    message_en="The price is 0 yet the fund is asked for {observed}.",
    basis=BASIS,
)
def no_price(case: Case) -> pd.DataFrame:
    """DON_GIA (XML2) or DON_GIA_BH (XML3) is 0 and T_BHTT above 0."""
    lines = case.lines
    where = stated(case, "DON_GIA_BH") & (lines["DON_GIA_BH"] == 0) & (lines["T_BHTT"] > 0)
    return line_findings(
        "SUM-019",
        lines,
        where,
        field="T_BHTT",
        observed=lambda hit: amounts(lines.loc[hit, "T_BHTT"]),
        expected=money.amount_text(0),
    )


@rule(
    "SUM-020",
    stage=SPLIT,
    level="line",
    severity=REJECT_LINE,
    title_vi="Thuốc do nguồn khác chi trả không đề nghị quỹ BHYT",
    title_en="A drug that another payer bears is not asked of the fund",
    message_vi="NGUON_CTRA = {observed} nhưng đề nghị quỹ thanh toán {expected}.",
    message_en="NGUON_CTRA = {observed} yet the fund is asked for {expected}.",
    basis=f"{BASIS}; XML2 trường 36",
)
def other_payer(case: Case) -> pd.DataFrame:
    """XML2.NGUON_CTRA 2, 3 or 4 and T_BHTT above 0.

    Mixed funding is documented where the line itself shows that the other source bore just the co-payment (special
    case c of the benefit law), or where the contract names the drug.
    """
    lines = case.lines
    shares = benefit.split(
        lines["THANH_TIEN_BV"], lines["THANH_TIEN_BH"], lines["MUC_HUONG"], pd.Series(0, index=lines.index)
    )
    other = lines["T_NGUONKHAC"]
    mixed = (other > 0) & ((other - shares["T_BNCCT"]).abs() <= line_tolerance())
    if case.contract.mixed_funding:
        mixed |= lines["MA_THUOC"].str.startswith(case.contract.mixed_funding)
    payer = case.text("NGUON_CTRA")
    borne = payer.isin(law.load("other_payers")["payers"])
    where = (lines["table"] == "XML2") & borne & (lines["T_BHTT"] > 0) & ~mixed
    return line_findings(
        "SUM-020",
        lines,
        where,
        field="NGUON_CTRA",
        observed=payer,
        expected=lambda hit: amounts(lines.loc[hit, "T_BHTT"]),
    )


@rule(
    "SUM-021",
    stage=SPLIT,
    level="line",
    severity=REJECT_LINE,
    title_vi="Số lượng lớn hơn 0",
    title_en="The quantity is above 0",
    message_vi="Số lượng {observed} không hợp lệ.",
    message_en="Quantity {observed} is not valid.",
    basis=f"{BASIS}; XML2, XML3 trường 17",
)
def no_quantity(case: Case) -> pd.DataFrame:
    """SO_LUONG 0 or below; a bed line may be 0 (the middle ward of a day with several)."""
    lines = case.lines
    bed = lines["MA_NHOM"].isin(law.load("bed_rates")["groups"])
    where = stated(case, "SO_LUONG") & ((lines["SO_LUONG"] < 0) | ((lines["SO_LUONG"] == 0) & ~bed))
    return line_findings(
        "SUM-021",
        lines,
        where,
        field="SO_LUONG",
        observed=lambda hit: money.text(lines.loc[hit, "SO_LUONG"], money.PRICE_DECIMALS),
        expected="> 0",
    )


@rule(
    "SUM-022",
    stage=SPLIT,
    level="line",
    severity=REJECT_LINE,
    title_vi="Dịch vụ bị hủy (_TB) không có giá",
    title_en="A service that was broken off (_TB) has no price",
    message_vi="Dịch vụ {observed} đã ngừng thực hiện, đơn giá phải bằng 0; chỉ thanh toán thuốc, vật tư đã dùng.",
    message_en="Service {observed} was broken off, its price must be 0; only drugs and supplies used are paid.",
    basis="Thông tư 39/2018/TT-BYT Điều 7 khoản 3; Quyết định 130/QĐ-BYT XML3 trường 3",
)
def broken_off(case: Case) -> pd.DataFrame:
    """MA_DICH_VU ends in _TB and a price is above 0. Supplies that were used carry the same code and are paid."""
    lines = case.lines
    where = (
        (lines["table"] == "XML3")
        & (lines["MA_VAT_TU"] == "")
        & lines["MA_DICH_VU"].str.endswith("_TB")
        & ((lines["DON_GIA_BH"] > 0) | (lines["DON_GIA_BV"] > 0))
    )
    return line_findings("SUM-022", lines, where, field="MA_DICH_VU", observed=lines["MA_DICH_VU"], expected="0")


@rule(
    "SUM-023",
    stage=TOTALS,
    level="claim",
    severity=WARN,
    title_vi="T_BHTT_GDV bằng tổng các dòng thanh toán theo giá dịch vụ",
    title_en="T_BHTT_GDV equals the sum of the fee-for-service lines",
    message_vi="{field} = {observed}, tổng các dòng có MA_PTTT = 1 là {expected}.",
    message_en="{field} = {observed}, the lines with MA_PTTT = 1 add up to {expected}.",
    basis=f"{BASIS}; XML1 trường 52",
)
def fee_for_service_total(case: Case) -> pd.DataFrame:
    """T_BHTT_GDV against the lines with MA_PTTT 1; not for cards of army, police and cipher staff (sent as 0)."""
    visits = case.visits
    sent, of_lines = visits["T_BHTT_GDV#"], benefit.claim_totals(case.claims)["T_BHTT_GDV"]
    where = ((sent - of_lines).abs() > claim_tolerance(case)).fillna(False) & ~benefit.of_forces(visits)
    return claim_findings(
        "SUM-023", visits, where, field="T_BHTT_GDV", observed=amounts(sent), expected=amounts(of_lines)
    )


@rule(
    "SUM-024",
    stage=TOTALS,
    level="line",
    severity=WARN,
    title_vi="Phương thức thanh toán đúng với hợp đồng và loại chi phí",
    title_en="The payment method is the one agreed, and that of the kind of cost",
    message_vi="MA_PTTT = {observed}, phải là {expected}.",
    message_en="MA_PTTT = {observed}, should be {expected}.",
    basis=f"{BASIS}; XML2 trường 38",
    wants_facts=(PAYMENT_METHODS,),
)
def payment_method(case: Case) -> pd.DataFrame:
    """MA_PTTT that the contract does not name; capitation (2) for what stays fee-for-service (law/fee_for_service).

    A value that is no code at all is DICT-004: the values are checked against their list before. The list of what
    stays fee-for-service is incomplete in the source; cancer and haemophilia count for drugs and interventions only.
    """
    kept = law.load("fee_for_service")
    lines, visits = case.lines, case.visits
    method = lines["MA_PTTT"]
    diseases = (visits["MA_BENH_CHINH"] + ";" + visits["MA_BENH_KT"]).str.replace(" ", "", regex=False)
    always = benefit.of_forces(visits) | diseases.str.contains(rf"(?:^|;)(?:{'|'.join(kept['visits'])})", regex=True)
    disease = visits["MA_BENH_CHINH"].str.startswith(tuple(kept["diseases"]))
    own = (
        lines["claim"].map(always).astype("bool")
        | lines["MA_NHOM"].isin(kept["service_groups"])
        | (lines["claim"].map(disease).astype("bool") & lines["MA_NHOM"].isin(kept["disease_groups"]))
    )
    wrong = (method == kept["capitation"]) & own & (lines["T_BHTT"] > 0)
    right = pd.Series(kept["method"], index=lines.index, dtype="str")
    agreed = case.contract.payment_methods
    if agreed:
        other = (method != "") & ~method.isin([*agreed, kept["method"]]) & ~wrong
        right = right.mask(other, ", ".join(agreed))
        wrong |= other
    return line_findings("SUM-024", lines, wrong, field="MA_PTTT", observed=method, expected=right)
