"""Faults of the card and its holder (CARD)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from claim_simulator.faults.claim import Claim, Fault, Truth
from claim_simulator.moments import day_of_text, text8

GRACE_DAYS = 15
"""A card that ends during a visit covers what is ordered up to so many days later."""


def _letter_in_card(claim: Claim) -> list[Truth]:
    card = claim.get("XML1", "MA_THE_BHYT")
    claim.everywhere("MA_THE_BHYT", card[:5] + "O" + card[6:])
    # what no register can hold is not found in it either
    return [("XML1", None, "CARD-001"), ("XML1", None, "CARD-002")]


def _unknown_card(claim: Claim) -> list[Truth]:
    claim.unknown_card = True
    return [("XML1", None, "CARD-002")]


def _expired_card(claim: Claim) -> list[Truth]:
    before = 1 if claim.edge else int(claim.rng.integers(2, 30))
    claim.card_end = day_of_text(claim.get("XML1", "NGAY_VAO")[:8]) - before
    claim.everywhere("GT_THE_DEN", str(text8(np.array([claim.card_end]))[0]))
    return [("XML1", None, "CARD-008")]


def _in_register(rule: str, name: str, value: Callable[[Claim], str]) -> Callable[[Claim], list[Truth]]:
    """The register has something else than the claim."""

    def plant(claim: Claim) -> list[Truth]:
        claim.register[name] = value(claim)
        return [("XML1", None, rule)]

    return plant


def day_of(claim: Claim, name: str, more: int) -> str:
    """The day of a field of XML1, so many days later."""
    return str(text8(np.array([day_of_text(claim.get("XML1", name)[:8]) + more]))[0])


def _blocked(claim: Claim) -> list[Truth]:
    state = claim.pick(["revoked", "reduced", "suspended"])
    before = 0 if claim.edge else int(claim.rng.integers(1, 20))
    claim.register.update(TRANG_THAI=state, TRANG_THAI_TU=day_of(claim, "NGAY_VAO", -before))
    return [("XML1", None, "CARD-011")]


def _dead(claim: Claim) -> list[Truth]:
    since = day_of(claim, "NGAY_VAO", -(1 if claim.edge else int(claim.rng.integers(2, 20))))
    claim.register.update(TRANG_THAI="deceased", TRANG_THAI_TU=since)
    return [("XML1", None, "CARD-018")]


def _paid(claim: Claim) -> list[tuple[str, int]]:
    return [(table, row) for table, row in claim.lines() if claim.amount(table, "T_BHTT", row) > 0]


def _long_after_the_card(claim: Claim) -> list[Truth]:
    table, row = ordered_after_the_card(claim, GRACE_DAYS + 1 if claim.edge else GRACE_DAYS + 4)
    return [(table, row + 1, "CARD-009")]


def ordered_after_the_card(claim: Claim, days: int) -> tuple[str, int]:
    """A course of four weeks: the card ends in its first days, one drug is ordered so many days after its end."""
    claim.card_end = day_of_text(claim.get("XML1", "NGAY_VAO")[:8]) + int(claim.rng.integers(0, 4))
    claim.everywhere("GT_THE_DEN", str(text8(np.array([claim.card_end]))[0]))
    table, row = claim.pick([place for place in _paid(claim) if place[0] == "XML2"])
    day = str(text8(np.array([claim.card_end + days]))[0])
    moment = day + claim.get(table, "NGAY_YL", row)[8:]
    claim.put(table, "NGAY_YL", moment, row)
    claim.put(table, "NGAY_TH_YL", moment, row)
    return table, row


def _before_the_card(claim: Claim) -> list[Truth]:
    start = day_of(claim, "NGAY_VAO", 1)
    claim.put("XML1", "GT_THE_TU", start)
    claim.register.update(GT_THE_TU=start, TRANG_THAI_TU=start)
    early = [(table, row) for table, row in _paid(claim) if claim.get(table, "NGAY_YL", row)[:8] < start]
    return [(table, row + 1, "CARD-010") for table, row in early]


def _wrong_group(claim: Claim) -> list[Truth]:
    card = claim.pick(["HT", "BT", "TS"]) + claim.get("XML1", "MA_THE_BHYT")[2:]
    claim.everywhere("MA_THE_BHYT", card)
    claim.register["MA_THE_BHYT"] = card
    return [("XML1", None, "CARD-012")]


def _grown_child(claim: Claim) -> list[Truth]:
    if claim.edge:
        sixth_birthday(claim, 1)
    else:
        arrival = claim.get("XML1", "NGAY_VAO")
        _born(claim, f"{int(arrival[:4]) - 7}{arrival[4:6]}10")
    return [("XML1", None, "CARD-013")]


def sixth_birthday(claim: Claim, days_ago: int) -> None:
    """The child comes so many days after the sixth birthday."""
    day = day_of(claim, "NGAY_VAO", -days_ago)
    _born(claim, f"{int(day[:4]) - 6}{'0228' if day[4:] == '0229' else day[4:]}")


def _born(claim: Claim, day: str) -> None:
    claim.everywhere("NGAY_SINH", f"{day}0000")
    claim.register["NGAY_SINH"] = day


def _better_card(claim: Claim) -> list[Truth]:
    """A second card of full benefit holds too, and the lines stay at the rate of the first."""
    second = "CC1" + claim.get("XML1", "MA_THE_BHYT")[3:]
    claim.more_cards.append({"MA_THE_BHYT": second})
    for name in ("MA_DKBD", "GT_THE_TU", "GT_THE_DEN"):
        claim.put("XML1", name, f"{claim.get('XML1', name)};{claim.get('XML1', name)}")
    claim.put("XML1", "MA_THE_BHYT", f"{claim.get('XML1', 'MA_THE_BHYT')};{second}")
    # what the better card leaves to the patient is nothing
    return [("XML1", None, "CARD-015"), ("XML1", None, "BEN-026")]


def _shown_late(claim: Claim) -> list[Truth]:
    """The card is looked up when the patient leaves."""
    shown = claim.get("XML1", "NGAY_RA")
    claim.look_up = (shown, "000")
    early = [(table, row) for table, row in _paid(claim) if claim.get(table, "NGAY_YL", row) < shown]
    return [(table, row + 1, "CARD-014") for table, row in early]


def _never_looked_up(claim: Claim) -> list[Truth]:
    claim.look_up = (claim.get("XML1", "NGAY_VAO"), claim.pick(["100", "101", "500"]))
    return [("XML1", None, "CARD-019")]


def _since_the_decree(known: pd.DataFrame) -> pd.Series:
    """Decree 188/2025 asks that cards be shown and looked up; not of emergencies."""
    return (known["day_out"] >= "20250815") & (known["route"] != "2")


def _unknown_paper_card(claim: Claim) -> list[Truth]:
    claim.unknown_card = True
    return [("XML1", None, "CARD-016")]


def _other_sex(claim: Claim) -> str:
    return "1" if claim.get("XML1", "GIOI_TINH") == "2" else "2"


def listed_adult(known: pd.DataFrame) -> pd.Series:
    return known["registered_card"] & ~known["child_card"] & ~known["infant"]


FAULTS: dict[str, Fault] = {
    "CARD-001": Fault(lambda known: known["registered_card"] & ~known["waived"], _letter_in_card),
    "CARD-002": Fault(lambda known: known["registered_card"], _unknown_card),
    "CARD-003": Fault(listed_adult, _in_register("CARD-003", "HO_TEN", lambda claim: "Trịnh Thị Mẫu")),
    "CARD-004": Fault(listed_adult, _in_register("CARD-004", "NGAY_SINH", lambda claim: "19010203")),
    "CARD-005": Fault(listed_adult, _in_register("CARD-005", "GIOI_TINH", _other_sex)),
    "CARD-006": Fault(listed_adult, _in_register("CARD-006", "MA_DKBD", lambda claim: "27899")),
    "CARD-007": Fault(
        listed_adult, _in_register("CARD-007", "GT_THE_DEN", lambda claim: day_of(claim, "GT_THE_DEN", 30))
    ),
    "CARD-008": Fault(lambda known: known["registered_card"] & ~known["child_card"], _expired_card),
    "CARD-009": Fault(
        lambda known: (
            listed_adult(known) & (known["loai"] == "05") & (known["paid_drugs"] > 0) & (known["day_out"] >= "20250701")
        ),
        _long_after_the_card,
    ),
    "CARD-010": Fault(lambda known: listed_adult(known) & (known["T_BHTT"] > 0), _before_the_card, needs_amounts=True),
    "CARD-011": Fault(listed_adult, _blocked),
    "CARD-012": Fault(
        lambda known: listed_adult(known) & ~known["waived"] & (known["card_rate"] == 8_000), _wrong_group
    ),
    "CARD-013": Fault(lambda known: known["registered_card"] & known["child_card"], _grown_child),
    "CARD-014": Fault(lambda known: _since_the_decree(known) & (known["T_BHTT"] > 0), _shown_late, needs_amounts=True),
    "CARD-019": Fault(_since_the_decree, _never_looked_up),
    "CARD-015": Fault(
        lambda known: (
            listed_adult(known)
            & (known["card_rate"] == 8_000)
            & (known["rate"] == 8_000)
            & known["one_rate"]
            & known["plain_route"]
            & ~known["small"]
            & ~known["waived"]
        ),
        _better_card,
        needs_amounts=True,
    ),
    "CARD-016": Fault(lambda known: known["paper_card"], _unknown_paper_card),
    "CARD-018": Fault(listed_adult, _dead),
}
