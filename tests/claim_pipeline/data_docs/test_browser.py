"""Data Docs as an auditor sees them: in Chromium, from a folder, with no network."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from great_expectations.render.view import DefaultJinjaPageView
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from claim_pipeline.data_docs import Site, entry_of
from claim_pipeline.data_docs.result_page import render

ELSEWHERE = re.compile(
    r"""(?:src|href|action|srcset|data|poster)\s*=\s*["']?\s*(?:[a-z]+:)?//|url\(|@import|<script""", re.I
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "chromium is missing; scripts/install_test_packages.sh (run by make test) brings it"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def site(tmp_path: Path, report: dict[str, Any], received: datetime) -> Path:
    """Two facilities in July; delivery 1 of 27001 was really validated."""
    real = entry_of(report, 1, "27001", received, "27001/20260803-083000-abababab")
    nothing = report | {"engine": None, "suites": [], "claims": {"read": 1, "checked": 0, "months": {}}}
    empty = entry_of(nothing, 2, "01004", received)
    Site(tmp_path).add([(real, render(report, real)), (empty, render(nothing, empty))], "202608")
    return tmp_path


@pytest.fixture
def context(browser: Browser, site: Path) -> Iterator[BrowserContext]:
    """With no network. In the end nothing but files of the folder was asked for, and nothing has failed."""
    opened = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    asked: list[str] = []
    failed: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("requestfailed", lambda request: failed.append(request.url))
    opened.on("console", lambda message: failed.append(message.text))
    opened.on("dialog", lambda dialog: failed.append(dialog.message))
    opened.on("weberror", lambda error: failed.append(str(error.error)))
    yield opened
    opened.close()
    assert asked
    assert not [url for url in asked if not url.startswith((site.as_uri(), "data:,"))]
    assert failed == []


def text_of(page: Page, field: str) -> str:
    rows = page.locator("table.results > tbody > tr", has=page.locator(f".badge:text-is('{field}')"))
    return rows.first.inner_text()


def test_from_the_months_to_the_rows_without_a_network(context: BrowserContext, site: Path):
    page = context.new_page()
    page.goto((site / "index.html").as_uri())
    expect(page.get_by_role("heading", level=1)).to_contain_text("Kết quả kiểm tra dữ liệu hồ sơ BHYT")
    page.get_by_role("link", name="07/2026").click()
    expect(page.get_by_role("row", name="27001")).to_contain_text("1")
    page.get_by_role("link", name="27001").click()
    row = page.get_by_role("row", name="#1")
    expect(row).to_contain_text("Không đạt not met")
    expect(row).to_contain_text("XML2.DON_VI_TINH: 3")
    page.get_by_role("link", name="#1").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Kiểm tra dữ liệu của lô gửi #1")
    expect(page.get_by_text("27001/20260803-083000-abababab")).to_be_visible()
    expect(page.get_by_text("Báo cáo giám định")).to_be_hidden()  # the way there is the desk's
    expect(page.locator("code", has_text="ab" * 32)).to_be_visible()
    page.get_by_role("link", name="Mọi tháng").click()
    page.get_by_role("link", name="08/2026").click()
    page.get_by_role("link", name="01004").click()
    expect(page.get_by_role("row", name="#2")).to_contain_text("Không có gì để kiểm tra nothing to check")


def test_three_expectations_in_both_languages_and_the_rows_that_failed(context: BrowserContext, site: Path, nasty: str):
    page = context.new_page()
    page.goto((site / "202607" / "27001" / "1.html").as_uri())
    quantity = text_of(page, "SO_LUONG")
    assert "SO_LUONG: bắt buộc, số, tối đa 3 số lẻ, tối đa 10 ký tự / required, number, at most 3 decimals" in quantity
    assert "1 giá trị sai trên" in quantity
    assert "1 lỗi (sai định dạng: 1) / faults (wrong form: 1)" in quantity
    assert nasty in quantity  # a key is text, whatever it says
    unit = text_of(page, "DON_VI_TINH")
    assert "3 lỗi (để trống: 3) / faults (empty: 3)" in unit
    assert "(hồ sơ thứ " in unit  # of the row whose MA_LK is empty
    assert "3 dòng sai rows" in unit
    page.get_by_role("checkbox").uncheck()
    page.locator("#s1 > summary").click()
    claims = page.locator("#s1")
    expect(claims).to_contain_text("MA_LK: không lặp lại / not repeated DUP-001")
    page.locator("details", has=page.get_by_role("heading", name="XML4")).locator("summary").first.click()
    orders = page.locator("tr", has_text="có trong XML3.MA_DICH_VU của hồ sơ").first
    expect(orders).to_contain_text("stands in XML3.MA_DICH_VU of the claim")
    expect(orders).to_contain_text("✓ Đạt met")
    expect(orders).to_contain_text("không có lỗi / no fault")


def test_what_was_met_is_folded_away_until_asked_for(context: BrowserContext, site: Path):
    page = context.new_page()
    page.goto((site / "202607" / "27001" / "1.html").as_uri())
    failed = page.locator("details.failed > .wide tr:visible", has_text="Không đạt")
    met = page.locator("details.failed > .wide tr:visible", has_text="✓ Đạt")
    expect(failed).to_have_count(3)
    expect(met).to_have_count(0)
    page.get_by_role("checkbox").uncheck()
    expect(met).to_have_count(40)
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_no_page_names_anything_elsewhere_nor_a_person(site: Path, report: dict[str, Any]):
    pages = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    assert len(pages) == 8
    for path in pages:
        text = path.read_text("utf-8")
        assert not ELSEWHERE.search(text), path.name
        assert "http" not in text, path.name
        assert "style=" not in text, path.name  # the desk lets pages have no style but that of the sheet
    stock = DefaultJinjaPageView()
    assert ELSEWHERE.search(stock.env.loader.get_source(stock.env, "page.j2")[0])  # what the pattern is there for


CONTRAST = """() => {
  const part = v => v / 255 <= .04045 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
  const light = c => { const [r, g, b] = c.map(part); return .2126 * r + .7152 * g + .0722 * b; };
  const rgb = s => s.match(/[\\d.]+/g).map(Number);
  const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
                          if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  const low = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility()) continue;
    const pair = [light(rgb(getComputedStyle(e).color).slice(0, 3)), light(ground(e))].sort((a, b) => b - a);
    const ratio = (pair[0] + .05) / (pair[1] + .05);
    if (ratio < 4.5) low.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)} ${e.textContent.slice(0, 30)}`);
  }
  return low; }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(context: BrowserContext, site: Path, scheme: Any):
    page = context.new_page()
    page.emulate_media(color_scheme=scheme)
    for name in ("index.html", "202607/27001/index.html", "202607/27001/1.html"):
        page.goto((site / name).as_uri())
        assert page.evaluate(CONTRAST) == [], name
