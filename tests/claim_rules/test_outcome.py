"""Whatever the findings, amounts add up; a rule that breaks harms nobody else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claim_rules import cases, catalogue, engine, outcome
from claim_rules.contract import Contract
from claim_rules.findings import CLAIM, findings
from claim_rules.frames import ClaimTables

RULES = [rule for rule in catalogue.book().values() if rule.level in ("line", "claim", "cross-claim")]
FIELDS = {
    "XML2": ["DON_GIA_BH", "MUC_HUONG", "THANH_TIEN_BH", "T_BHTT"],
    "XML3": ["SO_LUONG", "TYLE_TT_BH", "T_NGUONKHAC"],
}


def base(count: int = 2) -> ClaimTables:
    """The base claim, several times."""
    one = cases.base_claim()
    parts = {
        name: pd.concat([frame.assign(claim=number) for number in range(count)], ignore_index=True)
        for name, frame in one.items()
    }
    claims = pd.concat([one.claims.assign(claim=number) for number in range(count)], ignore_index=True)
    return ClaimTables(claims, parts)


TABLES = base()


def fold(
    tables: ClaimTables,
    found: pd.DataFrame,
    referrals: list[tuple[int, str]] | None = None,
    corrections: list[tuple[str, int, str, int]] | None = None,
    terms: Contract | None = None,
) -> outcome.Outcome:
    told = pd.DataFrame(referrals or [], columns=["claim", "reason"]).astype({"claim": "int64", "reason": "str"})
    made = pd.DataFrame(corrections or [], columns=["rule", "line_index", "correct_field", "correct_value"])
    made = made.astype({"rule": "str", "line_index": "int64", "correct_field": "str", "correct_value": "Int64"})
    numbers = engine.build(tables)
    appraisal = engine.Appraisal(found, told, numbers, [], [], [], made, contract=terms or Contract())
    return outcome.fold(tables, appraisal, catalogue.complete(found, tables), signature_reasons=["unsigned"])


def claim_totals(result: outcome.Outcome) -> pd.Series:
    return result.claims.set_index("claim")["requested"]


@st.composite
def any_findings(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows = []
    for _ in range(draw(st.integers(0, 8))):
        rule = draw(st.sampled_from(RULES))
        severity = draw(st.sampled_from(["reject_claim", "reject_line", "adjust_amount", "adjust_amount", "warn"]))
        row: dict[str, Any] = {"claim": draw(st.integers(0, 1)), "rule": rule.id, "severity": severity}
        if severity in ("reject_line", "adjust_amount") and draw(st.integers(0, 3)):
            row["table"] = draw(st.sampled_from(["XML2", "XML3"]))
            row["row"] = draw(st.integers(1, 1 if row["table"] == "XML2" else 2))
            if severity == "adjust_amount":
                row["correct_field"] = draw(st.sampled_from([name for names in FIELDS.values() for name in names]))
                row["correct_value"] = draw(st.one_of(st.none(), st.integers(0, 10**9)))
        elif severity == "adjust_amount" and draw(st.booleans()):
            row |= {"correct_field": CLAIM, "correct_value": draw(st.integers(0, 10**8))}
        rows.append(row)
    return rows


AMOUNTS = st.sampled_from([None, "", "0.00", "-1.00", "0.01", "40480.00", "99999999999.99", "x"])
CORRECTIONS = st.lists(
    st.tuples(
        st.sampled_from(["BEN-016", "BEN-018", "SUM-017"]), st.integers(0, 5), st.sampled_from(outcome.CORRECTABLE),
        st.one_of(st.none(), st.integers(0, 10**9)),
    ),
    max_size=6,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(any_findings(), st.booleans(), CORRECTIONS, st.lists(AMOUNTS, min_size=6, max_size=6), st.booleans())
def test_amounts_always_add_up(
    rows: list[dict[str, Any]], asked: bool, corrections: Any, amounts: list[str | None], retest: bool
) -> None:
    """Whatever is claimed, found, corrected and capped; corrections count where a finding of their rule does."""
    rows = rows + [{"claim": index // 3, "rule": rule, "severity": "adjust_amount"} for rule, index, *_ in corrections]
    tables = ClaimTables(TABLES.claims, {name: frame.copy() for name, frame in TABLES.items()})
    for name, column, values in (
        ("XML2", "T_BHTT", amounts[:2]),
        ("XML2", "THANH_TIEN_BH", amounts[2:4]),
        ("XML3", "T_BHTT", amounts[2:]),
    ):
        tables[name][column] = pd.Series(values, index=tables[name].index, dtype="str")
    terms = Contract(options={"retest_after_refusal": "yes" if retest else "no"})
    result = fold(tables, findings(rows), [(0, "route-unknown")] if asked else [], corrections, terms)
    caps = result.findings[
        (result.findings["correct_field"] == CLAIM) & (result.findings["severity"] == "adjust_amount")
    ]
    most = caps["claim"].map(result.claims.set_index("claim")["approved"])
    assert (most <= caps["correct_value"]).all()
    gone = result.findings[(result.findings["severity"] == "reject_line") & result.findings["row"].notna()]
    left = result.lines.merge(gone[["claim", "table", "row"]], on=["claim", "table", "row"])
    assert (left["approved"] == 0).all()
    assert (result.what_if["approved"] <= claim_totals(result).loc[result.what_if["claim"]].to_numpy()).all()
    for frame in (result.lines, result.claims):
        assert (frame["requested"] == frame["approved"] + frame["refused"]).all()
        assert (frame[["requested", "approved", "refused"]] >= 0).all().all()
    lines = result.lines.groupby("claim")[["requested", "approved"]].sum()
    claims = result.claims.set_index("claim")
    assert (claims["requested"] == lines["requested"]).all()
    assert (claims["approved"] <= lines["approved"]).all()
    assert (result.findings["amount_refused"] >= 0).all()
    severity = result.findings["severity"]
    assert (result.findings.loc[severity == "warn", "amount_refused"] == 0).all()
    for number, claim in claims.iterrows():
        mine = result.findings[result.findings["claim"] == number]
        if (mine["severity"] == "reject_claim").any():
            assert (claim["outcome"], claim["approved"]) == ("rejected", 0)
        elif asked and number == 0:
            assert claim["outcome"] == "referred"
            assert json.loads(claim["referral_reasons"]) == ["route-unknown"]
        else:
            assert claim["outcome"] == ("adjusted" if claim["refused"] else "accepted")


def test_corrections_are_applied_together_not_summed() -> None:
    rows = [
        {"claim": 0, "rule": "PRICE-001", "table": "XML2", "row": 1, "correct_field": "DON_GIA_BH", "correct_value": 0},
        {"claim": 0, "rule": "BEN-001", "table": "XML2", "row": 1, "correct_field": "MUC_HUONG", "correct_value": 0},
    ]
    result = fold(TABLES, findings(rows))
    line = result.lines.iloc[0]
    assert line["refused"] == line["requested"] == 8_800_000
    assert result.findings["amount_refused"].tolist() == [8_800_000, 8_800_000]


def _ruling(fields: dict[int, tuple[str, int]], **finding: Any) -> outcome.Outcome:
    """A finding of the whole first claim that corrects lines (index -> field, value)."""
    found = findings([{"claim": 0, "rule": "BEN-016", "table": "XML1", **finding}])
    rows = [("BEN-016", line, name, value) for line, (name, value) in fields.items()]
    made = pd.DataFrame(rows, columns=["rule", "line_index", "correct_field", "correct_value"])
    told = pd.DataFrame({"claim": pd.Series([], dtype="int64"), "reason": pd.Series([], dtype="str")})
    numbers = engine.build(TABLES)
    appraisal = engine.Appraisal(found, told, numbers, [], [], [], made.astype({"correct_value": "Int64"}))
    return outcome.fold(TABLES, appraisal, catalogue.complete(found, TABLES), signature_reasons=[])


def test_a_finding_of_the_claim_corrects_its_lines() -> None:
    result = _ruling({0: ("MUC_HUONG", 4_000), 1: ("MUC_HUONG", 4_000)})
    assert result.lines["refused"].tolist()[:3] == [4_400_000, 2_024_000, 0]
    assert result.findings["amount_refused"].tolist() == [6_424_000]
    assert result.claims["refused"].tolist() == [6_424_000, 0]


def test_a_finding_that_only_warns_corrects_nothing() -> None:
    result = _ruling({0: ("MUC_HUONG", 4_000)}, severity="warn")
    assert result.claims["refused"].tolist() == [0, 0]
    assert result.findings["amount_refused"].tolist() == [0]


def test_a_claim_is_paid_at_most_its_cap() -> None:
    result = _ruling({}, correct_field=CLAIM, correct_value=10_000_000)
    assert result.claims["approved"].tolist()[0] == 10_000_000
    assert result.findings["amount_refused"].tolist() == [result.claims["requested"].tolist()[0] - 10_000_000]


def test_an_unreadable_claim_is_rejected_and_counted() -> None:
    tables = base()
    tables.claims.loc[1, ["readable"]] = False
    found = findings([{"claim": 1, "rule": "STR-002", "table": "XML3"}])
    result = fold(tables, found)
    assert result.claims["outcome"].tolist() == ["accepted", "rejected"]
    assert result.lines["claim"].unique().tolist() == [0]
    asked = result.claims["requested"].tolist()
    assert asked[1] == asked[0] > 0  # XML1 could be read: its T_BHTT is what was asked
    kept = ClaimTables(tables.claims, {name: frame[frame["claim"] == 0] for name, frame in tables.items()})
    assert fold(kept, found).claims["requested"].tolist()[1] == 0
    assert json.loads(result.claims["paperless_reasons"].iloc[1]) == ["unsigned", "not-accepted"]


@pytest.fixture
def broken_rule(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def breaks(rule_id: str) -> None:
        book = dict(catalogue.book())
        entry = book[rule_id]

        def raises(case: engine.Case) -> pd.DataFrame:
            raise ZeroDivisionError(f"value {case.visits['HO_TEN'].iloc[0]}")

        book[rule_id] = catalogue.Rule(**{**entry.__dict__, "check": raises})
        monkeypatch.setattr(catalogue, "book", lambda: book)

    return breaks


def test_a_rule_that_raises_refers_its_claims_and_stops_no_other(broken_rule: Callable[[str], None]) -> None:
    broken_rule("TIME-001")
    tables = base()
    tables["XML2"].loc[0, "MUC_HUONG"] = "100"
    told: list[str] = []
    appraisal = engine.run(tables, {}, on_error=lambda rule, error: told.append(f"{rule} {type(error).__name__}"))
    assert told == ["TIME-001 ZeroDivisionError"]
    assert appraisal.failed == [{"rule": "TIME-001", "error": "ZeroDivisionError"}]
    assert "TIME-001" not in appraisal.rules_run
    assert "TIME-002" in appraisal.rules_run
    result = outcome.fold(
        tables, appraisal, catalogue.complete(appraisal.findings, tables), signature_reasons=["unsigned"]
    )
    assert result.claims["outcome"].tolist()[0] == "referred"
    assert json.loads(result.claims["referral_reasons"].iloc[0]) == ["rule-error:TIME-001"]
    assert "BEN-001" in result.findings["rule"].tolist()


def test_missing_reference_data_is_said_never_passed() -> None:
    reference = {"drugs": pd.DataFrame({"MA_THUOC": ["40.154"], "MA_CSKCB": ["27001"]}, dtype="str")}
    appraisal = engine.run(base(), reference)
    needs = {entry["rule"]: entry["needs"] for entry in appraisal.skipped}
    assert needs["CARD-002"] == "cards.csv"
    assert needs["CAT-001"] == "drugs.csv: TU_NGAY, DEN_NGAY"
    assert needs["PRICE-003"] == "services.csv"
    # what only a part of a rule lacks is told too, and the rest of it runs
    partly = {rule.id for rule in catalogue.book().values() if rule.wants or rule.wants_facts}
    assert not (set(needs) - partly) & set(appraisal.rules_run)


def test_personal_values_are_masked() -> None:
    found = findings(
        [
            {"claim": 0, "rule": "CARD-001", "table": "XML1", "field": "MA_THE_BHYT", "observed": "GD4272700000001"},
            {"claim": 0, "rule": "DICT-002", "table": "XML1", "field": "HO_TEN", "observed": "Nguyễn Văn Mẫu"},
            {"claim": 0, "rule": "DICT-002", "table": "XML1", "field": "DIEN_THOAI", "observed": "0900000000"},
            {"claim": 0, "rule": "STR-012", "table": "XML1", "field": "NGAY_SINH", "observed": "19850332"},
        ]
    )
    done = catalogue.complete(found, base())
    text = " ".join(done["observed"]) + " ".join(done["message_vi"]) + " ".join(done["message_en"])
    for secret in ("272700000001", "Nguyễn", "Mẫu", "0900000000"):
        assert secret not in text
    assert "GD4************" in text
    assert "19850332" in text


def test_lines_are_named_as_the_report_names_them() -> None:
    tables = base(1)
    tables["XML3"]["STT"] = pd.Series(["7", "7"], dtype="str")
    found = findings([{"claim": 0, "rule": "SUM-003", "table": "XML3", "row": row} for row in (1, 2)])
    assert catalogue.complete(found, tables)["line"].tolist() == [1, 2]
    tables["XML3"]["STT"] = pd.Series(["7", "9"], dtype="str")
    assert catalogue.complete(found, tables)["line"].tolist() == [7, 9]
    tables["XML3"]["STT"] = pd.Series(["2", None], dtype="str")
    assert catalogue.complete(found, tables)["line"].tolist() == [1, 2]
