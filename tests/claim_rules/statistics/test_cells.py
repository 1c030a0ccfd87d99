"""Profiles add up, and say what the values were."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_rules.statistics import cells

VALUES = st.integers(0, 10**13)
ROWS = st.lists(st.tuples(st.sampled_from(["cost", "price"]), st.sampled_from(["01", "03"]), VALUES), max_size=40)


def profile(rows: list[tuple[str, str, int]]) -> pd.DataFrame:
    if not rows:
        return cells.empty()
    frame = pd.DataFrame(rows, columns=["measure", "key", "total"])
    frame["bucket"] = cells.buckets(frame["total"].to_numpy(dtype="int64"))
    return cells.merge([frame.assign(n=1)[list(cells.CELL_COLUMNS)]])


@given(ROWS, ROWS, ROWS)
@settings(deadline=None, max_examples=60)
def test_profiles_of_parts_add_up_to_that_of_the_whole(one, two, three):
    whole = profile(one + two + three)
    parts = [profile(one), profile(two), profile(three)]
    pd.testing.assert_frame_equal(cells.merge(parts), whole)
    pd.testing.assert_frame_equal(cells.merge([parts[2], cells.merge([parts[1], parts[0]])]), whole)
    assert whole["total"].sum() == sum(value for *_, value in one + two + three)


@given(st.lists(VALUES, min_size=1, max_size=60), st.sampled_from([0.1, 0.5, 0.9, 1.0]))
@settings(deadline=None, max_examples=100)
def test_a_quantile_is_within_a_thirty_second_of_the_value_of_its_rank(values, share):
    found = cells.quantiles(profile([("cost", "01", value) for value in values]), [share])
    exact = sorted(values)[max(int(np.ceil(len(values) * share)), 1) - 1]
    assert abs(found.loc["01", share] - exact) <= exact / 32
    assert found.loc["01", "n"] == len(values)


@given(st.lists(VALUES, min_size=2, max_size=60))
@settings(deadline=None, max_examples=60)
def test_moments_keep_the_mean_exactly_and_the_spread_closely(values):
    found = cells.moments(profile([("cost", "01", value) for value in values])).iloc[0]
    assert found["n"] == len(values)
    assert found["total"] == float(sum(values))
    assert found["squares"] <= sum(float(value) ** 2 for value in values) * (1 + 1e-9)
    assert found["squares"] >= sum(float(value) ** 2 for value in values) * (1 - 1 / 1024) - 1e-9


def test_a_price_that_never_changes_is_told_to_the_last_digit():
    found = cells.quantiles(profile([("price", "01", 4_850_125)] * 7), [0.1, 0.9])
    assert found.loc["01", [0.1, 0.9]].tolist() == [4_850_125, 4_850_125]


@given(VALUES, VALUES)
@settings(deadline=None)
def test_buckets_keep_the_order_of_values(one, two):
    low, high = sorted((one, two))
    bucket = cells.buckets(np.array([low, high]))
    assert bucket[0] <= bucket[1]
    assert (cells.middle(bucket) <= [low, high]).all()
