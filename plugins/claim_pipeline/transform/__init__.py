"""Second step on a delivery: fills in what a record system left out, and writes the claim XML that stands for it."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from claim_pipeline.extract import OPEN_CODES
from claim_pipeline.workspace import Workspace

if TYPE_CHECKING:
    from claim_rules.frames import ClaimTables
    from claim_rules.reference import Reference

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")


def run(ws: Workspace, reference: Reference | None = None) -> None:
    """Writes `ws.submission`: the received bytes of claim XML, taken out of what they were wrapped in, the claims of
    several files in one envelope; for an export of a record system, claim XML of its
    tables, which first get line numbers (STT) and the amounts that were left out; NGAYLAP is the day of receipt.
    reference: frames by file stem, to find out codes that the export has in another form (writes
    `findings-transform.parquet` where there are such)."""
    delivery = ws.delivery
    if (delivery.format or "").startswith(("emr-", "fhir-")):
        from claim_pipeline.transform.submission import write_submission
        from claim_rules.benefit import fill_amounts

        tables = ws.read_tables()
        ws.remove_frame("findings-transform")
        if ws.has_frame(OPEN_CODES):
            from claim_pipeline.transform.codes import find_out

            tables, found = find_out(tables, ws.read_frame(OPEN_CODES), reference or {})
            ws.write_frame("findings-transform", found)
        tables = fill_amounts(number_rows(tables))
        ws.write_tables(tables)
        received = datetime.fromisoformat(delivery.received_at) if delivery.received_at else datetime.now(ZONE)
        write_submission(ws.submission, tables, delivery.MA_CSKCB or "", received.astimezone(ZONE).strftime("%Y%m%d"))
    else:
        from claim_pipeline.extract.wrapping import claim_files
        from claim_pipeline.settings import settings

        aside = ws.submission.with_name(f".{ws.submission.name}.part")
        with claim_files(ws.source, settings().max_unpacked_mib << 20) as files:
            if len(files) == 1:
                shutil.copyfile(files[0], aside)
            else:
                from claim_pipeline.transform.submission import join

                join(files, aside)
        os.replace(aside, ws.submission)
    ws.delivery = replace(delivery, status="transformed")


def number_rows(tables: ClaimTables) -> ClaimTables:
    """The tables with STT where it is blank or absent: the row's position in its claim's table, in XML1 the claim's in
    the delivery. Numbers that were given stay."""
    filled = dict(tables.tables)
    for name, frame in tables.items():
        if "STT" in frame.columns:
            position = frame["claim"] + 1 if name == "XML1" else frame["row"]
            blank = frame["STT"].isna() | (frame["STT"].str.strip() == "")
            filled[name] = frame.assign(STT=frame["STT"].mask(blank, position.astype("str")))
    return replace(tables, tables=filled)
