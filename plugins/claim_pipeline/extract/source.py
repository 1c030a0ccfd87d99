"""Which reader a delivery needs, told by its bytes; its file name is never asked."""

from __future__ import annotations

import codecs
import zipfile
from pathlib import Path
from typing import Literal

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract.result import Extracted
from claim_pipeline.settings import Settings

Kind = Literal["xml", "zip", "xlsx"]

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
OLE2_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_XML_STARTS = (b"<", "<".encode("utf-16-le"), "<".encode("utf-16-be"))
_BOMS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MIB = 1 << 20


def read(path: Path, *, inbox_facility: str | None, limits: Settings) -> Extracted:
    """One delivery as claim tables. Raises Quarantined where it cannot be taken."""
    if path.stat().st_size > limits.max_file_mib * _MIB:
        raise Quarantined(
            "too-large",
            f"Tệp lớn hơn {limits.max_file_mib} MiB",
            f"the file is larger than {limits.max_file_mib} MiB",
            "Chia thành nhiều tệp nhỏ hơn rồi gửi lại",
            "send it again as several smaller files",
        )
    kind = kind_of(path)
    if kind == "xml":
        from claim_pipeline.extract import claim_xml

        return claim_xml.read(path, inbox_facility=inbox_facility, max_claims=limits.max_claims)
    from claim_pipeline.extract import emr

    return emr.read(
        path,
        workbook=kind == "xlsx",
        inbox_facility=inbox_facility,
        max_claims=limits.max_claims,
        max_unpacked=limits.max_unpacked_mib * _MIB,
    )


def kind_of(path: Path) -> Kind:
    """What a file is: "xml", "zip" or "xlsx". Raises Quarantined for anything else."""
    with path.open("rb") as stream:
        head = stream.read(4096)
    if not head:
        raise _not_a_delivery("Tệp rỗng", "the file is empty")
    if head.startswith(ZIP_MAGIC):
        return "xlsx" if _is_workbook(path) else "zip"
    if head.startswith(OLE2_MAGIC):
        raise old_or_encrypted_workbook(path.read_bytes())
    text = head
    for mark in _BOMS:
        text = text.removeprefix(mark)
    if text.lstrip(b" \t\r\n").startswith(_XML_STARTS):
        return "xml"
    raise _not_a_delivery("Tệp không phải XML, zip hay xlsx", "the file is neither XML nor zip nor xlsx")


def old_or_encrypted_workbook(content: bytes) -> Quarantined:
    """What to say of a compound file: a workbook with a password, or one of Excel before 2007."""
    if "EncryptedPackage".encode("utf-16-le") in content:
        return encrypted()
    return _not_a_delivery(
        "Tệp Excel kiểu cũ (.xls) không được hỗ trợ",
        "old Excel files (.xls) are not supported",
        "Lưu lại dưới dạng .xlsx rồi gửi",
        "save it as .xlsx and send that",
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


def _is_workbook(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return is_workbook(archive)
    except (zipfile.BadZipFile, NotImplementedError, OSError):
        return False


def is_workbook(archive: zipfile.ZipFile) -> bool:
    """Whether a zip is an xlsx workbook."""
    names = set(archive.namelist())
    return "[Content_Types].xml" in names and any(name.endswith("workbook.xml") for name in names)


def _not_a_delivery(
    vi: str,
    en: str,
    next_vi: str = "Gửi tệp XML hồ sơ thanh toán, hoặc zip/xlsx xuất từ phần mềm bệnh viện",
    next_en: str = "send claim XML, or a zip or xlsx export of the hospital's system",
) -> Quarantined:
    return Quarantined("not-a-delivery", vi, en, next_vi, next_en)
