"""DICT: faults against the data dictionary that no other rule names; all are warnings."""

from __future__ import annotations

from claim_rules.catalogue import STRUCTURE, declare
from claim_rules.findings import WARN
from claim_rules.rules.structure import FORMAT

_FAULTS = {
    "DICT-001": (
        "Trường bắt buộc bị trống",
        "A required field is empty",
        "{field} của bảng {table} không được để trống.",
        "{field} of table {table} must not be empty.",
    ),
    "DICT-002": (
        "Giá trị dài quá quy định",
        "A value is too long",
        "{field} = {observed} dài quá quy định ({expected} ký tự).",
        "{field} = {observed} is too long ({expected} characters).",
    ),
    "DICT-003": (
        "Giá trị không đúng kiểu",
        "A value is not of its type",
        "{field} = {observed} không đúng kiểu; viết theo dạng {expected}.",
        "{field} = {observed} is not of its type; write it in the form {expected}.",
    ),
    "DICT-004": (
        "Mã không có trong danh mục",
        "A code is not in its list",
        "{field} = {observed} không có trong danh mục; giá trị hợp lệ: {expected}.",
        "{field} = {observed} is not in the code list; allowed: {expected}.",
    ),
    "DICT-005": (
        "Phiên bản định dạng không hợp với ngày ra viện",
        "The version of the format does not fit the discharge date",
        "Hồ sơ theo định dạng {observed}, ngày ra viện yêu cầu {expected}.",
        "The claim has format {observed}, its discharge date asks for {expected}.",
    ),
}

for _id, (_title_vi, _title_en, _message_vi, _message_en) in _FAULTS.items():
    declare(
        _id,
        stage=STRUCTURE,
        level="claim" if _id == "DICT-005" else "line",
        severity=WARN,
        found_by="validate",
        title_vi=_title_vi,
        title_en=_title_en,
        message_vi=_message_vi,
        message_en=_message_en,
        basis=FORMAT,
    )
