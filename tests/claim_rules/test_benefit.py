"""The benefit law against the worked numbers. See test_benefit_twice.py for a second implementation of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claim_rules import benefit, law, options, outcome
from claim_rules.benefit import exemption, stays, supplies
from claim_rules.frames import ClaimTables
from claim_rules.lines import build

EXAMPLES = json.loads((Path(__file__).parent / "benefit_examples.json").read_text("utf-8"))
MakeClaims = Callable[..., ClaimTables]


def visit(**changes: Any) -> dict[str, Any]:
    head = {
        "MA_LK": "A",
        "MA_CSKCB": "27001",
        "MA_THE_BHYT": "GD4272700000001",
        "GT_THE_TU": "20240101",
        "GT_THE_DEN": "20271231",
        "MA_DOITUONG_KCB": "1.1",
        "MA_LOAI_KCB": "01",
        "NGAY_VAO": "202508100800",
        "NGAY_RA": "202508101000",
    }
    return {**head, **changes}


def service(price: Any, **changes: Any) -> dict[str, Any]:
    row = {
        "MA_LK": "A",
        "MA_DICH_VU": "X",
        "MA_NHOM": "1",
        "PHAM_VI": "1",
        "SO_LUONG": "1",
        "DON_GIA_BV": price,
        "DON_GIA_BH": price,
        "TYLE_TT_DV": "100",
        "TYLE_TT_BH": "100",
        "NGAY_YL": "202508100830",
        "MA_PTTT": "1",
    }
    return {**row, **changes}


def drug(quantity: Any, price: Any, **changes: Any) -> dict[str, Any]:
    row = {
        "MA_LK": "A",
        "MA_THUOC": "T",
        "MA_NHOM": "4",
        "PHAM_VI": "1",
        "SO_LUONG": quantity,
        "DON_GIA": price,
        "TYLE_TT_BH": "100",
        "NGAY_YL": "202508100830",
        "MA_PTTT": "1",
    }
    return {**row, **changes}


@pytest.mark.parametrize("day", ["2023-06-30", "2023-07-01", "2024-07-01", "2026-07-01"])
def test_thresholds(day: str) -> None:
    example = EXAMPLES[f"thr_{day}"]
    salary = law.parameter("base_salary").at(day.replace("-", ""))
    share = law.parameter("small_visit").at(day.replace("-", ""))
    assert str(salary) == example["salary"]
    assert Decimal(salary * share) / 100 == Decimal(example["t15"])


@pytest.mark.parametrize(
    ("example", "head", "in_scope"),
    [
        ("A1", {}, 350_999),
        ("A2", {}, 351_000),
        ("A3", {"MA_THE_BHYT": "HC3272700000001", "MA_DOITUONG_KCB": "1.3", "MA_LOAI_KCB": "03"}, 12_000_000),
        ("A4", {"MA_DOITUONG_KCB": "3.1", "MA_LOAI_KCB": "03"}, 5_000_000),
        (
            "A5",
            {
                "MA_THE_BHYT": "HC3272700000001",
                "MA_DOITUONG_KCB": "1.13",
                "NGAY_VAO": "202607020800",
                "NGAY_RA": "202607020900",
            },
            900_000,
        ),
        ("A6", {"MA_DOITUONG_KCB": "1.13", "NGAY_VAO": "202607020800", "NGAY_RA": "202607020900"}, 300_000),
        ("A7", {"MA_DOITUONG_KCB": "1.13", "NGAY_VAO": "202606300800", "NGAY_RA": "202606300900"}, 900_000),
        ("A8", {"MA_DOITUONG_KCB": "1.2"}, 900_000),
        ("A9", {"MA_THE_BHYT": "CN3272700000001", "NGAY_VAO": "202601050800", "NGAY_RA": "202601050900"}, 900_000),
        ("A10", {"MA_DOITUONG_KCB": "3.1"}, 900_000),
    ],
)
def test_expected_rate(make_claims: MakeClaims, example: str, head: dict[str, str], in_scope: int) -> None:
    tables = make_claims([{"XML1": visit(**head), "XML3": [service(in_scope)]}])
    rate = benefit.expected_rates(build(benefit.fill_amounts(tables))).rate
    assert Decimal(int(rate.iloc[0])) / 100 == Decimal(EXAMPLES[example]["mh"])


def _line(tables: ClaimTables, name: str, row: int = 0) -> dict[str, Decimal]:
    line = tables[name].iloc[row]
    fields = {
        "BV": "THANH_TIEN_BV",
        "BH": "THANH_TIEN_BH",
        "BHTT": "T_BHTT",
        "BNCCT": "T_BNCCT",
        "BNTT": "T_BNTT",
        "NK": "T_NGUONKHAC",
    }
    return {key: Decimal(line[field]) for key, field in fields.items()}


def _numbers(example: Mapping[str, str]) -> dict[str, Decimal]:
    return {key: Decimal(value) for key, value in example.items()}


@pytest.mark.parametrize(
    ("example", "rows"),
    [
        ("B1", {"XML2": [drug(1, 200_000, TYLE_TT_BH=50, MUC_HUONG=80)]}),
        ("B2", {"XML3": [service(50_600, TYLE_TT_DV=30, MUC_HUONG=80)]}),
        (
            "B3",
            {
                "XML3": [
                    service(50_600, DON_GIA_BV=150_000, TYLE_TT_DV=30, MUC_HUONG=80, THANH_TIEN_BV="114580.00"),
                ]
            },
        ),
        ("B4", {"XML2": [drug(1, 10_000_000, TYLE_TT_BH=50, MUC_HUONG=80, T_NGUONKHAC_NSNN="3000000")]}),
        (
            "B6",
            {"XML2": [drug(1, 1_000_000, TYLE_TT_BH=80, MUC_HUONG=80, T_NGUONKHAC_VTNN="300000")]},
        ),
        (
            "B7",
            {"XML2": [drug(1, 1_000_000, TYLE_TT_BH=80, MUC_HUONG=80, T_NGUONKHAC_CL="500000")]},
        ),
        ("B8", {"XML2": [drug(3, "1234.567", MUC_HUONG=95)]}),
    ],
)
def test_line_split(make_claims: MakeClaims, example: str, rows: dict[str, Any]) -> None:
    filled = benefit.fill_amounts(make_claims([{"XML1": visit(), **rows}]))
    assert _line(filled, next(iter(rows))) == _numbers(EXAMPLES[example])


def test_worked_visit(make_claims: MakeClaims) -> None:
    rows = {
        "XML3": [service(50_600), service(50_600, TYLE_TT_DV=30), service(65_400, SO_LUONG=2)],
        "XML2": [drug(30, 2_150), drug(10, 28_500, TYLE_TT_BH=50)],
    }
    filled = benefit.fill_amounts(make_claims([{"XML1": visit(), **rows}]))
    lines = [_line(filled, "XML3", row) for row in range(3)] + [_line(filled, "XML2", row) for row in range(2)]
    assert lines == [_numbers(line) for line in EXAMPLES["C"]["lines"]]
    head = filled["XML1"].iloc[0]
    total = _numbers(EXAMPLES["C"]["total"])
    assert Decimal(head["T_TONGCHI_BV"]) == total["BV"]
    assert Decimal(head["T_TONGCHI_BH"]) == total["BH"]
    assert Decimal(head["T_BHTT"]) == total["BHTT"]
    assert Decimal(head["T_BNCCT"]) == total["BNCCT"]
    assert Decimal(head["T_BNTT"]) == total["BNTT"]


def test_exam_ladder(make_claims: MakeClaims) -> None:
    rates = (100, 30, 30, 30, 10, 0)
    exams = [service(50_600, TYLE_TT_DV=rate, MUC_HUONG=100) for rate in rates]
    filled = benefit.fill_amounts(make_claims([{"XML1": visit(), "XML3": exams}]))
    assert [Decimal(value) for value in filled["XML3"]["T_BHTT"]] == list(map(Decimal, EXAMPLES["G"]["paid"]))
    assert Decimal(filled["XML1"]["T_BHTT"].iloc[0]) == Decimal(EXAMPLES["G"]["sum"])


def test_header_total_is_the_sum_of_lines(make_claims: MakeClaims) -> None:
    rows = [drug(1, 1_000_000, MUC_HUONG=80, T_NGUONKHAC_NSNN="150000")]
    filled = benefit.fill_amounts(make_claims([{"XML1": visit(), "XML2": rows}]))
    assert Decimal(filled["XML1"]["T_BHTT"].iloc[0]) == Decimal(EXAMPLES["I"]["sumlines"])


def test_a_better_card_counts_from_its_first_day(make_claims: MakeClaims) -> None:
    head = visit(
        MA_THE_BHYT="GD4272700000001;HC3272700000001",
        GT_THE_TU="20240101;20250810",
        GT_THE_DEN="20250831;20271231",
        NGAY_VAO="202508080800",
    )
    rows = [service(500_000, NGAY_YL="202508090800"), service(500_000, NGAY_YL="202508100800")]
    filled = benefit.fill_amounts(make_claims([{"XML1": head, "XML3": rows}]))
    assert filled["XML3"]["MUC_HUONG"].tolist() == ["80", "95"]


def test_lines_after_the_waiver_are_covered_in_full(make_claims: MakeClaims) -> None:
    rows = [service(500_000, NGAY_YL="202508100829"), service(500_000, NGAY_YL="202508100830")]
    filled = benefit.fill_amounts(make_claims([{"XML1": visit(NGAY_MIEN_CCT="202508100830"), "XML3": rows}]))
    assert filled["XML3"]["MUC_HUONG"].tolist() == ["80", "100"]


def test_what_was_sent_is_never_changed(make_claims: MakeClaims) -> None:
    row = service(500_000, THANH_TIEN_BV="1.00", T_BHTT="abc", MUC_HUONG="55")
    filled = benefit.fill_amounts(make_claims([{"XML1": visit(T_BHTT="7"), "XML3": [row]}]))
    line = filled["XML3"].iloc[0]
    assert (line["THANH_TIEN_BV"], line["T_BHTT"], line["MUC_HUONG"]) == ("1.00", "abc", "55")
    assert filled["XML1"]["T_BHTT"].iloc[0] == "7"


def test_self_paid_lines_are_out_of_scope(make_claims: MakeClaims) -> None:
    rows = [service(500_000), service(80_000, PHAM_VI="2"), service(70_000, PHAM_VI="3")]
    filled = benefit.fill_amounts(make_claims([{"XML1": visit(), "XML3": rows}]))
    assert filled["XML3"]["THANH_TIEN_BH"].tolist() == ["500000.00", "0.00", "0.00"]
    assert filled["XML3"]["T_BNTT"].tolist() == ["0.00", "80000.00", "70000.00"]


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        ("7.2", "01", benefit.ROUTE_PARENT_CASE),
        ("8", "01", benefit.ROUTE_PARENT_CASE),
        ("10", "01", benefit.ROUTE_PARENT_CASE),
        ("4.4", "01", benefit.ROUTE_UNKNOWN),
        ("", "01", benefit.ROUTE_UNKNOWN),
        ("1.13", "03", benefit.ROUTE_NO_FACTOR),
        ("3.3", "01", benefit.ROUTE_NO_FACTOR),
        ("1.2", "03", benefit.ROUTE_NO_FACTOR),
        ("3.3", "03", ""),
        ("1.1", "03", ""),
    ],
)
def test_routes_that_a_person_must_decide(make_claims: MakeClaims, code: str, kind: str, reason: str) -> None:
    tables = make_claims([{"XML1": visit(MA_DOITUONG_KCB=code, MA_LOAI_KCB=kind), "XML3": [service(500_000)]}])
    assert benefit.expected_rates(build(tables)).referral.tolist() == [reason]


def test_law_files_state_source_and_confidence() -> None:
    for name in ("base_salary", "small_visit", "copayment_cap", "supply_cap", "bed_rates"):
        for entry in law.load(name)["values"].values():
            assert entry["source"]
            assert entry["confidence"] in {"high", "medium", "low"}
    assert pd.Series(law.parameter("base_salary").on(pd.Series(["20180101", "", "20250101"]))).tolist() == [
        None,
        None,
        2_340_000,
    ]


@pytest.mark.parametrize("day", ["2023-06-30", "2023-07-01", "2024-07-01", "2026-07-01"])
def test_months_of_the_base_salary(day: str) -> None:
    example, at = EXAMPLES[f"thr_{day}"], day.replace("-", "")
    assert Decimal(law.parameter("copayment_cap").at(at) * law.parameter("base_salary").at(at)) == Decimal(
        example["six"]
    )
    assert Decimal(int(supplies.cap(pd.Series([at])).iloc[0])) / 100 == Decimal(example["vtyt45"])


def _room(rows: list[tuple[str, str, str]], day: str) -> pd.DataFrame:
    """rows: first and last day of a period and what was paid in it."""
    paid = pd.DataFrame(rows, columns=["TU_NGAY", "DEN_NGAY", "T_BNCCT"]).assign(MA_THE_BHYT="C")
    asked = pd.DataFrame({"card": ["C"], "day": [day], "until": [day]})
    return exemption.room(exemption.ledger(paid), asked)


def test_the_line_that_crosses_six_months() -> None:
    example = EXAMPLES["D1"]
    room = _room([("20250101", "20250731", example["paid"])], "20250810").iloc[0]
    left = exemption.remaining(int(room["left"]), int(room["old"]))
    assert Decimal(left) / 100 == Decimal(example["patient"])
    assert Decimal(int(example["visit_co"]) * 100 - left) / 100 == Decimal(example["fund_extra"])


def test_what_was_paid_counts_in_months_of_its_salary() -> None:
    room = _room([("20260101", "20260630", "9360000")], "20260801").iloc[0]  # 4 months of 2,340,000
    assert Decimal(exemption.remaining(int(room["left"]), int(room["old"]))) / 100 == Decimal(
        EXAMPLES["D2"]["remaining"]
    )
    assert int(room["left"]) / int(room["old"]) / 100 / 2_530_000 == 6 - int(EXAMPLES["D2"]["months"])


def _supply(price: int, **changes: Any) -> dict[str, Any]:
    return service(price, **{"MA_NHOM": "10", "MA_VAT_TU": "N01", "GOI_VTYT": "G1", "MUC_HUONG": "80", **changes})


def test_a_package_of_supplies_is_capped_pro_rata(make_claims: MakeClaims) -> None:
    rows = [_supply(80_000_000), _supply(45_000_000), _supply(1_000_000, GOI_VTYT="G2")]
    filled = benefit.fill_amounts(make_claims([{"XML1": visit(), "XML3": rows}]))["XML3"]
    example = EXAMPLES["E1"]
    assert [Decimal(value) for value in filled["THANH_TIEN_BH"][:2]] == list(map(Decimal, example["alloc"]))
    assert filled["THANH_TIEN_BH"].iloc[2] == "1000000.00"
    assert sum(map(Decimal, filled["T_BNTT"][:2])) == Decimal(example["excess"])
    assert sum(map(Decimal, filled["T_BHTT"][:2])) == Decimal(example["bhtt80"])
    assert sum(map(Decimal, filled["T_BNCCT"][:2])) == Decimal(example["co80"])


def test_the_other_reading_caps_what_the_fund_pays(make_claims: MakeClaims) -> None:
    tables = make_claims([{"XML1": visit(), "XML3": [_supply(80_000_000), _supply(45_000_000)]}])
    filled = benefit.fill_amounts(tables, {"supply_cap": "B"})["XML3"]
    claims = build(benefit.fill_amounts(tables, {"supply_cap": "B"}))
    paid = supplies.capped(claims, claims.lines["T_BHTT"])
    assert sum(map(Decimal, filled["T_BHTT"])) == Decimal(EXAMPLES["E2"]["modeB_uncapped80"])
    assert Decimal(int(paid.sum())) / 100 == Decimal(EXAMPLES["E2"]["paidB"])


def test_a_package_adds_up_to_its_cap_whatever_the_shares(make_claims: MakeClaims) -> None:
    rows = [_supply(50_000_000), _supply(33_333_333), _supply(41_111_111)]
    filled = benefit.fill_amounts(make_claims([{"XML1": visit(), "XML3": rows}]))["XML3"]
    assert sum(map(Decimal, filled["THANH_TIEN_BH"])) == Decimal(EXAMPLES["E1"]["cap"])


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=30).filter(sum), st.fractions(0, 1))
def test_the_last_line_of_a_package_takes_the_rounding(amounts: list[int], part: Fraction) -> None:
    whole = sum(amounts)
    most = min(int(whole * part), whole - 1)
    got = supplies.shares(amounts, most)
    assert sum(got) == most
    assert all(0 <= share <= amount for share, amount in zip(got, amounts, strict=True))
    right = [math.floor(Fraction(amount * most, whole) + Fraction(1, 2)) for amount in amounts]
    changed = [place for place, pair in enumerate(zip(got, right, strict=True)) if pair[0] != pair[1]]
    # only from the end, and beyond the last line only where it can take no more
    for place in changed[:1]:
        assert all(got[later] in (0, amounts[later]) for later in range(place + 1, len(got)))


def test_what_is_left_of_a_cap_is_the_last_lines() -> None:
    assert supplies.shares([100, 100, 100], 200) == [67, 67, 66]
    assert supplies.shares([100, 100, 100], 100) == [33, 33, 34]
    assert supplies.shares([1, 1, 1, 1], 3) == [1, 1, 1, 0]
    assert supplies.shares([1, 1, 1, 1, 0], 3) == [1, 1, 1, 0, 0]


def _minutes(text: str) -> int:
    return int(pd.Timestamp(f"{text[:8]}T{text[8:]}").timestamp() // 60)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name.startswith("F_")])
def test_bed_days(name: str) -> None:
    _, admitted, discharged, longer = name.split("_")
    days = stays.bed_days(np.array([_minutes(admitted)]), np.array([_minutes(discharged)]), np.array([longer == "1"]))
    assert days.tolist() == [EXAMPLES[name]["days"]]


def test_exam_ladder_by_rank() -> None:
    paid = [Decimal(50_600) * int(share) / 10_000 for share in stays.exam_share(np.arange(6))]
    assert paid == list(map(Decimal, EXAMPLES["G"]["paid"]))


def test_support_to_the_facility(make_claims: MakeClaims) -> None:
    row = drug(1, 10_000_000, TYLE_TT_BH=50, MUC_HUONG=80, T_NGUONKHAC_NSNN="3000000", THANH_TIEN_BH="3500000.00")
    filled = benefit.fill_amounts(make_claims([{"XML1": visit(), "XML2": [row]}]))
    line, example = _line(filled, "XML2"), _numbers(EXAMPLES["B5"])
    assert {key: line[key] for key in ("BV", "BH", "BHTT", "BNCCT", "BNTT")} == {
        key: example[key] for key in ("BV", "BH", "BHTT", "BNCCT", "BNTT")
    }


def test_an_approved_price_below_the_claimed_one(make_claims: MakeClaims) -> None:
    tables = benefit.fill_amounts(make_claims([{"XML1": visit(), "XML2": [drug(20, 5_500, MUC_HUONG=80)]}]))
    assert _line(tables, "XML2") == _numbers(EXAMPLES["H1"]["claimed"])
    price = pd.DataFrame({"line_index": [0], "correct_field": "DON_GIA_BH", "correct_value": [5_000_000]})
    allowed = outcome.allowed_amounts(build(tables), price.astype({"correct_value": "Int64"})).iloc[0]
    assert Decimal(int(allowed["in_scope"])) / 100 == Decimal(EXAMPLES["H1"]["allowed"]["BH"])
    assert Decimal(8_800_000 - int(allowed["fund"])) / 100 == Decimal(EXAMPLES["H1"]["rejected"])


def test_days_of_grace_follow_the_card_that_ended_last(make_claims: MakeClaims) -> None:
    head = visit(
        MA_THE_BHYT="HN2272700000001;GD4272700000001",
        GT_THE_TU="20240101;20250601",
        GT_THE_DEN="20250531;20250810",
        NGAY_VAO="202508080800",
        NGAY_RA="202509010800",
        MA_LOAI_KCB="03",
    )
    rows = [service(500_000, NGAY_YL=f"{day}0800") for day in ("20250810", "20250811", "20250825", "20250826")]
    rates = benefit.expected_rates(build(benefit.fill_amounts(make_claims([{"XML1": head, "XML3": rows}])))).rate
    assert (rates // 100).tolist() == [80, 80, 80, 100]  # later lines have no card: other rules speak of them


def test_a_waiver_ends_with_its_year(make_claims: MakeClaims) -> None:
    rows = [service(500_000, NGAY_YL="202512310800"), service(500_000, NGAY_YL="202601010800")]
    head = visit(NGAY_MIEN_CCT="20251201", NGAY_VAO="202512300800", NGAY_RA="202601020800", MA_LOAI_KCB="03")
    filled = benefit.fill_amounts(make_claims([{"XML1": head, "XML3": rows}]))
    assert filled["XML3"]["MUC_HUONG"].tolist() == ["100", "80"]


@pytest.mark.parametrize(
    ("chosen", "small"),
    [({}, False), ({"small_visit_day": "NGAY_RA"}, True), ({"small_visit_base": "full-price"}, False)],
)
def test_options_of_the_15_percent_test(make_claims: MakeClaims, chosen: dict[str, str], small: bool) -> None:
    # 360,000 is above 15 % of the salary on arrival and below that on discharge, when it had risen
    head = visit(NGAY_VAO="202606300800", NGAY_RA="202607010800", MA_LOAI_KCB="03")
    tables = benefit.fill_amounts(make_claims([{"XML1": head, "XML2": [drug(1, 720_000, TYLE_TT_BH=50)]}]))
    expected = benefit.expected_rates(build(tables), chosen)
    assert expected.small.tolist() == [small]


def test_an_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="supply_cap"):
        options.resolve({"supply_cap": "C"})
    assert set(options.defaults()) == set(law.load("options")["options"])
