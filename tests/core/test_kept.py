"""What a pure function gave, kept at hand: never more than was said, and what is asked again stays."""

from __future__ import annotations

from memos_integrations.core.kept import Kept


def test_what_stands_once_pushes_out_nothing_that_is_asked_again() -> None:
    made: list[str] = []

    def make(asked: str) -> str:
        made.append(asked)
        return asked.upper()

    kept = Kept(make, 8)
    for number in range(100):
        assert kept["often"] == "OFTEN"
        assert kept[f"n{number}"] == f"N{number}"
        assert len(kept) <= 4
    assert made.count("often") == 1
    assert len(made) == 101


def test_what_nobody_asks_for_any_more_is_let_go_of() -> None:
    made: list[int] = []

    def make(asked: int) -> int:
        made.append(asked)
        return asked

    kept = Kept(make, 4)
    for number in [1, *range(10, 20), 1]:
        assert kept[number] == number
    assert made.count(1) == 2
