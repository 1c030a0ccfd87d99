"""A month appraised again: what the present rule book and reference data would change and, if asked, recording it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task

from claim_airflow import tasks
from claim_airflow.prepare import POOL

DOC = """
### Giám định lại · Re-appraisal

Chỉ chạy khi bấm Trigger, với tháng ra viện (`yyyymm`), một cơ sở hoặc mọi cơ sở. Các lô có hồ sơ của tháng được giám
định lại từ tệp gốc trong kho lưu trữ theo bộ quy tắc và danh mục đang có hiệu lực. `report` lập báo cáo chênh lệch
(JSON, HTML, Excel) trước khi ghi bất cứ điều gì; thư mục được nêu trong nhật ký và XCom của bước đó. Với `dry_run` (mặc
định) chỉ có báo cáo. Không có `dry_run`: hồ sơ có kết quả khác được ghi thành lần giám định mới, kết quả cũ giữ nguyên,
và cơ sở nhận thư mục trả lời mới có tên kết thúc bằng `-reappraisal-<lần>`. Chạy lại không làm đổi gì thêm.

Runs only when triggered, with a month of discharge (`yyyymm`) and one facility or all. Deliveries with claims of the
month are appraised again from their archived files by the rule book and the reference data in force. `report` makes the
difference report (JSON, HTML, spreadsheet) before anything is written; its log and XCom name the folder. With `dry_run`
(the default) that is all. Without it, claims that come out otherwise get a new appraisal, old outcomes are kept, and
the facility gets a new answer folder whose name ends in `-reappraisal-<number>`. Another run changes nothing more.
"""

COMPARE_DOC = """Giám định lại một nhóm lô và so với kết quả đang có hiệu lực; chưa ghi gì.

Appraises a batch again and compares it with what stands; nothing is written."""
WRITE_DOC = """Ghi những gì thay đổi thành lần giám định mới; kết quả cũ giữ nguyên.

Records what changes as new appraisals; old outcomes are kept."""

with DAG(
    dag_id="reappraisal",
    dag_display_name="Giám định lại · reappraisal",
    description="Giám định lại hồ sơ của một tháng · Appraises the claims of a month again",
    doc_md=DOC,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=48),
    default_args=tasks.DEFAULT_ARGS,
    params={
        "month": Param(
            "",
            type="string",
            pattern="^([0-9]{4}(0[1-9]|1[0-2]))?$",
            title="Tháng ra viện yyyymm · Month of discharge",
        ),
        "facility": Param(None, type=["null", "string"], title="Mã CSKCB; để trống: mọi cơ sở · Facility; empty: all"),
        "dry_run": Param(
            True,
            type="boolean",
            title="Chỉ lập báo cáo, không ghi · Report only, write nothing",
        ),
    },
    tags=["claims", "reappraisal"],
) as dag:

    @task
    def plan() -> dict[str, Any]:
        """Các lô có hồ sơ của tháng, theo nhóm, và danh mục được dùng.

        The deliveries with claims of the month, in batches, and on what they will be judged.
        """
        return tasks.plan_reappraisal()

    @task
    def batches(planned: dict[str, Any]) -> list[dict[str, Any]]:
        """Mỗi nhóm là một ô của bước `compare`.

        Each batch becomes a task of `compare`.
        """
        return [{**one, "basis": planned["basis"]} for one in planned["batches"]]

    @task(pool=POOL, doc_md=COMPARE_DOC, map_index_template="{{ task.op_kwargs['batch']['label'] }}")
    def compare(batch: dict[str, Any]) -> dict[str, int]:
        return tasks.compare_again(batch)

    @task(trigger_rule="none_failed")
    def report(planned: dict[str, Any]) -> list[dict[str, Any]]:
        """Lập báo cáo chênh lệch; trả về các nhóm cần ghi, không có nhóm nào nếu là chạy thử.

        Makes the difference report; returns the batches to write, none for a dry run.
        """
        return tasks.report_again(planned)

    @task(pool=POOL, doc_md=WRITE_DOC, map_index_template="{{ task.op_kwargs['batch']['label'] }}")
    def write(batch: dict[str, Any]) -> dict[str, int]:
        return tasks.write_again(batch)

    @task(trigger_rule="none_skipped")
    def answer() -> int:
        """Trả lời các cơ sở có kết quả thay đổi; trả về số thư mục mới.

        Answers the facilities whose outcomes changed; returns the number of new folders.
        """
        return tasks.answer_again()

    planned = plan()
    compared = compare.expand(batch=batches(planned))
    to_write = report(planned)
    compared >> to_write
    write.expand(batch=to_write) >> answer()
