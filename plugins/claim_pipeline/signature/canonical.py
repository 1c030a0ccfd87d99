"""Reads a document as a stream into its canonical form (Canonical XML 1.0 without comments), apart from its signature.

One pass with flat memory gives what both signature profiles digest, and a file that holds only what was digested.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO
from xml.parsers import expat

DS = "http://www.w3.org/2000/09/xmldsig#"
BOX, CONTENT, UNIT = "CHUKYDONVI", "THONGTINHOSO", "THONGTINDONVI"

MAX_DEPTH = 200
MAX_SIGNATURE_BYTES = 1 << 20
MAX_IDS = 10_000
_CHUNK = 1 << 16
_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"})
_ATTRIBUTE = str.maketrans({"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#x9;", "\n": "&#xA;", "\r": "&#xD;"})
_SPECIAL = re.compile("[&<>\r]")
_ID_NAMES = ("Id", "ID", "id")


class NotValid(Exception):
    """The signature does not hold. Texts say why and name no value of a claim."""

    def __init__(self, vi: str, en: str) -> None:
        super().__init__(en)
        self.vi = vi
        self.en = en


@dataclass
class Content:
    """The element THONGTINHOSO by itself: its Id, its digest, its start tag as digested (with every namespace in
    scope), and where the rest of it lies in the canonical file."""

    id: str | None
    sha256: bytes
    start_tag: bytes
    begin: int
    end: int


@dataclass
class Document:
    """What one pass saw. sha256: of the whole document without its signature. signature: the Signature element in
    canonical form (None: there is none). box_filled: CHUKYDONVI holds something. plain: the root has THONGTINDONVI
    (at most), one THONGTINHOSO and CHUKYDONVI as children and nothing else. facility: THONGTINDONVI/MACSKCB."""

    root: str
    sha256: bytes
    content: Content | None
    signature: bytes | None
    box_filled: bool
    plain: bool
    facility: str
    namespaces: dict[str, str]  # prefix -> namespace in scope where the signature stands, or would stand


def canonicalise(source: Path, out: BinaryIO, *, content_id: str | None = None) -> Document:
    """Writes the canonical form of `source` without its signature to `out`.

    The signature must stand where it is looked for: one Signature, alone in one CHUKYDONVI that is the last child of
    the root. Raises NotValid for anything else that is called a signature, and for what canonical XML would hide or
    what two readers could understand differently: DOCTYPE, processing instructions, xml:* attributes, repeated Ids.
    content_id: Id that THONGTINHOSO is given where it has none (for signing).
    """
    reader = _Reader(out, content_id)
    with source.open("rb") as stream:
        return reader.read(stream)


class _Reader:
    def __init__(self, out: BinaryIO, content_id: str | None) -> None:
        self.out = out
        self.content_id = content_id
        self.namespaces: dict[str, str] = {}
        self.pending: list[bytes] = []
        self.pending_size = 0
        self.position = 0
        self.whole = hashlib.sha256()
        self.names: list[tuple[str, str]] = []  # (namespace, local name) of every open element
        self.scopes: list[dict[str, str]] = [{"": ""}]
        self.root = ""
        self.children: list[str] = []  # of the root
        self.ids: set[str] = set()
        self.signature: list[bytes] | None = None  # pieces of the Signature
        self.signature_size = 0
        self.in_signature = 0  # depth at which the Signature began
        self.boxes = 0
        self.box_filled = False
        self.box_foreign = False  # CHUKYDONVI holds something that is no signature
        self.contents = 0
        self.content: Content | None = None
        self.content_hash: Any = None
        self.root_text = False
        self.facility: list[str] = []

    def read(self, stream: BinaryIO) -> Document:
        parser = expat.ParserCreate()
        parser.ordered_attributes = True
        parser.buffer_text = True
        parser.buffer_size = _CHUNK
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        try:
            while chunk := stream.read(_CHUNK):
                parser.Parse(chunk, False)
            parser.Parse(b"", True)
        except (expat.ExpatError, LookupError, ValueError):
            raise NotValid(
                "Tệp XML không đọc được để kiểm tra chữ ký", "the XML cannot be read for verification"
            ) from None
        self._flush()
        if self.signature is not None and (self.boxes != 1 or self.box_foreign or self.children[-1:] != [BOX]):
            raise NotValid(
                "CHUKYDONVI phải là phần tử cuối, duy nhất, và chỉ chứa một chữ ký",
                "CHUKYDONVI must be the last element, the only one, and hold nothing but the signature",
            )
        known = [name for name in self.children if name in (UNIT, CONTENT, BOX)]
        plain = known == self.children and len(set(known)) == len(known) and not self.root_text and self.contents == 1
        return Document(
            self.root,
            self.whole.digest(),
            self.content,
            b"".join(self.signature) if self.signature is not None else None,
            self.box_filled,
            plain,
            "".join(self.facility).strip(),
            self.namespaces,
        )

    # --- output -----------------------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if self.in_signature and self.signature is not None:
            self.signature.append(data)
            self.signature_size += len(data)
            if self.signature_size > MAX_SIGNATURE_BYTES:
                raise NotValid("Chữ ký quá lớn", "the signature is too large")
            return
        self.pending.append(data)
        self.pending_size += len(data)
        if self.pending_size >= _CHUNK:
            self._flush()

    def _flush(self) -> None:
        data = b"".join(self.pending)
        self.pending.clear()
        self.pending_size = 0
        self.position += len(data)
        self.whole.update(data)
        if self.content_hash is not None:
            self.content_hash.update(data)
        self.out.write(data)

    # --- events -----------------------------------------------------------------------------------------------

    def _start(self, name: str, flat: list[str]) -> None:
        depth = len(self.names)
        if depth >= MAX_DEPTH:
            raise NotValid("Các phần tử lồng nhau quá sâu", "elements are nested too deeply")
        above = self.scopes[-1]
        declared: dict[str, str] = {}
        attributes: list[tuple[str, str]] = []
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            if key == "xmlns":
                declared[""] = value
            elif key.startswith("xmlns:"):
                declared[key[6:]] = value
                if key == "xmlns:xml" or not value:
                    raise NotValid("Khai báo namespace không hợp lệ", "a namespace declaration is not valid")
            else:
                attributes.append((key, value))
        scope = {**above, **declared} if declared else above
        uri, local = self._resolve(name, scope, default=True)
        is_content = local == CONTENT and not uri and depth == 1
        if is_content and self.content_id and not any(key == "Id" for key, _ in attributes):
            attributes.append(("Id", self.content_id))
        keyed = []
        for key, value in attributes:
            if key.startswith("xml:"):
                raise NotValid("Không cho phép thuộc tính xml:*", "attributes xml:* are not allowed in what is signed")
            keyed.append((self._resolve(key, scope, default=False), key, value))
            if key in _ID_NAMES:
                if value in self.ids:
                    raise NotValid("Một Id xuất hiện nhiều lần", "an Id stands more than once")
                self.ids.add(value)
                if len(self.ids) > MAX_IDS:
                    raise NotValid("Quá nhiều Id", "there are too many Ids")
        keyed.sort()
        if any(one[0] == other[0] for one, other in pairwise(keyed)):
            raise NotValid("Thuộc tính lặp lại", "an attribute stands twice")
        self._place(depth, uri, local, scope)
        self.names.append((uri, local))
        self.scopes.append(scope)
        body = "".join(f' {key}="{value.translate(_ATTRIBUTE)}"' for _, key, value in keyed)
        apex = self.in_signature == depth + 1
        fresh = {prefix: value for prefix, value in declared.items() if above.get(prefix) != value}
        self._write(_tag(name, _in_scope(scope) if apex else fresh, body))
        if is_content and self.contents == 1:
            self._flush()
            start_tag = _tag(name, _in_scope(scope), body)
            self.content_hash = hashlib.sha256(start_tag)
            self.content = Content(dict(attributes).get("Id"), b"", start_tag, self.position, 0)

    def _place(self, depth: int, uri: str, local: str, scope: dict[str, str]) -> None:
        """Notes where elements stand that matter; a signature at any other place than its own is refused."""
        if depth == 0:
            self.root = local
            self.namespaces = _in_scope(scope)
        elif depth == 1:
            self.children.append(local if not uri else f"{{{uri}}}{local}")
        if not uri and local == CONTENT:
            self.contents += 1
        if not uri and local == BOX and not self.in_signature:
            self.boxes += 1
            self.namespaces = _in_scope(scope)
        if self.in_signature:
            if uri == DS and local == "Signature":
                raise NotValid("Có nhiều hơn một chữ ký", "there is more than one signature")
            return
        inside = depth == 2 and self.names[-1] == ("", BOX)
        if depth >= 2 and self.names[1] == ("", BOX):
            self.box_filled = True
        if uri != DS:
            self.box_foreign |= inside
            return
        if local != "Signature" or not inside:
            raise NotValid("Chữ ký không nằm trong CHUKYDONVI", "the signature does not stand in CHUKYDONVI")
        if self.signature is not None:
            raise NotValid("Có nhiều hơn một chữ ký", "there is more than one signature")
        self.signature = []
        self.in_signature = depth + 1

    def _resolve(self, name: str, scope: dict[str, str], *, default: bool) -> tuple[str, str]:
        prefix, colon, local = name.partition(":")
        if not colon:
            return (scope[""] if default else ""), name
        if prefix not in scope or not local or ":" in local:
            raise NotValid("Tiền tố namespace chưa khai báo", "a namespace prefix is not declared")
        return scope[prefix], local

    def _end(self, name: str) -> None:
        uri, local = self.names.pop()
        self.scopes.pop()
        self._write(f"</{name}>".encode())
        depth = len(self.names)
        if self.in_signature == depth + 1:
            self.in_signature = 0
        if self.content_hash is not None and depth == 1 and not uri and local == CONTENT and self.content is not None:
            self._flush()
            self.content.sha256 = self.content_hash.digest()
            self.content.end = self.position
            self.content_hash = None

    def _text(self, text: str) -> None:
        depth = len(self.names)
        if not self.in_signature and depth <= 3 and depth:
            if depth == 1:
                self.root_text |= bool(text.strip())
            elif self.names[1] == ("", BOX):
                filled = bool(text.strip())
                self.box_filled |= filled
                self.box_foreign |= filled
            elif depth == 3 and self.names[1:] == [("", UNIT), ("", "MACSKCB")] and len(self.facility) < 10:
                self.facility.append(text)
        self._write((text.translate(_TEXT) if _SPECIAL.search(text) else text).encode())

    def _doctype(self, *_: object) -> None:
        raise NotValid("Tệp có DOCTYPE, không được phép", "the file holds a DOCTYPE, which is not allowed")

    def _instruction(self, *_: object) -> None:
        raise NotValid(
            "Tệp có chỉ thị xử lý (processing instruction), không được phép",
            "the file holds a processing instruction, which is not allowed in what is signed",
        )


def _in_scope(scope: dict[str, str]) -> dict[str, str]:
    return {prefix: value for prefix, value in scope.items() if value}


def _tag(name: str, namespaces: dict[str, str], attributes: str) -> bytes:
    spaces = "".join(
        f' xmlns{":" + prefix if prefix else ""}="{value.translate(_ATTRIBUTE)}"'
        for prefix, value in sorted(namespaces.items())
    )
    return f"<{name}{spaces}{attributes}>".encode()
