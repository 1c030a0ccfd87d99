"""Intake: takes every whole file out of the facilities' inboxes, then wakes appraisal up, once."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, task
from airflow.sdk.exceptions import AirflowSkipException

from claim_airflow import assets, tasks
from claim_pipeline import steps

DOC = """
### Nhận tệp · Intake

Chạy khi có tệp hoàn chỉnh trong thư mục `inbox/<mã CSKCB>/` của bất kỳ cơ sở nào, và 5 phút một lần để không sót tệp.
Mỗi tệp được lưu theo sha256, ghi thành một lô gửi và rời khỏi inbox; tệp trùng được trả lời ngay như lần trước. Các cơ
sở được nhận luân phiên: một cơ sở gửi hàng nghìn tệp không làm cơ sở khác phải chờ.

Runs when a whole file lies in any facility's `inbox/`, and every 5 minutes as a sweep. Each file is archived by its
sha256, becomes a delivery and leaves the inbox; a repeat is answered as before. Facilities take turns: thousands of
files of one keep no other waiting. An event only wakes this DAG up: what
is new is decided by the database, so an event that comes twice or not at all does no harm.
"""

with DAG(
    dag_id="claim_intake",
    dag_display_name="Nhận tệp · claim_intake",
    description="Nhận tệp của cơ sở khám chữa bệnh · Takes the facilities' files in",
    doc_md=DOC,
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("*/5 * * * *", timezone=tasks.TIMEZONE), assets=[assets.INBOX]
    ),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=12),
    default_args=tasks.DEFAULT_ARGS,
    tags=["claims", "intake"],
) as dag:

    @task
    def receive() -> int:
        """Nhận mọi tệp hoàn chỉnh; trả về số lô mới.

        Takes every whole file, for a minute at most; returns the number of new deliveries.
        """
        return tasks.receive()

    @task(outlets=[assets.RECEIVED], trigger_rule="all_done")
    def announce() -> int:
        """Báo cho `claim_appraisal` nếu còn lô chờ giám định; trả về số nhóm lô.

        Wakes `claim_appraisal` up if deliveries wait; returns the number of batches.
        """
        waiting = len(steps.batches())
        if not waiting:
            raise AirflowSkipException("Không có lô nào chờ giám định. No delivery waits to be appraised.")
        return waiting

    @task(outlets=[assets.INBOX])
    def look_again(new: int) -> int:
        """Gọi lần chạy kế tiếp nếu inbox còn tệp chờ nhận; trả về số tệp đó.

        Calls the next run if files still wait in the inboxes; returns their number. A run that took nothing calls none,
        so that a file which cannot be taken does not turn in circles.
        """
        left = steps.whole_files() if new else 0
        if not left:
            raise AirflowSkipException("Không còn tệp nào chờ nhận. No file waits to be taken.")
        return left

    taken = receive()
    taken >> announce()
    look_again(taken)
