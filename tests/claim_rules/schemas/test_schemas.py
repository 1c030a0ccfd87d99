"""The kept XML Schemas: current, complete, and of one mind with the dictionary check."""

from __future__ import annotations

import dataclasses
import re
from functools import cache
from pathlib import Path
from unicodedata import normalize

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from claim_rules import dictionary, schemas
from claim_rules.dictionary import CLAIM_TABLES, DECISIONS
from claim_rules.expectations import PARENT_KEY, Expectation, Layout, check_table, expectations, layouts

XS = {"xs": "http://www.w3.org/2001/XMLSchema"}
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
KEPT = Path(schemas.__file__).parent / "xsd"


def test_the_kept_schemas_are_current() -> None:
    wanted = {f"{name}.xsd": schemas.generate(name) for name in schemas.names()}
    kept = {str(path.relative_to(KEPT)): path.read_bytes() for path in KEPT.rglob("*") if path.is_file()}
    assert kept == wanted, "run make schemas"


def test_there_is_one_for_every_table_of_every_decision() -> None:
    wanted = {f"{decision}/{table}" for decision in DECISIONS for table in dictionary.tables(decision)}
    assert set(schemas.names()) == wanted | {"GIAMDINHHS"}
    assert {"4210/XML5", "130/XML0", "3176/XML12", "4750/XML13", "3176/XML15"} <= wanted
    with pytest.raises(KeyError):
        schemas.text("130/XML15")


@pytest.mark.parametrize("name", list(schemas.names()))
def test_fields_stand_in_order_and_are_described(name: str) -> None:
    root = etree.fromstring(schemas.text(name))
    etree.XMLSchema(root)
    if name == schemas.ENVELOPE:
        return
    decision, table = name.split("/")
    layout = dictionary.table(table, decision)
    fields = root.xpath("//xs:element[not(descendant::xs:element) and not(@name='CHUKYDONVI')]", namespaces=XS)
    assert [field.get("name") for field in fields] == list(layout.names)
    for element, field in zip(fields, layout.fields, strict=True):
        notes = {
            note.get(XML_LANG): note.text for note in element.findall("xs:annotation/xs:documentation", namespaces=XS)
        }
        assert notes == {"vi": field.label_vi, "en": field.label_en}


def test_codes_carry_the_days_on_which_they_hold() -> None:
    root = etree.fromstring(schemas.text("3176/XML1"))
    (code,) = root.xpath("//xs:element[@name='MA_LOAI_KCB']//xs:enumeration[@value='11']", namespaces=XS)
    notes = {note.get(XML_LANG): note.text for note in code.iter(f"{{{XS['xs']}}}documentation")}
    assert notes["en"].endswith("(from 20260801)")
    assert notes["vi"] == "Áp dụng từ 20260801"
    # Lists of others (facilities, ICD-10) are not copied.
    assert not root.xpath("//xs:element[@name='MA_BENH_CHINH']//xs:enumeration", namespaces=XS)


# --- of one mind with the dictionary check ----------------------------------------------------------------------------

UNDATED = {decision: Layout(decision, -1) for decision in DECISIONS}
FIELDS = [
    (decision, expected)
    for decision in DECISIONS
    for table in CLAIM_TABLES
    for expected in expectations(table, UNDATED[decision])
]


@cache
def compiled(name: str) -> etree.XMLSchema:
    return etree.XMLSchema(etree.fromstring(schemas.text(name)))


def schema_refuses(decision: str, expected: Expectation, value: str) -> bool:
    """Whether the schema refuses that value in that field, all other fields being empty."""
    layout = dictionary.table(expected.table, decision)
    root = row = etree.Element(layout.root)
    if layout.list_element:
        row = etree.SubElement(row, layout.list_element)
    if layout.row_element:
        row = etree.SubElement(row, layout.row_element)
    for name in layout.names:
        etree.SubElement(row, name).text = value if name == expected.field else ""
    schema = compiled(f"{decision}/{expected.table}")
    schema.validate(root)
    return any(str(error.path).endswith(f"/{expected.field}") for error in schema.error_log)


def check_refuses(expected: Expectation, value: str) -> bool:
    text = pa.array([value], pa.large_string())
    # The key of XML1 is this one: a schema sees one table only.
    found = check_table({expected.field: text, PARENT_KEY: text}, [expected])
    return len(found[expected.field].rows) > 0


def deliberate(decision: str, expected: Expectation, value: str) -> str | None:
    """Why the schema and the check differ about that value, where they may."""
    blank = not value.strip()
    if blank and value and expected.blank_rule is None and (expected.codes or expected.form != "text"):
        return "white space alone counts as blank in the check; the schema wants an element without text"
    if blank and expected.blank_when is not None:
        return "what is required only in some case is required nowhere in the schema"
    if expected.range_rule and not blank:
        return "the schema knows the form of a rate, not its range"
    foreign_space = any(char.isspace() and char not in " \t\r\n" for char in value)
    if foreign_space and (blank or expected.is_list):
        return "white space beyond that of XML is white space in the check, and a character in the schema"
    if expected.max_length is not None and len(normalize("NFC", value)) <= expected.max_length < len(value):
        return "the check counts composed characters; a schema counts them as they were sent"
    token = re.sub("[ \t\r\n]+", " ", value).strip(" ")
    if expected.blank_rule and expected.form == "text" and len(token) <= (expected.max_length or 0) < len(value):
        return "where a text must stand, the schema counts white space once, and none at the ends; the check all of it"
    if expected.key and len(value) > (dictionary.table(expected.table, decision).field("MA_LK").max_length or 0):
        return "the check compares the key with that of XML1, whose length is judged there"
    if any(item.strip().startswith("0000") for item in value.split(";")) and (
        expected.form.startswith("date") or expected.form in ("birth", "birth8")
    ):
        return "the schema lets the year 0000 pass"
    return None


def examples(expected: Expectation) -> list[str]:
    """Values that are good in one field or another, and what is made of them by hand."""
    length = expected.max_length or 100
    good = [
        *(expected.codes or ())[:2],
        "20260715",
        "202607150830",
        "198500000000",
        "19850000",
        "1985",
        "20240229",
        "20000229",
        "12",
        "12.5",
        "12.50",
        "12.500",
        "12.505",
        "0.1234",
        "-0.00",
        "-3",
        "-3.25",
        "007",
        "A1",
        "Nguyễn Thị Lành",
    ]
    bad = ["", " ", "\t\n", "\u00a0", ";", " ; ", "1,5", "1.", ".5", "+1", "1e3", "1 000", "20230229", "19000229"]
    bad += ["20261301", "20260431", "202607152400", "202607150860", "20260715083", "00000101", "٣", "2026-07-15", "XX"]
    bad += ["x" * length, "x" * (length + 1), "1" * (length + 1), "e\u0302\u0309" * (length // 2 + 1), "Ậ" * length]
    lists = [f"{a};{b}" for a in good[:4] for b in (*good[:3], "", " x")]
    spaced = [f" {value}" for value in good[:6]] + [f"{value}\n" for value in good[:6]]
    return good + bad + lists + spaced


def agree(decision: str, expected: Expectation, value: str) -> None:
    verdicts = schema_refuses(decision, expected, value), check_refuses(expected, value)
    if verdicts[0] != verdicts[1]:
        why = deliberate(decision, expected, value)
        assert why, f"{decision} {expected.table}.{expected.field} {value!r}: schema, check refuse: {verdicts}"


def test_schema_and_check_agree_on_every_kind_of_field() -> None:
    seen = set()
    for decision, expected in FIELDS:
        kind = dataclasses.replace(
            expected, table="", field="", label_vi="", label_en="", text_vi="", text_en="", form_rule=None
        )
        if kind not in seen:
            seen.add(kind)
            for value in examples(expected):
                agree(decision, expected, value)
    assert len(seen) > 100


@st.composite
def corrupted(draw: st.DrawFn) -> tuple[str, Expectation, str]:
    """A field, and a value that is good or nearly so."""
    decision, expected = draw(st.sampled_from(FIELDS))
    value = draw(st.sampled_from(examples(expected)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(value)))
        extra = draw(st.sampled_from("0123456789.,;-+ \n\u00a0ạA") | st.characters(exclude_categories=("Cs", "Cc")))
        extra = extra if extra not in "\ufffe\uffff" else ""
        match draw(st.sampled_from(("insert", "delete", "replace", "double"))):
            case "insert":
                value = value[:at] + extra + value[at:]
            case "delete":
                value = value[:at] + value[at + 1 :]
            case "replace":
                value = value[:at] + extra + value[at + 1 :]
            case "double":
                value = f"{value};{value}"
    return decision, expected, value


@given(corrupted())
@settings(deadline=None, max_examples=1500)
def test_schema_and_check_agree_on_any_value(one: tuple[str, Expectation, str]) -> None:
    agree(*one)


def test_what_depends_on_the_day_is_left_to_the_check() -> None:
    """Of a dated list the schema has every code, of a dated size the newest: what some day allows is not refused."""
    stricter = 0
    for layout in layouts():
        for table in CLAIM_TABLES:
            for expected in expectations(table, layout):
                for code in expected.codes or ():
                    assert not schema_refuses(layout.decision, expected, code)
                if layout.period >= 0 and expected.field in ("MA_LOAI_KCB", "MUC_HUONG"):
                    value = "11" if expected.field == "MA_LOAI_KCB" else "47.5"
                    if layout.decision == "3176":
                        assert not schema_refuses(layout.decision, expected, value)
                        stricter += check_refuses(expected, value)
    assert stricter > 0


def test_every_element_must_stand_once_and_in_order() -> None:
    """The check takes an absent element as blank; the schema wants it, empty."""
    layout = dictionary.table("XML4")
    schema = compiled("3176/XML4")

    def shape_errors(names: list[str]) -> int:
        root = etree.Element(layout.root)
        row = etree.SubElement(etree.SubElement(root, str(layout.list_element)), str(layout.row_element))
        for name in names:
            etree.SubElement(row, name)
        schema.validate(root)
        return sum("not expected" in error.message or "Missing" in error.message for error in schema.error_log)

    names = list(layout.names)
    assert shape_errors(names) == 0
    assert shape_errors(names[:-1]) == 1
    assert shape_errors([names[1], names[0], *names[2:]]) == 1
    assert shape_errors([*names, "THEM"]) == 1
    assert shape_errors([names[0], *names]) == 1
