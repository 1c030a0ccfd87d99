"""The event triggers: what is announced, when again, and what a folder that is away does."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.triggers.base import BaseEventTrigger
from airflow.triggers.shared_stream import AdvanceItem, AdvanceOutcome

from claim_airflow.arrivals import Announcer, InboxTrigger, ReferenceTrigger
from claim_pipeline.renames import Watcher, remembered
from claim_pipeline.settings import settings

BOUND = 10.0  # seconds: how long a test waits for an event that must come
LOOKS = 6  # looks at a folder within which an event that must not come would have come

STORED = AdvanceOutcome(acked=1, failed=0)
LOST = AdvanceOutcome(acked=0, failed=1)


def drop(path: Path, age_seconds: float = 60) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    then = time.time() - age_seconds
    os.utime(path, (then, then))


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("GIAMDINH_HOME", str(tmp_path))
    settings.cache_clear()
    yield tmp_path / "inbox"
    settings.cache_clear()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the looks at the inbox."""
    seen: list[int] = []
    look = Watcher.look

    def counted(self: Watcher, *arguments: Any) -> Any:
        found = look(self, *arguments)
        seen.append(len(found.files))
        return found

    monkeypatch.setattr(Watcher, "look", counted)
    return seen


def producer_of(trigger: BaseEventTrigger) -> Any:
    _, kwargs = trigger.serialize()
    return type(trigger).create_shared_stream_producer(kwargs)


async def next_event(stream: AsyncIterator[Any]) -> Any:
    return await asyncio.wait_for(anext(stream), BOUND)


async def quiet_for(looks: list[int], stream: AsyncIterator[Any]) -> bool:
    """Whether the stream says nothing during LOOKS more looks at the folder. Ends the stream."""
    waiting = asyncio.ensure_future(anext(stream))
    until = len(looks) + LOOKS
    deadline = time.monotonic() + BOUND
    while len(looks) < until and not waiting.done() and time.monotonic() < deadline:
        await asyncio.sleep(0.005)
    quiet = not waiting.done()
    waiting.cancel()
    return quiet and len(looks) >= until


def test_files_of_all_facilities_are_one_event_that_names_nobody(inbox: Path):
    for facility, name in [("27001", "nguyen-van-a.zip"), ("27001", "b.xml"), ("01004", "c.xml")]:
        drop(inbox / facility / name)

    async def first() -> Any:
        return await next_event(InboxTrigger(str(inbox), poll_seconds=0.01, settle_seconds=1).run())

    assert asyncio.run(first()).payload == {"files": 3}


def test_a_file_is_announced_once_and_a_later_one_again(inbox: Path, looks: list[int]):
    async def scene() -> None:
        stream = producer_of(InboxTrigger(str(inbox), poll_seconds=0.01, settle_seconds=1)).open_stream()
        drop(inbox / "27001" / "a.xml")
        assert (await next_event(stream))[0] == 1
        waiting = asyncio.ensure_future(anext(stream))
        drop(inbox / "27001" / "b.xml")
        count, keys = await asyncio.wait_for(waiting, BOUND)
        assert count == 1
        assert "b.xml" in str(keys)
        assert await quiet_for(looks, stream)

    asyncio.run(scene())


def test_what_is_still_being_written_is_not_announced(inbox: Path, looks: list[int]):
    drop(inbox / "27001" / "a.xml.part")
    drop(inbox / "27001" / "b.xml", age_seconds=0)

    async def scene() -> bool:
        return await quiet_for(
            looks, producer_of(InboxTrigger(str(inbox), poll_seconds=0.01, settle_seconds=30)).open_stream()
        )

    assert asyncio.run(scene())


def test_a_file_renamed_into_place_is_announced_at_the_next_look_and_told_to_those_that_take_it(
    inbox: Path, looks: list[int]
):
    (inbox / "27001").mkdir(parents=True)

    async def scene() -> int:
        stream = producer_of(InboxTrigger(str(inbox), poll_seconds=0.01, settle_seconds=3600)).open_stream()
        waiting = asyncio.ensure_future(anext(stream))
        while not looks:
            await asyncio.sleep(0.005)
        (inbox / "27001" / "a.xml.part").write_text("x")
        (inbox / "27001" / "b.xml").write_text("written in place")
        (inbox / "27001" / "a.xml.part").rename(inbox / "27001" / "a.xml")
        return (await asyncio.wait_for(waiting, BOUND))[0]

    assert asyncio.run(scene()) == 1
    seen = (inbox / "27001" / "a.xml").lstat()
    assert {stamp[1] for stamp in remembered(settings().renames_memory)} == {seen.st_ino}


def test_an_event_that_airflow_did_not_store_is_announced_again(inbox: Path, looks: list[int]):
    drop(inbox / "27001" / "a.xml")

    async def scene() -> None:
        producer = producer_of(InboxTrigger(str(inbox), poll_seconds=0.01, settle_seconds=1))
        stream = producer.open_stream()
        _, keys = await next_event(stream)
        await producer.advance([AdvanceItem(keys, LOST)])
        _, again = await next_event(stream)
        assert again == keys
        await producer.advance([AdvanceItem(again, STORED)])
        assert await quiet_for(looks, stream)

    asyncio.run(scene())


def test_a_file_left_in_the_inbox_is_announced_again_after_a_while():
    announcer = Announcer(again_seconds=60)
    assert announcer.due(["a", "b"], now=0) == ["a", "b"]
    assert announcer.due(["a", "b"], now=59) == []
    assert announcer.due(["b"], now=60) == ["b"]
    assert announcer.due(["a", "b"], now=61) == ["a"]  # it had gone and came back


def test_a_folder_that_is_away_stops_nothing(tmp_path: Path):
    folder = tmp_path / "reference"

    async def scene() -> int:
        stream = producer_of(ReferenceTrigger(str(folder), poll_seconds=0.01, settle_seconds=1)).open_stream()
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        drop(folder / "drugs.csv")
        return (await asyncio.wait_for(waiting, BOUND))[0]

    assert asyncio.run(scene()) == 1


def test_reference_data_are_announced_when_they_change_and_stay_quiet_otherwise(tmp_path: Path):
    drop(tmp_path / "drugs.csv", age_seconds=100)
    drop(tmp_path / "cards.xlsx", age_seconds=100)
    drop(tmp_path / "readme.txt")
    drop(tmp_path / "services.csv", age_seconds=0)
    before = ReferenceTrigger.present(tmp_path, settle_seconds=30)
    assert [key[0] for key in before] == ["cards.xlsx", "drugs.csv"]
    drop(tmp_path / "drugs.csv", age_seconds=90)
    after = ReferenceTrigger.present(tmp_path, settle_seconds=30)
    announcer = Announcer(ReferenceTrigger.again_seconds)
    announcer.due(before, now=0)
    assert [key[0] for key in announcer.due(after, now=10_000)] == ["drugs.csv"]


def test_a_trigger_is_made_again_from_what_airflow_stores(inbox: Path):
    trigger = InboxTrigger(str(inbox), poll_seconds=2, settle_seconds=30)
    path, kwargs = trigger.serialize()
    assert path == "claim_airflow.arrivals.InboxTrigger"
    again = InboxTrigger(**kwargs)
    assert again.serialize() == trigger.serialize()
    assert again.shared_stream_key() == trigger.shared_stream_key()
    assert again.shared_stream_key() != ReferenceTrigger(**kwargs).shared_stream_key()
