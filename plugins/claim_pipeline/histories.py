"""Frames of other claims as one file, so that an appraisal which looked at them can be done again."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd

SNAPSHOT = "snapshot"
"""Frame of one cell beside the frames of other claims: which transactions of the database they show (pg_snapshot). No
rule looks at it, and it is not kept with them."""


def write(path: Path, frames: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """Writes the frames as a zip of Parquet files, at once or not at all; the same frames give the same bytes.

    Returns what tells of it without its content: sha256 of the file, rows of each frame.
    """
    aside = path.with_name(f".{path.name}.part")
    with zipfile.ZipFile(aside, "w") as archive:
        for name, frame in sorted(frames.items()):
            buffer = io.BytesIO()
            frame.to_parquet(buffer)
            archive.writestr(zipfile.ZipInfo(f"{name}.parquet"), buffer.getvalue())
    with aside.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    os.replace(aside, path)
    return {"sha256": digest, "rows": {name: len(frame) for name, frame in sorted(frames.items())}}


def read(path: Path) -> dict[str, pd.DataFrame]:
    """The frames that `write` wrote."""
    with zipfile.ZipFile(path) as archive:
        return {
            name.removesuffix(".parquet"): pd.read_parquet(io.BytesIO(archive.read(name)))
            for name in archive.namelist()
        }
