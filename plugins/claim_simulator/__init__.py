"""Synthetic hospitals: realistic deliveries of invented patients, with labelled faults."""

from claim_simulator.facilities import Drift
from claim_simulator.simulation import Summary, simulate

__all__ = ["Drift", "Summary", "simulate"]
