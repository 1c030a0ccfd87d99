"""What a package of supplies is paid at most: 45 months of the base salary, and the second stent (step 9)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from claim_rules import law, options
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

    in_scope: int64 by line. Shares are rounded down to 1/100 đồng and what is left over goes to the first lines, so
    that a package adds up to its cap. Card groups of law/supply_cap.yaml are exempt.
    """
    number = packages(claims)
    inside = number.notna()
    exempt = tuple(law.load("supply_cap")["exempt_groups"]["codes"])
    if exempt and inside.any():
        inside &= ~claims.visit("MA_THE_BHYT").str.startswith(exempt)
    if not inside.any():
        return in_scope
    mine = pd.DataFrame({"package": number[inside], "amount": in_scope[inside]})
    mine["cap"] = cap(claims.lines.loc[mine.index, "day"])
    mine["whole"] = mine.groupby("package")["amount"].transform("sum")
    over = mine[(mine["whole"] > mine["cap"]).fillna(False).astype("bool")].astype("int64")
    if over.empty:
        return in_scope
    # Python's integers: the product of two amounts does not always fit 64 bits, and such packages are few
    parts = zip(over["amount"].tolist(), over["cap"].tolist(), over["whole"].tolist(), strict=True)
    share = pd.Series([amount * most // whole for amount, most, whole in parts], index=over.index, dtype="int64")
    left = over["cap"] - share.groupby(over["package"]).transform("sum")
    share += (over.groupby("package").cumcount() < left).astype("int64")
    return in_scope.where(~in_scope.index.isin(share.index), share.reindex(in_scope.index, fill_value=0)).astype(
        "int64"
    )


def stent_share(rank: pd.Series, chosen: options.Options | None = None) -> pd.Series:
    """Percent of the price that counts for the n-th stent of one intervention (int64; the first is 0), and whether it
    stays in the package: option second_stent."""
    if options.resolve(chosen)["second_stent"] == "as-package":
        return pd.Series(100, index=rank.index)
    shares = [*law.load("second_stent")["percent"], 0]
    return pd.Series(np.array(shares)[np.minimum(rank.to_numpy(), len(shares) - 1)], index=rank.index)
