from __future__ import annotations

from importlib import resources

import pytest
import yaml

from claim_rules import catalogue
from claim_rules.fixes import fix

KNOWN = yaml.safe_load(resources.files("claim_rules").joinpath("fixes.yaml").read_text("utf-8"))


def test_every_rule_of_the_book_says_how_to_correct_what_it_finds() -> None:
    """If not: add words for the rule or its family to claim_rules/fixes.yaml."""
    assert [rule for rule in catalogue.book() if fix(rule) is None] == []


def test_words_of_a_rule_come_before_those_of_its_family() -> None:
    assert fix("CARD-008") != fix("CARD-777")
    assert fix("CARD-777") == tuple(KNOWN["families"]["CARD"])
    assert fix("NONE-001") is None


@pytest.mark.parametrize("part", ["families", "rules"])
def test_words_are_two_whole_sentences_or_more(part: str) -> None:
    for name, words in KNOWN[part].items():
        assert len(words) == 2, name
        for text in words:
            assert text.strip() == text, name
            assert text.endswith("."), name
        assert words[0] != words[1], name
