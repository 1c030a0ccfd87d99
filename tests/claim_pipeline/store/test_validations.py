"""Validation results as records: written with the delivery, once, never changed; found by who, when and what."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from claim_pipeline.errors import OperatorError
from claim_pipeline.store import open_store
from claim_pipeline.workspace import Workspace


def expectation(field: str, evaluated: int, **kinds: int) -> dict[str, Any]:
    unexpected = sum(kinds.values())
    return {
        "name": field, "type": "expect_field_to_follow_dictionary", "field": field, "rule": None,
        "text_vi": f"{field} phải đúng", "text_en": f"{field} must be right", "evaluated": evaluated,
        "unexpected": unexpected, "by_kind": kinds,
        "sample": [{"claim": at, "row": 1, "MA_LK": f"A{at}\x00", "STT": None} for at in range(unexpected)],
    }  # fmt: skip


@pytest.fixture
def checked(make_workspace: Callable[..., Workspace]) -> Callable[..., Workspace]:
    """The workspace of an appraised delivery with a validation.json: XML1 by two layouts, and XML2."""

    def build(name: str, months: dict[str, int], missing: int = 0, long: int = 0) -> Workspace:
        ws = make_workspace([{"ma_lk": f"{name}-{at}"} for at in range(3)], name=name)
        suites = [
            ("XML1-3176", "XML1", None, [expectation("HO_TEN", 2, missing=missing) if missing else
                                         expectation("HO_TEN", 2), expectation("NGAY_RA", 0)]),
            ("XML1-3176-20260701", "XML1", "20260701", [expectation("HO_TEN", 1)]),
            ("XML2-3176", "XML2", None, [expectation("DON_GIA", 6, **({"length": long, "syntax": 1} if long else {}))]),
        ]  # fmt: skip
        record = {
            "schema": "giamdinh.validation/2",
            "delivery": {"sha256": ws.delivery.sha256, "MA_CSKCB": "27001", "format": "xml-3176"},
            "engine": "great_expectations 1.24.1",
            "success": not (missing or long),
            "claims": {"read": 3, "checked": 3, "months": months},
            "suites": [
                {
                    "name": suite, "table": table, "decision": "3176", "valid_from": since, "version": f"v-{table}",
                    "rows": 3, "seconds": 0.25, "success": not any(one["unexpected"] for one in expected),
                    "expectations": expected,
                }
                for suite, table, since, expected in suites
            ],
            "findings": {"DICT-001": missing + long},
            "seconds": {"wall": 1.5, "processor": 1.25},
        }  # fmt: skip
        ws.write_json("validation.json", record)
        return ws

    return build


@pytest.fixture
def recorded(store: Any, receive: Any) -> Callable[..., int]:
    def record(ws: Workspace, **changes: Any) -> int:
        delivery: int = receive(store, ws, **changes).delivery_id
        store.move(delivery, "validated", actor="who validated")
        store.record(delivery, ws, "who recorded")
        return delivery

    return record


def test_a_run_is_recorded_with_all_that_it_counted(store, recorded, checked):
    ws = checked("a.xml", {"202607": 2, "202606": 1}, missing=2, long=2)
    delivery = recorded(ws)
    (run,) = store.validation_runs()
    content = (ws.folder / "validation.json").read_bytes()
    assert (run.delivery, run.facility, run.month, run.months) == (
        delivery,
        "27001",
        "202607",
        {"202606": 1, "202607": 2},
    )
    assert (run.delivery_sha256, run.record_sha256) == (ws.delivery.sha256, hashlib.sha256(content).hexdigest())
    assert (run.expectations, run.checked, run.failing, run.evaluated, run.unexpected) == (4, 3, 2, 9, 5)
    assert (run.success, run.rows, run.findings, str(run.wall_seconds)) == (False, 9, 4, "1.500")
    assert (run.ran_by, run.recorded_by) == ("who validated", "who recorded")
    assert run.ran_at <= run.recorded_at
    # NUL is the one thing of a record that the database cannot hold
    assert store.validation_record(delivery) == json.loads(content.decode().replace("\\u0000", "\ufffd"))
    suites = store.validation_suites(delivery=delivery)
    assert [(one.name, str(one.valid_from), one.version, one.failing) for one in suites] == [
        ("XML1-3176", "None", "v-XML1", 1),
        ("XML1-3176-20260701", "2026-07-01", "v-XML1", 0),
        ("XML2-3176", "None", "v-XML2", 1),
    ]


def test_failing_expectations_are_found_by_facility_month_table_and_field(store, recorded, checked):
    first = recorded(checked("a.xml", {"202607": 3}, missing=1))
    second = recorded(checked("b.xml", {"202607": 3}, missing=2, long=3))
    other = recorded(checked("c.xml", {"202607": 3}, long=1), facility="27002")
    recorded(checked("d.xml", {"202606": 3}), facility="27002")

    both = store.validation_failing("27001", "202607")
    assert [(one.field, one.unexpected, one.evaluated, one.failing_deliveries) for one in both] == [
        ("DON_GIA", 4, 12, 1),
        ("HO_TEN", 3, 4, 2),
    ]
    assert both[0].by_kind == {"length": 3, "syntax": 1}
    assert (both[1].text_vi, both[1].text_en) == ("HO_TEN phải đúng", "HO_TEN must be right")
    assert (both[1].last_delivery, [one["claim"] for one in both[1].sample]) == (second, [0, 1])
    assert [one.unexpected for one in store.validation_failing(delivery=first)] == [1]
    assert [one.unexpected for one in store.validation_failing(table="XML2", field="DON_GIA")] == [6]
    assert store.validation_failing(table="XML1", field="DON_GIA") == []
    assert store.validation_failing("27002", "202606") == []
    met = store.validation_failing("27002", "202606", met_too=True)
    assert [(one.suite, one.field, one.sample) for one in met] == [
        ("XML1-3176", "HO_TEN", []), ("XML1-3176-20260701", "HO_TEN", []), ("XML1-3176", "NGAY_RA", []),
        ("XML2-3176", "DON_GIA", []),
    ]  # fmt: skip
    assert [one.delivery for one in store.validation_runs("27002", "202607")] == [other]
    assert len(store.validation_failing(limit=1)) == 1

    trend = [(one.facility, one.month, one.deliveries, one.checked, one.failing, one.evaluated, one.unexpected)
             for one in store.validation_trend()]  # fmt: skip
    assert trend == [
        ("27001", "202607", 2, 6, 3, 18, 7),
        ("27002", "202606", 1, 3, 0, 9, 0),
        ("27002", "202607", 1, 3, 1, 9, 2),
    ]
    of_field = [(one.month, one.claims, one.evaluated, one.unexpected) for one in
                store.validation_trend("27002", "XML2", "DON_GIA")]  # fmt: skip
    assert of_field == [("202606", 3, 6, 0), ("202607", 3, 6, 2)]
    assert [one.month for one in store.validation_trend("27002", until="202606")] == ["202606"]


def test_a_second_record_changes_nothing_and_one_that_failed_leaves_nothing(store, url, dump, receive, checked):
    ws = checked("a.xml", {"202607": 3}, missing=1)
    delivery = receive(store, ws).delivery_id
    record = ws.read_json("validation.json")
    ws.write_json("validation.json", record | {"success": True})  # although something was unexpected
    before = dump(url)
    with pytest.raises(OperatorError, match="validation_run_success"):
        store.record(delivery, ws, "test")
    assert dump(url) == before
    ws.write_json("validation.json", record)
    store.record(delivery, ws, "test")
    after = dump(url)
    assert len(after["validation_result"]) == 4
    store.record(delivery, ws, "test")
    again = open_store(url)
    again.record(delivery, ws, "test")
    again.close()
    assert dump(url) == after


def test_a_delivery_quarantined_after_validation_keeps_its_results(store, receive, checked, make_workspace):
    ws = checked("a.xml", {"": 3}, missing=1)
    delivery = receive(store, ws).delivery_id
    told = ws.delivery
    told.status, told.reason = "quarantined", {"code": "x", "message_vi": "x", "message_en": "x"}
    ws.delivery = told
    store.record(delivery, ws, "test")
    (run,) = store.validation_runs()
    assert (run.delivery, run.month, run.failing, store.delivery(delivery).status) == (delivery, None, 1, "quarantined")
    never = make_workspace([{"ma_lk": "A"}], name="never validated.xml")
    store.record(receive(store, never).delivery_id, never, "test")
    assert len(store.validation_runs()) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE validation_run SET success = true",
        "DELETE FROM validation_result",
        "UPDATE validation_result SET unexpected = 0",
        "UPDATE validation_suite SET version = 'other'",
        "DELETE FROM validation_month",
        "TRUNCATE validation_run CASCADE",
        "DELETE FROM access_log",
        "UPDATE access_log SET reason = 'other'",
    ],
)
def test_the_database_forbids(url, connect, recorded, checked, statement):
    recorded(checked("a.xml", {"202607": 3}, missing=1))
    with connect(url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(statement)
