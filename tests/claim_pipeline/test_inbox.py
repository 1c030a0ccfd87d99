"""Which files in an inbox are deliveries, and when."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import time
import unicodedata
from pathlib import Path

import pytest

from claim_pipeline import inbox, renames
from claim_pipeline.renames import Watcher, remembered

NOW = time.time() + 86400 * 365  # beyond the ctime of whatever these tests write


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


def in_place(root: Path, name: str, content: bytes = b"claims") -> Path:
    """Writes a file under its final name, as a client does that knows no other."""
    path = root / "27001" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def renamed_later(path: Path, name: str) -> Path:
    """Renames a file once the kernel's clock has gone on since it was written."""
    written = path.lstat().st_mtime_ns
    target = path.with_name(name)
    other = path.with_name(".other.part")
    while path.lstat().st_ctime_ns <= written:
        path.rename(other)
        other.rename(path)
    path.rename(target)
    return target


def test_a_file_renamed_into_place_counts_at_once(tmp_path: Path) -> None:
    aside = in_place(tmp_path, "a.zip.part")
    in_place(tmp_path, "b.zip")
    assert inbox.scan(tmp_path, 3600) == []
    renamed_later(aside, "a.zip")
    assert [file.name for file in inbox.scan(tmp_path, 3600)] == ["a.zip"]


def test_a_renamed_file_that_its_client_goes_on_writing_is_waited_for(tmp_path: Path) -> None:
    path = renamed_later(in_place(tmp_path, "a.zip.part"), "a.zip")
    with path.open("ab") as stream:
        stream.write(b"the rest, resumed")
    assert inbox.scan(tmp_path, 3600) == []


def test_an_empty_file_is_not_whole_by_its_times_alone(tmp_path: Path) -> None:
    path = renamed_later(in_place(tmp_path, "a.zip.part", b""), "a.zip")
    path.chmod(0o640)  # as servers do between opening a file and its first bytes
    assert inbox.scan(tmp_path, 3600) == []
    assert [file.name for file in inbox.scan(tmp_path, 30, path.stat().st_mtime + 31)] == ["a.zip"]


def test_a_rename_within_one_tick_is_seen_by_the_watcher_and_remembered(tmp_path: Path) -> None:
    root, memory = tmp_path / "inbox", tmp_path / "renames.json"
    in_place(root, "here-before.zip")
    watcher = Watcher(root, memory)
    assert watcher.look(3600).files == []
    for n in range(20):
        in_place(root, f"{n}.zip.part").rename(root / "27001" / f"{n}.zip")
        in_place(root, f"in-place-{n}.zip")
    (tmp_path / "elsewhere.zip").write_bytes(b"x")
    (tmp_path / "elsewhere.zip").rename(root / "27001" / "moved-in.zip")
    wanted = sorted([*(f"{n}.zip" for n in range(20)), "moved-in.zip"])
    assert sorted(file.name for file in watcher.look(3600).files) == wanted
    seen = inbox.look(root, 3600, renamed=remembered(memory))
    assert sorted(file.name for file in seen.files) == wanted
    (root / "27001" / "0.zip").write_bytes(b"written again, in place")
    assert "0.zip" not in [file.name for file in watcher.look(3600).files]
    for path in (root / "27001").iterdir():
        path.unlink()
    watcher.look(3600)
    assert remembered(memory) == frozenset()
    watcher.close()


def test_without_the_kernels_word_what_was_there_under_a_temporary_name_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renames._Inotify, "renamed", lambda self: [])
    watcher = Watcher(tmp_path / "inbox", tmp_path / "renames.json")
    aside = in_place(tmp_path / "inbox", "a.zip.part", b"")
    assert watcher.look(3600).files == []
    aside.rename(aside.with_name("a.zip"))
    assert [file.name for file in watcher.look(3600).files] == ["a.zip"]
    watcher.close()


@pytest.mark.parametrize("content", ["", "{", "[1]", '[["a", 1, 2, 3]]', "[[1, 2]]"])
def test_a_damaged_memory_of_renames_is_no_memory(tmp_path: Path, content: str) -> None:
    (tmp_path / "renames.json").write_text(content)
    assert remembered(tmp_path / "renames.json") == frozenset()


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


def test_a_wrong_digest_is_waited_for_and_then_given_as_such(tmp_path: Path) -> None:
    path = in_place(tmp_path, "a.zip")
    (tmp_path / "27001/a.zip.sha256").write_text("0" * 64)
    written = path.stat().st_ctime
    assert inbox.look(tmp_path, 30, checksum_seconds=600, now=written + 590).files == []
    (file,) = inbox.look(tmp_path, 30, checksum_seconds=600, now=written + 601).files
    assert file.checksum_failed


def test_only_regular_files_of_facilities_count_and_the_others_are_told_and_never_opened(tmp_path: Path) -> None:
    target = drop(tmp_path, "27001", "real.zip")
    (tmp_path / "27001/link.zip").symlink_to(target)
    (tmp_path / "27001/dangling.zip").symlink_to("nowhere")
    (tmp_path / "27001/folder.zip").mkdir()
    os.mkfifo(tmp_path / "27001/pipe.zip")
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(tmp_path / "27001", os.O_PATH)
        listener.bind(f"/proc/self/fd/{folder}/socket.zip")  # the whole path may be too long for a socket
        os.close(folder)
    os.mknod(tmp_path / "27001/device.zip", stat.S_IFCHR, os.makedev(1, 3))
    (tmp_path / "27002").symlink_to(tmp_path / "27001")
    for name in ("2700", "270011", "27-01", "2700a"):
        drop(tmp_path, name, "x.zip")
    for name in ("lost+found", ".hidden"):
        drop(tmp_path, name, "x.zip")
    drop(tmp_path, "A1B2C", "letters.zip")
    (tmp_path / "12345").write_text("a file where a facility should be")
    found = inbox.look(tmp_path, 30, now=NOW)
    assert sorted(file.name for file in found.files) == ["letters.zip", "real.zip"]
    assert {(one.facility, one.name, one.kind) for one in found.refused} == {
        ("", "12345", "not-a-facility"), ("", "2700", "not-a-facility"), ("", "27-01", "not-a-facility"),
        ("", "27002", "link"), ("", "270011", "not-a-facility"), ("", "2700a", "not-a-facility"),
        ("27001", "dangling.zip", "link"), ("27001", "device.zip", "device"), ("27001", "link.zip", "link"),
        ("27001", "pipe.zip", "pipe"), ("27001", "socket.zip", "socket"),
    }  # fmt: skip


def test_files_in_folders_of_an_inbox_are_deliveries_with_their_folder_in_the_name(tmp_path: Path) -> None:
    drop(tmp_path, "27001", "tháng 7/khoa nội/a.xml")
    drop(tmp_path, "27001", "tháng 7/.upload/b.xml")
    drop(tmp_path, "27001", "tháng 7.part/c.xml")
    drop(tmp_path, "27001", "/".join([*"abcdefghi", "too-deep.xml"]))
    (tmp_path / "27001/around").symlink_to(tmp_path / "27001")
    found = inbox.look(tmp_path, 30, now=NOW)
    assert [file.name for file in found.files] == ["tháng 7/khoa nội/a.xml"]
    assert sorted((one.name, one.kind) for one in found.refused) == [
        ("a/b/c/d/e/f/g/h/i", "too-deep"),
        ("around", "link"),
    ]


ODD = (
    "hai khoảng  trắng .xml", unicodedata.normalize("NFC", "Hồ sơ tháng bảy.xml"),
    unicodedata.normalize("NFD", "Hồ sơ tháng bảy.xml"), "📄🏥.zip", "a" * 251 + ".xml", "A.xml", "a.xml",
    "dòng\nmới\x07.xml",
    "-rf", "%2e%2e.xml", "=1+1.csv", "không đuôi", "'\"`$(x).xml",
)  # fmt: skip


def test_any_name_that_a_file_system_allows_is_taken_with_its_sidecar(tmp_path: Path) -> None:
    for name in ODD:
        drop(tmp_path, "27001", name, name.encode())
        if len(name.encode()) < 248:
            (tmp_path / "27001" / f"{name}.sha256").write_text(hashlib.sha256(name.encode()).hexdigest())
    found = inbox.scan(tmp_path, 30, NOW)
    assert sorted(file.name for file in found) == sorted(ODD)
    for file in found:
        inbox.remove(file)
    assert list((tmp_path / "27001").iterdir()) == []


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


def test_a_removal_that_was_killed_leaves_nothing_for_ever(tmp_path: Path) -> None:
    path = in_place(tmp_path, ".taken-12.part")
    moved = path.stat().st_ctime
    assert inbox.look(tmp_path, 30, now=moved + 30).left_over == []
    assert inbox.look(tmp_path, 30, now=moved + 61).left_over == [path]


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
