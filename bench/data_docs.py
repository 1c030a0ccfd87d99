"""What Data Docs cost as results pile up: making the pages of one more batch, and opening them in Chromium.

    python bench/data_docs.py [--stored 50000] [--batch 50]

Simulated deliveries are validated for real; a folder is filled with so many stored results, each with its page; then
one more batch is made, in the full folder and in an empty one (the floor: what it brings by itself). Pages are opened
from the folder with no network, and through the desk's own application by HTTP. Writes bench/results/data_docs.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from claim_pipeline import extract, transform, validate
from claim_pipeline.data_docs import Entry, Site, entry_of
from claim_pipeline.data_docs.result_page import render
from claim_pipeline.workspace import Delivery, Workspace
from claim_simulator import simulate

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
RESULTS = Path(__file__).parent / "results" / "data_docs.json"
MONTHS = [f"{year}{month:02}" for year in (2025, 2026) for month in range(1, 13)][:20]
TODAY = MONTHS[-1]
LARGEST = 5_000
"""Results of one facility in one month, the largest there is."""
FACILITIES = [f"{province:02}{number:03}" for province in range(1, 97) for number in range(1, 14)]
TIMES = 5
LINKS = 50_000
"""One page file may have only so many names; then another copy of it is written."""


def validated(home: Path, files: int) -> list[tuple[dict[str, Any], str]]:
    """(validation.json, facility) of so many simulated deliveries."""
    simulate(facilities=2, claims=15 * files, month="202607", fault_rate=0.3, seed=3, out=home)
    found = []
    for number, path in enumerate(sorted(path for path in (home / "inbox").rglob("*") if path.is_file())):
        ws = Workspace(home / "work" / str(number))
        shutil.copyfile(path, ws.source)
        facility = path.parent.name
        ws.delivery = Delivery(file=path.name, sha256=f"{number:064x}", MA_CSKCB=facility, inbox_facility=facility)
        extract.run(ws)
        transform.run(ws, {})
        validate.run(ws)
        found.append((ws.read_json("validation.json"), facility))
    return found


def stored(pattern: Entry, number: int) -> Iterator[Entry]:
    """So many entries: one facility's month of LARGEST, the rest over all months and facilities."""
    for at in range(number):
        month = MONTHS[at % len(MONTHS)]
        facility = FACILITIES[at // len(MONTHS) % len(FACILITIES)]
        if at < LARGEST:
            month, facility = MONTHS[-1], "27001"
        received = datetime(int(month[:4]), int(month[4:]), 1, 8, tzinfo=VIETNAM) + timedelta(minutes=at % 40_000)
        yield replace(
            pattern, delivery=at + 1, month=month, facility=facility, received_at=received.isoformat(),
            failing=at % 4, unexpected=3 * (at % 4), months={month: 14},
        )  # fmt: skip


def filled(folder: Path, entries: Iterator[Entry], page: str) -> float:
    """Fills a folder; pages of deliveries are one file under many names. Returns seconds."""
    site = Site(folder)
    source = folder.with_name("page.html")
    real = Site._write
    seen = 0

    def write(self: Site, path: Path, text: str) -> None:
        nonlocal seen
        if text is not page:
            real(self, path, text)
            return
        if seen % LINKS == 0:
            source.unlink(missing_ok=True)
            source.write_text(page, "utf-8")
        seen += 1
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, path)

    started = time.perf_counter()
    Site._write = write  # type: ignore[method-assign]
    try:
        site.add(((entry, page) for entry in entries), TODAY)
    finally:
        Site._write = real  # type: ignore[method-assign]
    return time.perf_counter() - started


def batch(reports: list[tuple[dict[str, Any], str]], size: int, start: int, facility: str) -> list[Any]:
    """(entry, what makes its page) of a batch of one facility."""
    received = datetime(int(TODAY[:4]), int(TODAY[4:]), 28, 8, tzinfo=VIETNAM)
    made = []
    for at in range(size):
        report, _ = reports[at % len(reports)]
        entry = replace(entry_of(report, start + at, facility, received), month=TODAY)
        made.append((entry, lambda report=report, entry=entry: render(report, entry)))
    return made


def cost(doing: Callable[[], None]) -> dict[str, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    doing()
    return {"cpu": round(time.process_time() - cpu, 3), "wall": round(time.perf_counter() - wall, 3)}


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The desk's application by HTTP, with somebody signed in. Gives the address of Data Docs."""
    import uvicorn

    from claim_desk import pages
    from claim_pipeline.settings import settings

    settings().data_docs = folder
    pages.app.dependency_overrides[pages.may_see] = lambda: None
    server = uvicorn.Server(uvicorn.Config(pages.app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/data-docs"
    finally:
        server.should_exit = True
        thread.join()


def opened(base: str, names: dict[str, str], *, offline: bool) -> dict[str, dict[str, float]]:
    """Milliseconds until each page is loaded, each time in a fresh context of Chromium: median and most."""
    from playwright.sync_api import sync_playwright

    out = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for label, name in names.items():
            taken = []
            for _ in range(TIMES):
                context = browser.new_context(offline=offline)
                page = context.new_page()
                started = time.perf_counter()
                page.goto(f"{base}/{name}", wait_until="load")
                page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")  # painted
                taken.append(1000 * (time.perf_counter() - started))
                context.close()
            out[label] = {"median": round(statistics.median(taken)), "most": round(max(taken))}
        browser.close()
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stored", type=int, default=50_000, help="results in the folder before the batch")
    parser.add_argument("--batch", type=int, default=50, help="deliveries of the batch that is measured")
    parser.add_argument("--home", type=Path, default=None, help="folder to work in; default: a temporary one")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of the results")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.home) as folder:
        home = Path(folder).resolve()
        reports = validated(home / "sent", 2)
        report, facility = reports[0]
        pattern = entry_of(report, 1, facility, datetime(2026, 8, 3, tzinfo=VIETNAM))
        page = render(report, pattern)
        site = home / "site"
        filling = filled(site, stored(pattern, given.stored), page)
        batches = {
            "empty folder": (Site(home / "empty"), "27001"),
            "full folder, a facility of its usual size": (Site(site), "27002"),
            f"full folder, a facility with {LARGEST} in the month": (Site(site), "27001"),
        }
        costs = {
            name: cost(lambda one=one, at=at, code=code: one.add(
                batch(reports, given.batch, 1_000_000 * (at + 1), code), TODAY))
            for at, (name, (one, code)) in enumerate(batches.items())
        }  # fmt: skip
        index_only = cost(lambda: Site(site).add([(replace(pattern, delivery=9_000_000, month=TODAY), page)], TODAY))
        names = {
            "top index": "index.html",
            "month": f"{TODAY}/index.html",
            "facility, newest page": f"{TODAY}/27001/index.html",
            "facility, an earlier page": f"{TODAY}/27001/page-1.html",
            "delivery": f"{TODAY}/27001/{2_000_000 + 1_000_000}.html",
        }
        sizes = {label: (site / name).stat().st_size for label, name in names.items()}
        files = opened(site.as_uri(), names, offline=True)
        with served(site) as address:
            web = opened(address, names, offline=False)
    result = {
        "schema": "giamdinh.bench.data-docs/1",
        "measured_at": datetime.now(VIETNAM).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)},
        "stored": given.stored,
        "months": len(MONTHS),
        "filled_in_seconds": round(filling, 1),
        "batch": given.batch,
        "batch_seconds": costs,
        "ratio_to_empty_folder": {
            name: round(one["cpu"] / costs["empty folder"]["cpu"], 2) for name, one in costs.items()
        },
        "indexes_of_one_delivery_seconds": index_only,
        "bytes": sizes,
        "open_ms": {"folder, no network": files, "web server": web},
    }
    given.out.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", "utf-8")
    sys.stdout.write(given.out.read_text("utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
