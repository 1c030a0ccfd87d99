"""The contract file changes how a facility's claims are judged, and the report says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from claim_pipeline import contracts, steps
from claim_pipeline.errors import OperatorError
from claim_pipeline.settings import settings
from claim_rules import catalogue, options
from claim_simulator import simulate


@pytest.fixture
def contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    def put(text: str) -> Path:
        path = tmp_path / "contract.yaml"
        path.write_text(text, "utf-8")
        monkeypatch.setenv("GIAMDINH_CONTRACT", str(path))
        settings.cache_clear()
        return path

    yield put
    settings.cache_clear()


def test_the_report_names_terms_and_options(tmp_path: Path, contract: Callable[[str], Path]) -> None:
    simulate(facilities=1, claims=3, month="202607", fault_rate=0, seed=1, out=tmp_path / "stage")
    file = sorted((tmp_path / "stage" / "inbox" / "27001").iterdir())[0]
    with steps.check(file, {}) as plain:
        report = json.loads(plain.ws.report.read_text("utf-8"))
    assert report["rule_book"] == catalogue.version()
    assert report["options"] == dict(options.defaults())
    contract('facilities: {"27001": {rules: {TIME-001: off}, options: {supply_cap: B}}}')
    with steps.check(file, {}) as changed:
        report = json.loads(changed.ws.report.read_text("utf-8"))
    assert report["rule_book"].startswith(catalogue.version() + "+")
    assert report["options"]["supply_cap"] == "B"
    assert {"rule": "TIME-001", "needs": "off by contract"} in report["skipped_rules"]
    assert "TIME-001" not in report["rules_run"]


@pytest.mark.parametrize("text", ["default: {rules: {NO-001: off}}", "default: [", "nobody: {}"])
def test_a_contract_file_that_is_wrong_is_an_operators_matter(contract: Callable[[str], Path], text: str) -> None:
    contract(text)
    with pytest.raises(OperatorError, match="contract"):
        contracts.terms("27001")


def test_a_changed_file_is_read_again(contract: Callable[[str], Path]) -> None:
    contract("default: {payment_methods: ['1']}")
    assert contracts.terms("27001").payment_methods == ("1",)
    contract("default: {payment_methods: ['1', '2']}")
    assert contracts.terms("27001").payment_methods == ("1", "2")
