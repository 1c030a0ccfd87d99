"""The repository itself: arrows between packages, locks, and what must not stand in any file."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")])}

MODULE_ARROWS = {
    # What may be imported of ours by the modules that import-linter does not see (it reads packages only).
    "dags/*.py": {"claim_airflow", "claim_pipeline.steps"},
    "plugins/claims_plugin.py": {"claim_airflow", "claim_desk"},
    "plugins/giamdinh.py": {"claim_pipeline", "claim_rules", "claim_simulator"},
}
OURS = ("claim_rules", "claim_pipeline", "claim_airflow", "claim_desk", "claim_simulator", "claims_plugin", "giamdinh")


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        return ""  # a binary file


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def test_packages_import_only_along_the_arrows():
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("pattern", MODULE_ARROWS)
def test_single_modules_import_only_along_the_arrows(pattern: str):
    allowed = MODULE_ARROWS[pattern]
    wrong = [
        f"{path.name} imports {name}"
        for path in ROOT.glob(pattern)
        for name in imported_modules(path)
        if name.startswith(OURS) and not any(f"{name}.".startswith(f"{root}.") for root in allowed)
    ]
    assert not wrong


def test_every_dependency_is_locked_with_hashes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {"requirements.lock": project["dependencies"]}
    wanted["requirements-dev.lock"] = project["dependencies"] + project["optional-dependencies"]["dev"]
    for lock, requirements in wanted.items():
        entries = re.findall(
            r"^([A-Za-z0-9._-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})*)", text_of(ROOT / lock), re.M
        )
        assert all(hashes for _, _, hashes in entries)
        locked = {canonicalize_name(name): version for name, version, _ in entries}
        for requirement in map(Requirement, requirements):
            version = locked.get(canonicalize_name(requirement.name))
            assert version, f"{requirement.name} is not in {lock}: run make lock"
            assert requirement.specifier.contains(version), f"{lock} has {requirement.name} {version}: run make lock"


def test_the_development_lock_holds_the_runtime_lock():
    lines = [
        set(re.findall(r"^\S+==\S+", text_of(ROOT / name), re.M))
        for name in ("requirements.lock", "requirements-dev.lock")
    ]
    assert lines[0] <= lines[1]


def test_no_file_names_a_package_index_or_a_path_of_one_machine():
    indexes = [
        "py" + "pi.org",
        "files.python" + "hosted",
        "npm" + "js.org",
        "deb." + "debian.org",
        "proxy." + "golang.org",
    ]
    machine = re.compile(r"(?:^|[^\w.])/(?:wo" + r"rk|fa" + r"rm|ro" + r"ot|ho" + r"me)/")
    wrong = []
    for path in tracked_files():
        text = text_of(path)
        wrong += [f"{path.relative_to(ROOT)}: {host}" for host in indexes if host in text]
        wrong += [f"{path.relative_to(ROOT)}: {line}" for line in text.splitlines() if machine.search(line)]
    assert not wrong


def test_pages_load_nothing_from_outside():
    remote = re.compile(r"""(?:src|href)\s*=\s*["'](?:https?:)?//""", re.I)
    pages = [path for path in tracked_files() if path.suffix in {".html", ".j2", ".css", ".js"}]
    assert not [path.name for path in pages if remote.search(text_of(path))]


def test_settings_table_is_current():
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "settings_table.py")],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == text_of(ROOT / "docs" / "settings.md"), "run make settings-table"


def test_links_in_the_guides_lead_somewhere():
    wrong = []
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text_of(path)):
            if "://" not in target and not (path.parent / target).exists():
                wrong.append(f"{path.name}: {target}")
    assert not wrong


def test_make_help_names_the_commands_of_the_readme():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for command in re.findall(r"^    (make \w+)", text_of(ROOT / "README.md"), re.M):
        assert command in shown


def test_every_advisory_lock_of_the_database_has_its_own_number():
    store = ROOT / "plugins" / "claim_pipeline" / "store"
    numbers = [number for path in store.rglob("*.py") for number in re.findall(r"= (7_204_611_\d+)", text_of(path))]
    assert len(numbers) == len(set(numbers)) == 5
