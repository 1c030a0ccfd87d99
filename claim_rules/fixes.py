"""What a hospital does about a finding: words for each rule, kept as data beside the rule book (fixes.yaml)."""

from __future__ import annotations

from functools import cache
from importlib import resources

import yaml


def fix(rule: str) -> tuple[str, str] | None:
    """How to correct what the rule found: Vietnamese, English. None for a rule that neither it nor its family names."""
    known = _fixes()
    return known.get(rule) or known.get(rule.partition("-")[0])


@cache
def _fixes() -> dict[str, tuple[str, str]]:
    found = yaml.safe_load(resources.files("claim_rules").joinpath("fixes.yaml").read_text("utf-8"))
    return {name: (words[0], words[1]) for part in ("families", "rules") for name, words in found[part].items()}
