"""Plants faults in good claims: which rules, how many, in which claims."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from claim_rules.benefit import fill_amounts
from claim_rules.catalogue import STRUCTURE, book
from claim_rules.findings import REJECT_CLAIM
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
from claim_simulator.faults.near import NEAR as NEAR_CLAIMS
from claim_simulator.faults.pairs import (
    COPIES,
    ELSEWHERE,
    IN_STORE,
    NEAR,
    PAIRS,
    PERSON,
    Donors,
    again,
    become,
    day_after,
    rule_of,
)

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
LEAST_LEVEL = {
    **dict.fromkeys(("BED-001", "BEN-006", "BEN-014", "BEN-015"), 1),
    **dict.fromkeys((f"STR-{number:03}" for number in (9, 18, 25, 28, 38)), 1),
    **dict.fromkeys((f"DUP-{number:03}" for number in (3, 4, 11, 12, 13)), 1),
    **dict.fromkeys((f"RATE-{number:03}" for number in (1, 2, 3, 5, 6, 7)), 1),
    "BEN-020": 2,
}
"""Level of the facilities that have what a fault needs: wards, operations, supplies, slips."""
SELDOM = ("BEN-012", "STR-033", "DUP-004", "DUP-005")
"""Wanted twice as often: of what ended or began between two months only one can have any, and of who was at two places
many find nobody."""
RULES = (*FAULTS, REPEATED, SHARED)
"""Rules whose faults are planted, each for itself."""
ACROSS = (*(kind for kind in PAIRS if kind != SHARED), *COPIES, *ELSEWHERE)
"""Kinds of faults and near misses that show only beside other claims of the store: planted on demand."""
NEAR_MISSES = tuple(NEAR + rule for rule in NEAR_CLAIMS)
"""Near misses of single claims, planted with those."""
_NOTHING = Fault(lambda known: known["inpatient"], lambda claim: [])
_ALONE = FAULTS | {NEAR + rule: fault for rule, fault in NEAR_CLAIMS.items()}


@dataclass
class Planted:
    """A facility's claims with their faults.

    damage, copies: see deliveries; faulty: claims with a fault; truth: frame of TRUTH_COLUMNS; in_store: those of its
    rows that only a store of other claims shows; near: (MA_LK, rule) of near misses; stopped: claims that a rule of
    structure refuses; counts: planted faults by kind; unknown, ends: what the card register must not know, or know
    otherwise (see reference.card_register); register, more_cards: what the register has otherwise or beside; late:
    claims to be sent with the last delivery; paid: what a patient's ledger holds (reference.co_payments);
    look_ups: when a card was looked up and what was answered (reference.look_ups).
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
    paid: dict[int, int] = field(default_factory=dict)
    in_store: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=TRUTH_COLUMNS))
    near: list[tuple[str, str]] = field(default_factory=list)
    stopped: set[int] = field(default_factory=set)
    look_ups: dict[int, tuple[str, str]] = field(default_factory=dict)


class Plan:
    """How many faults of each rule are still to be planted, over all facilities."""

    def __init__(
        self, houses: list[Facility], claims: int, fault_rate: float, rng: np.random.Generator, *, across: bool = False
    ) -> None:
        """houses: that can have faults. across: also faults of ACROSS, and near misses, half as many of each as faults
        of a rule."""
        total = round(len(houses) * claims * fault_rate)
        kinds = (*RULES, *ACROSS) if across else RULES
        rules = tuple(kind for kind in kinds if not kind.startswith(NEAR))
        self._houses = houses
        self._rng = rng
        self.donors = Donors() if across else None
        self._left = dict.fromkeys(rules, total // len(rules))
        for rule in rng.permutation(rules)[: total % len(rules)].tolist():
            self._left[rule] += 1
        if across:
            self._left |= {rule: 2 * self._left[rule] for rule in SELDOM}
            half = -(-total // (2 * len(rules)))
            near = (*NEAR_MISSES, *(kind for kind in kinds if kind.startswith(NEAR)))
            self._left |= dict.fromkeys(near, half)

    def share(self, house: Facility) -> dict[str, int]:
        """Faults that a facility takes now: an equal share among those left that can carry them, rounded by chance."""
        later = [other for other in self._houses if other.position >= house.position]
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
    if house.level < LEAST_LEVEL.get(rule_of(rule), 0):
        return False
    fault = _ALONE.get(rule)
    if fault is None:
        return True
    if fault.only_at is not None and not fault.only_at(house):
        return False
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
    last = known.groupby("part")["day_out"].max()
    known["last_of_part"] = known["part"].map(last)
    chosen, twins, partners = _choose(known, share, parts, rng, donors)
    copies = {place: one for place, one in twins.items() if chosen[one] == REPEATED}
    doubles = {place: one for place, one in twins.items() if chosen[one] != REPEATED}
    others = {claim for more in partners.values() for claim in more}
    sub = tables.only(set(chosen) | others)
    sheets = Sheets(sub)
    truth: list[tuple[str, str, str, int | None, str]] = []
    in_store: list[tuple[str, str, str, int | None, str]] = []
    refill: set[int] = set()
    refusing = {rule.id for rule in book().values() if rule.stage == STRUCTURE and rule.severity == REJECT_CLAIM}
    for number in sorted(chosen):
        kind = chosen[number]
        claims = [
            Claim(one, sheets, lists, rng, (house.level, house.kind.former))
            for one in (number, *partners.get(number, ()))
        ]
        claim = claims[0]
        found: list[list[Truth]] = [[]]
        if kind == REPEATED:
            found = [[("XML1", None, REPEATED)]]
        elif kind in ELSEWHERE:
            person = donors.take(kind, _row(known, number)) if donors is not None else None
            if person is None:
                continue
            become(claim, person)
            if ELSEWHERE[kind].sent_from_there:
                claim.put("XML1", "MA_NOI_DI", person["facility"])
            found = [ELSEWHERE[kind].found]
        elif kind in PAIRS:
            found = PAIRS[kind].plant(*claims)
        elif kind not in COPIES:
            found = [_ALONE[kind].plant(claim)]
        for one, rows in zip(claims, found, strict=kind in PAIRS):
            ma_lk = one.get("XML1", "MA_LK")
            told = [(house.code, ma_lk, *row) for row in rows]
            truth += told
            if kind in IN_STORE:
                in_store += told
            if kind.startswith(NEAR):
                out.near.append((ma_lk, rule_of(kind)))
            if any(rule in refusing for *_, rule in rows):
                out.stopped.add(one.number)
        out.counts[kind] = out.counts.get(kind, 0) + 1
        if (_ALONE.get(kind) or PAIRS.get(kind) or _NOTHING).refill:
            refill.add(number)
        if claim.damage:
            out.damage[number] = claim.damage
        if claim.unknown_card:
            out.unknown.add(number)
        if claim.card_end is not None:
            out.ends[number] = claim.card_end
        if claim.paid_this_year is not None:
            out.paid[number] = claim.paid_this_year
        if claim.register:
            out.register[number] = claim.register
        if claim.more_cards:
            out.more_cards[number] = claim.more_cards
        if claim.look_up is not None:
            out.look_ups[number] = claim.look_up
        if claim.late:
            out.late.add(number)
        if claim.decision:
            sub.claims.loc[sub.claims["claim"] == number, "decision"] = claim.decision
    changed = sheets.tables()
    touched = set(chosen) | others
    if refill:
        changed = _joined([changed.only(touched - refill), fill_amounts(changed.only(refill))])
    if donors is not None:
        clean = known[~known.index.isin(touched | set(twins))]
        people = tables["XML1"].set_index("claim")[["MA_LK", *PERSON]].fillna("")
        donors.offer(clean, people, house.code)
    out.tables = _joined([tables.only(set(range(size)) - touched - set(twins)), changed])
    if copies:
        out.tables = _joined([out.tables, _copied(out.tables, copies)])
    if doubles:
        names = tables["XML1"].set_index("claim")["MA_LK"]
        parts_again = []
        for number, place in enumerate(sorted(doubles)):
            original = doubles[place]
            kind, row = chosen[original], _row(known, original)
            copy = COPIES[kind]
            # beds beyond those of the visits
            minutes, changes = copy.how(row)
            bed = f"K{999 - number:03d}"
            parts_again.append(again(out.tables, original, place, names[place], minutes, changes, bed))
            truth += [(house.code, names[place], "XML1", None, rule) for rule in copy.found(row)]
            if copy.devices:
                truth += [
                    (house.code, names[place], "XML3", line, "DUP-013") for line in _devices(out.tables, original)
                ]
            if kind.startswith(NEAR):
                out.near.append((names[place], rule_of(kind)))
        out.tables = _joined([out.tables, *parts_again])
    out.copies = set(copies)
    out.faulty = touched | set(twins)
    out.truth, out.in_store = _frame(truth), _frame(in_store)
    return out


def _frame(rows: list[tuple[str, str, str, int | None, str]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=TRUTH_COLUMNS)
    frame["line"] = frame["line"].astype("Int64")
    return frame


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
) -> tuple[dict[int, str], dict[int, int], dict[int, tuple[int, ...]]]:
    """Claim -> kind of fault; for copied claims the claim whose place the copy takes -> the claim copied; for faults
    between claims the first of them -> the others."""
    free = known.index.to_series()
    chosen: dict[int, str] = {}
    twins: dict[int, int] = {}
    partners: dict[int, tuple[int, ...]] = {}
    taken: set[int] = set()
    # what few claims can make comes first
    for kind in sorted((kind for kind in share if kind in PAIRS), key=lambda kind: kind not in _RARE):
        for first, *more in _pairs_of(known, kind, share[kind], taken, rng):
            chosen[first] = kind
            partners[first] = tuple(more)
    for kind in sorted((kind for kind in share if kind in COPIES), key=lambda kind: not COPIES[kind].same_day):
        copy = COPIES[kind]
        firsts = np.array(known.index[copy.possible(known)])
        left = share[kind]
        for first in rng.permutation(firsts).tolist():
            if not left:
                break
            if first in taken:
                continue
            if copy.same_day:
                row = _row(known, first)
                place = _place_on(known, row, day_after(row, copy.how(row)[0]), taken | {first}, rng)
            else:
                place = _place_after(known, first, parts, taken | {first}, rng)
            if place is not None:
                chosen[first], twins[place] = kind, first
                taken |= {first, place}
                left -= 1
    fits = {kind: _ALONE[kind].possible(known) for kind in share if kind in _ALONE}
    if donors is not None:
        fits |= {kind: donors.wanted(kind, known) for kind in share if kind in ELSEWHERE}
    order = sorted(fits, key=lambda kind: (int(fits[kind].sum()), kind))
    for kind in order:
        fitting = [
            number for number in free[fits[kind].to_numpy()].tolist() if number not in chosen and number not in taken
        ]
        for number in rng.permutation(np.array(fitting, dtype="int64"))[: share[kind]].tolist():
            chosen[number] = kind
    for _ in range(share.get(REPEATED, 0)):
        taken |= set(chosen) | set(twins)
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


_RARE = ("DUP-012", "BEN-015 used", "DUP-010", "near DUP-010", "DUP-013", "near DUP-013", "BEN-015 far", "near BEN-015")


def _pairs_of(
    known: pd.DataFrame, kind: str, count: int, taken: set[int], rng: np.random.Generator
) -> list[tuple[int, ...]]:
    """So many groups of claims for a kind of fault, no claim in two of them; they are added to `taken`."""
    found = PAIRS[kind].candidates(known)
    groups = found[[name for name in ("first", "second", "third") if name in found]]
    out: list[tuple[int, ...]] = []
    for group in groups.iloc[rng.permutation(len(groups))].itertuples(index=False, name=None):
        if len(out) == count:
            break
        if not set(group) & taken:
            out.append(group)
            taken |= set(group)
    return out


def _place_on(
    known: pd.DataFrame, one: dict[str, Any], day: str, taken: set[int], rng: np.random.Generator
) -> int | None:
    """A claim that ends on a day, whose place a copy that ends on it can take; None where the card has ended before."""
    if day > one["card_to"]:
        return None
    free = [number for number in known.index[known["day_out"] == day].tolist() if number not in taken]
    return int(rng.choice(free)) if free else None


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
