"""Writes the schemas that are kept beside this module; removes those of tables that are no more."""

from __future__ import annotations

from pathlib import Path

from claim_rules import schemas


def main() -> None:
    """Writes every schema."""
    folder = Path(__file__).parent / "xsd"
    wanted = {folder / f"{name}.xsd": name for name in schemas.names()}
    for old in folder.glob("**/*.xsd"):
        if old not in wanted:
            old.unlink()
    for path, name in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(schemas.generate(name))


if __name__ == "__main__":
    main()
