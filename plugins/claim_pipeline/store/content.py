"""The fingerprint of what was sent for one claim, so that two versions can be compared without their content."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from claim_rules.frames import KEY_COLUMNS, ClaimTables

_NO_SEPARATOR = pa.scalar("", pa.large_string())


def content_hashes(tables: ClaimTables) -> pd.Series:
    """sha256 (hex) per claim, in the order of `tables.claims`.

    Covers the claim's tables in the order of their numbers, their rows in order, and of each row every element that
    was sent with its value. An element that was not sent leaves no trace, so a dictionary that grows changes nothing.
    """
    claims = tables.claims["claim"].to_numpy()
    digests = [hashlib.sha256() for _ in range(len(claims))]
    for name, frame in sorted(tables.items(), key=lambda item: int(item[0].removeprefix("XML"))):
        frame = frame.sort_values(["claim", "row"], kind="stable")
        data, offsets = _rows_as_bytes(frame)
        key = frame["claim"].to_numpy()
        first = np.searchsorted(key, claims, side="left")
        after = np.searchsorted(key, claims, side="right")
        heading = f"\x1d{name}\x1e".encode()
        for digest, start, end in zip(digests, offsets[first], offsets[after], strict=True):
            if end > start:
                digest.update(heading)
                digest.update(data[start:end])
    return pd.Series([digest.hexdigest() for digest in digests], dtype="str")


def _rows_as_bytes(frame: pd.DataFrame) -> tuple[memoryview, np.ndarray[Any, Any]]:
    """All rows behind one another, `name=value` joined by unit separators, and the offset at which each starts."""
    parts: list[Any] = []
    for column in frame.columns:
        values = frame[column]
        if column in KEY_COLUMNS or not values.notna().any():
            continue
        array = pa.Array.from_pandas(values, type=pa.large_string())
        parts.append(pc.binary_join_element_wise(pa.scalar(f"{column}=", pa.large_string()), array, _NO_SEPARATOR))
    parts.append(pa.array(["\x1e"] * len(frame), type=pa.large_string()))
    rows = pc.binary_join_element_wise(*parts, pa.scalar("\x1f", pa.large_string()), null_handling="skip")
    if isinstance(rows, pa.ChunkedArray):
        rows = rows.combine_chunks()
    _, offset_buffer, data_buffer = rows.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int64)[rows.offset : rows.offset + len(rows) + 1]
    return memoryview(data_buffer or b"").cast("B"), offsets
