"""Reads the export of a hospital's record system (CSV, workbooks, JSON, alone or in a zip) into claim tables, by a
mapping profile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract.assemble import claims_of, orphans, structure
from claim_pipeline.extract.columns import frame
from claim_pipeline.extract.fitting import Fit, best_fit, key_of, names_known
from claim_pipeline.extract.late import Earlier, Late, completed, earlier_claims
from claim_pipeline.extract.profile import CARDS, KEY, Profiles, configured
from claim_pipeline.extract.result import Extracted
from claim_pipeline.extract.rows import Rows, rows_of
from claim_pipeline.extract.sheets import Export, no_sheet_fits, open_export
from claim_pipeline.extract.visits import differing, once_per_visit, results_without_order, with_cards
from claim_rules import dictionary
from claim_rules.findings import concat
from claim_rules.frames import ClaimTables

_MOST_SHARED = 1_000_000  # rows that may be given to several claims because these have the same MA_LK
_MARK = "\0"  # before the name of a column that says which codes are open


def read(
    path: Path,
    *,
    inbox_facility: str | None = None,
    profiles: Profiles | None = None,
    earlier: Earlier | None = None,
    max_claims: int = 200_000,
    max_unpacked: int = 8 << 30,
) -> Extracted:
    """All claims of an export: one per row of the sheet that becomes XML1 (where a profile says that encounters are
    repeated in every line: one per MA_LK), with the rows of the other sheets that have its MA_LK (a repeated MA_LK:
    each of its claims has them all).

    earlier: finds claims of earlier deliveries. Rows whose MA_LK is that of such a claim and not of an encounter of the
    export come late: with what was sent then they are a new version of that claim, after the export's own claims.
    inbox_facility: MA_CSKCB of the inbox that it came through. profiles: those to choose from; None: the built-in ones.
    Columns that are not there are NA, blank cells "". Raises Quarantined where the delivery as a whole cannot be taken.
    """
    every = profiles or configured(None)
    with fitted(path, every, inbox_facility, max_unpacked) as (export, fit):
        return _Reader(export, fit, inbox_facility, max_claims, every, earlier).read()


@contextmanager
def fitted(path: Path, every: Profiles, facility: str | None, max_unpacked: int) -> Iterator[tuple[Export, Fit]]:
    """An export and how the profile that is set for the facility, or else the one that knows it best, reads it."""
    known = names_known(every.every)
    with open_export(path, known=known, key=key_of(every.every), max_unpacked=max_unpacked) as export:
        yield export, best_fit(every.candidates(facility), export.sheets)


class _Reader:
    def __init__(
        self,
        export: Export,
        fit: Fit,
        inbox_facility: str | None,
        max_claims: int,
        profiles: Profiles,
        earlier: Earlier | None,
    ) -> None:
        self.export = export
        self.fit = fit
        self.profile = fit.profile
        self.inbox_facility = inbox_facility
        self.max_claims = max_claims
        self.earlier = earlier
        self.format = export.format
        self.chosen_by = "facility" if (inbox_facility or "") in profiles.of_facility else "headers"
        self.found: list[pd.DataFrame] = []
        self.sheets: list[dict[str, Any]] = []
        self.repaired: dict[str, int] = {}
        self.cards: list[pd.DataFrame] = []

    def read(self) -> Extracted:
        self._check_sheets()
        main = self.profile.claim_sheet
        visits, others = None, []
        if main in self.fit.sheets:
            parts = self._parts(main)
            visits = self._visits(next(rows for rows in parts if rows.part.table == "XML1"), main)
            others = [(main, rows) for rows in parts if rows.part.table != "XML1"]
        for name in self.profile.sheets:
            if name != main and name in self.fit.sheets:
                others += [(name, rows) for rows in self._parts(name)]
        for _, rows in others:
            if rows.part.table == CARDS:
                self.cards.append(rows.table.to_pandas())
        cards = pd.concat(self.cards, ignore_index=True) if self.cards else None
        own = []
        if visits is not None:
            order = np.arange(visits.num_rows)
            own.append(_keyed(with_cards(visits, cards), order, np.ones_like(order)))
        lines = {
            table: (mine[0][0], _together([rows for _, rows in mine]))
            for table in dictionary.CLAIM_TABLES
            if (mine := [(name, rows) for name, rows in others if rows.part.table == table and rows.table.num_rows])
        }
        late = self._late(own, [rows for _, rows in lines.values()])
        if not own and late is None:
            raise self._no_encounters()
        tables = {"XML1": pd.concat([*own, *([late.tables["XML1"]] if late else [])], ignore_index=True)}
        claims, found = claims_of(
            tables["XML1"],
            inbox_facility=self.inbox_facility,
            place_vi=f"cột MA_CSKCB của bảng {main}",
            place_en=f"column MA_CSKCB of sheet {main}",
            format=self.format,
        )
        self.found.append(found)
        for table in dictionary.CLAIM_TABLES[1:]:
            joined = self._joined(lines[table][1], claims, lines[table][0], table) if table in lines else None
            if late is not None and table in late.tables:
                joined = completed(table, joined, late.tables[table])
            if joined is not None and len(joined):
                tables[table] = joined
        self.found += structure(claims, tables)
        self.found.append(results_without_order(tables))
        open_codes = [_open_codes(name, tables[name]) for name in tables]
        if late is not None and late.open_codes is not None:
            open_codes.append(late.open_codes)
        tables = {
            name: tables[name].drop(columns=[c for c in tables[name].columns if c.startswith(_MARK)])
            for name in dictionary.CLAIM_TABLES
            if name in tables
        }
        return Extracted(
            ClaimTables(claims, tables),
            concat(self.found),
            self.format,
            claims["MA_CSKCB"].iloc[0],
            unknown_columns=self._unknown(),
            reading={
                "profile": self.profile.name,
                "chosen_by": self.chosen_by,
                "sheets": self.sheets,
                "codes_repaired": self.repaired,
                "claims_completed": late.count if late else 0,
            },
            open_codes=pd.concat(open_codes, ignore_index=True),
        )

    def _check_sheets(self) -> None:
        if self.fit.twice:
            name = self.fit.twice[0]
            self._stop(
                f"Bảng {name} có hai lần trong tệp",
                f"sheet {name} is there twice",
                "Giữ mỗi bảng một lần rồi gửi lại",
                "keep each sheet once and send it again",
            )
        if self.fit.missing and (self.earlier is None or not self.fit.sheets):
            raise self._no_encounters()

    def _no_encounters(self) -> Quarantined:
        there = sorted({*(sheet.stem or "–" for sheet in self.export.sheets), *self.export.others})
        xml_inside = any(name.lower().endswith(".xml") for name in self.export.others)
        return no_sheet_fits(", ".join(there[:20]) or "–", ", ".join(self.fit.missing), xml_inside=xml_inside)

    def _late(self, own: list[pd.DataFrame], lines: list[pa.Table]) -> Late | None:
        """The earlier claims of lines that belong to no encounter of the export."""
        if self.earlier is None or not lines:
            return None
        named = pd.concat([rows[KEY].to_pandas() for rows in lines]).str.strip()
        known = own[0][KEY].str.strip() if own else named[:0]
        names = sorted({*named.unique()} - {*known.unique(), ""})
        return earlier_claims(names, self.earlier, len(known)) if names else None

    def _unknown(self) -> list[str]:
        found = [f"{sheet.stem or '–'}.*" for sheet in self.fit.rest]
        for name, sheet in self.fit.sheets.items():
            found += [f"{name}.{header}" for header in self.profile.sheets[name].unknown(sheet.headers)]
        return [*found, *self.export.others]

    def _parts(self, name: str) -> list[Rows]:
        sheet = self.fit.sheets[name]
        try:
            read = rows_of(self.profile, name, sheet)
        except Quarantined as error:
            error.format, error.ma_cskcb = error.format or self.format, self.inbox_facility
            raise
        tables = list(dict.fromkeys(part.table for part in self.profile.sheets[name].parts))
        self.sheets.append({"sheet": name, "tables": tables, "rows": read.count, "encoding": sheet.encoding})
        for rows in read.parts:
            for element, times in rows.repaired.items():
                label = f"{rows.part.table}.{element}"
                self.repaired[label] = self.repaired.get(label, 0) + times
        if read.strays:
            kinds = ", ".join(f"“{kind}”" for kind in read.kinds)
            self.found.append(
                orphans(
                    tables[-1],
                    read.strays,
                    f"bảng {name}: {read.strays} dòng thuộc loại mà mẫu ánh xạ không biết ({kinds}); không được lấy",
                    f"sheet {name}: {read.strays} rows of kinds that the mapping profile does not know ({kinds}) are "
                    "left out",
                )
            )
        return read.parts

    def _visits(self, rows: Rows, main: str) -> pa.Table:
        visits = _together([rows])
        if rows.part.once:
            first, cards, count = once_per_visit(rows.table)
            visits = visits.take(first)
            self.cards.append(cards)
            if count:
                self.found.append(differing(count, main))
        if visits.num_rows == 0:
            self._stop(
                f"Bảng {main} không có dòng nào",
                f"sheet {main} has no rows",
                "Xuất lại tệp có ít nhất một đợt điều trị",
                "export the file again with at least one episode",
            )
        if visits.num_rows > self.max_claims:
            raise Quarantined(
                "too-large",
                f"Tệp có hơn {self.max_claims} hồ sơ",
                f"the file holds more than {self.max_claims} claims",
                "Chia thành nhiều tệp nhỏ hơn rồi gửi lại",
                "send it again as several smaller files",
                format=self.format,
            )
        return visits

    def _joined(self, rows: pa.Table, claims: pd.DataFrame, name: str, table: str) -> pd.DataFrame:
        """The rows with the claims that they belong to; what belongs to none is reported, never lost silently."""
        key = rows[KEY].to_pandas().str.strip().rename("key")
        lines = pd.DataFrame({"key": key, "line": np.arange(rows.num_rows)})
        known = claims.loc[claims[KEY].notna(), ["claim", KEY]]
        main = self.profile.claim_sheet
        if (lines["key"].value_counts() * known[KEY].value_counts()).sum() > len(lines) + _MOST_SHARED:
            self._stop(
                f"MA_LK lặp lại quá nhiều lần trong bảng {main}",
                f"MA_LK are repeated too often in sheet {main}",
                "Mỗi đợt điều trị phải có một MA_LK riêng; sửa rồi gửi lại",
                "give each episode a MA_LK of its own and send it again",
            )
        pairs = lines.merge(known, left_on="key", right_on=KEY).sort_values(["claim", "line"])
        strangers = len(lines) - pairs["line"].nunique()
        if strangers:
            self.found.append(
                orphans(
                    table,
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


def _together(parts: list[Rows]) -> pa.Table:
    """Rows of one table out of several parts, with a column more for each kind of open code that one of them has."""
    marks = list(dict.fromkeys(mark for rows in parts for mark in rows.open_codes))
    tables = []
    for rows in parts:
        table = rows.table
        for mark in marks:
            column = rows.open_codes.get(mark, pa.repeat(pa.scalar(False), table.num_rows))
            source = rows.part.codes.get(mark[0], ("", ""))
            table = table.append_column(_MARK.join(("", *mark, *source)), column)
        tables.append(table)
    return pa.concat_tables(tables)


def _open_codes(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The codes of a table that are still to be found out: table, claim, row, field, value, and file and column of the
    reference data in which the facility's own codes stand ("" for codes that came as numbers)."""
    found = []
    for label in (column for column in rows.columns if column.startswith(_MARK)):
        _, field, kind, file, column = label.split(_MARK)
        where = rows[label].to_numpy(dtype=bool)
        part = pd.DataFrame({"claim": rows["claim"][where], "row": rows["row"][where], "value": rows[field][where]})
        found.append(part.assign(table=name, field=field, kind=kind, file=file, column=column))
    columns = ["table", "claim", "row", "field", "value", "kind", "file", "column"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def _keyed(rows: pa.Table, claim: np.ndarray[Any, Any], row: np.ndarray[Any, Any]) -> pd.DataFrame:
    keys = {"claim": pa.array(claim, pa.int64()), "row": pa.array(row, pa.int64())}
    return frame(pa.table({**keys, **{name: rows[name] for name in rows.column_names}}))
