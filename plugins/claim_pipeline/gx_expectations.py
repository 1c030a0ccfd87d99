"""The expectations of claim_rules as Great Expectations classes; only a running `validate` step loads this module.

One pass over the claim tables (claim_rules.expectations.tally) counts for all of them; the batch that Great
Expectations sees is the frame of these counts, one metric hands them out, and each expectation words its own.
"""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.compatibility.pydantic import PrivateAttr
from great_expectations.core.expectation_validation_result import ExpectationValidationResult
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation, render_suite_parameter_string
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.render.components import (
    CollapseContent,
    LegacyDiagnosticRendererType,
    LegacyRendererType,
    RenderedStringTemplateContent,
    RenderedTableContent,
)
from great_expectations.render.renderer.renderer import renderer
from great_expectations.render.renderer_configuration import RendererConfiguration, RendererValueType

METRIC = "table.dictionary_tally"
ROW_KEYS = ("MA_LK", "STT")
"""Columns by which a result names unexpected rows."""

_TEXTS = ("column", "text_vi", "text_en")
_KWARGS = ("batch_id", "name", *_TEXTS)

KIND_NAMES = {
    "missing": ("để trống", "empty"),
    "code": ("ngoài danh mục", "not in the code list"),
    "syntax": ("sai định dạng", "wrong form"),
    "decimals": ("thừa số lẻ", "too many decimals"),
    "negative": ("số âm", "negative"),
    "length": ("quá dài", "too long"),
    "range": ("ngoài khoảng", "out of range"),
    "newborn": ("thiếu giờ sinh", "time of birth missing"),
    "key": ("khác mã liên kết", "other claim key"),
    "version": ("sai phiên bản", "wrong layout"),
    "relation": ("không phù hợp", "does not fit"),
}
"""What a kind of fault is called, in Vietnamese and English."""


def _keys(row: dict[str, Any]) -> dict[str, Any]:
    """Keys of a row; one that is blank is told by its place in the delivery, counted from 1."""
    claim, line = row["claim"] + 1, row["row"]
    told = {"MA_LK": f"(hồ sơ thứ {claim} · claim no. {claim})", "STT": f"(dòng thứ {line} · row no. {line})"}
    # None: the table has no such column
    return {key: told[key] if row[key] is not None and not row[key].strip() else row[key] for key in ROW_KEYS}


def _said_in(language: str) -> dict[str, Any]:
    return {"classes": [language], "attributes": {"lang": language}}


class DictionaryTally(TableMetricProvider):
    """The counts of all expectations of a suite by name. Every expectation of the suite asks for this same metric, and
    Great Expectations computes it once per batch."""

    metric_name = METRIC

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(  # type: ignore[no-untyped-def]
        cls, execution_engine, metric_domain_kwargs, metric_value_kwargs, metrics, runtime_configuration
    ):
        frame, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE)
        return {row["name"]: row for row in frame.to_dict("records")}


class _Tallied(BatchExpectation):
    """Base of our expectations. name: of the expectation in the suite; column: the field that it speaks of; text_vi,
    text_en: what is expected of it. The result names rows by their keys, and never a value."""

    name: str
    column: str
    text_vi: str = ""
    text_en: str = ""
    _made: ExpectationConfiguration | None = PrivateAttr(default=None)

    metric_dependencies: ClassVar[tuple[str, ...]] = (METRIC,)
    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id", "column")
    success_keys: ClassVar[tuple[str, ...]] = ("name", "text_vi", "text_en")
    args_keys: ClassVar[tuple[str, ...]] = ("column", "name")

    @property
    def configuration(self) -> ExpectationConfiguration:
        # The library asks for it some thirty times per validation, and builds it anew out of all its fields.
        if self._made is None or self._made.kwargs.get("batch_id") != self.batch_id:
            self._made = ExpectationConfiguration(
                type=self.expectation_type,
                kwargs={name: value for name in _KWARGS if (value := getattr(self, name)) is not None},
                meta=self.meta,
            )
        return self._made

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        tally = metrics[METRIC][self.name]
        evaluated, unexpected = tally["evaluated"], tally["unexpected"]
        result: dict[str, Any] = {
            "element_count": evaluated,
            "unexpected_count": unexpected,
            "unexpected_percent": 100 * unexpected / evaluated if evaluated else 0.0,
            "details": tally["by_kind"],
        }
        wanted = (runtime_configuration or {}).get("result_format", {})
        if unexpected and isinstance(wanted, dict) and wanted.get("result_format") == "COMPLETE":
            result["unexpected_index_column_names"] = list(ROW_KEYS)
            result["unexpected_index_list"] = [_keys(row) for row in tally["sample"]]
        return {"success": unexpected == 0, "result": result}

    @classmethod
    def _prescriptive_template(cls, renderer_configuration: RendererConfiguration[Any]) -> RendererConfiguration[Any]:
        for name in _TEXTS:
            renderer_configuration.add_param(name=name, param_type=RendererValueType.STRING)
        renderer_configuration.template_str = "$column: $text_vi / $text_en"
        return renderer_configuration

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    @render_suite_parameter_string
    def _prescriptive_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> list[RenderedStringTemplateContent]:
        configuration = configuration or (result.expectation_config if result else None)
        given = configuration.kwargs if configuration else {}
        settings = runtime_configuration or {}
        named = settings.get("include_column_name") is not False
        # Sentences: without a style of their own each would be one unbroken badge.
        styles = {"text_vi": _said_in("vi"), "text_en": _said_in("en"), "rule": {"classes": ["rule"]}}
        styling = settings.get("styling") or {}
        rule = (configuration.meta or {}).get("rule") if configuration else None
        template = {
            "template": ("$column: " if named else "") + "$text_vi / $text_en" + (" $rule" if rule else ""),
            "params": {name: given.get(name, "") for name in _TEXTS} | ({"rule": rule} if rule else {}),
            "styling": {**styling, "params": {**styling.get("params", {}), **styles}},
        }
        return [RenderedStringTemplateContent(content_block_type="string_template", string_template=template)]

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.OBSERVED_VALUE)
    def _diagnostic_observed_value_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> str:
        found = result.result if result else {}
        if "unexpected_count" not in found:
            return "--"
        if not found["unexpected_count"]:
            return "không có lỗi / no fault"
        parts = [(KIND_NAMES[kind], number) for kind, number in found["details"].items()]
        vi = ", ".join(f"{names[0]}: {number}" for names, number in parts)
        en = ", ".join(f"{names[1]}: {number}" for names, number in parts)
        return f"{found['unexpected_count']} lỗi ({vi}) / faults ({en})"

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.UNEXPECTED_STATEMENT)
    def _diagnostic_unexpected_statement_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> list[RenderedStringTemplateContent | CollapseContent]:
        found = result.result if result else {}
        if not found.get("unexpected_count"):
            return []
        template = {
            "template": "$wrong giá trị sai trên $all / $wrong wrong values of $all",
            "params": {"wrong": found["unexpected_count"], "all": found["element_count"]},
            "tag": "strong",
            "styling": {"classes": ["text-danger"]},
        }
        return [RenderedStringTemplateContent(content_block_type="string_template", string_template=template)]

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.UNEXPECTED_TABLE)
    def _diagnostic_unexpected_table_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> list[RenderedTableContent | CollapseContent] | None:
        rows = (result.result if result else {}).get("unexpected_index_list")
        if not rows:
            return None
        return [
            RenderedTableContent(
                content_block_type="table",
                table=[[row[key] or "" for key in ROW_KEYS] for row in rows],
                header_row=[*ROW_KEYS],
                styling={"body": {"classes": ["table-bordered", "table-sm", "mt-3"]}},
            )
        ]


class ExpectFieldToFollowDictionary(_Tallied):
    """Expect the values of a field to be there (where they must), of their form, in their code list, not too long."""


class ExpectLayoutToFitVisit(_Tallied):
    """Expect the layout of a claim to be the one for the day its visit ended."""


class ExpectDatesToBeInOrder(_Tallied):
    """Expect a date not to be before (or after) another one of the row, or of the claim's XML1."""


class ExpectListsToBeParallel(_Tallied):
    """Expect two `;` lists of a row to have as many items."""


class ExpectValueToBeThatOfClaim(_Tallied):
    """Expect what a paper repeats of the claim's XML1 to be the same there."""


class ExpectKeyToBeUnique(_Tallied):
    """Expect a key not to be repeated: a row number in a claim's table, a claim in a delivery."""


class ExpectResultToHaveItsOrder(_Tallied):
    """Expect each result to belong to a service that the claim has."""


class ExpectOrderToHaveItsResult(_Tallied):
    """Expect each paid test to have a result."""


class ExpectTableToBePresentWhereDemanded(_Tallied):
    """Expect the tables that XML1 demands to be in the claim, and XML1 to say what the tables demand."""


class ExpectTotalToBeSumOfLines(_Tallied):
    """Expect a total of XML1 to be the sum of the claim's lines, within the tolerance."""


CLASSES: tuple[type[_Tallied], ...] = (
    ExpectFieldToFollowDictionary,
    ExpectLayoutToFitVisit,
    ExpectDatesToBeInOrder,
    ExpectListsToBeParallel,
    ExpectValueToBeThatOfClaim,
    ExpectKeyToBeUnique,
    ExpectResultToHaveItsOrder,
    ExpectOrderToHaveItsResult,
    ExpectTableToBePresentWhereDemanded,
    ExpectTotalToBeSumOfLines,
)
"""Every class that an expectation of a suite may be of."""
