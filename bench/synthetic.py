"""Claim files made of simulated ones for measuring: with more lines per claim, in the mixed forms that hospital systems
write, and with the same claims many times over."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from claim_rules.frames import ClaimTables

_DOCUMENT = re.compile(rb"<LOAIHOSO>(XML\d+)</LOAIHOSO><NOIDUNGFILE>([^<]*)</NOIDUNGFILE>")
_EMPTY = re.compile(r"<([A-Z0-9_]+)></\1>")
_FIELD = re.compile(r"<([A-Z0-9_]+)>([^<]*)</\1>")
_ROW = re.compile(r"(<(?:TONG_HOP|CHI_TIET_[A-Z_]+)>)((?:<([A-Z0-9_]+)>[^<]*</\3>)+)")
_LINES = ("XML2", "XML3", "XML4")


def heavier(tables: ClaimTables, times: int) -> ClaimTables:
    """Each line of the claims' lists so many times, with line numbers of its own."""
    frames = dict(tables.tables)
    for name in _LINES:
        if name in frames:
            frame = frames[name]
            more = pd.concat([frame] * times).sort_values(["claim", "row"], kind="stable", ignore_index=True)
            more["row"] = more.groupby("claim").cumcount() + 1
            frames[name] = more.assign(STT=more["row"].astype("str"))
    return replace(tables, tables=frames)


def mixed(source: Path, out: Path) -> None:
    """The same claims, one document in ten in each of the unusual forms and two in ten without empty elements."""
    number = -1

    def changed(match: re.Match[bytes]) -> bytes:
        nonlocal number
        number += 1
        text = base64.b64decode(match[2]).decode()
        form = _FORMS.get(number * 7 % 10)
        if form is None:
            return match[0]
        content = form(text)
        if form is not _raw:
            content = base64.b64encode(content.encode()).decode()
        return b"<LOAIHOSO>%s</LOAIHOSO><NOIDUNGFILE>%s</NOIDUNGFILE>" % (match[1], content.encode())

    out.write_bytes(_DOCUMENT.sub(changed, source.read_bytes()))


def repeated(source: Path, times: int, out: Path) -> None:
    """The claims of a file so many times, each under a MA_LK of its own."""
    content = source.read_bytes()
    start, end = content.index(b"<HOSO>"), content.rindex(b"</HOSO>") + len(b"</HOSO>")
    head, claims, tail = content[:start], content[start:end], content[end:]
    count = claims.count(b"<HOSO>")
    declared = b"<SOLUONGHOSO>%d</SOLUONGHOSO>"
    documents = [(m[1], base64.b64decode(m[2]), m.span()) for m in _DOCUMENT.finditer(claims)]
    with out.open("wb") as stream:
        stream.write(head.replace(declared % count, declared % (count * times)))
        for turn in range(times):
            stream.writelines(_renamed(claims, documents, b"-%03d</MA_LK>" % turn))
        stream.write(tail)


def _renamed(claims: bytes, documents: list[tuple[bytes, bytes, tuple[int, int]]], ending: bytes) -> Iterator[bytes]:
    last = 0
    for name, document, (start, end) in documents:
        yield claims[last:start]
        inside = base64.b64encode(document.replace(b"</MA_LK>", ending))
        yield b"<LOAIHOSO>%s</LOAIHOSO><NOIDUNGFILE>%s</NOIDUNGFILE>" % (name, inside)
        last = end
    yield claims[last:]


def _cdata(text: str) -> str:
    return _FIELD.sub(lambda m: f"<{m[1]}><![CDATA[{m[2]}]]></{m[1]}>" if len(m[2]) > 20 else m[0], text)


def _self_closed(text: str) -> str:
    return _EMPTY.sub(r"<\1/>", text)


def _other_order(text: str) -> str:
    def turned(match: re.Match[str]) -> str:
        fields = [found[0] for found in _FIELD.finditer(match[2])]
        return match[1] + "".join([*fields[1:], fields[0]])

    return _ROW.sub(turned, text)


def _unknown(text: str) -> str:
    return _ROW.sub(lambda match: f"{match[0]}<RIENG>m&#7909;c</RIENG>", text)


def _pretty(text: str) -> str:
    return re.sub("><(?!/)", ">\r\n  <", text)


def _declared(text: str) -> str:
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}'


def _raw(text: str) -> str:
    return text


def _without_empty(text: str) -> str:
    return _EMPTY.sub("", text)


_FORMS: dict[int, Callable[[str], str]] = {
    1: _cdata,
    2: _self_closed,
    3: _other_order,
    4: _unknown,
    5: _pretty,
    6: _declared,
    7: _raw,
    8: _without_empty,
    9: _without_empty,
}
