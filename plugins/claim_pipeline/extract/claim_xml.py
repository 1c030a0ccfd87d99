"""Reads claim XML (envelope GIAMDINHHS, tables of all decisions), one claim at a time, with lxml."""

from __future__ import annotations

import gc
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

import pandas as pd
import pybase64
from lxml import etree

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract.columns import (
    LAYOUTS,
    TableColumns,
    UnknownElements,
    column_names,
    legacy_column_names,
)
from claim_pipeline.extract.plain import PlainRows, Row
from claim_pipeline.extract.result import Collected, Extracted, Sink, Summary, together
from claim_rules import dictionary
from claim_rules.findings import REJECT_CLAIM, WARN, findings
from claim_rules.frames import CLAIM_COLUMNS, ClaimTables

ROOT = "GIAMDINHHS"
OTHER_ROOTS = {
    dictionary.table("XML0").root: "XML0",
    dictionary.table("XML12").root: "XML12",
}

DECISIONS_READ = (*LAYOUTS, "4210")

PARSER_OPTIONS: dict[str, Any] = {  # nothing outside the bytes given is ever read, and no entity is ever expanded
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "dtd_validation": False,
    "remove_comments": True,
    "remove_pis": True,
    "collect_ids": False,
}
_DOCTYPE = re.compile(rb"(?:<\?.*?\?>|<!--.*?-->|\s)*<!DOCTYPE", re.DOTALL)
_BOM = b"\xef\xbb\xbf"
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_OTHER_ENCODINGS = {  # that hospital systems are known to write; the names are those of declarations
    "windows-1258": "cp1258",
    "cp1258": "cp1258",
    "windows-1252": "cp1252",
    "iso-8859-1": "cp1252",
    "us-ascii": "cp1252",
}
_SIXTEEN_BITS = (  # how a document in UTF-16 begins
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"<\x00", "utf-16-le"),
    (b"\x00<", "utf-16-be"),
)
_MIB = 1 << 20
CHUNK_CLAIMS = 500
"""Claims that are handed over together, unless they are large."""

_CHUNK_BYTES = 32 * _MIB  # of the file
_NAMED_UNKNOWN = 50  # unknown elements that a report names
_NESTED = {True: etree.XPath("boolean(*/*/*/*)"), False: etree.XPath("boolean(*/*)")}
_STRAY_TEXT = {
    True: etree.XPath("boolean((.|*[*]|*/*)/text()[normalize-space()])"),
    False: etree.XPath("boolean(text()[normalize-space()])"),
}


class _Unreadable(Exception):
    """Content of one FILEHOSO that cannot be read as the table it says it is. Texts hold no values."""

    def __init__(self, vi: str, en: str, rule: str = "STR-002") -> None:
        super().__init__(en)
        self.vi = vi
        self.en = en
        self.rule = rule


class _Metered:
    """A stream that raises once a claim is larger than it may be, so that one element cannot fill the memory."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._taken = 0
        self.since_chunk = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        self._taken += len(piece)
        self.since_chunk += len(piece)
        if self._taken > self._limit:
            raise _TooLarge
        return piece

    def next_claim(self) -> None:
        self._taken = 0


class _TooLarge(Exception):
    """More bytes belong to one claim than allowed."""


def read(
    path: Path, *, inbox_facility: str | None = None, max_claims: int = 200_000, max_claim_mib: int = 64
) -> Extracted:
    """All claims of a claim XML file, in memory; see `read_into`."""
    into = Collected()
    found = read_into([path], into, inbox_facility=inbox_facility, max_claims=max_claims, max_claim_mib=max_claim_mib)
    return into.extracted(found)


def read_into(
    paths: list[Path], into: Sink, *, inbox_facility: str | None, max_claims: int, max_claim_mib: int
) -> Summary:
    """Reads the claims of one or several claim XML files as those of one delivery, chunk by chunk.

    inbox_facility: MA_CSKCB of the inbox that it came through. max_claim_mib: no claim may take more bytes. What the
    reader decides about defects is in contracts, report, STR-001 to STR-004 and STR-015. Raises Quarantined where the
    delivery as a whole cannot be taken, which may be after some chunks of it were.
    """
    parts: list[Summary] = []
    taken = 0
    for path in paths:
        part = _Reader(path, into, taken, inbox_facility, max_claims - taken, max_claim_mib).read()
        parts.append(part)
        taken += part.read_claims
        if part.MA_CSKCB != parts[0].MA_CSKCB:
            raise Quarantined(
                "STR-001",
                "Các tệp XML trong zip thuộc nhiều cơ sở khác nhau",
                "the XML files in the zip belong to different facilities",
                "Gửi riêng tệp của từng cơ sở",
                "send the files of each facility on their own",
            )
    declared = [part.declared_claims for part in parts]
    return Summary(
        Counter(part.format for part in parts).most_common(1)[0][0],
        parts[0].MA_CSKCB,
        taken,
        None if None in declared else sum(filter(None, declared)),
        next((part.created_on for part in parts if part.created_on), None),
        all(part.signed for part in parts),
        _least({name for part in parts for name in part.unknown_columns or ()}) or None,
    )


def read_document(path: Path) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """A file of XML0 (check-in) or XML12 (medical assessment), which stand on their own and are not appraised.

    Returns the table's name, its rows (columns as in ClaimTables, `claim` 0) and the elements that the dictionary
    lacks (ClaimTables.unknown). Raises Quarantined where the file is none of these or cannot be read.
    """
    try:
        root = etree.fromstring(_in_utf8(path.read_bytes()), etree.XMLParser(encoding="utf-8", **PARSER_OPTIONS))
    except (etree.XMLSyntaxError, UnicodeDecodeError):
        root = None
    if root is None or root.tag not in OTHER_ROOTS or root.getroottree().docinfo.internalDTD is not None:
        raise _not_a_document(" hoặc ".join(OTHER_ROOTS.values()), " or ".join(OTHER_ROOTS.values()))
    name = OTHER_ROOTS[str(root.tag)]
    for signature in root.findall("CHUKYDONVI"):
        root.remove(signature)
    unknown = UnknownElements()
    columns = TableColumns(name, column_names(name), unknown)
    try:
        for number, (elements, texts) in enumerate(_listed(root, 0, dictionary.table(name), unknown), start=1):
            columns.add(0, number, elements, texts)
    except _Unreadable as error:
        raise _not_a_document(f"{name}: {error.vi}", f"{name}: {error.en}") from None
    return name, columns.frame(), unknown.frame()


def _not_a_document(vi: str, en: str) -> Quarantined:
    return Quarantined(
        "STR-001",
        f"Tệp không đọc được như {vi}",
        f"the file cannot be read as {en}",
        "Xuất lại tệp theo cấu trúc quy định",
        "export the file again in the prescribed structure",
    )


class _Reader:
    """Reads one file. Claims, tables, unknown and findings hold only what no chunk has taken yet."""

    def __init__(
        self, path: Path, into: Sink, first: int, inbox_facility: str | None, max_claims: int, max_claim_mib: int
    ) -> None:
        self.path = path
        self.into = into
        self.first = first  # position of this file's first claim in the delivery
        self.read_claims = 0
        self.inbox_facility = inbox_facility
        self.max_claims = max_claims
        self.max_claim_mib = max_claim_mib
        self.encoding = outer_encoding(path)
        self.seen: dict[str, list[str]] = {"MACSKCB": [], "NGAYLAP": [], "SOLUONGHOSO": []}
        self.signed = False
        self.wrapped = True
        self.findings: list[dict[str, Any]] = []
        self.claims: list[tuple[str | None, str | None, bool]] = []  # MA_LK, decision, readable
        self.elsewhere: list[tuple[int, str]] = []  # claims whose XML1.MA_CSKCB is not the MACSKCB known by then
        self.decisions: Counter[str] = Counter()
        self.unknown = UnknownElements()
        self.unknown_names: list[str] = []
        self.tables: dict[tuple[str, bool], TableColumns] = {}  # by name and whether in the layout of 4210
        self.plain: dict[str, PlainRows] = {}
        self.parser = etree.XMLParser(encoding="utf-8", huge_tree=True, **PARSER_OPTIONS)

    # --- the envelope -----------------------------------------------------------------------------------------

    def read(self) -> Summary:
        self._check_prolog()
        collecting = gc.isenabled()
        gc.disable()  # millions of texts are made and none is part of a cycle: looking for one took a third of the time
        try:
            for files in self._claims():
                if self.read_claims >= self.max_claims:
                    raise Quarantined(
                        "too-large",
                        f"Tệp có hơn {self.max_claims} hồ sơ",
                        f"the file holds more than {self.max_claims} claims",
                        "Chia thành nhiều tệp nhỏ hơn rồi gửi lại",
                        "send it again as several smaller files",
                        read_claims=self.read_claims,
                    )
                self._claim(files)
                if len(self.claims) >= CHUNK_CLAIMS or self.metered.since_chunk >= _CHUNK_BYTES:
                    self._give_chunk()
        except etree.XMLSyntaxError as error:
            self._not_well_formed(error)
        except _TooLarge:
            self._stop(
                "too-large",
                f"Hồ sơ thứ {self.read_claims + 1} lớn hơn {self.max_claim_mib} MiB",
                f"claim {self.read_claims + 1} is larger than {self.max_claim_mib} MiB",
                "Kiểm tra nội dung của hồ sơ này rồi gửi lại",
                "check what this claim holds and send the file again",
            )
        finally:
            if collecting:
                gc.enable()
        return self._result()

    def _check_prolog(self) -> None:
        """Looks at the root element and what stands before it, with the parser's own limits in force, before anything
        is parsed without limits."""
        with self.path.open("rb") as stream:
            parser = etree.XMLPullParser(events=("start",), huge_tree=False, encoding=self.encoding, **PARSER_OPTIONS)
            first: Any = None
            while first is None:
                chunk = stream.read(4096)
                try:
                    parser.feed(chunk) if chunk else parser.close()
                except etree.XMLSyntaxError as error:
                    first = next(iter(parser.read_events()), None)
                    if first is None:
                        self._not_well_formed(error)
                else:
                    first = next(iter(parser.read_events()), None)
        root = first[1]
        if root.getroottree().docinfo.internalDTD is not None:
            self._stop(
                "STR-001",
                "Tệp XML có DOCTYPE, không được phép",
                "the XML holds a DOCTYPE, which is not allowed",
                "Xuất lại tệp không có DOCTYPE",
                "export the file again without a DOCTYPE",
            )
        if root.tag in OTHER_ROOTS:
            name = OTHER_ROOTS[root.tag]
            self._stop(
                "not-a-claim",
                f"Đây là tệp {name}, không phải hồ sơ thanh toán (gốc {ROOT}); nội dung không được giám định",
                f"this is an {name} file, not claims (root {ROOT}); it is not appraised",
                "Chỉ gửi tệp hồ sơ thanh toán vào hộp thư này",
                "put only claims into this inbox",
            )
        if root.tag != ROOT:
            self._stop(
                "STR-001",
                f"Phần tử gốc không phải {ROOT}",
                f"the root element is not {ROOT}",
                f"Gửi tệp XML có gốc {ROOT}, không có namespace",
                f"send XML with the root {ROOT} and no namespace",
            )

    def _claims(self) -> Iterator[list[etree._Element]]:
        """The FILEHOSO of each claim. Elements are freed once their claim was taken."""
        tags = ("HOSO", "FILEHOSO", "MACSKCB", "NGAYLAP", "SOLUONGHOSO", "CHUKYDONVI", "DANHSACHHOSO")
        bare: list[etree._Element] = []  # FILEHOSO without a HOSO around them
        with self.path.open("rb") as stream:
            metered = self.metered = _Metered(stream, self.max_claim_mib * _MIB)
            for _, element in etree.iterparse(
                metered, events=("end",), tag=tags, huge_tree=True, encoding=self.encoding, **PARSER_OPTIONS
            ):
                parent = element.getparent()
                above = parent.tag if parent is not None else None
                if element.tag == "HOSO" or (element.tag == "DANHSACHHOSO" and bare):
                    metered.next_claim()
                    if bare:
                        yield bare
                        bare = _forget(bare)
                    if element.tag == "HOSO":
                        self._expect(element, above, ("DANHSACHHOSO",))
                        yield list(element.iterchildren("FILEHOSO"))
                        _forget([element])
                elif element.tag == "FILEHOSO":
                    self._expect(element, above, ("HOSO", "DANHSACHHOSO"))
                    if above == "DANHSACHHOSO":
                        self.wrapped = False
                        if bare and _kind(element) == "XML1" and any(_kind(file) == "XML1" for file in bare):
                            metered.next_claim()
                            yield bare
                            bare = _forget(bare)
                        bare.append(element)
                elif element.tag == "CHUKYDONVI":
                    if above == ROOT:
                        self.signed |= len(element) > 0 or bool((element.text or "").strip())
                elif element.tag != "DANHSACHHOSO" and above in ("THONGTINDONVI", "THONGTINHOSO"):
                    self.seen[str(element.tag)].append((element.text or "").strip())

    def _expect(self, element: etree._Element, above: str | None, parents: tuple[str, ...]) -> None:
        """A claim at an unexpected place stops the delivery: passing over it would lose it silently."""
        if above not in parents:
            self._stop(
                "STR-001",
                f"Phần tử {element.tag} nằm sai vị trí (phải nằm trong {' hoặc '.join(parents)})",
                f"element {element.tag} stands at a wrong place (it belongs in {' or '.join(parents)})",
                "Xuất lại tệp theo cấu trúc GIAMDINHHS quy định",
                "export the file again in the prescribed structure of GIAMDINHHS",
            )

    def _not_well_formed(self, error: etree.XMLSyntaxError) -> NoReturn:
        # libxml2's own text may quote what stands at the place, so only its kind is passed on
        entries = getattr(error, "error_log", None)
        kind = entries.last_error.type_name if entries is not None and entries.last_error is not None else "ERR_UNKNOWN"
        line, column = error.position
        whole = self.read_claims
        raise Quarantined(
            "STR-001",
            f"Tệp XML không đúng cú pháp đến hết tệp (dòng {line}, cột {column}: {kind}); "
            f"đọc được {whole} hồ sơ nguyên vẹn trước chỗ lỗi",
            f"the XML is not well-formed to its end (line {line}, column {column}: {kind}); "
            f"{whole} whole claims were seen before that place",
            "Kiểm tra tệp có bị cắt cụt khi truyền không, rồi xuất và gửi lại",
            "check whether the file was cut off on its way, then export and send it again",
            ma_cskcb=self._facility(),
            declared_claims=self._declared(),
            read_claims=whole,
        ) from None

    def _stop(self, code: str, vi: str, en: str, next_vi: str, next_en: str, form: str | None = None) -> NoReturn:
        raise Quarantined(
            code,
            vi,
            en,
            next_vi,
            next_en,
            format=form,
            ma_cskcb=self._facility(),
            declared_claims=self._declared(),
            read_claims=self.read_claims,
        )

    def _facility(self) -> str | None:
        return next(filter(None, self.seen["MACSKCB"]), None)

    def _declared(self) -> int | None:
        told = self.seen["SOLUONGHOSO"]
        return int(told[0]) if len(told) == 1 and re.fullmatch(r"[0-9]{1,9}", told[0]) else None

    def _give_chunk(self) -> None:
        """Hands over the claims read since the last chunk."""
        ma_lk, decision, readable = zip(*self.claims, strict=True)
        end = self.first + self.read_claims
        claims = pd.DataFrame(
            {
                "claim": range(end - len(self.claims), end),
                "MA_LK": ma_lk,
                "MA_CSKCB": self._facility(),
                "decision": decision,
                "readable": readable,
            }
        ).astype(CLAIM_COLUMNS)
        frames = {}
        for name in dictionary.CLAIM_TABLES:
            found = [self.tables[key].frame() for key in ((name, False), (name, True)) if key in self.tables]
            if found:
                frames[name] = found[0] if len(found) == 1 else _together(found)
        unknown = self.unknown.frame()
        self.unknown_names = _least({*self.unknown_names, *_names(unknown)})
        self.claims, self.tables, self.unknown = [], {}, UnknownElements()
        self.metered.since_chunk = 0
        self.into.add(ClaimTables(claims, frames, unknown))
        self._give_findings()

    def _give_findings(self) -> None:
        self.into.add_findings(findings(self.findings))
        self.findings = []

    def _result(self) -> Summary:
        facility = self._facility()
        declared = self._declared()
        read = self.read_claims
        if facility is None or len(set(self.seen["MACSKCB"])) > 1:
            self._stop(
                "STR-001",
                "Thiếu THONGTINDONVI/MACSKCB hoặc có nhiều giá trị khác nhau",
                "THONGTINDONVI/MACSKCB is missing or given with different values",
                "Ghi đúng một mã cơ sở khám chữa bệnh trong THONGTINDONVI/MACSKCB",
                "give the facility's code once, in THONGTINDONVI/MACSKCB",
            )
        if self.inbox_facility and facility != self.inbox_facility:
            self._stop(
                "wrong-facility",
                f"MACSKCB trong tệp là {facility}, không phải cơ sở của hộp thư {self.inbox_facility}",
                f"MACSKCB of the file is {facility}, not the inbox's facility {self.inbox_facility}",
                "Gửi tệp vào hộp thư của đúng cơ sở",
                "put the file into the inbox of the facility that it belongs to",
            )
        if read == 0:
            self._stop(
                "STR-001",
                "Không có hồ sơ nào trong THONGTINHOSO/DANHSACHHOSO",
                "there is no claim in THONGTINHOSO/DANHSACHHOSO",
                "Xuất lại tệp có ít nhất một HOSO",
                "export the file again with at least one HOSO",
            )
        if declared is not None and read < declared:
            self._stop(
                "STR-003",
                f"SOLUONGHOSO ghi {declared} nhưng chỉ có {read} HOSO",
                f"SOLUONGHOSO says {declared} but there are only {read} HOSO",
                "Kiểm tra tệp có thiếu hồ sơ không, rồi xuất và gửi lại",
                "check whether claims are missing, then export and send the file again",
            )
        if self.claims:
            self._give_chunk()
        self._delivery_findings(declared, read)
        for claim, own in self.elsewhere:
            if own != facility:
                self._find(
                    claim,
                    "STR-015",
                    REJECT_CLAIM,
                    "XML1",
                    f"MA_CSKCB của hồ sơ khác MACSKCB của tệp ({facility})",
                    f"MA_CSKCB of the claim is not MACSKCB of the file ({facility})",
                    field="MA_CSKCB",
                    observed=own,
                    expected=facility,
                )
                if len(self.findings) >= CHUNK_CLAIMS:
                    self._give_findings()
        self._give_findings()
        most = max(
            self.decisions, key=lambda d: (self.decisions[d], -DECISIONS_READ.index(d)), default=DECISIONS_READ[0]
        )
        return Summary(
            f"xml-{most}",
            facility,
            read,
            declared,
            next(filter(None, self.seen["NGAYLAP"]), None),
            self.signed,
            self.unknown_names,
        )

    def _delivery_findings(self, declared: int | None, read: int) -> None:
        if not self.wrapped:
            self._find(
                None,
                "STR-001",
                WARN,
                None,
                "FILEHOSO không nằm trong HOSO; mỗi XML1 được coi là bắt đầu một hồ sơ",
                "FILEHOSO stand without a HOSO around them; each XML1 was taken as the start of a claim",
                field="HOSO",
            )
        if declared is None:
            told = self.seen["SOLUONGHOSO"]
            self._find(
                None,
                "STR-001",
                WARN,
                None,
                "SOLUONGHOSO thiếu hoặc không phải là một số",
                "SOLUONGHOSO is missing or not a number",
                field="SOLUONGHOSO",
                observed="; ".join(told) or None,
                expected=str(read),
            )
        elif read > declared:
            self._find(
                None,
                "STR-003",
                WARN,
                None,
                "Số HOSO nhiều hơn SOLUONGHOSO; tất cả đều được giám định",
                "there are more HOSO than SOLUONGHOSO says; all were taken",
                field="SOLUONGHOSO",
                observed=str(declared),
                expected=str(read),
            )
        if not any(self.seen["NGAYLAP"]):
            self._find(
                None,
                "STR-001",
                WARN,
                None,
                "Thiếu THONGTINHOSO/NGAYLAP",
                "THONGTINHOSO/NGAYLAP is missing",
                field="NGAYLAP",
            )

    # --- one claim --------------------------------------------------------------------------------------------

    def _claim(self, files: list[etree._Element]) -> None:
        claim = self.first + self.read_claims
        rows: dict[str, list[Row]] = {}
        sent: Counter[str] = Counter()
        broken: set[str] = set()
        readable = True
        for file in files:
            kinds = [part for part in file if part.tag == "LOAIHOSO"]
            contents = [part for part in file if part.tag == "NOIDUNGFILE"]
            if len(kinds) != 1 or len(contents) != 1:
                readable = False
                self._find(
                    claim,
                    "STR-001",
                    REJECT_CLAIM,
                    None,
                    "FILEHOSO phải có đúng một LOAIHOSO và một NOIDUNGFILE",
                    "a FILEHOSO must hold exactly one LOAIHOSO and one NOIDUNGFILE",
                    field="FILEHOSO",
                )
                continue
            name = (kinds[0].text or "").strip().upper()
            if name not in dictionary.CLAIM_TABLES:
                self._find(
                    claim,
                    "STR-004",
                    WARN,
                    None,
                    "LOAIHOSO không thuộc hồ sơ thanh toán; nội dung của nó không được đọc",
                    "this LOAIHOSO is none of a claim's; its content was not read",
                    field="LOAIHOSO",
                    observed=name,
                )
                continue
            sent[name] += 1
            try:
                rows.setdefault(name, []).extend(self._table(claim, name, contents[0]))
            except _Unreadable as error:
                broken.add(name)
                readable = False
                self._find(claim, error.rule, REJECT_CLAIM, name, error.vi, error.en, field="NOIDUNGFILE")
        for vi, en, table in _structure_faults(rows, sent, broken):
            readable = False
            self._find(claim, "STR-004", REJECT_CLAIM, table, vi, en, field="LOAIHOSO")
        if len(rows.get("XML1", ())) > 1:  # the claim is refused; a second record would only mislead who reads XML1
            del rows["XML1"][1:]
        decision = _decision(rows)
        legacy = decision == "4210"
        for name, found in rows.items():
            if found:
                columns = self.tables.get((name, legacy))
                if columns is None:
                    names = legacy_column_names(name) if legacy else column_names(name)
                    columns = self.tables[name, legacy] = TableColumns(name, names, self.unknown)
                for number, (elements, texts) in enumerate(found, start=1):
                    columns.add(claim, number, elements, texts)
        own = _first(rows.get("XML1", []), "MA_CSKCB")
        if own and own != self._facility():
            self.elsewhere.append((claim, own))
        if decision:
            self.decisions[decision] += 1
        self.claims.append((_ma_lk(rows), decision, readable))
        self.read_claims += 1

    def _table(self, claim: int, name: str, content: etree._Element) -> list[Row]:
        """Rows of the table document that a NOIDUNGFILE holds, as base64, text or element."""
        table = dictionary.table(name)
        if len(content):
            root = _only_child(content, name)
        else:
            document = _unwrapped(content.text or "")
            if not document:
                if name == "XML1":
                    raise _Unreadable("Nội dung XML1 trống", "the content of XML1 is empty")
                return []
            plain = self.plain.get(name) or self.plain.setdefault(name, PlainRows(table, PARSER_OPTIONS))
            rows = plain.read(document)
            if rows is not None:
                return rows
            root = self._parsed(document)
        if table.row_element is None:
            return _single(root, name, table.root)
        return _listed(root, claim, table, self.unknown)

    def _parsed(self, document: bytes) -> etree._Element:
        try:
            document = _in_utf8(document)
        except UnicodeDecodeError:
            raise _Unreadable(
                "Nội dung không đúng bảng mã đã khai", "the content is not in the encoding that it declares"
            ) from None
        if _DOCTYPE.match(document):
            raise _Unreadable(
                "Nội dung có DOCTYPE, không được phép", "the content holds a DOCTYPE, which is not allowed"
            )
        try:
            return etree.fromstring(document, self.parser)
        except etree.XMLSyntaxError as error:
            line, column = error.position
            raise _Unreadable(
                f"Nội dung không phải XML UTF-8 đúng cú pháp (dòng {line}, cột {column})",
                f"the content is not well-formed UTF-8 XML (line {line}, column {column})",
            ) from None

    def _find(
        self, claim: int | None, rule: str, severity: str, table: str | None, vi: str, en: str, **more: str | None
    ) -> None:
        self.findings.append(
            {
                "claim": claim,
                "rule": rule,
                "severity": severity,
                "table": table,
                "detail_vi": vi,
                "detail_en": en,
                **more,
            }
        )


def _decision(rows: dict[str, list[Row]]) -> str | None:
    """The decision in whose layout a claim was written. Source: contracts, version of a document."""
    general = set(rows["XML1"][0][0]) if rows.get("XML1") else set()
    if ("MA_THE" in general and "MA_THE_BHYT" not in general) or (
        "T_TONGCHI" in general and "T_TONGCHI_BV" not in general
    ):
        return "4210"
    referral = set(rows["XML13"][0][0]) if rows.get("XML13") else set()
    if referral & {"TINH_TRANG_CT", "MA_CSKCB_DI"}:
        return "3176"
    if "MA_NOI_DI" in referral:
        return "4750"
    if not general:
        return None
    return decision_of(_first(rows["XML1"], "NGAY_RA") or "", "4750" if "NHOM_MAU" in general else "130")


def decision_of(end_of_visit: str, before_3176: str) -> str:
    """3176 for a visit that ended (NGAY_RA) from 20250101 on, else the decision given."""
    day = end_of_visit.strip()[:8]
    return "3176" if re.fullmatch(r"[0-9]{8}", day) and day >= "20250101" else before_3176


def _structure_faults(
    rows: dict[str, list[Row]], sent: Counter[str], broken: set[str]
) -> Iterator[tuple[str, str, str | None]]:
    """What is wrong with the set of tables of one claim (STR-004): detail in two languages, table."""
    if not sent["XML1"]:
        yield "Không có XML1", "there is no XML1", "XML1"
    for name, times in sent.items():
        if times > 1:
            yield f"{name} có {times} lần trong một HOSO", f"{name} stands {times} times in one HOSO", name
    if not rows.get("XML2") and not rows.get("XML3") and not broken & {"XML2", "XML3"}:
        yield "Không có dòng XML2 hay XML3 nào", "there is no line of XML2 or XML3", None


def _kind(file: etree._Element) -> str:
    return (file.findtext("LOAIHOSO") or "").strip().upper()


def _only_child(content: etree._Element, name: str) -> etree._Element:
    children = list(content)
    if name == "XML1" and len([c for c in children if c.tag == "TONG_HOP"]) > 1:
        raise _Unreadable("XML1 có nhiều hơn một TONG_HOP", "XML1 holds more than one TONG_HOP", "STR-004")
    if len(children) > 1 or _STRAY_TEXT[False](content):
        raise _Unreadable("NOIDUNGFILE không chỉ có một phần tử", "NOIDUNGFILE holds more than one element")
    return children[0]


def _unwrapped(text: str) -> bytes:
    """The bytes of a table document that stands as text, as base64 or plain; empty if there is none."""
    text = text.strip("\ufeff \t\r\n")
    if not text or text.startswith("<"):
        return text.encode()
    return _decode(text).removeprefix(_BOM).strip(b" \t\r\n")


def outer_encoding(path: Path) -> str | None:
    """The encoding to read a file in; None: the one that libxml2 finds."""
    with path.open("rb") as stream:
        declared = _declared(stream.read(4096)) or ""
    # .NET writes "utf-16" into texts that it then sends as UTF-8
    return "utf-8" if declared.startswith("utf-16") else None


def _declared(head: bytes) -> str | None:
    """The encoding, in small letters, that a document in some superset of ASCII declares."""
    found = _DECLARED.match(head.removeprefix(_BOM))
    return found[1].decode().lower() if found else None


def _in_utf8(document: bytes) -> bytes:
    """A document in UTF-8, whatever encoding of our list it came in; the parser then passes over its declaration.

    What is UTF-8 stays, though another encoding be declared: .NET writes "utf-16" into texts that it sends as UTF-8.
    """
    for start, codec in _SIXTEEN_BITS:
        if document.startswith(start):
            return document.decode(codec).encode()
    codec = _OTHER_ENCODINGS.get(_declared(document) or "", "")
    if not codec:
        return document
    try:
        document.decode()
    except UnicodeDecodeError:
        return document.decode(codec).encode()
    return document


def _names(unknown: pd.DataFrame) -> Iterator[str]:
    """Elements that no decision has, as a report names them ("XML3.TEN_KHO")."""
    distinct = unknown[["table", "element"]].drop_duplicates()
    for table, element in distinct.itertuples(index=False, name=None):
        yield f"{table}.{element[:100]}"


def _least(names: set[str]) -> list[str]:
    """As many of the names as a report gives."""
    return sorted(names)[:_NAMED_UNKNOWN]


def _together(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Frames of one table with all their columns, by claim and row."""
    return together(frames).sort_values(["claim", "row"], ignore_index=True)


def _decode(text: str) -> bytes:
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError:
        pass
    try:
        return pybase64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise _Unreadable("Nội dung không phải base64", "the content is not base64") from None


def _row(element: etree._Element) -> Row:
    fields = list(element)
    names: tuple[str, ...] = tuple([field.tag for field in fields])
    if len(set(names)) != len(names):
        raise _Unreadable(
            f"Một trường lặp lại trong cùng một {element.tag}", f"a field is repeated within one {element.tag}"
        )
    return names, [field.text for field in fields]


def _single(root: etree._Element, name: str, expected: str) -> list[Row]:
    """The record of a table whose fields stand in its root; none where an optional table's root is empty."""
    if root.tag != expected:
        inside = len(root.findall(expected))
        if name == "XML1" and inside > 1:
            raise _Unreadable("XML1 có nhiều hơn một TONG_HOP", "XML1 holds more than one TONG_HOP", "STR-004")
        if inside != 1 or len(root) != 1:
            raise _wrong_root(root, expected)
        root = root[0]
    if _NESTED[False](root):
        raise _Unreadable("Một trường có phần tử con", "a field holds elements")
    if _STRAY_TEXT[False](root):
        raise _Unreadable("Có chữ nằm ngoài các trường", "text stands outside of the fields")
    return [_row(root)] if len(root) or name == "XML1" else []


def _listed(root: etree._Element, claim: int, table: dictionary.Table, unknown: UnknownElements) -> list[Row]:
    """Rows of a table with a list; the list may also be the root itself, as in exports of Decision 4210's style."""
    if root.tag == table.list_element:
        holder = etree.Element(table.root)
        holder.append(root)
        root = holder
    elif root.tag != table.root:
        raise _wrong_root(root, table.root)
    if _NESTED[True](root):
        raise _Unreadable("Một trường có phần tử con", "a field holds elements")
    if _STRAY_TEXT[True](root):
        raise _Unreadable("Có chữ nằm ngoài các trường", "text stands outside of the fields")
    rows: list[Row] = []
    for part in root:
        if part.tag == table.list_element:
            if not len(part) and (part.text or "").strip():
                raise _Unreadable("Có chữ nằm ngoài các trường", "text stands outside of the fields")
            for row in part:
                if row.tag != table.row_element:
                    raise _Unreadable(
                        f"{table.list_element} có phần tử không phải {table.row_element}",
                        f"{table.list_element} holds an element that is not {table.row_element}",
                    )
                rows.append(_row(row))
        elif len(part):
            raise _Unreadable(
                f"{table.root} có phần tử không phải {table.list_element}",
                f"{table.root} holds an element that is not {table.list_element}",
            )
        else:
            unknown.add(claim, table.name, 0, str(part.tag), part.text or "")
    return rows


def _wrong_root(root: etree._Element, expected: str) -> _Unreadable:
    return _Unreadable(
        f"Phần tử gốc của nội dung không phải {expected}", f"the root element of the content is not {expected}"
    )


def _first(rows: list[Row], name: str) -> str | None:
    """The first text of an element that is not blank, without surrounding white space."""
    for elements, texts in rows:
        if name in elements:
            text = (texts[elements.index(name)] or "").strip()
            if text:
                return text
    return None


def _ma_lk(rows: dict[str, list[Row]]) -> str | None:
    for name in dictionary.CLAIM_TABLES:
        found = _first(rows.get(name, []), "MA_LK")
        if found:
            return found
    return None


def _forget(elements: list[etree._Element]) -> list[etree._Element]:
    """Frees what was taken. The last element itself stays, empty, for the parser may still touch it."""
    for element in elements:
        element.clear(keep_tail=True)  # type: ignore[call-arg]
    last = elements[-1]
    parent = last.getparent()
    while parent is not None and last.getprevious() is not None:
        del parent[0]
    return []
