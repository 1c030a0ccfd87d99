"""The rule book as text: all rules, or one with its worked cases. The pages in docs/ are made from it."""

from __future__ import annotations

from collections.abc import Iterable

from claim_rules import cases, catalogue, law
from claim_rules.statistics import cases as of_months

SEVERITY = {
    "reject_claim": ("từ chối cả hồ sơ", "rejects the claim"),
    "reject_line": ("từ chối dòng", "rejects the line"),
    "adjust_amount": ("điều chỉnh số tiền", "adjusts the amount"),
    "warn": ("cảnh báo", "warns"),
}
"""Severity in the words of a page: Vietnamese, English."""

CONFIDENCE = {"high": "cao", "medium": "trung bình", "low": "thấp"}
"""How sure the sources are, in Vietnamese."""


def all_rules() -> str:
    """One line per rule: id, severity, title in Vietnamese and English."""
    rules = catalogue.book().values()
    width = max(len(rule.id) for rule in rules)
    lines = [
        f"{rule.id:<{width}}  {SEVERITY[rule.severity][0]:<19}  {rule.title_vi} · {rule.title_en}" for rule in rules
    ]
    return "\n".join([f"Bộ quy tắc · rule book {catalogue.version()}: {len(lines)}", "", *lines])


def one(rule_id: str) -> str | None:
    """One rule with all that is known of it and its cases; None if there is no such rule."""
    rule = catalogue.book().get(rule_id)
    return None if rule is None else "\n".join(_describe(rule))


FAMILIES = {
    "STR": ("Cấu trúc và trường dữ liệu", "Structure and fields"),
    "DICT": ("Từ điển dữ liệu", "The data dictionary"),
    "SIG": ("Chữ ký số", "Signature"),
    "SUB": ("Gửi hồ sơ", "Submission"),
    "CARD": ("Thẻ BHYT", "The card"),
    "BEN": ("Quyền lợi và mức hưởng", "Entitlement and rate"),
    "RATE": ("Tỷ lệ thanh toán", "Payment rates"),
    "SUM": ("Số tiền và tổng", "Amounts and totals"),
    "CAT": ("Danh mục được duyệt", "Approved lists"),
    "PRICE": ("Đơn giá", "Prices"),
    "BED": ("Ngày giường", "Bed days"),
    "CLIN": ("Chẩn đoán và chỉ định", "Diagnoses and indications"),
    "TIME": ("Thời gian", "Times"),
    "DUP": ("Trùng lặp", "Repetition"),
    "STAT": ("Thống kê", "Statistics"),
}
"""Families of rules in the words of a page: Vietnamese, English."""
_MADE = (
    "Tệp này được sinh từ các quy tắc và ví dụ của chúng; không sửa tay. "
    "This file is made from the rules and their worked cases (`make rule-book`); do not edit it."
)


def documents() -> dict[str, str]:
    """The rule book for docs/: path below it -> text. An index, and one page for each family."""
    families: dict[str, list[catalogue.Rule]] = {}
    for rule in catalogue.book().values():
        families.setdefault(rule.id.split("-")[0], []).append(rule)
    order = [*FAMILIES, *sorted(set(families) - set(FAMILIES))]
    known = {name: sorted(families[name], key=lambda rule: rule.id) for name in order if name in families}
    pages = {f"rules/{name.lower()}.md": _page(name, rules) for name, rules in known.items()}
    return {"rule-book.md": _index(known), "rule-coverage.md": coverage(), **pages}


def coverage() -> str:
    """A table of all rules: how many cases trip each, how many just miss it, and the pair on either side of its limit.

    A case misses a rule when it names it (`rules`) and does not expect it.
    """
    out = [
        "# Ví dụ của từng quy tắc · cases of each rule",
        "",
        f"{_MADE} `giamdinh rules --coverage`. [Độ phủ, độ chính xác đo được · measured recall and precision]"
        "(truth.md)",
        "",
        "| quy tắc · rule | vi phạm · trip | không vi phạm · miss | ranh giới · limit | đúng ngưỡng · at it | "
        "vượt ngưỡng · beyond it |",
        "|---|---|---|---|---|---|",
    ]
    limits = cases.limits()
    for rule in sorted(catalogue.book().values(), key=lambda rule: rule.id):
        trips = sum(rule.id in _found(case) for case in cases.all_cases())
        misses = sum(rule.id in case.rules and rule.id not in _found(case) for case in cases.all_cases())
        limit = limits.get(rule.id)
        pair = (limit.unit, limit.at, limit.beyond) if limit else ("", "", "")
        if rule.awaits:
            pair = ("", f"chưa chạy được · cannot run yet: {rule.awaits}", "")
        elif rule.found_by in catalogue.book():
            pair = ("", f"thể hiện qua · carried by {rule.found_by}", "")
        out.append(f"| {rule.id} | {trips} | {misses} | " + " | ".join(pair) + " |")
    return "\n".join([*out, ""])


def _words(family: str) -> str:
    return " · ".join(FAMILIES.get(family, (family,)))


def _index(families: dict[str, list[catalogue.Rule]]) -> str:
    parts = ["# Bộ quy tắc giám định · Rule book", "", _MADE, ""]
    for name, rules in families.items():
        parts += [f"## [{name}](rules/{name.lower()}.md): {_words(name)}", ""]
        parts += [
            f"- [{rule.id}](rules/{name.lower()}.md#{rule.id.lower()}): {rule.title_vi} · {rule.title_en}"
            for rule in rules
        ]
        parts.append("")
    parts += [
        "[Ví dụ của từng quy tắc · cases of each rule](rule-coverage.md)",
        "[Độ phủ, độ chính xác đo được · measured recall and precision](truth.md)",
        "",
    ]
    return "\n".join([*parts, *_options()])


def _page(family: str, rules: list[catalogue.Rule]) -> str:
    parts = [f"# {family}: {_words(family)}", "", f"{_MADE} [Mục lục · index](../rule-book.md)", ""]
    for rule in rules:
        parts += [f"## {rule.id}", "", *_describe(rule, bullets=True)[1:], ""]
    return "\n".join(parts)


def _options() -> list[str]:
    """Where the sources of the law disagree: the choices, and the default."""
    out = [
        "## Lựa chọn · options",
        "",
        "Những điểm các nguồn chưa thống nhất. Hợp đồng có thể chọn khác (`options`); báo cáo nào cũng ghi rõ. "
        "Where the sources disagree: a contract may choose otherwise, and each report says what it was made with.",
        "",
    ]
    for name, entry in law.load("options")["options"].items():
        out += [f"- `{name}`: {entry['about_vi']} · {entry['about']}. Nguồn · source: {entry['source']}."]
        for choice, meaning in entry["choices"].items():
            default = " (mặc định · default)" if choice == entry["default"] else ""
            out.append(f"  - `{choice}`{default}: {entry['choices_vi'][choice]} · {meaning}")
    return [*out, ""]


def _describe(rule: catalogue.Rule, *, bullets: bool = False) -> list[str]:
    mark = "- " if bullets else "  "
    english = f"**{rule.title_vi}** · {rule.title_en}" if bullets else f"    {rule.title_en}"
    out = [f"{rule.id}  {rule.title_vi}", english]
    if bullets:
        out.append("")
    severity = SEVERITY[rule.severity]
    out.append(f"{mark}Mức độ · severity: {severity[0]} · {severity[1]} (`{rule.severity}`), {rule.level}")
    out.append(f"{mark}Căn cứ · basis: {rule.basis}")
    if rule.confidence:
        out.append(f"{mark}Độ tin cậy của nguồn · confidence: {CONFIDENCE[rule.confidence]} · {rule.confidence}")
    if rule.since or rule.until:
        out.append(f"{mark}Hiệu lực theo NGAY_RA · in force by NGAY_RA: {rule.since or '…'} – {rule.until or '…'}")
    if rule.needs:
        files = "; ".join(f"{file}.csv ({', '.join(columns)})" for file, columns in rule.needs.items())
        out.append(f"{mark}Danh mục cần có · needs: {files}")
    if rule.wants:
        files = "; ".join(f"{file}.csv ({', '.join(columns)})" for file, columns in rule.wants.items())
        out.append(f"{mark}Một phần cần · a part of it needs: {files}")
    if rule.facts or rule.wants_facts:
        out.append(f"{mark}Cần biết thêm · must be known: {', '.join([*rule.facts, *rule.wants_facts])}")
    if rule.level == catalogue.MONTH:
        out.append(
            f"{mark}Xét theo cơ sở - tháng, không theo từng lô gửi (`giamdinh statistics`) · over a facility-month, "
            "not a delivery"
        )
    if rule.awaits:
        out.append(f"{mark}Chưa chạy được, còn thiếu · cannot run yet, needs: {rule.awaits}")
    if rule.found_by in catalogue.book():
        out.append(f"{mark}Thể hiện qua · carried by: {rule.found_by}")
    elif rule.message_vi:
        out.append(f"{mark}Thông báo · message: {rule.message_vi} · {rule.message_en}")
    out += _cases(rule.id, mark)
    out += _month_cases(rule.id, mark)
    return out


def _cases(rule_id: str, mark: str) -> Iterable[str]:
    mine = [case for case in cases.all_cases() if rule_id in case.rules or rule_id in _found(case)]
    for case in mine:
        found = _found(case)
        result = ", ".join(found) if found else "không có phát hiện · no finding"
        outcome = case.expect["outcome"]
        if "quarantined" in case.expect:
            outcome = f"cách ly · quarantined: {case.expect['quarantined']}"
        elif isinstance(outcome, list):
            outcome = ", ".join(outcome)
        yield f"{mark}Ví dụ · case: {case.name_vi} · {case.name} → {result} ({outcome})"


def _month_cases(rule_id: str, mark: str) -> Iterable[str]:
    for case in of_months.all_cases():
        if rule_id in case.rules:
            told = [drift["grade"] if "grade" in drift else drift["rule"] for drift in case.expect["drifts"]]
            result = "cảnh báo · warning: " + ", ".join(told) if told else "không cảnh báo · no warning"
            if case.expect.get("not_judged") and not told:
                result = "không xét · not judged"
            yield f"{mark}Ví dụ · case: {case.name_vi} · {case.name} → {result}"


def _found(case: cases.WorkedCase) -> list[str]:
    return [str(finding["rule"]) for finding in case.expect["findings"]]
