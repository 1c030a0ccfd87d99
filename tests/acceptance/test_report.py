"""The report as contracts.md promises it, on files made by hand: each row of the table is one claim or one file."""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pandas as pd
import pytest
from lxml import etree

from claim_pipeline import steps
from claim_pipeline.transform.submission import write_submission
from claim_rules import cases
from claim_rules.frames import ClaimTables

Edits = dict[str, dict[str, str | None]]
WARN, REJECT, CUT = "warn", "reject_claim", "adjust_amount"


@dataclass(frozen=True)
class Row:
    """What is changed of a sound claim ("XML2/1" is its first row; None: the element is not sent), and what the report
    must then say of it: outcome, findings (rule, severity, table, line, field) and what of its text must not be shown.
    raw: changes of the claim's XML (FILEHOSO by table: text of NOIDUNGFILE, None: left out)."""

    name: str
    edits: Edits = field(default_factory=dict)
    raw: dict[str, str | None] = field(default_factory=dict)
    outcome: str = "accepted"
    refused: str = ""
    findings: tuple[tuple[str, str, str | None, int | None, str | None], ...] = ()
    hidden: str = ""


ROWS = [
    Row("a sound claim"),
    Row("no MA_TTDV", {"XML1/1": {"MA_TTDV": ""}}),
    Row("no reason of the visit", {"XML1/1": {"LY_DO_VV": ""}}, outcome="rejected",
        findings=(("STR-006", REJECT, "XML1", None, "LY_DO_VV"),)),
    Row("STR-006 is all that is said of it", {"XML1/1": {"LY_DO_VV": ""}, "XML2/1": {"MUC_HUONG": "100"}},
        outcome="rejected", findings=(("STR-006", REJECT, "XML1", None, "LY_DO_VV"),)),
    Row("required, and no rule names it", {"XML2/1": {"HAM_LUONG": ""}},
        findings=(("DICT-001", WARN, "XML2", 1, "HAM_LUONG"),)),
    Row("too long", {"XML2/1": {"DON_VI_TINH": "v" * 51}}, findings=(("DICT-002", WARN, "XML2", 1, "DON_VI_TINH"),)),
    Row("not of its type", {"XML1/1": {"SO_NGAY_DTRI": "hai"}},
        findings=(("DICT-003", WARN, "XML1", None, "SO_NGAY_DTRI"),)),
    Row("not in its list", {"XML1/1": {"KET_QUA_DTRI": "99"}},
        findings=(("DICT-004", WARN, "XML1", None, "KET_QUA_DTRI"),)),
    Row("a number with a thousands separator", {"XML1/1": {"T_TONGCHI_BV": "440,600.00"}}, outcome="rejected",
        findings=(("STR-013", REJECT, "XML1", None, "T_TONGCHI_BV"),)),
    Row("table not in base64", raw={"XML2": "@@@@"}, outcome="rejected",
        findings=(("STR-002", REJECT, "XML2", None, "NOIDUNGFILE"),)),
    Row("empty optional table", raw={"XML4": ""},
        findings=(("STR-016", WARN, "XML4", None, "MA_DICH_VU"),)),
    Row("no XML1", raw={"XML1": None}, outcome="rejected", findings=(("STR-004", REJECT, "XML1", None, "LOAIHOSO"),)),
    Row("no line", raw={"XML2": None, "XML3": None}, outcome="rejected",
        findings=(("STR-004", REJECT, None, None, "LOAIHOSO"),)),
    Row("XML1 of another facility", {"XML1/1": {"MA_CSKCB": "27002"}}, outcome="rejected",
        findings=(("STR-015", REJECT, "XML1", None, "MA_CSKCB"),)),
    Row("rate 100 where 80 is due",
        {"XML2/1": {"MUC_HUONG": "100", "T_BHTT": "110000.00", "T_BNCCT": "0.00"},
         "XML1/1": {"T_BHTT": "374480.00", "T_BHTT_GDV": "374480.00", "T_BNCCT": "66120.00"}},
        outcome="adjusted", findings=(("BEN-001", CUT, "XML2", 1, "MUC_HUONG"),)),
    Row("line numbers repeat", {"XML3/1": {"STT": "7"}, "XML3/2": {"STT": "7", "DON_VI_TINH": "v" * 51}},
        findings=(("DICT-002", WARN, "XML3", 2, "DON_VI_TINH"), ("STR-020", WARN, "XML3", 1, "STT"),
                  ("STR-020", WARN, "XML3", 2, "STT"))),
    Row("the name of the line is its STT", {"XML2/1": {"STT": "5", "DON_VI_TINH": "v" * 51}},
        findings=(("DICT-002", WARN, "XML2", 5, "DON_VI_TINH"), ("STR-020", WARN, "XML2", 5, "STT"))),
    Row("the card ended before the visit", {"XML1/1": {"GT_THE_DEN": "20250810"}}, outcome="rejected",
        findings=(("CARD-008", REJECT, "XML1", None, "GT_THE_DEN"),)),
    Row("end equals begin",
        {"XML1/1": {"NGAY_RA": "202508110800"}, "XML2/1": {"NGAY_YL": "202508110800"},
         "XML3/1": {"NGAY_YL": "202508110800"}, "XML4/1": {"NGAY_KQ": "202508110800"},
         "XML3/2": {"NGAY_YL": "202508110800", "NGAY_TH_YL": "202508110800", "NGAY_KQ": "202508110800"}},
        outcome="rejected", findings=(("TIME-001", REJECT, "XML1", None, "NGAY_RA"),)),
    Row("a telephone number that is too long", {"XML1/1": {"DIEN_THOAI": "09012345678901234"}},
        findings=(("DICT-002", WARN, "XML1", None, "DIEN_THOAI"),), hidden="09012345678901234"),
    Row("a line asks for less than nothing", {"XML3/1": {"T_BHTT": "-40480.00"}}, outcome="rejected",
        findings=(("STR-013", REJECT, "XML3", 1, "T_BHTT"),)),
    Row("three decimals of a đồng", {"XML3/1": {"T_BHTT": "40480.001"}}, outcome="rejected",
        findings=(("STR-013", REJECT, "XML3", 1, "T_BHTT"),)),
    Row("half a percent before July 2026", {"XML3/1": {"MUC_HUONG": "80.5"}}, outcome="rejected",
        findings=(("STR-013", REJECT, "XML3", 1, "MUC_HUONG"),)),
    Row("a rate above 100", {"XML3/1": {"MUC_HUONG": "101"}}, outcome="adjusted", refused="40480.00",
        findings=(("STR-014", "reject_line", "XML3", 1, "MUC_HUONG"), ("BEN-001", CUT, "XML3", 1, "MUC_HUONG"))),
    Row("a quantity below zero", {"XML3/2": {"SO_LUONG": "-1.000"}}, outcome="adjusted", refused="224000.00",
        findings=(("SUM-021", "reject_line", "XML3", 2, "SO_LUONG"), ("SUM-003", CUT, "XML3", 2, "THANH_TIEN_BV"),
                  ("SUM-004", CUT, "XML3", 2, "THANH_TIEN_BH"))),
    Row("an hour that no day has", {"XML1/1": {"NGAY_RA": "202508112400"}}, outcome="rejected",
        findings=(("STR-012", REJECT, "XML1", None, "NGAY_RA"),)),
    Row("a line of another claim", {"XML3/2": {"MA_LK": "L99"}}, outcome="rejected",
        findings=(("STR-005", REJECT, "XML3", 2, "MA_LK"),)),
    Row("a line of no claim", {"XML2/1": {"MA_LK": ""}}, outcome="rejected",
        findings=(("STR-005", REJECT, "XML2", 1, "MA_LK"),)),
    Row("element that was not sent", {"XML2/1": {"HAM_LUONG": None}},
        findings=(("DICT-001", WARN, "XML2", 1, "HAM_LUONG"),)),
]  # fmt: skip


def made(path: Path, rows: list[Row], change: Callable[[str], str] = lambda text: text) -> Path:
    """A file of these claims, each with a key, card and citizen id of its own; change: of the file's text at last."""
    one = cases.base_claim()
    frames: dict[str, list[pd.DataFrame]] = {}
    for number, row in enumerate(rows):
        for name, frame in one.items():
            own = frame.assign(claim=number, MA_LK=f"LK{number:02d}").astype(frame.dtypes)
            if name == "XML1":
                own["MA_BN"], own["SO_CCCD"] = f"BN{number:02d}", f"0270850000{number:02d}"
                own["MA_THE_BHYT"] = f"GD42727000000{number:02d}"
            for place, values in row.edits.items():
                table, _, at = place.partition("/")
                for element, value in values.items() if table == name else ():
                    own.loc[int(at) - 1, element] = "@absent@" if value is None else value
            frames.setdefault(name, []).append(own)
    claims = pd.concat([one.claims.assign(claim=at, MA_LK=f"LK{at:02d}") for at in range(len(rows))], ignore_index=True)
    tables = {name: pd.concat(parts, ignore_index=True) for name, parts in frames.items()}
    write_submission(path, ClaimTables(claims, tables), "27001", "20250812", "3176")
    text = path.read_text("utf-8")
    pieces = re.split(r"(?=<HOSO>)", text)
    for number, row in enumerate(rows, start=1):
        pieces[number] = re.sub(
            r"<FILEHOSO><LOAIHOSO>(XML\d+)</LOAIHOSO><NOIDUNGFILE>([^<]*)</NOIDUNGFILE></FILEHOSO>",
            lambda found, row=row: _file(found[1], found[2], row),
            pieces[number],
        )
    path.write_text(change("".join(pieces)), "utf-8")
    return path


def _file(table: str, content: str, row: Row) -> str:
    document = re.sub(r"<(\w+)>@absent@</\1>", "", base64.b64decode(content).decode())
    inside = row.raw.get(table, base64.b64encode(document.encode()).decode())
    if inside is None:
        return ""
    return f"<FILEHOSO><LOAIHOSO>{table}</LOAIHOSO><NOIDUNGFILE>{inside}</NOIDUNGFILE></FILEHOSO>"


def checked(path: Path) -> tuple[dict[str, Any], int]:
    with steps.check(path, {}) as found:
        report: dict[str, Any] = json.loads(found.ws.report.read_text("utf-8"))
        return report, found.exit_code


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report on one file that holds all rows."""
    told, code = checked(made(tmp_path_factory.mktemp("made") / "thang8.xml", ROWS))
    assert code == 1
    return told


@pytest.mark.parametrize("number", range(len(ROWS)), ids=[row.name for row in ROWS])
def test_each_claim_gets_what_the_contract_says(report: dict[str, Any], number: int) -> None:
    row, claim = ROWS[number], report["claims"][number]
    seen = [tuple(one[name] for name in ("rule", "severity", "table", "line", "field")) for one in claim["findings"]]
    assert sorted(map(str, seen)) == sorted(map(str, row.findings))
    assert claim["outcome"] == row.outcome
    assert claim["paperless"] is False
    assert claim["paperless_reasons"][0] == "unsigned"
    assert ("not-accepted" in claim["paperless_reasons"]) == (row.outcome in ("rejected", "referred"))
    if row.refused:
        assert claim["refused"] == row.refused
    if row.hidden:
        assert row.hidden not in json.dumps(claim)
    for one in claim["findings"]:
        assert all(one[name] for name in ("message_vi", "message_en", "basis")), one["rule"]


def test_every_hoso_has_its_entry_and_money_adds_up(report: dict[str, Any]) -> None:
    claims, totals = report["claims"], report["totals"]
    assert [claim["MA_LK"] for claim in claims] == [f"LK{number:02d}" for number in range(len(ROWS))]
    assert totals["claims"] == report["delivery"]["read_claims"] == report["delivery"]["declared_claims"] == len(ROWS)
    for outcome in ("accepted", "adjusted", "rejected", "referred"):
        assert totals[outcome] == sum(claim["outcome"] == outcome for claim in claims)
    for one in [*claims, *(line for claim in claims for line in claim["lines"]), totals]:
        assert all(re.fullmatch(r"\d+\.\d\d", one[name]) for name in ("requested", "approved", "refused"))
        assert Decimal(one["requested"]) == Decimal(one["approved"]) + Decimal(one["refused"])
    for name in ("requested", "approved", "refused"):
        assert Decimal(totals[name]) == sum(Decimal(claim[name]) for claim in claims)
    assert {line["table"] for claim in claims for line in claim["lines"]} == {"XML2", "XML3"}
    adjusted = claims[[row.name for row in ROWS].index("rate 100 where 80 is due")]
    assert (adjusted["refused"], adjusted["findings"][0]["amount_refused"]) == ("22000.00", "22000.00")
    assert {"rule": "CARD-002", "needs": "cards.csv"} in report["skipped_rules"]
    assert report["delivery"]["received_at"] == "2025-08-12T23:59:00+07:00"


FILES: dict[str, tuple[Callable[[str], str], str | None, list[tuple[str, str]], int, str]] = {
    # name: (change of the text, code of quarantine, findings of the delivery, exit code, words that the reason has)
    "sound": (lambda text: text, None, [], 0, ""),
    "no SOLUONGHOSO": (lambda t: re.sub("<SOLUONGHOSO>.*?</SOLUONGHOSO>", "", t), None, [("STR-001", WARN)], 0, ""),
    "no HOSO around": (lambda t: re.sub("</?HOSO>", "", t), None, [("STR-001", WARN)], 0, ""),
    "fewer than declared": (lambda t: t.replace("SOLUONGHOSO>2<", "SOLUONGHOSO>3<"), "STR-003", [], 2, "only 2 HOSO"),
    "more than declared": (lambda t: t.replace("SOLUONGHOSO>2<", "SOLUONGHOSO>1<"), None, [("STR-003", WARN)], 0, ""),
    "cut off": (lambda t: t[: t.rindex("<HOSO>") + 50], "STR-001", [], 2, "1 whole claims"),
    "not XML of claims": (lambda t: t.replace("GIAMDINHHS", "HOSOKHAC"), "STR-001", [], 2, "GIAMDINHHS"),
    "a DOCTYPE": (lambda t: t.replace("<GIAMDINHHS", "<!DOCTYPE a><GIAMDINHHS", 1), "STR-001", [], 2, "DOCTYPE"),
    "no MACSKCB": (lambda t: t.replace("<MACSKCB>27001</MACSKCB>", ""), "STR-001", [], 2, "MACSKCB"),
    "made in 2026, unsigned": (lambda t: t.replace("20250812", "20260201"), None, [("SIG-001", WARN)], 0, ""),
    "unknown LOAIHOSO": (
        lambda t: t.replace("</HOSO>", "<FILEHOSO><LOAIHOSO>XML12</LOAIHOSO><NOIDUNGFILE/></FILEHOSO></HOSO>", 1),
        None, [], 0, "",
    ),
    "nothing": (lambda t: "", "not-a-delivery", [], 2, "empty"),
    "some text": (lambda t: "xin chào", "not-a-delivery", [], 2, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_each_file_gets_what_the_contract_says(tmp_path: Path, name: str) -> None:
    change, code, findings, exit_code, words = FILES[name]
    report, exit_seen = checked(made(tmp_path / "tệp tháng 8.xml", ROWS[:2], change))
    delivery = report["delivery"]
    assert report["schema"] == "giamdinh.report/1"
    assert exit_seen == exit_code
    assert [(one["rule"], one["severity"]) for one in report["findings"] if one["rule"] != "SUB-001"] == findings
    if code is None:
        assert (delivery["status"], delivery["reason"], delivery["format"]) == ("appraised", None, "xml-3176")
        assert [claim["outcome"] for claim in report["claims"]] == ["accepted", "accepted"]
    else:
        assert (delivery["status"], delivery["reason"]["code"]) == ("quarantined", code)
        assert (report["claims"], report["totals"]["claims"], report["totals"]["requested"]) == ([], 0, "0.00")
        assert delivery["reason"]["message_vi"] != delivery["reason"]["message_en"]
        assert words in delivery["reason"]["message_en"]
    if name == "unknown LOAIHOSO":
        (one,) = report["claims"][0]["findings"]
        assert (one["rule"], one["severity"], one["observed"]) == ("STR-004", WARN, "XML12")


def _in_base64(document: str, encoding: str = "utf-8", lines: int = 0) -> str:
    text = base64.b64encode(document.encode(encoding)).decode()
    return "\r\n".join(re.findall(f".{{1,{lines}}}", text)) if lines else text


def _declared(document: str, encoding: str) -> str:
    return f'<?xml version="1.0" encoding="{encoding}"?>\r\n{document}'


def _turned(document: str) -> str:
    """Elements of each row in the opposite order."""
    root = etree.fromstring(document)
    for row in [root, *root.iter()]:
        if len(row) > 1 and not any(len(child) for child in row):
            row[:] = reversed(row)
    return etree.tostring(root, encoding="unicode")


WILD: dict[str, Callable[[str], str]] = {
    "as prescribed": _in_base64,
    "base64 in lines": lambda document: _in_base64(document, lines=76),
    "table as element": lambda document: document,
    "table as escaped text": lambda document: escape(document),
    "table in CDATA": lambda document: f"<![CDATA[{document}]]>",
    "values in CDATA": lambda document: _in_base64(re.sub(r">([^<>&]+)<", r"><![CDATA[\1]]><", document)),
    "declaration inside": lambda document: _in_base64(_declared(document, "utf-8")),
    "mark inside": lambda document: _in_base64("\ufeff" + document),
    "UTF-16 inside": lambda document: _in_base64(_declared(document, "utf-16"), "utf-16"),
    "UTF-16 told, UTF-8 sent": lambda document: _in_base64(_declared(document, "utf-16")),
    "windows-1258 inside": lambda document: _in_base64(_declared(_for_1258(document), "windows-1258"), "cp1258"),
    "empty elements closed": lambda document: _in_base64(re.sub(r"<(\w+)></\1>", r"<\1/>", document)),
    "elements in another order": lambda document: _in_base64(_turned(document)),
    "indented": lambda document: _in_base64(document.replace("><", ">\r\n  <")),
    "letters decomposed": lambda document: _in_base64(unicodedata.normalize("NFD", document)),
}
"""Forms of a table that are met: each is read as the prescribed one, and nothing is found."""


def _for_1258(text: str) -> str:
    """Vietnamese letters as that code page has them: the tone as a letter of its own where it has no whole one."""
    out = []
    for char in text:
        try:
            char.encode("cp1258")
            out.append(char)
        except UnicodeEncodeError:
            parts = unicodedata.normalize("NFD", char)
            tone = next(mark for mark in parts if mark in "\u0300\u0301\u0303\u0309\u0323")
            out.append(unicodedata.normalize("NFC", parts.replace(tone, "")) + tone)
    return "".join(out)


def test_every_form_that_is_met_gives_the_same_claim(tmp_path: Path) -> None:
    """One file with a claim in each form, and its tables in the opposite order."""
    path = made(tmp_path / "a.xml", [Row(name) for name in WILD])
    pieces = re.split(r"(?=<HOSO>)", path.read_text("utf-8"))
    for number, form in enumerate(WILD.values(), start=1):
        files = re.findall("<FILEHOSO>.*?</FILEHOSO>", pieces[number], re.DOTALL)
        changed = [
            re.sub(
                "<NOIDUNGFILE>(.*)</NOIDUNGFILE>",
                lambda found, form=form: f"<NOIDUNGFILE>{form(base64.b64decode(found[1]).decode())}</NOIDUNGFILE>",
                one,
            )
            for one in files
        ]
        pieces[number] = pieces[number].replace("".join(files), "".join(reversed(changed)))
    path.write_text("".join(pieces), "utf-8")
    with steps.check(path, {}) as found:
        report = json.loads(found.ws.report.read_text("utf-8"))
        texts = found.ws.read_frame("XML2")["LIEU_DUNG"].tolist() + found.ws.read_frame("XML1")["HO_TEN"].tolist()
    found_in = {name: claim["findings"] for name, claim in zip(WILD, report["claims"], strict=True)}
    assert {name: findings for name, findings in found_in.items() if findings} == {}
    assert [claim["outcome"] for claim in report["claims"]] == ["accepted"] * len(WILD)
    assert len({json.dumps(claim["lines"]) for claim in report["claims"]}) == 1
    assert set(texts) == {"2 viên/lần * 2 lần/ngày * 5 ngày", "Nguyễn Văn Mẫu"}
    assert report["findings"] == []


@pytest.mark.parametrize(
    ("received", "late"),
    [
        ("2025-08-20T23:59:00+07:00", False),  # the seventh working day after Monday, 11 August
        ("2025-08-21T00:00:00+07:00", True),
        ("2025-08-20T16:59:59+00:00", False),  # in Vietnam the day is the 20th for another second
        ("2025-08-20T17:00:00+00:00", True),
    ],
)
def test_the_day_of_receipt_is_that_of_vietnam_to_the_minute(tmp_path: Path, received: str, late: bool) -> None:
    path = made(tmp_path / "a.xml", ROWS[:1])
    with steps.check(path, {}, datetime.fromisoformat(received)) as found:
        [claim] = json.loads(found.ws.report.read_text("utf-8"))["claims"]
    assert [(one["rule"], one["expected"]) for one in claim["findings"]] == [("SUB-001", "20250820")] * late


def test_the_same_claim_twice_in_one_delivery_is_a_duplicate_at_its_second_place(tmp_path: Path) -> None:
    path = made(tmp_path / "a.xml", ROWS[:1])
    text = path.read_text("utf-8")
    claim = re.search("<HOSO>.*</HOSO>", text, re.DOTALL)
    assert claim is not None
    path.write_text(text.replace(claim[0], claim[0] * 2).replace("SOLUONGHOSO>1<", "SOLUONGHOSO>2<"), "utf-8")
    report, code = checked(path)
    assert code == 1
    assert [one["outcome"] for one in report["claims"]] == ["accepted", "rejected"]
    assert "DUP-001" in [one["rule"] for one in report["claims"][1]["findings"]]
