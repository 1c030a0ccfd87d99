"""Plants faults in good claims: which rules, how many, in which claims."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
from claim_simulator.faults.claim import Claim, Fault, Sheets, Truth
from claim_simulator.faults.facts import facts
from claim_simulator.faults.pairs import COPIES, ELSEWHERE, PAIRS, PERSON, Donors, again, become

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
SHARED = "CARD-017"
RULES = (*FAULTS, REPEATED, SHARED)
"""Rules whose faults are planted, each for itself."""
ACROSS = (*(rule for rule in PAIRS if rule != SHARED), *COPIES, ELSEWHERE)
"""Rules whose faults show only beside other claims of the store: planted on demand."""


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

    def __init__(
        self, houses: list[Facility], claims: int, fault_rate: float, rng: np.random.Generator, *, across: bool = False
    ) -> None:
        """across: also faults of ACROSS."""
        total = round(len(houses) * claims * fault_rate)
        rules = (*RULES, *ACROSS) if across else RULES
        self._houses = houses
        self._rng = rng
        self.donors = Donors() if across else None
        self._left = dict.fromkeys(rules, total // len(rules))
        for rule in rng.permutation(rules)[: total % len(rules)].tolist():
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
    donors: Donors | None = None,
) -> Planted:
    """Plants faults in the claims of a facility, at most one in each.

    parts: the claims of each delivery. share: number of faults of each rule; fewer are planted where too few claims
    fit. donors: people of earlier facilities.
    """
    out = Planted(tables)
    if len(parts) < 2:
        share = {rule: count for rule, count in share.items() if rule not in LATE}
    if not share:
        return out
    size = len(tables.claims)
    # claims that make a pair are rare, so all are looked at where pairs are wanted
    pool = np.sort(rng.permutation(size)[: size if donors is not None else 300 + 4 * sum(share.values())])
    known = facts(tables.only(set(pool.tolist())))
    known = known.assign(level=house.level, former=house.kind.former, points=house.kind.points or 0)
    known["part"] = [next(at for at, part in enumerate(parts) if claim in part) for claim in known.index]
    chosen, twins, partners = _choose(known, share, parts, rng, donors)
    copies = {place: one for place, one in twins.items() if chosen[one] == REPEATED}
    doubles = {place: one for place, one in twins.items() if chosen[one] != REPEATED}
    sub = tables.only(set(chosen) | set(partners.values()))
    sheets = Sheets(sub)
    truth: list[tuple[str, str, str, int | None, str]] = []
    refill: set[int] = set()
    for number in sorted(chosen):
        rule = chosen[number]
        claim = Claim(number, sheets, lists, rng, (house.level, house.kind.former))
        ma_lk = claim.get("XML1", "MA_LK")
        found: list[Truth] = []
        if rule in COPIES:
            pass
        elif rule == REPEATED:
            found = [("XML1", None, REPEATED)]
        elif rule == ELSEWHERE:
            person = donors.take(_row(known, number)) if donors is not None else None
            if person is None:
                continue
            become(claim, person)
            found = [("XML1", None, ELSEWHERE)]
        elif rule in PAIRS:
            second = Claim(partners[number], sheets, lists, rng, (house.level, house.kind.former))
            found, more = PAIRS[rule].plant(claim, second)
            truth += [(house.code, second.get("XML1", "MA_LK"), *row) for row in more]
        else:
            found = FAULTS[rule].plant(claim)
        truth += [(house.code, ma_lk, *row) for row in found]
        out.counts[rule] = out.counts.get(rule, 0) + 1
        if rule in FAULTS and FAULTS[rule].refill:
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
    touched = set(chosen) | set(partners.values())
    if refill:
        changed = _joined([changed.only(touched - refill), fill_amounts(changed.only(refill))])
    if donors is not None:
        clean = known[~known.index.isin(touched | set(twins))]
        people = tables["XML1"].set_index("claim")[list(PERSON)].fillna("")
        donors.offer(clean, people)
    out.tables = _joined([tables.only(set(range(size)) - touched - set(twins)), changed])
    if copies:
        out.tables = _joined([out.tables, _copied(out.tables, copies)])
    if doubles:
        names = tables["XML1"].set_index("claim")["MA_LK"]
        parts_again = []
        for place, one in doubles.items():
            kind = COPIES[chosen[one]]
            parts_again.append(again(out.tables, one, place, names[place], kind.minutes))
            truth += [(house.code, names[place], "XML1", None, rule) for rule in kind.found(_row(known, one))]
            truth += [(house.code, names[place], "XML3", row, "DUP-013") for row in _devices(out.tables, one)]
        out.tables = _joined([out.tables, *parts_again])
    out.copies = set(copies)
    out.faulty = touched | set(twins)
    out.truth = pd.DataFrame(truth, columns=TRUTH_COLUMNS)
    out.truth["line"] = out.truth["line"].astype("Int64")
    return out


def _row(known: pd.DataFrame, claim: int) -> dict[str, Any]:
    """What is known of one claim."""
    return {str(name): value for name, value in known.loc[[claim]].to_dict("records")[0].items()}


def _devices(tables: ClaimTables, claim: int) -> list[int]:
    """Rows of XML3 that name a device."""
    rows = tables["XML3"][tables["XML3"]["claim"] == claim]
    named = rows.loc[rows["MA_HIEU_SP"].fillna("") != "", "row"]
    return [int(row) for row in named]


def _choose(
    known: pd.DataFrame,
    share: dict[str, int],
    parts: list[range],
    rng: np.random.Generator,
    donors: Donors | None,
) -> tuple[dict[int, str], dict[int, int], dict[int, int]]:
    """Claim -> rule; for copied claims the claim whose place the copy takes -> the claim copied; for pairs the first
    claim -> the second."""
    free = known.index.to_series()
    chosen: dict[int, str] = {}
    twins: dict[int, int] = {}
    partners: dict[int, int] = {}
    for rule in (rule for rule in share if rule in PAIRS):
        for first, second in _pairs_of(known, rule, share[rule], set(chosen) | set(partners.values()), rng):
            chosen[first] = rule
            partners[first] = second
    for rule in (rule for rule in share if rule in COPIES):
        firsts = np.array(known.index[COPIES[rule].possible(known)])
        taken = set(chosen) | set(twins) | set(partners.values())
        for first in rng.permutation(firsts)[: share[rule]].tolist():
            if first in taken:
                continue
            place = _place_after(known, first, parts, taken | {first}, rng)
            if place is not None:
                chosen[first], twins[place] = rule, first
                taken |= {first, place}
    taken = set(twins) | set(partners.values())
    fits = {rule: FAULTS[rule].possible(known) for rule in share if rule in FAULTS}
    if donors is not None and ELSEWHERE in share:
        fits[ELSEWHERE] = donors.wanted(known)
    order = sorted(fits, key=lambda rule: (int(fits[rule].sum()), rule))
    for rule in order:
        fitting = [
            number for number in free[fits[rule].to_numpy()].tolist() if number not in chosen and number not in taken
        ]
        for number in rng.permutation(np.array(fitting, dtype="int64"))[: share[rule]].tolist():
            chosen[number] = rule
    for _ in range(share.get(REPEATED, 0)):
        taken = set(chosen) | set(twins) | set(partners.values())
        open_claims = [number for number in free.tolist() if number not in taken]
        inside = [[number for number in open_claims if number in part] for part in parts]
        inside = [numbers for numbers in inside if len(numbers) > 1]
        if not inside:
            break
        numbers = inside[int(rng.integers(0, len(inside)))]
        first, second = sorted(rng.choice(numbers, 2, replace=False).tolist())
        chosen[first] = REPEATED
        twins[second] = first
    return chosen, twins, partners


def _pairs_of(
    known: pd.DataFrame, rule: str, count: int, taken: set[int], rng: np.random.Generator
) -> list[tuple[int, int]]:
    """So many pairs for a rule, no claim in two of them."""
    pairs = PAIRS[rule].candidates(known)[["first", "second"]]
    out: list[tuple[int, int]] = []
    for first, second in pairs.iloc[rng.permutation(len(pairs))].itertuples(index=False, name=None):
        if len(out) == count:
            break
        if not {first, second} & taken:
            out.append((first, second))
            taken |= {first, second}
    return out


def _place_after(
    known: pd.DataFrame, first: int, parts: list[range], taken: set[int], rng: np.random.Generator
) -> int | None:
    """A claim whose place a copy can take: later in the same delivery, or in the next one, in which what ended on the
    last day of this one is still in time."""
    one = _row(known, first)
    at = int(one["part"])
    last_day = known.loc[known["part"] == at, "day_out"].max()
    late = at + 1 < len(parts) and one["day_out"] == last_day
    part = parts[at + 1] if late else range(first + 1, parts[at].stop)
    free = [number for number in known.index.tolist() if number in part and number not in taken]
    return int(rng.choice(free)) if free else None


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
