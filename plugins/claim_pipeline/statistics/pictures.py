"""Pictures of warnings as SVG by matplotlib, which is loaded when one is drawn and not before.

Text stays text (the reader's own font), nothing is loaded from anywhere, the same warning gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import re
from typing import TYPE_CHECKING, Any

from claim_rules.statistics import indicators, words
from claim_rules.statistics.drift import LIMIT, PEERS, Drift

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _SOFT, _LINE, _PAST, _NOW, _PEER = "#16242b", "#52646d", "#d5dfe3", "#0b5d57", "#b3261e", "#7b8fa1"
_SIZE = (7.2, 2.7)  # inches
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "giamdinh", "font.family": "sans-serif", "font.size": 9,
    "axes.edgecolor": _LINE, "axes.labelcolor": _SOFT, "xtick.color": _SOFT, "ytick.color": _SOFT, "text.color": _INK,
    "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip


def draw(one: Drift, month: str, *, vietnamese: bool) -> str:
    """One warning: months of the facility, the month judged and the peers; or days of a doctor or machine."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE, layout="constrained")
        FigureCanvasSVG(figure)
        if one.against == LIMIT:
            _days(figure.subplots(), one, vietnamese)
        else:
            left, right = figure.subplots(1, 2, width_ratios=[3, 1], sharey=True)
            _months(left, one, month, vietnamese)
            _peers(right, one, vietnamese)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    name = words.message(one)[0 if vietnamese else 1]
    label = name.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    # ids of several pictures on one page must differ
    mark = f"p{hashlib.sha256(text.encode()).hexdigest()[:10]}"
    text = re.sub(r'(id="|url\(#|xlink:href="#)', rf"\g<1>{mark}-", text)
    text = re.sub(r' (width|height)="[^"]*pt"', "", text, count=2)
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" width="100%" ', 1)


def _axis(axes: Axes, one: Drift, vietnamese: bool) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.amount(one.indicator, value, vietnamese)))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="y", color=_LINE, linewidth=0.6)
    axes.set_axisbelow(True)


def _months(axes: Axes, one: Drift, month: str, vietnamese: bool) -> None:
    count = max(3, *(_distance(name, month) for name, _ in one.past)) if one.past else 3
    names = [indicators.month_before(month, back) for back in range(count, -1, -1)]
    place = {name: at for at, name in enumerate(names)}
    known = [(place[name], value) for name, value in one.past if name in place]
    if known:
        axes.plot(*_columns(known), color=_PAST, marker="o", markersize=4, linewidth=1.4)
    last = place[month]
    if known:
        axes.plot([known[-1][0], last], [known[-1][1], one.value], color=_NOW, linewidth=1.2, linestyle=":")
    axes.plot([last], [one.value], color=_NOW, marker="D", markersize=7, linestyle="none")
    axes.annotate(
        words.amount(one.indicator, one.value, vietnamese), (last, one.value), xytext=(-9, 0),
        textcoords="offset points", ha="right", va="center", color=_NOW, fontweight="bold",
    )  # fmt: skip
    if one.against != PEERS and known:
        axes.axhline(one.baseline, color=_PAST, linewidth=1, linestyle="--")
        expected = one.baseline * one.movement
        if abs(one.movement - 1) > 0.005:
            axes.plot([last - 0.35, last + 0.35], [expected, expected], color=_SOFT, linewidth=2)
            axes.annotate(
                "mức chung" if vietnamese else "as others moved", (last + 0.35, expected), xytext=(0, 3),
                textcoords="offset points", ha="right", color=_SOFT, size=8,
            )  # fmt: skip
    step = 1 if len(names) <= 8 else 2
    shown = range(len(names) - 1, -1, -step)
    axes.set_xticks(shown, [f"{names[at][4:]}/{names[at][2:4]}" for at in shown])
    axes.set_xlim(-0.5, len(names) - 0.4)
    axes.set_title("Các tháng của cơ sở" if vietnamese else "Months of the facility", loc="left", color=_SOFT, size=9)
    everything = [one.value, one.baseline, *(value for _, value in one.past), *one.others]
    low, high = min(everything), max(everything)
    gap = (high - low) * 0.15 or high * 0.1 or 1.0
    axes.set_ylim(max(low - gap, 0.0), high + gap)
    _axis(axes, one, vietnamese)


def _peers(axes: Axes, one: Drift, vietnamese: bool) -> None:
    axes.set_title("Cơ sở cùng nhóm" if vietnamese else "Peers", loc="left", color=_SOFT, size=9)
    axes.set_xticks([])
    axes.set_xlim(-1, 1)
    axes.grid(axis="y", color=_LINE, linewidth=0.6)
    if one.others:
        spread = [((7 * at) % 11 - 5) / 12 for at in range(len(one.others))]
        axes.plot(spread, one.others, color=_PEER, marker="o", markersize=5, alpha=0.75, linestyle="none")
        if one.against == PEERS:
            axes.axhline(one.baseline, color=_PEER, linewidth=1, linestyle="--")
        axes.plot([0], [one.value], color=_NOW, marker="D", markersize=7, linestyle="none")
    else:
        text = "không so sánh" if vietnamese else "not compared"
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color=_SOFT)


def _days(axes: Axes, one: Drift, vietnamese: bool) -> None:
    days = [f"{day[6:]}/{day[4:6]}" for day, _ in one.days]
    counts = [count for _, count in one.days]
    colours = [_NOW if count > one.baseline else _PAST for count in counts]
    axes.bar(range(len(days)), counts, color=colours, width=0.7)
    axes.axhline(one.baseline, color=_INK, linewidth=1, linestyle="--")
    wide = max(len(days) + 1.5, 10)
    text = f"{'ngưỡng' if vietnamese else 'limit'} {words.number(one.baseline, 0, vietnamese)}"
    axes.annotate(text, (wide - 0.7, one.baseline), xytext=(0, 3), textcoords="offset points", color=_INK, ha="right")
    axes.set_xticks(range(len(days)), days, rotation=90 if len(days) > 12 else 0)
    axes.set_xlim(-0.7, wide - 0.7)
    title = words.INDICATORS[one.indicator][0 if vietnamese else 1]
    axes.set_title(f"{title}: {one.key.rpartition(' ')[0]}", loc="left", color=_SOFT, size=9)
    axes.set_ylim(0, max([*counts, one.baseline]) * 1.15)
    _axis(axes, one, vietnamese)


def _columns(pairs: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [at for at, _ in pairs], [value for _, value in pairs]


def _distance(first: str, last: str) -> int:
    return (int(last[:4]) - int(first[:4])) * 12 + int(last[4:]) - int(first[4:])
