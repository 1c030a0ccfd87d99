"""What every reader of a source format gives: claim tables, in one piece or chunk by chunk, and what they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from claim_rules.findings import concat
from claim_rules.frames import ClaimTables


@dataclass
class Summary:
    """What is known of a delivery once all of it was read; fields as of the same names in
    `claim_pipeline.workspace.Delivery`."""

    format: str
    MA_CSKCB: str
    read_claims: int
    declared_claims: int | None = None
    created_on: str | None = None
    signed: bool = False
    unknown_columns: list[str] | None = None
    reading: dict[str, Any] | None = None
    open_codes: pd.DataFrame | None = None


@dataclass
class Extracted:
    """One delivery as read.

    findings: raw findings of the reader (families STR-001 to STR-005, STR-015). open_codes: codes of an export that are
    still to be found out with reference data (columns of `claim_pipeline.transform.codes`). The others are the fields
    of the same names of `claim_pipeline.workspace.Delivery`.
    """

    tables: ClaimTables
    findings: pd.DataFrame
    format: str
    MA_CSKCB: str
    declared_claims: int | None = None
    created_on: str | None = None
    signed: bool = False
    unknown_columns: list[str] | None = None
    reading: dict[str, Any] | None = None
    open_codes: pd.DataFrame | None = None

    @property
    def summary(self) -> Summary:
        return Summary(
            self.format,
            self.MA_CSKCB,
            len(self.tables.claims),
            self.declared_claims,
            self.created_on,
            self.signed,
            self.unknown_columns,
            self.reading,
            self.open_codes,
        )


class Sink(Protocol):
    """Takes a delivery chunk by chunk."""

    def add(self, tables: ClaimTables) -> None:
        """The next claims, with their positions in the delivery. MA_CSKCB is NA as long as it is not known: then it is
        that of the summary."""

    def add_findings(self, findings: pd.DataFrame) -> None:
        """The next findings of the reader."""


class Collected:
    """A sink that keeps everything in memory."""

    def __init__(self) -> None:
        self._chunks: list[ClaimTables] = []
        self._findings: list[pd.DataFrame] = []

    def add(self, tables: ClaimTables) -> None:
        self._chunks.append(tables)

    def add_findings(self, findings: pd.DataFrame) -> None:
        self._findings.append(findings)

    def extracted(self, summary: Summary) -> Extracted:
        """The whole delivery."""
        frames: dict[str, list[pd.DataFrame]] = {}
        for chunk in self._chunks:
            for name, frame in chunk.items():
                frames.setdefault(name, []).append(frame)
        tables = ClaimTables(
            with_facility(together([chunk.claims for chunk in self._chunks]), summary.MA_CSKCB),
            {name: together(frames[name]) for name in sorted(frames, key=lambda name: int(name[3:]))},
            together([chunk.unknown for chunk in self._chunks]),
        )
        return Extracted(
            tables,
            concat(self._findings),
            summary.format,
            summary.MA_CSKCB,
            summary.declared_claims,
            summary.created_on,
            summary.signed,
            summary.unknown_columns,
            summary.reading,
            summary.open_codes,
        )


def together(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The rows of frames of one kind, with the columns of the widest."""
    widest = max(frames, key=lambda frame: frame.shape[1])
    filled = [
        frame if frame.shape[1] == widest.shape[1] else frame.reindex(columns=widest.columns).astype(widest.dtypes)
        for frame in frames
        if len(frame)
    ]
    return pd.concat(filled, ignore_index=True) if filled else frames[0]


def with_facility(claims: pd.DataFrame, facility: str) -> pd.DataFrame:
    """Claims whose facility was not known yet, with it."""
    return claims.assign(MA_CSKCB=claims["MA_CSKCB"].fillna(facility))
