"""The index pages: months, facilities of a month, deliveries of a facility in a month."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from claim_pipeline.data_docs import words
from claim_pipeline.data_docs.entries import Entry

PER_PAGE = 200
"""Deliveries on one page of a facility and month."""
FACILITIES_PER_PAGE = 500
"""Facilities on one page of a month: the whole country sends some 13,000."""

Sums = dict[str, Any]
"""deliveries, failed (deliveries with an expectation not met), claims (checked), expectations, failing, unexpected,
last (time of receipt); of a month also facilities."""

_COUNTS = ("deliveries", "failed", "claims", "expectations", "failing", "unexpected")


def sums_of(entries: Sequence[Entry]) -> Sums:
    """What the entries of a facility and month come to."""
    return {
        "deliveries": len(entries),
        "failed": sum(one.failing > 0 for one in entries),
        "claims": sum(one.checked for one in entries),
        "expectations": sum(one.expectations for one in entries),
        "failing": sum(one.failing for one in entries),
        "unexpected": sum(one.unexpected for one in entries),
        "last": max(one.received_at for one in entries),
    }


def together(facilities: Mapping[str, Sums]) -> Sums:
    """What the facilities of a month come to."""
    sums: Sums = {name: sum(one[name] for one in facilities.values()) for name in _COUNTS}
    return sums | {"last": max(one["last"] for one in facilities.values()), "facilities": len(facilities)}


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    words.prepare(made)
    return made


def top(months: Mapping[str, Sums], keep: int) -> str:
    """The first page. keep: months that are kept; 0: all."""
    shown = sorted(months.items(), reverse=True)
    return _environment().get_template("top.html").render(months=shown, keep=keep, up="")


def month(name: str, facilities: Mapping[str, Sums]) -> Iterator[tuple[str, str]]:
    """(file, page) of the pages of a month, facilities by their code; the first, the index, comes last."""
    by_code = sorted(facilities.items())
    parts = [by_code[at : at + FACILITIES_PER_PAGE] for at in range(0, len(by_code), FACILITIES_PER_PAGE)]
    files = [month_page(number) for number in range(1, len(parts) + 1)]
    spans = [(file, part[0][0], part[-1][0]) for file, part in zip(files, parts, strict=True)]
    template = _environment().get_template("month.html")
    for file, part in reversed([*zip(files, parts, strict=True)]):
        yield file, template.render(name=name, facilities=part, all=len(by_code), pages=spans, here=file, up="../")


def month_page(number: int) -> str:
    """File of a page of a month, counted from 1."""
    return "index.html" if number == 1 else f"page-{number}.html"


def pages_of(entries: Sequence[Entry]) -> int:
    """How many pages so many entries take."""
    return -(-len(entries) // PER_PAGE)


def page_name(number: int, pages: int) -> str:
    """File of a page, counted from 1: the newest is the index."""
    return "index.html" if number == pages else f"page-{number}.html"


def facility(name: str, code: str, entries: Sequence[Entry], numbers: Iterable[int]) -> Iterable[tuple[str, str]]:
    """(file, page) of these pages of a facility and month. Entries stand in the order in which they came and fill page
    after page, so that a full page stays as it is however many follow."""
    pages = pages_of(entries)
    template = _environment().get_template("facility.html")
    for number in numbers:
        newest = number == pages
        earlier = range(number - 1, 0, -1) if newest else ()
        yield (
            page_name(number, pages),
            template.render(
                name=name,
                facility=code,
                entries=[*reversed(_on_page(entries, number))],
                number=number,
                newest=newest,
                older=page_name(number - 1, pages) if number > 1 else None,
                newer=page_name(number + 1, pages) if not newest else None,
                pages=[_span(entries, one) for one in earlier],
                up="../../",
            ),
        )


def _on_page(entries: Sequence[Entry], number: int) -> Sequence[Entry]:
    return entries[(number - 1) * PER_PAGE : number * PER_PAGE]


def _span(entries: Sequence[Entry], number: int) -> dict[str, Any]:
    received = [one.received_at for one in _on_page(entries, number)]
    return {"number": number, "first": min(received), "last": max(received)}
