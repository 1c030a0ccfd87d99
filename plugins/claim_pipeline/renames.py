"""Which files of the inboxes came under their name by rename: seen by the process that watches, told to those that
take them. Standard library only (a trigger uses it)."""

from __future__ import annotations

import ctypes
import json
import os
import struct
from pathlib import Path

from claim_pipeline import inbox
from claim_pipeline.inbox import Look, Stamp

_MOVED_TO, _OF_A_FOLDER, _GONE = 0x80, 0x40000000, 0x8000  # inotify(7): IN_MOVED_TO, IN_ISDIR, IN_IGNORED
_FOLDERS_ONLY = 0x01000000  # IN_ONLYDIR
_HEAD = struct.Struct("iIII")


def remembered(memory: Path) -> frozenset[Stamp]:
    """The stamps that the watching process has written down; none where it never ran."""
    try:
        told = json.loads(memory.read_text("utf-8"))
        return frozenset((int(a), int(b), int(c), int(d)) for a, b, c, d in told)
    except (OSError, ValueError, TypeError):
        return frozenset()


class Watcher:
    """Looks at the inboxes again and again, and remembers in between what a single look cannot see.

    A small file that is written aside and renamed within one tick of the kernel's clock looks like one that was
    written in place. So the kernel itself is asked (inotify, Linux), and for folders of which it knows nothing (a
    network share written from elsewhere) the inodes that were there under a name of unfinished transfers are kept.
    memory: file in which the result is kept for `remembered`.
    """

    def __init__(self, root: Path, memory: Path) -> None:
        self.root, self.memory = root, memory
        self._renamed = set(remembered(memory))
        self._written = frozenset(self._renamed)
        self._unfinished: set[tuple[int, int]] = set()
        self._kernel = _Inotify()

    def look(self, settle_seconds: float, checksum_seconds: float = float("inf")) -> Look:
        """As inbox.look, with what is known of renames."""
        for path in self._kernel.renamed():
            try:
                self._renamed.add(inbox.stamp(path.lstat()))
            except OSError:
                continue  # gone again

        def again() -> Look:
            return inbox.look(self.root, settle_seconds, checksum_seconds=checksum_seconds, renamed=self._renamed)

        found = again()
        came = {stamp for stamp in found.settling if stamp[:2] in self._unfinished} - self._renamed
        if came:
            self._renamed |= came
            found = again()
        self._unfinished = found.unfinished
        self._kernel.watch(found.folders)
        self._renamed &= {file.stamp for file in found.files} | set(found.settling)
        self._write()
        return found

    def close(self) -> None:
        self._kernel.close()

    def _write(self) -> None:
        if self._renamed == self._written:
            return
        self.memory.parent.mkdir(parents=True, exist_ok=True)
        aside = self.memory.with_name(f".{self.memory.name}.part")
        aside.write_text(json.dumps(sorted(self._renamed)), "utf-8")
        os.replace(aside, self.memory)
        self._written = frozenset(self._renamed)


class _Inotify:
    """What was renamed into the folders watched; nothing where the system has no inotify, or no more of it."""

    def __init__(self) -> None:
        self._folders: dict[int, Path] = {}
        self._watched: set[Path] = set()
        try:
            self._system = ctypes.CDLL(None, use_errno=True)
            self._handle = int(self._system.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        except (AttributeError, OSError):
            self._handle = -1

    def watch(self, folders: list[Path]) -> None:
        if self._handle < 0:
            return
        for folder in set(folders) - self._watched:
            number = self._system.inotify_add_watch(self._handle, os.fsencode(folder), _MOVED_TO | _FOLDERS_ONLY)
            if number >= 0:
                self._folders[number] = folder
                self._watched.add(folder)

    def renamed(self) -> list[Path]:
        """Files renamed to a name inside the folders since the last call."""
        found: list[Path] = []
        while self._handle >= 0:
            try:
                told = os.read(self._handle, 1 << 16)
            except OSError:
                break
            place = 0
            while place < len(told):
                number, mask, _, length = _HEAD.unpack_from(told, place)
                name = told[place + _HEAD.size : place + _HEAD.size + length].rstrip(b"\0")
                place += _HEAD.size + length
                if mask & _GONE:
                    self._watched.discard(self._folders.pop(number, Path()))
                elif mask & _MOVED_TO and not mask & _OF_A_FOLDER and number in self._folders:
                    found.append(self._folders[number] / os.fsdecode(name))
        return found

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
