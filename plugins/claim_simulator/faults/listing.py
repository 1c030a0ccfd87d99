"""Faults of what is not listed or dearer than listed (CAT, PRICE)."""

from __future__ import annotations

from decimal import Decimal

from claim_simulator.catalogue import EXPIRED
from claim_simulator.faults.claim import Claim, Fault, Truth


def _unlisted_drug(claim: Claim) -> list[Truth]:
    row = claim.pick([row for row in claim.rows("XML2") if claim.amount("XML2", "T_BHTT", row) > 0])
    ended = claim.lists.drugs.loc[claim.lists.drugs["id"].isin(EXPIRED), "MA_THUOC"].tolist()
    claim.put("XML2", "MA_THUOC", claim.pick(["40.8888", *ended]), row)
    return [("XML2", row + 1, "CAT-001")]


def _is_paid_service(claim: Claim, row: int, groups: tuple[str, ...] = ()) -> bool:
    right_group = not groups or claim.get("XML3", "MA_NHOM", row) in groups
    return right_group and not claim.get("XML3", "MA_VAT_TU", row) and claim.amount("XML3", "T_BHTT", row) > 0


def _unlisted_service(claim: Claim) -> list[Truth]:
    row = claim.pick([row for row in claim.rows("XML3") if _is_paid_service(claim, row, ("1", "2", "3"))])
    code, wrong = claim.get("XML3", "MA_DICH_VU", row), f"22.9{int(claim.rng.integers(100, 999))}.1399"
    claim.put("XML3", "MA_DICH_VU", wrong, row)
    if any(claim.get("XML3", "MA_DICH_VU", other) == code for other in claim.rows("XML3")):
        return [("XML3", row + 1, "CAT-012"), ("XML4", None, "STR-016")]
    for result in claim.rows("XML4"):
        if claim.get("XML4", "MA_DICH_VU", result) == code:
            claim.put("XML4", "MA_DICH_VU", wrong, result)
    return [("XML3", row + 1, "CAT-012")]


def _price_text(price: int) -> str:
    return f"{price // 1000}.{price % 1000:03d}"


def _dear_drug(claim: Claim) -> list[Truth]:
    row = claim.pick([row for row in claim.rows("XML2") if claim.amount("XML2", "T_BHTT", row) > 0])
    same = claim.lists.drugs[claim.lists.drugs["MA_THUOC"] == claim.get("XML2", "MA_THUOC", row)]
    dearest = int(same[["old_price", "new_price"]].to_numpy().max())
    claim.blank_computed()
    claim.put("XML2", "DON_GIA", _price_text(dearest * int(claim.rng.integers(108, 150)) // 100 + 2), row)
    return [("XML2", row + 1, "PRICE-001")]


def _dear_service(claim: Claim) -> list[Truth]:
    row = claim.pick([row for row in claim.rows("XML3") if _is_paid_service(claim, row)])
    same = claim.lists.services[claim.lists.services["MA_DICH_VU"] == claim.get("XML3", "MA_DICH_VU", row)]
    dearest = int(same[["old_price", "new_price"]].to_numpy().max())
    price = dearest * int(claim.rng.integers(105, 130)) // 100_000 * 1000
    own = int(Decimal(claim.get("XML3", "DON_GIA_BV", row)) * 1000)
    claim.blank_computed()
    claim.put("XML3", "DON_GIA_BH", _price_text(price), row)
    claim.put("XML3", "DON_GIA_BV", _price_text(max(own, price)), row)
    return [("XML3", row + 1, "PRICE-003")]


FAULTS: dict[str, Fault] = {
    "CAT-001": Fault(lambda known: known["paid_drugs"] > 0, _unlisted_drug),
    "CAT-012": Fault(lambda known: known["paid_tests"] > 0, _unlisted_service),
    "PRICE-001": Fault(lambda known: known["paid_drugs"] > 0, _dear_drug, refill=True),
    "PRICE-003": Fault(lambda known: known["paid_services"] > 0, _dear_service, refill=True),
}
