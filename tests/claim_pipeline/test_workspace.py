"""Claim tables in the working folder: written portion by portion, read by ranges of claims."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from claim_pipeline import table_files
from claim_pipeline.table_files import FrameFile
from claim_pipeline.workspace import Workspace
from claim_rules import cases
from claim_rules.frames import ClaimTables


def delivery(count: int, oldest: int | None = None) -> ClaimTables:
    """Copies of the base claim; the third has no XML3, `oldest` is of Decision 4210, and each names an unknown
    element."""
    one = cases.base_claim()
    claims = pd.concat([one.claims.assign(claim=at, MA_LK=f"L{at}") for at in range(count)], ignore_index=True)
    claims.loc[claims["claim"] == oldest, "decision"] = "4210"
    tables = {
        name: pd.concat([frame.assign(claim=at) for at in range(count) if (name, at) != ("XML3", 2)], ignore_index=True)
        for name, frame in one.items()
    }
    if oldest is not None:
        tables["XML1"] = tables["XML1"].assign(MA_LYDO_VVIEN="3")
    unknown = pd.DataFrame({"claim": range(count), "table": "XML1", "row": 1, "element": "X", "value": "y"})
    return ClaimTables(claims, tables, unknown)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("oldest", [None, 4])
def test_chunks_together_are_all_tables(tmp_path: Path, size: int, oldest: int | None) -> None:
    ws = Workspace(tmp_path)
    ws.write_tables(delivery(5, oldest))
    chunks = list(ws.chunks(size))
    assert [chunk.claims["MA_LK"].tolist() for chunk in chunks] == [
        [f"L{at}" for at in range(start, min(start + size, 5))] for start in range(0, 5, size)
    ]
    whole = ws.read_tables()
    assert ("MA_LYDO_VVIEN" in whole["XML1"].columns) is False
    for name, frame in (*whole.items(), ("claims", whole.claims), ("unknown", whole.unknown)):
        parts = [
            getattr(chunk, name) if name in ("claims", "unknown") else chunk.tables.get(name, frame.iloc[:0])
            for chunk in chunks
        ]
        pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), frame)


def test_a_table_that_no_claim_of_a_chunk_has_is_absent_from_it(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    ws.write_tables(delivery(4))
    assert [("XML3" in chunk, "XML1" in chunk) for chunk in ws.chunks(1)] == [
        (True, True),
        (True, True),
        (False, True),
        (True, True),
    ]


def test_chunks_as_sent_keep_the_elements_of_the_oldest_decision(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    ws.write_tables(delivery(2, 0))
    assert ["MA_LYDO_VVIEN" in chunk["XML1"].columns for chunk in ws.chunks(1, as_sent=True)] == [True, True]


def test_nothing_was_read(tmp_path: Path) -> None:
    assert list(Workspace(tmp_path).chunks()) == []


def test_columns_that_come_late_are_absent_before(tmp_path: Path) -> None:
    narrow = pd.DataFrame({"claim": range(20_000), "A": "a"})
    wide = pd.DataFrame({"claim": [20_000], "A": ["a"], "B": ["b"]})
    file = FrameFile(tmp_path / "XML1.parquet")
    for frame in (narrow, wide, narrow.head(1)):
        file.add(frame)
    assert list(tmp_path.glob("*.parquet")) == []
    file.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["XML1.parquet"]
    found = table_files.read(tmp_path / "XML1.parquet")
    assert found.columns.tolist() == ["claim", "A", "B"]
    assert found["B"].isna().tolist() == [True] * 20_000 + [False, True]


@pytest.mark.parametrize("in_between", ["", "B"])
def test_a_large_frame_is_a_folder_of_files_and_reads_as_one(tmp_path: Path, in_between: str) -> None:
    """in_between: a column that only later portions have."""
    ws = Workspace(tmp_path)
    names = [f"F{number}" for number in range(table_files._PART_COLUMNS // 2)]
    portions = [
        pd.DataFrame({"claim": [2 * turn, 2 * turn + 1]} | {name: ["a" * 1_200, f"{turn}"] for name in names})
        for turn in range(7)
    ]
    if in_between:
        portions[3:] = [portion.assign(**{in_between: "late"}) for portion in portions[3:]]
    file = FrameFile(tmp_path / "XML1.parquet")
    for portion in portions:
        file.add(portion)
    file.finish()
    assert len(table_files.parts(tmp_path / "XML1.parquet")) > 2
    whole = pd.concat(portions, ignore_index=True)
    pd.testing.assert_frame_equal(ws.read_frame("XML1"), whole)
    rows = table_files.RowsByClaim(tmp_path / "XML1.parquet")
    parts = [rows.before(claim) for claim in (1, 1, 9, 14)]
    assert [len(part) for part in parts] == [1, 0, 8, 5]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)
    rows.close()
    ws.write_frame("XML1", whole.head(1))  # takes the folder's place
    pd.testing.assert_frame_equal(ws.read_frame("XML1"), whole.head(1))
    ws.remove_frame("XML1")
    assert list(tmp_path.iterdir()) == []


def test_a_file_given_up_leaves_nothing(tmp_path: Path) -> None:
    file = FrameFile(tmp_path / "XML1.parquet")
    file.add(pd.DataFrame({"claim": range(20_000)}))
    file.discard()
    assert list(tmp_path.iterdir()) == []
