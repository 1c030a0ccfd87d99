"""The fingerprint of what an appraisal decided: equal outcomes, amounts and findings have the same, others another."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

OUTCOME = (
    "outcome", "paperless", "paperless_reasons", "referral_reasons", "requested", "approved", "refused",
)  # fmt: skip
LINE = ("table", "row", "line", "requested", "approved", "refused")
FINDING = (
    "rule", "severity", "table", "row", "line", "field", "observed", "expected", "amount_refused", "message_vi",
    "message_en", "basis",
)  # fmt: skip
"""Columns of claim_outcomes, line_outcomes and findings (appraise.run) that the fingerprint covers."""
_NOTHING = pa.scalar("", pa.large_string())
OF_DELIVERY = -1
"""The key of what concerns no single claim."""


@dataclass(frozen=True)
class Digests:
    """by_claim: position of the claim -> sha256 (hex) of its outcome, lines and findings; whole: of all of them and of
    the findings of the delivery as a whole."""

    by_claim: dict[int, str]
    whole: str


def digests(outcomes: pd.DataFrame, lines: pd.DataFrame, findings: pd.DataFrame) -> Digests:
    """Fingerprints of one appraisal. Amounts: int64, 1/100 đồng. Lines and findings count in the order given."""
    claims = np.unique(outcomes["claim"].to_numpy(dtype="int64"))
    keys = np.concatenate([[OF_DELIVERY], claims])
    parts = [hashlib.sha256() for _ in keys]
    for name, frame, columns in (("outcome", outcomes, OUTCOME), ("line", lines, LINE), ("finding", findings, FINDING)):
        if not len(frame):
            continue
        of = frame["claim"].fillna(OF_DELIVERY).to_numpy(dtype="int64")
        order = np.argsort(of, kind="stable")
        data, offsets = _as_bytes(frame.iloc[order], columns)
        key = of[order]
        first, after = np.searchsorted(key, keys, side="left"), np.searchsorted(key, keys, side="right")
        for digest, start, end in zip(parts, offsets[first], offsets[after], strict=True):
            if end > start:
                digest.update(f"\x1d{name}\x1e".encode())
                digest.update(data[start:end])
    by_key = {int(key): digest.hexdigest() for key, digest in zip(keys, parts, strict=True)}
    whole = hashlib.sha256("\n".join(f"{key} {one}" for key, one in by_key.items()).encode()).hexdigest()
    del by_key[OF_DELIVERY]
    return Digests(by_key, whole)


def of_files(folder: Any) -> Digests:
    """Fingerprints of the appraisal that lies in a working folder (claim_pipeline.workspace.Workspace)."""
    return digests(
        folder.read_frame("claim_outcomes"), folder.read_frame("line_outcomes"), folder.read_frame("findings")
    )


def _as_bytes(frame: pd.DataFrame, columns: tuple[str, ...]) -> tuple[memoryview, np.ndarray[Any, Any]]:
    """All rows behind one another, `name=value` joined by unit separators, and the offset at which each starts. A
    missing value leaves no trace; NUL is as the database keeps it."""
    parts: list[Any] = []
    for column in columns:
        array = pa.Array.from_pandas(frame[column])
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        if pa.types.is_null(array.type):
            continue
        text = pc.replace_substring(array.cast(pa.large_string()), "\x00", "\ufffd")
        parts.append(pc.binary_join_element_wise(pa.scalar(f"{column}=", pa.large_string()), text, _NOTHING))
    parts.append(pa.array(["\x1e"] * len(frame), type=pa.large_string()))
    rows = pc.binary_join_element_wise(*parts, pa.scalar("\x1f", pa.large_string()), null_handling="skip")
    if isinstance(rows, pa.ChunkedArray):
        rows = rows.combine_chunks()
    _, offset_buffer, data_buffer = rows.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int64)[rows.offset : rows.offset + len(rows) + 1]
    return memoryview(data_buffer or b"").cast("B"), offsets
