"""What the DAGs have in common: who acts, how often a task is tried, and the steps of the pipeline as tasks."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException

from claim_pipeline import steps
from claim_pipeline.errors import ReferenceDataError
from claim_pipeline.settings import settings

if TYPE_CHECKING:
    from claim_pipeline.reappraisal import Reappraisal

log = logging.getLogger(__name__)

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "giamdinh",
    "retries": 3,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "execution_timeout": timedelta(hours=6),
}
TIMEZONE = "Asia/Ho_Chi_Minh"

STEP_DOCS = {
    "extract": (
        "Đọc tệp của bệnh viện (XML, zip CSV, xlsx) thành các bảng hồ sơ XML1…XML15.",
        "Reads the hospital's file (XML, zip of CSV, xlsx) into the claim tables XML1…XML15.",
    ),
    "transform": (
        "Lập bộ XML đề nghị thanh toán từ các bảng; tính các cột tiền mà phần mềm bệnh viện để trống.",
        "Makes the submission XML from the tables; fills in the amounts that the record system left out.",
    ),
    "validate": (
        "Kiểm tra từng chỉ tiêu theo từ điển dữ liệu (bắt buộc, kiểu, độ dài, danh mục) bằng Great Expectations.",
        "Checks every field against the dictionary (required, type, length, code list) with Great Expectations.",
    ),
    "appraise": (
        "Giám định: quy tắc, mức hưởng, danh mục và giá; kết quả cho từng dòng và từng hồ sơ kèm căn cứ.",
        "Appraises: rules, benefit rates, catalogues and prices; an outcome per line and claim with its legal basis.",
    ),
    "record": (
        "Ghi hồ sơ, phát hiện và kết quả vào PostgreSQL trong một giao dịch cho mỗi lô; chạy lại không làm đổi gì.",
        "Records claims, findings and outcomes in PostgreSQL, one transaction per delivery; again changes nothing.",
    ),
    "respond": (
        "Trả lời vào outbox của cơ sở: biên nhận, báo cáo (HTML, Excel, JSON), bộ XML được ghi nhận.",
        "Answers in the facility's outbox: receipt, reports (HTML, spreadsheet, JSON), the XML that stands.",
    ),
}
"""Step -> what it does, for the page of its task: Vietnamese, English."""


def actor() -> str:
    """Who did it, as the delivery's history names it: DAG, run and task."""
    context = get_current_context()
    instance = context["ti"]
    return f"airflow:{instance.dag_id}/{instance.task_id} {instance.run_id}"


def receive() -> int:
    """Takes whole files out of the inboxes, for `intake_seconds` at most; gives the number of new deliveries."""
    return len(steps.receive(actor(), settings().intake_seconds))


def waiting() -> list[dict[str, Any]]:
    """The batches of this run: what waits and, if whoever triggered it asked so, what could not be done before."""
    return steps.batches(failed_too=_retry_failed())


def run_step(step: str, batch: dict[str, Any]) -> dict[str, int]:
    """One step over one batch of deliveries; gives counts only. See `claim_pipeline.steps.run_step`.

    A delivery that cannot be done does not keep the others of its batch from being answered. The last step then fails,
    without another try, so that the run shows that an operator must look.
    """
    instance = get_current_context()["ti"]
    last_try = instance.try_number > instance.max_tries
    counts = steps.run_step(step, batch["deliveries"], actor=actor(), last_try=last_try, retry=_retry_failed())
    if step == steps.STEPS[-1] and counts["failed"]:
        raise AirflowFailException(
            f"{counts['failed']} lô chưa xử lý được: xem nhật ký các bước trước, sửa xong Trigger với retry_failed.\n"
            f"{counts['failed']} deliveries could not be done: see the logs of the steps before; once mended, trigger "
            "with retry_failed."
        )
    return counts


def load_reference() -> dict[str, int]:
    """See `claim_pipeline.steps.load_reference_folder`; fails visibly where a file was refused."""
    try:
        return steps.load_reference_folder(actor())
    except ReferenceDataError as error:
        # the others are loaded; to try again with the same bytes is no use
        raise AirflowFailException(
            f"{error.message_vi}. {error.next_vi}. / {error.message_en}; {error.next_en}."
        ) from None


def appraise_affected() -> dict[str, int]:
    """See `claim_pipeline.steps.appraise_affected`; fails visibly where a delivery could not be done."""
    counts = steps.appraise_affected(actor())
    if counts["failed"]:
        raise AirflowFailException(
            f"{counts['failed']} lô liên quan chưa giám định lại được: xem nhật ký; lần chạy sau thử lại.\n"
            f"{counts['failed']} affected deliveries could not be appraised again: see the log; the next run tries."
        )
    return counts


def document(planned: list[dict[str, Any]]) -> dict[str, int]:
    """Data Docs of the deliveries of a run; gives counts only. See `claim_pipeline.steps.document`."""
    deliveries = [delivery for batch in planned for delivery in batch["deliveries"]]
    counts = steps.document(deliveries, seconds=settings().data_docs_seconds)
    if counts["failed"]:
        raise AirflowFailException(
            f"{counts['failed']} lô chưa có Data Docs: xem nhật ký; sửa xong chạy giamdinh docs build --month.\n"
            f"{counts['failed']} deliveries have no Data Docs: see the log; once mended, giamdinh docs build --month."
        )
    return counts


def _retry_failed() -> bool:
    return bool(get_current_context()["params"]["retry_failed"])


def plan_reappraisal() -> dict[str, Any]:
    """What a run of `reappraisal` is to do: batches (label, facility, deliveries), and on what it rests."""
    work = _reappraisal()
    work.begin()
    known = work.basis.known
    basis = {"name": work.run.name, "known_at": known.at if known else "", "loads": known.loads if known else {}}
    return {"batches": work.batches(), "basis": basis}


def compare_again(batch: dict[str, Any]) -> dict[str, int]:
    """One batch appraised again and compared; counts."""
    counts = _reappraisal(batch["basis"]).compare(batch["deliveries"])
    _some_failed(counts)
    return counts


def report_again(planned: dict[str, Any]) -> list[dict[str, Any]]:
    """Writes the difference report; gives the batches that are to be recorded: none in a dry run."""
    from claim_pipeline import respond

    context = get_current_context()
    dry_run = bool(context["params"]["dry_run"])
    work = _reappraisal(planned["basis"])
    deliveries = [delivery for batch in planned["batches"] for delivery in batch["deliveries"]]
    found = work.report(deliveries, dry_run=dry_run)
    folder = steps.difference_folder(found)
    respond.write_difference(found, folder)
    context["ti"].xcom_push(key="folder", value=folder.name)
    log.info("%s: %s", folder, {name: found["totals"][name] for name in ("claims", "changed", "difference")})
    if dry_run:
        return []
    return [{**one, "basis": planned["basis"]} for one in planned["batches"]]


def write_again(batch: dict[str, Any]) -> dict[str, int]:
    """Records what changes of one batch; counts."""
    counts = _reappraisal(batch["basis"]).write(batch["deliveries"], actor())
    _some_failed(counts)
    return counts


def answer_again() -> int:
    """Answers later appraisals that their facilities were not told of; gives how many."""
    return steps.answer_again(actor())


def _reappraisal(basis: dict[str, Any] | None = None) -> Reappraisal:
    """The run's work; basis: of the plan, so that every task judges by the reference data of the first."""
    from claim_pipeline.appraise import Known

    params = get_current_context()["params"]
    known = Known(basis["known_at"], basis["loads"]) if basis is not None else None
    work = steps.reappraisal(params["month"], params["facility"] or None, known=known)
    if basis is not None and work.run.name != basis["name"]:
        raise AirflowFailException(
            "Hợp đồng hoặc bộ quy tắc đã đổi từ khi lập kế hoạch: hãy Trigger lại từ đầu.\n"
            "The contract or the rule book changed since the plan was made: trigger the DAG again."
        )
    return work


def _some_failed(counts: dict[str, int]) -> None:
    instance = get_current_context()["ti"]
    if counts["failed"] + counts.get("busy", 0) and instance.try_number <= instance.max_tries:
        raise RuntimeError(f"{counts}: see the log; it will be tried again")
