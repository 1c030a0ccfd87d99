"""The report for a terminal."""

from __future__ import annotations

from typing import Any

from claim_pipeline.respond import view, words
from claim_pipeline.respond.words import known, money_vi

ROWS_PER_RULE = 20


def render(report: dict[str, Any]) -> str:
    """Head, totals, findings by rule (the first of each), rules that did not run. Ends with a newline."""
    delivery, totals = report["delivery"], report["totals"]
    out = [f"{delivery['file']}  ·  {delivery['MA_CSKCB'] or '—'}  ·  {known(words.FORMATS, delivery['format']).vi}"]
    if delivery["status"] == "quarantined":
        reason = delivery["reason"] or {}
        out += [
            f"KHÔNG TIẾP NHẬN / NOT TAKEN: {reason.get('code', '')}",
            f"  {reason.get('message_vi', '')}",
            f"  {reason.get('message_en', '')}",
        ]
    else:
        out.append(
            f"{totals['claims']} hồ sơ: "
            + ", ".join(f"{totals[name]} {title.vi.lower()}" for name, title in words.OUTCOMES.items())
        )
        out.append("  ".join(f"{title.vi}: {money_vi(totals[name])} đ" for name, title in words.MONEY.items()))
    for group in view.groups(report):
        out += ["", _heading(group)]
        if group.fix:
            out += [f"  Cách sửa: {group.fix.vi}", f"  How to fix: {group.fix.en}"]
        out += [_line(row) for row in group.rows[:ROWS_PER_RULE]]
        if len(group.rows) > ROWS_PER_RULE:
            more = len(group.rows) - ROWS_PER_RULE
            out.append(f"  … và {more} dòng khác / and {more} more (--format html, xlsx, json)")
    if report["skipped_rules"]:
        out += ["", "Quy tắc chưa chạy vì thiếu dữ liệu / Rules not run, what they need is missing:"]
        needs: dict[str, list[str]] = {}
        for skipped in report["skipped_rules"]:
            needs.setdefault(skipped["needs"], []).append(skipped["rule"])
        out += [f"  {need}: {', '.join(rules)}" for need, rules in needs.items()]
    return "\n".join(map(_printable, out)) + "\n"


def _heading(group: view.Group) -> str:
    amount = f", {money_vi(group.amount)} đ" if group.amount else ""
    effect = known(words.SEVERITIES, group.severity).vi
    field = f" · {group.field_name}" if group.field_name else ""
    return f"[{effect}] {group.rule} {group.title.vi} / {group.title.en}{field} ({len(group.rows)}{amount})"


def _line(row: view.Row) -> str:
    found = row.finding
    where = view.place(found).vi
    at = f" · {where}" if where != "—" else ""
    return f"  {row.claim.vi}{at}: {found.get('message_vi') or ''}"


def _printable(line: str) -> str:
    """Nothing that was sent may steer the terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in line)
