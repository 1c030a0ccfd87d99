"""The benefit law: at which rate a line is covered, what the fund pays and what the patient pays.

Amounts are integers in 1/100 đồng, prices and quantities in 1/1000, rates in 1/100 percent (claim_rules.money).
Source: Law on Health Insurance Art 22 (amended by Law 51/2024), Decree 188/2025/ND-CP, Circular 39/2024/TT-BYT, field
notes of Decisions 130, 4750 and 3176. Where the sources disagree, claim_rules.options has the choice.
"""

from __future__ import annotations

from claim_rules.benefit.amounts import (
    PRICE_TO_AMOUNT,
    claim_totals,
    covered,
    fill_amounts,
    full_price_amount,
    hospital_amounts,
    in_scope_amount,
    of_forces,
    priced_amount,
    split,
    supply_lines,
    supported,
    supported_amount,
)
from claim_rules.benefit.card_groups import holds_group
from claim_rules.benefit.rates import (
    FULL,
    RATE_ROUNDING,
    REFERRAL_REASONS,
    ROUTE_NO_FACTOR,
    ROUTE_PARENT_CASE,
    ROUTE_UNKNOWN,
    Expected,
    cards,
    expected_rates,
    rates_at_factor,
    route_factors,
    several_cards,
)

__all__ = [
    "FULL",
    "PRICE_TO_AMOUNT",
    "RATE_ROUNDING",
    "REFERRAL_REASONS",
    "ROUTE_NO_FACTOR",
    "ROUTE_PARENT_CASE",
    "ROUTE_UNKNOWN",
    "Expected",
    "cards",
    "claim_totals",
    "covered",
    "expected_rates",
    "fill_amounts",
    "full_price_amount",
    "holds_group",
    "hospital_amounts",
    "in_scope_amount",
    "of_forces",
    "priced_amount",
    "rates_at_factor",
    "route_factors",
    "several_cards",
    "split",
    "supply_lines",
    "supported",
    "supported_amount",
]
