"""Rules that look at other claims, through a real database: what an earlier delivery brought is seen if it stands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from claim_pipeline import appraise
from claim_pipeline.workspace import Delivery, Workspace
from claim_rules import cases, expectations
from claim_rules.frames import ClaimTables
from claim_rules.signature import Signature

RECEIVED = datetime(2025, 9, 1, 8, 0, tzinfo=ZoneInfo("Asia/Ho_Chi_Minh"))
OTHER_PERSON = {"MA_THE_BHYT": "GD4272700000002", "SO_CCCD": "027085000002"}
FACILITIES = {
    "facilities": [
        {"MA_CSKCB": code, "MA_TINH": "27", "CAP_CMKT": "basic", "DIEM": "60", "TUYEN_CU": "provincial",
         "TU_NGAY": "20200101", "DEN_NGAY": "", "HOP_DONG_TU": "", "HOP_DONG_DEN": ""} for code in ("27001", "27002")
    ]
}  # fmt: skip


def visit(name: str, start: str, end: str, lines: str | None = None, **xml1: Any) -> dict[str, Any]:
    """A claim that differs from the base claim; its lines have their order at the minute `lines`, or at the start."""
    xml1 = {"MA_LK": name, "NGAY_VAO": start, "NGAY_RA": end} | xml1
    at = {"NGAY_YL": lines or start}
    return {"XML1": xml1, "XML2": {1: at}, "XML3": {1: at, 2: at | {"NGAY_TH_YL": start, "NGAY_KQ": end}}}


def stay(name: str, start: str, end: str, **xml1: Any) -> dict[str, Any]:
    inpatient = {"MA_LOAI_KCB": "03", "NGAY_VAO_NOI_TRU": start, "LY_DO_VNT": "Sốt cao", "PP_DIEU_TRI": "Kháng sinh"}
    return visit(name, start, end, **(inpatient | xml1))


@pytest.fixture
def send(store: Any, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Takes a claim (or two) in as one delivery; when: its place in the order of receipt. Gives what came of the first
    claim: rules found (with those of family "DUP", "CARD", ... alone if asked for), outcome, report."""
    numbers = count()

    def received(facility: str = "27001") -> tuple[int, datetime, str]:
        number = next(numbers)
        at = RECEIVED + timedelta(hours=number)
        sha256 = hashlib.sha256(str(number).encode()).hexdigest()
        row = store.receive(
            facility=facility, file=f"{number}.xml", sha256=sha256, size=1, received_at=at, archive_key="k", actor="t"
        )
        return row.delivery_id, at, sha256

    def sent(
        given: dict[str, Any],
        facility: str = "27001",
        reference: dict[str, Any] | None = None,
        slot: tuple[int, datetime, str] | None = None,
    ) -> dict[str, Any]:
        if facility != "27001":
            given = given | {"facility": facility, "XML1": {"MA_CSKCB": facility} | given.get("XML1", {})}
        tables: ClaimTables = cases.build(cases.WorkedCase("sent", "", "past", (), given=given))
        number, at, sha256 = slot or received(facility)
        ws = Workspace(tmp_path / str(number))
        ws.write_tables(tables)
        ws.write_frame("findings-validate", expectations.check(tables))
        ws.delivery = Delivery(
            file="a.xml", sha256=sha256, MA_CSKCB=facility, inbox_facility=facility, format="xml-3176",
            received_at=at.isoformat(), declared_claims=1, read_claims=1, status="validated",
        )  # fmt: skip
        known = {name: pd.DataFrame(rows).astype("str") for name, rows in (reference or {}).items()}
        appraise.run(ws, known, store.past(number, ws.read_tables()), signed=Signature(facility=facility))
        store.record(number, ws, "test")
        report = json.loads(ws.report.read_text("utf-8"))
        claim = report["claims"][0]
        return {"rules": [found["rule"] for found in claim["findings"]], "claim": claim, "report": report}

    sent.slot = received  # type: ignore[attr-defined]
    return sent


def rules(told: dict[str, Any], *families: str) -> set[str]:
    return {rule for rule in told["rules"] if rule.partition("-")[0] in families}


def test_what_nobody_else_sent_is_nothing(send: Any) -> None:
    told = send(visit("A", "202508110800", "202508111030"))
    assert rules(told, "DUP", "CARD", "BEN", "RATE") == set()
    skipped = {entry["rule"]: entry["needs"] for entry in told["report"]["skipped_rules"]}
    assert {rule for rule in skipped if skipped[rule] in ("check_ins", "settled")} == {"SUB-002", "SUB-003"}
    assert not {"DUP-002", "DUP-013", "CARD-017", "RATE-007", "BEN-022"} & set(skipped)


def test_one_visit_under_two_names(send: Any) -> None:
    send(visit("A", "202508110800", "202508111030"))
    assert rules(send(visit("B", "202508110800", "202508111030")), "DUP") == {"DUP-002"}
    other = visit("C", "202508110800", "202508111030", **OTHER_PERSON)
    assert rules(send(other), "DUP") == set()


def test_nine_lines_of_ten_are_those_of_another_claim(send: Any) -> None:
    send(visit("A", "202508110800", "202508111030"))
    told = send(visit("B", "202508110815", "202508111130", lines="202508110800"))
    assert rules(told, "DUP") == {"DUP-002"}


def test_stays_overlap_between_facilities_and_the_later_is_refused(send: Any) -> None:
    send(stay("A", "202508090800", "202508120911"), "27002")
    told = send(stay("B", "202508120800", "202508140900"))
    assert (rules(told, "DUP"), told["claim"]["outcome"]) == ({"DUP-003"}, "rejected")


def test_a_transfer_and_a_readmission(send: Any) -> None:
    send(stay("A", "202508090800", "202508120900"), "27002")
    assert rules(send(stay("B", "202508120800", "202508140900")), "DUP") == set()
    assert rules(send(stay("C", "202508150800", "202508160900")), "DUP") == {"DUP-011"}


def test_an_outpatient_visit_inside_a_stay_and_one_elsewhere_on_the_same_day(send: Any) -> None:
    send(stay("A", "202508100800", "202508121000"), "27002")
    assert rules(send(visit("B", "202508110800", "202508111030")), "DUP") == {"DUP-004"}
    send(visit("C", "202508200600", "202508200700"), "27002")
    assert rules(send(visit("D", "202508200800", "202508201030")), "DUP") == {"DUP-005"}


def test_a_version_that_was_replaced_counts_no_more(send: Any) -> None:
    send(stay("A", "202508100800", "202508121000"), "27002")
    send(stay("A", "202508010800", "202508031000"), "27002")
    assert rules(send(visit("B", "202508110800", "202508111030")), "DUP") == set()


def test_a_correction_keeps_its_place(send: Any) -> None:
    send(stay("A", "202508090800", "202508120900"), "27002")
    send(stay("B", "202508111000", "202508140900"))
    corrected = send(stay("A", "202508090800", "202508120930"), "27002")
    assert rules(corrected, "DUP") == set()


def test_received_before_though_recorded_after(send: Any) -> None:
    early = send.slot("27002")
    late = send(stay("B", "202508111000", "202508140900"))
    assert rules(late, "DUP") == set()
    assert rules(send(stay("A", "202508090800", "202508120900"), "27002", slot=early), "DUP") == set()


def test_what_a_rule_of_structure_refused_does_not_stand(send: Any) -> None:
    refused = send(visit("A", "202508110800", "202508111030", GIOI_TINH=""))
    assert "STR-006" in refused["rules"]
    assert rules(send(visit("B", "202508110800", "202508111030")), "DUP") == set()


def test_a_device_is_paid_once_whoever_bears_it(send: Any) -> None:
    stent = {
        "MA_DICH_VU": "", "MA_VAT_TU": "N06.02.0001", "MA_NHOM": "10", "TEN_VAT_TU": "Giá đỡ mạch vành",
        "TEN_DICH_VU": "", "DON_VI_TINH": "Cái", "SO_LUONG": "1.000", "DON_GIA_BV": "100000.000",
        "DON_GIA_BH": "100000.000", "TT_THAU": "01/QĐ;G1;N1;2025", "MA_HIEU_SP": "SN20250817", "NGUOI_THUC_HIEN": "",
        "MA_MAY": "",
    }  # fmt: skip
    first = visit("A", "202508010800", "202508011030")
    first["XML3"][3] = stent | {"NGAY_YL": "202508010800"}
    again = visit("B", "202508110800", "202508111030", **OTHER_PERSON)
    again["XML3"][3] = stent | {"NGAY_YL": "202508110800"}
    assert rules(send(first), "DUP") == set()
    told = send(again)
    assert [(one["rule"], one["table"], one["line"]) for one in told["claim"]["findings"] if one["rule"] == "DUP-013"]
    assert rules(send(first), "DUP") == set()  # sent again, with another history


def test_a_card_with_two_holders(send: Any) -> None:
    send(visit("A", "202508010800", "202508011030"))
    assert rules(send(visit("B", "202508110800", "202508111030")), "CARD") == set()
    told = send(visit("C", "202508130800", "202508131030", SO_CCCD="027085000099", HO_TEN="Trần Văn Khác"))
    assert rules(told, "CARD") == {"CARD-017"}
    later = {"MA_LK": "D", "NGAY_VAO": "202609020800", "NGAY_RA": "202609021030"}
    assert "027085000099" not in json.dumps(told["report"])
    assert rules(send(visit(later["MA_LK"], later["NGAY_VAO"], later["NGAY_RA"])), "CARD") & {"CARD-017"} == set()


def test_nothing_after_a_death_that_another_facility_told_of(send: Any) -> None:
    send(stay("A", "202508010800", "202508031000", KET_QUA_DTRI="5", MA_LOAI_RV="5"), "27002")
    told = send(visit("B", "202508110800", "202508111030"))
    assert (rules(told, "CARD"), told["claim"]["outcome"]) == ({"CARD-018"}, "rejected")


def test_a_slip_is_used_once_and_by_its_own_person(send: Any) -> None:
    slip = visit("A", "202507280800", "202507281000")
    slip["XML14"] = {1: {"SO_GIAYHEN_KL": "1", "MA_CSKCB": "27001", "NGAY_HEN_KL": "20250811", "NGAY_CT": "20250728"}}
    send(slip, reference=FACILITIES)
    on_it = send(visit("B", "202508110800", "202508111030", MA_DOITUONG_KCB="1.5"), reference=FACILITIES)
    assert rules(on_it, "BEN") & {"BEN-015"} == set()
    again = send(visit("C", "202508180800", "202508181030", MA_DOITUONG_KCB="1.5"), reference=FACILITIES)
    assert "BEN-015" in again["rules"]
    stranger = visit("D", "202508120800", "202508121030", MA_DOITUONG_KCB="1.5", **OTHER_PERSON)
    assert "BEN-015" not in send(stranger, reference=FACILITIES)["rules"]  # less than a year of claims is known


def test_a_transfer_needs_the_slip_of_the_facility_that_sent(send: Any) -> None:
    came = {"MA_DOITUONG_KCB": "1.3", "MA_NOI_DI": "27002", "GIAY_CHUYEN_TUYEN": "1"}
    assert "BEN-014" not in send(visit("A", "202508110800", "202508111030", **came), reference=FACILITIES)["rules"]
    send(visit("S", "202508190800", "202508191000"), "27002", reference=FACILITIES)
    assert "BEN-014" in send(visit("B", "202508200800", "202508201030", **came), reference=FACILITIES)["rules"]


def test_two_in_one_bed(send: Any) -> None:
    def bed(name: str, **person: str) -> dict[str, Any]:
        given = stay(name, "202508090800", "202508111030", **person)
        given["XML3"][3] = {
            "MA_DICH_VU": "K02.1908", "MA_NHOM": "14", "TEN_DICH_VU": "Giường nội khoa", "DON_VI_TINH": "Ngày",
            "SO_LUONG": "2.000", "DON_GIA_BV": "200000.000", "DON_GIA_BH": "200000.000", "MA_GIUONG": "H001",
            "MA_KHOA": "K02", "NGAY_YL": "202508090800", "NGAY_KQ": "202508111030", "NGUOI_THUC_HIEN": "", "MA_MAY": "",
        }  # fmt: skip
        return given

    assert "RATE-007" not in send(bed("A"))["rules"]
    assert "RATE-007" in send(bed("B", **OTHER_PERSON))["rules"]


def test_nothing_is_asked_claim_by_claim(send: Any, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from claim_pipeline.store import bulk

    asked = []
    once = bulk.copy_out_text

    def counted(connection: Any, query: Any, names: Any) -> Any:
        asked.append(tuple(names))
        return once(connection, query, names)

    monkeypatch.setattr(bulk, "copy_out_text", counted)
    send(visit("A", "202508110800", "202508111030"))
    single = len(asked)
    asked.clear()
    send(visit("B", "202508120800", "202508121030") | {"second": visit("C", "202508130800", "202508131030")})
    assert len(asked) == single > 0
