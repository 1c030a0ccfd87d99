"""What to expect of each claim table, derived from the dictionary, and the pass that finds what is otherwise.

Pure: Great Expectations, which carries these expectations in the pipeline, is not loaded here.
"""

from __future__ import annotations

from claim_rules.expectations.check import (
    CLAIMS,
    DECISION,
    PARENT_KEY,
    SUMMARY_COLUMNS,
    Batch,
    Faults,
    batches,
    check,
    check_table,
    columns_of,
    in_order,
    to_findings,
)
from claim_rules.expectations.fields import (
    KINDS,
    VERSION_EXPECTATION,
    Expectation,
    Layout,
    digest,
    expectation,
    expectations,
    layouts,
    version,
)

__all__ = [
    "CLAIMS",
    "DECISION",
    "KINDS",
    "PARENT_KEY",
    "SUMMARY_COLUMNS",
    "VERSION_EXPECTATION",
    "Batch",
    "Expectation",
    "Faults",
    "Layout",
    "batches",
    "check",
    "check_table",
    "columns_of",
    "digest",
    "expectation",
    "expectations",
    "in_order",
    "layouts",
    "to_findings",
    "version",
]
