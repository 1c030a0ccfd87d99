"""The step `validate` says through Great Expectations exactly what the dictionary finds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
        ("XML1", 4, 1, "GIOI_TINH", "7"),
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
    ws.delivery = Delivery(file="a.xml", sha256="0" * 64, status="transformed")
    return ws


def test_good_claims_give_no_findings(workspace: Workspace) -> None:
    workspace.write_tables(claims_of(3))
    validate.run(workspace)
    assert list(workspace.read_frame("findings-validate").columns) == list(FINDING_COLUMNS)
    assert workspace.read_frame("findings-validate").empty
    report = workspace.read_json("validation.json")
    assert report["success"] is True
    assert report["claims"] == {"read": 3, "checked": 3}
    assert report["findings"] == {}
    assert report["tables"]["XML2"]["rows"] == 6
    assert report["tables"]["XML2"]["fields"]["MA_THUOC"] == {"evaluated": 6, "failed": 0, "by_kind": {}}
    assert workspace.delivery.status == "validated"


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
        monkeypatch.setattr(validate, "ROWS_AT_ONCE", portion)
        validate.run(workspace)
        pd.testing.assert_frame_equal(workspace.read_frame("findings-validate"), expected)
        reports.append(workspace.read_json("validation.json"))
    for report in reports:
        del report["seconds"]
    assert reports[0] == reports[1]


def test_verdict_of_great_expectations_equals_the_findings(workspace: Workspace) -> None:
    tables = claims_of(12)
    corrupt(tables)
    workspace.write_tables(tables)
    validate.run(workspace)
    found, report = workspace.read_frame("findings-validate"), workspace.read_json("validation.json")
    versions = found["rule"] == "DICT-005"
    counts = found[~versions].groupby(["table", "field"]).size().to_dict()
    fields = {
        (table, name): field
        for table, entry in report["tables"].items()
        if table != expectations.CLAIMS
        for name, field in entry["fields"].items()
    }
    assert {key: field["failed"] for key, field in fields.items() if field["failed"]} == counts
    assert report["tables"][expectations.CLAIMS]["fields"]["NGAY_RA"]["failed"] == versions.sum()
    assert all(sum(field["by_kind"].values()) == field["failed"] for field in fields.values())
    assert fields["XML2", "SO_LUONG"]["by_kind"] == {"syntax": 1}
    assert fields["XML1", "NGAY_SINH"]["by_kind"] == {"newborn": 1}
    assert sum(report["findings"].values()) == len(found)
    assert report["success"] is False


def test_every_claim_table_has_a_suite_and_each_field_an_expectation(workspace: Workspace) -> None:
    workspace.write_tables(claims_of(1))
    validate.run(workspace)
    report = workspace.read_json("validation.json")
    for name in ROWS:
        assert set(report["tables"][name]["fields"]) == set(dictionary.table(name).names)
    assert {name.partition("-")[0] for name in report["suites"]} == {*ROWS, "claims"}
    assert report["suite"] == {"name": "giamdinh-claim-tables", "version": expectations.version()}


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
    assert workspace.read_json("validation.json")["claims"] == {"read": 0, "checked": 0}


def test_unreadable_claims_are_not_checked(workspace: Workspace) -> None:
    tables = claims_of(8)
    corrupt(tables)
    tables.claims["readable"] = tables.claims["claim"] == 3
    workspace.write_tables(tables)
    validate.run(workspace)
    assert set(workspace.read_frame("findings-validate")["claim"]) == {3}
    assert workspace.read_json("validation.json")["claims"] == {"read": 8, "checked": 1}


def test_report_holds_no_value_of_a_claim(workspace: Workspace) -> None:
    tables = claims_of(2)
    secret = "Nguyễn Văn Bí Mật " * 20
    tables["XML1"].loc[0, "HO_TEN"] = secret
    workspace.write_tables(tables)
    validate.run(workspace)
    assert list(workspace.read_frame("findings-validate")["rule"]) == ["DICT-002"]
    assert "Nguyễn" not in json.dumps(workspace.read_json("validation.json"), ensure_ascii=False)


def test_a_check_that_cannot_run_refuses_no_claim(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from claim_pipeline import gx_expectations

    def broken(*_: object) -> None:
        raise RuntimeError("Nguyễn Văn A")

    workspace.write_tables(claims_of(2))
    monkeypatch.setattr(gx_expectations, "check_table", broken)
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


def test_texts_for_people_in_both_languages(workspace: Workspace) -> None:
    tables = claims_of(8)
    corrupt(tables)
    batch = list(expectations.batches(tables.claims, tables["XML1"], [("XML2", tables["XML2"])]))[1]
    suite = validate.build_suite(batch)
    result = validate._Checker().validate(batch)
    of_field = {one.expectation_config.kwargs["column"]: one for one in result.results}
    from great_expectations.render.renderer.content_block import ValidationResultsTableContentBlockRenderer

    assert suite.meta["version"] == expectations.digest(batch.expectations)
    shown = json.dumps(
        ValidationResultsTableContentBlockRenderer.render([of_field["SO_LUONG"]]).to_json_dict(), ensure_ascii=False
    )
    assert "bắt buộc, số, tối đa 3 số lẻ, tối đa 10 ký tự" in shown
    assert "required, number, at most 3 decimals, at most 10 characters" in shown
    assert "1 lỗi (sai định dạng: 1) / faults (wrong form: 1)" in shown
    good = json.dumps(
        ValidationResultsTableContentBlockRenderer.render([of_field["TEN_THUOC"]]).to_json_dict(), ensure_ascii=False
    )
    assert "không có lỗi / no fault" in good


def test_great_expectations_is_loaded_only_by_a_run() -> None:
    program = "import sys, claim_pipeline.validate; sys.exit('great_expectations' in sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {[str(root), str(root / 'plugins')]!r}; {program}"],
        check=False,
    )
    assert done.returncode == 0
