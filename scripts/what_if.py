"""`make what-if`: the difference report for the base salary change of 2026-07-01, from nothing: simulated hospitals, a
store of its own, every claim of the month appraised, then appraised again with the change taken away (dry run).

Only commands that an officer has are run; each is printed before. What remains is the report, in var/what-if/report.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from claim_pipeline.store import embedded

REPOSITORY = Path(__file__).parents[1]
HOME = REPOSITORY / "var" / "what-if"
LAW = REPOSITORY / "docs" / "examples" / "base-salary-2026-07.yaml"
MONTH = "202607"
SEED = 2  # among whose claims some lie between the two thresholds


def giamdinh(environment: dict[str, str], *arguments: object) -> None:
    words = [str(argument) for argument in arguments]
    print("$ giamdinh", " ".join(words), flush=True)
    subprocess.run([Path(sys.executable).with_name("giamdinh"), *words], env=environment, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facilities", type=int, default=1)
    parser.add_argument("--claims", type=int, default=120)
    parser.add_argument("--home", type=Path, default=HOME, help="folder to work in; emptied before")
    given = parser.parse_args()
    home: Path = given.home.resolve()
    embedded.stop(home)
    shutil.rmtree(home, ignore_errors=True)
    environment = os.environ | {
        "GIAMDINH_HOME": str(home),
        "GIAMDINH_DATABASE_URL": "",
        "GIAMDINH_SETTLE_SECONDS": "0",
    }
    hospitals = home / "hospitals"
    try:
        giamdinh(
            environment, "simulate", "--facilities", given.facilities, "--claims", given.claims, "--month", MONTH,
            "--fault-rate", 0, "--seed", SEED, "--out", hospitals,
        )  # fmt: skip
        giamdinh(
            environment, "run", "--inbox", hospitals / "inbox", "--outbox", home / "outbox",
            "--reference", hospitals / "reference",
        )  # fmt: skip
        giamdinh(environment, "reappraise", "--month", MONTH, "--dry-run", "--law", LAW, "--out", home / "report")
    finally:
        embedded.stop(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
