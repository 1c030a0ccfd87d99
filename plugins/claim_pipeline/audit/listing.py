"""Validation results as recorded, as a list: what is not met, where, and how that went over the months."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from claim_pipeline.store.store import Store

SCHEMA = "giamdinh.validation-results/1"


def of(
    store: Store,
    *,
    facility: str | None = None,
    month: str | None = None,
    table: str | None = None,
    field: str | None = None,
    limit: int = 50,
) -> dict[str, Any]:
    """{"schema", "asked", "not_met": [Failing], "trend": [TrendPoint]} (store.rows) of what was asked."""
    asked = {"facility": facility, "month": month, "table": table, "field": field}
    failing = store.validation_failing(facility, month, table=table, field=field, limit=limit)
    trend = store.validation_trend(facility, table, field, until=month)
    return {
        "schema": SCHEMA,
        "asked": asked,
        "not_met": [asdict(one) for one in failing],
        "trend": [asdict(one) for one in trend],
    }


def show(told: dict[str, Any]) -> None:
    """Prints it as tables, Vietnamese first."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console()
    failing = Table(title="Kỳ vọng không đạt · Expectations not met", title_justify="left", box=SIMPLE_HEAD)
    failing.add_column("Trường\nField", overflow="fold", min_width=20)
    failing.add_column("Phải như thế nào\nWhat is expected", ratio=1)
    for name in ("Sai\nWrong", "Đã xem\nSeen", "‱", "Lô\nFiles"):
        failing.add_column(name, justify="right")
    for one in told["not_met"]:
        failing.add_row(
            f"{one['table']}\n{one['field']}", _short(one["text_vi"]), str(one["unexpected"]), str(one["evaluated"]),
            _per(one["unexpected"], one["evaluated"]), f"{one['failing_deliveries']}/{one['deliveries']}",
        )  # fmt: skip
    console.print(failing if told["not_met"] else "Mọi kỳ vọng đều đạt. Every expectation was met.")
    trend = Table(title="Xu hướng · Trend", title_justify="left", box=SIMPLE_HEAD)
    trend.add_column("Cơ sở\nFacility")
    trend.add_column("Tháng\nMonth")
    for name in ("Lô\nFiles", "Hồ sơ\nClaims", "Kỳ vọng\nChecked", "Không đạt\nNot met", "%", "Sai\nWrong", "‱"):
        trend.add_column(name, justify="right")
    for one in told["trend"]:
        share = f"{100 * one['failing'] / one['checked']:.2f}" if one["checked"] else "–"
        trend.add_row(
            one["facility"], f"{one['month'][4:]}/{one['month'][:4]}", str(one["deliveries"]), str(one["claims"]),
            str(one["checked"]), str(one["failing"]), share, str(one["unexpected"]),
            _per(one["unexpected"], one["evaluated"]),
        )  # fmt: skip
    if told["trend"]:
        console.print(trend)


def _per(part: int, whole: int) -> str:
    return f"{10_000 * part / whole:.1f}" if whole else "–"


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:118]}…"
