"""The facilities' inboxes: what a delivery is and when it is whole. Standard library only (a trigger uses it)."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from claim_pipeline import faults

SIDECAR = ".sha256"
BEING_WRITTEN = (".part", ".tmp", ".filepart")
DEEPEST = 8  # folders within folders of an inbox; what lies deeper is refused
_FACILITY = re.compile(r"[0-9A-Z]{5}")
_NOT_OURS = ("lost+found",)  # what a file system keeps for itself beside the facilities' folders
_DIGEST = re.compile(
    r"\\?([0-9A-Fa-f]{64})(?:\s|$)"
)  # bare hex, or a sha256sum line (a backslash marks an escaped name)
_TAKEN = re.compile(r"\.taken-[0-9]+\.part")
_LEFT_OVER_SECONDS = 60.0  # longer than the moment for which `remove` needs that name
_SIDECAR_LIMIT = 4096  # bytes: one sha256sum line with the longest file name is shorter

Stamp = tuple[int, int, int, int]
"""One state of one file: device, inode, size, mtime in ns. It goes along when the file is renamed."""


@dataclass(frozen=True)
class InboxFile:
    """One whole delivery in an inbox. `name` is valid Unicode even where the file name is not; in a folder of the
    inbox it is `folder/file`. checksum_failed: its sidecar holds another digest, and nothing has moved for long."""

    facility: str
    path: Path
    name: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    checksum_failed: bool = False

    @property
    def stamp(self) -> Stamp:
        return self.device, self.inode, self.size, self.mtime_ns

    @property
    def appearance(self) -> str:
        """Tells this appearance of the file in the inbox from any other, also of the same bytes under the same name."""
        told = f"{self.inode}-{self.mtime_ns}-{self.ctime_ns}-{self.name}"
        return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True)
class Refused:
    """Something in an inbox that is no file to be taken and was not opened.

    facility: name of its folder, "" for the folder of all inboxes. kind: "link", "pipe", "socket", "device",
    "unreadable", "too-deep" or "not-a-facility" (a folder whose name cannot be a MA_CSKCB, a file beside the folders).
    """

    facility: str
    name: str
    kind: str


@dataclass
class Look:
    """What one look at the inboxes found.

    files: whole, in the order in which to take them. settling: files that are not whole yet under the name of a
    delivery, with the time (seconds since the epoch) at which they will be if nobody touches them (None: they wait for
    their checksum). unfinished: device and inode of files under a name of unfinished transfers. folders: of the
    facilities, and those inside them. left_over: of a `remove` that was killed.
    """

    files: list[InboxFile] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    settling: dict[Stamp, float | None] = field(default_factory=dict)
    unfinished: set[tuple[int, int]] = field(default_factory=set)
    folders: list[Path] = field(default_factory=list)
    left_over: list[Path] = field(default_factory=list)


def look(
    root: Path,
    settle_seconds: float,
    *,
    checksum_seconds: float = float("inf"),
    renamed: Collection[Stamp] = (),
    now: float | None = None,
) -> Look:
    """One look at all inboxes `root/<MA_CSKCB>/` and the folders inside them; nothing is opened but checksums.

    A file with `<name>.sha256` beside it is whole when that holds its SHA-256; when it holds another for
    `checksum_seconds`, the file is given with checksum_failed. Any other file is whole when

    - it came under its name by rename: `renamed` has its stamp (claim_pipeline.renames saw it happen), or its ctime is
      later than its mtime. A rename sets the one and leaves the other, a write sets both to the same moment. An empty
      file proves nothing by that, since programs set modes and owners before they write;
    - or it has stood still for `settle_seconds` at time `now` (seconds since the epoch; a sender's clock that runs
      ahead counts no more than our own, the ctime).

    Facilities take turns: the oldest file of each, then the second oldest of each, so that one facility's thousand
    files do not keep another's waiting. Links are never followed. Source: contracts, folders.
    """
    at = time.time() if now is None else now
    found = Look()
    turns: list[tuple[int, int, str, InboxFile]] = []
    for folder in _entries(root, found, "", ""):
        if folder.name.startswith(".") or folder.name in _NOT_OURS:
            continue
        if not _FACILITY.fullmatch(folder.name) or not _is_folder(folder):
            found.refused.append(Refused("", _unicode(folder.name), _kind(folder) or "not-a-facility"))
            continue
        whole = list(_whole(folder, folder.name, "", found, settle_seconds, checksum_seconds, renamed, at))
        whole.sort(key=lambda file: (file.mtime_ns, file.path.name))
        turns.extend((turn, file.mtime_ns, file.facility, file) for turn, file in enumerate(whole))
    found.files = [file for *_, file in sorted(turns, key=lambda entry: entry[:3])]
    return found


def scan(root: Path, settle_seconds: float, now: float | None = None) -> list[InboxFile]:
    """The whole files of all inboxes, by a single look (see `look`)."""
    return look(root, settle_seconds, now=now).files


def remove(file: InboxFile) -> None:
    """Takes the file and its sidecar out of the inbox, unless another has come in its place since it was seen.

    It is moved aside first, so that what is removed is what was looked at, whatever comes in that very moment.
    """
    aside = file.path.with_name(f".taken-{file.inode}.part")
    try:
        if stamp(file.path.lstat()) != file.stamp:
            return
        os.rename(file.path, aside)
        moved = aside.lstat()
        if stamp(moved) != file.stamp:
            _put_back(aside, file.path)
            return
        faults.point("receive:removing")
        aside.unlink()
    except FileNotFoundError:
        return
    try:
        _sidecar(file.path).unlink()
    except OSError:
        return  # there is none, or its name would be too long for one


def _put_back(aside: Path, path: Path) -> None:
    try:
        os.link(aside, path, follow_symlinks=False)
    except FileExistsError:  # a third one has come: both stay
        os.link(aside, path.with_name(f"{aside.lstat().st_ino}-{path.name}"), follow_symlinks=False)
    aside.unlink()


def stamp(seen: os.stat_result) -> Stamp:
    """The stamp of a file, of its lstat."""
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns


def _entries(folder: Path | os.DirEntry[str], found: Look, facility: str, name: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except OSError:
        found.refused.append(Refused(facility, name, "unreadable"))
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _kind(entry: os.DirEntry[str]) -> str | None:
    """What an entry is if it is neither a file nor a folder."""
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
    except OSError:
        return "unreadable"
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    kinds = {stat.S_IFLNK: "link", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device")


def _is_unfinished(name: str) -> bool:
    return name.startswith(".") or name.lower().endswith(BEING_WRITTEN)


def _whole(
    folder: os.DirEntry[str],
    facility: str,
    within: str,
    found: Look,
    settle_seconds: float,
    checksum_seconds: float,
    renamed: Collection[Stamp],
    at: float,
) -> Iterator[InboxFile]:
    found.folders.append(Path(folder.path))
    entries = _entries(folder, found, facility, within)
    names = {entry.name for entry in entries}
    for entry in entries:
        name = within + _unicode(entry.name)
        if _is_folder(entry):
            if _is_unfinished(entry.name):
                continue
            if within.count("/") >= DEEPEST:
                found.refused.append(Refused(facility, name, "too-deep"))
                continue
            yield from _whole(entry, facility, f"{name}/", found, settle_seconds, checksum_seconds, renamed, at)
            continue
        try:
            seen = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # it has gone since: taken by another, or called back by its sender
        except OSError:
            found.refused.append(Refused(facility, name, "unreadable"))
            continue
        if _is_unfinished(entry.name):
            found.unfinished.add((seen.st_dev, seen.st_ino))
            if _TAKEN.fullmatch(entry.name) and at - seen.st_ctime > _LEFT_OVER_SECONDS:
                found.left_over.append(Path(entry.path))
            continue
        if entry.name.lower().endswith(SIDECAR) and stat.S_ISREG(seen.st_mode):
            continue
        if kind := _kind(entry):
            found.refused.append(Refused(facility, name, kind))
            continue
        times = (seen.st_mtime_ns, seen.st_ctime_ns)
        file = InboxFile(facility, Path(entry.path), name, seen.st_size, *times, seen.st_ino, seen.st_dev)
        if entry.name + SIDECAR in names:
            state = _checked(file, seen, checksum_seconds, at)
            if state is not None:
                yield state
            else:
                found.settling[file.stamp] = None
            continue
        by_rename = file.stamp in renamed or (seen.st_size > 0 and seen.st_ctime_ns > seen.st_mtime_ns)
        settled_at = _last_moved(seen, at) + settle_seconds
        if by_rename or settled_at <= at:
            yield file
        else:
            found.settling[file.stamp] = settled_at


def _last_moved(seen: os.stat_result, now: float) -> float:
    moved = seen.st_mtime_ns / 1e9
    if moved > now:  # a sender's clock that runs ahead must not hold the file back: take our own clock's word
        moved = min(moved, seen.st_ctime_ns / 1e9)
    return moved


def _checked(file: InboxFile, seen: os.stat_result, checksum_seconds: float, now: float) -> InboxFile | None:
    """The file if its sidecar tells its digest, or has told another for too long; None while it is to be waited for."""
    try:
        beside = _sidecar(file.path).lstat()
        if stat.S_ISREG(beside.st_mode) and _matches(file, beside.st_size, beside.st_mtime_ns):
            return file
    except OSError:
        return None
    if now - max(seen.st_ctime, beside.st_ctime) < checksum_seconds:
        return None
    return replace(file, checksum_failed=True)


@lru_cache(maxsize=16384)
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


def _unicode(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
