"""What a contract with a facility changes: rules off, other severities, options of the law, payment methods."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from claim_rules import catalogue, options
from claim_rules.findings import ADJUST_AMOUNT, REJECT_LINE, SEVERITIES, WARN

OFF = "off"


@dataclass(frozen=True)
class Contract:
    """The terms for one facility.

    rules: rule id -> "off" or another severity; options: see claim_rules.options; payment_methods: the values of
    MA_PTTT that were agreed, none: not known; mixed_funding: beginnings of MA_THUOC of drugs that the fund may pay in
    part although NGUON_CTRA names another payer.
    """

    rules: Mapping[str, str] = field(default_factory=dict)
    options: options.Options = field(default_factory=dict)
    payment_methods: tuple[str, ...] = ()
    mixed_funding: tuple[str, ...] = ()

    @property
    def off(self) -> frozenset[str]:
        """Rules that do not run."""
        return frozenset(rule for rule, how in self.rules.items() if how == OFF)

    def severity(self, rule: str, given: str = "") -> str:
        """Severity of a finding: as the contract says, else as the finding says (`given`), else as the rule book.

        A finding that is only a warning stays one.
        """
        changed = self.rules.get(rule, "")
        if given == WARN or not changed or changed == OFF:
            return given or catalogue.book()[rule].severity
        return changed

    def version(self) -> str:
        """Version of the rule book under this contract: that of the book, and after a "+" that of its changes."""
        if self == Contract():
            return catalogue.version()
        terms = [dict(self.rules), dict(self.options), self.payment_methods, self.mixed_funding]
        return f"{catalogue.version()}+{hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Contracts:
    """The contracts of all facilities: one for everybody, and what differs for some."""

    default: Contract = field(default_factory=Contract)
    facilities: Mapping[str, Contract] = field(default_factory=dict)

    def of(self, facility: str | None) -> Contract:
        """The terms for a facility; of one that the file does not name, the default."""
        return self.facilities.get(facility or "", self.default)


def read(text: str) -> Contracts:
    """Contracts from YAML: `default` and `facilities` (MA_CSKCB -> terms), each with `rules` (id -> off or a severity),
    `options`, `payment_methods`, `mixed_funding`. A facility's terms come on top of the default.

    Raises ValueError, which names what is wrong, for rules, severities, options or keys that do not exist.
    """
    data = yaml.safe_load(text) or {}
    if not isinstance(data, dict) or set(data) - {"default", "facilities"}:
        raise ValueError("only `default` and `facilities` may stand at the top")
    default = _terms(data.get("default") or {}, Contract())
    named = data.get("facilities") or {}
    return Contracts(default, {str(code): _terms(terms or {}, default) for code, terms in named.items()})


def _terms(given: Any, base: Contract) -> Contract:
    keys = {"rules", "options", "payment_methods", "mixed_funding"}
    if not isinstance(given, dict) or set(given) - keys:
        raise ValueError(f"the terms of a contract are {', '.join(sorted(keys))}")
    rules = {str(rule): _how(str(rule), how) for rule, how in (given.get("rules") or {}).items()}
    chosen = {str(name): str(choice) for name, choice in (given.get("options") or {}).items()}
    options.resolve(chosen)
    return Contract(
        {**base.rules, **rules},
        {**base.options, **chosen},
        tuple(str(method) for method in given.get("payment_methods") or base.payment_methods),
        tuple(str(code) for code in given.get("mixed_funding") or base.mixed_funding),
    )


def _how(rule: str, how: Any) -> str:
    entry = catalogue.book().get(rule)
    if entry is None:
        raise ValueError(f"no rule {rule}")
    if how is False:  # YAML reads a bare off as false
        return OFF
    if how is True:
        return entry.severity
    if how != OFF and how not in SEVERITIES:
        raise ValueError(f"rule {rule}: {how} is not off, {', '.join(SEVERITIES)}")
    if how != entry.severity and how in (ADJUST_AMOUNT, REJECT_LINE) and entry.level != "line":
        raise ValueError(f"rule {rule} looks at a whole claim: it can warn, reject the claim or be off")
    return str(how)
