"""Damaged claim files: whatever is done to the bytes, the reader ends in findings or in quarantine, and a damaged claim
takes none of its neighbours with it. `make fuzz` runs it longer."""

from __future__ import annotations

import base64
import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract import claim_xml, source
from claim_pipeline.extract.plain import PlainRows
from claim_pipeline.settings import Settings
from claim_rules import dictionary

RUNS = int(os.environ.get("FUZZ_RUNS", "500"))
SEED = os.environ.get("FUZZ_SEED", "20260701")
if SEED == "random":
    SEED = str(random.SystemRandom().randrange(10**9))

PIECES = [
    b"<", b">", b"</", b"/>", b"&", b"&amp;", b"&#0;", b"&#x110000;", b"&lt;", b"]]>", b"<![CDATA[", b"<!--", b"-->",
    b"<?", b"?>", b"\0", b"\r", b"\r\n", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\xff\xfe",
    b"\xed\xa0\x80", b"\xef\xbf\xbe",
    b"=", b" ", b'a="1"', b"xmlns='u'", b"a:", b"STT", b"MA_LK", b"HOSO", b"<HOSO>", b"</HOSO>", b"FILEHOSO",
    b"NOIDUNGFILE", b"LOAIHOSO", b"XML1", b"XML2", b"<!DOCTYPE a>",
    b'<?xml version="1.0" encoding="utf-16"?>', b"TONG_HOP",
    b"\xcc\x81", b"<CHI_TIET_THUOC>", b"</CHI_TIET_THUOC>", b"0" * 3000, b"MA_THE", b"T_TONGCHI", b"PK\x03\x04",
]  # fmt: skip


def table(name: str, *, rows: int = 1, pretty: bool = False, **values: str) -> bytes:
    """A table document of invented content."""
    layout = dictionary.table(name)
    some = {field: values.get(field, f"{field[:3]} ữ 1") for field in layout.names[:12]} | values
    gap = "\n  " if pretty else ""
    fields = gap.join(f"<{field}>{value}</{field}>" for field, value in some.items())
    if layout.row_element:
        fields = gap.join([f"<{layout.row_element}>{gap}{fields}{gap}</{layout.row_element}>"] * rows)
        fields = f"<{layout.list_element}>{gap}{fields}{gap}</{layout.list_element}>"
    return f"<{layout.root}>{gap}{fields}{gap}</{layout.root}>".encode()


def claim(ma_lk: str, *, pretty: bool = False) -> dict[str, bytes]:
    head = {"MA_LK": ma_lk, "NGAY_RA": "202507020900", "MA_CSKCB": "27001", "NHOM_MAU": ""}
    return {
        "XML1": table("XML1", pretty=pretty, **head),
        "XML2": table("XML2", rows=3, pretty=pretty, MA_LK=ma_lk),
        "XML3": table("XML3", rows=2, MA_LK=ma_lk, TEN_DICH_VU="<![CDATA[a < b]]>" if pretty else "a &lt; b"),
        "XML5": table("XML5", MA_LK=ma_lk, DIEN_BIEN_LS=""),
    }


def envelope(*claims: dict[str, bytes], raw: bool = False) -> bytes:
    def inside(document: bytes) -> bytes:
        return document if raw else base64.b64encode(document)

    hoso = b"".join(
        b"<HOSO>"
        + b"".join(
            b"<FILEHOSO><LOAIHOSO>%s</LOAIHOSO><NOIDUNGFILE>%s</NOIDUNGFILE></FILEHOSO>" % (name.encode(), inside(text))
            for name, text in files.items()
        )
        + b"</HOSO>"
        for files in claims
    )
    return (
        b'<?xml version="1.0" encoding="utf-8"?><GIAMDINHHS><THONGTINDONVI><MACSKCB>27001</MACSKCB></THONGTINDONVI>'
        b"<THONGTINHOSO><NGAYLAP>20250703</NGAYLAP><SOLUONGHOSO>%d</SOLUONGHOSO><DANHSACHHOSO>%s</DANHSACHHOSO>"
        b"</THONGTINHOSO><CHUKYDONVI/></GIAMDINHHS>" % (len(claims), hoso)
    )


def damaged(random_: random.Random, content: bytes) -> bytes:
    out = bytearray(content)
    for _ in range(random_.choice((1, 1, 2, 4))):
        at = random_.randrange(len(out) + 1)
        match random_.randrange(6):
            case 0:
                out[at : at + 1] = bytes([random_.randrange(256)])
            case 1:
                del out[at : at + random_.choice((1, 2, 8, 60))]
            case 2:
                out[at:at] = random_.choice(PIECES)
            case 3:
                out[at : at + random_.randint(1, 6)] = random_.choice(PIECES)
            case 4:
                other = random_.randrange(len(out) + 1)
                out[at:at] = out[other : other + random_.choice((5, 40, 200))]
            case _:
                if random_.random() < 0.1:
                    del out[at:]
    return bytes(out) or b" "


LIMITS = Settings(max_claim_mib=4)


def read(path: Path, content: bytes) -> Any:
    path.write_bytes(content)
    return source.read(path, inbox_facility=None, limits=LIMITS)


def test_a_damaged_table_takes_no_other_claim_with_it(tmp_path: Path) -> None:
    random_ = random.Random(f"{SEED} table")
    sound = [claim("A"), claim("B"), claim("C")]
    whole = read(tmp_path / "source", envelope(*sound)).tables
    assert whole.claims["readable"].all()
    kept = {name: frame[frame["claim"] != 1].reset_index(drop=True) for name, frame in whole.items()}
    refused = 0
    for run in range(RUNS):
        middle = claim("B", pretty=run % 3 == 0)
        name = random_.choice(list(middle))
        middle[name] = damaged(random_, middle[name])
        found = read(tmp_path / "source", envelope(sound[0], middle, sound[2]))
        claims = found.tables.claims
        note = f"seed {SEED}, run {run}: {middle[name]!r}"
        assert claims["readable"].tolist()[::2] == [True, True], note
        assert claims["MA_LK"].tolist()[::2] == ["A", "C"], note
        assert set(found.findings["claim"].dropna()) <= {1}, note
        for table_name, frame in kept.items():
            mine = found.tables[table_name]
            mine = mine[mine["claim"] != 1].reset_index(drop=True)
            assert mine[frame.columns].equals(frame), note
        refused += not claims["readable"].iloc[1]
    sys.stdout.write(f"\n{RUNS} damaged tables, seed {SEED}: {refused} claims refused, no neighbour touched\n")


def test_a_damaged_file_ends_in_claims_or_in_quarantine(tmp_path: Path) -> None:
    random_ = random.Random(f"{SEED} file")
    stopped = 0
    for run in range(RUNS):
        content = envelope(claim("A"), claim("B", pretty=True), raw=run % 2 == 0)
        if run % 10 == 9:
            content = base64.b64encode(content)
        broken = damaged(random_, content)
        try:
            found = read(tmp_path / "source", broken)
        except Quarantined:
            stopped += 1
        else:
            assert found.tables.claims["claim"].is_unique, f"seed {SEED}, run {run}: {broken!r}"
    sys.stdout.write(f"\n{RUNS} damaged files, seed {SEED}: {stopped} quarantined\n")


def ordinary(name: str, document: bytes) -> list[tuple[tuple[str, ...], list[str]]] | None:
    """The rows as the plain tree reader has them; None where it refuses the document."""
    layout = dictionary.table(name)
    try:
        root = etree.fromstring(document, etree.XMLParser(encoding="utf-8", **claim_xml.PARSER_OPTIONS))
        if layout.row_element is None:
            rows = claim_xml._single(root, name, layout.root)
        else:
            rows = claim_xml._listed(root, 0, layout, claim_xml.UnknownElements())
    except (etree.XMLSyntaxError, claim_xml._Unreadable):
        return None
    return [(names, [text or "" for text in texts]) for names, texts in rows]


@pytest.mark.parametrize("name", ["XML1", "XML2"])
def test_the_short_way_reads_what_the_ordinary_one_reads(name: str) -> None:
    random_ = random.Random(f"{SEED} short {name}")
    short = PlainRows(dictionary.table(name), claim_xml.PARSER_OPTIONS)
    taken = 0
    runs = 5 * RUNS
    for run in range(runs):
        document = damaged(random_, table(name, rows=random_.randint(1, 4), MA_LK="A"))
        rows = short.read(document)
        if rows is not None:
            taken += 1
            found = [(names, list(texts)) for names, texts in rows]
            assert found == ordinary(name, document), f"seed {SEED}, run {run}: {document!r}"
    assert taken
    sys.stdout.write(f"\n{runs} damaged {name}, seed {SEED}: {taken} taken the short way, all as lxml has them\n")
