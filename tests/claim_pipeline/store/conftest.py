"""A real PostgreSQL for the tests of the store, and small appraised deliveries to put into it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from claim_pipeline.store import open_store
from claim_pipeline.workspace import Delivery, Workspace
from claim_rules.findings import FINDING_COLUMNS
from claim_rules.frames import ClaimTables

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")


@pytest.fixture
def store(url: str) -> Iterator[Any]:
    opened = open_store(url)
    yield opened
    opened.close()


def _amount(value: int) -> int:
    return value * 100


@pytest.fixture
def make_workspace(tmp_path: Path) -> Callable[..., Workspace]:
    """Builds the workspace of an appraised delivery.

    claims: one dict per HOSO: ma_lk, requested and refused in đồng per line, outcome; `unreadable` for one that could
    not be read. Each claim has one XML2 line per amount.
    """

    def build(claims: list[dict[str, Any]], *, name: str = "a.xml", salt: str = "") -> Workspace:
        content = json.dumps([name, salt, claims]).encode()
        sha256 = hashlib.sha256(content).hexdigest()
        ws = Workspace(tmp_path / sha256[:16])
        ws.source.write_bytes(content)
        header, drugs, outcomes, lines, found = [], [], [], [], []
        for position, claim in enumerate(claims):
            unreadable = claim.get("unreadable", False)
            amounts = [] if unreadable else claim.get("amounts", [(1000, 0)])
            if not unreadable:
                header.append(
                    {
                        "claim": position,
                        "row": 1,
                        "MA_LK": claim["ma_lk"],
                        "NGAY_VAO": "202507010800",
                        "NGAY_RA": claim.get("ngay_ra", "202507020930"),
                        "MA_LYDO_VT": pd.NA,
                    }
                )
            for row, (requested, refused) in enumerate(amounts, start=1):
                drugs.append(
                    {
                        "claim": position,
                        "row": row,
                        "MA_LK": claim["ma_lk"],
                        "STT": str(row),
                        "MA_THUOC": f"40.{row}",
                        "SO_LUONG": "2.000",
                        "DON_GIA": "not a price" if claim.get("bad_price") else "500.125",
                        "NGAY_YL": "202507010815",
                    }
                )
                lines.append(
                    {
                        "claim": position,
                        "table": "XML2",
                        "row": row,
                        "line": row,
                        "requested": _amount(requested),
                        "approved": _amount(requested - refused),
                        "refused": _amount(refused),
                    }
                )
                if refused:
                    found.append(
                        {
                            "claim": position,
                            "rule": "PRICE-001",
                            "severity": "adjust_amount",
                            "table": "XML2",
                            "row": row,
                            "line": row,
                            "field": "DON_GIA",
                            "observed": "500.125",
                            "expected": "400.000",
                            "amount_refused": _amount(refused),
                            "message_vi": "Đơn giá cao hơn giá trúng thầu",
                            "message_en": "Price above the tender price",
                            "basis": "Nghị định 188/2025/NĐ-CP",
                        }
                    )
            requested, refused = sum(a for a, _ in amounts), sum(b for _, b in amounts)
            outcome = claim.get("outcome") or ("rejected" if unreadable else "adjusted" if refused else "accepted")
            if unreadable:
                found.append(
                    {
                        "claim": position, "rule": "STR-002", "severity": "reject_claim", "amount_refused": 0,
                        "message_vi": "Không giải mã được hồ sơ", "message_en": "The claim cannot be decoded",
                        "basis": "QĐ 3176", "observed": "\x00bin",
                    }
                )  # fmt: skip
            if outcome == "rejected":
                refused = requested
                for line in lines:
                    if line["claim"] == position:
                        line["approved"], line["refused"] = 0, line["requested"]
            outcomes.append(
                {
                    "claim": position,
                    "MA_LK": claim.get("ma_lk"),
                    "outcome": outcome,
                    "paperless": False,
                    "paperless_reasons": '["unsigned"]',
                    "referral_reasons": "[]",
                    "requested": _amount(requested),
                    "approved": _amount(requested - refused),
                    "refused": _amount(refused),
                }
            )
        claims_frame = pd.DataFrame(
            {
                "claim": range(len(claims)),
                "MA_LK": pd.Series([c.get("ma_lk") for c in claims], dtype="str"),
                "MA_CSKCB": "27001",
                "decision": pd.Series([None if c.get("unreadable") else "3176" for c in claims], dtype="str"),
                "readable": [not c.get("unreadable", False) for c in claims],
            }
        )
        tables = {
            table: pd.DataFrame(rows).astype({c: "str" for c in rows[0] if c not in ("claim", "row")})
            for table, rows in (("XML1", header), ("XML2", drugs))
            if rows
        }
        ws.write_tables(ClaimTables(claims_frame, tables))
        columns = ["claim", "MA_LK", "outcome", "paperless", "paperless_reasons", "referral_reasons"]
        frame = pd.DataFrame(outcomes, columns=[*columns, "requested", "approved", "refused"])
        ws.write_frame("claim_outcomes", frame.astype({"MA_LK": "str"}))
        columns = ["claim", "table", "row", "line", "requested", "approved", "refused"]
        ws.write_frame("line_outcomes", pd.DataFrame(lines, columns=columns))
        types = {**FINDING_COLUMNS, "line": "Int64", "amount_refused": "int64", "message_vi": "str",
                 "message_en": "str", "basis": "str"}  # fmt: skip
        ws.write_frame("findings", pd.DataFrame(found, columns=list(types)).astype(types))
        ws.report.write_text(json.dumps({"schema": "giamdinh.report/1", "rule_book": "book-1", "salt": salt}), "utf-8")
        ws.delivery = Delivery(
            file=name, sha256=sha256, MA_CSKCB="27001", format="xml-3176", declared_claims=len(claims),
            read_claims=len(claims), status="appraised", inbox_facility="27001",
            received_at="2026-07-15T10:00:00+07:00",
        )  # fmt: skip
        return ws

    return build


@pytest.fixture
def receive() -> Callable[..., Any]:
    """Makes the delivery row of a workspace."""

    def received(store: Any, ws: Workspace, **changes: Any) -> Any:
        delivery = ws.delivery
        values = SimpleNamespace(
            facility="27001", file=delivery.file, sha256=delivery.sha256, size=ws.source.stat().st_size,
            received_at=datetime(2026, 7, 15, 10, 0, tzinfo=VIETNAM), archive_key=f"sha256/{delivery.sha256[:2]}",
            actor="test",
        )  # fmt: skip
        return store.receive(**(vars(values) | changes))

    return received
