"""Everything that imports Airflow: the inbox trigger, assets, the operators of the steps, the local runner."""
