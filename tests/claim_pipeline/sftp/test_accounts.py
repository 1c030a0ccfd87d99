"""Accounts of the SFTP server: made by the command, hashed, read again when the file changes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from claim_pipeline.errors import OperatorError
from claim_pipeline.settings import settings
from claim_pipeline.sftp.accounts import Accounts, hash_password, matches
from giamdinh import app


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GIAMDINH_HOME", str(tmp_path))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def test_a_password_matches_its_own_hash_alone():
    hashed = hash_password("mật khẩu dài")
    assert matches("mật khẩu dài", hashed)
    assert not matches("mật khẩu dai", hashed)
    assert not matches("", "")
    assert not matches("x", "x")
    assert hashed != hash_password("mật khẩu dài")


def test_the_command_prints_a_password_once_and_keeps_only_its_hash(home: Path):
    run = CliRunner().invoke
    made = run(app, ["sftp", "add", "01004"])
    assert made.exit_code == 0
    password = made.stdout.strip().splitlines()[-1]
    path = home / "sftp" / "accounts.yaml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert password not in path.read_text("utf-8")
    account = Accounts(path).get("01004")
    assert account is not None
    assert matches(password, account.password)
    assert "01004\tmật khẩu · password\t0" in run(app, ["sftp", "list"]).stdout
    assert run(app, ["sftp", "remove", "01004"]).exit_code == 0
    assert run(app, ["sftp", "remove", "01004"]).exit_code == 2
    assert run(app, ["sftp", "add", "../etc"]).exit_code == 2


def test_a_key_is_added_without_the_comment_that_names_a_person(home: Path, tmp_path: Path):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "nguyen.van.mau", "-f", str(key)], check=True)
    run = CliRunner().invoke
    assert run(app, ["sftp", "add", "27001", "--key", f"{key}.pub"]).exit_code == 0
    assert run(app, ["sftp", "add", "27001", "--key", str(tmp_path / "absent.pub")]).exit_code == 2
    (tmp_path / "no-key.pub").write_text("hello")
    assert run(app, ["sftp", "add", "27001", "--key", str(tmp_path / "no-key.pub")]).exit_code == 2
    text = (home / "sftp" / "accounts.yaml").read_text("utf-8")
    assert "ssh-ed25519 AAAA" in text
    assert "nguyen" not in text
    account = Accounts(home / "sftp" / "accounts.yaml").get("27001")
    assert account is not None
    assert account.password == ""


def test_a_change_of_the_file_counts_at_once(tmp_path: Path):
    path = tmp_path / "accounts.yaml"
    accounts = Accounts(path)
    assert accounts.get("01004") is None
    path.write_text(f"01004:\n  password: {hash_password('a')}\n")
    assert accounts.get("01004") is not None
    Accounts(path).put("27001", password="b")
    assert set(accounts.all()) == {"01004", "27001"}
    path.unlink()
    assert accounts.all() == {}


@pytest.mark.parametrize(
    "text", ["[", "a list", "- 1", "'27001': text", "'27001': {secret: x}", "'27001': {password: plain}", "'2700': {}",
             "'27001': {keys: text}"],
)  # fmt: skip
def test_a_file_that_is_not_as_it_should_be_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "accounts.yaml"
    path.write_text(text)
    with pytest.raises(OperatorError, match="accounts"):
        Accounts(path).all()
