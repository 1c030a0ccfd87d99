"""Worked cases: given a claim, expect these findings and amounts. Appraisers argue with them, tests run them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import pandas as pd
import yaml

from claim_rules import benefit, catalogue, contract, dictionary, engine, expectations, law, outcome
from claim_rules.findings import concat
from claim_rules.frames import ClaimTables
from claim_rules.money import amount_text
from claim_rules.signature import Signature


@dataclass(frozen=True)
class WorkedCase:
    """One case. given: what differs from the base claim (table -> fields, or row number -> fields; `second`: a second
    claim in the same way; `decision`); reference: file stem -> rows; expect: findings, outcome, amounts (or
    `quarantined`: the code). file: for rules found while a file is read, what is done to a sound file (files.yaml).
    example: the id of the worked number of the benefit law that the case carries through the engine.
    delivery: what is known of it: received_day (receipt: true where the claims really came then), signature
    (claim_rules.signature), versions (claim -> earlier day), history (frame -> rows: Case.history)."""

    name: str
    name_vi: str
    group: str
    rules: tuple[str, ...]
    given: dict[str, Any] = field(default_factory=dict)
    reference: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    expect: dict[str, Any] = field(default_factory=dict)
    file: dict[str, Any] | None = None
    delivery: dict[str, Any] = field(default_factory=dict)
    contract: dict[str, Any] = field(default_factory=dict)
    example: str = ""


@cache
def all_cases() -> tuple[WorkedCase, ...]:
    """Every case of this folder, in order of file and place."""
    out = []
    for item in sorted(resources.files(__package__).iterdir(), key=lambda item: item.name):
        if not item.name.endswith(".yaml") or item.name == "base.yaml":
            continue
        for entry in yaml.safe_load(item.read_text("utf-8")):
            entry["rules"] = tuple(entry["rules"])
            out.append(WorkedCase(group=item.name.removesuffix(".yaml"), **entry))
    return tuple(out)


@dataclass(frozen=True)
class Limit:
    """The two cases that stand on either side of a rule's limit. unit: what the limit is counted in; at: the case that
    just misses the rule, beyond: the one that trips it (names)."""

    rule: str
    unit: str
    at: str
    beyond: str


@cache
def limits() -> dict[str, Limit]:
    """The limit of every rule that has one (limits.csv)."""
    text = resources.files(__package__).joinpath("limits.csv").read_text("utf-8")
    return {row["rule"]: Limit(**row) for row in csv.DictReader(text.splitlines())}


@cache
def _base() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("base.yaml").read_text("utf-8")
    data: dict[str, Any] = yaml.safe_load(text)
    return data


def _rows(given: dict[str, Any], name: str) -> list[dict[str, str]]:
    stays = given.get("XML1", {}).get("MA_LOAI_KCB") in law.load("kinds_of_care")["discharge_papers"]
    base = _base().get(name) or (_base()["inpatient"].get(name, []) if stays else [])
    rows = [dict(row) for row in (base if isinstance(base, list) else [base])]
    changes = given.get(name, {})
    if changes is None:
        return []
    if name == "XML1":
        changes = {1: changes}
    for number, change in changes.items():
        while len(rows) < number:
            rows.append({**(rows[-1] if rows else {}), "STT": str(len(rows) + 1)})
        if change is None:
            rows[number - 1] = {}
        else:
            rows[number - 1].update(change)
    return [row for row in rows if row]


def _rows_of(given: dict[str, Any], name: str) -> list[dict[str, str]]:
    rows = _rows(given, name)
    if name != "XML1":
        named = given.get(name) or {}
        for number, row in enumerate(rows, start=1):
            if "MA_LK" not in (named.get(number) or {}):
                row["MA_LK"] = given.get("XML1", {}).get("MA_LK", _base()["XML1"]["MA_LK"])
    return rows


def build(case: WorkedCase) -> ClaimTables:
    """The claim tables of a case; amounts that neither the case nor the base claim names are filled by the law."""
    return build_all([case.given] + ([case.given["second"]] if "second" in case.given else []))


def build_all(givens: Sequence[dict[str, Any]]) -> ClaimTables:
    """The claim tables of several claims, each given as in a case."""
    decisions = [given.get("decision", _base()["decision"]) for given in givens]
    tables = {}
    for name in dictionary.CLAIM_TABLES:
        rows = [(claim, _rows_of(given, name)) for claim, given in enumerate(givens)]
        if not any(mine for _, mine in rows):
            continue
        names = dict.fromkeys(item for one in dict.fromkeys(decisions) for item in dictionary.table(name, one).names)
        frame = pd.DataFrame(
            {item: pd.Series([row.get(item) for _, mine in rows for row in mine], dtype="str") for item in names}
        )
        frame.insert(0, "claim", [claim for claim, mine in rows for _ in mine])
        frame.insert(1, "row", [number for _, mine in rows for number in range(1, len(mine) + 1)])
        tables[name] = frame
    first = tables["XML1"].drop_duplicates("claim")["MA_LK"]
    claims = pd.DataFrame(
        {
            "claim": range(len(givens)),
            "MA_LK": pd.Series(first.to_list(), dtype="str"),
            "MA_CSKCB": pd.Series([given.get("facility", _base()["facility"]) for given in givens], dtype="str"),
            "decision": pd.Series(decisions, dtype="str"),
            "readable": True,
        }
    )
    filled = benefit.fill_amounts(ClaimTables(claims, tables))
    for name, frame in filled.items():
        # a case may want a cell blank although the law could fill it
        for claim, given in enumerate(givens):
            changes = {1: given.get(name) or {}} if name == "XML1" else (given.get(name) or {})
            for number, change in changes.items():
                for item, value in (change or {}).items():
                    if value == "":
                        frame.loc[(frame["claim"] == claim) & (frame["row"] == number), item] = ""
    return filled


def base_claim() -> ClaimTables:
    """The claim that every case starts from."""
    return build(WorkedCase("base", "", "base", ()))


def run(case: WorkedCase) -> tuple[outcome.Outcome, engine.Appraisal]:
    """Checks and appraises the claims of a case as the pipeline does after reading."""
    tables = build(case)
    reference = {name: pd.DataFrame(rows).astype("str") for name, rows in case.reference.items()}
    given = concat([expectations.check(tables)])
    told = case.delivery
    facility = tables.claims["MA_CSKCB"].iloc[0]
    signature = Signature(facility=facility, **told["signature"]) if "signature" in told else None
    history = {name: pd.DataFrame(rows) for name, rows in told.get("history", {}).items()}
    known = "history" in told or "versions" in told
    if known:
        history["versions"] = pd.DataFrame(told.get("versions", {}).items(), columns=["claim", "received"])
    terms = contract.read(yaml.safe_dump({"default": case.contract})).default
    appraisal = engine.run(
        tables,
        reference,
        given=given,
        received_day=told.get("received_day", ""),
        receipt=told.get("receipt", False),
        history=history if known else None,
        signature=signature,
        on_error=_raise,
        contract=terms,
    )
    completed = catalogue.complete(appraisal.findings, tables, terms)
    reasons = (signature or Signature()).reasons(reference.get("certificates"))
    return outcome.fold(tables, appraisal, completed, signature_reasons=reasons), appraisal


def _raise(rule: str, error: Exception) -> None:
    raise RuntimeError(f"rule {rule} could not run") from error


def seen(result: outcome.Outcome) -> list[dict[str, Any]]:
    """Findings of a case as a case would write them."""
    found = result.findings
    return [
        {
            "rule": row["rule"],
            "severity": row["severity"],
            "table": None if pd.isna(row["table"]) else row["table"],
            "line": None if pd.isna(row["line"]) else int(row["line"]),
            "field": None if pd.isna(row["field"]) else row["field"],
            "observed": row["observed"],
            "expected": row["expected"],
            "amount_refused": amount_text(row["amount_refused"]),
            "claim": None if pd.isna(row["claim"]) else int(row["claim"]),
        }
        for row in found.to_dict("records")
    ]
