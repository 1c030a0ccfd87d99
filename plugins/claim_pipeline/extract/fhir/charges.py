"""Prices and quantities: which Claim.item and ChargeItem stands for which order of an Encounter."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, DecimalException
from typing import Any

from claim_pipeline.extract.fhir.mapping import FhirMapping, Node
from claim_pipeline.extract.fhir.resources import Resource, Resources, as_list, codings

Row = dict[str, list[Node]]
"""The resources that one line is made of, by the name that paths of the mapping begin with."""

_CODES = {"ma-thuoc": "XML2", "ma-dich-vu": "XML3", "ma-vat-tu": "XML3"}
"""Systems of the codes that say what a line is, and its table."""


@dataclass
class _Charge:
    """A Claim.item or ChargeItem. codes: (table, code); of: the JSON (by id) of the orders that it says it is for."""

    body: Node
    codes: list[tuple[str, str]]
    of: set[int] = field(default_factory=set)
    used: bool = False

    @property
    def table(self) -> str:
        return self.codes[0][0] if self.codes else "XML3"


class Charges:
    """What one claim's Encounter is charged with."""

    def __init__(self) -> None:
        self.claims: list[Resource] = []
        self.items: list[_Charge] = []
        self.extras: list[_Charge] = []  # ChargeItems
        self._by_order: tuple[dict[int, list[_Charge]], ...] = ({}, {})
        self._by_code: tuple[dict[tuple[str, str], deque[_Charge]], ...] = ({}, {})

    @property
    def coverages(self) -> list[Any]:
        """References to the cards that its Claims name."""
        insurances = [part for claim in self.claims for part in as_list(claim.body.get("insurance"))]
        return [part.get("coverage") for part in insurances if isinstance(part, dict)]

    def lines(self, table: str, row: Row, codes: list[str]) -> list[Row]:
        """An order's line with what is charged for it; several lines where several items name the order."""
        ordered = {id(node) for nodes in row.values() for node in nodes}
        items = self._matching(0, ordered, table, codes)
        extras = self._matching(1, ordered, table, codes)
        found: list[Row] = [{**row, "item": [item.body]} for item in items] or [dict(row)]
        if extras:
            found[0]["charge"] = [extras[0].body]
        return found

    def rest(self, table: str) -> list[Row]:
        """Lines of what is charged for without an order: beds, examinations, supplies. ChargeItems are such lines only
        where there is no Claim, for a Claim names all that is claimed."""
        rows: list[Row] = []
        for item in self.items:
            if not item.used and item.table == table:
                item.used = True
                extras = self._matching(1, set(), table, [code for _, code in item.codes])
                rows.append({"item": [item.body]} | ({"charge": [extras[0].body]} if extras else {}))
        for extra in self.extras if not self.items else ():
            if not extra.used and extra.table == table:
                extra.used = True
                rows.append({"charge": [extra.body]})
        return rows

    def _matching(self, kind: int, orders: set[int], table: str, codes: list[str]) -> list[_Charge]:
        """Charges not used yet that name one of the orders; else the first with one of the codes that names none."""
        if not self._by_order[kind] and not self._by_code[kind]:
            self._index(kind)
        found = [one for order in orders for one in self._by_order[kind].get(order, ()) if not one.used]
        if not found:
            for code in codes:
                waiting = self._by_code[kind].get((table, code), deque())
                while waiting and waiting[0].used:
                    waiting.popleft()
                if waiting:
                    found = [waiting.popleft()]
                    break
        for one in found:
            one.used = True
        place = {id(one): at for at, one in enumerate(self.items if kind == 0 else self.extras)}
        return sorted({id(one): one for one in found}.values(), key=lambda one: place[id(one)])

    def _index(self, kind: int) -> None:
        for one in self.items if kind == 0 else self.extras:
            for order in one.of:
                self._by_order[kind].setdefault(order, []).append(one)
            if not one.of:
                for code in one.codes:
                    self._by_code[kind].setdefault(code, deque()).append(one)


def charges_by_claim(
    resources: Resources,
    mapping: FhirMapping,
    claims: list[Resource],
    extras: Mapping[int, list[Resource]],
    claim_of: Mapping[int, int],
) -> tuple[dict[int, Charges], list[Resource]]:
    """By claim number: what its Encounter is charged with; and the Claims that belong to no Encounter.

    claims: the Claim resources that count; extras: ChargeItems by claim number; claim_of: claim number by the id() of
    an Encounter's resource. An item without an Encounter belongs to that of the Claim's other items, else to its
    patient's only one.
    """
    found: dict[int, Charges] = defaultdict(Charges)
    lost = []
    of_patient: dict[int, set[int]] = defaultdict(set)
    for encounter in resources.all:
        if id(encounter) in claim_of:
            patient = resources.find(encounter.body.get("subject"), encounter.scope)
            of_patient[id(patient)].add(claim_of[id(encounter)])
    for claim in claims:
        items = [item for item in as_list(claim.body.get("item")) if isinstance(item, dict)]
        places: list[int | None] = [_place(resources, item, claim, claim_of) for item in items]
        patient = resources.find(claim.body.get("patient"), claim.scope)
        only = of_patient[id(patient)] if patient is not None else set()
        usual = next((at for at in places if at is not None), next(iter(only)) if len(only) == 1 else None)
        if usual is None:
            lost.append(claim)
            continue
        for item, at in zip(items, places, strict=True):
            charge = _Charge(
                item, _codes(mapping, item.get("productOrService")), _orders(resources, mapping, item, claim)
            )
            found[usual if at is None else at].items.append(charge)
        for number in dict.fromkeys(usual if at is None else at for at in (places or [None])):
            found[number].claims.append(claim)
    for number, those in extras.items():
        for extra in those:
            body = {**extra.body, "unitPrice": _unit_price(extra.body)}
            codes = _codes(mapping, body.get("productCodeableConcept")) + _codes(mapping, body.get("code"))
            served = [resources.find(reference, extra.scope) for reference in as_list(body.get("service"))]
            orders = {id(one.body) for one in served if one is not None}
            found[number].extras.append(_Charge(body, codes, orders))
    return found, lost


def order_codes(mapping: FhirMapping, *concepts: Node) -> list[str]:
    """The official codes by which an order and what is charged for it are known to be the same."""
    return [code for concept in concepts for _, code in _codes(mapping, concept)]


def _place(resources: Resources, item: Node, claim: Resource, claim_of: Mapping[int, int]) -> int | None:
    for reference in as_list(item.get("encounter")):
        encounter = resources.find(reference, claim.scope)
        if encounter is not None and id(encounter) in claim_of:
            return claim_of[id(encounter)]
    return None


def _codes(mapping: FhirMapping, concept: Node) -> list[tuple[str, str]]:
    return [
        (table, code["code"])
        for name, table in _CODES.items()
        for code in codings(concept)
        if code.get("system") in mapping.systems[name] and isinstance(code.get("code"), str)
    ]


def _orders(resources: Resources, mapping: FhirMapping, item: Node, claim: Resource) -> set[int]:
    """The orders that a Claim.item names, by extension or as a procedure of the Claim."""
    references = [
        extension.get("valueReference")
        for extension in as_list(item.get("extension"))
        if isinstance(extension, dict) and extension.get("url") in mapping.systems["item-request"]
    ]
    wanted = as_list(item.get("procedureSequence"))
    for procedure in as_list(claim.body.get("procedure")):
        if isinstance(procedure, dict) and procedure.get("sequence") in wanted:
            references.append(procedure.get("procedureReference"))
    found = [resources.find(reference, claim.scope) for reference in references]
    return {id(one.body) for one in found if one is not None}


def _unit_price(charge: Node) -> Decimal | None:
    """ChargeItem.priceOverride is the total; the price of one unit, to 1/1000, is that by its quantity."""
    price, quantity = (charge.get(name) for name in ("priceOverride", "quantity"))
    total = price.get("value") if isinstance(price, dict) else None
    units = quantity.get("value", 1) if isinstance(quantity, dict) else 1
    try:
        exact = Decimal(total) / Decimal(units)  # type: ignore[arg-type]
        return exact if exact == exact.quantize(Decimal("0.001")) else exact.quantize(Decimal("0.001"), ROUND_HALF_UP)
    except (DecimalException, TypeError, ValueError):
        return None
