"""`giamdinh` as others call it: exit codes, what goes to standard output, and reports in every form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from claim_simulator import simulate
from giamdinh import app

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stage")
    simulate(facilities=1, claims=12, month="202607", fault_rate=0, seed=2, out=out)
    return out


def giamdinh(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"}
    command = [sys.executable, "-m", "giamdinh", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd or ROOT, check=False)


def deliveries(stage: Path) -> list[Path]:
    return sorted((stage / "inbox").glob("*/*"))


def test_check_writes_the_report_and_nothing_else_to_standard_output(stage: Path) -> None:
    done = giamdinh("check", deliveries(stage)[0], "--reference", stage / "reference", "--format", "json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert report["schema"] == "giamdinh.report/1"
    assert report["delivery"]["status"] == "appraised"
    assert report["totals"]["claims"] == report["totals"]["accepted"]
    # no trust anchors were given, and a check knows no earlier deliveries
    skipped = {entry["rule"]: entry["needs"] for entry in report["skipped_rules"]}
    assert (skipped["SIG-002"], skipped["SIG-004"]) == ("trust anchors", "history")
    assert not [needs for needs in skipped.values() if ".csv" in needs]
    created_on = report["delivery"]["received_at"]
    assert created_on.endswith("T23:59:00+07:00")


def test_several_files_make_an_array_and_the_highest_exit_code(stage: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.xml"
    broken.write_text("<GIAMDINHHS><THONGTINDONVI>", "utf-8")
    dear = tmp_path / "dear.csv"
    dear.write_text("a,b\n1,2\n", "utf-8")
    done = giamdinh("check", deliveries(stage)[0], broken, "--format", "json", "--received-at", "2026-08-05T10:00:00")
    good, bad = json.loads(done.stdout)
    assert done.returncode == 2
    assert good["delivery"]["received_at"] == "2026-08-05T10:00:00+07:00"
    assert {entry["rule"] for entry in good["skipped_rules"]} >= {
        "CARD-002",
        "CAT-001",
        "CAT-012",
        "PRICE-001",
        "PRICE-003",
        "SIG-002",
        "SIG-004",
    }
    assert bad["delivery"]["status"] == "quarantined"
    assert bad["delivery"]["reason"]["code"] == "STR-001"
    assert bad["claims"] == []
    assert bad["totals"]["requested"] == "0.00"


def test_exit_code_1_where_something_is_refused(stage: Path) -> None:
    reference = stage / "reference-short"
    if not reference.exists():
        reference.mkdir()
        header = (stage / "reference" / "cards.csv").read_text("utf-8-sig").splitlines()[0]
        (reference / "cards.csv").write_text(header + "\n", "utf-8")
    done = giamdinh("check", deliveries(stage)[0], "--reference", reference)
    assert done.returncode == 1
    assert "CARD-002" in done.stdout


@pytest.mark.parametrize("form", ["text", "html", "xlsx"])
def test_reports_for_people(stage: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / f"report.{form}"
    done = giamdinh("check", deliveries(stage)[0], "--reference", stage / "reference", "--format", form, "--out", out)
    assert (done.returncode, done.stdout) == (0, "")
    data = out.read_bytes()
    if form == "xlsx":
        assert data.startswith(b"PK")
    else:
        assert "Chấp nhận" in data.decode() or "chấp nhận" in data.decode()


def test_a_file_that_is_not_there_is_said_in_both_languages(tmp_path: Path) -> None:
    done = giamdinh("check", tmp_path / "khong-co.xml")
    assert done.returncode == 2
    assert "Không có tệp" in done.stderr
    assert "There is no file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("check good folder", "is a folder, not a file"),
        ("check good --out nowhere/report.json --format json", "There is no folder"),
        ("check good --out folder", "no file can be written there"),
        ("check good good --format html", "Form html is for a single file"),
        ("check good good --format xlsx --out report.xlsx", "a single file"),
        ("check good --received-at gestern", "not a time in ISO 8601"),
        ("verify good folder", "is a folder, not a file"),
        ("sign good --key folder --cert good --out signed.xml", "is a folder, not a file"),
        ("convert folder --to 3176 --out out.xml", "is a folder, not a file"),
        ("convert good --to 130 --out nowhere/out.xml", "There is no folder"),
        ("profile try folder", "is a folder, not a file"),
    ],
)
def test_what_cannot_be_read_or_written_is_said_before_any_work(
    stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, said: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "good").symlink_to(deliveries(stage)[0])
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, words.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 2  # Vietnamese, English
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "good"]


@pytest.mark.parametrize("command", ["trace"])
def test_what_is_not_built_yet_says_so(command: str) -> None:
    done = giamdinh(command, "x", "--anything", "y")
    assert done.returncode == 2
    assert "not built yet" in done.stderr


def test_the_rule_book_is_shown_with_cases() -> None:
    done = giamdinh("rules", "BEN-001")
    assert done.returncode == 0
    assert "Mức hưởng không cao hơn quy định" in done.stdout
    assert "rate 100 on one line where 80 is due" in done.stdout
    assert giamdinh("rules", "XXX-999").returncode == 2


def test_expectations_are_counted_and_written(tmp_path: Path) -> None:
    done = giamdinh("expectations", "--out", tmp_path / "suites")
    assert done.returncode == 0, done.stderr
    head, _, _, _, *lines = done.stdout.splitlines()
    assert head.startswith("Các kỳ vọng · expectations")
    suites = lines[: lines.index("")]
    assert len(suites) == 50
    assert suites[0].split()[:4] == ["XML1", "4210", "45", "40"]
    assert len([line for line in lines[len(suites) :] if line.startswith("  XML")]) == 3  # in both languages
    assert sum(1 for _ in (tmp_path / "suites").rglob("*.yaml")) == 51
