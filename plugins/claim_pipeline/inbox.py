"""The facilities' inboxes: what a delivery is and when it is whole. Standard library only (a trigger uses it)."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

SIDECAR = ".sha256"
BEING_WRITTEN = (".part", ".tmp", ".filepart")
_FACILITY = re.compile(r"[0-9A-Z]{5}")
_DIGEST = re.compile(
    r"\\?([0-9A-Fa-f]{64})(?:\s|$)"
)  # bare hex, or a sha256sum line (a backslash marks an escaped name)
_SIDECAR_LIMIT = 4096  # bytes: one sha256sum line with the longest file name is shorter


@dataclass(frozen=True)
class InboxFile:
    """One whole delivery in an inbox. `name` is valid Unicode even where the file name is not."""

    facility: str
    path: Path
    name: str
    size: int
    mtime_ns: int


def scan(root: Path, settle_seconds: float, now: float | None = None) -> list[InboxFile]:
    """The whole files of all facilities' inboxes `root/<MA_CSKCB>/`, oldest first.

    Facilities take turns: the oldest file of each, then the second oldest of each, so that one facility's thousand
    files do not keep another's waiting. A file is whole when `<name>.sha256` beside it holds its SHA-256; with no such
    sidecar, when it has stood still for `settle_seconds` at time `now` (seconds since the epoch). A rename keeps the
    age of a file, so what arrives by rename after being written elsewhere counts at once. A file whose sidecar holds
    another digest is not whole. Links, devices, folders and names of unfinished transfers are passed over, and so is
    any entry that cannot be read. Source: contracts, folders.
    """
    at = time.time() if now is None else now
    turns: list[tuple[int, int, str, InboxFile]] = []
    for folder in _entries(root):
        if not _FACILITY.fullmatch(folder.name) or not _is_folder(folder):
            continue
        whole = [file for file in _files(folder) if _is_whole(file, settle_seconds, at)]
        whole.sort(key=lambda file: (file.mtime_ns, file.path.name))
        turns.extend((turn, file.mtime_ns, file.facility, file) for turn, file in enumerate(whole))
    return [file for *_, file in sorted(turns, key=lambda entry: entry[:3])]


def remove(file: InboxFile) -> None:
    """Takes the file and its sidecar out of the inbox, unless another has come in its place since it was seen."""
    try:
        seen = file.path.lstat()
        if stat.S_ISREG(seen.st_mode) and (seen.st_size, seen.st_mtime_ns) == (file.size, file.mtime_ns):
            file.path.unlink()
            _sidecar(file.path).unlink(missing_ok=True)
    except FileNotFoundError:
        return


def _entries(folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _files(folder: os.DirEntry[str]) -> Iterator[InboxFile]:
    for entry in _entries(folder):
        lower = entry.name.lower()
        if entry.name.startswith(".") or lower.endswith(BEING_WRITTEN) or lower.endswith(SIDECAR):
            continue
        try:
            seen = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISREG(seen.st_mode):
            name = entry.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            yield InboxFile(folder.name, Path(entry.path), name, seen.st_size, seen.st_mtime_ns)


def _is_whole(file: InboxFile, settle_seconds: float, now: float) -> bool:
    try:
        beside = _sidecar(file.path).lstat()
    except OSError:
        return _has_settled(file, settle_seconds, now)
    try:
        return stat.S_ISREG(beside.st_mode) and _matches(file, beside.st_size, beside.st_mtime_ns)
    except OSError:
        return False


def _has_settled(file: InboxFile, settle_seconds: float, now: float) -> bool:
    moved = file.mtime_ns / 1e9
    try:
        seen = file.path.lstat()
    except OSError:
        return False
    if (seen.st_size, seen.st_mtime_ns) != (file.size, file.mtime_ns):
        return False
    if moved > now:  # a sender's clock that runs ahead must not hold the file back: take our own clock's word
        moved = min(moved, seen.st_ctime)
    return now - moved >= settle_seconds


@lru_cache(maxsize=1024)
def _matches(file: InboxFile, sidecar_size: int, sidecar_mtime_ns: int) -> bool:
    """Whether the sidecar holds the file's digest. Remembered for as long as neither has changed, since a look at the
    inboxes every two seconds must not hash a large unmatched file every two seconds."""
    if sidecar_size > _SIDECAR_LIMIT:
        return False
    told = _DIGEST.match(_sidecar(file.path).read_text("utf-8-sig", "replace").strip())
    if told is None:
        return False
    with file.path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == told[1].lower()


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + SIDECAR)
