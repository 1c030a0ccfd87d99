"""The benefit law written a second time, naively, one claim at a time with Decimal: both agree on random claims.

Half of the claims are drawn at random, one in a hundred of these by hypothesis (which makes a failing one small), half
are simulated hospitals'. `make oracle RUNS=100000` runs it over so many claims (a few hundred otherwise).
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claim_rules import benefit
from claim_rules.frames import ClaimTables
from claim_rules.lines import build
from claim_simulator.catalogue import catalogue
from claim_simulator.facilities import facilities
from claim_simulator.orders import orders
from claim_simulator.tables import claim_tables
from claim_simulator.visits import visits

CLAIMS = int(os.environ.get("BENEFIT_CLAIMS", "600"))
BATCH = 200
DRAWN = max(1, CLAIMS // 2 // BATCH)
SIMULATED = max(1, CLAIMS // 2 // BATCH)
BY_HYPOTHESIS = max(10, CLAIMS // 200)
MONTHS = ("202501", "202506", "202510", "202601", "202606", "202607", "202612")

SALARY = [("20260701", 2_530_000), ("20240701", 2_340_000), ("20230701", 1_800_000), ("20190701", 1_490_000)]
DIGITS = {"1": 100, "2": 100, "5": 100, "3": 95, "4": 80}
RIGHT = ("1.1", "1.3", "1.4", "1.5", "1.6", "1.7", "2", "7")
RIGHT_SINCE_2025 = ("1.11", "1.12", "1.15", "1.16", "1.17")
CODES = (*RIGHT, *RIGHT_SINCE_2025, *("1.2", "1.13", "1.14", "1.18", "3.1", "3.2", "3.3", "3.6", "7.2", "9"))
Row = Mapping[str, str]


def r2(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP)


def salary(day: str) -> int:
    return next(value for start, value in SALARY if day >= start)


def card_rate(head: Row, day: str) -> int:
    """The highest card of the day; in the days of grace the one that ended last; else the highest of all."""
    cards = list(zip(*(head[name].split(";") for name in ("MA_THE_BHYT", "GT_THE_TU", "GT_THE_DEN")), strict=True))
    rates = {}
    for card, first, last in cards:
        full = head["NGAY_RA"][:8] >= "20260101" and card[:3] in ("CN3", "LH4")
        rates[card, first, last] = 100 if full else DIGITS[card[2]]
    if len(cards) == 1:
        return rates[cards[0]]
    valid = [rates[item] for item in cards if item[1] <= day <= item[2]]
    if valid:
        return max(valid)
    limit = (datetime.strptime(day, "%Y%m%d") - timedelta(days=15)).strftime("%Y%m%d")
    late = [(item[2], rates[item]) for item in cards if limit <= item[2] < day]
    return max(late)[1] if late else max(rates.values())


def factor(head: Row) -> Decimal | str | None:
    code, day, inpatient = head["MA_DOITUONG_KCB"], head["NGAY_RA"][:8], head["MA_LOAI_KCB"] in ("03", "04", "09")
    if code in RIGHT:
        return Decimal(1)
    if code in RIGHT_SINCE_2025:
        return Decimal(1) if day >= "20250101" else None
    if code == "1.2":
        return None if inpatient else "full"
    if code in ("1.13", "1.14", "1.18"):
        if inpatient or day < "20250101":
            return None
        return Decimal("0.5") if day >= "20260701" else Decimal(0)
    if code in ("3.1", "3.2") and inpatient and day < "20250101" and head.get("MA_KHUVUC") in ("K1", "K2", "K3"):
        return Decimal(1)
    if code == "3.1":
        return Decimal("0.4") if inpatient else Decimal(0)
    if code == "3.3" and day < "20250101":
        return Decimal(1)
    if code in ("3.2", "3.3", "3.6"):
        return Decimal(1) if inpatient else None
    return Decimal(0) if code == "9" else None


def amounts(row: Row, forces: bool) -> tuple[Decimal, Decimal]:
    """THANH_TIEN_BV and THANH_TIEN_BH before the cap of a package."""
    quantity, covered = Decimal(row["SO_LUONG"]), Decimal(row["TYLE_TT_BH"]) / 100
    if "DON_GIA" in row:
        whole, scope = quantity * Decimal(row["DON_GIA"]), quantity * Decimal(row["DON_GIA"]) * covered
    else:
        share = Decimal(row["TYLE_TT_DV"]) / 100
        whole = quantity * Decimal(row["DON_GIA_BV"]) * share
        scope = quantity * Decimal(row["DON_GIA_BH"]) * share * covered
    paid = row["PHAM_VI"] == "1" or (row["PHAM_VI"] == "3" and forces)
    return r2(whole), r2(scope) if paid else Decimal("0.00")


def capped(head: Row, rows: list[Row], scope: list[Decimal]) -> list[Decimal]:
    """Packages above 45 salaries get their share of it, rounded; the last line what the others leave, within 0 and its
    amount, then the one before it."""
    out = list(scope)
    if any(card.strip()[:2] in ("CC", "TE", "QN", "CA", "CY") for card in head["MA_THE_BHYT"].split(";")):
        return out
    packages: dict[tuple[str, str], list[int]] = {}
    for at, row in enumerate(rows):
        if row.get("GOI_VTYT"):
            packages.setdefault((row["NGAY_YL"], row["GOI_VTYT"]), []).append(at)
    for (moment, _), places in packages.items():
        most, whole = Decimal(45 * salary(moment[:8])), sum(scope[at] for at in places)
        if whole <= most:
            continue
        for at in places:
            out[at] = r2(scope[at] * most / whole)
        for at in reversed(places):
            others = sum(out[other] for other in places if other != at)
            out[at] = max(Decimal(0), min(scope[at], most - others))
    return out


def naive(head: Row, rows: list[Row]) -> tuple[list[dict[str, Decimal]], list[Decimal | None]]:
    forces = any(card[:2] in ("QN", "CA", "CY") for card in head["MA_THE_BHYT"].split(";"))
    both = [amounts(row, forces) for row in rows]
    scope = capped(head, rows, [item[1] for item in both])
    small = sum(scope) < Decimal(salary(head["NGAY_VAO"][:8])) * 15 / 100
    part = factor(head)
    lines, rates = [], []
    for row, (whole, _), within in zip(rows, both, scope, strict=True):
        base = card_rate(head, row["NGAY_YL"][:8])
        since = head.get("NGAY_MIEN_CCT") or ""
        waived = since and row["NGAY_YL"][: len(since)] >= since and row["NGAY_YL"][:4] == since[:4]
        if small or waived:
            base = 100
        rate = None if part is None else Decimal(100) if part == "full" else Decimal(base) * Decimal(part)
        rates.append(rate)
        used = Decimal(base) if rate is None else rate
        fund = r2(within * used / 100)
        parts = [max(whole - within, Decimal(0)), within - fund, fund]
        other = sum((Decimal(row.get(f"T_NGUONKHAC_{of}") or 0) for of in ("NSNN", "VTNN", "VTTN", "CL")), Decimal(0))
        left = max(other, Decimal(0))
        for at, amount in enumerate(parts):
            taken = min(left, amount)
            parts[at], left = amount - taken, left - taken
        shares = dict(zip(("T_BNTT", "T_BNCCT", "T_BHTT"), parts, strict=True))
        lines.append({"THANH_TIEN_BV": whole, "THANH_TIEN_BH": within, "T_NGUONKHAC": other, **shares})
    return lines, rates


def number(rng: random.Random, most: int, decimals: int) -> str:
    value = rng.randint(1, most)
    return f"{value // 10**decimals}.{value % 10**decimals:0{decimals}d}"


def random_claim(rng: random.Random) -> dict[str, Any]:
    start = datetime(2024, 3, 1) + timedelta(days=rng.randint(0, 950), minutes=rng.randint(0, 1439))
    if rng.random() < 0.3:  # around the days on which the law changes
        day = rng.choice(["20240701", "20250101", "20260101", "20260701"])
        start = datetime.strptime(day, "%Y%m%d") + timedelta(days=rng.randint(-2, 1), minutes=rng.randint(0, 1439))
    end = start + timedelta(days=rng.choice([0, 0, 0, 1, 4, 40]), minutes=rng.randint(10, 600))

    def at(low: datetime, high: datetime) -> str:
        return (low + (high - low) * rng.random()).strftime("%Y%m%d%H%M")

    held = [
        rng.choice(["GD4", "HC3", "TE1", "CN3", "LH4", "QN5", "HN2"]) + "272700000001"
        for _ in range(rng.choice([1, 1, 1, 2, 3]))
    ]
    first = [at(start - timedelta(days=400), end)[:8] for _ in held]
    last = [at(start - timedelta(days=30), end + timedelta(days=200))[:8] for _ in held]
    head = {
        "MA_LK": "A",
        "MA_CSKCB": "27001",
        "MA_THE_BHYT": ";".join(held),
        "GT_THE_TU": ";".join(first),
        "GT_THE_DEN": ";".join(last),
        "MA_DOITUONG_KCB": rng.choice(CODES),
        "MA_KHUVUC": rng.choice(("", "", "K1", "K2", "K3")),
        "MA_LOAI_KCB": rng.choice(["01", "02", "03", "03", "04", "07", "09"]),
        "NGAY_VAO": start.strftime("%Y%m%d%H%M"),
        "NGAY_RA": end.strftime("%Y%m%d%H%M"),
        "NGAY_MIEN_CCT": rng.choice(["", "", "", at(start - timedelta(days=300), end)[:8], at(start, end)]),
    }
    large = rng.random() < 0.15
    operation = at(start, end)

    def row(**more: str) -> dict[str, str]:
        support = {
            name: number(rng, 10**7, 2) for name in ("T_NGUONKHAC_NSNN", "T_NGUONKHAC_CL") if rng.random() < 0.15
        }
        return {
            "MA_LK": "A",
            "PHAM_VI": rng.choice("11111123"),
            "TYLE_TT_BH": rng.choice(["0", "30", "50", "80", "100", "100", "100"]),
            "SO_LUONG": number(rng, 30_000, 3),
            "NGAY_YL": at(start, end),
            "MA_PTTT": "1",
            **support,
            **more,
        }

    price = 400_000_000 if not large else 30_000_000_000
    drugs = [row(MA_THUOC="T", MA_NHOM="4", DON_GIA=number(rng, 200_000_000, 3)) for _ in range(rng.randint(0, 4))]
    services = []
    for _ in range(rng.randint(1, 5)):
        prices = {name: number(rng, price, 3) for name in ("DON_GIA_BV", "DON_GIA_BH")}
        share = rng.choice(["0", "10", "30", "33", "50", "80", "100", "100", "100"])
        kind = {"MA_NHOM": "1"}
        if large and rng.random() < 0.7:
            kind = {"MA_NHOM": "10", "MA_VAT_TU": "N", "GOI_VTYT": rng.choice(["G1", "G1", "G2"]), "NGAY_YL": operation}
            share = "100"
        services.append(row(MA_DICH_VU="X", TYLE_TT_DV=share, **prices, **kind))
    return {"XML1": head, "XML2": drugs, "XML3": services}


def agree(filled: ClaimTables, claims: list[dict[str, Any]], told: object) -> None:
    """Every rate and amount of the claims (in their order) is what the naive law says."""
    computed = build(filled)
    rates = benefit.expected_rates(computed).rate
    heads = filled["XML1"].to_dict("records")
    of_claims = dict(tuple(computed.lines.groupby("claim")))
    for place, claim in enumerate(claims):
        rows = [*claim["XML2"], *claim["XML3"]]
        lines, expected = naive(claim["XML1"], rows)
        mine = of_claims[place]
        mine_rates = rates[mine.index].astype("object").where(rates[mine.index].notna(), None)
        got = [None if value is None else Decimal(value) / 100 for value in mine_rates]
        assert got == expected, (told, place)
        for name in lines[0]:
            amounts = [Decimal(value) / 100 for value in mine[name].tolist()]
            assert amounts == [line[name] for line in lines], (told, place, name)
        head = heads[place]
        for total, name in (("T_TONGCHI_BV", "THANH_TIEN_BV"), ("T_TONGCHI_BH", "THANH_TIEN_BH"), ("T_BHTT", "T_BHTT")):
            assert Decimal(head[total]) == sum(line[name] for line in lines), (told, place, total)
        assert Decimal(head["T_THUOC"]) == sum(line["THANH_TIEN_BV"] for line in lines[: len(claim["XML2"])])


@pytest.mark.parametrize("seed", range(DRAWN))
def test_the_law_agrees_with_a_naive_second_implementation(make_claims: Callable[..., ClaimTables], seed: int) -> None:
    rng = random.Random(seed)
    claims = [random_claim(rng) for _ in range(BATCH)]
    agree(benefit.fill_amounts(make_claims(claims)), claims, seed)


@settings(max_examples=BY_HYPOTHESIS, deadline=None, suppress_health_check=list(HealthCheck))
@given(rng=st.randoms(use_true_random=False))
def test_it_agrees_on_what_hypothesis_finds(make_claims: Callable[..., ClaimTables], rng: random.Random) -> None:
    claims = [random_claim(rng)]
    agree(benefit.fill_amounts(make_claims(claims)), claims, claims)


@pytest.mark.parametrize("seed", range(SIMULATED))
def test_it_agrees_on_simulated_claims(seed: int) -> None:
    month = MONTHS[seed % len(MONTHS)]
    house = facilities(8)[seed % 8]
    rng = np.random.default_rng([seed, 77])
    lists = catalogue(house)
    who = visits(house, BATCH, month, rng, 1 + seed * BATCH)
    filled = claim_tables(house, lists, who, orders(house, lists, who, rng), month, rng)
    claims: list[dict[str, Any]] = [{"XML1": head, "XML2": [], "XML3": []} for head in _rows(filled, "XML1")]
    for name in ("XML2", "XML3"):
        for row in _rows(filled, name):
            claims[int(row["claim"])][name].append(row)
    agree(filled, claims, (seed, month, house.code))


def _rows(tables: ClaimTables, name: str) -> list[dict[str, str]]:
    frame = tables[name].fillna("") if name in tables else None
    return (
        [] if frame is None else [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
    )
