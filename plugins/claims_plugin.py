"""The Airflow plugin of Giamdinh: its pages in the navigation, and a scheduler that has the heavy libraries loaded.

This file is read again in every task process, so it stays light.
"""

from __future__ import annotations

import sys

from airflow.plugins_manager import AirflowPlugin

from claim_airflow.preload import preload
from claim_desk import URL_PREFIX, desk

if "scheduler" in sys.argv:
    # Tasks of the LocalExecutor are forked from the scheduler: what it has loaded they need not load again. They read
    # this file once more, but `preload` knows that it was done.
    preload()


class GiamdinhPlugin(AirflowPlugin):
    name = "giamdinh"
    fastapi_apps = [{"name": "claim_desk", "app": desk, "url_prefix": URL_PREFIX}]  # noqa: RUF012 - as Airflow declares it
    external_views = [  # noqa: RUF012
        {"name": "Giám định", "href": f"{URL_PREFIX}/", "destination": "nav", "url_route": "giamdinh"}
    ]
