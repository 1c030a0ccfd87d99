"""Figures of matplotlib as SVG inside a page: text stays text, nothing is loaded, and it says what it shows.

matplotlib is loaded when a figure is drawn and not before.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, SOFT, LINE, BRAND, BAD = "#16242b", "#52646d", "#d5dfe3", "#0b5d57", "#b3261e"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "giamdinh", "font.family": "sans-serif", "font.size": 9,
    "axes.edgecolor": LINE, "axes.labelcolor": SOFT, "xtick.color": SOFT, "ytick.color": SOFT, "text.color": INK,
    "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip


def draw(size: tuple[float, float], fill: Callable[[Figure], None], *, mark: str, title: str, description: str) -> str:
    """What `fill` draws on a figure of this size (inches), as an svg element. mark: of its ids, which must differ from
    those of other pictures on the page; title, description: for those who cannot see it. The same gives the same."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        fill(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(id="|url\(#|xlink:href="#)', rf"\g<1>{mark}-", text)
    text = re.sub(r' (width|height)="[^"]*pt"', "", text, count=2)  # it fits its column
    names = f'role="img" aria-labelledby="{mark}-title" aria-describedby="{mark}-desc"'
    told = f'<title id="{mark}-title">{escape(title)}</title><desc id="{mark}-desc">{escape(description)}</desc>'
    return re.sub(r"<svg ([^>]*)>", lambda found: f'<svg {names} width="100%" {found[1]}>{told}', text, count=1)
