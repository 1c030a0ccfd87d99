"""Runs the rules over the claims of a delivery. It knows stages, dates and needs of a rule, nothing of families."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from claim_rules import benefit, catalogue, episodes, options
from claim_rules.contract import Contract
from claim_rules.findings import REJECT_CLAIM, Anew, Ruling, concat, findings, no_corrections, of_columns
from claim_rules.frames import ClaimTables, stripped
from claim_rules.lines import LINE_TABLES, ClaimLines, build
from claim_rules.reference import Reference, missing
from claim_rules.signature import Signature

RULE_ERROR = "rule-error"

SIGNATURE, TRUST, HISTORY, RECEIPT = "signature", "trust anchors", "history", "time of receipt"
FACTS = (SIGNATURE, TRUST, HISTORY, RECEIPT)
"""What a rule may need beside reference data: that the signature was looked at, that trust anchors were given, earlier
claims (not there in giamdinh check), when the claims came (a check of a file without NGAYLAP has only the clock)."""

PAYMENT_METHODS = "contract: payment_methods"
APPOINTMENTS, TRANSFERS, RECALLED, BEDS = "appointments", "transfers", "recalled", "beds"
HOLDERS, DEATHS, CHECK_INS, SETTLED, NEWBORNS = "holders", "deaths", "check_ins", "settled", "newborns"
HISTORY_FRAMES = (APPOINTMENTS, TRANSFERS, RECALLED, BEDS, HOLDERS, DEATHS, CHECK_INS, SETTLED, NEWBORNS)
"""Frames of earlier claims that a rule may need by name (as facts): the rules that do say what stands in them."""
OFF_BY_CONTRACT = "off by contract"
STATISTICS = "statistics of the facility-month"
"""What rules of a facility-month need: they look at no single delivery, and a report of one says so."""


@dataclass
class Shared:
    """What is worked out once for all claims of a delivery, whatever the dates of a rule."""

    claims: ClaimLines
    contract: Contract
    reference: Reference = field(default_factory=dict)

    @cached_property
    def expected(self) -> benefit.Expected:
        return benefit.expected_rates(self.claims, self.contract.options, self.reference.get("cards"))


Kept = TypeVar("Kept")


@dataclass
class Case:
    """What one rule may look at: claims that reached its stage and whose NGAY_RA lies in its dates.

    claims: numbers (claim_rules.lines); tables: the same claims as text; reference: reference data by file stem;
    received_day: yyyymmdd on which the delivery was received ("" if unknown); expected: rates by the benefit law
    over these claims; history: frames of earlier claims by name ("versions": claim, received as yyyymmdd, for every
    claim that an earlier delivery brought with other content; those of claim_rules.episodes); signature: of the
    delivery.
    """

    claims: ClaimLines
    tables: ClaimTables
    reference: Reference
    received_day: str
    history: dict[str, pd.DataFrame] = field(default_factory=dict)
    signature: Signature = field(default_factory=Signature)
    contract: Contract = field(default_factory=Contract)
    everything: Shared | None = None
    kept: dict[str, Any] = field(default_factory=dict)
    """What one rule worked out and another may use again."""

    @property
    def visits(self) -> pd.DataFrame:
        return self.claims.visits

    @property
    def lines(self) -> pd.DataFrame:
        return self.claims.lines

    @property
    def present(self) -> pd.DataFrame:
        return self.claims.present

    @property
    def options(self) -> options.Options:
        """The choice for every option of the law."""
        return options.resolve(self.contract.options)

    def text(self, name: str) -> pd.Series:
        """An element of XML2 and XML3 as text, "" where blank or absent (str, aligned with lines)."""
        return self.keep(f"text {name}", lambda: self._text(name))

    def keep(self, name: str, make: Callable[[], Kept]) -> Kept:
        """What `make` gives, worked out once for all rules that ask for it by this name; not to be changed."""
        if name not in self.kept:
            self.kept[name] = make()
        kept: Kept = self.kept[name]
        return kept

    def _text(self, name: str) -> pd.Series:
        lines = self.lines
        out = pd.Series("", index=lines.index, dtype="str")
        for table in LINE_TABLES:
            if table in self.tables and name in self.tables[table].columns:
                frame = self.tables[table]
                sent = stripped(frame.loc[frame["claim"].isin(self.visits.index), name])
                # both are ordered by claim and row
                out[lines["table"] == table] = sent.array
        return out

    @cached_property
    def expected(self) -> benefit.Expected:
        if self.everything is None:
            return benefit.expected_rates(self.claims, self.contract.options, self.reference.get("cards"))
        return self.everything.expected.only(self.claims)

    @cached_property
    def episodes(self) -> episodes.Episodes:
        return episodes.build(self.claims, self.history)

    @cached_property
    def cards(self) -> pd.DataFrame:
        return benefit.cards(self.visits)


WHAT_IF = ["claim", "option", "choice", "more", "line_index"]


@dataclass
class Appraisal:
    """What the rules said.

    findings: raw findings, those given and those of the rules. referrals: frame (claim int64, reason str).
    claims: numbers of all claims that could be read. rules_run: ids; skipped: [{"rule", "needs"}];
    failed: [{"rule", "error"}] (rules that raised: an operator must look, their claims are referred). corrections,
    what_if, anew (by rule): see claim_rules.findings.Ruling. contract: the terms under which they ran.
    """

    findings: pd.DataFrame
    referrals: pd.DataFrame
    claims: ClaimLines
    rules_run: list[str]
    skipped: list[dict[str, str]]
    failed: list[dict[str, str]]
    corrections: pd.DataFrame = field(default_factory=no_corrections)
    what_if: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=WHAT_IF))
    contract: Contract = field(default_factory=Contract)
    anew: dict[str, Anew] = field(default_factory=dict)


Column = pd.Series | Callable[[pd.Index], pd.Series] | str
"""A column of findings: a constant, a series aligned with the frame, or what makes the series for the rows hit."""


def _columns(frame: pd.DataFrame, where: pd.Series, columns: dict[str, Column]) -> tuple[Any, dict[str, Any]]:
    """Positions of the rows hit, and the columns of their findings."""
    place = np.flatnonzero(where.to_numpy(dtype="bool", na_value=False))
    out: dict[str, Any] = {}
    for name, value in columns.items() if len(place) else ():
        if isinstance(value, str):
            out[name] = value
        elif not isinstance(value, pd.Series):
            out[name] = value(frame.index[place]).array
        elif value.index is frame.index or value.index.equals(frame.index):
            out[name] = value.array[place]
        else:
            out[name] = value.loc[frame.index[place]].array
    return place, out


def line_findings(rule: str, lines: pd.DataFrame, where: pd.Series, **columns: Column) -> pd.DataFrame:
    """Raw findings for the lines where `where` is true (aligned with lines)."""
    place, told = _columns(lines, where, columns)
    if not len(place):
        return findings()
    of_line = {name: lines[name].array[place] for name in ("claim", "table", "row")}
    return of_columns({**of_line, "rule": rule, **told}, len(place))


def claim_findings(rule: str, visits: pd.DataFrame, where: pd.Series, **columns: Column) -> pd.DataFrame:
    """Raw findings of level claim (table XML1, no line) for the visits where `where` is true."""
    place, told = _columns(visits, where, columns)
    if not len(place):
        return findings()
    claim = visits.index.to_numpy()[place]
    return of_columns({"claim": claim, "rule": rule, "table": "XML1", **told}, len(place))


def _rejected_in_structure(found: pd.DataFrame, book: dict[str, catalogue.Rule], contract: Contract) -> set[int]:
    if found.empty:
        return set()
    mine = found[found["rule"].map(lambda name: book[name].stage == catalogue.STRUCTURE) & found["claim"].notna()]
    severity = [contract.severity(rule, given) for rule, given in zip(mine["rule"], mine["severity"], strict=True)]
    return set(mine.loc[[how == REJECT_CLAIM for how in severity], "claim"].astype("int64"))


def run(
    tables: ClaimTables,
    reference: Reference,
    *,
    given: pd.DataFrame | None = None,
    received_day: str = "",
    receipt: bool = False,
    history: dict[str, pd.DataFrame] | None = None,
    signature: Signature | None = None,
    found_by: tuple[str, ...] = ("extract", "validate"),
    on_error: Callable[[str, Exception], None] | None = None,
    contract: Contract | None = None,
) -> Appraisal:
    """Runs every rule of the book over the claims.

    given: raw findings of reading and validating; found_by: which of those two looked at this delivery (their rules
    then count as run). history, signature: None where they are not known. on_error is told of a rule that raised, with
    its exception. receipt: whether received_day is that of a receipt, not of a trial. contract: rules that it switches
    off do not run and are told as skipped.
    """
    book = catalogue.book()
    everything = build(tables)
    terms = contract or Contract()
    shared = Shared(everything, terms, reference)
    before = given if given is not None else findings()
    found = [before[~before["rule"].isin(terms.off)]]
    corrections: list[pd.DataFrame] = []
    what_if: list[pd.DataFrame] = []
    anew: dict[str, Anew] = {}
    referrals: list[pd.DataFrame] = []
    rules_run: list[str] = []
    skipped: list[dict[str, str]] = []
    failed: list[dict[str, str]] = []
    stage = 0
    alive = everything
    kept = tables
    known = {
        SIGNATURE: signature is not None,
        TRUST: signature is not None and signature.judged,
        HISTORY: history is not None,
        RECEIPT: receipt and bool(received_day),
        PAYMENT_METHODS: bool(terms.payment_methods),
        **{frame: history is not None and frame in history for frame in HISTORY_FRAMES},
    }
    cases: dict[tuple[str, str, tuple[str, ...]], Case] = {}
    same: dict[bytes, Case] = {}
    for entry in book.values():
        if entry.id in terms.off:
            skipped.append({"rule": entry.id, "needs": OFF_BY_CONTRACT})
            continue
        if entry.awaits:
            skipped.append({"rule": entry.id, "needs": entry.awaits})
            continue
        if entry.level == catalogue.MONTH:
            skipped.append({"rule": entry.id, "needs": STATISTICS})
            continue
        if entry.check is None:
            if entry.found_by in found_by or entry.found_by in book:
                rules_run.append(entry.id)
            continue
        lacks = missing(reference, entry.needs) or next((fact for fact in entry.facts if not known[fact]), None)
        if lacks is not None:
            skipped.append({"rule": entry.id, "needs": lacks})
            continue
        partly = missing(reference, entry.wants) or next((fact for fact in entry.wants_facts if not known[fact]), None)
        if partly is not None:
            skipped.append({"rule": entry.id, "needs": partly})
        if entry.stage != stage:
            stage = entry.stage
            stopped = _rejected_in_structure(concat(found), book, terms)
            if stopped & set(alive.visits.index):
                alive = everything.only(set(everything.visits.index) - stopped)
                kept = tables.only(set(alive.visits.index))
                cases.clear()
                same.clear()
        if not everything.visits.empty and not everything.visits["decision"].isin(entry.decisions).any():
            skipped.append({"rule": entry.id, "needs": f"Decision {', '.join(entry.decisions)}"})
            continue
        key = (entry.since, entry.until, entry.decisions)
        if key not in cases:
            inside = _in_force(alive.visits, entry).to_numpy(dtype="bool")
            # rules of different dates that meet the same claims share what they work out
            if (chosen := inside.tobytes()) not in same:
                whole = bool(inside.all())
                part = alive if whole else alive.only(alive.visits.index[inside])
                same[chosen] = Case(
                    part,
                    kept if whole else kept.only(set(part.visits.index)),
                    reference,
                    received_day,
                    history or {},
                    signature or Signature(),
                    terms,
                    shared,
                )
            cases[key] = same[chosen]
        if cases[key].visits.empty and entry.level != "delivery":
            rules_run.append(entry.id)
            continue
        try:
            result = entry.check(cases[key])
        except Exception as error:  # noqa: BLE001 - whatever a rule meets, the others must run
            failed.append({"rule": entry.id, "error": type(error).__name__})
            affected = cases[key].visits.index
            referrals.append(pd.DataFrame({"claim": affected, "reason": f"{RULE_ERROR}:{entry.id}"}))
            if on_error is not None:
                on_error(entry.id, error)
            continue
        rules_run.append(entry.id)
        ruling = result if isinstance(result, Ruling) else Ruling(result)
        found.append(ruling.findings)
        if len(ruling.corrections):
            corrections.append(ruling.corrections)
        if ruling.anew is not None:
            anew[entry.id] = ruling.anew
        if ruling.referrals is not None:
            referrals.append(ruling.referrals)
        if ruling.what_if is not None:
            what_if.append(ruling.what_if)
    stopped = _rejected_in_structure(concat(found), book, terms)
    # Decision 4210 has no code for the route that the benefit law asks for, and no rate is checked there
    has_route = everything.visits.index[everything.visits["decision"] != "4210"]
    asked = [claim for claim in has_route if claim not in stopped]
    open_routes = shared.expected.referral.loc[asked]
    open_routes = open_routes[open_routes != ""]
    referrals.append(pd.DataFrame({"claim": open_routes.index, "reason": open_routes.to_numpy()}))
    told = pd.concat(referrals, ignore_index=True)
    told["claim"] = told["claim"].astype("int64")
    told["reason"] = told["reason"].astype("str")
    return Appraisal(
        concat(found),
        told,
        everything,
        sorted(rules_run),
        skipped,
        failed,
        pd.concat([no_corrections(), *corrections], ignore_index=True),
        pd.concat(what_if, ignore_index=True) if what_if else pd.DataFrame(columns=WHAT_IF),
        terms,
        anew,
    )


def _in_force(visits: pd.DataFrame, entry: catalogue.Rule) -> pd.Series:
    inside = visits["decision"].isin(entry.decisions)
    if entry.since:
        inside &= visits["day_out"] >= entry.since
    if entry.until:
        inside &= visits["day_out"] <= entry.until
    return inside


def as_json(values: list[str]) -> str:
    """A short list as one cell of a frame."""
    return json.dumps(values, ensure_ascii=False)
