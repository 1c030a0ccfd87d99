"""Which reader a delivery needs, told by its bytes; its file name is never asked."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract.result import Collected, Extracted, Sink, Summary
from claim_pipeline.extract.wrapping import claim_files, is_base64_of_delivery, is_xml, names_of_claim_files
from claim_pipeline.extract.zips import OLE2_MAGIC, ZIP_MAGIC, is_workbook, old_or_encrypted_workbook, open_zip
from claim_pipeline.settings import Settings

Kind = Literal["xml", "base64", "zip", "xlsx"]

_MIB = 1 << 20


def read(path: Path, *, inbox_facility: str | None, limits: Settings) -> Extracted:
    """One delivery as claim tables, in memory; see `read_into`."""
    into = Collected()
    return into.extracted(read_into(path, into, inbox_facility=inbox_facility, limits=limits))


def read_into(path: Path, into: Sink, *, inbox_facility: str | None, limits: Settings) -> Summary:
    """Reads one delivery: claim XML chunk by chunk, anything else in one piece. Raises Quarantined where it cannot be
    taken; what went into the sink until then is void."""
    if path.stat().st_size > limits.max_file_mib * _MIB:
        raise Quarantined(
            "too-large",
            f"Tệp lớn hơn {limits.max_file_mib} MiB",
            f"the file is larger than {limits.max_file_mib} MiB",
            "Chia thành nhiều tệp nhỏ hơn rồi gửi lại",
            "send it again as several smaller files",
        )
    max_unpacked = limits.max_unpacked_mib * _MIB
    kind = kind_of(path, max_unpacked)
    if kind in ("xml", "base64") or (kind == "zip" and _holds_claim_xml(path, max_unpacked)):
        from claim_pipeline.extract import claim_xml

        with claim_files(path, max_unpacked) as files:
            if not files:
                raise _not_a_delivery("Trong base64 không có XML", "what the base64 holds is not XML")
            return claim_xml.read_into(
                files,
                into,
                inbox_facility=inbox_facility,
                max_claims=limits.max_claims,
                max_claim_mib=limits.max_claim_mib,
            )
    from claim_pipeline.extract import emr

    found = emr.read(
        path,
        workbook=kind == "xlsx",
        inbox_facility=inbox_facility,
        max_claims=limits.max_claims,
        max_unpacked=max_unpacked,
    )
    into.add(found.tables)
    into.add_findings(found.findings)
    return found.summary


def kind_of(path: Path, max_unpacked: int) -> Kind:
    """What a file is: "xml", "base64" (of XML or a zip), "zip" or "xlsx". Raises Quarantined for anything else."""
    with path.open("rb") as stream:
        head = stream.read(4096)
    if not head:
        raise _not_a_delivery("Tệp rỗng", "the file is empty")
    if head.startswith(ZIP_MAGIC):
        with open_zip(path, max_unpacked) as archive:
            return "xlsx" if is_workbook(archive) else "zip"
    if head.startswith(OLE2_MAGIC):
        raise old_or_encrypted_workbook(path.read_bytes())
    if is_xml(head):
        return "xml"
    if is_base64_of_delivery(head):
        return "base64"
    raise _not_a_delivery("Tệp không phải XML, zip hay xlsx", "the file is neither XML nor zip nor xlsx")


def _holds_claim_xml(path: Path, max_unpacked: int) -> bool:
    """Whether a zip holds claim XML; one with sheets of a known record system beside it is an export."""
    from claim_pipeline.extract.profile import profiles

    with open_zip(path, max_unpacked) as archive:
        sheets = [Path(name) for name in archive.namelist()]
        known = {name.lower() for profile in profiles() for name in profile.sheets}
        if any(sheet.stem.strip().lower() in known and sheet.suffix.lower() in (".csv", ".xlsx") for sheet in sheets):
            return False
        return bool(names_of_claim_files(archive))


def _not_a_delivery(
    vi: str,
    en: str,
    next_vi: str = "Gửi tệp XML hồ sơ thanh toán, hoặc zip/xlsx xuất từ phần mềm bệnh viện",
    next_en: str = "send claim XML, or a zip or xlsx export of the hospital's system",
) -> Quarantined:
    return Quarantined("not-a-delivery", vi, en, next_vi, next_en)
