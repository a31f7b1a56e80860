"""Pieces of words: what finds compounds and other endings in languages that the stemmer does not know."""

from __future__ import annotations

from memos_integrations import MemOS, Principal
from memos_integrations.core.operator.spelling import as_spelt
from memos_integrations.core.operator.traits import Traits
from memos_integrations.core.text import english, pieces
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
GERMAN = (
    "Der Kaminkehrer kommt erst nach Ostern wieder vorbei",
    "Die Waschmaschine im Keller schleudert nicht mehr",
    "Unser Nachbar verkauft sein altes Fahrrad",
    "Morgen holt Jonas die Kinder von der Schule ab",
)


def test_a_compound_shares_pieces_with_its_parts() -> None:
    assert {"asch", "schi", "chin"} <= pieces("Waschmaschine") & pieces("Maschinen")
    assert pieces("Öl") == {"_ol"}
    assert pieces("修理") == {"_修理", "修", "理"}
    assert not pieces("?!")


def test_english_is_told_by_its_small_words() -> None:
    assert english("The kettle is blue and it was a present from my sister.") > 0.4
    assert english(". ".join(GERMAN)) < 0.1
    assert english("") == 0.0


def test_what_no_word_is_shared_with_is_found_by_its_spelling() -> None:
    with MemOS(InMemoryVault()) as memos:
        for text in GERMAN:
            memos.remember(text, by=ANA)
        hits = memos.recall("Welche Maschinen schleudern?", by=ANA, k=4, needed=True).hits
        assert not hits or hits[0].text == GERMAN[1]
        found = memos.recall("Welche Maschinen im Keller?", by=ANA, k=1, needed=True).hits[0]
        assert found.text == GERMAN[1]
        assert found.parts["pieces"] > 0.0


def test_in_english_it_counts_nothing() -> None:
    with MemOS(InMemoryVault()) as memos:
        cube = memos.remember("The washing machine in the cellar does not spin any more.", by=ANA)
        assert "pieces" not in memos.recall("Which machine is in the cellar?", by=ANA).hits[0].parts
    weights, signals = as_spelt({"context": 0.5, "pieces": 0.3}, [Traits(cube)], "Which machine?")
    assert weights == {"context": 0.5}
    assert not signals
