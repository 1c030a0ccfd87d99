"""The short way through table documents of the usual plain form: one pattern per row, libxml2 as the judge of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from lxml import etree

from claim_rules import dictionary

Row = tuple[tuple[str, ...], Sequence[str | None]]
"""Elements of a row, and their texts (None or "": empty)."""

_FIELD = re.compile("<([A-Za-z_][A-Za-z0-9_.-]{0,99})>[^<]*</")
_MOST_FIELDS = 200  # a row with more elements is none of ours


class _Nothing:
    """Takes no event of the parser: only whether it raises is of interest."""

    def close(self) -> None:
        return None


class PlainRows:
    """Reads documents of one claim table that hold nothing but elements and their texts: no attribute, comment, CDATA,
    reference, `<X/>`, nor white space between elements, and rows that all have the same elements. It takes a document
    only if libxml2 finds it well-formed; whatever else there is it leaves to the ordinary reader by returning None."""

    def __init__(self, table: dictionary.Table, options: dict[str, Any]) -> None:
        judge: Any = _Nothing()
        self._parser = etree.XMLParser(target=judge, encoding="utf-8", huge_tree=True, **options)
        # a table without rows is read as a single row between the tags of its root
        row = table.row_element or table.root
        self._opening, self._closing = f"<{row}>", f"</{row}>"
        around: list[tuple[str, ...]] = [()]
        if table.list_element:  # the list may also be the root, as in Decision 4210
            around = [(table.root, table.list_element), (table.list_element,)]
        self._around = [
            ("".join(f"<{name}>" for name in names), "".join(f"</{name}>" for name in reversed(names)), 2 * len(names))
            for names in around
        ]
        self._names: tuple[str, ...] = ()  # elements of the row before: nearly always those of the next one

    def read(self, document: bytes) -> list[Row] | None:
        """The rows of a document in UTF-8, or None where it is not plain."""
        if b"&" in document or b"\r" in document:
            return None
        try:
            text = document.decode()
        except UnicodeDecodeError:
            return None
        for head, tail, tags in self._around:
            if text.startswith(head + self._opening) and text.endswith(self._closing + tail):
                texts = self._texts(text, len(head), text.count("<") - tags)
                return [(self._names, row) for row in texts] if texts and self._well_formed(document) else None
        return None

    def _texts(self, text: str, start: int, tags: int) -> list[tuple[str, ...]] | None:
        """The texts of each row, if rows of the same elements, with so many tags in all, are all that there is."""
        names = self._names
        for _ in range(2):
            if names:
                found = _row_pattern(self._opening, names, self._closing).findall(text, start)
                # every tag belongs to a row that was found, and nothing stands between two rows
                if (
                    len(found) * 2 * (len(names) + 1) == tags
                    and text.count(self._closing + self._opening) == len(found) - 1
                ):
                    self._names = names
                    return found
            end = text.find(self._closing, start)
            names = tuple(_FIELD.findall(text, start + len(self._opening), end))
            if not 2 <= len(names) <= _MOST_FIELDS or len(set(names)) != len(names):
                return None
        return None

    def _well_formed(self, document: bytes) -> bool:
        try:
            etree.fromstring(document, self._parser)
        except etree.XMLSyntaxError:
            return False
        return True


@lru_cache(maxsize=256)  # rows of a delivery have few layouts
def _row_pattern(opening: str, names: tuple[str, ...], closing: str) -> re.Pattern[str]:
    fields = "".join(f"<{name}>([^<]*)</{name}>" for name in map(re.escape, names))
    return re.compile(f"{opening}{fields}{closing}")
