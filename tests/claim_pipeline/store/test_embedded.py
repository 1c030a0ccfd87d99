"""The embedded server: shared by processes, outliving them, surviving kills, reachable from deep folders."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy.engine import make_url

from claim_pipeline.errors import OperatorError
from claim_pipeline.store import embedded


@pytest.fixture
def place() -> Iterator[Path]:
    """A home of its own, far down in the tree and with a space in its name."""
    top = Path(tempfile.mkdtemp(prefix="gd-"))
    home = top / ("a folder deep down " * 5) / "var"
    yield home
    embedded.stop(home)
    shutil.rmtree(top)


@pytest.fixture
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a piece of Python in a process of its own, with our packages on its path."""

    def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=120)

    return run


def postmaster(home: Path) -> psutil.Process:
    return psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0]))


def test_one_server_is_shared_and_outlives_the_process_that_started_it(home, run_python, connect, tmp_path):
    place = Path(tempfile.mkdtemp(prefix="gd-"))
    code = "import sys; from claim_pipeline.store import embedded; print(embedded.start(sys.argv[1]))"
    try:
        first = run_python(code, str(place)).stdout.strip()
        pid = postmaster(place).pid
        second = run_python(code, str(place)).stdout.strip()
        assert first == second == embedded.start(place)
        assert postmaster(place).pid == pid
        with connect(first) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == ("giamdinh",)
        assert embedded.running(place)
        embedded.stop(place)
        assert not embedded.running(place)
        embedded.stop(place)
    finally:
        embedded.stop(place)
        shutil.rmtree(place)


def test_many_processes_start_at_once(place, connect):
    code = "import sys; from claim_pipeline.store import embedded; print(embedded.start(sys.argv[1]))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(place)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(4)]
    urls = {process.communicate(timeout=120)[0].strip() for process in started}
    assert [process.returncode for process in started] == [0] * 4
    assert len(urls) == 1
    host = str(make_url(urls.pop()).query["host"])
    assert len(f"{host}/.s.PGSQL.5432") < 100
    assert Path(host).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("stale", ["own pid", "someone else's pid", "no such pid"])
def test_a_killed_server_is_started_again_with_its_data(place, connect, stale):
    url = embedded.start(place)
    with connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server = postmaster(place)
    workers = server.children(recursive=True)
    os.kill(server.pid, signal.SIGKILL)
    if stale != "own pid":
        embedded._still_there(workers, 20)
        pid_file = place / "postgres" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        lines[0] = str(os.getpid()) if stale == "someone else's pid" else "4194303"
        pid_file.write_text("\n".join(lines) + "\n")
    with connect(embedded.start(place)) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_an_emptied_temporary_folder_is_survived(place, connect):
    url = embedded.start(place)
    shutil.rmtree(str(make_url(url).query["host"]))
    with connect(embedded.start(place)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_data_deleted_under_a_running_server_give_a_fresh_one(place, connect):
    with connect(embedded.start(place)) as connection:
        connection.execute("CREATE TABLE gone ()")
    old = postmaster(place)
    shutil.rmtree(place)
    with connect(embedded.start(place)) as connection, pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("SELECT FROM gone")
    assert embedded._still_there([old], 20) == []


def test_a_first_start_that_was_interrupted_is_begun_again(place, connect):
    place.mkdir(parents=True)
    (place / ".postgres.new").mkdir()
    (place / ".postgres.new" / "PG_VERSION").write_text("18\n")
    with connect(embedded.start(place)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_folder_with_other_things_is_left_alone(place):
    (place / "postgres").mkdir(parents=True)
    (place / "postgres" / "thesis.doc").write_text("mine")
    with pytest.raises(OperatorError, match="database-folder-in-use"):
        embedded.start(place)
    assert (place / "postgres" / "thesis.doc").read_text() == "mine"


def test_data_of_another_postgresql_are_not_touched(place):
    (place / "postgres").mkdir(parents=True)
    (place / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(OperatorError, match="database-version"):
        embedded.start(place)


def test_settings_of_the_server(home, url, connect):
    with connect(url) as connection:
        shown = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]
            for name in ("max_connections", "fsync", "listen_addresses", "timezone", "log_error_verbosity")
        }
    assert shown == {
        "max_connections": "200", "fsync": "on", "listen_addresses": "", "timezone": "Asia/Ho_Chi_Minh",
        "log_error_verbosity": "terse",
    }  # fmt: skip


def test_airflow_gets_a_database_of_its_own_for_its_driver(home, url):
    import psycopg2

    address = make_url(embedded.airflow_url(home))
    assert address.drivername == "postgresql+psycopg2"
    assert address.database == "airflow"
    assert embedded.airflow_url(home) == embedded.airflow_url(home)
    connection = psycopg2.connect(host=address.query["host"], user=address.username, dbname=address.database)
    connection.close()
    assert embedded.create_database(home, 'odd "name"').count('odd "name"') == 1


def test_the_server_log_holds_no_rows(home, url, connect):
    with connect(url) as connection:
        connection.execute("CREATE TABLE person (name text PRIMARY KEY)")
        connection.execute("INSERT INTO person VALUES ('Nguyen Thi Invented')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO person VALUES ('Nguyen Thi Invented')")
    deadline = time.monotonic() + 30
    logs = ""
    while "person_pkey" not in logs and time.monotonic() < deadline:  # the server writes its log a moment later
        logs = "".join(path.read_text() for path in (home / "postgres" / "log").iterdir())
    assert "person_pkey" in logs
    assert "Invented" not in logs


def test_an_ordinary_user_runs_it_too(home, run_python):
    """The other tests run as whoever calls them; where that is root, this one gives up root's rights first."""
    place = Path(tempfile.mkdtemp(prefix="gd-"))
    code = """
import os, pwd, sys
from claim_pipeline.store import embedded
if os.geteuid() == 0:
    account = pwd.getpwnam("nobody")
    os.chown(sys.argv[1], account.pw_uid, account.pw_gid)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
embedded.start(sys.argv[1])
print(embedded.running(sys.argv[1]), os.geteuid())
embedded.stop(sys.argv[1])
print(embedded.running(sys.argv[1]))
"""
    try:
        running, user, after = run_python(code, str(place)).stdout.split()
        assert (running, after) == ("True", "False")
        assert (place / "postgres").stat().st_uid == int(user) != 0
    finally:
        shutil.rmtree(place)
