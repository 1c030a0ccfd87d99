"""The report as one page: no request to anywhere, readable on screen and on A4."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from claim_pipeline.respond import view, words

ROWS = 20_000
ROWS_PER_GROUP = 2_000
CLAIMS = 2_000
"""What a browser shows without pain; the workbook holds everything."""
OPEN_ROWS = 30
"""A page with more findings than that starts with its groups folded."""


def render(report: dict[str, Any]) -> str:
    """The page as HTML text."""
    received = report["delivery"].get("received_at")
    skipped: dict[str, list[str]] = {}
    for entry in report["skipped_rules"]:
        skipped.setdefault(entry["needs"], []).append(entry["rule"])
    groups = view.groups(report)
    reason = report["delivery"].get("reason") or {}
    return template("report.html.j2").render(
        report=report,
        delivery=report["delivery"],
        again=report.get("appraisal"),
        totals=report["totals"],
        reason=reason,
        fix=words.how_to_fix(reason.get("code") or ""),
        quarantined=report["delivery"]["status"] == "quarantined",
        received=datetime.fromisoformat(received) if received else None,
        groups=groups,
        findings=sum(len(group.rows) for group in groups),
        paperless=view.paperless(report),
        undecided=view.undecided(report),
        skipped=skipped,
        choices=view.choices(report),
        rows_per_group=min(ROWS_PER_GROUP, max(ROWS // max(len(groups), 1), 50)),
        claims_shown=CLAIMS,
        open_rows=OPEN_ROWS,
        words=words,
        place=view.place,
        expected=view.expected,
    )


@cache
def template(name: str) -> Template:
    """One of the page templates, with the filters they share."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals["known"] = words.known
    environment.filters["both"] = _both
    environment.filters["money"] = _money
    return environment.get_template(name)


def _both(value: words.Words) -> Markup:
    """Words in both languages, of which the page shows one; equal words once."""
    if value.vi == value.en:
        return escape(value.vi)
    return Markup('<span lang="vi">{}</span><span lang="en">{}</span>').format(value.vi, value.en)


def _money(value: Any) -> Markup:
    return Markup('<span class="n">{}</span>').format(words.money_vi(value))
