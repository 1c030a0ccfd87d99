"""Airflow and PostgreSQL on this machine, for `make up`, the demo and tests: the processes of docker-compose.yml,
started here and stopped together. Imports nothing of Airflow: it only starts it.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from claim_pipeline.errors import OperatorError
from claim_pipeline.store import embedded

REPOSITORY = Path(__file__).parents[2]
PREPARE = ["claim_airflow.prepare"]
COMPONENTS = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
HEALTHY_SECONDS = 180.0
STOP_SECONDS = 30.0
USER = "admin"
LOG_TAIL_LINES = 25


def secrets_of(home: Path) -> dict[str, str]:
    """Passwords and keys of this home: made at random the first time, readable by the owner only."""
    path = home / "secrets.json"
    if not path.exists():
        made = {
            "password": secrets.token_urlsafe(12),
            "jwt_secret": secrets.token_urlsafe(48),
            "secret_key": secrets.token_urlsafe(48),
            "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        }
        _write_private(path, json.dumps(made))
    return dict(json.loads(path.read_text("utf-8")))


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(
    home: Path, *, port: int, claims_url: str, airflow_url: str, settings: dict[str, str] | None = None
) -> dict[str, str]:
    """What every Airflow process of this home gets: the machine's environment without other Airflow settings, and ours.

    settings: further variables, say GIAMDINH_SETTLE_SECONDS.
    """
    keys = secrets_of(home)
    base = f"http://localhost:{port}"
    _write_private(home / "airflow" / "passwords.json", json.dumps({USER: keys["password"]}))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return (
        inherited
        | {
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "plugins")]),
            "PYTHONUNBUFFERED": "1",
            "TZ": "Asia/Ho_Chi_Minh",
            "GIAMDINH_HOME": str(home),
            "GIAMDINH_DATABASE_URL": claims_url,
            "GX_ANALYTICS_ENABLED": "false",
            "SCARF_ANALYTICS": "false",
            "DO_NOT_TRACK": "1",
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__DEFAULT_TIMEZONE": "Asia/Ho_Chi_Minh",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "airflow" / "passwords.json"),
            "AIRFLOW__CORE__FERNET_KEY": keys["fernet_key"],
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{base}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": airflow_url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": base,
            "AIRFLOW__API__SECRET_KEY": keys["secret_key"],
            "AIRFLOW__API_AUTH__JWT_SECRET": keys["jwt_secret"],
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs" / "tasks"),
            "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        }
        | (settings or {})
    )


def _stop_with_parent() -> None:
    """In a child, before it starts: the kernel ends it should the process that started it be killed (Linux)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


@dataclass
class LocalAirflow:
    """PostgreSQL and Airflow's four processes under one home folder; a context manager that stops what it started.

    home: folder of everything it writes (databases, logs, secrets, inbox, outbox, ...).
    port: of the web pages; None: a free one. settings: further environment variables of all processes.
    say: told what happens, in one line.
    """

    home: Path
    port: int | None = None
    settings: dict[str, str] = field(default_factory=dict)
    say: Callable[[str], None] = print
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, init=False)
    env: dict[str, str] = field(default_factory=dict, init=False)
    _token: str = field(default="", init=False)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def claims_url(self) -> str:
        """SQLAlchemy URL of the claims database."""
        return embedded.start(self.home)

    def __enter__(self) -> LocalAirflow:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- start and stop

    def start(self) -> None:
        """Starts the databases and, once their tables are made, Airflow's processes; does not wait for them."""
        self.home = self.home.resolve()
        for folder in ("inbox", "outbox", "reference", "archive", "logs"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        claims_url = embedded.start(self.home)
        self.env = environment(
            self.home,
            port=self.port,
            claims_url=claims_url,
            airflow_url=embedded.airflow_url(self.home),
            settings=self.settings,
        )
        self.say("PostgreSQL is up; making Airflow's tables")
        self._run("prepare", PREPARE)
        for name, arguments in COMPONENTS.items():
            self.processes[name] = self._spawn(name, ["airflow", *arguments])

    def run_beside(self, name: str, command: list[str]) -> None:
        """Starts another process of this home: watched, logged and stopped like Airflow's own."""
        self.processes[name] = self._start(name, command)

    def wait_until_healthy(self, seconds: float = HEALTHY_SECONDS) -> None:
        """Waits until every process reports a heartbeat of its own and every DAG is known.

        Raises OperatorError with the end of the logs if one ends or the time is up.
        """
        since = datetime.now(UTC)
        wanted = {path.stem for path in (REPOSITORY / "dags").glob("*.py")}

        def ready() -> bool:
            health = self.get("/api/v2/monitor/health", public=True)
            for part in ("scheduler", "triggerer", "dag_processor"):
                beat = health[part].get(f"latest_{part}_heartbeat")
                # A heartbeat of an earlier start under the same home says nothing.
                if health[part]["status"] != "healthy" or not beat or datetime.fromisoformat(beat) < since:
                    return False
            return wanted <= {dag["dag_id"] for dag in self.get("/api/v2/dags")["dags"]}

        def answered() -> bool:
            try:
                return ready()
            except (OSError, KeyError, json.JSONDecodeError):
                return False  # the API server is not listening yet, or not for this path

        self.wait_for(answered, seconds, "Airflow is healthy")

    def wait_until_idle(self, seconds: float = STOP_SECONDS) -> None:
        """Gives runs that are almost over the time to end, so that stopping interrupts none; no longer than that."""
        with contextlib.suppress(OperatorError):
            self.wait_for(
                lambda: self.get("/api/v2/dags/~/dagRuns?state=running&state=queued&limit=1")["total_entries"] == 0,
                seconds,
                "no run is active",
            )

    def stop(self) -> None:
        """Stops Airflow's processes, each with its whole process group, then PostgreSQL. Safe to call twice."""
        running = {name: process for name, process in self.processes.items() if process.poll() is None}
        # The scheduler first, so that it starts no task that would then be ended; PostgreSQL last.
        for name in sorted(running, key=lambda name: name != "scheduler"):
            _signal_group(running[name], signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        for process in self.processes.values():
            _signal_group(process, signal.SIGKILL)  # also what a process left behind in its group
            process.wait()
        self.processes.clear()
        embedded.stop(self.home)

    def check(self) -> None:
        """Raises OperatorError, with the end of its log, if a process that must run has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise OperatorError(
                    "airflow-process-ended",
                    f"Tiến trình {name} đã dừng (mã {process.returncode}). Nhật ký:\n{self.log_tail(name)}",
                    f"The process {name} has ended (code {process.returncode}). Its log ends:\n{self.log_tail(name)}",
                )

    def log_path(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    def log_tail(self, name: str) -> str:
        try:
            lines = self.log_path(name).read_text("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def _command(self, arguments: list[str]) -> list[str]:
        return [sys.executable, "-m", *arguments]

    def _spawn(self, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        return self._start(name, self._command(arguments))

    def _start(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with self.log_path(name).open("ab") as log:
            return subprocess.Popen(
                command,
                env=self.env,
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_stop_with_parent if sys.platform == "linux" else None,
            )

    def _run(self, name: str, arguments: list[str]) -> None:
        process = self.processes[name] = self._spawn(name, arguments)
        code = process.wait(HEALTHY_SECONDS)
        del self.processes[name]
        if code != 0:
            raise OperatorError(
                "airflow-not-started",
                f"Lệnh {' '.join(arguments)} không thành công. Nhật ký:\n{self.log_tail(name)}",
                f"{' '.join(arguments)} failed. Its log ends:\n{self.log_tail(name)}",
            )

    # --- talk to it

    def wait_for(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        """Asks again and again until `done`; raises OperatorError when the time is up or a process has ended."""
        deadline = time.monotonic() + seconds
        while not done():
            self.check()
            if time.monotonic() > deadline:
                tails = "\n\n".join(f"--- {name}.log\n{self.log_tail(name)}" for name in self.processes)
                raise OperatorError(
                    "airflow-timeout",
                    f"Quá {seconds:.0f} giây mà chưa đạt: {what}.\n{tails}",
                    f"Not within {seconds:.0f} seconds: {what}. Logs are in {self.home / 'logs'}.",
                )
            time.sleep(0.5)

    def get(self, path: str, *, public: bool = False) -> Any:
        """JSON of a path of Airflow's API."""
        return self._request("GET", path, token="" if public else self.token())

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._request("POST", path, body, token=self.token())

    def token(self) -> str:
        """A token of the local user, also good as the cookie `_token` of the pages."""
        if not self._token:
            login = {"username": USER, "password": secrets_of(self.home)["password"]}
            self._token = str(self._request("POST", "/auth/token", login)["access_token"])
        return self._token

    def run_dag(self, dag_id: str, seconds: float = HEALTHY_SECONDS, conf: dict[str, Any] | None = None) -> str:
        """Triggers a DAG and waits until that run is over; gives its state, say "success". conf: its parameters."""
        run = self.post(f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf or {}})
        path = f"/api/v2/dags/{dag_id}/dagRuns/{urllib.parse.quote(run['dag_run_id'], safe='')}"
        self.wait_for(lambda: self.get(path)["state"] in ("success", "failed"), seconds, f"{dag_id} has run")
        return str(self.get(path)["state"])

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None, *, token: str = "") -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        request.add_header("Accept", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
