"""The expectations of claim_rules as Great Expectations classes; only a running `validate` step loads this module."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
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
)
from great_expectations.render.renderer.renderer import renderer
from great_expectations.render.renderer_configuration import RendererConfiguration, RendererValueType

from claim_rules.expectations import CLAIMS, KINDS, VERSION_EXPECTATION, Expectation, Layout, check_table, columns_of
from claim_rules.expectations import expectations as expectations_of

METRIC = "table.dictionary_faults"
EXPECTATION = "expect_field_to_follow_dictionary"
_KWARGS = ("batch_id", "column", "layout", "text_vi", "text_en")

KIND_NAMES = {
    "missing": ("để trống", "empty"),
    "code": ("ngoài danh mục", "not in the code list"),
    "syntax": ("sai định dạng", "wrong form"),
    "decimals": ("thừa số lẻ", "too many decimals"),
    "negative": ("số âm", "negative"),
    "length": ("quá dài", "too long"),
    "newborn": ("thiếu giờ sinh", "time of birth missing"),
    "key": ("khác mã liên kết", "other claim key"),
    "version": ("sai phiên bản", "wrong layout"),
}
"""What a kind of fault is called, in Vietnamese and English."""


def expectations_named(name: str) -> tuple[Expectation, ...]:
    """The expectations of a suite by its name: `<table>/<decision>/<period>`, or CLAIMS."""
    if name == CLAIMS:
        return (VERSION_EXPECTATION,)
    table, decision, period = name.split("/")
    return expectations_of(table, Layout(decision, int(period)))


class DictionaryFaults(TableMetricProvider):
    """The faults of all fields of a claim table, found in one pass. Every expectation of a suite asks for this same
    metric, and Great Expectations computes it once per batch."""

    metric_name = METRIC
    value_keys = ("layout",)

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(  # type: ignore[no-untyped-def]
        cls, execution_engine, metric_domain_kwargs, metric_value_kwargs, metrics, runtime_configuration
    ):
        frame, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE)
        return check_table(columns_of(frame), expectations_named(metric_value_kwargs["layout"]))


class ExpectFieldToFollowDictionary(BatchExpectation):
    """Expect the values of a field to be there, of their form, in their code list and not too long.

    The result names no values: `faults` holds the positions of the rows and the kind of each fault.
    """

    column: str
    layout: str
    text_vi: str = ""
    text_en: str = ""

    metric_dependencies: ClassVar[tuple[str, ...]] = (METRIC,)
    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id", "column")
    success_keys: ClassVar[tuple[str, ...]] = ("layout", "text_vi", "text_en")
    args_keys: ClassVar[tuple[str, ...]] = ("column", "layout")

    @property
    def configuration(self) -> ExpectationConfiguration:
        # The library asks for it some thirty times per validation, and builds it anew out of all its fields.
        return ExpectationConfiguration(
            type=EXPECTATION,
            kwargs={name: value for name in _KWARGS if (value := getattr(self, name)) is not None},
            meta=self.meta,
        )

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        faults = metrics[METRIC][self.column]
        count = len(faults.rows)
        kinds, counts = np.unique(faults.kinds, return_counts=True)
        return {
            "success": count == 0,
            "result": {
                "element_count": faults.evaluated,
                "unexpected_count": count,
                "unexpected_percent": 100 * count / faults.evaluated if faults.evaluated else 0.0,
                "details": {KINDS[kind]: int(number) for kind, number in zip(kinds, counts, strict=True)},
                "faults": {"rows": faults.rows, "kinds": faults.kinds},
            },
        }

    @classmethod
    def _prescriptive_template(cls, renderer_configuration: RendererConfiguration[Any]) -> RendererConfiguration[Any]:
        for name in ("column", "text_vi", "text_en"):
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
        template = {
            "template": "$column: $text_vi / $text_en" if named else "$text_vi / $text_en",
            "params": {name: given.get(name, "") for name in ("column", "text_vi", "text_en")},
            "styling": settings.get("styling", {}),
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
