"""docker-compose.yml: accepted by docker-compose, without any default password, and running what `make up` runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from claim_airflow import local

ROOT = Path(__file__).parents[1]
SECRETS = (
    "GIAMDINH_DATABASE_PASSWORD",
    "AIRFLOW_DATABASE_PASSWORD",
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_SECRET_KEY",
    "AIRFLOW_JWT_SECRET",
)
# What differs on purpose between a laptop and production: where things lie, and who signs in how.
OWN_OF_A_LAPTOP = {
    "PYTHONPATH",
    "PYTHONUNBUFFERED",
    "AIRFLOW__API__HOST",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
}
OWN_OF_PRODUCTION = {"AIRFLOW__CORE__AUTH_MANAGER"}


def config(tmp_path: Path, values: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = shutil.which("docker-compose")
    assert command, "docker-compose is missing; scripts/install_test_packages.sh (run by make test) brings it"
    env_file = tmp_path / "env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    arguments = [command, "--file", str(ROOT / "docker-compose.yml"), "--env-file", str(env_file), "config"]
    return subprocess.run(arguments, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)


@pytest.fixture
def compose(tmp_path: Path) -> dict[str, Any]:
    done = config(tmp_path, {name: f"secret-{name.lower()}" for name in SECRETS})
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


@pytest.mark.parametrize("missing", SECRETS)
def test_every_secret_must_be_given(tmp_path: Path, missing: str):
    done = config(tmp_path, {name: "" if name == missing else "x" for name in SECRETS})
    assert done.returncode != 0
    assert missing in done.stderr


def test_the_example_names_every_secret_and_holds_none():
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert given == dict.fromkeys(SECRETS, "")


def test_the_processes_are_those_of_make_up(compose: dict[str, Any]):
    services = compose["services"]
    for name, arguments in local.COMPONENTS.items():
        assert services[name]["command"] == ["airflow", *arguments]
    assert services["migrate"]["command"] == ["python", "-m", *local.PREPARE]


def test_the_settings_are_those_of_make_up(compose: dict[str, Any], tmp_path: Path):
    here = local.environment(tmp_path, port=8080, claims_url="", airflow_url="")
    names = {name for name in here if name.startswith(("AIRFLOW", "GIAMDINH", "GX_", "SCARF"))}
    there = set(compose["services"]["scheduler"]["environment"])
    assert names - there <= OWN_OF_A_LAPTOP
    assert there - set(here) <= OWN_OF_PRODUCTION


def test_every_lasting_service_is_watched_and_keeps_its_files_in_volumes(compose: dict[str, Any]):
    for name, service in compose["services"].items():
        if service["restart"] != "no":
            assert service["healthcheck"]["test"], name
    mounted = {volume.split(":")[1] for volume in compose["services"]["scheduler"]["volumes"]}
    assert {f"/var/lib/giamdinh/{name}" for name in ("inbox", "outbox", "archive", "reference", "data-docs")} <= mounted


def test_nothing_listens_to_the_outside_but_pages_and_sftp(compose: dict[str, Any]):
    listening = {name: service["ports"] for name, service in compose["services"].items() if service.get("ports")}
    assert listening.pop("api-server") == ["127.0.0.1:8080:8080/tcp"]
    [[port]] = listening.values()
    assert list(listening) == ["sftp"]
    assert port in ("2222:2222/tcp", {"published": 2222, "target": 2222})  # as docker-compose says it, by version


def test_the_door_for_hospitals_knows_no_secret_and_cannot_write_answers(compose: dict[str, Any]):
    door = compose["services"]["sftp"]
    assert not [value for value in door["environment"].values() if "secret-" in str(value)]
    assert not set(door["environment"]) & set(SECRETS)
    mounts = {volume.split(":")[1]: volume for volume in door["volumes"]}
    assert mounts["/var/lib/giamdinh/outbox"].endswith(":ro")
    assert {Path(place).name for place in mounts} == {"inbox", "outbox", "sftp"}
    assert door["read_only"] is True
    assert door["command"][-1] == "sftp"
