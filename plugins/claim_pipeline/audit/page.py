"""The auditor's report as one page: no request to anywhere, readable on screen and on A4."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from markupsafe import Markup

from claim_pipeline import audit
from claim_pipeline.audit import picture
from claim_pipeline.respond import page, view, words
from claim_pipeline.statistics.judging import as_drift
from claim_pipeline.statistics.pictures import draw

DELIVERIES = 300
EXPECTATIONS = 300
CAUSES = 200
"""What a browser shows without pain; the workbook holds everything."""


def render(report: dict[str, Any], findings: Iterator[dict[str, Any]]) -> str:
    """The page as HTML text. findings: those to show, of each cause the first ones."""
    rows: dict[int, list[dict[str, Any]]] = {}
    for one in findings:
        rows.setdefault(one["cause"], []).append(one)
    month = report["scope"]["month"]
    total = report["totals"]["findings"]
    causes = [_cause(one, total) for one in report["causes"][:CAUSES]]
    # how many of the findings the commonest causes make up
    share = sum(one["findings"] for one in causes[: audit.COMMONEST]), total
    pictures = None
    if report["trend"]:
        pictures = tuple(Markup(picture.trend(report["trend"], month, vietnamese=vi)) for vi in (True, False))
    return page.template("audit.html.j2").render(
        report=report,
        scope=report["scope"],
        totals=report["totals"],
        made=datetime.fromisoformat(report["made_at"]),
        month=f"{month[4:]}/{month[:4]}" if month else None,
        causes=causes,
        commonest=audit.COMMONEST,
        weightiest=sorted(
            (one for one in causes if Decimal(one["amount"])), key=lambda one: (-Decimal(one["amount"]), one["number"])
        )[:3],
        share=share,
        rows=rows,
        pictures=pictures,
        warnings=[
            (one, *(Markup(draw(as_drift(one), month, vietnamese=vi)) for vi in (True, False)))
            for one in report["warnings"]
        ],
        checks=_checks(report),
        deliveries_shown=DELIVERIES,
        expectations_shown=EXPECTATIONS,
        causes_shown=CAUSES,
        others=[one for one in report["deliveries"] if one["validation"] and one["validation"]["month"] != month],
        untaken=[one for one in report["deliveries"] if one["status"] == "quarantined"],
        undone=[one for one in report["deliveries"] if one["appraisal"] is None and one["status"] != "quarantined"],
        words=words,
        place=view.place,
        known=words.known,
        kinds=KINDS,
        moves=MOVES,
        moment=moment,
        rate=rate,
        per=per,
        books=sorted({one["appraisal"]["rule_book"] for one in report["deliveries"] if one["appraisal"]} - {None}),
        reference=reference(report),
    )


KINDS = {
    "missing": words.Words("để trống", "empty"),
    "code": words.Words("ngoài danh mục", "not in the code list"),
    "syntax": words.Words("sai định dạng", "wrong form"),
    "decimals": words.Words("thừa số lẻ", "too many decimals"),
    "negative": words.Words("số âm", "negative"),
    "length": words.Words("quá dài", "too long"),
    "range": words.Words("ngoài khoảng", "out of range"),
    "newborn": words.Words("thiếu giờ sinh", "time of birth missing"),
    "key": words.Words("khác mã liên kết", "other claim key"),
    "version": words.Words("sai phiên bản", "wrong layout"),
    "relation": words.Words("không phù hợp", "does not fit"),
}
"""What a kind of fault is called (gx_expectations.KIND_NAMES, which only the step `validate` may load)."""


MOVES = {
    "received": words.Words("đã nhận", "received"),
    "extracted": words.Words("đã đọc", "read"),
    "transformed": words.Words("đã lập XML", "made claim XML"),
    "validated": words.Words("đã kiểm tra", "checked"),
    "appraised": words.Words("đã giám định", "appraised"),
    "recorded": words.Words("đã ghi", "recorded"),
    "answered": words.Words("đã trả lời", "answered"),
    "quarantined": words.Words("cách ly", "quarantined"),
    "failed": words.Words("lỗi hệ thống", "failed"),
}
"""What happens to a delivery."""


def moment(text: str | None) -> str:
    """A time of the report as people read it."""
    return datetime.fromisoformat(text).strftime("%d/%m/%Y %H:%M:%S") if text else "—"


def rate(part: int, whole: int) -> Markup:
    """A share in per cent, with two decimals; of nothing: a dash."""
    if not whole:
        return Markup("—")
    return Markup('<span class="n">{}</span> %').format(words.money_vi(Decimal(100 * part) / whole))


def per(part: int, whole: int) -> Markup:
    """So many of 10,000."""
    if not whole:
        return Markup("—")
    return Markup('<span class="n">{}</span>').format(words.money_vi(Decimal(10_000 * part) / whole))


def reference(report: dict[str, Any]) -> list[tuple[str, str, list[int]]]:
    """Reference tables that the appraisals used: name, sha256 of the file, deliveries."""
    used: dict[tuple[str, str], list[int]] = {}
    for one in report["deliveries"]:
        loads = (one["appraisal"] or {}).get("reference") or {}
        for name, load in sorted(loads.items()):
            used.setdefault((name, load.get("sha256") or "—"), []).append(one["delivery"])
    return [(name, sha256, deliveries) for (name, sha256), deliveries in sorted(used.items())]


def _cause(one: dict[str, Any], total: int) -> dict[str, Any]:
    return one | {
        "title": words.rule_title(one["rule"]),
        "label": words.field_label(one["table"], one["field"]),
        "fix": words.how_to_fix(one["rule"]),
        "share": 100 * one["findings"] / total if total else 0,
    }


def _checks(report: dict[str, Any]) -> dict[str, int]:
    names = ("rows", "expectations", "checked", "failing", "evaluated", "unexpected")
    month = report["scope"]["month"]
    runs = [one for one in report["deliveries"] if one["validation"] and one["validation"]["month"] == month]
    unreadable = sum((one["read_claims"] or 0) - one["validation"]["claims_checked"] for one in runs)
    return {name: sum(one[name] for one in report["suites"]) for name in names} | {"unreadable": unreadable}
