"""A profile as cells of counts and sums: profiles of parts add up to the profile of the whole, exactly.

A value is kept in a bucket of a histogram that is the same everywhere (as HDR histograms are): whole numbers up to 63
by themselves, larger ones with 32 buckets for each doubling. A cell holds how many values lie in the bucket and their
sum, so means are exact, quantiles within 1/64 of the value, and exact where all values of a bucket are equal (prices).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

KEYS = ["measure", "key", "bucket"]
CELL_COLUMNS = {"measure": "str", "key": "str", "bucket": "int64", "n": "int64", "total": "int64"}
"""One cell: `n` values of `measure` under `key` lie in `bucket`; `total` is their sum in the measure's unit."""
MOMENT_COLUMNS = {"measure": "str", "key": "str", "n": "int64", "total": "float64", "squares": "float64"}
"""Cells without their buckets; squares: sum of the squares of the values (within a bucket all count as their mean)."""

_EXACT = 64  # below it a bucket is a value
_BITS = 5  # 2**5 buckets for each doubling


def empty() -> pd.DataFrame:
    """A profile of nothing."""
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in CELL_COLUMNS.items()})


def buckets(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The bucket of each value (whole numbers from 0, less than 2**53)."""
    _, exponent = np.frexp(values.astype(np.float64))  # value = m * 2**exponent, 1/2 <= m < 1
    shift = np.maximum(exponent.astype(np.int64) - _BITS - 1, 0)
    return np.where(values < _EXACT, values, (shift << _BITS) + (values >> shift))


def middle(bucket: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """A value inside each bucket: its lower end."""
    shift = np.maximum((bucket >> _BITS) - 1, 0)
    return np.where(bucket < _EXACT, bucket, (bucket - (shift << _BITS)) << shift).astype(np.float64)


def merge(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The profile of all parts together: CELL_COLUMNS, one row for each measure, key and bucket, in their order."""
    frames = [part for part in parts if len(part)]
    if not frames:
        return empty()
    whole = pd.concat(frames, ignore_index=True)
    out = whole.groupby(KEYS, as_index=False, sort=True)[["n", "total"]].sum()
    return out.astype(CELL_COLUMNS)


def moments(cells: pd.DataFrame) -> pd.DataFrame:
    """MOMENT_COLUMNS of merged cells."""
    total = cells["total"].astype("float64")
    out = cells[["measure", "key", "n"]].assign(total=total, squares=total * total / cells["n"].clip(lower=1))
    return out.groupby(["measure", "key"], as_index=False, sort=True).sum().astype(MOMENT_COLUMNS)


def quantiles(cells: pd.DataFrame, shares: Sequence[float]) -> pd.DataFrame:
    """Quantiles of each key of the cells of one measure: index key, one column per share, and `n`.

    A quantile is the mean of the bucket in which the value of that rank lies.
    """
    ordered = cells.sort_values(["key", "bucket"], ignore_index=True)
    upto = ordered.groupby("key")["n"].cumsum()
    size = ordered.groupby("key")["n"].transform("sum")
    mean = ordered["total"] / ordered["n"].clip(lower=1)
    out = pd.DataFrame({"n": ordered.groupby("key")["n"].sum()})
    for share in shares:
        reached = upto >= np.maximum(np.ceil(size * share), 1)
        first = ordered["key"][reached].drop_duplicates()
        out[share] = pd.Series(mean[first.index].to_numpy(), index=first.to_numpy())
    return out
