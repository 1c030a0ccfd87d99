"""A contract changes which rules run and how hard they are; what it says is part of the rule book's version."""

from __future__ import annotations

import pytest

from claim_rules import cases, catalogue, contract, engine
from claim_rules.contract import Contract
from claim_rules.findings import findings

TEXT = """
default:
  rules: {SUM-022: off, BEN-001: warn}
  options: {supply_cap: B}
facilities:
  "27001":
    rules: {SUM-022: reject_line}
    payment_methods: ["1"]
"""


def test_a_facilitys_terms_come_on_top_of_the_default() -> None:
    read = contract.read(TEXT)
    mine, other = read.of("27001"), read.of("27002")
    assert other.off == {"SUM-022"}
    assert mine.off == frozenset()
    assert mine.severity("BEN-001") == other.severity("BEN-001") == "warn"
    assert mine.options == {"supply_cap": "B"}
    assert (mine.payment_methods, other.payment_methods) == (("1",), ())
    assert read.of(None) == other


def test_the_version_names_the_terms() -> None:
    read = contract.read(TEXT)
    versions = {Contract().version(), read.of("27001").version(), read.of("27002").version()}
    assert len(versions) == 3
    assert Contract().version() == catalogue.version()
    assert all(version.startswith(catalogue.version()) for version in versions)
    assert contract.read("default: {rules: {BEN-001: adjust_amount}}").default.severity("BEN-001") == "adjust_amount"


@pytest.mark.parametrize(
    "text",
    [
        "default: {rules: {BEN-999: warn}}",
        "default: {rules: {BEN-001: soft}}",
        "default: {rules: {BEN-012: reject_line}}",
        "default: {options: {supply_cap: C}}",
        "default: {option: {}}",
        "everybody: {}",
        "- default",
    ],
)
def test_what_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        contract.read(text)


def test_a_rule_that_is_off_finds_nothing_even_before_the_engine() -> None:
    terms = contract.read("default: {rules: {DICT-001: off, BEN-001: off}}").default
    tables = cases.base_claim()
    tables["XML2"].loc[0, "MUC_HUONG"] = "100"
    given = findings([{"claim": 0, "rule": "DICT-001", "table": "XML1"}])
    appraisal = engine.run(tables, {}, given=given, contract=terms)
    assert not {"DICT-001", "BEN-001"} & {*appraisal.findings["rule"], *appraisal.rules_run}
    told = {entry["rule"]: entry["needs"] for entry in appraisal.skipped}
    assert told["BEN-001"] == told["DICT-001"] == engine.OFF_BY_CONTRACT


def test_a_structure_rule_that_only_warns_lets_the_other_rules_run() -> None:
    tables = cases.base_claim()
    tables["XML2"].loc[0, "MUC_HUONG"] = "100"
    given = findings([{"claim": 0, "rule": "STR-005", "table": "XML2", "row": 1}])
    stopped = engine.run(tables, {}, given=given)
    assert "BEN-001" not in set(stopped.findings["rule"])
    softer = contract.read("default: {rules: {STR-005: warn}}").default
    went_on = engine.run(tables, {}, given=given, contract=softer)
    assert "BEN-001" in set(went_on.findings["rule"])
    assert set(catalogue.complete(given, tables, softer)["severity"]) == {"warn"}
