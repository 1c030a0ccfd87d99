"""What validation costs beside bare Arrow masks that find the same rows, and beside reading the file.

The masks are the floor of any dictionary check: each column dictionary-encoded once, each expectation of a field one
question to its distinct values, nothing told of what was found. `python bench/validation.py FILE…` prints the figures.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_pipeline import extract, validate
from claim_pipeline.workspace import Delivery, Workspace
from claim_rules import dictionary
from claim_rules.expectations import Expectation, Layout, Pass, expectations
from claim_rules.expectations.texts import text_array
from claim_rules.frames import ClaimTables

DECISION = "3176"
LINE_TABLES = ("XML1", "XML2", "XML3", "XML4", "XML5")
TIMES = 4

_DAY = (
    r"([0-9]{4}((0[13578]|1[02])(0[1-9]|[12][0-9]|3[01])|(0[469]|11)(0[1-9]|[12][0-9]|30)|02(0[1-9]|1[0-9]|2[0-8]))"
    r"|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)0229)"
)
_TIME = "([01][0-9]|2[0-3])[0-5][0-9]"
_FORMS = {
    "date8": f"^{_DAY}$",
    "datetime12": f"^{_DAY}{_TIME}$",
    "date8|datetime12": f"^{_DAY}({_TIME})?$",
    "birth": f"^({_DAY}|[0-9]{{4}}0000){_TIME}$",
    "integer": "^-?[0-9]+$",
}

Found = dict[tuple[str, str], np.ndarray]
"""(table, field) -> rows (positions) that are wrong."""


@dataclass
class Cost:
    """One way to do it: the least CPU of several runs, and its wall seconds."""

    stage: str
    cpu: float
    wall: float


def _pattern(one: Expectation) -> str | None:
    if one.form == "number":
        fraction = r"(\.[0-9]+)?" if one.decimals is None else rf"(\.[0-9]{{0,{one.decimals}}}0*)?"
        return rf"^-?[0-9]+{fraction}$" if one.negative else rf"^([0-9]+{fraction}|-0+(\.0+)?)$"
    return _FORMS.get(one.form)


def _wrong(values: pa.Array, one: Expectation) -> np.ndarray:
    """Which distinct values that are not blank are wrong."""
    items = values
    if one.is_list:
        split = pc.split_pattern(values, ";")
        items = pc.utf8_trim_whitespace(pc.list_flatten(split))
    bad = np.zeros(len(items), np.bool_)
    pattern = _pattern(one)
    if one.codes is not None:
        bad |= ~pc.is_in(items, value_set=pa.array(one.codes, items.type)).to_numpy(zero_copy_only=False)
    elif pattern is not None:
        bad |= ~pc.match_substring_regex(items, pattern).to_numpy(zero_copy_only=False)
        if one.highest is not None:
            number = pc.cast(items.filter(pa.array(~bad)), pa.float64()).to_numpy()
            bad[~bad] = (number < 0) | (number > one.highest)
    if one.is_list:
        bad &= pc.greater(pc.utf8_length(items), 0).to_numpy(zero_copy_only=False)
        of = pc.list_parent_indices(split).to_numpy()
        bad = np.bincount(of, weights=bad, minlength=len(values)) > 0
    if one.max_length is not None:
        bad |= pc.greater(pc.utf8_length(values), one.max_length).to_numpy(zero_copy_only=False)
    return bad


def masks(tables: ClaimTables, layout: Layout) -> Found:
    """Bare Arrow masks over the fields of XML1 to XML5; one layout for all claims."""
    found: Found = {}
    keys = tables["XML1"].set_index("claim")["MA_LK"]
    for table in tables.tables:
        frame = tables[table]
        columns = {name: text_array(frame[name]) for name in frame.columns[2:]}
        for one in expectations(table, layout):
            column = columns[one.field]
            if one.key:
                parents = text_array(keys.reindex(frame["claim"]))
                bad = ~pc.fill_null(pc.equal(column, parents), False).to_numpy(zero_copy_only=False)
                found[table, one.field] = np.flatnonzero(bad)
                continue
            coded = column.dictionary_encode()
            values = coded.dictionary
            blank = pc.equal(pc.utf8_trim_whitespace(values), "").to_numpy(zero_copy_only=False)
            verdict = np.zeros(len(values) + 1, np.bool_)
            verdict[:-1][~blank] = _wrong(values.filter(pa.array(~blank)), one)
            index = pc.fill_null(coded.indices, len(values)).to_numpy(zero_copy_only=False)
            bad = verdict[index]
            if one.blank_rule is not None:
                empty = np.append(blank, True)[index]
                if one.blank_when is not None and empty.any():
                    empty &= one.blank_when.holds(columns.__getitem__, len(column))
                bad |= empty
            found[table, one.field] = np.flatnonzero(bad)
    return found


def passed(tables: ClaimTables) -> Found:
    """The same by the product's pass: rows of all faults of fields."""
    from claim_rules.expectations import batches, check_table, columns_of

    found: Found = {}
    for batch in batches(tables.claims, tables["XML1"], tables.items()):
        if batch.layout is not None:
            for field, faults in check_table(columns_of(batch.frame), batch.expectations).items():
                found[batch.table, field] = faults.rows
    return found


def _least(ways: dict[str, Callable[[], object]], times: int = TIMES) -> Iterator[Cost]:
    """Each way by turns, several times; the least CPU of each."""
    runs: dict[str, list[Cost]] = {stage: [] for stage in ways}
    for _ in range(times):
        for stage, way in ways.items():
            cpu, wall = time.process_time(), time.perf_counter()
            way()
            runs[stage].append(Cost(stage, time.process_time() - cpu, time.perf_counter() - wall))
    for taken in runs.values():
        yield min(taken, key=lambda cost: cost.cpu)


def measure(files: list[Path], home: Path) -> list[Cost]:
    """read: the files to claim tables; masks: the floor, XML1 to XML5 in memory; fields: the product's check of those
    fields, judged by Great Expectations; and relations: with all relations between fields and tables, and findings;
    validate: the whole step on XML1 to XML5, from the working folder to findings and validation.json, in chunks of
    claims; validate all tables: the same on every table.

    Only claims of one layout take part, so that the masks need none. Raises SystemExit where masks and pass do not find
    the same rows.
    """
    read = Workspace(Path(tempfile.mkdtemp(dir=home)))
    costs: dict[str, Cost] = {}
    parts: list[ClaimTables] = []
    for path in files:
        shutil.copyfile(path, read.source)
        read.delivery = Delivery(file=path.name, sha256="0" * 64)
        for cost in _least({"read": lambda: extract.run(read)}, times=1):
            known = costs.setdefault("read", Cost("read", 0.0, 0.0))
            known.cpu, known.wall = known.cpu + cost.cpu, known.wall + cost.wall
        parts.append(read.read_tables())
    tables = _one_layout(parts)
    layout = Layout(DECISION, len([day for day in dictionary.change_dates() if f"{day:%Y%m%d}" <= "20260731"]))
    few = ClaimTables(tables.claims, {name: tables[name] for name in LINE_TABLES if name in tables}, tables.unknown)
    _same(masks(few, layout), passed(few))
    narrow, whole = (Workspace(Path(tempfile.mkdtemp(dir=home))) for _ in range(2))
    for ws, content in ((narrow, few), (whole, tables)):
        ws.delivery = Delivery(file="claims.xml", sha256="0" * 64, status="transformed")
        ws.write_tables(content)
    ways: dict[str, Callable[[], object]] = {
        "masks": lambda: masks(few, layout),
        "fields": lambda: (passed(few), list(validate.results(of_fields))),
        "and relations": lambda: (Pass().add(few), list(validate.results(report))),
        "validate": lambda: validate.run(narrow),
        "validate all tables": lambda: validate.run(whole),
    }
    validate.run(narrow)  # loads Great Expectations
    report = narrow.read_json("validation.json")
    of_fields = report | {"suites": [_fields_of(suite) for suite in report["suites"] if suite["decision"]]}
    result = [costs["read"], *_least(ways)]
    for ws in (read, narrow, whole):
        ws.remove()
    return result


def _fields_of(suite: dict[str, Any]) -> dict[str, Any]:
    kept = [one for one in suite["expectations"] if one["type"] == "expect_field_to_follow_dictionary"]
    return suite | {"expectations": kept, "success": not any(one["unexpected"] for one in kept)}


def _one_layout(parts: list[ClaimTables]) -> ClaimTables:
    """The claims of all parts that can be read, are of DECISION and ended in July 2026, as one delivery."""
    import pandas as pd

    claims, start = [], 0
    tables: dict[str, list[pd.DataFrame]] = {}
    for part in parts:
        one = part["XML1"].set_index("claim")
        fits = one["NGAY_RA"].str.fullmatch("202607[0-3][0-9]{5}").fillna(False)
        good = part.claims[part.claims["readable"] & part.claims["decision"].eq(DECISION)]
        part = part.only(set(good["claim"]) & set(one.index[fits]))
        claims.append(part.claims.assign(claim=part.claims["claim"] + start))
        for name, frame in part.items():
            tables.setdefault(name, []).append(frame.assign(claim=frame["claim"] + start))
        start += int(part.claims["claim"].max()) + 1
    frames = {name: pd.concat(frames, ignore_index=True) for name, frames in tables.items()}
    return ClaimTables(pd.concat(claims, ignore_index=True), frames)


def _same(one: Found, other: Found) -> None:
    differ = [key for key in one if not np.array_equal(one[key], other[key])]
    if differ or one.keys() != other.keys():
        raise SystemExit(f"masks and the product's pass differ: {differ}")


def report(costs: list[Cost]) -> str:
    """The figures as text."""
    by_stage = {cost.stage: cost for cost in costs}
    masks_cpu, read_cpu = by_stage["masks"].cpu, by_stage["read"].cpu
    lines = [f"{'stage':22} {'CPU s':>8} {'x masks':>8} {'x read':>8}"]
    lines += [
        f"{cost.stage:22} {cost.cpu:8.3f} {cost.cpu / masks_cpu:8.2f} {cost.cpu / read_cpu:8.2f}" for cost in costs
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(report(measure([Path(name) for name in sys.argv[1:]], Path(folder))) + "\n")
