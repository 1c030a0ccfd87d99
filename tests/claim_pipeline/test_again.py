"""Recorded deliveries appraised again: an outcome reproduced, a month's differences shown, recorded and answered."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from claim_pipeline import results, steps
from claim_pipeline.settings import settings
from claim_rules import law
from claim_simulator import simulate
from giamdinh import app

ROOT = Path(__file__).parents[2]
FACILITY = "27001"
MONTH = "202607"
SEED = 2  # has a visit of July just under the new threshold


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A delivery of one facility, without faults, and reference data: `reference`, and with all drugs cheaper
    `cheaper`."""
    out = tmp_path_factory.mktemp("hospital")
    simulate(facilities=1, claims=120, month=MONTH, fault_rate=0, seed=SEED, out=out)
    for path in sorted((out / "inbox" / FACILITY).iterdir())[1:]:
        path.unlink()
    shutil.copytree(out / "reference", out / "cheaper")
    drugs = pd.read_csv(out / "cheaper" / "drugs.csv", dtype=str, keep_default_na=False)
    for name in ("DON_GIA", "DON_GIA_BH"):
        drugs[name] = [f"{Decimal(price) * Decimal('0.9'):.3f}" if price else "" for price in drugs[name]]
    drugs.to_csv(out / "cheaper" / "drugs.csv", index=False)
    return out


def forget() -> None:
    settings.cache_clear()
    for cached in (steps._store, steps._archive, steps._reference):
        cached.cache_clear()


@pytest.fixture
def new_place(
    tmp_path: Path, make_url: Callable[[], str], hospital: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], tuple[Path, str]]]:
    """Makes a home with a database in which the month is recorded and answered, and makes it the one in use."""

    def made(name: str) -> tuple[Path, str]:
        home, url = tmp_path / name, make_url()
        monkeypatch.setenv("GIAMDINH_HOME", str(home))
        monkeypatch.setenv("GIAMDINH_DATABASE_URL", url)
        monkeypatch.setenv("GIAMDINH_SETTLE_SECONDS", "0")
        forget()
        shutil.copytree(hospital / "inbox", home / "inbox")
        steps.load_reference_folder("test", hospital / "reference")
        assert steps.run_all("test")["failed"] == 0
        return home, url

    yield made
    forget()


def command(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout or done.stderr


def approved(home: Path) -> Decimal:
    [row] = steps._store().summary()
    return Decimal(row["approved"])


def answers(home: Path, again: bool) -> list[Path]:
    return sorted(path for path in (home / "outbox" / FACILITY).iterdir() if ("-reappraisal-" in path.name) is again)


def test_an_outcome_is_reproduced_bit_for_bit_and_what_was_altered_is_named(
    new_place: Any, hospital: Path, connect: Any
) -> None:
    home, url = new_place("one")
    [first, *_] = [row.id for row in steps._store().recent()][::-1]
    exit_code, text = command("appraise", "--as-of", "2999-01-01", "--delivery", str(first), "--format", "json")
    told = json.loads(text)
    assert (exit_code, told["same"], told["same_rule_book"], told["changed"]) == (0, True, True, [])
    assert told["result_sha256"] == told["result_sha256_recorded"]
    claim = json.loads((answers(home, again=False)[0] / "report.json").read_text("utf-8"))["claims"][0]["MA_LK"]
    assert command("appraise", "--as-of", "2999-01-01", "--facility", FACILITY, "--claim", claim)[0] == 0
    assert command("appraise", "--as-of", "2001-01-01", "--delivery", str(first))[0] == 2

    with connect(url) as connection:
        connection.execute("ALTER TABLE line_outcome DISABLE TRIGGER USER")
        version, taken = connection.execute(
            "SELECT o.version, o.approved FROM line_outcome o JOIN claim_version v ON v.id = o.version "
            "WHERE v.delivery = %s AND v.position = 2 AND o.approved > 1 LIMIT 1",
            [first],
        ).fetchone()
        connection.execute(
            "UPDATE line_outcome SET approved = approved - 1, refused = refused + 1 "
            "WHERE version = %s AND approved = %s",
            [version, taken],
        )
    exit_code, text = command("appraise", "--as-of", "2999-01-01", "--delivery", str(first), "--format", "json")
    told = json.loads(text)
    assert (exit_code, told["altered_claims"], told["differing_claims"]) == (1, [3], [])


KILLED = """
import sys
from claim_pipeline import faults
from giamdinh import app
import os, signal
def point(name):
    if name == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)
faults.point = point
app(["reappraise", "--month", sys.argv[2], "--out", sys.argv[3]])
"""


def test_a_month_is_shown_then_recorded_beside_what_was_and_answered_once_whatever_is_killed(
    new_place: Any, hospital: Path, dump: Any, tmp_path: Path
) -> None:
    home, url = new_place("month")
    before, was = dump(url), approved(home)
    cheaper = ("--reference", str(hospital / "cheaper"))
    exit_code, text = command("reappraise", "--month", MONTH, "--dry-run", *cheaper, "--out", str(tmp_path / "a"))
    assert exit_code == 0, text
    shown = json.loads((tmp_path / "a" / "difference.json").read_text("utf-8"))
    assert dump(url) == before
    assert answers(home, again=True) == []
    assert shown["dry_run"] is True
    assert Decimal(shown["totals"]["before"]["approved"]) == was
    assert shown["totals"]["changed"] == len(shown["claims"]) > 10
    [price] = [row for row in shown["rules"] if row["rule"] == "PRICE-001"]
    assert price["gained"] > 0
    assert price["lost"] == 0
    page = (tmp_path / "a" / "difference.html").read_text("utf-8")
    assert "Chạy thử: chưa ghi gì." in page
    assert "http" not in page.replace("https://www.w3.org", "")
    assert (tmp_path / "a" / "difference.xlsx").stat().st_size > 5_000

    # data from a folder are for showing; to record, they are loaded
    refused = command("reappraise", "--month", MONTH, *cheaper)
    assert refused[0] == 2
    assert "--dry-run" in refused[1]
    assert dump(url) == before
    steps.load_reference_folder("test", hospital / "cheaper")
    # killed anywhere on the way and run again it is all the same
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"}
    for moment in ("again:recorded", "respond:again"):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, moment, MONTH, str(tmp_path / "y")],
            env=environment, cwd=home, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == -signal.SIGKILL, (moment, done.stderr[-2000:])
    exit_code, text = command("reappraise", "--month", MONTH, "--out", str(tmp_path / "b"))
    assert exit_code == 0, text
    assert approved(home) == Decimal(shown["totals"]["after"]["approved"]) < was

    after = dump(url)
    for table in ("claim_outcome", "line_outcome", "finding", "appraisal", "delivery_event"):
        assert set(before[table]) < set(after[table]), table
    assert after["claim_line"] == before["claim_line"]
    store = steps._store()
    changed_deliveries = {row["delivery"] for row in shown["claims"]}
    assert {row.id for row in store.recent() if len(store.appraisals(row.id)) == 2} == changed_deliveries
    new = answers(home, again=True)
    assert len(new) == len(changed_deliveries)
    for folder in new:
        first = folder.with_name(folder.name.removesuffix("-reappraisal-2"))
        old, now = (json.loads((one / "report.json").read_text("utf-8")) for one in (first, folder))
        assert now["appraisal"]["replaces"] == first.name
        assert Decimal(now["totals"]["approved"]) < Decimal(old["totals"]["approved"])
        assert "Giám định lại, lần 2" in (folder / "report.html").read_text("utf-8")
        said = json.loads((folder / "difference.json").read_text("utf-8"))
        assert said["totals"]["changed"] == now["appraisal"]["changed_claims"] == len(said["claims"])

    # the desk links to what stands, and both appraisals can be reproduced, each with its own reference data
    row = store.recent()[0]
    assert store.delivery_report_path(row.id).parent in new or row.id not in changed_deliveries
    [some, *_] = sorted(changed_deliveries)
    told = []
    for one in store.appraisals(some):
        moment = one.at.isoformat()
        exit_code, text = command("appraise", "--as-of", moment, "--delivery", str(some), "--format", "json")
        assert exit_code == 0, text
        told.append(json.loads(text))
    assert [one["appraisal"] for one in told] == [1, 2]
    assert told[0]["result_sha256"] != told[1]["result_sha256"]
    assert told[0]["reference"]["drugs"] != told[1]["reference"]["drugs"]
    assert told[0]["reference"]["cards"] == told[1]["reference"]["cards"]

    # another run, and another cause, find nothing more
    once = dump(url)
    assert command("reappraise", "--month", MONTH, "--out", str(tmp_path / "c"))[0] == 0
    counts = steps.appraise_again(changed_deliveries, "test", "history")
    assert counts["same"] == len(changed_deliveries)
    assert dump(url) == once
    assert answers(home, again=True) == new


def test_what_if_the_base_salary_of_july_2026_were_not_in_force(new_place: Any, dump: Any, tmp_path: Path) -> None:
    _, url = new_place("law")
    supposed = tmp_path / "luong-co-so.yaml"
    supposed.write_text("base_salary: {values: {2026-07-01: null}}\n", "utf-8")
    before, version = dump(url), law.parameter("base_salary").at("20260715")
    arguments = ("reappraise", "--month", MONTH, "--law", str(supposed), "--out", str(tmp_path / "d"))
    assert command(*arguments)[0] == 2
    assert not (tmp_path / "d").exists()
    exit_code, text = command(*arguments, "--dry-run")
    assert exit_code == 0, text
    shown = json.loads((tmp_path / "d" / "difference.json").read_text("utf-8"))
    assert json.loads(shown["what_if"]["law"]) == {"base_salary": {"2026-07-01": None}}
    assert shown["rule_book"].endswith("-what-if")
    page = (tmp_path / "d" / "difference.html").read_text("utf-8")
    assert "Mức lương cơ sở (mức tham chiếu): không đổi từ 01/07/2026" in page
    assert "Sau (theo giả định)" in page
    # 15 % of 2,340,000 instead of 2,530,000: visits between 351,000 and 379,500 are no longer covered in full
    assert [row["rule"] for row in shown["rules"]] == ["BEN-001"]
    assert Decimal(shown["totals"]["difference"]) < 0
    assert shown["totals"]["changed"] == 1
    assert dump(url) == before
    assert law.parameter("base_salary").at("20260715") == version == 2530000
    # the wrong file says so and changes nothing
    supposed.write_text("base_salary: {values: {2026-07-02: null}}\n", "utf-8")
    exit_code, text = command(*arguments, "--dry-run")
    assert exit_code == 2
    assert "2026-07-02" in text


def test_fingerprints_follow_every_value_and_no_order_of_claims() -> None:
    outcomes = pd.DataFrame(
        {
            "claim": [0, 1], "outcome": ["adjusted", "accepted"], "paperless": [False, True],
            "paperless_reasons": ['["unsigned"]', "[]"], "referral_reasons": ["[]", "[]"],
            "requested": [100, 50], "approved": [70, 50], "refused": [30, 0],
        }
    )  # fmt: skip
    lines = pd.DataFrame(
        {
            "claim": [0],
            "table": ["XML2"],
            "row": [1],
            "line": [1],
            "requested": [100],
            "approved": [70],
            "refused": [30],
        }
    )
    columns = ("rule", "severity", "table", "field", "observed", "expected", "message_vi", "message_en", "basis")
    found = pd.DataFrame({name: pd.Series(["x", None], dtype="str") for name in columns}).assign(
        claim=pd.Series([0, None], dtype="Int64"), row=pd.Series([1, None], dtype="Int64"),
        line=pd.Series([1, None], dtype="Int64"), amount_refused=pd.Series([30, None], dtype="Int64"),
    )  # fmt: skip
    whole = results.digests(outcomes, lines, found)
    assert results.digests(outcomes[::-1], lines, found) == whole
    assert set(whole.by_claim) == {0, 1}
    seen = {whole.whole}
    for name in results.OUTCOME:
        other = outcomes.assign(
            **{name: [not value if isinstance(value, bool) else value * 2 for value in outcomes[name]]}
        )
        if name == "referral_reasons":
            other = outcomes.assign(referral_reasons=["[1]", "[]"])
        seen.add(results.digests(other, lines, found).whole)
    for name in results.LINE:
        seen.add(results.digests(outcomes, lines.assign(**{name: lines[name] * 2}), found).whole)
    for name in results.FINDING:
        seen.add(results.digests(outcomes, lines, found.assign(**{name: found[name] * 2})).whole)
        seen.add(results.digests(outcomes, lines, found.assign(**{name: pd.Series([None, None], dtype="str")})).whole)
    seen.add(results.digests(outcomes, lines, found.assign(claim=pd.Series([0, 1], dtype="Int64"))).whole)
    assert len(seen) == 1 + len(results.OUTCOME) + len(results.LINE) + 2 * len(results.FINDING) + 1
