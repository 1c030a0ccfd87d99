"""What facilities use and at which price: drugs, services, supplies, diagnoses, and what each condition needs."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import pandas as pd

from claim_simulator.facilities import Facility
from claim_simulator.moments import Ints, Texts, day_of_text

NEW_DRUG_PRICES = "20260101"
NEW_SERVICE_PRICES = "20260701"
TESTS_A_DAY = 2
"""How often a day the lists allow a laboratory test."""
FIRST_DAY = "20240101"
EXPIRED = ("cortic", "vinpo")
"""Drugs whose only row in the facility's list ended before 2025."""
_CLASS_FACTOR = {"I": 1.12, "II": 1.05, "III": 1.0, "": 0.9}


@cache
def data(name: str) -> pd.DataFrame:
    """One file of the package's data as text columns."""
    text = files(__package__).joinpath("data", f"{name}.csv").read_text("utf-8")
    return pd.read_csv(io.StringIO(text), dtype="str", keep_default_na=False)


@dataclass(frozen=True)
class Catalogue:
    """The lists of one facility. Frames with the columns of the data files and
    drugs: old_price, new_price (1/1000 đồng, the second from NEW_DRUG_PRICES), old_tender, new_tender;
    services: old_price, new_price (the second from NEW_SERVICE_PRICES); supplies: price, tender."""

    drugs: pd.DataFrame
    services: pd.DataFrame
    supplies: pd.DataFrame

    def drug_price(self, item: Ints, day: Ints) -> Ints:
        """Price of each drug (position in drugs) on each day (number)."""
        return _of_period(self.drugs, item, day >= day_of_text(NEW_DRUG_PRICES))

    def drug_tender(self, item: Ints, day: Ints) -> Texts:
        """Tender information of each drug on each day."""
        old, new = (self.drugs[name].to_numpy(dtype="U40")[item] for name in ("old_tender", "new_tender"))
        return np.where(day >= day_of_text(NEW_DRUG_PRICES), new, old).astype(np.str_)

    def service_price(self, item: Ints, day: Ints) -> Ints:
        """Insured price of each service (position in services) on each day."""
        return _of_period(self.services, item, day >= day_of_text(NEW_SERVICE_PRICES))


def _of_period(items: pd.DataFrame, item: Ints, new: npt.NDArray[np.bool_]) -> Ints:
    old_price, new_price = (items[name].to_numpy()[item] for name in ("old_price", "new_price"))
    return np.where(new, new_price, old_price).astype(np.int64)


def catalogue(facility: Facility) -> Catalogue:
    """The lists of a facility; they do not depend on the seed of a simulation. A drift of its prices is in them: they
    were approved so."""
    rng = np.random.default_rng([9, facility.position])
    drugs = data("drugs").copy()
    dearer = facility.drift.price
    base = drugs["DON_GIA"].astype("float64").to_numpy() * dearer
    # most tender prices are whole đồng; some have three decimals
    step = np.where(np.arange(len(drugs)) % 5 == 0, 1, 1000)
    old = base * 1000 * rng.uniform(0.92, 1.08, len(drugs))
    new = old * rng.uniform(0.96, 1.06, len(drugs))
    drugs["old_price"] = (np.rint(old / step) * step).astype("int64")
    drugs["new_price"] = (np.rint(new / step) * step).astype("int64")
    group = np.where(drugs["SO_DANG_KY"].str.startswith("VN"), "N1", "N4")
    drugs["old_tender"] = np.char.add(np.char.add(f"{118 + facility.position}/QĐ-SYT;G1;", group.astype("U2")), ";2023")
    drugs["new_tender"] = np.char.add(np.char.add(f"{305 + facility.position}/QĐ-SYT;G1;", group.astype("U2")), ";2025")
    services = data("services").copy()
    factor = _CLASS_FACTOR[facility.kind.hospital_class]
    listed = services["DON_GIA"].astype("float64").to_numpy() * factor * dearer
    services["old_price"] = (np.rint(listed / 100) * 100_000).astype("int64")
    services["new_price"] = (np.rint(listed * 1.08 / 100) * 100_000).astype("int64")
    supplies = data("supplies").copy()
    cost = supplies["DON_GIA"].astype("float64").to_numpy() * dearer * rng.uniform(0.95, 1.05, len(supplies))
    supplies["price"] = np.rint(cost).astype("int64") * 1000
    supplies["tender"] = f"{212 + facility.position}/QĐ-SYT;G1;N0;2024"
    return Catalogue(drugs, services, supplies)


def price_text(price: pd.Series) -> pd.Series:
    """Prices in 1/1000 đồng as text with three decimals."""
    whole = (price // 1000).astype("str")
    return whole + "." + (price % 1000).astype("str").str.zfill(3)


def offered(items: pd.DataFrame, level: int) -> pd.Series:
    """Which items a facility of a level uses."""
    return items["level"].astype("int64") <= level


def drug_list(house: Facility, lists: Catalogue) -> pd.DataFrame:
    """Rows of drugs.csv of one facility: one per tender, the oldest closed before any claim."""
    mine = lists.drugs[offered(lists.drugs, house.level) & (lists.drugs["TYLE_TT_BH"] != "0")]
    ended = mine["id"].isin(EXPIRED)
    running = mine[~ended]
    first = mine.assign(price=np.rint(mine["old_price"] * 0.00095).astype("int64") * 1000, tender=mine["old_tender"])
    first = first.assign(TU_NGAY="20230101", DEN_NGAY=np.where(ended, "20240630", "20231231"))
    second = running.assign(price=running["old_price"], tender=running["old_tender"], TU_NGAY=FIRST_DAY)
    second = second.assign(DEN_NGAY="20251231")
    third = running.assign(price=running["new_price"], tender=running["new_tender"], TU_NGAY=NEW_DRUG_PRICES)
    rows = pd.concat([first, second, third.assign(DEN_NGAY="")], ignore_index=True)
    price = price_text(rows["price"])
    return pd.DataFrame(
        {
            "MA_THUOC": rows["MA_THUOC"],
            "TEN_HOAT_CHAT": rows["TEN_HOAT_CHAT"],
            "TEN_THUOC": rows["TEN_THUOC"],
            "DON_VI_TINH": rows["DON_VI_TINH"],
            "HAM_LUONG": rows["HAM_LUONG"],
            "MA_DUONG_DUNG": rows["MA_DUONG_DUNG"],
            "SO_DANG_KY": rows["SO_DANG_KY"],
            "SO_LUONG": "1000000",
            "DON_GIA": price,
            "DON_GIA_BH": price,
            "TT_THAU": rows["tender"],
            "TU_NGAY": rows["TU_NGAY"],
            "DEN_NGAY": rows["DEN_NGAY"],
            "MA_CSKCB": house.code,
            "LOAI_THUOC": "1",
            "TYLE_TT_BH": rows["TYLE_TT_BH"],
            "MA_NHOM": rows["MA_NHOM"],
        }
    )


def service_list(house: Facility, lists: Catalogue) -> pd.DataFrame:
    """Rows of services.csv of one facility: one per price period."""
    mine = lists.services[offered(lists.services, house.level) & (lists.services["TYLE_TT_BH"] != "0")]
    periods = (
        mine.assign(price=np.rint(mine["old_price"] * 0.0000095).astype("int64") * 100_000, TUNGAY="20230101").assign(
            DENNGAY="20231231"
        ),
        mine.assign(price=mine["old_price"], TUNGAY=FIRST_DAY, DENNGAY="20260630"),
        mine.assign(price=mine["new_price"], TUNGAY=NEW_SERVICE_PRICES, DENNGAY=""),
    )
    rows = pd.concat(periods, ignore_index=True)
    return pd.DataFrame(
        {
            "MA_TUONG_DUONG": rows["MA_DICH_VU"],
            "TEN_DVKT_PHEDUYET": rows["TEN"],
            "TEN_DVKT_GIA": rows["TEN"],
            "PHAN_LOAI_PTTT": rows["PHAN_LOAI_PTTT"],
            "MA_NHOM": rows["MA_NHOM"],
            "DON_GIA": price_text(rows["price"]),
            "TYLE_TT_BH": rows["TYLE_TT_BH"],
            "QUYET_DINH": f"{41 + house.position}/QĐ-UBND",
            "MA_CSKCB": house.code,
            "TUNGAY": rows["TUNGAY"],
            "DENNGAY": rows["DENNGAY"],
            "GIOI_TINH": "",
            "TUOI_TU": "",
            "TUOI_DEN": "",
            "SO_LAN_NGAY_TOI_DA": np.where(rows["MA_NHOM"] == "1", str(TESTS_A_DAY), ""),
            "PHUT_TOI_THIEU": "",
        }
    )


def supply_list(house: Facility, lists: Catalogue) -> pd.DataFrame:
    """Rows of supplies.csv of one facility."""
    mine = lists.supplies[offered(lists.supplies, house.level)]
    price = price_text(mine["price"])
    return pd.DataFrame(
        {
            "MA_VAT_TU": mine["MA_VAT_TU"],
            "TEN_VAT_TU": mine["TEN_VAT_TU"],
            "DON_VI_TINH": mine["DON_VI_TINH"],
            "DON_GIA": price,
            "DON_GIA_BH": price,
            "TT_THAU": mine["tender"],
            "TYLE_TT_BH": mine["TYLE_TT_BH"],
            "T_TRANTT": "",
            "MA_NHOM": "10",
            "MA_CSKCB": house.code,
            "TU_NGAY": FIRST_DAY,
            "DEN_NGAY": "",
        }
    )


def machine_list(house: Facility, lists: Catalogue) -> pd.DataFrame:
    """Rows of machines.csv of one facility."""
    mine = lists.services[offered(lists.services, house.level) & (lists.services["machine"] != "")]
    mine = mine.drop_duplicates("machine")
    return pd.DataFrame(
        {
            "MA_CSKCB": house.code,
            "MA_MAY": [house.machine(group) for group in mine["machine"]],
            "TEN_TB": [f"Máy {group}" for group in mine["machine"]],
            "MA_NHOM": mine["MA_NHOM"].to_numpy(),
            "TU_NGAY": FIRST_DAY,
            "DEN_NGAY": "",
        }
    )
