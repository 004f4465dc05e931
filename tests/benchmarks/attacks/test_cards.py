"""The attack on person cards finds nothing, and would find what it looks for."""

from benchmarks.attacks import cards
from benchmarks.attacks.cards import attack_cards


def test_every_file_is_refused_or_a_card(tmp_path):
    figures = attack_cards(tmp_path, 60, seed=1)
    assert figures["not_allowed"] == []
    assert {kind: sum(outcomes.values()) for kind, outcomes in figures["kinds"].items()} == dict.fromkeys(
        ("mutated", "cut", "header", "many", "bomb", "lying"), 10
    )
    for kind in ("cut", "header", "many", "bomb", "lying"):
        assert figures["kinds"][kind] == {"refused": 10}, kind
    assert figures["memory_ratio"] < 1.1


def test_other_errors_are_counted(tmp_path, monkeypatch):
    class Careless(cards.PersonCard):
        @classmethod
        def load(cls, path):
            raise KeyError(path)

    monkeypatch.setattr(cards, "PersonCard", Careless)
    figures = attack_cards(tmp_path, 6, seed=1)
    assert len(figures["not_allowed"]) == 9 and figures["not_allowed"][0]["error"] == "KeyError"
