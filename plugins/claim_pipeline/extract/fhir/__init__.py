"""Reads FHIR R4: Bundles and NDJSON, alone or in a zip, become claim tables, each Encounter one claim."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract.result import Extracted
from claim_pipeline.extract.wrapping import without_mark
from claim_pipeline.extract.zips import ZIP_MAGIC, damaged, encrypted, open_zip

FORMAT = "fhir-r4"

_HEAD = 1 << 16
_IS_FHIR = re.compile(rb'"resourceType"\s*:\s*"')


def is_fhir(head: bytes) -> bool:
    """Whether a file that begins so is FHIR in JSON. A Bundle may begin with its long `meta`, so give 64 KiB."""
    return without_mark(head)[:1] in (b"{", b"[") and _IS_FHIR.search(head) is not None


def is_fhir_file(path: Path) -> bool:
    """The same of a file."""
    with path.open("rb") as stream:
        return is_fhir(stream.read(_HEAD))


def members(archive: zipfile.ZipFile) -> list[str]:
    """The members of a zip that are FHIR, by content, in the order of their names."""
    found = []
    for member in archive.infolist():
        if not member.is_dir():
            try:
                with archive.open(member) as stream:
                    if is_fhir(stream.read(_HEAD)):
                        found.append(member.filename)
            except RuntimeError:
                raise encrypted() from None
            except (zipfile.BadZipFile, NotImplementedError, zlib.error, EOFError, OSError) as error:
                raise damaged(type(error).__name__) from None
    return sorted(found)


def read(path: Path, *, inbox_facility: str | None, max_claims: int, max_unpacked: int, max_json_mib: int) -> Extracted:
    """The claims of all Encounters in a Bundle, NDJSON, or a zip of these.

    inbox_facility: MA_CSKCB of the inbox that it came through. max_json_mib: resources refer to each other in any
    order, so they are all held in memory; so many MiB of JSON may be. An element that was not given is NA. Raises
    Quarantined where the delivery as a whole cannot be taken.
    """
    from claim_pipeline.extract.fhir.reader import Reader
    from claim_pipeline.extract.fhir.resources import Resources

    resources = Resources()
    limit = max_json_mib << 20
    with path.open("rb") as stream:
        zipped = stream.read(4).startswith(ZIP_MAGIC)
    if not zipped:
        _allow(path.stat().st_size, limit)
        with path.open("rb") as stream:
            resources.add_stream(stream, "")
    else:
        with open_zip(path, max_unpacked) as archive:
            names = members(archive)
            _allow(sum(archive.getinfo(name).file_size for name in names), limit)
            for name in names:
                try:
                    with archive.open(name) as stream:
                        resources.add_stream(stream, Path(name).name)
                except (zipfile.BadZipFile, NotImplementedError, zlib.error, EOFError, OSError) as error:
                    raise damaged(type(error).__name__) from None
            others = {Path(name).name for name in archive.namelist() if not name.endswith("/")}
            resources.unknown.update(dict.fromkeys(sorted(others - {Path(name).name for name in names})))
    return Reader(resources, inbox_facility, max_claims).read()


def _allow(size: int, limit: int) -> None:
    if size > limit:
        raise Quarantined(
            "too-large",
            f"Dữ liệu FHIR lớn hơn {limit >> 20} MiB",
            f"the FHIR data is larger than {limit >> 20} MiB",
            "Chia các Encounter (cùng tài nguyên của chúng) thành nhiều tệp rồi gửi lại",
            "send the Encounters, each with its resources, in several files",
            format=FORMAT,
        )
