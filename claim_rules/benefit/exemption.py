"""Five years of insurance and six months of co-payment: from when on a patient pays no co-payment (step 4, point 3)."""

from __future__ import annotations

import pandas as pd

from claim_rules import law, money
from claim_rules.frames import stripped

YEAR_START = "0101"


def ledger(copayments: pd.DataFrame) -> pd.DataFrame:
    """Rows of copayments.csv as numbers: card, year, first, last (yyyymmdd), paid (int64 1/100 đồng), salary (int64
    đồng, that of the day the period begins). Periods without a card, days or an amount are left out."""
    rows = pd.DataFrame(
        {
            "card": stripped(copayments["MA_THE_BHYT"]),
            "first": stripped(copayments["TU_NGAY"]),
            "last": stripped(copayments["DEN_NGAY"]),
            "paid": money.parse(copayments["T_BNCCT"], money.AMOUNT_DECIMALS),
        }
    )
    rows = rows[(rows["card"] != "") & rows["first"].str.fullmatch("[0-9]{8}") & rows["paid"].notna()]
    salary = pd.Series(law.parameter("base_salary").on(rows["first"]), index=rows.index)
    rows = rows.assign(year=rows["first"].str[:4], salary=salary)[salary.notna()]
    return rows.astype({"paid": "int64", "salary": "int64"})


def room(rows: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """How far a patient is from six months of the base salary.

    asked: card (`;` list allowed), day (yyyymmdd), until (yyyymmdd: periods count that begin by then and, if `closed`,
    have ended before it). Returns, index of asked: left (int64: what is still to be paid before the exemption, 1/100
    đồng × old salary; negative once it is passed) and old (int64: the salary of 1 January of that year), so that a
    co-payment c passes the limit where c × old > left. What was paid before a change of the base salary counts in
    months of the salary of its time (letter 302/CSYT-CD 2.5). The law must not change the salary twice in a year.
    """
    year = asked["day"].str[:4]
    salary = law.parameter("base_salary")
    old = pd.Series(salary.on(year + YEAR_START), index=asked.index).fillna(0).astype("int64")
    now = pd.Series(salary.on(asked["day"]), index=asked.index).fillna(0).astype("int64")
    months = pd.Series(law.parameter("copayment_cap").on(asked["day"]), index=asked.index).fillna(0).astype("int64")
    cards = asked["card"].str.split(";").explode().str.strip()
    pairs = pd.DataFrame({"index": cards.index, "card": cards.to_numpy()}).drop_duplicates().merge(rows, on="card")
    at = pairs["index"]
    pairs = pairs[pairs["year"] == at.map(year)]
    counted = pairs["first"] <= pairs["index"].map(asked["until"])
    if "closed" in asked:
        counted &= ~pairs["index"].map(asked["closed"]).astype("bool") | (
            pairs["last"] < pairs["index"].map(asked["until"])
        )
    pairs = pairs[counted]
    before = pairs["salary"] != pairs["index"].map(now)
    paid_old = pairs["paid"].where(before, 0).groupby(pairs["index"]).sum().reindex(asked.index, fill_value=0)
    paid_now = pairs["paid"].where(~before, 0).groupby(pairs["index"]).sum().reindex(asked.index, fill_value=0)
    left = (months * 100 * old - paid_old) * now - paid_now * old
    return pd.DataFrame({"left": left.astype("int64"), "old": old})


def remaining(left: int, old: int) -> int:
    """What a patient still pays before the exemption, 1/100 đồng (0 once it is passed), by `room`."""
    return max((2 * left + old) // (2 * old), 0) if old else 0
