"""`make bench`: CPU seconds and claims per second of every stage, beside the floor measured in the same run.

The floor is what nobody who reads these files can do without: lxml's iterparse of the envelope, base64, and
lxml.etree.fromstring of the same documents, and nothing else. Data are simulated claims of one facility; the record
system's export is the same month of another facility. CPU is of this process; `record` also shows PostgreSQL's.
Of written documents: `read` is from file to claim tables, `schema` what judging by the XML Schemas adds to the floor,
`write` from claim tables to file.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from zoneinfo import ZoneInfo

import emr
import pandas as pd
import psutil
import rules
import synthetic
import validation
from lxml import etree
from rich.console import Console
from rich.table import Table

from claim_pipeline import appraise, extract, respond, schema, statistics, transform, validate
from claim_pipeline.extract import claim_xml
from claim_pipeline.extract.result import Collected
from claim_pipeline.reference import read_folder
from claim_pipeline.store import embedded, open_store
from claim_pipeline.transform.submission import write_submission
from claim_pipeline.workspace import Delivery, Workspace
from claim_rules.frames import ClaimTables
from claim_simulator import simulate

REPOSITORY = Path(__file__).parents[1]
RESULTS = REPOSITORY / "bench" / "results" / "latest.json"
HOME = REPOSITORY / "var" / "bench"
SIZES = (2_000, 20_000)
EXPORT_CLAIMS = 2_000
SEED = 20260701
LAYOUT = "3176"
JUDGED_TIMES = 4
WRITTEN = "XML 3176, written"
"""Data of the rows that are no stages: claims without a planted fault in one file, about 27 KB of it each."""
HEAVY = f"{WRITTEN}, heavy"
"""The same with so many lines that a claim takes about 62 KB."""
MIXED = "mixed forms"
HEAVIER = 3  # times as many lines
MEMORY_TIMES = (1, 100)  # of a thousand claims
VALIDATION = "XML 3176, validation"
"""Data of the rows about validation: each beside Arrow masks that find the same rows (bench/validation.py)."""
RULES = "XML 3176, rules of part A"
"""Data of the rows about the rules (bench/rules.py): reading the same claims is their floor."""
SMALL = 500  # claims of a file
VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
STAGES = ("extract", "transform", "validate", "appraise", "record", "respond", "profile")


@dataclass
class Measured:
    """One stage over one set of deliveries. cpu, wall, database_cpu: seconds; to_floor: cpu over the floor's."""

    data: str
    claims: int
    stage: str
    cpu: float = 0.0
    wall: float = 0.0
    database_cpu: float = 0.0
    to_floor: float | None = None

    @property
    def claims_per_second(self) -> float:
        return self.claims / self.wall if self.wall else 0.0


class Dropped:
    """A sink of the reader that keeps nothing."""

    def add(self, tables: ClaimTables) -> None:
        pass

    def add_findings(self, findings: pd.DataFrame) -> None:
        pass


class Bench:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.outbox = home / "outbox"
        self.store = open_store(embedded.start(home))
        self.server = next(one for one in psutil.process_iter() if _is_server_of(one, home))
        self.rows: list[Measured] = []

    def database_cpu(self) -> float:
        """CPU seconds of PostgreSQL's processes that live now; those of this bench live as long as its connections."""
        spent = 0.0
        for process in [self.server, *self.server.children()]:
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            spent += times.user + times.system
        return spent

    @contextmanager
    def measured(self, row: Measured) -> Iterator[None]:
        database, cpu, wall = self.database_cpu(), time.process_time(), time.perf_counter()
        yield
        row.wall += time.perf_counter() - wall
        row.cpu += time.process_time() - cpu
        row.database_cpu += max(0.0, self.database_cpu() - database)

    def run(self, data: str, files: list[Path], claims: int, reference: dict) -> None:
        """All stages over these deliveries, one delivery after another as the pipeline does."""
        rows = {stage: Measured(data, claims, stage) for stage in ("floor", *STAGES)}
        is_xml = files[0].suffix == ".xml"
        for path in files:
            if is_xml:
                with self.measured(rows["floor"]):
                    floor(path)
            self._delivery(path, rows, reference)
        if is_xml:
            for row in rows.values():
                row.to_floor = row.cpu / rows["floor"].cpu
        else:
            del rows["floor"]
        self.rows += rows.values()

    def judge(self, data: str, path: Path, claims: int) -> None:
        """One claim file: reading it to claim tables beside the floor of the same file; of clean files also judging
        by the XML Schemas (what it adds to the floor) and writing the tables. Each is the least of several runs by
        turns: a difference of two single runs would mostly be noise."""
        copy = path.with_name("copy.xml")
        ways: dict[str, Callable[[], object]] = {
            "floor": lambda: floor(path),
            "read": lambda: claim_xml.read_into(
                [path], Dropped(), inbox_facility=None, max_claims=claims, max_claim_mib=64
            ),
        }
        if MIXED not in data:
            tables = claim_xml.read(path).tables
            ways["schema"] = lambda: judged(path)
            ways["write"] = lambda: write_submission(copy, tables, "27001", "20260801", LAYOUT)
        runs: dict[str, list[Measured]] = {stage: [] for stage in ways}
        for _ in range(JUDGED_TIMES):
            for stage, way in ways.items():
                row = Measured(data, claims, stage)
                with self.measured(row):
                    way()
                runs[stage].append(row)
        copy.unlink(missing_ok=True)
        rows = {stage: min(taken, key=lambda row: row.cpu) for stage, taken in runs.items()}
        base = rows["floor"]
        if "schema" in rows:
            rows["schema"] = _without("schema", rows["schema"], base)
        for row in rows.values():
            row.to_floor = row.cpu / base.cpu
        self.rows += rows.values()

    def validate(self, files: list[Path], claims: int) -> None:
        """What validation costs beside Arrow masks that find the same rows: their CPU is the floor here."""
        costs = validation.measure(files, self.home)
        base = next(cost.cpu for cost in costs if cost.stage == "masks")
        self.rows += [
            Measured(VALIDATION, claims, cost.stage, cost.cpu, cost.wall, to_floor=cost.cpu / base) for cost in costs
        ]

    def judge_by_rules(self, claims: int) -> None:
        """What the rules cost beside reading the same claims, in large files and in those that hospitals send daily."""
        parts, facility, reference = rules.simulated(self.home, claims, SEED)
        for data, in_one in ((RULES, rules.IN_ONE), (f"{RULES}, files of {SMALL}", SMALL)):
            files = rules.written(parts, facility, in_one, self.home / f"rules-{in_one}")
            cost = rules.measure(files, reference)
            print(rules.tell(cost))
            self.rows += [
                Measured(data, claims, "read", cost.read, cost.read, to_floor=1.0),
                Measured(data, claims, "rules", cost.rules, cost.rules, to_floor=cost.ratio),
            ]

    def _delivery(self, path: Path, rows: dict[str, Measured], reference: dict) -> None:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        facility = path.parent.name
        now = datetime.now(VIETNAM)
        received = self.store.receive(
            facility=facility,
            file=path.name,
            sha256=sha256,
            size=path.stat().st_size,
            received_at=now,
            archive_key=sha256,
            actor="bench",
        )
        row = self.store.delivery(received.delivery_id)
        ws = Workspace(self.home / "work" / str(row.id))
        shutil.copyfile(path, ws.source)
        ws.delivery = Delivery(
            file=path.name, sha256=sha256, MA_CSKCB=facility, received_at=now.isoformat(), inbox_facility=facility
        )
        stages: dict[str, Callable[[], object]] = {
            "extract": lambda: extract.run(ws),
            "transform": lambda: transform.run(ws),
            "validate": lambda: validate.run(ws),
            "appraise": lambda: appraise.run(ws, reference),
            "record": lambda: self.store.record(row.id, ws, "bench"),
            "respond": lambda: respond.run(ws, self.store, self.outbox, self.store.delivery(row.id)),
            "profile": lambda: statistics.profile(self.store, row.id, ws),
        }
        for stage, do in stages.items():
            with self.measured(rows[stage]):
                do()
        ws.remove()


def _without(stage: str, both: Measured, one: Measured) -> Measured:
    """What is left of a measured pair when one of the two is taken off."""
    return Measured(both.data, both.claims, stage, max(0.0, both.cpu - one.cpu), max(0.0, both.wall - one.wall))


def floor(path: Path) -> None:
    """Reads every document of a submission and keeps nothing."""
    for _, claim in etree.iterparse(path, tag="HOSO"):
        for content in claim.iter("NOIDUNGFILE"):
            with contextlib.suppress(ValueError, etree.XMLSyntaxError):  # a planted fault
                etree.fromstring(base64.b64decode(content.text or ""))
        claim.clear()
        while claim.getprevious() is not None:
            del claim.getparent()[0]


def judged(path: Path) -> None:
    """Judges the envelope and every document of a submission by the XML Schemas."""
    faults = sum(1 for _ in schema.judge_submission(path, LAYOUT))
    if faults:
        raise SystemExit(f"{path.name} has {faults} faults; what is measured here must have none")


def _is_server_of(process: psutil.Process, home: Path) -> bool:
    try:
        lines = (home / "postgres" / "postmaster.pid").read_text("utf-8").splitlines()
        return process.pid == int(lines[0])
    except (OSError, ValueError, psutil.Error):
        return False


def simulated(home: Path, claims: int, facilities: int, fault_rate: float = 0.1) -> Path:
    stage = home / f"stage-{facilities}x{claims}-{fault_rate}"
    simulate(facilities=facilities, claims=claims, month="202607", fault_rate=fault_rate, seed=SEED, out=stage)
    return stage


def deliveries(stage: Path, facility: int) -> list[Path]:
    return sorted(sorted((stage / "inbox").iterdir())[facility].iterdir())


def written(home: Path, claims: int) -> dict[str, Path]:
    """Files of the same claims, light and heavy, clean and in mixed forms."""
    into = Collected()
    files = deliveries(simulated(home, claims, 1, fault_rate=0), 0)
    found = claim_xml.read_into(files, into, inbox_facility=None, max_claims=claims, max_claim_mib=64)
    tables = into.extracted(found).tables
    out: dict[str, Path] = {}
    for data, times in ((WRITTEN, 1), (HEAVY, HEAVIER)):
        clean, mixed = home / f"clean-{times}.xml", home / f"mixed-{times}.xml"
        write_submission(clean, synthetic.heavier(tables, times), "27001", "20260801", LAYOUT)
        synthetic.mixed(clean, mixed)
        out |= {data: clean, f"{data}, {MIXED}": mixed}
    return out


def peak_memory(home: Path, console: Console) -> list[dict[str, object]]:
    """Peak memory of the step `extract` in a process of its own, by the number of claims in one file."""
    thousand = written(home, 1_000)[WRITTEN]
    rows: list[dict[str, object]] = []
    for times in MEMORY_TIMES:
        many = home / "many.xml"
        synthetic.repeated(thousand, times, many)
        command = [sys.executable, str(REPOSITORY / "bench" / "memory.py"), "extract", str(many)]
        path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "plugins")])
        done = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, check=True
        )
        mib = round(int(done.stdout) / 1024, 1)
        rows.append({"claims": times * 1_000, "file_mib": many.stat().st_size >> 20, "peak_mib": mib})
        console.print(f"{times * 1_000:,} claims in one file: peak of {mib:,.0f} MiB while they are read")
        many.unlink()
    return rows


def print_table(console: Console, rows: list[Measured]) -> None:
    table = Table(title="Giamdinh: CPU and throughput per stage")
    for head in ("data", "claims", "stage", "CPU s", "wall s", "claims/s", "database CPU s", "CPU : floor"):
        table.add_column(head, justify="left" if head in ("data", "stage") else "right")
    last = None
    for row in rows:
        if last not in (None, (row.data, row.claims)):
            table.add_section()
        last = (row.data, row.claims)
        ratio = "" if row.to_floor is None else f"{row.to_floor:.2f}"
        numbers = (f"{row.cpu:.2f}", f"{row.wall:.2f}", f"{row.claims_per_second:,.0f}", f"{row.database_cpu:.2f}")
        table.add_row(row.data, f"{row.claims:,}", row.stage, *numbers, ratio)
    console.print(table)


def whole(rows: list[Measured]) -> list[Measured]:
    """One more row per set of data: all stages of the pipeline together."""
    out: list[Measured] = []
    for key in dict.fromkeys((row.data, row.claims) for row in rows):
        mine = [row for row in rows if (row.data, row.claims) == key]
        out += mine
        if key[0] == VALIDATION or key[0].startswith((WRITTEN, RULES)):
            continue
        steps = [row for row in mine if row.stage != "floor"]
        floors = [row.cpu for row in mine if row.stage == "floor"]
        total = Measured(
            *key, "all stages", *(sum(getattr(r, n) for r in steps) for n in ("cpu", "wall", "database_cpu"))
        )
        total.to_floor = total.cpu / floors[0] if floors else None
        out.append(total)
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="claims of the XML runs")
    parser.add_argument("--sheet-rows", type=int, default=emr.ROWS, help="rows of the CSV that pandas reads too")
    parser.add_argument("--export", type=int, default=EXPORT_CLAIMS, help="claims of the record system's export")
    parser.add_argument("--home", type=Path, default=HOME, help="folder to work in; emptied before and after")
    parser.add_argument("--memory", action="store_true", help="also the peak memory for 1,000 and 100,000 claims")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of the results")
    given = parser.parse_args()
    home: Path = given.home
    console = Console(width=None if sys.stdout.isatty() else 130)
    embedded.stop(home)
    shutil.rmtree(home, ignore_errors=True)
    bench = Bench(home)
    try:
        console.print("Simulating and warming up", style="dim")
        warm = simulated(home, 100, 2)
        for facility in (0, 1):
            bench.run("warm-up", deliveries(warm, facility), 100, read_folder(warm / "reference"))
        files_written = written(home, given.export)
        bench.rows.clear()
        export = simulated(home, given.export, 2)
        bench.run("EMR CSV", deliveries(export, 1), given.export, read_folder(export / "reference"))
        for data, path in files_written.items():
            console.print(f"{data}: {path.stat().st_size / given.export / 1000:,.1f} KB per claim", style="dim")
            bench.judge(data, path, given.export)
        for claims in given.sizes:
            stage = simulated(home, claims, 1)
            files = deliveries(stage, 0)
            console.print(
                f"{claims:,} claims, {sum(f.stat().st_size for f in files) / 2**20:,.0f} MiB of XML", style="dim"
            )
            bench.run("XML 3176", files, claims, read_folder(stage / "reference"))
        bench.validate(files, max(given.sizes))
        bench.judge_by_rules(max(given.sizes))
        rows = whole(bench.rows)
        memory = peak_memory(home, console) if given.memory else []
    finally:
        bench.store.close()
        embedded.stop(home)
    print_table(console, rows)
    reads = emr.measure(home / "sheets", given.sheet_rows)
    emr.print_reads(console, reads)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "schema": "giamdinh.bench/1",
        "measured_at": datetime.now(VIETNAM).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()},
        "versions": {name: version(name) for name in ("lxml", "pandas", "pyarrow", "great-expectations", "SQLAlchemy")},
        "rows": [
            {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(row).items()}
            | {"claims_per_second": round(row.claims_per_second, 1)}
            for row in rows
        ],
        "memory": memory,
        "sheets": [asdict(read) | {"rows_per_second": round(read.rows_per_second)} for read in reads],
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    shutil.rmtree(home, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
