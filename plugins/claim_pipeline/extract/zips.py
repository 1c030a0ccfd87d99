"""Opens zip files that strangers made: damaged, encrypted and oversized ones are told apart before anything is read."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import struct
import zipfile
import zlib
from itertools import pairwise
from pathlib import Path
from typing import IO

from claim_pipeline.errors import Quarantined

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
OLE2_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MEMBERS = 10_000  # files in a zip; an export has a dozen
_DIRECTORY = 16 << 20  # bytes of the directory of a zip: some 1,600 for each of so many files
_END_RECORD = 22 + 65_535 + 76  # the last bytes of a zip, with the longest comment and the records of zip64
_LOCAL_HEADER = 30  # bytes before a file's name and content, at least
_BOMB_RATIO = 250  # exports of mostly blank cells reach 150; deflate ends at 1,032
_BOMB_SIZE = 64 << 20  # nothing that unpacks to less can harm
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_HEAD = 64 << 10
_WORKBOOK_PART = re.compile(rb"\[Content_Types\]\.xml|xl/|docProps/|_rels/")


def open_zip(source: Path | IO[bytes], max_unpacked: int) -> zipfile.ZipFile:
    """The zip, to be closed. Raises Quarantined where it is damaged, encrypted, made to harm (see docs, formats), or
    says that it unpacks to more than `max_unpacked` bytes; no more than a member says of itself is ever read of it."""
    size = _check_directory(source)
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, IndexError, struct.error) as error:
        raise damaged(type(error).__name__) from None
    try:
        _check(archive.infolist(), size, max_unpacked)
    except Quarantined:
        archive.close()
        raise
    _read_names_as_utf8(archive)
    return archive


def _check_directory(source: Path | IO[bytes]) -> int:
    """The size of the file, after a look at how large its directory is: all of that is taken into memory at once."""
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        size = stream.seek(0, os.SEEK_END)
        stream.seek(-min(size, _END_RECORD), os.SEEK_END)
        end = stream.read()
        stream.seek(0)
    at = end.rfind(b"PK\x05\x06")
    if at >= 0 and len(end) - at >= 22:
        directory = int.from_bytes(end[at + 12 : at + 16], "little")
        if directory == 0xFFFFFFFF:  # zip64: the record before says it
            large = end.rfind(b"PK\x06\x06", 0, at)
            directory = int.from_bytes(end[large + 40 : large + 48], "little") if large >= 0 else directory
        if directory > _DIRECTORY:
            raise _too_large(_DIRECTORY)
    return size


def _check(members: list[zipfile.ZipInfo], size: int, max_unpacked: int) -> None:
    if not members:
        raise Quarantined(
            "not-a-delivery",
            "Tệp zip rỗng",
            "the zip holds no file",
            "Nén lại các tệp cần gửi rồi gửi lại",
            "zip the files again and send that",
        )
    if any(member.header_offset < 0 or not member.filename for member in members):
        raise damaged("directory")
    unpacked = sum(member.file_size for member in members)
    if len(members) > _MEMBERS or unpacked > max_unpacked:
        raise _too_large(max_unpacked)
    if any(member.flag_bits & 0x1 for member in members):
        raise encrypted()
    if any(member.compress_type not in _COMPRESSIONS for member in members):
        raise Quarantined(
            "not-a-delivery",
            "Tệp zip dùng kiểu nén không được hỗ trợ",
            "the zip is compressed in a way that is not supported",
            "Nén lại bằng kiểu nén thông thường (Deflate) rồi gửi lại",
            "zip it again with the usual compression (Deflate) and send that",
        )
    if any(_leads_outside(member.filename) or _is_special(member) for member in members):
        raise Quarantined(
            "unsafe-archive",
            "Tệp zip có đường dẫn ra ngoài thư mục (.., đường dẫn tuyệt đối) hoặc có liên kết, thiết bị",
            "the zip holds names that lead outside of its folder (.., absolute paths), or links or devices",
            "Nén lại chỉ gồm các tệp thường, không kèm đường dẫn, rồi gửi lại",
            "zip plain files alone, without such paths, and send that",
        )
    if len({member.filename for member in members}) < len(members):
        raise Quarantined(
            "unsafe-archive",
            "Tệp zip có hai tệp cùng tên, không biết tệp nào đúng",
            "the zip holds two files of the same name, and nobody can say which one is right",
            "Nén lại, mỗi tên một tệp, rồi gửi lại",
            "zip it again with one file of each name and send that",
        )
    if _overlap(members) or (unpacked > _BOMB_SIZE and unpacked > _BOMB_RATIO * size):
        raise Quarantined(
            "zip-bomb",
            "Tệp zip giải nén ra lớn bất thường so với kích thước của nó, hoặc các tệp trong đó chồng lên nhau",
            "the zip unpacks to far more than its size, or files in it overlap",
            "Nén lại bằng phần mềm thông thường rồi gửi lại; nếu dữ liệu đúng là như vậy, gửi không nén",
            "zip it again with usual software; if the data truly is like that, send it without compression",
        )


def _leads_outside(name: str) -> bool:
    place = name.replace("\\", "/")
    return place.startswith("/") or ".." in place.split("/") or re.match("[A-Za-z]:", place) is not None


def _is_special(member: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(member.external_attr >> 16)
    return kind not in (0, stat.S_IFREG, stat.S_IFDIR)


def _overlap(members: list[zipfile.ZipInfo]) -> bool:
    places = sorted((member.header_offset, member.compress_size) for member in members)
    return any(start + _LOCAL_HEADER + size > after for (start, size), (after, _) in pairwise(places))


def _read_names_as_utf8(archive: zipfile.ZipFile) -> None:
    """Zip software that writes names in UTF-8 often forgets to say so; they are then taken for those of DOS."""
    for member in archive.infolist():
        if not member.flag_bits & 0x800 and not member.filename.isascii():
            with contextlib.suppress(UnicodeError):
                name = member.filename.encode("cp437").decode()
                if name not in archive.NameToInfo and not _leads_outside(name):
                    del archive.NameToInfo[member.filename]
                    member.filename = name
                    archive.NameToInfo[name] = member


def _too_large(limit: int) -> Quarantined:
    return Quarantined(
        "too-large",
        f"Tệp zip giải nén ra lớn hơn {limit >> 20} MiB hoặc có hơn {_MEMBERS} tệp",
        f"the zip unpacks to more than {limit >> 20} MiB or holds more than {_MEMBERS} files",
        "Chia thành nhiều tệp nhỏ hơn rồi gửi lại",
        "send it again as several smaller files",
    )


def refuse_nested(archive: zipfile.ZipFile) -> None:
    """Raises Quarantined where a zip holds a zip that is no workbook: what is in there would not be read."""
    for member in archive.infolist():
        try:
            with archive.open(member) as stream:
                head = stream.read(_HEAD)
        except (RuntimeError, zipfile.BadZipFile, NotImplementedError, zlib.error, EOFError, OSError) as error:
            raise damaged(type(error).__name__) from None
        if head.startswith(ZIP_MAGIC) and not _WORKBOOK_PART.search(head):
            raise Quarantined(
                "zip-in-zip",
                "Trong tệp zip có một tệp zip khác; nội dung bên trong không được đọc",
                "the zip holds another zip, which is not read",
                "Giải nén tệp zip bên trong rồi gửi riêng",
                "unpack the inner zip and send it by itself",
            )


def refuse_active(archive: zipfile.ZipFile) -> None:
    """Raises Quarantined where a workbook holds macros, or takes data from other files or servers."""
    names = [name.lower() for name in archive.namelist()]
    if any(name.endswith("vbaproject.bin") or "/macrosheets/" in name for name in names):
        raise Quarantined(
            "workbook-macros",
            "Tệp Excel có macro",
            "the workbook holds macros",
            "Lưu lại dưới dạng .xlsx (không macro) rồi gửi",
            "save it as .xlsx, without macros, and send that",
        )
    if any("/externallinks/" in name or name.endswith("xl/connections.xml") for name in names):
        raise Quarantined(
            "workbook-links",
            "Tệp Excel lấy số liệu từ tệp hoặc máy chủ khác",
            "the workbook takes data from other files or servers",
            "Ngắt liên kết (Data > Edit Links > Break Link), chỉ giữ giá trị, rồi gửi lại",
            "break the links (Data > Edit Links > Break Link), keep values alone, and send it again",
        )


def is_workbook(archive: zipfile.ZipFile) -> bool:
    """Whether a zip is a workbook: xlsx, xlsm or xlsb."""
    names = set(archive.namelist())
    return "[Content_Types].xml" in names and any(name.endswith(("workbook.xml", "workbook.bin")) for name in names)


def damaged(kind: str) -> Quarantined:
    """What to say of a zip or workbook that cannot be read."""
    return Quarantined(
        "not-a-delivery",
        f"Tệp zip hoặc xlsx bị hỏng, không đọc được ({kind})",
        f"the zip or xlsx file is damaged and cannot be read ({kind})",
        "Kiểm tra tệp có bị cắt cụt khi truyền không, rồi gửi lại",
        "check whether the file was cut off on its way, then send it again",
    )


def encrypted() -> Quarantined:
    """What to say of a file that needs a password."""
    return Quarantined(
        "encrypted",
        "Tệp có mật khẩu nên không đọc được",
        "the file is protected by a password and cannot be read",
        "Bỏ mật khẩu rồi gửi lại",
        "remove the password and send it again",
    )


def old_or_encrypted_workbook(content: bytes) -> Quarantined:
    """What to say of a compound file: a workbook with a password, or one of Excel before 2007."""
    if "EncryptedPackage".encode("utf-16-le") in content:
        return encrypted()
    return Quarantined(
        "not-a-delivery",
        "Tệp Excel kiểu cũ (.xls) không được hỗ trợ",
        "old Excel files (.xls) are not supported",
        "Lưu lại dưới dạng .xlsx rồi gửi",
        "save it as .xlsx and send that",
    )
