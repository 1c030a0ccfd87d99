"""The rows of one sheet as rows of claim tables: its columns by their headers, its cells as the official fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract import codes, legacy_text, values
from claim_pipeline.extract.columns import LAYOUTS, TEXT, text_column
from claim_pipeline.extract.profile import AUTO, CARDS, Part, Profile, fold
from claim_pipeline.extract.sheet import Sheet
from claim_rules import dictionary

NUMBER, LOCAL = "number", "local"
"""What is to be found out about a code: which one a spreadsheet made a number of; which one the facility's own is."""

_MOST_KINDS, _LONGEST_KIND = 5, 30
_NOT_IN_XML = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x{fffe}\\x{ffff}]"  # characters that no XML document can hold


@dataclass
class Rows:
    """Rows of one claim table (or of cards): all elements as text, null where there is no column. open_codes: (element,
    NUMBER or LOCAL) -> whether each row's code is still to be found out. repaired: codes put right, by element."""

    part: Part
    table: pa.Table
    open_codes: dict[tuple[str, str], pa.Array] = field(default_factory=dict)
    repaired: dict[str, int] = field(default_factory=dict)


class LackingColumns(Quarantined):
    """A sheet lacks columns without which nothing can be made of it, or several columns are the same."""


@dataclass
class SheetRows:
    """All parts of a sheet, how many rows it has, and how many of these no part takes, with the first kinds of them."""

    parts: list[Rows]
    count: int
    strays: int
    kinds: list[str]


def rows_of(profile: Profile, name: str, sheet: Sheet) -> SheetRows:
    """The rows of a sheet. Raises LackingColumns."""
    known = profile.sheets[name]
    mapped = [part.map(sheet.headers) for part in known.parts]
    lacking = known.missing(sheet.headers)
    twice = [element for one in mapped for element in one.twice]
    if lacking or twice:
        raise _lacking(name, lacking, twice)
    used: dict[str, dictionary.Field] = {}
    for part, one in zip(known.parts, mapped, strict=True):
        for element, places in one.places.items():
            for place in places:
                used.setdefault(sheet.headers[place], field_of(part.table, element))
    read = sheet.read(used.get)
    needed = {fold(header) for header in used} | {fold(part.where[0]) for part in known.parts if part.where}
    prior = sheet.scheme if sheet.wholly_in_scheme else None
    columns = {at: _clean(read[str(at)], prior) for at, header in enumerate(sheet.headers) if fold(header) in needed}
    style = profile.decimal
    if style == AUTO:
        numeric = [columns[at] for at, header in enumerate(sheet.headers) if header in used and _number(used[header])]
        style = "," if sheet.decimal_comma and values.proves_comma(numeric) else AUTO
    blank = np.ones(read.num_rows, bool)
    for column in columns.values():
        blank &= pc.equal(pc.utf8_trim_whitespace(column), "").to_numpy(zero_copy_only=False)
    parts = []
    stray = ~blank & any(part.where is not None for part in known.parts)
    for part, one in zip(known.parts, mapped, strict=True):
        keep = ~blank & _where(part, sheet.headers, columns)
        if part.where is not None:
            stray &= ~keep
        parts.append(_part(part, one.places, columns, sheet.numbers, keep, style, profile.dates))
    return SheetRows(parts, int((~blank).sum()), int(stray.sum()), _kinds(known.parts, sheet.headers, columns, stray))


def _kinds(parts: tuple[Part, ...], headers: list[str], columns: dict[int, pa.Array], stray: Any) -> list[str]:
    """What the rows that no part takes have in the column that says what a row is."""
    if not stray.any():
        return []
    names = {fold(part.where[0]) for part in parts if part.where}
    at = next((at for at, header in enumerate(headers) if fold(header) in names and at in columns), None)
    found = [] if at is None else pc.unique(columns[at].filter(pa.array(stray))).to_pylist()
    return [text[:_LONGEST_KIND] for text in found[:_MOST_KINDS]]


def field_of(table: str, element: str) -> dictionary.Field:
    """The element's field in the newest decision that has it."""
    table = "XML1" if table == CARDS else table
    decision = next(d for d in LAYOUTS if table in dictionary.tables(d) and dictionary.table(table, d).has(element))
    return dictionary.table(table, decision).field(element)


def _number(wanted: dictionary.Field) -> bool:
    return values.is_number(wanted) and not wanted.is_list


def _clean(column: pa.ChunkedArray, prior: str | None) -> pa.Array:
    """Text in Unicode that XML can carry, in normal form C."""
    converted, _ = legacy_text.to_unicode(column.combine_chunks(), prior)
    return text_column(pc.replace_substring_regex(converted, _NOT_IN_XML, ""))


def _where(part: Part, headers: list[str], columns: dict[int, pa.Array]) -> Any:
    if part.where is None:
        return True
    header, wanted = part.where
    at = next((at for at, name in enumerate(headers) if fold(name) == fold(header) and at in columns), None)
    if at is None:
        return False
    encoded = columns[at].dictionary_encode()
    fits = np.array([fold(text) in wanted for text in encoded.dictionary.to_pylist()], bool)
    return fits[encoded.indices.to_numpy(zero_copy_only=False)] if len(fits) else False


def _part(
    part: Part,
    places: dict[str, tuple[int, ...]],
    columns: dict[int, pa.Array],
    numbers: dict[int, pa.Array],
    keep: Any,
    style: str,
    written: tuple[str, ...] | None,
) -> Rows:
    wanted = None if keep.all() else pa.array(keep)
    count = int(keep.sum())

    def kept(column: pa.Array) -> pa.Array:
        return column if wanted is None else column.filter(wanted)

    found: dict[str, pa.Array] = {}
    masks: dict[str, pa.Array] = {}
    for element, at in places.items():
        wanted_field = field_of(part.table, element)
        column = kept(columns[at[0]]) if len(at) == 1 else values.joined([kept(columns[place]) for place in at])
        if element in part.values:
            column = values.translated(column, part.values[element])
        if values.is_date(wanted_field):
            column = values.dates(column, wanted_field, written)
        elif _number(wanted_field) and style != AUTO:
            column = values.numbers(column, style)
        found[element] = column
        if len(at) == 1 and at[0] in numbers and element not in part.codes:
            masks[element] = kept(numbers[at[0]])
    for element, value in part.constants.items():
        found[element] = pa.repeat(pa.scalar(value, TEXT), count)
    for element, value in part.defaults.items():
        column = found.get(element)
        found[element] = pa.repeat(pa.scalar(value, TEXT), count) if column is None else values.filled(column, value)
    rows = Rows(part, pa.table({}))
    for element, mask in masks.items():
        if pc.any(mask, min_count=0).as_py():
            found[element] = _codes(rows, element, found, mask)
    for element in part.codes:
        if element in found:
            rows.open_codes[element, LOCAL] = pc.not_equal(pc.utf8_trim_whitespace(found[element]), "")
    absent = pa.nulls(count, TEXT)
    rows.table = pa.table({element: found.get(element, absent) for element in part.elements})
    return rows


def _codes(rows: Rows, element: str, found: dict[str, pa.Array], mask: pa.Array) -> pa.Array:
    """The column with codes that came as numbers put right where the dictionary proves them."""
    column = found[element]
    table = "XML1" if rows.part.table == CARDS else rows.part.table
    known = field_of(table, element)
    if (table, element) in codes.IN_REFERENCE:
        rows.open_codes[element, NUMBER] = mask
    if not codes.is_proven_by_itself(known):
        return column
    came = pd.Series(column.filter(mask).to_pylist(), dtype="str")
    days = found["NGAY_RA"].filter(mask).to_pylist() if "NGAY_RA" in found else [""] * len(came)
    right = codes.repaired(came, pd.Series(days, dtype="str").str[:8], known)
    rows.repaired[element] = int((right.notna() & (right != came)).sum())
    unproven = right.isna() & (came != "")
    if unproven.any():
        at = np.flatnonzero(mask.to_numpy(zero_copy_only=False))[unproven.to_numpy()]
        still = np.zeros(len(column), bool)
        still[at] = True
        rows.open_codes[element, NUMBER] = pa.array(still)
    return pc.replace_with_mask(column, mask, pa.array(right.where(right.notna(), came), TEXT))


def _lacking(name: str, lacking: dict[str, str | None], twice: list[str]) -> LackingColumns:
    vi, en = [], []
    for element, near in lacking.items():
        vi.append(f"thiếu cột {element}" + (f" (có phải cột “{near}”?)" if near else ""))
        en.append(f"column {element} is missing" + (f" (is it “{near}”?)" if near else ""))
    if twice:
        vi.append(f"nhiều cột cùng là {', '.join(twice)}")
        en.append(f"several columns are {', '.join(twice)}")
    return LackingColumns(
        "not-a-delivery",
        f"Bảng {name}: {'; '.join(vi)}",
        f"sheet {name}: {'; '.join(en)}",
        "Sửa cột rồi gửi lại",
        "correct the columns and send it again",
    )
