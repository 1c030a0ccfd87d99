"""The benefit law against the worked numbers, and against a second, naive implementation with Decimal."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claim_rules import benefit, law
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


# --- the naive second implementation: one claim at a time, Decimal, no frames


def r2(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP)


SALARY = [("20260701", 2_530_000), ("20240701", 2_340_000), ("20230701", 1_800_000), ("20190701", 1_490_000)]


def naive_rate(head: Mapping[str, str], in_scope: Decimal) -> Decimal | None:
    card, code = head["MA_THE_BHYT"], head["MA_DOITUONG_KCB"]
    day_in, day_out = head["NGAY_VAO"][:8], head["NGAY_RA"][:8]
    inpatient = head["MA_LOAI_KCB"] in ("03", "04", "09")
    base = {"1": 100, "2": 100, "5": 100, "3": 95, "4": 80}[card[2]]
    if day_out >= "20260101" and card[:3] in ("CN3", "LH4"):
        base = 100
    salary = next(value for start, value in SALARY if day_in >= start)
    if in_scope < Decimal(salary) * 15 / 100:
        base = 100
    if code == "1.2":
        return None if inpatient else Decimal(100)
    if code in ("1.1", "1.3", "2"):
        factor = Decimal(1)
    elif code in ("1.13", "1.18"):
        if inpatient:
            return None
        factor = Decimal("0.5") if day_out >= "20260701" else Decimal(0)
    elif code == "3.1":
        factor = Decimal("0.4") if inpatient else Decimal(0)
    else:
        return None
    return base * factor


def naive_line(row: Mapping[str, str], rate: Decimal, *, is_drug: bool) -> dict[str, Decimal]:
    quantity = Decimal(row["SO_LUONG"])
    if is_drug:
        bv = r2(quantity * Decimal(row["DON_GIA"]))
        bh = r2(quantity * Decimal(row["DON_GIA"]) * Decimal(row["TYLE_TT_BH"]) / 100)
    else:
        special = Decimal(row["TYLE_TT_DV"])
        bv = r2(quantity * Decimal(row["DON_GIA_BV"]) * special / 100)
        bh = r2(quantity * Decimal(row["DON_GIA_BH"]) * special / 100 * Decimal(row["TYLE_TT_BH"]) / 100)
    if row["PHAM_VI"] == "2":
        bh = Decimal("0.00")
    fund = r2(bh * rate / 100)
    co_payment, own = bh - fund, max(bv - bh, Decimal(0))
    other = Decimal(row.get("T_NGUONKHAC_NSNN") or 0)
    left = other if 0 < other < bv else Decimal(0)
    parts = []
    for part in (own, co_payment, fund):
        taken = min(left, part)
        left -= taken
        parts.append(part - taken)
    return {"BV": bv, "BH": bh, "BNTT": parts[0], "BNCCT": parts[1], "BHTT": parts[2], "NK": other}


@st.composite
def random_claim(draw: st.DrawFn) -> dict[str, Any]:
    day = draw(st.sampled_from(["20240630", "20240701", "20251231", "20260101", "20260630", "20260701"]))
    head = visit(
        MA_THE_BHYT=draw(st.sampled_from(["GD4", "HC3", "TE1", "CN3", "LH4", "HT5"])) + "272700000001",
        MA_DOITUONG_KCB=draw(st.sampled_from(["1.1", "1.2", "1.3", "1.13", "1.18", "2", "3.1"])),
        MA_LOAI_KCB=draw(st.sampled_from(["01", "03", "04", "07", "09"])),
        NGAY_VAO=day + "0800",
        NGAY_RA=day + "1700",
    )
    if day < "20250101" and head["MA_DOITUONG_KCB"] in ("1.13", "1.18"):
        head["MA_DOITUONG_KCB"] = "1.1"
    price = st.integers(1, 2_000_000_000).map(lambda value: f"{value // 1000}.{value % 1000:03d}")
    quantity = st.integers(1, 300_000).map(lambda value: f"{value // 1000}.{value % 1000:03d}")
    support = st.one_of(st.none(), st.integers(0, 10**7).map(lambda value: f"{value // 100}.{value % 100:02d}"))
    common = {
        "SO_LUONG": quantity,
        "TYLE_TT_BH": st.sampled_from(["0", "30", "50", "100"]),
        "PHAM_VI": st.sampled_from(["1", "1", "1", "2"]),
        "T_NGUONKHAC_NSNN": support,
    }
    drugs = st.fixed_dictionaries({**common, "DON_GIA": price})
    services = st.fixed_dictionaries(
        {
            **common,
            "DON_GIA_BV": price,
            "DON_GIA_BH": price,
            "TYLE_TT_DV": st.sampled_from(["0", "10", "30", "33", "50", "80", "100"]),
        }
    )
    return {
        "XML1": head,
        "XML2": [drug(1, 1, **row) for row in draw(st.lists(drugs, max_size=4))],
        "XML3": [service(1, **row) for row in draw(st.lists(services, min_size=1, max_size=4))],
    }


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(random_claim(), min_size=1, max_size=12))
def test_the_law_agrees_with_a_naive_second_implementation(
    make_claims: MakeClaims, claims: list[dict[str, Any]]
) -> None:
    filled = benefit.fill_amounts(make_claims(claims))
    expected = benefit.expected_rates(build(filled))
    by_line = build(filled).lines
    for number, claim in enumerate(claims):
        in_scope = sum(
            (
                naive_line(row, Decimal(0), is_drug=name == "XML2")["BH"]
                for name in ("XML2", "XML3")
                for row in claim[name]
            ),
            Decimal(0),
        )
        rate = naive_rate(claim["XML1"], in_scope)
        mine = expected.rate[by_line["claim"] == number]
        if rate is None:
            assert mine.isna().all()
            assert expected.referral[number] == benefit.ROUTE_NO_FACTOR
            continue
        assert [Decimal(int(value)) / 100 for value in mine] == [rate] * len(mine)
        total = Decimal(0)
        for name in ("XML2", "XML3"):
            if not claim[name]:
                continue
            frame = filled[name][filled[name]["claim"] == number]
            for place, row in enumerate(claim[name]):
                line = naive_line(row, rate, is_drug=name == "XML2")
                one = ClaimTables(filled.claims, {name: frame})
                assert _line(one, name, place) == line
                total += line["BHTT"]
        assert Decimal(filled["XML1"].loc[filled["XML1"]["claim"] == number, "T_BHTT"].iloc[0]) == total


def test_law_files_state_source_and_confidence() -> None:
    for name in ("base_salary", "small_visit"):
        for entry in law.load(name)["values"].values():
            assert entry["source"]
            assert entry["confidence"] in {"high", "medium", "low"}
    assert pd.Series(law.parameter("base_salary").on(pd.Series(["20180101", "", "20250101"]))).tolist() == [
        None,
        None,
        2_340_000,
    ]
