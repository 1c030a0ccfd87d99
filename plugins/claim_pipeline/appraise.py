"""Appraises the claims of a delivery: rules and reference data in, findings, outcomes and the report out."""

from __future__ import annotations

import json
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from claim_pipeline import contracts, histories, signature
from claim_pipeline.errors import GiamdinhError
from claim_pipeline.histories import SNAPSHOT
from claim_pipeline.workspace import HISTORY, RESTS_ON, VISIT_COSTS, Delivery, Workspace
from claim_rules import catalogue, engine, options, outcome
from claim_rules.episodes import visit_costs
from claim_rules.findings import concat
from claim_rules.money import amount_text
from claim_rules.reference import Reference, missing
from claim_rules.signature import CERTIFICATES, Signature

if TYPE_CHECKING:
    from claim_pipeline.signature.trust import Trust
    from claim_rules.contract import Contract

SCHEMA = "giamdinh.report/1"
TIME_ZONE = "Asia/Ho_Chi_Minh"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Known:
    """Which reference data an appraisal used. at: they are as known then (ISO 8601); loads: table -> load (its number
    in the database) and sha256 of the file."""

    at: str
    loads: dict[str, dict[str, Any]]


def run(
    ws: Workspace,
    reference: Reference,
    history: dict[str, pd.DataFrame] | None = None,
    trust: Trust | None = None,
    *,
    known: Known | None = None,
    contract: Contract | None = None,
    signed: Signature | None = None,
) -> None:
    """One delivery: writes findings, claim_outcomes and line_outcomes (parquet) and report.json (contracts, report),
    and what the appraisal rests on beside the claims (RESTS_ON, HISTORY), so that it can be done again.

    reference: frames by file stem; what is missing makes its rules be skipped, and the report says so. history: frames
    of earlier claims (claim_rules.engine). trust: trust anchors, None: those of the settings. known: which reference
    data these are. contract, signed: None, as the contract file and the signature say. A rule that
    raises makes its claims `referred`; it is logged by its id and the kind of error, never with data.
    """
    tables = ws.read_tables()
    delivery = ws.delivery
    # of what moment the history is: for the store alone (claim_pipeline.store.past), not what the rules rest on
    seen = None if history is None or SNAPSHOT not in history else history[SNAPSHOT]["snapshot"].iloc[0]
    history = None if history is None else {name: frame for name, frame in history.items() if name != SNAPSHOT}
    steps = ("findings-extract", "findings-transform", "findings-validate")
    given = concat(ws.read_frame(name) for name in steps if ws.has_frame(name))
    signed = signed or signature.facts(ws, trust)
    appraisal = engine.run(
        tables,
        reference,
        given=given,
        received_day=_day(delivery.received_at),
        # a trial of a file that does not say when it was made has only the clock
        receipt=delivery.inbox_facility is not None or bool(delivery.created_on),
        history=history,
        signature=signed,
        on_error=_log_error,
        contract=contract or contracts.terms(delivery.MA_CSKCB),
    )
    completed = catalogue.complete(appraisal.findings, tables, appraisal.contract)
    certificates = None if missing(reference, CERTIFICATES) else reference["certificates"]
    result = outcome.fold(tables, appraisal, completed, signature_reasons=signed.reasons(certificates))
    ws.write_frame("findings", result.findings)
    ws.write_frame("line_outcomes", result.lines)
    ws.write_frame("claim_outcomes", result.claims)
    ws.write_frame(VISIT_COSTS, visit_costs(appraisal.claims))
    terms = appraisal.contract
    ws.write_json(
        RESTS_ON,
        {
            "rule_book": terms.version(),
            "contract": asdict(terms),
            "options": dict(options.resolve(terms.options)),
            "known_at": known.at if known is not None else None,
            "reference": known.loads if known is not None else None,
            "received_day": _day(delivery.received_at),
            "signature": asdict(signed),
            "seen": seen,
            "failed": appraisal.failed,
            "history": histories.write(ws.folder / HISTORY, history) if history is not None else None,
        },
    )
    delivery.status = "appraised"
    _write(ws.report, _report(delivery, result, appraisal, known))
    ws.delivery = delivery


def quarantine(ws: Workspace, error: GiamdinhError) -> None:
    """Marks the delivery as quarantined and writes its report: no claims, the reason and what to do next."""
    delivery = ws.delivery
    delivery.status = "quarantined"
    delivery.reason = {
        "code": error.code,
        "message_vi": catalogue.sentences(error.message_vi, error.next_vi),
        "message_en": catalogue.sentences(error.message_en, error.next_en),
    }
    for name in ("format", "declared_claims", "read_claims"):
        value = getattr(error, name, None)
        if value is not None:
            setattr(delivery, name, value)
    delivery.MA_CSKCB = delivery.MA_CSKCB or getattr(error, "ma_cskcb", None)
    empty = {"schema": SCHEMA, "rule_book": catalogue.version(), "delivery": _delivery(delivery), "findings": []}
    totals = {"claims": 0, **dict.fromkeys(outcome.OUTCOMES, 0), **dict.fromkeys(_MONEY, amount_text(0))}
    tail = {"totals": totals, "rules_run": [], "skipped_rules": []}
    _write(ws.report, iter([json.dumps({**empty, "claims": [], **tail}, ensure_ascii=False, indent=1)]))
    ws.delivery = delivery


def _log_error(rule: str, error: Exception) -> None:
    # the text of the error may hold values of a claim
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_name}:{place.tb_lineno}" if place is not None else "?"
    log.error("rule %s could not run: %s at %s", rule, type(error).__name__, where)


def _day(received_at: str | None) -> str:
    if not received_at:
        return ""
    return datetime.fromisoformat(received_at).strftime("%Y%m%d")


def _write(path: Path, parts: Iterator[str]) -> None:
    aside = path.with_name(f".{path.name}.part")
    with aside.open("w", encoding="utf-8") as file:
        file.writelines(parts)
    os.replace(aside, path)


_MONEY = ("requested", "approved", "refused")


def _delivery(delivery: Delivery) -> dict[str, Any]:
    out = {
        name: getattr(delivery, name)
        for name in (
            "file",
            "sha256",
            "MA_CSKCB",
            "format",
            "received_at",
            "declared_claims",
            "read_claims",
            "status",
            "reason",
        )
    }
    out["file"] = re.sub(r"[\x00-\x1f]", "?", delivery.file)
    if delivery.unknown_columns:
        out["unknown_columns"] = delivery.unknown_columns
    if delivery.reading:
        out["reading"] = delivery.reading
    return out


def _finding_rows(found: pd.DataFrame) -> list[dict[str, Any]]:
    def text(name: str) -> list[str | None]:
        return [None if pd.isna(value) else str(value) for value in found[name]]

    columns = {
        "rule": text("rule"),
        "severity": text("severity"),
        "table": text("table"),
        "line": [None if pd.isna(value) else int(value) for value in found["line"]],
        "field": text("field"),
        "observed": text("observed"),
        "expected": text("expected"),
        "amount_refused": [amount_text(value) for value in found["amount_refused"].tolist()],
        "message_vi": text("message_vi"),
        "message_en": text("message_en"),
        "basis": text("basis"),
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _by_claim(frame: pd.DataFrame, rows: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    out: dict[int, list[dict[str, Any]]] = {}
    for claim, row in zip(frame["claim"].tolist(), rows, strict=True):
        if not pd.isna(claim):
            out.setdefault(int(claim), []).append(row)
    return out


def _what_if(result: outcome.Outcome) -> dict[int, list[dict[str, str]]]:
    """What would be approved of a claim by another choice of an option, by claim; due_back: what the patient would get
    back, where that is something."""
    out: dict[int, list[dict[str, str]]] = {}
    names = ["claim", "option", "choice", "approved", "due_back"]
    for claim, option, choice, approved, due in result.what_if[names].itertuples(index=False, name=None):
        told = {"option": option, "choice": choice, "approved": amount_text(approved)}
        out.setdefault(claim, []).append(told | ({"due_back": amount_text(due)} if due else {}))
    return out


def claim_entries(claims: pd.DataFrame, lines: pd.DataFrame, findings: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The report's entry of each claim, from frames as `run` writes them."""
    of_claim = _by_claim(findings, _finding_rows(findings))
    of_lines = _by_claim(
        lines,
        [
            {"table": table, "line": line, **dict(zip(_MONEY, map(amount_text, amounts), strict=True))}
            for table, line, *amounts in lines[["table", "line", *_MONEY]].itertuples(index=False, name=None)
        ],
    )
    names = ["claim", "MA_LK", "outcome", "paperless", "paperless_reasons", "referral_reasons", *_MONEY]
    for claim, ma_lk, decided, paperless, paperless_reasons, referral_reasons, *amounts in claims[names].itertuples(
        index=False, name=None
    ):
        yield {
            "MA_LK": None if pd.isna(ma_lk) else ma_lk,
            "outcome": decided,
            "paperless": bool(paperless),
            "paperless_reasons": json.loads(paperless_reasons),
            "referral_reasons": json.loads(referral_reasons),
            **dict(zip(_MONEY, map(amount_text, amounts), strict=True)),
            "lines": of_lines.get(claim, []),
            "findings": of_claim.get(claim, []),
        }


def totals_of(claims: list[dict[str, Any]]) -> dict[str, Any]:
    """The report's totals, from its entries of claims."""
    outcomes = Counter(claim["outcome"] for claim in claims)
    return {
        "claims": len(claims),
        **{name: outcomes[name] for name in outcome.OUTCOMES},
        **{name: f"{sum((Decimal(claim[name]) for claim in claims), Decimal('0.00')):.2f}" for name in _MONEY},
    }


def _report(
    delivery: Delivery, result: outcome.Outcome, appraisal: engine.Appraisal, known: Known | None
) -> Iterator[str]:
    """The report as pieces of JSON text, one claim after the other, so that a large delivery is never held twice."""

    def dump(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    of_delivery = _finding_rows(result.findings[result.findings["claim"].isna()])
    what_if = _what_if(result)
    yield f'{{"schema": {dump(SCHEMA)},\n"rule_book": {dump(appraisal.contract.version())},\n'
    yield f'"options": {dump(dict(options.resolve(appraisal.contract.options)))},\n'
    yield f'"delivery": {dump(_delivery(delivery))},\n"findings": {dump(of_delivery)},\n"claims": ['
    separator = "\n"
    claims = result.claims
    entries = claim_entries(claims, result.lines, result.findings)
    for claim, entry in zip(claims["claim"].tolist(), entries, strict=True):
        yield separator + dump(entry | ({"what_if": what_if[claim]} if claim in what_if else {}))
        separator = ",\n"
    totals = {
        "claims": len(claims),
        **{name: int((claims["outcome"] == name).sum()) for name in outcome.OUTCOMES},
        **{name: amount_text(int(claims[name].sum())) for name in _MONEY},
    }
    yield f'],\n"totals": {dump(totals)},\n"rules_run": {dump(appraisal.rules_run)},\n'
    yield f'"skipped_rules": {dump(appraisal.skipped)}'
    if known is not None:
        yield f',\n"reference": {dump({name: {"sha256": load["sha256"]} for name, load in known.loads.items()})}'
    if appraisal.failed:
        yield f',\n"failed_rules": {dump(appraisal.failed)}'
    yield "}\n"
