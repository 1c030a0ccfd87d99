"""The FHIR resources of a delivery: read from Bundles and NDJSON, judged against the FHIR models, led to by references.

The models of `fhir.resources` are those of R4B (4.3.0). The resources read here have the same elements and types there
as in R4 (4.0.1), of which R4B is the correction, so they judge both. What is read is always the JSON that was sent.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import IO, Any, NoReturn

from pydantic import ValidationError

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract.wrapping import without_mark

JUDGED = (
    "Basic", "ChargeItem", "Claim", "ClinicalImpression", "Condition", "Coverage", "Device", "DiagnosticReport",
    "Encounter", "Location", "Medication", "MedicationRequest", "Observation", "Organization", "Patient",
    "Practitioner", "PractitionerRole", "Procedure", "ServiceRequest",
)  # fmt: skip
"""Resource types that are read."""

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_PERSONAL_ID = re.compile(r"[A-Z]{2}[0-9]{13}|[0-9]{9,13}", re.IGNORECASE)  # a card, citizen or insurance number
_INDEX = re.compile(r"\[[0-9]+\]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_DEPTH = 4  # Bundles in Bundles
_MOST_FAULTS = 5  # of one resource that are told
_CURRENCY = "VND"


@dataclass(eq=False, slots=True)
class Resource:
    """One resource as sent. scope: the Bundle that it came in, within which references are looked up first; 0 is
    everything outside of Bundles. place: where it stands, for people. faults: paths of what is not FHIR R4."""

    type: str
    body: dict[str, Any]
    scope: int
    place: str
    faults: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        given = self.body.get("id")
        return given if isinstance(given, str) else ""

    @property
    def label(self) -> str:
        """Type and id as a report may name them: an id that is a card or citizen number is not told."""
        shown = self.id if _ID.fullmatch(self.id) and not _PERSONAL_ID.search(self.id) else "?"
        return f"{self.type}/{shown} ({self.place})"


class Resources:
    """All resources of a delivery, in their order."""

    def __init__(self) -> None:
        self.all: list[Resource] = []
        self.broken_places: list[str] = []  # lines or entries that are no resource
        self.unknown: dict[str, None] = {}  # elements that FHIR R4 does not have, and types that are not read
        self.lacking: Counter[str] = Counter()  # elements that FHIR R4 wants and that are missing
        self.repeated = 0  # resources sent again with other content
        self.more_pages = False  # a Bundle says that it is one page of several
        self.created_on: str | None = None
        self._by_name: dict[str, list[Resource]] = {}
        self._scopes = 0
        self._bodies: dict[int, Resource] = {}

    # --- reading ----------------------------------------------------------------------------------------------

    def add_stream(self, stream: IO[bytes], name: str) -> None:
        """The resources of one file: a Bundle or resource, a list of them, or NDJSON. name: the file's, "" alone.

        Raises Quarantined where it breaks off or is no JSON at all.
        """
        content = without_mark(stream.read())
        where = f"{name}: " if name else ""
        try:
            document = _parsed(content)
        except ValueError as error:
            lines = content.split(b"\n")
            if not _is_json_lines(lines):
                _not_json(where, error)
            self._add_lines(lines, where)
        else:
            self._add(document, 0, where, "", 0)

    def _add_lines(self, lines: list[bytes], where: str) -> None:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            place = f"{where}dòng/line {number}"
            try:
                document = _parsed(line)
            except ValueError as error:
                if number == len(lines):  # nothing follows, not even a line end: the file was cut off
                    _not_json(where, error, number)
                self.broken_places.append(place)
            else:
                self._add(document, 0, place, "", 0)

    def _add(self, body: Any, scope: int, place: str, full_url: str, depth: int) -> None:
        if isinstance(body, list):
            for number, part in enumerate(body, start=1):
                self._add(part, scope, f"{place}[{number}]", "", depth + 1)
            return
        kind = body.get("resourceType") if isinstance(body, dict) else None
        if not isinstance(kind, str) or not _NAME.fullmatch(kind) or depth > _DEPTH:
            self.broken_places.append(place)
        elif kind == "Bundle":
            self._add_bundle(body, place, depth)
        elif kind not in JUDGED:
            self.unknown[f"{kind}.*"] = None
        else:
            self._register(Resource(kind, body, scope, place), full_url)

    def _add_bundle(self, bundle: dict[str, Any], place: str, depth: int) -> None:
        self._scopes += 1
        scope = self._scopes
        links = bundle.get("link")
        self.more_pages |= any(isinstance(link, dict) and link.get("relation") == "next" for link in as_list(links))
        stamp = bundle.get("timestamp")
        if self.created_on is None and isinstance(stamp, str) and re.match(r"\d{4}-\d\d-\d\dT", stamp):
            self.created_on = stamp[:10].replace("-", "")
        entries = bundle.get("entry")
        for number, entry in enumerate(as_list(entries), start=1):
            at = f"{place}{'/' if place else ''}entry[{number}]"
            if isinstance(entry, dict) and "resource" in entry:
                url = entry.get("fullUrl")
                self._add(entry["resource"], scope, at, url if isinstance(url, str) else "", depth + 1)
            elif not isinstance(entry, dict):
                self.broken_places.append(at)

    def _register(self, resource: Resource, full_url: str) -> None:
        name = f"{resource.type}/{resource.id}"
        before = [one for one in self._by_name.get(name, ()) if one.scope == resource.scope] if resource.id else []
        if before:
            if before[0].body != resource.body:  # a later version of the same: it takes the place of the former
                self.repeated += 1
                before[0].body = resource.body
                self._judge(before[0])
                self._bodies[id(resource.body)] = before[0]
            return
        self.all.append(resource)
        self._bodies[id(resource.body)] = resource
        if resource.id:
            self._by_name.setdefault(name, []).append(resource)
        if full_url and full_url != name:
            self._by_name.setdefault(full_url, []).append(resource)
        self._judge(resource)

    # --- judging ----------------------------------------------------------------------------------------------

    def _judge(self, resource: Resource) -> None:
        faults: list[str] = []
        try:
            _model(resource.type).model_validate(resource.body)
        except ValidationError as error:
            for one in error.errors(include_url=False, include_context=False):
                path = _path(one["loc"])
                if one["type"] == "extra_forbidden":
                    self.unknown[f"{resource.type}.{_INDEX.sub('', path)}"] = None
                elif one["type"] == "missing" or "required" in one["type"]:
                    self.lacking[f"{resource.type}.{_INDEX.sub('', path)}"] += 1
                elif not (one["type"] == "string_pattern_mismatch" and not str(one["input"]).strip()):
                    faults.append(path)  # but a blank text, which FHIR forbids, is read as none
        except RecursionError:
            faults.append("–")
        faults += _other_currency(resource)
        resource.faults = faults[:_MOST_FAULTS]
        self._contained(resource)

    def _contained(self, resource: Resource) -> None:
        """Gives contained resources a name of their own, and the references to them that name."""
        inside = [part for part in as_list(resource.body.get("contained")) if isinstance(part, dict)]
        if not inside:
            return
        start = f"{resource.scope}/{resource.type}/{resource.id}#"
        for part in inside:
            kind, own = part.get("resourceType"), part.get("id")
            if isinstance(kind, str) and isinstance(own, str):
                held = Resource(kind, part, resource.scope, resource.place, resource.faults)
                self._by_name[f"{start}{own}"] = [held]
                self._bodies[id(part)] = held
        for node in _dicts(resource.body):
            reference = node.get("reference")
            if isinstance(reference, str) and reference.startswith("#"):
                node["reference"] = start + reference[1:]

    # --- references -------------------------------------------------------------------------------------------

    def find(self, reference: Any, scope: int) -> Resource | None:
        """The resource that a Reference leads to: in the same Bundle, else outside of Bundles, else in another one
        if all of that name are alike."""
        text = reference.get("reference") if isinstance(reference, dict) else None
        if not isinstance(text, str):
            return None
        text = text.partition("/_history/")[0]
        names = [text]
        if "://" in text:
            names.append("/".join(text.split("/")[-2:]))
        for name in names:
            found = self._by_name.get(name, [])
            near = [one for one in found if one.scope == scope] or [one for one in found if one.scope == 0] or found
            if near and (near is not found or all(one.body == found[0].body for one in found)):
                return near[0]
        return None

    def of(self, body: Any) -> Resource | None:
        """The resource whose JSON this is."""
        return self._bodies.get(id(body))


def _parsed(content: bytes) -> Any:
    """JSON with exact numbers. Raises ValueError for what is none, also for NaN and for nesting beyond reason."""
    try:
        return json.loads(content, parse_float=Decimal, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("too deep") from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


def _is_json_lines(lines: list[bytes]) -> bool:
    """Whether a text that is not JSON as a whole is one JSON per line: so it is if the first line is one."""
    first = next((line for line in lines if line.strip()), b"")
    try:
        return len(lines) > 1 and isinstance(_parsed(first), dict)
    except ValueError:
        return False


def _not_json(where: str, error: ValueError, line: int | None = None) -> NoReturn:
    row = line or getattr(error, "lineno", None)
    column = getattr(error, "colno", None)
    at_vi = f" (dòng {row}, cột {column})" if row and column else ""
    at_en = f" (line {row}, column {column})" if row and column else ""
    raise Quarantined(
        "STR-001",
        f"{where}JSON không đúng cú pháp đến hết tệp{at_vi}",
        f"{where}the JSON is not well-formed to its end{at_en}",
        "Kiểm tra tệp có bị cắt cụt khi truyền không, rồi xuất và gửi lại",
        "check whether the file was cut off on its way, then export and send it again",
        format="fhir-r4",
    ) from None


@cache
def _model(kind: str) -> Any:
    from fhir.resources.R4B import get_fhir_model_class

    return get_fhir_model_class(kind)


def _path(location: Iterable[Any]) -> str:
    """A path as people write it: item[0].unitPrice.value. Names that no element can have are not told."""
    parts: list[str] = []
    for part in location:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        elif part not in ("root", "__root__"):
            parts.append(("." if parts else "") + (part if _NAME.fullmatch(str(part)) else "?"))
    return "".join(parts) or "–"


def _other_currency(resource: Resource) -> Iterator[str]:
    """Amounts in another currency cannot be read as đồng."""
    if resource.type == "ChargeItem":
        if _foreign(resource.body.get("priceOverride")):
            yield "priceOverride.currency"
    elif resource.type == "Claim":
        for number, item in enumerate(as_list(resource.body.get("item"))):
            for name in ("unitPrice", "net"):
                if isinstance(item, dict) and _foreign(item.get(name)):
                    yield f"item[{number}].{name}.currency"


def _foreign(money: Any) -> bool:
    return isinstance(money, dict) and money.get("currency", _CURRENCY) != _CURRENCY


def _dicts(node: Any) -> Iterator[dict[str, Any]]:
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def as_list(node: Any) -> list[Any]:
    """A list as sent; what is none is empty."""
    return node if isinstance(node, list) else []


def as_dict(node: Any) -> dict[str, Any]:
    """An element with elements as sent; what is none is empty."""
    return node if isinstance(node, dict) else {}


def codings(concept: Any) -> list[dict[str, Any]]:
    """The codings of a CodeableConcept."""
    found = as_list(concept.get("coding")) if isinstance(concept, dict) else []
    return [one for one in found if isinstance(one, dict)]
