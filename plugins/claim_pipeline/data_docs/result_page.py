"""The page of one delivery, from Great Expectations' own result objects by its own renderers.

Its stock page loads seventeen files of other hosts, speaks English alone, writes keys of rows unescaped and has a table
for every column. So the result objects and the renderers of expectations and of tables are Great Expectations' own, and
the templates around them are ours: no script, one style sheet beside the pages, a table for each suite with what was
not met first.
"""

from __future__ import annotations

import html
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, FileSystemLoader, pass_context

from claim_pipeline import validate
from claim_pipeline.data_docs import words
from claim_pipeline.data_docs.entries import Entry
from claim_rules.expectations.tally import SAMPLE

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

from great_expectations.render.components import RenderedDocumentContent, RenderedSectionContent
from great_expectations.render.renderer.content_block.validation_results_table_content_block import (
    ValidationResultsTableContentBlockRenderer,
)
from great_expectations.render.view.view import DefaultJinjaPageView

TEMPLATE = "result_page.html"
_SPACE = re.compile(r"\s+")


class OfflineView(DefaultJinjaPageView):
    """Great Expectations' page view with our templates before its own."""

    _template = TEMPLATE

    def __init__(self) -> None:
        super().__init__()
        theirs = self.env.loader
        assert theirs is not None
        self.env.loader = ChoiceLoader([FileSystemLoader(Path(__file__).parent / "templates"), theirs])
        words.prepare(self.env)
        self.env.globals["sample"] = SAMPLE

    @pass_context
    def render_content_block(self, jinja_context: Any, content_block: Any, *args: Any, **kwargs: Any) -> Any:
        """As Great Expectations does, but text is text: it writes a cell as it comes, and MA_LK is a hospital's."""
        if isinstance(content_block, str):
            return html.escape(content_block)
        if isinstance(content_block, list):
            parts = (self.render_content_block(jinja_context, one, *args, **kwargs) for one in content_block)
            return "".join(map(str, parts))
        return super().render_content_block(jinja_context, content_block, *args, **kwargs)

    def render_styling(self, styling: Any) -> str:
        """Without styles of elements: the pages are served where only a style sheet of their own is allowed."""
        return str(super().render_styling({name: value for name, value in styling.items() if name != "styles"}))


@cache
def _view() -> OfflineView:
    return OfflineView()


def render(report: dict[str, Any], entry: Entry) -> str:
    """The page as HTML text. report: a validation.json."""
    sections = []
    for suite, result in zip(report["suites"], validate.results(report), strict=True):
        failed_first = sorted(result.results, key=lambda one: bool(one.success))
        table = ValidationResultsTableContentBlockRenderer.render(failed_first)
        sections.append(RenderedSectionContent(section_name=suite["name"], content_blocks=[table]))
    document = RenderedDocumentContent(
        sections=sections, renderer_type="ValidationResultsPageRenderer", page_title=f"#{entry.delivery}"
    )
    page: str = _view().render(document, entry=entry, report=report, up="../../")  # type: ignore[no-untyped-call]
    return _SPACE.sub(" ", page) + "\n"
