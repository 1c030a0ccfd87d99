"""Recall and precision of every rule over simulated hospitals with planted faults: `make truth`.

Hospitals of two months (one before July 2026, one after it) are simulated with faults of every rule, also between
claims, of whole deliveries and of a contract. Their deliveries are judged one by one (as `giamdinh check` does) and,
with --through store, by `giamdinh run` into a database of its own, where rules about other claims of a person run.
What was found is compared with truth.csv by facility, MA_LK, table, line and rule. A rule that a way of judging skips,
because it must know earlier claims or the time of receipt, is left out of that table and named under it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from claim_pipeline import steps
from claim_pipeline.reference import read_folder
from claim_rules import catalogue
from claim_simulator import simulate

REPOSITORY = Path(__file__).parents[1]
RESULTS = REPOSITORY / "bench" / "results" / "truth.json"
HOME = REPOSITORY / "var" / "truth"
MONTHS = ("202605", "202609")
RATE = 0.45
CHECK, STORE = "check", "store"
LEFT_OUT = {
    CHECK: {},
    # files of a simulated month are received now
    STORE: {"SUB-001": "the deliveries of a simulated month are received on the day of the run"},
}
Row = tuple[str, str, str, str, str]


@dataclass
class Line:
    """One rule: distinct rows of the truth, how many of them were found, and what was found beside them."""

    rule: str
    planted: int
    found: int
    invented: int

    @property
    def recall(self) -> float | None:
        return self.found / self.planted if self.planted else None

    @property
    def precision(self) -> float | None:
        told = self.found + self.invented
        return self.found / told if told else None


def truth(path: Path, month: str) -> set[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return {
            (f"{month} {row['MA_CSKCB']}", row["MA_LK"], row["table"], row["line"], row["rule"])
            for row in csv.DictReader(file)
        }


def told(report: dict[str, Any], facility: str, month: str) -> set[Row]:
    """What a report says of claims and of the delivery as a whole."""
    if report["delivery"]["status"] != "appraised":
        raise SystemExit(f"{report['delivery']['file']} was not appraised: {report['delivery']['reason']}")
    if "failed_rules" in report:
        raise SystemExit(f"rules failed: {report['failed_rules']}")
    place = f"{month} {facility}"
    of_claims = [(claim["MA_LK"] or "", finding) for claim in report["claims"] for finding in claim["findings"]]
    out = {
        (place, ma_lk, found["table"] or "", "" if found["line"] is None else str(found["line"]), found["rule"])
        for ma_lk, found in of_claims
    }
    return out | {(place, "", "", "", found["rule"]) for found in report["findings"]}


def skipped(report: dict[str, Any]) -> dict[str, str]:
    """Rules that did not run at all in a report, with what they lack."""
    return {row["rule"]: row["needs"] for row in report["skipped_rules"] if row["rule"] not in report["rules_run"]}


def by_check(stage: Path) -> list[tuple[str, dict[str, Any]]]:
    reference = read_folder(stage / "reference")
    out = []
    for path in sorted((stage / "inbox").glob("*/*")):
        with steps.check(path, reference) as checked:
            out.append((path.parent.name, json.loads(checked.ws.report.read_text("utf-8"))))
    return out


def by_store(stage: Path, home: Path) -> list[tuple[str, dict[str, Any]]]:
    """The whole pipeline into a database under `home`."""
    shutil.copytree(stage / "inbox", home / "inbox")
    environment = os.environ | {"GIAMDINH_HOME": str(home), "GIAMDINH_SETTLE_SECONDS": "0"}
    command = [str(Path(sys.executable).parent / "giamdinh"), "run"]
    command += ["--inbox", str(home / "inbox"), "--outbox", str(home / "outbox")]
    subprocess.run([*command, "--reference", str(stage / "reference")], env=environment, check=True)
    reports = sorted((home / "outbox").glob("*/*/report.json"))
    return [(path.parents[1].name, json.loads(path.read_text("utf-8"))) for path in reports]


def measure(way: str, months: list[str], facilities: int, claims: int, seed: int, home: Path) -> dict[str, Any]:
    planted: set[Row] = set()
    found: set[Row] = set()
    out_of_play = dict(LEFT_OUT[way])
    counts: Counter[str] = Counter()
    start = time.process_time()
    for month in months:
        stage = home / month
        if not stage.exists():
            simulate(
                facilities=facilities,
                claims=claims,
                month=month,
                fault_rate=RATE,
                seed=seed,
                out=stage,
                across=True,
            )
        planted |= truth(stage / "truth.csv", month)
        reports = by_check(stage) if way == CHECK else by_store(stage, home / f"store-{month}")
        for facility, report in reports:
            counts["deliveries"] += 1
            counts["claims"] += len(report["claims"])
            found |= told(report, facility, month)
            out_of_play |= skipped(report)
    rules = sorted({row[-1] for row in planted | found} - set(out_of_play))
    lines = []
    for rule in rules:
        right, seen = ({row for row in rows if row[-1] == rule} for rows in (planted, found))
        lines.append(Line(rule, len(right), len(right & seen), len(seen - right)))
        for what, rows in (("missed", right - seen), ("invented", seen - right)):
            for row in sorted(rows)[:5]:
                print(f"{what}: {' '.join(row)}", file=sys.stderr)
    never = [name for name in catalogue.book() if name not in rules and name not in out_of_play]
    return {
        "through": way,
        **counts,
        "cpu_seconds": round(time.process_time() - start, 1),
        "rules": [asdict(line) | {"recall": line.recall, "precision": line.precision} for line in lines],
        "not_run": dict(sorted(out_of_play.items())),
        "never_planted": never,
    }


def show(console: Console, result: dict[str, Any]) -> None:
    table = Table(title=f"Recall and precision through {result['through']}: {result['claims']:,} claims")
    for head in ("rule", "planted", "found", "invented", "recall", "precision"):
        table.add_column(head, justify="left" if head == "rule" else "right")
    for row in result["rules"]:
        shares = ("" if row[name] is None else f"{row[name]:.3f}" for name in ("recall", "precision"))
        table.add_row(row["rule"], str(row["planted"]), str(row["found"]), str(row["invented"]), *shares)
    console.print(table)
    few = [f"{row['rule']} ({row['planted']})" for row in result["rules"] if row["planted"] < 20]
    console.print(f"fewer than 20 planted: {', '.join(few) or 'none'}")
    console.print("did not run: " + "; ".join(f"{rule}: {why}" for rule, why in result["not_run"].items()))
    console.print(f"never planted and never found: {', '.join(result['never_planted']) or 'none'}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--through", choices=(CHECK, STORE), nargs="*", default=[CHECK, STORE])
    parser.add_argument("--months", nargs="*", default=list(MONTHS))
    parser.add_argument("--facilities", type=int, default=42)
    parser.add_argument("--claims", type=int, default=400, help="claims of each facility in a month")
    parser.add_argument("--seed", type=int, default=20261)
    parser.add_argument("--home", type=Path, default=HOME, help="folder to work in; emptied before and after")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--keep", action="store_true", help="leaves the folder as it is")
    given = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 130)
    if not given.keep:
        shutil.rmtree(given.home, ignore_errors=True)
    results = []
    for way in given.through:
        result = measure(way, given.months, given.facilities, given.claims, given.seed, given.home)
        show(console, result)
        results.append(result)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps({"schema": "giamdinh.truth/1", "runs": results}, indent=1) + "\n", "utf-8")
    if not given.keep:
        shutil.rmtree(given.home, ignore_errors=True)
    wrong = [row for result in results for row in result["rules"] if row["found"] < row["planted"] or row["invented"]]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
