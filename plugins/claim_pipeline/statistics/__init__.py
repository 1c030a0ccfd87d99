"""Statistics of facility-months: profiles of deliveries, what is unusual beside the own past and the peers, pages.

A delivery is profiled once, over its claims that stand (extract.py); facility-months are sums of profiles, in the
store; what is unusual is decided by claim_rules.statistics.drift. Other reports embed `warnings`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claim_pipeline.store.store import Store
    from claim_pipeline.workspace import Workspace
    from claim_rules.reference import Reference
    from claim_rules.statistics.drift import Drift, Judgement

REFERENCE = ("facilities", "machines")
"""The tables of reference data that statistics look at."""


@dataclass(frozen=True)
class Warnings:
    """What is unusual about a facility-month. pictures: one SVG (text, no scripts, nothing loaded) for each of
    judgement.drifts, in their order, in one language."""

    judgement: Judgement
    pictures: list[str]


@dataclass(frozen=True)
class Documents:
    """The statistics of a facility-month as files: statistics-<MA_CSKCB>-<yyyymm>.html, .xlsx, .json -> bytes."""

    judgement: Judgement
    content: dict[str, bytes]


def documents(
    store: Store, facility: str, month: str, reference: Reference, forms: tuple[str, ...] = ("html", "xlsx", "json")
) -> Documents:
    """Page, workbook and JSON of a facility-month, judged now. Raises OperatorError where there is none."""
    import io
    import json

    from claim_pipeline.errors import OperatorError
    from claim_pipeline.statistics import page

    if not any(one["month"] == month for one in store.months(facility)):
        raise OperatorError(
            "no-statistics",
            f"Chưa có thống kê của cơ sở {facility}, tháng {month}",
            f"there are no statistics of facility {facility}, month {month}",
            "Xem danh sách bằng lệnh giamdinh statistics",
            "the command giamdinh statistics lists those that there are",
        )
    judgement = judge(store, [(facility, month)], reference)[0]
    document = page.build(store, judgement)
    out: dict[str, bytes] = {}
    name = f"statistics-{facility}-{month}"
    if "html" in forms:
        out[f"{name}.html"] = page.render(document, judgement, _name(reference, facility)).encode()
    if "xlsx" in forms:
        book = io.BytesIO()
        page.write_workbook(document, book)
        out[f"{name}.xlsx"] = book.getvalue()
    if "json" in forms:
        out[f"{name}.json"] = json.dumps(document, ensure_ascii=False, indent=1).encode()
    return Documents(judgement, out)


def _name(reference: Reference, facility: str) -> str:
    register = reference.get("facilities")
    if register is None or not {"MA_CSKCB", "TEN_CSKCB"}.issubset(register.columns):
        return ""
    names = register.loc[register["MA_CSKCB"] == facility, "TEN_CSKCB"].dropna()
    return str(names.iloc[-1]) if len(names) else ""


def profile(store: Store, delivery_id: int, ws: Workspace | None) -> list[str]:
    """Profiles the standing claims of one recorded delivery; returns the months touched. Again gives the same.

    ws: its working folder, transformed; None: nothing of it stands.
    """
    from claim_pipeline.statistics import extract

    standing = store.standing(delivery_id)
    by_month = extract.by_month(ws, set(standing)) if ws is not None and standing else {}
    return store.save_profile(delivery_id, extract.VERSION, by_month)


def judge(
    store: Store,
    months: list[tuple[str, str]],
    reference: Reference,
    on_error: Callable[[str, str, Exception], None] | None = None,
) -> list[Judgement]:
    """Judges facility-months (facility, month; best in order of months) anew and stores their warnings.

    on_error: told of one that could not be judged, the others are; without it the error is raised.
    """
    from claim_pipeline.statistics.judging import Month, as_row

    known: dict[str, Month] = {}
    out = []
    for facility, month in months:
        try:
            if month not in known:
                known = {month: Month(store, month, reference)}  # of one month at a time
            found = known[month].judge(facility)
            store.save_drifts(facility, month, [as_row(one) for one in found.drifts])
        except Exception as error:
            if on_error is None:
                raise
            on_error(facility, month, error)
            continue
        out.append(found)
    return out


def warnings(store: Store, facility: str, month: str, reference: Reference, *, vietnamese: bool = True) -> Warnings:
    """The warnings of a facility-month (yyyymm), judged now, with their pictures: for reports that embed them.

    Each of `judgement.drifts` has its words by claim_rules.statistics.words.message (Vietnamese, English).
    """
    found = judge(store, [(facility, month)], reference)[0]
    return Warnings(found, [picture(one, month, vietnamese=vietnamese) for one in found.drifts])


def picture(one: Drift, month: str, *, vietnamese: bool = True) -> str:
    """One warning as an SVG: the value against the own past and the peers, or the days against the limit."""
    from claim_pipeline.statistics.pictures import draw

    return draw(one, month, vietnamese=vietnamese)
