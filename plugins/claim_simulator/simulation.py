"""Simulated hospitals: deliveries, reference data that fits them, and the truth about every planted fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from claim_pipeline.errors import OperatorError
from claim_rules.frames import ClaimTables
from claim_simulator.catalogue import Catalogue, catalogue
from claim_simulator.deliveries import TOO_FEW, UNDECLARED, file_name, write_delivery
from claim_simulator.facilities import XML, Drift, Facility, facilities
from claim_simulator.faults import TRUTH_COLUMNS, Plan, plant
from claim_simulator.faults.contract import without_contract
from claim_simulator.moments import DAY, Ints, month_days, text8
from claim_simulator.orders import orders
from claim_simulator.reference import card_register, co_payments, common_lists, other_cards, write_csv
from claim_simulator.tables import claim_tables
from claim_simulator.visits import Visits, visits

FIRST_MONTH = "202501"
MOST_FACILITIES = 700
WITHOUT_CONTRACT = 4
"""Which facility's contract ends in the month, where faults beyond single claims are wanted."""
SIGNED_FROM = "20260101"
"""From then on what is sent unsigned is told, and nobody signs here."""
_DAYS_OF_A_DELIVERY = 8


@dataclass(frozen=True)
class Summary:
    """What was written. faults: planted faults by rule; findings: rows of truth.csv, consequences included."""

    facilities: int
    deliveries: int
    claims: int
    lines: int
    faults: dict[str, int]
    findings: int


def simulate(
    *,
    facilities: int,
    claims: int,
    month: str,
    fault_rate: float,
    seed: int,
    out: Path,
    drift: Mapping[str, Drift] | None = None,
    across: bool = False,
) -> Summary:
    """Writes inbox/<MA_CSKCB>/…, reference/*.csv and truth.csv under `out`; the same arguments give the same bytes.

    claims: per facility. month: yyyymm of NGAY_RA, 202501 or later. fault_rate: share of claims with one planted fault
    each, 0 to 0.5 (a few less where too few claims fit a rule). With three facilities or more every form of delivery
    is there. drift: facility -> in what its month is unusual. across: also faults that a file alone does not show or
    that no claim has: one person or device in several claims, whole deliveries, a facility whose contract has ended.
    Raises OperatorError for arguments that make no sense and for a folder that already holds a simulation.
    """
    _check(facilities, claims, month, fault_rate, seed, out)
    _check_drift(facilities, drift or {})
    return _Simulation(facilities, claims, month, fault_rate, seed, Path(out), drift or {}, across).run()


def _check(count: int, claims: int, month: str, fault_rate: float, seed: int, out: Path) -> None:
    def refuse(vi: str, en: str) -> OperatorError:
        return OperatorError("bad-simulation", vi, en)

    try:
        month_days(month)
    except ValueError:
        raise refuse(f"Tháng {month} không đúng dạng yyyymm.", f"Month {month} is not yyyymm.") from None
    if len(month) != 6 or month < FIRST_MONTH:
        raise refuse(f"Tháng phải từ {FIRST_MONTH}.", f"The month must be {FIRST_MONTH} or later.")
    if not 1 <= count <= MOST_FACILITIES or not 1 <= claims <= 999_999 or count * claims > 50_000_000:
        raise refuse("Số cơ sở hoặc số hồ sơ không hợp lệ.", "The number of facilities or claims is out of range.")
    if not 0 <= fault_rate <= 0.5 or seed < 0:
        raise refuse(
            "Tỷ lệ lỗi phải từ 0 đến 0,5 và hạt giống không âm.",
            "The fault rate must be 0 to 0.5 and the seed not negative.",
        )
    if any((out / name).exists() for name in ("inbox", "truth.csv")):
        raise refuse(
            f"Thư mục {out} đã có dữ liệu mô phỏng; hãy chọn thư mục khác.",
            f"Folder {out} already holds a simulation; choose another one.",
        )


def _check_drift(count: int, drift: Mapping[str, Drift]) -> None:
    unknown = sorted(set(drift) - {house.code for house in facilities(count)})
    if unknown or any(not 0 < factor < 100 for one in drift.values() for factor in astuple(one)):
        named = ", ".join(unknown) or "price, stay, antibiotics, emergency"
        raise OperatorError(
            "bad-simulation",
            f"Không có cơ sở này, hoặc hệ số không nằm giữa 0 và 100: {named}",
            f"there is no such facility, or a factor is not between 0 and 100: {named}",
        )


class _Simulation:
    def __init__(
        self,
        count: int,
        claims: int,
        month: str,
        fault_rate: float,
        seed: int,
        out: Path,
        drift: Mapping[str, Drift],
        across: bool,
    ) -> None:
        self.across = across
        self.contract_ends: dict[str, str] = {}
        self.houses = facilities(count, drift)
        self.claims = claims
        self.month = month
        self.seed = seed
        self.out = out
        self.plan = Plan(self.houses, claims, fault_rate, np.random.default_rng([seed, 0]), across=across)
        self.first_day, self.last_day = month_days(month)
        self.deliveries = 0
        self.lines = 0
        self.faults: dict[str, int] = {}
        self.truth: list[pd.DataFrame] = []
        self.cards: list[pd.DataFrame] = []
        self.co_payments: list[pd.DataFrame] = []

    def run(self) -> Summary:
        self.out.mkdir(parents=True, exist_ok=True)
        for house in self.houses:
            self._facility(house)
        truth = pd.concat(self.truth, ignore_index=True) if self.truth else pd.DataFrame(columns=TRUTH_COLUMNS)
        truth = truth.drop_duplicates().sort_values(TRUTH_COLUMNS, na_position="first", ignore_index=True)
        self._reference()
        write_csv(truth, self.out / "truth.csv")
        faults = dict(sorted(self.faults.items()))
        return Summary(
            len(self.houses), self.deliveries, len(self.houses) * self.claims, self.lines, faults, len(truth)
        )

    def _facility(self, house: Facility) -> None:
        rng = np.random.default_rng([self.seed, 1, house.position])
        lists = catalogue(house)
        who, tables = drawn(house, lists, self.claims, self.month, rng)
        continuous = tables["XML1"]["NAM_NAM_LIEN_TUC"]
        left = who.frame["discharge"].to_numpy() // DAY
        parts, sent = self._parts(left)
        share = self.plan.share(house)
        if self.across and house.position == WITHOUT_CONTRACT:
            share = {}
            self._end_contract(house, tables)
        planted = plant(house, lists, tables, parts, share, rng, self.plan.donors)
        self.plan.done(planted.counts)
        for rule, count in planted.counts.items():
            self.faults[rule] = self.faults.get(rule, 0) + count
        if len(planted.truth):
            self.truth.append(planted.truth)
        self.cards.append(
            card_register(
                who,
                continuous,
                unknown=planted.unknown,
                ends=planted.ends,
                changes=planted.register,
                more=planted.more_cards,
            )
        )
        self.co_payments.append(co_payments(who, planted.paid, rng))
        folder = self.out / "inbox" / house.code
        folder.mkdir(parents=True)
        for number, part in enumerate(parts, start=1):
            late = sorted(planted.late) if number == len(parts) else []
            claims = [claim for claim in part if claim not in planted.late] + late
            if not claims:
                continue
            place = {claim: at for at, claim in enumerate(claims)}
            envelope = self._envelope(house, number, sent[number - 1])
            write_delivery(
                folder / file_name(house, self.month, number),
                house,
                _renumbered(planted.tables, place),
                sent[number - 1],
                damage={place[claim]: what for claim, what in planted.damage.items() if claim in place},
                copies={place[claim] for claim in planted.copies if claim in place},
                faulty={place[claim] for claim in planted.faulty if claim in place},
                rng=rng,
                envelope=envelope,
            )
            self.deliveries += 1
        self.lines += sum(len(planted.tables[name]) for name in ("XML2", "XML3") if name in planted.tables)

    def _end_contract(self, house: Facility, tables: ClaimTables) -> None:
        """The contract ends in the middle: who came afterwards (no emergency) is not covered but by direct payment."""
        end = sorted(tables["XML1"]["NGAY_VAO"].str[:8])[len(tables.claims) // 2]
        self.contract_ends[house.code] = end
        truth = without_contract(house, tables, end)
        for rule in truth["rule"].tolist():
            self.faults[rule] = self.faults.get(rule, 0) + 1
        self.truth.append(truth)

    def _envelope(self, house: Facility, number: int, sent: str) -> str:
        """What is wrong with a delivery as a whole, told in the truth without a claim."""
        if not self.across or house.form != XML:
            return ""
        envelope, rule = {1: (UNDECLARED, "STR-001"), 2: (TOO_FEW, "STR-003")}.get(number, ("", ""))
        told = [rule] if rule else []
        if sent >= SIGNED_FROM:
            told.append("SIG-001")
        rows = [(house.code, "", "", None, name) for name in told]
        self.truth.append(pd.DataFrame(rows, columns=TRUTH_COLUMNS).astype({"line": "Int64"}))
        for name in told:
            self.faults[name] = self.faults.get(name, 0) + 1
        return envelope

    def _parts(self, left: Ints) -> tuple[list[range], list[str]]:
        """The claims of each delivery and the day it is sent: eight days of discharges, sent on the next day.

        That is early enough for each of them (7 working days). left: day of discharge of each claim, ascending.
        """
        parts, sent = [], []
        for start in range(self.first_day, self.last_day + 1, _DAYS_OF_A_DELIVERY):
            end = min(start + _DAYS_OF_A_DELIVERY - 1, self.last_day)
            part = range(int(np.searchsorted(left, start)), int(np.searchsorted(left, end, side="right")))
            if len(part):
                parts.append(part)
                sent.append(str(text8(np.array([end + 1]))[0]))
        return parts, sent

    def _reference(self) -> None:
        rng = np.random.default_rng([self.seed, 2])
        used = len(self.houses) * self.claims
        cards = [*self.cards, other_cards(used // 20 + 20, 1 + used, self.first_day, rng)]
        files = common_lists(self.houses, int(self.month[:4]), self.contract_ends)
        files["cards"] = pd.concat(cards, ignore_index=True)
        files["copayments"] = pd.concat(self.co_payments, ignore_index=True)
        folder = self.out / "reference"
        folder.mkdir(exist_ok=True)
        for name, frame in files.items():
            write_csv(frame, folder / f"{name}.csv")


def drawn(
    house: Facility, lists: Catalogue, claims: int, month: str, rng: np.random.Generator
) -> tuple[Visits, ClaimTables]:
    """The visits of a facility that end in a month, and their sound claims in order of discharge."""
    who = visits(house, claims, month, rng, 1 + house.position * claims)
    return who, claim_tables(house, lists, who, orders(house, lists, who, rng), month, rng)


def _renumbered(tables: ClaimTables, place: dict[int, int]) -> ClaimTables:
    """The claims of one delivery under their numbers in it."""
    some = tables.only(set(place))
    some.claims["claim"] = some.claims["claim"].map(place)
    some.claims = some.claims.sort_values("claim", ignore_index=True)
    for name, frame in some.tables.items():
        frame["claim"] = frame["claim"].map(place)
        some.tables[name] = frame.sort_values(["claim", "row"], kind="stable", ignore_index=True)
    return some
