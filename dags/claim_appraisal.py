"""Appraisal: every open delivery from the file as received to the answer in the facility's outbox."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from claim_airflow import assets, tasks
from claim_airflow.prepare import POOL
from claim_pipeline import steps

DOC = """
### Giám định · Appraisal

Chạy khi `claim_intake` báo có lô gửi mới. Các lô chờ xử lý được gom thành nhóm; mỗi nhóm đi qua các bước
đọc → lập XML → kiểm tra → giám định → ghi → trả lời. Nhãn của mỗi ô là cơ sở và số lô. Mỗi lần chạy lấy mỗi cơ sở một
nhóm, cơ sở chờ lâu nhất trước; phần còn lại thuộc lần chạy kế tiếp. Một bước có thể chạy lại
bất cứ lúc nào mà không làm thay đổi kết quả đã ghi. Lô đến trong khi DAG đang chạy sẽ được xử lý ở lần chạy kế tiếp.
Nếu bước `respond` màu đỏ: có lô chưa xử lý được vì lỗi hệ thống, cơ sở đã được báo là không mất dữ liệu; sửa xong hãy
Trigger với `retry_failed`.

Runs when `claim_intake` announces deliveries. Open deliveries are put in batches; each batch goes through
extract → transform → validate → appraise → record → respond, its label naming facility and delivery. A run takes one
batch of each facility, those that wait longest first; the rest, and what arrives meanwhile, is for the next run, which
the last task starts. A step may be run again at any time: nothing that is recorded changes. If `respond` is red, some
delivery could not be done through a fault of ours, and its facility was told that nothing is lost: mend it, then
trigger this DAG with `retry_failed`.
"""

with DAG(
    dag_id="claim_appraisal",
    dag_display_name="Giám định · claim_appraisal",
    description="Giám định các lô gửi đang chờ · Appraises the deliveries that wait",
    doc_md=DOC,
    schedule=[assets.RECEIVED],
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=24),
    default_args=tasks.DEFAULT_ARGS,
    params={
        "retry_failed": Param(
            False,
            type="boolean",
            title="Thử lại các lô bị lỗi hệ thống · Try again what could not be done",
            description="Sau khi đã sửa nguyên nhân. Once the cause is mended.",
        )
    },
    tags=["claims", "appraisal"],
) as dag:

    @task
    def plan() -> list[dict[str, Any]]:
        """Các nhóm lô đang chờ, theo cơ sở dữ liệu.

        The batches of deliveries that wait, as the database tells.
        """
        return tasks.waiting()

    @task_group(prefix_group_id=False)
    def batch(batch: dict[str, Any]) -> None:
        """Một nhóm lô gửi qua mọi bước. One batch of deliveries through every step."""
        previous = None
        for step, (doc_vi, doc_en) in tasks.STEP_DOCS.items():
            current = task(
                task_id=step,
                pool=POOL,
                doc_md=f"{doc_vi}\n\n{doc_en}",
                map_index_template="{{ task.op_args[1]['label'] }}",
            )(tasks.run_step)(step, batch)
            if previous is not None:
                previous >> current
            previous = current

    @task(outlets=[assets.RECEIVED])
    def look_again(planned: list[dict[str, Any]]) -> int:
        """Gọi lần chạy kế tiếp nếu có lô mới đến trong lúc chạy; trả về số lô đó.

        Calls the next run if deliveries have arrived meanwhile; returns their number. What this run could not finish
        waits for the sweep of `claim_intake`, so that a delivery which fails does not turn in circles.
        """
        seen = {delivery for one in planned for delivery in one["deliveries"]}
        new = {delivery for one in steps.batches() for delivery in one["deliveries"]} - seen
        if not new:
            raise AirflowSkipException("Không có lô mới. Nothing new has arrived.")
        return len(new)

    @task(pool=POOL)
    def appraise_affected() -> dict[str, int]:
        """Giám định lại hồ sơ của các lô trước mà lô mới có liên quan (trùng, chồng thời gian, bản thay thế ...).

        Appraises again the claims of earlier deliveries that new ones bear on (repeats, overlaps, replaced versions).
        What could not be done is tried by the next run.
        """
        return tasks.appraise_affected()

    @task
    def update_statistics() -> dict[str, int]:
        """Cập nhật thống kê cơ sở - tháng của các lô vừa ghi; lỗi ở đây không ảnh hưởng câu trả lời nào.

        Brings the statistics of facility-months up to what was recorded; no answer hangs on it.
        """
        return steps.update_statistics()

    @task(pool=POOL)
    def data_docs(planned: list[dict[str, Any]]) -> dict[str, int]:
        """Lập trang Data Docs về kết quả kiểm tra của các lô vừa xử lý; không làm được thì các câu trả lời vẫn nguyên.

        Makes the pages of Data Docs on what the checks of these deliveries found. If it cannot, every answer stands all
        the same, and the next run makes up for it.
        """
        return tasks.document(planned)

    planned = plan()
    # Teardowns: they run whatever became of the batches, and leave the run's state to them.
    batch.expand(batch=planned) >> [
        look_again(planned).as_teardown(),
        appraise_affected().as_teardown(),
        update_statistics().as_teardown(),
        data_docs(planned).as_teardown(),
    ]
