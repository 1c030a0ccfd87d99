"""The step `validate`: Great Expectations over the claim tables, by the dictionary of each claim's own decision."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq

from claim_pipeline.errors import GiamdinhError, OperatorError
from claim_pipeline.workspace import Workspace
from claim_rules import expectations
from claim_rules.dictionary import CLAIM_TABLES
from claim_rules.expectations import Batch, Faults
from claim_rules.findings import concat

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuite, ExpectationSuiteValidationResult

SUITE = "giamdinh-claim-tables"
ROWS_AT_ONCE = 50_000
"""Rows of a table in memory at once. Great Expectations costs about 0.6 ms per field and portion, whatever its size."""


def run(ws: Workspace) -> None:
    """Checks every claim that can be read against the dictionary; rows of claims that cannot are passed over.

    Reads claims and claim tables of the workspace; writes findings-validate (raw findings STR-005, STR-006, STR-012,
    STR-013, DICT-001..005, by claim, table, row, field) and validation.json; sets status "validated".
    Raises OperatorError if the check itself cannot run: nothing is then said about any claim.
    """
    try:
        found, report = _validate(ws)
    except GiamdinhError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is ours and no fault of a claim
        # The text of an error of a library may quote a value of a claim: only its kind and place are told.
        raise _cannot_run(f"{type(error).__name__} ({_place(error)})") from None
    ws.write_frame("findings-validate", found)
    ws.write_json("validation.json", report)
    ws.delivery = replace(ws.delivery, status="validated")


def _validate(ws: Workspace) -> tuple[pd.DataFrame, dict[str, Any]]:
    started, processor = time.perf_counter(), time.process_time()
    claims = ws.read_frame("claims")
    names = [name for name in CLAIM_TABLES if ws.has_frame(name)]
    portions = ((name, rows) for name in names for rows in _portions(ws, name))
    checker: _Checker | None = None
    found: list[pd.DataFrame] = []
    report = _Report()
    for batch in expectations.batches(claims, _summary(ws), portions):
        checker = checker or _Checker()
        result = checker.validate(batch)
        faults = dict(_faults(batch, result))
        report.add(batch, result)
        found.append(expectations.to_findings(batch, faults))
    every = expectations.in_order(concat(found))
    return every, {
        "schema": "giamdinh.validation/1",
        "suite": {"name": SUITE, "version": expectations.version()},
        "engine": checker.engine if checker else None,
        "success": every.empty,
        "claims": {"read": len(claims), "checked": report.claims},
        "tables": report.tables,
        "suites": report.suites,
        "findings": {str(rule): int(number) for rule, number in every["rule"].value_counts().sort_index().items()},
        "seconds": {
            "wall": round(time.perf_counter() - started, 3),
            "processor": round(time.process_time() - processor, 3),
        },
    }


def _file(ws: Workspace, table: str) -> pq.ParquetFile:
    return pq.ParquetFile(ws.folder / f"{table}.parquet")


def _summary(ws: Workspace) -> pd.DataFrame:
    if not ws.has_frame("XML1"):
        return pd.DataFrame({"claim": pd.Series([], dtype="int64")})
    with _file(ws, "XML1") as file:
        known = [name for name in expectations.SUMMARY_COLUMNS if name in file.schema_arrow.names]
        summary: pd.DataFrame = file.read(known).to_pandas()
        return summary


def _portions(ws: Workspace, table: str) -> Iterator[pd.DataFrame]:
    with _file(ws, table) as file:
        for rows in file.iter_batches(ROWS_AT_ONCE):
            yield rows.to_pandas()


def _faults(batch: Batch, result: ExpectationSuiteValidationResult) -> Iterator[tuple[str, Faults]]:
    """(field, faults) as Great Expectations reports them."""
    for one in result.results:
        info = one.exception_info or {}
        raised = info.get("raised_exception") or any(
            isinstance(inner, dict) and inner.get("raised_exception") for inner in info.values()
        )
        config = one.expectation_config
        field = config.kwargs["column"] if config else "?"
        if raised or "faults" not in one.result:
            raise _cannot_run(f"{batch.name}, {field}")
        faults = one.result["faults"]
        yield field, Faults(one.result["element_count"], faults["rows"], faults["kinds"])


class _Report:
    """What validation.json says of tables and fields, merged over batches."""

    def __init__(self) -> None:
        self.claims = 0
        self.tables: dict[str, Any] = {}
        self.suites: dict[str, Any] = {}

    def add(self, batch: Batch, result: ExpectationSuiteValidationResult) -> None:
        if batch.table == expectations.CLAIMS:
            self.claims = len(batch.frame)
        table = self.tables.setdefault(batch.table, {"rows": 0, "fields": {}})
        table["rows"] += len(batch.frame)
        suite = self.suites.setdefault(
            batch.name, {"version": expectations.digest(batch.expectations), "rows": 0, "success": True}
        )
        suite["rows"] += len(batch.frame)
        suite["success"] &= bool(result.success)
        for one in result.results:
            if one.expectation_config is None:
                continue
            name = one.expectation_config.kwargs["column"]
            field = table["fields"].setdefault(name, {"evaluated": 0, "failed": 0, "by_kind": {}})
            field["evaluated"] += one.result["element_count"]
            field["failed"] += one.result["unexpected_count"]
            for kind, number in one.result["details"].items():
                field["by_kind"][kind] = field["by_kind"].get(kind, 0) + number


class _Checker:
    """Great Expectations, set up once for a delivery."""

    def __init__(self) -> None:
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
        self.batch_definition = source.add_dataframe_asset("table").add_batch_definition_whole_dataframe("rows")
        self.engine = f"great_expectations {great_expectations.__version__}"
        self.suites: dict[str, ExpectationSuite] = {}

    def validate(self, batch: Batch) -> ExpectationSuiteValidationResult:
        loaded = self.batch_definition.get_batch({"dataframe": batch.frame})
        return loaded.validate(self._suite(batch), result_format="COMPLETE")

    def _suite(self, batch: Batch) -> ExpectationSuite:
        if batch.name not in self.suites:
            self.suites[batch.name] = build_suite(batch)
        return self.suites[batch.name]


def build_suite(batch: Batch) -> ExpectationSuite:
    """The Great Expectations suite of a batch: one expectation per field, from the expectations data."""
    from great_expectations.core import ExpectationSuite

    from claim_pipeline.gx_expectations import ExpectFieldToFollowDictionary

    layout = batch.layout
    name = batch.table if layout is None else f"{batch.table}/{layout.decision}/{layout.period}"
    return ExpectationSuite(
        name=f"{SUITE}-{batch.name}",
        expectations=[
            ExpectFieldToFollowDictionary(
                column=expectation.field, layout=name, text_vi=expectation.text_vi, text_en=expectation.text_en
            )
            for expectation in batch.expectations
        ],
        meta={"version": expectations.digest(batch.expectations)},
    )


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
