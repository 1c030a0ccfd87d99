"""Findings: what a check saw, as one frame from the reader to the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pandas as pd
from pandas.api.types import pandas_dtype

REJECT_CLAIM = "reject_claim"
REJECT_LINE = "reject_line"
ADJUST_AMOUNT = "adjust_amount"
WARN = "warn"
SEVERITIES = (REJECT_CLAIM, REJECT_LINE, ADJUST_AMOUNT, WARN)

CLAIM = "CLAIM"
"""As `correct_field` of a claim's finding: its correct_value is the most that the claim may be approved for."""

LINE_CAP = "LINE"
"""As `correct_field` of a line: its correct_value is the most that the fund may pay of it."""

MORE = "MORE"
"""As `correct_field` of a line: its correct_value is what the fund may pay above the share of its rate."""

FINDING_COLUMNS = {
    "claim": "Int64",  # position of the claim in the delivery; NA: a finding of the delivery as a whole
    "rule": "str",
    "severity": "str",  # one of SEVERITIES; "" = as the rule book says
    "table": "str",  # official table name, or NA
    "row": "Int64",  # position from 1 of the row in this claim's table; NA: a claim-level finding
    "field": "str",  # official element name, or NA
    "observed": "str",  # as sent; `catalogue.complete` masks personal fields
    "expected": "str",
    "correct_field": "str",  # field of the line that the rule corrects (see claim_rules.outcome), or NA
    "correct_value": "Int64",  # the right value in the unit of `claim_rules.lines`, or NA
    "detail_vi": "str",  # what to add to the rule's message, or NA
    "detail_en": "str",
}
"""Columns of the raw findings that readers, expectations and rules produce."""


@cache
def _none() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series([], dtype=pandas_dtype(dtype)) for name, dtype in FINDING_COLUMNS.items()})


@cache
def _dtypes() -> dict[str, Any]:
    return {name: pandas_dtype(dtype) for name, dtype in FINDING_COLUMNS.items()}


@cache
def _blank() -> dict[str, Any]:
    """Of every column what stands in it where nothing is given, as an array of one."""
    blank = {name: pd.array([pd.NA], dtype=dtype) for name, dtype in _dtypes().items()}
    return blank | {"severity": pd.array([""], dtype=_dtypes()["severity"])}


def findings(rows: Iterable[dict[str, Any]] | pd.DataFrame = ()) -> pd.DataFrame:
    """A frame of FINDING_COLUMNS from rows or a frame that give some of them; the others are NA.

    Raises ValueError for a column that is not one of them.
    """
    given = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    if given.empty:
        return _none().copy()
    return of_columns({name: given[name].array for name in given.columns}, len(given))


def of_columns(columns: Mapping[str, Any], count: int) -> pd.DataFrame:
    """The same from arrays of `count` values, or one text for all rows."""
    unknown = set(columns) - set(FINDING_COLUMNS)
    if unknown:
        raise ValueError(f"not columns of findings: {sorted(unknown)}")
    out: dict[str, Any] = {}
    for name, dtype in _dtypes().items():
        given = columns.get(name)
        if given is None:
            out[name] = _blank()[name].repeat(count)
        elif isinstance(given, str):
            out[name] = pd.array([given], dtype=dtype).repeat(count)
        elif getattr(given, "dtype", None) == dtype:
            out[name] = given
        else:
            out[name] = pd.Series(given).astype(dtype).array
    return pd.DataFrame(out)


def concat(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Findings of several frames, in the order given."""
    kept = [frame for frame in frames if len(frame)]
    return pd.concat(kept, ignore_index=True) if kept else findings()


CORRECTION_COLUMNS = {
    "rule": "str",
    "line_index": "int64",  # index of the line in claim_rules.lines.ClaimLines.lines
    "correct_field": "str",
    "correct_value": "Int64",
}
"""Columns of the corrections that findings of a whole claim make in its lines."""


def corrections(rule: str, lines: pd.DataFrame, where: pd.Series, name: str, values: pd.Series) -> pd.DataFrame:
    """Corrections of one field of the lines where `where` is true (both aligned with lines)."""
    hit = lines.index[where.to_numpy(dtype="bool", na_value=False)]
    frame = pd.DataFrame(
        {"rule": rule, "line_index": hit, "correct_field": name, "correct_value": values.loc[hit].array}
    )
    return frame.astype({column: pandas_dtype(dtype) for column, dtype in CORRECTION_COLUMNS.items()})


@cache
def no_corrections() -> pd.DataFrame:
    """A frame of CORRECTION_COLUMNS without rows; not to be changed."""
    return pd.DataFrame({name: pd.Series([], dtype=pandas_dtype(dtype)) for name, dtype in CORRECTION_COLUMNS.items()})


Anew = Callable[[pd.DataFrame], pd.DataFrame]
"""Makes a rule's corrections (CORRECTION_COLUMNS) from what all other corrections leave of the lines: in_scope
(THANH_TIEN_BH) and fund (T_BHTT), int64 1/100 đồng, 0 on refused lines, and refused (bool), by line index."""


@dataclass
class Ruling:
    """What a rule says beyond findings.

    corrections: frame of CORRECTION_COLUMNS, which count with the rule's adjust_amount finding of the same claim.
    anew: of a limit that lines share, makes those that count in their place once it is known what all other rules
    refuse; `corrections` then tell what the rule would cut alone. referrals: frame (claim, reason): a person must look.
    what_if: frame (claim, option, choice, more, line_index): what another choice of claim_rules.options would add to
    the approved amount of a claim by one of its lines, 1/100 đồng.
    """

    findings: pd.DataFrame
    corrections: pd.DataFrame = field(default_factory=no_corrections)
    referrals: pd.DataFrame | None = None
    what_if: pd.DataFrame | None = None
    anew: Anew | None = None
