"""How files of reference data look: the headers of the contract, of the portal's exports 01/DM to 06/DM, and of the
ICD-10 annexes.

Sources and confidence: the contract's own headers: certain. Exports of 2026 (Thông tư 12/2026/TT-BTC, annex II):
headers as several public programs read them, medium; the decision's text was not seen. ICD-10: headers of the annexes
of Quyết định 4469/QĐ-BYT and Thông tư 06/2026/TT-BYT (columns 18, 22, 24-29) as public programs and notes quote them,
medium. Of the appendices A1 to A4 only what they say was known, not their layout: a sheet of codes is told by the words
of its name or title, low; a sheet that is not understood is left out, and the report says so.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from claim_rules import law

KEYS: dict[str, tuple[str, ...]] = {
    "facilities": ("MA_CSKCB",),
    "cards": ("MA_THE_BHYT",),
    "copayments": ("MA_THE_BHYT",),
    "departments": ("MA_CSKCB", "MA_KHOA"),
    "staff": ("MA_CSKCB", "MA_BAC_SI"),
    "drugs": ("MA_THUOC",),
    "supplies": ("MA_VAT_TU",),
    "services": ("MA_TUONG_DUONG",),
    "machines": ("MA_CSKCB", "MA_MAY"),
    "icd10": ("MA",),
    "bundles": (),
    "icd_lists": (),
    "holidays": ("NGAY",),
    "certificates": (),
    "drug_conditions": ("MA_THUOC",),
    "administrative_units": ("MA_TINH",),
    "card_lookups": ("MA_CSKCB", "MA_LK"),
}
"""File stem of the contract -> columns without which a row says nothing: a row that has none of them is refused."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "facilities": (
        "MA_CSKCB", "TEN_CSKCB", "MA_TINH", "CAP_CMKT", "DIEM", "TUYEN_CU", "HANG", "TU_NGAY", "DEN_NGAY",
        "HOP_DONG_TU", "HOP_DONG_DEN",
    ),
    "cards": (
        "MA_THE_BHYT", "HO_TEN", "NGAY_SINH", "GIOI_TINH", "MA_DKBD", "GT_THE_TU", "GT_THE_DEN", "NAM_NAM_LIEN_TUC",
        "MA_KHUVUC", "TRANG_THAI", "TRANG_THAI_TU",
    ),
    "copayments": ("MA_THE_BHYT", "TU_NGAY", "DEN_NGAY", "T_BNCCT"),
    "departments": ("MA_CSKCB", "MA_KHOA", "TEN_KHOA", "SO_GIUONG", "TU_NGAY", "DEN_NGAY"),
    "staff": ("MA_CSKCB", "MA_BAC_SI", "HO_TEN", "CHUC_DANH", "PHAM_VI", "MA_KHOA", "TU_NGAY", "DEN_NGAY"),
    "drugs": (
        "MA_THUOC", "TEN_HOAT_CHAT", "TEN_THUOC", "DON_VI_TINH", "HAM_LUONG", "MA_DUONG_DUNG", "SO_DANG_KY", "SO_LUONG",
        "DON_GIA", "DON_GIA_BH", "TT_THAU", "TU_NGAY", "DEN_NGAY", "MA_CSKCB", "LOAI_THUOC", "TYLE_TT_BH", "MA_NHOM",
    ),
    "supplies": (
        "MA_VAT_TU", "TEN_VAT_TU", "DON_VI_TINH", "DON_GIA", "DON_GIA_BH", "TT_THAU", "TYLE_TT_BH", "T_TRANTT",
        "MA_NHOM", "MA_CSKCB", "TU_NGAY", "DEN_NGAY",
    ),
    "services": (
        "MA_TUONG_DUONG", "TEN_DVKT_PHEDUYET", "TEN_DVKT_GIA", "PHAN_LOAI_PTTT", "MA_NHOM", "DON_GIA", "TYLE_TT_BH",
        "QUYET_DINH", "MA_CSKCB", "TU_NGAY", "DEN_NGAY", "GIOI_TINH", "TUOI_TU", "TUOI_DEN", "SO_LAN_NGAY_TOI_DA",
        "PHUT_TOI_THIEU",
    ),
    "machines": ("MA_CSKCB", "MA_MAY", "TEN_TB", "MA_NHOM", "TU_NGAY", "DEN_NGAY"),
    "icd10": (
        "MA", "TEN", "LA_BENH_CHINH", "CO_MA_CHI_TIET", "CHI_TU_VONG", "GIOI_TINH", "TUOI_TU_NGAY", "TUOI_DEN_NGAY",
        "TU_NGAY", "DEN_NGAY",
    ),
    "bundles": ("MA_DICH_VU_A", "MA_DICH_VU_B", "PHAM_VI", "RULE", "CAN_CU"),
    "icd_lists": ("DANH_SACH", "MA_BENH", "TU_NGAY", "DEN_NGAY", "CAN_CU"),
    "holidays": ("NGAY", "TEN"),
    "certificates": ("MA_CSKCB", "SERIAL", "ISSUER", "TU_NGAY", "DEN_NGAY"),
    "drug_conditions": (
        "MA_THUOC", "MA_BENH_CHO_PHEP", "MA_BENH_CHONG_CHI_DINH", "TUOI_TU", "TUOI_DEN", "TYLE_TT_BH", "CAN_CU",
    ),
    "administrative_units": ("MA_TINH", "TEN_TINH", "MA_XA", "TEN_XA", "TU_NGAY", "DEN_NGAY"),
    "card_lookups": ("MA_CSKCB", "MA_LK", "THOI_DIEM", "KET_QUA"),
}  # fmt: skip
"""File stem -> columns of the contract, and of the two optional files beside it (docs/operator.md)."""

KNOWN = frozenset(name for columns in COLUMNS.values() for name in columns)
NUMBERS = frozenset({"DON_GIA", "DON_GIA_BH", "T_TRANTT", "T_BNCCT", "TYLE_TT_BH"})
RENAMED = {"TUNGAY": "TU_NGAY", "DENNGAY": "DEN_NGAY"}

COPIED: dict[str, dict[str, str]] = {
    "departments": {"SO_GIUONG": "GIUONG_PD"},
    "staff": {"MA_BAC_SI": "MACCHN", "CHUC_DANH": "CHUCDANH_NN", "PHAM_VI": "PHAMVI_CM"},
    "drugs": {"MA_DUONG_DUNG": "DUONG_DUNG"},
    "services": {"MA_TUONG_DUONG": "MA_DICH_VU", "TEN_DVKT_PHEDUYET": "TEN_DICH_VU", "QUYET_DINH": "QD_DVKT"},
    "icd10": {"MA": "MABENH", "TEN": "TENBENH"},
}
"""Column of the contract -> column of an export that says the same; copied where the first is absent."""

_ICD = {"MABENH", "TENBENH"}
_TOLD_BY: dict[str, tuple[Collection[str], ...]] = {
    "icd10": (_ICD, {"MA", "LA_BENH_CHINH"}),
    "staff": ({"MACCHN", "HO_TEN"}, {"MA_BAC_SI", "HO_TEN"}),
    "drugs": ({"MA_THUOC", "TEN_THUOC", "TT_THAU"},),
    "supplies": ({"MA_VAT_TU", "TEN_VAT_TU"},),
    "services": ({"MA_TUONG_DUONG", "TEN_DVKT_PHEDUYET"}, {"MA_DICH_VU", "TEN_DVKT_GIA"}),
    "machines": ({"MA_MAY", "TEN_TB"},),
    "departments": ({"MA_KHOA", "TEN_KHOA", "MA_CSKCB"},),
}
_BY_NAME = re.compile(r"(?:mau|m|dm|^)[ _-]*(?:so)?[ _-]*0([1-6])(?:[^0-9]|$)|0([1-6])[ _-]*dm")
_BY_NUMBER = ("departments", "staff", "drugs", "supplies", "services", "machines")

ICD_FLAGS: tuple[tuple[str, str, str], ...] = (
    (r"khuyen khich.*benh chinh", "LA_BENH_CHINH", "2"),
    (r"khong (duoc )?(dung|su dung) (la|lam) benh chinh", "LA_BENH_CHINH", "0"),
    (r"cu the hon", "CO_MA_CHI_TIET", "1"),
    (r"nguyen nhan tu vong", "CHI_TU_VONG", "1"),
    (r"o nu gioi", "GIOI_TINH", "2"),
    (r"o nam gioi", "GIOI_TINH", "1"),
)
"""Words of a header, a sheet's name or title -> what a code that stands there means for icd10.csv."""


def plain(text: str) -> str:
    """Small letters without accents, single spaces: how headers and titles are compared."""
    letters = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.sub(r"\s+", " ", bare).strip().lower()


def column(cell: str) -> str:
    """What we call the column of this header: upper case, exports' names of the dates and of ICD-10 as ours."""
    name = unicodedata.normalize("NFC", " ".join(cell.split())).upper()
    squeezed = plain(cell).replace(" ", "").replace("_", "").upper()
    if squeezed in ("MABENH", "TENBENH") and "_" not in cell:
        return squeezed
    return RENAMED.get(name, name)


def kind(columns: Collection[str]) -> str | None:
    """The file stem whose headers these are, or None."""
    have = set(columns)
    for stem, ways in _TOLD_BY.items():
        if any(have.issuperset(way) for way in ways):
            return stem
    return None


def kind_by_name(stem: str) -> str | None:
    """The file stem that a portal's file name means ("MAU_03", "03_DM", "DM 03"), or None."""
    found = _BY_NAME.search(plain(stem))
    return _BY_NUMBER[int(found[1] or found[2]) - 1] if found else None


def first_day_of_icd_list(words: str) -> str | None:
    """The day (yyyymmdd) from which the ICD-10 list holds whose decision these words name, or None."""
    text = plain(words)
    for entry in law.load("icd10_lists")["lists"]:
        if re.search(entry["named"], text):
            return str(entry["from"]).replace("-", "")
    return None


def icd_flag(words: str) -> tuple[str, str] | None:
    """Column of icd10.csv and its value for codes under these words, or None."""
    text = plain(words)
    return next(((name, value) for pattern, name, value in ICD_FLAGS if re.search(pattern, text)), None)
