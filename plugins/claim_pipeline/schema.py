"""Judges claim XML by the XML Schemas: what we write, always, in tests; what is received, on request.

The everyday check of what is received is the dictionary pass of the step `validate`; nothing here makes a finding.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import pybase64
from lxml import etree

from claim_pipeline.transform.submission import table_documents
from claim_pipeline.workspace import Workspace
from claim_rules import dictionary, schemas
from claim_rules.catalogue import mask
from claim_rules.dictionary import Table
from claim_rules.expectations import expectation
from claim_rules.frames import ClaimTables

LISTED = 10_000
"""Faults that a report lists; it counts all of them."""

_SHOWN = 100  # characters of a value
_IN_TEXT = 20  # faults that a report for the terminal shows
_PARSER: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "dtd_validation": False,
    "remove_comments": True,
    "remove_pis": True,
    "collect_ids": False,
    "huge_tree": True,
}
_PARSERS = (etree.XMLParser(**_PARSER), etree.XMLParser(encoding="utf-8", **_PARSER))
"""As declared; and, for texts that were declared otherwise and then sent as UTF-8, as UTF-8."""
_STEP = re.compile(r"(?:\{[^}]*\})?([^/\[\]]+)(?:\[([0-9]+)\])?$")
_ELEMENT = re.compile(r"Element '(?:\{[^}]*\})?([^']+)'")
_XS = "{http://www.w3.org/2001/XMLSchema}"
_STRUCTURE = {
    etree.ErrorTypes.SCHEMAV_ELEMENT_CONTENT,
    etree.ErrorTypes.SCHEMAV_CVC_ELT_1,
    etree.ErrorTypes.SCHEMAV_CVC_COMPLEX_TYPE_2_3,
    etree.ErrorTypes.SCHEMAV_CVC_TYPE_3_1_2,
}


@dataclass(frozen=True)
class SchemaFault:
    """One place of a document that its schema does not allow.

    schema: "3176/XML2", or "GIAMDINHHS" for the envelope. claim: position of the HOSO from 0, None of the envelope
    and of a document judged by itself. row: from 1, None for the table as a whole. field: element, None for the
    document as a whole. value: as sent, masked where it identifies a person, cut where long.
    """

    schema: str
    claim: int | None
    table: str
    row: int | None
    field: str | None
    value: str
    allowed_vi: str
    allowed_en: str


class Schema:
    """One compiled schema; may be used by several threads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.compiled = etree.XMLSchema(etree.fromstring(schemas.text(name)))
        self._lock = Lock()

    def errors(self, document: etree._Element) -> list[etree._LogEntry]:
        """What the schema does not allow, in the validator's words."""
        with self._lock:  # the validator keeps its errors until it is asked again
            return [] if self.compiled.validate(document) else _entries(self.compiled.error_log)


def _entries(log: Any) -> list[etree._LogEntry]:
    """The type information of lxml does not know that a log can be walked."""
    return list(log)


_compiled: dict[str, Schema] = {}
_compiling = Lock()


def schema(name: str) -> Schema:
    """The schema of that name ("3176/XML2", "GIAMDINHHS"), compiled once per process. KeyError if there is none."""
    found = _compiled.get(name)
    if found is None:
        with _compiling:
            found = _compiled.get(name)
            if found is None:
                found = _compiled[name] = Schema(name)
    return found


def judge(document: bytes | etree._Element, table: str, decision: str, claim: int | None = None) -> list[SchemaFault]:
    """The faults of one table document, by row and field; none if its schema accepts it.

    Where elements are missing, unknown or out of order, that is told, and the values are judged all the same.
    claim: what the faults shall name. Raises KeyError for a table that the decision does not have.
    """
    layout = dictionary.table(table, decision)
    name = f"{decision}/{table}"
    judging = schema(name)
    if isinstance(document, bytes):
        parsed = _parsed(document)
        if parsed is None:
            return [SchemaFault(name, claim, table, None, None, "", "XML đúng cú pháp", "well-formed XML")]
        document = parsed
    errors = judging.errors(document)
    if not errors:
        return []
    if document.tag != layout.root:
        return [_root_fault(name, claim, layout)]
    found: list[tuple[int, int, SchemaFault]] = []
    if any(error.type in _STRUCTURE for error in errors):
        document, shape = _in_order(document, layout)
        found = [(row, at, _shape_fault(name, claim, layout, row, field, kind)) for row, at, field, kind in shape]
        told = {(fault.row, fault.field) for *_, fault in found}
        errors = judging.errors(document)
    else:
        told = set()
    position = {field: at for at, field in enumerate(layout.names)}
    rows = [document] if layout.row_element is None else list(document.iter(layout.row_element))
    seen: set[str] = set()
    for error in errors:
        if error.path is None or error.path in seen:
            continue
        seen.add(error.path)
        row, field = _place(error.path, layout)
        if (row, field) not in told:
            value = (rows[row - 1].findtext(field) or "") if row and field in position else ""
            found.append((row or 0, position.get(field or "", -1), _fault(name, claim, layout, row, field, value)))
    return [fault for *_, fault in sorted(found, key=lambda one: one[:2])]


def judge_submission(path: Path, decisions: str | Sequence[str | None]) -> Iterator[SchemaFault]:
    """The faults of claim XML: its envelope, and every table document, claim by claim; memory does not grow.

    decisions: the layout of every claim, or of each by position; what has none is passed over, and so are tables
    that the decision does not have. A file that is not well-formed has a fault that says so.
    """
    tags = ("HOSO", schemas.ENVELOPE)
    whole = False
    claims = -1
    with path.open("rb") as stream:
        envelope = schema(schemas.ENVELOPE).compiled
        reading: Any = etree.iterparse(stream, events=("end",), tag=tags, schema=envelope, **_PARSER)
        try:
            for _, element in reading:
                if element.tag == schemas.ENVELOPE:
                    whole = True
                    continue
                claims += 1
                decision = decisions if isinstance(decisions, str) else _at(decisions, claims)
                for file in element.iterchildren("FILEHOSO") if decision else ():
                    yield from _file(file, str(decision), claims)
                element.clear(keep_tail=True)
                while element.getprevious() is not None:
                    del element.getparent()[0]
        except etree.XMLSyntaxError:
            # The errors of the exception may be of another document. A file that is cut off may raise nothing at all.
            yield from _envelope_faults(_entries(reading.error_log))
    if not whole:
        vi, en = "XML đúng cú pháp đến hết tệp, gốc GIAMDINHHS", "XML well-formed to its end, with the root GIAMDINHHS"
        yield SchemaFault(schemas.ENVELOPE, None, schemas.ENVELOPE, None, None, "", vi, en)


def _envelope_faults(entries: list[etree._LogEntry]) -> Iterator[SchemaFault]:
    """One fault for each element of the envelope that stands wrong or has a wrong value; where, is not known."""
    allowed = _envelope_words()
    matches = [_ELEMENT.match(entry.message) for entry in entries if entry.domain == etree.ErrorDomains.SCHEMASV]
    for field in dict.fromkeys(match[1] for match in matches if match):
        vi, en = allowed.get(field, ("phong bì không có phần tử này", "the envelope has no such element"))
        yield SchemaFault(schemas.ENVELOPE, None, schemas.ENVELOPE, None, field, "", vi, en)


@cache
def _envelope_words() -> dict[str, tuple[str, str]]:
    """What the schema of the envelope says of its elements."""
    found = {}
    for element in etree.fromstring(schemas.text(schemas.ENVELOPE)).iter(f"{_XS}element"):
        words = [note.text or "" for note in element.iterfind(f"{_XS}annotation/{_XS}documentation")]
        name = element.get("name", "")
        found[name] = (words[0], words[1]) if words else (f"{name} đúng cấu trúc", f"{name} as prescribed")
    return found


def judge_tables(tables: ClaimTables) -> Iterator[SchemaFault]:
    """The faults of claim tables, each claim in its own decision, as they would be written.

    Rows of Decision 4210 that were translated to newer elements are passed over: they are no longer what was sent.
    """
    decisions = tables.claims.set_index("claim")["decision"]
    for name, frame in tables.items():
        of_row = frame["claim"].map(decisions)
        for decision in dictionary.DECISIONS:
            rows = frame[of_row == decision]
            layout = dictionary.tables(decision).get(name)
            if not len(rows) or layout is None or (decision == "4210" and not set(layout.names) <= set(frame.columns)):
                continue
            for claim, text in table_documents(rows, layout):
                yield from judge(text.encode(), name, decision, claim)


def judge_workspace(ws: Workspace) -> Iterator[SchemaFault]:
    """The faults of a delivery that was read: of claim XML as it was received; of a record system's export, and of
    XML whose envelope is not the prescribed one, of its claim tables. Memory does not grow with the claims."""
    from claim_pipeline.extract.wrapping import claim_files
    from claim_pipeline.settings import settings

    decisions = [None if value != value else str(value) for value in ws.read_frame("claims")["decision"]]
    if (ws.delivery.format or "").startswith("xml"):
        with claim_files(ws.source, settings().max_unpacked_mib << 20) as files:
            if len(files) == 1 and _is_plain(files[0], len(decisions)):
                yield from judge_submission(files[0], decisions)
                return
    for chunk in ws.chunks():
        yield from judge_tables(chunk)


def in_report(faults: Iterator[SchemaFault], keys: Sequence[str | None]) -> dict[str, Any]:
    """What `giamdinh check --schema` adds to a report: `schema_faults` (the first LISTED; MA_LK instead of the claim's
    position, from keys) and `schema_fault_count`."""
    listed = list(itertools.islice(faults, LISTED))
    more = sum(1 for _ in faults)
    out = []
    for fault in listed:
        entry = {name: value for name, value in asdict(fault).items() if name != "claim"}
        out.append({"MA_LK": None if fault.claim is None else _at(keys, fault.claim)} | entry)
    return {"schema_fault_count": len(listed) + more, "schema_faults": out}


def as_text(told: dict[str, Any]) -> str:
    """The same for a terminal: how many there are, and the first of them."""
    count = told["schema_fault_count"]
    lines = [f"Lỗi so với lược đồ XSD / Faults against the XML Schema: {count}"]
    for fault in told["schema_faults"][:_IN_TEXT]:
        place = " · ".join(
            str(part) for part in (fault["MA_LK"], fault["schema"], fault["row"], fault["field"]) if part is not None
        )
        value = "".join(char if char.isprintable() else "\ufffd" for char in f"{place}: {fault['value']!r}")
        lines.append(f"  {value} — {fault['allowed_vi']} / {fault['allowed_en']}")
    if count > _IN_TEXT:
        lines.append(f"  … và {count - _IN_TEXT} lỗi khác / and {count - _IN_TEXT} more (--format json)")
    return "\n".join(lines) + "\n"


def _parsed(document: bytes) -> etree._Element | None:
    for parser in _PARSERS:
        try:
            return etree.fromstring(document, parser)
        except etree.XMLSyntaxError:
            continue
    return None


def _at(values: Sequence[str | None], position: int) -> str | None:
    return values[position] if position < len(values) else None


def _is_plain(path: Path, claims: int) -> bool:
    """Whether the file is XML with a HOSO for each claim that was read from it, and so can be judged as it came."""
    found = 0
    try:
        with path.open("rb") as stream:
            for _, element in etree.iterparse(stream, events=("end",), tag="HOSO", **_PARSER):
                found += 1
                element.clear(keep_tail=True)
                parent = element.getparent()
                while parent is not None and element.getprevious() is not None:
                    del parent[0]
    except etree.XMLSyntaxError:
        return False
    return found == claims


def _file(file: etree._Element, decision: str, claim: int) -> Iterator[SchemaFault]:
    """The faults of the table in one FILEHOSO."""
    # The first of each name. Asking lxml to find them, one by one, took a tenth of all judging.
    parts = {part.tag: part for part in reversed(file)}
    kind, content = parts.get("LOAIHOSO"), parts.get("NOIDUNGFILE")
    table = (kind.text or "").strip().upper() if kind is not None else ""
    if content is None or table not in dictionary.tables(decision):
        return
    if len(content):
        # A copy: a schema judges a document from its root.
        yield from judge(copy.deepcopy(content[0]), table, decision, claim)
        return
    text = (content.text or "").strip("\ufeff \t\r\n")
    if not text:
        return
    if text.startswith("<"):
        document = text.encode()
    else:
        decoded = _decoded(text)
        if decoded is None:
            vi, en = "nội dung mã hóa base64", "content in base64"
            yield SchemaFault(f"{decision}/{table}", claim, table, None, None, "", vi, en)
            return
        document = decoded
    yield from judge(document.removeprefix(b"\xef\xbb\xbf").strip(), table, decision, claim)


def _decoded(text: str) -> bytes | None:
    """Base64 as it should be, or with white space in it; None for anything else."""
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError:
        pass
    try:
        return pybase64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return None


def _place(path: str, layout: Table) -> tuple[int | None, str | None]:
    """Row and field of an XPath such as /ROOT/LIST/ROW[2]/FIELD."""
    steps = [(match[1], match[2]) for step in path.split("/")[1:] if (match := _STEP.match(step))]
    row: int | None = None
    if layout.row_element is None:
        row = 1 if len(steps) > 1 else None
    else:
        row = next((int(number or 1) for name, number in steps if name == layout.row_element), None)
    field = steps[-1][0] if steps else None
    return row, field if field != layout.row_element else None


@cache
def _allowed(layout_name: str, decision: str, field: str) -> tuple[str, str]:
    layout = dictionary.table(layout_name, decision)
    if not layout.has(field):
        return "không phải trường của bảng này", "not a field of this table"
    expected = expectation(layout_name, decision, layout.field(field))
    return f"{expected.label_vi}: {expected.text_vi}", f"{expected.label_en}: {expected.text_en}"


def _fault(name: str, claim: int | None, layout: Table, row: int | None, field: str | None, value: str) -> SchemaFault:
    allowed_vi, allowed_en = _allowed(layout.name, layout.decision, field or "")
    shown = mask(value, field or "")
    if shown == value and field is not None and layout.has(field):
        known = layout.field(field)
        if known.personal and not known.type.startswith("date"):
            shown = "*" * min(len(value), 8)
    if len(shown) > _SHOWN:
        shown = shown[:_SHOWN] + "…"
    return SchemaFault(name, claim, layout.name, row, field, shown, allowed_vi, allowed_en)


def _root_fault(name: str, claim: int | None, layout: Table) -> SchemaFault:
    return SchemaFault(
        name,
        claim,
        layout.name,
        None,
        None,
        "",
        f"phần tử gốc {layout.root}",
        f"the root element {layout.root}",
    )


_SHAPES = {
    "missing": ("phải có phần tử này, để trống nếu không có giá trị", "the element must stand, empty without a value"),
    "unknown": ("bảng này không có phần tử này", "the table has no such element"),
    "repeated": ("phần tử này chỉ có một lần trong một dòng", "the element stands once in a row"),
    "order": ("phần tử đứng sai thứ tự", "the element stands out of order"),
}


def _shape_fault(name: str, claim: int | None, layout: Table, row: int, field: str, kind: str) -> SchemaFault:
    return SchemaFault(name, claim, layout.name, row or None, field, "", *_SHAPES[kind])


def _in_order(root: etree._Element, layout: Table) -> tuple[etree._Element, list[tuple[int, int, str, str]]]:
    """The document as it should stand, with the values it has, and what was wrong with its shape:
    (row, position of the field, field, kind)."""
    mended = etree.Element(layout.root)
    found: list[tuple[int, int, str, str]] = []
    if layout.row_element is None:
        _row_in_order(root, mended, layout, 1, found)
        return mended, found
    holder, holders = mended, [root]
    if layout.list_element is not None:
        holder = etree.SubElement(mended, layout.list_element)
        holders = root.findall(layout.list_element)
        if len(holders) != 1:
            found.append((0, -1, layout.list_element, "repeated" if holders else "missing"))
        allowed = {layout.list_element} | ({"CHUKYDONVI"} if layout.name in schemas.SEALED else set())
        found += [(0, -1, str(child.tag), "unknown") for child in root.iterchildren("*") if child.tag not in allowed]
    number = 0
    for listed in holders:
        for child in listed.iterchildren("*"):
            if child.tag != layout.row_element:
                found.append((0, -1, str(child.tag), "unknown"))
                continue
            number += 1
            _row_in_order(child, etree.SubElement(holder, layout.row_element), layout, number, found)
    return mended, found


def _row_in_order(
    row: etree._Element, mended: etree._Element, layout: Table, number: int, found: list[tuple[int, int, str, str]]
) -> None:
    texts: dict[str, str] = {}
    last = -1
    position = {field: at for at, field in enumerate(layout.names)}
    for child in row.iterchildren("*"):
        name = str(child.tag)
        if name not in position:
            found.append((number, len(position), name, "unknown"))
        elif name in texts:
            found.append((number, position[name], name, "repeated"))
        else:
            texts[name] = "".join(map(str, child.itertext()))
            if position[name] < last:
                found.append((number, position[name], name, "order"))
            last = max(last, position[name])
    for name in layout.names:
        if name not in texts:
            found.append((number, position[name], name, "missing"))
        etree.SubElement(mended, name).text = texts.get(name, "")
