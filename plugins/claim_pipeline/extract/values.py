"""Cells of a record system as the official fields write them: days, times, numbers, and its own words for codes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from claim_pipeline.extract.columns import TEXT
from claim_pipeline.extract.profile import fold
from claim_rules.dictionary import Field

USUAL_DATES = ("dd/mm/yyyy", "dd/mm/yyyy HH:MM", "dd/mm/yyyy HH:MM:SS")
"""How people in Viet Nam write days and times."""

_TOKENS = {
    "yyyy": "(?P<y>[0-9]{4})",
    "dd": "(?P<d>[0-9]{1,2})",
    "mm": "(?P<m>[0-9]{1,2})",
    "HH": "(?P<h>[0-9]{1,2})",
    "MM": "(?P<n>[0-9]{2})",
    "SS": "[0-9]{2}(?:[.,][0-9]+)?",
    " ": "[ T\\x{a0}]+",
}
_OFFICIAL_DATE = "^(?:[0-9]{8}|[0-9]{12})$"
_NUMBER_KINDS = ("integer", "decimal")
_SPACES = "[ \\x{a0}\\x{202f}]"
_COMMA_NUMBER = f"^-?(?:[0-9]{{1,3}}(?:[.][0-9]{{3}})+|[0-9]{{1,3}}(?:{_SPACES}[0-9]{{3}})+|[0-9]+)(?:,[0-9]+)?$"
_POINT_NUMBER = f"^-?(?:[0-9]{{1,3}}(?:[,][0-9]{{3}})+|[0-9]{{1,3}}(?:{_SPACES}[0-9]{{3}})+|[0-9]+)(?:[.][0-9]+)?$"
_COMMA_PROVEN = "^-?(?:[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})|0,[0-9]+|[0-9]{1,3}(?:[.][0-9]{3})+,[0-9]+)$"


def is_date(field: Field) -> bool:
    """Whether a field (or each item of its list) is a day or a time."""
    return (field.item_type or field.type).startswith("date")


def is_number(field: Field) -> bool:
    """Whether a field (or each item of its list) is a number."""
    return (field.item_type or field.type) in _NUMBER_KINDS


def dates(column: pa.Array, field: Field, written: Sequence[str] | None) -> pa.Array:
    """Days and times as yyyyMMdd or yyyyMMddHHmm; what is written in none of the ways given stays as it is.

    written: as `Profile.dates`. "yyyy" alone is taken for birth only. A list is turned item by item.
    """
    if written is None:
        column_dates = _dates(column, field, USUAL_DATES)
        turned = pc.sum(pc.not_equal(column_dates, column)).as_py() or 0
        official = pc.sum(pc.match_substring_regex(column, _OFFICIAL_DATE)).as_py() or 0
        # one cell that is written otherwise than its column is a mistake, which the hospital is told
        return column_dates if turned > official else column
    return _dates(column, field, [way for way in written if way != "yyyy" or field.name == "NGAY_SINH"])


def _dates(column: pa.Array, field: Field, written: Sequence[str]) -> pa.Array:
    if field.is_list and pc.any(pc.match_substring(column, ";")).as_py():
        texts = column.to_pylist()
        items = _dates(pa.array([item.strip() for text in texts for item in text.split(";")], TEXT), field, written)
        rest = iter(items.to_pylist())
        return pa.array([";".join(next(rest) for _ in text.split(";")) for text in texts], TEXT)
    found = column
    trimmed = pc.utf8_trim_whitespace(column)
    for way in written:
        pattern, has_time, has_day = _pattern(way)
        parts = pc.extract_regex(trimmed, pattern)
        valid = pc.is_valid(parts)
        if not pc.any(valid).as_py():
            continue
        day = [_part(parts, name, has_day) for name in "md"]
        time = _time(parts, has_time, field)
        text = pc.binary_join_element_wise(pc.struct_field(parts, "y"), *day, *time, _joint())
        found = pc.if_else(valid, pc.cast(text, TEXT), found)
    return found


def _part(parts: pa.Array, name: str, there: bool) -> pa.Array:
    return pc.utf8_lpad(pc.struct_field(parts, name), 2, "0") if there else pa.scalar("00", TEXT)


def _time(parts: pa.Array, there: bool, field: Field) -> list[pa.Array]:
    kind = field.item_type or field.type
    if kind == "date8" or (not there and kind != "datetime12"):
        return []
    return [_part(parts, name, there) for name in "hn"]


def _joint() -> pa.Scalar:
    return pa.scalar("", TEXT)


@cache
def _pattern(way: str) -> tuple[str, bool, bool]:
    """Regular expression of a way to write, whether it has a time, whether it has month and day."""
    pieces = re.findall("yyyy|dd|mm|HH|MM|SS|.", way)
    return (
        "^" + "".join(_TOKENS.get(piece, re.escape(piece)) for piece in pieces) + "$",
        "HH" in pieces and "MM" in pieces,
        "dd" in pieces and "mm" in pieces,
    )


def proves_comma(columns: Iterable[pa.Array]) -> bool:
    """Whether these columns of numbers can only be read with a decimal comma: a cell proves it and none speaks
    against it."""
    proven = False
    for column in columns:
        trimmed = pc.utf8_trim_whitespace(column)
        comma = pc.match_substring_regex(trimmed, _COMMA_NUMBER)
        against = pc.and_not(pc.match_substring_regex(trimmed, _POINT_NUMBER), comma)
        if pc.any(against, min_count=0).as_py():
            return False
        proven = proven or bool(pc.any(pc.match_substring_regex(trimmed, _COMMA_PROVEN), min_count=0).as_py())
    return proven


def numbers(column: pa.Array, decimal: str) -> pa.Array:
    """Numbers with a point and without thousands separators; what is no number in this style stays as it is."""
    trimmed = pc.utf8_trim_whitespace(column)
    fits = pc.match_substring_regex(trimmed, _COMMA_NUMBER if decimal == "," else _POINT_NUMBER)
    text = pc.replace_substring_regex(trimmed, f"{_SPACES}|[{'.' if decimal == ',' else ','}]", "")
    if decimal == ",":
        text = pc.replace_substring(text, ",", ".")
    return pc.if_else(fits, text, column)


def translated(column: pa.Array, words: Mapping[str, str]) -> pa.Array:
    """Values of a table (by their folded form) as what they become; all others as they are."""
    encoded = column.dictionary_encode()
    values = [words.get(fold(text), text) if text.strip() else text for text in encoded.dictionary.to_pylist()]
    return pa.array(values, TEXT).take(encoded.indices)


def filled(column: pa.Array, value: str) -> pa.Array:
    """The column with a value in place of its blank cells."""
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), pa.scalar(value, TEXT), column)


def joined(columns: list[pa.Array]) -> pa.Array:
    """Cells of several columns with a space between; blank ones leave nothing."""
    return pc.utf8_trim_whitespace(pc.binary_join_element_wise(*columns, pa.scalar(" ", TEXT)))
