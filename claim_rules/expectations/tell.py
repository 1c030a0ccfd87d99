"""Faults as findings: which rule each is told as, what stood there and what should have."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from claim_rules import catalogue, dictionary
from claim_rules.dictionary import CLAIM_TABLES
from claim_rules.expectations.batches import Batch, columns_of
from claim_rules.expectations.check import DECISION, PARENT_KEY, Faults
from claim_rules.expectations.fields import KEY, MISSING, VERSION, VERSION_FIELD, Expectation
from claim_rules.expectations.texts import Positions, as_number, days_of, text_array
from claim_rules.findings import findings
from claim_rules.frames import KEY_COLUMNS

_OTHERWISE = "DICT-001"
_FOUND = ("at", "rule", "field", "observed", "expected", "detail_vi", "detail_en")


def to_findings(batch: Batch, faults: Mapping[str, Faults]) -> pd.DataFrame:
    """Raw findings of the faults of a batch, field by field."""
    columns: dict[str, list[Any]] = {name: [] for name in _FOUND}
    for expectation in batch.expectations:
        fault = faults[expectation.field]
        for kind in np.unique(fault.kinds):
            rows, rule = _told(batch, expectation, int(kind), fault.rows[fault.kinds == kind])
            if rule is None or not len(rows):
                continue
            detail_vi, detail_en = expectation.detail(int(kind))
            found: dict[str, Any] = {
                "at": rows,
                "rule": rule,
                "field": expectation.field,
                "observed": _texts(batch.frame, expectation.field, rows),
                "expected": expectation.expected(int(kind)),
                "detail_vi": detail_vi,
                "detail_en": detail_en,
            }
            if kind == KEY:
                found["expected"] = _texts(batch.frame, PARENT_KEY, rows)
            if kind == VERSION:
                found["expected"] = _fitting(days_of(text_array(batch.frame[VERSION_FIELD].iloc[rows])))
                decision = _texts(batch.frame, DECISION, rows)
                found["detail_vi"] = [f"{detail_vi} {name}." for name in decision]
                found["detail_en"] = [f"{detail_en} {name}." for name in decision]
            for name, value in found.items():
                columns[name].extend([value] * len(rows) if isinstance(value, str) else value)
    at = np.array(columns.pop("at"), np.int64)
    if not len(at):
        return findings()
    place = {name: batch.frame[name].to_numpy()[at] for name in KEY_COLUMNS}
    table = batch.expectations[0].table
    return findings(pd.DataFrame({**place, **columns, "table": table}))


def _told(batch: Batch, expectation: Expectation, kind: int, rows: Positions) -> tuple[Positions, str | None]:
    """Rows of a fault of that kind that are told here, and as what: a rule that has its own look at them tells itself,
    one that the catalogue does not have (yet) is no reason to be silent."""
    decision = batch.layout.decision if batch.layout is not None else ""
    for named in expectation.named:
        if named.kind == kind and _looks_itself(named.rule, decision):
            texts = columns_of(batch.frame.iloc[rows][[*named.when.fields()]])
            rows = rows[~named.when.holds(texts.__getitem__, len(rows))]
    rule = expectation.rule(kind)
    if kind != MISSING:
        return rows, rule
    if _looks_itself(rule, decision):
        return rows, None
    return rows, rule if rule in catalogue.book() else _OTHERWISE


def _looks_itself(rule: str, decision: str) -> bool:
    entry = catalogue.book().get(rule)
    return entry is not None and entry.check is not None and decision in entry.decisions


def _texts(frame: pd.DataFrame, name: str, rows: Positions) -> list[str]:
    """Those texts of a column, "" where there is none."""
    if name not in frame.columns:
        return [""] * len(rows)
    return [text or "" for text in text_array(frame[name]).take(pa.array(rows)).to_pylist()]


def _fitting(days: Positions) -> list[str]:
    """Names of the decisions whose layout is for each day."""
    known = [
        (name, as_number(d.visits_from or datetime.date.min), as_number(d.visits_to or datetime.date.max))
        for name, d in dictionary.decisions().items()
    ]
    distinct, index = np.unique(days, return_inverse=True)
    texts = [", ".join(name for name, start, end in known if start <= day <= end) for day in distinct]
    return [texts[at] for at in index]


def in_order(found: pd.DataFrame) -> pd.DataFrame:
    """Findings by claim, table and row; those of one row stay in the order of its fields."""
    rank = found["table"].map({name: at for at, name in enumerate(CLAIM_TABLES)})
    return (
        found.assign(rank=rank)
        .sort_values(["claim", "rank", "row"], kind="stable")
        .drop(columns="rank")
        .reset_index(drop=True)
    )
