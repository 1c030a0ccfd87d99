"""A real PostgreSQL for all tests of the pipeline."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.engine import make_url as parse_url

from claim_pipeline.store import embedded


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="gd-"))
    embedded.start(folder)
    yield folder
    embedded.stop(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def make_url(home: Path) -> Callable[[], str]:
    """Makes a new, empty database."""
    return lambda: embedded.create_database(home, f"test_{uuid4().hex[:12]}")


@pytest.fixture
def url(make_url: Callable[[], str]) -> str:
    return make_url()


@pytest.fixture(scope="session")
def connect() -> Callable[[str], psycopg.Connection[Any]]:
    """Opens a plain connection to a database given by its SQLAlchemy URL."""

    def opened(url: str) -> psycopg.Connection[Any]:
        parts = parse_url(url)
        return psycopg.connect(
            host=str(parts.query["host"]), user=parts.username, dbname=parts.database, autocommit=True
        )

    return opened


@pytest.fixture(scope="session")
def dump(connect: Any) -> Callable[[str], dict[str, list[Any]]]:
    """All claim tables of a database without ids and times, so that two databases can be compared."""
    version = "(SELECT ROW(d.sha256, v.position) FROM claim_version v JOIN delivery d ON d.id = v.delivery"
    queries = {
        "facility": "SELECT code FROM facility",
        "delivery": "SELECT facility, file, sha256, size, archive_key, status, progress, format, declared_claims, "
        "read_claims, reason, recorded_at IS NULL, answer_folder FROM delivery",
        "delivery_event": "SELECT d.sha256, e.status, e.actor, e.inputs, e.outputs, e.detail "
        "FROM delivery_event e JOIN delivery d ON d.id = e.delivery",
        "claim": "SELECT facility, ma_lk, versions FROM claim",
        "appraisal": "SELECT d.sha256, "
        "to_jsonb(a) - 'id' - 'delivery' - 'at' - 'known_at' - 'reference' - 'answered_at' - 'report_sha256' "
        "- 'recorded_in' "
        "FROM appraisal a JOIN delivery d ON d.id = a.delivery",
        "claim_version": "SELECT d.sha256, a.number, "
        "(to_jsonb(v) || to_jsonb(o)) - 'id' - 'delivery' - 'claim' - 'recorded_at' - 'appraisal' - 'version' "
        "FROM claim_version v JOIN delivery d ON d.id = v.delivery JOIN appraisal a ON a.id = v.appraisal "
        "JOIN claim_outcome o ON o.version = v.id AND o.appraisal = v.appraisal",
        "claim_outcome": f"SELECT {version} WHERE v.id = o.version), a.number, to_jsonb(o) - 'version' - 'appraisal' "
        "FROM claim_outcome o JOIN appraisal a ON a.id = o.appraisal",
        "line_outcome": f"SELECT {version} WHERE v.id = o.version), a.number, to_jsonb(o) - 'version' - 'appraisal' "
        "FROM line_outcome o JOIN appraisal a ON a.id = o.appraisal",
        "claim_line": f"SELECT {version} WHERE v.id = l.version), to_jsonb(l) - 'version' FROM claim_line l",
        **{
            name: f"SELECT {version} WHERE v.id = t.version), to_jsonb(t) - 'version' - 'recorded_in' FROM {name} t"
            for name in ("visit", "visit_cost", "visit_person", "visit_device", "visit_bed")
        },
        "finding": f"SELECT {version} WHERE v.id = f.version), a.number, to_jsonb(f) - 'version' - 'appraisal' "
        "FROM finding f JOIN appraisal a ON a.id = f.appraisal",
        "validation_run": "SELECT d.sha256, "
        "to_jsonb(r) - 'delivery' - 'ran_at' - 'recorded_at' - 'record' - 'record_sha256' - 'wall_seconds' "
        "- 'processor_seconds' FROM validation_run r JOIN delivery d ON d.id = r.delivery",
        "validation_month": "SELECT d.sha256, m.month, m.claims FROM validation_month m JOIN delivery d "
        "ON d.id = m.delivery",
        "validation_suite": "SELECT d.sha256, to_jsonb(s) - 'delivery' - 'seconds' FROM validation_suite s "
        "JOIN delivery d ON d.id = s.delivery",
        "validation_result": "SELECT d.sha256, to_jsonb(r) - 'delivery' FROM validation_result r "
        "JOIN delivery d ON d.id = r.delivery",
    }

    def tables(url: str) -> dict[str, list[Any]]:
        with connect(url) as connection:
            return {name: sorted(map(repr, connection.execute(query))) for name, query in queries.items()}

    return tables
