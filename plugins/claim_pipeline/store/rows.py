"""What the store hands out about deliveries: plain values, no database objects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Drop:
    """One file that a facility dropped, as intake tells it to the store.

    drop: any text that tells one appearance of a file in the inbox from the next; None: its name and received_at.
    fault: why it cannot be taken as what it says it is ("checksum-mismatch"); its bytes are then nobody's first.
    """

    facility: str
    file: str
    sha256: str
    size: int
    received_at: datetime
    archive_key: str
    drop: str | None = None
    fault: str | None = None

    @property
    def drop_key(self) -> str:
        return self.drop if self.drop is not None else f"{self.received_at.isoformat()} {self.file}"


@dataclass(frozen=True)
class Received:
    """Answer to `Store.receive`. repeat_of: id of the delivery that brought the same bytes first, or None."""

    delivery_id: int
    repeat_of: int | None


@dataclass(frozen=True)
class DeliveryRow:
    """One delivery as the database knows it.

    status: where it stands ("received" ... "answered", "quarantined", "failed"); progress: the last status other
    than "failed", so that work can go on from there; attempts: how often a step was begun since one last ended;
    intake_fault: see Drop. Times are in Asia/Ho_Chi_Minh. answer_folder:
    `<MA_CSKCB>/<folder>` below the outbox. reason: of a quarantined delivery (code, message_vi, message_en).
    """

    id: int
    facility: str
    file: str
    sha256: str
    size: int
    received_at: datetime
    archive_key: str
    status: str
    progress: str
    repeat_of: int | None
    format: str | None
    declared_claims: int | None
    read_claims: int | None
    reason: dict[str, str] | None
    recorded_at: datetime | None
    answered_at: datetime | None
    answer_folder: str | None
    attempts: int
    intake_fault: str | None


@dataclass(frozen=True)
class AppraisalRow:
    """One appraisal of a delivery. number: 1, 2, ...; cause: "delivery", "reappraisal" or "history"; known_at: its
    reference data are as they were known then; reference: table -> {"load", "sha256"}; history: {"sha256", "rows"} of
    the frames of other claims that it was given, kept in the archive; answer_folder: of number 2 and up. What is None
    was not kept when it was made."""

    id: int
    delivery: int
    number: int
    at: datetime
    actor: str
    cause: str
    rule_book: str | None
    contract: dict[str, Any] | None
    options: dict[str, str] | None
    known_at: datetime | None
    reference: dict[str, dict[str, Any]] | None
    received_day: str | None
    signature: dict[str, Any] | None
    history: dict[str, Any] | None
    report_sha256: str | None
    result_sha256: str | None
    totals: dict[str, Any]
    answered_at: datetime | None
    answer_folder: str | None


@dataclass(frozen=True)
class Scope:
    """What an auditor looks at: one delivery, or the claims of a facility with NGAY_RA in a month (yyyymm)."""

    delivery: int | None = None
    facility: str | None = None
    month: str | None = None

    def __post_init__(self) -> None:
        if (self.delivery is None) == (self.facility is None or self.month is None):
            raise ValueError("either a delivery, or a facility and a month")


@dataclass(frozen=True)
class ValidationRow:
    """The check of one delivery's claim tables (Great Expectations). month: yyyymm of NGAY_RA of most of its claims,
    None where none can be read; months: all, with their claims; checked: expectations for which there was something to
    look at; evaluated, unexpected: values; record_sha256: of validation.json; ran_by, ran_at: of the step."""

    delivery: int
    facility: str
    delivery_sha256: str
    record_sha256: str
    format: str | None
    engine: str | None
    success: bool
    claims_read: int
    claims_checked: int
    month: str | None
    months: dict[str, int]
    rows: int
    expectations: int
    checked: int
    failing: int
    evaluated: int
    unexpected: int
    findings: int
    wall_seconds: Decimal
    processor_seconds: Decimal
    ran_by: str
    ran_at: datetime
    recorded_by: str
    recorded_at: datetime


@dataclass(frozen=True)
class SuiteRow:
    """One suite in one version, over the deliveries asked for; counts are sums over them."""

    name: str
    table: str
    decision: str | None
    valid_from: date | None
    version: str
    deliveries: int
    rows: int
    expectations: int
    checked: int
    failing: int
    evaluated: int
    unexpected: int
    seconds: Decimal


@dataclass(frozen=True)
class Failing:
    """One expectation over the deliveries asked for. by_kind: kind of fault -> values; sample: keys (claim, row, MA_LK,
    STT) of the first unexpected rows of last_delivery, the newest one that failed."""

    suite: str
    table: str
    decision: str | None
    name: str
    type: str
    field: str
    rule: str | None
    text_vi: str
    text_en: str
    deliveries: int
    failing_deliveries: int
    evaluated: int
    unexpected: int
    by_kind: dict[str, int]
    last_delivery: int | None
    sample: list[dict[str, Any]]


@dataclass(frozen=True)
class TrendPoint:
    """One month of a facility: sums over its deliveries of that month."""

    facility: str
    month: str
    deliveries: int
    claims: int
    checked: int
    failing: int
    evaluated: int
    unexpected: int


@dataclass(frozen=True)
class Notice:
    """Something that an operator should look at. kind: a word such as "wrong-facility" or "link"; facility: "" where
    it concerns none; name: of the file or folder, or the number of the delivery; times: how often it was seen."""

    kind: str
    facility: str
    name: str
    detail: dict[str, Any]
    first_at: datetime
    last_at: datetime
    times: int


@dataclass(frozen=True)
class RecentDelivery:
    """One line of the officers' list. Counts and amounts (đồng) are of the claims of this delivery; None before it
    is recorded. For a repeat they are those of the first delivery."""

    id: int
    facility: str
    file: str
    received_at: datetime
    status: str
    repeat_of: int | None
    claims: int | None
    accepted: int | None
    adjusted: int | None
    rejected: int | None
    referred: int | None
    requested: Decimal | None
    approved: Decimal | None
    refused: Decimal | None
    answer_folder: str | None
    answered_at: datetime | None
