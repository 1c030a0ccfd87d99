"""Codes of an export that only reference data can tell: the facility's own, and those a spreadsheet made numbers of."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from claim_pipeline.extract.codes import IN_REFERENCE, of_facility, of_reference
from claim_pipeline.extract.rows import LOCAL, NUMBER
from claim_rules.findings import WARN, concat, findings
from claim_rules.frames import ClaimTables
from claim_rules.reference import Reference, rows_on

_OFFICIAL = {"drugs": "MA_THUOC", "supplies": "MA_VAT_TU", "services": "MA_TUONG_DUONG"}
_DAYS = ("TU_NGAY", "DEN_NGAY")


def find_out(tables: ClaimTables, open_codes: pd.DataFrame, reference: Reference) -> tuple[ClaimTables, pd.DataFrame]:
    """The tables with official codes where the reference data prove them, and a warning (DICT-004, of the delivery)
    for each field in which some could not be told; these stay as they were sent.

    open_codes: table, claim, row, field, value (as sent), kind (rows.NUMBER or LOCAL), file, column: as
    `Extracted.open_codes`. A code of the facility's own is looked up in that column on the day of the line.
    """
    found: list[pd.DataFrame] = []
    changed = dict(tables.tables)
    for (table, field, kind), rows in open_codes.groupby(["table", "field", "kind"], sort=True):
        facility = str(tables.claims["MA_CSKCB"].iloc[0])
        frame = changed[str(table)]
        lacks: str | None = None
        if kind == LOCAL:
            codes, lacks = _of_facility(rows, frame, reference, facility)
        elif (table, field) in IN_REFERENCE:
            codes, lacks = of_reference(rows["value"], str(table), str(field), reference, facility)
        else:
            codes = pd.Series(pd.NA, index=rows.index, dtype="str")
        place = pd.Series(frame.index, index=pd.MultiIndex.from_frame(frame[["claim", "row"]]))
        at = place.reindex(pd.MultiIndex.from_frame(rows[["claim", "row"]])).to_numpy()
        told = codes.notna().to_numpy()
        values = frame[str(field)].copy()
        values.loc[at[told]] = codes[told].to_numpy()
        changed[str(table)] = frame.assign(**{str(field): values})
        if not told.all():
            found.append(_not_told(str(table), str(field), str(kind), int((~told).sum()), lacks))
    return replace(tables, tables=changed), concat(found)


def _of_facility(
    rows: pd.DataFrame, frame: pd.DataFrame, reference: Reference, facility: str
) -> tuple[pd.Series, str | None]:
    file, column = rows["file"].iloc[0], rows["column"].iloc[0]
    official = _OFFICIAL[file]
    codes = pd.Series(pd.NA, index=rows.index, dtype="str")
    if file not in reference:
        return codes, f"{file}.csv"
    absent = [name for name in (column, official, *_DAYS) if name not in reference[file].columns]
    if absent:
        return codes, f"{file}.csv: {', '.join(absent)}"
    days = frame[["claim", "row"]].assign(day=frame["NGAY_YL"].fillna("").str.strip().str[:8])
    wanted = rows[["claim", "row", "value"]].merge(days, on=["claim", "row"], how="left")
    wanted.index = rows.index
    wanted["value"] = wanted["value"].str.strip()
    entries = of_facility(reference[file], facility)[[column, official, *_DAYS]]
    if column == official:
        entries = entries.assign(official=entries[official])
        official = "official"
    pairs = rows_on(wanted, entries, {"value": column})[["index", official]].drop_duplicates()
    single = pairs[~pairs["index"].duplicated(keep=False)].set_index("index")[official]
    codes.loc[single.index] = single
    return codes, None


def _not_told(table: str, field: str, kind: str, count: int, lacks: str | None) -> pd.DataFrame:
    if kind == NUMBER:
        vi = (
            f"{table}.{field}: {count} mã bị Excel đổi thành số (mất số 0 ở đầu hoặc cuối), không rõ mã gốc; "
            "giữ nguyên số. Định dạng cột là Văn bản (Text) rồi xuất lại"
        )
        en = (
            f"{table}.{field}: {count} codes were made numbers by the spreadsheet (zeros at their ends are lost) and "
            "cannot be told; the numbers stay. Format the column as text and export again"
        )
    else:
        vi = f"{table}.{field}: {count} mã nội bộ không đổi được sang mã quy định; giữ nguyên mã nội bộ"
        en = f"{table}.{field}: {count} codes of the facility's own have no official code; they stay as they are"
    if lacks:
        vi, en = f"{vi} (thiếu danh mục {lacks})", f"{en} (reference data are missing: {lacks})"
    return findings(
        [
            {
                "rule": "DICT-004",
                "severity": WARN,
                "table": table,
                "field": field,
                "observed": str(count),
                "expected": "0",
                "detail_vi": vi,
                "detail_en": en,
            }
        ]
    )
