"""Reads the export of a hospital's record system (zip of CSV, or workbooks) into claim tables, by a mapping profile."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract.assemble import claims_of, orphans, structure
from claim_pipeline.extract.columns import LAYOUTS, TEXT, column_names, frame, text_column
from claim_pipeline.extract.profile import Profile, profiles
from claim_pipeline.extract.result import Extracted
from claim_pipeline.extract.sheets import Export, Sheet, open_export
from claim_rules import dictionary
from claim_rules.findings import concat
from claim_rules.frames import ClaimTables

KEY = "MA_LK"
_MOST_SHARED = 1_000_000  # rows that may be given to several claims because these have the same MA_LK
_NOT_IN_XML = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x{fffe}\\x{ffff}]"  # characters that no XML document can hold


def read(
    path: Path,
    *,
    workbook: bool = False,
    inbox_facility: str | None = None,
    max_claims: int = 200_000,
    max_unpacked: int = 8 << 30,
) -> Extracted:
    """All claims of an export: one per row of the sheet that becomes XML1, with the rows of the other sheets that have
    its MA_LK (a repeated MA_LK: each of its claims has them all).

    inbox_facility: MA_CSKCB of the inbox that it came through. Columns that are not there are NA, blank cells "".
    Raises Quarantined where the delivery as a whole cannot be taken.
    """
    every = profiles()
    known = {name.lower() for profile in every for name in profile.sheets}
    with open_export(
        path, workbook=workbook, known=lambda stem: stem.strip().lower() in known, max_unpacked=max_unpacked
    ) as export:
        profile = _profile(export, every)
        return _Reader(export, profile, inbox_facility, max_claims).read()


def _profile(export: Export, every: tuple[Profile, ...]) -> Profile:
    stems = [sheet.stem for sheet in export.sheets]
    for profile in every:
        if not profile.missing(stems):
            return profile
    there = ", ".join(sorted({*stems, *export.others})[:20]) or "–"
    wanted = " / ".join(", ".join(profile.missing(stems)) for profile in every)
    xml_inside = any(name.lower().endswith(".xml") for name in export.others)
    raise Quarantined(
        "not-a-delivery",
        f"Thiếu bảng bắt buộc: {wanted}; trong tệp có: {there}",
        f"required sheets are missing: {wanted}; the file holds: {there}",
        "Không để hồ sơ XML chung với bảng xuất trong một tệp zip" if xml_inside else f"Thêm bảng {wanted} rồi gửi lại",
        "do not put claim XML and sheets of an export into one zip"
        if xml_inside
        else f"add the sheet {wanted} and send it again",
    )


class _Reader:
    def __init__(self, export: Export, profile: Profile, inbox_facility: str | None, max_claims: int) -> None:
        self.export = export
        self.profile = profile
        self.inbox_facility = inbox_facility
        self.max_claims = max_claims
        self.format = "emr-xlsx" if export.workbooks else "emr-csv"
        self.unknown_columns: list[str] = []
        self.found: list[pd.DataFrame] = []

    def read(self) -> Extracted:
        sheets: dict[str, Sheet] = {}
        for sheet in self.export.sheets:
            name = self.profile.sheet(sheet.stem)
            if name is None:
                self.unknown_columns.append(f"{sheet.stem}.*")
            elif name in sheets:
                self._stop(
                    f"Bảng {name} có hai lần trong tệp",
                    f"sheet {name} is there twice",
                    "Giữ mỗi bảng một lần rồi gửi lại",
                    "keep each sheet once and send it again",
                )
            else:
                sheets[name] = sheet
        self.unknown_columns.extend(self.export.others)
        main = self.profile.claim_sheet
        encounters = self._rows(sheets.pop(main), main)
        if encounters.num_rows == 0:
            self._stop(
                f"Bảng {main} không có dòng nào",
                f"sheet {main} has no rows",
                "Xuất lại tệp có ít nhất một đợt điều trị",
                "export the file again with at least one episode",
            )
        if encounters.num_rows > self.max_claims:
            raise Quarantined(
                "too-large",
                f"Tệp có hơn {self.max_claims} hồ sơ",
                f"the file holds more than {self.max_claims} claims",
                "Chia thành nhiều tệp nhỏ hơn rồi gửi lại",
                "send it again as several smaller files",
                format=self.format,
            )
        order = np.arange(encounters.num_rows)
        tables = {"XML1": _keyed(encounters, order, np.ones_like(order))}
        claims = self._claims(tables["XML1"])
        for name in (n for n in self.profile.sheets if n in sheets):
            rows = self._joined(self._rows(sheets[name], name), claims, name)
            if len(rows):
                tables[self.profile.sheets[name].table] = rows
        self.found += structure(claims, tables)
        tables = {name: tables[name] for name in dictionary.CLAIM_TABLES if name in tables}
        return Extracted(
            ClaimTables(claims, tables),
            concat(self.found),
            self.format,
            claims["MA_CSKCB"].iloc[0],
            unknown_columns=self.unknown_columns,
        )

    def _rows(self, sheet: Sheet, name: str) -> pa.Table:
        """The sheet's rows as elements of its table, blank rows left out."""
        profile = self.profile.sheets[name]
        elements = {at: profile.element(header) for at, header in enumerate(sheet.headers) if header.strip()}
        self.unknown_columns.extend(f"{name}.{sheet.headers[at]}" for at, known in elements.items() if known is None)
        taken = {element: str(at) for at, element in elements.items() if element is not None}
        twice = [element for element, times in Counter(filter(None, elements.values())).items() if times > 1]
        if KEY not in taken or twice:
            what = ", ".join(twice) or KEY
            self._stop(
                f"Bảng {name}: " + (f"nhiều cột cùng là {what}" if twice else f"thiếu cột {KEY}"),
                f"sheet {name}: " + (f"several columns are {what}" if twice else f"column {KEY} is missing"),
                "Sửa cột rồi gửi lại",
                "correct the columns and send it again",
            )
        fields = {sheet.headers[at]: _field(profile.table, element) for at, element in elements.items() if element}
        read = sheet.read(lambda header: fields.get(header))
        columns = {element: _clean(read[place].combine_chunks()) for element, place in taken.items()}
        blank = np.ones(read.num_rows, bool)
        for column in columns.values():
            blank &= pc.equal(pc.utf8_trim_whitespace(column), "").to_numpy(zero_copy_only=False)
        absent = pa.nulls(read.num_rows, TEXT)
        names = column_names(profile.table)
        table = pa.table({element: columns.get(element, absent) for element in names})
        return table.filter(pa.array(~blank)) if blank.any() else table

    def _claims(self, encounters: pd.DataFrame) -> pd.DataFrame:
        sheet = self.profile.claim_sheet
        claims, found = claims_of(
            encounters,
            inbox_facility=self.inbox_facility,
            place_vi=f"cột MA_CSKCB của bảng {sheet}",
            place_en=f"column MA_CSKCB of sheet {sheet}",
            format=self.format,
        )
        self.found.append(found)
        return claims

    def _joined(self, rows: pa.Table, claims: pd.DataFrame, name: str) -> pd.DataFrame:
        """The rows with the claims that they belong to; what belongs to none is reported, never lost silently."""
        key = rows[KEY].to_pandas().str.strip().rename("key")
        lines = pd.DataFrame({"key": key, "line": np.arange(rows.num_rows)})
        known = claims.loc[claims[KEY].notna(), ["claim", KEY]]
        if (lines["key"].value_counts() * known[KEY].value_counts()).sum() > len(lines) + _MOST_SHARED:
            self._stop(
                f"MA_LK lặp lại quá nhiều lần trong bảng {self.profile.claim_sheet}",
                f"MA_LK are repeated too often in sheet {self.profile.claim_sheet}",
                "Mỗi đợt điều trị phải có một MA_LK riêng; sửa rồi gửi lại",
                "give each episode a MA_LK of its own and send it again",
            )
        pairs = lines.merge(known, left_on="key", right_on=KEY).sort_values(["claim", "line"])
        strangers = len(lines) - pairs["line"].nunique()
        if strangers:
            main = self.profile.claim_sheet
            self.found.append(
                orphans(
                    self.profile.sheets[name].table,
                    strangers,
                    f"bảng {name} có {strangers} dòng mà MA_LK không có trong bảng {main}; "
                    "các dòng này không thuộc hồ sơ nào",
                    f"sheet {name} has {strangers} rows whose MA_LK is not in sheet {main}; they belong to no claim",
                )
            )
        number = pairs.groupby("claim").cumcount() + 1
        return _keyed(rows.take(pa.array(pairs["line"].to_numpy())), pairs["claim"].to_numpy(), number.to_numpy())

    def _stop(self, vi: str, en: str, next_vi: str, next_en: str) -> Any:
        raise Quarantined("not-a-delivery", vi, en, next_vi, next_en, format=self.format, ma_cskcb=self.inbox_facility)


def _field(table: str, element: str) -> dictionary.Field:
    decision = next(d for d in LAYOUTS if table in dictionary.tables(d) and dictionary.table(table, d).has(element))
    return dictionary.table(table, decision).field(element)


def _clean(column: pa.Array) -> pa.Array:
    """Text that XML can carry, in normal form C."""
    return text_column(pc.replace_substring_regex(column, _NOT_IN_XML, ""))


def _keyed(rows: pa.Table, claim: np.ndarray[Any, Any], row: np.ndarray[Any, Any]) -> pd.DataFrame:
    keys = {"claim": pa.array(claim, pa.int64()), "row": pa.array(row, pa.int64())}
    return frame(pa.table({**keys, **{name: rows[name] for name in rows.column_names}}))
