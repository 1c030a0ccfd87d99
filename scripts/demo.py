"""`make demo`: simulated hospitals drop files while Airflow runs for real, until every delivery is answered.

Everything is written under var/demo, and everything that was started is stopped again.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from claim_airflow.local import LocalAirflow
from claim_pipeline.errors import GiamdinhError, OperatorError
from claim_pipeline.store import embedded, open_store

REPOSITORY = Path(__file__).parents[1]

FACILITIES = 6
CLAIMS = 200  # of each facility
FAULT_RATE = 0.1
SEED = 20260701
MONTH = "202607"
GAP_SECONDS = 0.7  # between two hospitals' drops
ANSWER_SECONDS = 300.0

COUNTS = ("deliveries", "claims", "lines", "accepted", "adjusted", "rejected", "referred")
AMOUNTS = ("requested", "approved", "refused")


def simulate(stage: Path) -> subprocess.Popen[bytes]:
    """Starts `giamdinh simulate`: deliveries, reference data and the truth about them under `stage`."""
    options = {
        "facilities": FACILITIES,
        "claims": CLAIMS,
        "month": MONTH,
        "fault-rate": FAULT_RATE,
        "seed": SEED,
        "out": stage,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    stage.parent.mkdir(parents=True, exist_ok=True)
    with stage.with_suffix(".log").open("wb") as log:
        return subprocess.Popen([sys.executable, "-m", "giamdinh", "simulate", *words], stdout=log, stderr=log)


def simulated(process: subprocess.Popen[bytes], stage: Path) -> None:
    if process.wait() != 0:
        raise SystemExit(f"giamdinh simulate failed:\n{stage.with_suffix('.log').read_text('utf-8', 'replace')}")


def in_turns(stage: Path) -> Iterator[Path]:
    """The staged deliveries, hospitals taking turns."""
    waiting = [
        sorted(path for path in folder.rglob("*") if path.is_file()) for folder in sorted((stage / "inbox").iterdir())
    ]
    while any(waiting):
        for files in waiting:
            if files:
                yield files.pop(0)


def drop(path: Path, inbox: Path) -> None:
    """Sends one staged file as a hospital does: written under another name, then renamed."""
    folder = inbox / path.parent.name
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f"{path.name}.part"
    shutil.copy2(path, aside)
    os.replace(aside, folder / path.name)


def load_reference(airflow: LocalAirflow, stage: Path) -> None:
    """Puts the simulated reference data into their drop folder and has the DAG load them."""
    for path in sorted((stage / "reference").iterdir()):
        shutil.copy2(path, airflow.home / "reference" / path.name)
    if airflow.run_dag("reference_data") != "success":
        raise SystemExit("reference_data failed: see its log in var/demo/logs/tasks")


def answered_files(outbox: Path, sent: dict[str, Path]) -> set[str]:
    """Which of the deliveries sent (sha256 -> file) have receipt and report in their facility's outbox."""
    return {
        sha256
        for sha256, path in sent.items()
        for folder in (outbox / path.parent.name).glob(f"*-{sha256[:8]}")
        if (folder / "receipt.json").exists() and (folder / "report.json").exists()
    }


class Feed:
    """Drops the staged deliveries and watches until all are answered."""

    def __init__(self, airflow: LocalAirflow, stage: Path) -> None:
        self.airflow, self.stage = airflow, stage
        self.store = open_store(airflow.claims_url)
        self.sent: dict[str, Path] = {}  # sha256 -> staged file
        self.first_drop: dict[str, float] = {}  # facility -> when
        self.last_answer: dict[str, float] = {}

    def drop_all(self, say: Callable[[str], None]) -> None:
        for path in in_turns(self.stage):
            drop(path, self.airflow.home / "inbox")
            self.first_drop.setdefault(path.parent.name, time.monotonic())
            self.sent[hashlib.sha256(path.read_bytes()).hexdigest()] = path
            say(f"{path.parent.name} drops {path.name} ({path.stat().st_size:,} bytes)")
            self.look()
            time.sleep(GAP_SECONDS)

    def look(self) -> bool:
        """Notes which facilities have all their answers by now; whether all have.

        Raises OperatorError for a delivery that a step could not be done for.
        """
        for one in self.store.recent(1000):
            if one.status == "failed":
                raise OperatorError(
                    "delivery-failed",
                    f"Lô {one.id} của cơ sở {one.facility} chưa xử lý được; nhật ký trong var/demo/logs/tasks.",
                    f"Delivery {one.id} of facility {one.facility} could not be done; logs are in var/demo/logs/tasks.",
                )
        answered = answered_files(self.airflow.home / "outbox", self.sent)
        open_at = {path.parent.name for sha256, path in self.sent.items() if sha256 not in answered}
        in_database = {row["facility"]: row for row in self.store.summary()}
        sent = Counter(path.parent.name for path in self.sent.values())
        for facility, files in sent.items():
            row = in_database.get(facility)
            if facility in open_at or row is None or row["answered"] < files:
                self.last_answer.pop(facility, None)
            else:
                self.last_answer.setdefault(facility, time.monotonic())
        return len(self.last_answer) == len(sent)

    def facilities(self) -> list[dict[str, Any]]:
        """Counts, amounts (đồng, text with two decimals) and seconds from first drop to last answer, per facility."""
        rows = []
        for row in self.store.summary():
            facility = row["facility"]
            took = self.last_answer.get(facility)
            seconds = None if took is None else round(took - self.first_drop[facility], 1)
            names = ("deliveries", "quarantined", *COUNTS[1:], *AMOUNTS)
            rows.append({"MA_CSKCB": facility} | {name: row[name] for name in names} | {"seconds": seconds})
        return rows


def faults_of_the_books(facilities: list[dict[str, Any]]) -> list[str]:
    """What does not add up; empty when every claim and every đồng is accounted for."""
    wrong = []
    for row in facilities:
        decided = row["accepted"] + row["adjusted"] + row["rejected"] + row["referred"]
        if not CLAIMS == row["claims"] == decided:
            wrong.append(f"{row['MA_CSKCB']}: {CLAIMS} claims sent, {row['claims']} recorded, {decided} decided")
        if Decimal(row["requested"]) != Decimal(row["approved"]) + Decimal(row["refused"]):
            wrong.append(f"{row['MA_CSKCB']}: requested is not approved + refused")
    if len(facilities) != FACILITIES:
        wrong.append(f"{len(facilities)} of {FACILITIES} facilities are in the database")
    return wrong


def totals_of(facilities: list[dict[str, Any]]) -> dict[str, Any]:
    counts = {name: sum(row[name] for row in facilities) for name in (*COUNTS, "quarantined")}
    return counts | {name: f"{sum(Decimal(row[name]) for row in facilities):.2f}" for name in AMOUNTS}


def print_table(console: Console, facilities: list[dict[str, Any]]) -> None:
    table = Table(title="Kết quả theo cơ sở · Outcome per facility (đồng)", show_footer=True)
    totals = totals_of(facilities) | {"MA_CSKCB": "Σ", "seconds": ""}
    heads = {"MA_CSKCB": "facility"}
    for name in ("MA_CSKCB", *COUNTS, *AMOUNTS, "seconds"):
        justify = "left" if name == "MA_CSKCB" else "right"
        table.add_column(heads.get(name, name), _shown(totals[name]), justify=justify, no_wrap=True)
    for row in facilities:
        table.add_row(*(_shown(row[name]) for name in ("MA_CSKCB", *COUNTS, *AMOUNTS, "seconds")))
    console.print(table)


def _shown(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str) and value[-3:-2] == ".":
        return f"{Decimal(value):,.2f}"
    return "" if value is None else str(value)


def main() -> int:
    console = Console(width=max(160, Console().width))  # the table is never cut
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/dim]  {text}", highlight=False)

    home = REPOSITORY / "var" / "demo"
    if home.exists():
        embedded.stop(home)  # of a demo that was killed
        shutil.rmtree(home)
    stage = home / "stage"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    say(f"Simulating {FACILITIES} hospitals, {CLAIMS} claims each, while PostgreSQL and Airflow start")
    simulating = simulate(stage)
    atexit.register(simulating.kill)  # should the demo end before it does
    settings = {"GIAMDINH_SETTLE_SECONDS": "1", "GIAMDINH_POLL_SECONDS": "1"}
    with LocalAirflow(home, settings=settings, say=say) as airflow:
        airflow.wait_until_healthy()
        say(f"Airflow is healthy at {airflow.url} (until the demo ends)")
        simulated(simulating, stage)
        load_reference(airflow, stage)
        say("Reference data are loaded; the hospitals begin to send")
        feed = Feed(airflow, stage)
        feed.drop_all(say)
        say(f"{len(feed.sent)} deliveries sent; waiting for the answers")
        airflow.wait_for(feed.look, ANSWER_SECONDS, "every delivery is answered")
        say("Every delivery is answered; stopping")
        facilities = feed.facilities()
        feed.store.close()
        airflow.wait_until_idle()
    wrong = faults_of_the_books(facilities)
    summary = {
        "schema": "giamdinh.demo/1",
        "answered": not wrong,
        "seconds": round(time.monotonic() - began, 1),
        "facilities": facilities,
        "totals": totals_of(facilities),
    }
    (home / "summary.json").write_text(json.dumps(summary, ensure_ascii=False, indent=1) + "\n", "utf-8")
    say("Stopped")
    print_table(console, facilities)
    relative = home.relative_to(REPOSITORY)
    console.print(f"Báo cáo · Reports:  {relative}/outbox/<facility>/<delivery>/report.html", highlight=False)
    console.print(f"Tóm tắt · Summary:  {relative}/summary.json", highlight=False)
    for line in wrong:
        console.print(f"[red]{line}[/red]")
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GiamdinhError as error:
        sys.exit(f"{error.message_vi}\n{error.message_en}")
    except KeyboardInterrupt:
        sys.exit(130)
