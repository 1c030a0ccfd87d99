"""The event trigger that wakes intake up when a whole file lies in an inbox, or new reference data in its drop folder.

An event is a wake-up only: it can be delivered twice, and can be lost while a run is active. Which deliveries
are new is decided by our own database.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

from claim_pipeline.renames import Watcher
from claim_pipeline.settings import settings

log = structlog.get_logger(__name__)

QUIET_SECONDS = 300.0  # between two warnings about a folder that cannot be read


class Announcer:
    """Remembers which files were announced, and when.

    A key stands for one state of one file; it is due when it was never announced, or so long ago that the
    file ought to be gone by now. Keys that are no longer there are forgotten.
    """

    def __init__(self, again_seconds: float) -> None:
        self.again_seconds = again_seconds
        self._announced: dict[Hashable, float] = {}

    def due(self, present: Collection[Hashable], now: float) -> list[Hashable]:
        """The keys to announce now; they count as announced from here on."""
        self._announced = {key: at for key, at in self._announced.items() if key in present}
        due = [key for key in present if now - self._announced.get(key, float("-inf")) >= self.again_seconds]
        self._announced.update(dict.fromkeys(due, now))
        return due

    def forget(self, keys: Collection[Hashable]) -> None:
        """These were not taken note of: they are due again."""
        for key in keys:
            self._announced.pop(key, None)


class ArrivalTrigger(BaseEventTrigger):
    """Looks at a folder every `poll_seconds`; one event for all that is newly whole in it.

    The payload counts files, and names nobody: {"files": 3}. All triggers of one class on one folder share one look.
    A folder that cannot be read (a mount that is away) is reported once in a while and looked at again.
    """

    again_seconds = float("inf")  # after which a file that is still there, unchanged, is announced once more

    def __init__(self, root: str, poll_seconds: float, settle_seconds: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = root
        self.poll_seconds = poll_seconds
        self.settle_seconds = settle_seconds

    @classmethod
    @abstractmethod
    def watcher(cls, root: Path, settle_seconds: float) -> Callable[[], list[Hashable]]:
        """Looks at the folder each time it is called: a key for every whole file under `root`, which changes when the
        file does. May block, may raise OSError."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kwargs = {"root": self.root, "poll_seconds": self.poll_seconds, "settle_seconds": self.settle_seconds}
        return f"{type(self).__module__}.{type(self).__qualname__}", kwargs

    def shared_stream_key(self) -> Hashable:
        return (type(self).__qualname__, self.root, self.poll_seconds, self.settle_seconds)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        return ArrivalProducer(cls, Path(kwargs["root"]), kwargs["poll_seconds"], kwargs["settle_seconds"])

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        async for files in shared_stream:
            yield TriggerEvent({"files": files})

    async def run(self) -> AsyncIterator[TriggerEvent]:
        producer = ArrivalProducer(type(self), Path(self.root), self.poll_seconds, self.settle_seconds)
        async for files, _ in producer.open_stream():
            yield TriggerEvent({"files": files})


class InboxTrigger(ArrivalTrigger):
    """Whole files in the inboxes of all facilities. What was taken leaves the inbox; what stays is announced again."""

    again_seconds = 60.0

    @classmethod
    def watcher(cls, root: Path, settle_seconds: float) -> Callable[[], list[Hashable]]:
        known = settings()
        watcher = Watcher(root, known.renames_memory)

        def look() -> list[Hashable]:
            return list(watcher.look(settle_seconds, known.checksum_minutes * 60).files)

        return look


class ReferenceTrigger(ArrivalTrigger):
    """Reference data (CSV, xlsx) in the drop folder whose size and time have stood still. It stays there."""

    @classmethod
    def watcher(cls, root: Path, settle_seconds: float) -> Callable[[], list[Hashable]]:
        return partial(cls.present, root, settle_seconds)

    @classmethod
    def present(cls, root: Path, settle_seconds: float) -> list[Hashable]:
        """The files that are there now and whole."""
        keys: list[Hashable] = []
        newest = time.time() - settle_seconds
        for path in sorted(root.iterdir()):
            if path.suffix.lower() in (".csv", ".xlsx") and not path.name.startswith(".") and path.is_file():
                state = path.stat()
                if state.st_mtime <= newest:
                    keys.append((path.name, state.st_size, state.st_mtime_ns))
        return keys


class ArrivalProducer(SharedStreamProducer):
    """The one look at a folder that triggers share: yields (number of files, their keys)."""

    def __init__(self, trigger: type[ArrivalTrigger], root: Path, poll_seconds: float, settle_seconds: float) -> None:
        self.trigger, self.root = trigger, root
        self.poll_seconds, self.settle_seconds = poll_seconds, settle_seconds
        self.announcer = Announcer(trigger.again_seconds)

    async def open_stream(self) -> AsyncIterator[tuple[int, list[Hashable]]]:
        quiet_until = 0.0
        look = self.trigger.watcher(self.root, self.settle_seconds)
        while True:
            try:
                present = await asyncio.to_thread(look)
            except OSError as error:
                if time.monotonic() >= quiet_until:
                    log.warning(
                        "The folder cannot be read; looking again", folder=str(self.root), reason=error.strerror
                    )
                    quiet_until = time.monotonic() + QUIET_SECONDS
            else:
                quiet_until = 0.0
                if due := self.announcer.due(present, time.monotonic()):
                    yield len(due), due
            await asyncio.sleep(self.poll_seconds)

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Airflow has stored these events, or lost them: then the files are announced again."""
        for item in batch:
            if not item.outcome.is_clean:
                self.announcer.forget(item.broker_payload)
