"""The steps of a delivery in their order: the one list that DAGs, command line and tests call.

Light at import: what a step needs is imported when it runs.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from claim_pipeline import faults, unable
from claim_pipeline.errors import GiamdinhError, OperatorError, Quarantined
from claim_pipeline.settings import settings

if TYPE_CHECKING:
    import pandas as pd

    from claim_pipeline.again import Again, Basis, Reproduced
    from claim_pipeline.appraise import Known
    from claim_pipeline.archive import Archive
    from claim_pipeline.data_docs import Entry, Site
    from claim_pipeline.extract.late import Earlier
    from claim_pipeline.extract.result import Extracted
    from claim_pipeline.reappraisal import Reappraisal
    from claim_pipeline.reference_used import ReferenceUsed
    from claim_pipeline.signature.trust import Trust
    from claim_pipeline.store import AppraisalRow, DeliveryRow
    from claim_pipeline.store.store import Store
    from claim_pipeline.workspace import Workspace
    from claim_rules.reference import Reference

STEPS = ("receive", "extract", "transform", "validate", "appraise", "record", "respond")
"""What happens to a delivery, in order. Each may run twice, or be killed and run again, with the same result."""

STATUS = dict(
    zip(STEPS, ("received", "extracted", "transformed", "validated", "appraised", "recorded", "answered"), strict=True)
)
"""Where a delivery stands once a step is done."""

ON_FILES = ("extract", "transform", "validate", "appraise")
"""Steps that only read and write the delivery's working folder: they run without a database too (giamdinh check)."""

CHECKSUM = "checksum-mismatch"
FOR_OPERATOR = ("wrong-facility", CHECKSUM)
"""Reasons of quarantine of which the operator is told beside the facility that sent the file."""

TIME_ZONE = ZoneInfo("Asia/Ho_Chi_Minh")

log = logging.getLogger(__name__)


class StepFailed(OperatorError):
    """A step could not be done for some deliveries, through no fault of theirs."""

    def __init__(self, step: str, deliveries: list[int]) -> None:
        named = ", ".join(map(str, deliveries))
        super().__init__(
            "step-failed",
            f"Bước {step} chưa làm được cho các lô gửi số {named}",
            f"step {step} could not be done for deliveries {named}",
            "Xem nhật ký của bước; lô sẽ được thử lại",
            "see the log of the step; the deliveries will be tried again",
        )
        self.deliveries = deliveries


@cache
def _store() -> Store:
    from claim_pipeline.store import open_store

    return open_store()


@cache
def _archive() -> Archive:
    from claim_pipeline.archive import Archive

    return Archive(settings().archive_location)


def _workspace(delivery: int) -> Workspace:
    from claim_pipeline.workspace import Workspace

    return Workspace(settings().work_folder / str(delivery))


def receive(actor: str, seconds: float = float("inf"), *, at: datetime | None = None) -> list[int]:
    """Takes every whole file of every inbox, for about so many seconds at most: archives its bytes, makes the
    delivery's row, writes the receipt and takes the file out of the inbox. Returns the ids of deliveries that are new.

    The same bytes from the same facility again are a repeat: answered from the first result. at: when they come (with
    zone), for simulated months; None: now. See `intake.Intake`.
    """
    from claim_pipeline.intake import Intake

    intake = Intake(_store(), _archive(), settings(), actor)
    if at is not None:
        intake.clock = lambda: at
    new = intake.run(seconds)
    _answer_repeats()
    _answer_the_rest(actor)
    return new


def whole_files() -> int:
    """How many whole files lie in the inboxes now."""
    from claim_pipeline import inbox
    from claim_pipeline.renames import remembered

    known = settings()
    renamed = remembered(known.renames_memory)
    return len(inbox.look(known.inbox_folder, known.settle_seconds, renamed=renamed).files)


def _answer_the_rest(actor: str) -> None:
    """Answers later appraisals that are still owed to their facilities; what fails is tried again at the next look."""
    try:
        answer_again(actor)
    except Exception as error:  # noqa: BLE001 - must keep no delivery waiting
        log.error("a later appraisal could not be answered: %s: %s", type(error).__name__, _place(error))


def _answer_repeats() -> None:
    """Answers repeats from the first delivery's answer, as far as that is there."""
    from claim_pipeline import respond

    for row in _store().repeats_to_answer():
        folder = respond.repeat(_store(), row, settings().outbox_folder)
        faults.point("repeat:copied")
        _store().answered(row.id, folder, "repeat")
        faults.point("repeat:answered")


def batches(*, failed_too: bool = False) -> list[dict[str, Any]]:
    """The deliveries to work on next: {"label", "facility", "deliveries": ids}, one batch of a facility at most.

    One facility's deliveries are done in the order in which they came, and no facility has a second batch while
    another waits for its first: those answered longest ago come first, at most `batches_per_run` of them. The label
    names the facility and numbers; a file's name may tell whose claim it holds. Repeats whose first delivery is
    answered are answered here. failed_too: also those that could not be done before, each by itself and last.
    """
    known = settings()
    _answer_repeats()
    parts = []
    for rows in _store().open_deliveries(known.batch_deliveries).values():
        size = 0
        part: list[DeliveryRow] = []
        for row in rows:
            size += row.size
            if part and size > known.batch_mib << 20:
                break
            part.append(row)
        parts.append(part)
    del parts[known.batches_per_run :]
    if failed_too:
        parts += [[row] for row in _store().failed_deliveries()]
    return [
        {
            "label": f"{part[0].facility} · #{part[0].id}" + (f" +{len(part) - 1}" if len(part) > 1 else ""),
            "facility": part[0].facility,
            "deliveries": [row.id for row in part],
        }
        for part in parts
    ]


def run_step(
    step: str, deliveries: Iterable[int], *, actor: str, last_try: bool = True, retry: bool = False
) -> dict[str, int]:
    """One step over some deliveries. Returns counts: done, already (past this step), quarantined, failed, busy.

    A delivery that cannot be taken is quarantined, with its reason, and answered by `respond`. An error of ours on one
    delivery does not stop the others; afterwards it raises StepFailed, or, on the last try, marks those deliveries
    failed: an operator must look, nothing is said about their claims, and the hospital is told so. So it is with one
    during which `attempts` processes were killed. A full disk or a database that is away fails no delivery: StepFailed.
    Deliveries that another process works on are left to it (busy). retry: go on with deliveries marked failed.
    """
    if step not in STEPS[1:]:
        raise ValueError(f"{step} is not a step that runs over deliveries")
    wanted = list(deliveries)
    with _store().working_on(wanted) as mine:
        counts = _run_step(step, [one for one in wanted if one in mine], actor, last_try, retry)
    return counts | {"busy": len(wanted) - len(mine)}


def _run_step(step: str, deliveries: list[int], actor: str, last_try: bool, retry: bool) -> dict[str, int]:
    counts = {"done": 0, "already": 0, "quarantined": 0, "failed": 0}
    failed = []
    trouble = False
    _reference.cache_clear()
    rows = {row.id: row for row in _store().deliveries(deliveries)}
    for place, delivery in enumerate(deliveries):
        try:
            if step == "appraise" and place:
                _record_before(deliveries[place - 1], actor)
            counts[_one(step, rows[delivery], actor, retry)] += 1
        except Exception as error:  # noqa: BLE001 - one delivery must not stop the others
            failed.append(delivery)
            trouble |= _is_of_the_machine(error)
            # the text of a foreign exception may hold values of a claim
            said = error.message_en if isinstance(error, GiamdinhError) else _place(error)
            log.error("step %s of delivery %s failed: %s: %s", step, delivery, type(error).__name__, said)
            _store().ended(delivery)
            if last_try and not _is_of_the_machine(error):
                _fail(rows[delivery], actor, {"step": step, "error": type(error).__name__, "at": _place(error)})
    counts["failed"] += len(failed)
    if failed and (trouble or not last_try):
        raise StepFailed(step, failed)
    return counts


def _record_before(delivery: int, actor: str) -> None:
    """Records what came before the delivery to be appraised next: whether a claim is a new version, or was paid
    before, must not depend on which deliveries went through a task together."""
    row = _store().delivery(delivery)
    if row.progress != STATUS["appraise"] or row.status == "failed":
        return
    try:
        _one("record", row, actor, False)
    except Exception as error:  # noqa: BLE001 - its own step tells why
        log.error("delivery %s was not recorded yet: %s: %s", delivery, type(error).__name__, _place(error))
        _store().ended(delivery)


_OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


def _is_of_the_machine(error: Exception) -> bool:
    """Whether an error says nothing about the delivery: the disk is full, or the database is away."""
    if isinstance(error, OSError):
        return error.errno in _OF_THE_MACHINE
    return type(error).__name__ == "OperationalError" or getattr(error, "code", "") == "database-unreachable"


def _fail(row: DeliveryRow, actor: str, detail: dict[str, Any]) -> None:
    """Marks a delivery that we could not do, tells the operator, and tells the hospital that nothing is lost."""
    _store().move(row.id, "failed", actor=actor, detail=detail)
    _store().notice(unable.CODE, row.facility, f"#{row.id}", {"delivery": row.id, "file": row.file, **detail})
    unable.answer(row, _workspace(row.id).folder, _store(), settings().outbox_folder)


def _place(error: BaseException) -> str:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return f"{place.tb_frame.f_code.co_filename.rpartition('/')[2]}:{place.tb_lineno}" if place is not None else "?"


def _rank(status: str) -> int:
    return list(STATUS.values()).index(status)


def _one(step: str, row: DeliveryRow, actor: str, retry: bool) -> str:
    if row.answered_at is not None or row.repeat_of is not None:
        return "already"
    if row.status == "failed" and not retry:
        if step == "respond":  # a run that was killed may not have said it
            unable.answer(row, _workspace(row.id).folder, _store(), settings().outbox_folder)
        return "failed"
    held = row.progress == "quarantined"
    if held and step not in ("record", "respond"):
        return "quarantined"
    if not held and _rank(row.progress) >= _rank(STATUS[step]):
        return "already"
    if step == "record" and row.recorded_at is not None:
        return "already"
    again = row.status == "failed"
    if _store().begin(row.id, again=again) > settings().attempts and not again:
        log.error("step %s of delivery %s was killed too often", step, row.id)
        _fail(row, actor, {"step": step, "error": "killed", "attempts": settings().attempts})
        return "failed"
    faults.point(f"{step}:begun")
    ws = _ready(row)
    if step in ON_FILES:
        return _on_files(step, row, ws, actor)
    if not held:
        _catch_up(row, ws, "appraise")
    elif not ws.report.exists():
        _on_files("extract", row, ws, actor)
    if step == "record":
        _keep_history(ws)
        _store().record(row.id, ws, actor)
        return "quarantined" if held else "done"
    from claim_pipeline import respond

    folder = respond.run(ws, _store(), settings().outbox_folder, row)
    faults.point("respond:complete")
    _store().answered(row.id, folder, actor)
    faults.point("respond:answered")
    return "done"


def _ready(row: DeliveryRow) -> Workspace:
    """The delivery's working folder; made anew from the archive where it is not there."""
    from claim_pipeline.workspace import Delivery

    ws = _workspace(row.id)
    if not (ws.folder / "delivery.json").exists():
        _archive().copy_to(row.archive_key, ws.source)
        ws.delivery = Delivery(
            file=row.file,
            sha256=row.sha256,
            MA_CSKCB=row.facility,
            received_at=row.received_at.astimezone(TIME_ZONE).isoformat(timespec="seconds"),
            inbox_facility=row.facility,
        )
    return ws


def _catch_up(row: DeliveryRow, ws: Workspace, until: str) -> None:
    """Runs what the working folder lacks up to a step (it was lost, or the last run was killed half-way)."""
    for step in ON_FILES[: ON_FILES.index(until) + 1]:
        if _rank(ws.delivery.status) < _rank(STATUS[step]):
            _step(step, row, ws)


def _step(step: str, row: DeliveryRow, ws: Workspace) -> None:
    if step == "extract" and row.intake_fault is not None:
        raise _checksum_failed()
    if step == "appraise":
        from claim_pipeline import again
        from claim_pipeline.workspace import RESTS_ON

        _tell_unknown_facility(row)
        known, used = _reference()
        step_on_files(step, ws, used.of(ws.read_tables()), _history(row.id, ws), known=known)
        again.tell_failed_rules(_store(), row.id, row.facility, ws.read_json(RESTS_ON)["failed"])
    else:
        # only codes that an export has in another form are told by reference data before the rules
        open_codes = step == "transform" and ws.has_frame("open-codes")
        reference = _reference()[1].of(ws.read_tables()) if open_codes else {}
        step_on_files(step, ws, reference, earlier=_earlier(row) if step == "extract" else None)


def _history(delivery: int, ws: Workspace) -> dict[str, pd.DataFrame]:
    """Frames of other claims for the rules that look beyond the delivery."""
    return _store().past(delivery, ws.read_tables())


def _keep_history(ws: Workspace) -> None:
    """Puts the frames of other claims that the appraisal was given where it can be done again from."""
    from claim_pipeline.workspace import HISTORY

    if (ws.folder / HISTORY).exists():
        _archive().keep(ws.folder / HISTORY)


def _tell_unknown_facility(row: DeliveryRow) -> None:
    known = _reference()[1].table("facilities")
    if known is not None and "MA_CSKCB" in known and not (known["MA_CSKCB"] == row.facility).any():
        _store().notice("unknown-facility", row.facility, "")


def _earlier(row: DeliveryRow) -> Earlier:
    """Finds the newest claims that deliveries of the same facility brought before this one, as they were sent."""

    def find(names: list[str]) -> dict[str, tuple[Extracted, int]]:
        from claim_pipeline import extract

        newest = _store().newest_before(row.id, names)
        for other in _store().unanswered():  # not recorded yet, but before this one
            if other.facility == row.facility and other.id < row.id and _still_on_its_way(other):
                claims = _ready_and_extracted(other)
                if claims is not None:
                    mine = claims[claims["MA_LK"].isin(names) & claims["readable"]]
                    for name, at in zip(mine["MA_LK"], mine["claim"], strict=True):
                        newest[name] = max(newest.get(name, (0, 0)), (other.id, int(at)))
        found: dict[int, Extracted] = {}
        for delivery in {delivery for delivery, _ in newest.values()}:
            other = _store().delivery(delivery)
            found[delivery] = extract.again(_ready(other), _earlier(other))
        return {name: (found[delivery], at) for name, (delivery, at) in newest.items()}

    return find


def _still_on_its_way(row: DeliveryRow) -> bool:
    return row.repeat_of is None and row.progress != "quarantined" and _rank(row.progress) < _rank("recorded")


def _ready_and_extracted(row: DeliveryRow) -> pd.DataFrame | None:
    """The claims of a delivery that is on its way; None where it cannot be taken."""
    ws = _ready(row)
    try:
        _catch_up(row, ws, "extract")
    except Quarantined:
        return None
    return ws.read_frame("claims")


def claim_table(delivery: int, table: str, claims: set[int]) -> pd.DataFrame | None:
    """Rows of one claim table of a delivery, of the claims at these positions, as they were sent; made again from the
    archive where the working folder is gone. None where the delivery has no such table."""
    row = _store().delivery(delivery)
    ws = _ready(row)
    _catch_up(row, ws, "extract")
    if not ws.has_frame(table):
        return None
    frame = ws.read_frame(table)
    return frame[frame["claim"].isin(claims)]


def _on_files(step: str, row: DeliveryRow, ws: Workspace, actor: str) -> str:
    from claim_pipeline import appraise

    try:
        before = ON_FILES.index(step)
        if before:
            _catch_up(row, ws, ON_FILES[before - 1])
        if _rank(ws.delivery.status) < _rank(STATUS[step]):
            _step(step, row, ws)
    except Quarantined as error:
        appraise.quarantine(ws, error)
        faults.point(f"{step}:written")
        _store().move(row.id, "quarantined", actor=actor, detail=ws.delivery.reason)
        if error.code in FOR_OPERATOR:
            log.warning("delivery %s of facility %s was quarantined: %s", row.id, row.facility, error.code)
            _store().notice(error.code, row.facility, f"#{row.id}", {"delivery": row.id, "file": row.file})
        return "quarantined"
    faults.point(f"{step}:written")
    _store().move(row.id, STATUS[step], actor=actor, inputs=row.sha256, outputs=_digest(step, ws))
    faults.point(f"{step}:moved")
    return "done"


def _checksum_failed() -> Quarantined:
    return Quarantined(
        CHECKSUM,
        "Tệp không khớp với tệp .sha256 gửi kèm: có thể đã hỏng khi truyền",
        "the file does not match the .sha256 sent with it: it may have been damaged on the way",
        "Gửi lại cả tệp và tệp .sha256 của nó",
        "send the file and its .sha256 again",
    )


_OUTPUTS = {
    "extract": "claims.parquet",
    "transform": "submission.xml",
    "validate": "findings-validate.parquet",
    "appraise": "report.json",
}


def _digest(step: str, ws: Workspace) -> str:
    from claim_pipeline.table_files import parts

    digest = hashlib.sha256()
    for path in parts(ws.folder / _OUTPUTS[step]):
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


@cache
def _reference() -> tuple[Known, ReferenceUsed]:
    """Reference data in force, and which they are; looked up once for all deliveries of a step."""
    from claim_pipeline.appraise import Known

    at = _store().reference_moment()
    loads = {
        name: {"load": version["load"], "sha256": version["sha256"]}
        for name, version in _store().reference_versions(at).items()
    }
    return Known(at.isoformat(), loads), _loaded(loads)


def _loaded(loads: dict[str, dict[str, Any]]) -> ReferenceUsed:
    from claim_pipeline.reference_used import ReferenceUsed

    return ReferenceUsed(_store(), [version["load"] for version in loads.values()])


def step_on_files(
    step: str,
    ws: Workspace,
    reference: Reference,
    history: dict[str, pd.DataFrame] | None = None,
    trust: Trust | None = None,
    earlier: Earlier | None = None,
    known: Known | None = None,
) -> None:
    """One of ON_FILES on one working folder. Raises Quarantined where the delivery as a whole cannot be taken.

    history, trust, known: as appraise.run takes them; earlier: as extract.run.
    """
    if step == "extract":
        from claim_pipeline import extract

        extract.run(ws, earlier)
    elif step == "transform":
        from claim_pipeline import transform

        transform.run(ws, reference)
    elif step == "validate":
        from claim_pipeline import validate

        validate.run(ws)
    else:
        from claim_pipeline import appraise

        appraise.run(ws, reference, history, trust, known=known)


def document(deliveries: Iterable[int] = (), *, seconds: float = float("inf")) -> dict[str, int]:
    """Data Docs of these deliveries, and of those that an earlier call was asked for and did not come to; for about so
    many seconds at most. Returns counts: made, without (nothing was validated, or not kept any more), failed, left.

    Nobody waits for these pages: what fails here fails no delivery. Whatever was asked for may be asked for again: the
    same pages. Raises OperatorError if the folder cannot be written.
    """
    from claim_pipeline.data_docs import Site

    known = settings()
    site = Site(known.data_docs_folder, keep_months=known.data_docs_months, keep_results=known.data_docs_results)
    counts = {"made": 0, "without": 0, "failed": 0, "left": 0}
    until = time.monotonic() + seconds
    today = f"{datetime.now(TIME_ZONE):%Y%m}"
    try:
        site.ask(deliveries)
        # Whoever has little time does not wait for a process that makes all pages: that one sees what is asked for.
        patience = until if seconds == float("inf") else min(until, time.monotonic() + 10)
        with site.alone(patience) as mine:
            while mine and (asked := site.asked()[:DOCUMENTED_AT_ONCE]) and time.monotonic() <= until:
                tried: list[int] = []
                site.add(_documents(site, asked, today, until, counts, tried), today)
                site.done(tried)
            if mine:
                site.finish(today)
        counts["left"] = len(site.asked())
    except OSError as error:
        raise OperatorError(
            "data-docs-not-written",
            f"Không ghi được Data Docs ({type(error).__name__} {error.errno})",
            f"Data Docs could not be written ({type(error).__name__} {error.errno})",
            "Kiểm tra dung lượng đĩa và quyền của thư mục GIAMDINH_DATA_DOCS; lô gửi không bị ảnh hưởng",
            "see to disk space and permissions of the folder GIAMDINH_DATA_DOCS; no delivery is affected",
        ) from None
    return counts


DOCUMENTED_AT_ONCE = 500
"""Deliveries after which the indexes of Data Docs are written."""


def _documents(
    site: Site, deliveries: list[int], today: str, until: float, counts: dict[str, int], tried: list[int]
) -> Iterator[tuple[Entry, str]]:
    """Entry and page of each of these deliveries that was validated. counts and tried are added to."""
    from claim_pipeline.data_docs import entry_of
    from claim_pipeline.data_docs.result_page import render

    rows = {row.id: row for row in _store().deliveries(deliveries)}
    for delivery in deliveries:
        if time.monotonic() > until:
            return
        tried.append(delivery)
        try:
            row = rows.get(delivery)
            report = _validation(row) if row is not None else None
            if row is None or report is None:
                counts["without"] += 1
                continue
            entry = entry_of(report, row.id, row.facility, row.received_at, row.answer_folder)
            if site.expired(entry.month, today):
                counts["without"] += 1
                continue
            page = render(report, entry)
        except Exception as error:  # noqa: BLE001 - one delivery must not keep the others from their pages
            log.error("Data Docs of delivery %s failed: %s: %s", delivery, type(error).__name__, _place(error))
            counts["failed"] += 1
            continue
        yield entry, page
        counts["made"] += 1


def to_document(month: str | None = None) -> list[int]:
    """Deliveries whose validation is recorded; month: only those that stand under it (yyyymm) in Data Docs."""
    from claim_pipeline.data_docs import month_of

    runs = _store().validation_runs()
    if month is None:
        return [run.delivery for run in runs]
    received = {row.id: row.received_at for row in _store().deliveries([run.delivery for run in runs])}
    return [run.delivery for run in runs if month_of(run.months, received[run.delivery]) == month]


def _validation(row: DeliveryRow) -> dict[str, Any] | None:
    """The record of a delivery's validation: as recorded, else as it lies in the working folder; None where it was not
    validated."""
    import json

    recorded = _store().validation_record(row.id)
    path = settings().work_folder / str(row.id) / "validation.json"
    if recorded is None and path.exists():
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found if found["delivery"]["sha256"] == row.sha256 else None
    return recorded


def load_reference_folder(
    actor: str, folder: Path | None = None, valid_from: str | None = None, *, empty: bool = False
) -> dict[str, int]:
    """Reference data from the drop folder (or another, or a single file) into the database; returns rows per file.

    A file that cannot be used is left out and named in a ReferenceDataError after the others are loaded. valid_from:
    yyyymmdd, of an ICD-10 annex; empty: a file without rows may replace some (see reference.load_folder).
    """
    from claim_pipeline import reference

    place = folder or settings().reference_folder
    return reference.load_folder(place, _store(), actor, _archive(), valid_from, empty=empty)


def reference_tables(known_at: datetime | None = None) -> dict[str, dict[str, Any]]:
    """The reference tables in force at a moment (None: now), as Store.reference_loads."""
    return _store().reference_loads(known_at)


def reference_history(name: str, known_at: datetime | None = None) -> list[dict[str, Any]]:
    """The loads and refused files of one reference table, newest first, as Store.reference_records, with document
    (claim_pipeline.reference.document) and folder (name of the report's folder)."""
    from claim_pipeline import reference

    return [
        row | {"document": reference.document(row), "folder": reference.report_folder(row)}
        for row in _store().reference_records(name, known_at)
    ]


def update_statistics() -> dict[str, int]:
    """Profiles the deliveries recorded since the last time, and those of which they replaced claims; then judges the
    facility-months that this touched. Returns counts: profiled, judged, failed (tried again the next time).

    Never raises: nobody's answer waits for statistics. An operator is told by a notice. See claim_pipeline.statistics.
    """
    counts = {"profiled": 0, "judged": 0, "failed": 0}
    try:
        with _store().updating_statistics():
            _update_statistics(counts)
    except Exception as error:  # noqa: BLE001 - statistics must not stop anything
        counts["failed"] += 1
        log.error("statistics could not be updated: %s at %s", type(error).__name__, _place(error))
    return counts


def _update_statistics(counts: dict[str, int]) -> None:
    from claim_pipeline import statistics
    from claim_pipeline.statistics.extract import VERSION

    for delivery in _store().unprofiled(VERSION):
        try:
            row = _store().delivery(delivery)
            ws = None
            if _store().standing(delivery):
                ws = _ready(row)
                _catch_up(row, ws, "transform")
            statistics.profile(_store(), delivery, ws)
            counts["profiled"] += 1
        except Exception as error:  # noqa: BLE001 - one delivery must not stop the others
            counts["failed"] += 1
            log.error("no statistics of delivery %s: %s at %s", delivery, type(error).__name__, _place(error))
            _store().notice("statistics", "", f"#{delivery}", {"error": type(error).__name__, "at": _place(error)})

    def told(facility: str, month: str, error: Exception) -> None:
        counts["failed"] += 1
        log.error("statistics of %s %s not judged: %s at %s", facility, month, type(error).__name__, _place(error))
        _store().notice("statistics", facility, month, {"error": type(error).__name__, "at": _place(error)})

    waiting = _store().unjudged()
    if waiting:
        counts["judged"] += len(
            statistics.judge(_store(), waiting, _store().reference(names=statistics.REFERENCE), told)
        )


def statistics_months(facility: str | None = None) -> list[dict[str, Any]]:
    """facility, month, visits and warnings of every facility-month, the newest first."""
    return _store().months(facility)


def write_statistics(facility: str, month: str, folder: Path) -> list[tuple[str, str]]:
    """Writes page, workbook and JSON of a facility-month; returns its warnings in words (Vietnamese, English).

    Raises OperatorError if nothing is known of that month.
    """
    from claim_pipeline import statistics
    from claim_rules.statistics import words

    files = statistics.documents(_store(), facility, month, _store().reference(names=statistics.REFERENCE))
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.content.items():
        aside = folder / f".{name}.part"
        aside.write_bytes(content)
        aside.replace(folder / name)
    return [words.message(one) for one in files.judgement.drifts]


def run_all(actor: str, progress: Callable[[str, int, int], None] | None = None) -> dict[str, int]:
    """Everything that waits, from inbox to outbox, without Airflow: what `giamdinh run` does.

    Files that still settle are waited for, unless they go on changing. progress is told (label of the batch, deliveries
    done, deliveries in all). Returns counts of deliveries: received, answered, quarantined, failed. Two of these may
    run at once: each leaves to the other what that works on.
    """
    from claim_pipeline import inbox

    known = settings()
    out = {"received": 0, "answered": 0, "quarantined": 0, "failed": 0}
    tried: set[int] = set()

    def tell(label: str) -> None:
        if progress is not None:
            progress(label, len(tried), len(tried) + _store().waiting(tried))

    deadline = time.time() + known.settle_seconds + 1
    while True:
        new = len(receive(actor))
        out["received"] += new
        before = len(tried)
        for batch in _untried(tried):
            with _store().working_on(batch["deliveries"]) as mine:
                open_ones = sorted(mine)
                for step in STEPS[1:]:
                    tell(f"{batch['label']} · {step}")
                    counts = _run_step(step, open_ones, actor, last_try=True, retry=True)
                    if counts["failed"]:  # not again in this run
                        open_ones = [row.id for row in _store().deliveries(open_ones) if row.status != "failed"]
            tried.update(batch["deliveries"])
            for row in _store().deliveries(sorted(mine)):
                out["failed"] += row.status == "failed"
                out["answered"] += row.answered_at is not None
                out["quarantined"] += row.progress == "quarantined"
        _answer_repeats()
        if new or len(tried) > before:
            continue  # files may have become whole meanwhile
        settling = inbox.look(known.inbox_folder, known.settle_seconds).settling.values()
        wait_until = max((at for at in settling if at is not None and at <= deadline), default=None)
        if wait_until is None:
            tell("Hồ sơ liên quan · claims that others affect")
            appraise_affected(actor)
            tell("Thống kê · statistics")
            update_statistics()
            break
        tell("Chờ tệp đứng yên · waiting for files to settle")
        time.sleep(max(0.1, wait_until - time.time()))
    if tried:
        tell("Data Docs")
        try:
            document(tried, seconds=known.data_docs_seconds)
        except Exception as error:  # noqa: BLE001 - every delivery has its answer, whatever becomes of pages about it
            said = error.message_en if isinstance(error, GiamdinhError) else _place(error)
            log.error("Data Docs were not made: %s: %s", type(error).__name__, said)
    tell("")
    return out


def _untried(tried: set[int]) -> Iterator[dict[str, Any]]:
    """Batches of deliveries that were not tried yet, in turns, those that failed before last."""
    for failed_too in (False, True):
        while waiting := [one for one in batches(failed_too=failed_too) if not tried.issuperset(one["deliveries"])]:
            yield from waiting


# --- once more: appraisals after the first


def _again() -> Again:
    from claim_pipeline.again import Again

    return Again(_store(), _archive(), _history, _earlier)


def _contract_bytes() -> str:
    path = settings().contract
    return hashlib.sha256(path.read_bytes()).hexdigest() if path is not None else ""


AGAIN = ("changed", "same", "closed", "failed", "busy", "waiting")
"""What may become of a delivery that is appraised again; see appraise_again."""


def appraise_again(deliveries: Iterable[int], actor: str, cause: str) -> dict[str, int]:
    """Appraises recorded deliveries again, from their archived bytes, with what is now known of other claims and the
    reference data in force (cause "reappraisal") or those of their last appraisal (cause "history").

    What of their claims (those that no later version replaces) comes out otherwise is recorded as a new appraisal and
    answered; nothing else changes. Returns counts of deliveries: changed, same, closed (nothing open in them), failed
    (the log says why; try again), busy (another process works on them), waiting (their first appraisal is not recorded
    yet, and will see what there is). Twice is as once.
    """
    counts = dict.fromkeys(AGAIN, 0)
    wanted = sorted(set(deliveries))
    rows = {row.id: row for row in _store().deliveries(wanted)}
    _reference.cache_clear()
    in_force: Basis | None = None
    run = settings().work_folder / "again" / cause
    with _store().working_on([*rows]) as mine:
        counts["busy"] = len(rows) - len(mine)
        for delivery in sorted(mine):
            row = rows[delivery]
            if row.progress == "quarantined" or row.repeat_of is not None:
                counts["same"] += 1
                continue
            if row.recorded_at is None:
                counts["waiting"] += 1
                continue
            try:
                shutil.rmtree(run / str(delivery), ignore_errors=True)  # of a run that was killed: it knew less
                basis = _as_before(delivery) if cause == "history" else None
                if basis is None:
                    in_force = in_force or _in_force()
                    basis = in_force
                told = _again().compare(delivery, None, basis, run)
                made = _again().write(delivery, None, basis, run, actor, cause)
                shutil.rmtree(run / str(delivery), ignore_errors=True)
                counts["changed" if made else "failed" if told["problem"] else "same"] += 1
                if told["problem"]:
                    log.error("delivery %s could not be appraised again: %s", delivery, told["problem"])
            except Exception as error:  # noqa: BLE001 - one delivery must not stop the others
                counts["failed"] += 1
                said = error.message_en if isinstance(error, GiamdinhError) else _place(error)
                log.error("delivery %s could not be appraised again: %s: %s", delivery, type(error).__name__, said)
    answer_again(actor)
    return counts


def _in_force() -> Basis:
    from claim_pipeline.again import Basis

    known, reference = _reference()
    return Basis(reference, known)


def _as_before(delivery: int) -> Basis | None:
    """Reference data as the last appraisal of a delivery knew them; None where nobody wrote down which they were."""
    from claim_pipeline.again import Basis
    from claim_pipeline.appraise import Known

    last = _store().appraisals(delivery)[-1]
    if last.known_at is None or last.reference is None:
        return None
    return Basis(_reference_of(last), Known(last.known_at.isoformat(), last.reference))


def appraise_affected(actor: str) -> dict[str, int]:
    """Appraises again the deliveries whose claims look otherwise beside claims that came later, each with the reference
    data that it was appraised with; what comes out otherwise is recorded and answered (cause "history").

    Those that wait when it begins, and those that what comes of them affects in turn, each at most twice; what others
    note meanwhile is left to the next call, so that it ends under whatever traffic. Returns counts as appraise_again.
    What cannot be done now is tried at the next call too.
    """
    total = dict.fromkeys(AGAIN, 0)
    tried: dict[int, list[datetime]] = {}
    waiting = _store().affected()
    while waiting:
        for delivery, since in waiting.items():
            tried.setdefault(delivery, []).append(since)
            counts = appraise_again([delivery], actor, "history")
            total = {name: total[name] + counts[name] for name in total}
            if not any(counts[name] for name in ("failed", "busy", "waiting")):
                _store().no_longer_affected(delivery, since)
        # what comes out otherwise may affect others: a payment that is recalled (BEN-022)
        own = _store().affected(because=tried.keys()).items()
        waiting = {one: at for one, at in own if at not in tried.get(one, ()) and len(tried.get(one, ())) < 2}
    return total


def rebuild_history(
    actor: str,
    *,
    appraise: bool = False,
    at_most: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Adds what the rules of other claims lack of claims that an older version recorded, from their archived bytes,
    one delivery after the other: killed and run again it goes on where it was.

    What looks otherwise beside these claims is noted, and appraised again by the next `appraise_affected`; appraise:
    at once, with what an earlier run noted. at_most: deliveries; progress is told how many are done of how many.
    Returns counts: deliveries, claims (added), failed (not kept, or read otherwise now: the log says), busy, left,
    affected (deliveries that wait to be appraised again).
    """
    import tempfile

    _reference.cache_clear()
    waiting = _store().without_history()
    mine = waiting[:at_most]
    counts = {"deliveries": 0, "claims": 0, "failed": 0, "busy": 0, "left": len(waiting) - len(mine)}
    for place, delivery in enumerate(mine):
        if progress is not None:
            progress(place, len(mine))
        with _store().working_on([delivery]) as free, tempfile.TemporaryDirectory(prefix="giamdinh-") as folder:
            if not free:
                counts["busy"] += 1
                continue
            try:
                ws = _again().read(_store().delivery(delivery), Path(folder) / "ws", _reference()[1])
                counts["claims"] += _store().fill_history(delivery, ws.read_tables())
                counts["deliveries"] += 1
            except Exception as error:  # noqa: BLE001 - one delivery must not stop the others
                counts["failed"] += 1
                said = error.message_en if isinstance(error, GiamdinhError) else _place(error)
                log.error("history of delivery %s was not filled: %s: %s", delivery, type(error).__name__, said)
    if appraise:
        appraise_affected(actor)
    counts["affected"] = len(_store().affected())
    return counts


def answer_again(actor: str) -> int:
    """Answers later appraisals that their facilities were not told of yet; returns how many."""
    return _again().answer(settings().outbox_folder, actor)


def reappraisal(
    month: str,
    facility: str | None = None,
    reference: Path | None = None,
    law: Path | None = None,
    known: Known | None = None,
) -> Reappraisal:
    """Prepares to appraise the claims of a month (NGAY_RA, yyyymm) again. reference: a folder with data to suppose in
    place of those in force; law: a file of values to suppose (claim_rules.law.read_supposed); known: which reference
    data, None: those in force. Raises OperatorError for a file that cannot be used."""
    from claim_pipeline.reappraisal import Reappraisal

    _reference.cache_clear()
    used = _reference() if known is None else (known, _loaded(known.loads))
    return Reappraisal.of(_again(), month, facility, used, reference, law, _contract_bytes())


def difference_folder(report: dict[str, Any]) -> Path:
    """Where a difference report belongs that nobody gave another place."""
    moment = datetime.fromisoformat(report["made_at"])
    name = f"{moment:%Y%m%d-%H%M%S}-{report['month']}-{report['facility'] or 'all'}"
    return settings().home / "reappraisals" / name


def reproduce(
    moment: datetime, *, delivery: int | None = None, facility: str | None = None, claim: str | None = None
) -> Reproduced:
    """Does the appraisal again that stood for a delivery (or for the one that brought the newest version of a claim) at
    a moment, with all that it rested on, and compares. Raises OperatorError where there is none or what it needs was
    not kept."""
    import tempfile

    if delivery is None and facility is not None and claim is not None:
        delivery = _store().delivery_of(facility, claim, moment)
    appraisal = _store().appraisal_at(delivery, moment) if delivery is not None else None
    if appraisal is None:
        raise OperatorError(
            "no-such-appraisal",
            f"Đến {moment:%d/%m/%Y %H:%M} chưa có kết quả giám định nào như vậy",
            f"there was no such appraisal by {moment:%Y-%m-%d %H:%M}",
        )
    reference = _reference_of(appraisal)
    with tempfile.TemporaryDirectory(prefix="giamdinh-") as folder:
        return _again().reproduce(appraisal, reference, Path(folder))


def _reference_of(appraisal: AppraisalRow) -> ReferenceUsed:
    """Reference data as an appraisal knew them."""
    try:
        return _loaded(appraisal.reference or {})
    except KeyError as error:
        tables = error.args[0]
        raise OperatorError(
            "not-kept",
            f"Danh mục dùng khi đó không còn được lưu: {tables}",
            f"reference data of that time are no longer kept: {tables}",
        ) from None


@dataclass(frozen=True)
class Checked:
    """What `check` found: the working folder holds the report. exit_code as contracts, commands."""

    ws: Workspace
    exit_code: int


@contextmanager
def check(
    path: Path,
    reference: Reference,
    received_at: datetime | None = None,
    trust: Trust | None = None,
    hashes: Mapping[str, str] | None = None,
) -> Iterator[Checked]:
    """One file through extract, transform, validate and appraise, with no database and no Airflow.

    received_at: with zone; without it 23:59 of NGAYLAP, else now. trust: trust anchors of signatures. hashes: sha256
    of the reference files (claim_pipeline.reference.source_hashes), which the report then tells. The working folder
    lives as long as the context.
    """
    import tempfile

    from claim_pipeline import appraise
    from claim_pipeline.workspace import Delivery, Workspace

    with tempfile.TemporaryDirectory(prefix="giamdinh-") as folder, path.open("rb") as source:
        ws = Workspace(folder)
        sha256 = hashlib.file_digest(source, "sha256").hexdigest()
        ws.source.symlink_to(path.resolve())
        ws.delivery = Delivery(file=path.name, sha256=sha256)
        known = None
        if hashes is not None:
            known = appraise.Known("", {name: {"sha256": hashes.get(name)} for name in sorted(reference)})
        try:
            for step in ON_FILES:
                step_on_files(step, ws, reference, trust=trust, known=known)
                if step == "extract":
                    delivery = ws.delivery
                    delivery.received_at = _received(received_at, delivery.created_on)
                    ws.delivery = delivery
        except Quarantined as error:
            delivery = ws.delivery
            delivery.received_at = _received(received_at, delivery.created_on)
            ws.delivery = delivery
            appraise.quarantine(ws, error)
            yield Checked(ws, 2)
            return
        clean = bool(ws.read_frame("claim_outcomes")["outcome"].eq("accepted").all())
        yield Checked(ws, 0 if clean else 1)


def _received(given: datetime | None, created_on: str | None) -> str:
    if given is not None:
        return given.astimezone(TIME_ZONE).isoformat(timespec="seconds")
    try:
        day = datetime.strptime(created_on or "", "%Y%m%d").replace(tzinfo=TIME_ZONE)
    except ValueError:
        return datetime.now(TIME_ZONE).isoformat(timespec="seconds")
    return (day + timedelta(hours=23, minutes=59)).isoformat(timespec="seconds")
