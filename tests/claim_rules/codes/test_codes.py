"""Code lists hold the codes in force on a day."""

from __future__ import annotations

import datetime

import pytest

from claim_rules.codes import code_list, code_lists


def valid(name: str, *day: int) -> frozenset[str]:
    return code_list(name).valid(datetime.date(*day) if day else None)


def test_visit_categories_change_on_17_october_2025() -> None:
    before, after = valid("MA_DOITUONG_KCB", 2025, 10, 16), valid("MA_DOITUONG_KCB", 2025, 10, 17)
    assert before - after == {"1.8", "1.9", "1.10", "3.4", "3.5", "3.7", "7.1"}
    assert after - before == {"1.11", "1.12", "1.13", "1.14", "1.15", "1.16", "1.17", "1.18", "7", "10"}
    assert len(after) == 27
    assert valid("MA_DOITUONG_KCB") == before | after


def test_types_of_care_grow_on_1_august_2026() -> None:
    assert valid("MA_LOAI_KCB", 2026, 7, 31) == {f"{n:02d}" for n in range(1, 11)}
    assert valid("MA_LOAI_KCB", 2026, 8, 1) == {f"{n:02d}" for n in range(1, 17)}


@pytest.mark.parametrize(("name", "code"), [("KET_QUA_DTRI", "8"), ("MA_NHOM", "19")])
def test_codes_that_came_with_4750(name: str, code: str) -> None:
    assert code not in valid(name, 2024, 6, 30)
    assert code in valid(name, 2024, 7, 1)


def test_meaning_and_unknown_list() -> None:
    assert code_list("GIOI_TINH").meaning("2") == "female"
    assert code_list("GIOI_TINH").meaning("9") is None
    with pytest.raises(KeyError, match="no code list NOPE"):
        code_list("NOPE")


def test_every_list_has_distinct_codes_and_a_basis() -> None:
    for name, codes in code_lists().items():
        values = [c.code for c in codes.codes]
        assert values, name
        assert len(set(values)) == len(values), name
        assert all(c.meaning_en and c.basis for c in codes.codes), name
