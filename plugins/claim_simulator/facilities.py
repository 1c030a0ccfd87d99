"""Invented facilities: their level, their record system, their departments, staff and machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from claim_simulator.people import names

LEVELS = ("initial", "basic", "specialised")

XML, CSV, XLSX = "xml", "csv", "xlsx"
ALL, COLUMNS, CELLS = "all", "columns", "cells"
"""What an export holds of the computed cells: all of them; not those columns; not some of those cells."""


@dataclass(frozen=True)
class Kind:
    """One kind of facility. level: 0 initial, 1 basic, 2 specialised; former: the tier it had before 2025; points:
    of the classification, None where it has none; hospital_class: "" for a commune station."""

    title: str
    level: int
    former: str
    points: int | None
    hospital_class: str
    doctors: int


KINDS = (
    Kind("Trung tâm y tế khu vực", 1, "district", 58, "III", 16),
    Kind("Bệnh viện đa khoa tỉnh", 2, "provincial", 78, "I", 30),
    Kind("Trạm y tế", 0, "commune", None, "", 4),
    Kind("Bệnh viện chuyên sâu", 2, "central", 92, "I", 36),
    Kind("Bệnh viện đa khoa số 2", 1, "provincial", 64, "II", 20),
    Kind("Bệnh viện đa khoa khu vực", 2, "district", 72, "II", 24),
    Kind("Bệnh viện huyện", 1, "district", 44, "III", 12),
    Kind("Trạm y tế phường", 0, "commune", None, "", 3),
)
PLACES = ("Lạc Vân", "Vân Trì", "Phú Kinh", "Kinh Nam", "Hòa Lạc", "Yên Quý", "Tam Hưng", "Đông Thịnh")
FORMS = (XML, CSV, XLSX, XML, CSV, XML)
OMITTED = (COLUMNS, CELLS, ALL)

NEIGHBOURS = tuple(f"27{number}" for number in range(801, 809))
"""Facilities of the register that send nothing here: patients are registered with them, come from and go to them."""
HIGHER = "27890"
"""Where patients are transferred to."""

DEPARTMENTS = {
    "K01": "Khoa Khám bệnh",
    "K02": "Khoa Hồi sức cấp cứu",
    "K03": "Khoa Nội tổng hợp",
    "K16": "Khoa Y học cổ truyền",
    "K18": "Khoa Nhi",
    "K19": "Khoa Ngoại tổng hợp",
    "K27": "Khoa Phụ sản",
    "K30": "Khoa Mắt",
}


@dataclass(frozen=True)
class Drift:
    """By which factor a facility's month differs from what it usually is: all its prices, the nights of its
    inpatients, the share of visits with each antibiotic, the share of emergencies."""

    price: float = 1.0
    stay: float = 1.0
    antibiotics: float = 1.0
    emergency: float = 1.0


NO_DRIFT = Drift()


@dataclass(frozen=True)
class Facility:
    """A facility of the simulation: code, name, kind, form of its deliveries, what its export leaves out, and in what
    this month is unusual."""

    position: int
    code: str
    name: str
    kind: Kind
    form: str
    leaves_out: str
    drift: Drift = NO_DRIFT

    @property
    def level(self) -> int:
        return self.kind.level

    @property
    def head(self) -> str:
        """Social-insurance number of the head (MA_TTDV)."""
        return f"99{self.position:03d}00001"

    @property
    def departments(self) -> tuple[str, ...]:
        return ("K01", "K16") if self.level == 0 else tuple(DEPARTMENTS)

    @cached_property
    def doctors(self) -> np.ndarray:
        """Licence numbers of the doctors."""
        return np.array([f"{self.code[2:]}{number:04d}/BN-GPHN" for number in range(1, self.kind.doctors + 1)])

    @cached_property
    def technicians(self) -> np.ndarray:
        """Licence numbers of technicians and nurses."""
        count = max(2, self.kind.doctors // 2)
        return np.array([f"{self.code[2:]}{number:04d}/BN-GPHN" for number in range(501, 501 + count)])

    @cached_property
    def doctor_names(self) -> np.ndarray:
        rng = np.random.default_rng([7, self.position])
        return names(rng, rng.integers(1, 3, self.kind.doctors))

    def machine(self, group: str) -> str:
        """Code of its machine of a group (XX.n.YYYYY.Z)."""
        return f"{group}.1.{self.code}.{group}01"


def facilities(count: int, drift: Mapping[str, Drift] | None = None) -> list[Facility]:
    """The first `count` facilities. With three or more every form of delivery is there. drift: by MA_CSKCB."""
    out = []
    exports = 0
    for position in range(count):
        kind = KINDS[position % len(KINDS)]
        form = FORMS[position % len(FORMS)]
        leaves_out = ALL
        if form != XML:
            leaves_out = OMITTED[exports % len(OMITTED)]
            exports += 1
        name = f"{kind.title} {PLACES[(position + position // len(PLACES)) % len(PLACES)]}"
        code = f"27{position + 1:03d}"
        out.append(Facility(position, code, name, kind, form, leaves_out, (drift or {}).get(code, NO_DRIFT)))
    return out


def signing(houses: list[Facility]) -> list[Facility]:
    """Facilities that can sign: those that send claim XML."""
    return [house for house in houses if house.form == XML]


def register(houses: list[Facility], contract_ends: dict[str, str]) -> pd.DataFrame:
    """facilities.csv: those of the simulation and their neighbours. contract_ends: facility -> last day (yyyymmdd) of
    a contract that is not open."""
    rows = [
        {
            "MA_CSKCB": house.code,
            "TEN_CSKCB": house.name,
            "CAP_CMKT": LEVELS[house.level],
            "DIEM": "" if house.kind.points is None else str(house.kind.points),
            "TUYEN_CU": house.kind.former,
            "HANG": house.kind.hospital_class,
        }
        for house in houses
    ]
    rows += [
        {
            "MA_CSKCB": code,
            "TEN_CSKCB": f"Trạm y tế {place}",
            "CAP_CMKT": "initial",
            "DIEM": "",
            "TUYEN_CU": "commune",
            "HANG": "",
        }
        for code, place in zip(NEIGHBOURS, PLACES, strict=True)
    ]
    rows.append(
        {
            "MA_CSKCB": HIGHER,
            "TEN_CSKCB": "Bệnh viện tuyến cuối Kinh Bắc",
            "CAP_CMKT": "specialised",
            "DIEM": "95",
            "TUYEN_CU": "central",
            "HANG": "I",
        }
    )
    out = pd.DataFrame(rows)
    out.insert(2, "MA_TINH", "27")
    ends = out["MA_CSKCB"].map(lambda code: contract_ends.get(code, ""))
    return out.assign(TU_NGAY="20240101", DEN_NGAY="", HOP_DONG_TU="20240101", HOP_DONG_DEN=ends)


def departments(houses: list[Facility]) -> pd.DataFrame:
    """departments.csv."""
    rows = [
        (house.code, code, DEPARTMENTS[code], "0" if code == "K01" else str(10 + 5 * house.level), "20240101", "")
        for house in houses
        for code in house.departments
    ]
    return pd.DataFrame(rows, columns=["MA_CSKCB", "MA_KHOA", "TEN_KHOA", "SO_GIUONG", "TU_NGAY", "DEN_NGAY"])


def staff(houses: list[Facility]) -> pd.DataFrame:
    """staff.csv: doctors (CHUC_DANH 1) and technicians (3)."""
    parts = []
    for house in houses:
        rng = np.random.default_rng([8, house.position])
        helpers = names(rng, rng.integers(1, 3, len(house.technicians)))
        codes = np.concatenate([house.doctors, house.technicians])
        wards = np.array(house.departments)
        parts.append(
            pd.DataFrame(
                {
                    "MA_CSKCB": house.code,
                    "MA_BAC_SI": codes,
                    "HO_TEN": np.concatenate([house.doctor_names, helpers]),
                    "CHUC_DANH": np.repeat(["1", "3"], [len(house.doctors), len(house.technicians)]),
                    "PHAM_VI": np.repeat(["101", "301"], [len(house.doctors), len(house.technicians)]),
                    "MA_KHOA": wards[np.arange(len(codes)) % len(wards)],
                    "TU_NGAY": "20240101",
                    "DEN_NGAY": "",
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
