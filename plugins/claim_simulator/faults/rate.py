"""Faults of the benefit rate (BEN)."""

from __future__ import annotations

from claim_simulator.faults.claim import Claim, Fault, Truth
from claim_simulator.faults.entitlement import LISTED
from claim_simulator.visits import NEW_ROUTES


def _rate_too_high(claim: Claim) -> list[Truth]:
    rate = max(float(claim.get(table, "MUC_HUONG", row) or 0) for table, row in claim.lines())
    higher = int(rate) + 1 if claim.edge else claim.pick([value for value in (80, 95, 100) if value > rate])
    claim.blank_computed()
    for table, row in claim.lines():
        claim.put(table, "MUC_HUONG", str(higher), row)
    return [(table, row + 1, "BEN-001") for table, row in claim.lines()]


def _needless_co_payment(claim: Claim) -> list[Truth]:
    card_rate = {"3": "95", "4": "80"}[claim.get("XML1", "MA_THE_BHYT")[2]]
    claim.blank_computed()
    for table, row in claim.lines():
        claim.put(table, "MUC_HUONG", card_rate, row)
    return [("XML1", None, "BEN-005"), ("XML1", None, "BEN-026")]


def _recoded(claim: Claim, code: str, rule: str) -> list[Truth]:
    claim.everywhere("MA_DOITUONG_KCB", code)
    return [("XML1", None, rule), *((table, row + 1, "BEN-001") for table, row in claim.lines())]


def _central_outpatient(claim: Claim) -> list[Truth]:
    found = _recoded(claim, "3.1", "BEN-011")
    if claim.kind != (2, "central"):
        found.append(("XML1", None, "BEN-018"))
    registered = claim.get("XML1", "MA_CSKCB") in claim.get("XML1", "MA_DKBD").split(";")
    listed = claim.get("XML1", "MA_BENH_CHINH").startswith(LISTED[:4])
    if (registered or listed) and claim.get("XML1", "NGAY_RA") >= NEW_ROUTES:
        found.append(("XML1", None, "BEN-019"))
    return found


def _not_insured(claim: Claim) -> list[Truth]:
    return _recoded(claim, "9", "BEN-021")


FAULTS: dict[str, Fault] = {
    "BEN-001": Fault(
        lambda known: (known["rate"] < 10_000) & (known["least_rate"] > 0) & known["one_rate"] & ~known["small"],
        _rate_too_high,
        refill=True,
        needs_amounts=True,
    ),
    "BEN-005": Fault(
        lambda known: (
            known["small"]
            & known["plain_route"]
            & known["card_rate"].between(1, 9_999)
            & known["single_card"]
            & ~known["waived"]
            & (known["T_BHTT"] >= 5_000_000)
        ),
        _needless_co_payment,
        refill=True,
        needs_amounts=True,
    ),
    "BEN-011": Fault(
        lambda known: ~known["inpatient"] & (known["T_BHTT"] > 0) & (known["least_rate"] > 0),
        _central_outpatient,
        needs_amounts=True,
    ),
    "BEN-021": Fault(lambda known: (known["T_BHTT"] > 0) & (known["least_rate"] > 0), _not_insured, needs_amounts=True),
}
