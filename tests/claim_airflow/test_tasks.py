"""The steps as tasks: the last try is known, a failed delivery shows, and only counts are handed on."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from claim_airflow import tasks
from claim_pipeline import steps
from claim_pipeline.errors import ReferenceDataError

BATCH = {"label": "27001 · a.zip +1", "facility": "27001", "deliveries": [1, 2]}


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    instance = SimpleNamespace(dag_id="claim_appraisal", task_id="extract", run_id="run", try_number=1, max_tries=3)
    made = {"ti": instance, "params": {"retry_failed": False}}
    monkeypatch.setattr(tasks, "get_current_context", lambda: made)
    return made


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The calls of steps.run_step; one of two deliveries fails."""
    calls: list[dict[str, Any]] = []

    def run_step(step: str, deliveries: list[int], **how: Any) -> dict[str, int]:
        calls.append({"step": step, "deliveries": deliveries} | how)
        return {"done": 1, "already": 0, "quarantined": 0, "failed": 1}

    monkeypatch.setattr(steps, "run_step", run_step)
    return calls


@pytest.mark.parametrize(("try_number", "last"), [(1, False), (3, False), (4, True), (5, True)])
def test_the_step_is_told_when_it_is_the_last_try(context: Any, called: Any, try_number: int, last: bool):
    context["ti"].try_number = try_number
    assert tasks.run_step("extract", BATCH)["done"] == 1
    assert called == [
        {
            "step": "extract",
            "deliveries": [1, 2],
            "actor": "airflow:claim_appraisal/extract run",
            "last_try": last,
            "retry": False,
        }
    ]


def test_a_failed_delivery_lets_the_others_go_on_and_shows_at_the_end(context: Any, called: Any):
    for step in steps.STEPS[1:-1]:
        assert tasks.run_step(step, BATCH)["failed"] == 1
    with pytest.raises(AirflowFailException, match="1 lô chưa xử lý được"):
        tasks.run_step("respond", BATCH)


def test_what_failed_is_taken_up_again_only_if_asked(context: Any, called: Any, monkeypatch: pytest.MonkeyPatch):
    asked: list[bool] = []
    monkeypatch.setattr(steps, "batches", lambda *, failed_too=False: asked.append(failed_too) or [BATCH])
    for wanted in (False, True):
        context["params"]["retry_failed"] = wanted
        assert tasks.waiting() == [BATCH]
        tasks.run_step("extract", BATCH)
        assert called[-1]["retry"] is wanted
    assert asked == [False, True]


def test_a_refused_file_of_reference_data_makes_the_task_red_and_says_where(monkeypatch: pytest.MonkeyPatch):
    def load(actor: str) -> dict[str, int]:
        raise ReferenceDataError("reference-data", "Tệp a.csv, dòng 2", "file a.csv, row 2", "Sửa tệp", "correct it")

    monkeypatch.setattr(steps, "load_reference_folder", load)
    monkeypatch.setattr(tasks, "actor", lambda: "airflow:reference_data/load run")
    path = Path(__file__).parents[2] / "dags" / "reference_data.py"
    task = runpy.run_path(str(path))["dag"].get_task("load")
    with pytest.raises(
        AirflowFailException, match=r"Tệp a\.csv, dòng 2\. Sửa tệp\. / file a\.csv, row 2; correct it\."
    ):
        task.python_callable()
