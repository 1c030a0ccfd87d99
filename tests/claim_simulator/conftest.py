"""Simulations that several tests look at, and a plain reader of their claim XML."""

from __future__ import annotations

import base64
import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from claim_simulator import Summary, simulate

Rows = dict[str, list[dict[str, str]]]
"""Claim table -> its rows as element -> text."""


def _claims(path: Path) -> list[Rows]:
    out = []
    for hoso in etree.parse(str(path)).iterfind(".//HOSO"):
        claim: Rows = {}
        for document in hoso.iterfind("FILEHOSO"):
            root = etree.fromstring(base64.b64decode(document.findtext("NOIDUNGFILE")))
            rows = [root] if len(root) > 1 else list(root[0])
            claim[document.findtext("LOAIHOSO")] = [{field.tag: field.text or "" for field in row} for row in rows]
        out.append(claim)
    return out


@pytest.fixture(scope="session")
def read_claims() -> Callable[[Path], list[Rows]]:
    """Reads all claims of a claim XML file, decoding base64 and nothing more."""
    return _claims


@pytest.fixture(scope="session")
def read_csv() -> Callable[[Path], list[dict[str, str]]]:
    def read(path: Path) -> list[dict[str, str]]:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    return read


@pytest.fixture(scope="session")
def faultless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six facilities without a fault, in the month in which salary and service prices rise."""
    out = tmp_path_factory.mktemp("faultless")
    simulate(facilities=6, claims=70, month="202607", fault_rate=0, seed=5, out=out)
    return out


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    """Six facilities with many faults, and what the simulator says of them."""
    out = tmp_path_factory.mktemp("faulty")
    return out, simulate(facilities=6, claims=120, month="202607", fault_rate=0.5, seed=3, out=out)
