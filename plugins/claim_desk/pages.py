"""The officers' first page: what each facility sent lately, where it stands, what came of it, and the reports."""

from __future__ import annotations

import re
import tempfile
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user, requires_access_view
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from fastapi.security import HTTPAuthorizationCredentials
from jinja2 import Environment, FileSystemLoader

from claim_desk import URL_PREFIX
from claim_pipeline.data_docs import Site
from claim_pipeline.errors import OperatorError
from claim_pipeline.settings import settings
from claim_pipeline.store import Scope, open_store

SHOWN = 200  # deliveries on the page, newest first
STATUSES = {
    "received": "đã nhận",
    "extracted": "đã đọc",
    "transformed": "đã lập XML",
    "validated": "đã kiểm tra",
    "appraised": "đã giám định",
    "recorded": "đã ghi",
    "answered": "đã trả lời",
    "quarantined": "cách ly",
    "failed": "lỗi hệ thống",
}
ANSWERS = {
    "report.html": "text/html; charset=utf-8",
    "report.xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "report.json": "application/json",
    "submission.xml": "application/xml",
    "receipt.json": "application/json",
}
STATISTICS = {form: ANSWERS[f"report.{form}"] for form in ("html", "xlsx", "json")}
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'self'",
}
# A report is shown apart from Airflow's own pages: what came from a hospital can never act as the officer.
REPORT_HEADERS = HEADERS | {"Content-Security-Policy": "sandbox allow-scripts; default-src 'none'; "
                            "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"}  # fmt: skip

# Made here and loading nothing but their style sheet; text of hospitals on them can never act.
DOCS_HEADERS = HEADERS | {"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; "
                          "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"}  # fmt: skip


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}".replace(",", ".")


def _money(value: Decimal | str | None) -> str:
    """Amounts as Vietnamese readers write them: 1.234.567,50; without ,00."""
    if value is None:
        return "–"
    whole, _, cents = f"{Decimal(value):,.2f}".partition(".")
    return whole.replace(",", ".") + ("" if cents == "00" else f",{cents}")


def _time(value: datetime | None) -> str:
    return "–" if value is None else value.strftime("%d/%m/%Y %H:%M:%S")


def _environment() -> Environment:
    made = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)
    made.filters |= {"count": _count, "money": _money, "time": _time}
    made.globals |= {"prefix": URL_PREFIX, "statuses": STATUSES}
    return made


TEMPLATES = _environment()


@cache
def _store() -> Any:
    return open_store()


async def signed_in(
    request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer_scheme)]
) -> Any:
    """Airflow's user, by cookie or token; a browser without either is sent to the sign-in page, others get 401."""
    try:
        return await get_user(request, None, bearer)
    except HTTPException as error:
        if error.status_code in (401, 403) and "text/html" in request.headers.get("accept", ""):
            raise HTTPException(303, headers={"Location": f"/auth/login?next={request.url.path}"}) from error
        raise


async def may_see(request: Request, user: Annotated[Any, Depends(signed_in)]) -> Any:
    """The user, if allowed to see the pages of plugins (what shows the page in Airflow's navigation too)."""
    requires_access_view(AccessView.PLUGINS)(request, user)
    return user


# Every route of the application asks who is there: none can be added that forgets to.
app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(may_see)])


@app.get("/", response_class=HTMLResponse)
def overview(facility: str = "") -> HTMLResponse:
    """Totals per facility and the newest deliveries, of one facility if asked for."""
    deliveries = _store().recent(SHOWN)
    page = TEMPLATES.get_template("overview.html").render(
        facilities=_store().summary(),
        deliveries=[one for one in deliveries if facility in ("", one.facility)],
        facility=facility,
        shown=SHOWN,
        months=_months(),
    )
    return HTMLResponse(page, headers=HEADERS)


@app.get("/deliveries/{delivery}/data-docs")
def data_docs_of(delivery: int) -> RedirectResponse:
    """The page of Data Docs on one delivery. (Above the route of answers, whose pattern fits too.)"""
    try:
        name = _site().page_of(delivery, _store().delivery(delivery).facility)
    except KeyError:
        name = None
    if name is None:
        raise HTTPException(404, "Lô gửi này chưa có, hoặc không còn Data Docs. This delivery has no Data Docs.")
    return RedirectResponse(f"{URL_PREFIX}/data-docs/{name}", headers=HEADERS)


def _months() -> dict[str, list[str]]:
    """The months (yyyymm) of which each facility has validated claims, the newest first."""
    found: dict[str, list[str]] = {}
    for point in _store().validation_trend():
        found.setdefault(point.facility, []).insert(0, point.month)
    return found


# Before the answers' route, which would take the name for that of a file.
@app.get("/deliveries/{delivery}/audit.{form}")
def audit_of_delivery(delivery: int, form: str, user: Annotated[Any, Depends(may_see)]) -> Response:
    """The auditor's report on one delivery: html, xlsx or json."""
    return _audit(Scope(delivery=delivery), form, user)


@app.get("/facilities/{facility}/{month}/audit.{form}")
def audit_of_month(facility: str, month: str, form: str, user: Annotated[Any, Depends(may_see)]) -> Response:
    """The auditor's report on the claims of a facility that ended in a month (yyyymm)."""
    if not re.fullmatch(r"[0-9]{4}(0[1-9]|1[0-2])", month):
        raise HTTPException(404, "Tháng viết là yyyymm. A month is written yyyymm.")
    return _audit(Scope(facility=facility, month=month), form, user)


def _audit(scope: Scope, form: str, user: Any) -> Response:
    """Masked always: the pages have no way to give the role yet."""
    from claim_pipeline import audit

    if form not in audit.FORMS:
        raise HTTPException(404, "Không có tệp này. There is no such file.")
    try:
        report = audit.of(_store(), scope, audit.Viewer(str(user.get_name())))
    except OperatorError as error:
        raise HTTPException(404, f"{error.message_vi}. {error.message_en}.") from None
    name = audit.file_name(report, form)
    with tempfile.TemporaryDirectory(prefix="giamdinh-audit-") as folder:
        audit.write(_store(), report, form, Path(folder) / name)
        content = (Path(folder) / name).read_bytes()
    where = "attachment" if form == "xlsx" else "inline"
    return Response(
        content,
        media_type=ANSWERS[f"report.{form}"],
        headers=REPORT_HEADERS | {"Content-Disposition": f'{where}; filename="{name}"'},
    )


@app.get("/deliveries/{delivery}/{name}")
def answer(delivery: int, name: str) -> FileResponse:
    """One file of the answer to a delivery, as it lies in the outbox."""
    path = answer_path(settings().outbox_folder, delivery, name)
    if path is None:
        raise HTTPException(404, "Không có tệp này. There is no such file.")
    shown = name.endswith((".html", ".json"))
    return FileResponse(
        path,
        media_type=ANSWERS[name],
        headers=REPORT_HEADERS,
        filename=f"{path.parent.name}-{name}",
        content_disposition_type="inline" if shown else "attachment",
    )


@app.get("/statistics/", response_class=HTMLResponse)
def statistics_list(facility: str = "") -> HTMLResponse:
    """The facility-months of which there are statistics, with the number of their warnings."""
    page = TEMPLATES.get_template("statistics.html").render(
        months=_store().months(facility or None)[:SHOWN], facility=facility, shown=SHOWN
    )
    return HTMLResponse(page, headers=HEADERS)


@app.get("/statistics/{facility}/{month}.{form}")
def statistics(facility: str, month: str, form: str) -> Response:
    """Page, workbook or JSON of one facility-month, judged when it is asked for."""
    from claim_pipeline.statistics import REFERENCE, documents

    if form not in STATISTICS:
        raise HTTPException(404, "Không có tệp này. There is no such file.")
    try:
        known = _store().reference(names=REFERENCE)
        [(name, content)] = documents(_store(), facility, month, known, (form,)).content.items()
    except OperatorError as error:
        raise HTTPException(404, f"{error.message_vi}. {error.message_en}.") from None
    headers = REPORT_HEADERS | {
        "Content-Disposition": f'{"inline" if form == "html" else "attachment"}; filename="{name}"'
    }
    return Response(content, media_type=STATISTICS[form], headers=headers)


@app.get("/data-docs/")
@app.get("/data-docs/{name:path}")
def data_docs(name: str = "index.html") -> Response:
    """A page of Data Docs, or their style sheet."""
    path = _site().page(name or "index.html")
    if path is None and name == "index.html":
        page = TEMPLATES.get_template("no_data_docs.html").render()
        return HTMLResponse(page, status_code=404, headers=HEADERS)
    if path is None:
        raise HTTPException(404, "Không có trang này, hoặc đã quá thời hạn lưu. There is no such page, or no longer.")
    if path.suffix == ".css":
        # links to reports work only from here, not from the folder
        style = path.read_text("utf-8") + ".desk { display: inline; }\n"
        return Response(style, media_type="text/css", headers=DOCS_HEADERS)
    return FileResponse(path, media_type="text/html; charset=utf-8", headers=DOCS_HEADERS)


def _site() -> Site:
    return Site(settings().data_docs_folder)


def answer_path(outbox: Path, delivery: int, name: str) -> Path | None:
    """Path of an answer's file inside the outbox, or None; the name is one of ANSWERS, never a path."""
    if name not in ANSWERS:
        return None
    try:
        folder = _store().delivery(delivery).answer_folder
    except KeyError:
        return None
    if not folder:
        return None
    path = (outbox / folder / name).resolve()
    return path if path.is_relative_to(outbox.resolve()) and path.is_file() else None
