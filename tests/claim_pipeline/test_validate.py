"""The step `validate` says through Great Expectations exactly what the dictionary finds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from claim_pipeline import validate
from claim_pipeline.errors import OperatorError
from claim_pipeline.workspace import Delivery, Workspace
from claim_rules import dictionary, expectations
from claim_rules.findings import FINDING_COLUMNS
from claim_rules.frames import ClaimTables, empty_claims

ROWS = {"XML1": 1, "XML2": 2, "XML3": 1, "XML4": 2, "XML5": 1, "XML7": 1}


def value_of(field: dictionary.Field, claim: int, row: int) -> str:
    """A value that the dictionary allows."""
    content = field.item_type or field.type
    if field.name in ("NGAY_TAI_KHAM", "CAN_NANG_CON"):
        return ""  # they ask for XML14 and XML9
    if field.code_list:
        return min(dictionary.code_list(field.code_list).valid())
    if field.name == "MA_LK":
        return f"LK{claim}"
    if content.startswith("date8"):
        return "20250710"
    if content == "datetime12":
        return "198001010000" if field.name == "NGAY_SINH" else "202507100800"
    if content in ("integer", "decimal"):
        return str(row)
    return "A"


def claims_of(count: int, decisions: tuple[str, ...] = ("3176",)) -> ClaimTables:
    tables = {
        name: pd.DataFrame(
            [
                {"claim": claim, "row": row} | {f.name: value_of(f, claim, row) for f in dictionary.table(name).fields}
                for claim in range(count)
                for row in range(1, rows + 1)
            ]
        )
        for name, rows in ROWS.items()
    }
    claims = pd.DataFrame(
        {
            "claim": range(count),
            "MA_LK": [f"LK{claim}" for claim in range(count)],
            "MA_CSKCB": "27001",
            "decision": [decisions[claim % len(decisions)] for claim in range(count)],
            "readable": True,
        }
    )
    return ClaimTables(claims, tables)


def corrupt(tables: ClaimTables) -> None:
    """One fault of every kind, in claims 3 to 7."""
    for table, claim, row, field, value in (
        ("XML1", 3, 1, "HO_TEN", ""),
        ("XML1", 3, 1, "NGAY_RA", "202413010800"),
        ("XML1", 4, 1, "NGAY_SINH", "202507010000"),
        ("XML1", 4, 1, "KET_QUA_DTRI", "9"),
        ("XML2", 4, 2, "MA_LK", "LK3"),
        ("XML2", 5, 1, "SO_LUONG", "1,5"),
        ("XML2", 5, 2, "DON_GIA", "1.0001"),
        ("XML3", 5, 1, "T_BHTT", "-1"),
        ("XML4", 6, 2, "TEN_CHI_SO", "x" * 256),
        ("XML7", 6, 1, "SO_NGAY_NGHI", "two"),
        ("XML5", 7, 1, "DIEN_BIEN_LS", None),
    ):
        frame = tables[table]
        frame.loc[(frame["claim"] == claim) & (frame["row"] == row), field] = value


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    ws = Workspace(tmp_path / "delivery")
    ws.delivery = Delivery(file="a.xml", sha256="0" * 64, MA_CSKCB="27001", format="xml-3176", status="transformed")
    return ws


def test_good_claims_give_no_findings(workspace: Workspace) -> None:
    workspace.write_tables(claims_of(3))
    validate.run(workspace)
    assert list(workspace.read_frame("findings-validate").columns) == list(FINDING_COLUMNS)
    assert workspace.read_frame("findings-validate").empty
    report = workspace.read_json("validation.json")
    assert report["success"] is True
    assert report["delivery"] == {"sha256": "0" * 64, "MA_CSKCB": "27001", "format": "xml-3176"}
    assert report["claims"] == {"read": 3, "checked": 3, "months": {"202507": 3}}
    assert report["findings"] == {}
    suite = suite_of(report, "XML2")
    assert (suite["rows"], suite["decision"], suite["success"]) == (6, "3176", True)
    assert suite["version"] == expectations.suite_version("XML2", "3176")
    drug = expectation_of(report, "XML2", "MA_THUOC")
    assert (drug["evaluated"], drug["unexpected"], drug["by_kind"], drug["sample"]) == (6, 0, {}, [])
    assert workspace.delivery.status == "validated"


def suite_of(report: dict[str, Any], table: str, decision: str = "3176") -> dict[str, Any]:
    wanted = None if table == expectations.CLAIMS else decision
    (suite,) = [one for one in report["suites"] if (one["table"], one["decision"]) == (table, wanted)]
    return suite


def expectation_of(report: dict[str, Any], table: str, name: str) -> dict[str, Any]:
    (one,) = [one for one in suite_of(report, table)["expectations"] if one["name"] == name]
    return one


def test_findings_are_those_of_the_dictionary_in_whatever_portions(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = claims_of(12, ("3176", "4750"))
    corrupt(tables)
    workspace.write_tables(tables)
    expected = expectations.check(tables)
    assert set(expected["rule"]) == {
        "STR-005", "STR-006", "STR-012", "STR-013", "DICT-001", "DICT-002", "DICT-003", "DICT-004", "DICT-005",
    }  # fmt: skip
    reports = []
    for portion in (5000, 5):
        monkeypatch.setattr(validate, "CLAIMS_AT_ONCE", portion)
        validate.run(workspace)
        pd.testing.assert_frame_equal(workspace.read_frame("findings-validate"), expected)
        reports.append(workspace.read_json("validation.json"))
    for report in reports:
        del report["seconds"]
        for suite in report["suites"]:
            del suite["seconds"]
    assert reports[0] == reports[1]


def test_verdict_of_great_expectations_equals_the_findings(workspace: Workspace) -> None:
    tables = claims_of(12)
    corrupt(tables)
    workspace.write_tables(tables)
    validate.run(workspace)
    found, report = workspace.read_frame("findings-validate"), workspace.read_json("validation.json")
    counted = {
        (suite["table"], one["name"]): one
        for suite in report["suites"]
        for one in suite["expectations"]
        if one["type"].startswith(("expect_field", "expect_layout"))
    }
    counts = found.groupby([found["table"].mask(found["rule"] == "DICT-005", expectations.CLAIMS), "field"]).size()
    assert {key: one["unexpected"] for key, one in counted.items() if one["unexpected"]} == counts.to_dict()
    assert all(sum(one["by_kind"].values()) == one["unexpected"] for one in counted.values())
    assert counted["XML2", "SO_LUONG"]["by_kind"] == {"syntax": 1}
    assert counted["XML2", "SO_LUONG"]["sample"] == [{"claim": 5, "row": 1, "MA_LK": "LK5", "STT": "1"}]
    assert counted["XML1", "NGAY_SINH"]["by_kind"] == {"newborn": 1}
    assert sum(report["findings"].values()) == len(found)
    assert report["success"] is False
    for suite, result in zip(report["suites"], validate.results(report), strict=True):
        assert result.success == suite["success"]
        assert result.statistics["evaluated_expectations"] == len(suite["expectations"])
        shown = result.to_json_dict()  # what Data Docs are made from
        assert shown["meta"]["giamdinh"]["sha256"] == "0" * 64
        by_name = {one["expectation_config"]["kwargs"]["name"]: one for one in shown["results"]}
        for one in suite["expectations"]:
            told = by_name[one["name"]]
            assert told["result"]["unexpected_count"] == one["unexpected"]
            if one["unexpected"]:
                assert told["result"]["unexpected_index_column_names"] == ["MA_LK", "STT"]
                assert len(told["result"]["unexpected_index_list"]) == len(one["sample"])


def test_every_claim_table_has_a_suite_and_each_field_an_expectation(workspace: Workspace) -> None:
    workspace.write_tables(claims_of(1))
    validate.run(workspace)
    report = workspace.read_json("validation.json")
    for name in ROWS:
        fields = {
            one["name"]
            for one in suite_of(report, name)["expectations"]
            if one["type"] == "expect_field_to_follow_dictionary"
        }
        assert fields == set(dictionary.table(name).names)
    assert [suite["table"] for suite in report["suites"]] == [expectations.CLAIMS, *ROWS]


def test_a_second_run_gives_the_same(workspace: Workspace) -> None:
    tables = claims_of(8)
    corrupt(tables)
    workspace.write_tables(tables)
    validate.run(workspace)
    first = workspace.read_frame("findings-validate")
    validate.run(workspace)
    pd.testing.assert_frame_equal(workspace.read_frame("findings-validate"), first)


def test_nothing_to_check(workspace: Workspace) -> None:
    workspace.write_tables(ClaimTables(empty_claims()))
    validate.run(workspace)
    assert workspace.read_frame("findings-validate").empty
    assert workspace.read_json("validation.json")["claims"] == {"read": 0, "checked": 0, "months": {}}


def test_unreadable_claims_are_not_checked(workspace: Workspace) -> None:
    tables = claims_of(8)
    corrupt(tables)
    tables.claims["readable"] = tables.claims["claim"] == 3
    workspace.write_tables(tables)
    validate.run(workspace)
    assert set(workspace.read_frame("findings-validate")["claim"]) == {3}
    assert workspace.read_json("validation.json")["claims"]["checked"] == 1


def test_report_holds_no_value_of_a_claim(workspace: Workspace) -> None:
    tables = claims_of(2)
    secret = "Nguyễn Văn Bí Mật " * 20
    tables["XML1"].loc[0, "HO_TEN"] = secret
    workspace.write_tables(tables)
    validate.run(workspace)
    assert list(workspace.read_frame("findings-validate")["rule"]) == ["DICT-002"]
    assert "Nguyễn" not in json.dumps(workspace.read_json("validation.json"), ensure_ascii=False)


def test_a_check_that_cannot_run_refuses_no_claim(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from claim_rules.expectations import tally

    def broken(*_: object) -> None:
        raise RuntimeError("Nguyễn Văn A")

    workspace.write_tables(claims_of(2))
    monkeypatch.setattr(tally, "check_table", broken)
    with pytest.raises(OperatorError) as raised:
        validate.run(workspace)
    assert raised.value.code == "validation-failed"
    assert "Nguyễn" not in f"{raised.value} {raised.value.message_vi} {raised.value.message_en}"
    assert raised.value.__cause__ is None
    assert not workspace.has_frame("findings-validate")
    assert workspace.delivery.status == "transformed"


def test_tables_that_are_missing_are_ours_to_mend(workspace: Workspace) -> None:
    workspace.write_tables(claims_of(2))
    (workspace.folder / "claims.parquet").unlink()
    with pytest.raises(OperatorError, match="FileNotFoundError"):
        validate.run(workspace)


def test_great_expectations_that_fails_refuses_no_claim(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from claim_pipeline import gx_expectations

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("Nguyễn Văn A")

    workspace.write_tables(claims_of(2))
    monkeypatch.setattr(gx_expectations.ExpectFieldToFollowDictionary, "_validate", broken)
    with pytest.raises(OperatorError) as raised:
        validate.run(workspace)
    assert "Nguyễn" not in f"{raised.value} {raised.value.message_vi} {raised.value.message_en}"
    assert not workspace.has_frame("findings-validate")
    assert workspace.delivery.status == "transformed"


def relations_broken(tables: ClaimTables) -> None:
    """One fault of every kind of relation, in claims 1 to 10; no field is wrong by itself."""
    for table, claim, row, field, value in (
        ("XML3", 1, 1, "NGAY_KQ", "202507100759"),
        ("XML2", 2, 1, "NGAY_YL", "202507090800"),
        ("XML1", 3, 1, "GT_THE_TU", "20250101;20250701"),
        ("XML2", 4, 2, "STT", "1"),
        ("XML4", 5, 2, "MA_DICH_VU", "B"),
        ("XML1", 6, 1, "T_BHTT", "9.00"),
        ("XML1", 7, 1, "MA_LOAI_RV", "2"),
        ("XML3", 8, 1, "MA_DICH_VU", "B"),
        ("XML5", 9, 1, "THOI_DIEM_DBLS", "202507100801"),
        ("XML1", 10, 1, "NGAY_TAI_KHAM", "20250801"),
    ):
        frame = tables[table]
        frame.loc[(frame["claim"] == claim) & (frame["row"] == row), field] = value


def test_relations_inside_a_claim(workspace: Workspace) -> None:
    """Each is counted where it is, for auditors; the findings of these are the rules' own."""
    tables = claims_of(12)
    relations_broken(tables)
    workspace.write_tables(tables)
    validate.run(workspace)
    report = workspace.read_json("validation.json")
    seen = {
        (one["name"], row["claim"], row["row"])
        for suite in report["suites"]
        for one in suite["expectations"]
        for row in one["sample"]
    }
    assert seen == {
        ("NGAY_KQ not-before NGAY_TH_YL", 1, 1),
        ("NGAY_KQ not-before NGAY_YL", 1, 1),
        ("NGAY_YL not-before-day XML1.NGAY_VAO", 2, 1),
        ("GT_THE_TU parallel MA_THE_BHYT", 3, 1),
        ("STT unique", 4, 2),
        ("MA_DICH_VU has-parent XML3.MA_DICH_VU", 5, 2),
        ("T_BHTT sum XML2.T_BHTT XML3.T_BHTT", 6, 1),
        ("MA_LOAI_RV present XML13", 7, 1),
        ("MA_DICH_VU has-child XML4.MA_DICH_VU", 8, 1),
        ("MA_DICH_VU has-parent XML3.MA_DICH_VU", 8, 1),
        ("MA_DICH_VU has-parent XML3.MA_DICH_VU", 8, 2),
        ("THOI_DIEM_DBLS not-after XML1.NGAY_RA", 9, 1),
        ("NGAY_TAI_KHAM present XML14", 10, 1),
    }
    assert workspace.read_frame("findings-validate").empty


def test_a_claim_twice_is_seen_across_portions(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = claims_of(6)
    for name in tables.tables:
        frame = tables[name]
        frame["MA_LK"] = frame["MA_LK"].mask(frame["claim"] == 5, "LK0")
    workspace.write_tables(tables)
    monkeypatch.setattr(validate, "CLAIMS_AT_ONCE", 2)
    validate.run(workspace)
    twice = expectation_of(workspace.read_json("validation.json"), expectations.CLAIMS, "MA_LK unique")
    assert twice["sample"] == [{"claim": 5, "row": 1, "MA_LK": "LK0", "STT": None}]
    assert twice["rule"] == "DUP-001"


def test_texts_for_people_in_both_languages(workspace: Workspace) -> None:
    tables = claims_of(12)
    corrupt(tables)
    relations_broken(tables)
    workspace.write_tables(tables)
    validate.run(workspace)
    report = workspace.read_json("validation.json")
    from great_expectations.render.renderer.content_block import ValidationResultsTableContentBlockRenderer

    told = {result.suite_name.removeprefix("giamdinh-claim-tables-"): result for result in validate.results(report)}

    def shown(suite: str, name: str) -> str:
        (one,) = [one for one in told[suite].results if one.expectation_config.kwargs["name"] == name]
        block = ValidationResultsTableContentBlockRenderer.render([one]).to_json_dict()
        return json.dumps(block, ensure_ascii=False)

    quantity = shown("XML2-3176-20240701", "SO_LUONG")
    assert "bắt buộc, số, tối đa 3 số lẻ, tối đa 10 ký tự" in quantity
    assert "required, number, at most 3 decimals, at most 10 characters" in quantity
    assert "1 lỗi (sai định dạng: 1) / faults (wrong form: 1)" in quantity
    assert '[["LK5", "1"]]' in quantity
    orders = shown("XML4-3176-20240701", "MA_DICH_VU has-parent XML3.MA_DICH_VU")
    assert "có trong XML3.MA_DICH_VU của hồ sơ, khi MA_DICH_VU không trống" in orders
    assert "stands in XML3.MA_DICH_VU of the claim, where MA_DICH_VU is filled" in orders
    papers = shown("XML1-3176-20240701", "MA_LOAI_RV present XML13")
    assert "hồ sơ phải có bảng XML13, khi MA_LOAI_RV là 2 hoặc 5" in papers
    assert "the claim must have table XML13, where MA_LOAI_RV is 2 or 5" in papers
    assert "1 lỗi (không phù hợp: 1) / faults (does not fit: 1)" in papers
    assert "không có lỗi / no fault" in shown("XML2-3176-20240701", "TEN_THUOC")


def test_great_expectations_is_loaded_only_by_a_run() -> None:
    program = "import sys, claim_pipeline.validate; sys.exit('great_expectations' in sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {[str(root), str(root / 'plugins')]!r}; {program}"],
        check=False,
    )
    assert done.returncode == 0
