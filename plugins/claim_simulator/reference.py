"""The reference data that fits the simulated claims (contracts, reference data)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from claim_rules import money
from claim_rules.frames import ClaimTables
from claim_simulator import facilities as houses
from claim_simulator.catalogue import Catalogue, catalogue, data, drug_list, machine_list, service_list, supply_list
from claim_simulator.facilities import NEIGHBOURS, Facility, signing
from claim_simulator.moments import DAY, text8
from claim_simulator.people import COMMUNES, people
from claim_simulator.signers import Signers
from claim_simulator.visits import Visits

_HOLIDAYS = (
    ("0101", "Tết Dương lịch"),
    ("0430", "Ngày Giải phóng miền Nam"),
    ("0501", "Ngày Quốc tế Lao động"),
    ("0902", "Quốc khánh"),
)
_BUNDLES = (
    ("10.0506.0459", "10.0510.0459", "session", "DUP-006", "Thông tư 39/2024/TT-BYT"),
    ("13.0007.0671", "13.0018.0625", "session", "DUP-006", "Thông tư 39/2024/TT-BYT"),
    ("02.0304.0134", "02.0305.0135", "day", "DUP-006", "Thông tư 39/2024/TT-BYT"),
)
_LISTS = (
    ("TT01-I", ("C16", "C34", "C50", "C73")),
    ("TT01-II", ("E10", "G20", "M06")),
    ("TT01-III", ("E10", "I21", "N18")),
    ("emergency", ("I21", "I46", "J96", "S06")),
    ("art23", ("Z00.0", "H52.1")),
)
_CONDITIONS = (
    ("sita50", "E11", "E10", "18", "", "70"),
    ("glucosa", "M15;M17", "", "18", "", "50"),
    ("budefor", "J44;J45", "", "6", "", "50"),
    ("cerebro", "I61;I63;I64", "G40", "18", "", "50"),
    ("albumin", "K74;K85", "", "", "", "70"),
)


def card_register(
    who: Visits,
    continuous: pd.Series,
    *,
    unknown: set[int],
    ends: dict[int, int],
    changes: dict[int, dict[str, str]],
    more: dict[int, list[dict[str, str]]],
) -> pd.DataFrame:
    """Rows of cards.csv for the patients of one facility.

    continuous: NAM_NAM_LIEN_TUC of each visit. unknown: visits whose card is left out; ends: visit -> last day of a
    card that had expired; changes: visit -> what the register has otherwise; more: visit -> further cards, each with
    what differs from the first.
    """
    visits, folk = who.frame, who.people
    change = visits["card_change"].to_numpy()
    end = visits["card_end"].to_numpy().copy()
    end[list(ends)] = list(ends.values())
    common = pd.DataFrame(
        {
            "MA_THE_BHYT": folk.card,
            "HO_TEN": folk.name,
            "NGAY_SINH": text8(visits["birth"].to_numpy() // DAY),
            "GIOI_TINH": visits["sex"].astype("str"),
            "MA_DKBD": visits["registered"],
            "GT_THE_TU": text8(visits["card_start"].to_numpy()),
            "GT_THE_DEN": text8(np.where(change >= 0, change, end)),
            "NAM_NAM_LIEN_TUC": continuous,
            "MA_KHUVUC": folk.area,
            "TRANG_THAI": "active",
            "TRANG_THAI_TU": text8(visits["card_start"].to_numpy()),
        }
    )
    renewed = np.flatnonzero(change >= 0)
    second = common.iloc[renewed].assign(
        GT_THE_TU=text8(change[renewed] + 1),
        GT_THE_DEN=text8(visits["card_end"].to_numpy()[renewed]),
        TRANG_THAI_TU=text8(change[renewed] + 1),
    )
    for visit, values in changes.items():
        common.loc[visit, list(values)] = list(values.values())
    further = [common.loc[[visit]].assign(**values) for visit, cards in more.items() for values in cards]
    out = pd.concat([common, second, *further]).sort_index(kind="stable")
    return out[~out.index.isin(list(unknown))].reset_index(drop=True)


def other_cards(count: int, first_number: int, day: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of cards.csv for people who did not come: some of their cards are no longer in force."""
    sex = rng.integers(1, 3, count)
    age = rng.integers(100, 32_000, count)
    folk = people(rng, sex, age, first_number)
    state = rng.choice(["active", "reduced", "revoked", "suspended", "deceased"], count, p=[0.6, 0.15, 0.1, 0.1, 0.05])
    since = text8(day - rng.integers(1, 90, count))
    start = text8(day - rng.integers(91, 400, count))
    return pd.DataFrame(
        {
            "MA_THE_BHYT": folk.card,
            "HO_TEN": folk.name,
            "NGAY_SINH": text8(day - age),
            "GIOI_TINH": sex.astype(str),
            "MA_DKBD": rng.choice(NEIGHBOURS, count),
            "GT_THE_TU": start,
            "GT_THE_DEN": text8(day + rng.integers(1, 400, count)),
            "NAM_NAM_LIEN_TUC": "",
            "MA_KHUVUC": folk.area,
            "TRANG_THAI": state,
            "TRANG_THAI_TU": np.where(state == "active", start, since),
        }
    )


def co_payments(who: Visits, paid: dict[int, int], rng: np.random.Generator) -> pd.DataFrame:
    """Rows of copayments.csv: who is exempt has paid more than six base salaries this year, others much less; `paid`:
    visits -> what their patient has paid until the day before (1/100 đồng)."""
    visits = who.frame
    waived = visits["waived"].to_numpy()
    paying = pd.Series(who.people.card).str[2].isin(["3", "4"]).to_numpy()
    told = np.isin(np.arange(len(visits)), list(paid))
    listed = np.flatnonzero((waived | (paying & (rng.random(len(visits)) < 0.12))) & ~told)
    day = visits["arrival"].to_numpy()[listed] // DAY
    until = np.where(waived[listed], day - 13, day - rng.integers(5, 40, len(listed)))
    size = len(listed)
    thousands = np.where(waived[listed], rng.integers(15_500, 19_000, size), rng.integers(60, 2_600, size))
    more = np.array(sorted(paid), dtype="int64")
    listed = np.concatenate([listed, more])
    until = np.concatenate([until, visits["arrival"].to_numpy()[more] // DAY - 1])
    sums = np.concatenate([thousands * 100_000, np.array([paid[visit] for visit in more.tolist()], dtype="int64")])
    year = text8(until).astype("U4")
    return pd.DataFrame(
        {
            "MA_THE_BHYT": who.people.card[listed],
            "TU_NGAY": np.char.add(year, "0101"),
            "DEN_NGAY": text8(until),
            "T_BNCCT": money.text(sums, money.AMOUNT_DECIMALS).to_numpy(),
        }
    )


def look_ups(
    facility: Facility, tables: ClaimTables, faulty: set[int], planted: dict[int, tuple[str, str]]
) -> pd.DataFrame:
    """Rows of card_lookups.csv of one facility: every third sound claim's card was looked up on arrival and found.

    planted: claim -> time and answer of the look-up of a claim with a fault.
    """
    head = tables["XML1"].set_index("claim")
    sound = [claim for claim in head.index[::3] if claim not in faulty]
    when = [*head.loc[sound, "NGAY_VAO"].tolist(), *(time for time, _ in planted.values())]
    answers = ["000"] * len(sound) + [answer for _, answer in planted.values()]
    names = head.loc[[*sound, *planted], "MA_LK"].tolist()
    return pd.DataFrame({"MA_CSKCB": facility.code, "MA_LK": names, "THOI_DIEM": when, "KET_QUA": answers})


def common_lists(
    group: list[Facility], year: int, contract_ends: dict[str, str], signers: Signers | None
) -> dict[str, pd.DataFrame]:
    """The files that do not depend on patients, by file stem. contract_ends: see facilities.register; signers: of a
    simulation whose deliveries are signed."""
    lists: list[tuple[Facility, Catalogue]] = [(house, catalogue(house)) for house in group]
    drugs = data("drugs").set_index("id")
    return {
        "facilities": houses.register(group, contract_ends),
        "departments": houses.departments(group),
        "staff": houses.staff(group),
        "drugs": pd.concat([drug_list(*pair) for pair in lists], ignore_index=True),
        "supplies": pd.concat([supply_list(*pair) for pair in lists], ignore_index=True),
        "services": pd.concat([service_list(*pair) for pair in lists], ignore_index=True),
        "machines": pd.concat([machine_list(*pair) for pair in lists], ignore_index=True),
        "icd10": data("icd10").assign(TU_NGAY="20200101", DEN_NGAY=""),
        "bundles": pd.DataFrame(_BUNDLES, columns=["MA_DICH_VU_A", "MA_DICH_VU_B", "PHAM_VI", "RULE", "CAN_CU"]),
        "icd_lists": pd.DataFrame(
            [(name, code, "20250101", "", "Thông tư 01/2025/TT-BYT") for name, codes in _LISTS for code in codes],
            columns=["DANH_SACH", "MA_BENH", "TU_NGAY", "DEN_NGAY", "CAN_CU"],
        ),
        "administrative_units": pd.DataFrame(
            [("27", "tỉnh Bắc Ninh", code, name, "20200101", "") for code, name in COMMUNES],
            columns=["MA_TINH", "TEN_TINH", "MA_XA", "TEN_XA", "TU_NGAY", "DEN_NGAY"],
        ),
        "holidays": pd.DataFrame([(f"{year}{day}", name) for day, name in _HOLIDAYS], columns=["NGAY", "TEN"]),
        "certificates": _unused_certificates(group) if signers is None else signers.registered(signing(group)),
        "drug_conditions": pd.DataFrame(
            [
                (drugs.loc[item, "MA_THUOC"], allowed, against, first, last, rate, "Thông tư 20/2022/TT-BYT")
                for item, allowed, against, first, last, rate in _CONDITIONS
            ],
            columns=[
                "MA_THUOC",
                "MA_BENH_CHO_PHEP",
                "MA_BENH_CHONG_CHI_DINH",
                "TUOI_TU",
                "TUOI_DEN",
                "TYLE_TT_BH",
                "CAN_CU",
            ],
        ),
    }


def _unused_certificates(group: list[Facility]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "MA_CSKCB": [house.code for house in group],
            "SERIAL": [f"5400{house.code}00A1" for house in group],
            "ISSUER": "CN=CA Thu Nghiem,O=Giamdinh,C=VN",
            "TU_NGAY": "20240101",
            "DEN_NGAY": "20281231",
        }
    )


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """One reference file: UTF-8, header row, LF line ends."""
    frame.to_csv(path, index=False, lineterminator="\n")
