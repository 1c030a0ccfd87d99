"""The whole way without Airflow: from inbox to outbox, on a real PostgreSQL, whatever happens on the way."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from claim_pipeline import faults, steps
from claim_pipeline.errors import OperatorError
from claim_pipeline.settings import settings
from claim_simulator import simulate

ROOT = Path(__file__).parents[2]
FACILITY = "27001"


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated deliveries of one facility that sends claim XML, without faults: 60 claims in several files."""
    out = tmp_path_factory.mktemp("hospital")
    simulate(facilities=1, claims=60, month="202607", fault_rate=0, seed=5, out=out)
    assert {path.suffix for path in (out / "inbox" / FACILITY).iterdir()} == {".xml"}
    return out


@pytest.fixture
def place(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own with its own database; inboxes, outboxes, archive and working folders lie under it."""
    monkeypatch.setenv("GIAMDINH_HOME", str(tmp_path))
    monkeypatch.setenv("GIAMDINH_DATABASE_URL", url)
    monkeypatch.setenv("GIAMDINH_SETTLE_SECONDS", "0")
    forget()
    (tmp_path / "inbox" / FACILITY).mkdir(parents=True)
    yield tmp_path
    forget()


def forget() -> None:
    settings.cache_clear()
    for cached in (steps._store, steps._archive, steps._reference):
        cached.cache_clear()


def drop(place: Path, source: Path | bytes, name: str = "thang7.xml", facility: str = FACILITY) -> None:
    folder = place / "inbox" / facility
    folder.mkdir(exist_ok=True)
    aside = folder / f"{name}.part"
    if isinstance(source, bytes):
        aside.write_bytes(source)
    else:
        shutil.copyfile(source, aside)
    aside.rename(folder / name)


def reports(place: Path, facility: str = FACILITY) -> list[dict[str, Any]]:
    found = sorted((place / "outbox" / facility).glob("*/report.json"))
    return [json.loads(path.read_text("utf-8")) for path in found]


def receipts(place: Path, facility: str = FACILITY) -> list[dict[str, Any]]:
    found = sorted((place / "outbox" / facility).glob("*/receipt.json"))
    return [json.loads(path.read_text("utf-8")) for path in found]


def first_file(hospital: Path) -> Path:
    return min((hospital / "inbox" / FACILITY).iterdir())


def claims_of(document: etree._ElementTree) -> list[etree._Element]:
    return document.findall(".//HOSO")


def with_claims(hospital: Path, count: int) -> etree._ElementTree:
    """One file of so many claims, put together from all files of the hospital."""
    files = sorted((hospital / "inbox" / FACILITY).iterdir())
    document = etree.parse(files[0])
    whole = document.find(".//DANHSACHHOSO")
    for path in files[1:]:
        whole.extend(claims_of(etree.parse(path)))
    for claim in claims_of(document)[count:]:
        whole.remove(claim)
    document.find(".//SOLUONGHOSO").text = str(count)
    return document


def told(claim: dict[str, Any]) -> list[str]:
    """Rules of the findings of a claim; these claims come long after their visits (SUB-001), which is not the point."""
    return [finding["rule"] for finding in claim["findings"] if finding["rule"] != "SUB-001"]


def test_one_broken_claim_among_fifty_harms_no_other(place: Path, hospital: Path) -> None:
    document = with_claims(hospital, 50)
    content = claims_of(document)[20].findall("FILEHOSO/NOIDUNGFILE")[1]
    content.text = content.text[:40] + "!!!!" + content.text[44:]
    drop(place, etree.tostring(document))
    assert steps.run_all("test") == {"received": 1, "answered": 1, "quarantined": 0, "failed": 0}
    [report] = reports(place)
    assert report["totals"]["claims"] == 50
    assert report["totals"]["accepted"] == 49
    broken = report["claims"][20]
    assert broken["outcome"] == "rejected"
    assert [finding["rule"] for finding in broken["findings"]] == ["STR-002"]
    assert all(told(claim) == [] for claim in report["claims"] if claim is not broken)
    [row] = steps._store().summary()
    assert (row["claims"], row["accepted"], row["rejected"]) == (50, 49, 1)
    assert not list((place / "inbox" / FACILITY).iterdir())


@pytest.mark.parametrize("count", [2, 3, 17])
def test_no_claim_of_a_file_with_several_is_dropped(place: Path, hospital: Path, count: int) -> None:
    document = with_claims(hospital, count)
    sent = [
        etree.fromstring(base64.b64decode(claim.findtext("FILEHOSO/NOIDUNGFILE"))).findtext("MA_LK")
        for claim in claims_of(document)
    ]
    drop(place, etree.tostring(document))
    steps.run_all("test")
    [report] = reports(place)
    assert [claim["MA_LK"] for claim in report["claims"]] == sent
    assert len(set(sent)) == count


def test_a_claim_that_came_before_with_other_content_is_named(place: Path, hospital: Path) -> None:
    document = with_claims(hospital, 3)
    drop(place, etree.tostring(document), "first.xml")
    steps.run_all("test")
    content = claims_of(document)[1].find("FILEHOSO/NOIDUNGFILE")
    head = etree.fromstring(base64.b64decode(content.text))
    head.find("GHI_CHU").text = "Đã sửa"
    content.text = base64.b64encode(etree.tostring(head)).decode()
    drop(place, etree.tostring(document), "second.xml")
    assert steps.run_all("test")["answered"] == 1
    earlier, later = sorted(reports(place), key=lambda report: report["delivery"]["file"])
    assert "SIG-004" in earlier["rules_run"]
    assert [told(claim) for claim in earlier["claims"]] == [[], [], []]
    assert [told(claim) for claim in later["claims"]] == [[], ["SIG-004"], []]
    assert [claim["outcome"] for claim in later["claims"]] == ["accepted"] * 3


def test_the_same_file_twice_is_one_result_and_a_repeat(place: Path, hospital: Path, dump: Any, url: str) -> None:
    drop(place, first_file(hospital))
    steps.run_all("test")
    before = dump(url)
    drop(place, first_file(hospital), "gui-lai.xml")
    assert steps.run_all("test")["received"] == 0
    first, second = receipts(place)
    assert (first["repeat"], second["repeat"]) == (False, True)
    one, two = reports(place)
    assert one == two
    after = dump(url)
    for table in ("claim", "claim_version", "claim_line", "finding"):
        assert after[table] == before[table]
    assert len(after["delivery"]) == 2
    [row] = steps._store().summary()
    assert row["repeats"] == 1


def test_a_repeat_dropped_before_the_first_is_answered_is_answered_too(place: Path, hospital: Path) -> None:
    drop(place, first_file(hospital))
    drop(place, first_file(hospital), "gui-lai.xml")
    assert len(steps.receive("test")) == 1
    assert [receipt["repeat"] for receipt in receipts(place)].count(True) == 1
    steps.run_all("test")
    assert len(reports(place)) == 2


def test_a_quarantined_delivery_is_answered_and_the_others_go_on(place: Path, hospital: Path) -> None:
    drop(place, b"not a delivery", "a.xml")
    drop(place, first_file(hospital), "b.xml")
    drop(place, first_file(hospital), "b.xml", facility="27999")
    counts = steps.run_all("test")
    assert counts == {"received": 3, "answered": 3, "quarantined": 2, "failed": 0}
    by_file = {report["delivery"]["file"]: report for report in reports(place)}
    assert by_file["a.xml"]["delivery"]["reason"]["code"] == "not-a-delivery"
    assert by_file["a.xml"]["claims"] == []
    assert by_file["b.xml"]["delivery"]["status"] == "appraised"
    [foreign] = reports(place, "27999")
    assert foreign["delivery"]["reason"]["code"] == "wrong-facility"
    assert FACILITY not in json.dumps(foreign["claims"])


def test_every_step_twice_changes_nothing(place: Path, hospital: Path, dump: Any, url: str) -> None:
    drop(place, first_file(hospital))
    [delivery] = steps.receive("test")
    for step in steps.STEPS[1:]:
        assert steps.run_step(step, [delivery], actor="test")["done"] == 1
        once = dump(url)
        assert steps.run_step(step, [delivery], actor="test")["done"] == 0
        assert dump(url) == once
    assert steps.batches() == []


def test_a_lost_working_folder_is_made_anew_from_the_archive(place: Path, hospital: Path) -> None:
    drop(place, first_file(hospital))
    [delivery] = steps.receive("test")
    for step in ("extract", "transform", "validate", "appraise"):
        steps.run_step(step, [delivery], actor="test")
    shutil.rmtree(place / "work")
    for step in ("record", "respond"):
        assert steps.run_step(step, [delivery], actor="test")["done"] == 1
    [report] = reports(place)
    assert report["totals"]["accepted"] == report["totals"]["claims"] > 0


def test_an_error_of_ours_is_tried_again_and_says_nothing_about_claims(
    place: Path, hospital: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from claim_pipeline import validate

    drop(place, first_file(hospital))
    [delivery] = steps.receive("test")
    steps.run_step("extract", [delivery], actor="test")
    steps.run_step("transform", [delivery], actor="test")

    def breaks(ws: Any) -> None:
        raise RuntimeError("Nguyễn Văn Mẫu GD4272700000001")

    with monkeypatch.context() as patched:
        patched.setattr(validate, "run", breaks)
        with pytest.raises(steps.StepFailed) as raised:
            steps.run_step("validate", [delivery], actor="test", last_try=False)
        assert steps.run_step("validate", [delivery], actor="test")["failed"] == 1
        assert steps.batches() == []
        assert steps.run_step("appraise", [delivery], actor="test")["failed"] == 1
    assert isinstance(raised.value, OperatorError)
    assert "Nguyễn" not in caplog.text + str(raised.value) + json.dumps(steps._store().events(delivery), default=str)
    (interim,) = reports(place)
    assert (interim["delivery"]["status"], interim["delivery"]["reason"]["code"]) == ("quarantined", "not-processed")
    assert interim["claims"] == []
    assert ("not-processed", FACILITY) in [(one.kind, one.facility) for one in steps._store().notices()]
    assert steps.run_all("test")["answered"] == 1
    (answer,) = reports(place)
    assert answer["delivery"]["status"] == "appraised"


def test_a_file_that_changes_while_it_is_read_is_left_for_the_next_look(
    place: Path, hospital: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from claim_pipeline.archive import Archive

    drop(place, first_file(hospital))
    put = Archive.put

    def grows(self: Archive, path: Path) -> tuple[str, str, int]:
        stored = put(self, path)
        with path.open("ab") as file:
            file.write(b"\n")
        return stored

    with monkeypatch.context() as patched:
        patched.setattr(Archive, "put", grows)
        assert steps.receive("test") == []
    assert len(steps.receive("test")) == 1


DRIVER = """
import sys, threading
from pathlib import Path
from claim_pipeline.store import recording
write = recording.Recording._write_decided
def held(self, *arguments):
    Path(sys.argv[1]).touch()
    threading.Event().wait()
recording.Recording._write_decided = held
from claim_pipeline import steps
steps.run_all("test")
"""


def test_killed_in_the_middle_of_record_and_run_again_is_as_undisturbed(
    place: Path, hospital: Path, make_url: Callable[[], str], dump: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (hospital / "inbox" / FACILITY).iterdir():
        drop(place, path, path.name)
    marker = place / "in-record"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"}
    process = subprocess.Popen([sys.executable, "-c", DRIVER, str(marker)], env=environment, cwd=place)
    try:
        while not marker.exists():
            assert process.poll() is None
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert reports(place) == []
    assert dump(url)["claim"] == []
    steps.run_all("test")
    disturbed = dump(url)

    other = make_url()
    monkeypatch.setenv("GIAMDINH_HOME", str(place / "other"))
    monkeypatch.setenv("GIAMDINH_DATABASE_URL", other)
    forget()
    (place / "other" / "inbox").mkdir(parents=True)
    for path in (hospital / "inbox" / FACILITY).iterdir():
        drop(place / "other", path, path.name)
    steps.run_all("test")
    undisturbed = dump(other)
    for name in disturbed:
        assert without_answer(disturbed[name]) == without_answer(undisturbed[name]), name


TIMED = (
    (r"\d{8}-\d{6}-", ""),  # the name of the answer folder
    (r"('appraised', '[^']*', '[0-9a-f]{64}', )'[0-9a-f]{64}'", r"\1report"),
    (r"('recorded', '[^']*', )'[0-9a-f]{64}'", r"\1report"),
)


def without_answer(rows: list[str]) -> list[str]:
    """Rows without what tells the time of receipt: the answer folder, and the hash of the report that states it."""
    for pattern, instead in TIMED:
        rows = [re.sub(pattern, instead, row) for row in rows]
    return sorted(rows)


def test_odd_files_are_answered_or_refused_and_never_block_the_folder(
    place: Path, hospital: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from claim_pipeline.archive import Archive

    folder = place / "inbox" / FACILITY
    drop(place, b"", "rỗng.xml")
    drop(place, first_file(hospital), "tháng 7.xml")
    drop(place, b"sent in part", "sai-mã.zip")
    (folder / "sai-mã.zip.sha256").write_text("0" * 64)
    (folder / "liên-kết.xml").symlink_to(place / "secret")
    os.mkfifo(folder / "pipe.xml")
    drop(place, b"not permitted", "locked.xml")
    monkeypatch.setenv("GIAMDINH_CHECKSUM_MINUTES", "0")
    settings.cache_clear()
    put = Archive.put

    def refuses(self: Archive, path: Path) -> Any:
        if path.name == "locked.xml":
            raise PermissionError(13, "Permission denied")
        return put(self, path)

    monkeypatch.setattr(Archive, "put", refuses)
    assert steps.run_all("test")["answered"] == 3
    by_file = {report["delivery"]["file"]: report["delivery"] for report in reports(place)}
    assert by_file["rỗng.xml"]["reason"]["code"] == "not-a-delivery"
    assert by_file["sai-mã.zip"]["reason"]["code"] == "checksum-mismatch"
    assert by_file["tháng 7.xml"]["status"] == "appraised"
    left = {path.name for path in folder.iterdir()}
    assert left == {"liên-kết.xml", "pipe.xml", "locked.xml"}
    seen = {(one.kind, one.name) for one in steps._store().notices()}
    assert {("link", "liên-kết.xml"), ("pipe", "pipe.xml"), ("unreadable", "locked.xml")} <= seen
    assert "checksum-mismatch" in {kind for kind, _ in seen}

    # with the right checksum, the same bytes are no repeat of what was damaged on the way
    drop(place, b"sent in part", "sai-mã.zip")
    steps.run_all("test")
    again = [one for one in reports(place) if one["delivery"]["file"] == "sai-mã.zip"]
    assert {one["delivery"]["reason"]["code"] for one in again} == {"checksum-mismatch", "not-a-delivery"}


def test_a_full_disk_loses_nothing_and_fails_no_delivery(
    place: Path, hospital: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from claim_pipeline import validate
    from claim_pipeline.archive import Archive

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    drop(place, first_file(hospital))
    with monkeypatch.context() as patched:
        patched.setattr(Archive, "put", full)
        with pytest.raises(OperatorError, match="disk-full"):
            steps.run_all("test")
    assert [path.name for path in (place / "inbox" / FACILITY).iterdir()] == ["thang7.xml"]
    with monkeypatch.context() as patched:
        patched.setattr(validate, "run", full)
        with pytest.raises(steps.StepFailed):
            steps.run_all("test")
    assert [row.status for row in steps._store().unanswered()] == ["transformed"]
    assert reports(place) == []
    assert steps.run_all("test")["answered"] == 1


def test_another_facilitys_file_is_told_to_the_operator_and_not_to_that_facility(place: Path, hospital: Path) -> None:
    drop(place, first_file(hospital), "của-người-khác.xml", facility="27999")
    steps.run_all("test")
    assert not (place / "outbox" / FACILITY).exists()
    (notice,) = [one for one in steps._store().notices() if one.kind == "wrong-facility"]
    assert (notice.facility, notice.detail["file"]) == ("27999", "của-người-khác.xml")


def test_one_file_is_received_while_hundreds_of_another_facility_are_being_taken(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from claim_pipeline.store.store import Store

    for n in range(200):
        drop(place, f"{n}".encode(), f"{n}.xml")
    monkeypatch.setenv("GIAMDINH_POLL_SECONDS", "0")
    settings.cache_clear()
    taken: list[list[str]] = []
    receive_all = Store.receive_all

    def told(self: Store, drops: Any, actor: str) -> Any:
        if not taken:
            drop(place, b"one", "one.xml", facility="27002")
        taken.append([one.facility for one in drops])
        return receive_all(self, drops, actor)

    monkeypatch.setattr(Store, "receive_all", told)
    assert len(steps.receive("test")) == 201
    assert "27002" in taken[1]
    assert len(receipts(place, "27002")) == 1


def test_a_batch_is_of_one_facility_and_those_that_waited_longest_come_first(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIAMDINH_BATCH_DELIVERIES", "3")
    monkeypatch.setenv("GIAMDINH_BATCHES_PER_RUN", "2")
    settings.cache_clear()
    for facility, files in (("27001", 8), ("27002", 2), ("27003", 1)):
        for n in range(files):
            drop(place, f"{facility} {n}".encode(), f"{n}.xml", facility=facility)
    steps.receive("test")

    def work() -> list[tuple[str, int]]:
        now = steps.batches()
        for step in steps.STEPS[1:]:
            for batch in now:
                steps.run_step(step, batch["deliveries"], actor="test")
        return [(batch["facility"], len(batch["deliveries"])) for batch in now]

    first, second, third, fourth = work(), work(), work(), work()
    assert len(first) == 2
    assert ("27003", 1) in first + second
    assert {name for name, _ in first + second} == {"27001", "27002", "27003"}
    assert sum(count for _, count in first + second + third + fourth) == 11
    assert work() == []


def pages(place: Path) -> dict[str, str]:
    """The pages of Data Docs on deliveries, by their path."""
    found = (place / "data-docs").glob("*/*/[0-9]*.html")
    return {str(path.relative_to(place / "data-docs")): path.read_text("utf-8") for path in found}


def test_data_docs_follow_the_answers_and_are_made_again_from_the_records(
    place: Path, hospital: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from claim_pipeline.data_docs import Site, result_page
    from giamdinh import app

    def broken(*_: object) -> str:
        raise RuntimeError("Nguyễn Văn A")

    first, second = sorted((hospital / "inbox" / FACILITY).iterdir())[:2]
    drop(place, first, "first.xml")
    drop(place, b"no claim file", "other.txt")
    steps.run_all("test")
    made = pages(place)
    assert list(made) == [f"202607/{FACILITY}/1.html"]
    assert hashlib.sha256(first.read_bytes()).hexdigest() in made[f"202607/{FACILITY}/1.html"]
    assert "first.xml" not in made[f"202607/{FACILITY}/1.html"]  # a name may say whose claim it is

    with monkeypatch.context() as patch:
        patch.setattr(result_page, "render", broken)
        drop(place, second, "second.xml")
        assert steps.run_all("test") == {"received": 1, "answered": 1, "quarantined": 0, "failed": 0}
        assert pages(place) == made
    with monkeypatch.context() as patch:  # the folder cannot be written: an operator's matter, no delivery's
        patch.setenv("GIAMDINH_DATA_DOCS", str(first / "below a file"))
        settings.cache_clear()
        with pytest.raises(OperatorError) as raised:
            steps.document([3])
        assert raised.value.code == "data-docs-not-written"
    settings.cache_clear()

    assert steps.document([3], seconds=-1)["left"] == 1  # no time now: not forgotten
    with Site(place / "data-docs").alone() as mine:
        assert mine
        assert steps.document(seconds=0.5) == {"made": 0, "without": 0, "failed": 0, "left": 1}  # nor waited for
    done = CliRunner().invoke(app, ["docs", "build"])
    assert (done.exit_code, "đã lập 1" in done.output) == (0, True)
    both = pages(place)
    assert sorted(both) == [f"202607/{FACILITY}/1.html", f"202607/{FACILITY}/3.html"]

    shutil.rmtree(place / "data-docs")
    shutil.rmtree(place / "work")  # the records are in the database
    assert CliRunner().invoke(app, ["docs", "build", "--month", "202606"]).exit_code == 0
    assert pages(place) == {}
    assert CliRunner().invoke(app, ["docs", "build", "--month", "202607"]).exit_code == 0
    assert pages(place) == both


def test_a_file_that_becomes_whole_while_others_are_worked_on_is_taken_too(
    place: Path, hospital: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *_ = sorted((hospital / "inbox" / FACILITY).iterdir())
    drop(place, first)
    appraise = steps.step_on_files

    def meanwhile(step: str, *given: Any, **named: Any) -> None:
        if not (place / "seen").exists():
            drop(place, second, "sau.xml")
            (place / "seen").touch()
        appraise(step, *given, **named)

    monkeypatch.setattr(steps, "step_on_files", meanwhile)
    assert steps.run_all("test")["answered"] == 2


def stay_file(folder: Path, name: str, start: str, end: str, facility: str) -> Path:
    """A claim XML of one inpatient stay of one invented person."""
    from claim_pipeline.transform.submission import write_submission
    from claim_rules import cases

    inpatient = {
        "MA_LOAI_KCB": "03", "NGAY_VAO_NOI_TRU": start, "LY_DO_VNT": "Sốt cao", "PP_DIEU_TRI": "Kháng sinh",
        "MA_LK": name, "NGAY_VAO": start, "NGAY_RA": end, "MA_CSKCB": facility,
    }  # fmt: skip
    at = {"NGAY_YL": start}
    given = {
        "facility": facility, "XML1": inpatient, "XML2": {1: at},
        "XML3": {1: at, 2: at | {"NGAY_TH_YL": start, "NGAY_KQ": end}},
    }  # fmt: skip
    tables = cases.build(cases.WorkedCase(name, "", "stay", (), given=given))
    out = folder / f"{name}-{end}.xml"
    write_submission(out, tables, facility, "20250901")
    return out


OTHER = "27002"
# B overlaps A at another facility by a day; A is then corrected and ends before B begins; C begins a day after B.
SENT = {
    "a.xml": (OTHER, ("A", "202508090800", "202508120900")),
    "b.xml": (FACILITY, ("B", "202508110800", "202508140900")),
    "a2.xml": (OTHER, ("A", "202508090800", "202508110700")),
    "c.xml": (FACILITY, ("C", "202508150700", "202508160900")),
}


def standing(connect: Any, url: str) -> dict[str, tuple[str, list[str]]]:
    """MA_LK -> outcome and rules DUP that stand for the newest version of each claim."""
    with connect(url) as connection:
        rows = connection.execute(
            "SELECT o.ma_lk, o.outcome, coalesce(array_agg(f.rule ORDER BY f.rule) FILTER (WHERE f.rule LIKE 'DUP-%'), "
            "'{}') FROM standing_outcome o LEFT JOIN standing_finding f ON f.version = o.version "
            "WHERE o.newest GROUP BY 1, 2 ORDER BY 1"
        )
        return {name: (outcome, found) for name, outcome, found in rows}


def test_claims_that_a_later_delivery_bears_on_are_appraised_again(place: Path, url: str, connect: Any) -> None:
    for name, (facility, stay) in list(SENT.items())[:2]:
        drop(place, stay_file(place, *stay, facility), name, facility)
        steps.run_all("test")
    assert standing(connect, url) == {"A": ("accepted", []), "B": ("rejected", ["DUP-003"])}
    facility, stay = SENT["a2.xml"]
    drop(place, stay_file(place, *stay, facility), "a2.xml", facility)
    steps.run_all("test")
    assert standing(connect, url) == {"A": ("accepted", []), "B": ("accepted", [])}
    answers = sorted((place / "outbox" / FACILITY).iterdir())
    assert len(answers) == 2  # the facility is told of the change
    assert steps.appraise_affected("test") == dict.fromkeys(steps.AGAIN, 0)


@pytest.mark.parametrize("order", [("a2.xml", "c.xml", "b.xml", "a.xml"), ("b.xml", "a.xml", "c.xml", "a2.xml")])
def test_the_order_in_which_deliveries_are_recorded_makes_no_difference(
    place: Path, url: str, connect: Any, order: tuple[str, ...]
) -> None:
    received = {}
    for name, (facility, stay) in SENT.items():
        drop(place, stay_file(place, *stay, facility), name, facility)
        (received[name],) = steps.receive("test")
    for name in order:
        for step in steps.STEPS[1:]:
            steps.run_step(step, [received[name]], actor="test")
    while any(steps.appraise_affected("test").values()):
        pass
    assert standing(connect, url) == {"A": ("accepted", []), "B": ("accepted", []), "C": ("accepted", ["DUP-011"])}


VISITS = ("visit", "visit_cost", "visit_person", "visit_device", "visit_bed")


def rebuild(*arguments: str, code: int = 0) -> str:
    from typer.testing import CliRunner

    from giamdinh import app

    done = CliRunner().invoke(app, ["history", "rebuild", *arguments])
    assert done.exit_code == code, done.output
    return done.stdout


def test_claims_of_an_older_version_get_what_the_rules_of_other_claims_need(
    place: Path, url: str, connect: Any, dump: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.xml", "b.xml"):
        drop(place, stay_file(place, *SENT[name][1], SENT[name][0]), name, SENT[name][0])
        steps.run_all("test")
    whole = {name: rows for name, rows in dump(url).items() if name in VISITS}
    assert len(whole["visit"]) == len(whole["visit_cost"]) == 2
    with connect(url) as connection:  # as versions before migrations 0008 and 0010 left them
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM visit_cost")
        for name in ("visit_person", "visit_device", "visit_bed", "visit"):
            connection.execute(f"DELETE FROM {name} WHERE version = (SELECT id FROM claim_version WHERE ma_lk = 'A')")
    drop(place, stay_file(place, "C", "202508090900", "202508100700", FACILITY), "c.xml")
    steps.run_all("test")
    assert standing(connect, url)["C"] == ("accepted", [])  # nobody knows of A

    def killed(name: str) -> None:
        if name == "history:filled":
            raise KeyboardInterrupt

    point = faults.point
    monkeypatch.setattr(faults, "point", killed)
    with pytest.raises(KeyboardInterrupt):
        steps.rebuild_history("test", appraise=True)
    monkeypatch.setattr(faults, "point", point)
    assert standing(connect, url)["C"] == ("accepted", [])
    told = rebuild()
    assert told.startswith("Đã bổ sung 1 hồ sơ của 1 lô")
    assert "deliveries that these affect wait to be appraised again" in told
    assert standing(connect, url)["C"] == ("accepted", [])
    assert rebuild("--appraise").splitlines() == [
        "Đã bổ sung 0 hồ sơ của 0 lô; không được 0, đang bận 0, còn lại 0",
        "Added 0 claims of 0 deliveries; failed 0, busy 0, left 0",
    ]
    now = {name: rows for name, rows in dump(url).items() if name in VISITS}
    assert all(set(whole[name]) <= set(now[name]) for name in VISITS)
    assert standing(connect, url)["C"] == ("rejected", ["DUP-003"])
    assert rebuild("--appraise").startswith("Đã bổ sung 0 hồ sơ của 0 lô")
    with connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM visit_cost")
    shutil.rmtree(place / "archive")
    assert "không được 3" in rebuild(code=2)  # nothing could be done


@pytest.mark.parametrize("again", ["", "history", "reappraisal"])
def test_a_rule_that_cannot_run_is_told_to_the_operator_and_its_claims_are_referred(
    place: Path, url: str, connect: Any, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    from claim_rules import catalogue

    def raises(case: Any) -> Any:
        raise ZeroDivisionError(case.visits["HO_TEN"].iloc[0])

    book = dict(catalogue.book())
    book["DUP-003"] = catalogue.Rule(**{**vars(book["DUP-003"]), "check": raises})
    drop(place, stay_file(place, *SENT["a.xml"][1], FACILITY), "a.xml")
    if again:
        steps.run_all("test")
        assert (standing(connect, url), steps._store().notices()) == ({"A": ("accepted", [])}, [])
    monkeypatch.setattr(catalogue, "book", lambda: book)
    if again:
        with connect(url) as connection:
            [(delivery,)] = connection.execute("SELECT id FROM delivery").fetchall()
        done = (
            steps.appraise_again([delivery], "test", "history")
            if again == "history"
            else steps.reappraisal("202508").write([delivery], "test")
        )
        assert done["changed"] == 1
        steps.answer_again("test")
    else:
        assert steps.run_all("test")["answered"] == 1
    assert standing(connect, url) == {"A": ("referred", [])}
    [told] = steps._store().notices()
    assert (told.kind, told.facility, told.detail["failed"]) == (
        "rule-error", FACILITY, [{"rule": "DUP-003", "error": "ZeroDivisionError"}],
    )  # fmt: skip
    assert "DUP-003" in told.detail["message_vi"]
    assert "Nguyễn" not in str(told)
    page = max((place / "outbox" / FACILITY).glob("*/report.html"), key=lambda path: path.stat().st_mtime_ns)
    assert "Quy tắc DUP-003 chưa chạy được" in page.read_text("utf-8")
