"""What to expect of each claim table, derived from the dictionary, and the pass that finds what is otherwise.

Pure: Great Expectations, which carries these expectations in the pipeline, is not loaded here.
"""

from __future__ import annotations

from claim_rules.expectations.batches import CLAIMS, Batch, batches, columns_of, suite_name
from claim_rules.expectations.check import DECISION, PARENT_KEY, Faults, check_table
from claim_rules.expectations.fields import (
    KINDS,
    VERSION_EXPECTATION,
    Expectation,
    Layout,
    demands,
    digest,
    expectation,
    expectations,
    layouts,
    undecided,
)
from claim_rules.expectations.relations import Relation, relations
from claim_rules.expectations.suites import suite_version, version
from claim_rules.expectations.tally import RELATED, Pass, Suite, Tally, check
from claim_rules.expectations.tell import in_order, to_findings

__all__ = [
    "CLAIMS",
    "DECISION",
    "KINDS",
    "PARENT_KEY",
    "RELATED",
    "VERSION_EXPECTATION",
    "Batch",
    "Expectation",
    "Faults",
    "Layout",
    "Pass",
    "Relation",
    "Suite",
    "Tally",
    "batches",
    "check",
    "check_table",
    "columns_of",
    "demands",
    "digest",
    "expectation",
    "expectations",
    "in_order",
    "layouts",
    "relations",
    "suite_name",
    "suite_version",
    "to_findings",
    "undecided",
    "version",
]
