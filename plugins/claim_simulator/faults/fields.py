"""Faults of fields that have a rule of their own: of single rows and of the claim (STR)."""

from __future__ import annotations

from collections.abc import Callable

from claim_simulator.faults.claim import Claim, Fault, Truth
from claim_simulator.faults.facts import every_claim


def _in_claim(rule: str, name: str, *values: str) -> Callable[[Claim], list[Truth]]:
    """Puts one of the values into a field of XML1."""

    def plant(claim: Claim) -> list[Truth]:
        claim.put("XML1", name, claim.pick(list(values)))
        return [("XML1", None, rule)]

    return plant


def _in_line(rule: str, table: str, name: str, groups: tuple[str, ...], *values: str) -> Callable[[Claim], list[Truth]]:
    """Puts one of the values into a field of a line of those groups (any line without groups)."""

    def plant(claim: Claim) -> list[Truth]:
        rows = [row for row in claim.rows(table) if not groups or claim.get(table, "MA_NHOM", row) in groups]
        row = claim.pick(rows)
        claim.put(table, name, claim.pick(list(values)), row)
        return [(table, row + 1, rule)]

    return plant


def _repeated_number(claim: Claim) -> list[Truth]:
    table = claim.pick([name for name in ("XML2", "XML3", "XML4") if len(claim.rows(name)) > 1])
    row = claim.pick(list(claim.rows(table))[1:])
    claim.put(table, "STT", claim.get(table, "STT", 0), row)
    return [(table, row + 1, "STR-020")]


def _too_many_diagnoses(claim: Claim) -> list[Truth]:
    if claim.rng.random() < 0.5:
        more = [claim.get("XML1", "MA_BENH_KT"), claim.get("XML1", "MA_BENH_CHINH")]
        claim.put("XML1", "MA_BENH_KT", ";".join(filter(None, more)))
    else:
        claim.put("XML1", "MA_BENH_KT", ";".join(["I10", "E11.9", "K29.7"] * 4 + ["R05"]))
    return [("XML1", None, "STR-021")]


def _unknown_commune(claim: Claim) -> list[Truth]:
    claim.put("XML1", "MAXA_CU_TRU", "99999")
    return [("XML1", None, "STR-032")]


def _earlier_month(claim: Claim) -> list[Truth]:
    year, month = int(claim.get("XML1", "NAM_QT")), int(claim.get("XML1", "THANG_QT"))
    claim.put("XML1", "THANG_QT", str((month - 2) % 12 + 1))
    claim.put("XML1", "NAM_QT", str(year - (month == 1)))
    return [("XML1", None, "STR-030")]


def _longer_stay(claim: Claim) -> list[Truth]:
    claim.put("XML1", "SO_NGAY_DTRI", str(int(claim.get("XML1", "SO_NGAY_DTRI")) + int(claim.rng.integers(1, 4))))
    return [("XML1", None, "STR-034")]


def _unknown_scope(claim: Claim) -> list[Truth]:
    places = [(table, row) for table, row in claim.lines() if claim.get(table, "PHAM_VI", row) == "2"]
    table, row = claim.pick(places)
    claim.put(table, "PHAM_VI", "4", row)
    return [(table, row + 1, "STR-038")]


TESTS = ("1", "2", "3")

FAULTS: dict[str, Fault] = {
    "STR-020": Fault(lambda known: known["drugs"] > 1, _repeated_number, needs_amounts=True),
    "STR-021": Fault(lambda known: ~known["XML13"] & ~known["XML14"], _too_many_diagnoses),
    "STR-022": Fault(every_claim, _in_claim("STR-022", "MA_LOAI_KCB", "17", "99")),
    "STR-023": Fault(lambda known: ~known["XML14"], _in_claim("STR-023", "MA_DOITUONG_KCB", "5.5", "1.99")),
    "STR-024": Fault(lambda known: known["drugs"] > 0, _in_line("STR-024", "XML2", "MA_KHOA", (), "KKB", "K77")),
    "STR-025": Fault(
        lambda known: known["beds"] > 0, _in_line("STR-025", "XML3", "MA_GIUONG", ("14", "15", "16"), "", "G12", "H01")
    ),
    "STR-026": Fault(
        lambda known: known["tests"] > 0, _in_line("STR-026", "XML3", "MA_MAY", TESTS, "", "XN-01", "HH.27001")
    ),
    "STR-027": Fault(
        lambda known: known["tests"] + known["surgery"] > 0,
        _in_line("STR-027", "XML3", "NGUOI_THUC_HIEN", (*TESTS, "8"), ""),
    ),
    "STR-028": Fault(lambda known: known["surgery"] > 0, _in_line("STR-028", "XML3", "PP_VO_CAM", ("8",), "", "9")),
    "STR-029": Fault(
        lambda known: known["drugs"] > 0,
        _in_line("STR-029", "XML2", "TT_THAU", (), "118/QĐ-SYT;N1;2025", "118/QĐ-SYT;G1;N1;25", "118/QĐ-SYT"),
    ),
    "STR-030": Fault(every_claim, _earlier_month),
    "STR-032": Fault(every_claim, _unknown_commune),
    "STR-031": Fault(every_claim, _in_claim("STR-031", "CAN_NANG", "0", "250.00")),
    "STR-034": Fault(lambda known: known["loai"].isin(["01", "02", "03", "04", "08", "09"]), _longer_stay),
    "STR-037": Fault(every_claim, _in_claim("STR-037", "MA_KHUVUC", "K4", "K")),
    "STR-038": Fault(lambda known: known["selfpaid"] > 0, _unknown_scope),
    "STR-039": Fault(
        lambda known: known["XML5"],
        _in_line("STR-039", "XML5", "DIEN_BIEN_LS", (), "Mạch 80 lần/phút, huyết áp 120/80 mmHg", "HA: 130/80, khỏe"),
    ),
}
