"""Loads once what every task of the pipeline would otherwise load for itself (about 5 s of CPU each)."""

from __future__ import annotations

import importlib

import structlog

LIBRARIES = ("pandas", "pyarrow.parquet", "great_expectations", "lxml.etree", "sqlalchemy", "psycopg")
STEPS = tuple(
    f"claim_pipeline.{step}" for step in ("extract", "transform", "validate", "appraise", "record", "respond", "store")
)


def preload() -> None:
    """Imports the libraries and the steps. One that cannot be imported is left to the task that needs it, to fail there
    with its own name and log; the scheduler must start."""
    for module in (*LIBRARIES, *STEPS):
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - see above
            structlog.get_logger(__name__).warning("Not loaded ahead of the tasks", module=module, error=repr(error))
