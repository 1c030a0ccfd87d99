"""Appraises recorded deliveries again from their archived bytes: to show that an outcome can be reproduced, or what
would change, or to record what changes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd

from claim_pipeline import appraise, difference, faults, histories, results
from claim_pipeline.appraise import Known
from claim_pipeline.errors import OperatorError, Quarantined
from claim_pipeline.store.content import content_hashes
from claim_pipeline.workspace import HISTORY, RESTS_ON, Delivery, Workspace
from claim_rules import catalogue
from claim_rules.contract import Contract
from claim_rules.signature import Signature

if TYPE_CHECKING:
    from claim_pipeline.archive import Archive
    from claim_pipeline.extract.late import Earlier
    from claim_pipeline.reference_used import ReferenceUsed
    from claim_pipeline.store import AppraisalRow, DeliveryRow
    from claim_pipeline.store.appraisals import Decided
    from claim_pipeline.store.store import Store

TIME_ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
RESULT, CLAIMS, RULES = "difference.json", "difference-claims.parquet", "difference-rules.parquet"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Basis:
    """What deliveries are appraised again with. known: which reference data, None for data from a folder that are not
    in the database; supposed: of the law (claim_rules.law.supposed), "": nothing."""

    reference: ReferenceUsed
    known: Known | None
    supposed: str = ""
    folder: dict[str, str] = field(default_factory=dict)  # of data from a folder: file stem -> sha256

    @property
    def only_shown(self) -> bool:
        """Whether nothing that rests on this may be recorded."""
        return bool(self.supposed) or self.known is None

    def key(self, contract: str) -> str:
        """A name for exactly this basis, with the bytes of the contract file."""
        loads = self.known.loads if self.known is not None else self.folder
        told = json.dumps([catalogue.version(), contract, loads, self.supposed], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:12]


@dataclass
class Again:
    """history, earlier: what the rules see of other claims, and what late lines belong to (steps)."""

    store: Store
    archive: Archive
    history: Callable[[int, Workspace], dict[str, pd.DataFrame]]
    earlier: Callable[[DeliveryRow], Earlier]

    # --- from the bytes to a result

    def run(
        self,
        row: DeliveryRow,
        folder: Path,
        used: ReferenceUsed,
        known: Known | None,
        history: dict[str, pd.DataFrame] | None = None,
        contract: Contract | None = None,
        signed: Signature | None = None,
    ) -> Workspace:
        """One delivery from its archived bytes to outcomes, in a new folder. history None: as the database has it now;
        contract, signed None: as the settings say now. Raises Quarantined where it would not be taken now."""
        from claim_pipeline import validate

        ws = self.read(row, folder, used)
        validate.run(ws)
        seen = self.history(row.id, ws) if history is None else history
        appraise.run(ws, used.of(ws.read_tables()), seen, known=known, contract=contract, signed=signed)
        return ws

    def read(self, row: DeliveryRow, folder: Path, used: ReferenceUsed) -> Workspace:
        """One delivery from its archived bytes to claim tables, in a new folder. Raises Quarantined."""
        from claim_pipeline import extract, transform

        shutil.rmtree(folder, ignore_errors=True)
        ws = Workspace(folder)
        self.archive.copy_to(row.archive_key, ws.source)
        ws.delivery = Delivery(
            file=row.file,
            sha256=row.sha256,
            MA_CSKCB=row.facility,
            received_at=row.received_at.astimezone(TIME_ZONE).isoformat(timespec="seconds"),
            inbox_facility=row.facility,
        )
        extract.run(ws, self.earlier(row))
        transform.run(ws, used.of(ws.read_tables()) if ws.has_frame("open-codes") else {})
        return ws

    # --- reproducing

    def reproduce(self, appraisal: AppraisalRow, reference: ReferenceUsed, folder: Path) -> Reproduced:
        """Appraises as then: bytes, history, contract, signature and reference data as they were. reference: as known
        at appraisal.known_at. Raises OperatorError where what is needed was not kept."""
        row = self.store.delivery(appraisal.delivery)
        if appraisal.history is None or appraisal.known_at is None or appraisal.result_sha256 is None:
            raise _not_kept(row.id, appraisal.number)
        aside = folder / HISTORY
        folder.mkdir(parents=True, exist_ok=True)
        self.archive.copy_to(self.archive.key(appraisal.history["sha256"]), aside)
        terms = dict(appraisal.contract or {})
        contract = Contract(
            terms.get("rules") or {},
            terms.get("options") or {},
            tuple(terms.get("payment_methods") or ()),
            tuple(terms.get("mixed_funding") or ()),
        )
        known = Known(appraisal.known_at.isoformat(), appraisal.reference or {})
        ws = self.run(
            row,
            folder / "again",
            reference,
            known,
            histories.read(aside),
            contract,
            Signature(**(appraisal.signature or {})),
        )
        before = self.store.decided(row.id, appraisal.number)
        told = difference.compare(before, difference.of_files(ws), before.claims["claim"])
        mine = before.claims[before.claims["number"] == appraisal.number]
        now = results.of_files(ws)
        stored = results.digests(before.claims, before.lines, before.findings).by_claim
        return Reproduced(
            appraisal=appraisal,
            rule_book=contract.version(),
            result_sha256=now.whole,
            altered=[
                int(claim)
                for claim, digest in zip(mine["claim"], mine["result_sha256"], strict=True)
                if stored[claim] != digest
            ],
            differing=[
                int(claim)
                for claim, digest in zip(mine["claim"], mine["result_sha256"], strict=True)
                if now.by_claim.get(claim) != digest
            ],
            told=told,
        )

    # --- what would change

    def compare(self, delivery_id: int, month: str | None, basis: Basis, run: Path) -> dict[str, Any]:
        """What would change of the claims of a delivery; month (yyyymm): of those of the month alone, else of all that
        no later version replaces.

        The result is kept in the folder of the run, so that a run which was killed goes on where it was; what changes
        keeps its whole working folder for `write`.
        """
        folder = run / str(delivery_id)
        last = self.store.appraisals(delivery_id)[-1].number
        kept = _read(folder)
        if kept is not None and kept["after"] == last:
            return kept
        row = self.store.delivery(delivery_id)
        before = self.store.decided(delivery_id)
        told: dict[str, Any] = {"delivery": delivery_id, "facility": row.facility, "after": last, "problem": None}
        open_ones = before.claims[before.claims["counts"] & ~closed(before.claims)]
        mine = open_ones if month is None else open_ones[open_ones["month"] == month]
        told["closed"] = int((before.claims["counts"] & closed(before.claims)).sum())
        try:
            ws = self.run(row, folder, basis.reference, basis.known)
        except Quarantined as error:
            told |= {"problem": error.code, "changed": [], "reworded": 0, "recomputed": 0}
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            _write(folder, told)
            return told
        if len(ws.read_frame("claim_outcomes")) != len(before.claims):
            told |= {"problem": "claims-differ", "changed": [], "reworded": 0, "recomputed": 0}
            _write(folder, told)
            return told
        # what we computed for the facility (an export without amounts) may come out otherwise: then it asks for another
        # amount, and that is for the facility to do
        sent = dict(zip(before.claims["claim"], before.claims["content_sha256"], strict=True))
        tables = ws.read_tables()
        read = dict(zip(tables.claims["claim"], content_hashes(tables), strict=True))
        other = {claim for claim in mine["claim"] if read.get(claim) != sent[claim]}
        left = set() if basis.only_shown else other
        found = difference.compare(before, difference.of_files(ws), set(mine["claim"]) - left)
        told |= {"changed": sorted(found.changed), "reworded": found.reworded, "recomputed": len(other)}
        told["failed_rules"] = ws.read_json(RESTS_ON)["failed"]
        claims = found.claims.assign(MA_CSKCB=row.facility, delivery=delivery_id)
        claims.to_parquet(folder / CLAIMS, index=False)
        found.rules.to_parquet(folder / RULES)
        if not found.changed:
            for path in folder.iterdir():
                if path.is_dir():  # a large frame
                    shutil.rmtree(path)
                elif path.name not in (CLAIMS, RULES):
                    path.unlink()
        faults.point("again:compared")
        _write(folder, told)
        return told

    def write(self, delivery_id: int, month: str | None, basis: Basis, run: Path, actor: str, cause: str) -> int | None:
        """Records what changes of a delivery as a new appraisal, and gives its number; None where nothing does. A
        second call finds nothing that changes."""
        if basis.only_shown:
            raise ValueError("what rests on a supposition is not recorded")
        while True:
            told = self.compare(delivery_id, month, basis, run)
            tell_failed_rules(self.store, delivery_id, told["facility"], told.get("failed_rules", []))
            if not told["changed"]:
                return None
            ws = Workspace(run / str(delivery_id))
            before = self.store.decided(delivery_id)
            number = told["after"] + 1
            shown = standing_report(json.loads(ws.report.read_text("utf-8")), ws, before, set(told["changed"]))
            shown["appraisal"] = {
                "number": number,
                "cause": cause,
                "replaces": (self.store.answer_folder(delivery_id) or "").rpartition("/")[2] or None,
                "changed_claims": len(told["changed"]),
            }
            _replace(ws.report, json.dumps(shown, ensure_ascii=False, indent=1) + "\n")
            self.archive.keep(ws.report)
            if (ws.folder / HISTORY).exists():
                self.archive.keep(ws.folder / HISTORY)
            faults.point("again:kept")
            made = self.store.record_again(delivery_id, ws, actor, cause, set(told["changed"]), told["after"])
            if made is not None:
                faults.point("again:recorded")
                shutil.rmtree(ws.folder)
                return made
            shutil.rmtree(ws.folder)  # another was recorded meanwhile: compare with that

    # --- telling the facility

    def answer(self, outbox: Path, actor: str) -> int:
        """Answers every later appraisal that the facility was not told of; returns how many. Also after a kill: what
        is told lies in the archive and in the database."""
        waiting = self.store.to_answer_again()
        done = 0
        with self.store.working_on(sorted({appraisal.delivery for appraisal in waiting})) as mine:
            for appraisal in waiting:
                if appraisal.delivery in mine:
                    self._answer(appraisal, outbox, actor)
                    done += 1
        return done

    def _answer(self, appraisal: AppraisalRow, outbox: Path, actor: str) -> None:
        from claim_pipeline import respond

        row = self.store.delivery(appraisal.delivery)
        with tempfile.TemporaryDirectory(prefix="giamdinh-") as folder:
            report = Path(folder) / "report.json"
            self.archive.copy_to(self.archive.key(appraisal.report_sha256 or ""), report)
            place = respond.again(row.answer_folder or "", appraisal.number, report, self.changed_by(appraisal), outbox)
        faults.point("again:answered")
        self.store.answered_again(appraisal.id, place, actor)

    def changed_by(self, appraisal: AppraisalRow) -> dict[str, Any]:
        """The difference report of a later appraisal: what it changed of what stood before it."""
        before = self.store.decided(appraisal.delivery, appraisal.number - 1)
        after = self.store.decided(appraisal.delivery, appraisal.number)
        positions = after.claims.loc[after.claims["number"] == appraisal.number, "claim"]
        found = difference.compare(before, after, positions)
        facility = self.store.delivery(appraisal.delivery).facility
        about: dict[str, Any] = {
            "made_at": appraisal.at.isoformat(timespec="seconds"),
            "month": None,
            "facility": facility,
            "dry_run": False,
            "cause": appraisal.cause,
            "rule_book": appraisal.rule_book,
            "what_if": None,
            "deliveries": 1,
            "problems": [],
            **dict.fromkeys(("closed_claims", "reworded_claims", "recomputed_claims"), 0),
        }
        return difference.report(
            about, found.claims.assign(MA_CSKCB=facility, delivery=appraisal.delivery), found.rules
        )


def tell_failed_rules(store: Store, delivery: int, facility: str, failed: list[dict[str, str]]) -> None:
    """Notes for the operator the rules that could not run: their claims are referred, and somebody must see to it."""
    if failed:
        rules = ", ".join(entry["rule"] for entry in failed)
        said = {
            "message_vi": f"Quy tắc {rules} không chạy được trên lô {delivery}; hồ sơ liên quan chuyển người xem xét. "
            "Xem nhật ký bước appraise, sửa nguyên nhân rồi chạy giamdinh reappraise.",
            "message_en": f"Rules {rules} could not run on delivery {delivery}; their claims are referred. "
            "See the log of the step appraise, mend the cause, then run giamdinh reappraise.",
        }
        store.notice("rule-error", facility, f"#{delivery}", {"delivery": delivery, "failed": failed} | said)


@dataclass(frozen=True)
class Reproduced:
    """What came of doing an appraisal again. rule_book: the version that did it; altered: positions of claims whose
    rows in the database no longer have the fingerprint that was recorded; differing: of those that came out otherwise;
    told: what is different."""

    appraisal: AppraisalRow
    rule_book: str
    result_sha256: str
    altered: list[int]
    differing: list[int]
    told: difference.Difference

    @property
    def same(self) -> bool:
        """Bit for bit what was recorded."""
        return self.result_sha256 == self.appraisal.result_sha256 and not self.altered and not self.differing

    def text(self) -> str:
        """For people: Vietnamese, then English."""
        one = self.appraisal
        at = f"{one.at:%d/%m/%Y %H:%M}"
        not_vi = "" if self.same else "KHÔNG "
        vi = [f"Lô {one.delivery}, giám định lần {one.number}, ghi lúc {at}: {not_vi}tái lập được từng bit."]
        en = [
            f"Delivery {one.delivery}, appraisal {one.number}, recorded {one.at:%Y-%m-%d %H:%M}: "
            f"{'reproduced bit for bit' if self.same else 'NOT reproduced'}."
        ]
        vi.append(f"sha256 đã ghi {one.result_sha256}\nsha256 tái lập {self.result_sha256}")
        en.append(f"sha256 recorded {one.result_sha256}\nsha256 now      {self.result_sha256}")
        if self.rule_book != one.rule_book:
            vi.append(f"Bộ quy tắc khi đó {one.rule_book}, hiện nay {self.rule_book}: mã nguồn cũ không được lưu.")
            en.append(f"The rule book was {one.rule_book}, now it is {self.rule_book}: old code is not kept.")
        if self.altered:
            places = ", ".join(str(claim + 1) for claim in self.altered)
            vi.append(f"Dòng trong cơ sở dữ liệu đã bị sửa: hồ sơ thứ {places}.")
            en.append(f"Rows in the database were altered: claims no. {places}.")
        for row in self.as_json()["changed"]:
            moves = " ".join([*(f"+{rule}" for rule in row["gained"]), *(f"-{rule}" for rule in row["lost"])])
            line = f"#{row['position']}: {row['before']['outcome']} {row['before']['approved']} -> "
            vi.append(f"{line}{row['after']['outcome']} {row['after']['approved']} {moves}".rstrip())
        if self.differing and not len(self.told.changed):
            vi.append(f"Chỉ khác lời văn: {len(self.differing)} hồ sơ.")
            en.append(f"Only words differ: {len(self.differing)} claims.")
        return "\n".join([*vi, "", *en])

    def as_json(self) -> dict[str, Any]:
        """For software: no personal data."""
        changed = self.told.claims[self.told.claims["changed"]]
        return {
            "schema": "giamdinh.reproduction/1",
            "delivery": self.appraisal.delivery,
            "appraisal": self.appraisal.number,
            "at": self.appraisal.at.isoformat(),
            "known_at": self.appraisal.known_at.isoformat() if self.appraisal.known_at else None,
            "reference": self.appraisal.reference,
            "rule_book_recorded": self.appraisal.rule_book,
            "rule_book": self.rule_book,
            "same_rule_book": self.rule_book == self.appraisal.rule_book,
            "result_sha256_recorded": self.appraisal.result_sha256,
            "result_sha256": self.result_sha256,
            "same": self.same,
            "altered_claims": [claim + 1 for claim in self.altered],
            "differing_claims": [claim + 1 for claim in self.differing],
            "changed": difference.report(
                {}, changed.assign(MA_CSKCB="", delivery=self.appraisal.delivery), self.told.rules
            )["claims"],
        }


def closed(claims: pd.DataFrame) -> pd.Series:
    """Which claims lie in a month whose settlement is closed: nothing changes them any more (bool, aligned).

    Settlement is not there yet, so none does; it is to answer here, and nothing else needs to change.
    """
    return pd.Series(False, index=claims.index)


def standing_report(report: dict[str, Any], ws: Workspace, before: Decided, changed: Collection[int]) -> dict[str, Any]:
    """The report of an appraisal of which only the claims at these positions count; of the others it shows what
    stands."""
    now = results.of_files(ws).by_claim
    recorded = dict(zip(before.claims["claim"], before.claims["result_sha256"], strict=True))
    kept = [claim for claim in recorded if claim not in changed and now.get(claim) != recorded[claim]]
    if kept:
        of = before.claims["claim"].isin(kept)
        entries = appraise.claim_entries(
            before.claims[of],
            before.lines[before.lines["claim"].isin(kept)],
            before.findings[before.findings["claim"].isin(kept)],
        )
        places = list(ws.read_frame("claim_outcomes")["claim"])
        for claim, entry in zip(before.claims.loc[of, "claim"], entries, strict=True):
            report["claims"][places.index(claim)] = entry
        report["totals"] = appraise.totals_of(report["claims"])
    return report


def out_of(run: Path, deliveries: list[int], about: dict[str, Any]) -> dict[str, Any]:
    """The difference report over the deliveries of a run."""
    claims, rules, problems = [_NOTHING], [], []
    counts = dict.fromkeys(("closed", "reworded", "recomputed"), 0)
    for delivery in deliveries:
        folder = run / str(delivery)
        told = _read(folder)
        if told is None or told["problem"]:
            problems.append({"delivery": delivery, "problem": told["problem"] if told else "not-compared"})
            continue
        for name in counts:
            counts[name] += told[name]
        claims.append(pd.read_parquet(folder / CLAIMS))
        rules.append(pd.read_parquet(folder / RULES))
    head = (
        about
        | {
            "deliveries": len(deliveries),
            "problems": problems,
        }
        | {f"{name}_claims": count for name, count in counts.items()}
    )
    return difference.report(
        head,
        pd.concat(claims, ignore_index=True),
        pd.concat(rules) if rules else pd.DataFrame(columns=list(difference.RULE_COLUMNS)),
    )


_NOTHING = pd.DataFrame(
    {name: pd.Series([], dtype="int64") for name in ("claim", "delivery")}
    | {name: pd.Series([], dtype="str") for name in ("MA_LK", "MA_CSKCB", "gained", "lost")}
    | {f"outcome_{when}": pd.Series([], dtype="str") for when in ("before", "after")}
    | {f"{name}_{when}": pd.Series([], dtype="int64") for name in difference.MONEY for when in ("before", "after")}
    | {"changed": pd.Series([], dtype="bool")}
)


def _read(folder: Path) -> dict[str, Any] | None:
    try:
        told: dict[str, Any] = json.loads((folder / RESULT).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return told


def _write(folder: Path, told: dict[str, Any]) -> None:
    _replace(folder / RESULT, json.dumps(told))


def _replace(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(text, "utf-8")
    os.replace(aside, path)


def _not_kept(delivery: int, number: int) -> OperatorError:
    return OperatorError(
        "not-kept",
        f"Lô {delivery}, giám định lần {number}: dữ liệu làm căn cứ không được lưu (ghi bằng phiên bản cũ)",
        f"delivery {delivery}, appraisal {number}: what it rested on was not kept (recorded by an older version)",
        "Không thể tái lập; các lần giám định mới đều lưu đủ căn cứ",
        "it cannot be reproduced; new appraisals keep all they rest on",
    )
