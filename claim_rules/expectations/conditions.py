"""Conditions on the fields of a row, as a short text in the data files, evaluated on whole columns at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from claim_rules.expectations.texts import blanks, flags, is_positive, matches

Flags = npt.NDArray[np.bool_]

_WILD = re.escape("*")

_OPERATORS = ("not in", "in", "not like", "like", "has", "filled", "blank", "positive")
_CLAUSE = re.compile(rf"(?P<field>[A-Z][A-Z0-9_]*) (?P<operator>{'|'.join(_OPERATORS)})(?: (?P<values>.+))?")

_WORDS = {
    "in": ("là", "is"),
    "not in": ("không phải", "is not"),
    "like": ("dạng", "looks like"),
    "not like": ("không có dạng", "does not look like"),
    "has": ("có mục", "has the item"),
    "filled": ("không trống", "is filled"),
    "blank": ("trống", "is blank"),
    "positive": ("lớn hơn 0", "is above 0"),
}


@dataclass(frozen=True)
class Clause:
    """One comparison of a field: `in`, `not in` (these values), `like`, `not like` (these patterns with `*`), `has` (an
    item of the `;` list is one of these), `filled`, `blank`, `positive` (a number above nought). White space around a
    value does not count; `not in` and `not like` hold for a blank field."""

    field: str
    operator: str
    values: tuple[str, ...] = ()

    def holds(self, column: pa.Array) -> Flags:
        """Whether it holds for each text of the field's column."""
        operator = self.operator.removeprefix("not ")
        if operator in ("filled", "blank"):
            blank = blanks(column)
            return blank if operator == "blank" else ~blank
        if operator == "positive":
            return is_positive(column)
        texts = pc.utf8_trim_whitespace(column)
        if operator == "in":
            met = flags(pc.is_in(texts, value_set=pa.array(self.values, texts.type)))
        elif operator == "like":
            met = matches(texts, "|".join(f"^{re.escape(value).replace(_WILD, '.*')}$" for value in self.values))
        else:
            items = "|".join(re.escape(value) for value in self.values)
            met = matches(texts, rf"(^|;)\s*({items})\s*(;|$)")
        return ~met if self.operator.startswith("not ") else met

    @property
    def text(self) -> str:
        """The clause as the data files write it."""
        return " ".join((self.field, self.operator, *self.values))

    def words(self) -> tuple[str, str]:
        """The clause in Vietnamese and English."""
        vi, en = _WORDS[self.operator]
        values = list(self.values)
        if not values:
            return f"{self.field} {vi}", f"{self.field} {en}"
        *most, last = values
        listed_vi = f"{', '.join(most)} hoặc {last}" if most else last
        listed_en = f"{', '.join(most)} or {last}" if most else last
        return f"{self.field} {vi} {listed_vi}", f"{self.field} {en} {listed_en}"


@dataclass(frozen=True)
class Condition:
    """Alternatives, of each of which all clauses must hold; without any it always holds."""

    alternatives: tuple[tuple[Clause, ...], ...] = ()

    def holds(self, column: Callable[[str], pa.Array], length: int) -> Flags:
        """Whether it holds for each row. column: name of a field -> its texts, each of that length."""
        if not self.alternatives:
            return np.ones(length, np.bool_)
        either = np.zeros(length, np.bool_)
        for clauses in self.alternatives:
            both = np.ones(length, np.bool_)
            for clause in clauses:
                both &= clause.holds(column(clause.field))
            either |= both
        return either

    def words(self) -> tuple[str, str]:
        """The condition in Vietnamese and English."""
        vi, en = [], []
        for clauses in self.alternatives:
            said = [clause.words() for clause in clauses]
            vi.append(" và ".join(one for one, _ in said))
            en.append(" and ".join(one for _, one in said))
        return ", hoặc ".join(vi), ", or ".join(en)

    @property
    def text(self) -> str:
        """The condition as the data files write it."""
        return " or ".join(" and ".join(clause.text for clause in clauses) for clauses in self.alternatives)

    def fields(self) -> frozenset[str]:
        """Names of the fields it looks at."""
        return frozenset(clause.field for clauses in self.alternatives for clause in clauses)


ALWAYS = Condition()
"""Holds for every row."""


def parse(text: str) -> Condition:
    """A condition from its text: `<field> <operator> <values separated by blanks>`, joined by `and`, these by `or`.

    Raises ValueError for a text that is none.
    """
    return Condition(tuple(tuple(_clause(part) for part in one.split(" and ")) for one in text.split(" or ") if one))


def _clause(text: str) -> Clause:
    known = _CLAUSE.fullmatch(text.strip())
    values = tuple((known["values"] or "").split()) if known is not None else ()
    if known is None or {"and", "or"} & set(values):
        raise ValueError(f"not a condition: {text!r}")
    if bool(values) == (known["operator"] in ("filled", "blank", "positive")):
        raise ValueError(f"wrong number of values: {text!r}")
    return Clause(known["field"], known["operator"], values)
