"""Suites of expectations as files that one can read and compare: one per table and decision, from the dictionary."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from typing import Any

import yaml

from claim_rules import dictionary
from claim_rules.expectations.batches import CLAIMS
from claim_rules.expectations.fields import (
    KINDS,
    VERSION_EXPECTATION,
    Expectation,
    Layout,
    digest,
    expectations,
    undecided,
)
from claim_rules.expectations.relations import ONE_CLAIM, Relation, relations

_HEAD = "# Made from the dictionary by `make suites`; do not edit. Days are those of NGAY_RA.\n"


def names() -> Iterator[tuple[str, str]]:
    """(decision, table) of every suite."""
    for decision in dictionary.DECISIONS:
        for table in dictionary.tables(decision):
            yield decision, table


def _by_period(decision: str, table: str) -> Iterator[tuple[str | None, str | None, Expectation]]:
    """(first day, last day, expectation) of each field; what changed on some day stands once for each time."""
    dates = dictionary.change_dates()
    periods = range(len(dates) + 1)
    every = [expectations(table, Layout(decision, period)) for period in periods]
    for at in range(len(every[0])):
        for _, same in groupby(periods, key=lambda period, at=at: every[period][at]):  # type: ignore[misc]
            run = list(same)
            first = f"{dates[run[0] - 1]:%Y%m%d}" if run[0] else None
            last = f"{dates[run[-1]] - datetime.timedelta(days=1):%Y%m%d}" if run[-1] < len(dates) else None
            yield first, last, every[run[0]][at]


def _field(first: str | None, last: str | None, one: Expectation) -> dict[str, Any]:
    said: dict[str, Any] = {"field": one.field}
    if first:
        said["from"] = first
    if last:
        said["until"] = last
    said |= {"vi": one.text_vi, "en": one.text_en}
    if one.blank_rule:
        said["blank"] = one.blank_rule
    if one.blank_when is not None and one.blank_when.alternatives:
        said["required_where"] = one.blank_when.text
    if one.form != "text":
        said["form"] = one.form
    if one.form in ("number", "integer") and one.codes is None and one.decimals is not None:
        said["decimals"] = one.decimals
    if one.form_rule:
        said["wrong_form"] = one.form_rule
    if one.is_list:
        said["list"] = True
    if one.max_length:
        said["max_length"] = one.max_length
    if one.codes is not None:
        said["codes"] = " ".join(one.codes)
    if one.range_rule:
        said["range"] = {"from": 0, "to": one.highest, "rule": one.range_rule}
    for named in one.named:
        where = {"where": named.when.text} if named.when.alternatives else {}
        said.setdefault("named", []).append({"fault": KINDS[named.kind], "rule": named.rule, **where})
    return said


def _relation(relation: Relation) -> dict[str, Any]:
    vi, en = relation.words()
    said: dict[str, Any] = {"name": relation.name, "vi": f"{relation.field} {vi}", "en": f"{relation.field} {en}"}
    if relation.when.alternatives:
        said["where"] = relation.when.text
    if relation.rule:
        said["rule"] = relation.rule
    return said | {"source": relation.source}


def _content(decision: str, table: str) -> dict[str, Any]:
    return {
        "fields": [_field(*one) for one in _by_period(decision, table)],
        "relations": [_relation(one) for one in relations(table, decision)],
        "not_decided": [
            {"field": one.field, "vi": one.reason_vi, "en": one.reason_en}
            for one in undecided()
            if one.table == table and decision in one.decisions
        ],
    }


def _claims_content() -> dict[str, Any]:
    return {"fields": [_field(None, None, VERSION_EXPECTATION)], "relations": [_relation(ONE_CLAIM)]}


@cache
def suite_version(table: str, decision: str | None) -> str:
    """Version of a suite, a name for exactly its content (12 hexadecimal digits). decision: None for CLAIMS."""
    return digest((repr(_claims_content() if decision is None else _content(decision, table)),))


def file_name(table: str, decision: str | None) -> str:
    """Name of a suite's file below the folder of suites."""
    return f"{table}.yaml" if decision is None else f"{decision}/{table}.yaml"


def texts() -> Iterator[tuple[str, str]]:
    """(name of the file, its content) of every suite."""
    for decision, table in ((None, CLAIMS), *names()):
        head: dict[str, Any] = {"table": table}
        if decision is not None:
            head["decision"] = decision
        content = _claims_content() if decision is None else _content(decision, table)
        body = {**head, "version": suite_version(table, decision), **content}
        text = yaml.safe_dump(body, allow_unicode=True, sort_keys=False, width=10_000)
        yield file_name(table, decision), _HEAD + text


@cache
def version() -> str:
    """Version of all suites together (12 hexadecimal digits)."""
    return digest(tuple(suite_version(table, decision) for decision, table in ((None, CLAIMS), *names())))


def counts() -> Iterator[dict[str, Any]]:
    """How many expectations each suite has: table, decision, total, fields (with a required one, with one required in
    some case, with a code list, with a form), relations (against XML1 or another table), not decided, version."""
    for decision, table in names():
        newest = expectations(table, Layout(decision, len(dictionary.change_dates())))
        related = relations(table, decision)
        yield {
            "table": table,
            "decision": decision,
            "total": len(newest) + len(related),
            "fields": len(newest),
            "required": sum(one.blank_rule is not None and one.blank_when is None for one in newest),
            "conditional": sum(one.blank_when is not None for one in newest),
            "lists": sum(one.codes is not None for one in newest),
            "forms": sum(one.form != "text" and one.codes is None for one in newest),
            "row": sum(not _outside(one.kind, one.other) for one in related),
            "cross": sum(_outside(one.kind, one.other) for one in related),
            "undecided": sum(one.table == table and decision in one.decisions for one in undecided()),
            "version": suite_version(table, decision),
        }


_COLUMNS = {
    "table": ("bảng", "table"),
    "decision": ("QĐ", "decision"),
    "total": ("kỳ vọng", "total"),
    "fields": ("trường", "fields"),
    "required": ("bắt buộc", "required"),
    "conditional": ("có điều kiện", "conditional"),
    "lists": ("danh mục", "code lists"),
    "forms": ("dạng", "forms"),
    "row": ("trong dòng", "in a row"),
    "cross": ("giữa bảng", "across"),
    "undecided": ("không xét", "undecided"),
    "version": ("phiên bản", "version"),
}


def counts_text() -> str:
    """The counts as a table for a terminal, and their sum."""
    rows = [{name: str(value) for name, value in row.items()} for row in counts()]
    total = sum(int(row["total"]) for row in rows)
    lines = [[title[at] for title in _COLUMNS.values()] for at in (0, 1)] + [[row[n] for n in _COLUMNS] for row in rows]
    width = [max(len(line[at]) for line in lines) for at in range(len(_COLUMNS))]
    head = f"Các kỳ vọng · expectations {version()}: {total} ({len(rows)} bộ · suites)"
    laid_out = ("  ".join(cell.rjust(size) for cell, size in zip(line, width, strict=True)) for line in lines)
    said = ["", "Ví dụ, như trang Data Docs nói · for example, as Data Docs say it:", *_examples()]
    return "\n".join([head, "", *laid_out, *said])


def _examples() -> Iterator[str]:
    """Three expectations of Decision 3176 in both languages: of a field, of two tables, of a paper."""
    newest = Layout("3176", len(dictionary.change_dates()))
    for table, name in (
        ("XML2", "SO_LUONG"),
        ("XML4", "MA_DICH_VU has-parent XML3.MA_DICH_VU"),
        ("XML1", "MA_LOAI_RV present XML13"),
    ):
        texts = {one.field: (one.field, one.text_vi, one.text_en) for one in expectations(table, newest)}
        texts |= {one.name: (one.field, *one.words()) for one in relations(table, "3176")}
        field, vi, en = texts[name]
        yield f"  {table}.{field}: {vi}\n  {' ' * len(f'{table}.{field}')}  {en}"


def _outside(kind: str, other: str) -> bool:
    return "." in other or kind in ("present", "filled-with")
