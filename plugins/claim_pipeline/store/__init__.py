"""The database: every delivery, claim version, line, finding and reference row. Nothing else in the product knows SQL.

Light at import: SQLAlchemy and pandas are loaded when a store is opened or used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from claim_pipeline.store.rows import AppraisalRow, DeliveryRow, Drop, Notice, Received, RecentDelivery, Scope

if TYPE_CHECKING:
    from claim_pipeline.store.store import Store

__all__ = ["AppraisalRow", "DeliveryRow", "Drop", "Notice", "Received", "RecentDelivery", "Scope", "open_store"]


def open_store(url: str | None = None) -> Store:
    """The store at this SQLAlchemy URL, its tables brought up to date.

    Without a URL: the one of the settings; without that, the embedded PostgreSQL under the settings' home,
    started if need be. Raises OperatorError if the database cannot be reached.
    """
    from claim_pipeline.settings import settings
    from claim_pipeline.store.store import Store

    url = url or settings().database_url
    if not url:
        from claim_pipeline.store import embedded

        url = embedded.start(settings().home)
    return Store(url)
