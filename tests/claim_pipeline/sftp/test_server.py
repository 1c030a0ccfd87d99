"""SFTP from the hospital's end, with Debian's own client: what goes through, what does not, and what a cut leaves."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from claim_pipeline import inbox, steps
from claim_pipeline.settings import Settings, settings
from claim_pipeline.sftp.server import CONNECTIONS_OF_ONE, FAILURE_SECONDS, FAILURES, TRIES, Door
from claim_simulator import simulate

OURS, THEIRS = "27001", "01004"
LATER = 10.0**12  # long after any settling time


def waiting(server: Any) -> list[str]:
    """What intake would take, however long it waits."""
    return [file.name for file in inbox.scan(server.home / "inbox", 30, now=LATER)]


def cut(server: Any, local: Path, remote: str, *, after: int, kilobits: int = 16_000) -> None:
    """Sends a file slowly and kills client and line once so many bytes have arrived."""
    client = server.client()
    aside = server.inbox() / ".uploads" / remote
    command = client.command("sftp", "-b", "-", "-B", "4096", "-l", str(kilobits))
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, text=True) as process:
        process.stdin.write(f"put {local} /inbox/{remote}\n")
        process.stdin.flush()
        server.until(lambda: aside.exists() and aside.stat().st_size > after, "some bytes have arrived")
        os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.zip"
    path.write_bytes(random.Random(7).randbytes(6 << 20))
    return path


def test_each_facility_sees_an_inbox_and_an_outbox_and_nothing_else(server: Any):
    client = server.client()
    assert client.names("/") == ["inbox", "outbox"]
    assert client.names(".") == ["inbox", "outbox"]
    assert client.names("/..") == ["inbox", "outbox"]
    assert client.names("/../../../etc/..") == ["inbox", "outbox"]
    listed = client.do("ls -la /")
    assert "root" not in listed
    assert OURS in listed


def test_a_file_goes_in_by_rename_and_its_answer_comes_back(server: Any, tmp_path: Path):
    local = tmp_path / "thang 7 – đợt 1.xml"
    local.write_text("<a/>", "utf-8")
    client = server.client()
    client.do(f'put "{local}" "/inbox/thang 7.xml.part"')
    assert waiting(server) == []
    client.do('rename "/inbox/thang 7.xml.part" "/inbox/thang 7.xml"')
    assert waiting(server) == ["thang 7.xml"]
    assert client.names("/inbox") == ["thang 7.xml"]
    answer = server.outbox() / "20260701-080000-aaaaaaaa"
    answer.mkdir(parents=True)
    (answer / "receipt.json").write_text("{}")
    (answer / ".report.html.part").write_text("half")
    client.do(f"get /outbox/{answer.name}/receipt.json {tmp_path}/got.json")
    assert (tmp_path / "got.json").read_text() == "{}"
    assert client.names(f"/outbox/{answer.name}") == ["receipt.json"]
    client.do('rm "/inbox/thang 7.xml"')
    assert waiting(server) == []


def test_an_upload_that_is_cut_is_no_delivery_until_it_is_resumed(server: Any, large: Path):
    cut(server, large, "cut.zip", after=1 << 20)
    server.until(lambda: "was cut" in server.log, "the server has seen the cut")
    arrived = (server.inbox() / ".uploads" / "cut.zip").stat().st_size
    assert 1 << 20 < arrived < large.stat().st_size
    client = server.client()
    assert client.names("/inbox") == ["cut.zip"]
    assert waiting(server) == []
    client.do("rename /inbox/cut.zip /inbox/whole.zip", ok=False)
    content = large.read_bytes()
    large.write_bytes(b"another beginning" + content[17:])  # shows whether anything is sent twice
    client.do(f"reput {large} /inbox/cut.zip")
    assert (server.inbox() / "cut.zip").read_bytes() == content
    assert waiting(server) == ["cut.zip"]
    client.do("rm /inbox/cut.zip")


def test_an_upload_that_was_cut_may_be_sent_anew(server: Any, large: Path, tmp_path: Path):
    cut(server, large, "anew.zip", after=1 << 18)
    small = tmp_path / "small"
    small.write_bytes(b"other")
    client = server.client()
    client.do(f"put {small} /inbox/anew.zip")
    assert (server.inbox() / "anew.zip").read_bytes() == b"other"
    assert client.names("/inbox") == ["anew.zip"]
    client.do("rm /inbox/anew.zip")


def test_what_was_closed_too_early_is_taken_back_from_intake_while_it_is_resumed(server: Any, large: Path):
    (server.inbox() / "early.zip").write_bytes(large.read_bytes()[: 1 << 20])
    server.client().do(f"put -a {large} /inbox/early.zip")
    assert (server.inbox() / "early.zip").read_bytes() == large.read_bytes()
    (server.inbox() / "early.zip").unlink()


LEADING_OUT = (
    f"ls /../{THEIRS}", f"ls /inbox/../../{THEIRS}", f"ls /inbox/../../inbox/{THEIRS}", "ls /etc", "cd /outbox/../etc",
    f"get /inbox/../../outbox/{THEIRS}/secret.json", f"get /../outbox/{THEIRS}/secret.json", "get /etc/passwd",
    "get /outbox/way-out", "get /outbox/way-out/secret.json", "ls /outbox/way-out/", "get /outbox/link.json",
    "get /inbox/.uploads", "ls /inbox/.uploads/", "get /inbox/mine.xml", "rm /outbox/mine.json", "rmdir /inbox",
    "mkdir /inbox/folder", "mkdir /other", "symlink /etc/passwd /inbox/passwd", "ln -s / /inbox/root",
    "ln /inbox/mine.xml /inbox/hard.xml", "rename /inbox/mine.xml /outbox/mine.xml",
    "rename /inbox/mine.xml /mine.xml", "rename /outbox/mine.json /inbox/mine.json", "put {local} /outbox/x.json",
    "put {local} /x", "put {local} /inbox/a/b", "put {local} /inbox/.uploads", "put {local} /outbox/mine.json",
    "put {local} /../inbox/THEIRS/x.xml", "df /",
)  # fmt: skip


def test_nothing_leads_out(server: Any, tmp_path: Path):
    secret = server.outbox(THEIRS) / "secret.json"
    secret.parent.mkdir(parents=True)
    secret.write_text("theirs")
    server.outbox().mkdir(parents=True, exist_ok=True)
    (server.outbox() / "mine.json").write_text("{}")
    (server.inbox() / "mine.xml").write_text("<a/>")
    (server.outbox() / "way-out").symlink_to(secret.parent)
    (server.outbox() / "link.json").symlink_to(secret)
    local = tmp_path / "local"
    local.write_text("x")
    lines = [line.replace("{local}", str(local)).replace("THEIRS", THEIRS) for line in LEADING_OUT]
    # a minus before a line: go on although it failed
    shown = server.client().do(f"lcd {tmp_path}", *(f"-{line}" for line in lines))
    for line in shown.splitlines():
        if line.startswith("sftp> "):
            assert line.removeprefix("sftp> ").lstrip("-") in [f"lcd {tmp_path}", *lines]
        else:
            assert not line.startswith(("/", "secret", "mine")), line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["local"]
    assert sorted(path.name for path in server.inbox().iterdir()) == [".uploads", "mine.xml"]
    assert not list((server.inbox() / ".uploads").iterdir())
    assert (server.outbox() / "mine.json").read_text() == "{}"
    assert secret.read_text() == "theirs"
    assert [path.name for path in secret.parent.iterdir()] == ["secret.json"]
    assert not [path for path in (server.home / "inbox" / THEIRS).rglob("*") if path.is_file()]
    assert "link.json" not in server.client().names("/outbox")
    (server.inbox() / "mine.xml").unlink()


def test_there_is_no_shell_no_command_no_forwarding(server: Any):
    def ssh(*more: str) -> subprocess.CompletedProcess[str]:
        command = server.client().command("ssh")
        return subprocess.run([*command, *more], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)

    for more in ([], ["id"], ["scp -t /inbox"], ["-s", "netconf"]):
        done = ssh(*more)
        assert done.returncode != 0
        assert done.stdout == ""
    forward = server.client().command("ssh", "-W", f"127.0.0.1:{server.port}")
    done = subprocess.run(forward, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert done.returncode != 0
    assert "SSH" not in done.stdout
    back = server.client().command("ssh", "-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1")
    assert subprocess.run(back, capture_output=True, timeout=30).returncode != 0


def with_password(server: Any, facility: str, password: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    ask = tmp_path / "ask"
    ask.write_text(f"#!/bin/sh\necho '{password}'\n")
    ask.chmod(0o700)
    options = ["-o", "PreferredAuthentications=password", "-o", "PubkeyAuthentication=no", "-o", "BatchMode=no"]
    client = server.client(facility, *options)
    return subprocess.run(
        [*client.command("sftp")], input="ls /\n", capture_output=True, text=True, timeout=60,
        env=os.environ | {"SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"},
    )  # fmt: skip


def test_the_right_password_opens_and_a_wrong_one_does_not(server: Any, tmp_path: Path):
    done = with_password(server, OURS, f"password of {OURS}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "/inbox" in done.stdout
    for facility, password in ((OURS, f"password of {THEIRS}"), (OURS, ""), ("99999", "x"), ("../27001", "x")):
        done = with_password(server, facility, password, tmp_path)
        assert done.returncode != 0
        assert "inbox" not in done.stdout


def test_a_key_of_one_facility_does_not_open_another(server: Any):
    server.client(OURS, key=OURS).do("ls /")
    shown = server.client(THEIRS, key=OURS).do("ls /", ok=False)
    assert "Permission denied" in shown
    assert "inbox" not in shown


def test_a_file_beyond_the_limit_is_stopped_and_never_a_delivery(server: Any, tmp_path: Path):
    large = tmp_path / "too-large"
    with large.open("wb") as stream:
        stream.truncate(49 << 20)
    server.client().do(f"put {large} /inbox/too-large.zip", ok=False)
    assert waiting(server) == []
    assert server.client().names("/inbox") == ["too-large.zip"]
    server.client().do("rm /inbox/too-large.zip")


def test_a_facility_has_so_many_connections_and_no_more(server: Any):
    async def connect() -> asyncssh.SSHClientConnection:
        return await asyncssh.connect(
            "127.0.0.1", server.port, username=THEIRS, client_keys=[str(server.folder / THEIRS)], known_hosts=None,
            config=None, agent_path=None,
        )  # fmt: skip

    async def all_at_once() -> None:
        inside = [await connect() for _ in range(CONNECTIONS_OF_ONE)]
        with pytest.raises((OSError, asyncssh.Error)):
            async with await connect() as one_more, one_more.start_sftp_client() as sftp:
                await sftp.listdir("/")
        for connection in inside:
            connection.close()
            await connection.wait_closed()

    asyncio.run(all_at_once())
    server.until(lambda: server.client(THEIRS).names("/") == ["inbox", "outbox"], "there is room again")


def test_a_program_of_a_hospital_sends_and_fetches_too(server: Any, tmp_path: Path):
    """The client is asyncssh: it asks for more than OpenSSH does, and sends paths as they are."""
    local = tmp_path / "local"
    local.write_bytes(random.Random(3).randbytes(300_000))
    answer = server.outbox(THEIRS) / "20260702-080000-bbbbbbbb"
    answer.mkdir(parents=True)
    (answer / "report.json").write_bytes(local.read_bytes()[::-1])

    async def both_ways() -> None:
        async with (
            asyncssh.connect(
                "127.0.0.1", server.port, username=THEIRS, client_keys=[str(server.folder / THEIRS)], known_hosts=None,
                config=None, agent_path=None,
            ) as connection,
            connection.start_sftp_client() as sftp,
        ):  # fmt: skip
            await sftp.put(str(local), "/inbox/program.zip")
            await sftp.get(f"/outbox/{answer.name}/report.json", str(tmp_path / "got"))
            assert await sftp.realpath("/../..//inbox/./x/..") == "/inbox"
            for path in ("../../../../etc/passwd", "/outbox/../../etc/passwd", f"/outbox/../{OURS}", "/outbox/a\0"):
                with pytest.raises(asyncssh.SFTPError):
                    await sftp.stat(path)
            with pytest.raises(asyncssh.SFTPError):
                await sftp.symlink("/etc", "/inbox/link")

    asyncio.run(both_ways())
    assert (server.inbox(THEIRS) / "program.zip").read_bytes() == local.read_bytes()
    assert (tmp_path / "got").read_bytes() == local.read_bytes()[::-1]
    (server.inbox(THEIRS) / "program.zip").unlink()


def test_after_many_wrong_passwords_an_address_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    door = Door(Settings(home=tmp_path))
    for _ in range(FAILURES):
        assert not door.shut_for("192.0.2.7")
        door.failed("192.0.2.7")
    assert door.shut_for("192.0.2.7")
    assert not door.shut_for("192.0.2.8")
    later = time.monotonic() + FAILURE_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert not door.shut_for("192.0.2.7")


def test_a_connection_ends_after_a_few_wrong_passwords(server: Any):
    tried = []

    class Guesser(asyncssh.SSHClient):
        def password_auth_requested(self) -> str:
            tried.append(1)
            return f"guess {len(tried)}"

    async def guess() -> None:
        await asyncssh.connect(
            "127.0.0.1", server.port, username=OURS, client_factory=Guesser, known_hosts=None, config=None,
            client_keys=None, agent_path=None,
        )  # fmt: skip

    with pytest.raises(asyncssh.DisconnectError, match="too many wrong passwords"):
        asyncio.run(guess())
    assert len(tried) == TRIES


def test_the_host_key_is_kept_and_only_its_owner_reads_it(server: Any):
    from claim_pipeline.sftp.server import host_key

    path = server.home / "sftp" / "host_key"
    assert path.stat().st_mode & 0o777 == 0o600
    (known,) = {line.split()[2] for line in (server.folder / "known_hosts").read_text().splitlines()}
    assert host_key(path).export_public_key().decode().split()[1] == known


def test_a_port_that_is_taken_is_said_in_words(server: Any):
    again = subprocess.run(
        server.process.args, env=server.env, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert again.returncode == 2
    assert f"SFTP cannot listen at 127.0.0.1:{server.port}" in again.stderr
    assert "Traceback" not in again.stderr


def test_the_log_names_facilities_and_no_file(server: Any, tmp_path: Path):
    local = tmp_path / "Nguyen Van Mau.xml"
    local.write_text("<a/>")
    client = server.client()
    client.do(f'put "{local}" /inbox/', f'rm "/inbox/{local.name}"')
    assert f"facility {OURS}" in server.log
    assert "Nguyen" not in server.log
    assert "password of" not in server.log


def test_from_a_cut_line_to_an_answer_in_hand(server: Any, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch):
    """The hospital's way from end to end: cut, not taken, resumed, renamed, appraised, answered, fetched."""
    simulate(facilities=1, claims=20, month="202607", fault_rate=0, seed=5, out=tmp_path / "stage")
    delivery = min((tmp_path / "stage" / "inbox" / OURS).iterdir())
    monkeypatch.setenv("GIAMDINH_HOME", str(server.home))
    monkeypatch.setenv("GIAMDINH_DATABASE_URL", url)
    monkeypatch.setenv("GIAMDINH_SETTLE_SECONDS", "0")
    for cached in (settings, steps._store, steps._archive, steps._reference):
        cached.cache_clear()
    try:
        cut(server, delivery, "thang7.xml.part", after=1 << 12, kilobits=200)
        assert steps.run_all("test")["received"] == 0
        client = server.client()
        client.do(f"reput {delivery} /inbox/thang7.xml.part", "rename /inbox/thang7.xml.part /inbox/thang7.xml")
        assert steps.run_all("test") == {"received": 1, "answered": 1, "quarantined": 0, "failed": 0}
        assert client.names("/inbox") == []
        (folder,) = [name for name in client.names("/outbox") if not name.endswith((".json", "aaaaaaaa"))]
        client.do(f"get -r /outbox/{folder} {tmp_path}/answer")
    finally:
        for cached in (settings, steps._store, steps._archive, steps._reference):
            cached.cache_clear()
    answer = tmp_path / "answer"
    assert {path.name for path in answer.iterdir()} >= {"receipt.json", "report.json", "report.html", "report.xlsx"}
    report = json.loads((answer / "report.json").read_text("utf-8"))
    assert report["delivery"]["file"] == "thang7.xml"
    assert report["delivery"]["status"] == "appraised"
    receipt = json.loads((answer / "receipt.json").read_text("utf-8"))
    assert receipt["sha256"] == report["delivery"]["sha256"]
