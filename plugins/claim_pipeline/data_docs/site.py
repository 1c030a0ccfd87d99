"""The folder of Data Docs: what is written when, so that it is whole at any moment and a batch costs what it brings."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from claim_pipeline.data_docs import index_pages
from claim_pipeline.data_docs.entries import FACILITY, MONTH, Entry

STYLE = "static/data-docs.css"
ENTRIES, FACILITIES, MONTHS = "entries.jsonl", "facilities.json", "months.json"
_PENDING, _LOCK = ".pending", ".lock"
_LOOK_SECONDS = 0.2


class Site:
    """One folder of pages. keep_months, keep_results: what retention leaves; 0: everything.

    Every file appears whole (written aside, then renamed): a delivery's page first, then the indexes from the bottom to
    the top. What was asked for and is not done yet is remembered in the folder, so that
    a process that was killed half-way is made good by the next one. One process writes at a time.
    """

    def __init__(self, folder: Path, *, keep_months: int = 0, keep_results: int = 0) -> None:
        self.folder = folder
        self.keep_months, self.keep_results = keep_months, keep_results

    # --- what is still to be done

    def ask(self, deliveries: Iterable[int]) -> None:
        """Remembers that these deliveries are to have pages."""
        pending = self.folder / _PENDING
        pending.mkdir(parents=True, exist_ok=True)
        for delivery in deliveries:
            (pending / str(delivery)).touch()

    def asked(self) -> list[int]:
        """Deliveries that were asked for and are not done."""
        try:
            return sorted(int(name) for name in os.listdir(self.folder / _PENDING) if name.isdigit())
        except FileNotFoundError:
            return []

    def done(self, deliveries: Iterable[int]) -> None:
        """Forgets that these were asked for."""
        for delivery in deliveries:
            (self.folder / _PENDING / str(delivery)).unlink(missing_ok=True)

    @contextmanager
    def alone(self, until: float = float("inf")) -> Iterator[bool]:
        """Waits until no other process writes here, or until a time (of time.monotonic). Gives whether it is so."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK).open("w") as lock:
            while not (mine := _locked(lock)) and time.monotonic() < until:
                time.sleep(_LOOK_SECONDS)
            yield mine

    # --- writing; only inside `alone`

    def add(self, results: Iterable[tuple[Entry, Callable[[], str] | str]], today: str) -> None:
        """Writes pages of deliveries (the text, or what makes it) and the indexes that name them, then drops what is
        past retention. today: yyyymm. A delivery that is there already is replaced, in its place."""
        touched: dict[tuple[str, str], dict[int, Entry]] = {}
        gone: dict[tuple[str, str], set[int]] = {}
        months = self.months()
        for entry, page in results:
            if not (FACILITY.fullmatch(entry.facility) and MONTH.fullmatch(entry.month)):
                raise ValueError("an entry's month and facility must be able to name folders")
            folder = self.folder / entry.month / entry.facility
            self._write(folder / f"{entry.delivery}.html", page if isinstance(page, str) else page())
            touched.setdefault((entry.month, entry.facility), {})[entry.delivery] = entry
            for month in months:  # its month may be another than when it was checked before
                other = self.folder / month / entry.facility / f"{entry.delivery}.html"
                if month != entry.month and other.exists():
                    gone.setdefault((month, entry.facility), set()).add(entry.delivery)
        changed: dict[str, dict[str, index_pages.Sums | None]] = {}
        for month, facility in sorted({*touched, *gone}):
            place = month, facility
            sums = self._facility(month, facility, touched.get(place, {}), gone.get(place, set()))
            changed.setdefault(month, {})[facility] = sums
        for month, facilities in changed.items():
            sums = self._month(month, facilities)
            months.pop(month, None)
            if sums is not None:
                months[month] = sums
        self._finish(months, today)

    def finish(self, today: str) -> None:
        """The first page, the style sheet and retention alone."""
        self._finish(self.months(), today)

    def expired(self, month: str, today: str) -> bool:
        """Whether what stands under a month is not kept any more."""
        return bool(self.keep_months) and _age(month, today) >= self.keep_months

    def _facility(self, month: str, facility: str, new: Mapping[int, Entry], gone: set[int]) -> index_pages.Sums | None:
        folder = self.folder / month / facility
        before = self.entries(month, facility)
        kept = [new.get(one.delivery, one) for one in before if one.delivery not in gone]
        known = {one.delivery for one in kept}
        entries = kept + [one for number, one in sorted(new.items()) if number not in known]
        if not entries:
            self._remove(folder)
            return None
        was, pages = index_pages.pages_of(before), index_pages.pages_of(entries)
        if gone:
            numbers = set(range(1, pages + 1))
        else:
            # The pages with a new entry, and where pages are added the one that was the newest and its neighbour, whose
            # links change.
            at = {place // index_pages.PER_PAGE + 1 for place, one in enumerate(entries) if one.delivery in new}
            numbers = at | {pages} | (set(range(max(was - 1, 1), pages + 1)) if pages != was else set())
        # Earlier pages first: the newest one, the index, links to them.
        for name, page in index_pages.facility(month, facility, entries, sorted(numbers)):
            self._write(folder / name, page)
        _unlink_from(pages, lambda number: folder / f"page-{number}.html")
        # Last: whoever is killed before it does all of this again.
        self._write(folder / ENTRIES, "".join(f"{_json(one.to_json())}\n" for one in entries))
        for delivery in gone:
            (folder / f"{delivery}.html").unlink(missing_ok=True)
        return index_pages.sums_of(entries)

    def _month(self, month: str, changed: Mapping[str, index_pages.Sums | None]) -> index_pages.Sums | None:
        folder = self.folder / month
        facilities = {**_read(folder / FACILITIES), **changed}
        left = {code: sums for code, sums in facilities.items() if sums is not None}
        if not left:
            self._remove(folder)
            return None
        self._write(folder / FACILITIES, _json(left))
        written = 0
        for name, page in index_pages.month(month, left):
            self._write(folder / name, page)
            written += 1
        _unlink_from(written + 1, lambda number: folder / index_pages.month_page(number))
        return index_pages.together(left)

    def _finish(self, months: dict[str, index_pages.Sums], today: str) -> None:
        stay = {month: months[month] for month in _kept(months, today, self.keep_months, self.keep_results)}
        self._style()
        self._write(self.folder / MONTHS, _json(stay))
        self._write(self.folder / "index.html", index_pages.top(stay, self.keep_months))
        for path in self.folder.iterdir():
            if MONTH.fullmatch(path.name) and path.name not in stay:
                self._remove(path)

    def _style(self) -> None:
        text = (Path(__file__).parent / "static" / "data-docs.css").read_text("utf-8")
        path = self.folder / STYLE
        if not path.exists() or path.read_text("utf-8") != text:
            self._write(path, text)

    def _write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.part")
        aside.write_text(text, "utf-8")
        os.replace(aside, path)

    def _remove(self, folder: Path) -> None:
        """Takes a folder away at once, whatever it holds: moved aside first, so that no reader sees half of it."""
        with suppress(FileNotFoundError):
            aside = Path(tempfile.mkdtemp(prefix=".gone-", dir=self.folder))
            os.replace(folder, aside)
        for one in self.folder.glob(".gone-*"):
            shutil.rmtree(one, ignore_errors=True)

    # --- reading

    def months(self) -> dict[str, index_pages.Sums]:
        """Month (yyyymm) -> its sums."""
        return _read(self.folder / MONTHS)

    def entries(self, month: str, facility: str) -> list[Entry]:
        """The entries of a facility and month, in the order in which they came."""
        try:
            with (self.folder / month / facility / ENTRIES).open(encoding="utf-8") as lines:
                return [Entry.from_json(json.loads(line)) for line in lines]
        except FileNotFoundError:
            return []

    def page(self, name: str) -> Path | None:
        """A page or the style sheet by its path below the folder, for a web server; None where there is none. Nothing
        else of the folder is handed out, nor anything outside it."""
        parts = name.split("/")
        if any(not part or part.startswith(".") or "\0" in part for part in parts) or not name.endswith(
            (".html", ".css")
        ):
            return None
        root = self.folder.resolve()
        path = self.folder.joinpath(*parts).resolve()
        return path if path.is_relative_to(root) and path.is_file() else None

    def page_of(self, delivery: int, facility: str) -> str | None:
        """Path below the folder of a delivery's page, None where there is none."""
        if FACILITY.fullmatch(facility):
            for month in sorted(self.months(), reverse=True):
                name = f"{month}/{facility}/{delivery}.html"
                if (self.folder / name).exists():
                    return name
        return None


def _kept(months: Mapping[str, index_pages.Sums], today: str, keep_months: int, keep_results: int) -> list[str]:
    """The months that stay: not older than so many, and of them, from the newest, as many as together have no more
    results than are kept; the newest always."""
    newest_first = sorted(months, reverse=True)
    if keep_months:
        newest_first = [one for one in newest_first if _age(one, today) < keep_months]
    stay: list[str] = []
    results = 0
    for month in newest_first:
        results += months[month]["deliveries"]
        if keep_results and stay and results > keep_results:
            break
        stay.append(month)
    return stay


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlink_from(number: int, path_of: Callable[[int], Path]) -> None:
    """Removes pages that are no more, from a number on."""
    while (stale := path_of(number)).exists():
        stale.unlink()
        number += 1


def _age(month: str, today: str) -> int:
    """Months from one (yyyymm) to another."""
    return (int(today[:4]) - int(month[:4])) * 12 + int(today[4:]) - int(month[4:])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return {}
