"""Faults of what is not listed or dearer than listed (CAT, PRICE)."""

from __future__ import annotations

from decimal import Decimal

from claim_simulator.catalogue import EXPIRED, NEW_DRUG_PRICES, NEW_SERVICE_PRICES, offered
from claim_simulator.faults.claim import Claim, Fault, Truth

PRICE = 1
"""Tolerance of a unit price, 1/1000 đồng; a difference equal to it passes."""


def _unlisted_drug(claim: Claim) -> list[Truth]:
    row = claim.pick([row for row in claim.rows("XML2") if claim.amount("XML2", "T_BHTT", row) > 0])
    ended = claim.lists.drugs.loc[claim.lists.drugs["id"].isin(EXPIRED), "MA_THUOC"].tolist()
    claim.put("XML2", "MA_THUOC", claim.pick(["40.8888", *ended]), row)
    return [("XML2", row + 1, "CAT-001")]


def is_paid_service(claim: Claim, row: int, groups: tuple[str, ...] = ()) -> bool:
    right_group = not groups or claim.get("XML3", "MA_NHOM", row) in groups
    return right_group and not claim.get("XML3", "MA_VAT_TU", row) and claim.amount("XML3", "T_BHTT", row) > 0


def _unlisted_service(claim: Claim) -> list[Truth]:
    row = claim.pick([row for row in claim.rows("XML3") if is_paid_service(claim, row, ("1", "2", "3"))])
    code, wrong = claim.get("XML3", "MA_DICH_VU", row), f"22.9{int(claim.rng.integers(100, 999))}.1399"
    claim.put("XML3", "MA_DICH_VU", wrong, row)
    if any(claim.get("XML3", "MA_DICH_VU", other) == code for other in claim.rows("XML3")):
        return [("XML3", row + 1, "CAT-012"), ("XML4", None, "STR-016")]
    for result in claim.rows("XML4"):
        if claim.get("XML4", "MA_DICH_VU", result) == code:
            claim.put("XML4", "MA_DICH_VU", wrong, result)
    return [("XML3", row + 1, "CAT-012")]


def price_text(price: int) -> str:
    return f"{price // 1000}.{price % 1000:03d}"


def _dear_drug(claim: Claim) -> list[Truth]:
    row = claim.pick([row for row in claim.rows("XML2") if claim.amount("XML2", "T_BHTT", row) > 0])
    price = listed_drug(claim, row)
    more = PRICE + 1 if claim.edge else price * int(claim.rng.integers(8, 50)) // 100 + PRICE + 1
    claim.blank_computed()
    claim.put("XML2", "DON_GIA", price_text(price + more), row)
    return [("XML2", row + 1, "PRICE-001")]


def _dear_service(claim: Claim) -> list[Truth]:
    row = claim.pick([row for row in claim.rows("XML3") if is_paid_service(claim, row)])
    price = listed_service(claim, row)
    more = PRICE + 1 if claim.edge else price * int(claim.rng.integers(5, 30)) // 100_000 * 1000 + 1000
    insured_price(claim, row, price + more)
    return [("XML3", row + 1, "PRICE-003")]


def insured_price(claim: Claim, row: int, price: int) -> None:
    """Asks so much (1/1000 đồng) for a service, the hospital's own price at least as high."""
    own = int(Decimal(claim.get("XML3", "DON_GIA_BV", row)) * 1000)
    claim.blank_computed()
    claim.put("XML3", "DON_GIA_BH", price_text(price), row)
    claim.put("XML3", "DON_GIA_BV", price_text(max(own, price)), row)


def listed_drug(claim: Claim, row: int) -> int:
    """The dearest price in the list for a drug on the day of its order, 1/1000 đồng."""
    listed = claim.lists.drugs[offered(claim.lists.drugs, claim.kind[0])]
    listed = listed[(listed["TYLE_TT_BH"] != "0") & ~listed["id"].isin(EXPIRED)]
    same = listed[listed["MA_THUOC"] == claim.get("XML2", "MA_THUOC", row)]
    new = claim.get("XML2", "NGAY_YL", row)[:8] >= NEW_DRUG_PRICES
    return int(same["new_price" if new else "old_price"].max())


def listed_service(claim: Claim, row: int) -> int:
    """The same for a service."""
    listed = claim.lists.services[offered(claim.lists.services, claim.kind[0])]
    listed = listed[listed["TYLE_TT_BH"] != "0"]
    same = listed[listed["MA_DICH_VU"] == claim.get("XML3", "MA_DICH_VU", row)]
    new = claim.get("XML3", "NGAY_YL", row)[:8] >= NEW_SERVICE_PRICES
    return int(same["new_price" if new else "old_price"].max())


FAULTS: dict[str, Fault] = {
    "CAT-001": Fault(lambda known: known["paid_drugs"] > 0, _unlisted_drug),
    "CAT-012": Fault(lambda known: known["paid_tests"] > 0, _unlisted_service),
    "PRICE-001": Fault(lambda known: known["paid_drugs"] > 0, _dear_drug, refill=True),
    "PRICE-003": Fault(lambda known: known["paid_services"] > 0, _dear_service, refill=True),
}
