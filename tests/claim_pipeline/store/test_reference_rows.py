"""Reference data in the database: what was loaded comes back, a load replaces a table as a whole."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import psycopg
import pytest
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from claim_pipeline import reference
from claim_pipeline.errors import OperatorError, ReferenceDataError
from claim_pipeline.store import migrations, open_store, reference_rows


def text(**columns: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(values, dtype="str") for name, values in columns.items()})


DRUGS = text(
    MA_THUOC=["40.1", "40.2", "40.3", ""],
    TEN_THUOC=['Thuốc "A",\nviên', " ", None, "\x00"],
    TU_NGAY=["20250101", "", "20250230", None],
    DEN_NGAY=["20251231", None, "", ""],
)


def test_what_was_loaded_comes_back_column_by_column(store):
    empty = text(A=[], B=[])
    one = text(ONLY=["", "x", ""])
    assert store.reference() == {}
    assert store.load_reference({"drugs": DRUGS, "cards": empty, "holidays": one}) == {
        "drugs": 4, "cards": 0, "holidays": 3,
    }  # fmt: skip
    got = store.reference()
    assert set(got) == {"drugs", "cards", "holidays"}
    pd.testing.assert_frame_equal(got["drugs"], DRUGS.replace("\x00", "\ufffd"))
    pd.testing.assert_frame_equal(got["cards"], empty)
    pd.testing.assert_frame_equal(got["holidays"], one)


def test_validity_dates_are_typed(store, url, connect):
    store.load_reference({"drugs": DRUGS})
    with connect(url) as connection:
        rows = connection.execute("SELECT tu_ngay, den_ngay FROM reference_row ORDER BY position").fetchall()
    assert rows == [(dt.date(2025, 1, 1), dt.date(2025, 12, 31)), (None, None), (None, None), (None, None)]


def test_a_load_replaces_its_table_as_a_whole_and_is_remembered(store, url, connect):
    store.load_reference({"drugs": DRUGS, "cards": text(A=["1"])}, {"drugs": "aa"}, "ann")
    store.load_reference({"drugs": DRUGS.head(1)}, {"drugs": "bb"}, "ben")
    assert len(store.reference()["drugs"]) == 1
    assert len(store.reference()["cards"]) == 1
    with connect(url) as connection:
        loads = connection.execute("SELECT name, sha256, actor, rows FROM reference_load ORDER BY id").fetchall()
        assert connection.execute("SELECT count(*) FROM reference_row WHERE until_load IS NULL").fetchone() == (2,)
    assert loads == [("drugs", "aa", "ann", 4), ("cards", None, "ann", 1), ("drugs", "bb", "ben", 1)]
    # and what was in force before can still be had
    assert {name: version["sha256"] for name, version in store.reference_versions().items()} == {
        "cards": None, "drugs": "bb",
    }  # fmt: skip
    before = dt.datetime.fromisoformat(store.reference_versions()["drugs"]["loaded_at"]) - dt.timedelta(microseconds=1)
    old = store.reference_versions(before)
    assert old["drugs"]["sha256"] == "aa"
    assert len(store.reference(before)["drugs"]) == 4
    assert len(store.reference(loads=[old["drugs"]["load"]])["drugs"]) == 4
    assert store.reference(dt.datetime(2001, 1, 1, tzinfo=dt.UTC)) == {}
    with pytest.raises(KeyError):
        store.reference(loads=[99])


def test_the_bytes_in_force_are_not_loaded_again(store, url, connect):
    for _ in range(3):
        assert store.load_reference({"drugs": DRUGS}, {"drugs": "aa"}) == {"drugs": 4}
    with connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM reference_load").fetchone() == (1,)


def test_a_load_that_fails_leaves_what_was_in_force(store, url, connect):
    store.load_reference({"drugs": DRUGS})
    with connect(url) as connection:
        connection.execute("ALTER TABLE reference_load ADD CONSTRAINT no_cards CHECK (name <> 'staff')")
    with pytest.raises(OperatorError, match="no_cards"):
        store.load_reference({"drugs": DRUGS.head(1), "staff": text(A=["1"])})
    other = open_store(url)
    assert len(other.reference()["drugs"]) == 4
    assert "staff" not in other.reference()
    other.close()


# --- history

CELLS = st.sampled_from(["", "a/b\\", "a", "b", "á", None, "\x00", "20250101", "99999999", "\\u0000", 'x,"y"\n'])
FRAMES = st.builds(
    lambda columns, rows: pd.DataFrame(
        {
            name: pd.Series([row[place] for row in rows], dtype="str")
            for place, name in enumerate(columns)
        }
    ),
    st.permutations(["A", "TU_NGAY", "C"]).map(lambda names: names[: 1 + (names[0] != "A")]),
    st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=6),
)  # fmt: skip
LOADS = st.lists(st.dictionaries(st.sampled_from(["cards", "drugs"]), FRAMES, min_size=1), min_size=1, max_size=6)


@given(LOADS)
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_at_any_moment_what_was_loaded_last_before_it_is_known(store, loads):
    before = store.reference()
    seen = []
    for tables in loads:
        seen.append((store.reference_moment(), before, store.reference_versions()))
        store.load_reference(tables)
        before = before | {
            name: frame.apply(lambda column: column.str.replace("\x00", "\ufffd", regex=False))
            for name, frame in tables.items()
        }
    seen.append((None, before, store.reference_versions()))
    for moment, tables, versions in seen:
        known = store.reference(moment)
        assert set(known) == set(tables)
        for name, frame in tables.items():
            pd.testing.assert_frame_equal(known[name], frame)
        assert store.reference_versions(moment) == versions


@given(FRAMES)
def test_rows_are_named_by_the_text_that_pandas_writes_of_them(frame):
    stored = reference_rows._storable(frame)
    written = stored[sorted(stored.columns)].to_json(orient="records", lines=True, force_ascii=False)
    assert reference_rows._json(stored) == [line for line in written.split("\n") if line]


def test_a_row_that_stays_is_stored_once_whatever_its_place(store, url, connect):
    first = text(MA=[str(number) for number in range(100)] + ["1"])
    store.load_reference({"cards": first}, {"cards": "aa"})
    moved = pd.concat([first.iloc[50:], first.iloc[1:50], text(MA=["new", "1"])], ignore_index=True)
    store.load_reference({"cards": moved}, {"cards": "bb"}, "ben")
    pd.testing.assert_frame_equal(store.reference()["cards"], moved)
    with connect(url) as connection:
        assert connection.execute(
            "SELECT count(*), count(until_load) FROM reference_row"
        ).fetchone() == (103, 1)  # fmt: skip
    newest, oldest = store.reference_history("cards")
    assert (newest["sha256"], newest["actor"], newest["rows"], newest["added"], newest["ended"]) == (
        "bb", "ben", 102, 2, 1,
    )  # fmt: skip
    assert (oldest["added"], oldest["ended"]) == (101, 0)
    assert store.reference_history("cards", newest["since"] - dt.timedelta(microseconds=1)) == [oldest]


def test_what_was_known_can_be_neither_changed_nor_deleted(store, url, connect):
    store.load_reference({"cards": text(MA=["1", "2"])})
    store.load_reference({"cards": text(MA=["2"])})
    for change in (
        "DELETE FROM reference_row", "TRUNCATE reference_row", "UPDATE reference_row SET until_load = NULL",
        "UPDATE reference_row SET data = '{}', until_load = 2 WHERE until_load IS NULL",
        "UPDATE reference_row SET until_load = 9 WHERE until_load = 2",
        "DELETE FROM reference_in_force", "UPDATE reference_in_force SET since = now()",
    ):  # fmt: skip
        with connect(url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute(change)


def test_a_moment_waits_for_loads_that_come_into_force(store, url, connect):
    with connect(url) as loading:
        loading.autocommit = False
        loading.execute("SELECT pg_advisory_xact_lock(7204611003)")
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(store.reference_moment)
            with connect(url) as watching:
                for _ in range(200):
                    waits = watching.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
                    if waits == (1,):
                        break
                    time.sleep(0.05)
            assert waits == (1,)
            assert not asked.done()
            loading.rollback()
            assert asked.result(timeout=10) is not None


def test_data_from_before_history_was_kept_stay_and_what_was_deleted_is_said_to_be(url, connect):
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
    engine.dispose()
    with connect(url) as connection:
        connection.execute(
            """
            INSERT INTO reference_load (name, sha256, loaded_at, actor, rows, columns) VALUES
                ('cards', 'aa', '2026-01-01 08:00+07', 'ann', 1, '["B", "A"]'),
                ('cards', 'bb', '2026-02-01 08:00+07', 'ben', 2, '["B", "A"]'),
                ('cards', 'cc', '2026-02-02 08:00+07', 'ben', 1, '["A"]');
            INSERT INTO reference_table VALUES ('cards', 3);
            INSERT INTO reference_row (load, position, data) VALUES
                (2, 1, '{"A": "3", "B": "4"}'), (2, 0, '{"A": "1", "B": "2"}'),
                (3, 0, '{"A": "5"}');
            """
        )
    store = open_store(url)
    known = text(B=["2", "4"], A=["1", "3"])
    pd.testing.assert_frame_equal(store.reference()["cards"], text(A=["5"]))
    pd.testing.assert_frame_equal(store.reference(dt.datetime(2026, 2, 1, 1, tzinfo=dt.UTC))["cards"], known)
    with pytest.raises(KeyError, match="cards"):
        store.reference(dt.datetime(2026, 1, 31, tzinfo=dt.UTC))
    assert store.reference(dt.datetime(2025, 12, 31, tzinfo=dt.UTC)) == {}
    store.load_reference({"cards": text(A=["1"])})
    pd.testing.assert_frame_equal(store.reference(dt.datetime(2026, 2, 1, 9, tzinfo=dt.UTC))["cards"], known)
    store.close()


# --- the drop folder


def test_a_folder_is_loaded_and_files_in_force_are_not_read_again(store, tmp_path):
    (tmp_path / "cards.csv").write_text("MA_THE_BHYT\nA\nB\n", "utf-8")
    (tmp_path / "holidays.csv").write_text("NGAY\n20250101\n", "utf-8")
    assert reference.load_folder(tmp_path, store, "ann") == {"cards": 2, "holidays": 1}
    first = store.reference_loads()
    assert first["cards"]["actor"] == "ann"

    (tmp_path / "holidays.csv").write_text("NGAY\n20250101\n20250102\n", "utf-8")
    assert reference.load_folder(tmp_path, store, "ben") == {"cards": 2, "holidays": 2}
    again = store.reference_loads()
    assert again["cards"] == first["cards"]
    assert again["holidays"]["actor"] == "ben"


def test_a_bad_file_is_named_after_the_others_are_loaded_and_what_it_would_replace_stays(store, tmp_path):
    (tmp_path / "holidays.csv").write_text("NGAY\n20250101\n", "utf-8")
    reference.load_folder(tmp_path, store)
    (tmp_path / "cards.csv").write_text("MA_THE_BHYT\nA\n", "utf-8")
    (tmp_path / "holidays.csv").write_text("NGAY\nTết\n", "utf-8")
    with pytest.raises(ReferenceDataError, match=r"holidays\.csv, row 2, column NGAY"):
        reference.load_folder(tmp_path, store)
    assert {name: load["rows"] for name, load in store.reference_loads().items()} == {"cards": 1, "holidays": 1}


def test_what_became_of_a_file_is_kept_with_its_load_and_written_beside_it(store, tmp_path):
    (tmp_path / "facilities.csv").write_text("MA_CSKCB\n27001\n", "utf-8")
    (tmp_path / "holidays.csv").write_text("NGAY\nTết\n", "utf-8")
    (tmp_path / "export.csv").write_text(
        "MA_THUOC,TEN_THUOC,TT_THAU,DON_GIA,MA_CSKCB,TU_NGAY,DEN_NGAY\n1,a,t,5,27001,01/01/2026,\n2,b,t,5,27002,,\n"
        "3,c,t,x,27001,,\n",
        "utf-8",
    )
    with pytest.raises(ReferenceDataError, match="holidays"):
        reference.load_folder(tmp_path, store, "ann")
    (load,) = store.reference_history("drugs")
    report = load["report"]
    assert (load["file"], load["layout"], load["rows"], report["refused_rows"]) == ("export.csv", "portal", 2, 1)
    assert [note["en"] for note in report["warnings"]] == ["27002 is not in the list of facilities"]
    assert store.reference()["drugs"]["TU_NGAY"].tolist() == ["20260101", ""]
    written = sorted(path.name for path in (tmp_path / "reports").iterdir())
    assert written == ["export.csv.txt", "facilities.csv.txt", "holidays.csv.txt"]
    assert "dòng 4 · row 4, DON_GIA: không phải số" in (tmp_path / "reports/export.csv.txt").read_text("utf-8")
    refused = (tmp_path / "reports/holidays.csv.txt").read_text("utf-8")
    assert "TỆP KHÔNG ĐƯỢC NHẬN: Tệp holidays.csv, dòng 2, cột NGAY" in refused
    # a single file, and one of which nobody knows what it is
    (tmp_path / "holidays.csv").write_text("NGAY\n20260101\n", "utf-8")
    assert reference.load_folder(tmp_path / "holidays.csv", store) == {"holidays": 1}
    (tmp_path / "what.csv").write_text("A\n1\n", "utf-8")
    with pytest.raises(ReferenceDataError, match="not known which table"):
        reference.load_folder(tmp_path / "what.csv", store)


@pytest.mark.parametrize("point", ["reference:written", "reference:in-force"])
def test_a_load_that_is_killed_leaves_the_old_data_whole_and_is_done_again(store, url, tmp_path, point):
    store.load_reference({"cards": text(MA=["1", "2"]), "drugs": DRUGS})
    before = store.reference()
    moment = store.reference_moment()
    program = (
        "import sys, pandas as pd\n"
        "from claim_pipeline.store import open_store\n"
        "frame = pd.DataFrame({'MA': pd.Series(['2', '3'], dtype='str')})\n"
        "open_store(sys.argv[1]).load_reference({'cards': frame, 'drugs': frame})\n"
    )
    environment = os.environ | {"GIAMDINH_TEST_KILL_AT": point, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", program, url], env=environment, check=False, timeout=120)
    assert ended.returncode == -9
    for known in (store.reference(), store.reference(moment)):
        assert set(known) == set(before)
        for name, frame in before.items():
            pd.testing.assert_frame_equal(known[name], frame)
    again = text(MA=["2", "3"])
    store.load_reference({"cards": again, "drugs": again})
    pd.testing.assert_frame_equal(store.reference()["cards"], again)
    pd.testing.assert_frame_equal(store.reference(moment)["cards"], before["cards"])
