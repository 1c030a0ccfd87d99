"""Faults of the card (CARD)."""

from __future__ import annotations

import numpy as np

from claim_simulator.faults.claim import Claim, Fault, Truth
from claim_simulator.moments import day_of_text, text8


def _letter_in_card(claim: Claim) -> list[Truth]:
    card = claim.get("XML1", "MA_THE_BHYT")
    claim.everywhere("MA_THE_BHYT", card[:5] + "O" + card[6:])
    # what no register can hold is not found in it either
    return [("XML1", None, "CARD-001"), ("XML1", None, "CARD-002")]


def _unknown_card(claim: Claim) -> list[Truth]:
    claim.unknown_card = True
    return [("XML1", None, "CARD-002")]


def _expired_card(claim: Claim) -> list[Truth]:
    claim.card_end = day_of_text(claim.get("XML1", "NGAY_VAO")[:8]) - int(claim.rng.integers(1, 30))
    claim.everywhere("GT_THE_DEN", str(text8(np.array([claim.card_end]))[0]))
    return [("XML1", None, "CARD-008")]


FAULTS: dict[str, Fault] = {
    "CARD-001": Fault(lambda known: known["registered_card"], _letter_in_card),
    "CARD-002": Fault(lambda known: known["registered_card"], _unknown_card),
    "CARD-008": Fault(lambda known: known["registered_card"] & ~known["child_card"], _expired_card),
}
