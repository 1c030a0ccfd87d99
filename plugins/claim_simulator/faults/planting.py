"""Plants faults in good claims: which rules, how many, in which claims."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from claim_rules.benefit import fill_amounts
from claim_rules.frames import ClaimTables
from claim_simulator.catalogue import Catalogue
from claim_simulator.deliveries import Damage
from claim_simulator.facilities import COLUMNS, XML, Facility
from claim_simulator.faults import (
    arithmetic,
    card,
    chronology,
    clinical,
    dictionary,
    entitlement,
    fields,
    listing,
    money,
    papers,
    rate,
    structure,
    submission,
)
from claim_simulator.faults.claim import Claim, Fault, Sheets
from claim_simulator.faults.facts import facts

TRUTH_COLUMNS = ["MA_CSKCB", "MA_LK", "table", "line", "rule"]

FAULTS: dict[str, Fault] = {
    rule: fault
    for module in (
        structure,
        papers,
        fields,
        dictionary,
        card,
        rate,
        entitlement,
        arithmetic,
        money,
        listing,
        chronology,
        clinical,
        submission,
    )
    for rule, fault in module.FAULTS.items()
}
"""How each rule's fault is planted."""

REPEATED = "DUP-001"
LATE = ("SUB-001",)
"""Faults of claims that come with a later delivery: they need more than one."""
RULES = (*FAULTS, REPEATED)
"""Rules whose faults are planted, each for itself."""


@dataclass
class Planted:
    """A facility's claims with their faults.

    damage, copies: see deliveries; faulty: claims with a fault; truth: frame of TRUTH_COLUMNS; counts: planted faults
    by rule; unknown, ends: what the card register must not know, or know otherwise (see reference.card_register);
    register, more_cards: what the register has otherwise or beside; late: claims to be sent with the last delivery;
    paid: whose ledger holds more than six months (reference.co_payments).
    """

    tables: ClaimTables
    damage: Damage = field(default_factory=dict)
    copies: set[int] = field(default_factory=set)
    faulty: set[int] = field(default_factory=set)
    truth: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=TRUTH_COLUMNS))
    counts: dict[str, int] = field(default_factory=dict)
    unknown: set[int] = field(default_factory=set)
    ends: dict[int, int] = field(default_factory=dict)
    register: dict[int, dict[str, str]] = field(default_factory=dict)
    more_cards: dict[int, list[dict[str, str]]] = field(default_factory=dict)
    late: set[int] = field(default_factory=set)
    paid: set[int] = field(default_factory=set)


class Plan:
    """How many faults of each rule are still to be planted, over all facilities."""

    def __init__(self, houses: list[Facility], claims: int, fault_rate: float, rng: np.random.Generator) -> None:
        total = round(len(houses) * claims * fault_rate)
        self._houses = houses
        self._rng = rng
        self._left = dict.fromkeys(RULES, total // len(RULES))
        for rule in rng.permutation(RULES)[: total % len(RULES)].tolist():
            self._left[rule] += 1

    def share(self, house: Facility) -> dict[str, int]:
        """Faults that a facility takes now: an equal share among those left that can carry them, rounded by chance."""
        later = self._houses[house.position :]
        out: dict[str, int] = {}
        for rule, left in self._left.items():
            able = sum(carries(other, rule) for other in later)
            luck = self._rng.random()
            if left and carries(house, rule):
                out[rule] = int(left / able + luck) if able > 1 else left
        return {rule: count for rule, count in out.items() if count}

    def done(self, counts: dict[str, int]) -> None:
        """What a facility has planted."""
        for rule, count in counts.items():
            self._left[rule] -= count


def carries(house: Facility, rule: str) -> bool:
    """Whether the facility's form of delivery can carry a rule's fault."""
    fault = FAULTS.get(rule)
    if fault is None:
        return True
    return not (fault.xml_only and house.form != XML) and not (fault.needs_amounts and house.leaves_out == COLUMNS)


def plant(
    house: Facility,
    lists: Catalogue,
    tables: ClaimTables,
    parts: list[range],
    share: dict[str, int],
    rng: np.random.Generator,
) -> Planted:
    """Plants faults in the claims of a facility, at most one in each.

    parts: the claims of each delivery. share: number of faults of each rule; fewer are planted where too few claims
    fit.
    """
    out = Planted(tables)
    if len(parts) < 2:
        share = {rule: count for rule, count in share.items() if rule not in LATE}
    if not share:
        return out
    size = len(tables.claims)
    pool = np.sort(rng.permutation(size)[: 300 + 4 * sum(share.values())])
    known = facts(tables.only(set(pool.tolist())))
    known = known.assign(level=house.level, former=house.kind.former, points=house.kind.points or 0)
    chosen, twins = _choose(known, share, parts, rng)
    sub = tables.only(set(chosen))
    sheets = Sheets(sub)
    truth: list[tuple[str, str, str, int | None, str]] = []
    refill: set[int] = set()
    for number in sorted(chosen):
        rule = chosen[number]
        claim = Claim(number, sheets, lists, rng, (house.level, house.kind.former))
        ma_lk = claim.get("XML1", "MA_LK")
        found = [("XML1", None, REPEATED)] if rule == REPEATED else FAULTS[rule].plant(claim)
        truth += [(house.code, ma_lk, *row) for row in found]
        out.counts[rule] = out.counts.get(rule, 0) + 1
        if rule != REPEATED and FAULTS[rule].refill:
            refill.add(number)
        if claim.damage:
            out.damage[number] = claim.damage
        if claim.unknown_card:
            out.unknown.add(number)
        if claim.card_end is not None:
            out.ends[number] = claim.card_end
        if claim.six_months_paid:
            out.paid.add(number)
        if claim.register:
            out.register[number] = claim.register
        if claim.more_cards:
            out.more_cards[number] = claim.more_cards
        if claim.late:
            out.late.add(number)
        if claim.decision:
            sub.claims.loc[sub.claims["claim"] == number, "decision"] = claim.decision
    changed = sheets.tables()
    if refill:
        changed = _joined([changed.only(set(chosen) - refill), fill_amounts(changed.only(refill))])
    out.tables = _joined([tables.only(set(range(size)) - set(chosen) - set(twins)), changed])
    if twins:
        out.tables = _joined([out.tables, _copied(out.tables, twins)])
    out.copies = set(twins)
    out.faulty = set(chosen) | out.copies
    out.truth = pd.DataFrame(truth, columns=TRUTH_COLUMNS)
    out.truth["line"] = out.truth["line"].astype("Int64")
    return out


def _choose(
    known: pd.DataFrame, share: dict[str, int], parts: list[range], rng: np.random.Generator
) -> tuple[dict[int, str], dict[int, int]]:
    """Claim -> rule, and for repeated claims the claim whose place the copy takes -> the claim copied."""
    free = known.index.to_series()
    chosen: dict[int, str] = {}
    twins: dict[int, int] = {}
    fits = {rule: FAULTS[rule].possible(known) for rule in share if rule != REPEATED}
    order = sorted(fits, key=lambda rule: (int(fits[rule].sum()), rule))
    for rule in order:
        fitting = [number for number in free[fits[rule].to_numpy()].tolist() if number not in chosen]
        for number in rng.permutation(np.array(fitting, dtype="int64"))[: share[rule]].tolist():
            chosen[number] = rule
    for _ in range(share.get(REPEATED, 0)):
        taken = set(chosen) | set(twins)
        open_claims = [number for number in free.tolist() if number not in taken]
        inside = [[number for number in open_claims if number in part] for part in parts]
        inside = [numbers for numbers in inside if len(numbers) > 1]
        if not inside:
            break
        numbers = inside[int(rng.integers(0, len(inside)))]
        first, second = sorted(rng.choice(numbers, 2, replace=False).tolist())
        chosen[first] = REPEATED
        twins[second] = first
    return chosen, twins


def _joined(parts: list[ClaimTables]) -> ClaimTables:
    """Claims of several sets of tables, in order of position."""
    claims = pd.concat([part.claims for part in parts], ignore_index=True).sort_values("claim", ignore_index=True)
    names = [f"XML{number}" for number in range(1, 16)]
    tables = {}
    for name in names:
        frames = [part[name] for part in parts if name in part and len(part[name])]
        if frames:
            whole = pd.concat(frames, ignore_index=True)
            tables[name] = whole.sort_values(["claim", "row"], kind="stable", ignore_index=True)
    return ClaimTables(claims, tables)


def _copied(tables: ClaimTables, twins: dict[int, int]) -> ClaimTables:
    parts = []
    for place, original in twins.items():
        copy = tables.only({original})
        copy.claims["claim"] = place
        for frame in copy.tables.values():
            frame["claim"] = place
        parts.append(copy)
    return _joined(parts)
