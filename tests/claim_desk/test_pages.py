"""The officers' page: who may see it, what it shows, and that it serves answers alone."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient

from claim_desk import pages
from claim_pipeline import audit
from claim_pipeline.data_docs import Entry, Site
from claim_pipeline.errors import OperatorError
from claim_pipeline.settings import settings
from claim_pipeline.store import RecentDelivery, Scope

SUMMARY = {
    "facility": "27001", "deliveries": 2, "repeats": 0, "answered": 1, "quarantined": 0, "claims": 1200, "lines": 9000,
    "accepted": 1000, "adjusted": 150, "rejected": 50, "referred": 0, "replaced": 0,
    "requested": "1234567.50", "approved": "1000000.00", "refused": "234567.50",
}  # fmt: skip


def delivery(
    number: int, *, facility: str = "27001", file: str = "thang7.zip", folder: str | None = None
) -> RecentDelivery:
    at = datetime(2026, 7, 15, 8, 30, tzinfo=ZoneInfo("Asia/Ho_Chi_Minh"))
    return RecentDelivery(
        id=number, facility=facility, file=file, received_at=at, status="answered" if folder else "appraised",
        repeat_of=None, claims=1200, accepted=1000, adjusted=150, rejected=50, referred=0,
        requested=Decimal("1234567.50"), approved=Decimal("1000000.00"), refused=Decimal("234567.50"),
        answer_folder=folder, answered_at=at if folder else None,
    )  # fmt: skip


class Deliveries:
    def __init__(self, *rows: RecentDelivery) -> None:
        self.rows = rows

    def recent(self, limit: int) -> list[RecentDelivery]:
        return list(self.rows[:limit])

    def validation_trend(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(facility="27001", month=month) for month in ("202606", "202607")]

    def summary(self) -> list[dict]:
        return [SUMMARY]

    def months(self, facility: str | None) -> list[dict]:
        return [{"facility": "27001", "month": "202607", "visits": 1234, "warnings": 2}]

    def reference(self, names: tuple[str, ...]) -> dict:
        return {}

    def delivery(self, number: int) -> RecentDelivery:
        for row in self.rows:
            if row.id == number:
                return row
        raise KeyError(number)


@pytest.fixture
def outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings(), "outbox", tmp_path / "outbox")
    folder = tmp_path / "outbox" / "27001" / "20260715-083000-aaaaaaaa"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<p>kết quả</p>", "utf-8")
    for outside in ("secret.txt", "report.html"):
        (tmp_path / outside).write_text("secret")
    return tmp_path / "outbox"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Deliveries:
    deliveries = Deliveries(
        delivery(3, folder="27001/20260715-083000-aaaaaaaa"),
        delivery(2, facility="01004", file="<img src=x onerror=alert(1)>.zip"),
        delivery(1, folder=".."),
    )
    monkeypatch.setattr(pages, "_store", lambda: deliveries)
    return deliveries


@pytest.fixture
def stranger() -> TestClient:
    """A client that nobody has signed in."""
    return TestClient(pages.app, follow_redirects=False)


@pytest.fixture
def officer(store: Deliveries, outbox: Path) -> TestClient:
    pages.app.dependency_overrides[pages.may_see] = lambda: SimpleNamespace(name="officer")
    yield TestClient(pages.app)
    pages.app.dependency_overrides.clear()


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/deliveries/3/report.html", "/deliveries/3/report.xlsx"),
        *("/statistics/", "/statistics/27001/202607.html"),
        *("/data-docs/", "/data-docs/index.html", "/data-docs/static/data-docs.css", "/deliveries/3/data-docs"),
    ],
)
def test_a_stranger_sees_nothing(stranger: TestClient, store: Deliveries, outbox: Path, path: str):
    assert stranger.get(path).status_code == 401
    shown = stranger.get(path, headers={"Accept": "text/html"})
    assert shown.status_code == 303
    assert shown.headers["location"].startswith("/auth/login?next=")
    assert "27001" not in shown.text


def test_a_user_without_the_right_is_refused(
    stranger: TestClient, store: Deliveries, outbox: Path, monkeypatch: pytest.MonkeyPatch
):
    async def somebody(*_: object) -> SimpleNamespace:
        return SimpleNamespace(name="somebody")

    def refused(*_: object) -> None:
        raise HTTPException(403, "Forbidden")

    monkeypatch.setattr(pages, "get_user", somebody)
    monkeypatch.setattr(pages, "requires_access_view", lambda view: refused)
    assert stranger.get("/").status_code == 403
    assert stranger.get("/deliveries/3/report.html").status_code == 403


def test_the_page_shows_each_facility_and_its_deliveries(officer: TestClient):
    page = officer.get("/").text
    assert 'lang="vi"' in page
    for shown in (
        "27001",
        "1.234.567,50",
        "1.000.000",
        "thang7.zip",
        "15/07/2026 08:30:00",
        "đã trả lời",
        "đã giám định",
    ):
        assert shown in page
    assert "/claims/deliveries/3/report.html" in page
    assert "/claims/deliveries/2/report.html" not in page  # not answered yet
    assert "/claims/deliveries/2/audit.html" in page
    assert page.index("/facilities/27001/202607/audit.html") < page.index("/facilities/27001/202606/audit.html")


def test_one_facility_can_be_looked_at_alone(officer: TestClient):
    page = officer.get("/", params={"facility": "27001"}).text
    assert "thang7.zip" in page
    assert "onerror" not in page


def test_a_file_name_cannot_write_into_the_page(officer: TestClient):
    page = officer.get("/").text
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.zip" in page
    assert "default-src 'none'" in officer.get("/").headers["content-security-policy"]


def test_the_report_is_served_apart_from_airflow(officer: TestClient):
    report = officer.get("/deliveries/3/report.html")
    assert report.status_code == 200
    assert "kết quả" in report.text
    assert report.headers["content-security-policy"].startswith("sandbox")
    assert report.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/deliveries/3/report.pdf",
        "/deliveries/3/..%2F..%2Fsecret.txt",
        "/deliveries/3/secret.txt",
        "/deliveries/3/report.json",  # not there
        "/deliveries/2/report.html",  # not answered
        "/deliveries/1/report.html",  # its folder leads out of the outbox
        "/deliveries/99/report.html",
    ],
)
def test_nothing_else_is_served(officer: TestClient, path: str):
    assert officer.get(path).status_code == 404


def test_a_link_out_of_the_outbox_is_not_followed(officer: TestClient, outbox: Path):
    (outbox / "27001" / "20260715-083000-aaaaaaaa" / "report.xlsx").symlink_to(outbox.parent / "secret.txt")
    assert officer.get("/deliveries/3/report.xlsx").status_code == 404


def test_statistics_are_listed_and_shown_apart_from_the_other_pages(officer: TestClient, monkeypatch):
    from claim_pipeline import statistics
    from claim_pipeline.errors import OperatorError

    def documents(store: object, facility: str, month: str, reference: dict, forms: tuple[str, ...]) -> SimpleNamespace:
        if month != "202607":
            raise OperatorError("no-statistics", "Chưa có thống kê", "there are none")
        return SimpleNamespace(content={f"statistics-{facility}-{month}.{forms[0]}": b"<p>thong ke</p>"})

    monkeypatch.setattr(statistics, "documents", documents)
    assert "/statistics/" in officer.get("/").text
    listed = officer.get("/statistics/").text
    assert "1.234" in listed
    assert "/claims/statistics/27001/202607.html" in listed
    shown = officer.get("/statistics/27001/202607.html")
    assert shown.text == "<p>thong ke</p>"
    assert "sandbox" in shown.headers["content-security-policy"]
    assert "attachment" in officer.get("/statistics/27001/202607.xlsx").headers["content-disposition"]
    assert officer.get("/statistics/27001/202601.html").status_code == 404
    assert officer.get("/statistics/27001/202607.py").status_code == 404


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data Docs with one delivery in them."""
    monkeypatch.setattr(settings(), "data_docs", tmp_path / "data-docs")
    entry = Entry(
        delivery=3, facility="27001", month="202607", received_at="2026-08-03T08:30:00+07:00", sha256="ab" * 32,
        format="xml-3176", answer=None, read=1, checked=1, months={"202607": 1}, suites=1, rows=1, expectations=2,
        failing=0, unexpected=0, causes=[],
    )  # fmt: skip
    Site(tmp_path / "data-docs").add([(entry, "<p>trang của lô 3</p>")], "202608")
    return tmp_path / "data-docs"


def test_data_docs_are_served_and_may_load_their_style_sheet_alone(officer: TestClient, docs: Path):
    assert "/claims/data-docs/index.html" in officer.get("/").text
    for path in ("/data-docs/", "/data-docs/index.html", "/data-docs/202607/27001/index.html"):
        page = officer.get(path)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
        assert policy.pop("frame-ancestors") == policy.pop("style-src") == "'self'"
        assert policy.pop("img-src") == "data:"
        assert set(policy.values()) == {"'none'"}
        assert "script-src" not in policy
    style = officer.get("/data-docs/static/data-docs.css")
    assert style.headers["content-type"].startswith("text/css")
    assert style.text.endswith(".desk { display: inline; }\n")
    assert "trang của lô 3" in officer.get("/data-docs/202607/27001/3.html").text
    to_it = officer.get("/deliveries/3/data-docs", follow_redirects=False)
    assert to_it.headers["location"] == "/claims/data-docs/202607/27001/3.html"
    assert officer.get("/deliveries/2/data-docs").status_code == 404


@pytest.mark.parametrize(
    "name",
    [
        *("months.json", "202607/27001/entries.jsonl", "..%2Fsecret.txt", "%2E%2E/report.html", "%2Fetc%2Fpasswd"),
        *("202607/..%2F..%2Freport.html", ".lock", "202607", "202607/27001/4.html", "a%00.html"),
    ],
)
def test_nothing_else_of_data_docs_is_served(officer: TestClient, docs: Path, name: str):
    assert officer.get(f"/data-docs/{name}").status_code == 404


def test_before_any_check_the_page_says_so(officer: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(settings(), "data_docs", tmp_path / "none")
    page = officer.get("/data-docs/index.html")
    assert page.status_code == 404
    assert "Chưa có kết quả kiểm tra nào" in page.text


def test_the_audit_report_is_made_for_who_asks_and_served_apart_from_airflow(
    officer: TestClient, monkeypatch: pytest.MonkeyPatch
):
    asked = []

    def made(store: object, scope: Scope, viewer: audit.Viewer) -> dict:
        asked.append((scope, viewer))
        if scope.delivery == 99:
            raise OperatorError("no-delivery", "Không có lô gửi số 99", "there is no delivery 99")
        return {"scope": {"kind": "facility-month", "MA_CSKCB": "27001", "month": "202607"}}

    monkeypatch.setattr(audit, "of", made)
    monkeypatch.setattr(audit, "write", lambda store, report, form, path: path.write_text(f"báo cáo {form}"))
    pages.app.dependency_overrides[pages.may_see] = lambda: SimpleNamespace(get_name=lambda: "auditor")
    page = officer.get("/facilities/27001/202607/audit.html")
    assert page.text == "báo cáo html"
    assert page.headers["content-security-policy"].startswith("sandbox")
    assert page.headers["cache-control"] == "no-store"
    book = officer.get("/deliveries/3/audit.xlsx")
    assert book.headers["content-disposition"] == 'attachment; filename="audit-27001-202607.xlsx"'
    assert asked == [
        (Scope(facility="27001", month="202607"), audit.Viewer("auditor")),  # without a role: masked
        (Scope(delivery=3), audit.Viewer("auditor")),
    ]
    for path in ("/deliveries/99/audit.html", "/deliveries/3/audit.pdf", "/facilities/27001/2026-7/audit.html"):
        assert officer.get(path).status_code == 404
