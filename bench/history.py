"""What the rules of other claims cost as the store grows: fetching the frames, appraising and recording, at 2,000
claims and more.

    python bench/history.py [--sizes 2000 20000 200000]

The first 2,000 claims are simulated and recorded for real, a month before the delivery that is measured and of its own
persons: so many earlier claims of the same persons are there at every size. All others are copies made in SQL, of other
persons, at 20 facilities, over the 24 months before. Each figure is the least of several runs, CPU seconds of this
process and of PostgreSQL together. What PostgreSQL read row by row instead of by an index is counted too, from its own
statistics. Tables are analysed after each growth, as autovacuum does. Writes bench/results/history.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
import psycopg

from claim_pipeline import appraise, extract, transform, validate
from claim_pipeline.reference import read_folder
from claim_pipeline.store import embedded, open_store
from claim_pipeline.store.past import note_affected
from claim_pipeline.store.recording import Recording
from claim_pipeline.store.store import Store
from claim_pipeline.workspace import Delivery, Workspace
from claim_rules.reference import Reference
from claim_simulator import simulate

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
RESULTS = Path(__file__).parent / "results" / "history.json"
HOME = Path(__file__).parents[1] / "var" / "bench-history"
SIZES = (2_000, 20_000, 200_000)
FIRST = 2_000
"""Claims that are recorded for real."""
SEED = 20260701
TIMES = 3
ALLOWED = 1.10
"""Cost of a claim at the largest size to that at the smallest."""
PERSON = ("MA_THE_BHYT", "SO_CCCD", "HO_TEN", "NGAY_SINH", "GIOI_TINH")
KEPT = (
    "visit", "visit_cost", "visit_person", "visit_device", "visit_bed", "claim", "claim_version", "claim_line",
    "claim_outcome",
)  # fmt: skip

FACILITY = "lpad((28000 + copy %% 20)::text, 5, '0')"
BACK = "make_interval(months => copy %% 24)"
COPIES = f"""
INSERT INTO facility (code) SELECT DISTINCT CASE copy %% 20 WHEN 0 THEN %(facility)s ELSE {FACILITY} END
FROM generate_series(%(first)s::int, %(last)s::int) copy ON CONFLICT DO NOTHING;

INSERT INTO delivery (id, facility, file, sha256, size, received_at, archive_key, status, progress, recorded_at)
OVERRIDING SYSTEM VALUE
SELECT d.id + 100 * copy, CASE copy %% 20 WHEN 0 THEN d.facility ELSE {FACILITY} END, d.file,
       encode(sha256((d.sha256 || copy)::bytea), 'hex'), d.size, d.received_at - {BACK}, d.archive_key, d.status,
       d.progress, d.recorded_at
FROM delivery d, generate_series(%(first)s::int, %(last)s::int) copy WHERE d.id < 100;

INSERT INTO claim (id, facility, ma_lk, versions) OVERRIDING SYSTEM VALUE
SELECT c.id + 1000000 * copy, CASE copy %% 20 WHEN 0 THEN c.facility ELSE {FACILITY} END, c.ma_lk || '-' || copy, 1
FROM claim c, generate_series(%(first)s::int, %(last)s::int) copy WHERE c.id < 1000000;

INSERT INTO claim_version (id, delivery, position, claim, ma_lk, sequence, newest, duplicate, readable, decision,
                           ngay_vao, ngay_ra, content_sha256, appraisal) OVERRIDING SYSTEM VALUE
SELECT v.id + 1000000 * copy, v.delivery + 100 * copy, v.position, v.claim + 1000000 * copy, v.ma_lk || '-' || copy,
       v.sequence, v.newest, v.duplicate, v.readable, v.decision, v.ngay_vao - {BACK}, v.ngay_ra - {BACK},
       v.content_sha256, v.appraisal
FROM claim_version v, generate_series(%(first)s::int, %(last)s::int) copy WHERE v.id < 1000000;

INSERT INTO visit (version, facility, started, admitted, ended, ma_loai_kcb, ma_doituong_kcb, ma_benh_chinh,
                   ket_qua_dtri, ma_noi_di, numbers, citizen, holder, appointed, referred)
SELECT version + 1000000 * copy, CASE copy %% 20 WHEN 0 THEN facility ELSE {FACILITY} END, started - {BACK},
       admitted - {BACK}, ended - {BACK}, ma_loai_kcb, ma_doituong_kcb, ma_benh_chinh, ket_qua_dtri, ma_noi_di,
       CASE numbers WHEN '' THEN '' ELSE substr(numbers, 1, 10) || 'c' || copy END,
       CASE citizen WHEN '' THEN '' ELSE citizen || 'c' || copy END, holder, (appointed - {BACK})::date, referred
FROM visit, generate_series(%(first)s::int, %(last)s::int) copy WHERE version < 1000000;

INSERT INTO visit_cost (version, in_scope, full_price) SELECT version + 1000000 * copy, in_scope, full_price
FROM visit_cost, generate_series(%(first)s::int, %(last)s::int) copy WHERE version < 1000000;

INSERT INTO visit_person (key, version) SELECT key || 'c' || copy, version + 1000000 * copy
FROM visit_person, generate_series(%(first)s::int, %(last)s::int) copy WHERE version < 1000000;

INSERT INTO visit_device (ma_vat_tu, ma_hieu_sp, version)
SELECT ma_vat_tu, ma_hieu_sp || 'c' || copy, version + 1000000 * copy
FROM visit_device, generate_series(%(first)s::int, %(last)s::int) copy WHERE version < 1000000;

INSERT INTO visit_bed (version, row, facility, ma_khoa, ma_giuong, started, ended, person)
SELECT version + 1000000 * copy, row, CASE copy %% 20 WHEN 0 THEN facility ELSE {FACILITY} END, ma_khoa, ma_giuong,
       started - {BACK}, ended - {BACK}, person || 'c' || copy
FROM visit_bed, generate_series(%(first)s::int, %(last)s::int) copy WHERE version < 1000000;

INSERT INTO claim_line (version, xml_table, row, line, code, ngay_yl, quantity, price)
SELECT version + 1000000 * copy, xml_table, row, line, code, ngay_yl - {BACK}, quantity, price
FROM claim_line, generate_series(%(first)s::int, %(last)s::int) copy WHERE version < 1000000;

INSERT INTO claim_outcome (version, appraisal, outcome, paperless, paperless_reasons, referral_reasons, requested,
                           approved, refused, result_sha256)
SELECT version + 1000000 * copy, appraisal, outcome, paperless, paperless_reasons, referral_reasons, requested,
       approved, refused, result_sha256
FROM claim_outcome, generate_series(%(first)s::int, %(last)s::int) copy WHERE version < 1000000;
"""


class Bench:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.url = embedded.start(home)
        self.store: Store = open_store(self.url)
        pid = int((home / "postgres" / "postmaster.pid").read_text("utf-8").splitlines()[0])
        self.server = psutil.Process(pid)

    def sql(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url.replace("postgresql+psycopg", "postgresql"), autocommit=True)

    def received(self, path: Path, at: datetime) -> tuple[int, Workspace]:
        """A delivery up to the step before its appraisal."""
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        facility = path.parent.name
        row = self.store.receive(
            facility=facility, file=path.name, sha256=sha256, size=path.stat().st_size, received_at=at,
            archive_key=sha256, actor="bench",
        )  # fmt: skip
        ws = Workspace(self.home / "work" / str(row.delivery_id))
        shutil.copyfile(path, ws.source)
        ws.delivery = Delivery(
            file=path.name, sha256=sha256, MA_CSKCB=facility, received_at=at.isoformat(), inbox_facility=facility
        )
        extract.run(ws)
        transform.run(ws, {})
        return row.delivery_id, ws

    def cpu(self) -> float:
        """CPU seconds of this process and of PostgreSQL's, of those that ended too."""
        spent = time.process_time()
        for process in (self.server, *self.server.children()):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            spent += times.user + times.system
            if process is self.server:
                spent += times.children_user + times.children_system
        return spent

    def least(self, do: Callable[[], object]) -> tuple[float, float]:
        """CPU and wall seconds, each the least of TIMES runs."""
        runs = []
        for _ in range(TIMES):
            cpu, wall = self.cpu(), time.perf_counter()
            do()
            runs.append((self.cpu() - cpu, time.perf_counter() - wall))
        return min(run[0] for run in runs), min(run[1] for run in runs)

    def read_in_whole(self, do: Callable[[], object]) -> dict[str, int]:
        """Rows of the large tables that PostgreSQL read one after another, with no index, while this was done."""
        before = self._sequential()
        do()
        self.store.close()  # a server process hands in its statistics at its end
        self.store = open_store(self.url)
        time.sleep(1)
        after = self._sequential()
        return {name: after[name] - before[name] for name in after if after[name] != before[name]}

    def _sequential(self) -> dict[str, int]:
        with self.sql() as connection:
            rows = connection.execute(
                "SELECT relname, seq_tup_read FROM pg_stat_user_tables WHERE relname = ANY(%s)", [list(KEPT)]
            ).fetchall()
        return dict(rows)

    def grow(self, first: int, last: int, facility: str) -> None:
        """Copies number `first` to `last` of the claims recorded for real."""
        with self.sql() as connection, connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")
            keys = {"first": first, "last": last, "facility": facility}
            for statement in COPIES.split(";\n"):
                if statement.strip():
                    connection.execute(statement, keys)
        self.analyse()

    def recorded(self, number: int, ws: Workspace) -> None:
        """Records an appraised delivery, with the look for claims that it affects, and takes it back."""
        recording = Recording.of(ws)
        with psycopg.connect(self.url.replace("postgresql+psycopg", "postgresql")) as connection:
            facility = ws.delivery.MA_CSKCB or ""
            recording.write(connection, number, facility, "bench")
            note_affected(connection, number, facility, recording.rests_on.get("seen"))
            connection.rollback()
            ended = psutil.Process(connection.info.backend_pid)
        psutil.wait_procs([ended], timeout=10)

    def analyse(self) -> None:
        with self.sql() as connection:
            for name in KEPT:
                connection.execute(f"VACUUM ANALYZE {name}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help=f"claims in the store, from {FIRST}")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    embedded.stop(HOME)
    shutil.rmtree(HOME, ignore_errors=True)
    bench = Bench(HOME)
    try:
        rows = measured(bench, given.sizes)
    finally:
        bench.store.close()
        embedded.stop(HOME)
        shutil.rmtree(HOME, ignore_errors=True)
    growth = rows[-1]["ms_per_claim"] / rows[0]["ms_per_claim"]
    print(f"cost of a claim, {rows[-1]['stored']:,} to {rows[0]['stored']:,} stored: {growth:.3f} (at most {ALLOWED})")
    result = {
        "schema": "giamdinh.bench-history/1",
        "measured_at": datetime.now(VIETNAM).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "growth": round(growth, 3),
        "rows": rows,
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0 if growth <= ALLOWED else 1


def measured(bench: Bench, sizes: list[int]) -> list[dict[str, Any]]:
    june, july = HOME / "june", HOME / "july"
    simulate(facilities=1, claims=FIRST, month="202606", fault_rate=0.1, seed=SEED, out=june)
    simulate(facilities=1, claims=FIRST, month="202607", fault_rate=0.1, seed=SEED, out=july)
    reference: Reference = read_folder(july / "reference")
    now = datetime.now(VIETNAM)
    path = sorted((july / "inbox").glob("*/*"))[0]
    files = sorted((june / "inbox").glob("*/*"))
    # the persons of the measured delivery come first, so they are read before anything is recorded
    number, ws = bench.received(path, now)
    validate.run(ws)
    persons = ws.read_tables()["XML1"][[*PERSON]].drop_duplicates().reset_index(drop=True)
    stored = 0
    for file in files:
        other, earlier = bench.received(file, now - timedelta(days=30))
        tables = earlier.read_tables()
        header = tables["XML1"]
        taken = persons.iloc[(stored + header.index.to_numpy()) % len(persons)]
        for name in PERSON:
            header[name] = taken[name].to_numpy()
        earlier.write_tables(tables)
        validate.run(earlier)
        appraise.run(earlier, reference, bench.store.past(other, earlier.read_tables()))
        bench.store.record(other, earlier, "bench")
        stored += len(header)
        earlier.remove()
    bench.analyse()
    with bench.sql() as connection:  # the measured delivery came last, whatever is copied
        connection.execute("ALTER SEQUENCE delivery_id_seq RESTART 10000000")
    number = bench.store.receive(
        facility=path.parent.name, file="measured.xml", sha256="f" * 64, size=1, received_at=now, archive_key="f",
        actor="bench",
    ).delivery_id  # fmt: skip
    claims = len(ws.read_tables().claims)
    rows: list[dict[str, Any]] = []
    made = 0
    for size in sizes:
        copies = size // FIRST - 1
        if copies > made:
            bench.grow(made + 1, copies, path.parent.name)
            made = copies
        rows.append(one(bench, number, ws, reference, claims, size))
        print(json.dumps(rows[-1]), flush=True)
    return rows


def one(bench: Bench, number: int, ws: Workspace, reference: Reference, claims: int, size: int) -> dict[str, Any]:
    tables = ws.read_tables()
    with bench.sql() as connection:
        held = connection.execute("SELECT count(*) FROM visit").fetchone()
    frames = bench.store.past(number, tables)
    unindexed = bench.read_in_whole(lambda: bench.store.past(number, tables))
    bench.store.past(number, tables)
    fetch, fetch_wall = bench.least(lambda: bench.store.past(number, tables))
    judge, judge_wall = bench.least(lambda: appraise.run(ws, reference, frames))
    record, record_wall = bench.least(lambda: bench.recorded(number, ws))
    return {
        "stored": size,
        "standing": held[0] if held else 0,
        "claims": claims,
        "frames": {name: len(frame) for name, frame in frames.items()},
        "fetch_cpu": round(fetch, 3),
        "fetch_wall": round(fetch_wall, 3),
        "appraise_cpu": round(judge, 3),
        "appraise_wall": round(judge_wall, 3),
        "record_cpu": round(record, 3),
        "record_wall": round(record_wall, 3),
        "ms_per_claim": round(1000 * (fetch + judge + record) / claims, 3),
        "rows_read_without_an_index": unindexed,
    }


if __name__ == "__main__":
    sys.exit(main())
