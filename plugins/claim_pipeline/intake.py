"""Takes whole files out of the inboxes: archive, row, receipt, and only then the file leaves. Light at import."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

from claim_pipeline import faults, inbox
from claim_pipeline.errors import OperatorError
from claim_pipeline.inbox import InboxFile, Refused

if TYPE_CHECKING:
    from claim_pipeline.archive import Archive
    from claim_pipeline.settings import Settings
    from claim_pipeline.store.store import Store

TIME_ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
AT_ONCE = 32  # files that share a transaction and a flush of the disk
WRITERS = 4  # threads that copy and write receipts, which mostly wait for the disk
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
CHECKSUM = "checksum-mismatch"

R = TypeVar("R")

log = logging.getLogger(__name__)


@dataclass
class Intake:
    """One taking of files. `store`, `archive`, `settings`: where to; actor: who does it; clock: when a file comes."""

    store: Store
    archive: Archive
    settings: Settings
    actor: str
    clock: Callable[[], datetime] = lambda: datetime.now(TIME_ZONE)
    new: list[int] = field(default_factory=list)
    _left: set[Path] = field(default_factory=set)
    _noted: set[Refused] = field(default_factory=set)

    def run(self, seconds: float = float("inf")) -> list[int]:
        """Takes every whole file of every inbox, for about so many seconds at most; gives the ids of new deliveries.

        The inboxes are looked at again after every poll: a facility that sends one file while thousands of another's
        are being taken has its receipt within a poll. A file that cannot be taken (it vanished, changed while it was
        read, is not permitted) is left for the next time; the others go on. Raises OperatorError where the disk is
        full: what was not taken is still in its inbox.
        """
        end = time.monotonic() + seconds
        self.archive.tidy()
        with ThreadPoolExecutor(WRITERS) as pool:
            while True:
                files = self._look()
                if not files:
                    break
                until = min(end, time.monotonic() + self.settings.poll_seconds)
                for start in range(0, len(files), AT_ONCE):
                    self._take(files[start : start + AT_ONCE], pool)
                    if time.monotonic() >= until:
                        break
                if time.monotonic() >= end:
                    break
        return self.new

    def _look(self) -> list[InboxFile]:
        from claim_pipeline.renames import remembered

        known = self.settings
        found = inbox.look(
            known.inbox_folder,
            known.settle_seconds,
            checksum_seconds=known.checksum_minutes * 60,
            renamed=remembered(known.renames_memory),
        )
        for refused in found.refused:
            if refused not in self._noted:
                self._noted.add(refused)
                log.warning("an entry of the inboxes was refused: facility %s: %s", refused.facility, refused.kind)
                self.store.notice(refused.kind, refused.facility, refused.name)
        for path in found.left_over:
            path.unlink(missing_ok=True)
        return [file for file in found.files if file.path not in self._left]

    def _take(self, files: Sequence[InboxFile], pool: ThreadPoolExecutor) -> None:
        from claim_pipeline import respond
        from claim_pipeline.store import Drop

        keys = pool.map(lambda file: self._try(file, lambda: self._archived(file)), files)
        archived = [(file, key) for file, key in zip(files, keys, strict=True) if key is not None]
        if not archived:
            return
        faults.point("receive:archived")
        now = self.clock()
        drops = [
            Drop(
                facility=file.facility,
                file=file.name,
                sha256=key.rpartition("/")[2],
                size=file.size,
                received_at=now,
                archive_key=key,
                drop=file.appearance,
                fault=CHECKSUM if file.checksum_failed else None,
            )
            for file, key in archived
        ]
        received = self.store.receive_all(drops, self.actor)
        faults.point("receive:row")
        rows = {row.id: row for row in self.store.deliveries([one.delivery_id for one in received])}
        taken = [(file, rows[one.delivery_id]) for (file, _), one in zip(archived, received, strict=True)]
        outbox = self.settings.outbox_folder
        told = []
        # a repeat's receipt names its first delivery's folder: that must be there, and not be made by two at once
        for part in ([one for one in taken if one[1].repeat_of is None], [one for one in taken if one[1].repeat_of]):
            folders = pool.map(lambda one: self._try(one[0], lambda: respond.receive(self.store, one[1], outbox)), part)
            told += [one for one, folder in zip(part, folders, strict=True) if folder is not None]
        faults.point("receive:receipt")
        self.archive.sync()
        for file, row in told:
            self._try(file, partial(inbox.remove, file))
            if row.repeat_of is None and row.answered_at is None:
                self.new.append(row.id)
        faults.point("receive:removed")

    def _archived(self, file: InboxFile) -> str | None:
        """The key of the file's bytes in the archive; None where it was replaced while it was read: the next run takes
        what is there then."""
        _, key, size = self.archive.put(file.path)
        if inbox.stamp(file.path.lstat()) != file.stamp or size != file.size:
            self._left.add(file.path)
            return None
        return key

    def _try(self, file: InboxFile, does: Callable[[], R]) -> R | None:
        """What it gives; None where this file cannot be taken now, which is noted."""
        try:
            return does()
        except FileNotFoundError:
            self._left.add(file.path)  # taken by another, or called back by its sender
        except OSError as error:
            if error.errno in DISK_FULL:
                raise _disk_full(error) from error
            self._left.add(file.path)
            log.warning("a file of facility %s was not taken: %s", file.facility, error.strerror)
            self.store.notice("unreadable", file.facility, file.name, {"reason": error.strerror})
        return None


def _disk_full(error: OSError) -> OperatorError:
    return OperatorError(
        "disk-full",
        f"Không ghi được: {error.strerror}",
        f"nothing can be written: {error.strerror}",
        "Giải phóng chỗ trên đĩa; tệp chưa nhận vẫn còn trong inbox và sẽ được nhận sau",
        "make room on the disk; files not taken are still in their inboxes and will be taken then",
    )
