"""The archive keeps bytes under the digest that names them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from claim_pipeline.archive import Archive
from claim_pipeline.errors import OperatorError


@pytest.fixture(params=["local", "memory"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    return Archive(str(tmp_path / "archive") if request.param == "local" else f"memory://{tmp_path.name}")


def test_bytes_come_back_under_their_digest(archive: Archive, tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000
    source = tmp_path / "a.zip"
    source.write_bytes(content)
    digest, key, size = archive.put(source)
    assert digest == hashlib.sha256(content).hexdigest()
    assert key == f"sha256/{digest[:2]}/{digest[2:4]}/{digest}"
    assert size == len(content)
    with archive.open(key) as stream:
        assert stream.read() == content
    archive.copy_to(key, tmp_path / "out/copy.zip")
    assert (tmp_path / "out/copy.zip").read_bytes() == content
    assert archive.verify(key)


def test_the_same_bytes_again_change_nothing(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"same")
    (tmp_path / "b").write_bytes(b"same")
    assert archive.put(tmp_path / "a") == archive.put(tmp_path / "b")


def test_an_empty_file_can_be_kept(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    _, key, size = archive.put(tmp_path / "a")
    assert size == 0
    assert archive.verify(key)


def test_nothing_but_whole_objects_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    store = Archive(str(tmp_path / "archive"))
    _, key, _ = store.put(tmp_path / "a")
    store.put(tmp_path / "a")
    files = [p.relative_to(tmp_path / "archive").as_posix() for p in (tmp_path / "archive").rglob("*") if p.is_file()]
    assert files == [key]


def test_a_damaged_object_is_noticed_and_never_copied(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    store = Archive(str(tmp_path / "archive"))
    _, key, _ = store.put(tmp_path / "a")
    (tmp_path / "archive" / key).write_bytes(b"two")
    assert not store.verify(key)
    with pytest.raises(OperatorError, match="archive-damaged"):
        store.copy_to(key, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("key", ["sha256/ab/cd/" + "abcd" + "0" * 60, "../../etc/passwd", "sha256/../x", ""])
def test_a_key_that_is_not_there(archive: Archive, tmp_path: Path, key: str) -> None:
    assert not archive.verify(key)
    with pytest.raises(OperatorError, match="archive-missing"):
        archive.open(key)
    with pytest.raises(OperatorError, match="archive-missing"):
        archive.copy_to(key, tmp_path / "copy")
