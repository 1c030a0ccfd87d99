"""Words and numbers on the pages of Data Docs, Vietnamese first."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

FORMATS = {
    "xml-3176": "XML QĐ 3176",
    "xml-4750": "XML QĐ 4750",
    "xml-130": "XML QĐ 130",
    "xml-4210": "XML QĐ 4210",
    "emr-csv": "CSV",
    "emr-xlsx": "Excel",
    "emr-json": "JSON",
    "fhir-r4": "FHIR R4",
}


def prepare(environment: Environment) -> None:
    """Gives a template environment our filters and functions."""
    environment.filters |= {
        "count": count, "percent": percent, "month": month, "moment": moment, "visit_months": visit_months,
    }  # fmt: skip
    environment.globals |= {"t": both, "table_label": table_label, "formats": FORMATS}


def both(vi: str, en: str) -> Markup:
    """A text in both languages; the English one is set back."""
    return Markup('{} <span class="en" lang="en">{}</span>').format(vi, en)


def count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}".replace(",", ".")


def percent(part: int, whole: int) -> str:
    """A share as 0,12 %; never 0 % where there is some, nor 100 % where some is missing."""
    if not whole:
        return "–"
    share = 100 * part / whole
    if 0 < share < 0.01:
        return "< 0,01 %"
    if share < 100 and share > 99.99:
        return "> 99,99 %"
    return f"{share:.2f}".rstrip("0").rstrip(".").replace(".", ",") + " %"


def month(value: str) -> str:
    """A month (yyyymm) as 07/2026."""
    return f"{value[4:]}/{value[:4]}"


def moment(value: datetime | str) -> str:
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{at:%d/%m/%Y %H:%M}"


def visit_months(months: dict[str, int]) -> Markup:
    """Claims by the month in which the visit ended."""
    said = [
        Markup("{}: {}").format(month(name), count(number)) if name else
        Markup("{}: {}").format(both("không rõ", "unknown"), count(number))
        for name, number in sorted(months.items(), reverse=True)
    ]  # fmt: skip
    return Markup(", ").join(said) if said else Markup("–")


def table_label(table: str, decision: str | None) -> Markup:
    """What a claim table is called."""
    from claim_rules import dictionary

    if decision is None:
        return both("Các hồ sơ của lô gửi với nhau", "The claims of the delivery among themselves")
    known: Any = dictionary.table(table, decision)
    return both(known.label_vi, known.label_en)
