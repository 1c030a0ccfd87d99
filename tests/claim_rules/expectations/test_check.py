"""Each kind of fault is found, what just misses it is not, and one fault gives one finding."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claim_rules import catalogue, dictionary
from claim_rules.dictionary import CLAIM_TABLES, DECISIONS
from claim_rules.expectations import check
from claim_rules.frames import ClaimTables

Make = Callable[..., ClaimTables]


def found(tables: ClaimTables) -> list[tuple[str, str, int, str]]:
    frame = check(tables)
    return list(zip(frame["rule"], frame["table"], frame["row"], frame["field"], strict=True))


def put(tables: ClaimTables, table: str, field: str, value: str | None, row: int = 1, claim: int = 0) -> None:
    frame = tables[table]
    frame.loc[(frame["claim"] == claim) & (frame["row"] == row), field] = value


@pytest.mark.parametrize("decision", DECISIONS)
def test_good_claims_have_no_findings(good_claims: Make, decision: str) -> None:
    assert found(good_claims(decision, 3)) == []


@pytest.mark.parametrize(
    ("table", "field", "value", "rule"),
    [
        # nothing there
        ("XML1", "HO_TEN", "", "STR-006"),
        ("XML1", "HO_TEN", None, "STR-006"),
        ("XML1", "HO_TEN", "  ", "STR-006"),
        ("XML1", "T_BHTT", "", "STR-006"),
        ("XML1", "T_THUOC", "", "DICT-001"),
        ("XML1", "CAN_NANG", None, "DICT-001"),
        ("XML1", "MA_TTDV", "", None),
        ("XML1", "GT_THE_TU", "", None),
        ("XML2", "MA_THUOC", "", "STR-010"),
        ("XML2", "MA_THUOC", None, "STR-010"),
        ("XML2", "MA_BAC_SI", " ", "STR-010"),
        ("XML2", "T_BHTT", "", "STR-010"),
        ("XML2", "HAM_LUONG", "", "DICT-001"),
        ("XML2", "T_BNCCT", "", "DICT-001"),
        ("XML2", "CACH_DUNG", "", None),
        ("XML3", "MUC_HUONG", "", "STR-011"),
        ("XML3", "MA_BENH", "", "DICT-001"),
        ("XML3", "MA_BAC_SI", "", "STR-011"),
        ("XML7", "MA_TTDV", "", "DICT-001"),
        # dates
        ("XML1", "NGAY_TTOAN", "202602290800", "STR-012"),
        ("XML1", "NGAY_TTOAN", "202402290800", None),
        ("XML1", "NGAY_TTOAN", "190002290800", "STR-012"),
        ("XML1", "NGAY_TTOAN", "202607152359", None),
        ("XML1", "NGAY_TTOAN", "202607152400", "STR-012"),
        ("XML1", "NGAY_TTOAN", "202607152360", "STR-012"),
        ("XML1", "NGAY_TTOAN", "20260715", "STR-012"),
        ("XML1", "NGAY_TTOAN", "2026071508000", "STR-012"),
        ("XML1", "NGAY_TTOAN", "2026-07-15T08", "STR-012"),
        ("XML1", "NGAY_TTOAN", "202607٠50800", "STR-012"),
        ("XML1", "NGAY_TTOAN", "202600150800", "STR-012"),
        ("XML1", "NGAY_TTOAN", "000007150800", "STR-012"),
        ("XML1", "NAM_NAM_LIEN_TUC", "20261301", "STR-012"),
        ("XML1", "NAM_NAM_LIEN_TUC", "20261231", None),
        ("XML1", "NGAY_MIEN_CCT", "20260701", None),
        ("XML1", "NGAY_MIEN_CCT", "202607010800", None),
        ("XML1", "NGAY_MIEN_CCT", "2026070108", "STR-012"),
        ("XML1", "GT_THE_TU", "20260101;20260701", None),
        ("XML1", "GT_THE_TU", "20260101;20260732", "STR-012"),
        ("XML1", "GT_THE_DEN", ";20261231", None),
        ("XML1", "NGAY_TAI_KHAM", "20260731;20260831", None),
        ("XML1", "NGAY_TAI_KHAM", "20260631", "STR-012"),
        ("XML13", "NGAY_VAO", "202607010800;202607100800", None),
        ("XML13", "NGAY_VAO", "20260701", "STR-012"),
        ("XML14", "NGAY_HEN_KL", "202608010800", "STR-012"),
        # birth
        ("XML1", "NGAY_SINH", "195000000000", None),
        ("XML1", "NGAY_SINH", "195003120000", None),
        ("XML1", "NGAY_SINH", "195003000000", "STR-012"),
        ("XML1", "NGAY_SINH", "195000120000", "STR-012"),
        ("XML1", "NGAY_SINH", "19500312", "STR-012"),
        ("XML1", "NGAY_SINH", "202606170000", "STR-012"),  # 28 days old
        ("XML1", "NGAY_SINH", "202606160000", None),  # 29 days old
        ("XML1", "NGAY_SINH", "202606170001", None),
        ("XML1", "NGAY_SINH", "202600000000", None),  # may be older
        # numbers
        ("XML2", "SO_LUONG", "1.123", None),
        ("XML2", "SO_LUONG", "1.1234", "STR-013"),
        ("XML2", "SO_LUONG", "1.12300", None),
        ("XML2", "SO_LUONG", "-1", None),
        ("XML2", "SO_LUONG", "1,5", "STR-013"),
        ("XML2", "SO_LUONG", ".5", "STR-013"),
        ("XML2", "SO_LUONG", "5.", "STR-013"),
        ("XML2", "SO_LUONG", "1e3", "STR-013"),
        ("XML2", "SO_LUONG", "1 000", "STR-013"),
        ("XML2", "DON_GIA", "1000.1234", "STR-013"),
        ("XML2", "DON_GIA", "1.000.000", "STR-013"),
        ("XML2", "DON_GIA", "-1", "STR-013"),
        ("XML2", "THANH_TIEN_BV", "10.000", None),
        ("XML2", "THANH_TIEN_BV", "10.001", "STR-013"),
        ("XML2", "THANH_TIEN_BV", "-0.01", "STR-013"),
        ("XML2", "THANH_TIEN_BV", "-0.00", None),
        ("XML1", "T_BHTT", "12,000", "STR-013"),
        ("XML1", "T_BHTT", "0", None),
        ("XML2", "TYLE_TT_BH", "100", None),
        ("XML2", "TYLE_TT_BH", "99.5", "STR-013"),
        ("XML2", "TYLE_TT_BH", "101", None),
        ("XML2", "MUC_HUONG", "47.5", None),
        ("XML2", "MUC_HUONG", "47.55", "STR-013"),
        ("XML2", "MUC_HUONG", "100", None),
        ("XML2", "MUC_HUONG", "0", None),
        ("XML2", "MUC_HUONG", "101", "STR-014"),
        ("XML3", "MUC_HUONG", "100.5", "STR-014"),
        ("XML2", "MUC_HUONG", "-5", "STR-014"),
        ("XML2", "MUC_HUONG", "80.0", None),
        ("XML2", "MUC_HUONG", "80.00", "STR-014"),
        ("XML2", "MUC_HUONG", "8O", "STR-013"),
        ("XML1", "SO_NGAY_DTRI", "x", "DICT-003"),
        ("XML1", "SO_NGAY_DTRI", "1.5", "DICT-003"),
        ("XML1", "CAN_NANG", "65.5", None),
        ("XML1", "CAN_NANG", "65,5", "DICT-003"),
        ("XML1", "CAN_NANG_CON", "3100;2900", None),
        ("XML1", "CAN_NANG_CON", "3100;x", "DICT-003"),
        ("XML2", "STT", "one", "DICT-003"),
        # code lists
        ("XML1", "MA_LOAI_RV", "5", None),
        ("XML1", "MA_LOAI_RV", "6", "DICT-004"),
        ("XML1", "MA_LOAI_RV", "01", "DICT-004"),
        ("XML1", "MA_LOAI_RV", "too long as well", "DICT-004"),
        ("XML1", "KET_QUA_DTRI", "9", "DICT-004"),
        ("XML1", "MA_TAI_NAN", "99", "DICT-004"),
        ("XML2", "MA_NHOM", "20", "DICT-004"),
        ("XML2", "VET_THUONG_TP", "0", "DICT-004"),
        ("XML6", "MA_XU_TRI", "1;8", None),
        ("XML6", "MA_XU_TRI", "1;9", "DICT-004"),
        ("XML15", "PHACDO_DTRI_LAO", "26", "DICT-004"),
        # length
        ("XML1", "HO_TEN", "A" * 255, None),
        ("XML1", "HO_TEN", "A" * 256, "DICT-002"),
        ("XML1", "HO_TEN", "ễ" * 255, None),
        ("XML1", "HO_TEN", "e\u0302\u0303" * 255, None),
        ("XML1", "HO_TEN", "e\u0302\u0303" * 256, "DICT-002"),
        ("XML1", "LY_DO_VV", "A" * 9000, None),
        ("XML2", "DUONG_DUNG", "1.015", "DICT-002"),
        ("XML1", "SO_NGAY_DTRI", "1000", "DICT-002"),
    ],
)
def test_faults_and_near_misses(good_claims: Make, table: str, field: str, value: str | None, rule: str | None) -> None:
    tables = good_claims("3176", 2, ("XML1", table))
    put(tables, table, field, value, claim=1)
    frame = check(tables)
    seen = list(zip(frame["claim"], frame["rule"], frame["table"], frame["row"], frame["field"], strict=True))
    assert seen == ([] if rule is None else [(1, rule, table, 1, field)])


@pytest.mark.parametrize(
    ("decision", "table", "changes", "rule"),
    [
        # the inpatient block
        ("3176", "XML1", {"MA_LOAI_KCB": "03", "LY_DO_VNT": ""}, "STR-009"),
        ("3176", "XML1", {"MA_LOAI_KCB": "04", "NGAY_VAO_NOI_TRU": ""}, "STR-009"),
        ("3176", "XML1", {"MA_LOAI_KCB": "09", "PP_DIEU_TRI": " "}, "STR-009"),
        ("3176", "XML1", {"MA_LOAI_KCB": "01", "PP_DIEU_TRI": ""}, None),
        ("3176", "XML1", {"MA_LOAI_KCB": "02", "LY_DO_VNT": ""}, None),
        ("130", "XML1", {"MA_LOAI_KCB": "3", "LY_DO_VNT": ""}, "STR-009"),
        # drugs
        ("3176", "XML2", {"SO_DANG_KY": ""}, "STR-010"),
        ("3176", "XML2", {"TT_THAU": None}, "STR-010"),
        ("3176", "XML2", {"MA_THUOC": "40.17", "SO_DANG_KY": "", "TT_THAU": ""}, None),
        ("3176", "XML2", {"MA_THUOC": "40.170", "SO_DANG_KY": ""}, "STR-010"),
        ("3176", "XML2", {"MA_THUOC": "40.573", "TT_THAU": ""}, None),
        ("3176", "XML2", {"MA_THUOC": "05V.12", "SO_DANG_KY": ""}, None),
        ("3176", "XML2", {"MA_NHOM": "7", "SO_DANG_KY": "", "TT_THAU": ""}, None),
        ("3176", "XML2", {"MA_NHOM": "6", "TT_THAU": ""}, "STR-010"),
        ("4210", "XML2", {"MA_THUOC": ""}, "DICT-001"),
        # services and supplies
        ("3176", "XML3", {"MA_DICH_VU": "", "MA_VAT_TU": "", "TEN_VAT_TU": ""}, "STR-011"),
        ("3176", "XML3", {"MA_DICH_VU": ""}, None),
        ("3176", "XML3", {"MA_VAT_TU": "", "TEN_VAT_TU": ""}, None),
        ("3176", "XML3", {"MA_NHOM": "10", "MA_VAT_TU": ""}, "STR-011"),
        ("3176", "XML3", {"MA_NHOM": "13", "MA_VAT_TU": ""}, None),
        ("3176", "XML3", {"TEN_VAT_TU": ""}, "STR-011"),
        ("3176", "XML3", {"MA_BAC_SI": ""}, "STR-011"),
        ("3176", "XML3", {"MA_DICH_VU": "22.1.K.27001", "MA_BAC_SI": "", "NGAY_YL": ""}, None),
        ("130", "XML3", {"MA_DICH_VU": "22.1.K.27001", "NGAY_YL": ""}, "STR-011"),
        ("3176", "XML3", {"MA_VAT_TU": "", "TEN_VAT_TU": "", "TEN_DICH_VU": ""}, "DICT-001"),
        ("3176", "XML3", {"TEN_DICH_VU": ""}, None),
        ("3176", "XML3", {"MA_NHOM": "12", "MA_XANG_DAU": ""}, "DICT-001"),
        ("3176", "XML3", {"MA_NHOM": "13", "MA_XANG_DAU": ""}, None),
        ("3176", "XML3", {"MA_NHOM": "10", "TT_THAU": ""}, "DICT-001"),
        ("3176", "XML3", {"MA_NHOM": "18", "NGAY_TH_YL": ""}, "DICT-001"),
        ("3176", "XML3", {"MA_NHOM": "13", "NGAY_TH_YL": ""}, None),
        ("130", "XML3", {"MA_NHOM": "18", "NGAY_TH_YL": ""}, None),
        ("4210", "XML3", {"MA_VAT_TU": "", "TEN_VAT_TU": "", "MA_DICH_VU": ""}, "DICT-001"),
        # the others
        ("3176", "XML4", {"NGAY_KQ": ""}, "DICT-001"),
        ("3176", "XML4", {"GIA_TRI": "", "NGAY_KQ": ""}, None),
        ("3176", "XML6", {"LOAI_DTRI_LAO": "2", "NGAYBD_DTRI_LAO": ""}, "DICT-001"),
        ("3176", "XML6", {"LOAI_DTRI_LAO": "0", "NGAYBD_DTRI_LAO": ""}, None),
        ("3176", "XML6", {"LOAI_DTRI_LAO": "2", "KQ_DTRI_LAO": "2", "NGAYKT_DTRI_LAO": ""}, "DICT-001"),
        ("3176", "XML6", {"LOAI_DTRI_LAO": "2", "KQ_DTRI_LAO": "1", "NGAYKT_DTRI_LAO": ""}, None),
        ("3176", "XML6", {"MA_TINH_TRANG_DK": "2;1", "LAN_XN_PCR": ""}, "DICT-001"),
        ("3176", "XML6", {"MA_TINH_TRANG_DK": "2;3", "LAN_XN_PCR": ""}, None),
        ("3176", "XML6", {"MA_PHAC_DO_DIEU_TRI": "KHAC", "MA_BAC_PHAC_DO": ""}, "DICT-001"),
        ("3176", "XML7", {"MA_DINH_CHI_THAI": "1", "TUOI_THAI": ""}, "DICT-001"),
        ("3176", "XML7", {"MA_DINH_CHI_THAI": "0", "TUOI_THAI": ""}, None),
        ("3176", "XML7", {"NGOAITRU_TUNGAY": ""}, "DICT-001"),
        ("3176", "XML7", {"NGOAITRU_TUNGAY": "", "NGOAITRU_DENNGAY": "", "SO_NGAY_NGHI": ""}, None),
        ("3176", "XML9", {"SINHCON_PHAUTHUAT": "1", "GHI_CHU": ""}, "DICT-001"),
        ("3176", "XML9", {"SINHCON_PHAUTHUAT": "0", "SINHCON_DUOI32TUAN": "0", "GHI_CHU": ""}, None),
        ("3176", "XML11", {"MA_DINH_CHI_THAI": "1", "NGUYENNHAN_DINHCHI": ""}, "DICT-001"),
        ("3176", "XML15", {"PHANLOAI_LAO_HIV": "1", "BDDT_ARV": ""}, "DICT-001"),
        ("3176", "XML15", {"PHANLOAI_LAO_HIV": "2", "BDDT_ARV": ""}, None),
    ],
)
def test_fields_that_some_case_asks_for(
    good_claims: Make, decision: str, table: str, changes: dict[str, str | None], rule: str | None
) -> None:
    tables = good_claims(decision, 1, ("XML1", table))
    for field, value in changes.items():
        put(tables, table, field, value)
    blank = [field for field, value in changes.items() if not (value or "").strip()]
    assert [(one, field in blank) for one, _, _, field in found(tables)] == ([] if rule is None else [(rule, True)])


def test_a_rule_with_a_look_of_its_own_tells_itself(good_claims: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """One fault gives one finding, whoever finds it."""
    tables = good_claims("3176")
    put(tables, "XML1", "MA_LOAI_KCB", "99")
    put(tables, "XML3", "MA_MAY", "")
    put(tables, "XML3", "MA_NHOM", "1")

    def book(check: object) -> dict[str, SimpleNamespace]:
        return {name: SimpleNamespace(check=check, decisions=("3176",)) for name in ("STR-022", "STR-026")}

    monkeypatch.setattr(catalogue, "book", dict)
    assert found(tables) == [("DICT-004", "XML1", 1, "MA_LOAI_KCB"), ("DICT-001", "XML3", 1, "MA_MAY")]
    monkeypatch.setattr(catalogue, "book", lambda: book(print))
    assert found(tables) == []


def test_newborn_without_month_and_day(good_claims: Make) -> None:
    tables = good_claims("3176")
    for arrival, rules in (("202601290800", ["STR-012"]), ("202601300800", [])):
        put(tables, "XML1", "NGAY_VAO", arrival)
        put(tables, "XML1", "NGAY_SINH", "202600000000")
        assert [rule for rule, *_ in found(tables)] == rules


@pytest.mark.parametrize(
    ("end", "value", "rule"),
    [("202606302359", "80", None), ("202606302359", "47.5", "STR-013"), ("202607010000", "47.5", None)],
)
def test_benefit_rate_by_end_of_visit(good_claims: Make, end: str, value: str, rule: str | None) -> None:
    tables = good_claims("3176")
    put(tables, "XML1", "NGAY_RA", end)
    put(tables, "XML3", "MUC_HUONG", value, row=2)
    assert found(tables) == ([] if rule is None else [(rule, "XML3", 2, "MUC_HUONG")])


@pytest.mark.parametrize(
    ("end", "arrival", "code", "fault"),
    [
        ("202510161200", "202510010800", "3.5", False),
        ("202510171200", "202510010800", "3.5", True),
        ("202510161200", "202510010800", "1.13", True),
        ("202510171200", "202510010800", "1.13", False),
        ("x", "202510010800", "1.13", True),  # NGAY_VAO stands in
        ("x", "x", "1.13", False),  # no day: every code there ever was
        ("x", "x", "3.5", False),
    ],
)
def test_code_list_of_the_end_of_visit(
    good_claims: Make, monkeypatch: pytest.MonkeyPatch, end: str, arrival: str, code: str, fault: bool
) -> None:
    monkeypatch.setattr(catalogue, "book", dict)  # as if no rule of its own spoke of this list
    tables = good_claims("3176")
    put(tables, "XML1", "NGAY_RA", end)
    put(tables, "XML1", "NGAY_VAO", arrival)
    put(tables, "XML1", "MA_DOITUONG_KCB", code)
    assert [rule for rule, *_ in found(tables) if rule.startswith("DICT-004")] == (["DICT-004"] if fault else [])


@pytest.mark.parametrize("value", ["other", "", None])
def test_key_of_rows(good_claims: Make, value: str | None) -> None:
    tables = good_claims("3176", 2)
    put(tables, "XML2", "MA_LK", value, row=1, claim=1)
    put(tables, "XML2", "MA_LK", value, row=3, claim=1)
    put(tables, "XML7", "MA_LK", value, claim=1)
    frame = check(tables)
    assert found(tables) == [
        ("STR-005", "XML2", 1, "MA_LK"),
        ("STR-005", "XML2", 3, "MA_LK"),
        ("STR-005", "XML7", 1, "MA_LK"),
    ]
    assert set(frame["expected"]) == {"LK1"}
    assert set(frame["observed"]) == {value or ""}


def test_key_of_summary_missing(good_claims: Make) -> None:
    tables = good_claims("3176", 1, ("XML1", "XML3"))
    put(tables, "XML1", "MA_LK", "")
    assert [rule for rule, *_ in found(tables)] == ["STR-006", "STR-005", "STR-005"]


def test_repeated_row_numbers_are_no_fault_here(good_claims: Make) -> None:
    tables = good_claims("3176")
    put(tables, "XML2", "STT", "1", row=2)
    assert found(tables) == []


@pytest.mark.parametrize(
    ("decision", "day", "expected"),
    [
        ("3176", "20250101", None),
        ("3176", "20241231", "4750"),
        ("4750", "20240701", None),
        ("4750", "20241231", None),
        ("4750", "20250101", "3176"),
        ("4750", "20240630", "4210, 130"),
        ("130", "20240630", None),
        ("130", "20240701", "4750"),
        ("4210", "20240630", None),
        ("4210", "20240701", "4750"),
    ],
)
def test_layout_against_date(good_claims: Make, decision: str, day: str, expected: str | None) -> None:
    tables = good_claims(decision, 2, ("XML1",))
    put(tables, "XML1", "NGAY_RA", f"{day}1000", claim=1)
    frame = check(tables)
    frame = frame[frame["rule"] == "DICT-005"]
    assert list(frame["claim"]) == ([] if expected is None else [1])
    if expected:
        row = frame.iloc[0]
        assert (row["table"], row["field"], row["observed"], row["expected"]) == (
            "XML1", "NGAY_RA", f"{day}1000", expected,
        )  # fmt: skip
        assert decision in row["detail_vi"]
        assert decision in row["detail_en"]


def test_4210_has_its_own_fields(good_claims: Make) -> None:
    tables = good_claims("4210", 2)
    put(tables, "XML1", "HO_TEN", "", claim=1)
    put(tables, "XML1", "NGAY_SINH", "1950", claim=0)
    put(tables, "XML1", "MA_LOAI_KCB", "03", claim=1)
    put(tables, "XML2", "MUC_HUONG", "80.00", claim=1)
    put(tables, "XML3", "PHAM_VI", "3", claim=1)
    assert found(tables) == [
        ("DICT-001", "XML1", 1, "HO_TEN"),
        ("DICT-004", "XML1", 1, "MA_LOAI_KCB"),
        ("DICT-004", "XML3", 1, "PHAM_VI"),
    ]


def test_130_has_numbers_where_later_decisions_have_text(good_claims: Make) -> None:
    tables = good_claims("130")
    put(tables, "XML1", "MA_LOAI_KCB", "1")
    put(tables, "XML1", "SO_CCCD", "B1234567")
    assert found(tables) == [("DICT-003", "XML1", 1, "SO_CCCD")]


def test_each_claim_by_its_own_decision(good_claims: Make) -> None:
    old, new = good_claims("4750", 1), good_claims("3176", 1)
    both = ClaimTables(
        pd.concat([old.claims, new.claims.assign(claim=1)], ignore_index=True),
        {
            name: pd.concat([old[name], new[name].assign(claim=1)], ignore_index=True)
            for name in CLAIM_TABLES
            if name in old and name in new
        },
    )
    for frame in both.tables.values():
        frame["MA_LK"] = "LK0"
    for claim in (0, 1):
        put(both, "XML4", "GIA_TRI", "1" * 60, claim=claim)
    frame = check(both)
    assert list(zip(frame["claim"], frame["rule"], frame["field"], strict=True)) == [(0, "DICT-002", "GIA_TRI")]


def test_claims_that_cannot_be_read_are_left_alone(good_claims: Make) -> None:
    tables = good_claims("3176", 3)
    for claim in range(3):
        put(tables, "XML1", "HO_TEN", "", claim=claim)
        put(tables, "XML2", "MA_LK", "", claim=claim)
    tables.claims.loc[0, "readable"] = False
    tables.claims.loc[1, "decision"] = None
    assert set(check(tables)["claim"]) == {2}


def test_a_column_that_is_not_there_is_blank(good_claims: Make) -> None:
    tables = good_claims("3176")
    tables.tables["XML1"] = tables["XML1"].drop(columns=["HO_TEN", "NHOM_MAU"])
    assert found(tables) == [("STR-006", "XML1", 1, "HO_TEN")]


def test_nothing_to_check() -> None:
    from claim_rules.frames import empty_claims

    assert check(ClaimTables(empty_claims())).empty


def test_findings_say_what_to_do(good_claims: Make) -> None:
    tables = good_claims("3176")
    put(tables, "XML2", "THANH_TIEN_BV", "1.005", row=1)
    put(tables, "XML2", "THANH_TIEN_BV", "1,5", row=2)
    put(tables, "XML2", "THANH_TIEN_BV", "-1", row=3)
    put(tables, "XML2", "NGUON_CTRA", "9", row=1)
    put(tables, "XML2", "DUONG_DUNG", "12345", row=1)
    frame = check(tables).set_index(["row", "field"])
    assert frame.loc[(1, "THANH_TIEN_BV"), "expected"] == "0.00"
    assert "2 chữ số thập phân" in frame.loc[(1, "THANH_TIEN_BV"), "detail_vi"]
    assert "dấu phẩy" in frame.loc[(2, "THANH_TIEN_BV"), "detail_vi"]
    assert frame.loc[(3, "THANH_TIEN_BV"), "expected"] == "≥ 0"
    assert frame.loc[(1, "NGUON_CTRA"), "expected"] == "1, 2, 3, 4"
    assert frame.loc[(1, "DUONG_DUNG"), "expected"] == "≤ 4"
    assert set(frame["severity"]) == {""}


TEXTS = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    st.text("0123456789-.,;: ", max_size=14),
    st.integers(0, 10**13).map(str),
)


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_stops_the_check(good_claims: Make, data: st.DataObject) -> None:
    decision = data.draw(st.sampled_from(DECISIONS))
    tables = good_claims(decision, 2, ("XML1", "XML2"))
    for table in ("XML1", "XML2"):
        for name in data.draw(st.lists(st.sampled_from(dictionary.table(table, decision).names), max_size=12)):
            put(tables, table, name, data.draw(TEXTS), claim=data.draw(st.integers(0, 1)))
    frame = check(tables)
    assert not frame.duplicated(["claim", "rule", "table", "row", "field"]).any()
    assert not frame[frame["rule"] != "DICT-005"].duplicated(["claim", "table", "row", "field"]).any()
