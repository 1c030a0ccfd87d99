"""Archives and workbooks that are broken, odd or made to harm: a clear reason, soon, in little memory."""

from __future__ import annotations

import io
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from claim_pipeline.errors import Quarantined

Read = Callable[..., Any]

CSV = {"encounters.csv": "MA_LK,MA_CSKCB\nA,27001\n", "orders.csv": "MA_LK\nA\n"}


def reason(read: Read, content: bytes, **limits: int) -> str:
    with pytest.raises(Quarantined) as caught:
        read(content, **limits)
    error = caught.value
    assert all((error.message_vi, error.message_en, error.next_vi, error.next_en))
    return error.code


def special(name: str, mode: int) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for known, content in CSV.items():
            archive.writestr(known, content)
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        archive.writestr(member, "/etc/passwd")
    return memory.getvalue()


@pytest.mark.parametrize(
    "name", ["../encounters.csv", "a/../../b.csv", "/etc/x.csv", "..\\x.csv", "C:\\x.csv", "c:x.csv"]
)
def test_names_that_lead_outside(build: SimpleNamespace, read: Read, name: str) -> None:
    assert reason(read, build.zip(CSV | {name: "MA_LK\n"})) == "unsafe-archive"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices(read: Read, kind: int) -> None:
    assert reason(read, special("x.csv", kind | 0o644)) == "unsafe-archive"
    assert read(special("x.txt", stat.S_IFREG | 0o644)).unknown_columns == ["x.txt"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name(read: Read) -> None:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for _ in range(2):
            archive.writestr("encounters.csv", CSV["encounters.csv"])
    assert reason(read, memory.getvalue()) == "unsafe-archive"


def test_a_bomb_by_ratio_is_refused_unread(build: SimpleNamespace, read: Read) -> None:
    bomb = build.zip({"encounters.csv": b"0" * (80 << 20)})
    tracemalloc.start()
    try:
        assert reason(read, bomb) == "zip-bomb"
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert reason(read, bomb, max_unpacked_mib=70) == "too-large"


def test_a_bomb_by_number_of_files(read: Read) -> None:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for number in range(10_001):
            archive.writestr(f"{number}", b"")
    assert reason(read, memory.getvalue()) == "too-large"


def test_files_that_overlap(build: SimpleNamespace, read: Read) -> None:
    content = bytearray(build.zip({"a.csv": "MA_LK\n" * 99, "b.csv": "MA_LK\n" * 99}))
    second = content.rfind(b"PK\x01\x02")
    content[second + 42 : second + 46] = struct.pack("<I", 0)  # the second file is where the first one is
    assert reason(read, bytes(content)) == "zip-bomb"


def test_a_file_larger_than_it_says(build: SimpleNamespace, read: Read) -> None:
    content = bytearray(build.zip({"encounters.csv": "MA_LK,MA_CSKCB\n" + "A,27001\n" * 9_999}))
    entry = content.rfind(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = struct.pack("<I", 20)
    assert reason(read, bytes(content)) == "not-a-delivery"


def test_a_directory_that_would_fill_the_memory(build: SimpleNamespace, read: Read) -> None:
    content = bytearray(build.zip(CSV))
    end = content.rfind(b"PK\x05\x06")
    content[end + 12 : end + 16] = struct.pack("<I", 1 << 30)
    assert reason(read, bytes(content)) == "too-large"


def test_an_encrypted_zip(build: SimpleNamespace, read: Read) -> None:
    content = bytearray(build.zip(CSV))
    content[content.rfind(b"PK\x01\x02") + 8] |= 1
    assert reason(read, bytes(content)) == "encrypted"


def test_a_compression_that_is_not_known(build: SimpleNamespace, read: Read) -> None:
    content = bytearray(build.zip(CSV))
    entry = content.rfind(b"PK\x01\x02")
    content[entry + 10 : entry + 12] = struct.pack("<H", 99)
    assert reason(read, bytes(content)) == "not-a-delivery"


def test_a_zip_without_files(build: SimpleNamespace, read: Read) -> None:
    assert reason(read, build.zip({})) == "not-a-delivery"


@pytest.mark.parametrize("left", [4, 30, 200, -1, -20])
def test_a_zip_that_was_cut_off(build: SimpleNamespace, read: Read, left: int) -> None:
    assert reason(read, build.zip(CSV)[:left]) == "not-a-delivery"


def test_a_zip_in_a_zip(build: SimpleNamespace, read: Read) -> None:
    assert reason(read, build.zip({"inner.zip": build.zip(CSV)})) == "zip-in-zip"
    assert reason(read, build.zip(CSV | {"more.csv": build.zip(CSV)})) == "zip-in-zip"
    claims = {"a.xml": build.envelope(build.hoso()), "b": build.zip({"c.xml": build.envelope(build.hoso())})}
    assert reason(read, build.zip(claims)) == "zip-in-zip"


def test_names_in_utf8_that_do_not_say_so(build: SimpleNamespace, read: Read) -> None:
    content = bytearray(build.zip(CSV | {"bảng.txt": "x"}))
    for mark, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = content.rfind(mark)
        content[at + flags + 1] &= ~0x08
    assert read(bytes(content)).unknown_columns == ["bảng.txt"]


def test_a_workbook_with_a_password(read: Read) -> None:
    locked = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 4_096 + "EncryptedPackage".encode("utf-16-le")
    assert reason(read, locked) == "encrypted"


@pytest.mark.parametrize(
    ("part", "code"),
    [
        ("xl/vbaProject.bin", "workbook-macros"),
        ("xl/macrosheets/sheet1.xml", "workbook-macros"),
        ("xl/externalLinks/externalLink1.xml", "workbook-links"),
        ("xl/connections.xml", "workbook-links"),
    ],
)
def test_a_workbook_with_macros_or_links(build: SimpleNamespace, read: Read, part: str, code: str) -> None:
    sound = build.workbook({"encounters": [["MA_LK", "MA_CSKCB"], ["A", "27001"]]})
    with zipfile.ZipFile(io.BytesIO(sound)) as archive:
        parts: dict[str, bytes] = {name: archive.read(name) for name in archive.namelist()}
    active = build.zip(parts | {part: b"x"})
    assert reason(read, active) == code
    assert reason(read, build.zip({"export.xlsx": active})) == code


def test_several_signed_files_in_one_zip(build: SimpleNamespace, read: Read) -> None:
    signed = build.envelope(build.hoso(), signature="<CHUKYDONVI><Signature>x</Signature></CHUKYDONVI>")
    assert reason(read, build.zip({"a.xml": signed, "b.xml": signed})) == "several-signed-files"
