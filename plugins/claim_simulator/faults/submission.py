"""Faults of sending (SUB)."""

from __future__ import annotations

from claim_simulator.faults.claim import Claim, Fault, Truth

FIRST_DAYS = 8


def _late(claim: Claim) -> list[Truth]:
    claim.late = True
    return [("XML1", None, "SUB-001")]


FAULTS: dict[str, Fault] = {
    "SUB-001": Fault(lambda known: known["left_on"] <= FIRST_DAYS, _late, xml_only=True),
}
