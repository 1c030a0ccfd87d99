"""What one delivery leaves in the database, prepared from its workspace and written in the caller's transaction."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg

from claim_pipeline.store import bulk
from claim_pipeline.store.content import content_hashes
from claim_pipeline.store.models import OUTCOMES
from claim_pipeline.workspace import Delivery, Workspace
from claim_rules.frames import ClaimTables, empty_claims

_MA_LK_LENGTH = 255
_CODES = {"XML2": ("MA_THUOC",), "XML3": ("MA_DICH_VU", "MA_VAT_TU")}
_PRICES = {"XML2": "DON_GIA", "XML3": "DON_GIA_BH"}
_FINDING_TEXTS = ("rule", "severity", "field", "observed", "expected", "message_vi", "message_en", "basis")


@dataclass
class Recording:
    """Columns ready for COPY. versions, lines and findings still name claims by position."""

    delivery: Delivery
    rule_book: str | None
    report_sha256: str | None
    totals: dict[str, Any]
    versions: dict[str, Any]
    lines: pd.DataFrame
    findings: pd.DataFrame

    @classmethod
    def of(cls, ws: Workspace) -> Recording:
        """Reads the workspace of an appraised or quarantined delivery."""
        delivery = ws.delivery
        if delivery.status == "quarantined" or not ws.has_frame("claim_outcomes"):
            tables = ClaimTables(empty_claims())
            outcomes = pd.DataFrame({"claim": pd.Series([], dtype="int64")})
            lines = pd.DataFrame({"claim": pd.Series([], dtype="int64")})
        else:
            tables = ws.read_tables()
            outcomes = ws.read_frame("claim_outcomes")
            lines = ws.read_frame("line_outcomes")
        findings = ws.read_frame("findings") if ws.has_frame("findings") else pd.DataFrame({"claim": []})
        return cls(
            delivery=delivery,
            rule_book=_rule_book(ws.report),
            report_sha256=_sha256(ws.report),
            totals=_totals(outcomes, lines, findings),
            versions=_versions(tables, outcomes) if len(outcomes) else {},
            lines=_lines(tables, lines),
            findings=findings,
        )

    def write(self, connection: psycopg.Connection[Any], delivery_id: int, facility: str) -> str | None:
        """Adds everything. The caller holds the lock on the facility. Returns the sha256 of the outcomes written."""
        if not self.versions:
            self._write_findings(connection, delivery_id, pd.Series([], dtype="Int64"))
            return None
        connection.execute(_INCOMING)
        digest = bulk.copy_in(connection, "incoming_version", self.versions)
        keys = {"delivery": delivery_id, "facility": facility}
        for statement in (_CLAIMS, _NO_LONGER_NEWEST, _LATER_ONES, _VERSIONS):
            connection.execute(statement, keys)
        ids = connection.execute(
            "SELECT position, id FROM claim_version WHERE delivery = %s ORDER BY position", [delivery_id]
        ).fetchall()
        version = pd.Series([row[1] for row in ids], index=[row[0] for row in ids], dtype="Int64")
        if len(self.lines):
            columns = {name: self.lines[name] for name in self.lines.columns if name != "claim"}
            for name in ("requested", "approved", "refused"):
                columns[name] = bulk.money(columns[name])
            bulk.copy_in(connection, "claim_line", {"version": self.lines["claim"].map(version), **columns})
        self._write_findings(connection, delivery_id, version)
        return digest

    def _write_findings(self, connection: psycopg.Connection[Any], delivery_id: int, version: pd.Series[Any]) -> None:
        found = self.findings
        if not len(found):
            return
        columns: dict[str, Any] = {
            "delivery": pd.Series([delivery_id] * len(found), dtype="int64"),
            "number": pd.Series(range(1, len(found) + 1), dtype="int64"),
            "version": found["claim"].astype("Int64").map(version).astype("Int64"),
            "xml_table": bulk.plain_text(found["table"]),
            "row": found["row"].astype("Int64"),
            "line": found["line"].astype("Int64"),
            "amount_refused": bulk.money(found["amount_refused"].astype("Int64")),
        }
        columns |= {name: bulk.plain_text(found[name]) for name in _FINDING_TEXTS}
        bulk.copy_in(connection, "finding", columns)


_INCOMING = """
CREATE TEMPORARY TABLE incoming_version (
    position bigint, ma_lk text, readable boolean, decision text, outcome text, paperless boolean,
    paperless_reasons jsonb, referral_reasons jsonb, requested numeric(18, 2), approved numeric(18, 2),
    refused numeric(18, 2), ngay_vao timestamptz, ngay_ra timestamptz, content_sha256 text
) ON COMMIT DROP
"""

_CLAIMS = """
INSERT INTO claim (facility, ma_lk, versions)
SELECT %(facility)s, ma_lk, 1 FROM incoming_version WHERE ma_lk IS NOT NULL GROUP BY ma_lk ORDER BY min(position)
ON CONFLICT (facility, ma_lk) DO UPDATE SET versions = claim.versions + 1
"""

# An earlier delivery's version gives way to this one ...
_NO_LONGER_NEWEST = """
UPDATE claim_version SET newest = false
WHERE newest AND delivery < %(delivery)s AND claim IN (
    SELECT c.id FROM claim c JOIN incoming_version i ON c.ma_lk = i.ma_lk AND c.facility = %(facility)s)
"""

# ... and a later delivery that was recorded first keeps its place after this one.
_LATER_ONES = """
UPDATE claim_version SET sequence = sequence + 1
WHERE delivery > %(delivery)s AND claim IN (
    SELECT c.id FROM claim c JOIN incoming_version i ON c.ma_lk = i.ma_lk AND c.facility = %(facility)s)
"""

_VERSIONS = """
INSERT INTO claim_version (
    delivery, position, claim, ma_lk, sequence, newest, duplicate, readable, decision, outcome, paperless,
    paperless_reasons, referral_reasons, requested, approved, refused, ngay_vao, ngay_ra, content_sha256)
SELECT %(delivery)s, i.position, c.id, i.ma_lk,
       CASE WHEN c.id IS NOT NULL THEN 1 + coalesce(other.earlier, 0) END,
       NOT i.duplicate AND coalesce(other.later, 0) = 0,
       i.duplicate, i.readable, i.decision, i.outcome, i.paperless,
       i.paperless_reasons, i.referral_reasons, i.requested, i.approved, i.refused,
       i.ngay_vao, i.ngay_ra, i.content_sha256
FROM (
    SELECT *, ma_lk IS NOT NULL AND row_number() OVER (PARTITION BY ma_lk ORDER BY position) > 1 AS duplicate
    FROM incoming_version
) i
LEFT JOIN claim c ON c.facility = %(facility)s AND c.ma_lk = i.ma_lk
LEFT JOIN (
    SELECT v.claim, count(*) FILTER (WHERE v.delivery < %(delivery)s) AS earlier,
           count(*) FILTER (WHERE v.delivery > %(delivery)s) AS later
    FROM claim_version v WHERE NOT v.duplicate AND v.claim IN (
        SELECT c.id FROM claim c JOIN incoming_version i ON c.ma_lk = i.ma_lk AND c.facility = %(facility)s)
    GROUP BY v.claim
) other ON other.claim = c.id
ORDER BY i.position
"""


def _versions(tables: ClaimTables, outcomes: pd.DataFrame) -> dict[str, Any]:
    claims = tables.claims.assign(content=content_hashes(tables))
    merged = claims.merge(outcomes.drop(columns="MA_LK"), on="claim", how="outer", validate="1:1", sort=True)
    if merged["outcome"].isna().any() or merged["content"].isna().any():
        raise ValueError("claims and their outcomes do not correspond")
    columns: dict[str, Any] = {
        "position": merged["claim"].astype("int64"),
        "ma_lk": bulk.plain_text(identity(merged["MA_LK"])),
        "readable": merged["readable"].astype("bool"),
        "decision": bulk.plain_text(merged["decision"]),
        "outcome": merged["outcome"],
        "paperless": merged["paperless"].astype("bool"),
        "paperless_reasons": merged["paperless_reasons"],
        "referral_reasons": merged["referral_reasons"],
        "content_sha256": merged["content"],
    }
    columns |= {name: bulk.money(merged[name].astype("int64")) for name in ("requested", "approved", "refused")}
    dates = _first_row(tables, "XML1")
    for element in ("NGAY_VAO", "NGAY_RA"):
        sent = merged["claim"].map(dates[element]) if element in dates.columns else pd.Series(pd.NA, merged.index)
        columns[element.lower()] = _times(sent)
    return columns


def identity(ma_lk: pd.Series[Any]) -> pd.Series[Any]:
    """MA_LK as the key of a claim: none where blank; one that is absurdly long (the limit is 100 characters) is cut
    and told apart by a digest, for an index holds no texts of any length."""
    known = ma_lk.where(ma_lk.fillna("").str.strip() != "")
    long = known.str.len().fillna(0) > _MA_LK_LENGTH
    if long.any():
        cut = {text: f"{text[:180]}…{hashlib.sha256(text.encode()).hexdigest()}" for text in known[long].unique()}
        known = known.where(~long, known.map(cut))
    return known.astype("str")


def _first_row(tables: ClaimTables, name: str) -> pd.DataFrame:
    if name not in tables:
        return pd.DataFrame()
    return tables[name].drop_duplicates("claim").set_index("claim")


def _times(sent: pd.Series[Any]) -> pd.Series[Any]:
    """Text of the form yyyyMMddHHmm as a time of Vietnam; NA where it is none."""
    text = sent.astype("str").fillna("")
    parsed = pd.to_datetime(text.where(text.str.fullmatch(r"[0-9]{12}")), format="%Y%m%d%H%M", errors="coerce")
    return parsed.dt.strftime("%Y-%m-%d %H:%M:00+07").astype("str")


def _lines(tables: ClaimTables, outcomes: pd.DataFrame) -> pd.DataFrame:
    """claim, xml_table, row, line, code, ngay_yl, quantity, price (text), requested, approved, refused (1/100 đồng)."""
    parts = []
    for name, codes in _CODES.items():
        if name not in tables or "table" not in outcomes.columns:
            continue
        asked = outcomes[outcomes["table"] == name]
        sent = tables[name].reindex(columns=["claim", "row", *codes, "NGAY_YL", "SO_LUONG", _PRICES[name]])
        merged = asked.merge(sent, on=["claim", "row"], how="left", validate="1:1")
        code = merged[codes[0]].fillna("")
        for other in codes[1:]:
            code = code.where(code != "", merged[other].fillna(""))
        parts.append(
            pd.DataFrame(
                {
                    "claim": merged["claim"].astype("int64"),
                    "xml_table": merged["table"],
                    "row": merged["row"].astype("int64"),
                    "line": merged["line"].astype("int64"),
                    "code": code.where(code != "").str.replace("\x00", "\ufffd", regex=False),
                    "ngay_yl": _times(merged["NGAY_YL"]),
                    "quantity": _number(merged["SO_LUONG"]),
                    "price": _number(merged[_PRICES[name]]),
                    "requested": merged["requested"].astype("int64"),
                    "approved": merged["approved"].astype("int64"),
                    "refused": merged["refused"].astype("int64"),
                }
            )
        )
    if not parts:
        return pd.DataFrame({"claim": pd.Series([], dtype="int64")})
    return pd.concat(parts, ignore_index=True).sort_values(["claim", "xml_table", "row"], ignore_index=True)


def _number(sent: pd.Series[Any]) -> pd.Series[Any]:
    text = sent.astype("str").str.strip()
    return text.where(text.fillna("").str.fullmatch(r"-?[0-9]{1,14}(\.[0-9]{1,20})?"))


def _totals(outcomes: pd.DataFrame, lines: pd.DataFrame, findings: pd.DataFrame) -> dict[str, Any]:
    counts = outcomes["outcome"].value_counts() if "outcome" in outcomes.columns else pd.Series(dtype="int64")
    totals: dict[str, Any] = {"claims": len(outcomes), "lines": len(lines), "findings": len(findings)}
    totals |= {name: int(counts.get(name, 0)) for name in OUTCOMES}
    for name in ("requested", "approved", "refused"):
        hundredths = int(outcomes[name].sum()) if name in outcomes.columns else 0
        totals[name] = f"{hundredths // 100}.{hundredths % 100:02d}"
    return totals


def _sha256(path: Path) -> str | None:
    if not path.exists():
        return None
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _rule_book(report: Path) -> str | None:
    """Version of the rule book, which stands at the head of every report; the rest may be large and is not read."""
    if not report.exists():
        return None
    with report.open(encoding="utf-8", errors="replace") as handle:
        found = re.search(r'"rule_book"\s*:\s*"([^"\\]*)"', handle.read(4096))
    return found.group(1) if found else None
