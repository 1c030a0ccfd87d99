"""What every reader of a sheet offers: its name, its headers, its rows as columns of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pyarrow as pa

from claim_pipeline.errors import Quarantined
from claim_rules.dictionary import Field

Typed = Callable[[str], Field | None]
"""From a header to the official field that it stands for, or None."""


class Sheet(Protocol):
    """One sheet. `stem`: its name without folder and ending, "" where it has none of its own; `headers`: as given, in
    order; `encoding`: of its text, for people. `numbers`: after reading, for columns by position whether each cell was
    a number and not text (only of columns where the difference counts). `decimal_comma`: it comes from a program that
    writes numbers with a comma. `wholly_in_scheme`: text that does not tell its encoding is in `scheme` too.
    """

    stem: str
    numbers: dict[int, pa.Array]
    scheme: str | None
    decimal_comma: bool

    @property
    def headers(self) -> list[str]: ...

    @property
    def encoding(self) -> str: ...

    @property
    def wholly_in_scheme(self) -> bool: ...

    def read(self, typed: Typed) -> pa.Table:
        """All rows, once: one text column per header, named by its position. A blank cell is ""."""


def bad_sheet(sheet: str, vi: str, en: str, next_vi: str, next_en: str) -> Quarantined:
    """What to say of a sheet that cannot be read."""
    named = sheet or "–"
    return Quarantined("unreadable-sheet", f"Bảng {named}: {vi}", f"sheet {named}: {en}", next_vi, next_en)


def check_headers(stem: str, headers: list[str]) -> None:
    """Raises Quarantined where a header is repeated."""
    named = [header.strip().upper() for header in headers if header.strip()]
    twice = sorted({header for header in named if named.count(header) > 1})
    if twice:
        raise bad_sheet(
            stem,
            f"cột lặp lại: {', '.join(twice)}",
            f"repeated columns: {', '.join(twice)}",
            "Giữ mỗi cột một lần rồi gửi lại",
            "keep each column once and send it again",
        )
