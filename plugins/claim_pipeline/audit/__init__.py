"""The auditor's report: what of a delivery, or of a facility's month, was checked, by what, and what came of it.

`of` gives it as a dict, "giamdinh.audit/1" (docs/auditor.md says what it holds); `write` as a page, a workbook or JSON.
All of it is made from what is recorded. Personal data are masked unless a Viewer who may see them says why.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from claim_pipeline.errors import OperatorError
from claim_pipeline.store import Scope
from claim_rules import catalogue

if TYPE_CHECKING:
    from claim_pipeline.store.store import Store

SCHEMA = "giamdinh.audit/1"
PERSONAL_DATA = "personal-data"
"""The role without which nobody sees personal data."""
VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
COMMONEST = 10
ROWS_OF_CAUSE = 200
ROWS = 4_000
"""Findings on the page: of one cause, and of all; the workbook and JSON hold every one."""
FORMS = ("html", "xlsx", "json")


@dataclass(frozen=True)
class Viewer:
    """Who asks for the report, and as whom. Pages give Airflow's user, the command line that of the system."""

    name: str
    roles: frozenset[str] = field(default_factory=frozenset)


def system_viewer() -> Viewer:
    """Who runs this process, by the system's account (no variable of the environment), and as whom by the settings."""
    import pwd

    from claim_pipeline.settings import settings

    name = pwd.getpwuid(os.getuid()).pw_name
    allowed = {one.strip() for one in settings().unmask_users.split(",")}
    return Viewer(name, frozenset({PERSONAL_DATA} if name in allowed else ()))


class NotAllowed(OperatorError):
    """Somebody without the role, or without a reason, asked to see personal data."""


def of(store: Store, scope: Scope, viewer: Viewer, *, unmask: bool = False, reason: str = "") -> dict[str, Any]:
    """The report as a dict, without its findings (`findings` gives those).

    unmask: with personal data as sent; needs the role PERSONAL_DATA and a reason, and is written down (access_log)
    before anything is read. Raises NotAllowed, KeyError where there is no such delivery, and OperatorError where
    nothing of that facility and month is recorded.
    """
    if unmask:
        _allow(store, scope, viewer, reason)
    deliveries = store.audited_deliveries(scope)
    if not deliveries:
        raise _nothing(scope)
    facility, month = deliveries[0]["facility"], scope.month or deliveries[0]["mostly"]
    checks: dict[str, Any] = {"delivery": scope.delivery} if scope.delivery else {"facility": facility, "month": month}
    totals = store.audited_totals(scope)
    causes = store.audited_causes(scope)
    return {
        "schema": SCHEMA,
        "made_at": datetime.now(VIETNAM).isoformat(timespec="seconds"),
        "made_by": viewer.name,
        "masked": not unmask,
        "scope": {
            "kind": "delivery" if scope.delivery else "facility-month",
            "delivery": scope.delivery,
            "MA_CSKCB": facility,
            "month": month,
        },
        "deliveries": [_delivery(row) for row in deliveries],
        "totals": {name: f"{value:.2f}" if isinstance(value, Decimal) else value for name, value in totals.items()},
        "suites": [_suite(one) for one in store.validation_suites(**checks)],
        "not_met": [_expectation(one) for one in store.validation_failing(**checks)],
        "trend": [
            {name: getattr(point, name) for name in point.__dataclass_fields__ if name != "facility"}
            for point in store.validation_trend(facility, until=month)
        ],
        "warnings": [_warning(row) for row in store.drifts(facility, month)] if scope.month else [],
        "causes": [_cause(number, row) for number, row in enumerate(causes, start=1)],
    }


def findings(store: Store, report: dict[str, Any], of_each_cause: int | None = None) -> Iterator[dict[str, Any]]:
    """The findings of a report made by `of`, those of the commonest causes first: contracts, report, with delivery,
    claim (its number in the file, from 1; null: the delivery as a whole), MA_LK and cause (its number). At most so many
    of each cause, or all. Where the report is not masked, `observed` of personal fields is as sent."""
    scope = _scope(report)
    numbers = {_key(cause): cause["number"] for cause in report["causes"]}
    found = (_finding(row, numbers) for row in store.audited_findings(scope, of_each_cause))
    if report["masked"]:
        return (_masked(one) for one in found)
    from claim_pipeline.audit.unmask import unmasked

    return unmasked(found)


def write(store: Store, report: dict[str, Any], form: str, path: Path) -> None:
    """Writes the report in one of FORMS; the file appears whole."""
    aside = path.with_name(f".{path.name}.part")
    if form == "html":
        aside.write_text(render_html(store, report), "utf-8")
    elif form == "xlsx":
        from claim_pipeline.audit.sheets import render

        render(report, findings(store, report), aside)
    else:
        with aside.open("w", encoding="utf-8") as file:
            file.writelines(as_json(store, report))
    os.replace(aside, path)


def render_html(store: Store, report: dict[str, Any]) -> str:
    """The report as one page without anything from outside."""
    from claim_pipeline.audit.page import render

    each = max(20, min(ROWS_OF_CAUSE, ROWS // max(len(report["causes"]), 1)))
    return render(report, findings(store, report, each))


def as_json(store: Store, report: dict[str, Any]) -> Iterator[str]:
    """The report with all its findings as pieces of JSON text."""
    head = json.dumps(report, ensure_ascii=False, indent=1)
    yield f'{head.rstrip().removesuffix("}").rstrip()},\n "findings": ['
    separator = "\n"
    for one in findings(store, report):
        yield separator + json.dumps(one, ensure_ascii=False)
        separator = ",\n"
    yield "]}\n"


def file_name(report: dict[str, Any], form: str) -> str:
    """What the file of a report is called."""
    scope = report["scope"]
    if scope["kind"] == "delivery":
        return f"audit-{scope['MA_CSKCB']}-delivery-{scope['delivery']}.{form}"
    return f"audit-{scope['MA_CSKCB']}-{scope['month']}.{form}"


def _scope(report: dict[str, Any]) -> Scope:
    asked = report["scope"]
    if asked["kind"] == "delivery":
        return Scope(delivery=asked["delivery"])
    return Scope(facility=asked["MA_CSKCB"], month=asked["month"])


def _allow(store: Store, scope: Scope, viewer: Viewer, reason: str) -> None:
    if PERSONAL_DATA not in viewer.roles:
        raise NotAllowed(
            "not-allowed",
            "Bạn không có quyền xem dữ liệu cá nhân",
            "you may not see personal data",
            "Người vận hành cấp quyền (GIAMDINH_UNMASK_USERS); báo cáo che dữ liệu vẫn xem được",
            "the operator grants it (GIAMDINH_UNMASK_USERS); the masked report can be had without it",
        )
    if not reason.strip():
        raise NotAllowed(
            "no-reason",
            "Phải nêu lý do xem dữ liệu cá nhân",
            "say why personal data must be seen",
            "Thêm --reason",
            "add --reason",
        )
    store.log_access(
        who=viewer.name, role=PERSONAL_DATA, action="audit-report-unmasked", reason=reason.strip(), scope=scope
    )


def _nothing(scope: Scope) -> OperatorError:
    if scope.delivery is not None:
        return OperatorError(
            "no-delivery", f"Không có lô gửi số {scope.delivery}", f"there is no delivery {scope.delivery}"
        )
    month = f"{(scope.month or '')[4:]}/{(scope.month or '')[:4]}"
    return OperatorError(
        "nothing-recorded",
        f"Chưa ghi nhận hồ sơ nào của cơ sở {scope.facility} ra viện trong tháng {month}",
        f"no claim of facility {scope.facility} that ended in {month} is recorded",
    )


def _time(value: datetime | None) -> str | None:
    return value.isoformat(timespec="seconds") if value is not None else None


def _delivery(row: dict[str, Any]) -> dict[str, Any]:
    same = ("delivery", "file", "sha256", "size", "status", "reason", "repeat_of", "format", "declared_claims")
    hashes = {move["status"]: move["outputs"] for move in row["moves"] if move["outputs"]}
    checked = None
    if row["record_sha256"] is not None:
        names = ("engine", "success", "claims_checked", "rows", "expectations", "checked", "failing", "evaluated")
        checked = {name: row[name] for name in (*names, "unexpected", "record_sha256", "ran_by")}
        checked |= {"seconds": float(row["wall_seconds"]), "ran_at": _time(row["ran_at"]), "month": row["mostly"]}
    appraised = None
    if row["appraisal"] is not None:
        appraised = {"number": row["appraisal"], "actor": row["appraised_by"], "at": _time(row["appraised_at"])}
        rests_on = ("cause", "rule_book", "options", "reference", "report_sha256", "result_sha256")
        appraised |= {"known_at": _time(row["known_at"])} | {name: row[name] for name in rests_on}
    return {
        **{name: row[name] for name in same},
        "received_at": _time(row["received_at"]),
        "read_claims": row["read_claims"],
        "claims": row["claims"],
        "submission_sha256": hashes.get("transformed"),
        "validation": checked,
        "appraisal": appraised,
        "moves": [
            {"at": _time(move["at"]), **{name: move[name] for name in ("status", "actor", "inputs", "outputs")}}
            for move in row["moves"]
        ],
    }


DECISIONS = {
    "4210": "Quyết định 4210/QĐ-BYT (20/09/2017)",
    "130": "Quyết định 130/QĐ-BYT (18/01/2023)",
    "4750": "Quyết định 4750/QĐ-BYT (29/12/2023)",
    "3176": "Quyết định 3176/QĐ-BYT (29/10/2024)",
}
"""The legal text of each layout."""


def _suite(one: Any) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in one.__dataclass_fields__}
    since = values["valid_from"]
    return values | {
        "valid_from": f"{since:%Y%m%d}" if since else None,
        "seconds": float(values["seconds"]),
        "basis": DECISIONS.get(values["decision"] or ""),
    }


def _expectation(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def _warning(row: dict[str, Any]) -> dict[str, Any]:
    """A warning about the facility's month as last judged (claim_pipeline.statistics)."""
    names = ("rule", "indicator", "key", "against", "grade", "value", "baseline", "ratio", "chance")
    words = ("message_vi", "message_en", "detail")
    entry = catalogue.book()[row["rule"]]
    titles = {"title_vi": entry.title_vi, "title_en": entry.title_en, "basis": entry.basis}
    return {**{name: row[name] for name in names}, **titles, **{name: row[name] for name in words}}


def _cause(number: int, row: dict[str, Any]) -> dict[str, Any]:
    return {"number": number, **row, "amount": f"{row['amount']:.2f}", "bases": row["bases"] or []}


def _key(one: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(one[name] for name in ("rule", "severity", "table", "field"))


def _finding(row: dict[str, Any], numbers: dict[tuple[Any, ...], int]) -> dict[str, Any]:
    amount = row["amount_refused"]
    return {
        "cause": numbers.get(_key(row)),
        "delivery": row["delivery"],
        "claim": None if row["position"] is None else row["position"] + 1,
        "MA_LK": row["ma_lk"],
        **{name: row[name] for name in ("rule", "severity", "table", "row", "line", "field", "observed", "expected")},
        "amount_refused": None if amount is None else f"{amount:.2f}",
        **{name: row[name] for name in ("message_vi", "message_en", "basis")},
    }


def _masked(one: dict[str, Any]) -> dict[str, Any]:
    """Findings are recorded masked; what a later rule book would mask too is masked here."""
    from claim_rules.catalogue import mask

    return one | {"observed": mask(one["observed"] or "", one["field"] or "") or None}
