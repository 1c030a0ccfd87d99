"""Lines that come late through the whole pipeline: a new version of the claim, not a second claim."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from claim_pipeline import steps
from claim_pipeline.settings import settings

FACILITY = "27001"
ENCOUNTERS = (
    "MA_LK,MA_CSKCB,NGAY_VAO,NGAY_RA,MA_THE_BHYT,MA_DKBD,GT_THE_TU,GT_THE_DEN,MA_DOITUONG_KCB,MA_LOAI_KCB\n"
    "A,27001,202507010800,202507030900,DN4270000000001,27001,20250101,20251231,1.1,01\n"
)
HEAD = "MA_LK,MA_DICH_VU,SO_LUONG,DON_GIA_BV,DON_GIA_BH,TYLE_TT_DV,TYLE_TT_BH,PHAM_VI,NGAY_YL\n"
LINE = "A,{},1,{price},{price},100,100,1,202507010810\n"


@pytest.fixture
def place(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("GIAMDINH_HOME", str(tmp_path))
    monkeypatch.setenv("GIAMDINH_DATABASE_URL", url)
    monkeypatch.setenv("GIAMDINH_SETTLE_SECONDS", "0")
    caches = (settings, steps._store, steps._archive, steps._reference)
    for cached in caches:
        cached.cache_clear()
    (tmp_path / "inbox" / FACILITY).mkdir(parents=True)
    yield tmp_path
    for cached in caches:
        cached.cache_clear()


def drop(place: Path, name: str, files: dict[str, str]) -> None:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for file, content in files.items():
            archive.writestr(file, content)
    (place / "inbox" / FACILITY / name).write_bytes(memory.getvalue())


def claims(place: Path) -> list[list[Any]]:
    """Of every answer in order: the requested amount of each claim and how many lines it has."""
    found = sorted((place / "outbox" / FACILITY).glob("*/report.json"), key=lambda path: path.stat().st_mtime_ns)
    reports = [json.loads(path.read_text("utf-8")) for path in found]
    return [[(claim["MA_LK"], len(claim["lines"]), claim["requested"]) for claim in r["claims"]] for r in reports]


def test_late_lines_make_a_new_version(place: Path) -> None:
    drop(place, "1.zip", {"encounters.csv": ENCOUNTERS, "orders.csv": HEAD + LINE.format("02.1", price=50000)})
    steps.run_all("test")
    shutil.rmtree(place / "work")  # everything is in the archive
    # the second and third come together: the third completes what the second has made of the first
    drop(place, "2.zip", {"orders.csv": HEAD + LINE.format("23.1", price=400000)})
    drop(place, "3.zip", {"orders.csv": HEAD + LINE.format("23.2", price=100000)})
    assert steps.run_all("test")["answered"] == 2
    assert claims(place) == [
        [("A", 1, "50000.00")],
        [("A", 2, "360000.00")],
        [("A", 3, "440000.00")],
    ]
    with steps._store()._engine.connect() as connection:
        counted = connection.execute(text("SELECT count(*), max(versions) FROM claim")).one()
    assert tuple(counted) == (1, 3)
