"""The page as hospital staff see it: in Chromium, opened from a folder, with no network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from claim_pipeline import respond


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "chromium is missing; scripts/install_test_packages.sh (run by make test) brings it"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Any]:
    """Opens the page of a report. In the end nothing but the page was asked for, and no script has failed."""
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    asked: list[str] = []
    failed: list[str] = []
    path = tmp_path / "report.html"

    def opened(report: dict[str, Any]) -> Page:
        path.write_text(respond.render_html(report), "utf-8")
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.on("dialog", lambda dialog: failed.append(dialog.message))
        page.goto(path.as_uri())
        return page

    yield opened
    context.close()
    assert set(asked) == {path.as_uri()}
    assert failed == []


def test_the_page_opens_without_a_network_and_speaks_two_languages(show: Any, appraised: dict[str, Any]):
    page = show(appraised)
    expect(page.get_by_role("heading", level=1)).to_have_text("Kết quả giám định lô gửi", use_inner_text=True)
    expect(page.get_by_text("2.499.600,50 đ")).to_be_visible()
    row = page.get_by_role("row", name="27001-2607-0002 XML2, dòng 1")
    expect(row).to_be_visible()
    expect(row).to_contain_text("Lời giải thích BEN-001", use_inner_text=True)
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Appraisal of a delivery", use_inner_text=True)
    expect(page.get_by_text("2,499,600.50 đ")).to_be_visible()
    expect(page.get_by_text("Explanation BEN-001").first).to_be_visible()
    expect(page.get_by_text("Lời giải thích BEN-001").first).to_be_hidden()
    page.get_by_role("button", name="Tiếng Việt").click()
    expect(page.get_by_text("2.499.600,50 đ")).to_be_visible()


def test_searching_needs_no_server_and_no_accents(show: Any, appraised: dict[str, Any]):
    appraised["claims"][1]["findings"] *= 20
    page = show(appraised)
    groups = page.locator("details")
    expect(groups).to_have_count(5)
    expect(page.get_by_text("Lời giải thích BEN-001").first).to_be_hidden()
    page.get_by_role("searchbox").fill("muc huong")
    expect(page.get_by_role("status")).to_have_text("40 dòng phù hợp")
    expect(page.locator("details:visible")).to_have_count(1)
    expect(page.get_by_text("Lời giải thích BEN-001").first).to_be_visible()
    page.get_by_role("searchbox").fill("")
    expect(page.locator("details:visible")).to_have_count(5)
    page.get_by_role("button", name="Mở tất cả").click()
    expect(page.locator("details[open]")).to_have_count(5)
    page.get_by_role("button", name="Thu gọn tất cả").click()
    expect(page.locator("details[open]")).to_have_count(0)


def test_paper_shows_every_group_open_and_no_buttons(show: Any, appraised: dict[str, Any]):
    appraised["claims"][1]["findings"] *= 20
    page = show(appraised)
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    expect(page.locator("details[open]")).to_have_count(5)
    expect(page.get_by_role("searchbox")).to_be_hidden()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    expect(page.locator("details[open]")).to_have_count(0)


def test_a_narrow_screen_scrolls_tables_and_not_the_page(show: Any, appraised: dict[str, Any]):
    page = show(appraised)
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


CONTRAST = """() => {
  const part = v => v / 255 <= .04045 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
  const light = c => { const [r, g, b] = c.map(part); return .2126 * r + .7152 * g + .0722 * b; };
  const rgb = s => s.match(/[\\d.]+/g).map(Number);
  const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
                          if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  const low = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.matches("script, style")) continue;
    const pair = [light(rgb(getComputedStyle(e).color).slice(0, 3)), light(ground(e))].sort((a, b) => b - a);
    const ratio = (pair[0] + .05) / (pair[1] + .05);
    if (ratio < 4.5) low.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)} ${e.textContent.slice(0, 30)}`);
  }
  return low; }"""


@pytest.mark.parametrize("kind", ["appraised", "quarantined"])
def test_every_text_stands_out_from_its_ground(show: Any, request: pytest.FixtureRequest, kind: str):
    """Contrast of 4.5 to 1 or more: WCAG 2.2, 1.4.3, level AA."""
    assert show(request.getfixturevalue(kind)).evaluate(CONTRAST) == []


def test_headings_tables_and_fields_are_named_for_those_who_listen(show: Any, appraised: dict[str, Any]):
    page = show(appraised)
    levels = [int(tag[1]) for tag in page.locator("h1, h2, h3").evaluate_all("all => all.map(e => e.tagName)")]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.locator("th:not([scope])").count() == 0
    assert page.get_by_role("searchbox").get_attribute("aria-label")
    assert page.locator("html").get_attribute("lang") == "vi"
