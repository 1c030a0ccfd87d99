"""The SFTP server: signs facilities in and serves each its two folders. No shell, no commands, no forwarding."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import stat
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import asyncssh
from asyncssh.constants import (
    DISC_NO_MORE_AUTH_METHODS_AVAILABLE,
    FXF_APPEND,
    FXF_CREAT,
    FXF_EXCL,
    FXF_TRUNC,
    FXF_WRITE,
)

from claim_pipeline.errors import OperatorError
from claim_pipeline.settings import Settings
from claim_pipeline.sftp.accounts import FACILITY, Account, Accounts, matches, write_private
from claim_pipeline.sftp.folders import Folders, OpenFile, forget_old_uploads

log = logging.getLogger(__name__)

CONNECTIONS = 200
CONNECTIONS_OF_ONE = 16
"""Also those that a lost line has left behind and that are not yet known to be dead."""
SESSIONS_OF_ONE = 32
OPEN_FILES = 32
TRIES = 5
"""Wrong passwords after which a connection is closed."""
FAILURES, FAILURE_SECONDS = 30, 600.0
"""After so many wrong passwords within so long from one address nobody from there is asked for one."""
LOGIN_SECONDS = 60
ALIVE_SECONDS = 15  # a peer that is silent for four times as long is gone, and its upload is cut


class Door:
    """What all connections share: accounts, limits, and who is in. One per server."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.accounts = Accounts(settings.sftp_accounts_file)
        self.connections = 0
        self.inside: Counter[str] = Counter()
        self.sessions: Counter[str] = Counter()
        self.failures: dict[str, deque[float]] = {}
        # scrypt takes time and memory: two at once, beside the event loop
        self.hashing = ThreadPoolExecutor(2, "sftp-password")

    def account(self, facility: str) -> Account | None:
        if not FACILITY.fullmatch(facility):
            return None
        try:
            return self.accounts.get(facility)
        except OperatorError as error:
            log.error("%s", error.message_en)
        except OSError as error:
            log.error("the SFTP accounts file cannot be read: %s", error.strerror)
        return None

    def failed(self, address: str) -> None:
        if len(self.failures) > 10_000:
            self.failures.clear()
        self.failures.setdefault(address, deque(maxlen=FAILURES)).append(time.monotonic())

    def shut_for(self, address: str) -> bool:
        seen = self.failures.get(address)
        return seen is not None and len(seen) == FAILURES and time.monotonic() - seen[0] < FAILURE_SECONDS


class _Guard(asyncssh.SSHServer):
    """One connection until it is signed in. What it does not allow here is refused: shell, commands, forwarding."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.facility = ""
        self.tries = 0
        self.counted = False

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.conn = conn
        self.address = str((conn.get_extra_info("peername") or ("?",))[0])
        if self.door.connections >= CONNECTIONS or self.door.shut_for(self.address):
            log.warning("a connection was refused: too many, or too many wrong passwords")
            conn.abort()
            return
        self.door.connections += 1
        self.counted = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.connections -= self.counted
        if self.facility:
            self.door.inside[self.facility] -= 1

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        self.tries += 1
        account = self.door.account(username)
        hashed = account.password if account is not None else ""
        loop = asyncio.get_running_loop()
        if await loop.run_in_executor(self.door.hashing, matches, password, hashed):
            return True
        # the name is not logged: people type passwords into the wrong field
        log.warning("a wrong SFTP password%s", f" for facility {username}" if account is not None else "")
        self.door.failed(self.address)
        if self.tries >= TRIES or self.door.shut_for(self.address):
            self.conn.disconnect(DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "too many wrong passwords")
        return False

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        account = self.door.account(username)
        return account is not None and key.public_data in map(_public_data, account.keys)

    def auth_completed(self) -> None:
        facility = str(self.conn.get_extra_info("username"))
        if self.door.inside[facility] >= CONNECTIONS_OF_ONE:
            log.warning("facility %s has %d connections already", facility, CONNECTIONS_OF_ONE)
            self.conn.abort()
            return
        self.facility = facility
        self.door.inside[facility] += 1


def _public_data(line: str) -> bytes:
    try:
        return asyncssh.import_public_key(line).public_data
    except asyncssh.KeyImportError:
        log.error("an SFTP account holds a key that cannot be read")
        return b""


class _Session(asyncssh.SFTPServer):
    """Requests of one signed-in facility, on its Folders. Every path is looked up there; nothing else is reached."""

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes], door: Door) -> None:
        super().__init__(chan)
        self.door = door
        self.facility = str(chan.get_connection().get_extra_info("username"))
        known = door.settings
        self.folders = Folders(
            known.inbox_folder / self.facility,
            known.outbox_folder / self.facility,
            file_bytes=known.max_file_mib << 20,
            waiting_bytes=known.sftp_waiting_mib << 20,
        )
        door.sessions[self.facility] += 1
        if door.sessions[self.facility] > SESSIONS_OF_ONE:
            log.warning("facility %s has %d sessions already", self.facility, SESSIONS_OF_ONE)
            chan.get_connection().abort()
        self.open_files: set[OpenFile] = set()
        self.closed: list[OpenFile] = []

    # --- open and close

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> OpenFile:
        self._settle()
        if len(self.open_files) >= OPEN_FILES:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        if pflags & FXF_WRITE:
            file = self.folders.open_upload(
                path,
                create=bool(pflags & FXF_CREAT),
                truncate=bool(pflags & FXF_TRUNC),
                exclusive=bool(pflags & FXF_EXCL),
                append=bool(pflags & FXF_APPEND),
            )
        else:
            file = self.folders.open_answer(path)
        self.open_files.add(file)
        return file

    def close(self, file_obj: object) -> None:
        """Also called for files that a lost connection leaves open, and then followed by `exit` at once. Only the
        sender's own close makes an upload whole, so that is settled at the next turn of the loop or request."""
        file = _as_file(file_obj)
        self.open_files.discard(file)
        self.closed.append(file)
        asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        while self.closed:
            file = self.closed.pop(0)
            try:
                size = self.folders.finish(file)
                if size is not None:
                    log.info("facility %s has sent a file of %d bytes", self.facility, size)
            except OSError as error:
                log.error("an upload of facility %s was not moved into its inbox: %s", self.facility, error.strerror)
            finally:
                os.close(file.descriptor)

    def exit(self) -> None:
        for file in self.closed:
            if file.name is not None:
                log.info("an upload of facility %s was cut", self.facility)
            os.close(file.descriptor)
        self.closed.clear()
        self.folders.close()
        self.door.sessions[self.facility] -= 1

    # --- content

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        return self.folders.read(_as_file(file_obj), offset, size)

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        return self.folders.write(_as_file(file_obj), offset, data)

    def fsync(self, file_obj: object) -> None:
        os.fsync(_as_file(file_obj).descriptor)

    # --- names

    def realpath(self, path: bytes) -> bytes:
        return self.folders.canonical(path)

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        self._settle()
        writable = self.folders.canonical(path) == b"/inbox"
        for entry in self.folders.entries(path):
            yield asyncssh.SFTPName(entry.name, attrs=_attributes(entry.seen, writable or entry.name == b"inbox"))

    def stat(self, path: bytes) -> asyncssh.SFTPAttrs:
        self._settle()
        writable = self.folders.canonical(path).startswith(b"/inbox")
        return _attributes(self.folders.stat(path), writable)

    lstat = stat

    def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        file = _as_file(file_obj)
        return _attributes(os.fstat(file.descriptor), file.name is not None)

    def format_user(self, uid: int | None) -> str:
        return self.facility

    def format_group(self, gid: int | None) -> str:
        return self.facility

    # --- changes

    def remove(self, path: bytes) -> None:
        self._settle()
        self.folders.remove(path)

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        self._settle()
        self.folders.rename(oldpath, newpath, replace=False)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        self._settle()
        self.folders.rename(oldpath, newpath, replace=True)

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        """Times and modes are ours: a file is as old as its arrival here. Clients that set them go on undisturbed."""
        self._settle()
        if attrs.size is not None:
            raise _refused()
        self.folders.stat(path)

    lsetstat = setstat

    def fsetstat(self, file_obj: object, attrs: asyncssh.SFTPAttrs) -> None:
        if attrs.size is not None:
            self.folders.truncate(_as_file(file_obj), attrs.size)

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        raise _refused()

    def rmdir(self, path: bytes) -> None:
        raise _refused()

    def readlink(self, path: bytes) -> bytes:
        raise _refused()

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        raise _refused()

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        raise _refused()

    def statvfs(self, path: bytes) -> os.statvfs_result:
        raise asyncssh.SFTPOpUnsupported("not told")

    def fstatvfs(self, file_obj: object) -> os.statvfs_result:
        raise asyncssh.SFTPOpUnsupported("not told")


def _as_file(file_obj: object) -> OpenFile:
    if not isinstance(file_obj, OpenFile):
        raise TypeError("no file of ours")
    return file_obj


def _refused() -> OSError:
    return OSError(errno.EACCES, os.strerror(errno.EACCES))


def _attributes(seen: os.stat_result, writable: bool) -> asyncssh.SFTPAttrs:
    """Size and times as they are; owner and mode as the facility has them, not as this machine does."""
    folder = stat.S_ISDIR(seen.st_mode)
    mode = (stat.S_IFDIR | 0o500 if folder else stat.S_IFREG | 0o400) | (0o200 if writable else 0)
    return asyncssh.SFTPAttrs(
        size=0 if folder else seen.st_size,
        uid=0,
        gid=0,
        permissions=mode,
        atime=int(seen.st_mtime),
        mtime=int(seen.st_mtime),
    )


def host_key(path: Path) -> asyncssh.SSHKey:
    """The server's own key (Ed25519): made the first time and kept, since clients remember it."""
    if not path.exists():
        write_private(path, asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode())
    try:
        return asyncssh.read_private_key(str(path))
    except (asyncssh.KeyImportError, OSError) as error:
        raise OperatorError(
            "sftp-host-key",
            f"Không đọc được khóa máy chủ SFTP {path}",
            f"the SFTP host key {path} cannot be read",
        ) from error


async def listen(settings: Settings) -> asyncssh.SSHAcceptor:
    """A listening server. Raises OperatorError where it cannot be one (port taken, key or accounts not readable)."""
    door = Door(settings)
    door.accounts.all()
    key = host_key(settings.sftp_host_key_file)
    asyncssh.set_log_level(logging.WARNING)  # its messages name users and paths, and file names may hold names
    forget_old_uploads(settings.inbox_folder, time.time())
    try:
        return await asyncssh.listen(
            settings.sftp_host,
            settings.sftp_port,
            server_factory=partial(_Guard, door),
            sftp_factory=partial(_Session, door=door),
            server_host_keys=[key],
            server_version="Giamdinh",
            allow_scp=False,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_pty=False,
            gss_host=None,
            compression_algs=["none"],
            login_timeout=LOGIN_SECONDS,
            keepalive_interval=ALIVE_SECONDS,
            config=None,
        )
    except OSError as error:
        where = f"{settings.sftp_host}:{settings.sftp_port}"
        raise OperatorError(
            "sftp-not-listening",
            f"Không mở được SFTP ở {where}: {error.strerror}",
            f"SFTP cannot listen at {where}: {error.strerror}",
            "Chọn cổng khác bằng GIAMDINH_SFTP_PORT",
            "choose another port with GIAMDINH_SFTP_PORT",
        ) from error


def serve(settings: Settings, ready: Callable[[int, str], None]) -> None:
    """Serves until SIGTERM or SIGINT. ready: told the port and the host key's fingerprint once it listens."""

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        server = await listen(settings)
        ready(server.get_port(), host_key(settings.sftp_host_key_file).get_fingerprint())
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 86_400)
            forget_old_uploads(settings.inbox_folder, time.time())
        server.close()
        await server.wait_closed()

    asyncio.run(run())
