"""The law as dated data: each value with the day it starts and the text it comes from."""

from __future__ import annotations

from dataclasses import dataclass
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
    text = resources.files(__package__).joinpath(f"{name}.yaml").read_text("utf-8")
    data: dict[str, Any] = yaml.safe_load(text)
    return data


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
