"""Worked cases of the rules of a facility-month: given figures and loads, expect these warnings."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd
import yaml

from claim_rules.statistics import drift, indicators

FACILITY, MONTH = "F", "202608"
_CLASS = ["CAP_CMKT", "TUYEN_CU", "HANG", "MA_TINH"]


@dataclass(frozen=True)
class StatisticsCase:
    """One case. given: figures (rows of indicator, key, facility, values by month, n, error), classes, doctors (code
    and day -> lines by hour), machines (before: days and lines of each; now: lines by day), capacity. expect: drifts
    and not_judged, each entry with the attributes that matter."""

    name: str
    name_vi: str
    rules: tuple[str, ...]
    given: dict[str, Any] = field(default_factory=dict)
    expect: dict[str, Any] = field(default_factory=dict)


@cache
def all_cases() -> tuple[StatisticsCase, ...]:
    """Every case, in the order of the file."""
    text = resources.files(__package__).joinpath("cases.yaml").read_text("utf-8")
    return tuple(StatisticsCase(**{**entry, "rules": tuple(entry["rules"])}) for entry in yaml.safe_load(text))


def run(case: StatisticsCase) -> drift.Judgement:
    """Judges the facility-month of a case."""
    given = case.given
    classes = None
    if "classes" in given:
        classes = pd.DataFrame.from_dict(given["classes"], orient="index", columns=_CLASS)
    capacity = pd.Series(given["capacity"], dtype="float64") if "capacity" in given else None
    terms = indicators.limits(f"{MONTH}31")
    return drift.judge(FACILITY, MONTH, _figures(given.get("figures", [])), classes, _loads(given), capacity, terms)


def _figures(rows: list[dict[str, Any]]) -> pd.DataFrame:
    out = [
        {
            "facility": row.get("facility", FACILITY),
            "month": indicators.month_before(MONTH, len(row["values"]) - 1 - place),
            "indicator": row["indicator"],
            "key": row.get("key", ""),
            "n": row["n"],
            "value": value,
            "level": float(np.log(value)),
            "error": row["error"],
        }
        for row in rows
        for place, value in enumerate(row["values"])
        if value is not None
    ]
    return pd.DataFrame(out, columns=list(indicators.FIGURES)).astype(indicators.FIGURES)


def _loads(given: dict[str, Any]) -> pd.DataFrame:
    rows: list[tuple[str, str, str, int, int]] = []
    for key, hours in given.get("doctors", {}).items():
        rows += [(MONTH, drift.DOCTOR, key, hour, n) for hour, n in hours.items()]
    for code, told in given.get("machines", {}).items():
        before = told.get("before", {"days": 0, "lines": 0})
        for number in range(before["days"]):
            month = indicators.month_before(MONTH, 1 + number // 28)
            rows.append((month, drift.MACHINE, f"{code} {month}{1 + number % 28:02d}", 0, before["lines"]))
        rows += [(MONTH, drift.MACHINE, f"{code} {day}", 0, n) for day, n in told["now"].items()]
    types = {"month": "str", "measure": "str", "key": "str", "bucket": "int64", "n": "int64"}
    return pd.DataFrame(rows, columns=list(types)).astype(types)
