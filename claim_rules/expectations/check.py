"""Finds the faults of claim tables: one pass per table, each rule on the distinct values of a column."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from claim_rules import dictionary
from claim_rules.expectations.conditions import Condition
from claim_rules.expectations.fields import (
    CODE,
    DECIMALS,
    KEY,
    LENGTH,
    MISSING,
    NEGATIVE,
    NEWBORN,
    RANGE,
    SYNTAX,
    VERSION,
    Expectation,
)
from claim_rules.expectations.texts import Positions, are_dates, as_number, blanks, days_of, digits, flags, matches

Kinds = npt.NDArray[np.uint8]

PARENT_KEY = "MA_LK of XML1"
"""Column beside the fields of a table: the claim's MA_LK, against which the rows' own is checked."""

DECISION = "decision"
"""Column of the pseudo table of claims with the decision whose layout the claim has."""

NEWBORN_DAYS = 28


@dataclass(frozen=True)
class Faults:
    """The faults of one field: `rows` are positions in the table that was checked, ascending; `kinds` the kind of
    each (claim_rules.expectations.KINDS); `evaluated` the number of values looked at."""

    evaluated: int
    rows: Positions
    kinds: Kinds


_NONE = (np.empty(0, np.int64), np.empty(0, np.uint8))


def _number_kinds(values: pa.Array, expectation: Expectation) -> Kinds:
    """Fault of each text as a number; nearly all have none, so one pattern clears them and the rest is looked into."""
    kinds = np.zeros(len(values), np.uint8)
    if expectation.decimals is None:
        digits = r"(\.[0-9]+)?"
    elif expectation.decimals == 0:
        digits = r"(\.0+)?"
    else:
        digits = rf"(\.[0-9]{{1,{expectation.decimals}}}0*)?"
    good = matches(values, rf"^-?[0-9]+{digits}$" if expectation.negative else rf"^[0-9]+{digits}$")
    at = np.flatnonzero(~good)
    if len(at):
        odd = values.take(pa.array(at))
        fault = np.full(len(at), SYNTAX, np.uint8)
        fault[matches(odd, r"^-?[0-9]+\.[0-9]+$")] = DECIMALS
        # -0.00 is no amount below nought
        fault[matches(odd, rf"^-[0-9]+{digits}$")] = NEGATIVE
        fault[matches(odd, rf"^-0+{digits}$") & ~matches(odd, "[1-9]")] = 0
        kinds[at] = fault
    return kinds


def _value_kinds(values: pa.Array, expectation: Expectation) -> Kinds:
    """Fault of each value that is not blank, as one item."""
    kinds = np.zeros(len(values), np.uint8)
    form = expectation.form
    if expectation.codes is not None:
        allowed = pa.array(expectation.codes, values.type)
        kinds[~flags(pc.is_in(values, value_set=allowed))] = CODE
    elif form == "integer":
        kinds[~matches(values, "^-?[0-9]+$")] = SYNTAX
    elif form == "number":
        kinds = _number_kinds(values, expectation)
        if expectation.highest is not None:
            good = np.flatnonzero(kinds == 0)
            number = pc.cast(values.take(pa.array(good)), pa.float64()).to_numpy()
            kinds[good[(number < 0) | (number > expectation.highest)]] = RANGE
    elif form != "text":
        kinds[~are_dates(values, form)] = SYNTAX
    return kinds


def _list_kinds(values: pa.Array, expectation: Expectation) -> Kinds:
    """Fault of each `;` list that is not blank: that of its worst item; blank items are passed over."""
    items = pc.split_pattern(values, ";")
    owner = pc.list_parent_indices(items).to_numpy()
    flat = pc.utf8_trim_whitespace(pc.list_flatten(items))
    filled = ~blanks(flat)
    kinds = np.zeros(len(values), np.uint8)
    found = _value_kinds(flat.filter(pa.array(filled)), expectation)
    np.maximum.at(kinds, owner[filled], found)
    return kinds


def _too_long(values: pa.Array, limit: int) -> npt.NDArray[np.bool_]:
    """Whether each text has more characters than that, composed (NFC)."""
    long = flags(pc.greater(pc.utf8_length(values), limit))
    at = np.flatnonzero(long)
    if len(at):
        composed = pc.utf8_normalize(values.take(pa.array(at)), form="NFC")
        long[at] = flags(pc.greater(pc.utf8_length(composed), limit))
    return long


def _one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column


def _only_length(column: pa.Array, expectation: Expectation) -> Faults:
    """A free text: whether it is there and not too long."""
    kinds = np.zeros(len(column), np.uint8)
    if expectation.max_length is not None and len(column):
        longest = pc.max(pc.binary_length(column)).as_py() or 0
        if longest > expectation.max_length:
            kinds[_too_long(pc.fill_null(column, ""), expectation.max_length)] = LENGTH
    if expectation.blank_rule is not None:
        kinds[blanks(column)] = MISSING
    rows = np.flatnonzero(kinds)
    return Faults(len(column), rows, kinds[rows])


def _by_distinct_value(column: pa.Array, expectation: Expectation) -> Faults:
    """A field with a form or a code list: each distinct value is judged once."""
    coded = column.dictionary_encode()
    values = coded.dictionary
    verdict = np.zeros(len(values) + 1, np.uint8)  # the last is that of null
    blank = blanks(values)
    filled = np.flatnonzero(~blank)
    if len(filled):
        texts = values if len(filled) == len(values) else values.take(pa.array(filled))
        kinds = (_list_kinds if expectation.is_list else _value_kinds)(texts, expectation)
        if expectation.max_length is not None:
            kinds[(kinds == 0) & _too_long(texts, expectation.max_length)] = LENGTH
        verdict[filled] = kinds
    if expectation.blank_rule is not None:
        verdict[:-1][blank] = MISSING
        verdict[-1] = MISSING
    if not verdict[:-1].any() and (verdict[-1] == 0 or column.null_count == 0):
        return Faults(len(column), *_NONE)
    index = pc.fill_null(coded.indices, len(values)).to_numpy(zero_copy_only=False)
    every = verdict[index]
    rows = np.flatnonzero(every)
    return Faults(len(column), rows, every[rows])


def _keys(column: pa.Array, parent: pa.Array) -> Faults:
    """MA_LK of the rows against that of their claim: another one, or none."""
    same = flags(pc.equal(column, parent)) & ~blanks(column)
    rows = np.flatnonzero(~same)
    return Faults(len(column), rows, np.full(len(rows), KEY, np.uint8))


def _versions(decision: pa.Array, ends: pa.Array) -> Faults:
    """Claims whose layout is not the one for the day of NGAY_RA; a day that cannot be read is passed over."""
    days = days_of(ends)
    wrong = days != 0
    for name, known in dictionary.decisions().items():
        start, end = (
            as_number(known.visits_from or datetime.date.min),
            as_number(known.visits_to or datetime.date.max),
        )
        wrong &= ~(flags(pc.equal(decision, name)) & (days >= start) & (days <= end))
    rows = np.flatnonzero(wrong)
    return Faults(int((days != 0).sum()), rows, np.full(len(rows), VERSION, np.uint8))


def _newborns(births: pa.Array, arrivals: pa.Array) -> Positions:
    """Rows of children of at most 28 days on arrival whose time of birth is not given to the minute.

    Without month and day a child counts as that young only if it must be: arrived by the 29th of January of the year
    it was born in.
    """
    known = are_dates(births, "birth") & are_dates(arrivals, "datetime12")
    rough = known & matches(births, "0000$|^[0-9]{4}0000")
    at = np.flatnonzero(rough)
    if not len(at):
        return np.empty(0, np.int64)
    birth, arrival = births.take(pa.array(at)), arrivals.take(pa.array(at))
    month, day = digits(birth, 4, 6), digits(birth, 6, 8)
    born = _day_numbers(digits(birth, 0, 4), np.maximum(month, 1), np.maximum(day, 1))
    came = _day_numbers(digits(arrival, 0, 4), digits(arrival, 4, 6), digits(arrival, 6, 8))
    age = came - born
    return np.asarray(at[(age >= 0) & (age <= NEWBORN_DAYS)], np.int64)


def _day_numbers(year: Positions, month: Positions, day: Positions) -> Positions:
    months = (year - 1970) * 12 + month - 1
    start = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return np.asarray(start + day - 1, np.int64)


def _where_demanded(faults: Faults, condition: Condition, columns: Callable[[str], pa.Array]) -> Faults:
    """The same faults without the blank values that may be: nobody looks at a condition where nothing is blank."""
    blank = faults.kinds == MISSING
    rows = faults.rows[blank]
    if not len(rows) or not condition.alternatives:
        return faults
    at = pa.array(rows)
    keep = np.ones(len(faults.rows), np.bool_)
    keep[blank] = condition.holds(lambda name: columns(name).take(at), len(rows))
    return Faults(faults.evaluated, faults.rows[keep], faults.kinds[keep])


def check_table(
    columns: Mapping[str, pa.Array | pa.ChunkedArray], expected: Sequence[Expectation]
) -> dict[str, Faults]:
    """The faults of the rows of one claim table.

    columns: element name -> text values, all of one length; PARENT_KEY beside them for tables other than XML1, and
    DECISION for CLAIMS. An element that is not among them is taken as blank in every row. Returns field name ->
    faults, for each expectation.
    """
    length = len(next(iter(columns.values()))) if columns else 0
    found: dict[str, Faults] = {}

    def column_of(name: str) -> pa.Array:
        given = columns.get(name)
        return pa.nulls(length, pa.large_string()) if given is None else _one_array(given)

    for expectation in expected:
        column = column_of(expectation.field)
        if expectation.key:
            faults = _keys(column, _one_array(columns[PARENT_KEY]))
        elif expectation.form == "version":
            faults = _versions(_one_array(columns[DECISION]), column)
        elif expectation.form == "text" and expectation.codes is None:
            faults = _only_length(column, expectation)
        else:
            faults = _by_distinct_value(column, expectation)
        if expectation.form == "birth" and expectation.table == "XML1" and "NGAY_VAO" in columns:
            late = _newborns(column, _one_array(columns["NGAY_VAO"]))
            rows = np.concatenate([faults.rows, late])
            kinds = np.concatenate([faults.kinds, np.full(len(late), NEWBORN, np.uint8)])
            order = np.argsort(rows, kind="stable")
            faults = Faults(faults.evaluated, rows[order], kinds[order])
        if expectation.blank_when is not None:
            faults = _where_demanded(faults, expectation.blank_when, column_of)
        found[expectation.field] = faults
    return found
