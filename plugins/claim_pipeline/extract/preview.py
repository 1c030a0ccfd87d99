"""What a mapping profile makes of a file, as text for people: sheets, columns, first rows without personal data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract.emr import fitted, read
from claim_pipeline.extract.fitting import Fit, fit
from claim_pipeline.extract.profile import Profiles, SheetProfile
from claim_pipeline.extract.result import Extracted
from claim_pipeline.extract.sheet import Sheet
from claim_rules import catalogue, dictionary

_FIRST_ROWS = 3
_LONGEST = 40
_PERSONAL = {"MA_BN", "MA_HSBA", "NGAY_SINH", "HO_TEN_CON", "NGAY_SINHCON"}
"""Masked too, beside the fields that a report masks."""


def preview(path: Path, every: Profiles, name: str | None, max_unpacked: int) -> tuple[str, bool]:
    """What the profile of that name (None: the one that knows the headers best) makes of a file, and whether it can be
    read. Raises ProfileError for a name that is none, Quarantined for a file that is no export."""
    if name is not None:
        every = Profiles((every.named(name),))
    with fitted(path, every, None, max_unpacked) as (export, found):
        others = {} if name else {profile.name: fit(profile, export.sheets) for profile in every.every}
        lines = [*_which(found, others, chosen=name is not None), *_sheets(found, export.others)]
    try:
        result = _read(path, Profiles((found.profile,)), max_unpacked)
    except Quarantined as error:
        told = f"KHÔNG ĐỌC ĐƯỢC: {catalogue.sentences(error.message_vi, error.next_vi)}"
        return "\n".join([*lines, "", told, f"CANNOT BE READ: {error.message_en}"]), False
    return "\n".join([*lines, *_result(result)]), True


def _read(path: Path, every: Profiles, max_unpacked: int) -> Extracted:
    try:
        return read(path, profiles=every, max_unpacked=max_unpacked)
    except Quarantined as error:
        if error.code != "STR-001":  # without a column for it, the facility is the inbox's
            raise
        return read(path, inbox_facility="00000", profiles=every, max_unpacked=max_unpacked)


def _which(found: Fit, others: dict[str, Fit], *, chosen: bool) -> Iterator[str]:
    profile = found.profile
    why_vi, why_en = ("được chỉ định", "as asked") if chosen else ("hợp nhất với tiêu đề", "fits the headers best")
    yield f"Mẫu ánh xạ {profile.name} ({why_vi}): {profile.description_vi}"
    yield f"Mapping profile {profile.name} ({why_en}): {profile.description_en}"
    for name, other in others.items():
        missing = f"; thiếu bảng · sheets missing: {', '.join(other.missing)}" if other.missing else ""
        yield f"  {name}: {other.known} cột biết · known, {other.unknown} cột lạ · unknown{missing}"


def _sheets(found: Fit, others: list[str]) -> Iterator[str]:
    for name, sheet in found.sheets.items():
        known = found.profile.sheets[name]
        tables = ", ".join(dict.fromkeys(part.table for part in known.parts))
        yield ""
        yield f"Bảng · sheet {sheet.stem or '–'} → {name} ({tables}), bảng mã · encoding: {sheet.encoding}"
        yield from _columns(known, sheet)
    for name in found.missing:
        yield f"Thiếu bảng bắt buộc · required sheet missing: {name}"
    rest = [*(sheet.stem or "–" for sheet in found.rest), *others]
    if rest:
        yield f"Không dùng đến · not used: {', '.join(rest)}"


def _columns(known: SheetProfile, sheet: Sheet) -> Iterator[str]:
    headers = sheet.headers
    for part in known.parts:
        places = part.map(headers).places
        pairs = [
            f"{element} ← {' + '.join(headers[place].strip() for place in at)}"
            if [headers[place].strip() for place in at] != [element]
            else element
            for element, at in places.items()
        ]
        where = f" ({part.where[0]})" if part.where else ""
        yield f"  {part.table}{where}: {'; '.join(pairs) or '–'}"
        if part.codes:
            codes = ", ".join(f"{element} ({file}.csv, {column})" for element, (file, column) in part.codes.items())
            yield f"    mã nội bộ, đổi theo danh mục · own codes, told by reference data: {codes}"
    unknown = known.unknown(headers)
    if unknown:
        yield f"  Cột lạ · unknown columns: {', '.join(unknown)}"
    for element, near in known.missing(headers).items():
        hint = f"; gần giống · nearest: “{near}”" if near else ""
        yield f"  Thiếu cột bắt buộc · mandatory column missing: {element}{hint}"


def _result(result: Extracted) -> Iterator[str]:
    claims = result.tables.claims
    yield ""
    yield f"Đọc được {len(claims)} hồ sơ · claims read: {len(claims)}"
    for name, rows in result.tables.items():
        yield ""
        yield f"{name}: {len(rows)} dòng · rows"
        required = [f.name for f in dictionary.table(name).fields if f.required == "yes" and not _is_computed(f.name)]
        blank = [element for element in required if rows[element].fillna("").str.strip().eq("").all()]
        if blank:
            yield f"  Trường bắt buộc để trống cả cột · mandatory fields blank in all rows: {', '.join(blank)}"
        for row in rows.head(_FIRST_ROWS).drop(columns=["claim", "row"]).fillna("").to_dict("records"):
            cells = [f"{element}={_shown(value, str(element))}" for element, value in row.items() if value != ""]
            yield f"  {' | '.join(cells)}"
    told = catalogue.complete(result.findings, result.tables)
    if len(told):
        yield ""
        yield f"Cảnh báo và lỗi · findings: {len(told)}"
    for vi, en in told[["message_vi", "message_en"]].drop_duplicates().head(20).itertuples(index=False, name=None):
        yield f"  {vi}"
        yield f"  {en}"
    reading = result.reading or {}
    for field, count in reading["codes_repaired"].items():
        yield f"  {field}: {count} mã khôi phục từ số · codes put right that came as numbers"
    waiting = result.open_codes
    if waiting is not None and len(waiting):
        for (table, field), rows in waiting.groupby(["table", "field"]):
            yield f"  {table}.{field}: {len(rows)} mã chờ tra danh mục · codes wait for reference data"


def _is_computed(element: str) -> bool:
    return element in ("STT", "MUC_HUONG") or element.startswith(("THANH_TIEN_", "T_"))


def _shown(value: str, element: str) -> str:
    if element in _PERSONAL:
        return "*" * min(len(value), 8)
    text = catalogue.mask(value, element).replace("\n", " ")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def listed(every: Profiles) -> Iterator[str]:
    """All profiles with what they are for and the facilities that are set to them."""
    for profile in every.every:
        users = ", ".join(sorted(code for code, name in every.of_facility.items() if name == profile.name))
        yield f"{profile.name}: {profile.description_vi}" + (f" [{users}]" if users else "")
        yield f"  {profile.description_en}"
