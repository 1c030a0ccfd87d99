"""The answer in a facility's outbox: a receipt at once, then the reports and what stands as the claim."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from claim_pipeline import faults

if TYPE_CHECKING:
    from claim_pipeline.store import DeliveryRow
    from claim_pipeline.store.store import Store
    from claim_pipeline.workspace import Workspace

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
RECEIPT_SCHEMA = "giamdinh.receipt/1"
RECEIPT, REPORT, PAGE, SHEETS, SUBMISSION = (
    "receipt.json",
    "report.json",
    "report.html",
    "report.xlsx",
    "submission.xml",
)
_FACILITY = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,19}")


def write_receipt(
    outbox: Path,
    facility: str,
    file: str,
    sha256: str,
    received_at: datetime,
    delivery_id: int | None = None,
    *,
    size: int | None = None,
    repeat_of: int | None = None,
    repeat_folder: str | None = None,
    first_received_at: datetime | None = None,
) -> Path:
    """Makes the answer folder of a delivery with its receipt, and returns it; the second call finds it.

    The folder is `<outbox>/<facility>/<yyyymmdd-HHMMSS>-<first 8 of sha256>`, by the time of receipt in Vietnam; if
    that name belongs to another delivery, the next free second. size: of the file, in bytes. For a repeat:
    repeat_folder is the name of the folder that answers the first delivery, first_received_at when that came.
    """
    if not _FACILITY.fullmatch(facility):
        raise ValueError("a facility code cannot be a folder name")
    mine = outbox / facility
    mine.mkdir(parents=True, exist_ok=True)
    local = received_at.astimezone(VIETNAM)
    receipt: dict[str, Any] = {
        "schema": RECEIPT_SCHEMA,
        "delivery": delivery_id,
        "file": re.sub(r"[\x00-\x1f\x7f]", "?", file),
        "sha256": sha256,
        "size": size,
        "MA_CSKCB": facility,
        "received_at": local.isoformat(timespec="seconds"),
        "status": "received" if repeat_of is None else "repeat",
        "repeat": repeat_of is not None,
    }
    if repeat_of is not None:
        first = first_received_at.astimezone(VIETNAM).isoformat(timespec="seconds") if first_received_at else None
        receipt |= {
            "repeat_of": repeat_of,
            "first_received_at": first,
            "first_answer": repeat_folder,
            "message_vi": "Tệp này đã được tiếp nhận trước đây; kết quả của lần đầu vẫn có hiệu lực.",
            "message_en": "This file was received before; the first answer stands.",
            "next_vi": "Bản sao kết quả lần đầu sẽ có trong thư mục này. Nếu đã sửa hồ sơ, hãy xuất lại tệp rồi gửi.",
            "next_en": "A copy of the first answer will appear in this folder. If claims were corrected, export again.",
        }
    else:
        receipt |= {
            "message_vi": "Đã tiếp nhận tệp, chưa giám định.",
            "message_en": "The file was received; it is not appraised yet.",
            "next_vi": "Kết quả giám định sẽ có trong thư mục này: report.html và report.xlsx để đọc, report.json cho "
            "phần mềm; report.json xuất hiện sau cùng. Không cần gửi lại tệp này.",
            "next_en": "The result will appear in this folder: report.html and report.xlsx to read, report.json for "
            "software; report.json comes last. Do not send this file again.",
        }
    text = json.dumps(receipt, ensure_ascii=False, indent=1)
    for seconds in count():
        name = f"{local + timedelta(seconds=seconds):%Y%m%d-%H%M%S}-{sha256[:8]}"
        folder = mine / name
        if folder.exists():
            if _is_mine(folder, receipt):
                return folder
            continue
        aside = mine / f".{name}.{delivery_id or os.getpid()}.part"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        with _aside(aside / RECEIPT) as path:
            path.write_text(text, "utf-8")
        try:
            aside.rename(folder)
        except OSError:
            shutil.rmtree(aside, ignore_errors=True)
            if not folder.exists():
                raise
            if not _is_mine(folder, receipt):
                continue  # another delivery took the name this very moment
        return folder
    raise AssertionError("seconds do not run out")


def _is_mine(folder: Path, receipt: dict[str, Any]) -> bool:
    try:
        found = json.loads((folder / RECEIPT).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    names = ["sha256", "received_at", "file"]
    if found.get("delivery") is not None and receipt["delivery"] is not None:
        names = ["sha256", "delivery"]
    return all(found.get(name) == receipt[name] for name in names)


def receive(store: Store, row: DeliveryRow, outbox: Path) -> Path:
    """The receipt of a delivery as it stands in the database, also of a repeat. Returns the answer folder."""
    if row.repeat_of is None:
        return write_receipt(outbox, row.facility, row.file, row.sha256, row.received_at, row.id, size=row.size)
    first = store.delivery(row.repeat_of)
    first_folder = first.answer_folder or receive(store, first, outbox).name
    return write_receipt(
        outbox,
        row.facility,
        row.file,
        row.sha256,
        row.received_at,
        row.id,
        size=row.size,
        repeat_of=first.id,
        repeat_folder=first_folder.rpartition("/")[2],
        first_received_at=first.received_at,
    )


def repeat(store: Store, row: DeliveryRow, outbox: Path) -> Path:
    """Answers a repeat with copies of what answered the first delivery, as far as it is still there."""
    folder = receive(store, row, outbox)
    if row.repeat_of is None:
        raise ValueError(f"delivery {row.id} is no repeat")
    place = store.delivery(row.repeat_of).answer_folder
    if place is not None:
        for name in (PAGE, SHEETS, SUBMISSION, REPORT):
            if (outbox / place / name).exists():
                _copy(outbox / place / name, folder / name)
    return folder


def run(ws: Workspace, store: Store | None, outbox: Path, row: DeliveryRow | None = None) -> Path:
    """Puts the reports of an appraised or quarantined delivery into its answer folder, and returns that.

    Each file appears whole, report.json last: once it is there the answer is complete. submission.xml is what stands
    as the claim; a quarantined delivery has none. row: the delivery in the database; without it (no database) the
    working folder says whose and when it was. Running twice leaves the same files.
    """
    if row is not None and store is not None:
        folder = receive(store, row, outbox)
    else:
        delivery = ws.delivery
        facility = delivery.inbox_facility or delivery.MA_CSKCB or ""
        received_at = datetime.fromisoformat(delivery.received_at or "")
        size = ws.source.stat().st_size if ws.source.exists() else None
        folder = write_receipt(outbox, facility, delivery.file, delivery.sha256, received_at, size=size)
    if (folder / REPORT).exists() and _digest(folder / REPORT) == _digest(ws.report):
        return folder
    report = json.loads(ws.report.read_text("utf-8"))
    with _aside(folder / PAGE) as path:
        path.write_text(render_html(report), "utf-8")
    with _aside(folder / SHEETS) as path:
        render_xlsx(report, path)
    if report["delivery"]["status"] != "quarantined" and ws.submission.exists():
        _copy(ws.submission, folder / SUBMISSION)
    faults.point("respond:reports")
    _copy(ws.report, folder / REPORT)
    return folder


DIFFERENCE, DIFFERENCE_PAGE, DIFFERENCE_SHEETS = "difference.json", "difference.html", "difference.xlsx"


def again(first_answer: str, number: int, report_path: Path, difference: dict[str, Any], outbox: Path) -> Path:
    """Answers a later appraisal, and returns the folder: that of the first answer (`<MA_CSKCB>/<folder>`), its name
    followed by `-reappraisal-<number>`, so that it stands beside it and is not taken for a new delivery's.

    report_path: the report that now stands; difference: what changed (claim_pipeline.difference.report). Each file
    appears whole, report.json last. Running twice leaves the same files.
    """
    folder = outbox / f"{first_answer}-reappraisal-{number}"
    if (folder / REPORT).exists() and _digest(folder / REPORT) == _digest(report_path):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    report = json.loads(report_path.read_text("utf-8"))
    write_difference(difference, folder)
    with _aside(folder / PAGE) as path:
        path.write_text(render_html(report), "utf-8")
    with _aside(folder / SHEETS) as path:
        render_xlsx(report, path)
    faults.point("respond:again")
    _copy(report_path, folder / REPORT)
    return folder


def write_difference(difference: dict[str, Any], folder: Path) -> None:
    """A difference report as page, workbook and JSON, that last."""
    from claim_pipeline.respond import changes

    folder.mkdir(parents=True, exist_ok=True)
    with _aside(folder / DIFFERENCE_PAGE) as path:
        path.write_text(changes.render_html(difference), "utf-8")
    with _aside(folder / DIFFERENCE_SHEETS) as path:
        changes.render_xlsx(difference, path)
    with _aside(folder / DIFFERENCE) as path:
        path.write_text(json.dumps(difference, ensure_ascii=False, indent=1) + "\n", "utf-8")


def write_reference_report(report: dict[str, Any], folder: Path) -> None:
    """The report of a file of reference data (claim_pipeline.reference) as page, workbook and JSON, that last. Running
    twice leaves the same files."""
    from claim_pipeline.respond import reference

    folder.mkdir(parents=True, exist_ok=True)
    with _aside(folder / PAGE) as path:
        path.write_text(reference.render_html(report), "utf-8")
    with _aside(folder / SHEETS) as path:
        reference.render_xlsx(report, path)
    with _aside(folder / REPORT) as path:
        path.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", "utf-8")


def difference_text(difference: dict[str, Any]) -> str:
    """A difference report for a terminal: totals, and the rules that move most."""
    from claim_pipeline.respond.words import money_vi, rule_title

    totals = difference["totals"]
    before, after = totals["before"], totals["after"]
    lines = [
        f"Hồ sơ đã so / claims compared: {totals['claims']}; thay đổi / changed: {totals['changed']}",
        f"Chấp nhận / approved: {money_vi(before['approved'])} -> {money_vi(after['approved'])} đ "
        f"({money_vi(totals['difference'])})",
    ]
    for row in difference["rules"][:15]:
        lines.append(f"{row['rule']}: +{row['gained']} -{row['lost']}  {rule_title(row['rule']).vi}")
    for problem in difference.get("problems", ()):
        lines.append(f"Lô / delivery {problem['delivery']}: {problem['problem']}")
    return "\n".join(lines)


def render_html(report: dict[str, Any]) -> str:
    """The report as one page without anything from outside: Vietnamese, with a switch to English."""
    from claim_pipeline.respond.page import render

    return render(report)


def render_xlsx(report: dict[str, Any], path: Path) -> None:
    """The report as a workbook: summary, what to correct, findings, claims, lines."""
    from claim_pipeline.respond.sheets import render

    render(report, path)


def render_text(report: dict[str, Any]) -> str:
    """The report for a terminal, Vietnamese first, English below where words differ."""
    from claim_pipeline.respond.terminal import render

    return render(report)


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """A path to write to; on leaving it is flushed to disk and renamed to the target."""
    aside = target.with_name(f".{target.name}.part")
    yield aside
    with aside.open("rb") as handle:
        os.fsync(handle.fileno())
    os.replace(aside, target)


def _copy(source: Path, target: Path) -> None:
    with _aside(target) as path:
        shutil.copyfile(source, path)


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
