"""Writes claim tables as claim XML: the envelope GIAMDINHHS with one base64 document per table and claim."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pybase64
from lxml import etree

from claim_rules import dictionary
from claim_rules.frames import ClaimTables

_NAMESPACES = {"xsi": "http://www.w3.org/2001/XMLSchema-instance", "xsd": "http://www.w3.org/2001/XMLSchema"}
_ESCAPES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;"))
_NOT_XML = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x{fffe}\\x{ffff}]"
_TEXT = pa.large_string()
_CHUNK_CLAIMS = 500


def write_submission(
    path: Path, claims: ClaimTables, facility: str, created_on: str, decision: str | None = None
) -> None:
    """Writes all claims as one unsigned claim XML file; the same tables always give the same bytes.

    facility: MACSKCB. created_on: NGAYLAP, yyyyMMdd. decision: the layout ("130", "4750" or "3176") to write every
    claim in; None: each in its own. Elements come in the dictionary's order, empty ones included; a table that a claim
    does not have is left out, and so are elements that the layout lacks. Written aside, then renamed. Raises ValueError
    for a character that XML cannot hold. Source: envelope of letters 3190/BHXH-CNTT and 1245/BHXH-CNTT.
    """
    write_chunks(path, [claims], len(claims.claims), facility, created_on, decision)


def write_chunks(
    path: Path, chunks: Iterable[ClaimTables], count: int, facility: str, created_on: str, decision: str | None = None
) -> None:
    """The same for claims that come chunk by chunk, `count` in all, so that memory does not grow with them."""
    _write_envelope(path, facility, created_on, count, (one for chunk in chunks for one in _documents(chunk, decision)))


def write_each(
    folder: Path, chunks: Iterable[ClaimTables], facility: str, created_on: str, decision: str | None = None
) -> int:
    """Writes every claim as a file of its own, named by its position from 1 (hoso-000001.xml); returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for chunk in chunks:
        for claim in _documents(chunk, decision):
            written += 1
            _write_envelope(folder / f"hoso-{written:06d}.xml", facility, created_on, 1, [claim])
    return written


def _write_envelope(
    path: Path, facility: str, created_on: str, count: int, claims: Iterable[list[tuple[str, str]]]
) -> None:
    """Writes the envelope around claims, each given by the names and texts of its documents."""
    aside = path.with_name(f".{path.name}.part")
    with etree.xmlfile(str(aside), encoding="utf-8") as xml:
        xml.write_declaration()
        with xml.element("GIAMDINHHS", nsmap=_NAMESPACES):
            with xml.element("THONGTINDONVI"), xml.element("MACSKCB"):
                xml.write(facility)
            with xml.element("THONGTINHOSO"):
                for name, text in (("NGAYLAP", created_on), ("SOLUONGHOSO", str(count))):
                    with xml.element(name):
                        xml.write(text)
                with xml.element("DANHSACHHOSO"):
                    for documents in claims:
                        _write_claim(xml, documents)
            xml.write(etree.Element("CHUKYDONVI"))
    os.replace(aside, path)


def write_document(path: Path, name: str, rows: pd.DataFrame, decision: str = dictionary.DECISIONS[-1]) -> None:
    """Writes a file of XML0 or XML12, unsigned. rows: as `claim_xml.read_document` gives them."""
    aside = path.with_name(f".{path.name}.part")
    table = dictionary.table(name, decision)
    text = table_documents(rows.assign(claim=0), table)[0][1] if len(rows) else f"<{table.root}></{table.root}>"
    closing = f"</{table.root}>"
    signed = text.removesuffix(closing) + "<CHUKYDONVI/>" + closing
    aside.write_text(f"<?xml version='1.0' encoding='utf-8'?>\n{signed}", "utf-8")
    os.replace(aside, path)


def join(files: list[Path], path: Path) -> None:
    """Writes the claims of several claim XML files, as they are, into one envelope: that of the first, unsigned."""
    heads = [dict.fromkeys(("MACSKCB", "NGAYLAP", "SOLUONGHOSO"), "") for _ in files]
    for file, head in zip(files, heads, strict=True):
        for _, element in _elements(file, (*head, "HOSO")):
            if element.tag in head and not head[element.tag]:
                head[element.tag] = (element.text or "").strip()
    counts = [head["SOLUONGHOSO"] for head in heads]
    count = str(sum(map(int, counts))) if all(c.isascii() and c.isdigit() for c in counts) else ""
    with etree.xmlfile(str(path), encoding="utf-8") as xml:
        xml.write_declaration()
        with xml.element("GIAMDINHHS", nsmap=_NAMESPACES):
            with xml.element("THONGTINDONVI"), xml.element("MACSKCB"):
                xml.write(heads[0]["MACSKCB"])
            with xml.element("THONGTINHOSO"):
                for name, text in (("NGAYLAP", heads[0]["NGAYLAP"]), ("SOLUONGHOSO", count)):
                    with xml.element(name):
                        xml.write(text)
                with xml.element("DANHSACHHOSO"):
                    for file in files:
                        for above, element in _elements(file, ("HOSO", "FILEHOSO")):
                            if above == "DANHSACHHOSO":  # a FILEHOSO may lack its HOSO
                                xml.write(element, with_tail=False)
            xml.write(etree.Element("CHUKYDONVI"))


def _elements(file: Path, tags: tuple[str, ...]) -> Iterator[tuple[str, etree._Element]]:
    """Elements of a file that was read before, each with the name of what it stands in; freed once they were taken."""
    from claim_pipeline.extract.claim_xml import PARSER_OPTIONS, outer_encoding

    for _, element in etree.iterparse(
        str(file), tag=tags, huge_tree=True, encoding=outer_encoding(file), **PARSER_OPTIONS
    ):
        parent = element.getparent()
        above = str(parent.tag) if parent is not None else ""
        yield above, element
        if parent is not None and above == "DANHSACHHOSO":
            element.clear()
            while element.getprevious() is not None:
                del parent[0]


def _write_claim(xml: etree._IncrementalFileWriter, documents: list[tuple[str, str]]) -> None:
    with xml.element("HOSO"):
        for name, document in documents:
            with xml.element("FILEHOSO"):
                with xml.element("LOAIHOSO"):
                    xml.write(name)
                with xml.element("NOIDUNGFILE"):
                    xml.write(pybase64.b64encode_as_string(document.encode()))


def _documents(claims: ClaimTables, decision: str | None) -> Iterator[list[tuple[str, str]]]:
    """Names and texts of the documents of each claim, by position."""
    order = claims.claims.sort_values("claim")
    layouts = (
        order["decision"].fillna(dictionary.DECISIONS[-1]) if decision is None else pd.Series(decision, order.index)
    )
    for start in range(0, len(order), _CHUNK_CLAIMS):
        part = slice(start, start + _CHUNK_CLAIMS)
        yield from _documents_of(claims, order["claim"].to_numpy()[part], layouts.to_numpy()[part])


def _documents_of(claims: ClaimTables, numbers: np.ndarray, layouts: np.ndarray) -> Iterator[list[tuple[str, str]]]:
    files: dict[int, list[tuple[str, str]]] = {number: [] for number in numbers}
    for name, frame in claims.items():
        column = frame["claim"].to_numpy()
        rows = frame.iloc[np.searchsorted(column, numbers[0]) : np.searchsorted(column, numbers[-1], side="right")]
        for layout in sorted(set(layouts)):
            mine = rows[rows["claim"].isin(numbers[layouts == layout])]
            if len(mine) and name in dictionary.tables(layout):
                for number, document in table_documents(mine, dictionary.table(name, layout)):
                    files[number].append((name, document))
    for number in numbers:
        yield files.pop(number)


def table_documents(frame: pd.DataFrame, table: dictionary.Table) -> list[tuple[int, str]]:
    """The XML document of each claim in one claim table's frame (rows of a claim together): claim, text.

    A table whose fields stand in its root gives one document per row.
    """
    opening, closing = (f"<{table.row_element}>", f"</{table.row_element}>") if table.row_element else ("", "")
    head, tail = f"<{table.root}>", f"</{table.root}>"
    if table.list_element:
        head, tail = f"{head}<{table.list_element}>", f"</{table.list_element}>{tail}"
    pieces: list[pa.Array | str] = [opening]
    for name in table.names:
        if name in frame.columns:
            pieces += [f"<{name}>", _escaped(frame[name]), f"</{name}>"]
        else:
            pieces.append(f"<{name}></{name}>")
    rows = _joined(*pieces, closing)
    claims = frame["claim"].to_numpy()
    if table.row_element is None:
        return list(zip(claims.tolist(), _joined(head, rows, tail).to_pylist(), strict=True))
    starts = np.flatnonzero(np.r_[True, claims[1:] != claims[:-1]])
    of_claim = pa.LargeListArray.from_arrays(np.r_[starts, len(claims)].astype("int64"), rows)
    texts = _joined(head, pc.binary_join(of_claim, pa.scalar("", _TEXT)), tail)
    return list(zip(claims[starts].tolist(), texts.to_pylist(), strict=True))


def _joined(*pieces: pa.Array | str) -> pa.Array:
    """Texts of each row, one after the other; a plain text is the same in every row."""
    columns = [pa.scalar(piece, _TEXT) if isinstance(piece, str) else piece for piece in pieces]
    return pc.binary_join_element_wise(*columns, pa.scalar("", _TEXT))


def _escaped(column: pd.Series) -> pa.Array:
    text = pa.array(column, _TEXT, from_pandas=True).fill_null("")
    text = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
    if pc.any(pc.match_substring_regex(text, _NOT_XML)).as_py():
        raise ValueError(f"{column.name} holds a character that XML cannot hold")
    for char, entity in _ESCAPES:
        text = pc.replace_substring(text, char, entity)
    return text
