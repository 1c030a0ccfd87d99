"""Reference data in the database: what was loaded comes back, a load replaces a table as a whole."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
import pytest
import python_calamine
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from typer.testing import CliRunner

from claim_pipeline import reference, steps
from claim_pipeline.archive import Archive
from claim_pipeline.errors import OperatorError, ReferenceDataError
from claim_pipeline.settings import settings as settings_in_use
from claim_pipeline.store import migrations, open_store, reference_rows
from giamdinh import app


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


def test_the_order_of_a_load_from_before_positions_were_written_stays(url, connect):
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = create_engine(url)

    def migrated(way, revision):
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            way(config, revision)

    migrated(command.upgrade, "0008")
    # the rows of the second load, by their place among those it holds (positions 0, 2, 3)
    order = zlib.compress(np.diff([2, 0, 1], prepend=0).astype("<i4").tobytes())
    with connect(url) as connection:
        connection.execute(
            """
            INSERT INTO reference_load (name, sha256, actor, rows, columns, row_order)
            VALUES ('cards', 'aa', 'ann', 2, '["A"]', NULL), ('cards', 'bb', 'ben', 3, '["A"]', %s)
            """,
            [order],
        )
        connection.execute(
            """
            INSERT INTO reference_in_force (load, name, since)
            VALUES (1, 'cards', '2026-01-01 08:00+07'), (2, 'cards', '2026-01-02 08:00+07');
            INSERT INTO reference_row (name, position, first_load, until_load, content, data) VALUES
                ('cards', 0, 1, NULL, gen_random_uuid(), '{"A": "first"}'),
                ('cards', 1, 1, 2, gen_random_uuid(), '{"A": "gone"}'),
                ('cards', 2, 2, NULL, gen_random_uuid(), '{"A": "second"}'),
                ('cards', 3, 2, NULL, gen_random_uuid(), '{"A": "third"}');
            """
        )
    store = open_store(url)
    assert store.reference()["cards"]["A"].tolist() == ["third", "first", "second"]
    assert store.reference(loads=[1])["cards"]["A"].tolist() == ["first", "gone"]
    store.close()
    migrated(command.downgrade, "0008")
    with connect(url) as connection:
        [(back,)] = connection.execute("SELECT row_order FROM reference_load WHERE id = 2").fetchall()
    assert zlib.decompress(back) == zlib.decompress(order)
    engine.dispose()


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
    told = [(note["column"], note["en"]) for note in report["warnings"]]
    assert told[0] == ("MA_CSKCB", "27002 is not in the list of facilities")
    [lacks] = [words for column, words in told if column == "TYLE_TT_BH"]
    assert "RATE-001" in lacks
    assert store.reference()["drugs"]["TU_NGAY"].tolist() == ["20260101", ""]
    written = sorted(path.name for path in (tmp_path / "reports").glob("*.txt"))
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


def test_each_load_and_each_refused_file_has_a_report_for_officers_and_its_bytes_are_kept(store, tmp_path):
    folder, archive = tmp_path / "drop", Archive(str(tmp_path / "archive"))
    folder.mkdir()
    head = "MA_CSKCB,MA_THUOC,DON_GIA,TU_NGAY,DEN_NGAY\n"
    first = (
        head + "27001,1,5,20260101,20260630\n27001,1,7,20260601,\n27001,2,5,20260101,20260131\n27001,2,5,20260301,\n"
    )
    (folder / "drugs.csv").write_text(first + "27001,3,x,20260101,\n", "utf-8")
    (folder / "holidays.csv").write_text("NGAY\nTết\n", "utf-8")
    for _ in range(2):  # the second time nothing is new
        with pytest.raises(ReferenceDataError, match="holidays"):
            reference.load_folder(folder, store, "ann", archive)
    [drugs], [holidays] = store.reference_records("drugs"), store.reference_records("holidays")
    folders = sorted(path for path in (folder / "reports").iterdir() if path.is_dir())
    assert [path.name for path in folders] == sorted(map(reference.report_folder, (drugs, holidays)))
    place = folder / "reports" / reference.report_folder(drugs)
    told = json.loads((place / "report.json").read_text("utf-8"))
    assert told["counts"] == {
        "read_rows": 5, "loaded_rows": 4, "refused_rows": 1, "warned": told["counts"]["warned"], "added_rows": 4,
        "changed_items": 0, "ended_rows": 0, "overlaps": 0, "price_overlaps": 1, "gaps": 1,
    }  # fmt: skip
    assert (told["status"], told["actor"], told["sha256"], told["load"]) == (
        "loaded", "ann", drugs["sha256"], drugs["load"],
    )  # fmt: skip
    page = (place / "report.html").read_text("utf-8")
    for words in (
        "Thuốc (03/DM)", "không phải số, hoặc dấu chấm", "Ghi số không có dấu ngăn", "Chốt ngày kết thúc của giá cũ",
        "holds on the same days as row 2, with another price",
    ):  # fmt: skip
        assert words in page
    assert "http" not in page.replace("http://www.w3.org", "")
    sheets = python_calamine.CalamineWorkbook.from_path(str(place / "report.xlsx"))
    assert sheets.sheet_names == ["Tổng hợp", "Dòng bị từ chối", "Cảnh báo"]
    assert sheets.get_sheet_by_name("Dòng bị từ chối").to_python()[1][:2] == [6.0, "DON_GIA"]
    refused = folder / "reports" / reference.report_folder(holidays)
    assert json.loads((refused / "report.json").read_text("utf-8"))["status"] == "refused"
    assert "Tệp không được nhận" in (refused / "report.html").read_text("utf-8")
    assert archive.open(archive.key(holidays["sha256"])).read() == (folder / "holidays.csv").read_bytes()
    assert archive.open(archive.key(drugs["sha256"])).read() == (folder / "drugs.csv").read_bytes()
    # a load that was killed before its report was written has it after the next; what changed is told
    (folder / "holidays.csv").write_text("NGAY\n20260101\n", "utf-8")
    shutil.rmtree(place)
    reference.load_folder(folder, store, "ben", archive)
    assert (place / "report.html").read_text("utf-8") == page
    (folder / "drugs.csv").write_text(first.replace("27001,1,7", "27001,1,8") + "27001,4,5,20260101,\n", "utf-8")
    reference.load_folder(folder, store, "ben", archive)
    newest = reference.document(store.reference_records("drugs")[0])["counts"]
    assert (newest["added_rows"], newest["changed_items"], newest["ended_rows"]) == (2, 1, 1)


def test_the_commands_load_and_tell_what_became_of_every_file(url, tmp_path, monkeypatch):
    monkeypatch.setenv("GIAMDINH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIAMDINH_DATABASE_URL", url)
    caches = (settings_in_use, steps._store, steps._archive)
    for cached in caches:
        cached.cache_clear()

    def command(*words: object) -> tuple[int, list[str]]:
        done = CliRunner().invoke(app, ["reference", *map(str, words)])
        return done.exit_code, (done.stdout or done.stderr).splitlines()

    path = tmp_path / "drop" / "icd10.csv"
    path.parent.mkdir()
    path.write_text("MÃ BỆNH,TÊN BỆNH\nA00,Tả\n", "utf-8")
    assert command("load", path, "--valid-from", "01/07/2026")[0] == 2
    assert command("load", path, "--valid-from", "2026-07-01") == (0, ["icd10\t1"])
    exit_code, said = command("history", "icd10", "--known-at", "yesterday")
    assert exit_code == 2
    assert "--known-at is not a time" in " ".join(said)
    days = path.with_name("holidays.csv")
    days.write_text("NGAY\n20260101\n", "utf-8")
    assert command("load", days) == (0, ["holidays\t1"])
    days.write_text("NGAY\n", "utf-8")
    assert command("load", days)[0] == 2
    assert command("load", days, "--empty") == (0, ["holidays\t0"])
    path.write_text("Tả\nx\n", "utf-8")
    exit_code, said = command("load", path)
    assert exit_code == 2
    assert "Tệp icd10.csv, cột MA: thiếu cột" in " ".join(said)
    exit_code, lines = command("history", "icd10", "--out", tmp_path / "again")
    assert exit_code == 0
    refused, why, loaded, page = (line.split("\t") for line in lines)
    assert (refused[1], loaded[1], loaded[2], loaded[3]) == ("refused", "loaded", "1", "+1")
    assert why[1].startswith("Tệp icd10.csv, cột MA: thiếu cột / file icd10.csv")
    for line in (refused, loaded):
        assert (path.parent / line[-1] / "report.html").exists()
    assert "Tệp không được nhận" in Path(page[0]).read_text("utf-8")
    assert command("history", "drugs")[0] == 2
    steps._store().close()
    for cached in caches:
        cached.cache_clear()


def test_lists_of_diseases_without_dates_follow_each_other(store, tmp_path):
    def annex(name: str, code: str) -> Path:
        path = tmp_path / name
        path.write_text(f"STT,MÃ BỆNH,TÊN BỆNH\n1,A00,Tả\n2,{code},x\n", "utf-8")
        return path

    def held() -> set[tuple[str, ...]]:
        return set(map(tuple, store.reference()["icd10"][["MA", "TU_NGAY", "DEN_NGAY"]].to_numpy().tolist()))

    old = {("A00", "20201028", "20260630"), ("B01", "20201028", "20260630")}
    new = {("A00", "20260701", ""), ("C01", "20260701", "")}
    reference.load_folder(annex("TT 06-2026.csv", "C01"), store)
    assert held() == new
    told = store.reference_history("icd10")[0]["report"]["warnings"]
    assert "there is no ICD-10 list" in told[0]["en"]
    reference.load_folder(annex("QD4469 phu luc.csv", "B01"), store)
    assert held() == old | new
    reference.load_folder(annex("TT 06-2026.csv", "C02"), store)  # corrected
    assert held() == old | {("A00", "20260701", ""), ("C02", "20260701", "")}
    # a list whose name says nothing: the officer says from when
    reference.load_folder(annex("danh muc.csv", "D01"), store, valid_from="20270101")
    assert ("A00", "20260701", "20261231") in held()
    assert ("D01", "20270101", "") in held()
    assert len(held()) == 6


def test_a_list_of_diseases_without_a_day_is_refused_beside_lists_that_have_one(store, tmp_path):
    head = "MÃ BỆNH,TÊN BỆNH\n"
    (tmp_path / "icd10.csv").write_text("MA,TEN,LA_BENH_CHINH,TU_NGAY\nA00,x,1,20200101\n", "utf-8")
    reference.load_folder(tmp_path, store)  # no DEN_NGAY
    (tmp_path / "icd10.csv").unlink()
    (tmp_path / "annex.csv").write_text(head + "A00,x\nA01,y\n", "utf-8")
    (tmp_path / "holidays.csv").write_text("NGAY\n20260101\n", "utf-8")
    with pytest.raises(ReferenceDataError, match="--valid-from") as refused:
        reference.load_folder(tmp_path, store)
    assert "danh mục ICD-10 đang dùng có ngày" in refused.value.message_vi
    held = store.reference()
    assert (held["icd10"]["MA"].tolist(), len(held["holidays"])) == (["A00"], 1)
    reference.load_folder(tmp_path, store, valid_from="20260701")
    names = ["MA", "TU_NGAY", "DEN_NGAY"]
    lists = [["A00", "20200101", "20260630"], ["A00", "20260701", ""], ["A01", "20260701", ""]]
    assert store.reference()["icd10"][names].to_numpy().tolist() == lists
    # the same bytes by another day, and by none
    for day, until in (("20270101", "20261231"), ("20250101", "20241231")):
        assert reference.load_folder(tmp_path, store, valid_from=day)["icd10"] == 3
        lists = [["A00", "20200101", until], ["A00", day, ""], ["A01", day, ""]]
        assert store.reference()["icd10"][names].to_numpy().tolist() == lists
    loads = store.reference_loads()
    reference.load_folder(tmp_path, store)
    reference.load_folder(tmp_path, store, valid_from="20250101")
    assert store.reference_loads() == loads


def test_a_list_of_diseases_in_force_for_all_days_gets_its_first_day_later(store, tmp_path):
    (tmp_path / "annex.csv").write_text("MÃ BỆNH,TÊN BỆNH\nA00,x\n", "utf-8")
    reference.load_folder(tmp_path, store)
    assert store.reference()["icd10"]["TU_NGAY"].tolist() == [""]
    reference.load_folder(tmp_path, store, valid_from="20260701")
    assert store.reference()["icd10"][["TU_NGAY", "DEN_NGAY"]].to_numpy().tolist() == [["20260701", ""]]


def test_a_table_without_rows_does_not_put_a_catalogue_out_of_force_and_many_ended_rows_are_told(store, tmp_path):
    path, told = tmp_path / "holidays.csv", tmp_path / "reports" / "holidays.csv.txt"
    days = [f"202601{day:02d}\n" for day in range(1, 11)]
    path.write_text("NGAY\n" + "".join(days), "utf-8")
    reference.load_folder(tmp_path, store)
    path.write_text("NGAY\n", "utf-8")
    with pytest.raises(ReferenceDataError, match="the table in force has 10") as refused:
        reference.load_folder(tmp_path, store)
    assert "DEN_NGAY" in refused.value.message_vi
    assert "--empty" in refused.value.message_vi
    assert store.reference_loads()["holidays"]["rows"] == 10
    assert "TỆP KHÔNG ĐƯỢC NHẬN" in told.read_text("utf-8")
    for kept, warned in ((5, False), (2, True)):
        path.write_text("NGAY\n" + "".join(days[:kept]), "utf-8")
        reference.load_folder(tmp_path, store)
        newest = reference.document(store.reference_records("holidays")[0])
        notes = [note["vi"] for note in newest["warnings"] if note["code"] == "ended"]
        assert notes == ["3 trong 5 dòng đang dùng hết hiệu lực với lần nạp này (0 mục có dòng mới thay)"] * warned
        assert ("3 of 5 rows held end by this load" in told.read_text("utf-8")) == warned
    path.write_text("NGAY\n", "utf-8")
    assert reference.load_folder(tmp_path, store, empty=True) == {"holidays": 0}
    assert store.reference()["holidays"].empty
    assert reference.load_folder(tmp_path, store) == {"holidays": 0}


@pytest.mark.parametrize("when", ["listed", "told", "read"])
@pytest.mark.parametrize("name", ["cards.csv", "the cards.csv", "cards.xlsx"])
def test_a_file_that_goes_while_the_folder_is_read_leaves_the_others(store, tmp_path, monkeypatch, when, name):
    path = tmp_path / name
    path.write_text("MA_MAY,TEN_TB\n1,x\n" if name == "the cards.csv" else "MA_THE_BHYT\nHC1\n", "utf-8")
    if name == "cards.xlsx":
        pd.DataFrame({"MA_THE_BHYT": ["HC1"]}).to_excel(path, index=False, engine="xlsxwriter")
    (tmp_path / "holidays.csv").write_text("NGAY\n20260101\n", "utf-8")
    place = {"listed": "_files", "told": "_hashes", "read": "read_folder"}[when]
    whole = getattr(reference, place)

    def then_gone(*given: object, **named: object) -> object:
        done = whole(*given, **named)
        path.unlink(missing_ok=True)
        return done

    monkeypatch.setattr(reference, place, then_gone)
    assert reference.load_folder(tmp_path, store, archive=Archive(str(tmp_path / "archive"))) == {"holidays": 1}
    assert list(store.reference()) == ["holidays"]
    assert store.reference_records("cards") == []


def test_a_file_that_may_not_be_read_is_refused_and_leaves_the_others(store, tmp_path, monkeypatch):
    for name in ("cards.csv", "what.csv"):
        (tmp_path / name).write_text("MA_THE_BHYT\nHC1\n", "utf-8")
    (tmp_path / "holidays.csv").write_text("NGAY\n20260101\n", "utf-8")
    whole = Path.open

    def denied(self: Path, *given: object, **named: object) -> object:
        if self.name in ("cards.csv", "what.csv") and self.parent == tmp_path:
            raise PermissionError(13, "Permission denied", str(self))
        return whole(self, *given, **named)

    monkeypatch.setattr(Path, "open", denied)
    for _ in range(2):
        with pytest.raises(
            ReferenceDataError, match=r"cards\.csv: the file cannot be read .*what\.csv: the file cannot"
        ):
            reference.load_folder(tmp_path, store, archive=Archive(str(tmp_path / "archive")))
    assert list(store.reference()) == ["holidays"]
    assert len(store.reference_records("cards")) == 1


def test_the_text_beside_a_file_tells_of_the_bytes_that_are_there(store, tmp_path):
    path, told = tmp_path / "holidays.csv", tmp_path / "reports" / "holidays.csv.txt"
    good = "NGAY\n20260101\n"
    path.write_text(good, "utf-8")
    reference.load_folder(tmp_path, store)
    first = told.read_text("utf-8")
    for bad in ("NGAY\nTết\n", None):  # refused for its cells; for another file of the same table
        if bad is not None:
            path.write_text(bad, "utf-8")
        else:
            (tmp_path / "holidays.xlsx").write_bytes(b"")
        with pytest.raises(ReferenceDataError):
            reference.load_folder(tmp_path, store)
        assert "TỆP KHÔNG ĐƯỢC NHẬN" in told.read_text("utf-8")
        path.write_text(good, "utf-8")
        (tmp_path / "holidays.xlsx").unlink(missing_ok=True)
        reference.load_folder(tmp_path, store)
        assert told.read_text("utf-8") == first


def test_a_load_without_news_reads_no_history_and_opens_no_file_twice(store, tmp_path, monkeypatch):
    pd.DataFrame({"MA_MAY": ["1"], "TEN_TB": ["x"], "MA_CSKCB": ["27001"]}).to_excel(
        tmp_path / "may.xlsx", index=False, engine="xlsxwriter"
    )
    (tmp_path / "holidays.csv").write_text("NGAY\nTết\n", "utf-8")
    opened = []
    sheets = reference._sheets
    monkeypatch.setattr(reference, "_sheets", lambda path: [opened.append(path.name), sheets(path)][1])
    with pytest.raises(ReferenceDataError):
        reference.load_folder(tmp_path, store)
    assert opened == ["may.xlsx"] * 2  # what it is; what it says
    for asked in ("reference_history", "reference_records", "reference_report"):
        monkeypatch.setattr(store, asked, None)
    folders = sorted(path.name for path in (tmp_path / "reports").iterdir())
    with pytest.raises(ReferenceDataError):
        reference.load_folder(tmp_path, store)
    assert len(opened) == 2
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == folders
    assert len(folders) == 4


def test_each_load_has_a_report_of_its_own_and_one_that_fails_leaves_the_others(store, tmp_path):
    long = "d" * 248 + ".csv"  # a name that can be extended no more
    (tmp_path / long).write_text("A,B\n1,2\n", "utf-8")
    for day in ("1", "2", "1", "x", "y", "x"):
        (tmp_path / "holidays.csv").write_text(f"NGAY\n2026010{day}\n", "utf-8")
        with pytest.raises(ReferenceDataError, match="not known which table"):
            reference.load_folder(tmp_path, store)
    at = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
    records = [record | {"since": at} for record in store.reference_records("holidays")]
    assert len({reference.report_folder(record) for record in records}) == len(records) == 6
    pages = sorted(path.parent.name for path in (tmp_path / "reports").glob("*-holidays-*/report.html"))
    assert pages == sorted(map(reference.report_folder, store.reference_records("holidays")))
    assert len(list((tmp_path / "reports").glob("*-unknown-*/report.html"))) == 1  # of that file all but its text


def test_what_the_database_says_of_a_lookup_names_no_card(store):
    store.load_reference({"cards": text(MA_THE_BHYT=["HC1"])})
    with pytest.raises(OperatorError) as raised:
        store.reference(only={"cards": ["HC40127\x00"]})
    assert "HC40127" not in str(raised.value)


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
