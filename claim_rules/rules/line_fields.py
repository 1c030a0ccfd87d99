"""STR, fields of single rows: numbering, departments, beds, machines, performers, tenders and scope. All warn."""

from __future__ import annotations

import pandas as pd

from claim_rules import law
from claim_rules.catalogue import STRUCTURE, rule
from claim_rules.codes import code_list
from claim_rules.engine import Case, line_findings
from claim_rules.findings import WARN, concat
from claim_rules.frames import texts
from claim_rules.reference import missing, rows_on
from claim_rules.rules.papers import ABORTED, DONE_ELSEWHERE, FORMAT

NUMBERED = ("XML2", "XML3", "XML4", "XML5", "XML15")
DEPARTMENTS = {"departments": ("MA_CSKCB", "MA_KHOA", "TU_NGAY", "DEN_NGAY")}

_DEPARTMENT = r"K\d{2}(?:(?:\d{2})*|\.\d+|\.D\d{2})"
_BED = r"[HTCK]\d{3}"
_MACHINE = r"[A-ZĐ]{2,4}\.[0-9]\.[^;\s]+"
_MACHINE_4750 = r"[A-ZĐ]{2,4}\.[0-9]\.[0-9A-Za-z]{5}\.[^;\s]+"
_TENDER = r"[^;]+;\s*G\d{1,2}\s*;\s*N\d{1,2}\s*;\s*\d{4}"
_SELF_MADE = r"[^;]+;\s*\d{4}"
_VITAL_SIGN = (
    r"(?i)(?:mạch|nhiệt\s*độ|huyết\s*áp|nhịp\s*thở|sp\s*o2)\s*(?:là|:|=|\()?\s*\d"
    r"|\bHA\s*(?:là|:|=)?\s*\d{2,3}\s*/\s*\d{2}"
)
_TAGGED = "CSST<"


def _list_of(item: str) -> str:
    return rf"{item}(?:\s*;\s*{item})*\s*;?"


def _fits(values: pd.Series, pattern: str) -> pd.Series:
    """Whether each text matches as a whole; every distinct value is judged once."""
    distinct = pd.Series(values.unique(), dtype="str")
    good = set(distinct[distinct.str.fullmatch(pattern)])
    return values.isin(good)


def _group(rows: pd.DataFrame, name: str) -> pd.Series:
    return rows["MA_NHOM"].isin(law.load("line_groups")[name])


@rule(
    "STR-020",
    stage=STRUCTURE,
    level="line",
    severity=WARN,
    title_vi="Số thứ tự (STT) liên tục, không trùng",
    title_en="Row numbers (STT) run from 1 without repeats",
    message_vi="STT = {observed} bị lặp hoặc nằm ngoài khoảng {expected} của bảng {table}.",
    message_en="STT = {observed} is repeated or outside {expected} of table {table}.",
    basis=f"{FORMAT}, trường STT",
)
def row_numbers(case: Case) -> pd.DataFrame:
    """STT repeats that of an earlier row of the claim's table, or is not one of 1..n (n rows); in any order.

    Tables of one row are left out (XML1.STT counts the claims of a file). An STT that is blank or no number is told as
    such (DICT-001, DICT-003).
    """
    found = []
    for name in NUMBERED:
        if name not in case.tables:
            continue
        rows = texts(case.tables, name, ("STT",), case.visits.index)
        number = pd.to_numeric(rows["STT"].where(rows["STT"].str.fullmatch("[0-9]{1,9}")), errors="coerce")
        size = rows.groupby("claim")["row"].transform("size")
        keys = pd.DataFrame({"claim": rows["claim"], "number": number})
        where = number.notna() & (keys.duplicated() | (number < 1) | (number > size))
        found.append(
            line_findings(
                "STR-020",
                rows,
                where,
                field="STT",
                observed=rows["STT"],
                expected="1–" + size.astype("str"),
            )
        )
    return concat(found)


@rule(
    "STR-024",
    stage=STRUCTURE,
    level="line",
    severity=WARN,
    wants=DEPARTMENTS,
    title_vi="Mã khoa đúng dạng và có trong danh mục khoa của cơ sở",
    title_en="The department code has its form and is in the facility's list",
    message_vi="Mã khoa {observed} không đúng dạng hoặc không có trong danh mục khoa (01/DM) vào ngày y lệnh.",
    message_en="Department {observed} is not of the form or not in the list of departments (01/DM) on the day.",
    basis=f"{FORMAT}, trường MA_KHOA; Quyết định 2010/QĐ-BYT, 1804/QĐ-BYT; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 c",
)
def department(case: Case) -> pd.DataFrame:
    """Each item of MA_KHOA of XML2 and XML3: its form, and a row of departments.csv valid on the day of NGAY_YL.

    A facility of which departments.csv has no row at all is judged by the form alone: its list was not loaded.
    """
    found = []
    for name in ("XML2", "XML3"):
        rows = texts(case.tables, name, ("MA_KHOA", "NGAY_YL"), case.visits.index)
        filled = rows["MA_KHOA"] != ""
        where = filled & ~_fits(rows["MA_KHOA"], _list_of(_DEPARTMENT))
        where |= filled & ~where & ~_listed_departments(case, rows)
        found.append(line_findings("STR-024", rows, where, field="MA_KHOA", observed=rows["MA_KHOA"]))
    return concat(found)


def _listed_departments(case: Case, rows: pd.DataFrame) -> pd.Series:
    """Whether every department of each row is listed for the facility on the day (True where that is not known)."""
    if missing(case.reference, DEPARTMENTS) or rows.empty:
        return pd.Series(True, index=rows.index)
    listed = case.reference["departments"]
    asked = pd.DataFrame(
        {
            "facility": rows["claim"].map(case.visits["MA_CSKCB"]).astype("str"),
            "MA_KHOA": rows["MA_KHOA"],
            "day": rows["NGAY_YL"].str[:8],
        }
    )
    kinds = asked.drop_duplicates()
    kinds = kinds[
        kinds["facility"].isin(listed["MA_CSKCB"].fillna("").str.strip()) & kinds["day"].str.fullmatch("[0-9]{8}")
    ]
    items = kinds.assign(MA_KHOA=kinds["MA_KHOA"].str.split(";")).explode("MA_KHOA").reset_index(names="kind")
    items["MA_KHOA"] = items["MA_KHOA"].str.strip()
    items = items[items["MA_KHOA"] != ""].reset_index(drop=True)
    hits = rows_on(items, listed, {"MA_KHOA": "MA_KHOA", "facility": "MA_CSKCB"})["index"]
    unlisted = kinds.loc[items.loc[~items.index.isin(hits), "kind"].unique()]
    bad = pd.MultiIndex.from_frame(unlisted)
    return pd.Series(~pd.MultiIndex.from_frame(asked).isin(bad), index=rows.index)


def _services(case: Case, *names: str) -> pd.DataFrame:
    """XML3 rows that are services, not supplies, with their group, code and more elements."""
    rows = texts(case.tables, "XML3", ("MA_NHOM", "MA_DICH_VU", "MA_VAT_TU", *names), case.visits.index)
    return rows[rows["MA_VAT_TU"] == ""]


@rule(
    "STR-025",
    stage=STRUCTURE,
    level="line",
    severity=WARN,
    title_vi="Mã giường đúng dạng",
    title_en="The bed code has its form",
    message_vi="Mã giường {observed} không đúng dạng H, T, C hoặc K và ba chữ số.",
    message_en="Bed {observed} is not H, T, C or K with three digits.",
    basis=f"{FORMAT}, bảng XML3 trường MA_GIUONG",
)
def bed_code(case: Case) -> pd.DataFrame:
    """A bed line (MA_NHOM 14, 15, 16): MA_GIUONG is blank or has an item that is not H, T, C, K and three digits."""
    rows = _services(case, "MA_GIUONG")
    where = _group(rows, "beds") & ~_fits(rows["MA_GIUONG"], _list_of(_BED))
    return line_findings("STR-025", rows, where, field="MA_GIUONG", observed=rows["MA_GIUONG"])


@rule(
    "STR-026",
    stage=STRUCTURE,
    level="line",
    severity=WARN,
    title_vi="Xét nghiệm, chẩn đoán hình ảnh có mã máy đúng dạng",
    title_en="A test names its machine in the right form",
    message_vi="Mã máy {observed} trống hoặc không đúng dạng {expected}.",
    message_en="Machine {observed} is missing or not of the form {expected}.",
    basis=f"{FORMAT}, bảng XML3 trường MA_MAY; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm g",
)
def machine_code(case: Case) -> pd.DataFrame:
    """A line of MA_NHOM 1, 2, 3 without MA_MAY, or an item of it that is not XX.n.YYYYY.Z.

    Decision 3176 drops the facility (XX.n.Z) and both are taken there and in Decision 130; Decision 4750 has it. Work
    done elsewhere (.K.) and aborted services (_TB) need no machine. No list says which other services need one.
    """
    rows = _services(case, "MA_MAY")
    rows = rows[_group(rows, "tests")]
    with_facility = rows["claim"].map(case.visits["decision"]) == "4750"
    fits = _fits(rows["MA_MAY"], _list_of(_MACHINE)).where(
        ~with_facility, _fits(rows["MA_MAY"], _list_of(_MACHINE_4750))
    )
    exempt = (rows["MA_MAY"] == "") & rows["MA_DICH_VU"].str.contains(f"{DONE_ELSEWHERE}|{ABORTED}")
    form = pd.Series("XX.n.Z", index=rows.index).where(~with_facility, "XX.n.YYYYY.Z")
    return line_findings(
        "STR-026", rows, ~fits & ~exempt, field="MA_MAY", observed=rows["MA_MAY"], expected=form.astype("str")
    )


@rule(
    "STR-027",
    stage=STRUCTURE,
    level="line",
    severity=WARN,
    title_vi="Dịch vụ kỹ thuật có người thực hiện",
    title_en="A technical service names who did it",
    message_vi="Thiếu {field} của dịch vụ {observed}.",
    message_en="{field} of service {observed} is missing.",
    basis=f"{FORMAT}, bảng XML3 trường NGUOI_THUC_HIEN; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm g",
)
def performer(case: Case) -> pd.DataFrame:
    """MA_NHOM 1, 2, 3, 8, 18 and NGUOI_THUC_HIEN empty; not for work done elsewhere (.K.)."""
    rows = _services(case, "NGUOI_THUC_HIEN")
    where = _group(rows, "performed") & (rows["NGUOI_THUC_HIEN"] == "")
    where &= ~rows["MA_DICH_VU"].str.contains(DONE_ELSEWHERE)
    return line_findings("STR-027", rows, where, field="NGUOI_THUC_HIEN", observed=rows["MA_DICH_VU"])


@rule(
    "STR-028",
    stage=STRUCTURE,
    level="line",
    severity=WARN,
    title_vi="Phẫu thuật có phương pháp vô cảm",
    title_en="Surgery names the kind of anaesthesia",
    message_vi="Phẫu thuật phải ghi {field} là {expected}; hồ sơ ghi {observed}.",
    message_en="Surgery needs {field} as one of {expected}; the claim has {observed}.",
    basis=f"{FORMAT}, bảng XML3 trường PP_VO_CAM",
)
def anaesthesia(case: Case) -> pd.DataFrame:
    """MA_NHOM 8 and PP_VO_CAM is not 1, 2, 3 or 4."""
    codes = sorted(code_list("PP_VO_CAM").valid())
    rows = _services(case, "PP_VO_CAM")
    where = _group(rows, "surgery") & ~rows["PP_VO_CAM"].isin(codes)
    return line_findings(
        "STR-028", rows, where, field="PP_VO_CAM", observed=rows["PP_VO_CAM"], expected=", ".join(codes)
    )


@rule(
    "STR-029",
    stage=STRUCTURE,
    level="line",
    severity=WARN,
    title_vi="Thông tin thầu đúng dạng",
    title_en="Tender information has its form",
    message_vi="Thông tin thầu {observed} không đúng dạng {expected}.",
    message_en="Tender {observed} is not of the form {expected}.",
    basis=f"{FORMAT}, trường TT_THAU; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm c",
)
def tender(case: Case) -> pd.DataFrame:
    """TT_THAU of drugs: decision;Gi;Ni;yyyy and what follows; of supplies: decision;Gi;Ni;yyyy; self-made: paper;yyyy.

    A blank one is told by the rules of required fields; TT_THAU of a service is not judged.
    """
    drugs = texts(case.tables, "XML2", ("TT_THAU",), case.visits.index)
    supplies = texts(case.tables, "XML3", ("TT_THAU", "MA_VAT_TU"), case.visits.index)
    supplies = supplies[supplies["MA_VAT_TU"] != ""]
    found = []
    for rows, more in ((drugs, r"(?:\s*;.*)?"), (supplies, r"\s*;?")):
        where = (rows["TT_THAU"] != "") & ~_fits(rows["TT_THAU"], f"(?:{_TENDER}{more}|{_SELF_MADE})")
        found.append(
            line_findings("STR-029", rows, where, field="TT_THAU", observed=rows["TT_THAU"], expected="QĐ;Gi;Ni;yyyy")
        )
    return concat(found)


@rule(
    "STR-038",
    stage=STRUCTURE,
    level="line",
    severity=WARN,
    title_vi="Phạm vi hưởng là 1, 2 hoặc 3",
    title_en="The coverage scope is 1, 2 or 3",
    message_vi="PHAM_VI = {observed}, phải là {expected}.",
    message_en="PHAM_VI = {observed}, it must be one of {expected}.",
    basis=f"{FORMAT}, trường PHAM_VI; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm k",
)
def scope(case: Case) -> pd.DataFrame:
    """PHAM_VI of XML2 and XML3 that is not in its list; a blank one is told by the rules of required fields."""
    codes = sorted(code_list("PHAM_VI").valid())
    value = case.lines["PHAM_VI"]
    where = (value != "") & ~value.isin(codes)
    return line_findings("STR-038", case.lines, where, field="PHAM_VI", observed=value, expected=", ".join(codes))


@rule(
    "STR-039",
    stage=STRUCTURE,
    level="line",
    severity=WARN,
    decisions=("4750", "3176"),
    title_vi="Dấu hiệu sinh tồn ghi theo thẻ CSST<…>",
    title_en="Vital signs are written with the tag CSST<…>",
    message_vi="Diễn biến lâm sàng ghi dấu hiệu sinh tồn bằng lời; nên ghi theo dạng {expected}.",
    message_en="The note gives vital signs in words; write them in the form {expected}.",
    basis=f"{FORMAT}, bảng XML5 trường DIEN_BIEN_LS (theo phần mềm tham khảo, chưa thấy bản gốc)",
)
def vital_signs(case: Case) -> pd.DataFrame:
    """DIEN_BIEN_LS names pulse, temperature, blood pressure, breathing or SpO2 with a number and has no CSST<."""
    rows = texts(case.tables, "XML5", ("DIEN_BIEN_LS",), case.visits.index)
    rows = rows[~rows["DIEN_BIEN_LS"].str.contains(_TAGGED, regex=False)]
    where = rows["DIEN_BIEN_LS"].str.contains(_VITAL_SIGN)
    return line_findings("STR-039", rows, where, field="DIEN_BIEN_LS", expected="CSST<M…_T…_HA…_NT…_SP…>")
