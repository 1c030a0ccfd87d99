"""Each field of each table of each decision is corrupted once in every way: its finding comes, and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from claim_rules import catalogue, dictionary
from claim_rules.dictionary import CLAIM_TABLES, DECISIONS, Field
from claim_rules.expectations import Pass
from claim_rules.frames import ClaimTables

AMOUNTS = ("SO_LUONG", "DON_GIA", "THANH_TIEN", "T_", "TYLE_", "MUC_HUONG")
NEVER_NEGATIVE = ("DON_GIA", "THANH_TIEN", "T_", "CAN_NANG")

REFUSED_WHEN_BLANK = {
    ("STR-006", "XML1"): (
        "MA_LK MA_BN HO_TEN NGAY_SINH GIOI_TINH MA_QUOCTICH MA_DANTOC MA_NGHE_NGHIEP DIA_CHI MATINH_CU_TRU "
        "MAXA_CU_TRU LY_DO_VV CHAN_DOAN_VAO CHAN_DOAN_RV MA_BENH_CHINH MA_DOITUONG_KCB NGAY_VAO NGAY_RA "
        "SO_NGAY_DTRI KET_QUA_DTRI MA_LOAI_RV T_TONGCHI_BV T_TONGCHI_BH T_BHTT T_BNCCT T_BNTT NAM_QT THANG_QT "
        "MA_LOAI_KCB MA_KHOA MA_CSKCB MA_HSBA"
    ),
    ("STR-010", "XML2"): (
        "MA_THUOC MA_NHOM TEN_THUOC DON_VI_TINH DUONG_DUNG LIEU_DUNG PHAM_VI TYLE_TT_BH SO_LUONG DON_GIA "
        "THANH_TIEN_BV THANH_TIEN_BH MUC_HUONG T_BHTT MA_KHOA MA_BAC_SI NGAY_YL MA_PTTT NGUON_CTRA SO_DANG_KY "
        "TT_THAU"
    ),
    ("STR-011", "XML3"): (
        "MA_NHOM DON_VI_TINH PHAM_VI SO_LUONG DON_GIA_BV DON_GIA_BH TYLE_TT_DV TYLE_TT_BH THANH_TIEN_BV "
        "THANH_TIEN_BH MUC_HUONG T_BHTT MA_KHOA MA_BAC_SI NGAY_YL MA_PTTT TEN_VAT_TU"
    ),
}
"""The fields that the catalogue of rules names."""

ASKED_OF_GOOD_CLAIMS = {
    "XML3": "NGAY_TH_YL",  # group 1
    "XML4": "NGAY_KQ",
    "XML6": "LAN_XN_PCR NGAY_XN_PCR NGAY_KQ_XN_PCR MA_KQ_XN_PCR NGAY_BAT_DAU_XU_TRI NGAY_KET_THUC_XU_TRI "
    "SO_NGAY_CAP_THUOC_ARV",
    "XML7": "SO_NGAY_NGHI NGOAITRU_TUNGAY NGOAITRU_DENNGAY",
    "XML15": "BDDT_ARV NGAY_BAT_DAU_DT_CTX",
}
"""Conditional fields whose case is that of the good claims. Decision 130 asks only for those of XML6."""

OF_RULES = {
    ("blank", "XML1", "MA_THE_BHYT"): "STR-007",
    ("blank", "XML1", "MA_DKBD"): "STR-007",
    ("blank", "XML1", "GT_THE_TU"): "STR-007",
    ("blank", "XML1", "GT_THE_DEN"): "STR-007",
    ("blank", "XML3", "NGUOI_THUC_HIEN"): "STR-027",
    ("blank", "XML3", "MA_MAY"): "STR-026",
    ("code", "XML1", "MA_LOAI_KCB"): "STR-022",
    ("code", "XML1", "MA_DOITUONG_KCB"): "STR-023",
    ("code", "XML1", "GIOI_TINH"): "STR-031",
    ("code", "XML1", "MA_KHUVUC"): "STR-037",
    ("code", "XML2", "PHAM_VI"): "STR-038",
    ("code", "XML3", "PHAM_VI"): "STR-038",
    ("code", "XML2", "MA_PTTT"): "SUM-024",
    ("code", "XML3", "MA_PTTT"): "SUM-024",
}
"""Faults that a rule finds and tells by itself once the catalogue has it."""


@dataclass(frozen=True)
class Corruption:
    table: str
    field: str
    value: str | None
    rule: str | None


def told_here(decision: str, kind: str, table: str, field: str, otherwise: str) -> str | None:
    entry = catalogue.book().get(OF_RULES.get((kind, table, field), "")) if decision != "4210" else None
    return otherwise if entry is None or entry.check is None else None


def of_blank(decision: str, table: str, field: Field) -> str | None:
    if decision != "4210":
        for (rule, named), names in REFUSED_WHEN_BLANK.items():
            if named == table and field.name in names.split():
                return rule
        if ("blank", table, field.name) in OF_RULES:
            return told_here(decision, "blank", table, field.name, "DICT-001")
        asked = field.name in ASKED_OF_GOOD_CLAIMS.get(table, "").split()
        if asked and (decision != "130" or table == "XML6"):
            return "DICT-001"
    elif table == "XML3" and field.name == "TEN_VAT_TU":
        return "DICT-001"
    return "DICT-001" if field.required == "yes" else None


def corruptions(decision: str) -> Iterator[Corruption]:
    """Every way to corrupt one field, and what the contract says of it, told without the code under test."""
    for table in CLAIM_TABLES:
        if table not in dictionary.tables(decision):
            continue
        for field in dictionary.table(table, decision).fields:
            if field.name == "MA_LK":
                if table != "XML1":
                    for other in ("LKX", "", None):
                        yield Corruption(table, field.name, other, "STR-005")
                continue
            for nothing in ("", "  ", None):
                yield Corruption(table, field.name, nothing, of_blank(decision, table, field))
            content = field.item_type or field.type
            odd = "∎"
            long = odd * ((field.max_length or 9) + 1)
            if field.code_list:
                rule = told_here(decision, "code", table, field.name, "DICT-004")
                yield Corruption(table, field.name, odd, rule)
                yield Corruption(table, field.name, long, rule)
            elif content.startswith("date"):
                for wrong in (odd, "20260230", "202602300800", "2026-02-01"):
                    yield Corruption(table, field.name, wrong, "STR-012")
            elif content in ("integer", "decimal"):
                rule = "STR-013" if field.name.startswith(AMOUNTS) else "DICT-003"
                for wrong in (odd, "1,5", "1.23456", "1 000"):
                    yield Corruption(table, field.name, wrong, rule)
                if field.name.startswith(NEVER_NEGATIVE):
                    yield Corruption(table, field.name, "-1", rule)
            else:
                yield Corruption(table, field.name, odd, None)
                yield Corruption(table, field.name, long, "DICT-002" if field.max_length else None)


@pytest.mark.parametrize("decision", DECISIONS)
def test_one_corruption_gives_exactly_its_finding(good_claims: Callable[..., ClaimTables], decision: str) -> None:
    """All at once, each in a claim of its own: what is wrong in one claim takes nothing from the others."""
    planted = list(corruptions(decision))
    tables = good_claims(decision, len(planted) + 1)  # the last claim stays good
    for table in CLAIM_TABLES:
        if table not in tables:
            continue
        frame = tables[table]
        first = frame["claim"].searchsorted(range(len(planted) + 1))
        columns = {name: frame[name].to_list() for name in frame.columns}
        for claim, one in enumerate(planted):
            if one.table == table:
                columns[one.field][first[claim]] = one.value
        for name in dictionary.table(table, decision).names:
            frame[name] = columns[name]
            frame[name] = frame[name].astype("str")
    done = Pass()
    frame = done.add(tables)
    seen: dict[int, list[tuple[str, str, int, str]]] = {}
    for claim, *told in zip(frame["claim"], frame["rule"], frame["table"], frame["row"], frame["field"], strict=True):
        seen.setdefault(claim, []).append(tuple(told))
    wrong = [
        (one, seen.get(claim, []))
        for claim, one in enumerate(planted)
        if seen.get(claim, []) != ([] if one.rule is None else [(one.rule, one.table, 1, one.field)])
    ]
    assert not wrong, wrong[:10]
    assert len(planted) not in seen
    assert len(planted) > {"4210": 400, "130": 1200, "4750": 1500, "3176": 1500}[decision]
