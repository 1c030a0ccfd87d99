"""First step on a delivery: its bytes, whatever their form, become claim tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from claim_pipeline.errors import Quarantined
from claim_pipeline.workspace import Workspace

if TYPE_CHECKING:
    from claim_pipeline.extract.late import Earlier
    from claim_pipeline.extract.result import Extracted

OPEN_CODES = "open-codes"
"""Frame of the codes of an export that transform still has to find out (`Extracted.open_codes`)."""


def run(ws: Workspace, earlier: Earlier | None = None) -> None:
    """Verifies the signature of `ws.source` where it carries one, reads it by its content (claims that are signed from
    the signed bytes alone) and writes the claim tables, `findings-extract.parquet` and what the delivery
    says of itself. earlier: finds claims of earlier deliveries, for lines that come late (extract.late). Raises
    Quarantined where the delivery cannot be taken; then nothing is written."""
    from claim_pipeline import signature
    from claim_pipeline.extract.source import read_into
    from claim_pipeline.settings import settings
    from claim_pipeline.table_files import TableFiles

    delivery = ws.delivery
    signature.run(ws)
    try:
        with TableFiles(ws.folder) as into:
            found = read_into(
                signature.content(ws),
                into,
                inbox_facility=delivery.inbox_facility,
                limits=settings(),
                earlier=earlier,
            )
            into.finish(found)
            ws.remove_frame(OPEN_CODES)
            if found.open_codes is not None and len(found.open_codes):
                ws.write_frame(OPEN_CODES, found.open_codes)
    except Quarantined:
        signature.forget(ws)
        raise
    ws.delivery = replace(
        delivery,
        MA_CSKCB=delivery.inbox_facility or found.MA_CSKCB,
        format=found.format,
        declared_claims=found.declared_claims,
        read_claims=found.read_claims,
        created_on=found.created_on,
        signed=found.signed,
        unknown_columns=found.unknown_columns,
        reading=found.reading,
        status="extracted",
    )


def again(ws: Workspace, earlier: Earlier | None = None) -> Extracted:
    """A delivery that was taken, once more as it was sent; the working folder stays as it is but for the signature."""
    from claim_pipeline import signature
    from claim_pipeline.extract.source import read
    from claim_pipeline.settings import settings

    signature.run(ws)
    return read(signature.content(ws), inbox_facility=ws.delivery.inbox_facility, limits=settings(), earlier=earlier)
