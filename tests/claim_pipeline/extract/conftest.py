"""Builders of deliveries for the reader's tests. All people are invented."""

from __future__ import annotations

import base64
import datetime as dt
import io
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import xlsxwriter

from claim_rules import dictionary


def fields(values: dict[str, str]) -> str:
    return "".join(f"<{name}>{value}</{name}>" for name, value in values.items())


def table_xml(name: str, *rows: dict[str, str]) -> str:
    """A table document; values are put in as they are (escape them yourself)."""
    table = dictionary.table(name)
    if table.row_element is None:
        return f"<{table.root}>{''.join(map(fields, rows))}</{table.root}>"
    listed = "".join(f"<{table.row_element}>{fields(row)}</{table.row_element}>" for row in rows)
    return f"<{table.root}><{table.list_element}>{listed}</{table.list_element}></{table.root}>"


def file(kind: str, content: str | bytes, *, raw: bool = False) -> str:
    """A FILEHOSO; raw: content goes in as it is instead of as base64."""
    if isinstance(content, str) and not raw:
        content = content.encode()
    inside = base64.b64encode(content).decode() if isinstance(content, bytes) else content
    return f"<FILEHOSO><LOAIHOSO>{kind}</LOAIHOSO><NOIDUNGFILE>{inside}</NOIDUNGFILE></FILEHOSO>"


def general(ma_lk: str = "LK1", **more: str) -> dict[str, str]:
    return {"MA_LK": ma_lk, "NGAY_RA": "202507020900", "MA_CSKCB": "27001", "NHOM_MAU": ""} | more


def hoso(ma_lk: str = "LK1", *files: str) -> str:
    """One sound claim: XML1, one drug, and what is given besides."""
    sound = file("XML1", table_xml("XML1", general(ma_lk))) + file("XML2", table_xml("XML2", {"MA_LK": ma_lk}))
    return f"<HOSO>{sound}{''.join(files)}</HOSO>"


def envelope(
    *claims: str,
    declared: int | str | None = -1,
    facility: str | None = "27001",
    created_on: str | None = "20250703",
    prolog: str = '<?xml version="1.0" encoding="utf-8"?>\n',
    signature: str = "<CHUKYDONVI/>",
) -> bytes:
    """A whole file. declared: None leaves SOLUONGHOSO out, -1 counts."""

    def element(name: str, value: object) -> str:
        return "" if value is None else f"<{name}>{value}</{name}>"

    count = len(claims) if declared == -1 else declared
    return (
        f"{prolog}<GIAMDINHHS><THONGTINDONVI>{element('MACSKCB', facility)}</THONGTINDONVI>"
        f"<THONGTINHOSO>{element('NGAYLAP', created_on)}{element('SOLUONGHOSO', count)}"
        f"<DANHSACHHOSO>{''.join(claims)}</DANHSACHHOSO></THONGTINHOSO>{signature}</GIAMDINHHS>"
    ).encode()


def zip_of(files: dict[str, str | bytes]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return memory.getvalue()


def workbook(sheets: dict[str, Iterable[Iterable[Any]]]) -> bytes:
    memory = io.BytesIO()
    book = xlsxwriter.Workbook(memory, {"in_memory": True, "default_date_format": "dd/mm/yyyy hh:mm"})
    book.set_properties({"created": dt.datetime(2026, 1, 1)})
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    book.close()
    return memory.getvalue()


@pytest.fixture(scope="session")
def build() -> SimpleNamespace:
    return SimpleNamespace(
        table=table_xml,
        file=file,
        general=general,
        hoso=hoso,
        envelope=envelope,
        zip=zip_of,
        workbook=workbook,
    )


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Any]:
    """Reads bytes as a delivery, by content."""
    from claim_pipeline.extract import source
    from claim_pipeline.settings import Settings

    def reader(content: bytes, inbox: str | None = None, **limits: int) -> Any:
        path = tmp_path / "source"
        path.write_bytes(content)
        return source.read(path, inbox_facility=inbox, limits=Settings(**limits))

    return reader
