"""The steps of a delivery in their order: the one list that DAGs, command line and tests call.

Light at import: what a step needs is imported when it runs.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from claim_pipeline.errors import GiamdinhError, OperatorError, Quarantined
from claim_pipeline.settings import settings

if TYPE_CHECKING:
    import pandas as pd

    from claim_pipeline.archive import Archive
    from claim_pipeline.extract.late import Earlier
    from claim_pipeline.extract.result import Extracted
    from claim_pipeline.signature.trust import Trust
    from claim_pipeline.store import DeliveryRow
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


def receive(actor: str) -> list[int]:
    """Takes every whole file of every inbox: archives its bytes, makes the delivery's row, writes the receipt and
    takes the file out of the inbox. Returns the ids of deliveries that are new.

    The same bytes from the same facility again are a repeat: answered from the first result. A file that cannot be
    taken (it vanished, changed while it was read, is not permitted) is left for the next look; the others go on.
    """
    from claim_pipeline import inbox

    known = settings()
    new = []
    for file in inbox.scan(known.inbox_folder, known.settle_seconds):
        try:
            delivery = _take(file, actor)
        except OSError as error:
            log.warning("a file of facility %s was not taken: %s", file.facility, error.strerror)
            continue
        if delivery is not None:
            new.append(delivery)
    return new


def _take(file: Any, actor: str) -> int | None:
    from claim_pipeline import inbox, respond

    before = file.path.lstat()
    sha256, key, size = _archive().put(file.path)
    after = file.path.lstat()
    if (before.st_ino, before.st_mtime_ns, before.st_size) != (after.st_ino, after.st_mtime_ns, size):
        return None  # it was replaced while it was read: the next look takes what is there then
    now = datetime.now(TIME_ZONE)
    # a crash after this row and before the file is gone must not turn the same file into a repeat of itself
    drop = f"{before.st_ino}-{before.st_mtime_ns}-{file.name}"
    received = _store().receive(
        facility=file.facility,
        file=file.name,
        sha256=sha256,
        size=size,
        received_at=now,
        archive_key=key,
        actor=actor,
        drop=hashlib.sha256(drop.encode()).hexdigest(),
    )
    row = _store().delivery(received.delivery_id)
    respond.receive(_store(), row, settings().outbox_folder)
    inbox.remove(file)
    if received.repeat_of is None:
        return received.delivery_id
    _answer_repeat(row, actor)
    return None


def _answer_repeat(row: DeliveryRow, actor: str) -> bool:
    """Answers a repeat from the first delivery's answer, if that is there already."""
    from claim_pipeline import respond

    if row.repeat_of is None or _store().delivery(row.repeat_of).answered_at is None:
        return False
    folder = respond.repeat(_store(), row, settings().outbox_folder)
    _store().answered(row.id, folder, actor)
    return True


def batches(*, failed_too: bool = False) -> list[dict[str, Any]]:
    """Open deliveries in groups of one facility: {"label", "facility", "deliveries": ids}, oldest first.

    The label names the facility and the first file. Repeats whose first delivery is answered are answered here.
    failed_too: also those that a step could not be done for, so that they are tried again.
    """
    known = settings()
    groups: dict[str, list[list[DeliveryRow]]] = {}
    for row in _store().unanswered():
        if row.repeat_of is not None:
            _answer_repeat(row, "repeat")
            continue
        if row.status == "failed" and not failed_too:
            continue
        mine = groups.setdefault(row.facility, [[]])
        full = len(mine[-1]) >= known.batch_deliveries
        heavy = sum(other.size for other in mine[-1]) + row.size > known.batch_mib << 20
        if mine[-1] and (full or heavy):
            mine.append([])
        mine[-1].append(row)
    parts = [part for mine in groups.values() for part in mine if part]
    return [
        {
            "label": f"{part[0].facility} · {part[0].file}" + (f" +{len(part) - 1}" if len(part) > 1 else ""),
            "facility": part[0].facility,
            "deliveries": [row.id for row in part],
        }
        for part in sorted(parts, key=lambda part: part[0].id)
    ]


def run_step(
    step: str, deliveries: Iterable[int], *, actor: str, last_try: bool = True, retry: bool = False
) -> dict[str, int]:
    """One step over some deliveries. Returns counts: done, already (past this step), quarantined, failed.

    A delivery that cannot be taken is quarantined, with its reason, and answered by `respond`. An error of ours on one
    delivery does not stop the others; afterwards it raises StepFailed, or, on the last try, marks those deliveries
    failed: an operator must look, nothing is said about their claims. retry: go on with deliveries marked failed.
    """
    if step not in STEPS[1:]:
        raise ValueError(f"{step} is not a step that runs over deliveries")
    counts = {"done": 0, "already": 0, "quarantined": 0, "failed": 0}
    failed = []
    _reference.cache_clear()
    for delivery in deliveries:
        try:
            row = _store().delivery(delivery)
            if row.status == "failed" and not retry:
                counts["failed"] += 1
            else:
                counts[_one(step, row, actor)] += 1
        except Exception as error:  # noqa: BLE001 - one delivery must not stop the others
            failed.append(delivery)
            # the text of a foreign exception may hold values of a claim
            said = error.message_en if isinstance(error, GiamdinhError) else _place(error)
            log.error("step %s of delivery %s failed: %s: %s", step, delivery, type(error).__name__, said)
            if last_try:
                detail = {"step": step, "error": type(error).__name__, "at": _place(error)}
                _store().move(delivery, "failed", actor=actor, detail=detail)
    counts["failed"] += len(failed)
    if failed and not last_try:
        raise StepFailed(step, failed)
    return counts


def _place(error: BaseException) -> str:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return f"{place.tb_frame.f_code.co_filename.rpartition('/')[2]}:{place.tb_lineno}" if place is not None else "?"


def _rank(status: str) -> int:
    return list(STATUS.values()).index(status)


def _one(step: str, row: DeliveryRow, actor: str) -> str:
    if row.answered_at is not None or row.repeat_of is not None:
        return "already"
    held = row.progress == "quarantined"
    if held and step not in ("record", "respond"):
        return "quarantined"
    if not held and _rank(row.progress) >= _rank(STATUS[step]):
        return "already"
    ws = _ready(row)
    if step in ON_FILES:
        return _on_files(step, row, ws, actor)
    if not held:
        _catch_up(row, ws, "appraise")
    elif not ws.report.exists():
        _on_files("extract", row, ws, actor)
    if step == "record":
        _store().record(row.id, ws, actor)
        return "quarantined" if held else "done"
    from claim_pipeline import respond

    folder = respond.run(ws, _store(), settings().outbox_folder, row)
    _store().answered(row.id, folder, actor)
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
    if step == "appraise":
        history = {"versions": _store().earlier_versions(row.id, ws.read_tables())}
        step_on_files(step, ws, _reference(), history)
    else:
        # only codes that an export has in another form are told by reference data before the rules
        reference = _reference() if step == "transform" and ws.has_frame("open-codes") else {}
        step_on_files(step, ws, reference, earlier=_earlier(row) if step == "extract" else None)


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
        _store().move(row.id, "quarantined", actor=actor, detail=ws.delivery.reason)
        return "quarantined"
    _store().move(row.id, STATUS[step], actor=actor, inputs=row.sha256, outputs=_digest(step, ws))
    return "done"


_OUTPUTS = {
    "extract": "claims.parquet",
    "transform": "submission.xml",
    "validate": "findings-validate.parquet",
    "appraise": "report.json",
}


def _digest(step: str, ws: Workspace) -> str:
    with (ws.folder / _OUTPUTS[step]).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _reference() -> Reference:
    """Reference data in force, fetched once for all deliveries of a step."""
    reference: Reference = _store().reference()
    return reference


def step_on_files(
    step: str,
    ws: Workspace,
    reference: Reference,
    history: dict[str, pd.DataFrame] | None = None,
    trust: Trust | None = None,
    earlier: Earlier | None = None,
) -> None:
    """One of ON_FILES on one working folder. Raises Quarantined where the delivery as a whole cannot be taken.

    history, trust: as appraise.run takes them; earlier: as extract.run.
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

        appraise.run(ws, reference, history, trust)


def load_reference_folder(actor: str, folder: Path | None = None) -> dict[str, int]:
    """Reference data from the drop folder (or another) into the database; returns rows per file.

    A file that cannot be used is left out and named in a ReferenceDataError after the others are loaded.
    """
    from claim_pipeline import reference

    return reference.load_folder(folder or settings().reference_folder, _store(), actor)


def run_all(actor: str, progress: Callable[[str, int, int], None] | None = None) -> dict[str, int]:
    """Everything that waits, from inbox to outbox, without Airflow: what `giamdinh run` does.

    progress is told (label of the batch, deliveries done, deliveries in all). Returns counts of deliveries: received,
    answered, quarantined, failed.
    """
    out = {"received": len(receive(actor)), "answered": 0, "quarantined": 0, "failed": 0}
    waiting = batches(failed_too=True)
    total = sum(len(batch["deliveries"]) for batch in waiting)
    done = 0
    for batch in waiting:
        for step in STEPS[1:]:
            run_step(step, batch["deliveries"], actor=actor, retry=True)
            if progress is not None:
                progress(f"{batch['label']} · {step}", done, total)
        for delivery in batch["deliveries"]:
            row = _store().delivery(delivery)
            out["failed"] += row.status == "failed"
            out["answered"] += row.answered_at is not None
            out["quarantined"] += row.progress == "quarantined"
        done += len(batch["deliveries"])
        if progress is not None:
            progress(batch["label"], done, total)
    batches()  # answers repeats of what has been answered now
    return out


@dataclass(frozen=True)
class Checked:
    """What `check` found: the working folder holds the report. exit_code as contracts, commands."""

    ws: Workspace
    exit_code: int


@contextmanager
def check(
    path: Path, reference: Reference, received_at: datetime | None = None, trust: Trust | None = None
) -> Iterator[Checked]:
    """One file through extract, transform, validate and appraise, with no database and no Airflow.

    received_at: with zone; without it 23:59 of NGAYLAP, else now. trust: trust anchors of signatures. The working
    folder lives as long as the context.
    """
    import json
    import tempfile

    from claim_pipeline import appraise
    from claim_pipeline.workspace import Delivery, Workspace

    with tempfile.TemporaryDirectory(prefix="giamdinh-") as folder, path.open("rb") as source:
        ws = Workspace(folder)
        sha256 = hashlib.file_digest(source, "sha256").hexdigest()
        ws.source.symlink_to(path.resolve())
        ws.delivery = Delivery(file=path.name, sha256=sha256)
        try:
            for step in ON_FILES:
                step_on_files(step, ws, reference, trust=trust)
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
        totals = json.loads(ws.report.read_text("utf-8"))["totals"]
        clean = totals["claims"] == totals["accepted"]
        yield Checked(ws, 0 if clean else 1)


def _received(given: datetime | None, created_on: str | None) -> str:
    if given is not None:
        return given.astimezone(TIME_ZONE).isoformat(timespec="seconds")
    try:
        day = datetime.strptime(created_on or "", "%Y%m%d").replace(tzinfo=TIME_ZONE)
    except ValueError:
        return datetime.now(TIME_ZONE).isoformat(timespec="seconds")
    return (day + timedelta(hours=23, minutes=59)).isoformat(timespec="seconds")
