"""What becomes of claim XML, sound and defective, as contracts (report, STR-001 to STR-004 and STR-015) decides."""

from __future__ import annotations

import base64
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract.columns import column_names
from claim_rules import dictionary
from claim_rules.findings import FINDING_COLUMNS
from claim_rules.frames import CLAIM_COLUMNS

Read = Callable[..., Any]


def seen(result: Any) -> list[tuple[object, ...]]:
    """Findings as (claim, rule, severity, table)."""
    frame = result.findings[["claim", "rule", "severity", "table"]].astype(object)
    return [tuple(row) for row in frame.where(frame.notna(), None).to_numpy().tolist()]


def stopped(read: Read, content: bytes, **kwargs: Any) -> Quarantined:
    with pytest.raises(Quarantined) as caught:
        read(content, **kwargs)
    error = caught.value
    assert error.message_vi
    assert error.message_en
    assert error.next_vi
    assert error.next_en
    return error


# --- what is read -------------------------------------------------------------------------------------------------


def test_a_sound_file_gives_its_claims_and_tables(build: SimpleNamespace, read: Read) -> None:
    result = read(build.envelope(build.hoso("A"), build.hoso("B"), signature="<CHUKYDONVI><X/></CHUKYDONVI>"), "27001")
    claims = result.tables.claims
    assert {name: str(dtype) for name, dtype in claims.dtypes.items()} == CLAIM_COLUMNS
    assert claims.to_numpy().tolist() == [[0, "A", "27001", "3176", True], [1, "B", "27001", "3176", True]]
    assert (result.format, result.MA_CSKCB, result.declared_claims, result.created_on, result.signed) == (
        "xml-3176",
        "27001",
        2,
        "20250703",
        True,
    )
    assert list(result.findings.columns) == list(FINDING_COLUMNS)
    assert seen(result) == []
    frame = result.tables["XML2"]
    assert list(frame.columns) == ["claim", "row", *dictionary.table("XML2").names]
    assert set(map(str, frame.dtypes[2:])) == {"str"}
    assert frame[["claim", "row", "MA_LK"]].to_numpy().tolist() == [[0, 1, "A"], [1, 1, "B"]]


def test_absent_is_not_empty_and_text_stays_as_sent(build: SimpleNamespace, read: Read) -> None:
    rows = [
        {"MA_LK": "A", "STT": "", "TEN_THUOC": "  <![CDATA[Mức & <b>]]> \r\n x&#13;", "MA_THUOC": "0040"},
        {"STT": "2", "MA_LK": "A"},
    ]
    document = build.table("XML2", *rows).replace("<STT></STT>", "<STT/>")
    result = read(build.envelope(f"<HOSO>{build.file('XML1', build.table('XML1', build.general('A')))}"
                                 f"{build.file('XML2', document)}</HOSO>"))  # fmt: skip
    first, second = result.tables["XML2"].to_dict("records")
    assert (first["STT"], first["MA_THUOC"], first["row"]) == ("", "0040", 1)
    assert first["TEN_THUOC"] == "  Mức & <b> \n x\r"
    assert pd.isna(first["LIEU_DUNG"])
    assert (second["STT"], second["row"]) == ("2", 2)
    assert pd.isna(second["TEN_THUOC"])


def test_text_is_brought_to_one_unicode_form(build: SimpleNamespace, read: Read) -> None:
    claim = build.file("XML1", build.table("XML1", build.general(HO_TEN="Nguye\u0302\u0303n Va&#x303;n")))
    result = read(build.envelope(f"<HOSO>{claim}{build.file('XML2', build.table('XML2', {'MA_LK': 'LK1'}))}</HOSO>"))
    assert result.tables["XML1"]["HO_TEN"].tolist() == ["Nguyễn Vãn"]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: "\n  " + base64.encodebytes(text.encode()).decode().replace("\n", "\r\n\t"),
        lambda text: text,
        lambda text: f"\n  {text}\n",
        lambda text: f"<![CDATA[{text}]]>",
        lambda text: text.replace("&", "&amp;").replace("<", "&lt;"),
        lambda text: base64.b64encode(b"\xef\xbb\xbf" + text.encode()).decode(),
        lambda text: base64.b64encode(f'<?xml version="1.0" encoding="utf-8"?>\r\n{text}\n'.encode()).decode(),
        lambda text: base64.b64encode(f'\ufeff<?xml version="1.0" encoding="utf-16"?>{text}'.encode()).decode(),
        lambda text: base64.b64encode(f"<!-- x --><?y z?>{text}".encode()).decode(),
    ],
    ids=["base64", "lines", "child", "pretty", "cdata", "escaped", "mark", "declared", "dotnet", "comments"],
)  # fmt: skip
def test_every_way_to_put_a_table_into_a_file_is_read(
    build: SimpleNamespace, read: Read, wrap: Callable[[str], str]
) -> None:
    files = "".join(
        build.file(name, wrap(build.table(name, row)), raw=True)
        for name, row in {
            "XML1": build.general("A", HO_TEN="Trần Thị Đẹp"),
            "XML2": {"MA_LK": "A", "STT": "1"},
            "XML7": {"MA_LK": "A", "PP_DIEUTRI": "mổ"},
        }.items()
    )
    result = read(build.envelope(f"<HOSO>{files}</HOSO>"))
    assert seen(result) == []
    assert result.tables["XML1"]["HO_TEN"].tolist() == ["Trần Thị Đẹp"]
    assert result.tables["XML7"]["PP_DIEUTRI"].tolist() == ["mổ"]


def test_every_table_of_a_claim_is_read_by_the_dictionary(build: SimpleNamespace, read: Read) -> None:
    files = ""
    for name in dictionary.CLAIM_TABLES:
        row = {field: f"{name}.{field}" for field in dictionary.table(name).names}
        rows = [row, row] if dictionary.table(name).row_element else [row]
        files += build.file(name, build.table(name, *rows))
    result = read(build.envelope(f"<HOSO>{files}</HOSO>"))
    assert list(result.tables.tables) == list(dictionary.CLAIM_TABLES)
    for name, frame in result.tables.items():
        assert frame["row"].tolist() == ([1, 2] if dictionary.table(name).row_element else [1])
        for field in dictionary.table(name).names:
            assert frame[field].tolist() == [f"{name}.{field}"] * len(frame)


def test_the_layouts_of_all_decisions_have_the_same_elements_around_their_rows() -> None:
    for decision in ("130", "4750"):
        for name, table in dictionary.tables(decision).items():
            newest = dictionary.table(name)
            assert (table.root, table.list_element, table.row_element) == (
                newest.root,
                newest.list_element,
                newest.row_element,
            )
            assert set(table.names) <= set(column_names(name))


def test_a_list_as_root_is_read_too(build: SimpleNamespace, read: Read) -> None:
    listed = "<DSACH_CHI_TIET_DVKT><CHI_TIET_DVKT><MA_LK>A</MA_LK></CHI_TIET_DVKT></DSACH_CHI_TIET_DVKT>"
    for inside in (build.file("XML3", listed), build.file("XML3", listed, raw=True)):
        result = read(build.envelope(build.hoso("A", inside)))
        assert seen(result) == []
        assert len(result.tables["XML3"]) == 1


def test_the_order_of_tables_and_elements_does_not_matter(build: SimpleNamespace, read: Read) -> None:
    claims = []
    for number in range(60):
        one = build.file("XML1", build.table("XML1", build.general(f"LK{number}")))
        two = build.file("XML2", build.table("XML2", {"STT": "1", "MA_LK": f"LK{number}", "SO_LUONG": str(number)}))
        other = build.file("XML2", build.table("XML2", {"SO_LUONG": str(number), "MA_LK": f"LK{number}"}))
        claims.append(f"<HOSO>{other if number % 2 else two}{one}</HOSO>")
    result = read(build.envelope(*claims))
    assert seen(result) == []
    frame = result.tables["XML2"]
    assert frame["claim"].tolist() == list(range(60))
    assert frame["SO_LUONG"].tolist() == [str(number) for number in range(60)]
    assert frame["STT"].notna().tolist() == [number % 2 == 0 for number in range(60)]


def test_unknown_elements_are_kept_with_their_place(build: SimpleNamespace, read: Read) -> None:
    row = {"MA_LK": "A", "TEN_KHO": "Kho 1", "GHI_CHU_RIENG": ""}
    document = build.table("XML3", row, row | {"TEN_KHO": "Kho 2"}).replace("<DSACH", "<PHIEN_BAN>9</PHIEN_BAN><DSACH")
    result = read(build.envelope(build.hoso("A"), build.hoso("B", build.file("XML3", document))))
    assert seen(result) == []
    unknown = result.tables.unknown.sort_values(["row", "element"])
    assert unknown.to_numpy().tolist() == [
        [1, "XML3", 0, "PHIEN_BAN", "9"],
        [1, "XML3", 1, "GHI_CHU_RIENG", ""],
        [1, "XML3", 1, "TEN_KHO", "Kho 1"],
        [1, "XML3", 2, "GHI_CHU_RIENG", ""],
        [1, "XML3", 2, "TEN_KHO", "Kho 2"],
    ]
    assert "TEN_KHO" not in result.tables["XML3"].columns


def test_many_rows_keep_their_order_and_claims(build: SimpleNamespace, read: Read) -> None:
    def rows(claim: int) -> list[dict[str, str]]:
        return [
            {"MA_LK": str(claim), "STT": str(number)} | ({"MA_THUOC": "x"} if number % 7 else {"LA": "y"})
            for number in range(1, 301)
        ]

    claims = [build.hoso(str(claim), build.file("XML3", build.table("XML3", *rows(claim)))) for claim in range(20)]
    result = read(build.envelope(*claims))
    frame = result.tables["XML3"]
    assert frame["claim"].tolist() == [claim for claim in range(20) for _ in range(300)]
    assert frame["STT"].tolist() == [str(number) for _ in range(20) for number in range(1, 301)]
    assert frame["row"].astype("str").tolist() == frame["STT"].tolist()
    assert len(result.tables.unknown) == 20 * (300 // 7) + 20 * sum(1 for n in range(1, 301) if n % 7)


# --- the version of a claim ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("general", "referral", "decision"),
    [
        ({"NGAY_RA": "202501010000"}, None, "3176"),
        ({"NGAY_RA": "202412312359", "NHOM_MAU": ""}, None, "4750"),
        ({"NGAY_RA": "202412312359"}, None, "130"),
        ({"NGAY_RA": "không rõ"}, None, "130"),
        ({}, None, "130"),
        ({"NGAY_RA": "202412312359"}, {"TINH_TRANG_CT": ""}, "3176"),
        ({"NGAY_RA": "202412312359"}, {"MA_CSKCB_DI": ""}, "3176"),
        ({"NGAY_RA": "202501010000"}, {"MA_NOI_DI": ""}, "4750"),
        ({"NGAY_RA": "202501010000"}, {"SO_HOSO": "1"}, "3176"),
    ],
)
def test_the_decision_of_a_claim(
    build: SimpleNamespace, read: Read, general: dict[str, str], referral: dict[str, str] | None, decision: str
) -> None:
    files = build.file("XML1", build.table("XML1", {"MA_LK": "A"} | general))
    files += build.file("XML2", build.table("XML2", {"MA_LK": "A"}))
    if referral is not None:
        files += build.file("XML13", build.table("XML13", referral))
    result = read(build.envelope(f"<HOSO>{files}</HOSO>"))
    assert result.tables.claims["decision"].tolist() == [decision]
    assert result.format == f"xml-{decision}"


def test_the_format_of_a_delivery_is_that_of_most_claims(build: SimpleNamespace, read: Read) -> None:
    old = build.hoso("A").replace(
        base64.b64encode(build.table("XML1", build.general("A")).encode()).decode(),
        base64.b64encode(build.table("XML1", build.general("A", NGAY_RA="202411010000")).encode()).decode(),
    )
    result = read(build.envelope(old, build.hoso("B"), old))
    assert result.tables.claims["decision"].tolist() == ["4750", "3176", "4750"]
    assert result.format == "xml-4750"


def test_elements_of_the_older_referral_letter_are_columns_not_unknown(build: SimpleNamespace, read: Read) -> None:
    result = read(build.envelope(build.hoso("A", build.file("XML13", build.table("XML13", {"MA_NOI_DI": "27001"})))))
    assert result.tables["XML13"]["MA_NOI_DI"].tolist() == ["27001"]
    assert len(result.tables.unknown) == 0


@pytest.mark.parametrize("wrapped", [False, True], ids=["list as root", "in the wrapper of later decisions"])
def test_decision_4210_is_read_with_its_own_elements(build: SimpleNamespace, read: Read, wrapped: bool) -> None:
    head = "<TONG_HOP><MA_LK>A</MA_LK><MA_THE>x</MA_THE><T_TONGCHI>1</T_TONGCHI><MA_LOAI_KCB>1</MA_LOAI_KCB></TONG_HOP>"
    row = "<CHI_TIET_THUOC><MA_LK>A</MA_LK><THANH_TIEN>1</THANH_TIEN><LA>z</LA></CHI_TIET_THUOC>"
    lines = f"<DSACH_CHI_TIET_THUOC>{row}</DSACH_CHI_TIET_THUOC>"
    if wrapped:
        lines = f"<CHITIEU_CHITIET_THUOC>{lines}</CHITIEU_CHITIET_THUOC>"
    old = f"<HOSO>{build.file('XML1', head)}{build.file('XML2', lines)}</HOSO>"
    result = read(build.envelope(old, build.hoso("B")))
    assert seen(result) == []
    assert result.tables.claims["decision"].tolist() == ["4210", "3176"]
    assert result.tables["XML1"][["claim", "MA_THE", "MA_LOAI_KCB"]].fillna("–").to_numpy().tolist() == [
        [0, "x", "1"],
        [1, "–", "–"],
    ]
    assert result.tables["XML2"][["claim", "THANH_TIEN"]].fillna("–").to_numpy().tolist() == [[0, "1"], [1, "–"]]
    assert result.unknown_columns == ["XML2.LA"]
    assert read(build.envelope(old)).format == "xml-4210"


@pytest.mark.parametrize("name", ["XML0", "XML12"])
def test_other_official_documents_are_named_and_not_taken(build: SimpleNamespace, read: Read, name: str) -> None:
    error = stopped(read, build.table(name, {"MA_LK": "A"}).encode())
    assert error.code == "not-a-claim"
    assert name in error.message_en


# --- STR-001: the envelope ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "groups"),
    [
        (("1A", "2A", "1B", "2B"), ["A", "B"]),
        (("2A", "1A", "1B", "2B"), ["A", "B"]),
        (("1A", "2A"), ["A"]),
    ],
)
def test_files_without_a_claim_around_them_are_grouped_at_each_xml1(
    build: SimpleNamespace, read: Read, parts: tuple[str, ...], groups: list[str]
) -> None:
    files = [
        build.file(
            f"XML{part[0]}",
            build.table(f"XML{part[0]}", build.general(part[1]) if part[0] == "1" else {"MA_LK": part[1]}),
        )
        for part in parts
    ]
    result = read(build.envelope(*files, declared=len(groups)))
    assert result.tables.claims["MA_LK"].tolist() == groups
    assert result.tables.claims["readable"].all()
    assert seen(result) == [(None, "STR-001", "warn", None)]
    assert result.tables["XML2"]["MA_LK"].tolist() == groups


def test_files_without_a_claim_around_them_beside_whole_claims_are_all_read(build: SimpleNamespace, read: Read) -> None:
    bare = build.hoso("B").removeprefix("<HOSO>").removesuffix("</HOSO>")
    result = read(build.envelope(build.hoso("A"), bare, build.hoso("C")))
    assert result.tables.claims["MA_LK"].tolist() == ["A", "B", "C"]


@pytest.mark.parametrize("declared", [None, "", "hai", "-1", "1.0"])
def test_a_missing_number_of_claims_is_a_warning(build: SimpleNamespace, read: Read, declared: str | None) -> None:
    result = read(build.envelope(build.hoso(), declared=declared))
    assert seen(result) == [(None, "STR-001", "warn", None)]
    assert result.findings["field"].tolist() == ["SOLUONGHOSO"]
    assert result.declared_claims is None
    assert result.tables.claims["readable"].tolist() == [True]


@pytest.mark.parametrize("created_on", [None, ""])
def test_a_missing_date_is_a_warning(build: SimpleNamespace, read: Read, created_on: str | None) -> None:
    result = read(build.envelope(build.hoso(), created_on=created_on))
    assert seen(result) == [(None, "STR-001", "warn", None)]
    assert result.findings["field"].tolist() == ["NGAYLAP"]
    assert result.created_on is None


@pytest.mark.parametrize("facility", [None, "", "27001</MACSKCB><MACSKCB>27002"])
def test_without_one_facility_the_delivery_is_not_taken(
    build: SimpleNamespace, read: Read, facility: str | None
) -> None:
    error = stopped(read, build.envelope(build.hoso(), facility=facility))
    assert (error.code, error.read_claims, error.declared_claims) == ("STR-001", 1, 1)


def test_a_file_that_was_cut_off_is_not_taken_and_says_how_much_was_whole(build: SimpleNamespace, read: Read) -> None:
    whole = build.envelope(*(build.hoso(f"LK{n}") for n in range(300)))
    for cut in (len(whole) - 3, whole.index(b"</DANHSACHHOSO>")):
        error = stopped(read, whole[:cut])
        assert (error.code, error.read_claims, error.declared_claims) == ("STR-001", 300, 300)
        assert "300" in error.message_vi
        assert "300" in error.message_en
    half = whole[: len(whole) // 2]
    error = stopped(read, half)
    assert error.read_claims == half.count(b"</HOSO>")
    error = stopped(read, half + b"\x01" + whole[len(half) :])
    assert error.read_claims is not None
    assert 0 < error.read_claims <= 150


def test_what_follows_the_end_of_the_document_is_a_defect(build: SimpleNamespace, read: Read) -> None:
    assert stopped(read, build.envelope(build.hoso()) + b"<more/>").code == "STR-001"


@pytest.mark.parametrize(
    "content", [b"<html><body>x</body></html>", b"<a:GIAMDINHHS xmlns:a='u'/>", b"<", b"<x", b"  <!-- -->"]
)
def test_xml_that_is_not_a_claim_file(read: Read, content: bytes) -> None:
    assert stopped(read, content).code == "STR-001"


def test_texts_about_a_defect_never_quote_what_stands_there(build: SimpleNamespace, read: Read) -> None:
    content = build.envelope(build.hoso("A", "<HO_TEN><Nguyen Van An & Binh</HO_TEN>"))
    error = stopped(read, content)
    assert "Nguyen" not in error.message_en + error.message_vi + str(error)
    broken = build.file("XML3", "<HO_TEN><Nguyen Van An")
    result = read(build.envelope(build.hoso("A", broken)))
    assert "Nguyen" not in "".join(result.findings["detail_en"] + result.findings["detail_vi"])


def test_an_envelope_without_claims_is_not_taken(build: SimpleNamespace, read: Read) -> None:
    assert stopped(read, build.envelope()).code == "STR-001"


def test_a_claim_at_a_wrong_place_stops_the_delivery_rather_than_being_lost(build: SimpleNamespace, read: Read) -> None:
    content = build.envelope(build.hoso("A"), signature=build.hoso("B"))
    assert stopped(read, content).code == "STR-001"
    content = build.envelope(build.hoso("A").replace("<HOSO>", "<HOSO><GOI>", 1).replace("</HOSO>", "</GOI></HOSO>"))
    assert stopped(read, content).code == "STR-001"


@pytest.mark.parametrize(
    "files",
    [
        "<FILEHOSO><LOAIHOSO>XML3</LOAIHOSO></FILEHOSO>",
        "<FILEHOSO><NOIDUNGFILE>eA==</NOIDUNGFILE></FILEHOSO>",
        "<FILEHOSO><LOAIHOSO>XML3</LOAIHOSO><NOIDUNGFILE/><LOAIHOSO>XML4</LOAIHOSO><NOIDUNGFILE/></FILEHOSO>",
    ],
)
def test_a_file_entry_without_its_parts_refuses_that_claim(build: SimpleNamespace, read: Read, files: str) -> None:
    result = read(build.envelope(build.hoso("A"), build.hoso("B", files)))
    assert seen(result) == [(1, "STR-001", "reject_claim", None)]
    assert result.tables.claims["readable"].tolist() == [True, False]


BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE GIAMDINHHS>",
        '<!DOCTYPE GIAMDINHHS SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE GIAMDINHHS [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        f'<!DOCTYPE GIAMDINHHS [<!ENTITY e0 "ha">{BOMB}]>',
    ],
)
def test_a_document_type_is_refused_before_anything_is_expanded(
    build: SimpleNamespace, read: Read, doctype: str
) -> None:
    outer = build.envelope(build.hoso("&e11;"), prolog=doctype)
    assert stopped(read, outer).code == "STR-001"
    attribute = build.envelope(build.hoso(), prolog=doctype).replace(b"<GIAMDINHHS>", b'<GIAMDINHHS a="&e11;">')
    assert stopped(read, attribute).code == "STR-001"
    inner = f'\ufeff<?xml version="1.0"?><!-- x -->\n{doctype}' + build.table("XML3", {"MA_LK": "&e11;"})
    result = read(build.envelope(build.hoso("A"), build.hoso("B", build.file("XML3", inner))))
    assert seen(result) == [(1, "STR-002", "reject_claim", "XML3")]


# --- STR-002: one claim's content ---------------------------------------------------------------------------------

BROKEN = {
    "not base64": "@@@@",
    "wrong length": "abcde",
    "not XML": base64.b64encode(b"hello").decode(),
    "not UTF-8": base64.b64encode(
        "<CHITIEU_CHITIET_DVKT_VTYT>\xe9</CHITIEU_CHITIET_DVKT_VTYT>".encode("latin-1")
    ).decode(),
    "half of UTF-16": base64.b64encode("<CHITIEU_CHITIET_DVKT_VTYT/>".encode("utf-16")[:-1]).decode(),
    "cut off": base64.b64encode(b"<CHITIEU_CHITIET_DVKT_VTYT><DSACH_CHI_TIET_DVKT>").decode(),
    "wrong root": base64.b64encode(b"<TONG_HOP/>").decode(),
    "unknown entity": base64.b64encode(b"<CHITIEU_CHITIET_DVKT_VTYT>&nbsp;</CHITIEU_CHITIET_DVKT_VTYT>").decode(),
    "two children": "<CHITIEU_CHITIET_DVKT_VTYT/><CHITIEU_CHITIET_DVKT_VTYT/>",
    "text and child": "x<CHITIEU_CHITIET_DVKT_VTYT/>",
}


def listed(inside: str) -> str:
    return base64.b64encode(
        f"<CHITIEU_CHITIET_DVKT_VTYT><DSACH_CHI_TIET_DVKT>{inside}</DSACH_CHI_TIET_DVKT></CHITIEU_CHITIET_DVKT_VTYT>".encode()
    ).decode()


BROKEN |= {
    "nested": listed("<CHI_TIET_DVKT><MA_LK>x<B>y</B></MA_LK></CHI_TIET_DVKT>"),
    "repeated": listed("<CHI_TIET_DVKT><MA_LK>x</MA_LK><MA_LK>x</MA_LK></CHI_TIET_DVKT>"),
    "other row": listed("<CHI_TIET_THUOC><MA_LK>x</MA_LK></CHI_TIET_THUOC>"),
    "text in list": listed("x<CHI_TIET_DVKT><MA_LK>x</MA_LK></CHI_TIET_DVKT>"),
    "text in row": listed("<CHI_TIET_DVKT>x<MA_LK>x</MA_LK></CHI_TIET_DVKT>"),
    "text after field": listed("<CHI_TIET_DVKT><MA_LK>x</MA_LK>x</CHI_TIET_DVKT>"),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_one_broken_content_among_fifty_claims_refuses_one_claim(
    build: SimpleNamespace, read: Read, content: str
) -> None:
    claims = [build.hoso(f"LK{n}") for n in range(50)]
    claims[17] = build.hoso("LK17", build.file("XML3", content, raw=True))
    result = read(build.envelope(*claims))
    assert seen(result) == [(17, "STR-002", "reject_claim", "XML3")]
    assert result.findings[["detail_vi", "detail_en"]].notna().all(axis=None)
    assert result.tables.claims["readable"].tolist() == [n != 17 for n in range(50)]
    assert result.tables.claims["MA_LK"].tolist() == [f"LK{n}" for n in range(50)]
    assert "XML3" not in result.tables


def test_a_claim_whose_xml1_is_broken_is_known_by_another_table(build: SimpleNamespace, read: Read) -> None:
    broken = build.file("XML1", "@", raw=True) + build.file(
        "XML3", build.table("XML3", {"MA_LK": ""}, {"MA_LK": " B "})
    )
    unknown = build.file("XML1", "@", raw=True)
    result = read(build.envelope(build.hoso("A"), f"<HOSO>{broken}</HOSO>", f"<HOSO>{unknown}</HOSO>"))
    claims = result.tables.claims
    assert claims["MA_LK"].fillna("–").tolist() == ["A", "B", "–"]
    assert claims["decision"].fillna("–").tolist() == ["3176", "–", "–"]
    assert claims["readable"].tolist() == [True, False, False]
    assert seen(result) == [
        (1, "STR-002", "reject_claim", "XML1"),
        (2, "STR-002", "reject_claim", "XML1"),
        (2, "STR-004", "reject_claim", None),
    ]


@pytest.mark.parametrize(
    "content", ["", " \n ", base64.b64encode(b" \n").decode(), base64.b64encode(b"\xef\xbb\xbf").decode()]
)
def test_empty_content_is_an_absent_table_but_for_xml1(build: SimpleNamespace, read: Read, content: str) -> None:
    optional = "".join(
        build.file(name, content, raw=True) for name in dictionary.CLAIM_TABLES if name not in ("XML1", "XML2")
    )
    result = read(build.envelope(build.hoso("A", optional)))
    assert seen(result) == []
    assert list(result.tables.tables) == ["XML1", "XML2"]
    lines = build.file("XML2", build.table("XML2", {"MA_LK": "B"}))
    result = read(build.envelope(f"<HOSO>{build.file('XML1', content, raw=True)}{lines}</HOSO>"))
    assert seen(result) == [(0, "STR-002", "reject_claim", "XML1")]


def test_an_empty_list_or_root_is_an_absent_table(build: SimpleNamespace, read: Read) -> None:
    files = [
        build.file("XML4", build.table("XML4")),
        build.file("XML5", "<CHITIEU_CHITIET_DIENBIENLAMSANG/>"),
        build.file("XML7", build.table("XML7")),
        build.file("XML3", "<DSACH_CHI_TIET_DVKT/>"),
    ]
    result = read(build.envelope(build.hoso("A", *files)))
    assert seen(result) == []
    assert list(result.tables.tables) == ["XML1", "XML2"]


# --- STR-003: the number of claims --------------------------------------------------------------------------------


def test_fewer_claims_than_declared_stop_the_delivery(build: SimpleNamespace, read: Read) -> None:
    error = stopped(read, build.envelope(build.hoso("A"), build.hoso("B"), declared=3))
    assert (error.code, error.declared_claims, error.read_claims) == ("STR-003", 3, 2)
    assert "3" in error.message_vi
    assert "2" in error.message_vi


def test_more_claims_than_declared_are_all_read_with_a_warning(build: SimpleNamespace, read: Read) -> None:
    result = read(build.envelope(build.hoso("A"), build.hoso("B"), build.hoso("C"), declared=2))
    assert len(result.tables.claims) == 3
    assert seen(result) == [(None, "STR-003", "warn", None)]
    assert result.findings[["observed", "expected"]].to_numpy().tolist() == [["2", "3"]]


# --- STR-004: the set of tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["XML0", "XML12", "XML16", "GIAYRAVIEN", ""])
def test_an_unknown_kind_of_table_is_reported_and_left(build: SimpleNamespace, read: Read, name: str) -> None:
    result = read(build.envelope(build.hoso("A", build.file(name, "@", raw=True))))
    assert seen(result) == [(0, "STR-004", "warn", None)]
    assert result.findings["observed"].tolist() == [name]
    assert result.tables.claims["readable"].tolist() == [True]


def test_the_same_table_twice_refuses_the_claim(build: SimpleNamespace, read: Read) -> None:
    again = build.file("XML2", build.table("XML2", {"MA_LK": "A"}))
    result = read(build.envelope(build.hoso("A", again), build.hoso("B")))
    assert seen(result) == [(0, "STR-004", "reject_claim", "XML2")]
    assert result.tables.claims["readable"].tolist() == [False, True]


def test_other_than_one_xml1_refuses_the_claim_and_never_gives_two_records(build: SimpleNamespace, read: Read) -> None:
    one = build.table("XML1", build.general("A"))
    lines = build.file("XML2", build.table("XML2", {"MA_LK": "A"}))
    claims = [
        f"<HOSO>{lines}</HOSO>",
        f"<HOSO>{build.file('XML1', one)}{build.file('XML1', one)}{lines}</HOSO>",
        f"<HOSO>{build.file('XML1', one + one, raw=True)}{lines}</HOSO>",
        f"<HOSO>{build.file('XML1', f'<DS>{one}{one}</DS>')}{lines}</HOSO>",
    ]
    result = read(build.envelope(*claims))
    assert seen(result) == [(n, "STR-004", "reject_claim", "XML1") for n in range(4)]
    assert not result.tables.claims["readable"].any()
    assert result.tables["XML1"]["claim"].is_unique


def test_a_claim_without_any_line_is_refused(build: SimpleNamespace, read: Read) -> None:
    one = build.file("XML1", build.table("XML1", build.general("A")))
    result = read(build.envelope(f"<HOSO>{one}{build.file('XML2', build.table('XML2'))}</HOSO>", "<HOSO/>"))
    assert seen(result) == [
        (0, "STR-004", "reject_claim", None),
        (1, "STR-004", "reject_claim", "XML1"),
        (1, "STR-004", "reject_claim", None),
    ]


# --- STR-015: the facility ----------------------------------------------------------------------------------------


def test_a_file_of_another_facility_than_the_inbox_is_not_taken(build: SimpleNamespace, read: Read) -> None:
    error = stopped(read, build.envelope(build.hoso()), inbox="27002")
    assert (error.code, error.ma_cskcb) == ("wrong-facility", "27001")


def test_a_claim_of_another_facility_than_the_file_is_refused(build: SimpleNamespace, read: Read) -> None:
    other = build.file("XML1", build.table("XML1", build.general("B", MA_CSKCB="27002")))
    lines = build.file("XML2", build.table("XML2", {"MA_LK": "B"}))
    result = read(build.envelope(build.hoso("A"), f"<HOSO>{other}{lines}</HOSO>"), "27001")
    assert seen(result) == [(1, "STR-015", "reject_claim", "XML1")]
    assert result.findings[["field", "observed", "expected"]].to_numpy().tolist() == [["MA_CSKCB", "27002", "27001"]]
    assert result.tables.claims["readable"].all()
    assert result.tables.claims["MA_CSKCB"].tolist() == ["27001", "27001"]


# --- limits -------------------------------------------------------------------------------------------------------


def test_limits_of_size_and_number(build: SimpleNamespace, read: Read) -> None:
    content = build.envelope(*(build.hoso(str(n)) for n in range(3)))
    assert stopped(read, content, max_claims=2).code == "too-large"
    assert stopped(read, content, max_file_mib=0).code == "too-large"


def test_a_long_text_is_read_whole(build: SimpleNamespace, read: Read) -> None:
    text = "dài " * 4_000_000
    result = read(build.envelope(build.hoso("A", build.file("XML5", build.table("XML5", {"DIEN_BIEN_LS": text})))))
    assert result.tables["XML5"]["DIEN_BIEN_LS"].tolist() == [text]


@given(st.data())
@settings(deadline=None)
def test_damaged_bytes_never_end_in_another_error(
    build: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    from claim_pipeline.extract import source
    from claim_pipeline.settings import Settings

    raw = build.file("XML4", build.table("XML4", {"MA_LK": "1"}), raw=True)
    content = bytearray(build.envelope(build.hoso("A"), build.hoso("B", raw)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path = tmp_path_factory.mktemp("damaged") / "source"
    path.write_bytes(bytes(content))
    try:
        found = source.read(path, inbox_facility=None, limits=Settings())
    except Quarantined:
        return
    assert found.tables.claims["claim"].is_unique
