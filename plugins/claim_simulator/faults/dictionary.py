"""Faults of the fields themselves (DICT)."""

from __future__ import annotations

from claim_simulator.faults.claim import Claim, Fault, Truth
from claim_simulator.faults.facts import every_claim

LONG = "đơn vị tính không có trong danh mục dùng chung của cơ sở này"


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
    places: list[tuple[str, str, int]] = [("XML1", name, 0) for name in ("KET_QUA_DTRI", "MA_TAI_NAN")]
    if claim.rows("XML2"):
        places.append(("XML2", "NGUON_CTRA", claim.pick(list(claim.rows("XML2")))))
    table, name, row = claim.pick(places)
    claim.put(table, name, "9", row)
    return [(table, None if table == "XML1" else row + 1, "DICT-004")]


def _old_layout(claim: Claim) -> list[Truth]:
    claim.decision = "4750"
    return [("XML1", None, "DICT-005")]


FAULTS: dict[str, Fault] = {
    "DICT-001": Fault(lambda known: ~known["infant"], _empty_field),
    "DICT-002": Fault(every_claim, _too_long),
    "DICT-003": Fault(every_claim, _not_integer),
    "DICT-004": Fault(every_claim, _not_in_list),
    "DICT-005": Fault(lambda known: known["XML13"] & ~known["XML14"], _old_layout, xml_only=True),
}
