"""The contract file of the settings: what differs for which facility (claim_rules.contract)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from claim_pipeline.errors import OperatorError
from claim_pipeline.settings import settings

if TYPE_CHECKING:
    from claim_rules.contract import Contract, Contracts


def terms(facility: str | None) -> Contract:
    """The contract with a facility; without a contract file, or of a facility that it does not name, the default.

    Raises OperatorError for a file that cannot be read or names what does not exist.
    """
    from claim_rules.contract import Contract

    path = settings().contract
    if path is None:
        return Contract()
    try:
        return _read(path, path.stat().st_mtime_ns).of(facility)
    except (OSError, ValueError) as error:
        raise OperatorError(
            "bad-contract",
            f"Tệp hợp đồng {path} không dùng được: {error}.",
            f"The contract file {path} cannot be used: {error}.",
        ) from None


@cache
def _read(path: Path, _changed: int) -> Contracts:
    import yaml

    from claim_rules.contract import read

    try:
        return read(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        raise ValueError(f"no YAML{f', line {place.line + 1}' if place else ''}") from None
