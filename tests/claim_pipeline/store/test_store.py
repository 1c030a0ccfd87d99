"""What the database holds after deliveries were received, recorded, repeated, interrupted."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from claim_pipeline import record
from claim_pipeline.errors import OperatorError
from claim_pipeline.store import embedded, open_store
from claim_pipeline.store.migrations import HEAD, migrate
from claim_pipeline.workspace import Workspace

LIFE = [
    {"ma_lk": "A1", "amounts": [(1000, 0), (2000, 500)]},
    {"ma_lk": "A2"},
    {"unreadable": True},
    {"ma_lk": "A1", "outcome": "rejected", "amounts": [(1000, 0)]},
    {"ma_lk": "A3", "unreadable": True},
]


def recorded(store, receive, ws, **changes) -> int:
    delivery_id = receive(store, ws, **changes).delivery_id
    record.run(ws, store, delivery_id, "test")
    return delivery_id


# --- receiving and moving


def test_the_same_bytes_again_are_a_repeat_of_the_first(store, receive, make_workspace):
    ws = make_workspace([{"ma_lk": "A1"}])
    first = receive(store, ws)
    again = receive(store, ws, file="other name.xml")
    elsewhere = receive(store, ws, facility="01002")
    assert first.repeat_of is None
    assert again.repeat_of == first.delivery_id
    assert elsewhere.repeat_of is None
    assert store.delivery(again.delivery_id).repeat_of == first.delivery_id
    assert [row.id for row in store.unanswered()] == [
        first.delivery_id, again.delivery_id, elsewhere.delivery_id,
    ]  # fmt: skip


def test_the_same_drop_told_twice_is_one_delivery(store, receive, make_workspace):
    ws = make_workspace([{"ma_lk": "A1"}])
    assert receive(store, ws) == receive(store, ws)
    first = receive(store, ws, drop="inode 7")
    assert first.repeat_of is not None
    assert receive(store, ws, drop="inode 7") == first
    assert receive(store, ws, drop="inode 8") != first


def test_many_processes_receiving_one_file_make_one_first_delivery(store, receive, make_workspace):
    ws = make_workspace([{"ma_lk": "A1"}])
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda n: receive(store, ws, drop=f"drop {n % 3}"), range(12)))
    firsts = {answer.delivery_id for answer in found if answer.repeat_of is None}
    assert len(firsts) == 1
    assert len({answer.delivery_id for answer in found}) == 3
    assert {answer.repeat_of for answer in found} == {None, *firsts}


def test_moves_are_kept_in_order_and_an_equal_move_is_no_move(store, receive, make_workspace):
    delivery = receive(store, make_workspace([{"ma_lk": "A1"}])).delivery_id
    for _ in range(2):
        store.move(delivery, "extracted", actor="airflow", inputs="aa", outputs="bb", detail={"claims": 1})
    store.move(delivery, "transformed", actor="airflow")
    store.move(delivery, "failed", actor="airflow", detail={"step": "validate"})
    row = store.delivery(delivery)
    assert (row.status, row.progress) == ("failed", "transformed")
    store.move(delivery, "extracted", actor="airflow")
    assert store.delivery(delivery).status == "transformed"
    assert [event["status"] for event in store.events(delivery)] == [
        "received", "extracted", "transformed", "failed", "extracted",
    ]  # fmt: skip
    assert store.events(delivery)[1]["outputs"] == "bb"
    assert store.events(delivery)[1]["at"].utcoffset() == timedelta(hours=7)


def test_an_answered_delivery_stays_answered(store, receive, make_workspace):
    delivery = receive(store, make_workspace([{"ma_lk": "A1"}])).delivery_id
    store.answered(delivery, Path("/somewhere/outbox/27001/20260715-100000-abcdef01"), "test")
    store.answered(delivery, Path("/somewhere/outbox/27001/other"), "test")
    store.move(delivery, "failed", actor="late")
    row = store.delivery(delivery)
    assert row.status == "answered"
    assert row.answer_folder == "27001/20260715-100000-abcdef01"
    assert store.unanswered() == []


def test_a_quarantined_delivery_keeps_its_reason_and_is_answered(store, receive, make_workspace):
    ws = make_workspace([])
    state = ws.delivery
    state.status, state.reason = "quarantined", {"code": "STR-003", "message_vi": "thiếu hồ sơ", "message_en": "few"}
    ws.delivery = state
    delivery = receive(store, ws).delivery_id
    store.move(delivery, "quarantined", actor="test", detail=state.reason)
    before = store.events(delivery)
    record.run(ws, store, delivery, "test")
    record.run(ws, store, delivery, "test")
    assert store.events(delivery) == before
    store.answered(delivery, "27001/x", "test")
    row = store.delivery(delivery)
    assert (row.status, row.reason) == ("quarantined", state.reason)
    assert row.recorded_at is not None
    assert store.unanswered() == []
    assert store.summary()[0]["quarantined"] == 1


def test_an_unknown_delivery_is_a_key_error(store):
    with pytest.raises(KeyError):
        store.delivery(404)
    with pytest.raises(KeyError):
        store.answered(404, "27001/x", "test")
    with pytest.raises(ValueError, match="not a status"):
        store.move(1, "lost", actor="test")


# --- recording


def test_every_claim_read_is_recorded_with_lines_findings_and_outcome(store, url, connect, receive, make_workspace):
    ws = make_workspace(LIFE)
    delivery = recorded(store, receive, ws)
    with connect(url) as connection:
        versions = connection.execute(
            "SELECT o.position, o.ma_lk, o.sequence, o.newest, o.duplicate, readable, outcome, requested, approved, "
            "refused, paperless_reasons, decision "
            "FROM standing_outcome o JOIN claim_version v ON v.id = o.version ORDER BY o.position"
        ).fetchall()
        d = Decimal
        assert versions == [
            (0, "A1", 1, True, False, True, "adjusted", d("3000.00"), d("2500.00"), d("500.00"), ["unsigned"], "3176"),
            (1, "A2", 1, True, False, True, "accepted", d("1000.00"), d("1000.00"), d("0.00"), ["unsigned"], "3176"),
            (2, None, None, True, False, False, "rejected", d("0.00"), d("0.00"), d("0.00"), ["unsigned"], None),
            (3, "A1", 1, False, True, True, "rejected", d("1000.00"), d("0.00"), d("1000.00"), ["unsigned"], "3176"),
            (4, "A3", 1, True, False, False, "rejected", d("0.00"), d("0.00"), d("0.00"), ["unsigned"], None),
        ]
        lines = connection.execute(
            "SELECT v.position, l.xml_table, l.row, l.line, l.code, l.quantity, l.price, l.requested, l.approved "
            "FROM standing_line l JOIN claim_version v ON v.id = l.version ORDER BY 1, 2, 3"
        ).fetchall()
        assert lines[1] == (0, "XML2", 2, 2, "40.2", d("2.000"), d("500.125"), d("2000.00"), d("1500.00"))
        assert len(lines) == 4
        times = connection.execute("SELECT DISTINCT ngay_vao, ngay_ra FROM claim_version WHERE readable").fetchall()
        assert [t.isoformat() for t in times[0]] == ["2025-07-01T08:00:00+07:00", "2025-07-02T09:30:00+07:00"]
        findings = connection.execute(
            "SELECT f.number, v.position, f.rule, f.xml_table, f.line, f.observed, f.amount_refused "
            "FROM standing_finding f LEFT JOIN claim_version v ON v.id = f.version ORDER BY 1"
        ).fetchall()
        assert findings[0] == (1, 0, "PRICE-001", "XML2", 2, "500.125", d("500.00"))
        assert findings[1] == (2, 2, "STR-002", None, None, "\ufffdbin", d("0.00"))
    row = store.delivery(delivery)
    assert (row.status, row.format, row.read_claims) == ("recorded", "xml-3176", 5)
    assert store.events(delivery)[-1]["detail"]["requested"] == "5000.00"


def test_a_second_record_changes_nothing(store, url, dump, receive, make_workspace):
    ws = make_workspace(LIFE)
    delivery = recorded(store, receive, ws)
    before = dump(url)
    record.run(ws, store, delivery, "test")
    record.run(ws, store, delivery, "someone else")
    assert dump(url) == before


def test_a_claim_sent_again_is_a_new_version_and_only_the_newest_counts(store, url, connect, receive, make_workspace):
    recorded(store, receive, make_workspace(LIFE))
    recorded(store, receive, make_workspace([{"ma_lk": "A1", "amounts": [(700, 0)]}, {"ma_lk": "B1"}], name="b.xml"))
    with connect(url) as connection:
        versions = connection.execute(
            "SELECT sequence, newest, duplicate, requested FROM standing_outcome WHERE ma_lk = 'A1' ORDER BY version"
        ).fetchall()
    assert versions == [
        (1, False, False, Decimal(3000)), (1, False, True, Decimal(1000)), (2, True, False, Decimal(700)),
    ]  # fmt: skip
    (summary,) = store.summary()
    assert summary == {
        "facility": "27001", "deliveries": 2, "repeats": 0, "answered": 0, "quarantined": 0, "claims": 5, "lines": 3,
        "accepted": 3, "adjusted": 0, "rejected": 2, "referred": 0, "replaced": 2,
        "requested": "2700.00", "approved": "2700.00", "refused": "0.00",
    }  # fmt: skip


def test_the_newest_version_is_the_last_received_not_the_last_recorded(store, url, dump, receive, make_workspace):
    first = make_workspace([{"ma_lk": "A1"}, {"ma_lk": "A2"}], name="1.xml")
    second = make_workspace([{"ma_lk": "A1", "amounts": [(5, 0)]}], name="2.xml")
    third = make_workspace([{"ma_lk": "A1", "amounts": [(6, 0)]}, {"ma_lk": "A1", "amounts": [(7, 0)]}], name="3.xml")
    ids = [receive(store, ws).delivery_id for ws in (first, second, third)]
    for index in (2, 0, 1):
        record.run((first, second, third)[index], store, ids[index], "test")
    got = [line for line in dump(url)["claim_version"] if "'A1'" in line]
    assert sum("'newest': True" in line for line in got) == 1
    by_amount = {
        amount: next(line for line in got if f"'requested': {amount}" in line) for amount in ("1000.0", "5.0", "6.0")
    }
    assert "'sequence': 1" in by_amount["1000.0"]
    assert "'sequence': 2" in by_amount["5.0"]
    assert "'sequence': 3" in by_amount["6.0"]
    assert "'newest': True" in by_amount["6.0"]
    assert store.summary()[0]["claims"] == 3  # A1 and its repetition in the third delivery, A2


def test_deliveries_of_one_facility_recorded_at_once_get_right_sequences(store, url, connect, receive, make_workspace):
    spaces = [make_workspace([{"ma_lk": f"C{n}"} for n in range(40)], name=f"{k}.xml") for k in range(6)]
    ids = [receive(store, ws).delivery_id for ws in spaces]
    barrier = threading.Barrier(6)

    def run(pair):
        barrier.wait(30)
        record.run(pair[0], store, pair[1], "test")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(run, zip(spaces, ids, strict=True)))
    with connect(url) as connection:
        rows = connection.execute(
            "SELECT array_agg(sequence ORDER BY delivery), array_agg(newest ORDER BY delivery) "
            "FROM claim_version GROUP BY claim"
        ).fetchall()
        assert connection.execute("SELECT DISTINCT versions FROM claim").fetchall() == [(6,)]
    assert rows == [([1, 2, 3, 4, 5, 6], [False] * 5 + [True])] * 40


def test_amounts_that_do_not_add_up_are_refused_without_telling_the_row(store, receive, make_workspace):
    ws = make_workspace([{"ma_lk": "SECRET-1"}])
    outcomes = ws.read_frame("claim_outcomes")
    outcomes["approved"] += 1
    ws.write_frame("claim_outcomes", outcomes)
    delivery = receive(store, ws).delivery_id
    with pytest.raises(OperatorError, match="claim_outcome_amounts") as raised:
        record.run(ws, store, delivery, "test")
    assert "SECRET-1" not in str(raised.value) + raised.value.message_vi
    assert raised.value.__cause__ is None
    assert store.delivery(delivery).recorded_at is None


def test_odd_values_are_recorded_as_far_as_they_can_be(store, url, connect, receive, make_workspace):
    claims = [
        {"ma_lk": "L" * 5000, "bad_price": True, "ngay_ra": "202513990000"},
        {"ma_lk": "   "},
        {"ma_lk": "comma,\"quote\"\nnewline"},
    ]  # fmt: skip
    recorded(store, receive, make_workspace(claims))
    with connect(url) as connection:
        rows = connection.execute("SELECT ma_lk, claim, ngay_ra FROM claim_version ORDER BY position").fetchall()
        prices = connection.execute("SELECT count(*) FROM claim_line WHERE price IS NULL").fetchone()
    assert len(rows[0][0]) < 300
    assert rows[0][2] is None
    assert rows[1][:2] == (None, None)
    assert rows[2][0] == 'comma,"quote"\nnewline'
    assert prices == (1,)


def test_the_content_hash_tells_versions_apart_and_equal_content_together(store, url, connect, receive, make_workspace):
    recorded(store, receive, make_workspace([{"ma_lk": "A"}, {"ma_lk": "B"}], name="1.xml"))
    recorded(store, receive, make_workspace([{"ma_lk": "B"}, {"ma_lk": "A", "bad_price": True}], name="2.xml"))
    with connect(url) as connection:
        count = dict(
            connection.execute(
                "SELECT ma_lk, count(DISTINCT content_sha256) FROM claim_version GROUP BY ma_lk"
            ).fetchall()
        )
    assert count == {"A": 2, "B": 1}


def _record_and_freeze(url: str, folder: str, delivery_id: int, reached) -> None:
    """Records, but stands still with all claims written and nothing committed."""
    from claim_pipeline.store import recording

    write = recording.Recording._write_decided

    def write_and_wait(self, *arguments):
        write(self, *arguments)
        reached.set()
        threading.Event().wait()

    recording.Recording._write_decided = write_and_wait
    open_store(url).record(delivery_id, Workspace(folder), "test")


def test_killed_in_the_middle_of_record_and_run_again_is_as_undisturbed(
    home, store, url, dump, connect, receive, make_workspace
):
    earlier = make_workspace([{"ma_lk": "A1"}, {"ma_lk": "A9"}], name="earlier.xml")
    ws = make_workspace(LIFE)

    other = embedded.create_database(home, "undisturbed")
    undisturbed = open_store(other)
    for one in (store, undisturbed):
        recorded(one, receive, earlier)
    recorded(undisturbed, receive, ws)

    delivery = receive(store, ws).delivery_id
    before = dump(url)
    context = multiprocessing.get_context("spawn")
    reached = context.Event()
    process = context.Process(target=_record_and_freeze, args=(url, str(ws.folder), delivery, reached))
    process.start()
    assert reached.wait(60)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert dump(url) == before

    record.run(ws, store, delivery, "test")
    assert dump(url) == dump(other)
    undisturbed.close()


# --- what the database itself forbids


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE delivery_event SET actor = 'nobody'",
        "DELETE FROM delivery_event",
        "TRUNCATE delivery_event",
        "UPDATE claim_version SET content_sha256 = repeat('0', 64)",
        "UPDATE claim_version SET appraisal = appraisal - 1",
        "UPDATE claim_outcome SET approved = 0, refused = requested",
        "DELETE FROM claim_outcome",
        "UPDATE appraisal SET reference = NULL, totals = '{}'",
        "DELETE FROM appraisal",
        "DELETE FROM claim_version",
        "UPDATE claim_line SET price = 0",
        "UPDATE line_outcome SET approved = 0, refused = requested",
        "DELETE FROM claim_line",
        "TRUNCATE claim_line",
        "UPDATE finding SET observed = ''",
        "DELETE FROM finding",
        "DELETE FROM claim",
        "UPDATE claim SET ma_lk = 'other'",
        "UPDATE delivery SET sha256 = repeat('0', 64)",
        "UPDATE delivery SET recorded_at = NULL",
        "DELETE FROM delivery",
        "TRUNCATE delivery CASCADE",
        "DELETE FROM facility",
    ],
)
def test_the_database_forbids(store, url, dump, connect, receive, make_workspace, statement):
    recorded(store, receive, make_workspace(LIFE))
    before = dump(url)
    with connect(url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(statement)
    assert dump(url) == before


# --- lists


def test_recent_shows_counts_and_amounts_and_a_repeat_those_of_the_first(store, tmp_path, receive, make_workspace):
    ws = make_workspace(LIFE)
    delivery = recorded(store, receive, ws)
    repeat = receive(store, ws, file="again.xml").delivery_id
    waiting = receive(store, make_workspace([{"ma_lk": "Z"}], name="z.xml")).delivery_id
    store.answered(delivery, tmp_path / "27001" / "f", "test")
    newest, second, oldest = store.recent(10)
    assert (newest.id, newest.claims, newest.requested) == (waiting, None, None)
    assert (second.id, second.repeat_of, second.claims) == (repeat, delivery, 5)
    assert (oldest.accepted, oldest.adjusted, oldest.rejected, oldest.referred) == (1, 1, 3, 0)
    assert (oldest.requested, oldest.approved, oldest.refused) == tuple(map(Decimal, ("5000.00", "3500.00", "1500.00")))
    assert oldest.answer_folder == "27001/f"
    assert oldest.received_at == datetime.fromisoformat("2026-07-15T10:00:00+07:00")
    assert len(store.recent(1)) == 1

    assert store.delivery_report_path(waiting, tmp_path) is None
    assert store.delivery_report_path(delivery, tmp_path) is None
    (tmp_path / "27001" / "f").mkdir(parents=True)
    (tmp_path / "27001" / "f" / "report.html").write_text("page", "utf-8")
    assert store.delivery_report_path(delivery, tmp_path) == tmp_path / "27001" / "f" / "report.html"


# --- migrations and opening


def test_models_and_migrations_say_the_same_and_head_is_the_last(store):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from claim_pipeline.store import migrations
    from claim_pipeline.store.models import Base

    assert ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head() == HEAD
    with store._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_what_was_recorded_before_appraisals_becomes_the_first_of_its_delivery(url, connect):
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    from claim_pipeline.store import migrations

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    engine.dispose()
    digest = "0" * 64
    with connect(url) as connection:
        connection.execute(
            f"""
            INSERT INTO facility (code) VALUES ('27001');
            INSERT INTO delivery (facility, file, sha256, size, received_at, archive_key, status, progress, rule_book,
                                  totals, recorded_at)
            VALUES ('27001', 'a.xml', '{digest}', 1, now(), 'k', 'recorded', 'recorded', 'book-0', '{{"claims": 1}}',
                    '2026-07-01 08:00+07'),
                   ('27001', 'b.xml', '{"1" * 64}', 1, now(), 'k', 'received', 'received', NULL, NULL, NULL);
            INSERT INTO delivery_event (delivery, status, actor, inputs) VALUES (1, 'recorded', 'somebody', 'rr');
            INSERT INTO claim (facility, ma_lk, versions) VALUES ('27001', 'A1', 1);
            INSERT INTO claim_version (delivery, position, claim, ma_lk, sequence, newest, duplicate, readable, outcome,
                paperless, paperless_reasons, referral_reasons, requested, approved, refused, content_sha256)
            VALUES (1, 0, 1, 'A1', 1, true, false, true, 'adjusted', false, '["unsigned"]', '[]', 10, 7, 3, '{digest}');
            INSERT INTO claim_line (version, xml_table, row, line, code, requested, approved, refused)
            VALUES (1, 'XML2', 1, 1, '40.1', 10, 7, 3);
            INSERT INTO finding (delivery, number, version, rule, severity) VALUES
                (1, 1, NULL, 'STR-003', 'warn'), (1, 2, 1, 'PRICE-001', 'adjust_amount');
            """
        )
    store = open_store(url)
    try:
        assert [store.summary()[0][name] for name in ("claims", "lines", "adjusted", "approved")] == [1, 1, 1, "7.00"]
        assert [row.claims for row in store.recent()] == [None, 1]
        with connect(url) as connection:
            assert connection.execute(
                "SELECT delivery, number, actor, cause, rule_book, report_sha256, result_sha256 FROM appraisal"
            ).fetchall() == [(1, 1, "somebody", "delivery", "book-0", "rr", None)]
            assert connection.execute(
                "SELECT outcome, paperless_reasons, refused FROM standing_outcome WHERE ma_lk = 'A1'"
            ).fetchall() == [("adjusted", ["unsigned"], Decimal(3))]
            assert connection.execute("SELECT code, approved FROM standing_line").fetchall() == [("40.1", Decimal(7))]
            assert connection.execute("SELECT rule, delivery FROM standing_finding ORDER BY 1").fetchall() == [
                ("PRICE-001", 1), ("STR-003", 1),
            ]  # fmt: skip
    finally:
        store.close()


def test_several_processes_may_open_a_new_database_at_once(url):
    with ThreadPoolExecutor(5) as pool:
        stores = list(pool.map(lambda _: open_store(url), range(5)))
    for one in stores:
        migrate(one._engine)
        assert one.summary() == []
        one.close()


def test_a_database_that_is_not_there_is_said_plainly():
    with pytest.raises(OperatorError, match="database-unreachable") as raised:
        open_store("postgresql://someone:password@/nowhere?host=/nonexistent")
    assert "password" not in str(raised.value)


def test_opening_is_light_until_it_is_done():
    import subprocess
    import sys

    code = (
        "import sys; from claim_pipeline.store import open_store; "
        "print([m for m in ('sqlalchemy', 'pandas', 'psycopg', 'pyarrow') if m in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
