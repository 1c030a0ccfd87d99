"""docs/truth.md has every rule of the book, and says what bench/results/truth.json says."""

from __future__ import annotations

import json
import re
from pathlib import Path

from bench import truth
from claim_rules import catalogue

PAGE = Path(__file__).parents[1] / "docs" / "truth.md"


def test_the_page_is_that_of_the_results_and_of_the_rule_book() -> None:
    text = PAGE.read_text("utf-8")
    runs = json.loads(truth.RESULTS.read_text("utf-8"))["runs"]
    assert text == truth.page(runs), "python bench/truth.py --page"
    assert {run["through"] for run in runs} <= set(truth.WAYS)
    measured, left_out = text.split("## Không đo ở đây")
    rows = re.findall(r"^\| ([A-Z]+-\d{3}) \|", measured, re.M)
    reasons = re.findall(r"^- ([A-Z]+-\d{3}): .+ · .+", left_out, re.M)
    assert sorted([*rows, *reasons]) == sorted(catalogue.book())


def test_every_measured_rule_is_right_and_planted_often_enough() -> None:
    for run in json.loads(truth.RESULTS.read_text("utf-8"))["runs"]:
        for rule, row in run["rules"].items():
            assert row["found"] == row["planted"], (run["through"], rule)
            assert row["invented"] == row["near_misses_found"] == 0, (run["through"], rule)
            assert row["planted"] >= truth.ENOUGH or row["planted"] == 0, (run["through"], rule)
