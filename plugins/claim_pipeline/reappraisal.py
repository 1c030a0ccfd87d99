"""A month appraised again: what would change by the present rule book or other reference data, and recording it.

Made of small parts that a command runs one after the other and a DAG as tasks: batches, compare, report, write.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claim_pipeline.again import TIME_ZONE, Again, Basis, out_of
from claim_pipeline.errors import GiamdinhError, OperatorError
from claim_pipeline.settings import settings
from claim_rules import catalogue, law

if TYPE_CHECKING:
    from datetime import date

    from claim_pipeline.appraise import Known
    from claim_pipeline.reference_used import ReferenceUsed

log = logging.getLogger(__name__)

CAUSE = "reappraisal"
_LEFT_OVER_SECONDS = 7 * 86400.0


@dataclass(frozen=True)
class Reappraisal:
    """month: yyyymm of NGAY_RA; facility: None, all. changes: of the law, supposed. run: the working folder, named by
    what is asked and what it rests on, so that a run which was killed goes on and one on another basis begins anew."""

    again: Again
    month: str
    facility: str | None
    basis: Basis
    changes: dict[str, dict[date, Any]]
    run: Path

    @classmethod
    def of(
        cls,
        again: Again,
        month: str,
        facility: str | None,
        used: tuple[Known, ReferenceUsed],
        reference: Path | None,
        supposed: Path | None,
        contract: str,
    ) -> Reappraisal:
        """See steps.reappraisal."""
        from claim_pipeline.reference import read_folder, source_hashes

        _check_month(month)
        changes = _read(supposed) if supposed is not None else {}
        known, data = used
        with law.what_if(changes) if changes else nullcontext():
            told = law.supposed()
            if reference is None:
                basis = Basis(data, known, told)
            else:
                basis = Basis(data.beside(read_folder(reference)), None, told, source_hashes(reference))
            name = f"{month}-{facility or 'all'}-{basis.key(contract)}"
        return cls(again, month, facility, basis, changes, settings().work_folder / "reappraisal" / name)

    def batches(self) -> list[dict[str, Any]]:
        """The deliveries with claims of the month, in batches of one facility: {"label", "facility", "deliveries"}."""
        known = settings()
        found: list[dict[str, Any]] = []
        rows = self.again.store.deliveries_of_month(self.month, self.facility)
        size = 0
        for row in sorted(rows, key=lambda row: (row["facility"], row["delivery"])):
            last = found[-1] if found else None
            full = last is not None and (
                len(last["deliveries"]) >= known.batch_deliveries or size + row["size"] > known.batch_mib << 20
            )
            if last is None or last["facility"] != row["facility"] or full:
                last, size = {"facility": row["facility"], "deliveries": []}, 0
                found.append(last)
            size += row["size"]
            last["deliveries"].append(row["delivery"])
        for one in found:
            more = f" +{len(one['deliveries']) - 1}" if len(one["deliveries"]) > 1 else ""
            one["label"] = f"{one['facility']} · #{one['deliveries'][0]}{more}"
        return found

    def compare(self, deliveries: Iterable[int], told: Callable[[], None] | None = None) -> dict[str, int]:
        """What would change of these deliveries; counts: changed, same, failed. What was compared already is not
        again."""
        counts = {"changed": 0, "same": 0, "failed": 0}
        with self._law():
            for delivery in deliveries:
                with _one_by_one(delivery, counts):
                    found = self.again.compare(delivery, self.month, self.basis, self.run)
                    counts["failed" if found["problem"] else "changed" if found["changed"] else "same"] += 1
                if told is not None:
                    told()
        return counts

    def write(self, deliveries: Iterable[int], actor: str) -> dict[str, int]:
        """Records what changes of these deliveries as new appraisals; counts: changed, same, failed, busy. Deliveries
        that another process works on are left to it. Raises OperatorError where something is only supposed."""
        if self.basis.only_shown:
            raise OperatorError(
                "only-supposed",
                "Luật hoặc danh mục giả định chỉ dùng để chạy thử (--dry-run)",
                "a supposed law or reference data from a folder are for a dry run alone (--dry-run)",
                "Danh mục: nạp vào cơ sở dữ liệu trước, rồi chạy lại không có --reference",
                "reference data: load them into the database first, then run again without --reference",
            )
        wanted = list(deliveries)
        counts = {"changed": 0, "same": 0, "failed": 0, "busy": 0}
        with self.again.store.working_on(wanted) as mine:
            counts["busy"] = len(wanted) - len(mine)
            for delivery in sorted(mine):
                with _one_by_one(delivery, counts):
                    made = self.again.write(delivery, self.month, self.basis, self.run, actor, CAUSE)
                    counts["changed" if made else "same"] += 1
        return counts

    def report(self, deliveries: list[int], *, dry_run: bool) -> dict[str, Any]:
        """The difference report (claim_pipeline.difference.report)."""
        with self._law():
            rule_book = catalogue.version()
        what_if: dict[str, Any] = {}
        if self.basis.supposed:
            what_if["law"] = self.basis.supposed
        if self.basis.folder:
            what_if["reference"] = self.basis.folder
        about = {
            "made_at": datetime.now(TIME_ZONE).isoformat(timespec="seconds"),
            "month": self.month,
            "facility": self.facility,
            "dry_run": dry_run,
            "cause": CAUSE,
            "rule_book": rule_book,
            "known_at": self.basis.known.at if self.basis.known is not None else None,
            "reference": self.basis.known.loads if self.basis.known is not None else None,
            "what_if": what_if or None,
        }
        return out_of(self.run, deliveries, about)

    def begin(self) -> None:
        """Forgets what an earlier run left in the working folder, and folders that nothing has touched for a week."""
        self.done()
        folders = list(self.run.parent.iterdir()) if self.run.parent.is_dir() else []
        for folder in folders:
            if time.time() - folder.stat().st_mtime > _LEFT_OVER_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)

    def done(self) -> None:
        """Removes the working folder."""
        shutil.rmtree(self.run, ignore_errors=True)

    @contextmanager
    def _law(self) -> Iterator[None]:
        with law.what_if(self.changes) if self.changes else nullcontext():
            yield


@contextmanager
def _one_by_one(delivery: int, counts: dict[str, int]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - one delivery must not stop the others
        counts["failed"] += 1
        # the text of a foreign exception may hold values of a claim
        said = error.message_en if isinstance(error, GiamdinhError) else ""
        log.error("delivery %s could not be appraised again: %s %s", delivery, type(error).__name__, said)


def _check_month(month: str) -> None:
    try:
        datetime.strptime(month, "%Y%m")
    except ValueError:
        raise OperatorError(
            "bad-month", f"Tháng phải có dạng yyyymm, không phải {month!r}", f"a month is yyyymm, not {month!r}"
        ) from None


def _read(path: Path) -> dict[str, dict[date, Any]]:
    try:
        return law.read_supposed(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        said = (
            error
            if isinstance(error, ValueError) and not isinstance(error, UnicodeDecodeError)
            else type(error).__name__
        )
        raise OperatorError(
            "bad-law", f"Tệp {path.name} không dùng được: {said}", f"the file {path.name} cannot be used: {said}"
        ) from None
