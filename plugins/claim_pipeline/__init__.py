"""The steps from a hospital's file to a recorded outcome: plain Python, no Airflow."""
