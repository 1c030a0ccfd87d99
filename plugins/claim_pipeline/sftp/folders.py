"""What one facility sees: `/inbox`, where it writes, and `/outbox`, where it reads. No way leads out of the two.

An upload is kept aside in `inbox/<MA_CSKCB>/.uploads/` under its own name until its sender closes the file; then it is
renamed into the inbox. An upload that is cut stays aside, is shown to its sender under its name, can be resumed, and
is never taken for a delivery. Nothing is opened through a symbolic link.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

UPLOADS = ".uploads"
KEEP_SECONDS = 14 * 86400
"""So long an upload that was cut waits for its sender."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_QUOTA_SECONDS = 5.0
_QUOTA_STEP = 16 << 20  # bytes of one upload between two looks at how much waits


def _fault(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@dataclass(eq=False)
class OpenFile:
    """A file that a client holds open. name: of an upload; None: a file of the outbox, for reading. broken: bytes that
    were sent were not taken, so that its sender's close does not make it whole."""

    descriptor: int
    name: bytes | None = None
    append: bool = False
    broken: bool = False
    unchecked: int = 0  # bytes written since the last look at the quota

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Clients built on asyncssh ask for the parts of a file that hold data; the library finds them with this."""
        return os.lseek(self.descriptor, offset, whence)


@dataclass
class Entry:
    """A name in a listing with what the file system says of it."""

    name: bytes
    seen: os.stat_result


class Folders:
    """The view of one session. Paths are what the client says, bytes; every error is an OSError.

    file_bytes: the longest file; waiting_bytes: the most that may lie in the inbox and aside together.
    """

    def __init__(self, inbox: Path, outbox: Path, *, file_bytes: int, waiting_bytes: int) -> None:
        inbox.mkdir(parents=True, exist_ok=True)
        self.outbox = outbox
        self.file_bytes, self.waiting_bytes = file_bytes, waiting_bytes
        self._inbox = os.open(inbox, _DIRECTORY)
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(UPLOADS, 0o700, dir_fd=self._inbox)
            self._uploads = os.open(UPLOADS, _DIRECTORY, dir_fd=self._inbox)
        except OSError:
            os.close(self._inbox)
            raise
        self._waiting = (-_QUOTA_SECONDS, 0)

    def close(self) -> None:
        os.close(self._uploads)
        os.close(self._inbox)

    # --- names

    @staticmethod
    def canonical(path: bytes) -> bytes:
        """The path as it is from the root, `..` never above it."""
        if b"\0" in path:
            raise _fault(errno.EINVAL)
        return b"/" + posixpath.normpath(b"/" + path).lstrip(b"/")

    def _parts(self, path: bytes) -> list[bytes]:
        return [part for part in self.canonical(path).split(b"/") if part]

    def _inbox_name(self, path: bytes) -> bytes:
        """The file name of a path in the inbox; any other path cannot be written."""
        parts = self._parts(path)
        if len(parts) != 2 or parts[0] != b"inbox" or parts[1] == UPLOADS.encode():
            raise _fault(errno.EACCES)
        return parts[1]

    # --- looking

    def stat(self, path: bytes) -> os.stat_result:
        parts = self._parts(path)
        if not parts:
            return os.fstat(self._inbox)
        if parts[0] == b"inbox":
            if len(parts) == 1:
                return os.fstat(self._inbox)
            if len(parts) == 2 and parts[1] != UPLOADS.encode():
                return self._seen(parts[1])
        elif parts == [b"outbox"] and not self.outbox.is_dir():
            return os.fstat(self._inbox)  # before the first answer there is no folder yet
        elif parts[0] == b"outbox":
            with self._answer(parts[1:]) as descriptor:
                return os.fstat(descriptor)
        raise _fault(errno.ENOENT)

    def entries(self, path: bytes) -> list[Entry]:
        parts = self._parts(path)
        if not parts:
            return [Entry(name, self.stat(name)) for name in (b"inbox", b"outbox")]
        if parts == [b"inbox"]:
            found = {entry.name: entry for entry in _files(self._inbox)}
            found |= {entry.name: entry for entry in _files(self._uploads)}
            return [*found.values()]
        if parts == [b"outbox"] and not self.outbox.is_dir():
            return []
        if parts[0] == b"outbox":
            with self._answer(parts[1:]) as descriptor:
                if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                    raise _fault(errno.ENOTDIR)
                return [entry for entry in _entries(descriptor) if not entry.name.startswith(b".")]
        raise _fault(errno.ENOENT)

    def _seen(self, name: bytes) -> os.stat_result:
        """Of an upload that is not finished, else of the file in the inbox."""
        for folder in (self._uploads, self._inbox):
            with contextlib.suppress(FileNotFoundError):
                seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISREG(seen.st_mode):
                    return seen
        raise _fault(errno.ENOENT)

    @contextlib.contextmanager
    def _answer(self, parts: list[bytes]) -> Iterator[int]:
        """A file or folder of the outbox, opened step by step so that no link is followed."""
        descriptor = os.open(self.outbox, _DIRECTORY)
        try:
            for number, part in enumerate(parts, start=1):
                if part.startswith(b"."):
                    raise _fault(errno.ENOENT)  # still being written
                last = os.O_NONBLOCK if number == len(parts) else os.O_DIRECTORY
                below = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | last, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            if not (stat.S_ISREG(os.fstat(descriptor).st_mode) or stat.S_ISDIR(os.fstat(descriptor).st_mode)):
                raise _fault(errno.ENOENT)
            yield descriptor
        finally:
            os.close(descriptor)

    # --- reading the outbox

    def open_answer(self, path: bytes) -> OpenFile:
        parts = self._parts(path)
        if not parts or parts[0] != b"outbox":
            raise _fault(errno.EACCES)
        with self._answer(parts[1:]) as descriptor:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise _fault(errno.EISDIR)
            return OpenFile(os.dup(descriptor))

    @staticmethod
    def read(file: OpenFile, offset: int, size: int) -> bytes:
        if file.name is not None:
            raise _fault(errno.EACCES)
        return os.pread(file.descriptor, size, offset)

    # --- writing the inbox

    def open_upload(
        self, path: bytes, *, create: bool, truncate: bool, exclusive: bool = False, append: bool = False
    ) -> OpenFile:
        """Begins an upload, or goes on with one: without `truncate` on what there is of it, cut or whole."""
        name = self._inbox_name(path)
        if exclusive:
            with contextlib.suppress(FileNotFoundError):
                self._seen(name)
                raise _fault(errno.EEXIST)
        self._check_waiting(fresh=False)
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        if truncate:
            if not create:
                self._seen(name)
            # a new file, not the old one emptied: whoever still has that open must not write into this one
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._uploads)
            flags |= os.O_CREAT | os.O_EXCL
        else:
            self._take_back(name)
            flags |= os.O_CREAT if create else 0
        descriptor = os.open(name, flags, 0o640, dir_fd=self._uploads)
        return OpenFile(descriptor, name, append)

    def _take_back(self, name: bytes) -> None:
        """A file that was closed too early goes on as an upload, out of intake's sight."""
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=self._uploads, follow_symlinks=False)
            return
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISREG(os.stat(name, dir_fd=self._inbox, follow_symlinks=False).st_mode):
                os.rename(name, name, src_dir_fd=self._inbox, dst_dir_fd=self._uploads)

    def write(self, file: OpenFile, offset: int, data: bytes) -> int:
        """Bytes follow one another: a hole would be taken for content."""
        try:
            return self._write(file, offset, data)
        except OSError:
            file.broken = True  # clients close a file also after a failure
            raise

    def _write(self, file: OpenFile, offset: int, data: bytes) -> int:
        if file.name is None:
            raise _fault(errno.EACCES)
        size = os.fstat(file.descriptor).st_size
        at = size if file.append else offset
        if at > size:
            raise _fault(errno.EINVAL)
        if at + len(data) > self.file_bytes:
            raise _fault(errno.EFBIG)
        file.unchecked += len(data)
        if file.unchecked > _QUOTA_STEP:
            file.unchecked = 0
            self._check_waiting(fresh=True)
        view = memoryview(data)
        while view:
            done = os.pwrite(file.descriptor, view, at)
            view, at = view[done:], at + done
        return len(data)

    def truncate(self, file: OpenFile, size: int) -> None:
        if file.name is None:
            raise _fault(errno.EACCES)
        if size > os.fstat(file.descriptor).st_size:
            raise _fault(errno.EINVAL)
        os.ftruncate(file.descriptor, size)

    def finish(self, file: OpenFile) -> int | None:
        """The sender has closed its upload: into the inbox with it. Returns its size; None if it is not whole."""
        if file.name is None or file.broken:
            return None
        mine = os.fstat(file.descriptor)
        with contextlib.suppress(FileNotFoundError):
            there = os.stat(file.name, dir_fd=self._uploads, follow_symlinks=False)
            if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                os.replace(file.name, file.name, src_dir_fd=self._uploads, dst_dir_fd=self._inbox)
                return mine.st_size
        return None

    def remove(self, path: bytes) -> None:
        name = self._inbox_name(path)
        self._seen(name)
        for folder in (self._uploads, self._inbox):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)

    def rename(self, old: bytes, new: bytes, *, replace: bool) -> None:
        """Within the inbox. What is not yet whole cannot be renamed: that would call it whole."""
        source, target = self._inbox_name(old), self._inbox_name(new)
        with contextlib.suppress(FileNotFoundError):
            os.stat(source, dir_fd=self._uploads, follow_symlinks=False)
            raise _fault(errno.EBUSY)
        if not stat.S_ISREG(os.stat(source, dir_fd=self._inbox, follow_symlinks=False).st_mode):
            raise _fault(errno.ENOENT)
        if replace:
            os.replace(source, target, src_dir_fd=self._inbox, dst_dir_fd=self._inbox)
            return
        # a link and an unlink, since a rename would silently replace
        os.link(source, target, src_dir_fd=self._inbox, dst_dir_fd=self._inbox, follow_symlinks=False)
        os.unlink(source, dir_fd=self._inbox)

    def _check_waiting(self, *, fresh: bool) -> None:
        now = time.monotonic()
        if fresh or now - self._waiting[0] >= _QUOTA_SECONDS:
            total = sum(entry.seen.st_size for folder in (self._inbox, self._uploads) for entry in _files(folder))
            self._waiting = (now, total)
        if self._waiting[1] >= self.waiting_bytes:
            raise _fault(errno.EDQUOT)


def forget_old_uploads(inbox: Path, now: float) -> int:
    """Removes uploads that were cut long ago, of all facilities. Returns how many."""
    count = 0
    for path in inbox.glob(f"*/{UPLOADS}/*"):
        with contextlib.suppress(OSError):
            if now - path.lstat().st_mtime > KEEP_SECONDS:
                path.unlink()
                count += 1
    return count


def _entries(descriptor: int) -> Iterator[Entry]:
    """Regular files and folders, no links."""
    with os.scandir(descriptor) as found:
        names = [os.fsencode(entry.name) for entry in found]
    for name in names:
        with contextlib.suppress(OSError):
            seen = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISREG(seen.st_mode) or stat.S_ISDIR(seen.st_mode):
                yield Entry(name, seen)


def _files(descriptor: int) -> Iterator[Entry]:
    return (entry for entry in _entries(descriptor) if stat.S_ISREG(entry.seen.st_mode))
