"""Killed at every point there is, and run again: nothing is lost, nothing is doubled."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from claim_pipeline.faults import POINTS
from claim_simulator import simulate

ROOT = Path(__file__).parents[2]
FACILITY = "27001"

# Loads everything once, then forks a child for each run, as a scheduler does for its tasks.
SERVER = """
import json, os, sys
from pathlib import Path
from claim_airflow.preload import preload
preload()
import alembic.command, claim_pipeline.store.store
from claim_pipeline import faults, inbox, steps
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    children = []
    for _ in range(order["processes"]):
        child = os.fork()
        if not child:
            os.environ.update(order["environment"])
            faults.arm(order["kill"])
            if order["processes"] == 1:
                inbox._LEFT_OVER_SECONDS = 0.0  # nobody else can be in the middle of a removal
            try:
                steps.run_all("test")
            except BaseException:
                import traceback; traceback.print_exc()
                os._exit(1)
            os._exit(0)
        children.append(child)
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]), flush=True)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the hospital drops: a claim, the same claim corrected, another claim, a repeat, and no delivery at all."""
    out = tmp_path_factory.mktemp("hospital")
    simulate(facilities=1, claims=3, month="202607", fault_rate=0, seed=5, out=out)
    document = etree.parse(min((out / "inbox" / FACILITY).iterdir()))
    claims = document.findall(".//HOSO")

    def alone(claim: etree._Element) -> bytes:
        whole = document.find(".//DANHSACHHOSO")
        for other in whole.findall("HOSO"):
            whole.remove(other)
        whole.append(claim)
        document.find(".//SOLUONGHOSO").text = "1"
        return etree.tostring(document)

    first = alone(claims[0])
    content = claims[0].find("FILEHOSO/NOIDUNGFILE")
    head = etree.fromstring(base64.b64decode(content.text))
    head.find("GHI_CHU").text = "Đã sửa"
    content.text = base64.b64encode(etree.tostring(head)).decode()
    return {
        "a.xml": first,
        "a-corrected.xml": alone(claims[0]),
        "no-delivery.xml": b"not a delivery",
        "a-again.xml": first,
    }


@pytest.fixture(scope="module")
def server() -> Iterator[Callable[..., list[int]]]:
    """Runs `steps.run_all` in processes of their own, to be killed at a point; gives their exit codes."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"

        def run(home: Path, url: str, kill: str | None = None, processes: int = 1, attempts: int = 3) -> list[int]:
            variables = {
                "GIAMDINH_HOME": str(home), "GIAMDINH_DATABASE_URL": url, "GIAMDINH_SETTLE_SECONDS": "0",
                "GIAMDINH_ATTEMPTS": str(attempts),
            }  # fmt: skip
            order = {"environment": variables, "kill": kill, "processes": processes}
            print(json.dumps(order), file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())

        yield run
        process.stdin.close()


@pytest.fixture(scope="module")
def new_place(
    tmp_path_factory: pytest.TempPathFactory, make_url: Callable[[], str], files: dict[str, bytes]
) -> Callable[[str], tuple[Path, str]]:
    """Makes a home with the files in its inbox, and a database."""

    def make(name: str) -> tuple[Path, str]:
        home = tmp_path_factory.mktemp(re.sub(r"\W", "-", name))
        inbox = home / "inbox" / FACILITY
        inbox.mkdir(parents=True)
        for age, (file, content) in enumerate(files.items()):
            (inbox / file).write_bytes(content)
            os.utime(inbox / file, (1_700_000_000 + age,) * 2)
        return home, make_url()

    return make


_FOLDER = re.compile(r"\d{8}-\d{6}-([0-9a-f]{8})")
_TIMED = (
    (_FOLDER, r"\1"),  # the name of an answer folder
    (re.compile(r"('appraised', '[^']*', '[0-9a-f]{64}', )'[0-9a-f]{64}'"), r"\1report"),  # it states the time
    (re.compile(r"('recorded', '[^']*', )'[0-9a-f]{64}'"), r"\1report"),
    (re.compile(r"'repeat_of': \d+"), "'repeat_of': first"),
)


def database(rows: dict[str, list[str]]) -> dict[str, list[str]]:
    """All business tables in no order, without times and numbers."""
    out = {}
    for table, found in rows.items():
        for pattern, instead in _TIMED:
            found = [pattern.sub(instead, row) for row in found]
        out[table] = sorted(found)
    return out


def outbox(home: Path) -> list[tuple[str, list[tuple[str, str]]]]:
    """Every answer: name of its folder without the time, its files; of texts the content without times and numbers."""

    def content(path: Path) -> str:
        if path.suffix != ".json":
            return path.read_text("utf-8") if path.suffix == ".xml" else ""
        text = re.sub(r'"(received_at|first_received_at)": "[^"]*"', r'"\1"', path.read_text("utf-8"))
        return _FOLDER.sub(r"\1", re.sub(r'"(delivery|repeat_of)": \d+', r'"\1"', text))

    folders = sorted((home / "outbox" / FACILITY).glob("*-*"))
    answers = [(_FOLDER.sub(r"\1", one.name), sorted((f.name, content(f)) for f in one.iterdir())) for one in folders]
    return sorted(answers)


def left_over(home: Path) -> list[Path]:
    """Files that stay in the inbox, and those that were being written in the outbox."""
    return [path for path in (home / "inbox").rglob("*") if path.is_file()] + list((home / "outbox").rglob("*.part"))


# The second time: the corrected claim, when the first is on its way already.
MOMENTS = (
    *POINTS,
    "extract:moved#2",
    "appraise:begun#2",
    "record:written#2",
    "record:committed#2",
    "respond:complete#2",
)
# Each from the start takes two minutes of CPU: KILLS=all. Otherwise these, and all of them in one go.
ALONE = (
    "receive:row",
    "receive:removing",
    "appraise:written",
    "record:written",
    "record:committed",
    "respond:complete",
)


@pytest.fixture(scope="module")
def undisturbed(server: Any, new_place: Any, dump: Any) -> tuple[dict[str, list[str]], list[Any]]:
    """The database and the outbox of a run that nothing disturbs."""
    home, url = new_place("undisturbed")
    assert server(home, url) == [0]
    wanted, answers = database(dump(url)), outbox(home)
    assert len(answers) == 4
    assert len(wanted["claim_version"]) == 2
    assert "SIG-004" in str(wanted["finding"])
    return wanted, answers


def told(capsys: pytest.CaptureFixture[str], title: str, table: list[tuple[str, int, int]]) -> None:
    rows = [f"{moment:<22} {deliveries:>10} {folders:>8}   as undisturbed" for moment, deliveries, folders in table]
    head = f"\n{title:<22} {'deliveries':>10} {'answers':>8}   after the next run"
    with capsys.disabled():
        sys.stdout.write("\n".join([head, *rows, ""]))


def seen(home: Path, url: str, dump: Any) -> tuple[int, int]:
    answers = [one for one in outbox(home) if any(name == "report.json" for name, _ in one[1])]
    return len(dump(url)["delivery"]), len(answers)


def test_killed_anywhere_and_run_again_all_is_as_undisturbed(
    server: Any, new_place: Any, undisturbed: Any, dump: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    table = []
    for moment in MOMENTS if os.environ.get("KILLS") == "all" else ALONE:
        home, url = new_place(moment)
        assert server(home, url, kill=moment) == [-signal.SIGKILL], f"{moment} was not passed"
        table.append((moment, *seen(home, url, dump)))
        assert server(home, url) == [0]
        assert (database(dump(url)), outbox(home)) == undisturbed, moment
        assert left_over(home) == [], moment
    told(capsys, "killed at", table)


def test_killed_everywhere_on_the_way_of_the_same_files_all_is_as_undisturbed(
    server: Any, new_place: Any, undisturbed: Any, dump: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    home, url = new_place("everywhere")
    table = []
    for moment in POINTS:
        assert server(home, url, kill=moment, attempts=99) == [-signal.SIGKILL], f"{moment} was not passed"
        table.append((moment, *seen(home, url, dump)))
    assert server(home, url) == [0]
    assert (database(dump(url)), outbox(home)) == undisturbed
    assert left_over(home) == []
    told(capsys, "killed again at", table)


def test_two_runs_at_once_do_everything_once(server: Any, new_place: Any, undisturbed: Any, dump: Any) -> None:
    home, url = new_place("together")
    assert server(home, url, processes=2) == [0, 0]
    assert (database(dump(url)), outbox(home)) == undisturbed
    assert left_over(home) == []


def test_what_kills_every_process_is_failed_after_a_few_and_its_hospital_told(
    server: Any, new_place: Any, dump: Any
) -> None:
    home, url = new_place("poison")
    for _ in range(3):
        assert server(home, url, kill="validate:begun") == [-signal.SIGKILL]
    assert server(home, url) == [0]
    failed = [row for row in dump(url)["delivery"] if "'failed'" in row]
    assert len(failed) == 1
    reports = [json.loads(path.read_text("utf-8")) for path in (home / "outbox" / FACILITY).glob("*/report.json")]
    (report,) = [one for one in reports if (one["delivery"]["reason"] or {}).get("code") == "not-processed"]
    assert report["delivery"]["status"] == "quarantined"
    assert "không mất dữ liệu" in report["delivery"]["reason"]["message_vi"]
    assert "nothing is lost" in report["delivery"]["reason"]["message_en"]
    assert report["claims"] == []
