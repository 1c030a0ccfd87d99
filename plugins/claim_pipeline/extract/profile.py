"""Mapping profiles: one YAML per record system says which sheet and column becomes which claim table and element."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from claim_pipeline.extract.columns import column_names
from claim_rules.dictionary import CLAIM_TABLES


class SheetProfile(BaseModel):
    """One sheet of the export."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str = Field(description="Claim table that its rows become")
    required: bool = Field(False, description="Without this sheet the export is not of this profile")
    columns: dict[str, str] = Field({}, description="Header -> official element, for headers named otherwise")
    official_names: bool = Field(True, description="Headers that are official elements are taken as such")

    @model_validator(mode="after")
    def _known(self) -> SheetProfile:
        if self.table not in CLAIM_TABLES:
            raise ValueError(f"{self.table} is not one of {', '.join(CLAIM_TABLES)}")
        unknown = sorted(set(self.columns.values()) - set(column_names(self.table)))
        if unknown:
            raise ValueError(f"{self.table} has no element {', '.join(unknown)}")
        return self

    def element(self, header: str) -> str | None:
        """Official element that a header stands for; None where the profile does not know it."""
        wanted = header.strip().upper()
        for named, element in self.columns.items():
            if named.strip().upper() == wanted:
                return element
        return wanted if self.official_names and wanted in column_names(self.table) else None


class Profile(BaseModel):
    """The export of one record system. Exactly one sheet, required, becomes XML1: one row per claim."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    description_vi: str
    description_en: str
    sheets: dict[str, SheetProfile]

    @model_validator(mode="after")
    def _one_claim_sheet(self) -> Profile:
        claims = [sheet for sheet in self.sheets.values() if sheet.table == "XML1"]
        if len(claims) != 1 or not claims[0].required:
            raise ValueError("exactly one sheet, required, must become XML1")
        tables = [sheet.table for sheet in self.sheets.values()]
        if len(set(tables)) < len(tables):
            raise ValueError("two sheets become the same table")
        if len({name.lower() for name in self.sheets}) < len(self.sheets):
            raise ValueError("two sheets have the same name")
        return self

    @property
    def claim_sheet(self) -> str:
        """Name of the sheet that becomes XML1."""
        return next(name for name, sheet in self.sheets.items() if sheet.table == "XML1")

    def sheet(self, stem: str) -> str | None:
        """Name in this profile of the sheet that a file or worksheet called `stem` is, whatever its case; or None."""
        return next((name for name in self.sheets if name.lower() == stem.strip().lower()), None)

    def missing(self, stems: Iterable[str]) -> list[str]:
        """Required sheets that are not among the names given."""
        there = {self.sheet(stem) for stem in stems}
        return [name for name, sheet in self.sheets.items() if sheet.required and name not in there]


def parse(text: str) -> Profile:
    """A profile from YAML. Raises pydantic.ValidationError, which names what is wrong."""
    content: Any = yaml.safe_load(text)
    return Profile.model_validate(content)


@cache
def profiles() -> tuple[Profile, ...]:
    """The built-in profiles, by name."""
    folder = files(__package__).joinpath("profiles")
    found = [parse(file.read_text("utf-8")) for file in folder.iterdir() if file.name.endswith(".yml")]
    return tuple(sorted(found, key=lambda profile: profile.name))
