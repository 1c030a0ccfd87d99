"""What becomes of FHIR R4: Bundles, NDJSON, zips of them; sound, broken and incomplete."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract.fhir.mapping import FhirMapping, mapping
from claim_pipeline.extract.fhir.times import day_and_time
from tests.claim_pipeline.extract import fhir_writer as fhir

Read = Callable[..., Any]


def row(result: Any, table: str, number: int = 0) -> dict[str, str]:
    values = result.tables[table].to_dict("records")[number]
    return {name: value for name, value in values.items() if isinstance(value, str) and value}


def told(result: Any) -> list[tuple[str, str, str]]:
    frame = result.findings[["rule", "severity", "detail_en"]]
    return [tuple(values) for values in frame.to_numpy().tolist()]


def changed(name: str, **elements: Any) -> bytes:
    """The usual Bundle, with elements of one of its resources changed, or (None) left out."""
    resources = fhir.episode()
    resources[name].update(elements)
    resources[name] = {key: value for key, value in resources[name].items() if value is not None}
    return fhir.bundle(*resources.values())


def without(*names: str) -> bytes:
    return fhir.bundle(*(one for name, one in fhir.episode().items() if name not in names))


def test_a_bundle_becomes_a_claim(read: Read) -> None:
    result = read(fhir.bundle(*fhir.episode().values(), timestamp="2025-07-03T09:00:00+07:00"), "27001")
    assert result.tables.claims.to_numpy().tolist() == [[0, "LK-e1", "27001", "3176", True]]
    assert (result.format, result.MA_CSKCB, result.declared_claims) == ("fhir-r4", "27001", None)
    assert (result.unknown_columns, told(result), result.created_on) == ([], [], "20250703")
    assert row(result, "XML1") == {
        "MA_LK": "LK-e1", "MA_BN": "BN-1", "HO_TEN": "Nguyễn Thị Thử", "NGAY_SINH": "199005010000", "GIOI_TINH": "2",
        "MA_DANTOC": "01", "DIA_CHI": "Số 1 phố Giả, Bắc Ninh", "MATINH_CU_TRU": "27", "DIEN_THOAI": "0900000000",
        "MA_THE_BHYT": "DN4270000000001", "MA_DKBD": "27001", "GT_THE_TU": "20250101", "GT_THE_DEN": "20251231",
        "LY_DO_VV": "Ho, sốt", "CHAN_DOAN_VAO": "Theo dõi ho", "CHAN_DOAN_RV": "Viêm phế quản cấp; Tăng huyết áp",
        "MA_BENH_CHINH": "J20.9", "MA_BENH_KT": "I10", "MA_DOITUONG_KCB": "1.1", "NGAY_VAO": "202507010800",
        "NGAY_RA": "202507010930", "MA_LOAI_KCB": "01", "MA_KHOA": "K01", "MA_CSKCB": "27001", "CAN_NANG": "52.5",
        "NAM_NAM_LIEN_TUC": "20270101", "MA_HSBA": "HS-1",
    }  # fmt: skip
    assert row(result, "XML2") == {
        "MA_LK": "LK-e1", "MA_THUOC": "40.30", "MA_NHOM": "4", "TEN_THUOC": "Paracetamol 500", "DON_VI_TINH": "viên",
        "HAM_LUONG": "500mg", "DUONG_DUNG": "1.01", "LIEU_DUNG": "1 viên x 2 lần x 5 ngày",
        "SO_DANG_KY": "VD-12345-20", "TT_THAU": "1234;G1;N1;2025", "PHAM_VI": "1", "TYLE_TT_BH": "100",
        "SO_LUONG": "10", "DON_GIA": "1200.5", "MA_BAC_SI": "000123/BN-CCHN", "NGAY_YL": "202507010820",
    }  # fmt: skip
    assert row(result, "XML3") == {
        "MA_LK": "LK-e1", "MA_DICH_VU": "22.0120.1370", "MA_NHOM": "1", "TEN_DICH_VU": "Tổng phân tích tế bào máu",
        "SO_LUONG": "1", "DON_GIA_BV": "40000", "DON_GIA_BH": "40000", "MA_KHOA": "K01",
        "MA_BAC_SI": "000123/BN-CCHN", "NGUOI_THUC_HIEN": "000123/BN-CCHN", "MA_BENH": "J20.9",
        "NGAY_YL": "202507010810", "NGAY_TH_YL": "202507010830", "NGAY_KQ": "202507010855",
    }  # fmt: skip
    examination = {"MA_DICH_VU": "02.1897", "MA_NHOM": "13", "SO_LUONG": "1"}
    assert row(result, "XML3", 1) == {"MA_LK": "LK-e1", "DON_GIA_BV": "37500", "DON_GIA_BH": "37500", **examination}
    assert row(result, "XML4") == {
        "MA_LK": "LK-e1", "MA_DICH_VU": "22.0120.1370", "MA_CHI_SO": "WBC", "TEN_CHI_SO": "Bạch cầu",
        "GIA_TRI": "7.5", "DON_VI_DO": "G/L", "NGAY_KQ": "202507010850", "MA_BS_DOC_KQ": "000123/BN-CCHN",
    }  # fmt: skip
    assert row(result, "XML4", 1)["KET_LUAN"] == "Trong giới hạn bình thường"
    assert row(result, "XML5")["DIEN_BIEN_LS"] == "Tỉnh, ho ít"


def test_ndjson_a_list_and_a_zip_say_the_same_as_a_bundle(build: SimpleNamespace, read: Read) -> None:
    resources = list(fhir.episode().values())
    kinds: dict[str, list[Any]] = {}
    for one in resources:
        kinds.setdefault(one["resourceType"], []).append(one)
    expected = read(fhir.bundle(*resources)).tables
    forms = [
        fhir.ndjson(resources),
        fhir.ndjson(reversed(resources)).strip(),
        b"\xef\xbb\xbf " + json.dumps(resources).encode(),
        fhir.bundle(json.loads(fhir.bundle(*resources))),
        build.zip({f"export/{kind}.ndjson": fhir.ndjson(those) for kind, those in kinds.items()}),
        build.zip({"a": fhir.bundle(*resources)}),
    ]
    for form in forms:
        result = read(form, "27001")
        assert result.format == "fhir-r4"
        for name in ("XML1", "XML2", "XML5"):
            assert result.tables[name].equals(expected[name]), name


def test_what_a_zip_holds_besides_is_named(build: SimpleNamespace, read: Read) -> None:
    result = read(build.zip({"b.json": fhir.bundle(*fhir.episode().values()), "đọc tôi.txt": "x"}))
    assert result.unknown_columns == ["đọc tôi.txt"]


def test_bundles_number_their_resources_each_for_itself(read: Read) -> None:
    first, second = fhir.episode(), fhir.episode()
    second["patient"]["name"] = [{"text": "Trần Văn Giả"}]
    second["encounter"]["identifier"] = fhir.identifier("ma-lk", "LK-2")
    lines = fhir.bundle(*first.values()) + b"\n" + fhir.bundle(*second.values()) + b"\n"
    result = read(lines)
    assert result.tables["XML1"]["HO_TEN"].tolist() == ["Nguyễn Thị Thử", "Trần Văn Giả"]
    assert result.tables["XML2"]["claim"].tolist() == [0, 1]


def test_references_by_full_url_and_by_address(read: Read) -> None:
    resources = fhir.episode()
    text = fhir.bundle(*resources.values()).decode()
    text = text.replace('"Encounter/e1"', '"urn:giamdinh:resource:Encounter:e1"')
    text = text.replace('"Patient/p-e1"', '"https://his.invalid/fhir/Patient/p-e1/_history/3"')
    result = read(text.encode())
    assert (row(result, "XML1")["HO_TEN"], told(result)) == ("Nguyễn Thị Thử", [])


def test_contained_resources(read: Read) -> None:
    drug = fhir.episode()["drug"] | {
        "contained": [
            {"resourceType": "Medication", "id": "own", "code": fhir.coding("ma-thuoc", "40.30", "Thuốc riêng")}
        ],
        "medicationReference": {"reference": "#own"},
    }
    assert row(read(fhir.bundle(*fhir.episode(drug=drug).values())), "XML2")["TEN_THUOC"] == "Thuốc riêng"


def test_a_stay_in_several_departments_is_one_claim(read: Read) -> None:
    ward = copy.deepcopy(fhir.episode()["encounter"]) | {
        "id": "part", "partOf": fhir.reference("Encounter", "e1"), "identifier": fhir.identifier("ma-lk", "khoa"),
    }  # fmt: skip
    note = fhir.episode()["note"] | {"encounter": fhir.reference("Encounter", "part")}
    result = read(fhir.bundle(ward, *fhir.episode(note=note).values()))
    assert result.tables.claims["MA_LK"].tolist() == ["LK-e1"]
    assert row(result, "XML5")["MA_LK"] == "LK-e1"


def test_cards_stand_by_date_with_blanks_kept(read: Read) -> None:
    first = fhir.episode()["coverage"]
    second = {
        "resourceType": "Coverage", "id": "c2", "status": "active", "beneficiary": first["beneficiary"],
        "payor": first["payor"], "identifier": fhir.identifier("ma-the-bhyt", "HC4270000000001"),
        "period": {"start": "2024-01-01"},
    }  # fmt: skip
    episode = fhir.episode()
    del episode["claim"]  # which names one card
    general = row(read(fhir.bundle(second, *episode.values())), "XML1")
    assert general["MA_THE_BHYT"] == "HC4270000000001;DN4270000000001"
    assert general["MA_DKBD"] == ";27001"
    assert (general["GT_THE_TU"], general["GT_THE_DEN"]) == ("20240101;20250101", ";20251231")


def charge(own: str, code: dict[str, Any], price: float, units: float, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "ChargeItem", "id": own, "status": "billable", "code": code,
        "subject": fhir.reference("Patient", "p-e1"), "context": fhir.reference("Encounter", "e1"),
        "priceOverride": {"value": price, "currency": "VND"}, "quantity": {"value": units},
    } | more  # fmt: skip


def test_prices_come_from_charge_items_where_there_is_no_claim(read: Read) -> None:
    episode = fhir.episode()
    del episode["claim"]
    drug = charge("i1", {"text": "thuốc"}, 12005, 10, service=[fhir.reference("MedicationRequest", "r1-e1")])
    test = charge("i2", fhir.coding("ma-dich-vu", "22.0120.1370"), 40000, 1)
    bed = charge("i3", fhir.coding("ma-dich-vu", "K03.1901"), 100000, 3)
    result = read(fhir.bundle(drug, test, bed, *episode.values()))
    assert row(result, "XML2")["DON_GIA"] == "1200.5"
    assert result.tables["XML3"]["MA_DICH_VU"].tolist() == ["22.0120.1370", "K03.1901"]
    assert result.tables["XML3"]["DON_GIA_BV"].tolist() == ["40000", "33333.333"]
    assert row(read(fhir.bundle(*episode.values())), "XML2").get("DON_GIA") is None


def test_items_that_name_their_order(read: Read) -> None:
    episode = fhir.episode()
    encounter = fhir.reference("Encounter", "e1")
    link = [{"url": "urn:giamdinh:item-request", "valueReference": fhir.reference("MedicationRequest", "r1-e1")}]
    items = [
        fhir.item(1, "ma-thuoc", "40.30", 4, 1000, encounter, extension=link),
        fhir.item(2, "ma-thuoc", "40.30", 6, 1100, encounter, extension=link + fhir.given("XML2", TYLE_TT_BH="50")),
        fhir.item(3, "ma-vat-tu", "N01.01", 2, 500, encounter, procedureSequence=[1]),
    ]
    episode["claim"]["item"] = items
    episode["claim"]["procedure"] = [
        {"sequence": 1, "procedureReference": fhir.reference("Procedure", "t1-e1")},
    ]
    result = read(fhir.bundle(*episode.values()))
    drugs = result.tables["XML2"][["TEN_THUOC", "SO_LUONG", "DON_GIA", "TYLE_TT_BH"]].to_numpy().tolist()
    assert drugs == [["Paracetamol 500", "4", "1000", "100"], ["Paracetamol 500", "6", "1100", "50"]]
    assert row(result, "XML3")["MA_VAT_TU"] == "N01.01"
    assert len(result.tables["XML3"]) == 1


def test_results_with_components_and_signs(read: Read) -> None:
    part = {"code": fhir.coding("ma-chi-so", "pH"), "valueString": "âm tính"}
    result = read(changed("result", component=[part], valueQuantity={"value": 5, "comparator": "<", "unit": "x"}))
    found = result.tables["XML4"][["MA_CHI_SO", "GIA_TRI", "DON_VI_DO"]].to_numpy().tolist()
    assert found[:2] == [["WBC", "<5", "x"], ["pH", "âm tính", ""]]


def test_tables_that_fhir_has_no_resource_for(read: Read) -> None:
    basic = {
        "resourceType": "Basic", "id": "d7", "code": fhir.coding("table", "XML7"),
        "subject": fhir.reference("Encounter", "e1"),
        "extension": fhir.given("XML7", SO_LUU_TRU="A1", NGAY_VAO="2025-07-01T08:00:00+07:00", KHONG_CO="x"),
    }  # fmt: skip
    result = read(fhir.bundle(basic, *fhir.episode().values()))
    assert row(result, "XML7") == {"MA_LK": "LK-e1", "SO_LUU_TRU": "A1", "NGAY_VAO": "202507010800"}
    assert result.unknown_columns == ["XML7.KHONG_CO"]


@pytest.mark.parametrize(
    ("name", "elements", "path"),
    [
        ("patient", {"birthDate": "01/05/1990"}, "Patient/p-e1 (entry[4]): not FHIR R4 at birthDate"),
        ("coverage", {"period": "2025"}, "Coverage/c-e1 (entry[5]): not FHIR R4 at period"),
        (
            "encounter",
            {"period": {"start": "2025-07-01 08:00"}},
            "Encounter/e1 (entry[6]): not FHIR R4 at period.start",
        ),
        ("main", {"code": "J20"}, "Condition/x1-e1 (entry[7]): not FHIR R4 at code"),
        ("medication", {"code": ["x"]}, "Medication/m1 (entry[10]): not FHIR R4 at code"),
        (
            "drug",
            {"dispenseRequest": {"quantity": {"value": "mười"}}},
            "MedicationRequest/r1-e1 (entry[11]): not FHIR R4 at dispenseRequest.quantity.value",
        ),
        ("order", {"authoredOn": "hôm qua"}, "ServiceRequest/s1-e1 (entry[12]): not FHIR R4 at authoredOn"),
        ("procedure", {"performer": "x"}, "Procedure/t1-e1 (entry[13]): not FHIR R4 at performer"),
        ("result", {"valueString": "x"}, "Observation/b1-e1 (entry[14]): not FHIR R4 at –"),
        ("report", {"issued": "2025"}, "DiagnosticReport/g1-e1 (entry[16]): not FHIR R4 at issued"),
        ("note", {"summary": 7}, "ClinicalImpression/n1-e1 (entry[17]): not FHIR R4 at summary"),
        (
            "claim",
            {"item": [{"sequence": 1, "productOrService": {"text": "\ud800"}}]},
            "Claim/h1-e1 (entry[18]): not FHIR R4 at item[0].productOrService.text",
        ),
        (
            "claim",
            {"item": [{"sequence": 1, "productOrService": {"text": "x"}, "net": {"value": 5, "currency": "USD"}}]},
            "Claim/h1-e1 (entry[18]): not FHIR R4 at item[0].net.currency",
        ),
    ],
)
def test_a_broken_resource_costs_its_claim_and_no_other(
    read: Read, name: str, elements: dict[str, Any], path: str
) -> None:
    broken = fhir.episode()
    broken[name].update(elements)
    sound = fhir.episode("e2")
    del sound["medication"]
    del sound["drug"]["medicationReference"]
    sound["drug"]["medicationCodeableConcept"] = fhir.coding("ma-thuoc", "40.30", "Thuốc")
    content = json.dumps(
        {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": r} for r in [*broken.values(), *sound.values()]],
        }
    )
    result = read(content.encode())
    assert result.tables.claims["readable"].tolist() == [False, True]
    assert told(result) == [("STR-002", "reject_claim", path)]
    assert result.findings["claim"].tolist() == [0]
    assert "Nguyễn" not in str(result.findings.to_dict())


def test_an_id_that_is_a_card_number_is_not_told(read: Read) -> None:
    resources = fhir.episode()
    resources["coverage"].update(id="DN4270000000001", status=7)
    resources["claim"]["insurance"][0]["coverage"] = fhir.reference("Coverage", "DN4270000000001")
    ((_, _, text),) = told(read(fhir.bundle(*resources.values())))
    assert text == "Coverage/? (entry[5]): not FHIR R4 at status"


def test_unknown_and_missing_elements_do_not_stop_a_resource(read: Read) -> None:
    resources = fhir.episode()
    resources["claim"].pop("priority")
    resources["patient"]["favouriteColour"] = "xanh"
    resources["drug"]["dosageInstruction"][0]["patientInstruction"] = ""
    immunization = {"resourceType": "Immunization", "id": "v"}
    result = read(fhir.bundle(immunization, *resources.values()))
    assert result.tables.claims["readable"].all()
    assert result.unknown_columns == ["Immunization.*", "Patient.favouriteColour"]
    ((rule, severity, text),) = told(result)
    assert (rule, severity) == ("STR-002", "warn")
    assert text.endswith("Claim.priority (1)")


def test_resources_of_no_encounter_are_counted(read: Read) -> None:
    resources = fhir.episode()
    resources["note"]["encounter"] = fhir.reference("Encounter", "khác")
    resources["main"].pop("encounter")  # but Encounter.diagnosis names it
    resources["lost"] = fhir.episode()["claim"] | {"id": "h9", "patient": fhir.reference("Patient", "x"), "item": []}
    result = read(fhir.bundle(*resources.values()))
    assert row(result, "XML1")["MA_BENH_CHINH"] == "J20.9"
    assert told(result)[0][2] == "1 Claim resources belong to no Encounter of the file; they belong to no claim"
    assert [(rule, severity) for rule, severity, _ in told(result)][:2] == [("STR-005", "warn")] * 2


def test_what_was_cancelled_or_entered_in_error_does_not_count(read: Read) -> None:
    resources = fhir.episode()
    resources["drug"]["status"] = "entered-in-error"
    resources["visit"] = fhir.episode("e9")["encounter"] | {"status": "planned"}
    result = read(fhir.bundle(*resources.values()))
    assert len(result.tables.claims) == 1
    assert "HAM_LUONG" not in row(result, "XML2")  # the Claim still charges the drug
    assert told(result)[0][2].endswith("Encounter (1), MedicationRequest (1)")


def test_a_page_and_a_repeated_resource_are_told(read: Read) -> None:
    resources = fhir.episode()
    again = copy.deepcopy(resources["patient"]) | {"gender": "male"}
    content = fhir.bundle(*resources.values(), again, link=[{"relation": "next", "url": "urn:x:2"}])
    result = read(content)
    assert row(result, "XML1")["GIOI_TINH"] == "1"
    assert [text.split()[0] for _, _, text in told(result)] == ["1", "the"]


def test_a_claim_without_lines_is_refused(read: Read) -> None:
    result = read(without("claim", "drug", "order", "procedure", "result", "report"))
    assert told(result) == [("STR-004", "reject_claim", "there is no line of XML2 or XML3")]
    assert not result.tables.claims["readable"].any()


def test_the_facility_of_the_claim_is_not_that_of_the_inbox(read: Read) -> None:
    result = read(fhir.bundle(*fhir.episode().values()), "31001")
    assert [(rule, severity) for rule, severity, _ in told(result)] == [("STR-015", "reject_claim")]


def test_lines_of_ndjson_that_are_no_resource_are_told(read: Read) -> None:
    lines = fhir.ndjson(fhir.episode().values()).splitlines()
    result = read(b"\n".join([lines[0], b'{"resourceType": "Pat', b"[1]", *lines[1:], b""]))
    assert [(severity, text.partition(":")[0]) for _, severity, text in told(result)] == [
        ("warn", "dòng/line 2"), ("warn", "dòng/line 3[1]"),
    ]  # fmt: skip
    assert result.tables.claims["readable"].all()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (fhir.bundle(*fhir.episode().values())[:-40], "STR-001"),
        (fhir.ndjson(fhir.episode().values())[:-40], "STR-001"),
        (b'{"resourceType": "Bundle", "total": NaN}', "STR-001"),
        (b'{"resourceType": "Bundle", "x": ' + b"[" * 100_000, "STR-001"),
        (b'{"resourceType": "Bundle", "x": ' + b"9" * 10_000 + b"}", "STR-001"),
        (b'{"resourceType": "\xff"}', "STR-001"),
        (b'{"resourceType": "Bundle"}', "not-a-delivery"),
        (without("encounter"), "not-a-delivery"),
        (changed("encounter", serviceProvider=None), "STR-001"),
    ],
)
def test_what_cannot_be_taken_at_all(read: Read, content: bytes, code: str) -> None:
    with pytest.raises(Quarantined) as caught:
        read(content)
    assert (caught.value.code, caught.value.format) == (code, "fhir-r4")
    assert caught.value.message_vi
    assert caught.value.next_vi
    assert caught.value.next_en


def test_limits(read: Read, build: SimpleNamespace) -> None:
    two = fhir.bundle(*fhir.episode().values(), *fhir.episode("e2").values())
    for content, limits in (
        (two, {"max_claims": 1}),
        (two + b" " * (1 << 20), {"max_json_mib": 1}),
        (build.zip({"a.json": two + b" " * (1 << 20)}), {"max_json_mib": 1}),
    ):
        with pytest.raises(Quarantined) as caught:
            read(content, **limits)
        assert caught.value.code == "too-large"


def test_a_number_with_a_huge_exponent_is_not_written_out(read: Read) -> None:
    content = fhir.bundle(*fhir.episode().values()).replace(b'"value": 1200.5', b'"value": 1e999999')
    assert len(row(read(content), "XML2").get("DON_GIA", "")) < 20


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2025-07-01T08:00:59+07:00", "202507010800"),
        ("2025-06-30T20:30:00.123Z", "202507010330"),
        ("2025-07-01", "20250701"),
        ("2025-07", "202507"),
        ("20250701", "20250701"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("hôm nay", "hôm nay"),
    ],
)
def test_dates(value: str, expected: str) -> None:
    assert day_and_time(value, False) == expected


def test_a_mapping_names_what_is_wrong_with_it() -> None:
    sound = mapping().model_dump()
    for table, elements, message in (
        ("XML99", {}, "XML99"),
        ("XML1", {"KHONG_CO": ["patient.id"]}, "KHONG_CO"),
        ("XML1", {"HO_TEN": ["patient.identifier(la).value"]}, "la"),
        ("XML1", {"HO_TEN": ["patient.name["]}, "not a path"),
    ):
        with pytest.raises(ValueError, match=message):
            FhirMapping.model_validate(sound | {"tables": {table: elements}})


_TEXT = st.text("abc ÁẬớđ<&\"'+=0123456789", min_size=1, max_size=12).map(str.strip).filter(bool)
_CODE = st.text("ABC0123456789.", min_size=1, max_size=8)
_AMOUNT = st.integers(1, 10**9).map(lambda units: f"{units / 1000:.3f}".rstrip("0").rstrip("."))
_MOMENT = st.datetimes(datetime(2020, 1, 1), datetime(2026, 12, 31)).map(lambda at: at.strftime("%Y%m%d%H%M"))
_VISIT = st.fixed_dictionaries(
    {
        "XML1": st.fixed_dictionaries(
            {"MA_LK": _CODE, "HO_TEN": _TEXT, "LY_DO_VV": _TEXT, "MA_BENH_CHINH": _CODE, "NGAY_VAO": _MOMENT,
             "NGAY_RA": _MOMENT, "MA_THE_BHYT": _CODE, "GIOI_TINH": st.sampled_from(["1", "2", "3"]),
             "MA_NGHE_NGHIEP": _CODE}
        ),
        "XML2": st.lists(
            st.fixed_dictionaries(
                {"MA_THUOC": _CODE, "TEN_THUOC": _TEXT, "SO_LUONG": _AMOUNT, "DON_GIA": _AMOUNT, "NGAY_YL": _MOMENT,
                 "LIEU_DUNG": _TEXT, "MA_KHOA": _CODE}
            ), max_size=3),
        "XML3": st.lists(
            st.fixed_dictionaries(
                {"MA_DICH_VU": _CODE, "TEN_DICH_VU": _TEXT, "SO_LUONG": _AMOUNT, "DON_GIA_BV": _AMOUNT,
                 "NGAY_YL": _MOMENT}
            ), min_size=1, max_size=3),
    }
)  # fmt: skip


def number(text: str) -> float:
    return float(text) if "." in text else int(text)


def written(place: int, visit: dict[str, Any]) -> list[dict[str, Any]]:
    """An invented claim as FHIR resources."""
    general = visit["XML1"]
    encounter, patient = fhir.reference("Encounter", f"e{place}"), fhir.reference("Patient", f"p{place}")
    gender = {"1": "male", "2": "female", "3": "unknown"}[general["GIOI_TINH"]]
    base = {"status": "active", "intent": "order", "subject": patient, "encounter": encounter}
    icd = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": general["MA_BENH_CHINH"]}]}
    found: list[dict[str, Any]] = [
        {"resourceType": "Patient", "id": f"p{place}", "name": [{"text": general["HO_TEN"]}], "gender": gender,
         "extension": fhir.given("XML1", MA_NGHE_NGHIEP=general["MA_NGHE_NGHIEP"])},
        {"resourceType": "Coverage", "id": f"c{place}", "status": "active", "beneficiary": patient,
         "payor": [patient], "subscriberId": general["MA_THE_BHYT"]},
        {"resourceType": "Condition", "id": f"x{place}", "code": icd, "subject": patient, "encounter": encounter},
        {"resourceType": "Encounter", "id": f"e{place}", "status": "finished", "subject": patient,
         "class": {"code": "AMB"}, "identifier": fhir.identifier("ma-lk", general["MA_LK"]),
         "period": {"start": fhir.moment(general["NGAY_VAO"]), "end": fhir.moment(general["NGAY_RA"])},
         "reasonCode": [{"text": general["LY_DO_VV"]}]},
    ]  # fmt: skip
    items: list[dict[str, Any]] = []

    def price(kind: str, own: str, code: dict[str, Any], line: dict[str, str], unit_price: str) -> None:
        link = [{"url": "urn:giamdinh:item-request", "valueReference": fhir.reference(kind, own)}]
        items.append(
            {"sequence": len(items) + 1, "productOrService": code, "encounter": [encounter], "extension": link,
             "quantity": {"value": number(line["SO_LUONG"])}, "unitPrice": {"value": number(unit_price)}}
        )  # fmt: skip

    for at, line in enumerate(visit["XML2"]):
        own, code = f"r{place}-{at}", fhir.coding("ma-thuoc", line["MA_THUOC"], line["TEN_THUOC"])
        found.append(
            {"resourceType": "MedicationRequest", "id": own, "medicationCodeableConcept": code, **base,
             "authoredOn": fhir.moment(line["NGAY_YL"]), "dosageInstruction": [{"text": line["LIEU_DUNG"]}],
             "extension": fhir.given("XML2", MA_KHOA=line["MA_KHOA"])}
        )  # fmt: skip
        price("MedicationRequest", own, code, line, line["DON_GIA"])
    for at, line in enumerate(visit["XML3"]):
        own, code = f"s{place}-{at}", fhir.coding("ma-dich-vu", line["MA_DICH_VU"], line["TEN_DICH_VU"])
        moment = fhir.moment(line["NGAY_YL"])
        found.append({"resourceType": "ServiceRequest", "id": own, "code": code, "authoredOn": moment, **base})
        price("ServiceRequest", own, code, line, line["DON_GIA_BV"])
    found.append(
        {"resourceType": "Claim", "id": f"h{place}", "status": "active", "use": "claim", "patient": patient,
         "type": {"text": "x"}, "created": "2025-07-02", "provider": patient, "priority": {"text": "x"},
         "insurance": [{"sequence": 1, "focal": True, "coverage": fhir.reference("Coverage", f"c{place}")}],
         "item": items}
    )  # fmt: skip
    return found


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(visits=st.lists(_VISIT, min_size=1, max_size=3), order=st.randoms(use_true_random=False))
def test_an_invented_claim_comes_back_as_it_was(read: Read, visits: list[dict[str, Any]], order: Any) -> None:
    resources = [one for number, visit in enumerate(visits) for one in written(number, visit)]
    others = [one for one in resources if one["resourceType"] in ("Patient", "Coverage", "Claim", "Condition")]
    rest = [one for one in resources if one not in others]
    order.shuffle(others)  # only orders and Encounters make an order of rows
    result = read(fhir.bundle(*others, *rest), "27001")
    assert told(result) == []
    for number, visit in enumerate(visits):
        for table in ("XML1", "XML2", "XML3"):
            rows = visit[table] if isinstance(visit[table], list) else [visit[table]]
            frame = result.tables.tables.get(table, result.tables.claims)
            back = frame[frame["claim"] == number].to_dict("records") if rows else []
            assert [{name: one[name] for name in line} for line, one in zip(rows, back, strict=True)] == rows


def test_amounts_left_out_are_computed_and_the_claim_is_appraised(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from giamdinh import app

    file = tmp_path / "bundle.json"
    file.write_bytes(fhir.bundle(*fhir.episode().values()))
    done = CliRunner().invoke(app, ["check", str(file), "--format", "json"])
    report = json.loads(done.stdout)
    assert (report["delivery"]["format"], report["delivery"]["status"]) == ("fhir-r4", "appraised")
    (claim,) = report["claims"]
    assert [(line["table"], line["line"]) for line in claim["lines"]] == [("XML2", 1), ("XML3", 1), ("XML3", 2)]
    assert claim["lines"][0]["requested"] == "12005.00"
    assert claim["paperless_reasons"][0] == "unsigned"
