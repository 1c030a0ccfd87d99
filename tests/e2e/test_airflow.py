"""The whole way through real Airflow processes: files dropped, answers read. The tests follow one another in time."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def held_at_record(place: Any) -> Callable[[str], Any]:
    """Holds the step `record` of one facility's deliveries for as long as the context lasts."""
    address = place.airflow.claims_url.replace("+psycopg", "")

    @contextmanager
    def hold(facility: str) -> Iterator[None]:
        with psycopg.connect(address) as connection:
            connection.execute("INSERT INTO facility (code) VALUES (%s) ON CONFLICT DO NOTHING", [facility])
            connection.commit()
            connection.execute("SELECT 1 FROM facility WHERE code = %s FOR NO KEY UPDATE", [facility])
            yield

    return hold


@pytest.fixture(scope="module")
def parts(place: Any) -> dict[str, list[Path]]:
    """The simulated deliveries in the parts in which these tests send them."""
    by_facility = list(place.staged().values())
    assert len(by_facility) == 6
    return {
        "first": [path for files in by_facility[:2] for path in files],
        "held": by_facility[2][:1],
        "meanwhile": [files[0] for files in by_facility[3:]],
    }


def test_every_delivery_is_answered_and_every_claim_accounted_for(place: Any, parts: Any, read_report: Any):
    for path in parts["first"]:
        place.drop(path)
    place.wait(lambda: all(place.answers(path) for path in parts["first"]), "every delivery is answered")
    place.wait(lambda: all(row["answered"] == row["deliveries"] for row in place.store.summary()), "the database knows")

    summary = {row["facility"]: row for row in place.store.summary()}
    assert set(summary) == {path.parent.name for path in parts["first"]}
    for facility, row in summary.items():
        answers = [place.answers(path) for path in parts["first"] if path.parent.name == facility]
        assert [len(folders) for folders in answers] == [1] * row["deliveries"]
        totals = [read_report(folders[0])["totals"] for folders in answers]
        assert row["claims"] == sum(one["claims"] for one in totals) > 0
        assert row["claims"] == row["accepted"] + row["adjusted"] + row["rejected"] + row["referred"]
        for amount in ("requested", "approved", "refused"):
            assert Decimal(row[amount]) == sum(Decimal(one[amount]) for one in totals)
        assert Decimal(row["requested"]) == Decimal(row["approved"]) + Decimal(row["refused"]) > 0
    assert not [path for path in (place.home / "inbox").rglob("*") if path.is_file()]


def test_an_answer_is_for_people_and_for_programs(place: Any, parts: Any):
    (folder,) = place.answers(parts["first"][0])
    for name in ("receipt.json", "report.json", "report.html", "report.xlsx", "submission.xml"):
        assert (folder / name).stat().st_size > 0, name


def test_tasks_are_labelled_with_facility_and_file(place: Any, parts: Any):
    place.wait(lambda: not place.runs("claim_appraisal", state="running"), "appraisal rests")
    labels = {
        task["rendered_map_index"]
        for run in place.runs("claim_appraisal")
        for task in place.tasks("claim_appraisal", run["dag_run_id"])
        if task["task_id"] == "respond" and task["state"] == "success"
    }
    facilities = {path.parent.name for path in parts["first"]}
    assert {label.split(" · ")[0] for label in labels} == facilities
    assert all(re.fullmatch(r"[0-9A-Z]{5} · \S+( \+\d+)?", label) for label in labels)


def test_three_files_dropped_while_a_run_is_active_need_no_fourth_event(place: Any, parts: Any, held_at_record: Any):
    (held,) = parts["held"]
    with held_at_record(held.parent.name):
        place.drop(held)
        place.wait(lambda: place.tasks_in("claim_appraisal", "record", "running"), "an appraisal run is active")
        (active,) = place.runs("claim_appraisal", state="running")
        for path in parts["meanwhile"]:
            before = len(place.store.recent(1000))
            place.drop(path)
            place.wait(lambda before=before: len(place.store.recent(1000)) > before, "intake has taken the file")
        place.wait(lambda: not place.runs("claim_intake", state="running"), "intake rests")
        (still_active,) = place.runs("claim_appraisal", state="running")
        assert still_active["dag_run_id"] == active["dag_run_id"]
        assert not [path for path in parts["meanwhile"] if place.answers(path)]
    # Nothing is dropped from here on.
    place.wait(lambda: all(place.answers(path) for path in [held, *parts["meanwhile"]]), "all four are answered")


def test_the_same_file_again_is_answered_as_a_repeat(place: Any, parts: Any, read_report: Any):
    path = parts["first"][0]
    facility = path.parent.name
    before = {row["facility"]: row for row in place.store.summary()}[facility]
    place.drop(path, f"again_{path.name}")
    folders = place.wait(lambda: len(place.answers(path)) == 2 and place.answers(path), "the repeat is answered")
    after = {row["facility"]: row for row in place.store.summary()}[facility]
    assert after["repeats"] == before["repeats"] + 1
    unchanged = (
        "deliveries",
        "claims",
        "lines",
        "accepted",
        "adjusted",
        "rejected",
        "referred",
        "requested",
        "refused",
    )
    assert {name: after[name] for name in unchanged} == {name: before[name] for name in unchanged}
    first, second = (read_report(folder) for folder in folders)
    assert second["claims"] == first["claims"]
    assert "repeat" in json.dumps(json.loads((folders[1] / "receipt.json").read_text("utf-8")))


def test_a_hospital_sends_and_fetches_through_sftp(place: Any, parts: Any, tmp_path: Path):
    path = parts["first"][1]
    facility = path.parent.name
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    place.program("-m", "giamdinh", "sftp", "add", facility, "--key", f"{key}.pub")
    before = len(place.answers(path))
    place.sftp(facility, key, f"put {path} /inbox/a.part", "rename /inbox/a.part /inbox/by-sftp.xml")
    place.wait(lambda: len(place.answers(path)) == before + 1, "what came by SFTP is answered")
    answer = place.answers(path)[-1]
    place.sftp(facility, key, f"get /outbox/{answer.name}/report.html {tmp_path}/report.html")
    assert "by-sftp.xml" in (answer / "receipt.json").read_text("utf-8")
    assert (tmp_path / "report.html").read_bytes() == (answer / "report.html").read_bytes()


def test_officers_see_the_deliveries_and_strangers_do_not(place: Any, parts: Any):
    path = parts["first"][0]
    status, page = place.page("/claims/")
    assert status == 200
    assert path.name in page
    assert path.parent.name in page
    report = re.search(r'href="(/claims/deliveries/\d+/report\.html)"', page)
    assert report
    status, text = place.page(report[1])
    assert status == 200
    assert "<html" in text
    for address in ("/claims/", report[1]):
        status, text = place.page(address, signed_in=False)
        assert status == 401
        assert path.name not in text


def test_data_docs_follow_the_answers(place: Any, parts: Any):
    """Each delivery that was answered has its page, served to who is signed in."""
    answered = [one for one in place.store.recent(1000) if one.repeat_of is None]
    wanted = {f"{one.facility}/{one.id}.html" for one in answered}
    docs = place.home / "data-docs"
    made = place.wait(
        lambda: (found := {"/".join(path.parts[-2:]) for path in docs.glob("*/*/[0-9]*.html")}) >= wanted and found,
        "every delivery has its page of Data Docs",
    )
    assert made == wanted
    place.wait(lambda: not place.runs("claim_appraisal", state="running"), "appraisal rests")
    assert {
        task["state"]
        for run in place.runs("claim_appraisal")
        for task in place.tasks("claim_appraisal", run["dag_run_id"])
        if task["task_id"] == "data_docs"
    } == {"success"}
    one = answered[0]
    status, page = place.page(f"/claims/deliveries/{one.id}/data-docs")
    assert status == 200
    assert f"Kiểm tra dữ liệu của lô gửi #{one.id}" in page
    status, page = place.page("/claims/data-docs/index.html")
    assert status == 200
    assert "07/2026" in page
    assert place.page("/claims/data-docs/index.html", signed_in=False)[0] == 401


def test_a_month_is_appraised_again_first_for_show_then_for_real(place: Any, parts: Any):
    facility = parts["first"][0].parent.name
    catalogue = place.airflow.home / "reference" / "drugs.csv"
    prices = pd.read_csv(catalogue, dtype=str, keep_default_na=False)
    prices[["DON_GIA", "DON_GIA_BH"]] = "1.000"
    prices.to_csv(catalogue.with_suffix(".part"), index=False)
    catalogue.with_suffix(".part").rename(catalogue)
    assert place.airflow.run_dag("reference_data") == "success"

    def reports() -> list[dict[str, Any]]:
        folders = (place.airflow.home / "reappraisals").glob(f"*-202607-{facility}")
        return [json.loads((folder / "difference.json").read_text("utf-8")) for folder in sorted(folders)]

    def approved() -> Decimal:
        [row] = [row for row in place.store.summary() if row["facility"] == facility]
        return Decimal(row["approved"])

    was, asked = approved(), {"month": "202607", "facility": facility}
    assert place.airflow.run_dag("reappraisal", conf=asked) == "success"
    [shown] = reports()
    assert shown["dry_run"] is True
    assert shown["totals"]["changed"] > 0
    assert approved() == was == Decimal(shown["totals"]["before"]["approved"])
    outbox = place.airflow.home / "outbox" / facility
    assert list(outbox.glob("*-reappraisal-*")) == []

    assert place.airflow.run_dag("reappraisal", conf=asked | {"dry_run": False}) == "success"
    assert approved() == Decimal(shown["totals"]["after"]["approved"]) < was
    answers = list(outbox.glob("*-reappraisal-2"))
    assert {row["delivery"] for row in shown["claims"]} == {
        json.loads((folder / "difference.json").read_text("utf-8"))["claims"][0]["delivery"] for folder in answers
    }


def test_personal_data_reach_neither_logs_nor_xcom_nor_data_docs(place: Any):
    texts = {
        str(path.relative_to(place.home)): path.read_text("utf-8", "replace")
        for folder in ("logs", "data-docs")
        for path in (place.home / folder).rglob("*")
        if path.is_file()
    }
    assert any("respond" in name for name in texts)
    with psycopg.connect(place.airflow.claims_url.replace("+psycopg", ""), dbname="airflow") as connection:
        for table in ("xcom", "rendered_task_instance_fields", "asset_event"):
            texts[table] = "\n".join(str(row) for row in connection.execute(f"SELECT * FROM {table}"))
    assert "deliveries" in texts["xcom"]
    seen = {(name, value) for value in place.personal_data() for name, text in texts.items() if value in text}
    assert not seen
