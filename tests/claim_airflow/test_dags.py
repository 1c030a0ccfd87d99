"""The DAGs as Airflow reads them: no import errors, documented, patient, and light to parse."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

from claim_airflow.assets import INBOX
from claim_airflow.prepare import POOL
from claim_pipeline.steps import STEPS

ROOT = Path(__file__).parents[2]
DAG_IDS = ("claim_appraisal", "claim_intake", "reappraisal", "reference_data")
VIETNAMESE = set("ăâđêôơưạảấầậẩẫắằặẳẵẹẻẽếềệểễịỉĩọỏốồộổỗớờợởỡụủũứừựửữỳỵỷỹ")

HEAVY = ("pandas", "numpy", "pyarrow", "sqlalchemy", "great_expectations", "lxml", "psycopg", "claim_rules")
PARSE = """
import json, sys
import airflow.sdk
from airflow.dag_processing.dagbag import DagBag
before = set(sys.modules)
bag = DagBag(sys.argv[1])
print(json.dumps({"errors": bag.import_errors, "new": sorted(set(sys.modules) - before)}))
"""
PLUGIN = """
import json, sys
import airflow.plugins_manager
before = set(sys.modules)
import claims_plugin
print(json.dumps({"errors": {}, "new": sorted(set(sys.modules) - before)}))
"""


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(ROOT / "dags")


def imported_by(script: str) -> dict:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")])}
    done = subprocess.run(
        [sys.executable, "-c", script, str(ROOT / "dags")], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_every_dag_file_is_read_without_errors(bag: DagBag):
    assert bag.import_errors == {}
    assert sorted(bag.dags) == sorted(DAG_IDS)


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_dag_is_described_in_both_languages_and_tagged(bag: DagBag, dag_id: str):
    dag = bag.dags[dag_id]
    assert "claims" in dag.tags
    for text in (dag.doc_md, dag.description, *(task.doc_md for task in dag.tasks)):
        assert text, "no description"
        sentences = [sentence.split() for sentence in re.split(r"[\n·.;]", text.lower())]
        vietnamese = [bool(VIETNAMESE & set("".join(words))) for words in sentences if len(words) > 2]
        assert True in vietnamese, text
        assert False in vietnamese, text


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_every_task_is_tried_again_with_growing_pauses(bag: DagBag, dag_id: str):
    for task in bag.dags[dag_id].tasks:
        assert task.retries >= 2
        assert task.retry_exponential_backoff > 1
        assert task.max_retry_delay


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_a_dag_runs_once_at_a_time_and_does_not_catch_up(bag: DagBag, dag_id: str):
    assert bag.dags[dag_id].max_active_runs == 1
    assert not bag.dags[dag_id].catchup


def test_tasks_are_named_as_the_steps_and_follow_their_order(bag: DagBag):
    dag = bag.dags["claim_appraisal"]
    assert "receive" in bag.dags["claim_intake"].task_ids
    steps = STEPS[1:]
    assert set(steps) <= set(dag.task_ids)
    for step, following in itertools.pairwise(steps):
        assert following in dag.get_task(step).downstream_task_ids


def test_parsing_loads_nothing_heavy():
    parsed = imported_by(PARSE)
    assert parsed["errors"] == {}
    assert not [name for name in parsed["new"] if name.split(".")[0] in HEAVY]


def test_the_plugin_loads_nothing_heavy():
    loaded = imported_by(PLUGIN)["new"]
    assert not [name for name in loaded if name.split(".")[0] in (*HEAVY, "fastapi") or name == "claim_desk.pages"]


def test_steps_leave_a_place_for_intake(bag: DagBag):
    steps = [bag.dags["claim_appraisal"].get_task(step) for step in STEPS[1:]]
    assert {task.pool for task in steps} == {POOL}
    assert {task.pool for task in bag.dags["claim_intake"].tasks} == {"default_pool"}


def test_intake_that_has_not_taken_all_calls_its_next_run(bag: DagBag):
    (asset,) = bag.dags["claim_intake"].get_task("look_again").outlets
    assert asset == INBOX
    assert bag.dags["claim_intake"].get_task("announce").trigger_rule == "all_done"


def test_appraising_a_month_again_reports_before_it_writes_and_writes_only_if_asked(bag: DagBag):
    dag = bag.dags["reappraisal"]
    assert dag.params["dry_run"] is True
    assert "report" in dag.get_task("compare").downstream_task_ids
    assert dag.get_task("write").upstream_task_ids == {"report"}
    assert dag.get_task("answer").upstream_task_ids == {"write"}
    assert {dag.get_task(name).pool for name in ("compare", "write")} == {POOL}


def test_statistics_come_after_the_answers_and_never_decide_how_a_run_ended(bag: DagBag):
    dag = bag.dags["claim_appraisal"]
    task = dag.get_task("update_statistics")
    assert task.upstream_task_ids == {"respond"}
    assert task.is_teardown
    assert not task.on_failure_fail_dagrun
