"""The tables of the store as SQLAlchemy models. What must never happen is forbidden by constraints here and by the
triggers of the migrations."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    DateTime,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Numeric,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

STATUSES = (
    "received",
    "extracted",
    "transformed",
    "validated",
    "appraised",
    "recorded",
    "answered",
    "quarantined",
    "failed",
)
OUTCOMES = ("accepted", "adjusted", "rejected", "referred")
CAUSES = ("delivery", "reappraisal", "history")


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


_ADDS_UP = "requested = approved + refused AND requested >= 0 AND approved >= 0 AND refused >= 0"
_AMOUNT = Numeric(18, 2)
_WHEN = DateTime(timezone=True)


class Base(DeclarativeBase):
    """Base of all models."""

    type_annotation_map = {str: Text, int: BigInteger, dt.datetime: _WHEN}  # noqa: RUF012


class Facility(Base):
    """A facility that has sent something."""

    __tablename__ = "facility"

    code: Mapped[str] = mapped_column(primary_key=True)  # MA_CSKCB
    first_seen_at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))


class Delivery(Base):
    """One file that one facility dropped. The same bytes dropped again are a row of their own with repeat_of."""

    __tablename__ = "delivery"
    __table_args__ = (
        CheckConstraint(_one_of("status", STATUSES), name="delivery_status"),
        CheckConstraint(_one_of("progress", STATUSES[:-1]), name="delivery_progress"),
        CheckConstraint("size >= 0", name="delivery_size"),
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="delivery_sha256"),
        CheckConstraint("status <> 'quarantined' OR reason IS NOT NULL", name="delivery_reason"),
        CheckConstraint("(answered_at IS NULL) = (answer_folder IS NULL)", name="delivery_answer"),
        Index(
            "delivery_first_receipt", "facility", "sha256", unique=True,
            postgresql_where=text("repeat_of IS NULL AND intake_fault IS NULL"),
        ),
        Index(
            "delivery_one_drop", "facility", "sha256", "drop_key", unique=True,
            postgresql_where=text("drop_key IS NOT NULL"),
        ),
        Index("delivery_unanswered", "id", postgresql_where=text("answered_at IS NULL")),
        Index("delivery_last_answer", "facility", "answered_at", postgresql_where=text("answered_at IS NOT NULL")),
        Index("delivery_repeat_of", "repeat_of", postgresql_where=text("repeat_of IS NOT NULL")),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    facility: Mapped[str] = mapped_column(ForeignKey("facility.code"))
    file: Mapped[str]
    sha256: Mapped[str]
    size: Mapped[int]
    received_at: Mapped[dt.datetime]
    archive_key: Mapped[str]
    drop_key: Mapped[str | None]  # which appearance of the file in the inbox this was
    repeat_of: Mapped[int | None] = mapped_column(ForeignKey("delivery.id"))
    status: Mapped[str]
    progress: Mapped[str]
    format: Mapped[str | None]
    declared_claims: Mapped[int | None]
    read_claims: Mapped[int | None]
    reason: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    recorded_at: Mapped[dt.datetime | None]
    answered_at: Mapped[dt.datetime | None]
    answer_folder: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))  # steps begun since one last ended
    intake_fault: Mapped[str | None]  # why its bytes are nobody's first, say "checksum-mismatch"


class OperatorNotice(Base):
    """Something that an operator should look at: an entry of an inbox that was refused, a delivery that failed."""

    __tablename__ = "operator_notice"

    kind: Mapped[str] = mapped_column(primary_key=True)
    facility: Mapped[str] = mapped_column(primary_key=True)  # "": none
    name: Mapped[str] = mapped_column(primary_key=True)
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB)
    first_at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    last_at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    times: Mapped[int] = mapped_column(server_default=text("1"))


class DeliveryEvent(Base):
    """One move of a delivery. Rows are only ever added."""

    __tablename__ = "delivery_event"
    __table_args__ = (
        CheckConstraint(_one_of("status", STATUSES), name="delivery_event_status"),
        Index("delivery_event_delivery", "delivery", "id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    delivery: Mapped[int] = mapped_column(ForeignKey("delivery.id"))
    at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    status: Mapped[str]
    actor: Mapped[str]
    inputs: Mapped[str | None]  # hash of what went in
    outputs: Mapped[str | None]  # hash of what came out
    detail: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class Claim(Base):
    """One treatment episode: MA_LK within a facility. versions: how many deliveries brought it."""

    __tablename__ = "claim"
    __table_args__ = (
        UniqueConstraint("facility", "ma_lk", name="claim_identity"),
        CheckConstraint("versions >= 0", name="claim_versions"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    facility: Mapped[str] = mapped_column(ForeignKey("facility.code"))
    ma_lk: Mapped[str]
    versions: Mapped[int] = mapped_column(server_default=text("0"))


class Appraisal(Base):
    """One appraisal of a delivery: what it rested on, and the fingerprint of what came of it. Rows are only ever added.

    number: 1, 2, ... within the delivery; cause: `delivery` the first, `reappraisal` under another rule book or other
    reference data, `history` because an earlier claim of somebody came or changed later. What a delivery that was
    quarantined was told is an appraisal without claims. recorded_in: the transaction, by which another appraisal can
    say whether it saw this one.
    """

    __tablename__ = "appraisal"
    __table_args__ = (
        UniqueConstraint("delivery", "number", name="appraisal_number"),
        CheckConstraint("number >= 1", name="appraisal_number_from_1"),
        CheckConstraint(_one_of("cause", CAUSES), name="appraisal_cause"),
        CheckConstraint("(number = 1) = (cause = 'delivery')", name="appraisal_first"),
        CheckConstraint("(answered_at IS NULL) = (answer_folder IS NULL)", name="appraisal_answer"),
        Index("appraisal_unanswered", "id", postgresql_where=text("number > 1 AND answered_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    delivery: Mapped[int] = mapped_column(ForeignKey("delivery.id"))
    number: Mapped[int]
    at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    actor: Mapped[str]
    cause: Mapped[str]
    rule_book: Mapped[str | None]  # version, with that of the contract behind a "+"
    contract: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # its terms
    options: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # choice for every option of the law
    known_at: Mapped[dt.datetime | None]  # reference data as they were known then
    reference: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # table -> load, sha256
    received_day: Mapped[str | None]
    signature: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # what was found out about it
    history: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # frames of other claims: sha256 in the archive, rows
    report_sha256: Mapped[str | None]
    result_sha256: Mapped[str | None]  # of all outcomes, lines and findings; NULL: older than such fingerprints
    totals: Mapped[dict[str, Any]] = mapped_column(JSONB)  # of the delivery's claims: counts and amounts
    recorded_in: Mapped[int] = mapped_column(server_default=text("pg_current_xact_id()::text::bigint"))
    answered_at: Mapped[dt.datetime | None]  # of number 2 and up; the first answer is the delivery's
    answer_folder: Mapped[str | None]


class ClaimVersion(Base):
    """One claim as one delivery brought it.

    sequence: 1, 2, ... by receipt of the deliveries that brought this claim; newest: the one that counts;
    duplicate: an earlier claim of the same delivery has the same MA_LK (same sequence, never counts).
    claim, ma_lk and sequence are NULL together where the MA_LK could not be read; such a row counts by itself.
    appraisal: the one whose outcome, lines and findings stand for it (views standing_outcome, standing_line,
    standing_finding).
    """

    __tablename__ = "claim_version"
    __table_args__ = (
        UniqueConstraint("delivery", "position", name="claim_version_position"),
        CheckConstraint("(claim IS NULL) = (ma_lk IS NULL)", name="claim_version_ma_lk"),
        CheckConstraint("(claim IS NULL) = (sequence IS NULL)", name="claim_version_sequence"),
        CheckConstraint("NOT (newest AND duplicate)", name="claim_version_duplicate"),
        CheckConstraint("content_sha256 ~ '^[0-9a-f]{64}$'", name="claim_version_sha256"),
        Index("claim_version_newest", "claim", unique=True, postgresql_where=text("newest AND claim IS NOT NULL")),
        Index(
            "claim_version_once_per_delivery", "claim", "delivery", unique=True,
            postgresql_where=text("NOT duplicate"),
        ),
        Index("claim_version_ngay_ra", "ngay_ra"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    delivery: Mapped[int] = mapped_column(ForeignKey("delivery.id"))
    position: Mapped[int]
    claim: Mapped[int | None] = mapped_column(ForeignKey("claim.id"))
    ma_lk: Mapped[str | None]
    sequence: Mapped[int | None]
    newest: Mapped[bool] = mapped_column(Boolean)
    duplicate: Mapped[bool] = mapped_column(Boolean)
    readable: Mapped[bool] = mapped_column(Boolean)
    decision: Mapped[str | None]
    ngay_vao: Mapped[dt.datetime | None]
    ngay_ra: Mapped[dt.datetime | None]
    content_sha256: Mapped[str]  # of all that was sent for this claim
    recorded_at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    appraisal: Mapped[int] = mapped_column(ForeignKey("appraisal.id"))


class ClaimOutcome(Base):
    """What one appraisal decided of one claim version. A later appraisal of the delivery has rows only for those
    versions of which it decided otherwise; the others keep what they have. Rows are only ever added."""

    __tablename__ = "claim_outcome"
    __table_args__ = (
        CheckConstraint(_ADDS_UP, name="claim_outcome_amounts"),
        CheckConstraint(_one_of("outcome", OUTCOMES), name="claim_outcome_outcome"),
        CheckConstraint("outcome <> 'rejected' OR approved = 0", name="claim_outcome_rejected"),
    )

    version: Mapped[int] = mapped_column(ForeignKey("claim_version.id"), primary_key=True)
    appraisal: Mapped[int] = mapped_column(ForeignKey("appraisal.id"), primary_key=True)
    outcome: Mapped[str]
    paperless: Mapped[bool] = mapped_column(Boolean)
    paperless_reasons: Mapped[list[str]] = mapped_column(JSONB)
    referral_reasons: Mapped[list[str]] = mapped_column(JSONB)
    requested: Mapped[Decimal] = mapped_column(_AMOUNT)
    approved: Mapped[Decimal] = mapped_column(_AMOUNT)
    refused: Mapped[Decimal] = mapped_column(_AMOUNT)
    result_sha256: Mapped[str | None]  # of this outcome with its lines and findings; NULL as in appraisal


class ClaimLine(Base):
    """One row of XML2 or XML3 of one claim version, as it was sent. `row`: position from 1 in the table; `line`: the
    number by which the report names it."""

    __tablename__ = "claim_line"
    __table_args__ = (CheckConstraint("row >= 1", name="claim_line_row"),)

    version: Mapped[int] = mapped_column(ForeignKey("claim_version.id"), primary_key=True)
    xml_table: Mapped[str] = mapped_column(primary_key=True)
    row: Mapped[int] = mapped_column(Integer, primary_key=True)
    line: Mapped[int]
    code: Mapped[str | None]  # MA_THUOC, MA_DICH_VU or MA_VAT_TU as sent
    ngay_yl: Mapped[dt.datetime | None]
    quantity: Mapped[Decimal | None] = mapped_column(Numeric(18, 3))
    price: Mapped[Decimal | None] = mapped_column(Numeric(18, 3))


class LineOutcome(Base):
    """What one appraisal granted of one line: as claim_outcome, for the same versions."""

    __tablename__ = "line_outcome"
    __table_args__ = (CheckConstraint(_ADDS_UP, name="line_outcome_amounts"),)

    version: Mapped[int] = mapped_column(ForeignKey("claim_version.id"), primary_key=True)
    appraisal: Mapped[int] = mapped_column(primary_key=True)
    xml_table: Mapped[str] = mapped_column(primary_key=True)
    row: Mapped[int] = mapped_column(Integer, primary_key=True)
    requested: Mapped[Decimal] = mapped_column(_AMOUNT)
    approved: Mapped[Decimal] = mapped_column(_AMOUNT)
    refused: Mapped[Decimal] = mapped_column(_AMOUNT)


class Finding(Base):
    """One finding of one appraisal, in the report's order. version is NULL for a finding of the delivery as a whole."""

    __tablename__ = "finding"
    __table_args__ = (
        CheckConstraint(
            _one_of("severity", ("reject_claim", "reject_line", "adjust_amount", "warn")), name="finding_severity"
        ),
        Index("finding_version", "version", "appraisal"),
        Index("finding_rule", "rule"),
    )

    appraisal: Mapped[int] = mapped_column(ForeignKey("appraisal.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int | None] = mapped_column(ForeignKey("claim_version.id"))
    rule: Mapped[str]
    severity: Mapped[str]
    xml_table: Mapped[str | None]
    row: Mapped[int | None] = mapped_column(Integer)
    line: Mapped[int | None]
    field: Mapped[str | None]
    observed: Mapped[str | None]
    expected: Mapped[str | None]
    amount_refused: Mapped[Decimal | None] = mapped_column(_AMOUNT)
    message_vi: Mapped[str | None]
    message_en: Mapped[str | None]
    basis: Mapped[str | None]


class ValidationRun(Base):
    """The check of one delivery's claim tables against what is expected of them, counted over all its suites.

    month: of NGAY_RA (yyyymm) of most of its claims (validation_month has all); checked: expectations for which there
    was anything to look at; evaluated, unexpected: values; record: validation.json. Rows are only ever added.
    """

    __tablename__ = "validation_run"
    __table_args__ = (
        CheckConstraint(
            "delivery_sha256 ~ '^[0-9a-f]{64}$' AND record_sha256 ~ '^[0-9a-f]{64}$'", name="validation_run_sha256"
        ),
        CheckConstraint("month ~ '^[0-9]{6}$'", name="validation_run_month"),
        CheckConstraint(
            "failing <= checked AND checked <= expectations AND unexpected <= evaluated "
            "AND claims_checked <= claims_read",
            name="validation_run_counts",
        ),
        CheckConstraint("success = (failing = 0)", name="validation_run_success"),
        Index("validation_run_facility", "facility", "month"),
        Index("validation_run_month_facility", "month", "facility"),
    )

    delivery: Mapped[int] = mapped_column(ForeignKey("delivery.id"), primary_key=True)
    facility: Mapped[str] = mapped_column(ForeignKey("facility.code"))
    delivery_sha256: Mapped[str]
    record_sha256: Mapped[str]  # of the file validation.json
    format: Mapped[str | None]
    engine: Mapped[str | None]
    success: Mapped[bool] = mapped_column(Boolean)
    claims_read: Mapped[int]
    claims_checked: Mapped[int]
    month: Mapped[str | None]
    rows: Mapped[int]
    expectations: Mapped[int]
    checked: Mapped[int]
    failing: Mapped[int]
    evaluated: Mapped[int]
    unexpected: Mapped[int]
    findings: Mapped[int]
    wall_seconds: Mapped[Decimal] = mapped_column(Numeric(12, 3))
    processor_seconds: Mapped[Decimal] = mapped_column(Numeric(12, 3))
    ran_by: Mapped[str]  # who ran the step, and when
    ran_at: Mapped[dt.datetime]
    recorded_by: Mapped[str]
    recorded_at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    record: Mapped[dict[str, Any]] = mapped_column(JSONB)


class ValidationMonth(Base):
    """How many claims of a run have their NGAY_RA in a month."""

    __tablename__ = "validation_month"
    __table_args__ = (
        CheckConstraint("month ~ '^[0-9]{6}$'", name="validation_month_month"),
        Index("validation_month_runs", "month", "delivery"),
    )

    delivery: Mapped[int] = mapped_column(ForeignKey("validation_run.delivery"), primary_key=True)
    month: Mapped[str] = mapped_column(primary_key=True)
    claims: Mapped[int]


class ValidationSuite(Base):
    """One suite of a run: a table in one layout. version: of the suite's file."""

    __tablename__ = "validation_suite"
    __table_args__ = (
        UniqueConstraint("delivery", "name", name="validation_suite_name"),
        Index("validation_suite_version", "version"),
    )

    delivery: Mapped[int] = mapped_column(ForeignKey("validation_run.delivery"), primary_key=True)
    suite: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str]
    xml_table: Mapped[str]
    decision: Mapped[str | None]
    valid_from: Mapped[dt.date | None] = mapped_column(Date)
    version: Mapped[str]
    rows: Mapped[int]
    seconds: Mapped[Decimal] = mapped_column(Numeric(12, 4))
    success: Mapped[bool] = mapped_column(Boolean)


class ValidationResult(Base):
    """One expectation of a suite of a run: what was looked at, what was otherwise, and keys of the first such rows.
    facility, month: those of the run, so that one index answers."""

    __tablename__ = "validation_result"
    __table_args__ = (
        ForeignKeyConstraint(["delivery", "suite"], ["validation_suite.delivery", "validation_suite.suite"]),
        UniqueConstraint("delivery", "suite", "name", name="validation_result_name"),
        CheckConstraint("unexpected >= 0 AND unexpected <= evaluated", name="validation_result_counts"),
        Index("validation_result_place", "facility", "month", "xml_table", "field"),
        Index("validation_result_failing", "xml_table", "field", "month", postgresql_where=text("unexpected > 0")),
    )

    delivery: Mapped[int] = mapped_column(primary_key=True)
    suite: Mapped[int] = mapped_column(Integer, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    facility: Mapped[str]
    month: Mapped[str | None]
    xml_table: Mapped[str]
    name: Mapped[str]
    type: Mapped[str]
    field: Mapped[str]
    rule: Mapped[str | None]
    evaluated: Mapped[int]
    unexpected: Mapped[int]
    by_kind: Mapped[dict[str, int]] = mapped_column(JSONB)
    sample: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)


class AccessLog(Base):
    """Who asked to see personal data unmasked: of what, as whom and why. Rows are only ever added."""

    __tablename__ = "access_log"
    __table_args__ = (
        CheckConstraint("btrim(reason) <> '' AND btrim(who) <> ''", name="access_log_reason"),
        Index("access_log_who", "who", "at"),
        Index("access_log_delivery", "delivery", postgresql_where=text("delivery IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    who: Mapped[str]
    role: Mapped[str]
    action: Mapped[str]
    delivery: Mapped[int | None] = mapped_column(ForeignKey("delivery.id"))
    facility: Mapped[str | None]
    month: Mapped[str | None]
    reason: Mapped[str]
    detail: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class Visit(Base):
    """What is kept of a claim version that could be read and that no rule of structure refused, for the rules that look
    at other claims. numbers: insurance numbers (ten digits, `;` list); citizen: citizen id; holder: the name as names
    are compared; appointed: NGAY_HEN_KL of its XML14; referred: it has an XML13. recorded_in: the transaction, by which
    an appraisal can say whether it saw this."""

    __tablename__ = "visit"
    __table_args__ = (Index("visit_facility", "facility", "ended"),)

    version: Mapped[int] = mapped_column(ForeignKey("claim_version.id"), primary_key=True, autoincrement=False)
    facility: Mapped[str] = mapped_column(ForeignKey("facility.code"))
    started: Mapped[dt.datetime | None]
    admitted: Mapped[dt.datetime | None]
    ended: Mapped[dt.datetime | None]
    ma_loai_kcb: Mapped[str]
    ma_doituong_kcb: Mapped[str]
    ma_benh_chinh: Mapped[str]
    ket_qua_dtri: Mapped[str]
    ma_noi_di: Mapped[str]
    numbers: Mapped[str]
    citizen: Mapped[str]
    holder: Mapped[str]
    appointed: Mapped[dt.date | None] = mapped_column(Date)
    referred: Mapped[bool] = mapped_column(Boolean)
    recorded_in: Mapped[int] = mapped_column(server_default=text("pg_current_xact_id()::text::bigint"))


class VisitCost(Base):
    """What a visit costs within the benefit scope, in đồng: THANH_TIEN_BH, and before TYLE_TT_BH. recorded_in: as of a
    visit; it may be filled in later."""

    __tablename__ = "visit_cost"

    version: Mapped[int] = mapped_column(ForeignKey("visit.version"), primary_key=True, autoincrement=False)
    in_scope: Mapped[Decimal] = mapped_column(_AMOUNT)
    full_price: Mapped[Decimal] = mapped_column(_AMOUNT)
    recorded_in: Mapped[int] = mapped_column(server_default=text("pg_current_xact_id()::text::bigint"))


class VisitPerson(Base):
    """A number by which the person of a visit is known: ten digits of a card, or a citizen id of twelve."""

    __tablename__ = "visit_person"
    __table_args__ = (Index("visit_person_version", "version"),)

    key: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(ForeignKey("visit.version"), primary_key=True)


class VisitDevice(Base):
    """A supply of a visit that bears a serial number."""

    __tablename__ = "visit_device"
    __table_args__ = (Index("visit_device_version", "version"),)

    ma_vat_tu: Mapped[str] = mapped_column(primary_key=True)
    ma_hieu_sp: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(ForeignKey("visit.version"), primary_key=True)


class VisitBed(Base):
    """A row of XML3 for one bed: where, when, and whose (MA_THE_BHYT)."""

    __tablename__ = "visit_bed"
    __table_args__ = (Index("visit_bed_place", "facility", "ma_khoa", "ma_giuong", "started"),)

    version: Mapped[int] = mapped_column(ForeignKey("visit.version"), primary_key=True)
    row: Mapped[int] = mapped_column(Integer, primary_key=True)
    facility: Mapped[str]
    ma_khoa: Mapped[str]
    ma_giuong: Mapped[str]
    started: Mapped[dt.datetime]
    ended: Mapped[dt.datetime]
    person: Mapped[str]


class AffectedDelivery(Base):
    """A recorded delivery with claims to be appraised again because another delivery came; the row goes once it is."""

    __tablename__ = "affected_delivery"

    delivery: Mapped[int] = mapped_column(ForeignKey("delivery.id"), primary_key=True, autoincrement=False)
    because: Mapped[int] = mapped_column(ForeignKey("delivery.id"))
    at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))


class ReferenceLoad(Base):
    """One loading of one reference-data file: which bytes, when, by whom. Rows are only ever added."""

    __tablename__ = "reference_load"
    __table_args__ = (Index("reference_load_name", "name", "id"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    name: Mapped[str]  # file stem: drugs, cards, ...
    sha256: Mapped[str | None]
    loaded_at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    actor: Mapped[str]
    rows: Mapped[int]
    columns: Mapped[list[str]] = mapped_column(JSONB)
    file: Mapped[str | None]
    layout: Mapped[str | None]
    report: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # what its validation says
    places: Mapped[bytes | None]  # positions of its rows in the order of the file (packed); NULL: they rise


class ReferenceInForce(Base):
    """When each load came into force; of a table the newest counts. Rows are only ever added."""

    __tablename__ = "reference_in_force"
    __table_args__ = (UniqueConstraint("name", "since", name="reference_in_force_one_at_a_time"),)

    load: Mapped[int] = mapped_column(ForeignKey("reference_load.id"), primary_key=True)
    name: Mapped[str]
    since: Mapped[dt.datetime]
    kept: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))  # false: its rows were deleted


class ReferenceRow(Base):
    """One row of a reference table: all columns as text, validity dates typed too; known from one load until another.
    A row only ends, once."""

    __tablename__ = "reference_row"
    __table_args__ = (
        CheckConstraint("until_load > first_load", name="reference_row_loads"),
        Index("reference_row_in_force", "name", "position", postgresql_where=text("until_load IS NULL")),
        Index(
            "reference_row_of_card",
            "name",
            text("(data ->> 'MA_THE_BHYT')"),
            postgresql_where=text("name IN ('cards', 'copayments')"),
        ),
        Index(
            "reference_row_of_facility",
            "name",
            text("(data ->> 'MA_CSKCB')"),
            postgresql_where=text("name IN ('drugs', 'services', 'supplies')"),
        ),
        Index(
            "reference_row_of_visit",
            "name",
            text("(data ->> 'MA_LK')"),
            postgresql_where=text("name = 'card_lookups'"),
        ),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    first_load: Mapped[int] = mapped_column(ForeignKey("reference_load.id"))
    until_load: Mapped[int | None] = mapped_column(ForeignKey("reference_load.id"))
    content: Mapped[uuid.UUID]
    tu_ngay: Mapped[dt.date | None] = mapped_column(Date)
    den_ngay: Mapped[dt.date | None] = mapped_column(Date)
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)


class ReferenceRefusal(Base):
    """A file of reference data that was not taken: which bytes, when, from whom, and why. Rows are only ever added."""

    __tablename__ = "reference_refusal"
    __table_args__ = (Index("reference_refusal_name", "name", "id"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    name: Mapped[str]  # file stem: drugs, cards, ...
    file: Mapped[str]
    sha256: Mapped[str | None]
    at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    actor: Mapped[str]
    report: Mapped[dict[str, Any]] = mapped_column(JSONB)


class ProfileDelivery(Base):
    """A delivery whose statistics are in profile_cell; version: of what a profile holds."""

    __tablename__ = "profile_delivery"

    delivery: Mapped[int] = mapped_column(ForeignKey("delivery.id"), primary_key=True)
    version: Mapped[int]
    profiled_at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))


class ProfileCell(Base):
    """Statistics of the standing claims of one delivery in one month: `n` values of `measure` under `key` lie in
    `bucket`, `total` is their sum (claim_rules.statistics.cells). Those of a facility-month are the sums over its
    deliveries."""

    __tablename__ = "profile_cell"
    __table_args__ = (
        CheckConstraint("n > 0", name="profile_cell_n"),
        Index("profile_cell_facility_month", "facility", "month", "measure"),
    )

    delivery: Mapped[int] = mapped_column(ForeignKey("delivery.id"), primary_key=True)
    month: Mapped[str] = mapped_column(primary_key=True)  # yyyymm of NGAY_RA
    measure: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    bucket: Mapped[int] = mapped_column(primary_key=True)
    facility: Mapped[str] = mapped_column(ForeignKey("facility.code"))
    n: Mapped[int]
    total: Mapped[int]


class FacilityMonth(Base):
    """A facility-month of which there are statistics. judged_at is NULL where they changed since."""

    __tablename__ = "facility_month"
    __table_args__ = (
        CheckConstraint("month ~ '^[0-9]{6}$'", name="facility_month_month"),
        Index("facility_month_unjudged", "facility", "month", postgresql_where=text("judged_at IS NULL")),
    )

    facility: Mapped[str] = mapped_column(ForeignKey("facility.code"), primary_key=True)
    month: Mapped[str] = mapped_column(primary_key=True)
    changed_at: Mapped[dt.datetime] = mapped_column(server_default=text("clock_timestamp()"))
    judged_at: Mapped[dt.datetime | None]


class FacilityMonthMoment(Base):
    """The cells of a facility-month without their buckets, so that many facilities can be compared quickly."""

    __tablename__ = "facility_month_moment"
    __table_args__ = (
        ForeignKeyConstraint(["facility", "month"], ["facility_month.facility", "facility_month.month"]),
        Index("facility_month_moment_month", "month", "measure"),
    )

    facility: Mapped[str] = mapped_column(primary_key=True)
    month: Mapped[str] = mapped_column(primary_key=True)
    measure: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int]
    total: Mapped[float] = mapped_column(Float)
    squares: Mapped[float] = mapped_column(Float)


class DriftFinding(Base):
    """A warning about a facility-month (STAT-001 to STAT-005), as last judged. It changes no payment. detail: what the
    picture shows (claim_rules.statistics.drift.Drift)."""

    __tablename__ = "drift_finding"
    __table_args__ = (
        ForeignKeyConstraint(["facility", "month"], ["facility_month.facility", "facility_month.month"]),
        UniqueConstraint("facility", "month", "rule", "indicator", "key", "against", name="drift_finding_about"),
        CheckConstraint(_one_of("grade", ("low", "high", "very_high")), name="drift_finding_grade"),
        Index("drift_finding_rule", "rule", "month"),
    )

    facility: Mapped[str] = mapped_column(primary_key=True)
    month: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    rule: Mapped[str]
    indicator: Mapped[str]
    key: Mapped[str]
    against: Mapped[str]
    grade: Mapped[str]
    value: Mapped[float] = mapped_column(Float)
    baseline: Mapped[float] = mapped_column(Float)
    ratio: Mapped[float] = mapped_column(Float)
    chance: Mapped[float | None] = mapped_column(Float)
    message_vi: Mapped[str]
    message_en: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB)
