"""What the rules of part A (families STR, SIG, SUB, CARD, BEN, SUM, RATE, DUP) cost beside reading the same claims.

The claims are those of a simulated specialised hospital, its deliveries of a month, with all reference data. `read` is
from file to claim tables, `rules part A` the whole engine with the rules of these families alone, from claim tables to
raw findings. Each is the least of several runs by turns, CPU seconds of this process. What one rule takes is counted
where it is first needed: what several rules share (the rate that the law expects, the cards held) is in the first.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest import mock

import pandas as pd

from claim_pipeline.extract import claim_xml
from claim_pipeline.reference import read_folder
from claim_rules import catalogue, engine, expectations
from claim_rules.contract import Contract
from claim_rules.frames import ClaimTables
from claim_rules.reference import Reference
from claim_rules.signature import Signature
from claim_simulator import simulate

PART_A = ("STR", "SIG", "SUB", "CARD", "BEN", "SUM", "RATE", "DUP")
PLACE = 3
"""The simulated hospital: specialised, sends claim XML, some 13 lines a claim."""
TIMES = 3
SHOWN = 0.03


@dataclass
class Cost:
    """read, rules, outcome: CPU seconds of the least run; by_rule: CPU seconds of each rule in that run."""

    claims: int
    lines: int
    read: float = float("inf")
    rules: float = float("inf")
    by_rule: dict[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        return self.rules / self.read

    def shares(self) -> list[tuple[str, float]]:
        """Rules by their share of the whole, the dearest first."""
        return sorted(((rule, spent / self.rules) for rule, spent in self.by_rule.items()), key=lambda one: -one[1])


class _Dropped:
    def add(self, tables: ClaimTables) -> None:
        pass

    def add_findings(self, findings: pd.DataFrame) -> None:
        pass


@contextmanager
def _timed(spent: Counter[str]) -> Iterator[None]:
    """Every rule of the book counts its CPU seconds."""

    def timed(entry: catalogue.Rule) -> catalogue.Rule:
        check = entry.check
        if check is None:
            return entry

        def measured(case: engine.Case) -> object:
            start = time.process_time()
            try:
                return check(case)
            finally:
                spent[entry.id] += time.process_time() - start

        return replace(entry, check=measured)

    book = {name: timed(entry) for name, entry in catalogue.book().items()}
    with mock.patch.object(catalogue, "book", return_value=book):
        yield


def measure(files: list[Path], reference: Reference, times: int = TIMES) -> Cost:
    """What reading these files and the rules over them cost."""
    tables = [claim_xml.read(path).tables for path in files]
    given = [expectations.check(part) for part in tables]
    lines = sum(len(part[name]) for part in tables for name in ("XML2", "XML3"))
    cost = Cost(sum(len(part.claims) for part in tables), lines)
    others = [rule for rule in catalogue.book() if rule.split("-")[0] not in PART_A]
    history = {"versions": pd.DataFrame({"claim": [], "received": []})}
    for _ in range(times):
        start = time.process_time()
        for path in files:
            claim_xml.read_into([path], _Dropped(), inbox_facility=None, max_claims=cost.claims, max_claim_mib=64)
        cost.read = min(cost.read, time.process_time() - start)
        spent: Counter[str] = Counter()
        with _timed(spent):
            start = time.process_time()
            for part, found in zip(tables, given, strict=True):
                appraisal = engine.run(
                    part,
                    reference,
                    given=found,
                    received_day="20260815",
                    receipt=True,
                    history=history,
                    signature=Signature(),
                    contract=Contract(rules=dict.fromkeys(others, "off")),
                )
                if appraisal.failed:
                    raise SystemExit(f"rules failed: {appraisal.failed}")
            whole = time.process_time() - start
        if whole < cost.rules:
            cost.rules, cost.by_rule = whole, dict(spent)
    return cost


def simulated(home: Path, claims: int, seed: int) -> tuple[list[Path], Reference]:
    """Deliveries of the hospital with so many claims, a tenth of them faulty, and the reference data."""
    stage = home / "rules"
    simulate(facilities=PLACE + 1, claims=claims, month="202607", fault_rate=0.1, seed=seed, out=stage)
    hospital = sorted((stage / "inbox").iterdir())[PLACE]
    return sorted(hospital.iterdir()), read_folder(stage / "reference")


def tell(cost: Cost) -> str:
    """The result in words."""
    first = (
        f"rules part A: {cost.claims:,} claims of {cost.lines / cost.claims:.1f} lines, read {cost.read:.2f} s, rules "
        f"{cost.rules:.2f} s CPU: {cost.ratio:.2f} x reading, {cost.claims / cost.rules:,.0f} claims/s"
    )
    dear = [f"{rule} {share:.1%}" for rule, share in cost.shares() if share >= SHOWN]
    return f"{first}\nrules over {SHOWN:.0%} of it: {', '.join(dear) or 'none'}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claims", type=int, default=20_000)
    parser.add_argument("--home", type=Path, default=Path("var/bench-rules"))
    given = parser.parse_args()
    files, reference = simulated(given.home, given.claims, 20260701)
    print(tell(measure(files, reference)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
