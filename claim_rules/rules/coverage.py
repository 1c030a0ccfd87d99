"""BEN: emergencies, what is out of scope, veterans' wounds, needless co-payments, facilities without a contract."""

from __future__ import annotations

import pandas as pd

from claim_rules import benefit, law, money, routes
from claim_rules.catalogue import ROUTE, TOTALS, rule
from claim_rules.days_off import days_off, to_days
from claim_rules.engine import Case, claim_findings, line_findings
from claim_rules.findings import ADJUST_AMOUNT, CLAIM, REJECT_LINE, WARN
from claim_rules.reference import OPEN_END, missing
from claim_rules.rules.arithmetic import amounts, claim_tolerance
from claim_rules.rules.payment_rate import (
    DRUGS,
    SERVICES,
    SUPPLIES,
    listed_drug_rates,
    listed_service_rates,
    listed_supply_rates,
)
from claim_rules.rules.rate import APPRAISAL, RATES

SCOPE = "Quyết định 130/QĐ-BYT trường PHAM_VI; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm c"
CONTRACTS = {"facilities": (*routes.FACILITIES["facilities"], "HOP_DONG_TU", "HOP_DONG_DEN")}


@rule(
    "BEN-013",
    stage=ROUTE,
    level="claim",
    severity=WARN,
    title_vi="Cấp cứu có dấu hiệu cấp cứu",
    title_en="An emergency shows signs of one",
    message_vi="Mã đối tượng 2 (cấp cứu) nhưng hồ sơ không có dấu hiệu cấp cứu; đề nghị bổ sung tài liệu.",
    message_en="Entitlement 2 (emergency) without any sign of one; please add documents.",
    basis=f"Quyết định 3276/QĐ-BYT mã 2; {APPRAISAL}",
    needs=routes.DISEASE_LISTS,
)
def doubtful_emergency(case: Case) -> pd.DataFrame:
    """Code 2 in clinic hours, not first in the emergency department, no disease of the emergency list, no ambulance,
    no emergency bed, not died within a day. An icd_lists.csv without the list `emergency` says nothing: no warning."""
    signs = law.load("emergency")
    visits, lines = case.visits, case.lines
    where = visits["MA_DOITUONG_KCB"] == signs["code"]
    if not where.any() or not (case.reference["icd_lists"]["DANH_SACH"].fillna("").str.strip() == "emergency").any():
        return claim_findings("BEN-013", visits, where & False)
    days = to_days(visits["day_in"])
    hour = visits["NGAY_VAO"].str[8:12]
    closed = (days.dt.day_of_week >= 5) | days.isin(pd.to_datetime(days_off(days, case.reference)))
    hours = signs["clinic_hours"]
    outside = closed | (hour < hours["from"]) | (hour >= hours["to"])
    first = visits["MA_KHOA"].str.split(";").str[0].fillna("").str.strip().isin(signs["departments"])
    ward = case.text("MA_KHOA").isin(signs["departments"]) | (lines["MA_NHOM"] == signs["ambulance_group"])
    treated = visits.index.isin(lines.loc[ward, "claim"])
    hours_in = (
        pd.to_datetime(visits["NGAY_RA"], format="%Y%m%d%H%M", errors="coerce")
        - pd.to_datetime(visits["NGAY_VAO"], format="%Y%m%d%H%M", errors="coerce")
    ).dt.total_seconds() / 3600
    died = visits["KET_QUA_DTRI"].isin(signs["died"]) & (hours_in <= signs["died_within_hours"])
    listed = routes.diseases_in(case, "emergency")
    where &= ~(outside | first | treated | died | listed)
    return claim_findings("BEN-013", visits, where, field="MA_DOITUONG_KCB", observed=visits["MA_DOITUONG_KCB"])


@rule(
    "BEN-023",
    stage=ROUTE,
    level="line",
    severity=REJECT_LINE,
    title_vi="PHAM_VI 3 chỉ cho quân đội, công an, cơ yếu",
    title_en="PHAM_VI 3 is for army, police and cipher staff",
    message_vi="PHAM_VI = 3 nhưng thẻ không thuộc quân đội, công an, cơ yếu.",
    message_en="PHAM_VI = 3 but the card is not one of army, police or cipher staff.",
    basis=f"Nghị định 70/2015/NĐ-CP; {SCOPE}",
)
def out_of_list(case: Case) -> pd.DataFrame:
    """PHAM_VI 3 and no card of the groups QN, CA, CY."""
    forces = case.lines["claim"].map(benefit.of_forces(case.visits)).astype("bool")
    where = (case.lines["PHAM_VI"] == "3") & ~forces
    return line_findings("BEN-023", case.lines, where, field="PHAM_VI", observed="3")


@rule(
    "BEN-024",
    stage=ROUTE,
    level="line",
    severity=REJECT_LINE,
    title_vi="Chi phí ngoài phạm vi (PHAM_VI 2) không đề nghị thanh toán",
    title_en="What is out of scope (PHAM_VI 2) is not claimed",
    message_vi="PHAM_VI = 2 (ngoài phạm vi) nhưng {field} = {observed}.",
    message_en="PHAM_VI = 2 (out of scope) but {field} = {observed}.",
    basis=SCOPE,
)
def out_of_scope(case: Case) -> pd.DataFrame:
    """PHAM_VI 2 and TYLE_TT_BH, THANH_TIEN_BH or T_BHTT above 0."""
    lines = case.lines
    field = pd.Series("TYLE_TT_BH", index=lines.index, dtype="str")
    field = field.mask(lines["THANH_TIEN_BH"] > 0, "THANH_TIEN_BH").mask(lines["T_BHTT"] > 0, "T_BHTT")
    value = lines["T_BHTT"].mask(field == "THANH_TIEN_BH", lines["THANH_TIEN_BH"])
    observed = amounts(value).mask(field == "TYLE_TT_BH", money.rate_texts(lines["TYLE_TT_BH"]))
    any_paid = (lines[["TYLE_TT_BH", "THANH_TIEN_BH", "T_BHTT"]] > 0).any(axis=1)
    where = (lines["PHAM_VI"] == "2") & any_paid
    return line_findings("BEN-024", lines, where, field=field, observed=observed, expected="0")


@rule(
    "BEN-025",
    stage=ROUTE,
    level="line",
    severity=ADJUST_AMOUNT,
    title_vi="Vết thương tái phát chỉ áp dụng cho thương binh",
    title_en="The waiver for old wounds is for wounded veterans",
    message_vi="VET_THUONG_TP = 1 nhưng thẻ không thuộc nhóm thương binh; áp dụng tỷ lệ thanh toán {expected} %.",
    message_en="VET_THUONG_TP = 1 but the card is not a wounded veteran's; the listed rate {expected} % holds.",
    basis="Nghị định 131/2021/NĐ-CP Điều 183; Quyết định 130/QĐ-BYT trường VET_THUONG_TP",
    wants={**DRUGS, **SUPPLIES, **SERVICES},
)
def not_a_veteran(case: Case) -> pd.DataFrame:
    """VET_THUONG_TP 1 and no card of the groups CC, CK; TYLE_TT_BH falls to the listed one where that is known.

    Which wound was certified stands in no file, so the disease is not looked at.
    """
    lines = case.lines
    where = case.text("VET_THUONG_TP") == "1"
    if not where.any():
        return line_findings("BEN-025", lines, where)
    veteran = benefit.holds_group(case.visits, law.load("veterans")["codes"])
    where &= ~lines["claim"].map(veteran).astype("bool")
    right = pd.Series(pd.NA, index=lines.index, dtype="Int64")
    lists = ((DRUGS, listed_drug_rates), (SUPPLIES, listed_supply_rates), (SERVICES, listed_service_rates))
    for needs, listed in lists:
        if not missing(case.reference, needs):
            right = right.fillna(listed(case))
    return line_findings(
        "BEN-025",
        lines,
        where,
        field="VET_THUONG_TP",
        observed="1",
        expected=money.rate_texts(right),
        correct_field="TYLE_TT_BH",
        correct_value=right,
    )


@rule(
    "BEN-026",
    stage=ROUTE,
    level="claim",
    severity=WARN,
    title_vi="Được hưởng 100 % nhưng vẫn thu cùng chi trả",
    title_en="Covered in full, yet a co-payment was charged",
    message_vi="Người bệnh được hưởng 100 % nhưng vẫn thu cùng chi trả {observed} đ; cần hoàn lại.",
    message_en="The patient is covered in full, yet a co-payment of VND {observed} was charged; it is due back.",
    basis=f"{RATES}; {APPRAISAL}",
)
def needless_co_payment(case: Case) -> pd.DataFrame:
    """100 % is due on every line (card, waiver, initial level, or a visit under 15 % of the base salary, which has
    BEN-005 besides) and more than the tolerance was charged as co-payment."""
    expected = case.expected
    full = (expected.rate == benefit.FULL).fillna(False).groupby(case.lines["claim"]).all()
    charged = case.claims.sums("T_BNCCT")
    everywhere = full.reindex(case.visits.index, fill_value=False).astype("bool")
    where = everywhere & (charged > claim_tolerance(case))
    return claim_findings(
        "BEN-026", case.visits, where, field="T_BNCCT", observed=amounts(charged), expected=money.amount_text(0)
    )


@rule(
    "BEN-027",
    stage=TOTALS,
    level="claim",
    severity=ADJUST_AMOUNT,
    title_vi="Mức thanh toán trực tiếp tối đa tại cơ sở không có hợp đồng",
    title_en="The most that is paid for a visit to a facility without a contract",
    message_vi="Cơ sở không có hợp đồng: đề nghị {observed}, thanh toán trực tiếp tối đa {expected}.",
    message_en="A facility without a contract: {observed} is asked, at most {expected} is paid directly.",
    basis="Nghị định 188/2025/NĐ-CP Điều 57; Công văn 302/CSYT-CD mục 4",
    needs=CONTRACTS,
    since="20250815",
)
def direct_payment(case: Case) -> pd.DataFrame:
    """No contract of the facility on NGAY_VAO, not an emergency, and more asked than law/direct_payment.yaml allows.

    SUB-008 refuses such a claim; the cap tells what the patient may ask for. A register row that states neither bound
    of a contract says nothing of one. Outpatient care at other levels has no cap in the source and is passed.
    """
    visits = case.visits
    listed = case.reference["facilities"]
    rows = pd.DataFrame({name: listed[name].fillna("").str.strip() for name in CONTRACTS["facilities"]})
    pairs = visits[["MA_CSKCB", "day_in"]].reset_index(names="claim").merge(rows, on="MA_CSKCB")
    silent = (pairs["HOP_DONG_TU"] == "") & (pairs["HOP_DONG_DEN"] == "")
    until = pairs["HOP_DONG_DEN"].replace("", OPEN_END)
    holds = silent | ((pairs["HOP_DONG_TU"] <= pairs["day_in"]) & (pairs["day_in"] <= until))
    without = visits.index.isin(pairs["claim"]) & ~visits.index.isin(pairs.loc[holds, "claim"])
    asked = case.claims.sums("T_BHTT")
    where = pd.Series(without, index=visits.index) & (visits["MA_DOITUONG_KCB"] != law.load("emergency")["code"])
    cap = pd.Series(pd.NA, index=visits.index, dtype="Int64")
    if where.any():
        place = routes.facilities(case)
        day = visits["day_out"].where(visits["inpatient"], visits["day_in"])
        salary = pd.Series(law.parameter("base_salary").on(day), index=visits.index).astype("Int64")
        for row in law.load("direct_payment")["rows"]:
            percent = law.dated("direct_payment", row["percent"]).on(day)
            share = pd.Series(pd.array(percent.tolist(), dtype="Int64"), index=visits.index)
            fits = routes.fits(case, {**row, "level": [row["level"]]}, place, unknown=False)
            cap = cap.mask(fits & cap.isna(), salary * share)
    where &= (asked > cap).fillna(False).astype("bool")
    return claim_findings(
        "BEN-027",
        visits,
        where,
        field="T_BHTT",
        observed=amounts(asked),
        expected=lambda hit: amounts(cap.loc[hit]),
        correct_field=CLAIM,
        correct_value=cap,
    )
