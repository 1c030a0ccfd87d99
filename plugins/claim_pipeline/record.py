"""The step that writes an appraised delivery into the database, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claim_pipeline.store.store import Store
    from claim_pipeline.workspace import Workspace


def run(ws: Workspace, store: Store, delivery_id: int, actor: str = "record") -> None:
    """Records the workspace of an appraised or quarantined delivery; a second run changes nothing.

    Raises OperatorError if the database refuses it.
    """
    store.record(delivery_id, ws, actor)
