"""Which mapping profile an export is of, and which of its sheets is which: by their names, else by their headers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from claim_pipeline.extract.profile import KEY, Profile, SheetProfile, fold
from claim_pipeline.extract.sheet import Sheet

_FEWEST_HEADERS = 4  # that a sheet without a known name must share with the one that it is taken for


@dataclass
class Fit:
    """What an export is by one profile. sheets: name in the profile -> sheet; rest: sheets that are none of it; twice:
    names of sheets that are there more than once. missing: required sheets. lacking: mandatory columns that are not
    there, in all; known, unknown: headers."""

    profile: Profile
    sheets: dict[str, Sheet] = field(default_factory=dict)
    rest: list[Sheet] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    lacking: int = 0
    known: int = 0
    unknown: int = 0

    @property
    def quality(self) -> tuple[bool, int, int, int]:
        """Sorts fits, the best last."""
        return not self.missing, -self.lacking, self.known, -self.unknown


def best_fit(candidates: Iterable[Profile], sheets: list[Sheet]) -> Fit:
    """The fit of the profile that knows the export best; of equals the first."""
    fits = [fit(profile, sheets) for profile in candidates]
    return max(fits, key=lambda found: found.quality)


def fit(profile: Profile, sheets: list[Sheet]) -> Fit:
    """The sheets by one profile."""
    found = Fit(profile)
    for sheet in sheets:
        name = profile.sheet(sheet.stem) if sheet.stem else None
        if name is None:
            found.rest.append(sheet)
        elif name in found.sheets:
            found.twice.append(name)
        else:
            found.sheets[name] = sheet
    for sheet in list(found.rest):
        name = _by_headers(profile, found.sheets, sheet.headers)
        if name is None and not sheet.stem and found.sheets:
            name = _around(profile, found.sheets, sheet.headers)
        if name is not None:
            found.sheets[name] = sheet
            found.rest.remove(sheet)
    found.missing = profile.missing(found.sheets)
    for name, sheet in found.sheets.items():
        found.lacking += len(profile.sheets[name].missing(sheet.headers))
        found.known += profile.sheets[name].known(sheet.headers)
        found.unknown += len(profile.sheets[name].unknown(sheet.headers))
    return found


def _by_headers(profile: Profile, taken: dict[str, Sheet], headers: list[str]) -> str | None:
    """The sheet of a profile that knows most of these headers; None where none does, or
    two others than that of the encounters."""
    fitting = {
        name: sheet.known(headers)
        for name, sheet in profile.sheets.items()
        if name not in taken and _could_be(sheet, headers) and not sheet.missing(headers)
    } or {
        # of a sheet that must be there it is better to say which column it lacks than that there is none
        name: sheet.known(headers)
        for name, sheet in profile.sheets.items()
        if name not in taken and sheet.required and _could_be(sheet, headers)
    }
    best = max(fitting.values(), default=0)
    names = [name for name, known in fitting.items() if known == best]
    if profile.claim_sheet in names:  # an export without encounters is none
        return profile.claim_sheet
    return names[0] if len(names) == 1 else None


def _around(profile: Profile, taken: dict[str, Sheet], headers: list[str]) -> str | None:
    """The sheet of encounters, for one without a name whose rows hold those of other sheets."""
    main = profile.claim_sheet
    return main if main not in taken and not profile.sheets[main].missing(headers) else None


def _could_be(sheet: SheetProfile, headers: list[str]) -> bool:
    there = set(map(fold, headers))
    known = sheet.known(headers)
    return (
        known >= _FEWEST_HEADERS
        and 2 * known >= sum(1 for name in headers if name.strip())
        and all(part.where is None or fold(part.where[0]) in there for part in sheet.parts)
    )


def names_known(every: Iterable[Profile]) -> Callable[[str], bool]:
    """Whether a name is that of a sheet of any of these profiles."""
    sheets = [item for profile in every for item in profile.sheets.items()]
    known = {fold(name) for label, sheet in sheets for name in (label, *sheet.names)}
    return lambda stem: fold(stem) in known


def key_of(every: Iterable[Profile]) -> Callable[[Iterable[str]], str | None]:
    """From the names of a row to the one that is MA_LK by any of these profiles, or None."""
    known = {
        fold(name)
        for profile in every
        for sheet in profile.sheets.values()
        for part in sheet.parts
        for name in part.headers_of(KEY)
    }
    return lambda names: next((name for name in names if fold(name) in known), None)
