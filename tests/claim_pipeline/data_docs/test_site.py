"""The folder of Data Docs: the same whatever the batches, whole whoever is killed, no dearer for what is stored."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_pipeline.data_docs import Entry, Site, index_pages, month_of

TODAY = "202608"
VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")


@pytest.fixture(autouse=True, scope="module")
def short_pages() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_pages, "PER_PAGE", 3)
        patch.setattr(index_pages, "FACILITIES_PER_PAGE", 2)
        yield


def add(site: Site, entries: list[Entry], today: str = TODAY) -> None:
    site.add(((one, f"page of {one.delivery}") for one in entries), today)


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in files if path.suffix != ".part"}


def links(folder: Path) -> None:
    """Every link of every index leads to a file, and every delivery's page is reached."""
    reached = set()
    for page in folder.rglob("*.html"):
        for target in re.findall(r'href="([^"]+)"', page.read_text("utf-8")):
            if not target.startswith(("data:", "#")):
                path = (page.parent / target).resolve()
                assert path.is_file(), f"{page.relative_to(folder)} -> {target}"
                reached.add(path)
    assert {path for path in folder.rglob("*.html") if path != folder / "index.html"} <= reached


PLACES = st.tuples(st.sampled_from(["27001", "27002", "01004"]), st.sampled_from(["202606", "202607"]))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(PLACES, max_size=8), min_size=1, max_size=5))
def test_batch_by_batch_gives_what_one_batch_gives(entry: Callable[..., Entry], batches: list[list[tuple[str, str]]]):
    numbers = count(1)
    made = [[entry(next(numbers), facility, month) for facility, month in batch] for batch in batches]
    with TemporaryDirectory() as one, TemporaryDirectory() as many:
        add(Site(Path(one)), [each for batch in made for each in batch])
        for batch in made:
            add(Site(Path(many)), batch)
            links(Path(many).resolve())
        assert tree(Path(many)) == tree(Path(one))


def test_a_process_killed_at_any_write_is_made_good(
    entry: Callable[..., Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    before = [entry(number) for number in range(1, 5)] + [entry(9, "27002", "202606")]
    # one is now of another month, one is checked anew, and pages are added
    batch = [entry(2, month="202606"), entry(3, failing=7)] + [entry(number) for number in range(5, 12)]

    def fresh(name: str) -> Site:
        site = Site(tmp_path / name)
        add(site, before)
        return site

    whole = fresh("whole")
    add(whole, batch)
    expected = tree(whole.folder)
    links(whole.folder)
    real = Site._write
    for kill_at in count():
        site = fresh(str(kill_at))
        written = count()

        def write(self: Site, path: Path, text: str, written: Any = written, kill_at: int = kill_at) -> None:
            if next(written) == kill_at:
                raise KeyboardInterrupt
            real(self, path, text)

        monkeypatch.setattr(Site, "_write", write)
        try:
            add(site, batch)
        except KeyboardInterrupt:
            monkeypatch.setattr(Site, "_write", real)
            add(site, batch)
            assert tree(site.folder) == expected, kill_at
        else:
            break
        finally:
            monkeypatch.setattr(Site, "_write", real)
    assert kill_at > 15


def test_a_batch_writes_its_own_pages_and_the_indexes_above_them(
    entry: Callable[..., Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(index_pages, "FACILITIES_PER_PAGE", 100)
    site = Site(tmp_path)
    add(site, [entry(number, f"{27000 + number % 50}", f"2026{number % 7 + 1:02}") for number in range(1, 501)])
    written: list[str] = []
    real = Site._write

    def write(self: Site, path: Path, text: str) -> None:
        written.append(str(path.relative_to(tmp_path)))
        real(self, path, text)

    monkeypatch.setattr(Site, "_write", write)
    add(site, [entry(5001, "27001", "202607")])
    assert sorted(written) == sorted(
        [
            *("202607/27001/5001.html", "202607/27001/index.html", "202607/27001/entries.jsonl"),
            *("202607/facilities.json", "202607/index.html", "months.json", "index.html"),
        ]
    )


def test_old_months_go_and_so_does_what_is_too_much(entry: Callable[..., Entry], tmp_path: Path):
    months = [entry(number, month=f"2026{number:02}") for number in range(1, 8)]
    site = Site(tmp_path / "months", keep_months=3)
    add(site, months)
    assert sorted(site.months()) == ["202606", "202607"]  # August is the third
    assert {path.name for path in site.folder.iterdir() if path.is_dir()} == {"202606", "202607", "static"}
    site.finish("202609")
    assert sorted(site.months()) == ["202607"]
    assert "3 tháng" in (site.folder / "index.html").read_text("utf-8")

    few = Site(tmp_path / "results", keep_results=4)
    add(few, [*months, entry(20), entry(21)])
    assert sorted(few.months()) == ["202606", "202607"]  # 1 + 3 deliveries
    add(few, [entry(number) for number in range(30, 40)])
    assert sorted(few.months()) == ["202607"]
    links(few.folder)


@pytest.mark.parametrize(
    ("months", "expected"),
    [
        ({"202607": 9, "202606": 1}, "202607"),
        ({"202606": 5, "202607": 5}, "202607"),
        ({"209901": 9, "202606": 1}, "202606"),
        ({"202401": 9}, "202608"),
        ({"": 4, "202613": 4}, "202608"),
        ({}, "202608"),
    ],
)
def test_a_mistyped_date_opens_no_month(months: dict[str, int], expected: str):
    assert month_of(months, datetime(2026, 8, 3, tzinfo=VIETNAM)) == expected


def test_only_pages_are_handed_out(entry: Callable[..., Entry], tmp_path: Path):
    site = Site(tmp_path / "site")
    add(site, [entry(1)])
    (tmp_path / "secret.html").write_text("secret")
    os.symlink(tmp_path / "secret.html", site.folder / "202607" / "link.html")
    for name in ("index.html", "202607/27001/1.html", "static/data-docs.css"):
        assert site.page(name) == (site.folder / name).resolve()
    for name in (
        *("../secret.html", "202607/../../secret.html", "/etc/passwd", "202607/link.html", "202607//index.html"),
        *("months.json", "202607/27001/entries.jsonl", ".pending/1", "202607", "", "202607/2.html", "a\0.html"),
    ):
        assert site.page(name) is None, name
    assert site.page_of(1, "27001") == "202607/27001/1.html"
    assert site.page_of(1, "27002") is None
    assert site.page_of(1, "../202607/27001") is None


def test_a_facility_that_cannot_name_a_folder_is_refused(entry: Callable[..., Entry], tmp_path: Path):
    with pytest.raises(ValueError, match="folders"):
        add(Site(tmp_path / "site"), [entry(1, "../x")])
    assert not list(tmp_path.glob("x*"))
