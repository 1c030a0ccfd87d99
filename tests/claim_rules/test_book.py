from __future__ import annotations

from pathlib import Path

from claim_rules import book, catalogue

DOCS = Path(__file__).parents[2] / "docs"


def test_the_rule_book_in_docs_is_current() -> None:
    """If not: make rule-book."""
    pages = book.documents()
    assert {name: (DOCS / name).read_text("utf-8") for name in pages} == pages
    assert {f"rules/{page.name}" for page in (DOCS / "rules").iterdir()} == set(pages) - {
        "rule-book.md",
        "rule-coverage.md",
    }


def test_every_rule_stands_in_the_book_with_its_cases() -> None:
    text = "".join(book.documents().values())
    assert all(f"## {rule}\n" in text for rule in catalogue.book())
    assert all(
        name.removeprefix("rules/").removesuffix(".md").upper() in book.FAMILIES
        for name in book.documents()
        if "/" in name
    )
    assert "the visit starts the day after the card ends" in text
    assert book.one("CARD-008") is not None
    assert book.one("CARD-999") is None
