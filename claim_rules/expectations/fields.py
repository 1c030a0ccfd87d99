"""What to expect of each field of each claim table, derived from the dictionary and two small lists, as data."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

from claim_rules import dictionary
from claim_rules.dictionary import Field
from claim_rules.expectations.conditions import Condition, parse
from claim_rules.expectations.data import read

MISSING, CODE, SYNTAX, DECIMALS, NEGATIVE, LENGTH, RANGE, NEWBORN, KEY, VERSION = range(1, 11)
KINDS = ("", "missing", "code", "syntax", "decimals", "negative", "length", "range", "newborn", "key", "version")
"""Kinds of fault by number; 0 is no fault. A value has at most one: the first of this order that it shows, but what
has a code list is judged by the list alone."""

VERSION_FIELD = "NGAY_RA"
"""Field that a claim's layout is judged by (DICT-005)."""


@dataclass(frozen=True)
class Named:
    """A kind of fault of a field that a rule of the catalogue speaks of, where a condition holds (named.csv)."""

    kind: int
    when: Condition
    rule: str


@dataclass(frozen=True)
class Expectation:
    """What one field of one table must be.

    blank_rule: rule that a blank value breaks, None where it may be blank. blank_when: where it may not, None for
    everywhere. named: faults that a rule of its own speaks of. key: the value must be that of XML1.
    codes: allowed values (each item of a list), None without a list. form: "date8", "datetime12", "date8|datetime12",
    "birth" (datetime12 with 0000 for what is unknown), "birth8", "number", "integer", "text" or "version"; form_rule:
    finding for another form. decimals, negative: of numbers. is_list: values joined by ";". max_length: characters.
    highest: of a number from 0. range_rule: finding for a number that is not in this range or has too many characters.
    text_vi, text_en: the expectation in words.
    """

    table: str
    field: str
    label_vi: str
    label_en: str
    blank_rule: str | None
    blank_when: Condition | None
    named: tuple[Named, ...]
    key: bool
    codes: tuple[str, ...] | None
    form: str
    form_rule: str | None
    decimals: int | None
    negative: bool
    is_list: bool
    max_length: int | None
    highest: int | None
    range_rule: str | None
    text_vi: str
    text_en: str

    def rule(self, kind: int) -> str:
        """The id of the rule that a fault of this kind breaks, if none of `named` speaks of it."""
        if kind == VERSION:
            return "DICT-005"
        if kind == KEY:
            return "STR-005"
        if kind == MISSING:
            return self.blank_rule or "DICT-001"
        if kind == CODE:
            return "DICT-004"
        if kind in (LENGTH, RANGE):
            return self.range_rule or "DICT-002"
        return self.form_rule or "DICT-003"

    def expected(self, kind: int) -> str:
        """What should have stood there, in the same short words for both languages."""
        if kind == CODE and self.codes is not None:
            return ", ".join(self.codes)
        if kind == LENGTH:
            return f"≤ {self.max_length}"
        if kind == RANGE:
            return f"0–{self.highest}"
        if kind in (SYNTAX, DECIMALS, NEGATIVE):
            return _SHAPES.get(self.form) or ("≥ 0" if kind == NEGATIVE else _number_shape(self.decimals))
        if kind == NEWBORN:
            return _SHAPES["datetime12"]
        return ""

    def detail(self, kind: int) -> tuple[str, str]:
        """What a finding of this kind adds to the rule's message, in Vietnamese and English."""
        if kind == DECIMALS:
            return (
                f"Chỉ được tối đa {self.decimals} chữ số thập phân.",
                f"At most {self.decimals} digits after the point.",
            )
        if kind == MISSING and self.blank_when is not None and self.blank_when.alternatives:
            vi, en = self.blank_when.words()
            return f"Bắt buộc khi {vi}.", f"Required where {en}."
        if kind == LENGTH and self.range_rule:
            return f"Tối đa {self.max_length} ký tự.", f"At most {self.max_length} characters."
        if kind == SYNTAX and self.form in ("number", "integer"):
            return (
                "Chỉ dùng chữ số, dấu chấm thập phân; không dùng dấu phẩy hay dấu cách.",
                "Only digits and a decimal point; no comma and no space.",
            )
        return _DETAILS.get(kind, ("", ""))


_SHAPES = {
    "date8": "yyyymmdd",
    "datetime12": "yyyymmddHHMM",
    "date8|datetime12": "yyyymmdd, yyyymmddHHMM",
    "birth": "yyyymmddHHMM",
    "birth8": "yyyymmdd",
    "integer": "0",
}

_DETAILS = {
    SYNTAX: (
        "Không đúng dạng hoặc không phải ngày giờ có thật.",
        "Not of this form, or not a date and time that exist.",
    ),
    NEGATIVE: ("Không được âm.", "Must not be negative."),
    VERSION: (
        "Hồ sơ được lập theo Quyết định",
        "The claim is in the layout of Decision",
    ),
    NEWBORN: (
        "Trẻ đến 28 ngày tuổi phải ghi đủ ngày, giờ sinh.",
        "A child of up to 28 days needs the full date and time of birth.",
    ),
}


def _number_shape(decimals: int | None) -> str:
    return "0" if not decimals else "0." + "0" * decimals


@cache
def _numbers() -> tuple[dict[str, str], ...]:
    return tuple(read("numbers.csv"))


@cache
def _mandatory() -> dict[tuple[str, str], str]:
    return {(row["table"], row["field"]): row["rule"] for row in read("mandatory.csv")}


@dataclass(frozen=True)
class Demand:
    """A field that must be filled where a condition holds; a row of conditions.csv.

    rule, severity: what a blank one breaks.
    """

    table: str
    field: str
    decisions: tuple[str, ...]
    when: Condition
    rule: str
    severity: str
    source: str


@cache
def demands() -> tuple[Demand, ...]:
    """Every field that must be filled only in some case which the claim itself tells."""
    return tuple(
        Demand(
            row["table"],
            row["field"],
            tuple(row["decisions"].split()),
            parse(row["when"]),
            row["rule"],
            row["severity"],
            row["source"],
        )
        for row in read("conditions.csv")
    )


@cache
def _demanded() -> dict[tuple[str, str, str], Demand]:
    return {(demand.table, demand.field, decision): demand for demand in demands() for decision in demand.decisions}


@cache
def _named() -> dict[tuple[str, str, str], tuple[Named, ...]]:
    found: dict[tuple[str, str, str], tuple[Named, ...]] = {}
    for row in read("named.csv"):
        one = Named(KINDS.index(row["kind"]), parse(row["when"]), row["rule"])
        for decision in row["decisions"].split():
            place = (row["table"], row["field"], decision)
            found[place] = (*found.get(place, ()), one)
    return found


@dataclass(frozen=True)
class Undecided:
    """A field that must be filled in a case which the claim does not tell, and why; a row of undecided.csv."""

    table: str
    field: str
    decisions: tuple[str, ...]
    reason_vi: str
    reason_en: str


@cache
def undecided() -> tuple[Undecided, ...]:
    """Every conditional field of which a blank cannot be judged here."""
    return tuple(
        Undecided(row["table"], row["field"], tuple(row["decisions"].split()), row["reason_vi"], row["reason_en"])
        for row in read("undecided.csv")
    )


def _codes(field: Field, on: datetime.date | None) -> tuple[str, ...] | None:
    if field.code_list is None:
        return None
    codes = dictionary.code_list(field.code_list)
    valid = codes.valid(on)
    allowed = [c.code for c in codes.codes if c.code in valid]
    if field.type == "integer":
        # Decision 130 has some two-digit codes as numbers: 1 and 01 are the same number.
        allowed += [short for c in allowed if (short := c.lstrip("0")) and short not in valid]
    return tuple(dict.fromkeys(allowed))


def _form(decision: str, field: Field) -> dict[str, object]:
    """form, form_rule, negative, highest and range_rule of an expectation."""
    form, rule, negative, highest, range_rule = _form_of(decision, field)
    return {
        "form": form,
        "form_rule": rule,
        "negative": negative,
        "highest": highest if decision != "4210" else None,
        "range_rule": range_rule if decision != "4210" else None,
    }


def _form_of(decision: str, field: Field) -> tuple[str, str | None, bool, int | None, str | None]:
    content = field.item_type or field.type
    if content.startswith("date"):
        if field.name == "NGAY_SINH" and content == "datetime12":
            return "birth", "STR-012", False, None, None
        if field.name == "NGAY_SINH" and decision == "4210":
            return "birth8", "STR-012", False, None, None
        return content, "STR-012", False, None, None
    if content in ("decimal", "integer"):
        for row in _numbers():
            if fnmatchcase(field.name, row["field"]):
                highest = int(row["highest"]) if row["highest"] else None
                return "number", row["rule"], row["negative"] == "yes", highest, row["range_rule"] or None
        return ("integer" if content == "integer" else "number"), "DICT-003", True, None, None
    return "text", None, False, None, None


def _words(field: Field, expectation: dict[str, object]) -> tuple[str, str]:
    vi: list[str] = []
    en: list[str] = []

    def say(vietnamese: str, english: str) -> None:
        vi.append(vietnamese)
        en.append(english)

    codes = expectation["codes"]
    form = str(expectation["form"])
    when = expectation["blank_when"]
    if isinstance(when, Condition) and when.alternatives:
        case_vi, case_en = when.words()
        say(f"bắt buộc khi {case_vi}", f"required where {case_en}")
    elif expectation["blank_rule"]:
        say("bắt buộc", "required")
    if expectation["key"]:
        say("trùng với XML1", "same as in XML1")
    if isinstance(codes, tuple):
        say(f"một trong {', '.join(codes)}", f"one of {', '.join(codes)}")
    elif form == "number":
        sign_vi, sign_en = ("", "") if expectation["negative"] else (" không âm", " not negative")
        say(
            f"số{sign_vi}, tối đa {field.decimals} số lẻ",
            f"number{sign_en}, at most {field.decimals} decimals",
        )
        if expectation["highest"] is not None:
            say(f"từ 0 đến {expectation['highest']}", f"from 0 to {expectation['highest']}")
    elif form == "integer":
        say("số nguyên", "integer")
    elif form != "text":
        say(f"dạng {_SHAPES[form].replace(', ', ' hoặc ')}", f"form {_SHAPES[form].replace(', ', ' or ')}")
    if field.is_list:
        say("ngăn cách bằng ;", "separated by ;")
    if expectation["max_length"]:
        say(f"tối đa {expectation['max_length']} ký tự", f"at most {expectation['max_length']} characters")
    return ", ".join(vi) or "không ràng buộc", ", ".join(en) or "anything"


def expectation(table: str, decision: str, field: Field, on: datetime.date | None = None) -> Expectation:
    """What is expected of one field of a table on that day; without a day by every code list it ever had."""
    key = field.name == "MA_LK" and table not in ("XML0", "XML1")
    blank_rule, when = None, None
    demand = _demanded().get((table, field.name, decision))
    if demand is not None:
        blank_rule, when = demand.rule, demand.when
    elif field.required == "yes":
        own = _mandatory().get((table, field.name)) if decision != "4210" else None
        blank_rule = own or "DICT-001"
    codes = _codes(field, on)
    parts: dict[str, object] = {
        "blank_rule": "STR-005" if key else blank_rule,
        "blank_when": when,
        "named": _named().get((table, field.name, decision), ()),
        "key": key,
        "codes": codes,
        "max_length": None if key or codes is not None else field.max_length,
        **_form(decision, field),
    }
    text_vi, text_en = _words(field, parts)
    return Expectation(
        table=table,
        field=field.name,
        label_vi=field.label_vi,
        label_en=field.label_en,
        decimals=field.decimals,
        is_list=field.is_list,
        text_vi=text_vi,
        text_en=text_en,
        **parts,  # type: ignore[arg-type]
    )


VERSION_EXPECTATION = Expectation(
    table="XML1",
    field=VERSION_FIELD,
    label_vi=dictionary.label_vi(VERSION_FIELD, "XML1"),
    label_en=dictionary.label_en(VERSION_FIELD, "XML1"),
    blank_rule=None,
    blank_when=None,
    named=(),
    key=False,
    codes=None,
    form="version",
    form_rule="DICT-005",
    decimals=None,
    negative=False,
    is_list=False,
    max_length=None,
    highest=None,
    range_rule=None,
    text_vi="phải thuộc thời gian áp dụng cấu trúc của hồ sơ",
    text_en="must lie in the time of the claim's layout",
)
"""What is expected of a claim's layout: that it is the one for the day of NGAY_RA."""


@dataclass(frozen=True)
class Layout:
    """The layout that a claim is checked by: its decision, and the period its NGAY_RA lies in.

    period: number of `dictionary.change_dates()` that are not after the day; -1: the day is not known, nothing is
    restricted by date.
    """

    decision: str
    period: int

    @property
    def on(self) -> datetime.date | None:
        """A day of the period."""
        dates = dictionary.change_dates()
        if self.period < 0:
            return None
        return dates[self.period - 1] if self.period else dates[0] - datetime.timedelta(days=1)

    @property
    def name(self) -> str:
        """Short name, for suites and reports: decision and first day of the period."""
        if self.period < 0:
            return f"{self.decision}-undated"
        return f"{self.decision}-{self.on:%Y%m%d}" if self.period else f"{self.decision}-first"


def layouts() -> Iterator[Layout]:
    """Every layout there is."""
    for decision in dictionary.DECISIONS:
        for period in range(-1, len(dictionary.change_dates()) + 1):
            yield Layout(decision, period)


@cache
def expectations(table: str, layout: Layout) -> tuple[Expectation, ...]:
    """The expectations of a claim table, in order of its fields; empty if the decision does not have the table."""
    known = dictionary.tables(layout.decision)
    if table not in known:
        return ()
    fields = dictionary.table(table, layout.decision, layout.on).fields
    return tuple(expectation(table, layout.decision, field, layout.on) for field in fields)


def digest(content: tuple[object, ...]) -> str:
    """Name of exactly this content (12 hexadecimal digits)."""
    return hashlib.sha256(repr(content).encode()).hexdigest()[:12]
