"""A real Airflow on a real PostgreSQL, as `make up` starts it, with simulated hospitals at its inboxes."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from claim_airflow.local import LocalAirflow, free_port
from claim_pipeline.errors import OperatorError
from claim_pipeline.store import open_store

ROOT = Path(__file__).parents[2]
FACILITIES = 6
CLAIMS = 15  # of each facility
ANSWER_SECONDS = 240.0
SETTINGS = {"GIAMDINH_SETTLE_SECONDS": "1", "GIAMDINH_POLL_SECONDS": "0.5"}


def environment() -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "GIAMDINH_"))}
    return clean | SETTINGS | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")])}


def program(*words: object, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, env=environment() | more, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


class Place:
    """One running Giamdinh: where it lies, what hospitals and officers can do with it, and what its database says."""

    def __init__(self, home: Path, port: int, sftp_port: int, stage: Path) -> None:
        self.home, self.stage, self.sftp_port = home, stage, sftp_port
        self.airflow = LocalAirflow(home, port=port)
        self.store = open_store(self.airflow.claims_url)

    # --- hospitals

    def staged(self) -> dict[str, list[Path]]:
        """Simulated deliveries by facility."""
        folders = sorted((self.stage / "inbox").iterdir())
        return {folder.name: sorted(path for path in folder.iterdir() if path.is_file()) for folder in folders}

    def drop(self, path: Path, name: str | None = None) -> None:
        """Sends a file as a hospital does: under another name first, then renamed."""
        folder = self.home / "inbox" / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / f"{name or path.name}.part"
        shutil.copy2(path, aside)
        os.replace(aside, folder / (name or path.name))

    def program(self, *words: object) -> None:
        """A command of ours on this home."""
        program(*words, GIAMDINH_HOME=str(self.home))

    def sftp(self, facility: str, key: Path, *lines: str) -> str:
        """What Debian's client prints for these lines, signed in with this key."""
        options = [f"UserKnownHostsFile={key}.hosts", "StrictHostKeyChecking=accept-new", f"IdentityFile={key}"]
        command = ["sftp", "-F", "/dev/null", "-b", "-", "-P", str(self.sftp_port)]
        command += [word for option in options for word in ("-o", option)]
        done = subprocess.run(
            [*command, f"{facility}@127.0.0.1"],
            input="\n".join([*lines, ""]),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def answers(self, path: Path) -> list[Path]:
        """Answer folders for the bytes of a staged file, oldest first."""
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        folders = (self.home / "outbox" / path.parent.name).glob(f"*-{sha256[:8]}*")
        return sorted(folder for folder in folders if (folder / "report.json").exists())

    def wait(self, done: Callable[[], Any], what: str, seconds: float = ANSWER_SECONDS) -> Any:
        """What `done` gives once it gives something; fails, telling where everything stands, when time is up."""
        result: list[Any] = [None]

        def asked() -> bool:
            assert not [one for one in self.store.recent() if one.status == "failed"], self.state()
            result[0] = done()
            return bool(result[0])

        try:
            self.airflow.wait_for(asked, seconds, what)
        except OperatorError as error:
            raise AssertionError(f"{error.message_en}\n{self.state()}") from error
        return result[0]

    def state(self) -> str:
        """Where everything stands, for a test that waited in vain."""
        lines = [f"{one.id} {one.facility} {one.file} {one.status}" for one in self.store.recent()]
        lines += [f"{run['dag_id']} {run['state']} {run['run_after']}" for run in self.runs("~")]
        return "\n".join(lines)

    # --- Airflow

    def runs(self, dag_id: str, **wanted: str) -> list[dict[str, Any]]:
        runs = self.airflow.get(f"/api/v2/dags/{dag_id}/dagRuns?limit=100&order_by=-run_after")["dag_runs"]
        return [run for run in runs if all(run[name] == value for name, value in wanted.items())]

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        quoted = urllib.parse.quote(run_id, safe="")
        return list(
            self.airflow.get(f"/api/v2/dags/{dag_id}/dagRuns/{quoted}/taskInstances?limit=200")["task_instances"]
        )

    def tasks_in(self, dag_id: str, task_id: str, state: str) -> list[dict[str, Any]]:
        """Tasks of this name now in this state, over all running runs."""
        return [
            task
            for run in self.runs(dag_id, state="running")
            for task in self.tasks(dag_id, run["dag_run_id"])
            if (task["task_id"], task["state"]) == (task_id, state)
        ]

    def page(self, path: str, *, signed_in: bool = True) -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.airflow.port}{path}")
        if signed_in:
            request.add_header("Cookie", f"_token={self.airflow.token()}")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    # --- personal data that must appear nowhere but in the tables

    def personal_data(self) -> set[str]:
        with (self.stage / "reference" / "cards.csv").open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert rows
        return {row["MA_THE_BHYT"] for row in rows} | {row["HO_TEN"] for row in rows if row.get("HO_TEN")}


@pytest.fixture(scope="session")
def place() -> Iterator[Place]:
    # Not below pytest's own folder: every run of pytest closes that to PostgreSQL's account again.
    base = Path(tempfile.mkdtemp(prefix="giamdinh-e2e-"))
    home, stage, port = base / "home", base / "stage", free_port()
    options = ["--facilities", FACILITIES, "--claims", CLAIMS, "--month", "202607", "--fault-rate", 0.1, "--seed", 7]
    program("-m", "giamdinh", "simulate", *options, "--out", stage)
    sftp_port = free_port()
    try:
        program(
            ROOT / "scripts" / "serve.py", "up", "--home", home, "--port", port, *("--sftp-port", sftp_port), "--empty"
        )
        here = Place(home, port, sftp_port, stage)
        for path in (stage / "reference").iterdir():
            shutil.copy2(path, home / "reference" / path.name)
        assert here.airflow.run_dag("reference_data") == "success"
        yield here
        here.store.close()
    finally:
        program(ROOT / "scripts" / "serve.py", "down", "--home", home)
    shutil.rmtree(base)
    left = [process for process in psutil.process_iter() if _belongs_to(process, home)]
    assert not left, f"make down left {left} running"


def _belongs_to(process: psutil.Process, home: Path) -> bool:
    try:
        return process.environ().get("GIAMDINH_HOME") == str(home)
    except psutil.Error:
        return False


@pytest.fixture(scope="session")
def read_report() -> Callable[[Path], dict[str, Any]]:
    return lambda folder: json.loads((folder / "report.json").read_text("utf-8"))
