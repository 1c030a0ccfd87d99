"""Faults of structure (STR)."""

from __future__ import annotations

from claim_simulator.deliveries import BAD_BASE64, TWICE
from claim_simulator.faults.claim import Claim, Fault, Truth
from claim_simulator.faults.facts import every_claim


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


def _no_inpatient_block(claim: Claim) -> list[Truth]:
    claim.put("XML1", claim.pick(["LY_DO_VNT", "PP_DIEU_TRI"]), "")
    return [("XML1", None, "STR-009")]


def _empty_drug_field(claim: Claim) -> list[Truth]:
    row = claim.pick(list(claim.rows("XML2")))
    claim.put("XML2", claim.pick(["LIEU_DUNG", "DUONG_DUNG", "DON_VI_TINH"]), "", row)
    return [("XML2", row + 1, "STR-010")]


def _empty_service_field(claim: Claim) -> list[Truth]:
    row = claim.pick(list(claim.rows("XML3")))
    claim.put("XML3", "DON_VI_TINH", "", row)
    return [("XML3", row + 1, "STR-011")]


def _long_rate(claim: Claim) -> list[Truth]:
    table, row = claim.pick(list(claim.lines()))
    rate = claim.get(table, "MUC_HUONG", row)
    claim.put(table, "MUC_HUONG", rate + ("000" if "." in rate else ".000"), row)
    return [(table, row + 1, "STR-014")]


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


FAULTS: dict[str, Fault] = {
    "STR-002": Fault(every_claim, _bad_base64, xml_only=True),
    "STR-004": Fault(every_claim, _table_twice, xml_only=True),
    "STR-005": Fault(every_claim, _other_key, xml_only=True),
    "STR-006": Fault(every_claim, _empty_mandatory),
    "STR-007": Fault(lambda known: known["T_BHTT"] > 0, _no_card, needs_amounts=True),
    "STR-008": Fault(every_claim, _uneven_lists),
    "STR-009": Fault(lambda known: known["inpatient"], _no_inpatient_block),
    "STR-010": Fault(lambda known: known["drugs"] > 0, _empty_drug_field),
    "STR-011": Fault(lambda known: known["services"] > 0, _empty_service_field),
    "STR-012": Fault(every_claim, _impossible_date),
    "STR-013": Fault(every_claim, _comma, needs_amounts=True),
    "STR-014": Fault(every_claim, _long_rate, xml_only=True),
    "STR-015": Fault(every_claim, _other_facility),
}
