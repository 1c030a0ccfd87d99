"""The mapping of FHIR resources to claim tables, from `mapping.yml`: short paths down the elements of a resource."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from claim_pipeline.extract.columns import LAYOUTS, column_names
from claim_pipeline.extract.fhir.times import day_and_time
from claim_rules import dictionary

Node = Any
"""A part of a resource, as JSON: what it truly is depends on who sent it."""

Resolve = Callable[[Node], Node | None]
"""From a Reference to the resource that it leads to, or None."""

_DIGITS = 40  # a number with a larger exponent is not written out
_STEP = re.compile(r"(_?[A-Za-z]+)(?:\(([a-z0-9-]*)\)|\[([A-Za-z]+)=([^\]]+)\])?(?:\.|$)")


@dataclass(frozen=True)
class _Step:
    name: str
    systems: frozenset[str] | None = None  # of codings, identifiers and extensions: those that count
    where: tuple[str, str] | None = None

    def follow(self, node: Node, resolve: Resolve) -> list[Node]:
        if self.name == "resolve":
            target = resolve(node)
            return [] if target is None else [target]
        if not isinstance(node, dict):
            return []
        found = node.get(self.name)
        if found is None and self.name == "value":
            found = next((node[key] for key in node if key.startswith("value")), None)
        nodes = found if isinstance(found, list) else [] if found is None else [found]
        if self.systems is not None:
            key = "url" if self.name == "extension" else "system"
            nodes = [part for part in nodes if isinstance(part, dict) and part.get(key) in self.systems]
        if self.where is not None:
            key, wanted = self.where
            nodes = [part for part in nodes if isinstance(part, dict) and part.get(key) == wanted]
        return nodes


@dataclass(frozen=True)
class Path:
    """A path: the resource of the row at which it starts, and the steps from there."""

    root: str
    steps: tuple[_Step, ...]

    def texts(self, node: Node, resolve: Resolve) -> list[str]:
        """The values at its end, as text; blank ones left out."""
        nodes = [node]
        for step in self.steps:
            nodes = [part for before in nodes for part in step.follow(before, resolve)]
        return [text for text in map(_text, nodes) if text]


class ElementMapping(BaseModel):
    """Where the value of one official element is found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    paths: list[str]
    join: str | None = None
    each: str | None = None
    codes: dict[str, str] | None = None
    before: str | None = None
    unknown_day: bool = False

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, given: Any) -> Any:
        return {"paths": given} if isinstance(given, list) else given


@dataclass(frozen=True)
class Element:
    """One official element, ready to be looked up."""

    name: str
    paths: tuple[Path, ...]
    before: Path | None
    mapping: ElementMapping
    dates: bool  # its values are dates or times
    url: str  # of the extension that gives it

    def find(self, row: Mapping[str, list[Node]], resolve: Resolve) -> str | None:
        """Its text in a row made of the resources given by name; None where they do not say it."""
        each = self.mapping.each
        if each is None:
            return self._one(row, resolve)
        values = [_given(node, self.url) or self._one({each: [node]}, resolve) or "" for node in row[each]]
        return ";".join(values) if any(values) else None

    def _one(self, row: Mapping[str, list[Node]], resolve: Resolve) -> str | None:
        for path in self.paths:
            texts = [text for node in row.get(path.root, ()) for text in path.texts(node, resolve)]
            if self.dates:
                texts = [day_and_time(text, self.mapping.unknown_day) for text in texts]
            if self.mapping.codes is not None:
                texts = [self.mapping.codes[text] for text in texts if text in self.mapping.codes]
            if texts:
                if self.mapping.join is not None:
                    return self.mapping.join.join(dict.fromkeys(texts))
                return self._prefix(row, resolve) + texts[0]
        return None

    def _prefix(self, row: Mapping[str, list[Node]], resolve: Resolve) -> str:
        if self.before is None:
            return ""
        return "".join(text for node in row.get(self.before.root, ()) for text in self.before.texts(node, resolve))


class FhirMapping(BaseModel):
    """The whole mapping; see the head of `mapping.yml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    element_extensions: str
    systems: dict[str, list[str]]
    ignored_status: dict[str, list[str]]
    admission_use: list[str]
    vital_signs: str
    weight: list[str]
    tables: dict[str, dict[str, ElementMapping]] = Field(description="By table: its elements")

    @field_validator("tables")
    @classmethod
    def _known(cls, tables: dict[str, dict[str, ElementMapping]]) -> dict[str, dict[str, ElementMapping]]:
        for table, elements in tables.items():
            if table not in dictionary.CLAIM_TABLES:
                raise ValueError(f"{table} is not one of {', '.join(dictionary.CLAIM_TABLES)}")
            unknown = sorted(set(elements) - set(column_names(table)))
            if unknown:
                raise ValueError(f"{table} has no element {', '.join(unknown)}")
        return tables

    @model_validator(mode="after")
    def _paths(self) -> FhirMapping:
        _ = self.elements
        return self

    @cached_property
    def elements(self) -> dict[str, tuple[Element, ...]]:
        """By table: its elements, ready to be looked up."""
        return {
            table: tuple(self._element(table, name, mapping) for name, mapping in elements.items())
            for table, elements in self.tables.items()
        }

    def _element(self, table: str, name: str, mapping: ElementMapping) -> Element:
        before = self.path(mapping.before) if mapping.before else None
        url = f"{self.element_extensions}{table}:{name}"
        return Element(name, tuple(map(self.path, mapping.paths)), before, mapping, is_date(table, name), url)

    def path(self, text: str) -> Path:
        """A path from its text. Raises ValueError where it is none."""
        root, _, rest = text.partition(".")
        steps, at = [], 0
        while at < len(rest):
            step = _STEP.match(rest, at)
            if step is None:
                raise ValueError(f"not a path: {text}")
            name, alias, key, wanted = step.groups()
            if alias and alias not in self.systems:
                raise ValueError(f"{text}: no system is called {alias}")
            systems = frozenset(self.systems[alias]) if alias else None
            steps.append(_Step(name, systems, (key, wanted) if key else None))
            at = step.end()
        return Path(root, tuple(steps))

    def given(self, table: str, nodes: Iterable[Node]) -> dict[str, str]:
        """The elements of a row that its resources give by extension; of several the first."""
        start = f"{self.element_extensions}{table}:"
        found: dict[str, str] = {}
        for node in nodes:
            for extension in _extensions(node):
                url = extension.get("url")
                if isinstance(url, str) and url.startswith(start):
                    name = url.removeprefix(start)
                    value = _given(node, url) or ""
                    dates = name in column_names(table) and is_date(table, name)
                    found.setdefault(name, day_and_time(value, False) if dates else value)
        return found


@cache
def mapping() -> FhirMapping:
    """The mapping that the product uses."""
    return FhirMapping.model_validate(yaml.safe_load(files(__package__).joinpath("mapping.yml").read_text("utf-8")))


@cache
def is_date(table: str, element: str) -> bool:
    """Whether an element holds dates or times."""
    decision = next(d for d in LAYOUTS if table in dictionary.tables(d) and dictionary.table(table, d).has(element))
    field = dictionary.table(table, decision).field(element)
    return (field.item_type or field.type).startswith("date")


def _extensions(node: Node) -> list[dict[str, Any]]:
    found = node.get("extension") if isinstance(node, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _given(node: Node, url: str) -> str | None:
    for extension in _extensions(node):
        if extension.get("url") == url:
            return _text(next((extension[key] for key in extension if key.startswith("value")), None))
    return None


def _text(value: Node) -> str:
    """The text of a primitive value; "" of anything else."""
    match value:
        case str():
            return value.strip()
        case bool():
            return "1" if value else "0"
        case int():
            return str(value)
        case Decimal():
            return f"{value:f}" if abs(value.adjusted()) < _DIGITS else str(value)
        case _:
            return ""
