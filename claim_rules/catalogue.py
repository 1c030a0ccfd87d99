"""The rule book: what each rule is called, says, does and rests on; and how raw findings get their words."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib import import_module, resources
from pkgutil import iter_modules
from typing import TYPE_CHECKING

import pandas as pd

from claim_rules import dictionary, law
from claim_rules.findings import SEVERITIES
from claim_rules.frames import ClaimTables, line_numbers

if TYPE_CHECKING:
    from claim_rules.contract import Contract
    from claim_rules.engine import Case
    from claim_rules.findings import Ruling

MONTH = "facility-month"
LEVELS = ("line", "claim", "cross-claim", "delivery", MONTH)
"""What a rule speaks of. Rules of a facility-month run over its statistics and never on one delivery."""

STRUCTURE, CARD, ROUTE, CATALOGUE, SPLIT, CLINICAL, CROSS, TOTALS = range(1, 9)
"""Stages, in the order of evaluation of the benefit law. A claim that a rule of STRUCTURE rejects goes no further."""

Check = Callable[["Case"], "pd.DataFrame | Ruling"]


@dataclass(frozen=True)
class Rule:
    """One appraisal rule.

    needs: reference file -> columns without which the rule cannot run; wants: those without which a part of it cannot;
    facts: what must be known beside them (claim_rules.engine.FACTS), wants_facts: what a part of it must know.
    awaits: data that nobody sends yet (no file of the contract carries it): the rule is declared and always skipped.
    found_by: "rule" (function here), "extract", "validate", "statistics" (level facility-month) or another rule's id
    that carries it. since, until: days of
    NGAY_RA (yyyymmdd) between which it holds. decisions: versions of the format on which it
    runs. demands: tables that a claim must have in the case that the rule finds: without them it still needs paper.
    confidence: how sure the sources are of it (high, medium, low; "" where none says).
    """

    id: str
    stage: int
    level: str
    severity: str
    title_vi: str
    title_en: str
    message_vi: str
    message_en: str
    basis: str
    found_by: str = "rule"
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    wants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    facts: tuple[str, ...] = ()
    wants_facts: tuple[str, ...] = ()
    awaits: str = ""
    since: str = ""
    until: str = ""
    confidence: str = ""
    demands: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ("130", "4750", "3176")
    check: Check | None = field(default=None, compare=False, repr=False)


_BOOK: dict[str, Rule] = {}


def _register(rule: Rule) -> None:
    if rule.id in _BOOK:
        raise ValueError(f"rule {rule.id} is declared twice")
    if rule.severity not in SEVERITIES or rule.level not in LEVELS:
        raise ValueError(f"rule {rule.id}: unknown severity or level")
    _BOOK[rule.id] = rule if rule.confidence else replace(rule, confidence=_confidence().get(rule.id, ""))


@cache
def _confidence() -> dict[str, str]:
    """How sure the sources are of each rule."""
    text = resources.files("claim_rules.rules").joinpath("confidence.csv").read_text("utf-8")
    return {row["rule"]: row["confidence"] for row in csv.DictReader(text.splitlines())}


def declare(id: str, **facts: object) -> None:
    """Declares a rule that is found elsewhere (`found_by`), so that the book and the reports know it."""
    _register(Rule(id=id, **facts))  # type: ignore[arg-type]


def rule(id: str, **facts: object) -> Callable[[Check], Check]:
    """Declares the decorated function as the rule `id`; see Rule for the facts."""

    def enter(check: Check) -> Check:
        _register(Rule(id=id, check=check, **facts))  # type: ignore[arg-type]
        return check

    return enter


@cache
def book() -> dict[str, Rule]:
    """All rules by id, in order of stage and id."""
    from claim_rules import rules

    for module in iter_modules(rules.__path__):
        import_module(f"{rules.__name__}.{module.name}")
    return dict(sorted(_BOOK.items(), key=lambda entry: (entry[1].stage, entry[0])))


@cache
def version() -> str:
    """Version of the rule book: a name for exactly these rules, texts and law (12 hexadecimal digits)."""
    digest = hashlib.sha256()
    for entry in book().values():
        digest.update(json.dumps({**asdict(entry), "check": None}, sort_keys=True, default=str).encode())
    for package in ("claim_rules.law", "claim_rules.rules", "claim_rules.benefit", "claim_rules.statistics"):
        for item in sorted(resources.files(package).iterdir(), key=lambda item: item.name):
            if item.name.endswith((".yaml", ".py")):
                digest.update(item.read_bytes())
    for name in ("contract", "days_off", "engine", "lines", "money", "options", "outcome", "reference", "routes"):
        digest.update(resources.files("claim_rules").joinpath(f"{name}.py").read_bytes())
    if law.supposed():  # of a "what if"; never of an outcome that counts
        digest.update(law.supposed().encode())
        return f"{digest.hexdigest()[:12]}-what-if"
    return digest.hexdigest()[:12]


@cache
def masked_fields() -> frozenset[str]:
    """Fields whose value a report must not repeat: names, card, citizen id, phone, address (contracts, report)."""
    return frozenset(
        item.name
        for decision in dictionary.DECISIONS
        for table in dictionary.tables(decision).values()
        for item in table.fields
        if item.personal and not item.type.startswith("date")
    )


def mask(value: str, name: str) -> str:
    """The value as a report may show it: of a card its object code and digit, of other personal fields nothing."""
    if not value or name not in masked_fields():
        return value
    if name.startswith("MA_THE"):
        return ";".join(part[:3] + "*" * max(len(part) - 3, 0) for part in value.split(";"))
    return "*" * min(len(value), 8)


@cache
def _label(table: str, name: str, language: str) -> str:
    if not (table and name):
        return name
    label = dictionary.label_vi(name, table) if language == "vi" else dictionary.label_en(name, table)
    return f"{label} ({name})" if label != name else name


def sentences(*texts: str) -> str:
    """Texts as sentences one after the other."""
    return " ".join(f"{text[0].upper()}{text[1:].rstrip('. ')}." for text in texts if text)


def complete(found: pd.DataFrame, tables: ClaimTables, contract: Contract | None = None) -> pd.DataFrame:
    """Raw findings with severity (by the contract, if one is given), line number, masked values, messages and basis.

    found: claim_rules.findings.FINDING_COLUMNS. Returns the same columns and line (Int64: the number a report shows),
    message_vi, message_en, basis, in the order: delivery, then claim position, rule stage, rule, table, row.
    """
    out = found.reset_index(drop=True).copy()
    rules = book()
    entries = [rules[name] for name in out["rule"]]
    out["severity"] = [
        contract.severity(entry.id, given) if contract else given or entry.severity
        for given, entry in zip(out["severity"].fillna(""), entries, strict=True)
    ]
    out["severity"] = out["severity"].astype("str")
    out["line"] = _lines_of(out, tables)
    names = out["field"].fillna("")
    out["observed"] = [mask(value, name) for value, name in zip(out["observed"].fillna(""), names, strict=True)]
    out["observed"] = out["observed"].astype("str")
    out["expected"] = out["expected"].fillna("")
    for language in ("vi", "en"):
        details = out[f"detail_{language}"].fillna("")
        messages = []
        for entry, claim, table, name, observed, expected, detail in zip(
            entries,
            out["claim"],
            out["table"].fillna(""),
            names,
            out["observed"],
            out["expected"],
            details,
            strict=True,
        ):
            template = entry.message_vi if language == "vi" else entry.message_en
            text = template.format(
                field=_label(table, name, language), table=table, observed=observed or "—", expected=expected
            )
            # of a delivery as a whole the detail says all; the rule's own words speak of a claim
            messages.append(sentences(*((detail,) if detail and pd.isna(claim) else (text, detail))))
        out[f"message_{language}"] = pd.Series(messages, index=out.index, dtype="str")
    out["basis"] = pd.Series([entry.basis for entry in entries], index=out.index, dtype="str")
    out["stage"] = [entry.stage for entry in entries]
    out = out.sort_values(["claim", "stage", "rule", "table", "row"], kind="stable", na_position="first")
    return out.drop(columns="stage").reset_index(drop=True)


def _lines_of(found: pd.DataFrame, tables: ClaimTables) -> pd.Series:
    line = pd.Series(pd.NA, index=found.index, dtype="Int64")
    rows = found[found["row"].notna() & found["table"].notna()]
    for name, part in rows.groupby("table"):
        if str(name) not in tables:
            line.loc[part.index] = part["row"]
            continue
        frame = tables[str(name)]
        frame = frame[frame["claim"].isin(part["claim"])]
        numbers = pd.Series(line_numbers(frame).to_numpy(), index=pd.MultiIndex.from_frame(frame[["claim", "row"]]))
        numbers = numbers[~numbers.index.duplicated()]
        key = pd.MultiIndex.from_arrays([part["claim"].astype("int64"), part["row"].astype("int64")])
        line.loc[part.index] = pd.array(numbers.reindex(key).to_numpy(), dtype="Int64")
        line.loc[part.index] = line.loc[part.index].fillna(part["row"])
    single = found["table"].isin([name for name in tables.tables if _single_row(name)])
    return line.mask(single)


@cache
def _single_row(name: str) -> bool:
    return dictionary.table(name).row_element is None
