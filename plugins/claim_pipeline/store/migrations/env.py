"""Alembic's entry: runs the migrations on the connection that `migrate` hands over, or on GIAMDINH_DATABASE_URL."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine

from claim_pipeline.store.models import Base

connection = context.config.attributes.get("connection")
if connection is None:
    from claim_pipeline.settings import settings

    connection = create_engine(settings().database_url).connect()
context.configure(connection=connection, target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
