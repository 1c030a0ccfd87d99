"""The claim tables are what the decisions say."""

from __future__ import annotations

import datetime

import pytest

from claim_rules import dictionary
from claim_rules.dictionary import CLAIM_TABLES, DECISIONS, code_list, table, tables

FIELD_COUNTS = {
    "4210": {"XML1": 40, "XML2": 27, "XML3": 29, "XML4": 10, "XML5": 6},
    "130": {
        "XML0": 18, "XML1": 65, "XML2": 38, "XML3": 47, "XML4": 12, "XML5": 9, "XML6": 31, "XML7": 25, "XML8": 22,
        "XML9": 34, "XML10": 12, "XML11": 22, "XML12": 35,
    },
    "4750": {
        "XML0": 26, "XML1": 66, "XML2": 39, "XML3": 47, "XML4": 12, "XML5": 9, "XML6": 47, "XML7": 26, "XML8": 22,
        "XML9": 35, "XML10": 13, "XML11": 23, "XML12": 35, "XML13": 39, "XML14": 22, "XML15": 20,
    },
    "3176": {
        "XML0": 26, "XML1": 66, "XML2": 39, "XML3": 47, "XML4": 12, "XML5": 9, "XML6": 47, "XML7": 26, "XML8": 22,
        "XML9": 35, "XML10": 13, "XML11": 23, "XML12": 35, "XML13": 37, "XML14": 22, "XML15": 20,
    },
}  # fmt: skip


@pytest.mark.parametrize("decision", DECISIONS)
def test_tables_have_as_many_fields_as_the_decision(decision: str) -> None:
    assert {name: len(t.fields) for name, t in tables(decision).items()} == FIELD_COUNTS[decision]


def test_order_of_drug_fields() -> None:
    names = table("XML2").names
    assert names[:4] == ("MA_LK", "STT", "MA_THUOC", "MA_PP_CHEBIEN")
    assert names[-7:] == (
        "MA_DICH_VU", "NGAY_YL", "NGAY_TH_YL", "MA_PTTT", "NGUON_CTRA", "VET_THUONG_TP", "DU_PHONG",
    )  # fmt: skip
    assert names.index("T_BNTT") < names.index("T_BNCCT") < names.index("T_BHTT")
    assert [f.position for f in table("XML2").fields] == list(range(1, 40))


def test_elements_that_came_later_are_absent_before() -> None:
    assert not table("XML1", "130").has("NHOM_MAU")
    assert table("XML1", "4750").field("NHOM_MAU").position == table("XML1", "4750").field("GIOI_TINH").position + 1
    assert not table("XML2", "130").has("NGAY_TH_YL")
    assert not table("XML7", "130").has("DU_PHONG")
    with pytest.raises(KeyError, match=r"no table XML13 in Decision 130.*4750: XML0"):
        table("XML13", "130")


@pytest.mark.parametrize(
    ("name", "field", "attribute", "in_130", "in_4750", "in_3176"),
    [
        ("XML1", "SO_CCCD", "max_length", 15, 15, None),
        ("XML1", "SO_CCCD", "type", "integer", "string", "string"),
        ("XML1", "MA_DOITUONG_KCB", "max_length", 3, 4, 4),
        ("XML1", "MA_BENH_YHCT", "max_length", 255, 255, 150),
        ("XML1", "MA_TTDV", "max_length", 10, 10, 255),
        ("XML2", "MA_KHOA", "max_length", 15, 50, 50),
        ("XML3", "MA_KHOA", "max_length", 20, 50, 50),
        ("XML3", "TT_THAU", "max_length", 25, 50, 50),
        ("XML3", "MA_BENH_YHCT", "max_length", 255, 255, 150),
        ("XML4", "MA_DICH_VU", "max_length", 15, 15, 50),
        ("XML4", "MA_CHI_SO", "max_length", 50, 50, 255),
        ("XML4", "GIA_TRI", "max_length", 50, 50, 255),
        ("XML6", "PHACDO_DTRI_LAO", "code_list", "PHACDO_DTRI_LAO_130", "PHACDO_DTRI_LAO", "PHACDO_DTRI_LAO"),
        ("XML6", "MA_XU_TRI", "is_list", False, True, True),
        ("XML7", "SO_NGAY_NGHI", "max_length", 2, 2, 3),
        ("XML7", "MA_BS", "max_length", 200, 200, 255),
        ("XML9", "SO_CCCD_NND", "max_length", 15, 15, None),
    ],
)
def test_what_changed_between_decisions(
    name: str, field: str, attribute: str, in_130: object, in_4750: object, in_3176: object
) -> None:
    seen = [getattr(table(name, decision).field(field), attribute) for decision in ("130", "4750", "3176")]
    assert seen == [in_130, in_4750, in_3176]


def test_referral_paper_was_renamed_in_3176() -> None:
    old, new = table("XML13", "4750"), table("XML13", "3176")
    assert set(old.names) - set(new.names) == {"MA_NOI_DI", "MA_NOI_DEN", "TEN_DICH_VU", "TEN_THUOC", "PP_DIEU_TRI"}
    assert set(new.names) - set(old.names) == {"MA_CSKCB_DI", "MA_CSKCB_DEN", "TINH_TRANG_CT"}
    assert old.field("NGAY_VAO").type == "datetime12"
    assert (new.field("NGAY_VAO").max_length, new.field("NGAY_VAO").item_type) == (100, "datetime12")
    assert table("XML14", "4750").field("NGAY_HEN_KL").type == "datetime12"
    assert table("XML14", "3176").field("NGAY_HEN_KL").type == "date8"


def test_benefit_rate_has_a_decimal_from_july_2026() -> None:
    before = table("XML2", "3176", datetime.date(2026, 6, 30)).field("MUC_HUONG")
    after = table("XML3", "3176", datetime.date(2026, 7, 1)).field("MUC_HUONG")
    assert (before.type, before.max_length, before.decimals) == ("integer", 3, 0)
    assert (after.type, after.max_length, after.decimals) == ("decimal", 4, 1)
    assert table("XML2").field("MUC_HUONG") == table("XML2", "3176", datetime.date(2026, 8, 1)).field("MUC_HUONG")


@pytest.mark.parametrize(
    ("name", "decision", "root", "list_element", "row"),
    [
        ("XML1", "3176", "TONG_HOP", None, None),
        ("XML2", "3176", "CHITIEU_CHITIET_THUOC", "DSACH_CHI_TIET_THUOC", "CHI_TIET_THUOC"),
        ("XML3", "130", "CHITIEU_CHITIET_DVKT_VTYT", "DSACH_CHI_TIET_DVKT", "CHI_TIET_DVKT"),
        ("XML7", "3176", "CHI_TIEU_DU_LIEU_GIAY_RA_VIEN", None, None),
        ("XML9", "3176", "CHI_TIEU_DU_LIEU_GIAY_CHUNG_SINH", "DSACH_GIAYCHUNGSINH", "DU_LIEU_GIAY_CHUNG_SINH"),
        ("XML15", "4750", "CHI_TIEU_DIEUTRI_BENHLAO", "DSACH_CHITIET_DIEUTRI_BENHLAO", "CHITIET_DIEUTRI_BENHLAO"),
        ("XML1", "4210", "TONG_HOP", None, None),
        ("XML2", "4210", "DSACH_CHI_TIET_THUOC", None, "CHI_TIET_THUOC"),
    ],
)
def test_elements_around_the_rows(
    name: str, decision: str, root: str, list_element: str | None, row: str | None
) -> None:
    found = table(name, decision)
    assert (found.root, found.list_element, found.row_element) == (root, list_element, row)


def test_tables_inside_a_claim() -> None:
    assert CLAIM_TABLES == (
        "XML1", "XML2", "XML3", "XML4", "XML5", "XML6", "XML7", "XML8", "XML9", "XML10", "XML11", "XML13", "XML14",
        "XML15",
    )  # fmt: skip


def test_decimals_of_numbers() -> None:
    drugs, services = table("XML2"), table("XML3")
    assert {name: drugs.field(name).decimals for name in ("SO_LUONG", "DON_GIA", "THANH_TIEN_BV", "T_BHTT", "STT")} == {
        "SO_LUONG": 3, "DON_GIA": 3, "THANH_TIEN_BV": 2, "T_BHTT": 2, "STT": 0,
    }  # fmt: skip
    assert services.field("TYLE_TT_DV").decimals == 0
    assert drugs.field("TEN_THUOC").decimals is None


def test_every_field_has_labels_a_known_type_and_a_known_code_list() -> None:
    types = {"string", "integer", "decimal", "date8", "datetime12", "date8|datetime12"}
    for decision in DECISIONS:
        for found in tables(decision).values():
            for field in found.fields:
                assert field.label_vi not in ("", field.name), (found.name, field.name)
                assert field.label_en not in ("", field.name), (found.name, field.name)
                assert field.type in types
                assert field.required in {"yes", "no", "conditional"}
                if field.code_list:
                    assert code_list(field.code_list).codes
            assert len(set(found.names)) == len(found.names)


def test_labels_that_staff_know() -> None:
    assert table("XML2").field("MA_THUOC").label_vi == "Mã thuốc"
    assert table("XML3").field("T_BHTT").label_vi == "Quỹ BHYT thanh toán"
    assert table("XML5").field("NGUOI_THUC_HIEN").label_vi != table("XML3").field("NGUOI_THUC_HIEN").label_vi
    assert dictionary.label_vi("NOT_A_FIELD") == "NOT_A_FIELD"


def test_personal_fields() -> None:
    summary = table("XML1")
    personal = {f.name for f in summary.fields if f.personal}
    assert personal == {
        "HO_TEN", "SO_CCCD", "NGAY_SINH", "DIA_CHI", "DIEN_THOAI", "MA_THE_BHYT", "MA_TTDV",
    }  # fmt: skip
    assert {f.name for f in table("XML9").fields if f.personal} >= {"HO_TEN_NND", "SO_CCCD_NND", "MA_THE_TAM"}
    assert {f.name for f in table("XML1", "4210").fields if f.personal} >= {"HO_TEN", "MA_THE", "DIA_CHI"}
    assert not table("XML2").field("MA_THUOC").personal


def test_lists_and_what_they_hold() -> None:
    summary = table("XML1")
    assert summary.field("GT_THE_TU").is_list
    assert summary.field("GT_THE_TU").item_type == "date8"
    assert summary.field("MA_THE_BHYT").is_list
    assert not summary.field("MA_BENH_CHINH").is_list
    assert summary.field("CAN_NANG").item_type == "decimal"


def test_external_catalogues_are_no_lists_of_ours() -> None:
    summary = table("XML1")
    for name in ("MA_CSKCB", "MA_BENH_CHINH", "MA_THE_BHYT", "MA_KHOA"):
        assert summary.field(name).code_list is None
        assert summary.field(name).code_source
    assert summary.field("GIOI_TINH").code_list == "GIOI_TINH"


def test_which_decision_fits_a_day() -> None:
    def fitting(*day: int) -> list[str]:
        return [name for name, decision in dictionary.decisions().items() if decision.fits(datetime.date(*day))]

    assert fitting(2024, 6, 30) == ["4210", "130"]
    assert fitting(2024, 7, 1) == fitting(2024, 12, 31) == ["4750"]
    assert fitting(2025, 1, 1) == ["3176"]


def test_days_of_change() -> None:
    assert [f"{day:%Y%m%d}" for day in dictionary.change_dates()] == ["20240701", "20251017", "20260701", "20260801"]


def test_unknown_names_are_told() -> None:
    with pytest.raises(KeyError, match="XML2 of Decision 130 has no field NGAY_TH_YL"):
        table("XML2", "130").field("NGAY_TH_YL")
    with pytest.raises(KeyError, match="no Decision 999"):
        tables("999")
