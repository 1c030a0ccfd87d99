"""The suites as files, what they cover, and the conditions they ask."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from claim_rules import catalogue, dictionary
from claim_rules.dictionary import DECISIONS
from claim_rules.expectations import Layout, demands, expectations, relations, suites, undecided
from claim_rules.expectations.conditions import parse

FOLDER = Path(suites.__file__).parent


def test_the_files_are_current() -> None:
    written = {str(path.relative_to(FOLDER)): path.read_text("utf-8") for path in FOLDER.rglob("*.yaml")}
    made = dict(suites.texts())
    assert set(written) == set(made)
    old = [name for name in made if written[name] != made[name]]
    assert not old, f"run `make suites`: {old}"


def test_every_table_of_every_decision_has_a_suite_with_all_its_fields() -> None:
    for decision in DECISIONS:
        for table, layout in dictionary.tables(decision).items():
            suite = yaml.safe_load((FOLDER / decision / f"{table}.yaml").read_text("utf-8"))
            assert (suite["table"], suite["decision"]) == (table, decision)
            assert list(dict.fromkeys(one["field"] for one in suite["fields"])) == list(layout.names)
            for one in (*suite["fields"], *suite["relations"], *suite["not_decided"]):
                assert one["vi"], one
                assert one["en"], one
    assert sum(len(dictionary.tables(decision)) for decision in DECISIONS) == len(list(suites.names())) == 50


def test_what_changes_with_the_day_stands_with_its_days() -> None:
    suite = yaml.safe_load((FOLDER / "3176" / "XML2.yaml").read_text("utf-8"))
    rates = [one for one in suite["fields"] if one["field"] == "MUC_HUONG"]
    assert [(one.get("from"), one.get("until"), one["max_length"]) for one in rates] == [
        (None, "20260630", 3),
        ("20260701", None, 4),
    ]


def test_every_conditional_field_is_asked_or_said_to_be_undecided() -> None:
    asked = [(one.table, one.field, decision) for one in demands() for decision in one.decisions]
    open_ = [(one.table, one.field, decision) for one in undecided() for decision in one.decisions]
    conditional = {
        (table, field.name, decision)
        for decision in DECISIONS
        for table, layout in dictionary.tables(decision).items()
        for field in layout.fields
        if field.required == "conditional"
    }
    assert conditional - set(asked) - set(open_) == set()
    assert len({*asked, *open_}) == len(asked) + len(open_)
    assert all(one.reason_vi and one.reason_en for one in undecided())
    # beyond the conditional ones: fields that a rule demands of some rows only
    beyond = {(table, field) for table, field, _ in set(asked) - conditional}
    assert beyond == {
        ("XML1", "NGAY_VAO_NOI_TRU"),
        ("XML1", "LY_DO_VNT"),
        ("XML1", "PP_DIEU_TRI"),
        ("XML3", "MA_BAC_SI"),
        ("XML3", "NGAY_YL"),
    }


def test_conditions_and_relations_speak_of_fields_that_exist_and_rules_as_the_book_has_them() -> None:
    for demand in demands():
        assert demand.source, demand
        for decision in demand.decisions:
            layout = dictionary.table(demand.table, decision)
            assert layout.has(demand.field), demand
            assert all(layout.has(name) for name in demand.when.fields()), demand
        known = catalogue.book().get(demand.rule)
        assert known is None or known.severity == demand.severity, demand
    for decision in DECISIONS:
        tables = dictionary.tables(decision)
        for table, layout in tables.items():
            for relation in relations(table, decision):
                assert layout.has(relation.field), relation
                assert relation.source, relation
                for place in relation.other.split():
                    other, _, field = place.rpartition(".")
                    if relation.kind in ("present", "filled-with"):
                        assert place in tables, relation
                    else:
                        assert tables[other or table].has(field), relation


def test_no_expectation_speaks_for_two() -> None:
    for decision in DECISIONS:
        for table in dictionary.tables(decision):
            names = [one.field for one in expectations(table, Layout(decision, -1))]
            names += [one.name for one in relations(table, decision)]
            assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("text", "texts", "holds"),
    [
        ("A in 1 2", ["1", " 2 ", "3", "", None, "12"], [1, 1, 0, 0, 0, 0]),
        ("A not in 1 2", ["1", "3", "", None], [0, 1, 1, 1]),
        ("A like 40.17 05V.*", ["40.17", "40.177", "05V.12", "x05V.1", "4017", None], [1, 0, 1, 0, 0, 0]),
        ("A not like *.K.*", ["02.1.K.27001", "02.1", "", None], [0, 1, 1, 1]),
        ("A has 1", ["1", "3;1", "3 ; 1", "11", "1;", None], [1, 1, 1, 0, 1, 0]),
        ("A filled", ["x", " ", "", None], [1, 0, 0, 0]),
        ("A blank", ["x", " ", "", None], [0, 1, 1, 1]),
        ("A positive", ["1", "0.01", "0.00", "-1", "x", None], [1, 1, 0, 0, 0, 0]),
        ("A in 1 and A in 2", ["1", "2"], [0, 0]),
        ("A in 1 or A in 2", ["1", "2", "3"], [1, 1, 0]),
        ("", ["1", None], [1, 1]),
    ],
)
def test_conditions(text: str, texts: list[str | None], holds: list[int]) -> None:
    column = pa.array(texts, pa.large_string())
    condition = parse(text)
    assert condition.holds(lambda _: column, len(texts)).astype(int).tolist() == holds
    assert parse(condition.text) == condition


@pytest.mark.parametrize("text", ["A", "A is 1", "A in", "A filled 1", "a in 1", "A in 1 and"])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a condition|wrong number"):
        parse(text)


def test_conditions_in_words() -> None:
    condition = parse("MA_LOAI_KCB in 03 04 09 and MA_LOAI_RV not in 3 or T_BHTT positive")
    assert condition.words() == (
        "MA_LOAI_KCB là 03, 04 hoặc 09 và MA_LOAI_RV không phải 3, hoặc T_BHTT lớn hơn 0",
        "MA_LOAI_KCB is 03, 04 or 09 and MA_LOAI_RV is not 3, or T_BHTT is above 0",
    )


def test_the_command_counts_each_suite_and_says_three_expectations_in_both_languages() -> None:
    counted = {row["table"]: row["total"] for row in suites.counts() if row["decision"] == "3176"}
    for path in (FOLDER / "3176").glob("*.yaml"):
        suite = yaml.safe_load(path.read_text("utf-8"))
        fields = {one["field"] for one in suite["fields"]}  # one that changed on some day stands once for each time
        assert counted.pop(suite["table"]) == len(fields) + len(suite["relations"]), path.name
    assert not counted
    told = suites.counts_text()
    for text in (
        *("XML2.SO_LUONG: bắt buộc, số, tối đa 3 số lẻ", "required, number, at most 3 decimals"),
        *("XML4.MA_DICH_VU: có trong XML3.MA_DICH_VU của hồ sơ", "stands in XML3.MA_DICH_VU of the claim"),
        *("XML1.MA_LOAI_RV: hồ sơ phải có bảng XML13", "the claim must have table XML13"),
    ):
        assert text in told
