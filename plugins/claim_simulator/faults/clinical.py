"""Faults of diagnoses (CLIN)."""

from __future__ import annotations

from claim_simulator.faults.claim import Claim, Fault, Truth
from claim_simulator.faults.facts import every_claim


def _not_a_code(claim: Claim) -> list[Truth]:
    wrong = claim.pick(["J18.99", "X99.9", "E11.Z"])
    if claim.rng.random() < 0.5:
        claim.everywhere("MA_BENH_CHINH", wrong)
    else:
        claim.everywhere("MA_BENH_KT", ";".join(filter(None, [claim.get("XML1", "MA_BENH_KT"), wrong])))
    return [("XML1", None, "CLIN-001")]


FAULTS: dict[str, Fault] = {
    "CLIN-001": Fault(every_claim, _not_a_code),
}
