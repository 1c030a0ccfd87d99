"""Visits and their orders as claim tables: the official elements, all of them, as text."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

import numpy as np
import pandas as pd

from claim_pipeline.extract.columns import column_names
from claim_rules import money
from claim_rules.benefit import fill_amounts
from claim_rules.frames import ClaimTables
from claim_simulator.arrays import numbered
from claim_simulator.catalogue import Catalogue, data
from claim_simulator.facilities import Facility
from claim_simulator.moments import DAY, Ints, Texts, text8, text12
from claim_simulator.orders import Orders
from claim_simulator.visits import NO_DISTRICTS, Visits

DECISION = "3176"
NOTE = "Uống thuốc theo đơn"
_BED_KINDS = ("H", "T", "C", "K")
_BEDS = 999  # numbers of each kind
_FOLLOW_UP = {"chronic": 0.9, "inpatient": 0.5, "surgical": 0.6, "acute": 0.05}
_TREATMENT = {"surgical": "Phẫu thuật, kháng sinh, giảm đau", "daycare": "Phẫu thuật, thuốc nhỏ mắt"}


def claim_tables(
    facility: Facility, lists: Catalogue, who: Visits, what: Orders, month: str, rng: np.random.Generator
) -> ClaimTables:
    """The claims of a facility in order of discharge, all amounts filled by the benefit law."""
    return _Tables(facility, lists, who, what, month, rng).build()


def _at(texts: pd.Series, place: Ints) -> Texts:
    return texts.to_numpy(dtype="str")[place]


class _Tables:
    def __init__(
        self,
        facility: Facility,
        lists: Catalogue,
        who: Visits,
        what: Orders,
        month: str,
        rng: np.random.Generator,
    ) -> None:
        self.facility = facility
        self.lists = lists
        self.visits = who.frame
        self.people = who.people
        self.what = what
        self.month = month
        self.rng = rng
        self.size = len(who.frame)
        sequence = np.char.zfill(np.arange(1, self.size + 1).astype(str), 6)
        self.ma_lk = np.char.add(f"{facility.code}{month[2:]}", sequence)
        self.arrival = text12(self.visits["arrival"].to_numpy())
        self.discharge = text12(self.visits["discharge"].to_numpy())
        admitted = self.visits["admitted"].to_numpy()
        self.inside = admitted >= 0
        self.admitted = np.where(self.inside, text12(np.where(self.inside, admitted, 0)), "")
        self.doctor = rng.integers(0, len(facility.doctors), self.size)
        conditions = data("conditions")
        place = self.visits["condition"].to_numpy()
        self.main = _at(conditions["MA_BENH"], place)
        self.more = _at(conditions["MA_BENH_KT"], place)
        self.diagnosis = _at(conditions["CHAN_DOAN"], place)
        self.reason = _at(conditions["LY_DO_VV"], place)
        self.setting = self.visits["setting"].to_numpy(dtype="U12")
        self.treatment = np.select(
            [self.setting == name for name in _TREATMENT],
            list(_TREATMENT.values()),
            np.where(self.inside, "Nội khoa, theo dõi", "Điều trị ngoại trú"),
        )
        chance = np.select([self.setting == name for name in _FOLLOW_UP], list(_FOLLOW_UP.values()), 0.0)
        returns = rng.random(self.size) < chance
        next_day = self.visits["discharge"].to_numpy() // DAY + rng.integers(1, 15, self.size)
        self.appointment = np.where(returns, text8(next_day), "")
        first = text8(self.visits["card_start"].to_numpy())
        last = text8(self.visits["card_end"].to_numpy())
        change = self.visits["card_change"].to_numpy()
        changed = change >= 0
        self.card_from = np.where(changed, _list(first, text8(np.maximum(change, 0) + 1)), first)
        self.card_to = np.where(changed, _list(text8(np.maximum(change, 0)), last), last)
        registered = self.visits["registered"].to_numpy(dtype="U5")
        self.registered = np.where(changed, _list(registered, registered), registered)
        self.card = np.where(changed, _list(self.people.card, self.people.card), self.people.card)
        birth = self.visits["birth"].to_numpy()
        day = text8(birth // DAY)
        whole = np.char.add(day, "0000")
        timed = np.where(self.visits["age_days"].to_numpy() <= 28, text12(birth), whole)
        year = np.char.add(day.astype("U4"), "00000000")
        self.birth = np.where(self.visits["birth_year_only"], year, timed)

    def build(self) -> ClaimTables:
        claims = pd.DataFrame(
            {
                "claim": np.arange(self.size),
                "MA_LK": pd.Series(self.ma_lk, dtype="str"),
                "MA_CSKCB": pd.Series(self.facility.code, index=range(self.size), dtype="str"),
                "decision": pd.Series(DECISION, index=range(self.size), dtype="str"),
                "readable": True,
            }
        )
        everybody = np.arange(self.size)
        admitted = np.flatnonzero(self.inside)
        transferred = np.flatnonzero((self.visits["transfer_to"] != "").to_numpy())
        invited = np.flatnonzero(self.appointment != "")
        parts = {
            "XML1": (everybody, self._summary()),
            "XML2": (self.what.drugs["visit"].to_numpy(), self._drugs()),
            "XML3": (self.what.services["visit"].to_numpy(), self._services()),
            "XML4": self._results(),
            "XML5": self._notes(),
            "XML7": (admitted, self._discharge_paper(admitted)),
            "XML8": (admitted, self._summary_paper(admitted)),
            "XML13": (transferred, self._transfer(transferred)),
            "XML14": (invited, self._invitation(invited)),
        }
        tables = {name: self._frame(name, visit, columns) for name, (visit, columns) in parts.items() if len(visit)}
        return fill_amounts(ClaimTables(claims, tables))

    def _frame(self, name: str, visit: Ints, columns: Mapping[str, object]) -> pd.DataFrame:
        """A claim table: given columns as text (a single text for all rows), the rest empty."""
        first = np.r_[True, visit[1:] != visit[:-1]]
        starts = np.flatnonzero(first)
        row = np.arange(len(visit)) - np.repeat(starts, np.diff(np.r_[starts, len(visit)])) + 1
        out: dict[str, object] = {"claim": visit, "row": row}
        given = {"MA_LK": self.ma_lk[visit], "STT": row.astype(str)} | dict(columns)
        index = pd.RangeIndex(len(visit))
        for element in column_names(name):
            value = given.get(element, "")
            out[element] = pd.Series(value, index=index, dtype="str")
        return pd.DataFrame(out, index=index)

    # -- XML1 --------------------------------------------------------------------------------------------------

    def _summary(self) -> dict[str, object]:
        visits, people = self.visits, self.people
        ward = visits["ward"].to_numpy(dtype="U3")
        entrance = np.where(visits["emergency"] & (self.facility.level > 0), "K02", "K01")
        wards = np.where(entrance == ward, ward, np.where(self.inside, _list(entrance, ward), entrance))
        loai = visits["loai"].to_numpy(dtype="U2")
        days = visits["discharge"].to_numpy() // DAY - visits["arrival"].to_numpy() // DAY + 1
        of_drugs = self.what.drugs.groupby("visit")["days"].max().reindex(range(self.size))
        supply = of_drugs.fillna(visits["supply"]).astype("int64").to_numpy()
        counted = np.select([np.isin(loai, ["01", "09"]), loai == "05", loai == "08"], [0, supply, 1], days)
        chronic = visits["age_days"].to_numpy() > 40 * 366
        held = self.rng.integers(1, 12, self.size) * 365
        continuous = text8(np.where(chronic, visits["card_start"].to_numpy() - held, 0))
        waived = visits["waived"].to_numpy()
        waiver = text8(visits["arrival"].to_numpy() // DAY - 12)
        paid_at = visits["discharge"].to_numpy() + self.rng.integers(0, 45, self.size)
        before_merger = self.discharge.astype("U8") < NO_DISTRICTS
        return {
            "STT": (np.arange(self.size) + 1).astype(str),
            "MA_BN": np.char.add(
                self.facility.code[2:], np.char.zfill((self.rng.permutation(self.size) + 1).astype(str), 7)
            ),
            "HO_TEN": people.name,
            "SO_CCCD": people.citizen,
            "NGAY_SINH": self.birth,
            "GIOI_TINH": visits["sex"].astype("str").to_numpy(),
            "NHOM_MAU": np.where(self.setting == "surgical", self.rng.choice(["O", "A", "B", "AB"], self.size), ""),
            "MA_QUOCTICH": "000",
            "MA_DANTOC": people.ethnic,
            "MA_NGHE_NGHIEP": people.occupation,
            "DIA_CHI": people.address,
            "MATINH_CU_TRU": "27",
            "MAHUYEN_CU_TRU": np.where(before_merger, "258", ""),
            "MAXA_CU_TRU": people.commune,
            "DIEN_THOAI": people.phone,
            "MA_THE_BHYT": self.card,
            "MA_DKBD": self.registered,
            "GT_THE_TU": self.card_from,
            "GT_THE_DEN": self.card_to,
            "NGAY_MIEN_CCT": np.where(waived, waiver, ""),
            "LY_DO_VV": self.reason,
            "LY_DO_VNT": np.where(self.inside, self.reason, ""),
            "CHAN_DOAN_VAO": self.diagnosis,
            "CHAN_DOAN_RV": self.diagnosis,
            "MA_BENH_CHINH": self.main,
            "MA_BENH_KT": self.more,
            "MA_DOITUONG_KCB": visits["route"].to_numpy(),
            "MA_NOI_DI": visits["referred_from"].to_numpy(),
            "MA_NOI_DEN": visits["transfer_to"].to_numpy(),
            "MA_TAI_NAN": visits["accident"].to_numpy(),
            "NGAY_VAO": self.arrival,
            "NGAY_VAO_NOI_TRU": self.admitted,
            "NGAY_RA": self.discharge,
            "GIAY_CHUYEN_TUYEN": visits["paper"].to_numpy(),
            "SO_NGAY_DTRI": counted.astype(str),
            "PP_DIEU_TRI": self.treatment,
            "KET_QUA_DTRI": visits["result"].to_numpy(),
            "MA_LOAI_RV": visits["leaving"].to_numpy(),
            "GHI_CHU": f"{NOTE}, tái khám khi có dấu hiệu bất thường",
            "NGAY_TTOAN": np.where(self.rng.random(self.size) < 0.9, text12(paid_at), ""),
            "NAM_QT": self.month[:4],
            "THANG_QT": str(int(self.month[4:])),
            "MA_LOAI_KCB": loai,
            "MA_KHOA": wards,
            "MA_CSKCB": self.facility.code,
            "MA_KHUVUC": people.area,
            "CAN_NANG": people.weight,
            "NAM_NAM_LIEN_TUC": np.where(chronic, continuous, ""),
            "NGAY_TAI_KHAM": self.appointment,
            "MA_HSBA": np.char.add(np.where(self.inside, "BA", "PK"), self.ma_lk),
            "MA_TTDV": self.facility.head,
        }

    # -- XML2, XML3 --------------------------------------------------------------------------------------------

    def _drugs(self) -> dict[str, object]:
        lines, drugs = self.what.drugs, self.lists.drugs
        item = lines["item"].to_numpy()
        visit = lines["visit"].to_numpy()
        own = lines["selfpaid"].to_numpy()
        return {
            "MA_THUOC": _at(drugs["MA_THUOC"], item),
            "MA_NHOM": _at(drugs["MA_NHOM"], item),
            "TEN_THUOC": _at(drugs["TEN_THUOC"], item),
            "DON_VI_TINH": _at(drugs["DON_VI_TINH"], item),
            "HAM_LUONG": _at(drugs["HAM_LUONG"], item),
            "DUONG_DUNG": _at(drugs["MA_DUONG_DUNG"], item),
            "DANG_BAO_CHE": _at(drugs["DANG_BAO_CHE"], item),
            "LIEU_DUNG": self._doses(item, lines["days"].to_numpy()),
            "CACH_DUNG": _at(drugs["CACH_DUNG"], item),
            "SO_DANG_KY": _at(drugs["SO_DANG_KY"], item),
            "TT_THAU": lines["tender"].to_numpy(),
            "PHAM_VI": np.where(own, "2", "1"),
            "TYLE_TT_BH": np.where(own, "0", lines["tyle"].astype("str")),
            "SO_LUONG": money.text(lines["quantity"], money.PRICE_DECIMALS).to_numpy(),
            "DON_GIA": money.text(lines["price"], money.PRICE_DECIMALS).to_numpy(),
            **_other_sources(lines),
            "MA_KHOA": lines["ward"].to_numpy(),
            "MA_BAC_SI": self.facility.doctors[self.doctor[visit]],
            "NGAY_YL": text12(lines["ordered"].to_numpy()),
            "NGAY_TH_YL": text12(lines["done"].to_numpy()),
            "MA_PTTT": self._payment(visit),
            "NGUON_CTRA": np.where(own, "4", "1"),
        }

    def _payment(self, visit: Ints) -> Texts:
        """Commune stations are paid by capitation, but never for cards of army, police and cipher staff."""
        forces = np.isin(self.people.card.astype("U2"), ["QN", "CA", "CY"])[visit]
        return np.where((self.facility.level == 0) & ~forces, "2", "1")

    def _doses(self, item: Ints, days: Ints) -> Texts:
        """Dose texts "1 Viên/lần * 2 lần/ngày * 5 ngày [2 Viên/ngày]", made once for each drug and number of days."""
        keys, place = np.unique(item * 1000 + days, return_inverse=True)
        drugs = self.lists.drugs
        texts = []
        for key in keys.tolist():
            drug, length = divmod(key, 1000)
            row = drugs.iloc[drug]
            daily, times, unit = float(row["per_day"]), int(row["times"]), row["DON_VI_TINH"]
            texts.append(f"{daily / times:.4g} {unit}/lần * {times} lần/ngày * {length} ngày [{daily:.4g} {unit}/ngày]")
        return np.array(texts)[place]

    def _services(self) -> dict[str, object]:
        lines = self.what.services
        visit, item = lines["visit"].to_numpy(), lines["item"].to_numpy()
        kind = lines["kind"].to_numpy(dtype="U8")
        supply = kind == "supply"
        service, supplied = np.where(supply, 0, item), np.where(supply, item, 0)
        services, supplies = self.lists.services, self.lists.supplies
        linked = lines["linked"].to_numpy()
        code = np.where(
            supply,
            np.where(linked >= 0, _at(services["MA_DICH_VU"], np.maximum(linked, 0)), ""),
            _at(services["MA_DICH_VU"], service),
        )
        own = lines["selfpaid"].to_numpy()
        group = np.where(supply, "10", _at(services["MA_NHOM"], service))
        tested = kind == "test"
        finished = lines["finished"].to_numpy()
        doctors = self.facility.doctors
        doctor = doctors[self.doctor[visit]]
        exam = np.flatnonzero(kind == "exam")
        # in turn by time, so that no doctor examines two patients in one minute
        turn = np.argsort(lines["ordered"].to_numpy()[exam], kind="stable")
        doctor[exam[turn]] = doctors[np.arange(len(exam)) % len(doctors)]
        helpers = self.facility.technicians
        performer = np.where(tested, helpers[self.rng.integers(0, len(helpers), len(lines))], doctor)
        second = doctors[(self.doctor[visit] + 1) % len(doctors)]
        performer = np.where(kind == "surgery", _list(doctor, second), performer)
        performer = np.where(supply | (kind == "bed"), "", performer)
        groups = sorted(set(services["machine"]) - {""})
        machine = np.select(
            [_at(services["machine"], service) == name for name in groups],
            [self.facility.machine(name) for name in groups],
            "",
        )
        unit = np.select([supply, kind == "bed"], [_at(supplies["DON_VI_TINH"], supplied), "Ngày"], "Lần")
        bed = self._beds()[visit]
        price = lines["price"].to_numpy()
        return {
            "MA_DICH_VU": code,
            "MA_VAT_TU": np.where(supply, _at(supplies["MA_VAT_TU"], supplied), ""),
            "MA_NHOM": group,
            "TEN_VAT_TU": np.where(supply, _at(supplies["TEN_VAT_TU"], supplied), ""),
            "TEN_DICH_VU": np.where(supply, "", _at(services["TEN"], service)),
            "DON_VI_TINH": unit,
            "PHAM_VI": np.where(own, "2", "1"),
            "SO_LUONG": money.text(lines["quantity"], money.PRICE_DECIMALS).to_numpy(),
            "DON_GIA_BV": money.text(lines["price"] + lines["own_extra"], money.PRICE_DECIMALS).to_numpy(),
            "DON_GIA_BH": money.text(pd.Series(np.where(own, 0, price)), money.PRICE_DECIMALS).to_numpy(),
            "TT_THAU": np.where(supply, _at(supplies["tender"], supplied), ""),
            "TYLE_TT_DV": lines["share"].astype("str").to_numpy(),
            "TYLE_TT_BH": np.where(own, "0", lines["tyle"].astype("str")),
            **_other_sources(lines),
            "MA_KHOA": lines["ward"].to_numpy(),
            "MA_GIUONG": np.where(kind == "bed", bed, ""),
            "MA_BAC_SI": doctor,
            "NGUOI_THUC_HIEN": performer,
            "MA_BENH": self.main[visit],
            "NGAY_YL": text12(lines["ordered"].to_numpy()),
            "NGAY_TH_YL": text12(lines["done"].to_numpy()),
            "NGAY_KQ": np.where(finished >= 0, text12(np.maximum(finished, 0)), ""),
            "MA_PTTT": self._payment(visit),
            "PP_VO_CAM": np.where(kind == "surgery", "1", ""),
            "MA_MAY": np.where(tested | (kind == "surgery"), machine, ""),
            "MA_HIEU_SP": np.where(supply & (price > 1_000_000_000), np.char.add("LOT", self.ma_lk[visit]), ""),
        }

    def _beds(self) -> Texts:
        """A bed for each stay, free from its first to its last minute: nobody shares one."""
        arrival, discharge = (self.visits[name].to_numpy() for name in ("arrival", "discharge"))
        # drawn as before beds were kept apart, so that the rest of a simulation stays what it was
        self.rng.integers(1, 120, len(self.what.services))
        number = np.zeros(self.size, dtype="int64")
        busy: list[tuple[int, int]] = []
        free: list[int] = []
        for at in np.argsort(arrival, kind="stable").tolist():
            if not self.inside[at]:
                continue
            while busy and busy[0][0] < arrival[at]:
                heapq.heappush(free, heapq.heappop(busy)[1])
            number[at] = heapq.heappop(free) if free else len(busy)
            heapq.heappush(busy, (int(discharge[at]), int(number[at])))
        kinds, places = np.divmod(number % (len(_BED_KINDS) * _BEDS), _BEDS)
        return np.char.add(np.array(_BED_KINDS)[kinds], np.char.zfill((places + 1).astype(str), 3))

    # -- XML4, XML5 --------------------------------------------------------------------------------------------

    def _results(self) -> tuple[Ints, dict[str, object]]:
        lines = self.what.services
        lines = lines[lines["kind"] == "test"]
        services = self.lists.services
        place = {name: at for at, name in enumerate(services["id"])}
        indices = data("indices")
        owner = indices["service"].map(place).to_numpy()
        order = np.argsort(owner, kind="stable")
        counts = np.bincount(owner, minlength=len(services))
        starts = np.cumsum(counts) - counts
        item = lines["item"].to_numpy()
        # a picture has one row with a conclusion instead of values
        picture = counts[item] == 0
        rows = np.maximum(counts[item], 1)
        line = np.repeat(np.arange(len(lines)), rows)
        within = numbered(rows)
        of_picture = picture[line]
        index = order[np.minimum(np.where(of_picture, 0, starts[item[line]] + within), len(order) - 1)]
        mean = indices["mean"].astype("float64").to_numpy()[index]
        spread = indices["spread"].astype("float64").to_numpy()[index]
        value = np.maximum(mean + spread * np.clip(self.rng.standard_normal(len(line)), -2.5, 2.5), mean * 0.2)
        decimals = indices["decimals"].astype("int64").to_numpy()[index]
        text = np.empty(len(line), dtype="U12")
        for digits in range(int(decimals.max(initial=0)) + 1):
            mine = decimals == digits
            text[mine] = np.char.mod(f"%.{digits}f", value[mine])
        conclusion = _at(services["conclusion"], item[line])
        service = item[line]
        visit = lines["visit"].to_numpy()[line]
        doctors = self.facility.doctors
        return visit, {
            "MA_DICH_VU": _at(services["MA_DICH_VU"], service),
            "MA_CHI_SO": np.where(of_picture, "", _at(indices["MA_CHI_SO"], index)),
            "TEN_CHI_SO": np.where(of_picture, _at(services["TEN"], service), _at(indices["TEN_CHI_SO"], index)),
            "GIA_TRI": np.where(of_picture, "", text),
            "DON_VI_DO": np.where(of_picture, "", _at(indices["DON_VI_DO"], index)),
            "MO_TA": np.where(of_picture, np.char.add("Mô tả: ", conclusion), ""),
            "KET_LUAN": np.where(of_picture, np.where(conclusion == "", "Âm tính", conclusion), ""),
            "NGAY_KQ": text12(lines["finished"].to_numpy()[line]),
            "MA_BS_DOC_KQ": doctors[self.rng.integers(0, len(doctors), len(line))],
        }

    def _notes(self) -> tuple[Ints, dict[str, object]]:
        loai = self.visits["loai"].to_numpy(dtype="U2")
        arrival, discharge = self.visits["arrival"].to_numpy(), self.visits["discharge"].to_numpy()
        admitted = self.visits["admitted"].to_numpy()
        nights = np.where(loai == "03", discharge // DAY - admitted // DAY, 0)
        number = np.where(loai == "01", 0, nights + 1)
        visit = np.repeat(np.arange(self.size), number)
        day = numbered(number)
        start = np.where(self.inside, admitted, arrival)[visit] + 15
        at = np.where(day == 0, start, (start // DAY + day) * DAY + 450 + self.rng.integers(0, 25, len(visit)))
        at = np.minimum(at, discharge[visit])
        pulse = self.rng.integers(66, 104, len(visit)).astype(str)
        warmth = self.rng.choice(["36.6", "36.8", "37", "37.4", "38"], len(visit))
        pressure = self.rng.choice(["110/70", "120/70", "120/80", "130/80", "140/90"], len(visit))
        words = np.select(
            [day == 0, day < nights[visit]],
            ["Người bệnh tỉnh, tiếp xúc tốt.", "Người bệnh đỡ, ăn uống được, tiếp tục theo dõi."],
            "Người bệnh ổn định, cho ra viện.",
        )
        signs = words
        for piece in (" CSST<M", pulse, "_T", warmth, "_HA", pressure, "_NT18_SP98_HL2>"):
            signs = np.char.add(signs, piece)
        surgery = (self.setting == "surgical")[visit] & (day == 1)
        return visit, {
            "DIEN_BIEN_LS": signs,
            "PHAU_THUAT": np.where(surgery, "Phẫu thuật thuận lợi, hậu phẫu ổn định", ""),
            "THOI_DIEM_DBLS": text12(at),
            "NGUOI_THUC_HIEN": self.facility.doctors[self.doctor[visit]],
        }

    # -- papers ------------------------------------------------------------------------------------------------

    def _discharge_paper(self, visit: Ints) -> dict[str, object]:
        doctor = self.doctor[visit]
        return {
            "SO_LUU_TRU": np.char.add("LT", self.ma_lk[visit]),
            "MA_YTE": np.char.add("YT", self.ma_lk[visit]),
            "MA_KHOA_RV": self.visits["ward"].to_numpy()[visit],
            "NGAY_VAO": self.arrival[visit],
            "NGAY_RA": self.discharge[visit],
            "MA_DINH_CHI_THAI": "0",
            "CHAN_DOAN_RV": self.diagnosis[visit],
            "PP_DIEUTRI": self.treatment[visit],
            "MA_TTDV": self.facility.head,
            "MA_BS": self.facility.doctors[doctor],
            "TEN_BS": self.facility.doctor_names[doctor],
            "NGAY_CT": self.discharge[visit].astype("U8"),
        }

    def _summary_paper(self, visit: Ints) -> dict[str, object]:
        return {
            "MA_LOAI_KCB": self.visits["loai"].to_numpy()[visit],
            "NGAY_VAO": self.arrival[visit],
            "NGAY_RA": self.discharge[visit],
            "CHAN_DOAN_VAO": self.diagnosis[visit],
            "CHAN_DOAN_RV": self.diagnosis[visit],
            "QT_BENHLY": np.char.add("Bệnh diễn biến vài ngày trước khi vào viện: ", self.reason[visit]),
            "TOMTAT_KQ": "Kết quả cận lâm sàng kèm theo hồ sơ",
            "PP_DIEUTRI": self.treatment[visit],
            "KET_QUA_DTRI": self.visits["result"].to_numpy()[visit],
            "MA_TTDV": self.facility.head,
            "NGAY_CT": self.discharge[visit].astype("U8"),
        }

    def _patient(self, visit: Ints) -> dict[str, object]:
        """What the papers XML13 and XML14 repeat of XML1."""
        return {
            "MA_CSKCB": self.facility.code,
            "HO_TEN": self.people.name[visit],
            "NGAY_SINH": self.birth[visit],
            "GIOI_TINH": self.visits["sex"].astype("str").to_numpy()[visit],
            "DIA_CHI": self.people.address[visit],
            "MA_THE_BHYT": self.card[visit],
            "GT_THE_DEN": self.card_to[visit],
            "NGAY_VAO": self.arrival[visit],
            "NGAY_VAO_NOI_TRU": self.admitted[visit],
            "NGAY_RA": self.discharge[visit],
            "CHAN_DOAN_RV": self.diagnosis[visit],
            "MA_BENH_CHINH": self.main[visit],
            "MA_BENH_KT": self.more[visit],
            "MA_BAC_SI": self.facility.doctors[self.doctor[visit]],
            "MA_TTDV": self.facility.head,
        }

    def _transfer(self, visit: Ints) -> dict[str, object]:
        number = np.char.add("CT", self.ma_lk[visit])
        came_from = self.visits["referred_from"].to_numpy(dtype="U5")[visit]
        goes_to = self.visits["transfer_to"].to_numpy(dtype="U5")[visit]
        return self._patient(visit) | {
            "SO_HOSO": number,
            "SO_CHUYENTUYEN": number,
            "GIAY_CHUYEN_TUYEN": number,
            "MA_CSKCB_DI": came_from,
            "MA_CSKCB_DEN": goes_to,
            # names of the same elements in the layout of 4750
            "MA_NOI_DI": came_from,
            "MA_NOI_DEN": goes_to,
            "TEN_DICH_VU": "Khám, xét nghiệm",
            "PP_DIEU_TRI": self.treatment[visit],
            "MA_QUOCTICH": "000",
            "MA_DANTOC": self.people.ethnic[visit],
            "MA_NGHE_NGHIEP": self.people.occupation[visit],
            "DAU_HIEU_LS": self.reason[visit],
            "QT_BENHLY": np.char.add("Bệnh diễn biến nặng hơn: ", self.reason[visit]),
            "TOMTAT_KQ": "Kết quả cận lâm sàng kèm theo",
            "PP_DIEUTRI": self.treatment[visit],
            "TINH_TRANG_CT": "Tỉnh, mạch và huyết áp ổn định",
            "MA_LOAI_RV": "2",
            "MA_LYDO_CT": "1",
            "HUONG_DIEU_TRI": "Chuyển tuyến trên điều trị tiếp",
            "PHUONGTIEN_VC": "Xe cứu thương",
        }

    def _invitation(self, visit: Ints) -> dict[str, object]:
        return self._patient(visit) | {
            "SO_GIAYHEN_KL": np.char.add("HK", self.ma_lk[visit]),
            "NGAY_HEN_KL": self.appointment[visit],
            "MA_DOITUONG_KCB": self.visits["route"].to_numpy()[visit],
            "NGAY_CT": self.discharge[visit].astype("U8"),
        }


def _list(left: Texts, right: Texts) -> Texts:
    return np.char.add(np.char.add(left.astype(str), ";"), right.astype(str))


def _other_sources(lines: pd.DataFrame) -> dict[str, object]:
    other = lines["other"].to_numpy()
    return {
        f"T_NGUONKHAC_{name}": money.text(
            pd.Series(np.where(lines["source"] == name, other, 0)), money.AMOUNT_DECIMALS
        ).to_numpy()
        for name in ("NSNN", "VTNN", "VTTN", "CL")
    }
