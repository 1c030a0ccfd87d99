"""Faults of times (TIME)."""

from __future__ import annotations

import numpy as np

from claim_simulator.catalogue import NEW_DRUG_PRICES, NEW_SERVICE_PRICES
from claim_simulator.faults.claim import Claim, Fault, Truth
from claim_simulator.moments import day_of_text, text12


def _moment(text: str) -> int:
    return day_of_text(text[:8]) * 1440 + int(text[8:10]) * 60 + int(text[10:12])


def _moment_text(minutes: int) -> str:
    return str(text12(np.array([minutes]))[0])


def _leaves_before(claim: Claim) -> list[Truth]:
    arrival = _moment(claim.get("XML1", "NGAY_VAO"))
    discharge = _moment_text(arrival - int(claim.pick([0, 45, 90])))
    claim.everywhere("NGAY_RA", discharge)
    late = [row for row in claim.rows("XML3") if claim.get("XML3", "NGAY_YL", row) > discharge]
    return [("XML1", None, "TIME-001"), *(("XML3", row + 1, "TIME-002") for row in late)]


def _same_prices(first: int, second: int) -> bool:
    """Whether no price changes between two days."""
    changes = [day_of_text(NEW_DRUG_PRICES), day_of_text(NEW_SERVICE_PRICES)]
    return not any(min(first, second) < day <= max(first, second) for day in changes)


def _outside_visit(claim: Claim) -> list[Truth]:
    # another order of examinations would change their shares too
    places = [place for place in claim.lines() if claim.get(place[0], "MA_NHOM", place[1]) != "13"]
    table, row = claim.pick(places or list(claim.lines()))
    arrival, discharge = _moment(claim.get("XML1", "NGAY_VAO")), _moment(claim.get("XML1", "NGAY_RA"))
    order = _moment(claim.get(table, "NGAY_YL", row))
    minutes = 1 if claim.edge else int(claim.rng.integers(2, 60))
    early, late = (arrival - 1440, discharge + 1440) if table == "XML2" else (arrival - minutes, discharge + minutes)
    # prices change on some days: the order must stay on the same side of them
    possible = [moment for moment in (early, late) if _same_prices(order // 1440, moment // 1440)]
    moment = _moment_text(claim.pick(possible))
    claim.put(table, "NGAY_YL", moment, row)
    claim.put(table, "NGAY_TH_YL", moment, row)
    return [(table, row + 1, "TIME-002")]


FAULTS: dict[str, Fault] = {
    "TIME-001": Fault(
        lambda known: (known["loai"] == "01") & ~known["XML13"] & ~known["XML14"] & (known["services"] > 0),
        _leaves_before,
    ),
    "TIME-002": Fault(lambda known: known["loai"] != "08", _outside_visit),
}
