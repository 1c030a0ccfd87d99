"""The pages inside Airflow for officers and auditors."""
