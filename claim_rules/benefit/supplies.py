"""What a package of supplies is paid at most: 45 months of the base salary (step 9)."""

from __future__ import annotations

import pandas as pd

from claim_rules import law
from claim_rules.benefit.card_groups import holds_group
from claim_rules.lines import ClaimLines


def packages(claims: ClaimLines) -> pd.Series:
    """Number of the package that each supply line belongs to (Int64, NA outside one).

    A package is one GOI_VTYT of one occurrence of a service: same claim, MA_DICH_VU and NGAY_YL (by its field note the
    time of the operation).
    """
    lines = claims.lines
    inside = (lines["table"] == "XML3") & (lines["GOI_VTYT"] != "") & (lines["MA_VAT_TU"] != "")
    number = lines[inside].groupby(["claim", "MA_DICH_VU", "NGAY_YL", "GOI_VTYT"], sort=False).ngroup()
    return number.reindex(lines.index).astype("Int64")


def cap(days: pd.Series) -> pd.Series:
    """The cap of a package on each day of operation (Int64 1/100 đồng, NA before the law has one)."""
    months, salary = law.parameter("supply_cap").on(days), law.parameter("base_salary").on(days)
    values = [None if pay is None or n is None else pay * n * 100 for pay, n in zip(salary, months, strict=True)]
    return pd.Series(pd.array(values, dtype="Int64"), index=days.index)


def capped(claims: ClaimLines, in_scope: pd.Series) -> pd.Series:
    """In-scope amounts (mode A) or payments (mode B) with each package cut to its cap pro rata (int64 by line).

    in_scope: int64 by line. Shares are rounded to 1/100 đồng and the last line takes the rounding, so that a package
    adds up to its cap; what would make that line negative or more than it was goes to the one before it. Visits with a
    card of the groups of law/supply_cap.yaml are exempt.
    """
    number = packages(claims)
    inside = number.notna()
    if inside.any():
        exempt = holds_group(claims.visits, law.load("supply_cap")["exempt_groups"]["codes"])
        inside &= ~claims.lines["claim"].map(exempt).astype("bool")
    if not inside.any():
        return in_scope
    mine = pd.DataFrame({"package": number[inside], "amount": in_scope[inside]})
    mine["cap"] = cap(claims.lines.loc[mine.index, "day"])
    mine["whole"] = mine.groupby("package")["amount"].transform("sum")
    over = mine[(mine["whole"] > mine["cap"]).fillna(False).astype("bool")].astype("int64")
    if over.empty:
        return in_scope
    paid: dict[int, int] = {}  # by label of the line
    for _, package in over.groupby("package"):  # such packages are few
        paid.update(zip(package.index, shares(package["amount"].tolist(), int(package["cap"].iloc[0])), strict=True))
    share = pd.Series(paid, dtype="int64")
    return in_scope.where(~in_scope.index.isin(share.index), share.reindex(in_scope.index, fill_value=0)).astype(
        "int64"
    )


def shares(amounts: list[int], most: int) -> list[int]:
    """`most` divided pro rata to the amounts, whose sum is greater; the last takes the rounding (rule PRICE-013)."""
    whole = sum(amounts)
    # Python's integers: the product of two amounts does not always fit 64 bits
    out = [(2 * amount * most + whole) // (2 * whole) for amount in amounts]
    left = most - sum(out)
    for place in reversed(range(len(out))):
        lowest, highest = sorted((0, amounts[place]))
        right = min(max(out[place] + left, lowest), highest)
        left -= right - out[place]
        out[place] = right
    return out
