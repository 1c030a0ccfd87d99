"""Invented people: names from syllable lists, numbers from ranges that no real person has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from claim_simulator.moments import Ints, Texts

FAMILY = (
    "Nguyễn",
    "Trần",
    "Lê",
    "Phạm",
    "Hoàng",
    "Huỳnh",
    "Phan",
    "Vũ",
    "Võ",
    "Đặng",
    "Bùi",
    "Đỗ",
    "Hồ",
    "Ngô",
    "Dương",
    "Lý",
    "Đào",
    "Đoàn",
    "Lương",
    "Trịnh",
    "Mai",
    "Tạ",
    "Chu",
    "Quách",
)
FAMILY_WEIGHT = np.array([30, 11, 10, 7, 5, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1], dtype="float64")
MIDDLE_MALE = ("Văn", "Đức", "Hữu", "Minh", "Quang", "Xuân", "Công", "Đình", "Thanh", "Quốc", "Anh", "Trọng")
MIDDLE_FEMALE = ("Thị", "Ngọc", "Thu", "Thanh", "Minh", "Phương", "Kim", "Hồng", "Bích", "Mỹ", "Diệu", "Khánh")
GIVEN_MALE = (
    "An",
    "Bình",
    "Cường",
    "Dũng",
    "Đạt",
    "Hải",
    "Hiếu",
    "Hùng",
    "Hưng",
    "Khánh",
    "Lâm",
    "Long",
    "Nam",
    "Nghĩa",
    "Phong",
    "Phúc",
    "Quân",
    "Sơn",
    "Thắng",
    "Tuấn",
    "Vinh",
    "Việt",
)
GIVEN_FEMALE = (
    "Anh",
    "Chi",
    "Dung",
    "Giang",
    "Hà",
    "Hằng",
    "Hiền",
    "Hoa",
    "Hương",
    "Lan",
    "Linh",
    "Loan",
    "Mai",
    "My",
    "Nga",
    "Ngân",
    "Nhung",
    "Oanh",
    "Thảo",
    "Trang",
    "Tuyết",
    "Yến",
)

COMMUNES = (
    ("09163", "xã Lạc Vân"),
    ("09169", "xã Phú Kinh"),
    ("09172", "xã Đông Thịnh"),
    ("09187", "phường Hòa Lạc"),
    ("09193", "phường Vân Trì"),
    ("09202", "xã Tam Hưng"),
    ("09214", "xã Yên Quý"),
    ("09226", "phường Kinh Nam"),
)
"""Invented communes (code, name); the codes only have the right form."""

HAMLETS = ("Đông", "Đoài", "Thượng", "Hạ", "Trung", "Ngoài", "Bến", "Chợ")

OCCUPATIONS = ("61110", "52110", "71120", "83220", "23410", "41100", "93290", "00000")

_GROUPS: tuple[tuple[int, int, tuple[tuple[str, float], ...]], ...] = (
    (6, 18, (("HS4", 0.86), ("HN2", 0.06), ("CN3", 0.05), ("BT2", 0.03))),
    (18, 23, (("SV4", 0.5), ("DN4", 0.3), ("GD4", 0.14), ("HN2", 0.06))),
    (
        23,
        60,
        (
            ("DN4", 0.44),
            ("GD4", 0.27),
            ("CH4", 0.1),
            ("CN3", 0.05),
            ("HN2", 0.05),
            ("TN4", 0.03),
            ("DT2", 0.02),
            ("TC3", 0.02),
            ("QN5", 0.01),
            ("CA5", 0.01),
        ),
    ),
    (
        60,
        80,
        (
            ("GD4", 0.36),
            ("HT3", 0.36),
            ("CB2", 0.08),
            ("HN2", 0.07),
            ("CN3", 0.05),
            ("KC2", 0.04),
            ("CK2", 0.03),
            ("CC1", 0.01),
        ),
    ),
    (80, 200, (("BT2", 0.55), ("HT3", 0.25), ("CT2", 0.1), ("KC2", 0.06), ("CC1", 0.04))),
)
"""Card groups by age in years: (from, to, ((object code and benefit digit, share), ...)); under 6 it is TE1."""


def names(rng: np.random.Generator, sex: Ints) -> Texts:
    """Family, middle and given name for each sex (1 male, 2 female)."""
    size = len(sex)
    family = rng.choice(FAMILY, size=size, p=FAMILY_WEIGHT / FAMILY_WEIGHT.sum())
    male = np.char.add(np.char.add(rng.choice(MIDDLE_MALE, size), " "), rng.choice(GIVEN_MALE, size))
    female = np.char.add(np.char.add(rng.choice(MIDDLE_FEMALE, size), " "), rng.choice(GIVEN_FEMALE, size))
    return np.char.add(np.char.add(family, " "), np.where(sex == 1, male, female))


@dataclass(frozen=True)
class People:
    """People of one facility, one row each: name, card number (15 characters), citizen number ("" for children),
    phone, address with commune code, ethnic group, occupation, weight in kg as text, living area of the card."""

    name: Texts
    card: Texts
    citizen: Texts
    phone: Texts
    address: Texts
    commune: Texts
    ethnic: Texts
    occupation: Texts
    weight: Texts
    area: Texts


def _card_groups(rng: np.random.Generator, years: npt.NDArray[np.float64]) -> Texts:
    out = np.full(len(years), "TE1")
    for first, last, shares in _GROUPS:
        inside = (years >= first) & (years < last)
        weights = np.array([share for _, share in shares])
        out[inside] = rng.choice([group for group, _ in shares], size=int(inside.sum()), p=weights / weights.sum())
    return out


def people(rng: np.random.Generator, sex: Ints, age_days: Ints, first_number: int) -> People:
    """Draws people of the given sex and age. first_number: the first of their running numbers, unique in a country."""
    size = len(sex)
    years = age_days / 365.25
    number = first_number + np.arange(size)
    # social-insurance numbers begin with a province code; 00 is none, so no card is anybody's
    text = np.char.zfill(number.astype(str), 8)
    card = np.char.add(np.char.add(_card_groups(rng, years), "27"), np.char.add("00", text))
    grown = (years >= 14) | (rng.random(size) < 0.4)
    citizen = np.where(grown, np.char.add("0000", text), "")
    place = rng.integers(0, len(COMMUNES), size)
    hamlet = rng.choice(HAMLETS, size)
    commune_name = np.array([name for _, name in COMMUNES])[place]
    address = np.char.add(np.char.add(np.char.add("Thôn ", hamlet), ", "), np.char.add(commune_name, ", tỉnh Bắc Ninh"))
    kilograms = np.where(
        years < 0.1,
        2.6 + 1.2 * rng.random(size),
        np.where(years < 16, 6 + 2.9 * years + 3 * rng.random(size), 42 + 32 * rng.random(size)),
    )
    hundredths = np.rint(kilograms * 100).astype("int64")
    weight = np.char.add(
        np.char.add((hundredths // 100).astype(str), "."), np.char.zfill((hundredths % 100).astype(str), 2)
    )
    return People(
        name=names(rng, sex),
        card=card,
        citizen=citizen,
        phone=np.where(rng.random(size) < 0.8, np.char.add("00", text), ""),
        address=address,
        commune=np.array([code for code, _ in COMMUNES])[place],
        ethnic=rng.choice(["01", "02", "03", "05"], size, p=[0.94, 0.02, 0.02, 0.02]),
        occupation=np.where(years < 18, "00000", rng.choice(OCCUPATIONS, size)),
        weight=weight,
        area=np.where(rng.random(size) < 0.02, "K1", ""),
    )
