"""Exact numbers: text to integers and back, and the one rounding of the product (half up)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from claim_rules.frames import as_text

Ints = npt.NDArray[np.int64]

AMOUNT_DECIMALS = 2  # THANH_TIEN_*, T_*: unit 1/100 đồng
PRICE_DECIMALS = 3  # DON_GIA*, SO_LUONG: unit 1/1000
RATE_DECIMALS = 2  # TYLE_*, MUC_HUONG: unit 1/100 percent, so 100 % is 10000

_NUMBER = r"^\s*(?P<sign>-?)0*(?P<whole>\d{1,15})(?:\.(?P<fraction>\d*))?\s*$"
_SAFE = 9.0e18
_LARGEST = np.iinfo(np.int64).max


def parse(texts: pd.Series, decimals: int) -> pd.Series:
    """Text to integers in units of 10**-decimals (dtype Int64, aligned with `texts`).

    Digits beyond `decimals` are rounded half up. NA where the text is blank, not a plain number
    (comma, sign other than a leading minus, exponent) or has more than 15 whole digits.
    """
    number, valid = _read([texts], decimals)
    return pd.Series(pd.arrays.IntegerArray(number, ~valid), index=texts.index)


def parse_columns(frame: pd.DataFrame, decimals: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All text columns of a frame as `parse` reads them: int64 with 0 for what is no number, and bool, which were."""
    number, valid = _read([frame[name] for name in frame.columns], decimals)
    shape = (len(frame.columns), len(frame))
    numbers = pd.DataFrame(number.reshape(shape).T, index=frame.index, columns=frame.columns)
    return numbers, pd.DataFrame(valid.reshape(shape).T, index=frame.index, columns=frame.columns)


def _read(columns: list[pd.Series], decimals: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Numbers of all columns one after the other (0 for none), and which are numbers."""
    chunks: list[pa.Array] = []
    for texts in columns:
        array = pa.array(texts.astype("str").array, type=pa.large_string())
        chunks += array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    # the same few numbers stand in most cells: each is read once
    encoded = pc.dictionary_encode(pa.chunked_array(chunks, type=pa.large_string()), null_encoding="encode")
    encoded = encoded.combine_chunks()
    number, valid = _parsed(pc.fill_null(encoded.dictionary, "").cast(pa.string()), decimals)
    place = encoded.indices.to_numpy(zero_copy_only=False)
    return np.where(valid, number, 0)[place], valid[place]


def _parsed(distinct: pa.Array, decimals: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Numbers of texts without null, and which of them are numbers at all."""
    parts = pc.extract_regex(distinct, _NUMBER)
    whole = pc.struct_field(parts, "whole")
    fraction = pc.utf8_rpad(pc.fill_null(pc.struct_field(parts, "fraction"), ""), decimals + 1, padding="0")
    digits = pc.binary_join_element_wise(whole, pc.utf8_slice_codeunits(fraction, 0, decimals), "")
    valid = pc.is_valid(whole).to_numpy(zero_copy_only=False)
    number = pc.cast(pc.fill_null(digits, "0"), pa.int64()).to_numpy(zero_copy_only=False).copy()
    next_digit = pc.utf8_slice_codeunits(fraction, decimals, decimals + 1)
    number += pc.greater_equal(next_digit, "5").to_numpy(zero_copy_only=False).astype(np.int64)
    negative = pc.equal(pc.fill_null(pc.struct_field(parts, "sign"), ""), "-").to_numpy(zero_copy_only=False)
    number[negative] *= -1
    return number, valid


def text(numbers: pd.Series | Ints, decimals: int) -> pd.Series:
    """Integers in units of 10**-decimals as text with just so many decimals, e.g. 1234567, 2 -> "12345.67"."""
    series = pd.Series(numbers)
    values = series.to_numpy(dtype="int64", na_value=0)
    unit = 10**decimals
    size = np.abs(values)
    whole = pc.cast(pa.array(size // unit), pa.string())
    fraction = pc.utf8_lpad(pc.cast(pa.array(size % unit), pa.string()), decimals, padding="0")
    sign = pc.if_else(pa.array(values < 0), "-", "")
    parts = (
        pc.binary_join_element_wise(sign, whole, ".", fraction, "")
        if decimals
        else pc.binary_join_element_wise(sign, whole, "")
    )
    out = as_text(parts, series.index)
    return out.where(series.notna()) if series.hasnans else out


def amount_text(number: int) -> str:
    """One amount in 1/100 đồng as text with two decimals."""
    sign = "-" if number < 0 else ""
    return f"{sign}{abs(number) // 100}.{abs(number) % 100:02d}"


def rate_text(number: int) -> str:
    """One rate in 1/100 percent as the XML writes it: 8000 -> "80", 4750 -> "47.5"."""
    whole, rest = divmod(number, 100)
    return f"{whole}.{rest:02d}".rstrip("0") if rest else str(whole)


def rate_texts(numbers: pd.Series) -> pd.Series:
    """Rates in 1/100 percent as the XML writes them (NA becomes "")."""
    known = {int(value): rate_text(int(value)) for value in numbers.dropna().unique()}
    return numbers.map(known).astype("object").fillna("").astype("str")


def product(*factors: Ints | pd.Series | int, divisor: int) -> Ints:
    """Product of integers divided by `divisor`, rounded half up (away from zero), exact.

    Rows whose product does not fit 64 bits are computed with Python integers; a result that does not
    fit is clipped to the largest 64-bit integer.
    """
    arrays: list[Ints] = [np.asarray(factor, dtype=np.int64) for factor in factors]
    arrays = [np.array(array) for array in np.broadcast_arrays(*arrays)]
    estimate: Any = np.ones(arrays[0].shape, dtype=np.float64)
    for array in arrays:
        estimate = estimate * array
    safe = np.abs(estimate) < _SAFE - divisor
    total = np.ones(arrays[0].shape, dtype=np.int64)
    for array in arrays:
        total = total * np.where(safe, array, 0)
    half = divisor // 2 if divisor % 2 == 0 else (divisor - 1) // 2
    magnitude = np.abs(total)
    out: Ints = np.where(total < 0, -1, 1) * ((magnitude + half) // divisor)
    for position in np.flatnonzero(~safe):
        exact = 1
        for array in arrays:
            exact *= int(array.flat[position])
        rounded = (abs(exact) * 2 + divisor) // (2 * divisor)
        out.flat[position] = (-1 if exact < 0 else 1) * min(rounded, _LARGEST)
    return out
