"""The local runner: what it keeps secret, what it hands on, and that it leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from claim_airflow import local
from claim_airflow.local import LocalAirflow
from claim_pipeline.errors import OperatorError

BOUND = 20.0
ENDLESS = "import signal; signal.pause()"
WITH_CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{ENDLESS}']); {ENDLESS}"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "


def gone(pids: list[int]) -> bool:
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(processes, timeout=BOUND)
    return all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalAirflow:
    """A runner whose processes are small Python programs given as their arguments."""
    monkeypatch.setattr(LocalAirflow, "_command", lambda self, arguments: [sys.executable, "-c", *arguments])
    monkeypatch.setattr(local, "STOP_SECONDS", 2.0)
    (tmp_path / "logs").mkdir()
    made = LocalAirflow(tmp_path, port=1)
    made.env = dict(os.environ)
    return made


def test_secrets_are_made_once_for_each_home_and_are_for_the_owner_only(tmp_path: Path):
    first = local.secrets_of(tmp_path / "a")
    assert first == local.secrets_of(tmp_path / "a")
    assert not set(first.values()) & set(local.secrets_of(tmp_path / "b").values())
    local.environment(tmp_path / "a", port=1, claims_url="c", airflow_url="a")
    for path in ((tmp_path / "a" / "secrets.json"), (tmp_path / "a" / "airflow" / "passwords.json")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads((tmp_path / "a" / "airflow" / "passwords.json").read_text()) == {"admin": first["password"]}


def test_airflow_settings_of_the_machine_do_not_reach_our_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "SequentialExecutor")
    monkeypatch.setenv("AIRFLOW_CONN_SOMEWHERE", "postgres://elsewhere")
    env = local.environment(
        tmp_path, port=1, claims_url="c", airflow_url="a", settings={"GIAMDINH_SETTLE_SECONDS": "1"}
    )
    assert env["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert "AIRFLOW_CONN_SOMEWHERE" not in env
    assert env["GIAMDINH_SETTLE_SECONDS"] == "1"


def test_stopping_ends_every_process_and_its_children(runner: LocalAirflow):
    for name, program in {"scheduler": WITH_CHILD, "triggerer": STUBBORN + WITH_CHILD}.items():
        runner.processes[name] = runner._spawn(name, [program])
    pids = [process.pid for process in runner.processes.values()]
    runner.wait_for(lambda: all(psutil.Process(pid).children() for pid in pids), BOUND, "both have a child")
    pids += [child.pid for pid in pids for child in psutil.Process(pid).children()]
    assert len(pids) == 4
    runner.stop()
    assert gone(pids)


def test_a_process_that_ends_by_itself_is_told_with_the_end_of_its_log(runner: LocalAirflow):
    runner.processes["scheduler"] = runner._spawn("scheduler", ["print('out of memory'); raise SystemExit(3)"])
    with pytest.raises(OperatorError, match=r"scheduler has ended \(code 3\)[\s\S]*out of memory"):
        runner.wait_for(lambda: False, BOUND, "never")
    runner.stop()


def test_waiting_has_a_bound(runner: LocalAirflow):
    with pytest.raises(OperatorError, match="Not within 0 seconds: pigs fly"):
        runner.wait_for(lambda: False, 0.1, "pigs fly")


def test_what_was_started_ends_even_if_the_runner_is_killed(tmp_path: Path):
    (tmp_path / "logs").mkdir()
    program = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from claim_airflow.local import LocalAirflow
        LocalAirflow._command = lambda self, arguments: [sys.executable, "-c", *arguments]
        runner = LocalAirflow(Path(sys.argv[1]), port=1)
        runner.env = dict(os.environ)
        print(runner._spawn("scheduler", ["import signal; signal.pause()"]).pid, flush=True)
        signal.pause()
        """
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, [local.REPOSITORY, local.REPOSITORY / "plugins"]))
    }
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
    assert gone([child])
