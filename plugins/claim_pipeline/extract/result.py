"""What every reader of a source format returns."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from claim_rules.frames import ClaimTables


@dataclass
class Extracted:
    """One delivery as read.

    findings: raw findings of the reader (families STR-001 to STR-005, STR-015). The others are the fields of the same
    names of `claim_pipeline.workspace.Delivery`.
    """

    tables: ClaimTables
    findings: pd.DataFrame
    format: str
    MA_CSKCB: str
    declared_claims: int | None = None
    created_on: str | None = None
    signed: bool = False
    unknown_columns: list[str] | None = None
