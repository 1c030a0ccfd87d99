"""RATE: is the payment rate the listed one, and that of further examinations, surgery and shared beds?"""

from __future__ import annotations

from typing import Any

import pandas as pd

from claim_rules import benefit, law, money
from claim_rules.benefit import stays
from claim_rules.catalogue import CATALOGUE, CROSS, SPLIT, rule
from claim_rules.engine import BEDS, Case, line_findings
from claim_rules.episodes import standing
from claim_rules.findings import ADJUST_AMOUNT, REJECT_LINE, WARN, concat
from claim_rules.reference import missing, rows_on
from claim_rules.rules.listing import drug_rows, service_rows

APPRAISAL = "Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm đ"
TARIFF = f"Thông tư 39/2024/TT-BYT Điều 4b-4d; Quyết định 130/QĐ-BYT XML3 trường 17; {APPRAISAL}"
CONDITIONS = {"drug_conditions": ("MA_THUOC", "MA_BENH_CHO_PHEP", "TYLE_TT_BH")}
USUAL_SHARES = (0, 10, 30, 33, 50, 80, 100)
"""Values of TYLE_TT_DV that the tariff knows."""


def _above_listed(rule_id: str, case: Case, listed: pd.Series) -> pd.DataFrame:
    """Lines whose TYLE_TT_BH is above the listed rate (Int64 1/100 percent by line, NA where it is not listed).

    For the old wound of a veteran the rate is waived; BEN-025 looks whether that is right.
    """
    lines = case.lines
    waived = case.text("VET_THUONG_TP") == "1"
    claimed = lines["TYLE_TT_BH"]
    where = case.present["TYLE_TT_BH"] & (claimed > listed.fillna(benefit.FULL)) & (lines["T_BHTT"] > 0) & ~waived
    return _rate_findings(rule_id, case, where, "TYLE_TT_BH", listed)


def _rate_findings(rule_id: str, case: Case, where: pd.Series, name: str, right: pd.Series) -> pd.DataFrame:
    return line_findings(
        rule_id,
        case.lines,
        where,
        field=name,
        observed=lambda hit: money.rate_texts(case.lines.loc[hit, name]),
        expected=lambda hit: money.rate_texts(right.loc[hit]),
        correct_field=name,
        correct_value=right,
    )


def _highest(case: Case, rows: pd.DataFrame) -> pd.Series:
    """The highest TYLE_TT_BH among the catalogue rows of each line (Int64 1/100 percent, NA where none states one)."""
    rate = money.parse(rows["TYLE_TT_BH"], money.RATE_DECIMALS)
    return rate.groupby(rows["index"]).max().reindex(case.lines.index).astype("Int64")


def listed_drug_rates(case: Case) -> pd.Series:
    """Listed TYLE_TT_BH of each drug line: of drug_conditions.csv for its indication, else of drugs.csv.

    A condition counts where a disease of the visit begins with one of its codes; of several the highest rate.
    """
    return case.keep("listed drug rates", lambda: _listed_drug_rates(case))


def _listed_drug_rates(case: Case) -> pd.Series:
    listed = _highest(case, drug_rows(case))
    if missing(case.reference, CONDITIONS):
        return listed
    conditions = case.reference["drug_conditions"][["MA_THUOC", "MA_BENH_CHO_PHEP", "TYLE_TT_BH"]]
    conditions = conditions.assign(rate=money.parse(conditions["TYLE_TT_BH"], money.RATE_DECIMALS))
    conditions = conditions[conditions["rate"].notna()]
    lines = case.lines[(case.lines["table"] == "XML2") & case.lines["MA_THUOC"].isin(conditions["MA_THUOC"])]
    if lines.empty:
        return listed
    pairs = lines[["claim", "MA_THUOC"]].reset_index().merge(conditions, on="MA_THUOC")
    visits = case.visits
    diseases = (visits["MA_BENH_CHINH"] + ";" + visits["MA_BENH_KT"]).str.split(";")
    keys = pairs[["claim", "MA_BENH_CHO_PHEP"]].drop_duplicates()
    keys["fits"] = [
        any(code.strip() and had.strip().startswith(code.strip()) for code in wanted.split(";") for had in mine)
        for wanted, mine in zip(keys["MA_BENH_CHO_PHEP"].fillna(""), diseases.loc[keys["claim"]], strict=True)
    ]
    pairs = pairs.merge(keys, on=["claim", "MA_BENH_CHO_PHEP"])
    special = pairs[pairs["fits"]].groupby("index")["rate"].max()
    listed = listed.copy()
    listed.loc[special.index] = special.astype("Int64")
    return listed


def listed_supply_rates(case: Case) -> pd.Series:
    """Listed TYLE_TT_BH of each supply line: of supplies.csv at the facility on the day of the order."""
    lines = case.lines
    mine = lines[(lines["table"] == "XML3") & (lines["T_BHTT"] > 0) & (lines["MA_VAT_TU"] != "")]
    wanted = mine[["MA_VAT_TU", "day"]].assign(facility=mine["claim"].map(case.visits["MA_CSKCB"]))
    keys = {"MA_VAT_TU": "MA_VAT_TU", "facility": "MA_CSKCB"}
    return _highest(case, rows_on(wanted, case.reference["supplies"], keys))


def listed_service_rates(case: Case) -> pd.Series:
    """Listed TYLE_TT_BH of each service line: of services.csv (see listing.service_rows)."""
    return _highest(case, service_rows(case))


DRUGS = {"drugs": ("MA_THUOC", "MA_CSKCB", "TYLE_TT_BH", "TU_NGAY", "DEN_NGAY")}
SUPPLIES = {"supplies": ("MA_VAT_TU", "MA_CSKCB", "TYLE_TT_BH", "TU_NGAY", "DEN_NGAY")}
SERVICES = {"services": ("MA_TUONG_DUONG", "MA_CSKCB", "TYLE_TT_BH", "TU_NGAY", "DEN_NGAY")}


@rule(
    "RATE-001",
    stage=CATALOGUE,
    level="line",
    severity=ADJUST_AMOUNT,
    title_vi="Tỷ lệ thanh toán của thuốc không cao hơn quy định",
    title_en="The payment rate of a drug is not above the listed one",
    message_vi="Tỷ lệ thanh toán {observed} % cao hơn tỷ lệ quy định {expected} %.",
    message_en="Payment rate {observed} % is above the listed rate {expected} %.",
    basis=f"Thông tư 20/2022/TT-BYT, 37/2024/TT-BYT; {APPRAISAL}",
    needs=DRUGS,
    wants=CONDITIONS,
)
def drug_rate(case: Case) -> pd.DataFrame:
    """XML2.TYLE_TT_BH against drugs.csv, or drug_conditions.csv where that has a rate for the indication."""
    return _above_listed("RATE-001", case, listed_drug_rates(case))


@rule(
    "RATE-002",
    stage=CATALOGUE,
    level="line",
    severity=ADJUST_AMOUNT,
    title_vi="Tỷ lệ thanh toán của vật tư y tế không cao hơn quy định",
    title_en="The payment rate of a supply is not above the listed one",
    message_vi="Tỷ lệ thanh toán {observed} % cao hơn tỷ lệ quy định {expected} %.",
    message_en="Payment rate {observed} % is above the listed rate {expected} %.",
    basis=f"Văn bản hợp nhất 14/VBHN-BYT 2025 (Thông tư 04/2017/TT-BYT); {APPRAISAL}",
    needs=SUPPLIES,
)
def supply_rate(case: Case) -> pd.DataFrame:
    """XML3.TYLE_TT_BH of a supply against supplies.csv."""
    return _above_listed("RATE-002", case, listed_supply_rates(case))


@rule(
    "RATE-003",
    stage=CATALOGUE,
    level="line",
    severity=ADJUST_AMOUNT,
    title_vi="Tỷ lệ thanh toán của dịch vụ không cao hơn quy định",
    title_en="The payment rate of a service is not above the listed one",
    message_vi="Tỷ lệ thanh toán {observed} % cao hơn tỷ lệ quy định {expected} %.",
    message_en="Payment rate {observed} % is above the listed rate {expected} %.",
    basis=f"Thông tư 35/2016/TT-BYT, 39/2024/TT-BYT Danh mục 1; {APPRAISAL}",
    needs=SERVICES,
)
def service_rate(case: Case) -> pd.DataFrame:
    """XML3.TYLE_TT_BH of a service against services.csv."""
    return _above_listed("RATE-003", case, listed_service_rates(case))


@rule(
    "RATE-004",
    stage=CATALOGUE,
    level="line",
    severity=REJECT_LINE,
    title_vi="Tỷ lệ thanh toán là số nguyên từ 0 đến 100",
    title_en="A payment rate is an integer from 0 to 100",
    message_vi="{field} = {observed} không hợp lệ (cho phép: {expected}).",
    message_en="{field} = {observed} is not valid (allowed: {expected}).",
    basis="Quyết định 130/QĐ-BYT XML2 trường 18, XML3 trường 17, 18; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm k",
)
def rate_range(case: Case) -> pd.DataFrame:
    """TYLE_TT_BH or TYLE_TT_DV outside 0..100 or with decimals; a warning for a share that the tariff does not know.

    A facility may lower its own price and so come to another share (hence the warning). What is no number at all is
    found while the fields are checked. Two decimals are looked at, "30.00" is an integer.
    """
    lines = case.lines
    parts = []
    for name, mine in (("TYLE_TT_BH", case.present["TYLE_TT_BH"]), ("TYLE_TT_DV", lines["table"] == "XML3")):
        value = lines[name]
        wrong = mine & ((value < 0) | (value > benefit.FULL) | (value % 100 != 0))
        parts.append(_range_findings(case, wrong, name, "0-100"))
        if name == "TYLE_TT_DV":
            odd = mine & ~wrong & ~value.isin([share * 100 for share in USUAL_SHARES])
            parts.append(_range_findings(case, odd, name, ", ".join(map(str, USUAL_SHARES)), WARN))
    return concat(parts)


def _range_findings(case: Case, where: pd.Series, name: str, expected: str, severity: str = "") -> pd.DataFrame:
    return line_findings(
        "RATE-004",
        case.lines,
        where,
        severity=severity,
        field=name,
        observed=lambda hit: money.rate_texts(case.lines.loc[hit, name]),
        expected=expected,
    )


def _of_fund(case: Case) -> pd.Series:
    lines = case.lines
    return (lines["table"] == "XML3") & (lines["MA_VAT_TU"] == "") & (lines["PHAM_VI"] != "2") & (lines["T_BHTT"] > 0)


@rule(
    "RATE-005",
    stage=SPLIT,
    level="claim",
    severity=ADJUST_AMOUNT,
    title_vi="Phẫu thuật, thủ thuật làm thêm trong một cuộc mổ tính 50 % hoặc 80 %",
    title_en="Further surgery and procedures of one session are paid at 50 or 80 %",
    message_vi="Tỷ lệ {observed} % của phẫu thuật, thủ thuật làm thêm trong cùng cuộc mổ; tối đa {expected} %.",
    message_en="Share {observed} % of a further surgery or procedure in one session; at most {expected} %.",
    basis=TARIFF,
)
def further_surgery(case: Case) -> pd.DataFrame:
    """Operations of one session ranked by price: the dearest in full, others 50 (same team) or 80, procedures 80.

    A session is a chain of surgery lines (MA_NHOM 8) of one claim whose times NGAY_TH_YL to NGAY_KQ overlap by more
    than a moment, or that begin in the same minute; procedures (18) belong to it by the same test. Teams
    are the same when they share a performer. rules.csv names the type of 05/DM; MA_NHOM of the line tells the same.
    Where prices are equal the line with the higher share counts as the first. Each re-rated line has its finding.
    """
    groups = law.load("surgery_rates")
    lines = case.lines
    kinds = [groups["surgery_group"], groups["procedure_group"]]
    mine = lines[_of_fund(case) & lines["MA_NHOM"].isin(kinds)]
    surgery = mine["MA_NHOM"] == groups["surgery_group"]
    # nothing to rank where a claim has one line, or no surgery
    several = mine.groupby("claim")["row"].transform("size") > 1
    mine = mine[several & surgery.groupby(mine["claim"]).transform("any")]
    if mine.empty:
        return concat(())
    begin, end = (pd.to_numeric(case.text(name).loc[mine.index], errors="coerce") for name in ("NGAY_TH_YL", "NGAY_KQ"))
    table = mine[["claim", "MA_NHOM", "DON_GIA_BH", "TYLE_TT_DV"]].assign(
        begin=begin, end=end.where(end > begin, begin)
    )
    table["team"] = case.text("NGUOI_THUC_HIEN").loc[mine.index].str.replace(" ", "", regex=False).str.split(";")
    table = table[table["begin"].notna()].astype({"begin": "int64", "end": "int64"})
    most = _session_limits(table, groups) * 100
    limit = most.reindex(lines.index).astype("Int64")
    where = limit.notna() & (lines["TYLE_TT_DV"] > limit.fillna(benefit.FULL))
    return _rate_findings("RATE-005", case, where, "TYLE_TT_DV", limit)


def _session_limits(table: pd.DataFrame, groups: dict[str, Any]) -> pd.Series:
    """Highest share in percent of the lines that are not the first of their session (index: those lines).

    table: claim, MA_NHOM, DON_GIA_BH, TYLE_TT_DV, begin, end (yyyymmddHHMM as int64), team (list of performers).
    """
    operations = table[table["MA_NHOM"] == groups["surgery_group"]].sort_values(["claim", "begin", "end"])
    before = operations.groupby("claim")[["begin", "end"]]
    latest = before.cummax().groupby(operations["claim"])["end"].shift()
    apart = (operations["begin"] >= latest.fillna(0)) & (operations["begin"] != before.shift()["begin"])
    operations = operations.assign(session=apart.cumsum())
    ranked = operations.sort_values(
        ["session", "DON_GIA_BH", "TYLE_TT_DV"], ascending=[True, False, False], kind="stable"
    )
    first = ranked[~ranked["session"].duplicated()]
    further = ranked[ranked["session"].duplicated()]
    persons = further[["session", "team"]].explode("team").reset_index()
    leaders = first[["session", "team"]].explode("team")
    same = persons[persons["team"] != ""].merge(leaders, on=["session", "team"])["index"]
    limits = pd.Series(groups["other_team"], index=further.index).mask(further.index.isin(same), groups["same_team"])
    times = operations.groupby(["claim", "session"]).agg(from_=("begin", "min"), to=("end", "max")).reset_index()
    procedures = table[table["MA_NHOM"] == groups["procedure_group"]]
    pairs = procedures[["claim", "begin", "end"]].reset_index().merge(times, on="claim")
    together = (pairs["begin"] < pairs["to"]) & (pairs["end"] > pairs["from_"]) | (pairs["begin"] == pairs["from_"])
    inside = pairs.loc[together, "index"].unique()
    return pd.concat([limits, pd.Series(groups["procedure"], index=inside)])


@rule(
    "RATE-006",
    stage=SPLIT,
    level="claim",
    severity=ADJUST_AMOUNT,
    title_vi="Từ lần khám thứ hai trong một lượt tính 30 %, lần thứ năm 10 %",
    title_en="From the second examination of a visit on 30 % are paid, for the fifth 10 %",
    message_vi="Tỷ lệ {observed} % của lần khám làm thêm trong lượt khám; tối đa {expected} %.",
    message_en="Share {observed} % of a further examination in the visit; at most {expected} %.",
    basis=TARIFF,
)
def further_examination(case: Case) -> pd.DataFrame:
    """Examinations of a claim in the order of NGAY_YL: the first at 100 %, three at 30 %, one at 10 %, none after
    (law/exam_ladder.yaml), whatever the department or the day.

    Of those ordered in the same minute the one with the higher share comes first. What the fund is not asked for, and
    consultations of doctors, do not count. Each re-rated line has its finding.
    """
    ladder = law.load("exam_ladder")
    lines = case.lines
    mine = lines[_of_fund(case) & (lines["MA_NHOM"] == ladder["group"])]
    mine = mine[mine.groupby("claim")["row"].transform("size") > 1]
    limit = pd.Series(pd.NA, index=lines.index, dtype="Int64")
    if len(mine):
        names = case.text("TEN_DICH_VU").loc[mine.index].str.casefold()
        mine = mine[~names.str.startswith(tuple(ladder["not_examinations"]))]
        mine = mine.sort_values(["claim", "NGAY_YL", "TYLE_TT_DV"], ascending=[True, True, False], kind="stable")
        limit.loc[mine.index] = stays.exam_share(mine.groupby("claim").cumcount().to_numpy())
    where = limit.notna() & (lines["TYLE_TT_DV"] > limit.fillna(benefit.FULL))
    return _rate_findings("RATE-006", case, where, "TYLE_TT_DV", limit)


@rule(
    "RATE-007",
    stage=CROSS,
    level="cross-claim",
    severity=ADJUST_AMOUNT,
    title_vi="Giường nằm ghép tính 50 % (hai người), 33 % (từ ba người)",
    title_en="A shared bed is paid at 50 % (two persons), 33 % (three or more)",
    message_vi="Tỷ lệ {observed} % trong khi giường có người khác cùng nằm; tối đa {expected} %.",
    message_en="Share {observed} % although others lie in the same bed; at most {expected} %.",
    basis=TARIFF,
    facts=(BEDS,),
)
def shared_bed(case: Case) -> pd.DataFrame:
    """Bed lines (MA_NHOM 14 to 16 with MA_GIUONG) whose time overlaps with that of other persons in the same bed.

    Needs the frame "beds" of the facility's other claims, newest versions (the lines of this delivery are added here):
    MA_CSKCB, MA_KHOA, MA_GIUONG, start, end (yyyymmddHHMM of NGAY_YL and NGAY_KQ, else NGAY_RA), person (any text that
    tells persons apart). Overlaps below law/bed_rates.yaml handover_minutes do not count, and a line with several beds
    is left alone.
    """
    rates = law.load("bed_rates")
    lines = case.lines
    bed = case.text("MA_GIUONG")
    lain = lines[lines["MA_NHOM"].isin(rates["groups"]) & (bed != "") & ~bed.str.contains(";")]
    if lain.empty:
        return concat(())
    end = case.text("NGAY_KQ").loc[lain.index]
    own = pd.DataFrame(
        {
            "MA_CSKCB": lain["claim"].map(case.visits["MA_CSKCB"]),
            "MA_KHOA": case.text("MA_KHOA").loc[lain.index],
            "MA_GIUONG": bed.loc[lain.index],
            "start": lain["NGAY_YL"],
            "end": end.where(end != "", lain["claim"].map(case.visits["NGAY_RA"])),
            "person": lain["claim"].map(case.visits["MA_THE_BHYT"]),
        }
    )
    # whoever pays for the line lies in the bed
    stands = lain["claim"].map(standing(case.visits, case.history)).astype("bool")
    others = pd.concat([own[stands], case.history[BEDS].reindex(columns=own.columns)], ignore_index=True)
    key = ["MA_CSKCB", "MA_KHOA", "MA_GIUONG"]
    mine = own[_of_fund(case).loc[own.index]]
    pairs = mine.reset_index().merge(others, on=key, suffixes=("", "_other"))
    pairs = pairs[pairs["person"] != pairs["person_other"]]
    for name in ("start", "end", "start_other", "end_other"):
        pairs[name] = pd.to_datetime(pairs[name], format="%Y%m%d%H%M", errors="coerce")
    common = pairs[["end", "end_other"]].min(axis=1) - pairs[["start", "start_other"]].max(axis=1)
    pairs = pairs[common > pd.Timedelta(minutes=rates["handover_minutes"])]
    count = pairs.groupby("index")["person_other"].nunique()
    shares = law.parameter("bed_rates").on(lines.loc[count.index, "day"])
    limit = pd.Series(pd.NA, index=lines.index, dtype="Int64")
    for index, number, share in zip(count.index, count, shares, strict=True):
        if share is not None:
            limit[index] = share["two" if number == 1 else "more"] * 100
    where = limit.notna() & (lines["TYLE_TT_DV"] > limit.fillna(benefit.FULL))
    return _rate_findings("RATE-007", case, where, "TYLE_TT_DV", limit)
