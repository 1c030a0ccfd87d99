"""Writes any delivery that can be read as claim XML in the layout of one decision."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from claim_pipeline.errors import Quarantined
from claim_pipeline.workspace import Workspace
from claim_rules.dictionary import label_en, label_vi
from claim_rules.frames import ClaimTables
from claim_rules.versions import Loss
from claim_rules.versions import convert as convert_tables

_TEXTS = {
    "claim": (
        "{values} hồ sơ không đọc được: không có trong tệp mới.",
        "{values} claims could not be read: they are not in the new file.",
    ),
    "table": (
        "{table}: Quyết định {to} không có bảng này; {values} dòng bị bỏ.",
        "{table}: Decision {to} does not have this table; {values} rows are left out.",
    ),
    "element": (
        "{table}.{vi}: Quyết định {to} không có trường này; {values} giá trị bị bỏ.",
        "{table}.{en}: Decision {to} does not have this field; {values} values are left out.",
    ),
    "unknown": (
        "{table}.{vi}: không Quyết định nào có trường này; {values} giá trị bị bỏ.",
        "{table}.{en}: no decision has this field; {values} values are left out.",
    ),
    "code": (
        "{table}.{vi}: {values} mã không có mã tương ứng ở Quyết định {to}; để trống.",
        "{table}.{en}: {values} codes have no counterpart in Decision {to}; left blank.",
    ),
    "time": (
        "{table}.{vi}: Quyết định {to} chỉ ghi ngày; {values} giá trị mất giờ phút.",
        "{table}.{en}: Decision {to} has the day alone; {values} values lose their time.",
    ),
    "not-allowed": (
        "{table}.{vi}: {values} mã không có trong danh mục của Quyết định {to}; giữ nguyên.",
        "{table}.{en}: {values} codes are not in the list of Decision {to}; kept as they are.",
    ),
    "too-long": (
        "{table}.{vi}: {values} giá trị dài hơn Quyết định {to} cho phép; giữ nguyên.",
        "{table}.{en}: {values} values are longer than Decision {to} allows; kept as they are.",
    ),
}


def convert(file: Path, to: str, out: Path, *, one_per_file: bool = False) -> list[tuple[str, str]]:
    """Writes the claims of a delivery (or a file of XML0 or XML12) to `out`, unsigned; one_per_file: each claim to a
    file of its own in the folder `out`. Memory does not grow with the claims of claim XML.

    Returns what the layout cannot hold, in Vietnamese and English; see claim_rules.versions.Loss. An export of a record
    system first gets the amounts that it left out. Raises Quarantined where the file cannot be read as a whole or no
    claim in it can.
    """
    from claim_pipeline.extract import source
    from claim_pipeline.settings import settings
    from claim_pipeline.table_files import TableFiles
    from claim_pipeline.transform import ZONE, number_rows
    from claim_pipeline.transform.submission import write_chunks, write_each
    from claim_rules.benefit import fill_amounts

    with tempfile.TemporaryDirectory(prefix="giamdinh-") as folder:
        ws = Workspace(folder)
        try:
            with TableFiles(ws.folder) as into:
                found = source.read_into(file, into, inbox_facility=None, limits=settings())
                into.finish(found)
        except Quarantined as error:
            if error.code == "not-a-claim" and not one_per_file:
                return _document(file, to, out)
            raise
        if found.format.startswith(("emr-", "fhir-")):
            ws.write_tables(fill_amounts(number_rows(ws.read_tables())))
        readable = int(ws.read_frame("claims")["readable"].sum())
        if not readable:
            raise Quarantined(
                "STR-002",
                "Không đọc được hồ sơ nào trong tệp",
                "no claim of the file can be read",
                "Chạy giamdinh check để xem lỗi của từng hồ sơ",
                "run giamdinh check to see what is wrong with each claim",
            )
        losses: Counter[tuple[str, str, str]] = Counter()
        chunks = _converted(ws, to, losses)
        created_on = found.created_on or datetime.now(ZONE).strftime("%Y%m%d")
        if one_per_file:
            write_each(out, chunks, found.MA_CSKCB, created_on, to)
        else:
            write_chunks(out, chunks, readable, found.MA_CSKCB, created_on, to)
    return [_text(Loss(*what, values), to) for what, values in losses.items()]


def _converted(ws: Workspace, to: str, losses: Counter[tuple[str, str, str]]) -> Iterator[ClaimTables]:
    """The claims in the layout of `to`, chunk by chunk; adds to the losses (kind, table, element)."""
    for chunk in ws.chunks(as_sent=True):
        converted, lost = convert_tables(chunk, to)
        for loss in lost:
            losses[loss.kind, loss.table, loss.element] += loss.values
        if len(converted.claims):
            yield converted


def _document(file: Path, to: str, out: Path) -> list[tuple[str, str]]:
    from claim_pipeline.extract.claim_xml import read_document
    from claim_pipeline.transform.submission import write_document

    name, rows, unknown = read_document(file)
    write_document(out, name, rows, to)
    counts = unknown.groupby("element").size()
    return [_text(Loss("unknown", name, str(element), int(count)), to) for element, count in counts.items()]


def _text(loss: Loss, to: str) -> tuple[str, str]:
    def named(label: str) -> str:
        return loss.element if label == loss.element else f"{loss.element} ({label})"

    vi, en = named(label_vi(loss.element, loss.table)), named(label_en(loss.element, loss.table))
    told = {"table": loss.table, "values": loss.values, "to": to, "vi": vi, "en": en}
    message_vi, message_en = _TEXTS[loss.kind]
    return message_vi.format(**told), message_en.format(**told)
