from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claim_rules import money

INTEGERS = st.integers(min_value=-(10**13), max_value=10**13)


@pytest.mark.parametrize(
    ("text", "decimals", "number"),
    [
        ("0", 2, 0),
        ("50600", 2, 5060000),
        ("50600.5", 2, 5060050),
        ("1234.567", 3, 1234567),
        ("0.005", 2, 1),
        ("0.0049", 2, 0),
        ("-3.25", 2, -325),
        (" 12.30 ", 2, 1230),
        ("000123456789012345", 2, 12345678901234500),
        ("7.", 2, 700),
    ],
)
def test_parse_reads_plain_numbers(text: str, decimals: int, number: int) -> None:
    assert money.parse(pd.Series([text], dtype="str"), decimals).tolist() == [number]


@pytest.mark.parametrize("text", ["", None, "1,5", "1.000.000", "1e5", "abc", "--1", "1234567890123456", "٣", "0x10"])
def test_parse_refuses_everything_else(text: str | None) -> None:
    assert money.parse(pd.Series([text], dtype="str"), 2).isna().all()


@given(st.lists(st.decimals(min_value=-(10**12), max_value=10**12, places=5), min_size=1))
def test_parse_rounds_like_decimal(values: list[Decimal]) -> None:
    parsed = money.parse(pd.Series([format(value, "f") for value in values], dtype="str"), 2)
    expected = [int(value.quantize(Decimal("0.01"), ROUND_HALF_UP) * 100) for value in values]
    assert parsed.tolist() == expected


@given(st.lists(INTEGERS, min_size=1), st.sampled_from([0, 2, 3]))
def test_text_and_parse_are_inverse(numbers: list[int], decimals: int) -> None:
    texts = money.text(pd.Series(numbers, dtype="int64"), decimals)
    assert money.parse(texts, decimals).tolist() == numbers
    assert texts.str.contains(r"\.").all() == bool(decimals)


@given(
    st.lists(st.tuples(INTEGERS, st.integers(0, 10**13), st.integers(0, 10**4)), min_size=1),
    st.sampled_from([1, 3, 100, 10**4, 10**8, 10**12]),
)
def test_product_is_exact(rows: list[tuple[int, int, int]], divisor: int) -> None:
    columns = [pd.Series(column, dtype="int64") for column in zip(*rows, strict=True)]
    largest = 2**63 - 1
    for got, factors in zip(money.product(*columns, divisor=divisor), rows, strict=True):
        exact = Decimal(factors[0]) * factors[1] * factors[2] / divisor
        want = int(exact.quantize(Decimal(1), ROUND_HALF_UP)) if abs(exact) < 10**20 else None
        if want is None or abs(want) > largest:
            assert abs(int(got)) == largest
        else:
            assert int(got) == want


def test_rates_are_written_as_the_format_wants_them() -> None:
    rates = pd.Series([8000, 4750, 10000, 0, 3200], dtype="int64")
    assert money.rate_texts(rates).tolist() == ["80", "47.5", "100", "0", "32"]
