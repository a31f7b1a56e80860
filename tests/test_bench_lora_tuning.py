"""Recipes are tuned on nothing that the benchmark or the gates ask, or that is trained."""

from __future__ import annotations

from memos_integrations.backends.lora.everyday import ASKED
from memos_integrations.backends.lora.yardstick import QUESTIONS, RETAINED, UNRELATED
from tests.benchmarks import lora, lora_tuning
from tests.benchmarks.lora_general import GENERAL


def test_what_is_tuned_on_is_asked_nowhere_else() -> None:
    mine = [text.casefold() for text, _ in GENERAL]
    assert len(mine) == len(set(mine)) >= 250
    assert not set(mine) & {text.casefold() for text in (*ASKED, *(text for text, _ in QUESTIONS))}
    assert not {*lora_tuning.TEXTS} & {*RETAINED, *UNRELATED}
    assert not {*lora_tuning.FIRST, *lora_tuning.LAST} & {*lora.FIRST, *lora.LAST}
    values = {value for _, pool, _ in lora_tuning.KINDS.values() for value in pool}
    assert not values & {*lora.CITIES, *lora.PETS}
    forms = {form for _, _, asked in lora_tuning.KINDS.values() for form in asked}
    assert not forms & {form for asked in lora.ASKED.values() for form in asked}
    assert [len(each) for each in lora_tuning.told(1)] == [20, 60]
