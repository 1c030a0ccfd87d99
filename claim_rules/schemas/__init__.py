"""XML Schemas of the envelope and of every claim table of every decision, generated from the dictionary.

`xsd/GIAMDINHHS.xsd` and `xsd/<decision>/<table>.xsd`, written by `python -m claim_rules.schemas`. They say of each
field what the dictionary check says (claim_rules.expectations), where that does not depend on the day of the visit.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from lxml import etree

from claim_rules import dictionary
from claim_rules.dictionary import Field, Table
from claim_rules.expectations import Expectation, expectation

ENVELOPE = "GIAMDINHHS"
"""Name of the envelope's schema, and its root element."""

SEALED = ("XML0", "XML12")
"""Tables that are documents of their own and end in CHUKYDONVI. Source: letter 3190/BHXH-CNTT."""

_XS = "http://www.w3.org/2001/XMLSchema"
_GENERATED = " Generated from the dictionary by `make schemas`; do not edit. "

_DAYS = (
    "(0[13578]|1[02])(0[1-9]|[12][0-9]|3[01])",
    "(0[469]|11)(0[1-9]|[12][0-9]|30)",
    "02(0[1-9]|1[0-9]|2[0-8])",
)
_COMMON_DAY = f"[0-9]{{4}}({'|'.join(_DAYS)})"
_LEAP_DAY = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)0229"
_TIME = "([01][0-9]|2[0-3])[0-5][0-9]"

_DATES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "date8": ((_COMMON_DAY, _LEAP_DAY), "Ngày yyyymmdd", "Day, yyyymmdd"),
    "datetime12": ((f"({_COMMON_DAY}|{_LEAP_DAY}){_TIME}",), "Ngày giờ yyyymmddHHMM", "Day and time, yyyymmddHHMM"),
    "date8|datetime12": (
        (f"({_COMMON_DAY}|{_LEAP_DAY})({_TIME})?",),
        "Ngày yyyymmdd hoặc ngày giờ yyyymmddHHMM",
        "Day, yyyymmdd, or day and time, yyyymmddHHMM",
    ),
    "birth": (
        (f"({_COMMON_DAY}|{_LEAP_DAY}|[0-9]{{4}}0000){_TIME}",),
        "Ngày giờ sinh yyyymmddHHMM; không rõ ngày tháng, không rõ giờ: 0000",
        "Day and time of birth, yyyymmddHHMM; 0000 for an unknown day and month, and for an unknown time",
    ),
    "birth8": (
        (_COMMON_DAY, _LEAP_DAY, "[0-9]{4}0000", "[0-9]{4}"),
        "Ngày sinh yyyymmdd; không rõ ngày tháng: 0000 hoặc chỉ ghi năm",
        "Day of birth, yyyymmdd; unknown day and month: 0000, or the year alone",
    ),
}
"""Patterns of each form of date, and what they say in Vietnamese and English."""


def names() -> Iterator[str]:
    """The name of every schema: "GIAMDINHHS", "3176/XML1", ..."""
    yield ENVELOPE
    for decision in dictionary.DECISIONS:
        for table in dictionary.tables(decision):
            yield f"{decision}/{table}"


@cache
def text(name: str) -> bytes:
    """The kept schema of that name; KeyError if there is none."""
    if name not in set(names()):
        raise KeyError(f"no schema {name}")
    return files(__package__).joinpath("xsd", f"{name}.xsd").read_bytes()


def generate(name: str) -> bytes:
    """The schema of that name as the dictionary has it now; the same dictionary gives the same bytes."""
    root = etree.Element(_xs("schema"), nsmap={"xs": _XS})
    root.set("elementFormDefault", "qualified")
    if name == ENVELOPE:
        _envelope(root)
    else:
        decision, _, table = name.partition("/")
        _table(root, dictionary.table(table, decision))
    etree.indent(root, "  ")
    body: bytes = etree.tostring(root, encoding="utf-8")
    return b'<?xml version="1.0" encoding="utf-8"?>\n<!--' + _GENERATED.encode() + b"-->\n" + body + b"\n"


def _xs(name: str) -> str:
    return f"{{{_XS}}}{name}"


def _add(parent: etree._Element, kind: str, /, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, _xs(kind), attributes)


def _say(parent: etree._Element, vi: str, en: str) -> None:
    annotation = _add(parent, "annotation")
    for language, words in (("vi", vi), ("en", en)):
        note = _add(annotation, "documentation")
        note.set("{http://www.w3.org/XML/1998/namespace}lang", language)
        note.text = words


def _element(parent: etree._Element, name: str, vi: str = "", en: str = "", **attributes: str) -> etree._Element:
    element = _add(parent, "element", name=name, **attributes)
    if vi:
        _say(element, vi, en)
    return element


def _sequence(element: etree._Element) -> etree._Element:
    return _add(_add(element, "complexType"), "sequence")


def _signature(parent: etree._Element, **occurs: str) -> None:
    """CHUKYDONVI: empty, or a signature of a namespace of its own, which other schemas judge."""
    vi, en = "Chữ ký số của đơn vị; để trống nếu chưa ký", "Signature of the facility; empty if unsigned"
    element = _element(parent, "CHUKYDONVI", vi, en, **occurs)
    _add(_sequence(element), "any", namespace="##other", processContents="lax", minOccurs="0", maxOccurs="unbounded")


def _envelope(root: etree._Element) -> None:
    _say(root, "Hồ sơ gửi giám định: phong bì GIAMDINHHS", "Claims sent for appraisal: the envelope GIAMDINHHS")
    parts = _sequence(_element(root, ENVELOPE))
    unit = _sequence(_element(parts, "THONGTINDONVI", "Đơn vị gửi", "Sender"))
    code = _element(unit, "MACSKCB", "Mã cơ sở khám chữa bệnh, 5 ký tự", "Facility code, 5 characters")
    _restriction(code, patterns=["[0-9A-Z]{5}"])
    claims = _sequence(_element(parts, "THONGTINHOSO", "Các hồ sơ", "Claims"))
    _element(claims, "NGAYLAP", "Ngày lập yyyymmdd", "Day of making, yyyymmdd", type="date8")
    count = _element(claims, "SOLUONGHOSO", "Số HOSO", "Number of HOSO")
    _restriction(count, patterns=["[0-9]+"])
    listed = _sequence(_element(claims, "DANHSACHHOSO"))
    claim = _sequence(_element(listed, "HOSO", "Một đợt điều trị", "One episode", minOccurs="0", maxOccurs="unbounded"))
    file = _sequence(_element(claim, "FILEHOSO", "Một bảng", "One table", maxOccurs="unbounded"))
    kind = _element(file, "LOAIHOSO", "Tên bảng", "Name of the table")
    restriction = _restriction(kind)
    for name in dictionary.CLAIM_TABLES:
        table = dictionary.table(name)
        _say(_add(restriction, "enumeration", value=name), table.label_vi, table.label_en)
    content = _element(file, "NOIDUNGFILE", "XML của bảng, mã hóa base64", "XML of the table in base64")
    # Not xs:base64Binary: judging its letters twice costs as much as a quarter of reading the whole file.
    _restriction(content, least=1)
    _signature(parts)
    _date_type(root, "date8", optional=False)


def _table(root: etree._Element, table: Table) -> None:
    _say(
        root,
        f"{table.name}, {table.label_vi}, Quyết định {table.decision}",
        f"{table.name}, {table.label_en}, Decision {table.decision}",
    )
    holder = _element(root, table.root, table.label_vi, table.label_en)
    row = holder
    if table.row_element is not None:
        parts = _sequence(holder)
        listed = _sequence(_element(parts, table.list_element)) if table.list_element else parts
        row = _element(listed, table.row_element, "Một dòng", "One row", minOccurs="0", maxOccurs="unbounded")
        if table.name in SEALED:
            _signature(parts, minOccurs="0")
    fields = _sequence(row)
    dates: dict[str, tuple[str, bool]] = {}
    for field in table.fields:
        expected = expectation(table.name, table.decision, field)
        optional = field.required != "yes"
        if expected.form in _DATES and not expected.is_list and expected.codes is None:
            name = _date_name(expected.form, optional=optional)
            dates[name] = (expected.form, optional)
            _element(fields, field.name, field.label_vi, field.label_en, type=name)
        else:
            element = _element(fields, field.name, field.label_vi, field.label_en)
            _field_type(element, field, expected, optional=optional)
    for _, (form, optional) in sorted(dates.items()):
        _date_type(root, form, optional=optional)


def _date_name(form: str, *, optional: bool) -> str:
    return form.replace("|", "-or-") + ("-or-empty" if optional else "")


def _date_type(root: etree._Element, form: str, *, optional: bool) -> None:
    patterns, vi, en = _DATES[form]
    kind = _add(root, "simpleType", name=_date_name(form, optional=optional))
    _say(kind, vi + ("; hoặc để trống" if optional else ""), en + ("; or empty" if optional else ""))
    restriction = _add(kind, "restriction", base="xs:string")
    for pattern in (*patterns, *([""] if optional else [])):
        _add(restriction, "pattern", value=pattern)


def _restriction(
    element: etree._Element,
    *,
    base: str = "string",
    patterns: list[str] | None = None,
    least: int | None = None,
    most: int | None = None,
) -> etree._Element:
    """Text of these patterns (any of them) and lengths in characters."""
    restriction = _add(_add(element, "simpleType"), "restriction", base=f"xs:{base}")
    if least is not None:
        _add(restriction, "minLength", value=str(least))
    if most is not None:
        _add(restriction, "maxLength", value=str(most))
    for pattern in patterns or ():
        _add(restriction, "pattern", value=pattern)
    return restriction


def _field_type(element: etree._Element, field: Field, expected: Expectation, *, optional: bool) -> None:
    most = field.max_length if expected.key else expected.max_length
    if expected.codes is not None and not expected.is_list:
        restriction = _restriction(element)
        if optional:
            _add(restriction, "enumeration", value="")
        for code in expected.codes:
            _code(_add(restriction, "enumeration", value=code), field, code)
        return
    item = _item_pattern(expected)
    if item is None and optional:
        _restriction(element, most=most)
    elif item is None:
        # White space alone is nothing: a token is looked at without it. A pattern would cost a fifth of all judging.
        _restriction(element, base="token", least=1, most=most)
    elif expected.is_list:
        _restriction(element, patterns=[_list_pattern(item), *([""] if optional else [])], most=most)
    else:
        _restriction(element, patterns=[item, *([""] if optional else [])], most=most)


def _code(element: etree._Element, field: Field, code: str) -> None:
    """What the code means, and the days on which it may stand."""
    listed = dictionary.code_list(field.code_list or "")
    known = next((c for c in listed.codes if c.code == code), None)
    if known is None:
        return  # another way to write a number of the list
    since = f"{known.valid_from:%Y%m%d}" if known.valid_from else ""
    until = f"{known.valid_to:%Y%m%d}" if known.valid_to else ""
    dates_vi = " ".join(words for words in (since and f"từ {since}", until and f"đến {until}") if words)
    dates_en = " ".join(words for words in (since and f"from {since}", until and f"to {until}") if words)
    note = _add(_add(element, "annotation"), "documentation")
    note.set("{http://www.w3.org/XML/1998/namespace}lang", "en")
    note.text = known.meaning_en + (f" ({dates_en})" if dates_en else "")
    if dates_vi:
        note = _add(element[0], "documentation")
        note.set("{http://www.w3.org/XML/1998/namespace}lang", "vi")
        note.text = f"Áp dụng {dates_vi}"


def _item_pattern(expected: Expectation) -> str | None:
    """Pattern of a value, or of each item of a list; None for free text."""
    if expected.codes is not None:
        return "|".join(code.replace(".", r"\.") for code in expected.codes)
    if expected.form in _DATES:
        return "|".join(_DATES[expected.form][0])
    if expected.form == "integer":
        return "-?[0-9]+"
    if expected.form == "number":
        digits = _decimals(expected.decimals)
        return f"-?[0-9]+{digits}" if expected.negative else rf"[0-9]+{digits}|-0+(\.0+)?"
    return None


def _decimals(most: int | None) -> str:
    """Decimals up to the last digit that is not nought, and any noughts after it."""
    if most is None:
        return r"(\.[0-9]+)?"
    inner = "0*"
    for _ in range(most):
        inner = f"[0-9]({inner})?" if inner != "0*" else "[0-9]0*"
    return rf"(\.{inner})?" if most else r"(\.0+)?"


def _list_pattern(item: str) -> str:
    """Items between semicolons, white space around them; an item may be blank, all of the text may not."""
    more = rf"(;\s*(({item})\s*)?)"
    return rf"\s*(({item})\s*{more}*|{more}+)"
