"""Who may come in through SFTP: a YAML file of facilities with their keys and a hash of their password."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from claim_pipeline.errors import OperatorError

FACILITY = re.compile(r"[0-9A-Z]{5}")
_HASH = re.compile(r"scrypt\$(\d{1,2})\$(\d{1,2})\$(\d{1,2})\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)")
_COST, _BLOCK, _PARALLEL = 15, 8, 1  # 2**15 rounds over 32 MiB: about a tenth of a second
_MEMORY = 256 << 20


@dataclass(frozen=True)
class Account:
    """One facility's way in: the hash of its password ("" = none) and its public keys in OpenSSH's form."""

    password: str = ""
    keys: tuple[str, ...] = field(default=())


def hash_password(password: str) -> str:
    """scrypt$log2(rounds)$block$parallel$salt$digest, the last two in base64."""
    salt = secrets.token_bytes(16)
    digest = _scrypt(password, salt, _COST, _BLOCK, _PARALLEL)
    parts = (base64.b64encode(part).decode() for part in (salt, digest))
    return "$".join(("scrypt", str(_COST), str(_BLOCK), str(_PARALLEL), *parts))


def matches(password: str, hashed: str) -> bool:
    """Whether the password is the hashed one. Takes as long where there is no hash to compare with."""
    told = _HASH.fullmatch(hashed)
    if told is None:
        _scrypt(password, b"\0" * 16, _COST, _BLOCK, _PARALLEL)
        return False
    digest = _scrypt(password, base64.b64decode(told[4]), int(told[1]), int(told[2]), int(told[3]))
    return hmac.compare_digest(digest, base64.b64decode(told[5]))


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=1 << cost, r=block, p=parallel, maxmem=_MEMORY, dklen=32)


class Accounts:
    """The accounts file, read again whenever it has changed. A file that is not there holds no account."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._known: dict[str, Account] = {}

    def all(self) -> dict[str, Account]:
        """Accounts by facility code. Raises OperatorError where the file is not as it should be."""
        try:
            now = self.path.stat()
        except FileNotFoundError:
            self._seen, self._known = None, {}
            return {}
        seen = (now.st_ino, now.st_size, now.st_mtime_ns)
        if seen != self._seen:
            self._known = _parse(self.path)
            self._seen = seen
        return self._known

    def get(self, facility: str) -> Account | None:
        return self.all().get(facility)

    def put(self, facility: str, *, password: str | None = None, keys: tuple[str, ...] = ()) -> None:
        """Makes or changes an account: a password replaces the old one, keys are added to those known."""
        if not FACILITY.fullmatch(facility):
            raise OperatorError(
                "not-a-facility",
                f"{facility} không phải mã CSKCB (5 chữ số hoặc chữ hoa)",
                f"{facility} is no facility code (5 digits or capitals)",
            )
        known = dict(self.all())
        old = known.get(facility, Account())
        hashed = old.password if password is None else hash_password(password)
        known[facility] = Account(hashed, tuple(dict.fromkeys(old.keys + keys)))
        self._write(known)

    def remove(self, facility: str) -> bool:
        """Whether there was such an account."""
        known = dict(self.all())
        found = known.pop(facility, None) is not None
        if found:
            self._write(known)
        return found

    def _write(self, known: dict[str, Account]) -> None:
        text = "# SFTP: mã CSKCB -> giá trị băm của mật khẩu, khóa công khai · facility -> password hash, public keys\n"
        text += yaml.safe_dump(
            {name: {"password": one.password, "keys": list(one.keys)} for name, one in sorted(known.items())},
            width=1000,
        )
        write_private(self.path, text)


def public_key(path: Path) -> str:
    """The public key of a file in OpenSSH's one-line form, without its comment (a person's name, as a rule)."""
    from asyncssh import KeyImportError, import_public_key

    try:
        key = import_public_key(path.read_bytes())
        key.set_comment(None)
        return key.export_public_key().decode().strip()
    except KeyImportError as error:
        raise OperatorError(
            "not-a-public-key",
            f"{path.name} không phải khóa công khai OpenSSH",
            f"{path.name} is no OpenSSH public key",
            "Dùng tệp .pub, không phải khóa riêng",
            "use the .pub file, not the private key",
        ) from error


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, all at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with contextlib.suppress(FileNotFoundError):
        aside.unlink()
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(aside, path)


def _parse(path: Path) -> dict[str, Account]:
    def broken(why_vi: str, why_en: str) -> OperatorError:
        return OperatorError(
            "sftp-accounts", f"Tệp tài khoản SFTP {path.name}: {why_vi}", f"SFTP accounts file {path.name}: {why_en}"
        )

    try:
        # BaseLoader leaves every scalar a string: a facility code like 01004 is no number
        found = yaml.load(path.read_text("utf-8"), Loader=yaml.BaseLoader) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise broken("không phải YAML", "is not YAML") from error
    if not isinstance(found, dict):
        raise broken("cần các mã CSKCB ở cấp đầu", "needs facility codes at the top level")
    known = {}
    for facility, entry in found.items():
        if not FACILITY.fullmatch(str(facility)):
            raise broken(f"{facility} không phải mã CSKCB", f"{facility} is no facility code")
        if not isinstance(entry, dict) or set(entry) - {"password", "keys"}:
            raise broken(f"{facility} chỉ được có password và keys", f"{facility} may have password and keys only")
        password, keys = entry.get("password") or "", entry.get("keys") or []
        if password and not _HASH.fullmatch(str(password)):
            raise broken(f"mật khẩu của {facility} chưa được băm", f"the password of {facility} is not a hash")
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise broken(f"keys của {facility} phải là danh sách", f"keys of {facility} must be a list")
        known[str(facility)] = Account(str(password), tuple(keys))
    return known
