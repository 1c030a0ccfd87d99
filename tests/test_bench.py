"""The bench runs, and its figures belong together. What they are is measured by `make bench`, never asserted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_stage_is_measured_beside_the_floor(tmp_path: Path):
    home = Path(tempfile.mkdtemp(prefix="giamdinh-bench-"))  # pytest's own folder is closed to PostgreSQL's account
    out = tmp_path / "latest.json"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")])}
    options = ["--sizes", "40", "--export", "40", "--sheet-rows", "500", "--home", str(home), "--out", str(out)]
    try:
        done = subprocess.run(
            [sys.executable, str(ROOT / "bench" / "run.py"), *options],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        shutil.rmtree(home, ignore_errors=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text("utf-8"))["rows"]
    steps = ["extract", "transform", "validate", "appraise", "record", "respond", "profile"]
    assert [row["stage"] for row in rows if row["data"] == "XML 3176"] == ["floor", *steps, "all stages"]
    assert [row["stage"] for row in rows if row["data"] == "EMR CSV"] == [*steps, "all stages"]
    assert [row["stage"] for row in rows if row["data"] == "XML 3176, written"] == [
        "floor",
        "read",
        "schema",
        "write",
    ]
    assert [row["stage"] for row in rows if row["data"] == "XML 3176, written, heavy, mixed forms"] == ["floor", "read"]
    assert [row["stage"] for row in rows if row["data"] == "XML 3176, validation"] == [
        "read",
        "masks",
        "fields",
        "and relations",
        "validate",
        "validate all tables",
    ]
    for data in ("XML 3176, rules of part A", "XML 3176, rules of part A, files of 500"):
        assert [row["stage"] for row in rows if row["data"] == data] == ["read", "rules"]
    assert all(row["claims"] == 40 for row in rows)
    floor, *_, together = (row for row in rows if row["data"] == "XML 3176")
    assert floor["to_floor"] == 1.0
    assert together["to_floor"] > 1.0
    for shown in (*steps, "floor", "CPU : floor", "claims/s"):
        assert shown in done.stdout
