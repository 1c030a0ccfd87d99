"""`make bench-reference`: a card register of a million rows. Seconds and peak memory of its first load, of the load of
the next day with one row in a hundred changed, and of appraising a delivery of 50 claims beside it.

    python bench/reference.py [--cards 1000000] [--claims 50]

Each figure is of a process of its own; CPU is that of the process and of PostgreSQL together, which a busy machine
stretches less than the clock. The floor, in the same run: PostgreSQL takes the same file by COPY into a table
of text columns without a key, and the appraisal of the same claims beside the cards of these claims alone. For
comparison: the appraisal with the whole register read. Writes bench/results/reference.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import psutil
import psycopg

from claim_pipeline.store import embedded
from claim_simulator import simulate

RESULTS = Path(__file__).parent / "results" / "reference.json"
HOME = Path(__file__).parents[1] / "var" / "bench-reference"
SEED = 20260701
FAMILY = ("Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Huỳnh", "Vũ", "Đặng")
MIDDLE = ("Văn", "Thị", "Hữu", "Minh", "Ngọc", "Thanh")
GIVEN = ("An", "Bình", "Cường", "Dũng", "Giang", "Hạnh", "Khánh", "Lan", "Mai")


def register(count: int, own: pd.DataFrame) -> pd.DataFrame:
    """So many invented cards, with those of the claims (`own`) at random places among them."""
    rng = np.random.default_rng(SEED)

    def one_of(words: tuple[str, ...]) -> pd.Series:
        return pd.Series(np.array(words)[rng.integers(0, len(words), count)])

    def days(first: str, width: int) -> pd.Series:
        return pd.Series(pd.Timestamp(first) + pd.to_timedelta(rng.integers(0, width, count), unit="D"))

    cards = pd.DataFrame(
        {
            "MA_THE_BHYT": pd.Series([f"GD499{number:010d}" for number in range(count)]),
            "HO_TEN": one_of(FAMILY) + " " + one_of(MIDDLE) + " " + one_of(GIVEN),
            "NGAY_SINH": days("1940-01-01", 30_000).dt.strftime("%Y%m%d"),
            "GIOI_TINH": pd.Series(rng.integers(1, 3, count)).astype("str"),
            "MA_DKBD": pd.Series(rng.integers(27_001, 27_200, count)).astype("str"),
            "GT_THE_TU": "20260101",
            "GT_THE_DEN": "20261231",
            "NAM_NAM_LIEN_TUC": days("2016-01-01", 5_000).dt.strftime("%Y%m%d"),
            "MA_KHUVUC": "",
            "TRANG_THAI": "active",
            "TRANG_THAI_TU": "",
        }
    )
    cards = pd.concat([cards.iloc[len(own) :], own[cards.columns]], ignore_index=True)
    return cards.iloc[rng.permutation(len(cards))].reset_index(drop=True)


def a_day_later(cards: pd.DataFrame) -> pd.DataFrame:
    """One row in a hundred is another: of ten such, eight changed where they stand, one is gone, one has come."""
    rng = np.random.default_rng(SEED + 1)
    some = rng.permutation(len(cards))[: len(cards) // 100]
    changed, gone, come = np.split(some, [len(some) * 8 // 10, len(some) * 9 // 10])
    out = cards.copy()
    out.loc[changed, "GT_THE_DEN"] = "20270630"
    new = out.loc[come].assign(MA_THE_BHYT=[f"GD498{number:010d}" for number in range(len(come))])
    return pd.concat([out.drop(gone), new]).sort_index(kind="stable")


def peak_mib() -> int:
    """Of this process alone: what getrusage says may be of the process that started it."""
    [line] = [line for line in Path("/proc/self/status").read_text("ascii").splitlines() if line.startswith("VmHWM")]
    return round(int(line.split()[1]) / 1024)


def child(what: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--child", what, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


class Spent:
    """Seconds since it was made: of the clock, and CPU of this process and of PostgreSQL's (those that live now)."""

    def __init__(self, home: str) -> None:
        pid = int((Path(home) / "postgres" / "postmaster.pid").read_text("utf-8").splitlines()[0])
        self._server = psutil.Process(pid)
        self._began = time.perf_counter(), time.process_time(), self._of_server()

    def _of_server(self) -> float:
        spent = 0.0
        for process in (self._server, *self._server.children()):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                spent += times.user + times.system
        return spent

    def told(self) -> dict[str, float]:
        clock, own, server = self._began
        return {
            "seconds": time.perf_counter() - clock,
            "cpu": time.process_time() - own,
            "server_cpu": self._of_server() - server,
        }


def load(url: str, home: str, file: str) -> dict[str, Any]:
    from claim_pipeline import reference
    from claim_pipeline.store import open_store

    store = open_store(url)
    spent = Spent(home)
    rows = reference.load_folder(Path(file), store, "bench")["cards"]
    return spent.told() | {"rows": rows}


def appraise_beside(url: str, home: str, how: str) -> dict[str, Any]:
    """how: "used" (what the pipeline does), "whole" (the register is read), "own" (a folder with the cards of the
    claims alone)."""
    from claim_pipeline import appraise, extract, transform
    from claim_pipeline.reference import read_folder
    from claim_pipeline.reference_used import ReferenceUsed
    from claim_pipeline.store import open_store
    from claim_pipeline.workspace import Delivery, Workspace

    [path] = sorted((Path(home) / "stage" / "inbox").glob("*/*"))
    ws = Workspace(Path(home) / "work" / how)
    ws.source.symlink_to(path)
    ws.delivery = Delivery(
        file=path.name, sha256="0" * 64, received_at="2026-08-01T08:00:00+07:00", inbox_facility=path.parent.name
    )
    extract.run(ws)
    transform.run(ws, {})
    tables = ws.read_tables()
    store = open_store(url)
    seconds = []
    for _ in range(3):
        spent = Spent(home)
        loads = [version["load"] for version in store.reference_versions().values()]
        if how == "whole":
            known: Any = store.reference(loads=loads)
        elif how == "own":
            known = read_folder(Path(home) / "stage" / "reference")
        else:
            known = ReferenceUsed(store, loads).of(tables)
        read, judged = spent.told(), Spent(home)
        appraise.run(ws, known)
        seconds.append((read, judged.told()))
    fetch, judge = ({name: min(one[name] for one in part) for name in part[0]} for part in zip(*seconds, strict=True))
    report = json.loads(ws.report.read_text("utf-8"))
    return {
        "first_seconds": sum(part["seconds"] for part in seconds[0]),
        "fetch": fetch,
        "appraise": judge,
        "cards_read": len(known["cards"]),
        "totals": report["totals"],
    }


def floor(url: str, home: Path, file: Path, columns: list[str]) -> dict[str, float]:
    """What it costs that PostgreSQL takes the file as it is."""
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
        names = ", ".join(f'"{name}" text' for name in columns)
        connection.execute(f"CREATE TABLE bench_floor ({names})")
        spent = Spent(str(home))
        with (
            connection.cursor().copy("COPY bench_floor FROM STDIN (FORMAT csv, HEADER)") as copy,
            file.open("rb") as data,
        ):
            while part := data.read(1 << 20):
                copy.write(part)
        connection.commit()
        taken = spent.told()
        connection.execute("DROP TABLE bench_floor")
    return taken


def _cpu(told: dict[str, float]) -> float:
    return told["cpu"] + told["server_cpu"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cards", type=int, default=1_000_000)
    parser.add_argument("--claims", type=int, default=50, help="about so many in the delivery")
    parser.add_argument("--home", type=Path, default=HOME, help="folder to work in; emptied before and after")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        what, *arguments = given.child
        told = {"load": load, "appraise": appraise_beside}[what](*arguments)
        told["peak_mib"] = peak_mib()
        print(json.dumps(told))
        return 0
    home: Path = given.home
    embedded.stop(home)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    try:
        result = measured(home, given.cards, given.claims)
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0


def measured(home: Path, count: int, claims: int) -> dict[str, Any]:
    simulate(facilities=1, claims=4 * claims, month="202607", fault_rate=0.1, seed=SEED, out=home / "stage")
    for path in sorted((home / "stage" / "inbox").glob("*/*"))[1:]:
        path.unlink()
    reference = home / "stage" / "reference"
    own = pd.read_csv(reference / "cards.csv", dtype=str, keep_default_na=False)
    cards = register(count, own)
    days = {"first": home / "first" / "cards.csv", "next day": home / "next" / "cards.csv"}
    for path in days.values():
        path.parent.mkdir()
    cards.to_csv(days["first"], index=False)
    a_day_later(cards).to_csv(days["next day"], index=False)
    columns = list(cards.columns)
    del cards
    url = embedded.start(home)
    os.environ["GIAMDINH_HOME"] = str(home)
    rows: list[dict[str, Any]] = []
    for what, path in days.items():
        bare = floor(url, home, path, columns)
        told = child("load", url, str(home), str(path))
        rows.append(
            {
                "what": f"load, {what}",
                "rows": told["rows"],
                "seconds": round(told["seconds"], 2),
                "cpu": round(told["cpu"], 2),
                "server_cpu": round(told["server_cpu"], 2),
                "floor_seconds": round(bare["seconds"], 2),
                "floor_cpu": round(_cpu(bare), 2),
                "cpu_to_floor": round(_cpu(told) / _cpu(bare), 2),
                "peak_mib": told["peak_mib"],
                "file_mib": round(path.stat().st_size / 2**20),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
        with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE reference_row")  # as autovacuum does before the next day
    others = home / "others"
    shutil.copytree(reference, others, ignore=shutil.ignore_patterns("cards.csv"))
    from claim_pipeline import reference as loading
    from claim_pipeline.store import open_store

    store = open_store(url)
    loading.load_folder(others, store, "bench")
    store.close()
    told = {how: child("appraise", url, str(home), how) for how in ("own", "used", "whole")}
    if len({json.dumps(one["totals"]) for one in told.values()}) != 1:
        raise SystemExit("the appraisals differ")
    bare_cpu = _cpu(told["own"]["fetch"]) + _cpu(told["own"]["appraise"])
    for how, one in told.items():
        rows.append(
            {
                "what": {
                    "own": "appraisal beside a folder with the cards of its claims alone (floor)",
                    "used": "appraisal beside the register",
                    "whole": "appraisal with the whole register read",
                }[how],
                "claims": one["totals"]["claims"],
                "cards_read": one["cards_read"],
                "fetch_seconds": round(one["fetch"]["seconds"], 3),
                "fetch_cpu": round(_cpu(one["fetch"]), 3),
                "appraise_seconds": round(one["appraise"]["seconds"], 3),
                "appraise_cpu": round(_cpu(one["appraise"]), 3),
                "first_seconds": round(one["first_seconds"], 3),
                "cpu_to_floor": round((_cpu(one["fetch"]) + _cpu(one["appraise"])) / bare_cpu, 2),
                "peak_mib": one["peak_mib"],
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return {
        "schema": "giamdinh.bench-reference/1",
        "measured_at": datetime.now(ZoneInfo("Asia/Ho_Chi_Minh")).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "cards": count,
        "rows": rows,
    }


if __name__ == "__main__":
    sys.exit(main())
