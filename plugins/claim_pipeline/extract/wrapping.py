"""Takes claim XML out of what it may be wrapped in: base64 of the whole document, a zip of one or several files."""

from __future__ import annotations

import codecs
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pybase64

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract.zips import ZIP_MAGIC, damaged, encrypted, is_workbook, open_zip

_STARTS = (b"<", "<".encode("utf-16-le"), "<".encode("utf-16-be"))
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SPACE = b" \t\r\n"
_HEAD = 4096
_BASE64 = re.compile(rb"[A-Za-z0-9+/\s]{16,}={0,2}\s*")
_PIECE = 3 << 20


def without_mark(head: bytes) -> bytes:
    """The bytes without a byte order mark and white space before them."""
    for mark in _MARKS:
        head = head.removeprefix(mark)
    return head.lstrip(_SPACE)


def is_xml(head: bytes) -> bool:
    """Whether a file that begins so is XML."""
    return without_mark(head).startswith(_STARTS)


def is_base64_of_delivery(head: bytes) -> bool:
    """Whether a file that begins so is the base64 of XML or of a zip."""
    text = b"".join(without_mark(head).split())
    if not _BASE64.fullmatch(text):
        return False
    start = pybase64.b64decode(text.rstrip(b"=")[: len(text.rstrip(b"=")) // 4 * 4])
    return is_xml(start) or start.startswith(ZIP_MAGIC)


def names_of_claim_files(archive: zipfile.ZipFile) -> list[str]:
    """The members of a zip that are XML, or base64 of XML, in the order of their names; by content, not by name."""
    found = []
    for member in archive.infolist():
        if member.is_dir():
            continue
        try:
            with archive.open(member) as stream:
                head = stream.read(_HEAD)
        except RuntimeError:
            raise encrypted() from None
        except (zipfile.BadZipFile, NotImplementedError, zlib.error, EOFError, OSError) as error:
            raise damaged(type(error).__name__) from None
        if is_xml(head) or (is_base64_of_delivery(head) and not head.startswith(ZIP_MAGIC)):
            found.append(member.filename)
    return sorted(found)


@contextmanager
def claim_files(path: Path, max_unpacked: int) -> Iterator[list[Path]]:
    """The claim XML files in a delivery, each as a file of its own while the context lasts; a file that is XML itself
    stands for itself. Empty where there is none. Raises Quarantined for what is damaged or too large."""
    with tempfile.TemporaryDirectory(prefix="giamdinh-") as folder:
        yield _unwrapped(path, Path(folder), max_unpacked, depth=0)


_DEPTH = 3  # base64 of a zip of base64 is as far as it goes


def _unwrapped(path: Path, folder: Path, max_unpacked: int, depth: int) -> list[Path]:
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    if is_xml(head):
        return [path]
    if depth == _DEPTH:
        return []
    if is_base64_of_delivery(head):
        inner = folder / f"{depth}-decoded"
        _decode(path, inner)
        return _unwrapped(inner, folder, max_unpacked, depth + 1)
    if not head.startswith(ZIP_MAGIC) or folder.name == "members":
        return []
    found: list[Path] = []
    inside = folder / "members"
    inside.mkdir()
    with open_zip(path, max_unpacked) as archive:
        if is_workbook(archive):
            return []
        for number, name in enumerate(names_of_claim_files(archive)):
            place = inside / f"{number}"
            place.mkdir()
            member = place / "file"
            try:
                with archive.open(name) as source, member.open("wb") as target:
                    shutil.copyfileobj(source, target, _PIECE)
            except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
                raise damaged(type(error).__name__) from None
            found += _unwrapped(member, place, max_unpacked, depth + 1)
    return found


def _decode(path: Path, target: Path) -> None:
    """Decodes a base64 file piece by piece."""
    rest = b""
    with path.open("rb") as source, target.open("wb") as out:
        first = True
        while piece := source.read(_PIECE):
            text = rest + b"".join((without_mark(piece) if first else piece).split())
            first = False
            whole = len(text) // 4 * 4
            text, rest = text[:whole], text[whole:]
            try:
                out.write(pybase64.b64decode(text, validate=True))
            except ValueError:
                raise _not_base64() from None
    if rest:
        raise _not_base64()


def _not_base64() -> Quarantined:
    return Quarantined(
        "not-a-delivery",
        "Tệp bắt đầu như base64 nhưng không giải mã được đến hết",
        "the file begins as base64 but cannot be decoded to its end",
        "Kiểm tra tệp có bị cắt cụt khi truyền không, rồi gửi lại",
        "check whether the file was cut off on its way, then send it again",
    )
