"""Values that a spreadsheet program would run are plain text in what we write."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from claim_pipeline.respond import sheets


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "{=", "https://", "mailto:"])
def test_what_a_hospital_sent_is_never_a_formula_or_link(tmp_path: Path, appraised: dict[str, Any], start: str) -> None:
    for found in appraised["claims"]:
        found["MA_LK"] = f"{start}1+1"
        for finding in found["findings"]:
            finding["observed"] = f'{start}cmd|"/c calc"!A1'
    path = tmp_path / "report.xlsx"
    sheets.render(appraised, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if "worksheets/" in name}
    assert parts
    assert any(b"cmd" in part for part in parts.values())
    for name, part in parts.items():
        assert b"<f>" not in part
        assert b"<f " not in part
        assert b"<hyperlink " not in re.sub(rb"<hyperlink [^>]*location=", b"", part)
        assert not name.endswith(".rels") or b"calc" not in part
