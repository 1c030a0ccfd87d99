"""The trend of a facility as a picture: how much of what is expected was not met, month after month."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claim_pipeline import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MONTHS = 13
"""The last months shown: a year and the month before it."""


def trend(points: list[dict[str, Any]], month: str | None, *, vietnamese: bool) -> str:
    """The last months as an svg element; the month of the report stands out. points: "trend" of the report."""
    shown = points[-MONTHS:]
    names = [f"{one['month'][4:]}/{one['month'][:4]}" for one in shown]
    expectations = [100 * one["failing"] / one["checked"] if one["checked"] else 0.0 for one in shown]
    values = [10_000 * one["unexpected"] / one["evaluated"] if one["evaluated"] else 0.0 for one in shown]
    now = next((at for at, one in enumerate(shown) if one["month"] == month), None)
    titles = (
        ("Kỳ vọng không đạt, % số đã kiểm tra", "Giá trị sai, trên 10.000 giá trị")
        if vietnamese
        else ("Expectations not met, % of those checked", "Wrong values of 10,000")
    )

    def fill(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        _line(left, names, expectations, now, titles[0], vietnamese)
        _line(right, names, values, now, titles[1], vietnamese)

    parts = [
        f"{name}: {number(share, vietnamese)} %, {number(rate, vietnamese)}/10.000"
        if vietnamese
        else f"{name}: {number(share, vietnamese)} %, {number(rate, vietnamese)} of 10,000"
        for name, share, rate in zip(names, expectations, values, strict=True)
    ]
    return svg.draw(
        (8.6, 2.6),
        fill,
        mark="trend-vi" if vietnamese else "trend-en",
        title="Xu hướng theo tháng" if vietnamese else "Trend over months",
        description="; ".join(parts),
    )


def number(value: float, vietnamese: bool) -> str:
    """With one decimal, as readers of the language write it."""
    text = f"{value:,.1f}"
    return text.translate(str.maketrans(",.", ".,")) if vietnamese else text


def _line(axes: Axes, names: list[str], values: list[float], now: int | None, title: str, vietnamese: bool) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    places = list(range(len(names)))
    axes.plot(places, values, color=svg.BRAND, marker="o", markersize=4, linewidth=1.5)
    if now is not None:
        axes.plot([now], [values[now]], color=svg.BAD, marker="D", markersize=7, linestyle="none")
        axes.annotate(
            number(values[now], vietnamese), (now, values[now]), xytext=(0, 8), textcoords="offset points",
            ha="center", color=svg.BAD, fontweight="bold",
        )  # fmt: skip
    step = 1 if len(names) <= 6 else 2
    ticks = places[::-step][::-1]
    axes.set_xticks(ticks, [names[at] for at in ticks])
    axes.set_xlim(-0.6, max(len(names), 2) - 0.4)
    axes.set_ylim(0, max([*values, 0.0]) * 1.3 or 1.0)
    axes.set_title(title, loc="left", color=svg.SOFT, size=9)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, vietnamese)))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="y", color=svg.LINE, linewidth=0.6)
    axes.set_axisbelow(True)
