"""`make up` and `make down`: PostgreSQL and Airflow in the background, with live inboxes, under var/up."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import demo
import psutil

from claim_airflow.local import HEALTHY_SECONDS, STOP_SECONDS, USER, LocalAirflow
from claim_pipeline.errors import GiamdinhError
from claim_pipeline.store import embedded

REPOSITORY = Path(__file__).parents[1]
HOME = REPOSITORY / "var" / "up"
STATE = HOME / "serving.json"  # pid, start time of that process, port


def serving() -> dict[str, float] | None:
    """pid, started and port of the process that keeps all running, if it lives."""
    try:
        state: dict[str, float] = json.loads(STATE.read_text("utf-8"))
        process = psutil.Process(int(state["pid"]))
        alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        return state if alive and abs(process.create_time() - state["started"]) < 1 else None
    except (OSError, ValueError, KeyError, psutil.Error):
        return None


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5):
            return (HOME / "ready").exists()
    except OSError:
        return False


def up(port: int, empty: bool) -> int:
    state = serving()
    if state is None:
        HOME.mkdir(parents=True, exist_ok=True)
        (HOME / "ready").unlink(missing_ok=True)
        embedded.stop(HOME)  # of a run that was killed
        command = [sys.executable, __file__, "serve", "--port", str(port), *(["--empty"] if empty else [])]
        with (HOME / "serve.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        print("Đang khởi động PostgreSQL và Airflow… Starting PostgreSQL and Airflow…", flush=True)
        deadline = time.monotonic() + 2 * HEALTHY_SECONDS
        while not healthy(port):
            if process.poll() is not None or time.monotonic() > deadline:
                process.terminate()
                print((HOME / "serve.log").read_text("utf-8", "replace"), file=sys.stderr)
                return 1
            time.sleep(0.5)
    else:
        port = int(state["port"])
    print(
        f"""
  Trang web · Pages      http://localhost:{port}   (mục Giám định · the entry Giám định)
  Tài khoản · User       {USER}, mật khẩu trong · password in {_shown(HOME / "airflow" / "passwords.json")}
  Thả tệp · Inboxes      {_shown(HOME / "inbox")}/<mã CSKCB>/
  Trả lời · Outboxes     {_shown(HOME / "outbox")}/<mã CSKCB>/
  Danh mục · Reference   {_shown(HOME / "reference")}/
  Nhật ký · Logs         {_shown(HOME / "logs")}/
  Dừng · Stop            make down
"""
    )
    return 0


def down() -> int:
    state = serving()
    if state is not None:
        process = psutil.Process(int(state["pid"]))
        process.terminate()
        try:
            process.wait(3 * STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()  # its children end with it (claim_airflow.local)
    embedded.stop(HOME)
    STATE.unlink(missing_ok=True)
    print("Đã dừng; dữ liệu vẫn còn. Stopped; the data are kept.")
    return 0


def serve(port: int, empty: bool) -> int:
    """What `up` leaves running: everything until SIGTERM, or until a process of Airflow ends by itself."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    fresh = not (HOME / "postgres").exists()
    started = psutil.Process().create_time()
    STATE.write_text(json.dumps({"pid": os.getpid(), "started": started, "port": port}), "utf-8")
    with LocalAirflow(HOME, port=port) as airflow:
        airflow.wait_until_healthy()
        (HOME / "ready").touch()
        if fresh and not empty:
            stage = HOME / "stage"
            demo.simulated(demo.simulate(stage))
            demo.load_reference(airflow, stage)
            for path in demo.in_turns(stage):
                demo.drop(path, HOME / "inbox")
        while True:
            airflow.check()
            time.sleep(2)


def _shown(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("up", "down", "serve"))
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--empty", action="store_true", help="without the simulated hospitals of a first start")
    given = parser.parse_args()
    try:
        sys.exit(
            down() if given.command == "down" else {"up": up, "serve": serve}[given.command](given.port, given.empty)
        )
    except GiamdinhError as error:
        sys.exit(f"{error.message_vi}\n{error.message_en}")
