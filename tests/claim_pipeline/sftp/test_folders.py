"""What a facility sees and may do, below the protocol: limits, races and names that no ordinary client sends."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from claim_pipeline.sftp.folders import KEEP_SECONDS, Folders, OpenFile, forget_old_uploads


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Folders]:
    made = Folders(tmp_path / "in" / "27001", tmp_path / "out" / "27001", file_bytes=1000, waiting_bytes=2000)
    yield made
    made.close()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "in" / "27001"


def send(folders: Folders, name: bytes, content: bytes, *, truncate: bool = True) -> OpenFile:
    file = folders.open_upload(b"/inbox/" + name, create=True, truncate=truncate)
    folders.write(file, 0, content)
    return file


def fails(number: int):
    return pytest.raises(OSError, match=os.strerror(number))


def test_an_upload_comes_into_the_inbox_when_it_is_finished(folders: Folders, inbox: Path):
    file = send(folders, b"a.xml", b"abc")
    assert not (inbox / "a.xml").exists()
    assert folders.stat(b"/inbox/a.xml").st_size == 3
    assert folders.finish(file) == 3
    assert (inbox / "a.xml").read_bytes() == b"abc"
    assert [entry.name for entry in folders.entries(b"/inbox")] == [b"a.xml"]


def test_a_hole_is_refused(folders: Folders):
    file = send(folders, b"a.xml", b"abc")
    with fails(errno.EINVAL):
        folders.write(file, 4, b"x")
    with fails(errno.EINVAL):
        folders.truncate(file, 10)


def test_an_upload_that_lost_bytes_is_not_whole_when_it_is_closed(folders: Folders, inbox: Path):
    file = send(folders, b"a.xml", b"x" * 1000)
    with fails(errno.EFBIG):
        folders.write(file, 1000, b"x")
    assert folders.finish(file) is None
    assert not (inbox / "a.xml").exists()


def test_sizes_are_bounded(folders: Folders):
    folders.finish(send(folders, b"a.xml", b"x" * 1000))
    folders.finish(send(folders, b"b.xml", b"x" * 1000))
    folders._waiting = (-100.0, 0)
    with fails(errno.EDQUOT):
        send(folders, b"c.xml", b"x")


def test_who_still_holds_an_old_upload_cannot_finish_a_new_one(folders: Folders, inbox: Path):
    old = send(folders, b"a.xml", b"old")
    new = send(folders, b"a.xml", b"new and longer")
    folders.write(old, 3, b" tail")
    assert folders.finish(old) is None
    assert not (inbox / "a.xml").exists()
    assert folders.finish(new) == 14
    assert (inbox / "a.xml").read_bytes() == b"new and longer"


def test_a_new_upload_leaves_the_file_that_waits_until_it_is_whole(folders: Folders, inbox: Path):
    folders.finish(send(folders, b"a.xml", b"first"))
    second = send(folders, b"a.xml", b"second")
    assert (inbox / "a.xml").read_bytes() == b"first"
    folders.finish(second)
    assert (inbox / "a.xml").read_bytes() == b"second"


def test_a_rename_replaces_only_if_asked(folders: Folders, inbox: Path):
    for name in (b"a", b"b"):
        folders.finish(send(folders, name, name))
    with fails(errno.EEXIST):
        folders.rename(b"/inbox/a", b"/inbox/b", replace=False)
    folders.rename(b"/inbox/a", b"/inbox/c", replace=False)
    folders.rename(b"/inbox/c", b"/inbox/b", replace=True)
    assert {path.name: path.read_text() for path in inbox.iterdir() if path.is_file()} == {"b": "a"}


@pytest.mark.parametrize(
    "path",
    [b"/inbox/../../x", b"/inbox/a/../../../x", b"/inbox", b"/", b"", b"//", b"/inbox/.uploads/x", b"/inbox/.uploads"],
)
def test_only_names_in_the_inbox_are_written(folders: Folders, path: bytes):
    with fails(errno.EACCES):
        folders.open_upload(path, create=True, truncate=True)


def test_a_name_with_a_zero_byte_is_refused(folders: Folders):
    with fails(errno.EINVAL):
        folders.stat(b"/inbox/a\0b")


@pytest.mark.parametrize("name", ["tháng 7 🏥.xml".encode(), b"\xff\xfe.xml", b"a" * 255, b"-rf *"])
def test_odd_names_are_names(folders: Folders, inbox: Path, name: bytes):
    folders.finish(send(folders, name, b"x"))
    assert os.listdir(os.fsencode(inbox)).count(name) == 1
    folders.remove(b"/inbox/" + name)
    assert folders.entries(b"/inbox") == []


def test_links_and_pipes_in_the_inbox_are_not_there(folders: Folders, inbox: Path, tmp_path: Path):
    (tmp_path / "secret").write_text("secret")
    (inbox / "link").symlink_to(tmp_path / "secret")
    (inbox / ".uploads" / "other").symlink_to(tmp_path / "secret")
    os.mkfifo(inbox / "pipe")
    assert folders.entries(b"/inbox") == []
    for name in (b"link", b"pipe", b"other"):
        with fails(errno.ENOENT):
            folders.stat(b"/inbox/" + name)
    with pytest.raises(OSError):  # noqa: PT011 - which error it is depends on the system
        folders.open_upload(b"/inbox/other", create=True, truncate=False)
    assert (tmp_path / "secret").read_text() == "secret"


def test_a_folder_that_is_a_link_is_no_inbox(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "27001").symlink_to(tmp_path)
    with pytest.raises(OSError):  # noqa: PT011
        Folders(tmp_path / "in" / "27001", tmp_path / "out", file_bytes=1, waiting_bytes=1)


def test_an_outbox_is_empty_before_the_first_answer(folders: Folders):
    assert folders.entries(b"/outbox") == []
    assert {entry.name for entry in folders.entries(b"/")} == {b"inbox", b"outbox"}


def test_uploads_cut_long_ago_are_forgotten(folders: Folders, inbox: Path, tmp_path: Path):
    os.close(send(folders, b"a.xml", b"abc").descriptor)
    now = (inbox / ".uploads" / "a.xml").stat().st_mtime
    assert forget_old_uploads(tmp_path / "in", now + KEEP_SECONDS - 1) == 0
    assert forget_old_uploads(tmp_path / "in", now + KEEP_SECONDS + 1) == 1
    assert folders.entries(b"/inbox") == []
