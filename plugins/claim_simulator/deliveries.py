"""What facilities drop: claim XML, or the export of a record system as a zip of CSV or as a workbook."""

from __future__ import annotations

import base64
import datetime
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import xlsxwriter
from lxml import etree

from claim_pipeline.extract.profile import profiles
from claim_pipeline.transform.submission import write_submission
from claim_rules import dictionary
from claim_rules.frames import ClaimTables
from claim_simulator.facilities import CELLS, COLUMNS, CSV, XLSX, Facility

LINE_AMOUNTS = ("THANH_TIEN_BV", "THANH_TIEN_BH", "MUC_HUONG", "T_NGUONKHAC", "T_BNTT", "T_BNCCT", "T_BHTT")
CLAIM_AMOUNTS = (
    "T_THUOC",
    "T_VTYT",
    "T_TONGCHI_BV",
    "T_TONGCHI_BH",
    "T_BNTT",
    "T_BNCCT",
    "T_BHTT",
    "T_NGUONKHAC",
    "T_BHTT_GDV",
)
COMPUTED = {"XML1": CLAIM_AMOUNTS, "XML2": LINE_AMOUNTS, "XML3": LINE_AMOUNTS}
"""Cells that a record system may leave to be computed, by table."""
_STAMP = (2000, 1, 1, 0, 0, 0)
_UNUSED = {"DU_PHONG", "MA_LY_DO_VNT", "VI_TRI_TH_DVKT"}

BAD_BASE64 = "bad-base64"
TWICE = "twice"
UNDECLARED = "undeclared"
TOO_FEW = "too-few"
"""What may be wrong with the envelope of a delivery: SOLUONGHOSO is missing, or one too small."""
Damage = dict[int, tuple[str, str]]
"""Claim position -> (BAD_BASE64 or TWICE, table): faults of the envelope, which no table can hold."""


def file_name(facility: Facility, month: str, number: int, what: str = "dot") -> str:
    """Name of the number-th delivery of a facility in a month. what: "dot", or "dinhchinh" for corrections."""
    ending = {CSV: "zip", XLSX: "xlsx"}.get(facility.form, "xml")
    return f"{facility.code}_{month}_{what}{number}.{ending}"


def write_delivery(
    path: Path,
    facility: Facility,
    tables: ClaimTables,
    created_on: str,
    *,
    damage: Damage,
    copies: set[int],
    faulty: set[int],
    rng: np.random.Generator,
    envelope: str = "",
) -> None:
    """Writes one delivery under its final name at once.

    tables: claims numbered from 0. damage: see Damage, claim XML only; envelope: UNDECLARED or TOO_FEW, likewise.
    copies: claims that repeat the MA_LK of an earlier one; an export repeats only their row of encounters. faulty:
    claims from which nothing is left out.
    """
    aside = path.with_name(f".{path.name}.part")
    if facility.form == CSV:
        _write_zip(aside, _sheets(facility, tables, copies, faulty, rng), folder=facility.leaves_out == COLUMNS)
    elif facility.form == XLSX:
        _write_workbook(aside, _sheets(facility, tables, copies, faulty, rng))
    else:
        write_submission(aside, tables, facility.code, created_on)
        if damage or envelope:
            _damage(aside, damage, envelope)
    os.replace(aside, path)


def _damage(path: Path, damage: Damage, envelope: str) -> None:
    tree = etree.parse(str(path), etree.XMLParser(huge_tree=True))
    claims = tree.findall(".//HOSO")
    head = tree.find(".//THONGTINHOSO")
    declared = None if head is None else head.find("SOLUONGHOSO")
    assert head is not None
    assert declared is not None
    if envelope == UNDECLARED:
        head.remove(declared)
    elif envelope == TOO_FEW:
        declared.text = str(len(claims) - 1)
    for claim, (kind, table) in damage.items():
        for document in claims[claim].findall("FILEHOSO"):
            if document.findtext("LOAIHOSO") != table:
                continue
            if kind == TWICE:
                twin = etree.SubElement(claims[claim], "FILEHOSO")
                for part in document:
                    etree.SubElement(twin, part.tag).text = part.text
            else:
                content = document.find("NOIDUNGFILE")
                assert content is not None
                good = base64.b64decode(content.text or "")
                content.text = base64.b64encode(good).decode()[: len(good) // 2] + "*?*"
            break
    tree.write(str(path), encoding="utf-8", xml_declaration=True)


def _sheets(
    facility: Facility, tables: ClaimTables, copies: set[int], faulty: set[int], rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """Sheets of the export by name, without what the record system leaves out."""
    (profile,) = (profile for profile in profiles() if profile.name == "giamdinh-v1")
    out = {}
    for name, sheet in profile.sheets.items():
        if sheet.table not in tables:
            continue
        frame = tables[sheet.table]
        if sheet.table != "XML1":
            frame = frame[~frame["claim"].isin(copies)]
        names = [element for element in dictionary.table(sheet.table).names if element in frame.columns]
        computed = COMPUTED.get(sheet.table, ())
        leaves_out = set(computed) | {"STT"}
        cells = frame[names].copy()
        if facility.leaves_out == COLUMNS:
            cells = cells[[element for element in names if element not in leaves_out | _UNUSED]]
        elif facility.leaves_out == CELLS:
            whole = frame["claim"].isin(faulty).to_numpy()
            for element in (element for element in names if element in leaves_out):
                cells[element] = cells[element].where(whole | (rng.random(len(cells)) >= 0.3), "")
        out[name] = cells.reset_index(drop=True)
    return out


def _write_zip(path: Path, sheets: dict[str, pd.DataFrame], *, folder: bool) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, frame in sheets.items():
            entry = zipfile.ZipInfo(f"export/{name}.csv" if folder else f"{name}.csv", _STAMP)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            # programs that open a CSV in a spreadsheet need the byte order mark
            encoding = "utf-8-sig" if folder else "utf-8"
            text = io.StringIO()
            frame.to_csv(text, index=False, lineterminator="\r\n" if folder else "\n")
            archive.writestr(entry, text.getvalue().encode(encoding), compresslevel=6)


def _write_workbook(path: Path, sheets: dict[str, pd.DataFrame]) -> None:
    """Amounts, prices, quantities and rates as numbers, all else as text, as hospitals' own workbooks have them."""
    options = {
        "constant_memory": True,
        "strings_to_numbers": False,
        "strings_to_formulas": False,
        "strings_to_urls": False,
    }
    workbook = xlsxwriter.Workbook(str(path), options)
    workbook.set_properties({"created": datetime.datetime(*_STAMP)})
    (profile,) = (profile for profile in profiles() if profile.name == "giamdinh-v1")
    for name, frame in sheets.items():
        sheet = workbook.add_worksheet(name)
        fields = dictionary.table(profile.sheets[name].table)
        columns = list(frame.columns)
        for place, element in enumerate(columns):
            sheet.write_string(0, place, element)
        numeric = {place for place, element in enumerate(columns) if fields.field(element).type == "decimal"}
        plain = r"[0-9]{1,12}(\.[0-9]{1,3})?"
        values = []
        for place, element in enumerate(columns):
            texts = frame[element].fillna("")
            if place in numeric:
                fits = texts.str.fullmatch(plain)
                numbers = pd.to_numeric(texts.where(fits)).astype("float64").tolist()
                values.append([n if ok else t for n, ok, t in zip(numbers, fits, texts.tolist(), strict=True)])
            else:
                values.append(texts.tolist())
        for row, cells in enumerate(zip(*values, strict=True), start=1):
            for place, cell in enumerate(cells):
                if type(cell) is float:
                    sheet.write_number(row, place, cell)
                elif cell:
                    sheet.write_string(row, place, cell)
    workbook.close()
