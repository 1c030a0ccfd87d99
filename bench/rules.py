"""What the rules of part A (families STR, SIG, SUB, CARD, BEN, SUM, RATE, DUP) cost beside reading the same claims.

The claims are those of a simulated hospital, some 15 lines each, in files of 5,000 (or --in-one), with
all reference data, as many rows of them as a province has. `read` is
from file to claim tables, `rules part A` the whole engine with the rules of these families alone, from claim tables to
raw findings. Each is the least of several runs by turns, CPU seconds of this process. What one rule takes is counted
where it is first needed: what several rules share (the rate that the law expects, the cards held) is in the first.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd

from claim_pipeline.extract import claim_xml
from claim_pipeline.reference import read_folder
from claim_pipeline.transform.submission import write_submission
from claim_rules import catalogue, engine, expectations
from claim_rules.contract import Contract
from claim_rules.frames import ClaimTables
from claim_rules.reference import Reference
from claim_rules.signature import Signature
from claim_simulator import simulate

PART_A = ("STR", "SIG", "SUB", "CARD", "BEN", "SUM", "RATE", "DUP")
IN_ONE = 5_000
ROWS = {
    "drugs": ("MA_THUOC", 20_000),
    "supplies": ("MA_VAT_TU", 20_000),
    "services": ("MA_TUONG_DUONG", 40_000),
    "staff": ("MA_BAC_SI", 10_000),
    "icd10": ("MA", 15_000),
    "cards": ("MA_THE_BHYT", 300_000),
    "copayments": ("MA_THE_BHYT", 100_000),
}
"""Column of the code and rows of what a province keeps as reference data."""
TIMES = 3
SEED = 20260701
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
        gc.collect()
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


def realistic(reference: Reference) -> Reference:
    """The reference data with as many rows as a province's: beside the simulated rows the same under other codes."""
    grown = dict(reference)
    for name, (column, rows) in ROWS.items():
        own = reference[name]
        place = np.arange(max(rows, len(own)))
        many = own.iloc[place % len(own)].reset_index(drop=True)
        turn = pd.Series(place // len(own)).astype("str")
        many[column] = many[column].where(turn == "0", many[column] + "~" + turn)
        grown[name] = many
    return grown


def simulated(home: Path, claims: int, seed: int) -> tuple[list[ClaimTables], str, Reference]:
    """Tables of so many claims of the hospital, a tenth of them faulty, its code, and the reference data.

    Of the claims simulated two in five, those with the fewest lines, are left out, so that a claim has some 15.
    """
    stage = home / "rules"
    simulate(facilities=1, claims=-(-claims * 5 // 3), month="202607", fault_rate=0.1, seed=seed, out=stage)
    (hospital,) = (stage / "inbox").iterdir()
    parts = [claim_xml.read(path).tables for path in sorted(hospital.iterdir())]
    numbers = pd.concat(
        [pd.concat([part["XML2"]["claim"], part["XML3"]["claim"]]).value_counts().sort_index() for part in parts],
        keys=range(len(parts)),
    )
    kept = numbers.sort_values(ascending=False, kind="stable").index[:claims]
    owner, claim = kept.get_level_values(0), kept.get_level_values(1)
    chosen = [part.only(set(claim[owner == place])) for place, part in enumerate(parts)]
    return chosen, hospital.name, realistic(read_folder(stage / "reference"))


def written(parts: list[ClaimTables], facility: str, in_one: int, home: Path) -> list[Path]:
    """Deliveries of these claims, `in_one` claims in each file (the last of a part may have fewer)."""
    files: list[Path] = []
    home.mkdir(parents=True, exist_ok=True)
    for part in parts:
        claims = part.claims["claim"].tolist()
        for first in range(0, len(claims), in_one):
            files.append(home / f"{len(files):04}.xml")
            write_submission(files[-1], part.only(set(claims[first : first + in_one])), facility, "20260801")
    return files


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
    parser.add_argument("--in-one", type=int, default=IN_ONE, help="claims of a file")
    parser.add_argument("--home", type=Path, default=Path("var/bench-rules"))
    given = parser.parse_args()
    parts, facility, reference = simulated(given.home, given.claims, SEED)
    print(tell(measure(written(parts, facility, given.in_one, given.home / "files"), reference)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
