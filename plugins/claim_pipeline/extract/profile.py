"""Mapping profiles: one YAML per record system says which sheet and column becomes which claim table and element."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from claim_pipeline.errors import OperatorError
from claim_pipeline.extract.columns import column_names
from claim_rules.dictionary import CLAIM_TABLES

KEY = "MA_LK"
CARDS = "cards"
"""Table of a profile that is no claim table: one row per card of a visit, for MA_THE_BHYT and its companions."""

CARD_ELEMENTS = ("MA_THE_BHYT", "MA_DKBD", "GT_THE_TU", "GT_THE_DEN")
AUTO = "auto"
GENERAL = "giamdinh-v1"


class ProfileError(OperatorError):
    """A mapping profile, or the list of who uses which, has a mistake."""

    def __init__(self, name: str, vi: str, en: str) -> None:
        super().__init__(
            "profile",
            f"Mẫu ánh xạ {name}: {vi}",
            f"mapping profile {name}: {en}",
            "Sửa tệp mẫu (docs/formats.md) rồi chạy lại",
            "correct the file (docs/formats.md) and try again",
        )


@lru_cache(maxsize=20_000)
def fold(text: str) -> str:
    """A name without what people write differently: case, accents, spaces and punctuation."""
    apart = unicodedata.normalize("NFD", text.casefold().replace("đ", "d"))
    return "".join(char for char in apart if char.isalnum())


@dataclass(frozen=True)
class Column:
    """Headers that an element may have, the first that is there is taken; join: all of them that are
    there, with a space between, if the first is."""

    headers: tuple[str, ...]
    join: bool = False


@dataclass(frozen=True)
class Mapped:
    """What the headers of a sheet are for one of its parts.

    places: element -> positions of its headers. missing: mandatory elements without a header. twice: elements that
    several headers stand for.
    """

    places: dict[str, tuple[int, ...]]
    missing: tuple[str, ...]
    twice: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """Rows of one claim table out of a sheet.

    once: a claim's row is repeated in every row of the sheet, and taken once per MA_LK. where: only rows in which this
    column has one of these values. values: element -> folded value -> what it becomes. defaults: where a cell is blank.
    codes: element -> (file, column) of the reference data in which the facility's own codes stand beside the official.
    """

    table: str
    columns: Mapping[str, Column] = field(default_factory=dict)
    official_names: bool = True
    once: bool = False
    where: tuple[str, frozenset[str]] | None = None
    mandatory: tuple[str, ...] = (KEY,)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def elements(self) -> tuple[str, ...]:
        """All elements of its table."""
        return elements_of(self.table)

    def map(self, headers: list[str]) -> Mapped:
        """Which header is which element, whatever their case, accents and spaces."""
        at: dict[str, list[int]] = {}
        exact = [header.strip().upper() for header in headers]
        for place, header in enumerate(headers):
            if fold(header):
                at.setdefault(fold(header), []).append(place)
        places: dict[str, tuple[int, ...]] = {}
        twice = []
        for element in self.elements:
            column = self.columns.get(element)
            named = [fold(header) for header in column.headers] if column else []
            if column is not None and column.join:
                if named[0] in at:
                    places[element] = tuple(at[name][0] for name in named if name in at)
                continue
            if self.official_names and fold(element) not in self._taken:
                named.append(fold(element))
            found = [
                place
                for name in dict.fromkeys(named)
                for place in at.get(name, [])
                # two elements differ in nothing else than an underscore
                if exact[place] == element or exact[place] not in self.elements
            ]
            if found:
                places[element] = (found[0],)
            if len(found) > 1:
                twice.append(element)
        missing = tuple(name for name in self.mandatory if name not in places and name not in self.constants)
        return Mapped(places, missing, tuple(twice))

    @cached_property
    def _taken(self) -> frozenset[str]:
        """Official names that the profile gives to other elements."""
        return frozenset(
            fold(header)
            for element, column in self.columns.items()
            for header in column.headers
            if fold(header) != fold(element)
        )

    def headers_of(self, element: str) -> tuple[str, ...]:
        """What the column of an element may be called."""
        column = self.columns.get(element)
        own = column.headers if column else ()
        return (*own, element) if self.official_names and element not in own else own


@dataclass(frozen=True)
class SheetProfile:
    """One sheet of the export. names: what it is also called; ignored: columns that are known and not needed."""

    parts: tuple[Part, ...]
    required: bool = False
    names: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """Claim table that its rows become; of a sheet with several parts the first."""
        return self.parts[0].table

    def element(self, header: str) -> str | None:
        """Official element that a header stands for; None where the profile does not know it."""
        return next((element for part in self.parts for element in part.map([header]).places), None)

    def unknown(self, headers: list[str]) -> list[str]:
        """Headers that no part uses."""
        used = {place for part in self.parts for places in part.map(headers).places.values() for place in places}
        known = {fold(name) for name in self.ignored} | {fold(part.where[0]) for part in self.parts if part.where}
        return [name for at, name in enumerate(headers) if name.strip() and at not in used and fold(name) not in known]

    def known(self, headers: list[str]) -> int:
        """How many of the headers it knows."""
        return sum(1 for name in headers if name.strip()) - len(self.unknown(headers))

    def missing(self, headers: list[str]) -> dict[str, str | None]:
        """Mandatory elements without a column, each with the header that comes nearest to what is expected."""
        unknown = self.unknown(headers)
        near = {fold(name): name for name in unknown}
        found: dict[str, str | None] = {}
        for part in self.parts:
            for element in part.map(headers).missing:
                wanted = [fold(name) for name in part.headers_of(element)]
                close = [match for name in wanted for match in get_close_matches(name, near, 1, 0.6)]
                found[element] = near[close[0]] if close else None
        return found


@dataclass(frozen=True)
class Profile:
    """The export of one record system. Exactly one part, of a required sheet, becomes XML1: one row per claim.

    decimal: "." or "," between a number and its decimals, "auto": the comma only where the file proves it. dates: how
    days and times are written besides the official way, "auto": dd/mm/yyyy [HH:MM[:SS]] in columns that have it in most
    of their cells.
    """

    name: str
    description_vi: str
    description_en: str
    sheets: Mapping[str, SheetProfile]
    decimal: str = AUTO
    dates: tuple[str, ...] | None = None

    @property
    def claim_sheet(self) -> str:
        """Name of the sheet that becomes XML1."""
        return next(name for name, sheet in self.sheets.items() if any(part.table == "XML1" for part in sheet.parts))

    def sheet(self, stem: str) -> str | None:
        """Name in this profile of the sheet that a file or worksheet called `stem` is; None where it is none."""
        return self._names.get(fold(stem))

    @cached_property
    def _names(self) -> dict[str, str]:
        return {fold(known): name for name, sheet in self.sheets.items() for known in (name, *sheet.names)}

    def missing(self, names: Iterable[str]) -> list[str]:
        """Required sheets that are not among these of its names."""
        there = set(names)
        return [name for name, sheet in self.sheets.items() if sheet.required and name not in there]


def elements_of(table: str) -> tuple[str, ...]:
    """Elements that a part of a profile can fill."""
    return (KEY, *CARD_ELEMENTS) if table == CARDS else column_names(table)


def parse(text: str, name: str = "?") -> Profile:
    """A profile from YAML. Raises ProfileError, which names what is wrong and where."""
    try:
        content = yaml.load(text, yaml.BaseLoader)  # texts alone: codes such as 01, no, 1e3 stay texts
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"dòng · line {mark.line + 1}" if mark else "YAML"
        raise ProfileError(name, f"không phải YAML đúng ({place})", f"is not proper YAML ({place})") from None
    found = sorted(_validator().iter_errors(content), key=lambda fault: list(map(str, fault.absolute_path)))
    if found:
        best = [jsonschema.exceptions.best_match([fault]) or fault for fault in found[:3]]
        places = [f"{' > '.join(map(str, fault.absolute_path)) or '–'}: {fault.message}" for fault in best]
        raise ProfileError(name, f"sai ở {'; '.join(places)}", f"wrong at {'; '.join(places)}")
    sheets = {label: _sheet(content["name"], label, sheet) for label, sheet in content["sheets"].items()}
    dates = content.get("dates", AUTO)
    profile = Profile(
        content["name"],
        content["description_vi"],
        content["description_en"],
        sheets,
        content.get("decimal", AUTO),
        None if dates == AUTO else tuple(dates),
    )
    _check(profile)
    return profile


@cache
def _validator() -> Any:
    schema = json.loads(files(__package__).joinpath("profiles", "schema.json").read_text("utf-8"))
    return jsonschema.Draft202012Validator(schema)


def _sheet(profile: str, label: str, content: dict[str, Any]) -> SheetProfile:
    parts = content.get("parts") or [content]
    return SheetProfile(
        tuple(_part(profile, label, part) for part in parts),
        content.get("required") == "true",
        tuple(content.get("names", ())),
        tuple(content.get("ignored", ())),
    )


def _part(profile: str, label: str, content: dict[str, Any]) -> Part:
    table = content["table"]
    if table not in (*CLAIM_TABLES, CARDS):
        allowed = ", ".join((*CLAIM_TABLES, CARDS))
        raise ProfileError(profile, f"{label}: bảng {table} không có", f"{label}: {table} is not one of {allowed}")
    named = [name for key in ("columns", "values", "constants", "defaults", "codes") for name in content.get(key, {})]
    unknown = sorted({*named, *content.get("mandatory", ())} - set(elements_of(table)))
    if unknown:
        names = ", ".join(unknown)
        raise ProfileError(profile, f"{label}: {table} không có trường {names}", f"{label}: {table} has no {names}")
    columns = {}
    for element, given in content.get("columns", {}).items():
        if isinstance(given, dict):
            columns[element] = Column(tuple(given["join"]), join=True)
        else:
            columns[element] = Column((given,) if isinstance(given, str) else tuple(given))
    where = next(iter(content.get("where", {}).items()), None)
    return Part(
        table,
        columns,
        content.get("official_names") != "false",
        content.get("once") == "true",
        (where[0], frozenset(map(fold, where[1]))) if where else None,
        tuple(dict.fromkeys((KEY, *content.get("mandatory", ())))),
        {name: {fold(old): new for old, new in known.items()} for name, known in content.get("values", {}).items()},
        content.get("constants", {}),
        content.get("defaults", {}),
        {name: (source["file"], source["column"]) for name, source in content.get("codes", {}).items()},
    )


def _check(profile: Profile) -> None:
    parts = [(label, sheet, part) for label, sheet in profile.sheets.items() for part in sheet.parts]
    claims = [sheet for _, sheet, part in parts if part.table == "XML1"]
    tables = [part.table for _, _, part in parts if part.where is None]
    names = [name for label, sheet in profile.sheets.items() for name in {fold(n) for n in (label, *sheet.names)}]
    if len(claims) != 1 or not claims[0].required:
        raise ProfileError(
            profile.name,
            "phải có đúng một bảng, bắt buộc (required), thành XML1",
            "exactly one sheet, required, must become XML1",
        )
    if len(set(tables)) < len(tables):
        raise ProfileError(
            profile.name, "hai bảng cùng thành một bảng XML", "two sheets become the same table without `where`"
        )
    if len(set(names)) < len(names):
        raise ProfileError(profile.name, "hai bảng trùng tên", "two sheets have the same name")


@cache
def profiles() -> tuple[Profile, ...]:
    """The built-in profiles, the general one first."""
    folder = files(__package__).joinpath("profiles")
    found = [parse(file.read_text("utf-8"), file.name) for file in folder.iterdir() if file.name.endswith(".yml")]
    return tuple(sorted(found, key=lambda profile: (profile.name != GENERAL, profile.name)))


@dataclass(frozen=True)
class Profiles:
    """All profiles that there are, and which facility has one of its own choice."""

    every: tuple[Profile, ...]
    of_facility: Mapping[str, str] = field(default_factory=dict)

    def named(self, name: str) -> Profile:
        """The profile of that name. Raises ProfileError."""
        found = next((profile for profile in self.every if profile.name == name), None)
        if found is None:
            there = ", ".join(profile.name for profile in self.every)
            raise ProfileError(name, f"không có; có: {there}", f"there is none of that name; there are: {there}")
        return found

    def candidates(self, facility: str | None) -> tuple[Profile, ...]:
        """The one that is set for a facility, else all."""
        chosen = self.of_facility.get(facility or "")
        return (self.named(chosen),) if chosen else self.every


def configured(folder: Path | None) -> Profiles:
    """The built-in profiles, those of a folder (`*.yml`), and its `facilities.yml` (MA_CSKCB: name of the profile).

    A profile of the folder takes the place of a built-in one of the same name. Raises ProfileError.
    """
    return Profiles(profiles()) if folder is None else _of_folder(folder)


@cache
def _of_folder(folder: Path) -> Profiles:
    own: dict[str, Profile] = {}
    of_facility: dict[str, str] = {}
    if not folder.is_dir():
        raise ProfileError(str(folder), "không có thư mục này", "there is no such folder")
    for path in sorted(folder.glob("*.yml")):
        if path.name == "facilities.yml":
            content = yaml.load(path.read_text("utf-8"), yaml.BaseLoader) or {}
            if not isinstance(content, dict) or not all(isinstance(name, str) for name in content.values()):
                raise ProfileError(
                    path.name, "mỗi dòng phải là MA_CSKCB: tên mẫu", "each line must be MA_CSKCB: name of a profile"
                )
            of_facility = {str(facility): name for facility, name in content.items()}
        else:
            profile = parse(path.read_text("utf-8"), path.name)
            own[profile.name] = profile
    found = Profiles((*own.values(), *(p for p in profiles() if p.name not in own)), of_facility)
    for name in of_facility.values():
        found.named(name)
    return found
