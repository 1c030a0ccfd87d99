"""The lists that expectations are made from; what each holds is said in README.md."""

from __future__ import annotations

import csv
import io
from importlib.resources import files


def read(name: str) -> list[dict[str, str]]:
    """Rows of one list."""
    return list(csv.DictReader(io.StringIO(files(__package__).joinpath(name).read_text("utf-8"))))
