"""Whatever the order in which deliveries come and are recorded, the same outcomes stand in the end.

Small worlds of claims at random (persons with several visits, shared cards, overlapping stays, devices, slips, beds,
corrections, recalls) are dealt out to deliveries at random and recorded in random orders. What must then stand is
computed a second time here, claim by claim, in a plain way: with "received before" taken from the order of receipt.
ORDERS_RUNS and ORDERS_SEED in the environment make it more worlds, or others.
"""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
import yaml

from claim_pipeline import appraise, faults, steps
from claim_pipeline.again import Again
from claim_pipeline.archive import Archive
from claim_pipeline.settings import settings
from claim_pipeline.store import open_store
from claim_pipeline.workspace import Delivery, Workspace
from claim_rules import cases, catalogue, expectations, law
from claim_rules.signature import Signature

RUNS = int(os.environ.get("ORDERS_RUNS", "2"))
SEED = int(os.environ.get("ORDERS_SEED", "1"))
FACILITIES = ("27001", "27002", "27003")
FIRST = datetime(2025, 8, 4)
RECEIVED = datetime(2025, 10, 1, 8, 0, tzinfo=ZoneInfo("Asia/Ho_Chi_Minh"))
JUDGED = {
    "DUP-001", "DUP-002", "DUP-003", "DUP-004", "DUP-005", "DUP-010", "DUP-011", "DUP-013", "CARD-017", "CARD-018",
    "BEN-014", "BEN-015", "BEN-022", "RATE-007", "SIG-004",
}  # fmt: skip
THRESHOLD = 351_000  # 15 % of 2,340,000
MINUTE, DAY = 1, 24 * 60


@dataclass(frozen=True)
class Person:
    number: str
    citizen: str
    name: str


@dataclass(frozen=True)
class Visit:
    """One version of a claim; times in minutes from FIRST, price in đồng."""

    facility: str
    name: str
    person: Person
    start: int
    end: int
    inpatient: bool = False
    code: str = "1.1"
    price: int = 100_000
    line_at: int = 0
    serial: str = ""
    bed: str = ""
    appointed: int | None = None
    referred: bool = False
    died: bool = False
    came_from: str = ""
    refused: bool = False
    only_tests: bool = False
    waived: str = ""
    disease: str = "J20.9"


def text(minutes: int) -> str:
    return (FIRST + timedelta(minutes=minutes)).strftime("%Y%m%d%H%M")


def a_claim(visit: Visit) -> dict[str, Any]:
    """The claim as a worked case gives it."""
    who = visit.person
    xml1: dict[str, Any] = {
        "MA_LK": visit.name, "MA_CSKCB": visit.facility, "NGAY_VAO": text(visit.start), "NGAY_RA": text(visit.end),
        "MA_THE_BHYT": f"GD427{who.number}", "SO_CCCD": who.citizen, "HO_TEN": who.name, "MA_DKBD": visit.facility,
        "MA_DOITUONG_KCB": visit.code, "MA_BENH_CHINH": visit.disease, "GT_THE_DEN": "20261231",
    }  # fmt: skip
    if visit.inpatient:
        xml1 |= {"MA_LOAI_KCB": "03", "NGAY_VAO_NOI_TRU": text(visit.start), "LY_DO_VNT": "Sốt", "PP_DIEU_TRI": "Thuốc"}
    if visit.died:
        xml1 |= {"KET_QUA_DTRI": "5", "MA_LOAI_RV": "5"}
    if visit.code == "1.3":
        xml1 |= {"MA_NOI_DI": visit.came_from, "GIAY_CHUYEN_TUYEN": "1"}
    if visit.refused:
        xml1["GIOI_TINH"] = ""
    if visit.waived:
        xml1["NGAY_MIEN_CCT"] = visit.waived
    at = text(visit.line_at)
    exam = {"NGAY_YL": at, "DON_GIA_BV": f"{visit.price}.000", "DON_GIA_BH": f"{visit.price}.000"}
    lines: dict[int, Any] = {1: exam | ({"MA_NHOM": "1"} if visit.only_tests else {}), 2: None}
    blank = dict.fromkeys(("NGUOI_THUC_HIEN", "MA_MAY", "NGAY_TH_YL", "NGAY_KQ"), "")
    blank |= {"PHAM_VI": "1", "TYLE_TT_DV": "100", "TYLE_TT_BH": "100", "MA_BAC_SI": "000001/BN-GPHN", "MA_PTTT": "1"}
    if visit.serial:
        lines[3] = blank | {
            "MA_DICH_VU": "", "TEN_DICH_VU": "", "MA_VAT_TU": "N06.02.0001", "MA_NHOM": "10", "TEN_VAT_TU": "Giá đỡ",
            "DON_VI_TINH": "Cái", "SO_LUONG": "1.000", "DON_GIA_BV": "1000.000", "DON_GIA_BH": "1000.000",
            "TT_THAU": "01/QĐ;G1;N1;2025", "MA_HIEU_SP": visit.serial, "NGAY_YL": at,
        }  # fmt: skip
    if visit.bed:
        lines[4 if visit.serial else 3] = blank | {
            "MA_DICH_VU": "K02.1908", "MA_NHOM": "14", "TEN_DICH_VU": "Giường", "DON_VI_TINH": "Ngày", "MA_KHOA": "K02",
            "SO_LUONG": "1.000", "DON_GIA_BV": "2000.000", "DON_GIA_BH": "2000.000", "MA_GIUONG": visit.bed,
            "NGAY_YL": text(visit.start), "NGAY_KQ": text(visit.end), "MA_VAT_TU": "", "MA_HIEU_SP": "",
        }  # fmt: skip
    given = {"facility": visit.facility, "XML1": xml1, "XML2": None, "XML3": lines, "XML4": None}
    if visit.appointed is not None:
        given["XML14"] = {1: {"SO_GIAYHEN_KL": "1", "NGAY_HEN_KL": text(visit.appointed)[:8], "NGAY_CT": "20250801"}}
    if visit.referred:
        given["XML13"] = {1: {"SO_HOSO": "1", "MA_NOIDEN": "27001"}}
    return given


def a_visit(luck: random.Random, persons: list[Person], facility: str, name: str, day: int) -> Visit:
    start = (day + luck.choice((0, 0, 0, 1, 1, 2, 5))) * DAY + luck.choice((420, 480, 540, 540, 900))
    inpatient = luck.random() < 0.5
    length = luck.choice((DAY, 2 * DAY, 2 * DAY + 60, 3 * DAY)) if inpatient else luck.choice((60, 90, 150))
    code = luck.choice(("1.1",) * 6 + ("1.3", "1.5", "1.5", "7.2", "8"))
    return Visit(
        facility, name, luck.choice((persons[0], persons[0], persons[0], *persons)), start, start + length, inpatient,
        code,
        price=luck.choice((100_000, 200_000, 200_000, 500_000)),
        line_at=start + luck.choice((10, 10, 20)),
        serial=luck.choice(("", "", "", f"SN{day:06}1")),
        bed=luck.choice(("", f"H{day:03}")) if inpatient else "",
        appointed=start + luck.choice((DAY, 2 * DAY, 3 * DAY)) if luck.random() < 0.3 else None,
        referred=luck.random() < 0.3,
        died=luck.random() < 0.1,
        came_from=luck.choice(FACILITIES),
        refused=luck.random() < 0.05,
        only_tests=luck.random() < 0.1,
        disease=luck.choice(("J20.9", "J20.9", "J20.0", "I10")),
    )  # fmt: skip


def a_group(luck: random.Random, number: int) -> list[list[Visit]]:
    """Claims of a few persons who may be mixed up, each as its versions in order."""
    mine, other = (f"27{number:06}{digit:02}" for digit in (1, 2))
    persons = [
        Person(mine, f"0270850{number:04}1", f"Nguyễn Văn {number}"),
        Person(mine, luck.choice(("", f"0270850{number:04}9")), f"Trần Thị {number}"),  # with the other's card
        Person(other, f"0270850{number:04}1", f"Nguyễn Văn {number}"),  # with another card
        Person(other, f"0270850{number:04}2", f"Lê Văn {number}"),
    ]
    claims = []
    for claim in range(luck.randint(2, 5)):
        facility = luck.choice((FACILITIES[0], FACILITIES[0], *FACILITIES))
        one = a_visit(luck, persons, facility, f"{number}.{claim}", number * 20)
        if claims and luck.random() < 0.25:  # the same again under another name
            one = replace(luck.choice(claims)[0], name=one.name)
        versions = [one]
        while luck.random() < 0.35:
            change = luck.random()
            again = a_visit(luck, persons, one.facility, one.name, number * 20)
            versions.append(versions[-1] if change < 0.2 else again if change < 0.6 else replace(
                versions[-1], **{name: getattr(again, name) for name in luck.sample(list(SWAPPED), 2)}
            ))  # fmt: skip
        claims.append(versions)
    return claims


SWAPPED = ("person", "code", "price", "serial", "bed", "appointed", "referred", "died", "refused", "disease")


@dataclass
class World:
    """deliveries: in order of receipt, each the claims of one facility."""

    deliveries: list[list[Visit]] = field(default_factory=list)

    @classmethod
    def at_random(cls, luck: random.Random, groups: int, deliveries: int) -> World:
        slots = [FACILITIES[number % (2 if deliveries < 5 else 3)] for number in range(deliveries)]
        luck.shuffle(slots)
        dealt: list[list[Visit]] = [[] for _ in slots]
        for number in range(1, groups + 1):
            for versions in a_group(luck, number):
                own = [place for place, facility in enumerate(slots) if facility == versions[0].facility]
                if not own:
                    continue
                places = sorted(luck.choice(own) for _ in versions)
                for place, version in zip(places, versions, strict=True):
                    dealt[place].append(version)
        for place, one in enumerate(dealt):  # versions of one claim in one delivery keep their order
            by_name: dict[str, list[Visit]] = {}
            for visit in one:
                by_name.setdefault(visit.name, []).append(visit)
            order = [visit.name for visit in one]
            luck.shuffle(order)
            dealt[place] = [by_name[name].pop(0) for name in order]
        return cls([one for one in dealt if one])


# --- what must stand


@dataclass
class Standing:
    visit: Visit
    order: tuple[int, int]
    before: Visit | None  # the version that the last delivery before brought
    stands: bool

    @property
    def key(self) -> tuple[str, str]:
        return self.visit.facility, self.visit.name


def standing(world: World) -> list[Standing]:
    """The newest version of every claim. Of several in one delivery the first counts."""
    out: dict[tuple[str, str], Standing] = {}
    for number, delivery in enumerate(world.deliveries):
        seen = set()
        for place, visit in enumerate(delivery):
            key = visit.facility, visit.name
            if key in seen:
                continue
            seen.add(key)
            known = out.get(key)
            order = known.order if known else (number, place)
            out[key] = Standing(visit, order, known.visit if known else None, not visit.refused)
    return list(out.values())


def day(minutes: int) -> int:
    return minutes // DAY


def working_days(first: int, last: int) -> int:
    """Working days after the one up to the other (days from FIRST, a Monday; 1 and 2 September are off)."""
    off = {day_off for month, day_ in ((9, 1), (9, 2)) for day_off in [(datetime(2025, month, day_) - FIRST).days]}
    return sum(1 for one in range(first + 1, last + 1) if one % 7 < 5 and one not in off)


def same_person(a: Visit, b: Visit) -> bool:
    return a.person.number == b.person.number or (a.person.citizen != "" and a.person.citizen == b.person.citizen)


def line_times(visit: Visit) -> Counter[tuple[str, int]]:
    lines = [("02.1896", visit.line_at)]
    lines += [("N06.02.0001", visit.line_at)] * bool(visit.serial)
    lines += [("K02.1908", visit.start)] * bool(visit.bed)
    return Counter(lines)


def requested(visit: Visit) -> int:
    return visit.price + 1000 * bool(visit.serial) + 2000 * bool(visit.bed)


def expected(world: World) -> dict[tuple[str, str], set[str]]:
    """Rules that must stand on every claim, each rule in the plainest way."""
    everything = standing(world)
    known = [one for one in everything if one.stands]
    told: dict[tuple[str, str], set[str]] = {}
    borne = Counter(visit.serial for delivery in world.deliveries for visit in delivery if not visit.refused)
    models = {serial for serial, visits in borne.items() if visits > law.load("repeats")["no_device"]}
    for one in everything:
        if not one.stands:
            told[one.key] = {"STR-006"}
            continue
        told[one.key] = {rule for rule in JUDGED if _told(rule, one, [two for two in known if two is not one])}
        if one.visit.serial in models:
            told[one.key].discard("DUP-013")
    return told


def _told(rule: str, one: Standing, others: list[Standing]) -> bool:
    a = one.visit
    if a.code == "8" and rule.startswith("DUP"):
        return False  # a recall is no second visit
    near = [two for two in others if same_person(a, two.visit) and two.visit.code != "8"]
    near = [two for two in near if two.visit.start <= a.end + 2 * DAY and a.start <= two.visit.end + 2 * DAY]
    here = [two for two in near if two.visit.facility == a.facility]
    earlier = [two for two in near if two.order < one.order]
    if rule == "DUP-002":
        mine = line_times(a)
        return any(
            (a.start, a.end) == (two.visit.start, two.visit.end)
            or sum((mine & line_times(two.visit)).values()) * 10 >= sum(mine.values()) * 9
            for two in here
            if two.order < one.order
        )
    if rule == "DUP-003":
        return a.inpatient and any(
            two.visit.inpatient and min(a.end, two.visit.end) - max(a.start, two.visit.start) > 60 for two in earlier
        )
    if rule == "DUP-004":
        return not a.inpatient and a.code != "7.2" and (not a.only_tests or bool(a.serial)) and any(
            two.visit.inpatient and day(two.visit.start) < day(a.start) < day(two.visit.end) for two in near
        )  # fmt: skip
    same_day = [two for two in near if not two.visit.inpatient and day(two.visit.start) == day(a.start)]
    if rule == "DUP-005":
        return not a.inpatient and any(two in earlier and two not in here for two in same_day)
    if rule == "DUP-010":
        small = [two for two in same_day if two in here and requested(two.visit) < THRESHOLD]
        return not a.inpatient and requested(a) < THRESHOLD and bool(small) and (
            requested(a) + sum(requested(two.visit) for two in small) >= THRESHOLD
        )  # fmt: skip
    if rule == "DUP-011":
        return a.inpatient and any(
            two.visit.inpatient and 0 <= a.start - two.visit.end < DAY and two.visit.disease[:3] == a.disease[:3]
            for two in here
        )
    if rule == "DUP-013":
        return bool(a.serial) and any(
            two.visit.serial == a.serial and two.order < one.order and two.visit.code != "8" for two in others
        )
    if rule == "CARD-017":
        return _shared(a, [two.visit for two in others])
    if rule == "CARD-018":
        deaths = [two.visit.end for two in others if two.visit.died and two.visit.person.number == a.person.number]
        return any(a.start > min(deaths) or last > min(deaths) for last in [max(t for _, t in line_times(a))]) if (
            deaths
        ) else False  # fmt: skip
    if rule == "BEN-014":
        return a.code == "1.3" and _no_transfer(a, [two.visit for two in others])
    if rule == "BEN-015":
        return a.code == "1.5" and _no_appointment(one, others)
    if rule == "BEN-022":
        return a.code == "8"
    if rule == "RATE-007":
        return bool(a.bed) and any(
            two.visit.facility == a.facility
            and two.visit.bed == a.bed
            and two.visit.person.number != a.person.number
            and min(a.end, two.visit.end) - max(a.start, two.visit.start) > 240
            for two in others
        )
    if rule == "SIG-004":
        return one.before is not None and a_claim(one.before) != a_claim(a)
    assert rule == "DUP-001"
    return False


def _shared(a: Visit, others: list[Visit]) -> bool:
    """All visits of a group lie within twelve months of each other."""
    me = a.person
    for two in (other.person for other in others):
        if two.number == me.number:
            if me.citizen and two.citizen:
                if me.citizen != two.citizen:
                    return True
            elif me.name != two.name:
                return True
        if me.citizen and me.citizen == two.citizen and me.number != two.number:
            return True
    return False


def _no_transfer(a: Visit, others: list[Visit]) -> bool:
    sent = [two for two in others if same_person(a, two) and two.facility == a.came_from]
    sent = [two for two in sent if day(two.end) <= day(a.start)]
    slips = [day(two.end) for two in sent if two.referred]
    if slips:
        return working_days(max(slips), day(a.start)) > 10
    return any(two.end >= a.start - 14 * DAY for two in sent)


def _no_appointment(one: Standing, others: list[Standing]) -> bool:
    """Nobody's claims are a year old here: where no slip fits nothing is known."""

    def slip(of: Standing, among: list[Standing]) -> Standing | None:
        fits = [
            two for two in among
            if two.visit.facility == of.visit.facility and two.visit.appointed is not None
            and same_person(of.visit, two.visit) and two.visit.end <= of.visit.start
        ]  # fmt: skip
        return min(
            fits,
            key=lambda two: (abs(day(two.visit.appointed or 0) - day(of.visit.start)), tuple(-x for x in two.order)),
            default=None,
        )

    mine = slip(one, others)
    if mine is None:
        return False
    first, last = sorted((day(mine.visit.appointed or 0), day(one.visit.start)))
    if working_days(first, last) > 10:
        return True
    came = [
        two for two in others
        if two.visit.code == "1.5" and two.order < one.order and same_person(one.visit, two.visit)
        and two.visit.facility == one.visit.facility
    ]  # fmt: skip
    return any(slip(two, [three for three in [one, *others] if three is not two]) is mine for two in came)


def recalls(world: World, found: dict[tuple[str, str], dict[str, Any]]) -> dict[tuple[str, str], str]:
    """What each recall must name: minus what stands for the last claim of that stay that an earlier delivery brought,
    in the version that was its newest then; where that is not the newest now the amount is whatever it was."""
    out = {}
    place = {(v.facility, v.name): n for n, delivery in enumerate(world.deliveries) for v in reversed(delivery)}
    for one in standing(world):
        a = one.visit
        if a.code != "8" or not one.stands:
            continue
        before = standing(World(world.deliveries[: place[one.key]]))
        fits = [
            two for two in before
            if two.stands and two.visit.code != "8" and same_person(a, two.visit)
            and (two.visit.facility, two.visit.start, two.visit.end) == (a.facility, a.start, a.end)
        ]  # fmt: skip
        out[one.key] = found[one.key]["recalled"]
        if all(two.visit is now.visit for two in fits for now in standing(world) if now.key == two.key):
            paid = [two for two in fits if found[two.key]["decided"] in ("accepted", "adjusted")]
            last = max(paid, key=lambda two: _sent_last(world, two, place[one.key]), default=None)
            out[one.key] = f"{-found[last.key]['approved']:.2f}" if last else "0.00"
    return out


def _sent_last(world: World, one: Standing, before: int) -> tuple[int, int]:
    places = [(n, p) for n, delivery in enumerate(world.deliveries[:before]) for p, v in enumerate(delivery)]
    return max(place for place in places if world.deliveries[place[0]][place[1]] is one.visit)


# --- the real thing


class FromTables(Again):
    """Appraises again from the claim tables at hand, not from archived bytes."""

    tables: dict[int, Any]

    def run(self, row: Any, folder: Path, reference: Any, known: Any, *_: Any) -> Workspace:
        return appraised(row, self.tables[row.id], folder, reference, known)


def appraised(row: Any, given: tuple[Any, Any], folder: Path, reference: Any, known: Any) -> Workspace:
    tables, found = given
    ws = Workspace(folder)
    ws.write_tables(tables)
    ws.write_frame("findings-validate", found)
    ws.delivery = Delivery(
        file="a.xml", sha256=row.sha256, MA_CSKCB=row.facility, inbox_facility=row.facility, format="xml-3176",
        received_at=row.received_at.isoformat(), declared_claims=len(tables.claims), read_claims=len(tables.claims),
        status="validated",
    )  # fmt: skip
    history = steps._store().past(row.id, ws.read_tables())
    appraise.run(ws, reference.of(ws.read_tables()), history, known=known, signed=Signature(facility=row.facility))
    return ws


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home under whose contract only the rules of other claims (and those of structure) are on."""
    off = {rule.id: "off" for rule in catalogue.book().values() if rule.id not in JUDGED | {"STR-006", "BEN-008"}}
    (tmp_path / "contract.yaml").write_text(yaml.safe_dump({"default": {"rules": off}}), "utf-8")
    monkeypatch.setenv("GIAMDINH_HOME", str(tmp_path))
    monkeypatch.setenv("GIAMDINH_CONTRACT", str(tmp_path / "contract.yaml"))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()
    steps._reference.cache_clear()


class Recorded:
    """A world taken in: received in its order, recorded in the order of `record`."""

    def __init__(self, world: World, store: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store, self.place = store, place
        self.again = FromTables(store, Archive(place / "archive"), lambda *_: {}, lambda *_: lambda _: {})
        self.again.tables = {}
        monkeypatch.setattr(steps, "_store", lambda: store)
        monkeypatch.setattr(steps, "_again", lambda: self.again)
        register = [
            {"MA_CSKCB": code, "MA_TINH": "27", "CAP_CMKT": "basic", "DIEM": "60", "TUYEN_CU": "provincial",
             "TU_NGAY": "20200101", "DEN_NGAY": "", "HOP_DONG_TU": "", "HOP_DONG_DEN": ""} for code in FACILITIES
        ]  # fmt: skip
        store.load_reference({"facilities": pd.DataFrame(register).astype("str")})
        steps._reference.cache_clear()
        self.ids = []
        for number, visits in enumerate(world.deliveries):
            tables = cases.build_all([a_claim(visit) for visit in visits])
            sha256 = hashlib.sha256(str(number).encode()).hexdigest()
            row = store.receive(
                facility=visits[0].facility, file=f"{number}.xml", sha256=sha256, size=1,
                received_at=RECEIVED + timedelta(hours=number), archive_key="k", actor="t",
            )  # fmt: skip
            self.again.tables[row.delivery_id] = tables, expectations.check(tables)
            self.ids.append(row.delivery_id)

    def appraised(self, number: int) -> Workspace:
        delivery = self.ids[number]
        steps._reference.cache_clear()
        known, reference = steps._reference()
        folder = self.place / "work" / str(delivery)
        return appraised(self.store.delivery(delivery), self.again.tables[delivery], folder, reference, known)

    def record(self, number: int) -> None:
        self.store.record(self.ids[number], self.appraised(number), "test")

    def settle(self) -> None:
        """What others affect is appraised again, until nothing waits."""
        for _ in range(5):
            counts = steps.appraise_affected("test")
            assert not any(counts[name] for name in ("failed", "busy", "waiting")), counts
            if not self.store.affected():
                return
        raise AssertionError("it never settles")

    def stands(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Of the newest version of every claim: rules, and everything that its outcome says."""
        with self.store._engine.connect() as connection:
            rows = connection.exec_driver_sql("""
                SELECT d.facility, o.ma_lk, o.outcome, o.requested, o.approved, o.refused, o.referral_reasons,
                       coalesce((SELECT jsonb_agg(jsonb_build_array(f.rule, f.severity, f.xml_table, f.line, f.field,
                                        f.observed, f.expected, f.amount_refused)
                                        ORDER BY f.rule, f.xml_table, f.line, f.field)
                                 FROM standing_finding f WHERE f.version = o.version), '[]')
                FROM standing_outcome o JOIN delivery d ON d.id = o.delivery WHERE o.newest
            """).all()
        return {
            (facility, ma_lk): {
                "rules": {found[0] for found in findings},
                "recalled": next((found[6] for found in findings if found[0] == "BEN-022"), None),
                "approved": rest[2],
                "decided": rest[0],
                "all": [*map(str, rest), findings],
            }
            for facility, ma_lk, *rest, findings in rows
        }


@pytest.fixture
def taken_in(make_url: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[World], Recorded]]:
    """Takes worlds in, each into a database of its own; nothing of it is recorded yet."""
    stores = []

    def made(world: World) -> Recorded:
        stores.append(open_store(make_url()))
        return Recorded(world, stores[-1], place / str(len(stores)), monkeypatch)

    yield made
    for store in stores:
        store.close()


def differing(found: dict[Any, Any], wanted: dict[Any, set[str]]) -> dict[Any, Any]:
    """Claims with other rules than are wanted, and which."""
    return {
        key: {"more": sorted(found[key]["rules"] - wanted[key]), "lacking": sorted(wanted[key] - found[key]["rules"])}
        for key in wanted
        if found[key]["rules"] != wanted[key]
    }


@pytest.fixture
def few_visits_are_a_model(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how many visits may bear a code before it counts as a product model and no device."""
    load = law.load

    def made(no_device: int) -> None:
        changed = {"repeats": {"no_device": no_device}}
        monkeypatch.setattr(law, "load", lambda name: load(name) | changed.get(name, {}))

    return made


@pytest.mark.parametrize("run", range(RUNS))
def test_what_stands_in_the_end_depends_on_no_order_of_recording(
    run: int, taken_in: Any, few_visits_are_a_model: Any
) -> None:
    few_visits_are_a_model((20, 2)[run % 2])
    luck = random.Random(SEED * 1000 + run)
    world = World.at_random(luck, groups=14, deliveries=(4, 5, 7)[run % 3])
    order = list(range(len(world.deliveries)))
    recorded = taken_in(world)
    luck.shuffle(order)
    for number in order:
        recorded.record(number)
        if luck.random() < 0.3:
            recorded.settle()
    recorded.settle()
    found, wanted = recorded.stands(), expected(world)
    assert set(found) == set(wanted)
    assert differing(found, wanted) == {}, f"recorded as {order}"
    assert {key: one["recalled"] for key, one in found.items() if one["recalled"]} == recalls(world, found)


def test_amounts_and_findings_are_those_of_the_order_of_receipt(taken_in: Any) -> None:
    """But for words: where several other claims trip a rule, a finding goes on naming the one that it named first."""
    luck = random.Random(SEED * 1000 + 999)
    world = World.at_random(luck, groups=10, deliveries=3)
    told = []
    for order in (range(len(world.deliveries)), reversed(range(len(world.deliveries)))):
        recorded = taken_in(world)
        for number in order:
            recorded.record(number)
        recorded.settle()
        told.append(recorded.stands())
    assert {key: (one, told[1][key]) for key, one in told[0].items() if told[1][key] != one} == {}


P = Person("2700000001", "027085000001", "Nguyễn Văn Mẫu")


def stay(name: str, start: int, end: int, **more: Any) -> Visit:
    return replace(Visit("27001", name, P, start, end, inpatient=True, line_at=start + 10), **more)


def test_a_correction_is_seen_by_the_claims_that_came_with_the_first_version(taken_in: Any) -> None:
    overlap = [stay("A", 0, 3 * DAY), stay("B", 2 * DAY, 4 * DAY)]
    world = World([overlap, [stay("A", -9 * DAY, -8 * DAY)]])
    recorded = taken_in(world)
    recorded.record(0)
    assert recorded.stands()["27001", "B"]["rules"] == {"DUP-003"}
    recorded.record(1)
    recorded.settle()
    assert {name: one["rules"] for (_, name), one in recorded.stands().items()} == {"A": {"SIG-004"}, "B": set()}


def test_a_repeated_hoso_is_held_against_nobody(taken_in: Any) -> None:
    recorded = taken_in(World([[stay("A", -9 * DAY, -8 * DAY), stay("A", 0, 3 * DAY), stay("B", 2 * DAY, 4 * DAY)]]))
    recorded.record(0)
    assert recorded.stands()["27001", "B"]["rules"] == set()


def test_of_one_device_the_claim_received_first_is_paid_wherever_it_stands_in_a_delivery(taken_in: Any) -> None:
    other = Person("2700000002", "027085000002", "Lê Văn Khác")
    first = stay("A", 0, DAY)
    world = World(
        [[first], [stay("B", 9 * DAY, 10 * DAY, person=other, serial="SN0000011"), replace(first, serial="SN0000011")]]
    )
    recorded = taken_in(world)
    for number in (0, 1):
        recorded.record(number)
    assert {name: one["rules"] for (_, name), one in recorded.stands().items()} == {"A": {"SIG-004"}, "B": {"DUP-013"}}


def visit(name: str, start: int, price: int, **more: Any) -> Visit:
    return replace(Visit("27001", name, P, start, start + 60, price=price, line_at=start + 10), **more)


@pytest.mark.parametrize(("second", "told"), [(THRESHOLD - 175_500, {"DUP-010"}), (THRESHOLD - 175_501, set())])
def test_a_visit_split_over_two_deliveries(taken_in: Any, second: int, told: set[str]) -> None:
    recorded = taken_in(
        World([[visit("A", 480, 175_500)], [visit("B", 900, second)], [visit("C", DAY + 480, 300_000)]])
    )
    for number in range(3):
        recorded.record(number)
    recorded.settle()
    assert {name: one["rules"] for (_, name), one in recorded.stands().items()} == {"A": told, "B": told, "C": set()}


def test_a_recall_names_what_stands_for_the_claim_and_no_more_than_that(taken_in: Any) -> None:
    """BEN-022: what is taken back follows the outcome of the claim that is recalled, as that changes."""
    paid, recall = visit("A", 480, 500_000), visit("R", 480, 500_000, code="8")
    other = Visit("27002", "S", P, -DAY, 2 * DAY, inpatient=True, line_at=0)
    recorded = taken_in(
        World([[paid], [recall], [other], [replace(other, start=9 * DAY, end=10 * DAY, line_at=9 * DAY)]])
    )
    recorded.record(1)
    assert recorded.stands()["27001", "R"]["recalled"] == "0.00"
    recorded.record(0)
    recorded.settle()
    assert recorded.stands()["27001", "R"]["recalled"] == "-400000.00"
    recorded.record(2)  # the visit lies in a stay: DUP-004 refuses it, and nothing is left to take back
    recorded.settle()
    assert recorded.stands()["27001", "R"]["recalled"] == "0.00"
    recorded.record(3)
    recorded.settle()
    assert recorded.stands()["27001", "R"]["recalled"] == "-400000.00"


def test_two_deliveries_recorded_at_once_do_not_miss_each_other(taken_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither sees the other when it is appraised; and the second waits for the first, whose transaction is open."""
    recorded = taken_in(World([[stay("A", 0, 3 * DAY)], [stay("B", 2 * DAY, 4 * DAY, facility="27002")]]))
    ready = [recorded.appraised(number) for number in (0, 1)]
    open_, go_on = threading.Event(), threading.Event()

    def point(name: str) -> None:
        if name == "record:written" and threading.current_thread().name == "first":
            open_.set()
            assert go_on.wait(60)

    monkeypatch.setattr(faults, "point", point)

    def record(number: int) -> None:
        recorded.store.record(recorded.ids[number], ready[number], "test")

    first = threading.Thread(target=record, args=[1], name="first")
    second = threading.Thread(target=record, args=[0], name="second")
    first.start()
    assert open_.wait(60)
    second.start()
    with recorded.store._engine.connect() as connection:
        until = time.monotonic() + 60
        while not connection.exec_driver_sql(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        ).scalar():
            assert time.monotonic() < until, "the second does not wait for the first"
    go_on.set()
    for thread in (first, second):
        thread.join(60)
    assert set(recorded.store.affected()) == {*recorded.ids}
    recorded.settle()
    assert {name: one["rules"] for (_, name), one in recorded.stands().items()} == {"A": set(), "B": {"DUP-003"}}


def test_who_saw_everything_is_not_appraised_twice(taken_in: Any) -> None:
    recorded = taken_in(World([[stay("A", 0, 3 * DAY)], [visit("B", 2 * DAY, 100_000, facility="27002")]]))
    recorded.record(0)
    recorded.record(1)
    assert recorded.ids[1] not in recorded.store.affected()


def test_each_appraisal_keeps_to_the_ledger_of_co_payments_of_its_time(taken_in: Any) -> None:
    """BEN-008 over two deliveries: six months of the base salary (14,040,000 đ) must be passed by a đồng."""
    exempt = {"waived": "20250804", "person": P}
    recorded = taken_in(World([[visit("A", 480, 500_000, **exempt)], [visit("B", DAY + 480, 500_000, **exempt)]]))
    card = f"GD427{P.number}"
    five_years = pd.DataFrame([{"MA_THE_BHYT": card, "NAM_NAM_LIEN_TUC": "20240101"}]).astype("str")

    def ledger(paid: str) -> None:
        row = {"MA_THE_BHYT": card, "TU_NGAY": "20250101", "DEN_NGAY": "20250731", "T_BNCCT": paid}
        recorded.store.load_reference({"cards": five_years, "copayments": pd.DataFrame([row]).astype("str")})

    ledger("14040000.00")
    recorded.record(0)
    assert recorded.stands()["27001", "A"]["rules"] == {"BEN-008"}
    ledger("14040001.00")
    recorded.record(1)
    recorded.settle()
    assert {name: one["rules"] for (_, name), one in recorded.stands().items()} == {"A": {"BEN-008"}, "B": set()}
    steps.appraise_again(recorded.ids, "test", "reappraisal")
    assert {name: one["rules"] for (_, name), one in recorded.stands().items()} == {"A": set(), "B": set()}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_that_there_is_no_slip_is_known_once_a_year_of_claims_is(taken_in: Any, order: tuple[int, int]) -> None:
    recorded = taken_in(World([[visit("A", 480, 100_000, code="1.5")], [visit("B", -400 * DAY, 100_000)]]))
    for number in order:
        recorded.record(number)
    recorded.settle()
    assert {name: one["rules"] for (_, name), one in recorded.stands().items()} == {"A": {"BEN-015"}, "B": set()}


def bearing(serial: str, number: int, name: str = "") -> Visit:
    """An outpatient visit of somebody with a device; months apart."""
    one = Person(f"27000001{number:02}", f"0270850001{number:02}", f"Nguyễn Văn {number}")
    return visit(name or f"V{number}", number * 40 * DAY + 480, 100_000, person=one, serial=serial)


def with_device_again(recorded: Any) -> set[str]:
    return {name for (_, name), one in recorded.stands().items() if "DUP-013" in one["rules"]}


def test_a_device_changes_nothing_of_what_was_received_before_it(taken_in: Any) -> None:
    recorded = taken_in(World([[bearing("SN123456", number)] for number in range(5)]))
    for number in (0, 1, 3):
        recorded.record(number)
        assert recorded.store.affected() == {}
    assert with_device_again(recorded) == {"V1", "V3"}
    recorded.record(2)  # received before V3, recorded after it
    assert set(recorded.store.affected()) == {recorded.ids[3]}
    recorded.settle()
    recorded.record(4)
    assert recorded.store.affected() == {}
    assert with_device_again(recorded) == {"V1", "V2", "V3", "V4"}


def test_a_code_that_many_visits_bear_is_a_model_and_no_device(taken_in: Any, few_visits_are_a_model: Any) -> None:
    few_visits_are_a_model(3)
    twice = [bearing("SN123456", 3), bearing("SN123456", 4)]
    many = [bearing("SN999999", number, f"M{number}") for number in range(4)]
    recorded = taken_in(World([*([bearing("SN123456", number)] for number in range(3)), twice, twice[:1], many]))
    for number in range(3):
        recorded.record(number)
    assert (with_device_again(recorded), recorded.store.affected()) == ({"V1", "V2"}, {})
    recorded.record(3)
    assert set(recorded.store.affected()) == set(recorded.ids[:3])
    recorded.settle()
    recorded.record(4)
    assert recorded.store.affected() == {}  # a visit more is nothing to anybody
    recorded.record(5)  # four claims of one delivery
    recorded.settle()
    assert with_device_again(recorded) == set()


def test_who_saw_a_device_where_others_made_it_a_model_is_appraised_again(
    taken_in: Any, few_visits_are_a_model: Any
) -> None:
    few_visits_are_a_model(3)
    recorded = taken_in(World([[bearing("SN123456", number)] for number in range(5)]))
    for number in range(2):
        recorded.record(number)
    ready = [recorded.appraised(number) for number in (2, 3, 4)]
    for number, ws in zip((2, 3, 4), ready, strict=True):
        recorded.store.record(recorded.ids[number], ws, "test")
    assert recorded.ids[4] in recorded.store.affected()
    recorded.settle()
    assert with_device_again(recorded) == set()


KEPT = ("visit_cost", "visit_person", "visit_device", "visit_bed", "visit")


def forget(recorded: Any, *tables: str) -> None:
    """What is kept is as a version before the tables left it."""
    with recorded.store._engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for table in tables:
            connection.exec_driver_sql(f"DELETE FROM {table}")


@pytest.mark.parametrize("lost", [KEPT, KEPT[:1]])
def test_what_is_filled_in_while_another_is_under_way_is_seen_by_it_in_the_end(
    taken_in: Any, lost: tuple[str, ...]
) -> None:
    """DUP-010: two small visits of one day that together are none; it looks at the cost too."""
    recorded = taken_in(World([[visit("A", 480, 200_000)], [visit("B", 600, 200_000)]]))
    recorded.record(0)
    forget(recorded, *lost)
    under_way = recorded.appraised(1)
    tables, _ = recorded.again.tables[recorded.ids[0]]
    assert recorded.store.fill_history(recorded.ids[0], tables) == 1
    recorded.store.record(recorded.ids[1], under_way, "test")
    recorded.settle()
    assert {name: one["rules"] for (_, name), one in recorded.stands().items()} == {"A": {"DUP-010"}, "B": {"DUP-010"}}


@pytest.mark.parametrize(
    ("other", "mine", "rule"),
    [
        (stay("A", 0, 2 * DAY, died=True), visit("B", 30 * DAY, 100_000), "CARD-018"),
        (visit("A", -400 * DAY, 100_000), visit("B", 480, 100_000, code="1.5"), "BEN-015"),
        (
            visit("A", 480, 100_000, appointed=9 * DAY),
            visit("B", 60 * DAY + 480, 100_000, code="1.5"),
            "BEN-015",
        ),
        (
            visit("A", 480, 100_000, facility="27002", referred=True),
            visit("B", 60 * DAY + 480, 100_000, code="1.3", came_from="27002"),
            "BEN-014",
        ),
    ],
)
def test_what_is_recorded_while_another_is_under_way_is_seen_by_it_in_the_end(
    taken_in: Any, other: Visit, mine: Visit, rule: str
) -> None:
    recorded = taken_in(World([[other], [mine]]))
    under_way = recorded.appraised(1)
    recorded.record(0)
    recorded.store.record(recorded.ids[1], under_way, "test")
    recorded.settle()
    assert {name: one["rules"] for (_, name), one in recorded.stands().items()} == {"A": set(), "B": {rule}}


def test_what_others_note_meanwhile_waits_for_the_next_run(taken_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traffic that never ends: whatever is appraised again is noted again at once, and others are noted too."""
    recorded = taken_in(World([[visit(name, 480 + number * 9 * DAY, 100_000)] for number, name in enumerate("ABC")]))
    for number in range(3):
        recorded.record(number)

    def note(delivery: int, because: int) -> None:
        with recorded.store._engine.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO affected_delivery (delivery, because) VALUES (%s, %s) ON CONFLICT (delivery) "
                "DO UPDATE SET because = excluded.because, at = clock_timestamp()",
                (delivery, because),
            )

    first, second, traffic = recorded.ids
    done = []
    again = steps.appraise_again

    def under_traffic(deliveries: list[int], actor: str, cause: str) -> dict[str, int]:
        done.extend(deliveries)
        assert len(done) < 9, "it goes on for ever"
        counts = again(deliveries, actor, cause)
        note(deliveries[0], traffic)
        if deliveries == [first] and len(done) == 1:
            note(second, first)  # its own work
        note(traffic, traffic)
        return counts

    monkeypatch.setattr(steps, "appraise_again", under_traffic)
    note(first, traffic)
    assert steps.appraise_affected("test")["same"] == 2
    assert done == [first, second]
    assert set(recorded.store.affected()) == {*recorded.ids}
