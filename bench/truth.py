"""Recall and precision of every rule over simulated hospitals with planted faults: `make truth`.

Hospitals of two months (one before July 2026, one after it) are simulated with faults of every rule, half of them just
beyond the limit, between claims, of signatures and of whole deliveries too, and with near misses, which nothing may
find. Their deliveries are judged one by one (check, as `giamdinh check` does) and one after the other in the order in
which they came, each at its time, into a database of its own (store, as `giamdinh run` does), where rules about other
claims run. What the newest report of each delivery says is compared with the truth by facility, MA_LK, table, line and
rule; what is said of a delivery as a whole by its file. The table stands in docs/truth.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from claim_pipeline import steps
from claim_pipeline.reference import read_folder
from claim_pipeline.signature.trust import load
from claim_pipeline.store import embedded
from claim_rules import catalogue
from claim_simulator import simulate

REPOSITORY = Path(__file__).parents[1]
RESULTS = REPOSITORY / "bench" / "results" / "truth.json"
PAGE = REPOSITORY / "docs" / "truth.md"
HOME = REPOSITORY / "var" / "truth"
MONTHS = ("202605", "202609")
RATE = 0.4
CHECK, STORE = "check", "store"
WAYS = (CHECK, STORE)
ENOUGH = 20
Row = tuple[str, str, str, str, str]
"""Month, facility and (of what is said of a delivery) file; MA_LK, table, line, rule."""


@dataclass
class Tally:
    """One rule, one way: distinct rows of the truth, how many of them were found, what was found beside them, near
    misses and how many of those it found."""

    planted: int = 0
    found: int = 0
    invented: int = 0
    near: int = 0
    near_found: int = 0

    def as_json(self) -> dict[str, Any]:
        told = self.found + self.invented
        return {
            "planted": self.planted,
            "found": self.found,
            "invented": self.invented,
            "near_misses": self.near,
            "near_misses_found": self.near_found,
            "recall": self.found / self.planted if self.planted else None,
            "precision": self.found / told if told else None,
        }


@dataclass
class Seen:
    """What was planted and what was found in simulated months."""

    planted: set[Row] = field(default_factory=set)
    found: set[Row] = field(default_factory=set)
    near: set[tuple[str, str, str]] = field(default_factory=set)
    run: set[str] = field(default_factory=set)
    lacks: dict[str, str] = field(default_factory=dict)
    deliveries: int = 0
    claims: int = 0

    def add_stage(self, stage: Path, way: str) -> None:
        """The truth of a simulated month."""
        month = stage.name
        in_store = set(map(_row, read(stage / "in_store.csv")))
        for row in read(stage / "truth.csv"):
            # what is said of a delivery stands in deliveries.csv, with its file
            if row["MA_LK"] and not (way == CHECK and _row(row) in in_store):
                self.planted.add((f"{month} {row['MA_CSKCB']}", *_row(row)[1:]))
        for sent in read(stage / "deliveries.csv"):
            place = f"{month} {sent['MA_CSKCB']} {sent['file']}"
            self.planted |= {(place, "", "", "", rule) for rule in sent["rules"].split(";") if rule}
        self.near |= {
            (f"{month} {row['MA_CSKCB']}", row["MA_LK"], row["rule"]) for row in read(stage / "near_misses.csv")
        }

    def add_report(self, report: dict[str, Any], facility: str, month: str) -> None:
        """What a report says of claims and of the delivery as a whole."""
        if report["delivery"]["status"] != "appraised":
            raise SystemExit(f"{report['delivery']['file']} was not appraised: {report['delivery']['reason']}")
        if "failed_rules" in report:
            raise SystemExit(f"rules failed: {report['failed_rules']}")
        place = f"{month} {facility}"
        for claim in report["claims"]:
            for finding in claim["findings"]:
                line = "" if finding["line"] is None else str(finding["line"])
                self.found.add((place, claim["MA_LK"] or "", finding["table"] or "", line, finding["rule"]))
        file = report["delivery"]["file"]
        self.found |= {(f"{place} {file}", "", "", "", finding["rule"]) for finding in report["findings"]}
        self.run |= set(report["rules_run"])
        self.lacks |= {row["rule"]: row["needs"] for row in report["skipped_rules"]}
        self.deliveries += 1
        self.claims += len(report["claims"])

    def add(self, other: Seen) -> None:
        """What was seen in other months."""
        self.planted |= other.planted
        self.found |= other.found
        self.near |= other.near
        self.run |= other.run
        self.lacks |= other.lacks
        self.deliveries += other.deliveries
        self.claims += other.claims

    @property
    def not_run(self) -> dict[str, str]:
        """Rules that ran in no delivery, with what they lack."""
        return {rule: why for rule, why in self.lacks.items() if rule not in self.run}

    def tallies(self) -> dict[str, Tally]:
        """Every rule that ran, with what was planted of it."""
        out = {rule: Tally() for rule in catalogue.book() if rule not in self.not_run}
        for row in self.planted | self.found:
            if row[-1] in out:
                tally = out[row[-1]]
                tally.planted += row in self.planted
                tally.found += row in self.planted and row in self.found
                tally.invented += row not in self.planted
        told = {(place, ma_lk, rule) for place, ma_lk, *_, rule in self.found}
        for one in self.near:
            if one[-1] in out:
                out[one[-1]].near += 1
                out[one[-1]].near_found += one in told
        return out

    def wrong(self) -> list[str]:
        """What was missed and what was invented, one line each."""
        ran = set(self.tallies())
        missed = [f"missed: {' '.join(row)}" for row in sorted(self.planted - self.found) if row[-1] in ran]
        return missed + [f"invented: {' '.join(row)}" for row in sorted(self.found - self.planted)]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _row(row: dict[str, str]) -> Row:
    return row["MA_CSKCB"], row["MA_LK"], row["table"], row["line"], row["rule"]


def by_check(stage: Path, seen: Seen) -> None:
    """Each delivery by itself, received when it was sent."""
    reference, trust = read_folder(stage / "reference"), load(stage / "trust")
    for sent in read(stage / "deliveries.csv"):
        path = stage / "inbox" / sent["MA_CSKCB"] / sent["file"]
        with steps.check(path, reference, datetime.fromisoformat(sent["received_at"]), trust) as checked:
            seen.add_report(json.loads(checked.ws.report.read_text("utf-8")), sent["MA_CSKCB"], stage.name)


def by_store(stage: Path, home: Path, seen: Seen) -> None:
    """The whole pipeline into a database under `home`, in a process of its own."""
    home.mkdir(parents=True)
    own = {
        "GIAMDINH_HOME": str(home),
        "GIAMDINH_SETTLE_SECONDS": "0",
        "GIAMDINH_DATA_DOCS_SECONDS": "0",
        "GIAMDINH_TRUST": str(stage / "trust"),
    }
    command = [sys.executable, __file__, "--deliver", str(stage), "--home", str(home)]
    try:
        subprocess.run(command, env=os.environ | own, check=True)
    finally:
        embedded.stop(home)
    newest: dict[tuple[str, str], tuple[int, Path]] = {}
    for path in (home / "outbox").glob("*/*/report.json"):
        base, _, number = path.parent.name.partition("-reappraisal-")
        key, rank = (path.parents[1].name, base), int(number or 0)
        if key not in newest or rank > newest[key][0]:
            newest[key] = (rank, path)
    for (facility, _), (_, path) in sorted(newest.items()):
        seen.add_report(json.loads(path.read_text("utf-8")), facility, stage.name)


def deliver(stage: Path, home: Path) -> None:
    """Drops the deliveries of a simulated month into the inboxes, each when it came, and does what a day brings."""
    steps.load_reference_folder("truth", stage / "reference")
    sent = read(stage / "deliveries.csv")
    for _, of_day in groupby(sent, key=lambda row: row["received_at"][:10]):
        for row in of_day:
            inbox = home / "inbox" / row["MA_CSKCB"]
            inbox.mkdir(parents=True, exist_ok=True)
            shutil.copy(stage / "inbox" / row["MA_CSKCB"] / row["file"], inbox / row["file"])
            steps.receive("truth", at=datetime.fromisoformat(row["received_at"]))
        counts = steps.run_all("truth")
        if counts["failed"] or counts["quarantined"]:
            raise SystemExit(f"deliveries failed or were quarantined: {counts}")


def judge(way: str, stage: Path, home: Path) -> None:
    """One way over one simulated month, in a process of its own; what it saw is kept under `home`."""
    seen = Seen()
    seen.add_stage(stage, way)
    if way == CHECK:
        by_check(stage, seen)
    else:
        by_store(stage, home / f"store-{stage.name}", seen)
    (home / f"{way}-{stage.name}.pickle").write_bytes(pickle.dumps(seen))


def measure(given: argparse.Namespace) -> list[tuple[dict[str, Any], list[str]]]:
    """What each way finds, and what was wrong with it. Months are simulated, then judged, several at a time."""
    home = given.home
    common = [sys.executable, __file__, "--home", str(home)]
    numbers = ["--facilities", str(given.facilities), "--claims", str(given.claims), "--seed", str(given.seed)]
    with ThreadPoolExecutor(given.jobs) as pool:
        missing = [month for month in given.months if not (home / month).exists()]
        steps_of_months = [[*common, *numbers, "--simulate", month] for month in missing]
        list(pool.map(partial(subprocess.run, check=True), steps_of_months))
        ways = [(way, month) for way in reversed(given.through) for month in given.months]
        list(pool.map(partial(subprocess.run, check=True), [[*common, "--judge", *part] for part in ways]))
    out = []
    for way in given.through:
        seen = Seen()
        for month in given.months:
            # written by this program a moment ago
            seen.add(pickle.loads((home / f"{way}-{month}.pickle").read_bytes()))
        result = {
            "through": way,
            "months": given.months,
            "facilities": given.facilities,
            "claims_each": given.claims,
            "seed": given.seed,
            "deliveries": seen.deliveries,
            "claims": seen.claims,
            "rules": {rule: tally.as_json() for rule, tally in sorted(seen.tallies().items())},
            "not_run": dict(sorted(seen.not_run.items())),
        }
        out.append((result, seen.wrong()))
    return out


def show(console: Console, result: dict[str, Any]) -> None:
    table = Table(
        title=f"Through {result['through']}: {result['claims']:,} claims in {result['deliveries']} deliveries"
    )
    for head in ("rule", "planted", "found", "invented", "recall", "precision", "near misses", "of them found"):
        table.add_column(head, justify="left" if head == "rule" else "right")
    for rule, row in result["rules"].items():
        shares = ("" if row[name] is None else f"{row[name]:.3f}" for name in ("recall", "precision"))
        numbers = (str(row[name]) for name in ("planted", "found", "invented"))
        table.add_row(rule, *numbers, *shares, str(row["near_misses"]), str(row["near_misses_found"]))
    console.print(table)
    few = [f"{rule} ({row['planted']})" for rule, row in result["rules"].items() if row["planted"] < ENOUGH]
    console.print(f"fewer than {ENOUGH} planted: {', '.join(few) or 'none'}")
    console.print("did not run: " + "; ".join(f"{rule}: {why}" for rule, why in result["not_run"].items()))


TITLE = "# Độ phủ và độ chính xác của từng quy tắc · recall and precision of every rule"
ABOUT = """
Tệp này do `make truth` ghi, không sửa tay. Bệnh viện mô phỏng (`giamdinh simulate --across`) có lỗi cài sẵn của mọi quy
tắc, một nửa chỉ vượt ngưỡng vừa đủ (một phần trăm đồng, một ngày, một phút, một phần trăm), lỗi giữa nhiều hồ sơ, chữ
ký số, cả lô gửi; cùng các hồ sơ *sát ngưỡng* mà không quy tắc nào được báo. Mỗi lô được xét riêng (`giamdinh check`) và
lần lượt theo thời điểm nhận vào một kho dữ liệu (`giamdinh run`). So khớp theo cơ sở, MA_LK, bảng, dòng, quy tắc.

This file is written by `make truth`; do not edit it. Simulated hospitals (`giamdinh simulate --across`) have planted
faults of every rule, half of them just beyond the limit (a hundredth of a đồng, a day, a minute, a percent), faults
between claims, of signatures and of whole deliveries; and *near misses*, which no rule may find. Each delivery is
judged by itself (`giamdinh check`), and one after the other at its time of receipt into a store (`giamdinh run`). What
is found is compared with the truth by facility, MA_LK, table, line and rule.
"""
HEADS = (
    "quy tắc · rule",
    "check: cài · planted",
    "thấy · found",
    "báo thừa · invented",
    "độ phủ · recall",
    "độ chính xác · precision",
    "kho · store: cài · planted",
    "thấy · found",
    "báo thừa · invented",
    "độ phủ · recall",
    "độ chính xác · precision",
    "sát ngưỡng (bị báo) · near misses (found)",
)
NEEDS_OTHERS = (
    "Ô trống ở cột check: quy tắc cần hồ sơ khác trong kho. Empty under check: the rule needs other claims of a store."
)
NO_DATA = {
    "SUB-002": (
        "tin check-in (XML0) chưa vào hệ thống bằng đường nào; có ví dụ trong bộ quy tắc",
        "no way into the system brings check-ins (XML0) yet; it has its worked cases",
    ),
    "SUB-003": (
        "bảng tổng hợp đã ký 01/BH, 03/BH có khi làm quyết toán; có ví dụ trong bộ quy tắc",
        "signed forms 01/BH and 03/BH come with settlement; it has its worked cases",
    ),
}
"""Rules that are built, whose data nothing brings yet."""


def page(runs: list[dict[str, Any]]) -> str:
    """docs/truth.md: a row for each rule that was measured, and why the others of the rule book were not."""
    by_way = {run["through"]: run for run in runs}
    out = [TITLE, ABOUT]
    for way, run in by_way.items():
        out.append(
            f"- `{way}`: {run['claims']:,} hồ sơ · claims, {run['deliveries']} lô gửi · deliveries, "
            f"{', '.join(run['months'])}, --facilities {run['facilities']} --claims {run['claims_each']} "
            f"--seed {run['seed']}"
        )
    out += ["", f"| {' | '.join(HEADS)} |", "|---|" + "---:|" * (len(HEADS) - 1)]
    rest = []
    for rule in sorted(catalogue.book()):
        told = {way: by_way[way]["rules"].get(rule) for way in WAYS if way in by_way}
        if any(row and row["planted"] for row in told.values()):
            cells = [text for way in WAYS for text in _cells(told.get(way))]
            near = [row for row in told.values() if row and row["near_misses"]]
            most = max(near, key=lambda row: row["near_misses"], default=None)
            cells.append(f"{most['near_misses']} ({most['near_misses_found']})" if most else "")
            out.append(f"| {rule} | {' | '.join(cells)} |")
        else:
            rest.append(f"- {rule}: {' · '.join(_why_not(rule))}")
    few = [
        f"{rule} ({way}: {row['planted']})"
        for way, run in by_way.items()
        for rule, row in run["rules"].items()
        if 0 < row["planted"] < ENOUGH
    ]
    out += ["", NEEDS_OTHERS, ""]
    out += [f"Ít hơn {ENOUGH} lỗi cài · fewer than {ENOUGH} planted: {', '.join(few) or 'không có · none'}.", ""]
    out += ["## Không đo ở đây · not measured here", "", *rest, ""]
    return "\n".join(out)


def _cells(row: dict[str, Any] | None) -> list[str]:
    if not row or not row["planted"]:
        return [""] * 5
    shares = ["" if row[name] is None else f"{row[name]:.3f}" for name in ("recall", "precision")]
    return [str(row[name]) for name in ("planted", "found", "invented")] + shares


def _why_not(rule: str) -> tuple[str, str]:
    """Why nothing is planted of a rule, Vietnamese and English."""
    entry = catalogue.book()[rule]
    if rule in NO_DATA:
        return NO_DATA[rule]
    if entry.awaits:
        return f"chưa có dữ liệu ({entry.awaits})", "no data carries what it needs"
    if entry.found_by in catalogue.book():
        return f"không báo riêng, thể hiện qua {entry.found_by}", f"says nothing itself, shows through {entry.found_by}"
    if entry.level == catalogue.MONTH:
        return (
            "xét cả tháng của một cơ sở; lệch cài sẵn được đo trong tests/claim_pipeline/statistics",
            "looks at a month of a facility; planted drift is measured in tests/claim_pipeline/statistics",
        )
    if entry.level == "cross-claim":
        return "cần hồ sơ khác trong kho, lần đo này chưa có", "needs other claims of a store, not in this measurement"
    return "chưa đo", "not measured yet"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--through", choices=WAYS, nargs="*", default=list(WAYS))
    parser.add_argument("--months", nargs="*", default=list(MONTHS))
    parser.add_argument("--facilities", type=int, default=8)
    parser.add_argument("--claims", type=int, default=800, help="claims of each facility in a month")
    parser.add_argument("--seed", type=int, default=20261)
    parser.add_argument("--home", type=Path, default=HOME, help="folder to work in; emptied before and after")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--keep", action="store_true", help="leaves the folder as it is")
    parser.add_argument("--page", action="store_true", help="writes docs/truth.md from the results of the last run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many months are worked on at a time")
    parser.add_argument("--simulate", help=argparse.SUPPRESS)
    parser.add_argument("--judge", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--deliver", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.deliver is not None:
        deliver(given.deliver, given.home)
        return 0
    if given.simulate is not None:
        stage = given.home / given.simulate
        counts = {"facilities": given.facilities, "claims": given.claims, "seed": given.seed}
        simulate(month=given.simulate, fault_rate=RATE, out=stage, across=True, **counts)
        return 0
    if given.judge is not None:
        judge(given.judge[0], given.home / given.judge[1], given.home)
        return 0
    if given.page:
        PAGE.write_text(page(json.loads(given.out.read_text("utf-8"))["runs"]), "utf-8")
        return 0
    console = Console(width=None if sys.stdout.isatty() else 130)
    if not given.keep:
        shutil.rmtree(given.home, ignore_errors=True)
    results, wrong = [], []
    for result, faults in measure(given):
        show(console, result)
        for text in faults[:200]:
            print(text, file=sys.stderr)
        results.append(result)
        wrong += faults
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps({"schema": "giamdinh.truth/2", "runs": results}, indent=1) + "\n", "utf-8")
    if given.out == RESULTS:
        PAGE.write_text(page(results), "utf-8")
    if not given.keep:
        shutil.rmtree(given.home, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
