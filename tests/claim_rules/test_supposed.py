"""What is supposed of the law for a "what if": it holds as long as asked, tells itself, and leaves no trace."""

from __future__ import annotations

import pytest

from claim_rules import catalogue, law


def test_a_supposed_value_holds_inside_and_leaves_no_trace():
    salary, version = law.parameter("base_salary"), catalogue.version()
    with law.what_if(law.read_supposed("base_salary: {values: {2026-07-01: 2400000, 2027-01-01: {value: 3000000}}}")):
        inside = law.parameter("base_salary")
        assert [inside.at(day) for day in ("20260630", "20260701", "20270101")] == [2340000, 2400000, 3000000]
        assert catalogue.version() not in (version, f"{version}-what-if")
        assert catalogue.version().endswith("-what-if")
        with pytest.raises(RuntimeError), law.what_if({}):
            pass
    assert law.parameter("base_salary") == salary
    assert (catalogue.version(), law.supposed()) == (version, "")


def test_another_supposition_is_another_version():
    versions = set()
    for value in ("null", "2400000", "2500000"):
        with law.what_if(law.read_supposed(f"base_salary: {{values: {{2026-07-01: {value}}}}}")):
            versions.add(catalogue.version())
    assert len(versions) == 3


def test_an_error_inside_puts_the_law_back():
    with pytest.raises(KeyError), law.what_if(law.read_supposed("base_salary: {values: {2026-07-01: null}}")):
        raise KeyError
    assert law.parameter("base_salary").at("20260701") == 2530000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base_salary: {values: {2026-07-02: null}}", "no value starts on 2026-07-02"),
        ("base_salary: {values: {2026-07-01: much}}", "not of the kind"),
        ("base_salary: {values: {july: 1}}", "july is not a day"),
        ("base_salary: 5", "`values` with days"),
        ("../law/base_salary: {values: {}}", "no such file of the law"),
        ("salary: {values: {}}", "no such file of the law"),
        ("options: {values: {2026-07-01: 1}}", "no dated values"),
        ("", "must stand at the top"),
        ("a: [", "no YAML, line 1"),
    ],
)
def test_what_is_wrong_with_a_supposition_is_named(text: str, said: str):
    with pytest.raises(ValueError, match=said):
        law.read_supposed(text)
