"""What a hospital is told when we could not do its delivery: that this is not its fault, and that nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from claim_pipeline.errors import Quarantined

if TYPE_CHECKING:
    from claim_pipeline.store import DeliveryRow
    from claim_pipeline.store.store import Store

CODE = "not-processed"


def answer(row: DeliveryRow, work: Path, store: Store, outbox: Path) -> None:
    """Puts an interim answer into the delivery's answer folder: quarantined, `not-processed`, no word on its claims.

    The delivery stays open; once it is done, the real answer takes the place of this one in the same folder.
    work: its working folder, which is left as it is but for a folder of its own.
    """
    from claim_pipeline import appraise, respond
    from claim_pipeline.workspace import Delivery, Workspace

    ws = Workspace(work / CODE)
    received_at = row.received_at.astimezone(respond.VIETNAM).isoformat(timespec="seconds")
    ws.delivery = Delivery(
        file=row.file,
        sha256=row.sha256,
        MA_CSKCB=row.facility,
        format=row.format,
        received_at=received_at,
        inbox_facility=row.facility,
    )
    appraise.quarantine(ws, _not_processed())
    respond.run(ws, store, outbox, row)
    ws.remove()


def _not_processed() -> Quarantined:
    return Quarantined(
        CODE,
        "Hệ thống giám định chưa xử lý được tệp này do lỗi của hệ thống, không phải lỗi của cơ sở. Tệp đã được lưu, "
        "không mất dữ liệu, và người vận hành đã được báo",
        "the appraisal system could not process this file through a fault of its own, not of the facility. The file is "
        "kept, nothing is lost, and the operator was told",
        "Không cần gửi lại: kết quả sẽ thay thế trả lời này trong cùng thư mục",
        "there is no need to send it again: the result will take the place of this answer in the same folder",
    )
