"""The worked cases of the rules of a facility-month hold; chances and Holm's procedure are those of the textbooks."""

from __future__ import annotations

import pytest

from claim_rules import cases as of_claims
from claim_rules import catalogue, engine
from claim_rules.statistics import cases, drift, words

RULES = {rule.id for rule in catalogue.book().values() if rule.level == catalogue.MONTH}


@pytest.mark.parametrize("case", cases.all_cases(), ids=lambda case: case.name)
def test_case(case: cases.StatisticsCase) -> None:
    found = cases.run(case)
    assert len(found.drifts) == len(case.expect["drifts"]), found.drifts
    for one, wanted in zip(found.drifts, case.expect["drifts"], strict=True):
        assert {name: getattr(one, name) for name in wanted} == wanted
        for text in words.message(one):
            assert text.endswith(".")
    for wanted in case.expect.get("not_judged", []):
        assert any(all(getattr(one, name) == wanted[name] for name in wanted) for one in found.not_judged), wanted


def test_every_rule_is_tripped_and_just_missed() -> None:
    tripped = {one["rule"] for case in cases.all_cases() for one in case.expect["drifts"]}
    missed = {rule for case in cases.all_cases() if not case.expect["drifts"] for rule in case.rules}
    assert tripped == missed == RULES == {f"STAT-00{number}" for number in range(1, 6)}


def test_a_report_of_one_delivery_says_that_these_rules_need_a_facility_month() -> None:
    tables = of_claims.base_claim()
    skipped = {entry["rule"]: entry["needs"] for entry in engine.run(tables, {}).skipped}
    assert {rule: skipped.get(rule) for rule in RULES} == dict.fromkeys(RULES, "statistics of the facility-month")


@pytest.mark.parametrize(
    ("t", "freedom", "chance"),
    [(0.0, 5, 0.5), (6.314, 1, 0.05), (2.920, 2, 0.05), (2.015, 5, 0.05), (3.169, 10, 0.005), (-2.015, 5, 0.95)],
)
def test_chances_are_those_of_the_tables_of_student(t: float, freedom: int, chance: float) -> None:
    assert drift.tail(t, freedom) == pytest.approx(chance, rel=1e-3)


def test_holm_stops_at_the_first_that_is_not_sure() -> None:
    assert drift.holm([0.001, 0.004, 0.04], 0.01) == [True, True, False]
    assert drift.holm([0.006, 0.0001, 0.006], 0.01) == [False, True, False]
    assert drift.holm([], 0.01) == []


def test_one_rise_among_many_comparisons_must_be_the_surer() -> None:
    """What alone would be told is not told among thirty: some of thirty always lie high by chance."""
    rise = {"indicator": "cost", "key": "01", "values": [300000] * 6 + [345000], "n": 4000, "error": 0.015}
    calm = [{**rise, "key": f"X{number}", "values": [300000] * 7} for number in range(30)]
    case = cases.StatisticsCase("", "", (), {"figures": [rise, *calm]}, {})
    alone = cases.StatisticsCase("", "", (), {"figures": [rise]}, {})
    assert [one.key for one in cases.run(alone).drifts] == ["01"]
    assert cases.run(case).drifts == []
