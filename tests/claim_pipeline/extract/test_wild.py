"""Forms of claim XML that are met in the wild, and hostile ones: what becomes of each (docs/formats.md)."""

from __future__ import annotations

import base64
import codecs
import time
import tracemalloc
import unicodedata
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from lxml import etree

from claim_pipeline import extract, transform
from claim_pipeline.errors import Quarantined
from claim_pipeline.workspace import Delivery, Workspace

Read = Callable[..., Any]
NAME = "Nguyễn Thị Đặng Ước"


def claims(build: SimpleNamespace, *names: str, **envelope: Any) -> bytes:
    return bytes(build.envelope(*(claim(build, name) for name in names or ("A", "B")), **envelope))


def claim(build: SimpleNamespace, ma_lk: str, encode: Callable[[str], bytes] = str.encode) -> str:
    files = {
        "XML1": build.table("XML1", build.general(ma_lk, HO_TEN=NAME)),
        "XML2": build.table("XML2", {"MA_LK": ma_lk, "MA_THUOC": "40.30"}),
    }
    return f"<HOSO>{''.join(build.file(name, encode(text)) for name, text in files.items())}</HOSO>"


def in_1258(text: str) -> bytes:
    """Vietnamese as windows-1258 holds it: vowels with their mark, tones as combining characters."""
    out = b""
    for char in text:
        for form in (char, *(unicodedata.normalize("NFD", char)[:n] for n in ())):
            try:
                out += form.encode("cp1258")
                break
            except UnicodeEncodeError:
                parts = unicodedata.normalize("NFD", char)
                tones = [c for c in parts[1:] if c in "\u0300\u0301\u0303\u0309\u0323"]
                rest = unicodedata.normalize("NFC", "".join(c for c in parts if c not in tones))
                out += (rest + "".join(tones)).encode("cp1258")
    return out


def checked(read: Read, content: bytes, **more: Any) -> Any:
    result = read(content, **more)
    assert result.tables["XML1"]["HO_TEN"].tolist() == [NAME] * len(result.tables.claims)
    assert result.tables.claims["readable"].all()
    return result


OUTER = {
    "utf-16 with mark": lambda text: text.replace("utf-8", "utf-16").encode("utf-16"),
    "utf-16-le without mark": lambda text: text.replace("utf-8", "utf-16").encode("utf-16-le"),
    "utf-16-be with mark": lambda text: codecs.BOM_UTF16_BE + text.replace("utf-8", "utf-16").encode("utf-16-be"),
    "utf-16 declared, utf-8 sent": lambda text: text.replace("utf-8", "utf-16").encode(),
    "windows-1258": lambda text: in_1258(text.replace("utf-8", "windows-1258")),
    "utf-8 with mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "no declaration": lambda text: text.split("?>", 1)[1].strip().encode(),
    "white space first": lambda text: b"\r\n " + text.split("?>", 1)[1].strip().encode(),
}


@pytest.mark.parametrize("encode", OUTER.values(), ids=OUTER)
def test_the_document_may_come_in_several_encodings(
    build: SimpleNamespace, read: Read, encode: Callable[[str], bytes]
) -> None:
    table = build.table("XML1", build.general("A", HO_TEN=NAME))
    files = build.file("XML1", table, raw=True) + build.file("XML2", build.table("XML2", {"MA_LK": "A"}))
    text = build.envelope(f"<HOSO>{files}</HOSO>").decode()
    result = checked(read, encode(text))
    assert len(result.findings) == 0


INNER = {
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16 declared": lambda text: f'<?xml version="1.0" encoding="utf-16"?>{text}'.encode("utf-16"),
    "utf-16-le without mark": lambda text: text.encode("utf-16-le"),
    "utf-16-be without mark": lambda text: text.encode("utf-16-be"),
    "windows-1258": lambda text: in_1258(f'<?xml version="1.0" encoding="windows-1258"?>{text}'),
    "windows-1258 declared, utf-8 sent": lambda text: f'<?xml version="1.0" encoding="windows-1258"?>{text}'.encode(),
    "utf-8 with mark": lambda text: codecs.BOM_UTF8 + text.encode(),
}


@pytest.mark.parametrize("encode", INNER.values(), ids=INNER)
def test_a_table_may_come_in_several_encodings(
    build: SimpleNamespace, read: Read, encode: Callable[[str], bytes]
) -> None:
    result = checked(read, build.envelope(claim(build, "A", encode), claim(build, "B")))
    assert len(result.findings) == 0


def zipped_base64(build: SimpleNamespace) -> bytes:
    return base64.b64encode(build.zip({"a.xml": claims(build)}))


WRAPPED = {
    "base64": lambda build: base64.b64encode(claims(build)),
    "base64 in lines": lambda build: base64.encodebytes(claims(build)).replace(b"\n", b"\r\n"),
    "base64 with mark": lambda build: codecs.BOM_UTF8 + base64.b64encode(claims(build)),
    "base64 of utf-16": lambda build: base64.b64encode(
        claims(build).decode().replace("utf-8", "utf-16").encode("utf-16")
    ),
    "zip": lambda build: build.zip({"thang7.xml": claims(build), "doc.txt": "ghi chú"}),
    "zip of two": lambda build: build.zip({"2.xml": claims(build, "B"), "1.xml": claims(build, "A")}),
    "zip of base64": lambda build: build.zip({"hoso.txt": base64.b64encode(claims(build))}),
    "base64 of a zip": zipped_base64,
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_the_whole_document_may_be_wrapped_once_more(
    build: SimpleNamespace, read: Read, tmp_path: Any, wrap: Callable[[SimpleNamespace], bytes]
) -> None:
    result = checked(read, wrap(build), inbox="27001")
    assert result.tables.claims["MA_LK"].tolist() == ["A", "B"]
    assert (result.format, result.declared_claims) == ("xml-3176", 2)
    ws = Workspace(tmp_path / "work")
    ws.source.write_bytes(wrap(build))
    ws.delivery = Delivery(file="x", sha256="0" * 64, inbox_facility="27001")
    extract.run(ws)
    transform.run(ws)
    root = etree.parse(ws.submission).getroot()
    assert (root.tag, root.findtext(".//SOLUONGHOSO"), len(root.findall(".//HOSO"))) == ("GIAMDINHHS", "2", 2)
    assert checked(read, ws.submission.read_bytes()).tables.claims.equals(result.tables.claims)


def test_files_of_two_facilities_in_one_zip_are_not_taken(build: SimpleNamespace, read: Read) -> None:
    other = build.envelope(claim(build, "B"), facility="27002")
    with pytest.raises(Quarantined) as caught:
        read(build.zip({"1.xml": claims(build, "A"), "2.xml": other}))
    assert caught.value.code == "STR-001"


def test_findings_of_the_second_file_name_its_own_claims(build: SimpleNamespace, read: Read) -> None:
    broken = build.envelope(build.hoso("C"), build.hoso("D", build.file("XML3", "@", raw=True)))
    result = read(build.zip({"1.xml": claims(build, "A", "B"), "2.xml": broken}))
    assert result.findings[["claim", "rule"]].to_numpy().tolist() == [[3, "STR-002"]]
    assert result.tables.claims["readable"].tolist() == [True, True, True, False]


def test_unknown_elements_are_named_once(build: SimpleNamespace, read: Read) -> None:
    lines = build.table("XML3", {"MA_LK": "A", "TEN_KHO": "1"}, {"MA_LK": "A", "TEN_KHO": "2"})
    result = read(build.envelope(*(build.hoso(f"{n}", build.file("XML3", lines)) for n in range(3))))
    assert result.unknown_columns == ["XML3.TEN_KHO"]
    assert len(result.tables.unknown) == 6


# --- hostile ------------------------------------------------------------------------------------------------------

DEEP = 5_000
HOSTILE: dict[str, tuple[Callable[[SimpleNamespace], bytes], str]] = {
    "deep outside": (lambda b: b"<a>" * DEEP + b"</a>" * DEEP, "STR-001"),
    "deep in the list": (lambda b: b.envelope("<x>" * DEEP + "</x>" * DEEP), "STR-001"),
    "NUL byte": (lambda b: claims(b).replace(b"<HOSO>", b"<HOSO>\0", 1), "STR-001"),
    "invalid utf-8": (lambda b: claims(b).replace(b"27001", b"27\xff01", 1), "STR-001"),
    "cut off": (lambda b: claims(b)[:-20], "STR-001"),
    "cut off in base64": (lambda b: base64.b64encode(claims(b))[:-21], "not-a-delivery"),
    "base64 of base64 of base64 of base64": (
        lambda b: base64.b64encode(base64.b64encode(base64.b64encode(base64.b64encode(claims(b))))),
        "not-a-delivery",
    ),
    "zip in a zip": (lambda b: b.zip({"a.zip": b.zip({"a.xml": claims(b)})}), "zip-in-zip"),
    "unknown encoding": (lambda b: claims(b).replace(b"utf-8", b"x-no-such"), "STR-001"),
    "XInclude": (
        lambda b: claims(b).replace(b"<HOSO>", b'<HOSO xmlns:x="http://www.w3.org/2001/XInclude"><x:include/>', 1)[:-9],
        "STR-001",
    ),
}


@pytest.mark.parametrize(("make", "code"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_quarantined_with_a_reason(
    build: SimpleNamespace, read: Read, make: Callable[[SimpleNamespace], bytes], code: str
) -> None:
    with pytest.raises(Quarantined) as caught:
        read(make(build))
    assert caught.value.code == code


BAD_TABLES = {
    "deep": b"<TONG_HOP>" + b"<a>" * DEEP + b"</a>" * DEEP + b"</TONG_HOP>",
    "NUL byte": b"<TONG_HOP><MA_LK>\0</MA_LK></TONG_HOP>",
    "NUL reference": b"<TONG_HOP><MA_LK>&#0;</MA_LK></TONG_HOP>",
    "invalid utf-8": b"<TONG_HOP><MA_LK>\xc3\x28</MA_LK></TONG_HOP>",
    "surrogate": b"<TONG_HOP><MA_LK>\xed\xa0\x80</MA_LK></TONG_HOP>",
    "two roots": b"<TONG_HOP/><TONG_HOP/>",
    "namespace": b'<TONG_HOP xmlns="urn:x"><MA_LK>A</MA_LK></TONG_HOP>',
}


@pytest.mark.parametrize("table", BAD_TABLES.values(), ids=BAD_TABLES)
def test_a_hostile_table_refuses_its_own_claim_alone(build: SimpleNamespace, read: Read, table: bytes) -> None:
    lines = build.file("XML2", build.table("XML2", {"MA_LK": "A"}))
    bad = f"<HOSO>{build.file('XML1', table)}{lines}</HOSO>"
    result = read(build.envelope(claim(build, "A"), bad, claim(build, "C")))
    assert result.tables.claims["readable"].tolist() == [True, False, True]
    assert set(result.findings["claim"]) == {1}


def test_many_attributes_elements_and_rows_take_bounded_time(build: SimpleNamespace, read: Read) -> None:
    attributes = " ".join(f'a{n}="1"' for n in range(50_000))
    elements = "".join(f"<E{n}>1</E{n}>" for n in range(50_000))
    one = f"<TONG_HOP {attributes}><MA_LK>A</MA_LK><MA_CSKCB>27001</MA_CSKCB>{elements}</TONG_HOP>"
    rows = "<CHI_TIET_THUOC><MA_LK>A</MA_LK></CHI_TIET_THUOC>" * 50_000
    two = f"<DSACH_CHI_TIET_THUOC>{rows}</DSACH_CHI_TIET_THUOC>"
    started = time.process_time()
    result = read(build.envelope(f"<HOSO>{build.file('XML1', one)}{build.file('XML2', two)}</HOSO>"))
    assert time.process_time() - started < 20
    assert len(result.tables["XML2"]) == 50_000
    assert len(result.unknown_columns) == 50


@pytest.mark.parametrize("inside", ["<NOIDUNGFILE>", "<GHI_CHU>", "<!--"])
def test_200_mb_in_one_element_stop_at_the_limit(build: SimpleNamespace, tmp_path: Any, inside: str) -> None:
    from claim_pipeline.extract import source
    from claim_pipeline.settings import Settings

    path = tmp_path / "source"
    with path.open("wb") as file:
        file.write(build.envelope(build.hoso("A")).split(b"</DANHSACHHOSO>")[0] + f"<HOSO>{inside}".encode())
        for _ in range(200):
            file.write(b"QUFB" * (1 << 18))
    tracemalloc.start()
    with pytest.raises(Quarantined) as caught:
        source.read(path, inbox_facility=None, limits=Settings(max_claim_mib=16))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (caught.value.code, caught.value.read_claims) == ("too-large", 1)
    assert peak < 64 << 20
