"""The assets that start our DAGs, and who watches them."""

from __future__ import annotations

from airflow.sdk import Asset, AssetWatcher

from claim_airflow.arrivals import InboxTrigger, ReferenceTrigger
from claim_pipeline.settings import settings

_now = settings()

INBOX = Asset(
    name="claim_inbox",
    uri="claims://inbox",
    group="claims",
    watchers=[
        AssetWatcher(
            name="claim_inbox_watcher",
            trigger=InboxTrigger(
                root=str(_now.inbox_folder.absolute()),
                poll_seconds=_now.poll_seconds,
                settle_seconds=_now.settle_seconds,
            ),
        )
    ],
)
"""Some facility's inbox holds a whole file."""

REFERENCE = Asset(
    name="reference_folder",
    uri="claims://reference",
    group="claims",
    watchers=[
        AssetWatcher(
            name="reference_folder_watcher",
            trigger=ReferenceTrigger(
                root=str(_now.reference_folder.absolute()),
                poll_seconds=_now.poll_seconds,
                settle_seconds=_now.settle_seconds,
            ),
        )
    ],
)
"""The drop folder for reference data holds something new."""

RECEIVED = Asset(name="claims_received", uri="claims://received", group="claims")
"""Deliveries wait to be appraised."""
