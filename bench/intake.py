"""`make bench-intake`: very many small deliveries in one go; seconds and peak memory of taking them in, and of a sample
of them all the way to the answer. Each file is one simulated claim in an envelope of its own, of several facilities.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import resource
import shutil
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from claim_pipeline.store import embedded
from claim_simulator import simulate

REPOSITORY = Path(__file__).parents[1]
HOME = REPOSITORY / "var" / "bench-intake"
SOURCE_CLAIMS = 100


def single_claims(stage: Path) -> tuple[str, str, list[str]]:
    """Head and tail of an envelope, and the claims of a simulated facility that can be decoded."""
    simulate(facilities=1, claims=SOURCE_CLAIMS, month="202607", fault_rate=0, seed=1, out=stage)
    texts = [path.read_text("utf-8") for path in sorted((stage / "inbox").glob("*/*.xml"))]
    head, rest = texts[0].split("<DANHSACHHOSO>")
    head = re.sub(r"<SOLUONGHOSO>\d+", "<SOLUONGHOSO>1", head) + "<DANHSACHHOSO>"
    tail = "</DANHSACHHOSO>" + rest.split("</DANHSACHHOSO>")[1]
    return head, tail, [claim for text in texts for claim in re.findall(r"<HOSO>.*?</HOSO>", text, re.DOTALL)]


def drop(inbox: Path, facility: str, number: int, head: str, tail: str, claim: str) -> None:
    """One delivery with an MA_LK of its own, under its final name by rename."""

    def renumbered(found: re.Match[str]) -> str:
        document = base64.b64decode(found[1]).decode()
        document = re.sub(r"<MA_LK>[^<]*", f"<MA_LK>{facility}26{number:09d}", document)
        return f"<NOIDUNGFILE>{base64.b64encode(document.encode()).decode()}</NOIDUNGFILE>"

    claim = re.sub(r"<NOIDUNGFILE>([^<]*)</NOIDUNGFILE>", renumbered, claim)
    text = re.sub(r"<MACSKCB>[^<]*", f"<MACSKCB>{facility}", head) + claim + tail
    folder = inbox / facility
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{number}.part"
    aside.write_text(text, "utf-8")
    aside.rename(folder / f"{number:06d}.xml")


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=10_000)
    parser.add_argument("--facilities", type=int, default=10, help="the first sends half of all")
    parser.add_argument("--answered", type=int, default=200, help="so many of them go all the way to the answer")
    parser.add_argument("--home", type=Path, default=HOME, help="folder to work in; emptied before and after")
    parser.add_argument("--out", type=Path, help="file for the figures (JSON)")
    given = parser.parse_args()
    home: Path = given.home
    embedded.stop(home)
    shutil.rmtree(home, ignore_errors=True)
    os.environ |= {"GIAMDINH_HOME": str(home), "GIAMDINH_SETTLE_SECONDS": "0", "GIAMDINH_DATABASE_URL": ""}
    from claim_pipeline import steps

    figures: list[tuple[str, int, float, float, float]] = []
    try:
        head, tail, claims = single_claims(home / "stage")
        flood = given.deliveries // 2
        for number in range(given.deliveries):
            facility = 0 if number < flood else 1 + number % max(1, given.facilities - 1)
            drop(home / "inbox", f"270{facility:02d}", number, head, tail, claims[number % len(claims)])
        steps._store()
        for what, count, work in (
            ("received, with receipts", given.deliveries, lambda: len(steps.receive("bench"))),
            ("answered, a sample", given.answered, lambda: answer(given.answered)),
        ):
            started, cpu = time.perf_counter(), time.process_time()
            done = work()
            if done != count:
                raise SystemExit(f"{what}: {done} instead of {count}")
            figures.append((what, count, time.perf_counter() - started, time.process_time() - cpu, peak_mib()))
    finally:
        embedded.stop(home)
    table = Table("what", "deliveries", "seconds", "CPU s", "per second", "peak MiB")
    for what, count, seconds, cpu, memory in figures:
        table.add_row(what, f"{count:,}", f"{seconds:.1f}", f"{cpu:.1f}", f"{count / seconds:.1f}", f"{memory:.0f}")
    Console(width=None if sys.stdout.isatty() else 110).print(table)
    if given.out:
        names = ("what", "deliveries", "seconds", "cpu", "peak_mib")
        given.out.write_text(
            json.dumps([dict(zip(names, row, strict=True)) for row in figures], indent=1) + "\n", "utf-8"
        )
    shutil.rmtree(home, ignore_errors=True)
    return 0


def answer(wanted: int) -> int:
    """Takes batches in their turns until so many deliveries are answered."""
    from claim_pipeline import steps as pipeline

    done = 0
    while done < wanted:
        for batch in pipeline.batches():
            part = batch["deliveries"][: wanted - done]
            for step in pipeline.STEPS[1:]:
                pipeline.run_step(step, part, actor="bench")
            done += len(part)
            if done >= wanted:
                break
    return done


if __name__ == "__main__":
    sys.exit(main())
