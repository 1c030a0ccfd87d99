"""The worked cases of rules that are found while a file is read, on a real file."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from lxml import etree

from claim_pipeline import appraise, steps
from claim_pipeline.errors import Quarantined
from claim_pipeline.transform.submission import write_submission
from claim_pipeline.workspace import Delivery, Workspace
from claim_rules import cases
from claim_rules.frames import ClaimTables

OF_FILES = [case for case in cases.all_cases() if case.file is not None]


def two_claims() -> ClaimTables:
    """The base claim and another one."""
    one = cases.base_claim()
    other = {
        name: frame.assign(claim=1, MA_LK=pd.Series(["L2"] * len(frame), dtype="str")) for name, frame in one.items()
    }
    tables = {name: pd.concat([frame, other[name]], ignore_index=True) for name, frame in one.items()}
    claims = pd.concat([one.claims, one.claims.assign(claim=1, MA_LK="L2")], ignore_index=True)
    return ClaimTables(claims, tables)


def encoded(document: etree._Element) -> str:
    return base64.b64encode(etree.tostring(document)).decode()


def change_claim(claim: etree._Element, changes: dict[str, Any]) -> None:
    files = {file.findtext("LOAIHOSO"): file for file in claim}
    for name, value in changes.items():
        if name == "twice":
            claim.append(etree.fromstring(etree.tostring(files[value])))
        elif name == "without":
            for table in value:
                claim.remove(files[table])
        elif name == "rename":
            for table, other in value.items():
                files[table].find("LOAIHOSO").text = other
        elif name.startswith("XML"):
            if name not in files:
                files[name] = etree.SubElement(claim, "FILEHOSO")
                etree.SubElement(files[name], "LOAIHOSO").text = name
                etree.SubElement(files[name], "NOIDUNGFILE")
            files[name].find("NOIDUNGFILE").text = value
        else:
            content = files["XML1"].find("NOIDUNGFILE")
            head = etree.fromstring(base64.b64decode(content.text))
            head.find(name).text = value
            content.text = encoded(head)


def make_file(path: Path, wanted: dict[str, Any]) -> None:
    write_submission(path, two_claims(), "27001", "20250812")
    document = etree.parse(path)
    for name, value in wanted.get("envelope", {}).items():
        element = document.find(f".//{name}")
        if value is None:
            element.getparent().remove(element)
        else:
            element.text = value
    change_claim(document.find(".//HOSO"), wanted.get("first", {}))
    data = etree.tostring(document, encoding="utf-8", xml_declaration=True)
    path.write_bytes(data[: int(len(data) * wanted.get("cut", 1))])


@pytest.mark.parametrize("case", OF_FILES, ids=lambda case: case.name)
def test_case(case: cases.WorkedCase, tmp_path: Path) -> None:
    wanted = case.file or {}
    ws = Workspace(tmp_path / "work")
    make_file(ws.source, wanted)
    ws.delivery = Delivery(
        file="thang8.xml",
        sha256="0" * 64,
        received_at="2025-08-12T08:00:00+07:00",
        inbox_facility=wanted.get("inbox", "27001"),
    )
    try:
        for step in steps.ON_FILES:
            steps.step_on_files(step, ws, {})
    except Quarantined as error:
        appraise.quarantine(ws, error)
    report = json.loads(ws.report.read_text("utf-8"))
    assert (report["delivery"]["reason"] or {}).get("code") == case.expect.get("quarantined")
    assert [claim["outcome"] for claim in report["claims"]] == case.expect["outcome"]
    seen = [{**finding, "claim": None} for finding in report["findings"]] + [
        {**finding, "claim": number} for number, claim in enumerate(report["claims"]) for finding in claim["findings"]
    ]
    assert [row["rule"] for row in seen] == [row["rule"] for row in case.expect["findings"]]
    for got, want in zip(seen, case.expect["findings"], strict=True):
        assert {key: got[key] for key in want} == want
