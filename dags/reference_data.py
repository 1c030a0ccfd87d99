"""Reference data: loads drugs, services, prices, cards and the other lists from their drop folder."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, task

from claim_airflow import assets, tasks

DOC = """
### Danh mục · Reference data

Nạp các tệp CSV hoặc xlsx trong thư mục `reference/` (thuốc, dịch vụ, vật tư, giá, thẻ, cơ sở, nhân viên, …) vào cơ
sở dữ liệu: ngay khi có tệp mới, mỗi giờ một lần, hoặc khi bấm Trigger. Quy tắc thiếu danh mục thì không chạy và báo
cáo nói rõ điều đó. Tệp không dùng được thì tác vụ đỏ và nói rõ chỗ sai, các tệp khác vẫn được nạp; mỗi lần nạp
hoặc từ chối có một báo cáo (html, xlsx, json) trong `reference/reports/`, nhật ký tác vụ nêu tên thư mục.

Loads the CSV or xlsx files of the `reference/` folder (drugs, services, supplies, prices, cards, facilities, staff, …)
into the database: as soon as one changes, every hour, or when triggered. A rule without its data does not run, and the
report says so. A file that cannot be used makes the task red, which says where; the others are loaded. Each load or
refusal has a report (html, xlsx, json) in `reference/reports/`; the task's log names its folder.
"""

with DAG(
    dag_id="reference_data",
    dag_display_name="Danh mục · reference_data",
    description="Nạp danh mục vào cơ sở dữ liệu · Loads reference data into the database",
    doc_md=DOC,
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 * * * *", timezone=tasks.TIMEZONE), assets=[assets.REFERENCE]
    ),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    default_args=tasks.DEFAULT_ARGS,
    tags=["claims", "reference"],
) as dag:

    @task
    def load() -> dict[str, int]:
        """Nạp các tệp; trả về số dòng của từng tệp.

        Loads the files; returns the number of rows of each.
        """
        return tasks.load_reference()

    load()
