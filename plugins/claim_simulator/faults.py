"""Faults planted in good claims, each with every finding that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from claim_rules import benefit, money
from claim_rules.benefit import fill_amounts
from claim_rules.frames import ClaimTables
from claim_rules.lines import build
from claim_simulator.catalogue import EXPIRED, NEW_DRUG_PRICES, NEW_SERVICE_PRICES, Catalogue
from claim_simulator.deliveries import BAD_BASE64, COMPUTED, TWICE, Damage
from claim_simulator.facilities import COLUMNS, XML, Facility
from claim_simulator.moments import day_of_text, text8, text12

Mask = npt.NDArray[np.bool_]
Truth = tuple[str, int | None, str]
"""(table, line or None for a finding of the claim, rule)."""

ON_PAPER = ("QN", "HC", "LS", "XK", "CY", "CA")
"""Card groups that the register need not know."""
LONG = "đơn vị tính không có trong danh mục dùng chung của cơ sở này"
TRUTH_COLUMNS = ["MA_CSKCB", "MA_LK", "table", "line", "rule"]


@dataclass
class Planted:
    """A facility's claims with their faults.

    damage, copies: see deliveries; faulty: claims with a fault; truth: frame of TRUTH_COLUMNS; counts: planted faults
    by rule; unknown, ends: what the card register must not know, or know otherwise (see reference.card_register).
    """

    tables: ClaimTables
    damage: Damage = field(default_factory=dict)
    copies: set[int] = field(default_factory=set)
    faulty: set[int] = field(default_factory=set)
    truth: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=TRUTH_COLUMNS))
    counts: dict[str, int] = field(default_factory=dict)
    unknown: set[int] = field(default_factory=set)
    ends: dict[int, int] = field(default_factory=dict)


class Claim:
    """One claim whose cells can be changed; rows count from 0, the number of a row in a report is one more."""

    def __init__(self, claim: int, sheets: _Sheets, lists: Catalogue, rng: np.random.Generator) -> None:
        self.number = claim
        self.lists = lists
        self.rng = rng
        self._sheets = sheets
        self.damage: tuple[str, str] | None = None
        self.unknown_card = False
        self.card_end: int | None = None
        self.decision: str | None = None

    def rows(self, table: str) -> range:
        """Rows of a table."""
        return range(self._sheets.count(table, self.number))

    def get(self, table: str, name: str, row: int = 0) -> str:
        return str(self._sheets.column(table, name)[self._sheets.start(table, self.number) + row])

    def put(self, table: str, name: str, value: str, row: int = 0) -> None:
        self._sheets.column(table, name)[self._sheets.start(table, self.number) + row] = value

    def amount(self, table: str, name: str, row: int = 0) -> int:
        """An amount in 1/100 đồng."""
        return int(Decimal(self.get(table, name, row)) * 100)

    def put_amount(self, table: str, name: str, value: int, row: int = 0) -> None:
        self.put(table, name, money.amount_text(value), row)

    def add(self, table: str, name: str, more: int, row: int = 0) -> None:
        self.put_amount(table, name, self.amount(table, name, row) + more, row)

    def lines(self) -> Iterator[tuple[str, int]]:
        """All rows of XML2 and XML3."""
        for table in ("XML2", "XML3"):
            for row in self.rows(table):
                yield table, row

    def pick(self, rows: list[Any]) -> Any:
        return rows[int(self.rng.integers(0, len(rows)))]

    def some(self, low: int, high: int) -> int:
        """A random amount in whole thousands of đồng, in 1/100 đồng."""
        return int(self.rng.integers(low, high)) * 100_000

    def blank_computed(self) -> None:
        """Empties every computed cell, so that the benefit law fills it anew."""
        for table, names in COMPUTED.items():
            for row in self.rows(table):
                for name in names:
                    self.put(table, name, "", row)

    @property
    def tolerance(self) -> int:
        """Tolerance of the claim's totals, 1/100 đồng."""
        return 100 * len(list(self.lines()))

    @property
    def other_money(self) -> bool:
        return any(self.amount(table, "T_NGUONKHAC", row) for table, row in self.lines())

    def everywhere(self, name: str, value: str) -> None:
        """Sets an element of XML1 and its copies in the papers."""
        for table in ("XML1", "XML13", "XML14"):
            if len(self.rows(table)) and self._sheets.has(table, name):
                self.put(table, name, value)


class _Sheets:
    """Claim tables as arrays of Python texts: single cells can be changed."""

    def __init__(self, tables: ClaimTables) -> None:
        self._tables = tables
        self._claims = {name: frame["claim"].to_numpy() for name, frame in tables.items()}
        self._columns: dict[tuple[str, str], np.ndarray] = {}

    def has(self, table: str, name: str) -> bool:
        return table in self._tables and name in self._tables[table].columns

    def start(self, table: str, claim: int) -> int:
        return int(np.searchsorted(self._claims[table], claim))

    def count(self, table: str, claim: int) -> int:
        if table not in self._claims:
            return 0
        return int(np.searchsorted(self._claims[table], claim, side="right")) - self.start(table, claim)

    def column(self, table: str, name: str) -> np.ndarray:
        key = (table, name)
        if key not in self._columns:
            self._columns[key] = self._tables[table][name].to_numpy(dtype="object", copy=True)
        return self._columns[key]

    def tables(self) -> ClaimTables:
        frames = {name: frame.copy() for name, frame in self._tables.items()}
        for (table, name), values in self._columns.items():
            frames[table][name] = pd.Series(values, index=frames[table].index, dtype="str")
        return ClaimTables(self._tables.claims.copy(), frames, self._tables.unknown)


@dataclass(frozen=True)
class Fault:
    """How one rule's fault is planted.

    possible: which claims of the facts it fits. plant: changes the claim, returns the findings. refill: computed cells
    are emptied before and filled after. xml_only, needs_amounts: deliveries that can carry it.
    """

    possible: Callable[[pd.DataFrame], pd.Series]
    plant: Callable[[Claim], list[Truth]]
    refill: bool = False
    xml_only: bool = False
    needs_amounts: bool = False


# -- facts ---------------------------------------------------------------------------------------------------------


def facts(tables: ClaimTables) -> pd.DataFrame:
    """What the choice of faults needs to know of each claim (index: its position)."""
    claims = build(tables)
    visits, lines = claims.visits, claims.lines
    expected = benefit.expected_rates(claims)
    held = benefit.cards(visits)

    def count(where: pd.Series) -> pd.Series:
        return where.groupby(lines["claim"]).sum().reindex(visits.index, fill_value=0)

    out = pd.DataFrame(index=visits.index)
    drug, service = lines["table"] == "XML2", (lines["table"] == "XML3") & (lines["MA_VAT_TU"] == "")
    paid, alone = lines["T_BHTT"] > 0, lines["T_NGUONKHAC"] == 0
    tested = service & lines["MA_NHOM"].isin(["1", "2", "3"])
    unpaid = lines["THANH_TIEN_BV"] - lines["THANH_TIEN_BH"]
    part = (lines["PHAM_VI"] == "1") & paid & alone & (unpaid >= 100_000)
    out["drugs"] = count(drug & alone)
    out["services"] = count((lines["table"] == "XML3") & alone)
    out["paid_drugs"], out["paid_services"] = count(drug & paid), count(service & paid)
    out["paid_tests"] = count(tested & paid)
    out["part_drugs"], out["part_services"] = count(drug & part), count((lines["table"] == "XML3") & part)
    out["surgery"] = count(service & (lines["MA_NHOM"] == "8"))
    out["rows"] = visits["lines"]
    for name in ("T_BHTT", "T_BNCCT"):
        out[name] = claims.sums(name)
    out["small"] = expected.small
    rate = expected.rate.fillna(0).astype("int64").groupby(lines["claim"])
    out["rate"], out["one_rate"] = rate.max(), rate.max() == rate.min()
    out["least_rate"] = rate.min()
    route = benefit.route_factors(visits)
    out["plain_route"] = (route["factor"].fillna(0) == 100) & ~route["full"]
    out["card_rate"] = held.groupby("claim")["rate"].max().reindex(visits.index).fillna(0).astype("int64")
    out["single_card"] = ~visits["MA_THE_BHYT"].str.contains(";", regex=False)
    out["registered_card"] = out["single_card"] & ~visits["MA_THE_BHYT"].str.startswith(ON_PAPER)
    out["waived"] = visits["NGAY_MIEN_CCT"] != ""
    out["inpatient"] = visits["inpatient"]
    out["loai"] = visits["MA_LOAI_KCB"]
    out["child_card"] = visits["MA_THE_BHYT"].str.startswith("TE")
    for name in ("XML4", "XML5", "XML7", "XML13", "XML14"):
        has = set(tables[name]["claim"]) if name in tables else set()
        out[name] = out.index.isin(has)
    return out


def _any(known: pd.DataFrame) -> pd.Series:
    return pd.Series(True, index=known.index)


# -- structure -----------------------------------------------------------------------------------------------------


def _bad_base64(claim: Claim) -> list[Truth]:
    table = claim.pick([name for name in ("XML1", "XML2", "XML3") if len(claim.rows(name))])
    claim.damage = (BAD_BASE64, table)
    return [(table, None, "STR-002")]


def _table_twice(claim: Claim) -> list[Truth]:
    table = claim.pick([name for name in ("XML2", "XML3", "XML5", "XML7") if len(claim.rows(name))])
    claim.damage = (TWICE, table)
    return [(table, None, "STR-004")]


def _other_key(claim: Claim) -> list[Truth]:
    table, row = claim.pick(list(claim.lines()))
    claim.put(table, "MA_LK", claim.get("XML1", "MA_LK") + "X", row)
    return [(table, row + 1, "STR-005")]


def _empty_mandatory(claim: Claim) -> list[Truth]:
    claim.put("XML1", claim.pick(["LY_DO_VV", "CHAN_DOAN_VAO", "MA_HSBA", "DIA_CHI", "MA_BN"]), "")
    return [("XML1", None, "STR-006")]


def _no_card(claim: Claim) -> list[Truth]:
    for name in ("MA_THE_BHYT", "MA_DKBD", "GT_THE_TU", "GT_THE_DEN"):
        claim.put("XML1", name, "")
    return [("XML1", None, "STR-007")]


def _uneven_lists(claim: Claim) -> list[Truth]:
    name = claim.pick(["MA_DKBD", "GT_THE_DEN"])
    claim.put("XML1", name, f"{claim.get('XML1', name)};{claim.get('XML1', name)}")
    return [("XML1", None, "STR-008")]


def _impossible_date(claim: Claim) -> list[Truth]:
    places = [("XML1", "NGAY_SINH", 0), ("XML1", "NGAY_TTOAN", 0)]
    for table in ("XML2", "XML3"):
        if claim.rows(table):
            places.append((table, "NGAY_TH_YL", claim.pick(list(claim.rows(table)))))
    table, name, row = claim.pick(places)
    value = claim.get(table, name, row) or claim.get("XML1", "NGAY_RA")
    wrong = claim.pick([f"{value[:4]}0231{value[8:]}", f"{value[:4]}13{value[6:]}"])
    claim.put(table, name, wrong, row)
    return [(table, None if table == "XML1" else row + 1, "STR-012")]


def _comma(claim: Claim) -> list[Truth]:
    places = [("XML1", "T_BHTT", 0), ("XML1", "T_TONGCHI_BV", 0)]
    for table, name in (("XML2", "DON_GIA"), ("XML3", "DON_GIA_BV"), ("XML3", "THANH_TIEN_BH"), ("XML2", "SO_LUONG")):
        if claim.rows(table):
            places.append((table, name, claim.pick(list(claim.rows(table)))))
    table, name, row = claim.pick(places)
    claim.put(table, name, claim.get(table, name, row).replace(".", ","), row)
    return [(table, None if table == "XML1" else row + 1, "STR-013")]


def _other_facility(claim: Claim) -> list[Truth]:
    claim.put("XML1", "MA_CSKCB", "27802")
    return [("XML1", None, "STR-015")]


# -- dictionary ----------------------------------------------------------------------------------------------------


def _empty_field(claim: Claim) -> list[Truth]:
    names = {
        "XML1": "CAN_NANG",
        "XML2": "HAM_LUONG",
        "XML3": "MA_BENH",
        "XML4": "TEN_CHI_SO",
        "XML5": "NGUOI_THUC_HIEN",
    }
    table = claim.pick([table for table in names if claim.rows(table)])
    row = claim.pick(list(claim.rows(table)))
    claim.put(table, names[table], "", row)
    return [(table, None if table == "XML1" else row + 1, "DICT-001")]


def _too_long(claim: Claim) -> list[Truth]:
    names = {"XML2": "DON_VI_TINH", "XML3": "DON_VI_TINH", "XML4": "DON_VI_DO"}
    table = claim.pick([table for table in names if claim.rows(table)])
    row = claim.pick(list(claim.rows(table)))
    claim.put(table, names[table], LONG, row)
    return [(table, row + 1, "DICT-002")]


def _not_integer(claim: Claim) -> list[Truth]:
    if claim.rng.random() < 0.5:
        claim.put("XML1", "SO_NGAY_DTRI", "ba")
    else:
        claim.put("XML1", "NAM_QT", claim.get("XML1", "NAM_QT").replace("0", "O"))
    return [("XML1", None, "DICT-003")]


def _not_in_list(claim: Claim) -> list[Truth]:
    places: list[tuple[str, str, int]] = [("XML1", name, 0) for name in ("KET_QUA_DTRI", "MA_TAI_NAN", "GIOI_TINH")]
    if claim.rows("XML2"):
        places.append(("XML2", "NGUON_CTRA", claim.pick(list(claim.rows("XML2")))))
    places += [("XML3", "PP_VO_CAM", row) for row in claim.rows("XML3") if claim.get("XML3", "PP_VO_CAM", row)]
    table, name, row = claim.pick(places)
    claim.put(table, name, "9", row)
    return [(table, None if table == "XML1" else row + 1, "DICT-004")]


def _old_layout(claim: Claim) -> list[Truth]:
    claim.decision = "4750"
    return [("XML1", None, "DICT-005")]


# -- card and benefit ----------------------------------------------------------------------------------------------


def _letter_in_card(claim: Claim) -> list[Truth]:
    card = claim.get("XML1", "MA_THE_BHYT")
    claim.everywhere("MA_THE_BHYT", card[:5] + "O" + card[6:])
    # what no register can hold is not found in it either
    return [("XML1", None, "CARD-001"), ("XML1", None, "CARD-002")]


def _unknown_card(claim: Claim) -> list[Truth]:
    claim.unknown_card = True
    return [("XML1", None, "CARD-002")]


def _expired_card(claim: Claim) -> list[Truth]:
    claim.card_end = day_of_text(claim.get("XML1", "NGAY_VAO")[:8]) - int(claim.rng.integers(1, 30))
    claim.everywhere("GT_THE_DEN", str(text8(np.array([claim.card_end]))[0]))
    return [("XML1", None, "CARD-008")]


def _rate_too_high(claim: Claim) -> list[Truth]:
    rate = max(float(claim.get(table, "MUC_HUONG", row) or 0) for table, row in claim.lines())
    higher = claim.pick([value for value in (80, 95, 100) if value > rate])
    claim.blank_computed()
    for table, row in claim.lines():
        claim.put(table, "MUC_HUONG", str(higher), row)
    return [(table, row + 1, "BEN-001") for table, row in claim.lines()]


def _needless_co_payment(claim: Claim) -> list[Truth]:
    card_rate = {"3": "95", "4": "80"}[claim.get("XML1", "MA_THE_BHYT")[2]]
    claim.blank_computed()
    for table, row in claim.lines():
        claim.put(table, "MUC_HUONG", card_rate, row)
    return [("XML1", None, "BEN-005")]


def _recoded(claim: Claim, code: str, rule: str) -> list[Truth]:
    claim.everywhere("MA_DOITUONG_KCB", code)
    return [("XML1", None, rule), *((table, row + 1, "BEN-001") for table, row in claim.lines())]


def _central_outpatient(claim: Claim) -> list[Truth]:
    return _recoded(claim, "3.1", "BEN-011")


def _not_insured(claim: Claim) -> list[Truth]:
    return _recoded(claim, "9", "BEN-021")


# -- arithmetic ----------------------------------------------------------------------------------------------------


def _wrong_hospital_amount(table: str, rule: str) -> Callable[[Claim], list[Truth]]:
    def plant(claim: Claim) -> list[Truth]:
        row = claim.pick([row for row in claim.rows(table) if not claim.amount(table, "T_NGUONKHAC", row)])
        wrong = claim.amount(table, "THANH_TIEN_BV", row) + claim.some(1, 60)
        claim.blank_computed()
        claim.put_amount(table, "THANH_TIEN_BV", wrong, row)
        return [(table, row + 1, rule)]

    return plant


def _wrong_scope_amount(table: str, rule: str) -> Callable[[Claim], list[Truth]]:
    def plant(claim: Claim) -> list[Truth]:
        rows = []
        for row in claim.rows(table):
            unpaid = claim.amount(table, "THANH_TIEN_BV", row) - claim.amount(table, "THANH_TIEN_BH", row)
            paid = claim.amount(table, "T_BHTT", row) > 0 and not claim.amount(table, "T_NGUONKHAC", row)
            if claim.get(table, "PHAM_VI", row) == "1" and paid and unpaid >= 100_000:
                rows.append((row, claim.amount(table, "THANH_TIEN_BH", row), unpaid))
        row, right, unpaid = claim.pick(rows)
        claim.blank_computed()
        claim.put_amount(table, "THANH_TIEN_BH", right + claim.pick([unpaid, unpaid // 2]), row)
        return [(table, row + 1, rule)]

    return plant


def _unbalanced_line(claim: Claim) -> list[Truth]:
    table, row = claim.pick(list(claim.lines()))
    if claim.tolerance >= 300 and claim.rng.random() < 0.5:
        # above the tolerance of a line, within that of the claim
        claim.add(table, "T_BNTT", 150, row)
        return [(table, row + 1, "SUM-005")]
    more = claim.tolerance + claim.some(1, 40)
    claim.add(table, "T_BNTT", more, row)
    claim.add("XML1", "T_BNTT", more)
    return [(table, row + 1, "SUM-005"), ("XML1", None, "SUM-017")]


def _header(claim: Claim, name: str, more: int, *rules: str) -> list[Truth]:
    claim.add("XML1", name, more)
    return [("XML1", None, rule) for rule in rules]


def _beyond(claim: Claim) -> int:
    return claim.tolerance + claim.some(1, 90)


def _formula(claim: Claim) -> tuple[str, ...]:
    """SUM-015 also holds T_BHTT against T_TONGCHI_BH − T_BNCCT, unless other sources paid."""
    return () if claim.other_money else ("SUM-015",)


def _total_hospital(claim: Claim) -> list[Truth]:
    return _header(claim, "T_TONGCHI_BV", _beyond(claim), "SUM-011", "SUM-017")


def _total_scope(claim: Claim) -> list[Truth]:
    less = claim.tolerance + (claim.amount("XML1", "T_BNCCT") - claim.tolerance) // 2
    return _header(claim, "T_TONGCHI_BH", -less, "SUM-012", *_formula(claim))


def _total_self(claim: Claim) -> list[Truth]:
    return _header(claim, "T_BNTT", _beyond(claim), "SUM-013", "SUM-017")


def _total_co_payment(claim: Claim) -> list[Truth]:
    return _header(claim, "T_BNCCT", _beyond(claim), "SUM-014", "SUM-017", *_formula(claim))


def _total_fund(claim: Claim) -> list[Truth]:
    up, down = claim.amount("XML1", "T_BNCCT") // 2, claim.amount("XML1", "T_BHTT") // 2
    more = claim.pick([value for value in (up, -down) if abs(value) > claim.tolerance])
    return _header(claim, "T_BHTT", more, "SUM-015", "SUM-017")


def _total_other(claim: Claim) -> list[Truth]:
    return _header(claim, "T_NGUONKHAC", _beyond(claim), "SUM-016", "SUM-017")


def _balance_alone(claim: Claim) -> list[Truth]:
    # each total is within its tolerance of the lines, together they are not
    step = claim.tolerance * 3 // 4
    claim.add("XML1", "T_TONGCHI_BV", -step)
    claim.add("XML1", "T_BNTT", step)
    return [("XML1", None, "SUM-017")]


# -- catalogue, price, time, diagnosis -----------------------------------------------------------------------------


def _unlisted_drug(claim: Claim) -> list[Truth]:
    row = claim.pick([row for row in claim.rows("XML2") if claim.amount("XML2", "T_BHTT", row) > 0])
    ended = claim.lists.drugs.loc[claim.lists.drugs["id"].isin(EXPIRED), "MA_THUOC"].tolist()
    claim.put("XML2", "MA_THUOC", claim.pick(["40.8888", *ended]), row)
    return [("XML2", row + 1, "CAT-001")]


def _is_paid_service(claim: Claim, row: int, groups: tuple[str, ...] = ()) -> bool:
    right_group = not groups or claim.get("XML3", "MA_NHOM", row) in groups
    return right_group and not claim.get("XML3", "MA_VAT_TU", row) and claim.amount("XML3", "T_BHTT", row) > 0


def _unlisted_service(claim: Claim) -> list[Truth]:
    row = claim.pick([row for row in claim.rows("XML3") if _is_paid_service(claim, row, ("1", "2", "3"))])
    code, wrong = claim.get("XML3", "MA_DICH_VU", row), f"22.9{int(claim.rng.integers(100, 999))}.1399"
    claim.put("XML3", "MA_DICH_VU", wrong, row)
    if not any(claim.get("XML3", "MA_DICH_VU", other) == code for other in claim.rows("XML3")):
        for result in claim.rows("XML4"):
            if claim.get("XML4", "MA_DICH_VU", result) == code:
                claim.put("XML4", "MA_DICH_VU", wrong, result)
    return [("XML3", row + 1, "CAT-012")]


def _price_text(price: int) -> str:
    return f"{price // 1000}.{price % 1000:03d}"


def _dear_drug(claim: Claim) -> list[Truth]:
    row = claim.pick([row for row in claim.rows("XML2") if claim.amount("XML2", "T_BHTT", row) > 0])
    same = claim.lists.drugs[claim.lists.drugs["MA_THUOC"] == claim.get("XML2", "MA_THUOC", row)]
    dearest = int(same[["old_price", "new_price"]].to_numpy().max())
    claim.blank_computed()
    claim.put("XML2", "DON_GIA", _price_text(dearest * int(claim.rng.integers(108, 150)) // 100 + 2), row)
    return [("XML2", row + 1, "PRICE-001")]


def _dear_service(claim: Claim) -> list[Truth]:
    row = claim.pick([row for row in claim.rows("XML3") if _is_paid_service(claim, row)])
    same = claim.lists.services[claim.lists.services["MA_DICH_VU"] == claim.get("XML3", "MA_DICH_VU", row)]
    dearest = int(same[["old_price", "new_price"]].to_numpy().max())
    price = dearest * int(claim.rng.integers(105, 130)) // 100_000 * 1000
    own = int(Decimal(claim.get("XML3", "DON_GIA_BV", row)) * 1000)
    claim.blank_computed()
    claim.put("XML3", "DON_GIA_BH", _price_text(price), row)
    claim.put("XML3", "DON_GIA_BV", _price_text(max(own, price)), row)
    return [("XML3", row + 1, "PRICE-003")]


def _moment(text: str) -> int:
    return day_of_text(text[:8]) * 1440 + int(text[8:10]) * 60 + int(text[10:12])


def _moment_text(minutes: int) -> str:
    return str(text12(np.array([minutes]))[0])


def _leaves_before(claim: Claim) -> list[Truth]:
    arrival = _moment(claim.get("XML1", "NGAY_VAO"))
    discharge = _moment_text(arrival - int(claim.pick([0, 45, 90])))
    claim.everywhere("NGAY_RA", discharge)
    late = [row for row in claim.rows("XML3") if claim.get("XML3", "NGAY_YL", row) > discharge]
    return [("XML1", None, "TIME-001"), *(("XML3", row + 1, "TIME-002") for row in late)]


def _same_prices(first: int, second: int) -> bool:
    """Whether no price changes between two days."""
    changes = [day_of_text(NEW_DRUG_PRICES), day_of_text(NEW_SERVICE_PRICES)]
    return not any(min(first, second) < day <= max(first, second) for day in changes)


def _outside_visit(claim: Claim) -> list[Truth]:
    table, row = claim.pick(list(claim.lines()))
    arrival, discharge = _moment(claim.get("XML1", "NGAY_VAO")), _moment(claim.get("XML1", "NGAY_RA"))
    order = _moment(claim.get(table, "NGAY_YL", row))
    early, late = (arrival - 1440, discharge + 1440) if table == "XML2" else (arrival - 35, discharge + 40)
    # prices change on some days: the order must stay on the same side of them
    possible = [moment for moment in (early, late) if _same_prices(order // 1440, moment // 1440)]
    moment = _moment_text(claim.pick(possible))
    claim.put(table, "NGAY_YL", moment, row)
    claim.put(table, "NGAY_TH_YL", moment, row)
    return [(table, row + 1, "TIME-002")]


def _not_a_code(claim: Claim) -> list[Truth]:
    wrong = claim.pick(["J18.99", "X99.9", "E11.Z"])
    if claim.rng.random() < 0.5:
        claim.everywhere("MA_BENH_CHINH", wrong)
    else:
        claim.everywhere("MA_BENH_KT", ";".join(filter(None, [claim.get("XML1", "MA_BENH_KT"), wrong])))
    return [("XML1", None, "CLIN-001")]


def _co_paying(known: pd.DataFrame) -> pd.Series:
    return (known["rate"] < 10_000) & known["one_rate"] & ~known["small"] & (known["T_BNCCT"] >= 2_000_000)


FAULTS: dict[str, Fault] = {
    "STR-002": Fault(_any, _bad_base64, xml_only=True),
    "STR-004": Fault(_any, _table_twice, xml_only=True),
    "STR-005": Fault(_any, _other_key, xml_only=True),
    "STR-006": Fault(_any, _empty_mandatory),
    "STR-007": Fault(lambda known: known["T_BHTT"] > 0, _no_card, needs_amounts=True),
    "STR-008": Fault(_any, _uneven_lists),
    "STR-012": Fault(_any, _impossible_date),
    "STR-013": Fault(_any, _comma, needs_amounts=True),
    "STR-015": Fault(_any, _other_facility),
    "DICT-001": Fault(_any, _empty_field),
    "DICT-002": Fault(_any, _too_long),
    "DICT-003": Fault(_any, _not_integer),
    "DICT-004": Fault(_any, _not_in_list),
    "DICT-005": Fault(lambda known: known["XML13"] & ~known["XML14"], _old_layout, xml_only=True),
    "CARD-001": Fault(lambda known: known["registered_card"], _letter_in_card),
    "CARD-002": Fault(lambda known: known["registered_card"], _unknown_card),
    "CARD-008": Fault(lambda known: known["registered_card"] & ~known["child_card"], _expired_card),
    "BEN-001": Fault(
        lambda known: (known["rate"] < 10_000) & (known["least_rate"] > 0) & known["one_rate"] & ~known["small"],
        _rate_too_high,
        refill=True,
        needs_amounts=True,
    ),
    "BEN-005": Fault(
        lambda known: (
            known["small"]
            & known["plain_route"]
            & known["card_rate"].between(1, 9_999)
            & known["single_card"]
            & ~known["waived"]
            & (known["T_BHTT"] >= 5_000_000)
        ),
        _needless_co_payment,
        refill=True,
        needs_amounts=True,
    ),
    "BEN-011": Fault(
        lambda known: ~known["inpatient"] & (known["T_BHTT"] > 0) & (known["least_rate"] > 0),
        _central_outpatient,
        needs_amounts=True,
    ),
    "BEN-021": Fault(lambda known: (known["T_BHTT"] > 0) & (known["least_rate"] > 0), _not_insured, needs_amounts=True),
    "SUM-001": Fault(
        lambda known: known["drugs"] > 0, _wrong_hospital_amount("XML2", "SUM-001"), refill=True, needs_amounts=True
    ),
    "SUM-002": Fault(
        lambda known: (known["part_drugs"] > 0) & ~known["small"],
        _wrong_scope_amount("XML2", "SUM-002"),
        refill=True,
        needs_amounts=True,
    ),
    "SUM-003": Fault(
        lambda known: known["services"] > 0, _wrong_hospital_amount("XML3", "SUM-003"), refill=True, needs_amounts=True
    ),
    "SUM-004": Fault(
        lambda known: (known["part_services"] > 0) & ~known["small"],
        _wrong_scope_amount("XML3", "SUM-004"),
        refill=True,
        needs_amounts=True,
    ),
    "SUM-005": Fault(_any, _unbalanced_line, needs_amounts=True),
    "SUM-011": Fault(_any, _total_hospital, needs_amounts=True),
    "SUM-012": Fault(_co_paying, _total_scope, needs_amounts=True),
    "SUM-013": Fault(_any, _total_self, needs_amounts=True),
    "SUM-014": Fault(_co_paying, _total_co_payment, needs_amounts=True),
    "SUM-015": Fault(lambda known: known["T_BHTT"] >= 2_000_000, _total_fund, needs_amounts=True),
    "SUM-016": Fault(_any, _total_other, needs_amounts=True),
    "SUM-017": Fault(_any, _balance_alone, needs_amounts=True),
    "CAT-001": Fault(lambda known: known["paid_drugs"] > 0, _unlisted_drug),
    "CAT-012": Fault(lambda known: known["paid_tests"] > 0, _unlisted_service),
    "PRICE-001": Fault(lambda known: known["paid_drugs"] > 0, _dear_drug, refill=True),
    "PRICE-003": Fault(lambda known: known["paid_services"] > 0, _dear_service, refill=True),
    "TIME-001": Fault(
        lambda known: (known["loai"] == "01") & ~known["XML13"] & ~known["XML14"] & (known["services"] > 0),
        _leaves_before,
    ),
    "TIME-002": Fault(_any, _outside_visit),
    "CLIN-001": Fault(_any, _not_a_code),
}
REPEATED = "DUP-001"
RULES = (*FAULTS, REPEATED)
"""Rules whose faults are planted, each for itself."""


# -- planting ------------------------------------------------------------------------------------------------------


class Plan:
    """How many faults of each rule are still to be planted, over all facilities."""

    def __init__(self, houses: list[Facility], claims: int, fault_rate: float, rng: np.random.Generator) -> None:
        total = round(len(houses) * claims * fault_rate)
        self._houses = houses
        self._rng = rng
        self._left = dict.fromkeys(RULES, total // len(RULES))
        for rule in rng.permutation(RULES)[: total % len(RULES)].tolist():
            self._left[rule] += 1

    def share(self, house: Facility) -> dict[str, int]:
        """Faults that a facility takes now: an equal share among those left that can carry them, rounded by chance."""
        later = self._houses[house.position :]
        out: dict[str, int] = {}
        for rule, left in self._left.items():
            able = sum(carries(other, rule) for other in later)
            luck = self._rng.random()
            if left and carries(house, rule):
                out[rule] = int(left / able + luck) if able > 1 else left
        return {rule: count for rule, count in out.items() if count}

    def done(self, counts: dict[str, int]) -> None:
        """What a facility has planted."""
        for rule, count in counts.items():
            self._left[rule] -= count


def carries(house: Facility, rule: str) -> bool:
    """Whether the facility's form of delivery can carry a rule's fault."""
    fault = FAULTS.get(rule)
    if fault is None:
        return True
    return not (fault.xml_only and house.form != XML) and not (fault.needs_amounts and house.leaves_out == COLUMNS)


def plant(
    house: Facility,
    lists: Catalogue,
    tables: ClaimTables,
    parts: list[range],
    share: dict[str, int],
    rng: np.random.Generator,
) -> Planted:
    """Plants faults in the claims of a facility, at most one in each.

    parts: the claims of each delivery. share: number of faults of each rule; fewer are planted where too few claims
    fit.
    """
    out = Planted(tables)
    if not share:
        return out
    size = len(tables.claims)
    pool = np.sort(rng.permutation(size)[: 300 + 4 * sum(share.values())])
    known = facts(tables.only(set(pool.tolist())))
    chosen, twins = _choose(known, share, parts, rng)
    sub = tables.only(set(chosen))
    sheets = _Sheets(sub)
    truth: list[tuple[str, str, str, int | None, str]] = []
    refill: set[int] = set()
    for number in sorted(chosen):
        rule = chosen[number]
        claim = Claim(number, sheets, lists, rng)
        ma_lk = claim.get("XML1", "MA_LK")
        found = [("XML1", None, REPEATED)] if rule == REPEATED else FAULTS[rule].plant(claim)
        truth += [(house.code, ma_lk, *row) for row in found]
        out.counts[rule] = out.counts.get(rule, 0) + 1
        if rule != REPEATED and FAULTS[rule].refill:
            refill.add(number)
        if claim.damage:
            out.damage[number] = claim.damage
        if claim.unknown_card:
            out.unknown.add(number)
        if claim.card_end is not None:
            out.ends[number] = claim.card_end
        if claim.decision:
            sub.claims.loc[sub.claims["claim"] == number, "decision"] = claim.decision
    changed = sheets.tables()
    if refill:
        changed = _joined([changed.only(set(chosen) - refill), fill_amounts(changed.only(refill))])
    out.tables = _joined([tables.only(set(range(size)) - set(chosen) - set(twins)), changed])
    if twins:
        out.tables = _joined([out.tables, _copied(out.tables, twins)])
    out.copies = set(twins)
    out.faulty = set(chosen) | out.copies
    out.truth = pd.DataFrame(truth, columns=TRUTH_COLUMNS)
    out.truth["line"] = out.truth["line"].astype("Int64")
    return out


def _choose(
    known: pd.DataFrame, share: dict[str, int], parts: list[range], rng: np.random.Generator
) -> tuple[dict[int, str], dict[int, int]]:
    """Claim -> rule, and for repeated claims the claim whose place the copy takes -> the claim copied."""
    free = known.index.to_series()
    chosen: dict[int, str] = {}
    twins: dict[int, int] = {}
    fits = {rule: FAULTS[rule].possible(known) for rule in share if rule != REPEATED}
    order = sorted(fits, key=lambda rule: (int(fits[rule].sum()), rule))
    for rule in order:
        fitting = [number for number in free[fits[rule].to_numpy()].tolist() if number not in chosen]
        for number in rng.permutation(np.array(fitting, dtype="int64"))[: share[rule]].tolist():
            chosen[number] = rule
    for _ in range(share.get(REPEATED, 0)):
        taken = set(chosen) | set(twins)
        open_claims = [number for number in free.tolist() if number not in taken]
        inside = [[number for number in open_claims if number in part] for part in parts]
        inside = [numbers for numbers in inside if len(numbers) > 1]
        if not inside:
            break
        numbers = inside[int(rng.integers(0, len(inside)))]
        first, second = sorted(rng.choice(numbers, 2, replace=False).tolist())
        chosen[first] = REPEATED
        twins[second] = first
    return chosen, twins


def _joined(parts: list[ClaimTables]) -> ClaimTables:
    """Claims of several sets of tables, in order of position."""
    claims = pd.concat([part.claims for part in parts], ignore_index=True).sort_values("claim", ignore_index=True)
    names = [f"XML{number}" for number in range(1, 16)]
    tables = {}
    for name in names:
        frames = [part[name] for part in parts if name in part and len(part[name])]
        if frames:
            whole = pd.concat(frames, ignore_index=True)
            tables[name] = whole.sort_values(["claim", "row"], kind="stable", ignore_index=True)
    return ClaimTables(claims, tables)


def _copied(tables: ClaimTables, twins: dict[int, int]) -> ClaimTables:
    parts = []
    for place, original in twins.items():
        copy = tables.only({original})
        copy.claims["claim"] = place
        for frame in copy.tables.values():
            frame["claim"] = place
        parts.append(copy)
    return _joined(parts)
