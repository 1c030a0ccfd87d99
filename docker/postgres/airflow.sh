#!/bin/sh
# Once, when the database is made: Airflow's own user and database beside the claims'.
set -eu
psql --set ON_ERROR_STOP=1 --set password="$AIRFLOW_DATABASE_PASSWORD" \
  --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE airflow LOGIN PASSWORD :'password';
CREATE DATABASE airflow OWNER airflow;
REVOKE CONNECT ON DATABASE giamdinh FROM PUBLIC;
SQL
