"""Migrations of the store (alembic), run by `open_store` under an advisory lock."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, text

HEAD = "0012"
"""The newest revision; a database that has it needs no look at the scripts."""
_LOCK = 7_204_611_001  # any number of our own: one process at a time migrates


def migrate(engine: Engine) -> None:
    """Brings the database to HEAD. Several processes may do so at once; the first does it, the others wait."""
    with engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        connection.commit()
        try:
            if _revision(connection) != HEAD:
                _upgrade(connection)
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
            connection.commit()


def _revision(connection: Connection) -> str | None:
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar() is None:
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
