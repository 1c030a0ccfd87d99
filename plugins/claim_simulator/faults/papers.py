"""Faults of what goes with a claim: results, notes and papers that are missing (STR)."""

from __future__ import annotations

import re

from claim_simulator.faults.claim import Claim, Fault, Truth

NOTED = ("02", "03", "04", "08", "09")
STAYS = ("03", "04", "09")


def _no_results(claim: Claim) -> list[Truth]:
    claim.drop("XML4")
    return [("XML4", None, "STR-016")]


def _no_notes(claim: Claim) -> list[Truth]:
    claim.drop("XML5")
    return [("XML5", None, "STR-017")]


def _no_discharge_paper(claim: Claim) -> list[Truth]:
    table = claim.pick(["XML7", "XML8"])
    claim.drop(table)
    return [(table, None, "STR-018")]


def _no_referral_paper(claim: Claim) -> list[Truth]:
    if claim.rng.random() < 0.5:
        claim.put("XML1", "MA_NOI_DEN", "")
        return [("XML1", None, "STR-019")]
    claim.drop("XML13")
    return [("XML13", None, "STR-019")]


def _other_day_of_return(claim: Claim) -> list[Truth]:
    day = claim.get("XML1", "NGAY_TAI_KHAM")
    claim.put("XML1", "NGAY_TAI_KHAM", f"{int(day[:4]) + 1}{day[4:6]}15")
    return [("XML1", None, "STR-035")]


def _weight_of_nobody(claim: Claim) -> list[Truth]:
    claim.put("XML1", "CAN_NANG_CON", claim.pick(["3100.00", "2800.00;2650.00"]))
    return [("XML1", None, "STR-036")]


def _kind_of_drugs_alone(claim: Claim) -> list[Truth]:
    claim.put("XML1", "MA_LOAI_KCB", "05")
    days = [re.search(r"(\d+) ngày", claim.get("XML2", "LIEU_DUNG", row)) for row in claim.rows("XML2")]
    claim.put("XML1", "SO_NGAY_DTRI", str(max(int(found[1]) for found in days if found)))
    return [("XML1", None, "STR-033")]


FAULTS: dict[str, Fault] = {
    "STR-016": Fault(lambda known: known["paid_tests"] > 0, _no_results),
    "STR-017": Fault(lambda known: known["loai"].isin(NOTED) & known["XML5"], _no_notes),
    "STR-018": Fault(lambda known: known["loai"].isin(STAYS) & known["XML7"], _no_discharge_paper),
    "STR-019": Fault(lambda known: known["XML13"], _no_referral_paper),
    "STR-033": Fault(
        lambda known: (known["loai"] == "08") & (known["tests"] > 0) & (known["drugs"] > 0) & known["since_august"],
        _kind_of_drugs_alone,
    ),
    "STR-035": Fault(lambda known: known["XML14"], _other_day_of_return),
    "STR-036": Fault(lambda known: known["grown_woman"], _weight_of_nobody),
}
