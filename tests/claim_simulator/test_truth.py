"""The ground truth speaks of claims and lines that are there."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from claim_pipeline.extract.source import read
from claim_pipeline.settings import settings
from claim_rules.catalogue import book
from claim_simulator import Summary
from claim_simulator.faults import RULES

Rows = dict[str, list[dict[str, str]]]


@pytest.fixture(scope="module")
def truth(faulty: tuple[Path, Summary], read_csv: Callable[[Path], list[dict[str, str]]]) -> list[dict[str, str]]:
    return read_csv(faulty[0] / "truth.csv")


def test_every_rule_is_planted(faulty: tuple[Path, Summary], truth: list[dict[str, str]]) -> None:
    # the one ended before July 2026, the other begins after it
    planted = set(RULES) - {"BEN-012", "STR-033"}
    assert set(faulty[1].faults) == planted
    assert planted <= {row["rule"] for row in truth}


def test_rows_are_distinct_and_well_formed(truth: list[dict[str, str]]) -> None:
    assert len({tuple(row.values()) for row in truth}) == len(truth)
    for row in truth:
        assert list(row) == ["MA_CSKCB", "MA_LK", "table", "line", "rule"]
        assert re.fullmatch(r"XML\d+", row["table"])
        assert re.fullmatch(r"[1-9]\d*|", row["line"])
        assert not (row["table"] == "XML1" and row["line"])


def test_a_claim_refused_for_its_structure_has_no_other_finding(truth: list[dict[str, str]]) -> None:
    refusing = {rule.id for rule in book().values() if rule.id.startswith("STR-") and rule.severity == "reject_claim"}
    rules = defaultdict(set)
    for row in truth:
        rules[row["MA_LK"]].add(row["rule"])
    for found in rules.values():
        assert len(found) == 1 or not found & refusing


def test_claims_and_lines_exist(faulty: tuple[Path, Summary], truth: list[dict[str, str]]) -> None:
    out, summary = faulty
    rows: dict[tuple[str, str], Counter[str]] = {}
    claims = Counter[tuple[str, str]]()
    for path in sorted((out / "inbox").glob("*/*")):
        tables = read(path, inbox_facility=path.parent.name, limits=settings()).tables
        known = tables.claims.set_index("claim")["MA_LK"]
        for ma_lk in known:
            claims[path.parent.name, ma_lk] += 1
            rows[path.parent.name, ma_lk] = Counter()
        for name, frame in tables.items():
            for claim, count in frame.groupby("claim").size().items():
                rows[path.parent.name, known[claim]][name] = count
    assert claims.total() == summary.claims
    for row in truth:
        key = row["MA_CSKCB"], row["MA_LK"]
        assert key in claims
        if row["line"]:
            assert int(row["line"]) <= rows[key][row["table"]]
    repeated = {(row["MA_CSKCB"], row["MA_LK"]) for row in truth if row["rule"] == "DUP-001"}
    assert {key for key, count in claims.items() if count > 1} == repeated


def test_broken_content_is_where_the_truth_says(faulty: tuple[Path, Summary], truth: list[dict[str, str]]) -> None:
    out, _ = faulty
    broken = Counter[str]()
    for path in sorted((out / "inbox").glob("*/*.xml")):
        document = etree.parse(str(path))
        assert document.findtext(".//SOLUONGHOSO") == str(len(document.findall(".//HOSO")))
        broken[path.parent.name] += sum("*?*" in node.text for node in document.iterfind(".//NOIDUNGFILE"))
    assert broken.total() == sum(row["rule"] == "STR-002" for row in truth) > 0
    assert +broken == Counter(row["MA_CSKCB"] for row in truth if row["rule"] == "STR-002")
