"""The profile of one delivery, from the claim tables in its working folder: cells of counts and sums, by month.

No personal data: counts, sums and codes. What does not look like a code (a name in the place of a licence number, say)
is counted under "?".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from claim_pipeline.workspace import Workspace
from claim_rules import law, money
from claim_rules.frames import ClaimTables
from claim_rules.statistics import cells
from claim_rules.statistics.drift import DOCTOR, MACHINE
from claim_rules.statistics.indicators import (
    ANTIBIOTIC,
    COST,
    DRUGS,
    PRICE,
    QUANTITY,
    ROUTE,
    STAY,
    TREATED,
    VISITS,
    is_antibiotic,
)  # fmt: skip

VERSION = 1
"""Of what a profile holds. A delivery whose profile has another version is profiled again."""

ROWS, BLANK, CHARGE, LINES, ICD, GROUP, SPENT = "rows", "blank", "charge", "lines", "icd", "group", "spent"
UNREADABLE = "unreadable"
MEASURES = {
    ROWS: "rows of each claim table",
    BLANK: "rows in which a field (TABLE.FIELD) is absent or empty",
    VISITS: "claims by MA_LOAI_KCB",
    COST: "T_BHTT of a claim by MA_LOAI_KCB, 1/100 đồng",
    CHARGE: "T_TONGCHI_BH of a claim by MA_LOAI_KCB, 1/100 đồng",
    STAY: "nights from NGAY_VAO to NGAY_RA by MA_LOAI_KCB",
    LINES: "rows of XML2 and XML3 of a claim by MA_LOAI_KCB",
    ROUTE: "claims by MA_DOITUONG_KCB",
    ICD: "claims by the first three characters of MA_BENH_CHINH",
    TREATED: "claims with drugs, and with antibiotics",
    GROUP: "T_BHTT of a line by MA_NHOM, 1/100 đồng",
    PRICE: "DON_GIA (XML3: DON_GIA_BH) of a line by table and code, 1/1000 đồng",
    QUANTITY: "SO_LUONG of a line by table and code, 1/1000",
    SPENT: "THANH_TIEN_BH of a line by table and code, 1/100 đồng",
    DOCTOR: "examination lines by the first MA_BAC_SI and day; bucket: the hour, -1 unknown",
    MACHINE: "lines by each MA_MAY and day",
    UNREADABLE: "numbers that are none, are negative or absurdly large, by field",
}
"""What is kept, and in which unit. A drug's code is MA_THUOC with SO_DANG_KY: one number stands for many products."""

_CODE = r"^[0-9A-Za-zĐđ][0-9A-Za-zĐđ._/+()*-]{0,39}$"
_LARGEST = 10**13  # 100 billion đồng; sums of a million of them still fit 64 bits
_NO_HOUR = -1
_SPLIT = ("XML2", "XML3")


def by_month(ws: Workspace, standing: Collection[int] | None = None, claims: int = 5_000) -> dict[str, pd.DataFrame]:
    """Profiles of the readable claims of a delivery by month of NGAY_RA (yyyymm), as claim_rules.statistics.cells.

    standing: positions of the claims that count (their newest version is this one); None: all. claims: how many are
    held in memory at once. A claim without a readable NGAY_RA belongs to no month.
    """
    out: dict[str, pd.DataFrame] = {}
    for tables in ws.chunks(claims):
        for month, part in of_tables(tables, standing).items():
            out[month] = cells.merge([out[month], part]) if month in out else part
    return out


def of_tables(tables: ClaimTables, standing: Collection[int] | None = None) -> dict[str, pd.DataFrame]:
    """As `by_month`, of claim tables in memory."""
    wanted = tables.claims[tables.claims["readable"].astype("bool")]
    if standing is not None:
        wanted = wanted[wanted["claim"].isin(list(standing))]
    if "XML1" not in tables or wanted.empty:
        return {}
    head = tables["XML1"]
    head = head[head["claim"].isin(wanted["claim"])].drop_duplicates("claim")
    month = _text(head, "NGAY_RA").str.slice(0, 6)
    known = month.str.fullmatch(r"20[0-9]{2}(0[1-9]|1[0-2])").to_numpy(dtype="bool")
    if not known.any():
        return {}
    of_claim = pd.Series(month[known].to_numpy(), index=head.loc[known, "claim"].to_numpy())
    parts = pd.concat([*_visits(head[known]), *_tables(tables, of_claim), *_lines(tables, of_claim, head[known])])
    parts["month"] = parts["claim"].map(of_claim)
    parts = parts[parts["month"].notna()]
    sums = parts.groupby(["month", *cells.KEYS], as_index=False, sort=True)[["n", "total"]].sum()
    return {
        str(name): part[list(cells.CELL_COLUMNS)].reset_index(drop=True).astype(cells.CELL_COLUMNS)
        for name, part in sums.groupby("month")
    }


def _text(frame: pd.DataFrame, name: str) -> pd.Series:
    if name not in frame.columns:
        return pd.Series("", index=frame.index, dtype="str")
    return frame[name].fillna("").str.strip()


def _code(texts: pd.Series) -> pd.Series:
    """Codes as keys; "" where blank, "?" where it is no code."""
    return texts.where((texts == "") | texts.str.fullmatch(_CODE), "?")


def _values(
    measure: str, claim: pd.Series, key: pd.Series, values: npt.NDArray[np.int64], keep: npt.NDArray[np.bool_]
) -> pd.DataFrame:
    """One row per value that counts: claim, measure, key, bucket, n = 1, total."""
    return pd.DataFrame(
        {
            "claim": claim.to_numpy()[keep],
            "measure": measure,
            "key": key.to_numpy()[keep],
            "bucket": cells.buckets(values[keep]),
            "n": 1,
            "total": values[keep],
        }
    )


def _count(measure: str, claim: Any, key: Any, bucket: Any = 0) -> pd.DataFrame:
    return pd.DataFrame({"claim": claim, "measure": measure, "key": key, "bucket": bucket, "n": 1, "total": 0})


def _numbers(frame: pd.DataFrame, name: str, decimals: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Numbers of a field and which of them count (there, not negative, not absurd)."""
    parsed = money.parse(_text(frame, name), decimals)
    numbers = parsed.to_numpy(dtype=np.int64, na_value=-1)
    return numbers, (numbers >= 0) & (numbers <= _LARGEST)


def _amounts(
    frame: pd.DataFrame, name: str, decimals: int, measure: str, key: pd.Series, table: str
) -> Iterator[pd.DataFrame]:
    numbers, good = _numbers(frame, name, decimals)
    yield _values(measure, frame["claim"], key, numbers, good)
    bad = ~good & (_text(frame, name) != "").to_numpy()
    if bad.any():
        yield _count(UNREADABLE, frame["claim"].to_numpy()[bad], f"{table}.{name}")


def _visits(head: pd.DataFrame) -> Iterator[pd.DataFrame]:
    claim = head["claim"]
    kind = _code(_text(head, "MA_LOAI_KCB"))
    yield _count(VISITS, claim, kind)
    yield from _amounts(head, "T_BHTT", money.AMOUNT_DECIMALS, COST, kind, "XML1")
    yield from _amounts(head, "T_TONGCHI_BH", money.AMOUNT_DECIMALS, CHARGE, kind, "XML1")
    arrived, left = (
        pd.to_datetime(_text(head, name).str.slice(0, 8), format="%Y%m%d", errors="coerce")
        for name in ("NGAY_VAO", "NGAY_RA")
    )
    nights: Any = (left - arrived).dt.days.fillna(-1).to_numpy(dtype=np.int64)
    yield _values(STAY, claim, kind, nights, nights >= 0)
    yield _count(ROUTE, claim, _code(_text(head, "MA_DOITUONG_KCB")))
    yield _count(ICD, claim, _code(_text(head, "MA_BENH_CHINH").str.slice(0, 3)))


def _tables(tables: ClaimTables, of_claim: pd.Series) -> Iterator[pd.DataFrame]:
    """Rows of each table, and blank cells of each field, already summed by month under any claim of it."""
    months, first = np.unique(of_claim.to_numpy(dtype="str"), return_index=True)
    place = pd.Series(np.searchsorted(months, of_claim.to_numpy(dtype="str")), index=of_claim.index)
    speaker = of_claim.index.to_numpy()[first]
    for table, frame in tables.items():
        month = frame["claim"].map(place)
        inside = month.notna().to_numpy()
        if not inside.any():
            continue
        month_of_row = month[inside].astype("int64").to_numpy()
        rows = np.bincount(month_of_row, minlength=len(months))
        out = [_summed(ROWS, speaker, table, rows)]
        everything = bool(inside.all())
        for name in frame.columns:
            if name in ("claim", "row"):
                continue
            array = pa.Array.from_pandas(frame[name])
            blank = pc.fill_null(pc.equal(array, ""), True).to_numpy(zero_copy_only=False)
            if not everything:
                blank = blank[inside]
            if blank.any():
                counts = np.bincount(month_of_row[blank], minlength=len(months))
                out.append(_summed(BLANK, speaker, f"{table}.{name}", counts))
        yield pd.concat(out, ignore_index=True)


def _summed(measure: str, speaker: Any, key: str, counts: npt.NDArray[np.int64]) -> pd.DataFrame:
    some = counts > 0
    frame = _count(measure, speaker[some], key)
    frame["n"] = counts[some]
    return frame


def _lines(tables: ClaimTables, of_claim: pd.Series, head: pd.DataFrame) -> Iterator[pd.DataFrame]:
    kinds = pd.Series(_code(_text(head, "MA_LOAI_KCB")).to_numpy(), index=head["claim"].to_numpy())
    lines = pd.Series(0, index=of_claim.index)
    for table in _SPLIT:
        if table not in tables:
            continue
        frame = tables[table]
        frame = frame[frame["claim"].isin(of_claim.index)]
        lines = lines.add(frame["claim"].value_counts(), fill_value=0)
        yield from _amounts(frame, "T_BHTT", money.AMOUNT_DECIMALS, GROUP, _code(_text(frame, "MA_NHOM")), table)
        key = table + " " + _item(frame, table)
        coded = (key != f"{table} ").to_numpy()
        price = "DON_GIA" if table == "XML2" else "DON_GIA_BH"
        for measure, name, decimals in (
            (PRICE, price, money.PRICE_DECIMALS),
            (QUANTITY, "SO_LUONG", money.PRICE_DECIMALS),
            (SPENT, "THANH_TIEN_BH", money.AMOUNT_DECIMALS),
        ):
            yield from _amounts(frame[coded], name, decimals, measure, key[coded], table)
        if table == "XML2":
            yield from _treated(frame)
        else:
            yield from _loads(frame)
    counts = lines.astype("int64")
    each: Any = counts.to_numpy(dtype=np.int64)
    yield _values(LINES, counts.index.to_series(), kinds.reindex(counts.index), each, each >= 0)


def _item(frame: pd.DataFrame, table: str) -> pd.Series:
    if table == "XML2":
        code, number = _code(_text(frame, "MA_THUOC")), _code(_text(frame, "SO_DANG_KY"))
        return (code + " " + number).str.strip()
    # a supply used in an operation names the operation too
    code = _text(frame, "MA_VAT_TU")
    return _code(code.where(code != "", _text(frame, "MA_DICH_VU")))


def _treated(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    antibiotic = _text(frame, "MA_THUOC").map(is_antibiotic)
    yield _count(TREATED, frame["claim"].unique(), DRUGS)
    yield _count(TREATED, frame.loc[antibiotic.to_numpy(dtype="bool"), "claim"].unique(), ANTIBIOTIC)


def _loads(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    known = law.load("exam_ladder")
    at = _text(frame, "NGAY_TH_YL")
    at = at.where(at != "", _text(frame, "NGAY_YL"))
    dated = at.str.fullmatch(r"20[0-9]{6}([01][0-9]|2[0-3])[0-5][0-9]")
    hour = pd.to_numeric(at.str.slice(8, 10).where(dated & (at.str.slice(8, 12) != "0000")), errors="coerce")
    hour = hour.fillna(_NO_HOUR).astype("int64")
    name = _text(frame, "TEN_DICH_VU").str.lower()
    exam = dated & (_text(frame, "MA_NHOM") == known["group"])
    for word in known["not_examinations"]:
        exam &= ~name.str.startswith(word)
    doctor = _code(_text(frame, "MA_BAC_SI").str.split(";").str[0].fillna("").str.strip())
    exam = (exam & (doctor != "")).to_numpy(dtype="bool")
    day = at.str.slice(0, 8)
    yield _count(DOCTOR, frame.loc[exam, "claim"], (doctor + " " + day)[exam], hour[exam])
    machines = _text(frame, "MA_MAY")
    used = (dated & (machines != "")).to_numpy(dtype="bool")
    each = pd.DataFrame({"claim": frame["claim"], "day": day, "machine": machines.str.split(";")})[used]
    each = each.explode("machine")
    each["machine"] = _code(each["machine"].fillna("").str.strip())
    each = each[each["machine"] != ""]
    yield _count(MACHINE, each["claim"], each["machine"] + " " + each["day"])
