from __future__ import annotations

from pathlib import Path

from claim_rules import book, catalogue

DOCS = Path(__file__).parents[2] / "docs"


def test_the_rule_book_in_docs_is_current() -> None:
    """If not: make rule-book."""
    assert (DOCS / "rule-book.md").read_text("utf-8") == book.markdown()


def test_every_rule_stands_in_the_book_with_its_cases() -> None:
    text = book.markdown()
    assert all(f"## {rule}\n" in text for rule in catalogue.book())
    assert "the visit starts the day after the card ends" in text
    assert book.one("CARD-008") is not None
    assert book.one("CARD-999") is None
