"""Opens zip files that strangers made: damaged, encrypted and oversized ones are told apart before anything is read."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import IO

from claim_pipeline.errors import Quarantined

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
OLE2_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MEMBERS = 10_000  # files in a zip; an export has a dozen


def open_zip(source: Path | IO[bytes], max_unpacked: int) -> zipfile.ZipFile:
    """The zip, to be closed. Raises Quarantined where it is damaged or says that it unpacks to more than `max_unpacked`
    bytes; no more than a member says of itself is ever read of it."""
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, IndexError, struct.error) as error:
        raise damaged(type(error).__name__) from None
    members = archive.infolist()
    if any(member.header_offset < 0 or not member.filename for member in members):
        archive.close()
        raise damaged("directory")
    if len(members) > _MEMBERS or sum(member.file_size for member in members) > max_unpacked:
        archive.close()
        raise Quarantined(
            "too-large",
            f"Tệp zip giải nén ra lớn hơn {max_unpacked >> 20} MiB hoặc có hơn {_MEMBERS} tệp",
            f"the zip unpacks to more than {max_unpacked >> 20} MiB or holds more than {_MEMBERS} files",
            "Chia thành nhiều tệp nhỏ hơn rồi gửi lại",
            "send it again as several smaller files",
        )
    return archive


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
