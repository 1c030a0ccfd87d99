"""BEN: does the visit entitlement (MA_DOITUONG_KCB) fit the facility, the card and the papers?"""

from __future__ import annotations

import pandas as pd

from claim_rules import benefit, law, routes
from claim_rules.catalogue import CROSS, ROUTE, declare, rule
from claim_rules.days_off import to_days, working_days
from claim_rules.engine import APPOINTMENTS, RECALLED, TRANSFERS, Case, claim_findings
from claim_rules.episodes import recalls
from claim_rules.findings import ADJUST_AMOUNT, REJECT_CLAIM, WARN, Ruling
from claim_rules.money import amount_text
from claim_rules.routes import DISEASE_LISTS, FACILITIES, recoded
from claim_rules.rules.rate import APPRAISAL, RATES

CODE = "MA_DOITUONG_KCB"
BASIS = f"{RATES}; Quyết định 3276/QĐ-BYT; {APPRAISAL}"
OWN, INITIAL, TRANSFER, APPOINTMENT = "1.1", "1.2", "1.3", "1.5"
OTHER_CASES = ("7", "7.1", "7.2", "7.3", "7.4", "8", "9", "10")
"""Codes of drugs collected, recalls and the uninsured: what the facility is does not matter to them."""


@rule(
    "BEN-006",
    stage=ROUTE,
    level="claim",
    severity=ADJUST_AMOUNT,
    title_vi="Mã 1.2 chỉ dùng tại cơ sở cấp ban đầu",
    title_en="Code 1.2 is for facilities of initial level",
    message_vi="Mã đối tượng {observed} nhưng cơ sở không thuộc cấp ban đầu; tính như tự đến ({expected}).",
    message_en="Entitlement {observed}, but the facility is not of initial level; self-referred ({expected}).",
    basis=BASIS,
    needs=FACILITIES,
    since="20250101",
)
def not_initial_level(case: Case) -> Ruling:
    """Code 1.2 at a facility whose level is known and not initial. That 1.2 gives 100 % is in the expected rate."""
    where = case.visits[CODE] == INITIAL
    if where.any():
        where &= ~routes.facilities(case)["level"].isin(["", "initial"])
    return recoded("BEN-006", case, where, case.visits[CODE], CODE)


@rule(
    "BEN-012",
    stage=ROUTE,
    level="claim",
    severity=REJECT_CLAIM,
    title_vi="Tự đến ngoại trú mã 1.13, 1.14, 1.18 không được hưởng trước 01/07/2026",
    title_en="Self-referred outpatient care under 1.13, 1.14 and 1.18 is not covered before 2026-07-01",
    message_vi="Mã đối tượng {observed} ngoại trú ra viện trước ngày 01/07/2026: mức hưởng 0 %.",
    message_en="Entitlement {observed}, outpatient, before 2026-07-01: rate 0 %.",
    basis=BASIS,
    since="20250101",
    until="20260630",
)
def half_route_too_early(case: Case) -> pd.DataFrame:
    """MA_DOITUONG_KCB 1.13, 1.14 or 1.18 and outpatient, by NGAY_RA."""
    code = case.visits[CODE]
    where = code.isin(["1.13", "1.14", "1.18"]) & ~case.visits["inpatient"]
    return claim_findings("BEN-012", case.visits, where, field=CODE, observed=code, expected="0")


@rule(
    "BEN-014",
    stage=ROUTE,
    level="claim",
    severity=ADJUST_AMOUNT,
    title_vi="Chuyển cơ sở có giấy chuyển còn hạn",
    title_en="A transfer has its slip, still good",
    message_vi="Mã đối tượng 1.3 nhưng {field} = {observed}; không có giấy chuyển hợp lệ, tính như tự đến.",
    message_en="Entitlement 1.3 but {field} = {observed}: no good transfer slip, judged as self-referred.",
    basis=f"Thông tư 01/2025/TT-BYT Điều 9, 12; {APPRAISAL}",
    wants=FACILITIES,
    wants_facts=(TRANSFERS,),
    since="20250101",
)
def transfer_slip(case: Case) -> Ruling:
    """Code 1.3 without MA_NOI_DI or GIAY_CHUYEN_TUYEN; or the slip of the sending facility is missing or too old.

    The slip itself needs the frame "transfers": claim and issued, the day (yyyymmdd) of the newest XML13 of this person
    from MA_NOI_DI up to NGAY_VAO, "" where the sending facility's claims are in the store and hold none; a claim
    without a row is not judged. Ten working days, a year for TT01-III diseases. Without facilities.csv the finding
    stands, but the rate of a self-referred visit is unknown and nothing is cut.
    """
    visits = case.visits
    transfer = visits[CODE] == TRANSFER
    field = pd.Series("MA_NOI_DI", index=visits.index, dtype="str").mask(visits["MA_NOI_DI"] != "", "GIAY_CHUYEN_TUYEN")
    where = transfer & ((visits["MA_NOI_DI"] == "") | (visits["GIAY_CHUYEN_TUYEN"] == ""))
    observed = pd.Series("", index=visits.index, dtype="str")
    if TRANSFERS in case.history:
        slips = case.history[TRANSFERS].drop_duplicates("claim").set_index("claim")["issued"].reindex(visits.index)
        limits = law.load("papers")
        day = slips.fillna("")
        gone = working_days(day, visits["day_in"], case.reference)
        year = (to_days(visits["day_in"]) - to_days(day)).dt.days
        long = routes.diseases_in(case, limits["transfer_one_year"])
        old = (gone > limits["transfer_working_days"]).fillna(False).astype("bool") & ~(long & (year <= 365))
        where |= transfer & slips.notna() & ((day == "") | old)
        observed = observed.mask(old, day)
    return recoded("BEN-014", case, where, observed, field)


@rule(
    "BEN-015",
    stage=CROSS,
    level="cross-claim",
    severity=ADJUST_AMOUNT,
    title_vi="Phiếu hẹn khám lại do chính cơ sở cấp, dùng một lần, đúng hẹn",
    title_en="An appointment slip of the same facility, used once, at its time",
    message_vi="Mã đối tượng 1.5 nhưng phiếu hẹn không hợp lệ ({observed}); tính như tự đến ({expected}).",
    message_en="Entitlement 1.5 but the appointment is not good ({observed}); judged as self-referred ({expected}).",
    basis=f"Thông tư 01/2025/TT-BYT Điều 11; {APPRAISAL}",
    needs=FACILITIES,
    facts=(APPOINTMENTS,),
    since="20250101",
)
def appointment_slip(case: Case) -> Ruling:
    """Code 1.5: no appointment of the facility, one that another claim used, or a visit far from its day.

    Needs the frame "appointments": claim, appointed (NGAY_HEN_KL, yyyymmdd, of the XML14 of this facility and person
    that is nearest to NGAY_VAO, "" where the store holds the facility's claims of the last year and none fits), used
    ("1" if another claim with code 1.5 came on it). A claim without a row is not judged. Far: more than ten working
    days before or after the day (the circular's text was not seen).
    """
    visits = case.visits
    slips = case.history[APPOINTMENTS].drop_duplicates("claim").set_index("claim").reindex(visits.index)
    day, used = slips["appointed"].fillna(""), slips["used"].fillna("").astype("str")
    known = slips["appointed"].notna() & (visits[CODE] == APPOINTMENT)
    earlier = day < visits["day_in"]
    first, last = day.where(earlier, visits["day_in"]), visits["day_in"].where(earlier, day)
    apart = working_days(first, last, case.reference)
    far = (apart > law.load("papers")["appointment_working_days"]).fillna(False).astype("bool")
    where = known & ((day == "") | (used == "1") | far)
    return recoded("BEN-015", case, where, day, CODE)


@rule(
    "BEN-016",
    stage=ROUTE,
    level="claim",
    severity=ADJUST_AMOUNT,
    title_vi="Mã 1.1 khi đúng nơi đăng ký khám chữa bệnh ban đầu",
    title_en="Code 1.1 is for the facility of registration",
    message_vi="Mã đối tượng 1.1 nhưng nơi đăng ký là {observed}; tính như tự đến ({expected}).",
    message_en="Entitlement 1.1 but registered at {observed}; judged as self-referred ({expected}).",
    basis=BASIS,
    needs=FACILITIES,
)
def registered_elsewhere(case: Case) -> Ruling:
    """Code 1.1 and no item of MA_DKBD is MA_CSKCB. Facilities with the same MA_DON_VI in facilities.csv (an optional
    column: parent and branches) are one unit."""
    visits = case.visits
    where = (visits[CODE] == OWN) & (visits["MA_DKBD"] != "") & (visits["MA_DKBD"] != visits["MA_CSKCB"])
    if where.any():
        where &= ~_registered_here(case)
    return recoded("BEN-016", case, where, visits["MA_DKBD"], "MA_DKBD")


def _registered_here(case: Case) -> pd.Series:
    visits = case.visits
    register = case.reference.get("facilities")
    unit: dict[str, str] = {}
    if register is not None and "MA_DON_VI" in register.columns:
        named = register[["MA_CSKCB", "MA_DON_VI"]].fillna("")
        unit = dict(named[named["MA_DON_VI"] != ""].itertuples(index=False, name=None))
    items = visits["MA_DKBD"].str.split(";").explode().str.strip()
    own = visits["MA_CSKCB"].map(lambda code: unit.get(code, code)).reindex(items.index)
    same = items.map(lambda code: unit.get(code, code)) == own
    return same.groupby(level=0).any().reindex(visits.index, fill_value=False)


# Circular 01/2025 asks for a proof of residence or stay. No element of XML1 to XML15 refers to one and no decision
# names a list of them; a list that the facility itself fills in would be its own word, no proof
declare(
    "BEN-017",
    stage=ROUTE,
    level="claim",
    severity=WARN,
    title_vi="Đổi nơi cư trú, lưu trú (mã 1.4) có giấy tờ chứng minh",
    title_en="A change of residence or stay (code 1.4) is proved",
    message_vi="Mã đối tượng 1.4: đề nghị xuất trình giấy tờ cư trú, lưu trú.",
    message_en="Entitlement 1.4: please show the proof of residence or stay.",
    basis=f"Thông tư 01/2025/TT-BYT Điều 4; {APPRAISAL}",
    awaits="a reference to the proof of residence or stay (no element and no decided list carries it)",
    since="20250101",
)


@rule(
    "BEN-018",
    stage=ROUTE,
    level="claim",
    severity=ADJUST_AMOUNT,
    title_vi="Mã đối tượng phù hợp cấp chuyên môn, điểm, tuyến cũ của cơ sở",
    title_en="The entitlement fits level, points and former tier of the facility",
    message_vi="Mã đối tượng {observed} không phù hợp với cơ sở, hình thức KCB hoặc bệnh; mã phù hợp: {expected}.",
    message_en="Entitlement {observed} does not fit facility, kind of care or disease; what fits: {expected}.",
    basis=BASIS,
    needs=FACILITIES,
    wants=DISEASE_LISTS,
    since="20250101",
)
def does_not_fit_facility(case: Case) -> Ruling:
    """A code of law/facility_routes.yaml whose row does not fit the facility; the lines get the rate of the code that
    does. Attributes that the register leaves blank fit every code, so does a facility that it does not know. 3.1 fits
    in- and outpatients; where code and kind of care have no factor together the claim is referred besides."""
    place = routes.facilities(case)
    code = case.visits[CODE]
    where = pd.Series(False, index=code.index)
    for row in law.load("facility_routes")["codes"]:
        mine = code == row["code"]
        if mine.any():
            where |= mine & ~routes.fits(case, row, place, unknown=True)
    return recoded("BEN-018", case, where & (place["level"] != ""), code, CODE)


@rule(
    "BEN-019",
    stage=ROUTE,
    level="claim",
    severity=WARN,
    title_vi="Dùng mã đối tượng đứng trước khi nhiều mã cùng phù hợp",
    title_en="Of several codes that fit the one higher in the table is used",
    message_vi="Mã đối tượng {observed} trong khi {expected} cũng phù hợp và được ưu tiên.",
    message_en="Entitlement {observed} although {expected} fits too and comes first.",
    basis="Quyết định 3276/QĐ-BYT phụ lục 1 ghi chú 2",
    wants=DISEASE_LISTS,
    since="20251017",
)
def higher_code(case: Case) -> pd.DataFrame:
    """The facility of registration under another code (1.1 comes first), and list diseases under a self-referral code
    (1.16 and 1.17 lift 1.13, 1.14, 1.18 and 3.1).

    Not where the other code is the better one for the patient (1.2), or of its own kind (1.6, 1.7, 7 to 10). Pairs of
    rows that always fit together (1.2 and 1.11 at a commune station) say nothing and are passed.
    """
    visits = case.visits
    code = visits[CODE]
    right = pd.Series("", index=visits.index, dtype="str")
    for lifted, name, listed in ((("1.13", "1.14"), "1.16", "TT01-II"), (("1.18", "3.1"), "1.17", "TT01-I")):
        mine = code.isin(lifted)
        if mine.any():
            right = right.mask(mine & routes.diseases_in(case, listed), name)
    own = _registered_here(case) & ~code.isin([OWN, INITIAL, "1.6", "1.7", *OTHER_CASES, ""])
    right = right.mask(own, OWN)
    return claim_findings("BEN-019", visits, right != "", field=CODE, observed=code, expected=right)


@rule(
    "BEN-020",
    stage=ROUTE,
    level="claim",
    severity=ADJUST_AMOUNT,
    title_vi="Mã 3.6 đúng đối tượng vùng khó khăn, xã đảo",
    title_en="Code 3.6 is for people of hard areas and island communes",
    message_vi="Mã đối tượng 3.6 nhưng không đủ điều kiện vùng khó khăn, xã đảo; tính như tự đến ({expected}).",
    message_en="Entitlement 3.6 without its conditions (hard area, island); judged as self-referred ({expected}).",
    basis=BASIS,
    needs=FACILITIES,
)
def hard_area(case: Case) -> Ruling:
    """Code 3.6 without: inpatient at specialised level, of an ethnic minority or with a poor card, and MA_KHUVUC K1 to
    K3; a card of island communes is enough. Which communes are islands stands in no file, so the card tells: of several
    cards any one."""
    rules = law.load("facility_routes")["hard_area"]
    visits = case.visits
    minority = ~visits["MA_DANTOC"].isin(["", rules["majority"]])
    poor = benefit.holds_group(visits, rules["poor_groups"])
    where = visits[CODE] == rules["code"]
    if not where.any():
        return Ruling(claim_findings("BEN-020", visits, where))
    place = routes.facilities(case)
    granted = (
        visits["inpatient"]
        & place["level"].isin(["specialised", ""])
        & (minority | poor)
        & visits["MA_KHUVUC"].isin(rules["areas"])
    ) | benefit.holds_group(visits, rules["island_groups"])
    return recoded("BEN-020", case, where & ~granted, visits[CODE], CODE)


@rule(
    "BEN-022",
    stage=CROSS,
    level="cross-claim",
    severity=ADJUST_AMOUNT,
    title_vi="Thu hồi (mã 8) gắn với hồ sơ đã được chấp nhận",
    title_en="A recall (code 8) refers to an accepted claim",
    message_vi="Hồ sơ thu hồi (mã 8); số tiền thu hồi theo hồ sơ gốc: {expected}.",
    message_en="A recall (code 8); to be taken back by the claim it recalls: {expected}.",
    basis=BASIS,
    facts=(RECALLED,),
)
def recall(case: Case) -> pd.DataFrame:
    """Code 8: minus what was approved of the claim that it recalls (option recall_sign); an officer decides (the claim
    is referred).

    Needs the frame "recalled": claim, approved (1/100 đồng) of the accepted claim of the same facility and MA_LK, or of
    the same person and stay; a claim without a row recalls nothing that is known. No source says which sign the
    amounts carry, nor which field names the claim, so nothing is corrected.
    """
    visits = case.visits
    known = case.history[RECALLED].drop_duplicates("claim").set_index("claim")["approved"]
    where = recalls(visits)
    expected = pd.Series("", index=visits.index, dtype="str")
    sign = -1 if case.options["recall_sign"] == "negative" else 1
    for claim in visits.index[where]:
        expected[claim] = amount_text(sign * int(known[claim])) if claim in known.index else "0.00"
    return claim_findings("BEN-022", visits, where, field=CODE, observed=visits[CODE], expected=expected)
