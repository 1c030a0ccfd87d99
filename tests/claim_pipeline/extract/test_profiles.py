"""Mapping profiles: those that are built in, what is wrong with others, who uses which, what the report says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import giamdinh
from claim_pipeline.errors import Quarantined
from claim_pipeline.extract import profile, source
from claim_pipeline.extract.profile import ProfileError
from claim_pipeline.settings import Settings, settings

Read = Callable[..., Any]

HEAD = "name: mau-moi\ndescription_vi: Mẫu\ndescription_en: x\nsheets:\n"
VISITS = "  luot: {table: XML1, required: true, official_names: false, columns: {MA_LK: Mã lượt, MA_CSKCB: Cơ sở}}\n"
FLAT = (
    "so_phieu|ho_ten|gioi_tinh|so_the|noi_dkbd|the_tu|the_den|icd_chinh|gio_vao|gio_ra|loai_kcb|ma_cskcb|loai_chi_phi|"
    "ma_chi_phi|ten_chi_phi|so_luong|don_gia_bh|don_gia_bv|gio_y_lenh|ghi_chu_rieng\n"
)
VISIT = "A|Nguyễn Văn Ấm|Nam|{card}|27001|{start}|{end}|J00|{day} 08:00:00|2025-07-03 09:00:00|01|27001|"


def flat(*lines: str, day: str = "2025-07-01") -> bytes:
    first = VISIT.format(card="DN4270000000001", start="20250101", end="20250701", day="2025-07-01")
    second = VISIT.format(card="DN4270000000002", start="20250702", end="20251231", day=day)
    rows = [(second if number % 2 == 0 else first) + line for number, line in enumerate(lines)]
    return (FLAT + "\n".join(rows) + "\n").encode()


LINES = (
    "Thuốc|40.48|Paracetamol|10|1000.5||2025-07-01 08:30:00|x",
    "Khám|02.1|Khám nội|1|50600|50600|2025-07-01 08:10:00|",
    "vật tư|N01.02|Kim luồn|2|1500|1500|2025-07-01 08:20:00|",
    "Suất ăn|S1|Suất ăn|1|30000|30000|2025-07-01 11:00:00|",
)


def test_one_sheet_becomes_visits_drugs_services_and_supplies(read: Read) -> None:
    result = read(flat(*LINES))
    assert (result.reading["profile"], result.reading["chosen_by"]) == ("bang-ke-phang", "headers")
    assert result.unknown_columns == ["bang_ke.ghi_chu_rieng"]
    (visit,) = result.tables["XML1"].to_dict("records")
    assert (visit["NGAY_VAO"], visit["NGAY_RA"], visit["GIOI_TINH"]) == ("202507010800", "202507030900", "1")
    assert result.tables["XML2"]["MA_THUOC"].tolist() == ["40.48"]
    lines = result.tables["XML3"][["row", "MA_DICH_VU", "MA_VAT_TU", "NGAY_YL"]].fillna("").to_numpy().tolist()
    assert lines == [[1, "02.1", "", "202507010810"], [2, "", "N01.02", "202507010820"]]


def test_rows_of_a_flat_sheet_that_are_of_no_kind_are_told(read: Read) -> None:
    told = read(flat(*LINES)).findings
    assert told["severity"].tolist() == ["warn"]
    assert "1" in told["observed"].tolist()
    assert "Suất ăn" in told["detail_vi"].iloc[0]


def test_two_cards_of_a_visit_are_listed_by_their_days(read: Read) -> None:
    visit = read(flat(*LINES)).tables["XML1"].loc[0]
    assert visit["MA_THE_BHYT"] == "DN4270000000001;DN4270000000002"
    assert (visit["MA_DKBD"], visit["GT_THE_TU"], visit["GT_THE_DEN"]) == (
        "27001;27001",
        "20250101;20250702",
        "20250701;20251231",
    )


def test_visits_that_their_rows_describe_differently_are_told(read: Read) -> None:
    told = read(flat(*LINES[:2], day="2025-06-30")).findings
    assert told[["rule", "severity", "observed"]].to_numpy().tolist() == [["STR-005", "warn", "1"]]


VIETNAMESE = {
    "Lượt khám.csv": "Mã lượt khám;Họ tên;Giới tính;Ngày sinh;Ngày vào viện;Ngày ra viện;LOẠI KCB;Mã cơ sở;Phòng\n"
    "A;Nguyễn Văn Ấm;Nữ;1950;01/07/2025 08:00;1/7/2025 9:30;Khám bệnh;27001;P1\n",
    "Đơn thuốc.csv": "Mã lượt khám;Mã thuốc;ĐVT;Số lượng;Đơn giá;Ngày y lệnh\nA;40.48;v;10;1.000,5;01/07/2025 08:30\n",
    "Dịch vụ.csv": "Mã lượt khám;Mã dịch vụ;Số lượng;Đơn giá BH;Ngày y lệnh;Giờ y lệnh\n"
    "A;02.1;1;50.600;01/07/2025;08:05\n",
}


def test_vietnamese_names_of_sheets_and_columns(build: SimpleNamespace, read: Read) -> None:
    result = read(build.zip(VIETNAMESE))
    assert result.reading["profile"] == "benh-vien-tieng-viet"
    assert result.unknown_columns == ["luot_kham.Phòng"]
    visit = result.tables["XML1"].loc[0, ["GIOI_TINH", "NGAY_SINH", "NGAY_VAO", "NGAY_RA", "MA_LOAI_KCB"]]
    assert visit.tolist() == ["2", "195000000000", "202507010800", "202507010930", "01"]
    drug = result.tables["XML2"].loc[0, ["DON_VI_TINH", "SO_LUONG", "DON_GIA", "NGAY_YL", "MA_PTTT"]]
    assert drug.tolist() == ["Viên", "10", "1000.5", "202507010830", "1"]
    service = result.tables["XML3"].loc[0, ["DON_GIA_BH", "NGAY_YL"]]
    assert service.tolist() == ["50600", "202507010805"]


OWN_CODES = {
    "visits.csv": "visit_id,full_name,sex,admitted_at,discharged_at,visit_type,result,facility\n"
    "A,Trần Thị Bình,F,01-07-2025 08:00,01-07-2025 09:30,OPD,BETTER,27001\n",
    "drugs.csv": "visit_id,item_code,unit,quantity,price,ordered_at\nA,T0001,TAB,10,195,01-07-2025 08:30\n"
    "A,T0002,TAB,1,5,01-07-2025 08:30\n",
}


def test_codes_of_the_facility_wait_for_the_reference_data(build: SimpleNamespace, read: Read) -> None:
    result = read(build.zip(OWN_CODES))
    assert result.reading["profile"] == "ma-noi-bo"
    visit = result.tables["XML1"].loc[0, ["GIOI_TINH", "MA_LOAI_KCB", "KET_QUA_DTRI"]]
    assert visit.tolist() == ["2", "01", "2"]
    assert result.tables["XML2"]["MA_THUOC"].tolist() == ["T0001", "T0002"]
    assert result.open_codes[["table", "field", "value", "kind", "file", "column"]].to_numpy().tolist() == [
        ["XML2", "MA_THUOC", "T0001", "local", "drugs", "MA_NOI_BO"],
        ["XML2", "MA_THUOC", "T0002", "local", "drugs", "MA_NOI_BO"],
    ]


def test_a_missing_column_is_named_with_the_one_that_comes_nearest(build: SimpleNamespace, read: Read) -> None:
    files = dict(VIETNAMESE)
    files["Đơn thuốc.csv"] = files["Đơn thuốc.csv"].replace("Ngày y lệnh", "Ngay ylenh thuoc")
    with pytest.raises(Quarantined) as caught:
        read(build.zip(files))
    assert caught.value.code == "not-a-delivery"
    assert "don_thuoc" in caught.value.message_vi
    assert "NGAY_YL" in caught.value.message_vi
    assert "Ngay ylenh thuoc" in caught.value.message_vi
    with pytest.raises(Quarantined) as caught:
        read(flat(*LINES).replace(b"gio_vao", b"gio_vaoo"))
    assert "gio_vaoo" in caught.value.message_en


def test_headers_are_compared_without_case_accents_and_spaces(build: SimpleNamespace, read: Read) -> None:
    result = read(build.zip({"ENCOUNTERS.csv": "ma lk,Mã_CSKCB,ho-ten\nA,27001,x\n", "orders.csv": "Ma_lk\nA\n"}))
    assert result.tables["XML1"].loc[0, ["MA_LK", "MA_CSKCB", "HO_TEN"]].tolist() == ["A", "27001", "x"]
    both = build.zip(
        {"encounters.csv": "MA_LK,MA_CSKCB\nA,27001\n", "referral.csv": "MA_LK,PP_DIEUTRI,PP_DIEU_TRI\nA,1,2\n"}
    )
    assert read(both).tables["XML13"].loc[0, ["PP_DIEUTRI", "PP_DIEU_TRI"]].tolist() == ["1", "2"]


# --- own profiles -------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "profiles"
    place.mkdir()
    (place / "mau-moi.yml").write_text(HEAD + VISITS + "  chi_dinh: {table: XML3}\n", "utf-8")
    (place / "facilities.yml").write_text('"27001": mau-moi\n', "utf-8")
    return place


def taken(build: SimpleNamespace, folder: Path, inbox: str) -> Any:
    content = build.zip({"luot.csv": "Mã lượt,Cơ sở\nA,27001\n", "chi_dinh.csv": "MA_LK\nA\n"})
    path = folder.parent / "source"
    path.write_bytes(content)
    return source.read(path, inbox_facility=inbox, limits=Settings(profiles=folder))


def test_a_facility_may_have_a_profile_of_its_own(build: SimpleNamespace, folder: Path) -> None:
    assert taken(build, folder, "27001").reading["chosen_by"] == "facility"
    other = taken(build, folder, "27002")
    assert (other.reading["profile"], other.reading["chosen_by"]) == ("mau-moi", "headers")
    (folder.parent / "source").write_bytes(build.zip({"encounters.csv": "MA_LK\nA\n", "orders.csv": "MA_LK\nA\n"}))
    with pytest.raises(Quarantined, match="luot"):
        source.read(folder.parent / "source", inbox_facility="27001", limits=Settings(profiles=folder))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("name: [", "YAML"),
        ("name: x\n", "sheets"),
        (HEAD.replace("mau-moi", "Mẫu mới") + VISITS, "name"),
        (HEAD + VISITS + "decimal: dot\n", "decimal"),
        (HEAD + VISITS + "dates: [mm/dd]\n", "dates"),
        (HEAD + VISITS + "  x: {table: XML99}\n", "XML99"),
        (HEAD + VISITS + "  x: {table: XML2, columns: {MA_THUOCC: y}}\n", "MA_THUOCC"),
        (HEAD + VISITS + "  x: {table: XML2, values: {MA_THUOC: [y]}}\n", "values"),
        (HEAD + VISITS + "  x: {table: XML2, codes: {MA_THUOC: {file: drug, column: y}}}\n", "codes"),
        (HEAD + VISITS + "  x: {table: XML2, required: yes}\n", "required"),
        (HEAD + VISITS + "  x: {columns: {MA_LK: y}}\n", "x"),
        (HEAD + "  x: {table: XML2, required: true}\n", "XML1"),
        (HEAD + VISITS + "  Lượt: {table: XML2}\n", "name"),
        (HEAD + VISITS + "  x: {table: XML2}\n  y: {table: XML2}\n", "table"),
    ],
)
def test_a_mistake_in_a_profile_is_named(folder: Path, text: str, what: str) -> None:
    (folder / "mau-moi.yml").write_text(text, "utf-8")
    profile._of_folder.cache_clear()
    with pytest.raises(ProfileError) as caught:
        profile.configured(folder)
    assert what in caught.value.message_en
    assert "mau-moi" in caught.value.message_vi or "Mẫu mới" in caught.value.message_vi
    assert caught.value.next_vi


def test_codes_in_a_profile_stay_texts() -> None:
    text = HEAD + VISITS + "  x: {table: XML2, values: {MA_NHOM: {no: 04, 1e3: 005}}, constants: {MA_PTTT: 1}}\n"
    part = profile.parse(text).sheets["x"].parts[0]
    assert part.values["MA_NHOM"] == {"no": "04", "1e3": "005"}
    assert part.constants == {"MA_PTTT": "1"}


def test_a_facility_whose_profile_does_not_exist(folder: Path) -> None:
    (folder / "facilities.yml").write_text('"27001": mau-cu\n', "utf-8")
    profile._of_folder.cache_clear()
    with pytest.raises(ProfileError, match="mau-cu"):
        profile.configured(folder)


# --- giamdinh profile ---------------------------------------------------------------------------------------------


def test_a_profile_can_be_tried_on_a_file(build: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "thang7.zip"
    path.write_bytes(build.zip(VIETNAMESE | {"doc.pdf": "%PDF"}))
    done = CliRunner().invoke(giamdinh.app, ["profile", "try", str(path)])
    assert done.exit_code == 0
    assert done.output.startswith("Mẫu ánh xạ benh-vien-tieng-viet")
    for text in (
        "MA_LK ← Mã lượt khám",
        "NGAY_YL ← Ngày y lệnh + Giờ y lệnh",
        "Phòng",
        "doc.pdf",
        "NGAY_VAO=202507010800",
    ):
        assert text in done.output
    assert "Nguyễn Văn Ấm" not in done.output
    assert "1950" not in done.output


def test_a_profile_that_does_not_fit_is_told(build: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "thang7.zip"
    path.write_bytes(build.zip(VIETNAMESE))
    done = CliRunner().invoke(giamdinh.app, ["profile", "try", str(path), "--profile", "giamdinh-v1"])
    assert done.exit_code == 2
    assert "KHÔNG ĐỌC ĐƯỢC" in done.output
    assert "encounters" in done.output
    done = CliRunner().invoke(giamdinh.app, ["profile", "try", str(path), "--profile", "khong-co"])
    assert (done.exit_code, "khong-co" in done.output) == (2, True)
    done = CliRunner().invoke(giamdinh.app, ["profile", "try", str(tmp_path / "x.zip")])
    assert done.exit_code == 2


def test_profiles_are_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIAMDINH_PROFILES", str(folder))
    settings.cache_clear()
    profile._of_folder.cache_clear()
    done = CliRunner().invoke(giamdinh.app, ["profile", "list"])
    settings.cache_clear()
    assert "mau-moi: Mẫu [27001]" in done.output
    assert "giamdinh-v1" in done.output
