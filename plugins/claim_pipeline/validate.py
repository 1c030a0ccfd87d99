"""The step `validate`: Great Expectations over the claim tables, by the dictionary of each claim's own decision.

`validation.json` of the working folder is the record of it ("giamdinh.validation/2"):

    {"schema", "delivery": {"sha256", "MA_CSKCB", "format"}, "engine": "great_expectations 1.x" (null: nothing
     to check), "success": every expectation was met,
     "claims": {"read", "checked", "months": {"yyyymm" of NGAY_RA ("" unknown): claims}},
     "suites": [{"name": "XML2-3176-20260701", "table": "XML2" ("claims": of the claims beside each other),
                 "decision", "valid_from": first day (NGAY_RA) of the layout (null: the first, or not dated),
                 "version": of the suite's file claim_rules/expectations/suites/<decision>/<table>.yaml,
                 "rows", "seconds": of the pass over them, "success",
                 "expectations": [{"name": field, or name of the relation, "type": Great Expectations' name of it,
                                   "field", "rule": catalogue rule of a relation or null, "text_vi", "text_en",
                                   "evaluated", "unexpected", "by_kind": {kind of fault: values},
                                   "sample": [{"claim": position, "row": position, "MA_LK", "STT"}] (the first 50)}]}],
     "findings": {rule: findings of findings-validate}, "seconds": {"wall", "processor"}}

It holds no values of fields but the keys MA_LK and STT. `results` makes Great Expectations' own result objects of it
again, for Data Docs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from claim_pipeline.errors import GiamdinhError, OperatorError
from claim_pipeline.table_files import FrameFile
from claim_pipeline.workspace import Workspace
from claim_rules import expectations
from claim_rules.expectations import Pass, Suite, Tally
from claim_rules.findings import findings

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuite, ExpectationSuiteValidationResult

SCHEMA = "giamdinh.validation/2"
SUITE = "giamdinh-claim-tables"
CLAIMS_AT_ONCE = 2_000
"""Claims in memory at once."""

FINDINGS = "findings-validate"


def run(ws: Workspace) -> None:
    """Checks every claim that can be read against the dictionary; rows of claims that cannot are passed over.

    Reads claims and claim tables of the workspace, some claims at a time; writes findings-validate (raw findings of the
    rules with found_by "validate", by claim, table, row, field) and validation.json; sets status "validated".
    Raises OperatorError if the check itself cannot run: nothing is then said about any claim.
    """
    try:
        report = _validate(ws)
    except GiamdinhError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is ours and no fault of a claim
        # The text of an error of a library may quote a value of a claim: only its kind and place are told.
        raise _cannot_run(f"{type(error).__name__} ({_place(error)})") from None
    ws.write_json("validation.json", report)
    ws.delivery = replace(ws.delivery, status="validated")


def _validate(ws: Workspace) -> dict[str, Any]:
    started, processor = time.perf_counter(), time.process_time()
    claims = ws.read_frame("claims")
    done = Pass()
    rules: dict[str, int] = {}
    found = FrameFile(ws.folder / f"{FINDINGS}.parquet")
    try:
        found.add(findings())
        for chunk in ws.chunks(CLAIMS_AT_ONCE, as_sent=True):
            told = done.add(chunk)
            found.add(told)
            for rule, number in told["rule"].value_counts().items():
                rules[str(rule)] = rules.get(str(rule), 0) + int(number)
        delivery = ws.delivery
        suites = [_record(suite) for suite in done.suites.values()]
        report: dict[str, Any] = {
            "schema": SCHEMA,
            "delivery": {"sha256": delivery.sha256, "MA_CSKCB": delivery.MA_CSKCB, "format": delivery.format},
            "engine": None,
            "success": all(suite["success"] for suite in suites),
            "claims": {"read": len(claims), "checked": done.claims, "months": dict(sorted(done.months.items()))},
            "suites": suites,
            "findings": dict(sorted(rules.items())),
        }
        if suites:
            report["engine"] = _judged(report)
        found.finish()
    finally:
        found.discard()
    report["seconds"] = {
        "wall": round(time.perf_counter() - started, 3),
        "processor": round(time.process_time() - processor, 3),
    }
    return report


def _record(suite: Suite) -> dict[str, Any]:
    layout = suite.layout
    decision = layout.decision if layout is not None else None
    return {
        "name": suite.name,
        "table": suite.table,
        "decision": decision,
        "valid_from": f"{layout.on:%Y%m%d}" if layout is not None and layout.period > 0 else None,
        "version": expectations.suite_version(suite.table, decision),
        "rows": suite.rows,
        "seconds": round(suite.seconds, 4),
        "success": not any(tally.unexpected for tally in suite.tallies.values()),
        "expectations": [_expectation(one, suite.tallies[one["name"]]) for one in _described(suite)],
    }


def _described(suite: Suite) -> Iterator[dict[str, Any]]:
    """name, type, field, rule and texts of each expectation of a suite."""
    for one in suite.expectations:
        kind = "layout_to_fit_visit" if one.form == "version" else "field_to_follow_dictionary"
        yield {
            "name": one.field,
            "type": f"expect_{kind}",
            "field": one.field,
            "rule": None,
            "text_vi": one.text_vi,
            "text_en": one.text_en,
        }
    for relation in suite.relations:
        vi, en = relation.words()
        yield {
            "name": relation.name,
            "type": f"expect_{_RELATED[relation.kind]}",
            "field": relation.field,
            "rule": relation.rule,
            "text_vi": vi,
            "text_en": en,
        }


_ORDER = "dates_to_be_in_order"
_RELATED = {
    "not-before": _ORDER,
    "not-before-day": _ORDER,
    "not-after": _ORDER,
    "not-after-day": _ORDER,
    "parallel": "lists_to_be_parallel",
    "copy": "value_to_be_that_of_claim",
    "unique": "key_to_be_unique",
    "has-parent": "result_to_have_its_order",
    "has-child": "order_to_have_its_result",
    "present": "table_to_be_present_where_demanded",
    "filled-with": "table_to_be_present_where_demanded",
    "sum": "total_to_be_sum_of_lines",
}
"""Kind of relation -> expectation class of gx_expectations."""


def _expectation(described: dict[str, Any], tally: Tally) -> dict[str, Any]:
    return {
        **described,
        "evaluated": tally.evaluated,
        "unexpected": tally.unexpected,
        "by_kind": tally.by_kind,
        "sample": tally.sample,
    }


def _judged(report: dict[str, Any]) -> str:
    """Lets Great Expectations judge what was counted; returns its name and version. OperatorError if it cannot."""
    import great_expectations

    for suite, result in zip(report["suites"], results(report), strict=True):
        for one in result.results:
            info = one.exception_info or {}
            raised = info.get("raised_exception") or any(
                isinstance(inner, dict) and inner.get("raised_exception") for inner in info.values()
            )
            if raised or "unexpected_count" not in one.result:
                config = one.expectation_config
                raise _cannot_run(f"{suite['name']}, {config.kwargs['name'] if config else '?'}")
        if bool(result.success) != suite["success"]:
            raise _cannot_run(suite["name"])
    return f"great_expectations {great_expectations.__version__}"


def results(report: dict[str, Any]) -> Iterator[ExpectationSuiteValidationResult]:
    """The results of Great Expectations for each suite of a validation.json, in its order: with the keys of unexpected
    rows (COMPLETE) where there are any."""
    from claim_pipeline.gx_expectations import ROW_KEYS

    definition = _batch_definition()
    for suite in report["suites"]:
        tallies = pd.DataFrame(suite["expectations"])[["name", "evaluated", "unexpected", "by_kind", "sample"]]
        complete = {"result_format": "COMPLETE", "unexpected_index_column_names": list(ROW_KEYS)}
        batch = definition.get_batch({"dataframe": tallies})
        result = batch.validate(build_suite(suite), result_format="BASIC" if suite["success"] else complete)
        result.meta |= {"giamdinh": {name: suite[name] for name in ("version", "rows")} | report["delivery"]}
        yield result


def build_suite(suite: dict[str, Any]) -> ExpectationSuite:
    """The Great Expectations suite of one entry of "suites" in a validation.json."""
    from great_expectations.core import ExpectationSuite

    from claim_pipeline import gx_expectations

    made = {one.expectation_type: one for one in gx_expectations.CLASSES}
    return ExpectationSuite(
        name=f"{SUITE}-{suite['name']}",
        expectations=[
            made[one["type"]](
                name=one["name"],
                column=one["field"],
                text_vi=one["text_vi"],
                text_en=one["text_en"],
                meta={"rule": one["rule"]} if one["rule"] else None,
            )
            for one in suite["expectations"]
        ],
        meta={"version": suite["version"]},
    )


def _batch_definition() -> Any:
    """Great Expectations, set up in memory: a batch definition that takes a frame."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )
    from great_expectations.execution_engine import pandas_execution_engine

    # A fingerprint of the whole frame is made for every batch below this size; nobody reads it.
    pandas_execution_engine.HASH_THRESHOLD = 0
    # The defaults make a folder for Data Docs, per context, and leave it behind.
    stores = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    config = DataContextConfig(store_backend_defaults=stores)
    context = great_expectations.get_context(mode="ephemeral", project_config=config)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("claims")
    return source.add_dataframe_asset("table").add_batch_definition_whole_dataframe("counts")


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "?"


def _cannot_run(where: str) -> OperatorError:
    return OperatorError(
        "validation-failed",
        f"Không chạy được bước kiểm tra cấu trúc dữ liệu: {where}.",
        f"The check of the claim tables could not run: {where}.",
        "Báo người vận hành hệ thống; hồ sơ chưa bị từ chối và sẽ được kiểm tra lại.",
        "Tell the operator; no claim has been refused, the delivery will be checked again.",
    )
