"""The claims add up to the đồng: against the benefit law written down once more, naively, in decimals."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest

from claim_simulator import simulate

Rows = dict[str, list[dict[str, str]]]

INPATIENT = {"03", "04", "09"}
HALF = {"1.13", "1.14", "1.18"}


def r2(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP)


def rate_due(visit: dict[str, str], in_scope: Decimal) -> Decimal:
    """Benefit rate of a claim, percent."""
    salary = 2_530_000 if visit["NGAY_VAO"] >= "20260701" else 2_340_000
    card, route = visit["MA_THE_BHYT"].split(";")[0], visit["MA_DOITUONG_KCB"]
    base = {"1": 100, "2": 100, "3": 95, "4": 80, "5": 100}[card[2]]
    if card.startswith("CN3") and visit["NGAY_RA"] >= "20260101":
        base = 100
    if in_scope < Decimal("0.15") * salary or visit["NGAY_MIEN_CCT"]:
        base = 100
    if route == "1.2":
        return Decimal(100)
    if route in HALF:
        assert visit["NGAY_RA"] >= "20260701"
        assert visit["MA_LOAI_KCB"] not in INPATIENT
        return Decimal(base) / 2
    if route == "3.1":
        assert visit["MA_LOAI_KCB"] in INPATIENT
        return Decimal(base) * Decimal("0.4")
    return Decimal(base)


def checked_lines(claim: Rows) -> list[dict[str, Decimal]]:
    """Every line against its prices and rates; returns the amounts."""
    (visit,) = claim["XML1"]
    lines = [("XML2", row) for row in claim.get("XML2", [])] + [("XML3", row) for row in claim.get("XML3", [])]
    in_scope = sum((Decimal(row["THANH_TIEN_BH"]) for _, row in lines), Decimal(0))
    due = rate_due(visit, in_scope)
    out = []
    for table, row in lines:
        quantity, share = Decimal(row["SO_LUONG"]), Decimal(row.get("TYLE_TT_DV", "100"))
        own = Decimal(row["DON_GIA" if table == "XML2" else "DON_GIA_BV"])
        insured = Decimal(row["DON_GIA" if table == "XML2" else "DON_GIA_BH"])
        amount = {
            name: Decimal(row[name])
            for name in row
            if name.startswith(("T_", "THANH_TIEN")) and row[name] and name not in ("TT_THAU", "T_TRANTT")
        }
        assert amount["THANH_TIEN_BV"] == r2(quantity * own * share / 100)
        covered = Decimal(row["TYLE_TT_BH"]) if row["PHAM_VI"] == "1" else Decimal(0)
        assert amount["THANH_TIEN_BH"] == r2(quantity * insured * share / 100 * covered / 100)
        assert Decimal(row["MUC_HUONG"]) == due
        other = sum(amount[f"T_NGUONKHAC_{name}"] for name in ("NSNN", "VTNN", "VTTN", "CL"))
        assert amount["T_NGUONKHAC"] == other
        fund = r2(amount["THANH_TIEN_BH"] * due / 100)
        assert amount["T_BHTT"] == fund
        assert amount["T_BNCCT"] == amount["THANH_TIEN_BH"] - fund
        # other sources never pay for more than what the patient pays alone
        assert amount["T_BNTT"] == amount["THANH_TIEN_BV"] - amount["THANH_TIEN_BH"] - other >= 0
        out.append(
            amount
            | {
                "drug": Decimal(table == "XML2"),
                "supply": Decimal(row.get("MA_VAT_TU", "") != ""),
                "gdv": Decimal(row["MA_PTTT"] == "1"),
            }
        )
    return out


def check_totals(visit: dict[str, str], lines: list[dict[str, Decimal]]) -> None:
    def total(name: str, only: str = "") -> Decimal:
        return sum((line[name] * (line[only] if only else 1) for line in lines), Decimal(0))

    stated = {name: Decimal(visit[name]) for name in visit if name.startswith("T_")}
    assert stated == {
        "T_THUOC": total("THANH_TIEN_BV", "drug"),
        "T_VTYT": total("THANH_TIEN_BV", "supply"),
        "T_TONGCHI_BV": total("THANH_TIEN_BV"),
        "T_TONGCHI_BH": total("THANH_TIEN_BH"),
        "T_BNTT": total("T_BNTT"),
        "T_BNCCT": total("T_BNCCT"),
        "T_BHTT": total("T_BHTT"),
        "T_NGUONKHAC": total("T_NGUONKHAC"),
        "T_BHTT_GDV": total("T_BHTT", "gdv"),
    }
    parts = ("T_BHTT", "T_BNCCT", "T_BNTT", "T_NGUONKHAC")
    assert stated["T_TONGCHI_BV"] == sum(stated[name] for name in parts)
    assert stated["T_BHTT"] == stated["T_TONGCHI_BH"] - stated["T_BNCCT"]


def moment(text: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, "%Y%m%d%H%M")


def check_bed_days(claim: Rows) -> None:
    """Bed days by hours of stay (Circular 39/2018)."""
    (visit,) = claim["XML1"]
    beds = [Decimal(row["SO_LUONG"]) for row in claim.get("XML3", []) if row["MA_NHOM"] in ("14", "15")]
    if visit["MA_LOAI_KCB"] not in INPATIENT:
        assert not beds
        return
    start, end = moment(visit["NGAY_VAO_NOI_TRU"]), moment(visit["NGAY_RA"])
    if end - start <= datetime.timedelta(hours=4):
        due = 0
    elif end - start < datetime.timedelta(hours=24):
        due = 1
    else:
        due = (end.date() - start.date()).days + (visit["KET_QUA_DTRI"] == "4" and visit["MA_LOAI_RV"] == "2")
    assert sum(beds) == due


def check_times(claim: Rows) -> None:
    (visit,) = claim["XML1"]
    for table in ("XML2", "XML3"):
        for row in claim.get(table, []):
            ordered, done = moment(row["NGAY_YL"]), moment(row["NGAY_TH_YL"])
            finished = moment(row["NGAY_KQ"]) if row.get("NGAY_KQ") else done
            assert moment(visit["NGAY_VAO"]) <= ordered <= done <= finished <= moment(visit["NGAY_RA"])


def test_claims_of_july_2026(faultless: Path, read_claims: Callable[[Path], list[Rows]]) -> None:
    claims = [claim for path in sorted(faultless.glob("inbox/*/*.xml")) for claim in read_claims(path)]
    assert len(claims) == 3 * 70
    for claim in claims:
        lines = checked_lines(claim)
        check_totals(claim["XML1"][0], lines)
        check_bed_days(claim)
        check_times(claim)
        assert claim["XML1"][0]["NGAY_RA"].startswith("202607")
    visits = [claim["XML1"][0] for claim in claims]
    rates = {row["MUC_HUONG"] for claim in claims for row in claim["XML3"]}
    assert {"80", "95", "100"} <= rates
    assert rates & {"32", "38", "40", "47.5", "50"}
    assert {"01", "03", "05", "08"} <= {visit["MA_LOAI_KCB"] for visit in visits}
    assert any(visit["NGAY_VAO"] < "20260701" for visit in visits)
    assert len({visit["MA_LK"] for visit in visits}) == len(visits)


@pytest.mark.parametrize("month", ["202501", "202510"])
def test_claims_of_months_under_older_law(
    tmp_path: Path, month: str, read_claims: Callable[[Path], list[Rows]]
) -> None:
    simulate(facilities=4, claims=60, month=month, fault_rate=0, seed=2, out=tmp_path)
    claims = [claim for path in sorted(tmp_path.glob("inbox/*/*.xml")) for claim in read_claims(path)]
    for claim in claims:
        check_totals(claim["XML1"][0], checked_lines(claim))
        check_bed_days(claim)
        check_times(claim)
        (visit,) = claim["XML1"]
        # these codes exist since 17 October 2025
        if visit["MA_DOITUONG_KCB"] in ("1.11", "1.12", "1.15"):
            assert visit["NGAY_RA"] >= "20251017"


def test_what_true_files_have_is_there(faultless: Path, read_claims: Callable[[Path], list[Rows]]) -> None:
    claims = [claim for path in sorted(faultless.glob("inbox/*/*.xml")) for claim in read_claims(path)]
    lines = [row for claim in claims for row in claim["XML3"]]
    drugs = [row for claim in claims for row in claim.get("XML2", [])]
    assert {row["TYLE_TT_DV"] for row in lines} >= {"100", "30"}
    assert {row["TYLE_TT_BH"] for row in drugs} >= {"100", "50", "0"}
    assert any(row["MA_VAT_TU"] and row["MA_DICH_VU"] for row in lines)
    assert any(row["MA_NHOM"] == "8" and row["PP_VO_CAM"] for row in lines)
    for claim in claims:
        (visit,) = claim["XML1"]
        if visit["MA_LOAI_KCB"] in INPATIENT:
            assert claim["XML5"]
            assert claim["XML7"]
            assert visit["LY_DO_VNT"]
        if visit["MA_LOAI_KCB"] == "03":
            assert claim["XML8"]
        assert ("XML14" in claim) == (visit["NGAY_TAI_KHAM"] != "")
        assert ("XML13" in claim) == (visit["MA_LOAI_RV"] == "2")
        tested = {row["MA_DICH_VU"] for row in claim["XML3"] if row["MA_NHOM"] in ("1", "2", "3")}
        assert tested == {row["MA_DICH_VU"] for row in claim.get("XML4", [])}
    mean = (len(lines) + len(drugs)) / len(claims)
    assert 6 < mean < 20
