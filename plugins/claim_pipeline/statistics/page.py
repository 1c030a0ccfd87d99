"""The statistics of a facility-month as one page that loads nothing, and as a workbook."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import IO, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from claim_pipeline.statistics import picture
from claim_pipeline.statistics.report import build
from claim_rules.statistics import indicators, words
from claim_rules.statistics.drift import Judgement

ROWS = 25
"""Rows of a table on the page; the workbook holds all."""


def render(document: dict[str, Any], judgement: Judgement, name: str = "") -> str:
    """The page as HTML. document: report.build of the judgement; name: of the facility."""
    pictures = [
        tuple(Markup(picture(one, judgement.month, vietnamese=vi)) for vi in (True, False)) for one in judgement.drifts
    ]
    return _template().render(
        doc=document,
        name=name,
        month_name=f"{document['month'][4:]}/{document['month'][:4]}",
        total=sum(Decimal(kind["cost"]["total"]) for kind in document["profile"]["kinds"] if "cost" in kind),
        findings=list(zip(map(_with_words, document["findings"]), pictures, strict=True)),
        comparisons=[_with_words(one) for one in document["comparisons"]],
        alpha=indicators.limits(f"{document['month']}31")["alpha"],
        grades=words.GRADES,
        against=words.AGAINST,
        kinds=words.KINDS,
        shown=ROWS,
    )


def _with_words(one: dict[str, Any]) -> dict[str, Any]:
    about = words.about(one["indicator"], one["key"])
    if one["days"]:
        code = one["key"].rpartition(" ")[0]
        about = (f"{about[0]}: {code}", f"{about[1]}: {code}")
    more: dict[str, Any] = {"about": about, "against_words": words.AGAINST[one["against"]]}
    for name in ("value", "baseline"):
        more[f"{name}_words"] = tuple(words.amount(one["indicator"], one[name], vi) for vi in (True, False))
    return one | more


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=StrictUndefined,
    )  # fmt: skip
    environment.filters |= {"number": _number, "money": _money, "chance": _chance}
    return environment.get_template("statistics.html.j2")


def _number(value: Any, decimals: int) -> Markup:
    """A number as Vietnamese readers write it; the page turns the signs round for English."""
    return Markup('<span class="n">{}</span>').format(words.number(float(value), decimals, True))


def _money(value: str) -> Markup:
    """An amount, price or quantity; decimals only where they matter."""
    whole = Decimal(value)
    decimals = 0 if whole >= 1000 or whole == whole.to_integral() else 2
    return _number(whole, decimals)


def _chance(value: float) -> Markup:
    if value < 0.0001:
        return Markup("&lt; ") + _number(0.0001, 4)
    return _number(value, 4 if value < 0.01 else 2)


_Columns = Sequence[tuple[str, int]]
_FINDINGS: _Columns = (
    ("Quy tắc\nRule", 11), ("Mức\nGrade", 11), ("Chỉ số\nIndicator", 40), ("So với\nAgainst", 20),
    ("Tháng này\nThis month", 16), ("Mức so sánh\nCompared with", 16), ("Tỷ số\nRatio", 9),
    ("Thay đổi chung\nMovement", 10), ("Xác suất\nChance", 11), ("Nội dung\nMessage (vi)", 70), ("Message (en)", 70),
)  # fmt: skip
_KINDS: _Columns = (
    ("MA_LOAI_KCB", 13), ("Lượt\nVisits", 10), ("Tỷ lệ\nShare", 9), ("T_BHTT", 18), ("Bình quân\nMean", 16),
    ("10 %", 14), ("Trung vị\nMedian", 14), ("90 %", 14), ("Ngày bình quân\nMean nights", 12),
    ("Dòng bình quân\nMean lines", 12),
)  # fmt: skip
_ITEMS: _Columns = (
    ("Bảng\nTable", 8), ("Mã\nCode", 30), ("Dòng\nLines", 10), ("THANH_TIEN_BH", 18), ("Giá 10 %\nPrice 10 %", 14),
    ("Giá trung vị\nMedian price", 14), ("Giá 90 %\nPrice 90 %", 14), ("Tổng số lượng\nQuantity", 14),
    ("SL trung vị\nMedian quantity", 12), ("SL 90 %\nQuantity 90 %", 12),
)  # fmt: skip
_FIELDS: _Columns = (
    ("Trường\nField", 30), ("Dòng\nRows", 10), ("Dòng trống\nEmpty", 10), ("Tỷ lệ\nRate", 10),
    ("Các tháng trước\nMonths before", 12),
)  # fmt: skip


def write_workbook(document: dict[str, Any], file: IO[bytes]) -> None:
    """The workbook; the same document gives the same bytes."""
    from claim_pipeline.respond.sheets import Book

    out = Book(file)
    month = document["month"]
    out.book.set_properties(
        {
            "title": f"Thống kê {document['MA_CSKCB']} {month}",
            "author": "Giamdinh",
            "created": datetime(int(month[:4]), int(month[4:]), 1),
        }
    )
    for name, rows in (("Cảnh báo", document["findings"]), ("So sánh", document["comparisons"])):
        out.table(name, _FINDINGS, [_finding_row(one) for one in map(_with_words, rows)], wrap=True)
    why = [
        (one["rule"], one["message_vi"], one["message_en"], words.AGAINST[one["against"]][0])
        for one in document["not_judged"]
    ]
    out.table("Chưa xét", (("Quy tắc\nRule", 11), ("Lý do", 70), ("Why", 70), ("So với\nAgainst", 20)), why, wrap=True)
    profile = document["profile"]
    out.table("Loại hình", _KINDS, [_kind_row(one) for one in profile["kinds"]])
    for title, name, key in (
        ("Đối tượng", "routes", "MA_DOITUONG_KCB"),
        ("Chẩn đoán", "diagnoses", "MA_BENH_CHINH"),
    ):
        rows = [(one[key], one["visits"], _exact(one["share"])) for one in profile[name]]
        out.table(title, ((key, 20), ("Lượt\nVisits", 10), ("Tỷ lệ\nShare", 9)), rows)
    groups = [(one["MA_NHOM"], one["lines"], Decimal(one["T_BHTT"]), _exact(one["share"])) for one in profile["groups"]]
    out.table("Nhóm", (("MA_NHOM", 10), ("Dòng\nLines", 10), ("T_BHTT", 18), ("Tỷ lệ\nShare", 9)), groups)
    out.table("Mã", _ITEMS, [_item_row(one) for one in profile["items"]])
    tables = [(one["table"], one["rows"], _exact(one["per_claim"])) for one in profile["tables"]]
    out.table("Bảng", (("Bảng\nTable", 10), ("Dòng\nRows", 10), ("Mỗi hồ sơ\nPer claim", 12)), tables)
    fields = [
        (one["field"], one["rows"], one["blank"], _exact(one["rate"]), _exact(one["before"]))
        for one in profile["fields"]
    ]
    out.table("Trường trống", _FIELDS, fields)
    out.book.close()


def _exact(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(repr(round(value, 6)))


def _finding_row(one: dict[str, Any]) -> tuple[Any, ...]:
    grade = words.GRADES[one["grade"]][0] if one["grade"] else None
    return (
        one["rule"], grade, one["about"][0], one["against_words"][0], one["value_words"][0], one["baseline_words"][0],
        _exact(one["ratio"]), _exact(one["movement"]), _exact(one["chance"]), one["message_vi"], one["message_en"],
    )  # fmt: skip


def _kind_row(one: dict[str, Any]) -> tuple[Any, ...]:
    cost = one.get("cost", {})
    money = [Decimal(cost[name]) if cost else None for name in ("total", "mean", "p10", "p50", "p90")]
    more = [_exact(one[name]["mean"]) if name in one else None for name in ("nights", "lines")]
    return (one["MA_LOAI_KCB"], one["visits"], _exact(one["share"]), *money, *more)


def _item_row(one: dict[str, Any]) -> tuple[Any, ...]:
    price = [Decimal(one["price"][name]) if "price" in one else None for name in ("p10", "p50", "p90")]
    quantity = [Decimal(one["quantity"][name]) if "quantity" in one else None for name in ("total", "p50", "p90")]
    return (one["table"], one["code"], one.get("lines"), Decimal(one["THANH_TIEN_BH"]), *price, *quantity)


__all__ = ["build", "render", "write_workbook"]
