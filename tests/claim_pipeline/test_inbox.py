"""Which files in an inbox are deliveries, and when."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from claim_pipeline import inbox

NOW = 1_800_000_000.0


def drop(root: Path, facility: str, name: str, content: bytes = b"claims", age: float = 60) -> Path:
    path = root / facility / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (NOW - age, NOW - age))
    return path


def names(root: Path, settle: float = 30) -> list[str]:
    return [file.name for file in inbox.scan(root, settle, NOW)]


def test_a_settled_file_is_whole_and_a_fresh_one_is_not(tmp_path: Path) -> None:
    drop(tmp_path, "27001", "old.zip", age=30)
    drop(tmp_path, "27001", "fresh.zip", age=29)
    assert names(tmp_path) == ["old.zip"]


def test_a_file_says_what_it_is(tmp_path: Path) -> None:
    path = drop(tmp_path, "27001", "tháng 7.zip", b"12345")
    (file,) = inbox.scan(tmp_path, 30, NOW)
    assert (file.facility, file.path, file.name, file.size) == ("27001", path, "tháng 7.zip", 5)
    assert file.mtime_ns == path.stat().st_mtime_ns


def test_names_of_unfinished_transfers_and_sidecars_are_not_deliveries(tmp_path: Path) -> None:
    for name in (".hidden", "a.part", "a.tmp", "a.FILEPART", "a.zip.filepart", "lone.zip.sha256"):
        drop(tmp_path, "27001", name)
    assert names(tmp_path) == []


def test_a_file_renamed_into_place_counts_at_once(tmp_path: Path) -> None:
    drop(tmp_path, "27001", "a.zip.part", age=40)
    assert names(tmp_path) == []
    (tmp_path / "27001/a.zip.part").rename(tmp_path / "27001/a.zip")
    assert names(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("line", ["{}", "{}\n", "{}  a.zip\n", "{} *a.zip\n", "\ufeff{}\r\n", "\\{}  a\\nb.zip"])
def test_a_matching_digest_makes_a_fresh_file_whole(tmp_path: Path, line: str) -> None:
    drop(tmp_path, "27001", "a.zip", b"whole", age=0)
    digest = hashlib.sha256(b"whole").hexdigest()
    (tmp_path / "27001/a.zip.sha256").write_text(line.format(digest.upper()), "utf-8")
    assert names(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("told", ["0" * 64, "", "not a digest", "ab" * 5000])
def test_a_digest_that_does_not_match_holds_even_an_old_file_back(tmp_path: Path, told: str) -> None:
    path = drop(tmp_path, "27001", "a.zip", b"half", age=9999)
    (tmp_path / "27001/a.zip.sha256").write_text(told)
    assert names(tmp_path) == []
    path.write_bytes(b"whole now")
    (tmp_path / "27001/a.zip.sha256").write_text(hashlib.sha256(b"whole now").hexdigest())
    assert names(tmp_path) == ["a.zip"]


def test_an_empty_file_is_a_delivery_too(tmp_path: Path) -> None:
    drop(tmp_path, "27001", "empty.xml", b"")
    assert names(tmp_path) == ["empty.xml"]


def test_a_sender_whose_clock_runs_ahead_is_not_kept_waiting_for_that_clock(tmp_path: Path) -> None:
    path = drop(tmp_path, "27001", "future.zip", age=-86400)
    written = path.stat().st_ctime
    assert [f.name for f in inbox.scan(tmp_path, 30, written + 31)] == ["future.zip"]
    assert inbox.scan(tmp_path, 30, written + 1) == []


def test_only_regular_files_in_facility_folders_count(tmp_path: Path) -> None:
    target = drop(tmp_path, "27001", "real.zip")
    (tmp_path / "27001/link.zip").symlink_to(target)
    (tmp_path / "27001/folder.zip").mkdir()
    os.mkfifo(tmp_path / "27001/pipe.zip")
    (tmp_path / "27002").symlink_to(tmp_path / "27001")
    for folder in ("2700", "270011", "27-01", "2700a", "lost+found"):
        drop(tmp_path, folder, "x.zip")
    drop(tmp_path, "A1B2C", "letters.zip")
    (tmp_path / "12345").write_text("a file where a facility should be")
    assert sorted(names(tmp_path)) == ["letters.zip", "real.zip"]


def test_an_entry_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(tmp_path, "27001", "bad.zip")
    (tmp_path / "27001/bad.zip.sha256").mkdir()  # a sidecar that is no file
    drop(tmp_path, "27001", "good.zip")
    drop(tmp_path, "27002", "unreachable.zip")
    real = os.scandir

    def scandir(path: os.PathLike[str]) -> object:
        if os.fspath(path).endswith("27002"):
            raise PermissionError(13, "no")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert names(tmp_path) == ["good.zip"]


def test_a_missing_inbox_folder_is_an_empty_one(tmp_path: Path) -> None:
    assert inbox.scan(tmp_path / "nowhere", 30) == []


def test_a_name_that_is_not_unicode_is_still_delivered(tmp_path: Path) -> None:
    folder = tmp_path / "27001"
    folder.mkdir()
    raw = os.fsencode(folder) + b"/th\xe1ng.zip"
    with open(raw, "wb") as stream:
        stream.write(b"x")
    os.utime(raw, (NOW - 60, NOW - 60))
    (file,) = inbox.scan(tmp_path, 30, NOW)
    assert file.name == "th\ufffdng.zip"
    assert file.path.read_bytes() == b"x"


def test_facilities_take_turns_oldest_first(tmp_path: Path) -> None:
    for n in range(3):
        drop(tmp_path, "11111", f"big{n}", age=1000 - n)
    drop(tmp_path, "22222", "small", age=500)
    drop(tmp_path, "33333", "oldest", age=2000)
    assert names(tmp_path) == ["oldest", "big0", "small", "big1", "big2"]


def test_remove_takes_the_file_and_its_sidecar(tmp_path: Path) -> None:
    path = drop(tmp_path, "27001", "a.zip")
    (tmp_path / "27001/a.zip.sha256").write_text(hashlib.sha256(b"claims").hexdigest())
    (file,) = inbox.scan(tmp_path, 30, NOW)
    inbox.remove(file)
    assert list(path.parent.iterdir()) == []
    inbox.remove(file)


def test_remove_leaves_another_file_that_came_under_the_same_name(tmp_path: Path) -> None:
    path = drop(tmp_path, "27001", "a.zip")
    (file,) = inbox.scan(tmp_path, 30, NOW)
    drop(tmp_path, "27001", "a.zip", b"newer", age=50)
    (tmp_path / "27001/a.zip.sha256").write_text("x")
    inbox.remove(file)
    assert path.read_bytes() == b"newer"
    assert (tmp_path / "27001/a.zip.sha256").exists()
