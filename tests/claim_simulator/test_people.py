"""Nobody in a simulation is real: every number lies in a range that is not given out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from claim_simulator.people import people

Rows = dict[str, list[dict[str, str]]]


def test_numbers_are_nobodys() -> None:
    rng = np.random.default_rng(1)
    age = np.arange(1, 33_000, 11)
    folk = people(rng, rng.integers(1, 3, len(age)), age, 1)
    # social-insurance numbers and citizen numbers begin with a province, phone numbers with 02 to 09: 00 is none
    assert all(re.fullmatch(r"[A-Z]{2}[1-5]2700\d{8}", card) for card in folk.card)
    assert len(set(folk.card)) == len(age)
    assert all(re.fullmatch(r"(0000\d{8})?", number) for number in folk.citizen)
    assert all(re.fullmatch(r"(00\d{8})?", number) for number in folk.phone)
    assert all(card.startswith("TE1") == (days < 6 * 365.25) for card, days in zip(folk.card, age, strict=True))
    assert all(len(name.split()) == 3 for name in folk.name)


def test_every_patient_of_a_good_claim_is_in_the_register(
    faultless: Path,
    read_claims: Callable[[Path], list[Rows]],
    read_csv: Callable[[Path], list[dict[str, str]]],
) -> None:
    register = {row["MA_THE_BHYT"]: row for row in read_csv(faultless / "reference" / "cards.csv")}
    seen = 0
    for path in faultless.glob("inbox/*/*.xml"):
        for claim in read_claims(path):
            (visit,) = claim["XML1"]
            row = register[visit["MA_THE_BHYT"].split(";")[0]]
            assert row["HO_TEN"] == visit["HO_TEN"]
            assert row["NGAY_SINH"][:4] == visit["NGAY_SINH"][:4]
            assert row["MA_DKBD"] == visit["MA_DKBD"].split(";")[0]
            assert row["TRANG_THAI"] == "active"
            seen += 1
    assert seen == 3 * 70
    assert len(register) > seen
