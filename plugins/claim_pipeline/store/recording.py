"""What one delivery leaves in the database, prepared from its workspace and written in the caller's transaction."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa
from psycopg.types.json import Jsonb

from claim_pipeline.results import Digests, digests
from claim_pipeline.store import bulk
from claim_pipeline.store.content import content_hashes
from claim_pipeline.store.models import OUTCOMES
from claim_pipeline.store.past import Kept, fill, note_affected, one_at_a_time
from claim_pipeline.workspace import RESTS_ON, VISIT_COSTS, Delivery, Workspace
from claim_rules import catalogue
from claim_rules.findings import REJECT_CLAIM
from claim_rules.frames import ClaimTables, empty_claims

_MA_LK_LENGTH = 255
_CODES = {"XML2": ("MA_THUOC",), "XML3": ("MA_DICH_VU", "MA_VAT_TU")}
_MONEY = ("requested", "approved", "refused")
_PRICES = {"XML2": "DON_GIA", "XML3": "DON_GIA_BH"}
_FINDING_TEXTS = ("rule", "severity", "field", "observed", "expected", "message_vi", "message_en", "basis")


@dataclass
class Recording:
    """Columns ready for COPY. versions, lines and findings still name claims by position."""

    delivery: Delivery
    report_sha256: str | None
    totals: dict[str, Any]
    versions: dict[str, Any]
    lines: pd.DataFrame
    findings: pd.DataFrame
    rests_on: dict[str, Any]
    digests: Digests | None
    kept: Kept | None

    @classmethod
    def of(cls, ws: Workspace) -> Recording:
        """Reads the workspace of an appraised or quarantined delivery."""
        delivery = ws.delivery
        findings = ws.read_frame("findings") if ws.has_frame("findings") else pd.DataFrame({"claim": []})
        decided = delivery.status != "quarantined" and ws.has_frame("claim_outcomes")
        if not decided:
            tables = ClaimTables(empty_claims())
            outcomes = pd.DataFrame({"claim": pd.Series([], dtype="int64")})
            lines = pd.DataFrame({"claim": pd.Series([], dtype="int64")})
        else:
            tables = ws.read_tables()
            outcomes = ws.read_frame("claim_outcomes")
            lines = ws.read_frame("line_outcomes")
        rests_on = ws.read_json(RESTS_ON) if decided and (ws.folder / RESTS_ON).exists() else {}
        found = digests(outcomes, lines, findings) if decided else None
        costs = ws.read_frame(VISIT_COSTS) if ws.has_frame(VISIT_COSTS) else None
        return cls(
            delivery=delivery,
            report_sha256=_sha256(ws.report),
            totals=_totals(outcomes, lines, findings),
            versions=_versions(tables, outcomes, found) if len(outcomes) else {},
            lines=_lines(tables, lines),
            findings=findings,
            rests_on={"rule_book": _rule_book(ws.report)} | rests_on,
            digests=found,
            kept=Kept.of(tables, refused_in_structure(findings), costs) if decided else None,
        )

    def write(self, connection: psycopg.Connection[Any], delivery_id: int, facility: str, actor: str) -> str | None:
        """Adds everything, as the first appraisal of the delivery. The caller holds the lock on the facility. Returns
        the fingerprint of what was decided."""
        appraisal = self._write_appraisal(connection, delivery_id, actor, "delivery")
        if self.versions:
            connection.execute(_INCOMING)
            bulk.copy_in(connection, "incoming_version", self.versions)
            keys = {"delivery": delivery_id, "facility": facility, "appraisal": appraisal}
            for statement in (_CLAIMS, _NO_LONGER_NEWEST, _LATER_ONES, _VERSIONS, _OUTCOMES):
                connection.execute(statement, keys)
        version = _versions_of(connection, delivery_id)
        if len(self.lines):
            sent = {name: self.lines[name] for name in self.lines.columns if name not in ("claim", *_MONEY)}
            bulk.copy_in(connection, "claim_line", {"version": self.lines["claim"].map(version), **sent})
        if self.kept is not None:
            self.kept.write(connection, version, facility)
        self._write_decided(connection, appraisal, version)
        return self.digests.whole if self.digests else None

    def append(
        self,
        connection: psycopg.Connection[Any],
        delivery_id: int,
        facility: str,
        actor: str,
        cause: str,
        positions: set[int],
    ) -> tuple[int, int]:
        """Adds a later appraisal of a recorded delivery: what was decided of the claims at these positions, which then
        stands for them, and the findings of the delivery as a whole. Returns its id and number.

        A claim that a rule of structure refused and now does not is from now on seen by the rules of other claims.

        Raises ValueError where the claims are not those that are recorded.
        """
        version = _versions_of(connection, delivery_id)
        mine = self.versions["position"].isin(positions) if self.versions else pd.Series([], dtype="bool")
        if set(version.index) != set(self.versions.get("position", [])):
            raise ValueError("the claims of this delivery are not those that are recorded")
        appraisal = self._write_appraisal(connection, delivery_id, actor, cause)
        if mine.any():
            connection.execute(_INCOMING)
            kept = pa.array(mine.to_numpy())
            incoming = {
                name: values[mine] if isinstance(values, pd.Series) else values.filter(kept)
                for name, values in self.versions.items()
            }
            bulk.copy_in(connection, "incoming_version", incoming)
            for statement in (_OUTCOMES, _NOW_STANDS):
                connection.execute(statement, {"delivery": delivery_id, "appraisal": appraisal})
        of_none = self.findings["claim"].isna()
        some = replace(
            self,
            lines=self.lines[self.lines["claim"].isin(positions)].reset_index(drop=True),
            findings=self.findings[self.findings["claim"].isin(positions) | of_none].reset_index(drop=True),
        )
        some._write_decided(connection, appraisal, version)
        if self.kept is not None and fill(connection, delivery_id, facility, self.kept):
            one_at_a_time(connection)
            note_affected(connection, delivery_id, facility, self.rests_on.get("seen"))
        number = connection.execute("SELECT number FROM appraisal WHERE id = %s", [appraisal]).fetchone()
        return appraisal, int(number[0]) if number else 0

    def _write_appraisal(self, connection: psycopg.Connection[Any], delivery_id: int, actor: str, cause: str) -> int:
        values: dict[str, Any] = {
            "delivery": delivery_id,
            "actor": actor,
            "cause": cause,
            "report_sha256": self.report_sha256,
            "result_sha256": self.digests.whole if self.digests else None,
            "totals": Jsonb(self.totals),
        }
        for name in ("rule_book", "known_at", "received_day"):
            values[name] = self.rests_on.get(name)
        for name in ("contract", "options", "reference", "signature", "history"):
            told = self.rests_on.get(name)
            values[name] = None if told is None else Jsonb(told)
        row = connection.execute(_APPRAISAL, values).fetchone()
        return int(row[0]) if row else 0

    def _write_decided(self, connection: psycopg.Connection[Any], appraisal: int, version: pd.Series[Any]) -> None:
        if len(self.lines):
            columns: dict[str, Any] = {
                "version": self.lines["claim"].map(version),
                "appraisal": pd.Series([appraisal] * len(self.lines), dtype="int64"),
                "xml_table": self.lines["xml_table"],
                "row": self.lines["row"],
            }
            columns |= {name: bulk.money(self.lines[name]) for name in _MONEY}
            bulk.copy_in(connection, "line_outcome", columns)
        found = self.findings
        if not len(found):
            return
        columns = {
            "appraisal": pd.Series([appraisal] * len(found), dtype="int64"),
            "number": pd.Series(range(1, len(found) + 1), dtype="int64"),
            "version": found["claim"].astype("Int64").map(version).astype("Int64"),
            "xml_table": bulk.plain_text(found["table"]),
            "row": found["row"].astype("Int64"),
            "line": found["line"].astype("Int64"),
            "amount_refused": bulk.money(found["amount_refused"].astype("Int64")),
        }
        columns |= {name: bulk.plain_text(found[name]) for name in _FINDING_TEXTS}
        bulk.copy_in(connection, "finding", columns)


def refused_in_structure(findings: pd.DataFrame) -> set[int]:
    """Positions of the claims that a rule of structure refused."""
    if findings.empty:
        return set()
    refusing = findings[(findings["severity"] == REJECT_CLAIM) & findings["claim"].notna()]
    book = catalogue.book()
    structure = refusing["rule"].map(lambda rule: book[rule].stage == catalogue.STRUCTURE)
    return set(refusing.loc[structure.astype("bool"), "claim"].astype("int64"))


def _versions_of(connection: psycopg.Connection[Any], delivery_id: int) -> pd.Series[Any]:
    """Position of each claim of a delivery -> id of its version."""
    ids = connection.execute(
        "SELECT position, id FROM claim_version WHERE delivery = %s ORDER BY position", [delivery_id]
    ).fetchall()
    return pd.Series([row[1] for row in ids], index=[row[0] for row in ids], dtype="Int64")


_APPRAISAL = """
INSERT INTO appraisal (delivery, number, actor, cause, rule_book, contract, options, known_at, reference, received_day,
                       signature, history, report_sha256, result_sha256, totals)
VALUES (%(delivery)s, (SELECT 1 + count(*) FROM appraisal WHERE delivery = %(delivery)s), %(actor)s, %(cause)s,
        %(rule_book)s, %(contract)s, %(options)s, %(known_at)s, %(reference)s, %(received_day)s, %(signature)s,
        %(history)s, %(report_sha256)s, %(result_sha256)s, %(totals)s)
RETURNING id
"""

_INCOMING = """
CREATE TEMPORARY TABLE incoming_version (
    position bigint, ma_lk text, readable boolean, decision text, outcome text, paperless boolean,
    paperless_reasons jsonb, referral_reasons jsonb, requested numeric(18, 2), approved numeric(18, 2),
    refused numeric(18, 2), ngay_vao timestamptz, ngay_ra timestamptz, content_sha256 text, result_sha256 text
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
    delivery, position, claim, ma_lk, sequence, newest, duplicate, readable, decision, ngay_vao, ngay_ra,
    content_sha256, appraisal)
SELECT %(delivery)s, i.position, c.id, i.ma_lk,
       CASE WHEN c.id IS NOT NULL THEN 1 + coalesce(other.earlier, 0) END,
       NOT i.duplicate AND coalesce(other.later, 0) = 0,
       i.duplicate, i.readable, i.decision, i.ngay_vao, i.ngay_ra, i.content_sha256, %(appraisal)s
FROM (
    SELECT *, ma_lk IS NOT NULL AND row_number() OVER (PARTITION BY ma_lk ORDER BY position) > 1 AS duplicate
    FROM incoming_version
) i
LEFT JOIN claim c ON c.facility = %(facility)s AND c.ma_lk = i.ma_lk
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE v.delivery < %(delivery)s) AS earlier,
           count(*) FILTER (WHERE v.delivery > %(delivery)s) AS later
    FROM claim_version v WHERE v.claim = c.id AND NOT v.duplicate
) other ON true
ORDER BY i.position
"""


_OUTCOMES = """
INSERT INTO claim_outcome (version, appraisal, outcome, paperless, paperless_reasons, referral_reasons, requested,
                           approved, refused, result_sha256)
SELECT v.id, %(appraisal)s, i.outcome, i.paperless, i.paperless_reasons, i.referral_reasons, i.requested, i.approved,
       i.refused, i.result_sha256
FROM incoming_version i JOIN claim_version v ON v.delivery = %(delivery)s AND v.position = i.position
ORDER BY v.id
"""

_NOW_STANDS = """
UPDATE claim_version v SET appraisal = %(appraisal)s
FROM incoming_version i WHERE v.delivery = %(delivery)s AND v.position = i.position
"""


def _versions(tables: ClaimTables, outcomes: pd.DataFrame, found: Digests | None) -> dict[str, Any]:
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
        "result_sha256": merged["claim"].map(found.by_claim if found else {}).astype("str"),
    }
    columns |= {name: bulk.money(merged[name].astype("int64")) for name in _MONEY}
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
