"""Two small reports as the contract has them: an appraised delivery and a quarantined one. All values are invented."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from claim_pipeline.store import DeliveryRow
from claim_pipeline.workspace import Delivery, Workspace

SHA = "9f2c" + "0" * 60
NASTY = '<img src=x onerror="alert(1)">'


def finding(rule: str, severity: str, table: str | None, line: int | None, field: str | None, **more: Any) -> Any:
    return {
        "rule": rule, "severity": severity, "table": table, "line": line, "field": field, "observed": None,
        "expected": None, "amount_refused": "0.00", "message_vi": f"Lời giải thích {rule}",
        "message_en": f"Explanation {rule}", "basis": "Thông tư 12/2026/TT-BTC Điều 10",
    } | more  # fmt: skip


def claim(ma_lk: str | None, outcome: str, lines: list[tuple[str, str, str]], findings: list[Any], **more: Any) -> Any:
    rows = [
        {"table": "XML2", "line": n, "requested": a, "approved": b, "refused": c}
        for n, (a, b, c) in enumerate(lines, start=1)
    ]
    sums = {
        name: f"{sum(round(float(row[name]) * 100) for row in rows) / 100:.2f}"
        for name in ("requested", "approved", "refused")
    }
    return {
        "MA_LK": ma_lk, "outcome": outcome, "paperless": False, "paperless_reasons": ["unsigned"],
        "referral_reasons": [], **sums, "lines": rows, "findings": findings,
    } | more  # fmt: skip


@pytest.fixture
def appraised() -> dict[str, Any]:
    claims = [
        claim("27001-2607-0001", "accepted", [("1250000.00", "1250000.00", "0.00")], []),
        claim(
            "27001-2607-0002",
            "adjusted",
            [("400000.00", "320000.00", "80000.00"), ("50600.50", "40480.40", "10120.10")],
            [
                finding("BEN-001", "adjust_amount", "XML2", 1, "MUC_HUONG", observed="100", expected="80",
                        amount_refused="80000.00"),
                finding("BEN-001", "adjust_amount", "XML2", 2, "MUC_HUONG", observed="100", expected="80",
                        amount_refused="10120.10"),
                finding("DICT-004", "warn", "XML1", None, "GIOI_TINH", observed='=HYPERLINK("x")', expected="1;2;3",
                        message_vi="Giới tính không có trong danh mục " + NASTY),
            ],
        ),
        claim("=1+1", "rejected", [("99000.00", "0.00", "99000.00")],
              [finding("CARD-008", "reject_claim", "XML1", None, "GT_THE_DEN", observed="20250630",
                       expected="20250701", amount_refused="99000.00")]),
        claim(None, "rejected", [], [finding("STR-002", "reject_claim", None, None, None)]),
        claim("27001-2607-0005", "referred", [("700000.00", "700000.00", "0.00")], [],
              referral_reasons=["rule-error:SUM-005"]),
    ]  # fmt: skip
    return {
        "schema": "giamdinh.report/1",
        "rule_book": "abc123",
        "delivery": {
            "file": "tháng 7 <b>.zip", "sha256": SHA, "MA_CSKCB": "27001", "format": "emr-csv",
            "received_at": "2026-07-15T23:59:00+07:00", "declared_claims": None, "read_claims": 5,
            "status": "appraised", "reason": None,
        },
        "findings": [finding("STR-003", "warn", None, None, None, observed="5", expected="4")],
        "claims": claims,
        "totals": {
            "claims": 5, "accepted": 1, "adjusted": 1, "rejected": 2, "referred": 1, "requested": "2499600.50",
            "approved": "2310480.40", "refused": "189120.10",
        },
        "rules_run": ["STR-001"],
        "skipped_rules": [{"rule": "CARD-002", "needs": "cards.csv"}, {"rule": "CARD-012", "needs": "cards.csv"}],
    }  # fmt: skip


@pytest.fixture
def quarantined() -> dict[str, Any]:
    return {
        "schema": "giamdinh.report/1",
        "rule_book": "abc123",
        "delivery": {
            "file": "thang7.xml", "sha256": "ab" * 32, "MA_CSKCB": "27001", "format": "xml-3176",
            "received_at": "2026-07-15T08:05:09+07:00", "declared_claims": 120, "read_claims": 118,
            "status": "quarantined",
            "reason": {
                "code": "STR-003",
                "message_vi": "Tệp khai báo 120 hồ sơ nhưng chỉ đọc được 118. Kiểm tra lại việc xuất tệp rồi gửi lại.",
                "message_en": "The file declares 120 claims but only 118 could be read. Check the export, send again.",
            },
        },
        "findings": [], "claims": [],
        "totals": {"claims": 0, "accepted": 0, "adjusted": 0, "rejected": 0, "referred": 0, "requested": "0.00",
                   "approved": "0.00", "refused": "0.00"},
        "rules_run": [], "skipped_rules": [],
    }  # fmt: skip


@pytest.fixture
def make_workspace(tmp_path: Path) -> Any:
    """The workspace of a delivery with this report."""

    def build(report: dict[str, Any], name: str = "ws") -> Workspace:
        ws = Workspace(tmp_path / name)
        ws.report.write_text(json.dumps(report, ensure_ascii=False), "utf-8")
        ws.submission.write_text("<GIAMDINHHS/>", "utf-8")
        known = report["delivery"]
        ws.delivery = Delivery(
            file=known["file"], sha256=known["sha256"], MA_CSKCB=known["MA_CSKCB"], status=known["status"],
            received_at=known["received_at"], inbox_facility=known["MA_CSKCB"],
        )  # fmt: skip
        return ws

    return build


@pytest.fixture
def make_row() -> Any:
    """A delivery as the store hands it out."""

    def build(report: dict[str, Any], number: int = 1, **changes: Any) -> DeliveryRow:
        known = report["delivery"]
        values: dict[str, Any] = {
            "id": number, "facility": known["MA_CSKCB"], "file": known["file"], "sha256": known["sha256"], "size": 1,
            "received_at": datetime.fromisoformat(known["received_at"]).astimezone(ZoneInfo("UTC")),
            "archive_key": "k", "status": "recorded", "progress": "recorded", "repeat_of": None, "format": None,
            "declared_claims": None, "read_claims": None, "reason": None, "recorded_at": None, "answered_at": None,
            "answer_folder": None, "attempts": 0, "intake_fault": None,
        }  # fmt: skip
        return DeliveryRow(**(values | changes))

    return build


@pytest.fixture
def make_store() -> Any:
    """Something that knows deliveries by id, as respond asks for them."""

    def build(*rows: DeliveryRow) -> Any:
        return SimpleNamespace(delivery={row.id: row for row in rows}.__getitem__)

    return build
