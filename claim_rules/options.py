"""Where the sources of the law disagree: named choices, their defaults, and those a contract makes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

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


class Meaning(NamedTuple):
    """What an option is about and what a choice of it means, in Vietnamese and English. told: claims say what another
    choice would change."""

    about_vi: str
    about_en: str
    choice_vi: str
    choice_en: str
    is_default: bool
    told: bool


def meaning(option: str, choice: str) -> Meaning | None:
    """The words for a choice; None for an option or choice that this law does not know (of a newer report)."""
    entry = law.load("options")["options"].get(option)
    if entry is None or choice not in entry["choices"]:
        return None
    in_vi, in_en = entry["choices_vi"][choice], entry["choices"][choice]
    told = entry.get("what_if", choice) != choice
    return Meaning(entry["about_vi"], entry["about"], in_vi, in_en, choice == entry["default"], told)
