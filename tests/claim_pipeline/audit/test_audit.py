"""The auditor's report over recorded deliveries: its numbers, its forms, and personal data in none of them."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openpyxl
import pandas as pd
import pytest
from playwright.sync_api import expect, sync_playwright
from typer.testing import CliRunner

from claim_pipeline import audit, steps
from claim_pipeline.errors import OperatorError
from claim_pipeline.settings import settings
from claim_pipeline.statistics.judging import as_drift, as_row
from claim_pipeline.store import Scope
from claim_rules.catalogue import masked_fields
from claim_rules.statistics import words
from claim_rules.statistics.drift import Drift
from claim_simulator import simulate
from giamdinh import app

FACILITY = "27001"
MONTH = Scope(facility=FACILITY, month="202607")
AUDITOR = audit.Viewer("auditor")


def forget() -> None:
    settings.cache_clear()
    for cached in (steps._store, steps._archive, steps._reference):
        cached.cache_clear()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, make_url: Any) -> Iterator[Path]:
    """A home in which two months of one facility, with planted faults, and a file that is no delivery are recorded.

    Among the faults of this seed are cards that the register does not know or that are another's: personal values.
    """
    home = tmp_path_factory.mktemp("audited")
    (home / "inbox" / FACILITY).mkdir(parents=True)
    for month, seed, files in (("202606", 11, 1), ("202607", 20, 2)):
        simulate(facilities=1, claims=60, month=month, fault_rate=0.5, seed=seed, out=home / month)
        for path in sorted((home / month / "inbox" / FACILITY).iterdir())[:files]:
            path.rename(home / "inbox" / FACILITY / f"{month}-{path.name}")
    (home / "inbox" / FACILITY / "anh.xml").write_text("not a delivery")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("GIAMDINH_HOME", str(home))
        patched.setenv("GIAMDINH_DATABASE_URL", make_url())
        patched.setenv("GIAMDINH_SETTLE_SECONDS", "0")
        forget()
        steps.load_reference_folder("test", home / "202607" / "reference")
        assert steps.run_all("the runner")["failed"] == 0
        yield home
        forget()


@pytest.fixture
def store(place: Path) -> Any:
    return steps._store()


@pytest.fixture(scope="module")
def personal(place: Path) -> set[str]:
    """Every personal value that the facility sent, as far as it is long enough to be told from other text."""
    values: set[str] = set()
    for path in place.glob("work/*/XML*.parquet"):
        frame = pd.read_parquet(path)
        for name in masked_fields().intersection(frame.columns):
            values.update(part for text in frame[name].dropna().unique() for part in text.split(";") if len(part) > 7)
    cards = pd.read_csv(place / "202607" / "reference" / "cards.csv", dtype=str)
    values |= set(cards["HO_TEN"]) | set(cards["MA_THE_BHYT"])
    assert len(values) > 200
    return values


def sums(place: Path, deliveries: set[int]) -> SimpleNamespace:
    """What validation.json of the working folders and report.json of the newest answers say themselves."""
    found = SimpleNamespace(unexpected=0, evaluated=0, rows=0, findings=Counter(), refused=Decimal(0), claims=0)
    for delivery in deliveries:
        folder = place / "work" / str(delivery)
        if (folder / "validation.json").exists():
            for suite in json.loads((folder / "validation.json").read_text("utf-8"))["suites"]:
                found.rows += suite["rows"]
                found.unexpected += sum(one["unexpected"] for one in suite["expectations"])
                found.evaluated += sum(one["evaluated"] for one in suite["expectations"])
        answer = place / "outbox" / steps._store().answer_folder(delivery)
        report = json.loads((answer / "report.json").read_text("utf-8"))
        every = [*report["findings"], *(one for claim in report["claims"] for one in claim["findings"])]
        found.findings.update((one["rule"], one["table"], one["field"]) for one in every)
        found.refused += Decimal(report["totals"]["refused"])
        found.claims += report["totals"]["claims"]
    return found


def test_the_numbers_of_a_delivery_are_those_of_its_files(store: Any, place: Path):
    for run in store.validation_runs():
        report = audit.of(store, Scope(delivery=run.delivery), AUDITOR)
        own = sums(place, {run.delivery})
        assert sum(one["unexpected"] for one in report["suites"]) == own.unexpected == run.unexpected
        assert sum(one["unexpected"] for one in report["not_met"]) == own.unexpected
        assert sum(one["evaluated"] for one in report["suites"]) == own.evaluated
        assert sum(one["rows"] for one in report["suites"]) == own.rows
        causes = {(one["rule"], one["table"], one["field"]): one["findings"] for one in report["causes"]}
        assert causes == dict(own.findings)
        assert report["totals"]["findings"] == own.findings.total() == len(list(audit.findings(store, report)))
        assert (report["totals"]["claims"], Decimal(report["totals"]["refused"])) == (own.claims, own.refused)
        (delivery,) = report["deliveries"]
        assert delivery["validation"]["ran_by"] == delivery["moves"][1]["actor"] == "the runner"
        # a claim that came later may have had it appraised again
        assert [one["status"] for one in delivery["moves"]][: len(steps.STATUS)] == list(steps.STATUS.values())
        assert delivery["appraisal"]["reference"]["drugs"]["sha256"]
        assert all(re.fullmatch("[0-9a-f]{64}", delivery[name]) for name in ("sha256", "submission_sha256"))
        assert {one["version"] for one in report["suites"]} == {
            one["version"] for one in store.validation_record(run.delivery)["suites"]
        }


def test_a_month_holds_every_claim_once_and_tells_of_what_was_not_taken(store: Any, place: Path):
    months = [audit.of(store, Scope(facility=FACILITY, month=month), AUDITOR) for month in ("202606", "202607")]
    summary = store.summary()[0]
    for name in ("claims", "lines", "accepted", "adjusted", "rejected", "referred"):
        assert sum(one["totals"][name] for one in months) == summary[name]
    for name in ("requested", "approved", "refused"):
        assert sum(Decimal(one["totals"][name]) for one in months) == Decimal(summary[name])
    june, july = months
    assert [one["month"] for one in july["trend"]] == ["202606", "202607"]
    assert [one["month"] for one in june["trend"]] == ["202606"]
    runs = {one.delivery for one in store.validation_runs(FACILITY, "202607")}
    assert july["trend"][-1]["unexpected"] == sums(place, runs).unexpected > 0
    counts = [one["findings"] for one in july["causes"]]
    assert counts == sorted(counts, reverse=True)
    (refused,) = (one for one in store.recent() if one.status == "quarantined")
    month = f"{refused.received_at:%Y%m}"
    told = audit.of(store, Scope(facility=FACILITY, month=month), AUDITOR)
    assert [one["status"] for one in told["deliveries"]] == ["quarantined"]
    assert "không được tiếp nhận" in audit.render_html(store, told)
    with pytest.raises(OperatorError, match="nothing-recorded"):
        audit.of(store, Scope(facility=FACILITY, month="202001"), AUDITOR)
    with pytest.raises(OperatorError, match="no-delivery"):
        audit.of(store, Scope(delivery=999), AUDITOR)


def cells(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    book = openpyxl.load_workbook(path, read_only=True)
    return {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in book}


def test_no_form_of_the_report_holds_a_personal_value(place: Path, store: Any, personal: set[str], tmp_path: Path):
    report = audit.of(store, MONTH, AUDITOR)
    assert any(one["field"] in masked_fields() and one["observed"] for one in audit.findings(store, report))
    texts = []
    for form in audit.FORMS:
        path = tmp_path / audit.file_name(report, form)
        audit.write(store, report, form, path)
        texts.append(repr(cells(path)) if form == "xlsx" else path.read_text("utf-8"))
    for text in texts:
        assert [value for value in personal if value in text] == []
    assert {path.name for path in tmp_path.iterdir()} == {f"audit-27001-202607.{form}" for form in audit.FORMS}


def test_the_workbook_and_the_json_hold_every_finding_and_a_page_says_what_it_leaves_out(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    report = audit.of(store, MONTH, AUDITOR)
    for form in audit.FORMS:
        audit.write(store, report, form, tmp_path / f"a.{form}")
    told = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert {**told, "findings": None} == {**json.loads(json.dumps(report)), "findings": None}
    every = told["findings"]
    assert len(every) == report["totals"]["findings"]
    assert Counter(one["cause"] for one in every) == {one["number"]: one["findings"] for one in report["causes"]}
    sheets = cells(tmp_path / "a.xlsx")
    assert [row[3] for row in sheets["Lỗi"][1:]] == [one["MA_LK"] for one in every]
    assert [row[12] for row in sheets["Lỗi"][1:]] == [one["message_vi"] for one in every]
    assert len(sheets["Nguyên nhân"]) == 1 + len(report["causes"])
    assert [row[2] for row in sheets["Lô gửi"][1:]] == [one["sha256"] for one in report["deliveries"]]
    monkeypatch.setattr(audit, "ROWS_OF_CAUSE", 20)
    monkeypatch.setattr(audit, "ROWS", 20)
    first = report["causes"][0]
    assert first["findings"] > 20
    page = audit.render_html(store, report)
    assert f"Trang này hiện 20 dòng đầu trong {first['findings']}; tệp xlsx và JSON có đủ." in page


def test_a_month_shows_the_statistical_warnings_as_last_judged(store: Any, tmp_path: Path):
    risen = Drift(
        "STAT-001", "price", "", "DON_GIA", "past", 40, 1.31, 1.02, 1.284, chance=0.001, grade="high",
        past=(("202604", 1.0), ("202605", 1.02), ("202606", 1.03)),
    )  # fmt: skip
    busy = Drift(
        "STAT-002", "doctor", "000001/BN-GPHN 20260701", "NGAY_YL", "limit", 90, 90.0, 65.0, 90 / 65, grade="low",
        days=(("20260701", 90), ("20260702", 40)),
    )  # fmt: skip
    before = store.drifts(FACILITY, "202607")
    store.save_drifts(FACILITY, "202607", [as_row(risen), as_row(busy)])
    try:
        assert [as_drift(row) for row in store.drifts(FACILITY, "202607")] == [risen, busy]
        report = audit.of(store, MONTH, AUDITOR)
        for form in audit.FORMS:
            audit.write(store, report, form, tmp_path / f"a.{form}")
        delivery = audit.of(store, Scope(delivery=report["deliveries"][0]["delivery"]), AUDITOR)
    finally:
        store.save_drifts(FACILITY, "202607", [{k: v for k, v in row.items() if k in as_row(risen)} for row in before])
    told = json.loads((tmp_path / "a.json").read_text("utf-8"))["warnings"]
    assert [(one["rule"], one["message_vi"]) for one in told] == [
        (one.rule, words.message(one)[0]) for one in (risen, busy)
    ]
    rows = cells(tmp_path / "a.xlsx")["Cảnh báo thống kê"][1:]
    assert [(row[0], row[6]) for row in rows] == [(one["rule"], one["message_vi"]) for one in told]
    page = (tmp_path / "a.html").read_text("utf-8")
    section = page[page.index('id="warnings"') : page.index('id="checked"')]
    assert section.count("<svg") == 4
    assert all(one["message_en"] in html.unescape(section) for one in told)
    assert (delivery["warnings"], 'id="warnings"' in audit.render_html(store, delivery)) == ([], False)


def test_text_of_a_hospital_stays_text(store: Any, tmp_path: Path):
    from claim_pipeline.audit.page import render
    from claim_pipeline.audit.sheets import render as render_xlsx

    report = audit.of(store, MONTH, AUDITOR)
    report["deliveries"][0]["file"] = '=HYPERLINK("http://x")<img src=x onerror=alert(1)>'
    odd = next(audit.findings(store, report)) | {"MA_LK": "@SUM(A1)", "observed": "<script>alert(1)</script>"}
    render_xlsx(report, [odd], tmp_path / "a.xlsx")
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    assert {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row} <= {"s", "n"}
    page = render(report, iter([odd]))
    assert "<img" not in page
    assert "<script>alert" not in page


def test_personal_data_are_shown_to_the_role_alone_with_a_reason_and_it_is_written_down(
    place: Path, store: Any, personal: set[str], monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(audit.NotAllowed, match="not-allowed"):
        audit.of(store, MONTH, AUDITOR, unmask=True, reason="thanh tra")
    inspector = audit.Viewer("inspector", frozenset({audit.PERSONAL_DATA}))
    with pytest.raises(audit.NotAllowed, match="no-reason"):
        audit.of(store, MONTH, inspector, unmask=True, reason="  ")
    assert store.accesses() == []

    report = audit.of(store, MONTH, inspector, unmask=True, reason="thanh tra số 12")
    shown = [one for one in audit.findings(store, report) if one["field"] in masked_fields() and one["observed"]]
    masked = list(audit.findings(store, audit.of(store, MONTH, AUDITOR)))
    assert shown
    assert all("*" not in one["observed"] for one in shown)
    assert any(part in personal for one in shown for part in one["observed"].split(";"))
    assert len(masked) == report["totals"]["findings"]
    assert "KHÔNG che" in audit.render_html(store, report)
    (access,) = store.accesses()
    assert (access.who, access.role, access.reason) == ("inspector", audit.PERSONAL_DATA, "thanh tra số 12")
    assert (access.facility, access.month, access.delivery) == (FACILITY, "202607", None)

    # the working folder may be gone: the values are read from the archive again
    monkeypatch.setenv("USER", "root")  # which user that is says the system, not the environment
    shutil.rmtree(place / "work" / str(shown[0]["delivery"]))
    again = audit.of(store, Scope(delivery=shown[0]["delivery"]), inspector, unmask=True, reason="lần nữa")
    assert [one["observed"] for one in audit.findings(store, again) if one["field"] == shown[0]["field"]]
    assert len(store.accesses()) == 2


def test_the_commands(place: Path, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def command(*arguments: str) -> Any:
        return CliRunner().invoke(app, list(arguments))

    month = ("--facility", FACILITY, "--month", "202607")
    done = command("audit", *month, "--out", str(tmp_path / "o"), "--format", "html", "--format", "xlsx")
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"audit-27001-202607.html", "audit-27001-202607.xlsx"}
    assert json.loads(command("audit", *month, "--format", "json").stdout)["schema"] == "giamdinh.audit/1"
    assert command("audit", "--facility", FACILITY).exit_code == 2
    assert command("audit", *month, "--format", "xlsx").exit_code == 2
    assert command("audit", "--delivery", "999").exit_code == 2
    known = len(store.accesses())
    assert command("audit", *month, "--unmask", "--reason", "x", "--format", "json").exit_code == 2
    assert len(store.accesses()) == known
    monkeypatch.setenv("GIAMDINH_UNMASK_USERS", f"somebody, {audit.system_viewer().name}")
    settings.cache_clear()
    unmasked = command("audit", *month, "--unmask", "--reason", "x", "--format", "json")
    assert json.loads(unmasked.stdout)["masked"] is False
    assert len(store.accesses()) == known + 1

    told = json.loads(command("validation", *month, "--format", "json").stdout)
    assert {one["table"] for one in told["not_met"]} > {"XML1"}
    narrow = json.loads(command("validation", *month, "--table", "XML1", "--format", "json").stdout)
    assert {one["table"] for one in narrow["not_met"]} == {"XML1"}
    assert [one["month"] for one in narrow["trend"]] == ["202606", "202607"]
    listed = command("validation", *month).stdout
    assert "Kỳ vọng không đạt" in listed
    assert "07/2026" in listed


def test_in_a_browser_without_a_network(store: Any, tmp_path: Path):
    path = tmp_path / "audit.html"
    path.write_text(audit.render_html(store, audit.of(store, MONTH, AUDITOR)), "utf-8")
    asked: list[str] = []
    said: list[str] = []
    chromium = shutil.which("chromium")
    assert chromium
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}).new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path.as_uri())
        expect(page.get_by_role("heading", level=1)).to_have_text("Báo cáo kiểm toán", use_inner_text=True)
        picture = page.get_by_role("img", name="Xu hướng theo tháng", exact=True)
        expect(picture).to_be_visible()
        # text that can be read, searched and copied
        written = picture.evaluate("svg => [...svg.querySelectorAll('text')].map(e => e.textContent.trim())")
        assert {"06/2026", "07/2026"} <= set(written)
        assert page.locator("table:not(:has(caption))").count() == 0
        assert page.locator("th:not([scope])").count() == 0
        ids = page.locator("[id]").evaluate_all("all => all.map(e => e.id)")
        assert len(ids) == len(set(ids))
        # from a cause to its rows
        second = page.locator("#causes ~ * a[href='#cause-2']").first
        expect(page.locator("#cause-2 tbody")).to_be_hidden()
        second.click()
        expect(page.locator("#cause-2 tbody")).to_be_visible()
        page.get_by_role("button", name="English").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Audit report", use_inner_text=True)
        expect(page.get_by_role("img", name="Trend over months", exact=True)).to_be_visible()
        expect(picture).to_be_hidden()
        page.set_viewport_size({"width": 360, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.emulate_media(media="print")
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not([open])").count() == 0
        browser.close()
    assert {url.split("#")[0] for url in asked} == {path.as_uri()}
    assert said == []
