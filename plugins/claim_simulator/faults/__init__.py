"""Faults planted in good claims, each with every finding that follows from it: one module per subject.

A module of faults exports FAULTS (rule id -> Fault); planting.py merges them and plants.
"""

from claim_simulator.faults.pairs import NEAR, rule_of
from claim_simulator.faults.planting import ACROSS, RULES, TRUTH_COLUMNS, Plan, Planted, carries, plant

__all__ = ["ACROSS", "NEAR", "RULES", "TRUTH_COLUMNS", "Plan", "Planted", "carries", "plant", "rule_of"]
