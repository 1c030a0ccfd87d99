"""Where the sources of the law disagree: named choices, their defaults, and those a contract makes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from claim_rules import law

Options = Mapping[str, str]
"""Name of the option -> choice (law/options.yaml)."""


@cache
def defaults() -> Options:
    """The default of every option."""
    return MappingProxyType({name: entry["default"] for name, entry in law.load("options")["options"].items()})


def resolve(chosen: Options | None = None) -> Options:
    """Every option with the choice that holds: the one given, else the default.

    Raises ValueError for an option or a choice that does not exist.
    """
    if not chosen:
        return defaults()
    known = law.load("options")["options"]
    for name, choice in chosen.items():
        if name not in known or choice not in known[name]["choices"]:
            raise ValueError(f"no such option: {name} = {choice}")
    return {**defaults(), **chosen}
