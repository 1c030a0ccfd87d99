"""Content-addressed store of every byte received and sent; the only module that knows where bytes live."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import time
import uuid
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from claim_pipeline.errors import OperatorError

_KEY = re.compile(r"sha256/([0-9a-f]{2})/([0-9a-f]{2})/(\1\2[0-9a-f]{60})")
_CHUNK = 1 << 20
_LEFT_OVER_SECONDS = 86400.0


class Archive:
    """Objects named by their SHA-256 under one fsspec location (a folder, or a URL such as s3://bucket/prefix).

    An object appears under its key only when all of its bytes are there; storing the same bytes again changes nothing.
    """

    def __init__(self, location: str) -> None:
        self._fs, self._root = fsspec.core.url_to_fs(location)
        self._local = isinstance(self._fs, LocalFileSystem)

    def put(self, path: Path) -> tuple[str, str, int]:
        """Stores the bytes of a regular file; returns (SHA-256, key, size in bytes) of what was stored.

        They survive a power cut after the next `sync`. A link, pipe or device is an OSError and is not read.
        """
        aside = f"{self._root}/incoming/{uuid.uuid4().hex}.part"
        self._fs.makedirs(f"{self._root}/incoming", exist_ok=True)
        try:
            with _regular(path) as source, self._fs.open(aside, "wb") as target:
                digest, size = _copy(source, target)
            key = self.key(digest)
            if not self._holds(key, size):
                place = self._place(key)
                self._fs.makedirs(place.rpartition("/")[0], exist_ok=True)
                if self._local:
                    os.replace(aside, place)
                else:
                    self._fs.mv(aside, place)
        finally:
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(aside)
        return digest, key, size

    def keep(self, path: Path) -> str:
        """Stores the bytes of a file so that they survive a power cut from now on; returns their key."""
        key = self.put(path)[1]
        if self._local:
            for place in (self._place(key), self._place(key).rpartition("/")[0]):
                handle = os.open(place, os.O_RDONLY)
                os.fsync(handle)
                os.close(handle)
        return key

    @staticmethod
    def key(sha256: str) -> str:
        """The key under which bytes with this SHA-256 are stored."""
        return f"sha256/{sha256[:2]}/{sha256[2:4]}/{sha256}"

    def tidy(self) -> None:
        """Removes what a `put` that was killed left behind more than a day ago."""
        if not self._local or not os.path.isdir(f"{self._root}/incoming"):
            return
        with os.scandir(f"{self._root}/incoming") as entries:
            old = [entry.path for entry in entries if time.time() - entry.stat().st_mtime > _LEFT_OVER_SECONDS]
        for path in old:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def sync(self) -> None:
        """Returns when all that was put before survives a power cut."""
        if self._local:
            os.sync()  # files and the folders that name them, by one request for all

    def open(self, key: str) -> IO[bytes]:
        """The object's bytes as a stream, to be closed. Raises OperatorError for a key that is not in the archive."""
        try:
            stream: IO[bytes] = self._fs.open(self._place(key), "rb")
        except FileNotFoundError:
            raise _missing(key) from None
        return stream

    def copy_to(self, key: str, path: Path) -> None:
        """Writes the object to a local file, at once or not at all. Raises OperatorError where the bytes no longer
        have the digest that names them."""
        aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.open(key) as source, aside.open("wb") as target:
                digest, _ = _copy(source, target)
            if digest != key.rpartition("/")[2]:
                raise OperatorError(
                    "archive-damaged",
                    f"Đối tượng lưu trữ {key} đã bị thay đổi",
                    f"archive object {key} no longer has the bytes it is named by",
                    "Khôi phục đối tượng từ bản sao lưu",
                    "restore the object from a backup",
                )
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)

    def verify(self, key: str) -> bool:
        """Whether the object is there with exactly the bytes that its key names."""
        try:
            with self.open(key) as source:
                digest, _ = _copy(source, None)
        except OperatorError:
            return False
        return digest == key.rpartition("/")[2]

    def _place(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise _missing(key)
        return f"{self._root}/{key}"

    def _holds(self, key: str, size: int) -> bool:
        try:
            return int(self._fs.info(self._place(key))["size"]) == size
        except FileNotFoundError:
            return False


def _regular(path: Path) -> IO[bytes]:
    # never follows a link, never waits for the other end of a pipe
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file")
    return os.fdopen(handle, "rb")


def _copy(source: IO[bytes], target: Any) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = 0
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
        if target is not None:
            target.write(chunk)
    return digest.hexdigest(), size


def _missing(key: str) -> OperatorError:
    return OperatorError(
        "archive-missing",
        f"Không có {key!r} trong kho lưu trữ",
        f"{key!r} is not in the archive",
        "Kiểm tra cấu hình GIAMDINH_ARCHIVE_URL",
        "check the setting GIAMDINH_ARCHIVE_URL",
    )
