"""What a line and a claim amount to, and who pays which part (benefit law, steps 5 and 6)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from claim_rules import law, money, options
from claim_rules.benefit import supplies
from claim_rules.benefit.card_groups import holds_group
from claim_rules.benefit.rates import FULL, expected_rates
from claim_rules.frames import ClaimTables, stripped
from claim_rules.lines import CLAIM_NUMBERS, LINE_NUMBERS, LINE_TABLES, ClaimLines, build

PRICE_TO_AMOUNT = 10_000  # (1/1000 × 1/1000) -> 1/100


def in_scope_amount(lines: pd.DataFrame) -> pd.Series:
    """THANH_TIEN_BH by the law: quantity × insured price × TYLE_TT_DV × TYLE_TT_BH, rounded once (int64)."""
    amount = money.product(
        lines["SO_LUONG"],
        lines["DON_GIA_BH"],
        lines["TYLE_TT_DV"],
        lines["TYLE_TT_BH"],
        divisor=PRICE_TO_AMOUNT * FULL * FULL,
    )
    return pd.Series(amount, index=lines.index)


def priced_amount(lines: pd.DataFrame) -> money.Ints:
    """Quantity × insured price × TYLE_TT_DV, before TYLE_TT_BH."""
    return money.product(lines["SO_LUONG"], lines["DON_GIA_BH"], lines["TYLE_TT_DV"], divisor=PRICE_TO_AMOUNT * FULL)


def supported_amount(lines: pd.DataFrame) -> pd.Series:
    """In-scope amount where other sources came off the total before TYLE_TT_BH: support to the facility (step 5 b)."""
    total = priced_amount(lines) - lines["T_NGUONKHAC"].to_numpy()
    return pd.Series(money.product(total, lines["TYLE_TT_BH"], divisor=FULL), index=lines.index)


def supported(lines: pd.DataFrame, chosen: options.Options | None = None) -> pd.Series:
    """Lines whose THANH_TIEN_BH shows that other sources were support to the facility (bool): within the tolerance of
    `supported_amount`, below the amount without it; none where option facility_support does not accept it."""
    claimed, tolerance = lines["THANH_TIEN_BH"], int(law.load("tolerance")["line_amount"]["value"])
    out = (lines["T_NGUONKHAC"] > 0) & (options.resolve(chosen)["facility_support"] == "before-rate")
    if out.any():
        out &= (claimed - supported_amount(lines)).abs() <= tolerance
        out &= in_scope_amount(lines) - claimed > tolerance
    return out


def full_price_amount(claims: ClaimLines) -> pd.Series:
    """In-scope amount before TYLE_TT_BH of each covered line (int64): the other reading of S in the 15 % test."""
    amount = pd.Series(priced_amount(claims.lines), index=claims.lines.index)
    return amount.where(covered(claims), 0)


def hospital_amounts(lines: pd.DataFrame) -> pd.DataFrame:
    """The three readings of THANH_TIEN_BV (int64): v1 quantity × own price × TYLE_TT_DV (4750, 3176); v2 the own price
    less what the special rate takes off the insured part; v0 quantity × own price (XML2, and XML3 under 130)."""
    v0 = money.product(lines["SO_LUONG"], lines["DON_GIA_BV"], divisor=PRICE_TO_AMOUNT)
    v1 = money.product(lines["SO_LUONG"], lines["DON_GIA_BV"], lines["TYLE_TT_DV"], divisor=PRICE_TO_AMOUNT * FULL)
    taken = money.product(
        lines["SO_LUONG"], lines["DON_GIA_BH"], FULL - lines["TYLE_TT_DV"], divisor=PRICE_TO_AMOUNT * FULL
    )
    return pd.DataFrame({"v0": v0, "v1": v1, "v2": v0 - taken}, index=lines.index)


def split(bv: pd.Series, bh: pd.Series, rate: pd.Series, other: pd.Series) -> pd.DataFrame:
    """Splits a line (all int64): T_BHTT, T_BNCCT, T_BNTT, by the waterfall for support given to one patient.

    bv, bh, other: 1/100 đồng (THANH_TIEN_BV, THANH_TIEN_BH, T_NGUONKHAC); rate: 1/100 percent. Other money is taken off
    self-payment first, then co-payment, then the fund's share. The field notes define the split for 0 < other < bv;
    what bears a whole line leaves nothing to pay (the limit of T_BHTT in XML3 field 30 has no such bound), and other
    money below 0 adds nothing.
    """
    fund = money.product(bh, rate, divisor=FULL)
    co_payment = bh.to_numpy() - fund
    own = np.maximum(bv.to_numpy() - bh.to_numpy(), 0)
    left = np.maximum(other.to_numpy(), 0)
    out = {}
    for name, part in (("T_BNTT", own), ("T_BNCCT", co_payment), ("T_BHTT", fund)):
        taken = np.minimum(left, np.maximum(part, 0))
        out[name] = part - taken
        left = left - taken
    return pd.DataFrame(out, index=bv.index)


def covered(claims: ClaimLines) -> pd.Series:
    """Lines in scope of the insurance (bool): not PHAM_VI 2, and PHAM_VI 3 only for cards of the armed forces."""
    scope = claims.lines["PHAM_VI"]
    return (scope != "2") & ((scope != "3") | claims.lines["claim"].map(of_forces(claims.visits)).astype("bool"))


def of_forces(visits: pd.DataFrame) -> pd.Series:
    """Visits with a card of army, police or cipher staff, for whom more than the list is paid (bool)."""
    return holds_group(visits, law.load("card_rates")["out_of_list_groups"]["codes"])


def supply_lines(lines: pd.DataFrame) -> pd.Series:
    """XML3 rows that are supplies (bool): MA_NHOM 10 or 11, or a supply code."""
    return (lines["table"] == "XML3") & (lines["MA_NHOM"].isin(["10", "11"]) | (lines["MA_VAT_TU"] != ""))


def claim_totals(claims: ClaimLines) -> pd.DataFrame:
    """XML1 totals from the lines (int64 1/100 đồng, columns CLAIM_NUMBERS, index of visits; benefit law, step 6)."""
    lines = claims.lines
    parts = {
        "T_THUOC": ("THANH_TIEN_BV", lines["table"] == "XML2"),
        "T_VTYT": ("THANH_TIEN_BV", supply_lines(lines)),
        "T_TONGCHI_BV": ("THANH_TIEN_BV", None),
        "T_TONGCHI_BH": ("THANH_TIEN_BH", None),
        "T_BNTT": ("T_BNTT", None),
        "T_BNCCT": ("T_BNCCT", None),
        "T_BHTT": ("T_BHTT", None),
        "T_NGUONKHAC": ("T_NGUONKHAC", None),
        "T_BHTT_GDV": ("T_BHTT", lines["MA_PTTT"] == "1"),
    }
    out = {}
    for name in CLAIM_NUMBERS:
        column, where = parts[name]
        values = lines[column] if where is None else lines[column].where(where, 0)
        out[name] = values.groupby(lines["claim"]).sum().reindex(claims.visits.index, fill_value=0)
    return pd.DataFrame(out)


def fill_amounts(tables: ClaimTables, chosen: options.Options | None = None) -> ClaimTables:
    """Fills what a record system left out: amounts, MUC_HUONG and splits of lines, totals of XML1.

    Only cells that are blank or absent are filled; everything that was sent stays. A package of supplies above the
    45-month cap gets its share of the cap (supplies.capped). Where the route leaves the rate open (see
    REFERRAL_REASONS) the card's rate is used and the claim will be referred. Returns new tables.
    """
    claims = build(tables)
    lines, present = claims.lines.copy(), claims.present
    claims = ClaimLines(claims.visits, lines, present)
    full_price = (lines["table"] == "XML2") | (claims.visit("decision") == "130")
    readings = hospital_amounts(lines)
    _fill(lines, present, "THANH_TIEN_BV", readings["v1"].mask(full_price, readings["v0"]))
    in_scope = in_scope_amount(lines).where(covered(claims), 0)
    if options.resolve(chosen)["supply_cap"] == "A":
        in_scope = supplies.capped(claims, in_scope)
    _fill(lines, present, "THANH_TIEN_BH", in_scope)
    expected = expected_rates(claims, chosen)
    _fill(lines, present, "MUC_HUONG", expected.rate.fillna(expected.base).fillna(0).astype("int64"))
    for name in ("T_NGUONKHAC_NSNN", "T_NGUONKHAC_VTNN", "T_NGUONKHAC_VTTN", "T_NGUONKHAC_CL"):
        _fill(lines, present, name, pd.Series(0, index=lines.index))
    parts = [name for name in LINE_NUMBERS if name.startswith("T_NGUONKHAC_")]
    _fill(lines, present, "T_NGUONKHAC", lines[parts].sum(axis=1))
    shares = split(lines["THANH_TIEN_BV"], lines["THANH_TIEN_BH"], lines["MUC_HUONG"], lines["T_NGUONKHAC"])
    for name in ("T_BNTT", "T_BNCCT", "T_BHTT"):
        _fill(lines, present, name, shares[name])
    filled = dict(tables.tables)
    for name in LINE_TABLES:
        if name in tables:
            filled[name] = _write_back(tables[name], lines[lines["table"] == name])
    if "XML1" in tables:
        filled["XML1"] = _write_totals(tables["XML1"], claim_totals(claims))
    return ClaimTables(tables.claims, filled, tables.unknown)


def _fill(lines: pd.DataFrame, present: pd.DataFrame, name: str, values: pd.Series) -> None:
    lines[name] = lines[name].where(present[name], values).astype("int64")


_COMPUTED = (
    "THANH_TIEN_BV",
    "THANH_TIEN_BH",
    "MUC_HUONG",
    *(name for name in LINE_NUMBERS if name.startswith("T_NGUONKHAC")),
    "T_BNTT",
    "T_BNCCT",
    "T_BHTT",
)


def _write_back(frame: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    out = frame.copy()
    key = pd.MultiIndex.from_frame(frame[["claim", "row"]])
    place = pd.Series(range(len(lines)), index=pd.MultiIndex.from_frame(lines[["claim", "row"]]))
    where = place.reindex(key).to_numpy(dtype="float64", na_value=np.nan)
    known = ~np.isnan(where)
    at = where[known].astype("int64")
    for name in _COMPUTED:
        blank = stripped(frame[name]) == ""
        if not blank.any():
            continue
        if name == "MUC_HUONG":
            number = money.rate_texts(lines[name]).reset_index(drop=True)
        else:
            number = money.text(lines[name], LINE_NUMBERS[name]).reset_index(drop=True)
        values = pd.Series(pd.NA, index=frame.index, dtype="str")
        values[known] = number.iloc[at].to_numpy()
        out[name] = frame[name].where(~blank | values.isna(), values)
    return out


def _write_totals(frame: pd.DataFrame, totals: pd.DataFrame) -> pd.DataFrame:
    out = frame.copy()
    for name in CLAIM_NUMBERS:
        blank = stripped(frame[name]) == ""
        if blank.any():
            number = money.text(totals[name], money.AMOUNT_DECIMALS)
            values = frame["claim"].map(number)
            out[name] = frame[name].where(~blank | values.isna(), values)
    return out
