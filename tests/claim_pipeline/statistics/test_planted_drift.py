"""A month that was made unusual is found in simulated hospitals, and calm months are left alone."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from claim_pipeline.statistics import extract
from claim_rules.statistics import cells, drift, indicators
from claim_simulator.catalogue import catalogue
from claim_simulator.facilities import Drift, facilities
from claim_simulator.simulation import drawn

MONTHS = ["202604", "202605", "202606", "202607"]
"""On 1 July 2026 the tariff of services rises by 8 % for everybody: that is no drift."""
COUNT, CLAIMS, WHO = 4, 260, "27002"


@cache
def profile(position: int, month: str, planted: Drift) -> pd.DataFrame:
    code = f"27{position + 1:03d}"
    house = facilities(COUNT, {code: planted})[position]
    rng = np.random.default_rng([3, position, int(month)])
    _, tables = drawn(house, catalogue(house), CLAIMS, month, rng)
    return extract.of_tables(tables)[month].assign(facility=code, month=month)


def judged(planted: Drift) -> list[drift.Judgement]:
    """Judgements of all facilities in the last month, in which one of them is unusual."""
    parts = [profile(position, month, Drift()) for position in range(COUNT) for month in MONTHS[:-1]]
    parts += [profile(position, MONTHS[-1], planted if position == 1 else Drift()) for position in range(COUNT)]
    moments = pd.concat(
        [cells.moments(part).assign(facility=part["facility"].iloc[0], month=part["month"].iloc[0]) for part in parts]
    )
    loads = pd.concat([part[part["measure"].isin([drift.DOCTOR, drift.MACHINE])] for part in parts])
    terms = indicators.limits("20260731")
    figures = pd.concat([indicators.figures(moments, terms), indicators.price_levels(moments, MONTHS[-1], terms)])
    return [
        drift.judge(code, MONTHS[-1], figures, None, loads[loads["facility"] == code], None, terms)
        for code in sorted(set(moments["facility"]))
    ]


def test_calm_months_give_no_warning_though_the_tariff_rises() -> None:
    found = judged(Drift())
    assert [one.facility for one in found if one.drifts] == []
    price = [test for one in found for test in one.tests if test.indicator == "price"]
    assert len(price) == COUNT
    assert all(test.movement > 1.02 and 0.95 < test.ratio < 1.05 for test in price)


@pytest.mark.parametrize(
    ("planted", "indicator", "least"),
    [(Drift(price=1.25), "price", 1.2), (Drift(stay=1.7), "stay", 1.4), (Drift(antibiotics=3.0), "antibiotic", 1.3)],
)
def test_a_planted_drift_is_found_where_it_is_and_nowhere_else(planted: Drift, indicator: str, least: float) -> None:
    found = {one.facility: one.drifts for one in judged(planted)}
    assert indicator in {one.indicator for one in found[WHO]}
    assert all(one.ratio >= least for one in found[WHO] if one.indicator == indicator)
    assert {code for code, drifts in found.items() if drifts} == {WHO}
