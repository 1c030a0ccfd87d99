"""The Airflow plugin of Giamdinh: its pages in the navigation, and a scheduler that has the heavy libraries loaded.

This file is read again in every task process, so it stays light.
"""

from __future__ import annotations

import sys

from airflow.plugins_manager import AirflowPlugin

if "scheduler" in sys.argv:
    # Tasks of the LocalExecutor are forked from the scheduler: what it has loaded they need not load again.
    from claim_airflow.preload import preload

    preload()


class GiamdinhPlugin(AirflowPlugin):
    name = "giamdinh"
