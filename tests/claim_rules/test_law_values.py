"""The law as data against the values that the sources state, written down here once more by hand."""

from __future__ import annotations

from functools import reduce
from importlib import resources
from typing import Any

import pandas as pd
import pytest

from claim_rules import benefit, law, options

# file, from which day, value, how sure the source is
DATED = [
    ("base_salary", "20190701", 1_490_000, "high"),
    ("base_salary", "20230701", 1_800_000, "high"),
    ("base_salary", "20240701", 2_340_000, "high"),
    ("base_salary", "20260701", 2_530_000, "medium"),
    ("small_visit", "20150101", 15, "high"),
    ("copayment_cap", "20150101", 6, "high"),
    ("supply_cap", "20150101", 45, "medium"),
    ("bed_rates", "20180715", {"two": 50, "more": 30}, "medium"),
    ("bed_rates", "20250101", {"two": 50, "more": 33}, "medium"),
    ("signature", "20260101", 1, "medium"),
]

# file, path, value, confidence
STANDING = [
    ("card_rates", "digits", {"1": 100, "2": 100, "3": 95, "4": 80, "5": 100}, "high"),
    ("card_rates", "paper_validity_groups.codes", ["QN", "HC", "LS", "XK", "CY", "CA"], "high"),
    ("card_rates", "out_of_list_groups.codes", ["QN", "CA", "CY"], "high"),
    ("card_grace", "days.value", 15, "medium"),
    ("exam_ladder", "percent", [100, 30, 30, 30, 10], "high"),
    ("exam_ladder", "group", "13", "high"),
    ("surgery_rates", "same_team", 50, "high"),
    ("surgery_rates", "other_team", 80, "high"),
    ("surgery_rates", "procedure", 80, "high"),
    ("bed_days", "none_until_minutes", 4 * 60, "medium"),
    ("bed_days", "one_below_minutes", 24 * 60, "medium"),
    ("inpatient", "codes", ["03", "04", "09"], "high"),
    ("tolerance", "line_amount.value", 100, "high"),  # 1.00 đồng
    ("tolerance", "unit_price.value", 1, "high"),  # 0.001 đồng
    ("direct_payment", "rows.0.percent.2025-08-15", 15, "low"),
    ("direct_payment", "rows.1.percent.2025-08-15", 100, "low"),
    ("direct_payment", "rows.2.percent.2025-08-15", 50, "low"),
    ("direct_payment", "rows.3.percent.2025-08-15", 250, "low"),
    ("veterans", "codes", ["CC", "CK"], "medium"),
    ("card_groups", "digits.1", ["CC", "TE"], "medium"),
    ("card_groups", "digits.2", ["CK", "CB", "KC", "HN", "DT", "DK", "XD", "BT", "TS", "AK", "CT"], "medium"),
    ("card_groups", "digits.3", ["HT", "TC", "CN", "PV", "TG", "DS", "HK"], "medium"),
    ("card_groups", "digits.5", ["QN", "CA", "CY"], "medium"),
    ("card_groups", "child.months", 72, "medium"),
    ("papers", "transfer_working_days", 10, "medium"),
    ("submission", "working_days", 7, "high"),
    ("submission", "day_of_next_month", 5, "high"),
]

NONE, FULL, PARENT = "no factor", "full", "of another case"
# codes, day of discharge -> factor of inpatients, of outpatients
ROUTES = [
    ("1.1 1.3 1.4 1.5 1.6 1.7 2 7", "20240601", 100, 100),
    ("1.1 1.3 1.4 1.5 1.6 1.7 2 7", "20260801", 100, 100),
    ("1.11 1.12 1.15 1.16 1.17", "20250101", 100, 100),
    ("1.11 1.12 1.15 1.16 1.17", "20241231", NONE, NONE),
    ("1.2", "20250601", NONE, FULL),
    ("1.13 1.14 1.18", "20250101", NONE, 0),
    ("1.13 1.14 1.18", "20260630", NONE, 0),
    ("1.13 1.14 1.18", "20260701", NONE, 50),
    ("3.1", "20241231", 40, 0),
    ("3.1", "20260701", 40, 0),
    ("3.2", "20201231", 60, NONE),
    ("3.2", "20210101", 100, NONE),
    ("3.2", "20250601", 100, NONE),
    ("3.3", "20151231", NONE, NONE),
    ("3.3", "20160101", 100, 100),
    ("3.3", "20241231", 100, 100),
    ("3.3", "20250101", 100, NONE),
    ("3.5", "20241231", NONE, 0),
    ("3.6", "20250601", 100, NONE),
    ("9", "20250601", 0, 0),
    ("7.2 7.3 7.4 8 10", "20250601", PARENT, PARENT),
]

# what the sources do not settle -> the reading that holds unless a contract chooses another one, and the others
DOUBTS = {
    "small_visit_day": ("NGAY_VAO", {"NGAY_RA"}),
    "small_visit_base": ("in-scope", {"full-price"}),
    "retest_after_refusal": ("no", {"yes"}),
    "header_total": ("lines", {"formula"}),
    "facility_support": ("before-rate", {"per-patient"}),
    "supply_cap": ("A", {"B"}),
    "rate_decimals": ("refer", {"round-down"}),
    "second_stent": ("half-outside", {"as-package"}),
    "exemption_crossing": ("A", {"B"}),
    "off_route_copayment": ("not-counted", {"counted"}),
    "outpatient_70_points": ("refer", {"half"}),
    "recall_sign": ("negative", {"positive"}),
}


@pytest.mark.parametrize("name", sorted({name for name, *_ in DATED}))
def test_dated_values(name: str) -> None:
    there = [
        (name, str(day).replace("-", ""), entry["value"], entry["confidence"])
        for day, entry in law.load(name)["values"].items()
    ]
    assert there == [row for row in DATED if row[0] == name]
    assert all(entry["source"] for entry in law.load(name)["values"].values())
    for _, day, value, _ in there:
        assert law.parameter(name).at(day) == value
        assert law.parameter(name).at(str(int(day) - 1)) != value


@pytest.mark.parametrize(("name", "path", "value", "confidence"), STANDING, ids=lambda item: str(item)[:40])
def test_standing_values(name: str, path: str, value: Any, confidence: str) -> None:
    data = law.load(name)

    def step(at: Any, key: str) -> Any:
        if isinstance(at, list):
            return at[int(key)]
        return {str(own): entry for own, entry in at.items()}[key]

    keys = path.split(".")
    assert reduce(step, keys, data) == value
    inner = reduce(step, keys[:-1], data)
    stated = inner.get("confidence") if isinstance(inner, dict) else None
    assert (stated or data.get("confidence")) == confidence
    assert data.get("source") or inner.get("source")


@pytest.mark.parametrize(("codes", "day", "inpatient", "outpatient"), ROUTES)
def test_route_factors(codes: str, day: str, inpatient: Any, outpatient: Any) -> None:
    rows = [(code, stays) for code in codes.split() for stays in (True, False)]
    visits = pd.DataFrame(rows, columns=["MA_DOITUONG_KCB", "inpatient"]).assign(day_out=day, MA_KHUVUC="")
    told = benefit.route_factors(visits)
    words = {benefit.ROUTE_NO_FACTOR: NONE, benefit.ROUTE_UNKNOWN: NONE, benefit.ROUTE_PARENT_CASE: PARENT}
    for (code, stays), (factor, full, referral) in zip(rows, told.itertuples(index=False, name=None), strict=True):
        got = words[referral] if referral else FULL if full else int(factor)
        assert got == (inpatient if stays else outpatient), (code, stays)


def test_near_poor_cards_are_covered_in_full_from_2026() -> None:
    card = ["CN3272700000001", "LH4272700000001", "CN4272700000001", "HT3272700000001"]
    for day, rates in (("20251231", [95, 80, 80, 95]), ("20260101", [100, 100, 80, 95])):
        visits = pd.DataFrame({"MA_THE_BHYT": card, "GT_THE_TU": "", "GT_THE_DEN": "", "day_out": day})
        assert (benefit.cards(visits)["rate"] // 100).tolist() == rates
    assert {group["confidence"] for group in law.load("card_rates")["full_cover_groups"]} == {"medium"}


def test_every_doubt_is_an_option_with_its_default() -> None:
    there = {
        name: (entry["default"], set(entry["choices"]) - {entry["default"]})
        for name, entry in law.load("options")["options"].items()
    }
    assert there == DOUBTS
    assert dict(options.defaults()) == {name: default for name, (default, _) in DOUBTS.items()}


def test_every_file_of_the_law_says_where_it_comes_from() -> None:
    for item in resources.files("claim_rules.law").iterdir():
        if not item.name.endswith(".yaml"):
            continue
        text = item.read_text("utf-8")
        wanted = ["description:", "description_vi:", "source:"]
        wanted += ["confidence:"] if item.name != "options.yaml" else []
        assert [word for word in wanted if word not in text] == [], item.name
