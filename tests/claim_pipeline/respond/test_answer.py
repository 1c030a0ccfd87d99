"""The answer folder: where it is, what is in it, and that it survives kills and clashes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from claim_pipeline import respond


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def receipt(folder: Path) -> dict[str, object]:
    return json.loads((folder / "receipt.json").read_text("utf-8"))


def test_the_receipt_is_there_at_once_in_a_folder_named_by_time_and_content(tmp_path, appraised, make_row, make_store):
    row = make_row(appraised)
    folder = respond.receive(make_store(row), row, tmp_path)
    assert folder == tmp_path / "27001" / "20260715-235900-9f2c0000"
    assert names(folder) == ["receipt.json"]
    got = receipt(folder)
    assert got["file"] == "tháng 7 <b>.zip"
    assert got["received_at"] == "2026-07-15T23:59:00+07:00"
    assert got["size"] == 1
    assert got["status"] == "received"
    assert got["delivery"] == 1
    assert got["sha256"] == appraised["delivery"]["sha256"]
    assert "report.html" in got["next_vi"]
    assert "report.html" in got["next_en"]
    assert got["repeat"] is False
    assert respond.receive(make_store(row), row, tmp_path) == folder
    assert names(tmp_path / "27001") == [folder.name]


def test_reports_come_into_the_folder_of_the_receipt(tmp_path, appraised, make_row, make_store, make_workspace):
    row, ws = make_row(appraised), make_workspace(appraised)
    folder = respond.run(ws, make_store(row), tmp_path / "out", row)
    everything = ["receipt.json", "report.html", "report.json", "report.xlsx", "submission.xml"]
    assert names(folder) == everything
    assert json.loads((folder / "report.json").read_text("utf-8")) == appraised
    assert (folder / "submission.xml").read_text() == "<GIAMDINHHS/>"
    assert (folder / "report.html").stat().st_mode & 0o044 == 0o044


def test_running_twice_leaves_the_same_bytes(tmp_path, appraised, make_row, make_store, make_workspace):
    row, ws = make_row(appraised), make_workspace(appraised)
    folder = respond.run(ws, make_store(row), tmp_path / "out", row)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert respond.run(ws, make_store(row), tmp_path / "out", row) == folder
    (folder / "report.json").unlink()  # as if killed before the end
    (folder / ".report.xlsx.part").write_text("half a file")
    assert respond.run(ws, make_store(row), tmp_path / "out", row) == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_report_comes_last(tmp_path, appraised, make_row, make_store, make_workspace, monkeypatch):
    row, ws = make_row(appraised), make_workspace(appraised)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(respond, "render_xlsx", stop)
    with pytest.raises(KeyboardInterrupt):
        respond.run(ws, make_store(row), tmp_path / "out", row)
    (folder,) = (tmp_path / "out" / "27001").iterdir()
    assert "report.json" not in names(folder)


def test_a_quarantined_delivery_has_no_submission(tmp_path, quarantined, make_row, make_store, make_workspace):
    row, ws = make_row(quarantined), make_workspace(quarantined)
    folder = respond.run(ws, make_store(row), tmp_path / "out", row)
    assert names(folder) == ["receipt.json", "report.html", "report.json", "report.xlsx"]


def test_two_deliveries_of_one_second_get_two_folders(tmp_path, appraised, make_row, make_store):
    rows = [make_row(appraised, number) for number in (1, 2, 3)]
    folders = [respond.receive(make_store(row), row, tmp_path).name for row in rows]
    assert folders == ["20260715-235900-9f2c0000", "20260715-235901-9f2c0000", "20260715-235902-9f2c0000"]
    assert [respond.receive(make_store(row), row, tmp_path).name for row in rows] == folders


def test_what_a_killed_receipt_left_is_no_answer(tmp_path, appraised, make_row, make_store):
    row = make_row(appraised)
    (tmp_path / "27001" / ".20260715-235900-9f2c0000.1.part").mkdir(parents=True)
    folder = respond.receive(make_store(row), row, tmp_path)
    assert names(tmp_path / "27001") == [folder.name]


def test_a_repeat_gets_its_own_folder_and_the_first_reports(tmp_path, appraised, make_row, make_store, make_workspace):
    first, ws = make_row(appraised), make_workspace(appraised)
    again = make_row(appraised, 7, repeat_of=1, received_at=first.received_at + timedelta(hours=2), file="again.zip")
    store = make_store(first, again)
    out = tmp_path / "out"

    early = respond.receive(store, again, out)
    assert early.name == "20260716-015900-9f2c0000"
    assert names(early) == ["receipt.json"]
    assert receipt(early)["first_answer"] == "20260715-235900-9f2c0000"

    answer = respond.run(ws, store, out, first)
    answered = make_row(appraised, answered_at=first.received_at, answer_folder=f"27001/{answer.name}")
    folder = respond.repeat(make_store(answered, again), again, out)
    assert folder == early
    got = receipt(folder)
    assert got["repeat"] is True
    assert got["status"] == "repeat"
    assert got["first_received_at"] == "2026-07-15T23:59:00+07:00"
    assert got["first_answer"] == answer.name
    assert names(folder) == names(answer)
    assert (folder / "report.json").read_bytes() == (answer / "report.json").read_bytes()


def test_without_a_database_the_working_folder_says_whose_it_is(tmp_path, appraised, make_workspace):
    ws = make_workspace(appraised)
    folder = respond.run(ws, None, tmp_path / "out")
    assert folder.parent.name == "27001"
    assert respond.run(ws, None, tmp_path / "out") == folder


@pytest.mark.parametrize("facility", ["../27001", "", "a/b", ".27001", "27001\n"])
def test_a_facility_that_is_no_folder_name_gets_none(tmp_path, facility):
    with pytest.raises(ValueError, match="folder name"):
        respond.write_receipt(tmp_path, facility, "f", "0" * 64, datetime.fromisoformat("2026-07-15T08:00:00+07:00"))
    assert list(tmp_path.iterdir()) == []
