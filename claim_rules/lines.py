"""Claims and their lines with exact numbers: what the benefit law and the rules compute on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from claim_rules import law, money
from claim_rules.frames import ClaimTables, line_numbers, stripped

LINE_TABLES = ("XML2", "XML3")

_AMOUNTS = (
    "THANH_TIEN_BV",
    "THANH_TIEN_BH",
    "T_NGUONKHAC_NSNN",
    "T_NGUONKHAC_VTNN",
    "T_NGUONKHAC_VTTN",
    "T_NGUONKHAC_CL",
    "T_NGUONKHAC",
    "T_BNTT",
    "T_BNCCT",
    "T_BHTT",
)
LINE_NUMBERS = {
    "SO_LUONG": money.PRICE_DECIMALS,
    "DON_GIA_BV": money.PRICE_DECIMALS,
    "DON_GIA_BH": money.PRICE_DECIMALS,
    "TYLE_TT_DV": money.RATE_DECIMALS,
    "TYLE_TT_BH": money.RATE_DECIMALS,
    "MUC_HUONG": money.RATE_DECIMALS,
    **dict.fromkeys(_AMOUNTS, money.AMOUNT_DECIMALS),
}
"""Number columns of the lines and their decimals (see claim_rules.money for the units)."""

LINE_TEXTS = (
    "MA_THUOC",
    "MA_DICH_VU",
    "MA_VAT_TU",
    "GOI_VTYT",
    "MA_HIEU_SP",
    "MA_NHOM",
    "PHAM_VI",
    "NGAY_YL",
    "MA_PTTT",
)

CLAIM_NUMBERS = (
    "T_THUOC",
    "T_VTYT",
    "T_TONGCHI_BV",
    "T_TONGCHI_BH",
    "T_BNTT",
    "T_BNCCT",
    "T_BHTT",
    "T_NGUONKHAC",
    "T_BHTT_GDV",
)

_FULL = 10000  # 100 % in 1/100 percent


@dataclass
class ClaimLines:
    """The claims of a delivery, ready for computing.

    visits: one row per claim that has an XML1 row, index = position of the claim; all XML1 elements as text (NA
        became ""), `decision`, `inpatient` (bool), `day_in`, `day_out` (yyyymmdd text), `lines` (number of XML2 and
        XML3 rows), and for each of CLAIM_NUMBERS its value in 1/100 đồng (Int64, NA if blank) as `<name>#`.
    lines: XML2 and XML3 rows of those claims in one frame: claim, table, row, line (the number a report shows),
        LINE_TEXTS as text, `day` (yyyymmdd of NGAY_YL) and LINE_NUMBERS as int64, 0 where blank. XML2.DON_GIA stands
        in both price columns; TYLE_TT_DV is 100 % for XML2 and where blank.
    present: frame of bool, same index as lines: which of LINE_NUMBERS were really there.
    """

    visits: pd.DataFrame
    lines: pd.DataFrame
    present: pd.DataFrame

    def visit(self, column: str) -> pd.Series:
        """A column of visits, aligned with the lines."""
        own = self.visits[column]
        return self.lines["claim"].map(own).astype(own.dtype)

    def sums(self, column: str) -> pd.Series:
        """Sum of a number column of the lines for each visit (int64, index of visits)."""
        return self.lines.groupby("claim")[column].sum().reindex(self.visits.index, fill_value=0)

    def only(self, claims: pd.Index | set[int]) -> ClaimLines:
        """Restricted to some claim positions."""
        visits = self.visits[self.visits.index.isin(claims)]
        keep = self.lines["claim"].isin(visits.index)
        return ClaimLines(visits, self.lines[keep], self.present[keep])


def _text(frame: pd.DataFrame, name: str) -> pd.Series:
    if name in frame.columns:
        return stripped(frame[name])
    return pd.Series([""] * len(frame), index=frame.index, dtype="str")


def _sent(frame: pd.DataFrame, name: str) -> pd.Series:
    return frame[name] if name in frame.columns else pd.Series("", index=frame.index, dtype="str")


def _one_table(tables: ClaimTables, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    frame = tables[name]
    out = pd.DataFrame({"claim": frame["claim"], "row": frame["row"], "line": line_numbers(frame)})
    out.insert(1, "table", name)
    for column in LINE_TEXTS:
        out[column] = _text(frame, column)
    numbers, known = {}, {}
    for decimals in set(LINE_NUMBERS.values()):
        names = [column for column, own in LINE_NUMBERS.items() if own == decimals]
        texts = pd.DataFrame(
            {
                column: _sent(frame, "DON_GIA" if name == "XML2" and column.startswith("DON_GIA") else column)
                for column in names
            }
        )
        numbers[decimals], known[decimals] = money.parse_columns(texts, decimals)
    parsed, present = (pd.concat(list(parts.values()), axis=1)[list(LINE_NUMBERS)] for parts in (numbers, known))
    out = pd.concat([out, parsed], axis=1)
    blank_share = ~present["TYLE_TT_DV"]
    out.loc[blank_share, "TYLE_TT_DV"] = _FULL
    present["TYLE_TT_DV"] = True
    return out, present


def kind_of_care(code: pd.Series, decision: pd.Series) -> pd.Series:
    """MA_LOAI_KCB with its two digits (str, aligned): Decision 130 has it as a number, 3 for 03."""
    return code.where((decision != "130") | ~code.str.fullmatch("[0-9]"), "0" + code)


def build(tables: ClaimTables) -> ClaimLines:
    """Numbers of all readable claims. Where XML1 has several rows for a claim the first stands for it."""
    readable = tables.claims[tables.claims["readable"]].set_index("claim")
    head = tables.tables.get("XML1")
    if head is None:
        visits = pd.DataFrame(index=pd.Index([], dtype="int64", name="claim"))
        head = pd.DataFrame({"claim": pd.Series([], dtype="int64")})
    first = head[head["claim"].isin(readable.index)].drop_duplicates("claim").set_index("claim")
    visits = pd.DataFrame({name: stripped(first[name]) for name in first.columns if name != "row"}, index=first.index)
    from claim_rules import dictionary

    for name in dictionary.table("XML1").names:
        if name not in visits.columns:
            visits[name] = pd.Series([""] * len(visits), index=visits.index, dtype="str")
    visits["decision"] = readable["decision"].reindex(visits.index)
    visits["facility"] = readable["MA_CSKCB"].reindex(visits.index).fillna("")
    visits["MA_LOAI_KCB"] = kind_of_care(visits["MA_LOAI_KCB"], visits["decision"])
    visits["inpatient"] = visits["MA_LOAI_KCB"].isin(law.load("inpatient")["codes"])
    visits["day_in"] = visits["NGAY_VAO"].str[:8]
    visits["day_out"] = visits["NGAY_RA"].str[:8]
    totals, known = money.parse_columns(visits[list(CLAIM_NUMBERS)], money.AMOUNT_DECIMALS)
    for name in CLAIM_NUMBERS:
        visits[f"{name}#"] = totals[name].astype("Int64").where(known[name])
    parts = [_one_table(tables, name) for name in LINE_TABLES if name in tables]
    if not parts:
        empty = ClaimTables(
            tables.claims,
            {"XML2": pd.DataFrame({"claim": pd.Series([], dtype="int64"), "row": pd.Series([], dtype="int64")})},
        )
        parts = [_one_table(empty, "XML2")]
    lines = pd.concat([part[0] for part in parts], ignore_index=True)
    present = pd.concat([part[1] for part in parts], ignore_index=True)
    keep = lines["claim"].isin(visits.index).to_numpy()
    lines, present = lines[keep], present[keep]
    order = np.lexsort((lines["row"].to_numpy(), lines["table"].to_numpy(dtype="str"), lines["claim"].to_numpy()))
    lines, present = lines.iloc[order].reset_index(drop=True), present.iloc[order].reset_index(drop=True)
    lines["day"] = lines["NGAY_YL"].str[:8]
    visits["lines"] = lines.groupby("claim").size().reindex(visits.index, fill_value=0).astype("int64")
    return ClaimLines(visits, lines, present)
