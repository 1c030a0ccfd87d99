"""Loads once what every task of the pipeline would otherwise load for itself (about 5 s of CPU each)."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache

import structlog

LIBRARIES = (
    "great_expectations",
    "jinja2",
    "lxml.etree",
    "pandas",
    "psycopg",
    "pyarrow.acero",
    "pyarrow.csv",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "python_calamine",
    "sqlalchemy",
    "xlsxwriter",
)
PACKAGES = ("claim_rules", "claim_pipeline")
LEFT_OUT = "migrations"  # scripts of alembic, which loads them itself


@cache
def preload() -> None:
    """Imports the libraries and all modules of the steps and rules. What cannot be imported is left to the task that
    needs it, to fail there with its own name and log: the scheduler must start."""
    for name in (*LIBRARIES, *_modules()):
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - see above
            structlog.get_logger(__name__).warning("Not loaded ahead of the tasks", module=name, error=repr(error))


def _modules() -> Iterator[str]:
    for package in PACKAGES:
        yield package
        places = importlib.import_module(package).__path__
        yield from (
            found.name
            for found in pkgutil.walk_packages(places, f"{package}.")
            if LEFT_OUT not in found.name.split(".")
        )
