"""The benefit law: at which rate a line is covered, what the fund pays and what the patient pays.

Amounts are integers in 1/100 đồng, prices and quantities in 1/1000, rates in 1/100 percent (claim_rules.money).
Source: Law on Health Insurance Art 22 (amended by Law 51/2024), Decree 188/2025/ND-CP, field notes of
Decisions 130, 4750 and 3176.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from claim_rules import law, money
from claim_rules.frames import ClaimTables
from claim_rules.lines import CLAIM_NUMBERS, LINE_NUMBERS, LINE_TABLES, ClaimLines, build

FULL = 10000  # 100 %
PRICE_TO_AMOUNT = 10_000  # (1/1000 × 1/1000) -> 1/100
ROUTE_UNKNOWN = "route-unknown"
ROUTE_NO_FACTOR = "route-without-factor"
ROUTE_PARENT_CASE = "route-of-another-case"
RATE_ROUNDING = "rate-with-decimal-in-three-characters"

REFERRAL_REASONS = {
    ROUTE_UNKNOWN: ("Mã đối tượng đến KCB không có trong danh mục", "the visit entitlement code is not in the list"),
    ROUTE_NO_FACTOR: (
        "Pháp luật không quy định hệ số cho mã đối tượng này với hình thức KCB này",
        "the law gives no factor for this visit entitlement and kind of care",
    ),
    ROUTE_PARENT_CASE: (
        "Mức hưởng theo một hồ sơ khác (nhận thuốc hộ, chuyển thuốc, thu hồi)",
        "the rate follows another claim (drugs collected or forwarded, recall)",
    ),
    RATE_ROUNDING: (
        "Mức hưởng có số lẻ (47,5 %) nhưng hồ sơ ghi số nguyên",
        "the rate has a decimal (47.5 %) but the claim states an integer",
    ),
}
"""Reasons for which a person must look, with the words a page shows (Vietnamese, English)."""


@cache
def _route_table() -> dict[tuple[str, bool], law.Dated]:
    """(code, inpatient) -> factor in percent or "full", by date."""
    out = {}
    for name, group in law.load("route_factors")["groups"].items():
        for inpatient, key in ((True, "inpatient"), (False, "outpatient")):
            if key in group:
                for code in group["codes"]:
                    out[code, inpatient] = law.dated(name, group[key])
    return out


def route_factors(visits: pd.DataFrame) -> pd.DataFrame:
    """Route factor of each visit (benefit law, step 2).

    visits: MA_DOITUONG_KCB, inpatient, day_out. Returns, same index: factor (Int64 percent, NA without one),
    full (bool: 100 % whatever the card), referral (reason why there is no factor, or "").
    """
    table = _route_table()
    parent = set(law.load("route_factors")["parent_case"]["codes"])
    known = {code for code, _ in table}
    keys = visits[["MA_DOITUONG_KCB", "inpatient", "day_out"]].drop_duplicates()
    rows = []
    for code, inpatient, day in keys.itertuples(index=False, name=None):
        value, reason = None, ""
        if code in parent:
            reason = ROUTE_PARENT_CASE
        elif code not in known:
            reason = ROUTE_UNKNOWN
        else:
            value = table[code, inpatient].at(day) if (code, inpatient) in table else None
            reason = "" if value is not None else ROUTE_NO_FACTOR
        full = value == "full"
        rows.append((code, inpatient, day, 100 if full else value, full, reason))
    lookup = pd.DataFrame(rows, columns=[*keys.columns, "factor", "full", "referral"])
    lookup["factor"] = lookup["factor"].astype("Int64")
    for column in ("MA_DOITUONG_KCB", "day_out", "referral"):
        lookup[column] = lookup[column].astype("str")
    lookup["inpatient"] = lookup["inpatient"].astype("bool")
    lookup["full"] = lookup["full"].astype("bool")
    out = visits[["MA_DOITUONG_KCB", "inpatient", "day_out"]].merge(lookup, how="left")
    out.index = visits.index
    return out[["factor", "full", "referral"]]


def cards(visits: pd.DataFrame) -> pd.DataFrame:
    """The cards of each visit, one row per item of the `;` list MA_THE_BHYT.

    Returns claim, position, card, valid_from, valid_to (yyyymmdd text, "" if not given), rate (Int64, 1/100 percent,
    NA where the third character says nothing), by the digit and the groups covered in full on NGAY_RA.
    """
    rates = law.load("card_rates")
    lists = {
        "card": visits["MA_THE_BHYT"],
        "valid_from": visits["GT_THE_TU"],
        "valid_to": visits["GT_THE_DEN"],
    }
    split = {name: column.str.split(";") for name, column in lists.items()}
    counts = (lists["card"].str.count(";") + 1).to_numpy(dtype="int64")
    owner = np.repeat(visits.index.to_numpy(), counts)
    position = np.concatenate([np.arange(n) for n in counts]) if len(counts) else np.empty(0, dtype="int64")
    out = pd.DataFrame({"claim": owner, "position": position, "card": split["card"].explode().to_numpy()})
    out["claim"] = out["claim"].astype("int64")
    out["card"] = out["card"].astype("str").str.strip()
    for name in ("valid_from", "valid_to"):
        items = split[name].explode()
        frame = pd.DataFrame({"claim": items.index, name: items.to_numpy()})
        frame["position"] = frame.groupby("claim").cumcount()
        out = out.merge(frame, on=["claim", "position"], how="left")
        out[name] = out[name].fillna("").astype("str").str.strip()
    digit = out["card"].str.slice(2, 3)
    rate = digit.map({key: value * 100 for key, value in rates["digits"].items()}).astype("Int64")
    day_out = out["claim"].map(visits["day_out"]).astype("str")
    for group in rates["full_cover_groups"]:
        inside = out["card"].str.startswith(group["prefix"] + group["digit"])
        rate = rate.mask(inside & (day_out >= str(group["from"]).replace("-", "")), FULL)
    out["rate"] = rate
    return out[out["card"] != ""].reset_index(drop=True)


def base_rates(claims: ClaimLines) -> pd.Series:
    """Base rate b of each line from the cards of its claim on the day of the order (Int64, aligned with lines).

    With several cards the highest of those valid on that day counts (Decree 188/2025 Art 21); if none is, the
    highest of all (an expired card is judged by its own rules). NA without a card that has a rate.
    """
    held = cards(claims.visits)
    several = held.groupby("claim")["card"].transform("size") > 1
    highest = held.groupby("claim")["rate"].max()
    out = claims.lines["claim"].map(highest).astype("Int64")
    if several.any():
        mine = claims.lines.loc[claims.lines["claim"].isin(held.loc[several, "claim"]), ["claim", "day"]].reset_index()
        pairs = mine.merge(held, on="claim")
        valid = (pairs["valid_from"] <= pairs["day"]) & (
            (pairs["valid_to"] == "") | (pairs["day"] <= pairs["valid_to"])
        )
        of_day = pairs[valid].groupby("index")["rate"].max()
        out.loc[of_day.index] = of_day
    return out


@dataclass
class Expected:
    """What the benefit law expects of each claim.

    rate: Int64 (1/100 percent) aligned with lines, NA where it cannot be told. base: the same before the route factor.
    in_scope: S, sum of THANH_TIEN_BH, and threshold: the 15 % limit, both int64 1/100 đồng by visit; small: S < limit.
    referral: reason by visit why a person must look, or "".
    """

    rate: pd.Series
    base: pd.Series
    in_scope: pd.Series
    threshold: pd.Series
    small: pd.Series
    referral: pd.Series


def expected_rates(claims: ClaimLines) -> Expected:
    """Expected MUC_HUONG of every line: card, route, 15 % test, initial level, waiver (benefit law, steps 1 to 4).

    The waiver date NGAY_MIEN_CCT is taken as stated: lines ordered at or after it are covered in full.
    """
    visits, lines = claims.visits, claims.lines
    salary = law.parameter("base_salary").on(visits["day_in"])
    share = law.parameter("small_visit").on(visits["day_in"])
    threshold = pd.Series(
        [0 if pay is None or percent is None else pay * percent for pay, percent in zip(salary, share, strict=True)],
        index=visits.index,
        dtype="int64",
    )
    in_scope = claims.sums("THANH_TIEN_BH")
    small = in_scope < threshold
    base = base_rates(claims)
    waived_from = claims.visit("NGAY_MIEN_CCT")
    waived = (waived_from != "") & (
        ((waived_from.str.len() == 8) & (lines["day"] >= waived_from))
        | ((waived_from.str.len() == 12) & (lines["NGAY_YL"] >= waived_from))
    )
    lifted = lines["claim"].map(small).astype("bool") | waived
    base = base.mask(lifted & base.notna(), FULL)
    route = route_factors(visits)
    factor = lines["claim"].map(route["factor"]).astype("Int64")
    rate = (base * factor) // 100
    rate = rate.mask(lines["claim"].map(route["full"]).astype("bool"), FULL)
    rate = rate.mask((factor == 0).fillna(False).astype("bool"), 0)
    referral = route["referral"].copy()
    three = (rate % 100 != 0) & (lines["MUC_HUONG"] // 100 * 100 == lines["MUC_HUONG"])
    unclear = (
        (three & ((lines["MUC_HUONG"] - rate).abs() < 100) & claims.present["MUC_HUONG"]).fillna(False).astype("bool")
    )
    if unclear.any():
        rate = rate.mask(unclear)
        asked = visits.index.isin(lines.loc[unclear, "claim"])
        referral = referral.mask(asked & (referral == ""), RATE_ROUNDING)
    return Expected(rate, base, in_scope, threshold, small, referral)


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
    self-payment first, then co-payment, then the fund's share, and counts only where 0 < other < bv.
    """
    fund = money.product(bh, rate, divisor=FULL)
    co_payment = bh.to_numpy() - fund
    own = np.maximum(bv.to_numpy() - bh.to_numpy(), 0)
    left = np.where((other.to_numpy() > 0) & (other.to_numpy() < bv.to_numpy()), other.to_numpy(), 0)
    out = {}
    for name, part in (("T_BNTT", own), ("T_BNCCT", co_payment), ("T_BHTT", fund)):
        taken = np.minimum(left, np.maximum(part, 0))
        out[name] = part - taken
        left = left - taken
    return pd.DataFrame(out, index=bv.index)


def covered(claims: ClaimLines) -> pd.Series:
    """Lines in scope of the insurance (bool): not PHAM_VI 2, and PHAM_VI 3 only for cards of the armed forces."""
    groups = tuple(law.load("card_rates")["out_of_list_groups"]["codes"])
    of_forces = claims.visit("MA_THE_BHYT").str.startswith(groups)
    scope = claims.lines["PHAM_VI"]
    return (scope != "2") & ((scope != "3") | of_forces)


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


def fill_amounts(tables: ClaimTables) -> ClaimTables:
    """Fills what a record system left out: amounts, MUC_HUONG and splits of lines, totals of XML1.

    Only cells that are blank or absent are filled; everything that was sent stays. Where the route leaves the rate
    open (see REFERRAL_REASONS) the card's rate is used and the claim will be referred. Returns new tables.
    """
    claims = build(tables)
    lines, present = claims.lines.copy(), claims.present
    claims = ClaimLines(claims.visits, lines, present)
    full_price = (lines["table"] == "XML2") | (claims.visit("decision") == "130")
    readings = hospital_amounts(lines)
    _fill(lines, present, "THANH_TIEN_BV", readings["v1"].mask(full_price, readings["v0"]))
    _fill(lines, present, "THANH_TIEN_BH", in_scope_amount(lines).where(covered(claims), 0))
    expected = expected_rates(claims)
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
        blank = frame[name].fillna("").str.strip() == ""
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
        blank = frame[name].fillna("").str.strip() == ""
        if blank.any():
            number = money.text(totals[name], money.AMOUNT_DECIMALS)
            values = frame["claim"].map(number)
            out[name] = frame[name].where(~blank | values.isna(), values)
    return out
