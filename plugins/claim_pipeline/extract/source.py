"""Which reader a delivery needs, told by its bytes; its file name is never asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract.fhir import is_fhir_file
from claim_pipeline.extract.result import Collected, Extracted, Sink, Summary
from claim_pipeline.extract.wrapping import claim_files, is_base64_of_delivery, is_xml, names_of_claim_files
from claim_pipeline.extract.zips import OLE2_MAGIC, ZIP_MAGIC, is_workbook, open_zip, refuse_nested
from claim_pipeline.settings import Settings

if TYPE_CHECKING:
    from claim_pipeline.extract.late import Earlier

Kind = Literal["xml", "base64", "zip", "xlsx", "fhir", "xls", "text"]

_MIB = 1 << 20
_HEAD = 64 << 10


def read(path: Path, *, inbox_facility: str | None, limits: Settings, earlier: Earlier | None = None) -> Extracted:
    """One delivery as claim tables, in memory; see `read_into`."""
    into = Collected()
    return into.extracted(read_into(path, into, inbox_facility=inbox_facility, limits=limits, earlier=earlier))


def read_into(
    path: Path, into: Sink, *, inbox_facility: str | None, limits: Settings, earlier: Earlier | None = None
) -> Summary:
    """Reads one delivery: claim XML chunk by chunk, anything else in one piece. Raises Quarantined where it cannot be
    taken; what went into the sink until then is void. earlier: as emr.read takes it."""
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
    if kind in ("xml", "base64") or (kind == "zip" and _holds_claim_xml(path, max_unpacked, limits.profiles)):
        from claim_pipeline.extract import claim_xml
        from claim_pipeline.signature import may_be_signed

        with claim_files(path, max_unpacked) as files:
            if not files:
                raise _not_a_delivery("Trong base64 không có XML", "what the base64 holds is not XML")
            if len(files) > 1 and any(may_be_signed(file) for file in files):
                raise Quarantined(
                    "several-signed-files",
                    "Trong tệp zip có nhiều tệp XML, trong đó có tệp đã ký; mỗi chữ ký chỉ có giá trị cho một tệp",
                    "the zip holds several XML files, signed ones among them; a signature stands for one file alone",
                    "Gửi riêng từng tệp đã ký",
                    "send each signed file by itself",
                )
            return claim_xml.read_into(
                files,
                into,
                inbox_facility=inbox_facility,
                max_claims=limits.max_claims,
                max_claim_mib=limits.max_claim_mib,
            )
    if kind == "fhir" or (kind == "zip" and _holds_fhir(path, max_unpacked)):
        from claim_pipeline.extract import fhir

        found = fhir.read(
            path,
            inbox_facility=inbox_facility,
            max_claims=limits.max_claims,
            max_unpacked=max_unpacked,
            max_json_mib=limits.max_json_mib,
        )
    else:
        from claim_pipeline.extract import emr
        from claim_pipeline.extract.profile import configured

        found = emr.read(
            path,
            inbox_facility=inbox_facility,
            profiles=configured(limits.profiles),
            earlier=earlier,
            max_claims=limits.max_claims,
            max_unpacked=max_unpacked,
        )
    into.add(found.tables)
    into.add_findings(found.findings)
    return found.summary


def kind_of(path: Path, max_unpacked: int) -> Kind:
    """What a file is: "xml", "base64" (of XML or a zip), "zip", "xlsx", "xls", "fhir" (in JSON), or "text"
    (JSON or CSV). Raises Quarantined for anything else."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    if not head:
        raise _not_a_delivery("Tệp rỗng", "the file is empty")
    if head.startswith(ZIP_MAGIC):
        with open_zip(path, max_unpacked) as archive:
            if is_workbook(archive):
                return "xlsx"
            refuse_nested(archive)
            return "zip"
    if head.startswith(OLE2_MAGIC):
        return "xls"
    if is_xml(head):
        return "xml"
    if is_base64_of_delivery(head):
        return "base64"
    if is_fhir_file(path):
        return "fhir"
    from claim_pipeline.extract.sheets import is_table_of_text

    if is_table_of_text(head):
        return "text"
    raise _not_a_delivery(
        "Tệp không phải XML, zip, Excel, CSV hay JSON", "the file is no XML, zip, workbook, CSV or JSON"
    )


def _holds_fhir(path: Path, max_unpacked: int) -> bool:
    from claim_pipeline.extract.fhir import members

    with open_zip(path, max_unpacked) as archive:
        return bool(members(archive))


def _holds_claim_xml(path: Path, max_unpacked: int, profiles: Path | None) -> bool:
    """Whether a zip holds claim XML; one with sheets of a known record system beside it is an export."""
    from claim_pipeline.extract.fitting import names_known
    from claim_pipeline.extract.profile import configured
    from claim_pipeline.extract.sheets import ENDINGS

    with open_zip(path, max_unpacked) as archive:
        sheets = [Path(name) for name in archive.namelist()]
        known = names_known(configured(profiles).every)
        if any(known(sheet.stem) and sheet.suffix.lower() in ENDINGS for sheet in sheets):
            return False
        return bool(names_of_claim_files(archive))


def _not_a_delivery(
    vi: str,
    en: str,
    next_vi: str = "Gửi tệp XML hồ sơ thanh toán, hoặc zip/Excel/CSV/JSON xuất từ phần mềm bệnh viện",
    next_en: str = "send claim XML, or a zip, Excel, CSV or JSON export of the hospital's system",
) -> Quarantined:
    return Quarantined("not-a-delivery", vi, en, next_vi, next_en)
