"""Every worked number of the benefit law, compared in full with what the engine makes of a claim that carries it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from claim_rules import benefit, cases, law, outcome
from claim_rules.engine import Appraisal

EXAMPLES = json.loads((Path(__file__).parent / "benefit_examples.json").read_text("utf-8"))
Told = dict[str, Any]


def of(example: str) -> list[cases.WorkedCase]:
    return [case for case in cases.all_cases() if case.example == example]


@cache
def run(example: str, place: int = 0) -> tuple[outcome.Outcome, Appraisal]:
    return cases.run(of(example)[place])


def numbers(given: Mapping[str, Any]) -> Told:
    return {key: Decimal(str(value)) for key, value in given.items()}


def in_dong(value: int) -> Decimal:
    return Decimal(value) / 100


def found(example: str, rule: str, place: int = 0) -> list[dict[str, Any]]:
    return [row for row in cases.seen(run(example, place)[0]) if row["rule"] == rule]


_PARTS = {
    "BV": "THANH_TIEN_BV",
    "BH": "THANH_TIEN_BH",
    "BHTT": "T_BHTT",
    "BNCCT": "T_BNCCT",
    "BNTT": "T_BNTT",
    "NK": "T_NGUONKHAC",
}


def line(example: str, table: str, row: int) -> Told:
    """The amounts of a line as claimed and, as BHTT, as approved."""
    result, appraisal = run(example)
    lines = appraisal.claims.lines
    at = lines.index[(lines["table"] == table) & (lines["row"] == row)][0]
    approved = result.lines.loc[(result.lines["table"] == table) & (result.lines["row"] == row), "approved"].iloc[0]
    own = {key: in_dong(int(lines.loc[at, name])) for key, name in _PARTS.items()}
    assert in_dong(int(approved)) == own["BHTT"]
    return own


def test_no_example_is_left_out() -> None:
    assert {case.example for case in cases.all_cases() if case.example} == set(EXAMPLES)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name.startswith("thr_")])
def test_thresholds(name: str) -> None:
    share, six = found(name, "BEN-005"), of(name)[1].reference["copayments"][0]["T_BNCCT"]
    package = found(name, "PRICE-013", 1)
    assert found(name, "BEN-008", 1), "exactly six months are not enough"
    cap = Decimal(package[0]["expected"])
    assert {"salary": cap / 45, "t15": Decimal(share[0]["expected"]), "six": Decimal(six), "vtyt45": cap} == numbers(
        EXAMPLES[name]
    )


@pytest.mark.parametrize("name", [f"A{number}" for number in range(1, 11)])
def test_rates(name: str) -> None:
    """Each line is claimed at 100 %: the engine tells the rate due, or nothing where 100 is right."""
    _, appraisal = run(name)
    assert (appraisal.claims.lines["MUC_HUONG"] == benefit.FULL).all()
    due = {Decimal(row["expected"]) for row in found(name, "BEN-001")} or {Decimal(100)}
    assert {"mh": due.pop()} == numbers(EXAMPLES[name])
    assert not due


@pytest.mark.parametrize("name", [f"B{number}" for number in range(1, 9)])
def test_lines(name: str) -> None:
    table, row = ("XML3", 3) if name in ("B2", "B3") else ("XML2", 1)
    assert line(name, table, row) == numbers(EXAMPLES[name])


def test_the_worked_visit() -> None:
    example = EXAMPLES["C"]
    places = [("XML3", 1), ("XML3", 2), ("XML3", 3), ("XML2", 1), ("XML2", 2)]
    assert [line("C", table, row) for table, row in places] == list(map(numbers, example["lines"]))
    result, appraisal = run("C")
    visit = appraisal.claims.visits.iloc[0]
    names = {**_PARTS, "BV": "T_TONGCHI_BV", "BH": "T_TONGCHI_BH"}
    assert {key: in_dong(int(visit[f"{name}#"])) for key, name in names.items()} == numbers(example["total"])
    assert in_dong(int(result.claims["approved"].iloc[0])) == Decimal(example["total"]["BHTT"])
    assert set(appraisal.claims.lines["MUC_HUONG"]) == {int(example["mh"]) * 100}


def test_the_line_that_crosses_six_months() -> None:
    result, appraisal = run("D1")
    assert result.what_if["approved"].tolist() == result.claims["requested"].tolist()
    fund = in_dong(int(result.what_if["due_back"].iloc[0]))
    co_payment = in_dong(int(appraisal.claims.lines["T_BNCCT"].iloc[0]))
    cap = law.parameter("base_salary").at("20250811") * law.parameter("copayment_cap").at("20250811")
    got = {
        "paid": Decimal(of("D1")[0].reference["copayments"][0]["T_BNCCT"]),
        "cap": Decimal(cap),
        "visit_co": co_payment,
        "patient": co_payment - fund,
        "fund_extra": fund,
    }
    assert got == numbers(EXAMPLES["D1"])


def test_six_months_in_a_year_whose_salary_changed() -> None:
    result, appraisal = run("D2")
    assert result.what_if["approved"].tolist() == result.claims["requested"].tolist()
    fund = in_dong(int(result.what_if["due_back"].iloc[0]))
    paid = Decimal(of("D2")[0].reference["copayments"][0]["T_BNCCT"])
    got = {
        "months": paid / law.parameter("base_salary").at("20260101"),
        "remaining": in_dong(int(appraisal.claims.lines["T_BNCCT"].iloc[0])) - fund,
    }
    assert got == numbers(EXAMPLES["D2"])


def _package(example: str, place: int) -> pd.DataFrame:
    result, appraisal = run(example, place)
    inside = appraisal.claims.lines["GOI_VTYT"] != ""
    approved = result.lines.set_index(["table", "row"])["approved"]
    lines = appraisal.claims.lines[inside]
    places = zip(lines["table"], lines["row"], strict=True)
    return lines.assign(approved=[approved[place] for place in places])


def test_a_package_above_the_cap() -> None:
    example = EXAMPLES["E1"]
    uncapped, capped = _package("E1", 0), _package("E1", 1)
    finding = found("E1", "PRICE-013")[0]
    got = {
        "cap": Decimal(finding["expected"]),
        "excess": in_dong(int(capped["T_BNTT"].sum())),
        "bhtt80": in_dong(int(capped["approved"].sum())),
        "co80": in_dong(int(capped["T_BNCCT"].sum())),
        "wrong_uncapped": in_dong(int(uncapped["T_BHTT"].sum())),
    }
    alloc = example["alloc"]
    assert got == numbers({key: value for key, value in example.items() if key != "alloc"})
    assert [in_dong(int(value)) for value in capped["THANH_TIEN_BH"]] == list(map(Decimal, alloc))
    # of the uncapped claim the same is approved
    assert in_dong(int(uncapped["approved"].sum())) == got["bhtt80"]
    assert Decimal(finding["observed"]) - got["cap"] == got["excess"]


def test_the_cap_as_one_of_the_payment() -> None:
    lines = _package("E2", 0)
    by_card_of_100 = [case for case in cases.all_cases() if case.name.startswith("by the other reading a payment")]
    cap = next(row["expected"] for row in cases.seen(cases.run(by_card_of_100[0])[0]) if row["rule"] == "PRICE-013")
    got = {
        "modeB_uncapped80": in_dong(int(lines["T_BHTT"].sum())),
        "capB": Decimal(cap),
        "paidB": in_dong(int(lines["approved"].sum())),
    }
    assert got == numbers(EXAMPLES["E2"])


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name.startswith("F_")])
def test_bed_days(name: str) -> None:
    """One bed day more is claimed than the stay has."""
    assert {"days": int(found(name, "BED-001")[0]["expected"])} == EXAMPLES[name]


def test_the_ladder_of_examinations() -> None:
    result, appraisal = run("G")
    exams = (appraisal.claims.lines["MA_NHOM"] == "13").to_numpy()
    paid = [in_dong(int(value)) for value in result.lines.loc[exams, "approved"]]
    price = in_dong(int(appraisal.claims.lines.loc[exams, "DON_GIA_BH"].iloc[0]) // 10)
    assert paid == list(map(Decimal, EXAMPLES["G"]["paid"]))
    assert {"sum": sum(paid), "cap": 2 * price} == numbers({key: EXAMPLES["G"][key] for key in ("sum", "cap")})


def test_an_approved_price_below_the_claimed_one() -> None:
    example = EXAMPLES["H1"]
    result, appraisal = run("H1")
    drug = appraisal.claims.lines[appraisal.claims.lines["table"] == "XML2"]
    claimed = {key: in_dong(int(drug[name].iloc[0])) for key, name in _PARTS.items()}
    assert claimed == numbers(example["claimed"])
    price = pd.DataFrame({"line_index": drug.index, "correct_field": "DON_GIA_BH", "correct_value": [5_000_000]})
    allowed = outcome.allowed_amounts(appraisal.claims, price.astype({"correct_value": "Int64"}))
    shares = benefit.split(drug["THANH_TIEN_BV"], allowed["in_scope"], drug["MUC_HUONG"], drug["T_NGUONKHAC"]).iloc[0]
    approved = result.lines.loc[result.lines["table"] == "XML2", "approved"].iloc[0]
    got = {
        "BV": claimed["BV"],
        "BH": in_dong(int(allowed["in_scope"].iloc[0])),
        "BHTT": in_dong(int(approved)),
        "BNCCT": in_dong(int(shares["T_BNCCT"])),
        "BNTT": in_dong(int(shares["T_BNTT"])),
        "NK": claimed["NK"],
    }
    assert got == numbers(example["allowed"])
    assert Decimal(found("H1", "PRICE-001")[0]["amount_refused"]) == Decimal(example["rejected"])


def test_the_header_where_other_sources_paid() -> None:
    finding = found("I", "SUM-015")[0]
    got = {"sumlines": Decimal(finding["observed"]), "header_formula": Decimal(finding["expected"])}
    assert got == numbers(EXAMPLES["I"])
    assert in_dong(int(run("I")[0].claims["approved"].iloc[0])) == got["sumlines"]
