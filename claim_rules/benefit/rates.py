"""At which rate a line is covered: card, route, 15 % test, initial level, waiver (benefit law, steps 1 to 4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from claim_rules import law, options
from claim_rules.lines import ClaimLines
from claim_rules.reference import OPEN_END

FULL = 10000  # 100 %
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

    visits: MA_DOITUONG_KCB, MA_KHUVUC, inpatient, day_out. Returns, same index: factor (Int64 percent, NA without one),
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
    area = law.load("route_factors")["hard_areas_as_right_route"]
    inside = visits["inpatient"] & visits["MA_KHUVUC"].isin(area["areas"])
    if inside.any():
        inside &= visits["day_out"] <= str(area["until"]).replace("-", "")
        inside &= visits["MA_DOITUONG_KCB"].isin(area["codes"])
        out["factor"] = out["factor"].mask(inside, area["percent"])
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
    several = pd.Series(False, index=visits.index)
    for column in lists.values():
        several |= column.str.contains(";", regex=False)
    one = {name: column[~several].str.strip().array for name, column in lists.items()}
    out = pd.DataFrame({"claim": visits.index[~several].astype("int64"), "position": 0, **one})
    if several.any():
        more = _items_of({name: column[several] for name, column in lists.items()})
        out = pd.concat([out, more], ignore_index=True).sort_values(["claim", "position"], ignore_index=True)
    digit = out["card"].str.slice(2, 3)
    rate = digit.map({key: value * 100 for key, value in rates["digits"].items()}).astype("Int64")
    day_out = out["claim"].map(visits["day_out"]).astype("str")
    for group in rates["full_cover_groups"]:
        inside = out["card"].str.startswith(group["prefix"] + group["digit"])
        rate = rate.mask(inside & (day_out >= str(group["from"]).replace("-", "")), FULL)
    out["rate"] = rate
    return out[out["card"] != ""].reset_index(drop=True)


def _items_of(lists: dict[str, pd.Series]) -> pd.DataFrame:
    """Parallel `;` lists as rows: claim, position and an item of each; "" where a list is shorter than the first."""
    split = {name: column.str.split(";") for name, column in lists.items()}
    counts = (lists["card"].str.count(";") + 1).to_numpy(dtype="int64")
    owner = np.repeat(lists["card"].index.to_numpy(dtype="int64"), counts)
    position = np.concatenate([np.arange(n) for n in counts])
    out = pd.DataFrame({"claim": owner, "position": position, "card": split["card"].explode().to_numpy()})
    out["card"] = out["card"].astype("str").str.strip()
    for name in ("valid_from", "valid_to"):
        items = split[name].explode()
        frame = pd.DataFrame({"claim": items.index.astype("int64"), name: items.to_numpy()})
        frame["position"] = frame.groupby("claim").cumcount()
        out = out.merge(frame, on=["claim", "position"], how="left")
        out[name] = out[name].fillna("").astype("str").str.strip()
    return out


REGISTER = ("MA_THE_BHYT", "GT_THE_TU", "GT_THE_DEN")


def several_cards(held: pd.DataFrame, register: pd.DataFrame | None = None) -> pd.DataFrame:
    """Of `cards` those of visits with more than one, with the periods for which each holds: by the card register, where
    that knows the card (one row for each of its periods), else as claimed.

    Beside the columns of `cards`: blocked_from (yyyymmdd, OPEN_END where the register does not say that the card was
    revoked, reduced or suspended).
    """
    several = held[held["claim"].duplicated(keep=False)].assign(blocked_from=OPEN_END)
    if several.empty or register is None or not set(REGISTER) <= set(register.columns):
        return several
    number = register["MA_THE_BHYT"].fillna("").str.strip()
    mine = register[number.isin(several["card"])]
    names = [name for name in (*REGISTER, "TRANG_THAI", "TRANG_THAI_TU") if name in mine.columns]
    rows = pd.DataFrame({name: mine[name].fillna("").str.strip().array for name in names})
    rows = rows.rename(columns={"MA_THE_BHYT": "card", "GT_THE_TU": "valid_from", "GT_THE_DEN": "valid_to"})
    rows["blocked_from"] = OPEN_END
    if {"TRANG_THAI", "TRANG_THAI_TU"} <= set(rows.columns):
        blocked = rows["TRANG_THAI"].str.lower().isin(law.load("card_status")["blocked"])
        since = rows["TRANG_THAI_TU"].where(rows["TRANG_THAI_TU"] != "", rows["valid_from"])
        rows["blocked_from"] = rows["blocked_from"].mask(blocked, since)
    listed = several[["claim", "position", "card", "rate"]].merge(rows, on="card")
    rest = several[~several["card"].isin(rows["card"])]
    return pd.concat([listed[several.columns], rest], ignore_index=True)


def base_rates(claims: ClaimLines, register: pd.DataFrame | None = None) -> pd.Series:
    """Base rate b of each line from the cards of its claim on the day of the order (Int64, aligned with lines).

    With several cards the highest of those valid on that day counts (Decree 188/2025 Art 21). If none is, the one that
    ended last still counts for the days of grace of a card that ends during a stay (Art 50 k4), after that the highest
    of all (an expired card is judged by its own rules). NA without a card that has a rate. register: cards.csv, whose
    periods go before those that the claim states (CARD-007); None: it is not known.
    """
    held = cards(claims.visits)
    several = held["claim"].duplicated(keep=False)
    highest = held.groupby("claim")["rate"].max()
    out = claims.lines["claim"].map(highest).astype("Int64")
    if several.any():
        mine = claims.lines.loc[claims.lines["claim"].isin(held.loc[several, "claim"]), ["claim", "day"]].reset_index()
        pairs = mine.merge(several_cards(held, register), on="claim")
        pairs = pairs[pairs["day"] < pairs["blocked_from"]]
        ended = (pairs["valid_to"] != "") & (pairs["day"] > pairs["valid_to"])
        late = pairs[ended]
        late = late[_days_between(late["valid_to"], late["day"]) <= int(law.load("card_grace")["days"]["value"])]
        for_grace = late.sort_values(["index", "valid_to", "rate"]).groupby("index")["rate"].last()
        out.loc[for_grace.index] = for_grace
        of_day = pairs[(pairs["valid_from"] <= pairs["day"]) & ~ended].groupby("index")["rate"].max()
        out.loc[of_day.index] = of_day
    return out


def _days_between(first: pd.Series, second: pd.Series) -> pd.Series:
    """Days from one yyyymmdd text to another (float, NaN where one is no day)."""
    days = [pd.to_datetime(text, format="%Y%m%d", errors="coerce") for text in (first, second)]
    return (days[1] - days[0]).dt.days


@dataclass
class Expected:
    """What the benefit law expects of each claim.

    rate: Int64 (1/100 percent) aligned with lines, NA where it cannot be told. base: the same before the route factor;
    unwaived: base as if NGAY_MIEN_CCT were blank; card: base by the card alone. in_scope: S, and threshold: the 15 %
    limit, both int64 1/100 đồng by visit; small: S < limit. referral: reason by visit why a person must look, or "".
    """

    rate: pd.Series
    base: pd.Series
    unwaived: pd.Series
    card: pd.Series
    in_scope: pd.Series
    threshold: pd.Series
    small: pd.Series
    referral: pd.Series

    def only(self, claims: ClaimLines) -> Expected:
        """Restricted to some of the claims it was made for."""
        lines, visits = claims.lines.index, claims.visits.index
        of_lines = (self.rate, self.base, self.unwaived, self.card)
        of_visits = (self.in_scope, self.threshold, self.small, self.referral)
        return Expected(*(part.loc[lines] for part in of_lines), *(part.loc[visits] for part in of_visits))


def thresholds(days: pd.Series) -> pd.Series:
    """The limit of the 15 % test on each day (int64 1/100 đồng; 0 before the law has one)."""
    salary, share = law.parameter("base_salary").on(days), law.parameter("small_visit").on(days)
    return pd.Series(
        [0 if pay is None or percent is None else pay * percent for pay, percent in zip(salary, share, strict=True)],
        index=days.index,
        dtype="int64",
    )


def waived_lines(claims: ClaimLines) -> pd.Series:
    """Lines ordered at or after NGAY_MIEN_CCT (a day or a minute) and in the same year (bool, aligned with lines)."""
    since, lines = claims.visit("NGAY_MIEN_CCT"), claims.lines
    if not (claims.visits["NGAY_MIEN_CCT"] != "").any():
        return pd.Series(False, index=lines.index)
    by_day = (since.str.len() == 8) & (lines["day"] >= since)
    by_minute = (since.str.len() == 12) & (lines["NGAY_YL"] >= since)
    return (by_day | by_minute) & (since.str[:4] == lines["day"].str[:4])


def rates_at_factor(base: pd.Series, factor: pd.Series, full: pd.Series) -> pd.Series:
    """MUC_HUONG = b × f (Int64 1/100 percent); factor: Int64 percent, full: bool, 100 % whatever the card."""
    rate = (base * factor) // 100
    rate = rate.mask(full.astype("bool"), FULL)
    return rate.mask((factor == 0).fillna(False).astype("bool"), 0)


def expected_rates(
    claims: ClaimLines, chosen: options.Options | None = None, register: pd.DataFrame | None = None
) -> Expected:
    """Expected MUC_HUONG of every line: card, route, 15 % test, initial level, waiver (benefit law, steps 1 to 4).

    The waiver date NGAY_MIEN_CCT is taken as stated: lines ordered at or after it are covered in full until the end of
    its year. chosen: claim_rules.options; None: the defaults. register: cards.csv, see base_rates.
    """
    pick = options.resolve(chosen)
    visits, lines = claims.visits, claims.lines
    threshold = thresholds(visits["day_out" if pick["small_visit_day"] == "NGAY_RA" else "day_in"])
    if pick["small_visit_base"] == "full-price":
        from claim_rules.benefit.amounts import full_price_amount

        counted = full_price_amount(claims).groupby(lines["claim"]).sum()
        in_scope = counted.reindex(visits.index, fill_value=0)
    else:
        in_scope = claims.sums("THANH_TIEN_BH")
    small = in_scope < threshold
    card = base_rates(claims, register)
    unwaived = card.mask(lines["claim"].map(small).astype("bool") & card.notna(), FULL)
    base = unwaived.mask(waived_lines(claims) & card.notna(), FULL)
    route = route_factors(visits)
    factor = lines["claim"].map(route["factor"]).astype("Int64")
    rate = rates_at_factor(base, factor, lines["claim"].map(route["full"]))
    referral = route["referral"].copy()
    whole = lines["MUC_HUONG"] // 100 * 100 == lines["MUC_HUONG"]
    near = (rate % 100 != 0) & whole & ((lines["MUC_HUONG"] - rate).abs() < 100) & claims.present["MUC_HUONG"]
    unclear = near.fillna(False).astype("bool")
    if unclear.any() and pick["rate_decimals"] == "round-down":
        rate = rate.mask(unclear, rate // 100 * 100)
    elif unclear.any():
        rate = rate.mask(unclear)
        asked = visits.index.isin(lines.loc[unclear, "claim"])
        referral = referral.mask(asked & (referral == ""), RATE_ROUNDING)
    return Expected(rate, base, unwaived, card, in_scope, threshold, small, referral)
