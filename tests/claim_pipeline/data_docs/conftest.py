"""A real validation of simulated claims, and entries of invented ones."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from claim_pipeline import extract, transform, validate
from claim_pipeline.data_docs import Entry
from claim_pipeline.workspace import Delivery, Workspace
from claim_simulator import simulate

RECEIVED = datetime(2026, 8, 3, 8, 30, tzinfo=ZoneInfo("Asia/Ho_Chi_Minh"))
NASTY = '<img src=x onerror="alert(1)"><script>alert(2)</script>'


@pytest.fixture(scope="session")
def received() -> datetime:
    return RECEIVED


@pytest.fixture(scope="session")
def nasty() -> str:
    """A key that a hospital might have written to do harm."""
    return NASTY


@pytest.fixture(scope="session")
def _validated(tmp_path_factory: pytest.TempPathFactory) -> str:
    home = tmp_path_factory.mktemp("validated")
    simulate(facilities=1, claims=12, month="202607", fault_rate=0, seed=5, out=home)
    ws = Workspace(home / "work")
    sent = min((home / "inbox" / "27001").iterdir())
    shutil.copyfile(sent, ws.source)
    ws.delivery = Delivery(file=sent.name, sha256="ab" * 32, MA_CSKCB="27001", inbox_facility="27001")
    extract.run(ws)
    transform.run(ws, {})
    frame = ws.read_frame("XML2")
    frame.loc[0, "SO_LUONG"] = "1,5"
    frame.loc[[0, 1, 2], "DON_VI_TINH"] = ""
    frame.loc[1, "MA_LK"] = ""
    ws.write_frame("XML2", frame)
    validate.run(ws)
    return (ws.folder / "validation.json").read_text("utf-8")


@pytest.fixture
def report(_validated: str) -> dict[str, Any]:
    """A validation.json: of XML2, one SO_LUONG of wrong form, three DON_VI_TINH and one MA_LK empty; a key that a
    hospital might have written to do harm."""
    found = json.loads(_validated)
    (drugs,) = [suite for suite in found["suites"] if suite["table"] == "XML2"]
    (quantity,) = [one for one in drugs["expectations"] if one["name"] == "SO_LUONG"]
    quantity["sample"][0]["MA_LK"] = NASTY
    return copy.deepcopy(found)


@pytest.fixture(scope="session")
def entry() -> Callable[..., Entry]:
    """Makes the entry of an invented delivery."""

    def made(delivery: int, facility: str = "27001", month: str = "202607", **other: Any) -> Entry:
        values: dict[str, Any] = {
            "delivery": delivery, "facility": facility, "month": month,
            "received_at": (RECEIVED + timedelta(minutes=delivery)).isoformat(), "sha256": "ab" * 32,
            "format": "xml-3176", "answer": None, "read": 14, "checked": 14, "months": {month: 14}, "suites": 9,
            "rows": 90, "expectations": 304, "failing": delivery % 3, "unexpected": 4 * (delivery % 3),
            "causes": [("XML2", "SO_LUONG", 4)] if delivery % 3 else [],
        } | other  # fmt: skip
        return Entry(**values)

    return made
