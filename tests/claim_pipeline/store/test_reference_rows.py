"""Reference data in the database: what was loaded comes back, a load replaces a table as a whole."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from claim_pipeline import reference
from claim_pipeline.errors import OperatorError, ReferenceDataError
from claim_pipeline.store import open_store


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
        [(second,)] = connection.execute("SELECT max(loaded_at) FROM reference_load").fetchall()
    assert loads == [("drugs", "aa", "ann", 4), ("cards", None, "ann", 1), ("drugs", "bb", "ben", 1)]
    # and what was in force before can still be had
    before = second - dt.timedelta(microseconds=1)
    assert {name: version["sha256"] for name, version in store.reference_versions().items()} == {
        "cards": None, "drugs": "bb",
    }  # fmt: skip
    assert store.reference_versions(before)["drugs"]["sha256"] == "aa"
    assert len(store.reference(before)["drugs"]) == 4
    assert store.reference(dt.datetime(2001, 1, 1, tzinfo=dt.UTC)) == {}
    with connect(url) as connection:  # as an older version did
        connection.execute("DELETE FROM reference_row WHERE load = 1")
    with pytest.raises(KeyError, match="drugs"):
        store.reference(before)


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
