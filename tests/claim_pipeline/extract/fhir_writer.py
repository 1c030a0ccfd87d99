"""Writes invented claims as FHIR R4, the way a record system would. All people are invented."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

Resource = dict[str, Any]


def coding(system: str, code: str, display: str = "") -> Resource:
    shown = {"display": display} if display else {}
    return {"coding": [{"system": f"urn:giamdinh:{system}", "code": code} | shown]}


def identifier(system: str, value: str) -> list[Resource]:
    return [{"system": f"urn:giamdinh:{system}", "value": value}]


def given(table: str, **elements: str) -> list[Resource]:
    """Elements that FHIR has no place for, as extensions."""
    return [{"url": f"urn:giamdinh:{table}:{name}", "valueString": text} for name, text in elements.items() if text]


def moment(text: str) -> str:
    """A FHIR dateTime of yyyyMMddHHmm."""
    return datetime.strptime(text, "%Y%m%d%H%M").strftime("%Y-%m-%dT%H:%M:00+07:00")


def day(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}"


def reference(kind: str, own: str) -> Resource:
    return {"reference": f"{kind}/{own}"}


def bundle(*resources: Resource, **more: Any) -> bytes:
    """A Bundle of the resources."""
    entries = [
        {"fullUrl": f"urn:giamdinh:resource:{one.get('resourceType')}:{one.get('id')}", "resource": one}
        for one in resources
    ]
    document = {"resourceType": "Bundle", "type": "collection", "entry": entries} | more
    return json.dumps(document, ensure_ascii=False).encode()


def ndjson(resources: Iterable[Resource]) -> bytes:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in resources).encode()


def episode(key: str = "e1", **over: Resource) -> dict[str, Resource]:
    """A whole visit, by short names: one drug, one test with its result, an examination charged without an order."""
    patient, encounter = reference("Patient", f"p-{key}"), reference("Encounter", key)
    doctor = reference("Practitioner", "d1")
    found: dict[str, Resource] = {
        "organization": {
            "resourceType": "Organization", "id": "o1", "name": "Bệnh viện Thử nghiệm",
            "identifier": identifier("ma-cskcb", "27001"),
        },
        "ward": {"resourceType": "Location", "id": "k1", "identifier": identifier("ma-khoa", "K01")},
        "doctor": {
            "resourceType": "Practitioner", "id": "d1", "identifier": identifier("ma-bac-si", "000123/BN-CCHN"),
        },
        "patient": {
            "resourceType": "Patient", "id": f"p-{key}", "identifier": identifier("ma-bn", "BN-1"),
            "name": [{"use": "official", "family": "Nguyễn", "given": ["Thị", "Thử"]}],
            "gender": "female", "birthDate": "1990-05-01", "address": [{"text": "Số 1 phố Giả, Bắc Ninh"}],
            "telecom": [{"system": "phone", "value": "0900000000"}],
            "extension": given("XML1", MA_DANTOC="01", MATINH_CU_TRU="27"),
        },
        "coverage": {
            "resourceType": "Coverage", "id": f"c-{key}", "status": "active", "beneficiary": patient,
            "payor": [reference("Organization", "o1")], "subscriberId": "DN4270000000001",
            "period": {"start": "2025-01-01", "end": "2025-12-31"},
            "extension": given("XML1", MA_DKBD="27001", NAM_NAM_LIEN_TUC="20270101"),
        },
        "encounter": {
            "resourceType": "Encounter", "id": key, "status": "finished", "subject": patient,
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "identifier": identifier("ma-lk", f"LK-{key}") + identifier("ma-hsba", "HS-1"),
            "type": [coding("ma-doituong-kcb", "1.1")], "serviceType": coding("ma-loai-kcb", "01"),
            "period": {"start": "2025-07-01T08:00:00+07:00", "end": "2025-07-01T02:30:00Z"},
            "reasonCode": [{"text": "Ho, sốt"}], "serviceProvider": reference("Organization", "o1"),
            "location": [{"location": reference("Location", "k1")}],
            "diagnosis": [
                {"condition": reference("Condition", f"x2-{key}"), "rank": 2},
                {"condition": reference("Condition", f"x1-{key}"), "rank": 1},
                {"condition": reference("Condition", f"x0-{key}"), "use": {"coding": [{"code": "AD"}]}},
            ],
        },
        "main": condition(f"x1-{key}", "J20.9", "Viêm phế quản cấp", patient, encounter),
        "other": condition(f"x2-{key}", "I10", "Tăng huyết áp", patient, encounter),
        "arrival": condition(f"x0-{key}", "R05", "Theo dõi ho", patient, encounter),
        "medication": {
            "resourceType": "Medication", "id": "m1", "code": coding("ma-thuoc", "40.30", "Paracetamol 500"),
            "identifier": identifier("so-dang-ky", "VD-12345-20"),
            "extension": given("XML2", HAM_LUONG="500mg", TT_THAU="1234;G1;N1;2025"),
        },
        "drug": {
            "resourceType": "MedicationRequest", "id": f"r1-{key}", "status": "completed", "intent": "order",
            "medicationReference": reference("Medication", "m1"), "subject": patient, "encounter": encounter,
            "authoredOn": "2025-07-01T08:20:00+07:00", "requester": doctor, "category": [coding("ma-nhom", "4")],
            "dosageInstruction": [{"text": "1 viên x 2 lần x 5 ngày", "route": coding("duong-dung", "1.01")}],
            "dispenseRequest": {"quantity": {"value": 10, "unit": "viên"}},
            "extension": given("XML2", TYLE_TT_BH="100", PHAM_VI="1"),
        },
        "order": {
            "resourceType": "ServiceRequest", "id": f"s1-{key}", "status": "completed", "intent": "order",
            "code": coding("ma-dich-vu", "22.0120.1370", "Tổng phân tích tế bào máu"), "subject": patient,
            "encounter": encounter, "authoredOn": "2025-07-01T08:10:00+07:00", "requester": doctor,
            "category": [coding("ma-nhom", "1")], "reasonReference": [reference("Condition", f"x1-{key}")],
            "locationReference": [reference("Location", "k1")],
        },
        "procedure": {
            "resourceType": "Procedure", "id": f"t1-{key}", "status": "completed", "subject": patient,
            "basedOn": [reference("ServiceRequest", f"s1-{key}")],
            "performedDateTime": "2025-07-01T08:30:00+07:00", "performer": [{"actor": doctor}],
        },
        "result": {
            "resourceType": "Observation", "id": f"b1-{key}", "status": "final", "subject": patient,
            "encounter": encounter, "basedOn": [reference("ServiceRequest", f"s1-{key}")],
            "code": coding("ma-chi-so", "WBC", "Bạch cầu"), "issued": "2025-07-01T08:50:00+07:00",
            "valueQuantity": {"value": 7.50, "unit": "G/L"}, "performer": [doctor],
        },
        "weight": {
            "resourceType": "Observation", "id": f"b2-{key}", "status": "final", "subject": patient,
            "encounter": encounter, "category": [{"coding": [{"code": "vital-signs"}]}],
            "code": {"coding": [{"code": "29463-7"}]}, "valueQuantity": {"value": 52.50, "unit": "kg"},
        },
        "report": {
            "resourceType": "DiagnosticReport", "id": f"g1-{key}", "status": "final", "subject": patient,
            "encounter": encounter, "basedOn": [reference("ServiceRequest", f"s1-{key}")],
            "code": {"text": "Huyết học"}, "issued": "2025-07-01T08:55:00+07:00",
            "result": [reference("Observation", f"b1-{key}")], "conclusion": "Trong giới hạn bình thường",
            "resultsInterpreter": [doctor],
        },
        "note": {
            "resourceType": "ClinicalImpression", "id": f"n1-{key}", "status": "completed", "subject": patient,
            "encounter": encounter, "effectiveDateTime": "2025-07-01T08:15:00+07:00", "summary": "Tỉnh, ho ít",
            "assessor": doctor,
        },
        "claim": {
            "resourceType": "Claim", "id": f"h1-{key}", "status": "active", "use": "claim", "patient": patient,
            "type": {"coding": [{"code": "institutional"}]}, "created": "2025-07-02", "provider": doctor,
            "priority": {"coding": [{"code": "normal"}]},
            "insurance": [{"sequence": 1, "focal": True, "coverage": reference("Coverage", f"c-{key}")}],
            "item": [
                item(1, "ma-thuoc", "40.30", 10, 1200.5, encounter),
                item(2, "ma-dich-vu", "22.0120.1370", 1, 40000, encounter),
                item(3, "ma-dich-vu", "02.1897", 1, 37500, encounter, category=coding("ma-nhom", "13")),
            ],
        },
    }  # fmt: skip
    return found | over


def condition(own: str, code: str, text: str, patient: Resource, encounter: Resource) -> Resource:
    coded = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": code}], "text": text}
    return {"resourceType": "Condition", "id": own, "code": coded, "subject": patient, "encounter": encounter}


def item(
    sequence: int, system: str, code: str, units: float, price: float, encounter: Resource, **more: Any
) -> Resource:
    return {
        "sequence": sequence,
        "productOrService": coding(system, code),
        "quantity": {"value": units},
        "unitPrice": {"value": price, "currency": "VND"},
        "encounter": [encounter],
    } | more
