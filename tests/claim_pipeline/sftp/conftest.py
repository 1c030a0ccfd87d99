"""A running SFTP server as `giamdinh sftp` starts it, and Debian's own `sftp` as the hospital's end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from claim_pipeline.sftp.accounts import Accounts

ROOT = Path(__file__).parents[3]
OURS, THEIRS = "27001", "01004"


@dataclass
class Client:
    """Debian's `sftp` with one facility's key."""

    folder: Path
    port: int
    facility: str
    key: str
    options: list[str] = field(default_factory=list)

    def command(self, program: str = "sftp", *more: str) -> list[str]:
        path = shutil.which(program)
        assert path, f"{program} is missing; scripts/install_test_packages.sh (run by make test) brings it"
        common = [
            "-F", "/dev/null", "-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}",
            "-o", "StrictHostKeyChecking=accept-new", "-o", "IdentitiesOnly=yes",
            "-o", f"IdentityFile={self.folder / self.key}", "-o", "LogLevel=ERROR", *self.options,
        ]  # fmt: skip
        port = ["-P" if program in ("sftp", "scp") else "-p", str(self.port)]
        return [path, *common, *port, *more, f"{self.facility}@127.0.0.1"]

    def do(self, *lines: str, ok: bool = True) -> str:
        """Types these lines; the first that fails ends the session. Returns what was printed."""
        done = subprocess.run(
            self.command("sftp", "-b", "-"), input="\n".join([*lines, ""]), capture_output=True, text=True, timeout=60
        )
        assert (done.returncode == 0) is ok, done.stdout + done.stderr
        return done.stdout + done.stderr

    def names(self, path: str) -> list[str]:
        shown = self.do(f"ls -1 {path}").splitlines()
        return sorted(Path(line).name for line in shown if not line.startswith("sftp>"))


@dataclass
class Server:
    home: Path
    port: int
    folder: Path
    process: subprocess.Popen[str]
    env: dict[str, str]

    @staticmethod
    def until(done: Callable[[], object], what: str, seconds: float = 30.0) -> None:
        """Asks again and again; fails when the time is up."""
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            time.sleep(0.02)

    def client(self, facility: str = OURS, *options: str, key: str = "") -> Client:
        return Client(self.folder, self.port, facility, key or facility, list(options))

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8")

    def inbox(self, facility: str = OURS) -> Path:
        return self.home / "inbox" / facility

    def outbox(self, facility: str = OURS) -> Path:
        return self.home / "outbox" / facility


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("sftp")
    home = folder / "home"
    accounts = Accounts(home / "sftp" / "accounts.yaml")
    for facility in (OURS, THEIRS):
        key = folder / facility
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        accounts.put(facility, password=f"password of {facility}", keys=(key.with_suffix(".pub").read_text().strip(),))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIAMDINH_")}
    env = clean | {
        "GIAMDINH_HOME": str(home),
        "GIAMDINH_SFTP_PORT": str(port),
        "GIAMDINH_MAX_FILE_MIB": "48",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")]),
        "PYTHONUNBUFFERED": "1",
    }
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "giamdinh", "sftp"], env=env, stderr=log, text=True)
    here = Server(home, port, folder, process, env)
    try:
        here.until(lambda: "SFTP listens" in here.log or process.poll() is not None, "the server listens", 60)
        assert process.poll() is None, here.log
        yield here
    finally:
        process.terminate()
        assert process.wait(20) == 0, here.log
    assert "Traceback" not in here.log
