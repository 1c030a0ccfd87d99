"""What a simulation writes: whole files in every form, the same bytes again, and no arguments that make no sense."""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from python_calamine import CalamineWorkbook

from claim_pipeline.errors import OperatorError
from claim_pipeline.inbox import scan
from claim_simulator import Summary, simulate


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path: Path) -> None:
    # signatures and what goes with them too: the keys follow from the seed
    arguments: dict[str, Any] = {"facilities": 3, "claims": 24, "month": "202607", "fault_rate": 0.3, "across": True}
    for name, seed in (("a", 9), ("b", 9), ("c", 10)):
        simulate(**arguments, seed=seed, out=tmp_path / name)
    first, again, other = (digests(tmp_path / name) for name in "abc")
    assert first == again
    deliveries = [name for name in first if name.startswith("inbox/") and "_dot" in name]
    assert len(deliveries) > 8
    beside = ["trust/root.pem", "trust/root.crl", "deliveries.csv", "near_misses.csv", "in_store.csv"]
    assert set(beside) < set(first)
    assert not [name for name in first if b"PRIVATE KEY" in (tmp_path / "a" / name).read_bytes()]
    # deliveries.csv tells of signatures alone, and among so few claims their faults are seldom drawn
    differing = ["truth.csv", "reference/cards.csv", "reference/certificates.csv", *beside[:2], "near_misses.csv"]
    for name in [*deliveries, *differing]:
        assert first[name] != other[name]


def test_every_form_is_there_and_each_facility_has_one(faultless: Path) -> None:
    endings = {folder.name: {path.suffix for path in folder.iterdir()} for folder in (faultless / "inbox").iterdir()}
    assert sorted(endings) == ["27001", "27002", "27003", "27004", "27005", "27006"]
    assert all(len(forms) == 1 for forms in endings.values())
    assert set.union(*endings.values()) == {".xml", ".zip", ".xlsx"}
    counts = Counter(path.parent.name for path in (faultless / "inbox").glob("*/*"))
    assert set(counts.values()) <= {3, 4}


def test_files_are_whole_at_once(faultless: Path) -> None:
    files = scan(faultless / "inbox", settle_seconds=0)
    assert len(files) == len(list((faultless / "inbox").glob("*/*")))
    assert not [path for path in faultless.rglob("*") if path.name.startswith(".") or path.name.endswith(".part")]


def test_exports_leave_out_columns_cells_or_nothing(faultless: Path) -> None:
    with zipfile.ZipFile(next((faultless / "inbox" / "27002").iterdir())) as archive:
        headers = {
            Path(name).stem: archive.read(name).decode("utf-8-sig").splitlines()[0] for name in archive.namelist()
        }
    assert {"encounters", "prescriptions", "orders", "results", "notes", "discharge", "summary"} <= set(headers)
    assert "T_BHTT" not in headers["prescriptions"]
    assert "T_TONGCHI_BV" not in headers["encounters"]
    assert "SO_LUONG" in headers["prescriptions"]
    assert "T_NGUONKHAC_VTTN" in headers["prescriptions"]
    workbook = CalamineWorkbook.from_path(str(next((faultless / "inbox" / "27003").iterdir())))
    header, *rows = workbook.get_sheet_by_name("orders").to_python()
    paid = [row[header.index("T_BHTT")] for row in rows]
    assert 0.1 < sum(cell == "" for cell in paid) / len(paid) < 0.5
    assert all(isinstance(cell, float) for cell in paid if cell != "")
    with zipfile.ZipFile(next((faultless / "inbox" / "27005").iterdir())) as archive:
        header_line, *lines = archive.read("orders.csv").decode("utf-8").splitlines()
    place = header_line.split(",").index("T_BHTT")
    assert all(line.split(",")[place] for line in lines if '"' not in line)


def test_the_summary_counts_what_was_written(
    faulty: tuple[Path, Summary],
    read_csv: Callable[[Path], list[dict[str, str]]],
) -> None:
    out, summary = faulty
    truth = read_csv(out / "truth.csv")
    assert summary.deliveries == len(list((out / "inbox").glob("*/*")))
    assert (summary.facilities, summary.claims) == (6, 6 * 120)
    assert summary.findings == len(truth)
    assert sum(summary.faults.values()) <= round(0.5 * summary.claims)
    # a card that two people use is seen in the claims of both
    both = summary.faults["CARD-017"]
    assert len({(row["MA_CSKCB"], row["MA_LK"]) for row in truth}) == sum(summary.faults.values()) + both


def test_reference_data_has_the_files_and_columns_of_the_contract(
    faultless: Path, read_csv: Callable[[Path], list[dict[str, str]]]
) -> None:
    columns = {
        "facilities": "MA_CSKCB TEN_CSKCB MA_TINH CAP_CMKT DIEM TUYEN_CU HANG TU_NGAY DEN_NGAY "
        "HOP_DONG_TU HOP_DONG_DEN",
        "cards": "MA_THE_BHYT HO_TEN NGAY_SINH GIOI_TINH MA_DKBD GT_THE_TU GT_THE_DEN NAM_NAM_LIEN_TUC MA_KHUVUC "
        "TRANG_THAI TRANG_THAI_TU",
        "copayments": "MA_THE_BHYT TU_NGAY DEN_NGAY T_BNCCT",
        "departments": "MA_CSKCB MA_KHOA TEN_KHOA SO_GIUONG TU_NGAY DEN_NGAY",
        "staff": "MA_CSKCB MA_BAC_SI HO_TEN CHUC_DANH PHAM_VI MA_KHOA TU_NGAY DEN_NGAY",
        "drugs": "MA_THUOC TEN_HOAT_CHAT TEN_THUOC DON_VI_TINH HAM_LUONG MA_DUONG_DUNG SO_DANG_KY SO_LUONG DON_GIA "
        "DON_GIA_BH TT_THAU TU_NGAY DEN_NGAY MA_CSKCB LOAI_THUOC TYLE_TT_BH MA_NHOM",
        "supplies": "MA_VAT_TU TEN_VAT_TU DON_VI_TINH DON_GIA DON_GIA_BH TT_THAU TYLE_TT_BH T_TRANTT MA_NHOM "
        "MA_CSKCB TU_NGAY DEN_NGAY",
        "services": "MA_TUONG_DUONG TEN_DVKT_PHEDUYET TEN_DVKT_GIA PHAN_LOAI_PTTT MA_NHOM DON_GIA TYLE_TT_BH "
        "QUYET_DINH MA_CSKCB TUNGAY DENNGAY GIOI_TINH TUOI_TU TUOI_DEN SO_LAN_NGAY_TOI_DA PHUT_TOI_THIEU",
        "machines": "MA_CSKCB MA_MAY TEN_TB MA_NHOM TU_NGAY DEN_NGAY",
        "icd10": "MA TEN LA_BENH_CHINH CO_MA_CHI_TIET CHI_TU_VONG GIOI_TINH TUOI_TU_NGAY TUOI_DEN_NGAY "
        "TU_NGAY DEN_NGAY",
        "bundles": "MA_DICH_VU_A MA_DICH_VU_B PHAM_VI RULE CAN_CU",
        "icd_lists": "DANH_SACH MA_BENH TU_NGAY DEN_NGAY CAN_CU",
        "holidays": "NGAY TEN",
        "certificates": "MA_CSKCB SERIAL ISSUER TU_NGAY DEN_NGAY",
        "administrative_units": "MA_TINH TEN_TINH MA_XA TEN_XA TU_NGAY DEN_NGAY",
        "card_lookups": "MA_CSKCB MA_LK THOI_DIEM KET_QUA",
        "drug_conditions": "MA_THUOC MA_BENH_CHO_PHEP MA_BENH_CHONG_CHI_DINH TUOI_TU TUOI_DEN TYLE_TT_BH CAN_CU",
    }
    assert {path.stem for path in (faultless / "reference").iterdir()} == set(columns)
    for name, wanted in columns.items():
        rows = read_csv(faultless / "reference" / f"{name}.csv")
        assert rows, name
        assert list(rows[0]) == wanted.split(), name


@pytest.mark.parametrize(("facilities", "claims"), [(1, 1), (2, 3), (9, 12)])
def test_small_and_large_groups(tmp_path: Path, facilities: int, claims: int) -> None:
    summary = simulate(facilities=facilities, claims=claims, month="202502", fault_rate=0.5, seed=0, out=tmp_path)
    assert summary.claims == facilities * claims
    assert len(list((tmp_path / "inbox").iterdir())) == facilities


@pytest.mark.parametrize(
    "wrong",
    [
        {"month": "202412"},
        {"month": "202613"},
        {"month": "2026"},
        {"facilities": 0},
        {"claims": 0},
        {"fault_rate": 0.6},
        {"fault_rate": -0.1},
        {"seed": -1},
    ],
)
def test_arguments_without_sense_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"facilities": 1, "claims": 2, "month": "202607", "fault_rate": 0.1, "seed": 1}
    with pytest.raises(OperatorError) as refused:
        simulate(**(arguments | wrong), out=tmp_path)
    assert refused.value.message_vi
    assert refused.value.message_en
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_a_simulation_is_left_alone(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"facilities": 1, "claims": 2, "month": "202607", "fault_rate": 0, "seed": 1}
    simulate(**arguments, out=tmp_path)
    before = digests(tmp_path)
    with pytest.raises(OperatorError):
        simulate(**arguments, out=tmp_path)
    assert digests(tmp_path) == before


def test_an_unusual_month_is_planted_in_claims_and_lists_alike(tmp_path: Path):
    from claim_simulator import Drift

    usual, dear = tmp_path / "usual", tmp_path / "dear"
    common = {"facilities": 2, "claims": 20, "month": "202607", "fault_rate": 0, "seed": 3}
    simulate(**common, out=usual)
    simulate(**common, out=dear, drift={"27002": Drift(price=1.5)})
    prices = [pd.read_csv(one / "reference" / "drugs.csv", dtype="str") for one in (usual, dear)]
    ratio = prices[1]["DON_GIA"].astype(float) / prices[0]["DON_GIA"].astype(float)
    mine = prices[0]["MA_CSKCB"] == "27002"
    assert (ratio[~mine] == 1).all()
    assert ratio[mine].between(1.4, 1.6).all()
    for drift in ({"27003": Drift()}, {"27002": Drift(stay=0)}):
        with pytest.raises(OperatorError, match="no such facility"):
            simulate(**common, out=tmp_path / "no", drift=drift)
    assert not (tmp_path / "no").exists()
