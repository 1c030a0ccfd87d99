"""The working folder of one delivery: what the steps hand to each other, as files named by the delivery."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from claim_pipeline import table_files
from claim_rules.frames import ClaimTables, empty_claims
from claim_rules.versions import OLDEST, in_newer_terms

RESTS_ON = "rests-on.json"
"""What the appraisal in the folder rests on beside the claims (appraise.run)."""
HISTORY = "history.zip"
"""The frames of other claims that it was given."""
VISIT_COSTS = "visit_costs"
"""What each claim costs (claim_rules.episodes.visit_costs)."""


@dataclass
class Delivery:
    """What is known of one delivery; the `delivery` object of the report comes from here.

    status: "received", "extracted", "transformed", "validated", "appraised", "recorded", "answered" or
    "quarantined" (then reason has code, message_vi, message_en). received_at: ISO 8601 with zone.
    MA_CSKCB: facility of the inbox; without one (giamdinh check) the envelope's.
    """

    file: str
    sha256: str
    MA_CSKCB: str | None = None
    format: str | None = None
    received_at: str | None = None
    declared_claims: int | None = None
    read_claims: int | None = None
    status: str = "received"
    reason: dict[str, str] | None = None
    inbox_facility: str | None = None  # the inbox it came through; None in giamdinh check
    created_on: str | None = None  # NGAYLAP of the envelope, as sent
    signed: bool = False  # CHUKYDONVI has content
    unknown_columns: list[str] | None = None  # headers that the mapping profile does not know
    reading: dict[str, Any] | None = None  # of an export: its mapping profile, sheets, encodings, codes put right


class Workspace:
    """Files of one delivery under one folder. Every write is atomic (written aside, then renamed), so a
    step that is killed and run again leaves the same files."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def source(self) -> Path:
        """The delivery's bytes as received."""
        return self.folder / "source"

    @property
    def submission(self) -> Path:
        """The claim XML that stands for this delivery."""
        return self.folder / "submission.xml"

    @property
    def report(self) -> Path:
        return self.folder / "report.json"

    @property
    def delivery(self) -> Delivery:
        known = {f.name for f in fields(Delivery)}
        data = json.loads((self.folder / "delivery.json").read_text("utf-8"))
        return Delivery(**{name: value for name, value in data.items() if name in known})

    @delivery.setter
    def delivery(self, value: Delivery) -> None:
        self.write_json("delivery.json", asdict(value))

    def write_json(self, name: str, value: Any) -> None:
        aside = self.folder / f".{name}.part"
        aside.write_text(json.dumps(value, ensure_ascii=False, indent=1), "utf-8")
        os.replace(aside, self.folder / name)

    def read_json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text("utf-8"))

    def write_frame(self, name: str, frame: pd.DataFrame) -> None:
        """Writes one frame as `<name>.parquet` (a folder of files where `table_files.FrameFile` wrote a large one)."""
        aside = self.folder / f".{name}.parquet.part"
        table_files.remove(aside)
        frame.to_parquet(aside, index=False)
        table_files.put(aside, self.folder / f"{name}.parquet")

    def read_frame(self, name: str) -> pd.DataFrame:
        return table_files.read(self.folder / f"{name}.parquet")

    def remove_frame(self, name: str) -> None:
        table_files.remove(self.folder / f"{name}.parquet")

    def has_frame(self, name: str) -> bool:
        return (self.folder / f"{name}.parquet").exists()

    def write_tables(self, tables: ClaimTables) -> None:
        """The claim tables: claims.parquet, unknown.parquet and one file per table present; replaces earlier ones."""
        for old in self.folder.glob("XML*.parquet"):
            if old.stem not in tables.tables:
                table_files.remove(old)
        for name, frame in tables.items():
            self.write_frame(name, frame)
        self.write_frame("unknown", tables.unknown)
        self.write_frame("claims", tables.claims)

    def read_tables(self) -> ClaimTables:
        """The claim tables, claims of Decision 4210 with the elements and codes of the newer decisions
        (claim_rules.versions); the files hold them as they were sent, and so the dictionary check sees them."""
        if not self.has_frame("claims"):
            return ClaimTables(empty_claims())
        frames = {name: self.read_frame(name) for name in self._present()}
        return in_newer_terms(ClaimTables(self.read_frame("claims"), frames, self.read_frame("unknown")))

    def chunks(self, claims: int = 2_000, *, as_sent: bool = False) -> Iterator[ClaimTables]:
        """What `read_tables` gives, so many claims at a time in order of their position; memory does not grow with
        their number. Positions (`claim`) stay those of the delivery; a table that no claim of a chunk has is absent
        from it. Nothing where there are no claims. as_sent: claims of Decision 4210 as they are in the files."""
        if not self.has_frame("claims"):
            return
        every = self.read_frame("claims")
        mixed = not as_sent and bool(every["decision"].eq(OLDEST).any())
        with ExitStack() as opened:
            rows = {
                name: opened.enter_context(closing(table_files.RowsByClaim(self.folder / f"{name}.parquet")))
                for name in (*self._present(), "unknown")
            }
            for start in range(0, len(every), claims):
                some = every.iloc[start : start + claims].reset_index(drop=True)
                end = int(some["claim"].iloc[-1]) + 1
                frames = {name: one.before(end) for name, one in rows.items()}
                unknown = frames.pop("unknown")
                chunk = ClaimTables(some, {name: frame for name, frame in frames.items() if len(frame)}, unknown)
                yield in_newer_terms(chunk, throughout=True) if mixed else chunk

    def _present(self) -> list[str]:
        """Claim tables of which there is a file, in their order."""
        return [path.stem for path in sorted(self.folder.glob("XML*.parquet"), key=lambda path: int(path.stem[3:]))]

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
