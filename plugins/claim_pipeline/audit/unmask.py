"""Values of personal fields as they were sent, for findings of which only the masked ones are recorded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from claim_rules.catalogue import masked_fields

_AT_ONCE = 5_000


def unmasked(found: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The same findings; `observed` of personal fields is what the claim tables hold, which are made again from the
    archive where the working folder is gone."""
    portion: list[dict[str, Any]] = []
    for one in found:
        portion.append(one)
        if len(portion) == _AT_ONCE:
            yield from _portion(portion)
            portion = []
    yield from _portion(portion)


def _portion(portion: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    from claim_pipeline import steps

    personal = masked_fields()
    wanted: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for one in portion:
        if one["observed"] and one["field"] in personal and one["table"] and one["claim"] is not None:
            wanted.setdefault((one["delivery"], one["table"]), []).append(one)
    for (delivery, table), rows in wanted.items():
        frame = steps.claim_table(delivery, table, {one["claim"] - 1 for one in rows})
        if frame is None:
            continue
        values = frame.set_index(["claim", "row"])
        for one in rows:
            place = (one["claim"] - 1, one["row"] or 1)
            if one["field"] in values.columns and place in values.index:
                one["observed"] = str(values.at[place, one["field"]])
    yield from portion
