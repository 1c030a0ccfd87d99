"""`make up` and `make down`: PostgreSQL, Airflow and SFTP in the background, with live inboxes, under var/up."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import demo
import psutil

from claim_airflow.local import HEALTHY_SECONDS, STOP_SECONDS, USER, LocalAirflow
from claim_pipeline.errors import GiamdinhError
from claim_pipeline.store import embedded

REPOSITORY = Path(__file__).parents[1]


class Serving:
    """The process that keeps everything of one home running, as its state file tells: pid, start time, ports, ready."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.path = self.home / "serving.json"

    def write(self, port: int, sftp_port: int, *, ready: bool) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        started = psutil.Process().create_time()
        state = {"pid": os.getpid(), "started": started, "port": port, "sftp_port": sftp_port, "ready": ready}
        aside = self.path.with_suffix(".part")
        aside.write_text(json.dumps(state), "utf-8")
        os.replace(aside, self.path)

    def state(self) -> dict[str, float]:
        """What the file says, if that very process still lives; else empty."""
        try:
            state: dict[str, float] = json.loads(self.path.read_text("utf-8"))
            process = psutil.Process(int(state["pid"]))
            same = abs(process.create_time() - state["started"]) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, KeyError, psutil.Error):
            return {}
        return state if same else {}


def up(home: Path, port: int, sftp_port: int, empty: bool) -> int:
    serving = Serving(home)
    if not serving.state():
        for number, other in ((port, "PORT=8081"), (sftp_port, "SFTP_PORT=2223")):
            if port_taken(number):
                print(
                    f"Cổng {number} đang được dùng; chọn cổng khác: make up {other}\n"
                    f"Port {number} is in use; choose another: make up {other}",
                    file=sys.stderr,
                )
                return 1
        home.mkdir(parents=True, exist_ok=True)
        ports = ["--port", str(port), "--sftp-port", str(sftp_port)]
        command = [sys.executable, __file__, "serve", "--home", str(home), *ports]
        with (home / "serve.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, *(["--empty"] if empty else [])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        print("Đang khởi động PostgreSQL và Airflow… Starting PostgreSQL and Airflow…", flush=True)
        deadline = time.monotonic() + 2 * HEALTHY_SECONDS
        while not serving.state().get("ready"):
            if process.poll() is not None or time.monotonic() > deadline:
                process.terminate()
                print((home / "serve.log").read_text("utf-8", "replace"), file=sys.stderr)
                return 1
            time.sleep(0.5)
    shown = home.relative_to(REPOSITORY) if home.is_relative_to(REPOSITORY) else home
    print(
        f"""
  Trang web · Pages      http://localhost:{int(serving.state()["port"])}   (mục Giám định · the entry Giám định)
  Tài khoản · User       {USER}, mật khẩu trong · password in {shown}/airflow/passwords.json
  Thả tệp · Inboxes      {shown}/inbox/<mã CSKCB>/
  Trả lời · Outboxes     {shown}/outbox/<mã CSKCB>/
  SFTP                   sftp -P {int(serving.state()["sftp_port"])} <mã CSKCB>@localhost
                         tạo tài khoản · make an account: GIAMDINH_HOME={shown} .venv/bin/giamdinh sftp add <mã CSKCB>
  Danh mục · Reference   {shown}/reference/
  Nhật ký · Logs         {shown}/logs/
  Dừng · Stop            make down
"""
    )
    return 0


def down(home: Path) -> int:
    state = Serving(home).state()
    if state:
        process = psutil.Process(int(state["pid"]))
        process.terminate()
        try:
            process.wait(3 * STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()  # what it started ends with it (claim_airflow.local)
    embedded.stop(home)
    print("Đã dừng; dữ liệu vẫn còn. Stopped; the data are kept.")
    return 0


def serve(home: Path, port: int, sftp_port: int, empty: bool) -> int:
    """What `up` leaves running: everything until SIGTERM, or until a process of Airflow ends by itself."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    serving = Serving(home)
    serving.write(port, sftp_port, ready=False)
    fresh = not (home / "postgres").exists()
    embedded.stop(home)  # of a run that was killed
    with LocalAirflow(home, port=port, settings={"GIAMDINH_SFTP_PORT": str(sftp_port)}) as airflow:
        airflow.run_beside("sftp", [sys.executable, "-m", "giamdinh", "sftp"])
        airflow.wait_until_healthy()
        airflow.wait_for(lambda: port_taken(sftp_port), HEALTHY_SECONDS, "SFTP listens")
        serving.write(port, sftp_port, ready=True)
        if fresh and not empty:
            stage = home / "stage"
            demo.simulated(demo.simulate(stage), stage)
            demo.load_reference(airflow, stage)
            for path in demo.in_turns(stage):
                demo.drop(path, home / "inbox")
        while True:
            airflow.check()
            time.sleep(2)


def port_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("up", "down", "serve"))
    parser.add_argument("--home", type=Path, default=REPOSITORY / "var" / "up")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--sftp-port", type=int, default=2222)
    parser.add_argument("--empty", action="store_true", help="without the simulated hospitals of a first start")
    given = parser.parse_args()
    try:
        if given.command == "down":
            sys.exit(down(given.home.resolve()))
        sys.exit(
            {"up": up, "serve": serve}[given.command](given.home.resolve(), given.port, given.sftp_port, given.empty)
        )
    except GiamdinhError as error:
        sys.exit(f"{error.message_vi}\n{error.message_en}")
