"""The law as dated data: each value with the day it starts and the text it comes from."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml


@dataclass(frozen=True)
class Dated:
    """One parameter of the law over time.

    starts: days as yyyymmdd text, ascending; values: the value that holds from each of them.
    """

    name: str
    starts: tuple[str, ...]
    values: tuple[Any, ...]

    def at(self, day: str) -> Any:
        """The value in force on one day (yyyymmdd); None before the first start."""
        position = int(np.searchsorted(np.array(self.starts), day, side="right")) - 1
        return self.values[position] if position >= 0 else None

    def on(self, days: pd.Series) -> npt.NDArray[np.object_]:
        """Values in force on each day of a text series (yyyymmdd); None before the first start or for a blank."""
        position = np.searchsorted(np.array(self.starts), days.fillna("").to_numpy(dtype="str"), side="right")
        table: npt.NDArray[np.object_] = np.array([None, *self.values], dtype=object)
        return table[position]


@cache
def load(name: str) -> dict[str, Any]:
    """One file of the law as written (name without .yaml). Raises FileNotFoundError."""
    data = _as_written(name)
    if name in _supposed:
        data["values"] = {**data["values"], **_supposed[name]}
        data["values"] = {day: entry for day, entry in data["values"].items() if entry is not None}
    return data


def _as_written(name: str) -> dict[str, Any]:
    text = resources.files(__package__).joinpath(f"{name}.yaml").read_text("utf-8")
    data: dict[str, Any] = yaml.safe_load(text)
    return data


_supposed: dict[str, dict[date, Any]] = {}
"""Parameter -> day -> what is supposed to hold from it; None: that this value is not in force."""


def read_supposed(text: str) -> dict[str, dict[date, Any]]:
    """What a "what if" supposes of the law, from YAML: file -> `values` -> day -> value, `{value, source}`, or null for
    a value that is not to be in force.

    Raises ValueError, which names what is wrong: a file of the law that does not exist or has no dated values, a day
    that is none, a value that is not of the kind that stands there, a null where no value starts.
    """
    try:
        told = yaml.safe_load(text)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        raise ValueError(f"no YAML{f', line {place.line + 1}' if place else ''}") from None
    if not isinstance(told, dict) or not told:
        raise ValueError("names of files of the law, with `values` below them, must stand at the top")
    return {str(name): _supposed_values(str(name), given) for name, given in told.items()}


def _supposed_values(name: str, given: Any) -> dict[date, Any]:
    if not re.fullmatch("[a-z0-9_]+", name) or not resources.files(__package__).joinpath(f"{name}.yaml").is_file():
        raise ValueError(f"{name}: no such file of the law")
    there = _as_written(name).get("values")
    if not isinstance(there, dict):
        raise ValueError(f"{name}: has no dated values")
    if not isinstance(given, dict) or set(given) != {"values"} or not isinstance(given["values"], dict):
        raise ValueError(f"{name}: `values` with days below it is wanted")
    kinds = {type(_value(entry)) for entry in there.values()}
    out: dict[date, Any] = {}
    for day, entry in given["values"].items():
        if not isinstance(day, date):
            raise ValueError(f"{name}: {day} is not a day (yyyy-mm-dd)")
        if entry is None and day not in there:
            raise ValueError(f"{name}: no value starts on {day}, so none can be taken away")
        if entry is not None and type(_value(entry)) not in kinds:
            raise ValueError(f"{name}: {_value(entry)} on {day} is not of the kind of the values that stand there")
        out[day] = entry if entry is None or isinstance(entry, dict) else {"value": entry}
    return out


def _value(entry: Any) -> Any:
    return entry.get("value") if isinstance(entry, dict) else entry


def supposed() -> str:
    """What is supposed of the law in this process as one line of text; "" where the law is as it is."""
    plain = {name: {str(day): entry for day, entry in days.items()} for name, days in _supposed.items()}
    return json.dumps(plain, sort_keys=True, default=str, ensure_ascii=False) if plain else ""


@contextmanager
def what_if(changes: Mapping[str, Mapping[date, Any]]) -> Iterator[None]:
    """As long as the context lasts, this process judges by the law with these values (read_supposed) in it.

    For "what would change" alone: the version of the rule book tells that it is so. Not for several threads at once.
    """
    if _supposed:
        raise RuntimeError("something is supposed of the law already")
    _supposed.update({name: dict(values) for name, values in changes.items()})
    _forget()
    try:
        yield
    finally:
        _supposed.clear()
        _forget()


def _forget() -> None:
    """Empties what the modules of the rules have kept of the law."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "claim_rules" and module is not None:
            for kept in list(vars(module).values()):
                clear = getattr(kept, "cache_clear", None)
                if callable(clear):
                    clear()


def dated(name: str, values: dict[Any, Any]) -> Dated:
    """A Dated from a mapping day -> {value: ...} or day -> value."""
    ordered = sorted((str(day).replace("-", ""), entry) for day, entry in values.items())
    return Dated(
        name,
        tuple(day for day, _ in ordered),
        tuple(entry["value"] if isinstance(entry, dict) else entry for _, entry in ordered),
    )


@cache
def parameter(name: str) -> Dated:
    """The dated parameter in file `name`.yaml (key `values`)."""
    return dated(name, load(name)["values"])
