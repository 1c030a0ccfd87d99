"""Every worked case holds, and every rule has one that trips it and one that just misses."""

from __future__ import annotations

import json

import pytest

from claim_rules import cases, catalogue, outcome
from claim_rules.money import amount_text

OF_CLAIMS = [case for case in cases.all_cases() if case.file is None]  # the others: tests/claim_pipeline
CARRIED = {rule.id for rule in catalogue.book().values() if rule.found_by.startswith("BEN")}


@pytest.mark.parametrize("case", OF_CLAIMS, ids=lambda case: f"{case.group}: {case.name}")
def test_case(case: cases.WorkedCase) -> None:
    result, appraisal = cases.run(case)
    seen = cases.seen(result)
    expected = case.expect["findings"]
    assert [row["rule"] for row in seen] == [row["rule"] for row in expected], seen
    for got, want in zip(seen, expected, strict=True):
        assert {key: got[key] for key in want} == want
    claims = result.claims
    want_outcome = case.expect["outcome"]
    assert claims["outcome"].tolist() == (want_outcome if isinstance(want_outcome, list) else [want_outcome])
    for name in ("requested", "approved", "refused"):
        if name in case.expect:
            assert amount_text(claims[name].iloc[0]) == case.expect[name], name
    if "paperless_reasons" in case.expect:
        assert json.loads(claims["paperless_reasons"].iloc[0]) == case.expect["paperless_reasons"]
        assert claims["paperless"].iloc[0] == (case.expect["paperless_reasons"] == [])
    if "skipped" in case.expect:
        skipped = {entry["rule"]: entry["needs"] for entry in appraisal.skipped}
        assert {rule: skipped.get(rule) for rule in case.expect["skipped"]} == case.expect["skipped"]
    if "what_if" in case.expect:
        told = result.what_if.drop(columns="claim")
        told[["approved", "due_back"]] = told[["approved", "due_back"]].map(amount_text)
        assert told.to_dict("records") == case.expect["what_if"]
    if "referral_reasons" in case.expect:
        assert json.loads(claims["referral_reasons"].iloc[0]) == case.expect["referral_reasons"]
    assert (claims["requested"] == claims["approved"] + claims["refused"]).all()
    assert appraisal.failed == []


def test_every_rule_is_tripped_and_just_missed() -> None:
    tripped, missed = set(), set()
    for case in cases.all_cases():
        rules = {row["rule"] for row in case.expect["findings"]}
        tripped |= rules
        missed |= set(case.rules) - rules
    waiting = {rule.id for rule in catalogue.book().values() if rule.awaits}
    of_months = {rule.id for rule in catalogue.book().values() if rule.level == catalogue.MONTH}  # tests/…/statistics
    own = set(catalogue.book()) - CARRIED - waiting - of_months
    assert waiting & tripped == set()
    assert own - tripped == set()
    assert own - missed == set()


def test_the_cases_on_either_side_of_a_limit_are_there() -> None:
    by_name = {case.name: case for case in cases.all_cases()}
    for rule, limit in cases.limits().items():
        at, beyond = ({row["rule"] for row in by_name[name].expect["findings"]} for name in (limit.at, limit.beyond))
        assert rule not in at, limit
        assert rule in beyond, limit
        assert rule in by_name[limit.at].rules, limit
    # what a rule of these families says of amounts, days or shares has a limit
    counted = {rule for rule in catalogue.book() if rule.startswith(("SUM-", "RATE-"))} - {"SUM-022", "SUM-024"}
    assert counted <= set(cases.limits())


def test_every_rule_speaks_both_languages_and_names_its_ground() -> None:
    for rule in catalogue.book().values():
        assert rule.title_vi, rule.id
        assert rule.title_en, rule.id
        assert rule.basis, rule.id
        if rule.id not in CARRIED:
            assert rule.message_vi, rule.id
            assert rule.message_en, rule.id


def test_outcomes_are_the_four_of_the_contract() -> None:
    assert outcome.OUTCOMES == ("accepted", "adjusted", "rejected", "referred")
