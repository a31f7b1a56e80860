"""The half of `VaultContract` that is about finding: visibility, filters, exact scores."""

# ruff: noqa: D102 - the names of the tests are the promises

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from memos_integrations.core.cube import (
    ActivationPayload,
    BlobRef,
    CubeRef,
    Link,
    ModelFingerprint,
    Relation,
    State,
    Tier,
)
from memos_integrations.core.errors import EmbedderMismatchError, EmbeddingError
from memos_integrations.core.ports import CubeFilter, EmbedderIdentity, Erase, Move, PutVector, Vault, VaultQuery
from memos_integrations.core.ranking import around
from memos_integrations.testing.cubes import (
    EMBEDDER,
    NOW,
    asked,
    cube,
    days,
    revised,
    seen_by,
    stored,
    submit,
    texts,
    unit,
)

ANY: dict[str, Any] = {"states": frozenset(), "tiers": frozenset()}

MERGED: dict[str, Any] = {
    "derived_from": (CubeRef(id="source", version=1),),
    "links": (Link(relation=Relation.MERGED_FROM, target="source"),),
}
"""Fields of a cube that was merged by hand."""

CASES: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"namespace": ("acme", "a")}, {"namespace": ("acme", "a")}, True),
    ({"namespace": ("acme", "a", "b")}, {"namespace": ("acme", "a")}, True),
    ({"namespace": ("acme", "ab")}, {"namespace": ("acme", "a")}, False),
    ({"namespace": ("acme",)}, {"namespace": ("acme", "a")}, False),
    ({"namespace": ("acme", "axb")}, {"namespace": ("acme", "a_b")}, False),
    ({"namespace": ("acme", "axb")}, {"namespace": ("acme", "a%b")}, False),
    ({"namespace": ("acme", "a/b")}, {"namespace": ("acme", "a", "b")}, False),
    ({"namespace": ("acme", "a.b", "%")}, {"namespace": ("acme", "a.b", "%")}, True),
    ({"semantic_type": "event"}, {"semantic_types": ("fact", "event")}, True),
    ({"semantic_type": "event"}, {"semantic_types": ("fact",)}, False),
    ({"tags": ("tea", "x') OR 1=1--")}, {"tags": ("x') OR 1=1--",)}, True),
    ({"tags": ("tea",)}, {"tags": ("x') OR 1=1--",)}, False),
    ({"tags": ("Tea",)}, {"tags": ("tea",)}, False),
    ({"entities": ("Élodie",)}, {"entities": ("éLODIE",)}, True),
    ({"entities": ("Straße",)}, {"entities": ("STRASSE",)}, True),
    ({"entities": ("Ana",)}, {"entities": ("Anna", "ana")}, True),
    ({"entities": ()}, {"entities": ("ana",)}, False),
    ({"speaker": "Ana"}, {"speakers": ("ANA",)}, True),
    ({"speaker": None}, {"speakers": ("ana",)}, False),
    ({"thread_id": "t1"}, {"thread_id": "t1"}, True),
    ({"thread_id": "t1"}, {"thread_id": "T1"}, False),
    ({"session_id": "s"}, {"session_id": "t"}, False),
    ({"state": State.ARCHIVED}, {}, False),
    ({"state": State.ARCHIVED}, {"states": frozenset({State.ARCHIVED})}, True),
    ({"state": State.ARCHIVED}, {"states": frozenset()}, True),
    ({"occurred_at": NOW}, {"occurred": (NOW, NOW + days(1))}, True),
    ({"occurred_at": NOW}, {"occurred": (NOW - days(1), NOW)}, False),
    ({"created_at": NOW - days(9)}, {"occurred": (NOW - days(10), NOW - days(8))}, True),
    ({"created_at": NOW, "occurred_at": NOW - days(9)}, {"occurred": (NOW, NOW + days(1))}, False),
    ({"valid_from": NOW}, {"valid_at": NOW}, True),
    ({"valid_from": NOW + days(1)}, {"valid_at": NOW}, False),
    ({"valid_to": NOW}, {"valid_at": NOW}, False),
    ({"valid_from": NOW - days(2), "valid_to": NOW + days(1)}, {"valid_at": NOW}, True),
    ({}, {"valid_at": NOW}, True),
    ({}, {"holding": True}, True),
    ({"valid_from": NOW + days(1)}, {"holding": True}, True),
    ({"valid_to": NOW + days(1e-9)}, {"holding": True}, True),
    ({"valid_to": NOW}, {"holding": True}, False),
    ({"valid_to": NOW - days(1), "expires_at": NOW + days(1)}, {"holding": True}, False),
    ({"valid_to": NOW - days(1), "expires_at": NOW + days(1)}, {}, True),
    ({"valid_to": NOW - days(1), **MERGED}, {"holding": True}, True),
    ({"valid_to": NOW - days(1), "derived_from": MERGED["derived_from"]}, {"holding": True}, False),
]
"""A cube's fields, a filter's fields, and whether the one passes the other."""


def activation(seed: str = "0") -> dict[str, Any]:
    """Fields of a cube that holds a KV cache."""
    digest = (seed * 64)[:64]
    model = ModelFingerprint(
        model="m", weights="w", tokenizer="t", chat_template="c", dtype="float32", positions="rope"
    )
    blob = BlobRef(digest=digest, size=1)
    payload = ActivationPayload(segments=(blob,), token_ids_digest=digest, token_count=1, fingerprint=model)
    return {"payload": payload}


class VaultSearchContract:
    """Every promise of `Vault.search`. Inherit `VaultContract`, which brings these along."""

    @pytest.fixture
    def vault(self) -> Vault:
        """The vault under test: empty, no embedder bound."""
        raise NotImplementedError("override the fixture `vault`")

    # --- what may be seen

    def test_another_tenant_sees_nothing(self, vault: Vault) -> None:
        stored(vault, cube("kettle"))
        stored(vault, cube("kettle", namespace=("acme2",)))
        found = asked(vault, "kettle", by=seen_by(tenant="ac"))
        assert (found.matches, found.visible) == ((), 0)
        assert asked(vault, "kettle").visible == 1

    def test_only_readers_see_a_cube(self, vault: Vault) -> None:
        stored(vault, cube("kettle"), readers=("user:bob", "group:tea"))
        assert asked(vault, "kettle", by=seen_by("user:ana")).visible == 0
        assert texts(asked(vault, "kettle", by=seen_by("user:ana", "group:tea"))) == ["kettle"]
        assert asked(vault, "kettle", by=seen_by("user:bo")).visible == 0

    def test_a_reader_who_lost_the_right_sees_the_new_version_no_more(self, vault: Vault) -> None:
        first = stored(vault, cube("kettle"), readers=("user:ana", "user:bob"))
        stored(vault, revised(first, "kettle now"), readers=("user:ana",))
        assert asked(vault, "kettle", by=seen_by("user:bob")).visible == 0

    def test_the_last_instant_of_a_cube_still_counts(self, vault: Vault) -> None:
        stored(vault, cube("kettle", expires_at=NOW))
        assert asked(vault, "kettle").visible == 1
        assert asked(vault, "kettle", by=seen_by(now=NOW + days(1e-9))).visible == 0

    @pytest.mark.parametrize("named", ["purpose", "application"])
    def test_a_cube_for_one_context_is_absent_in_others(self, vault: Vault, named: str) -> None:
        stored(vault, cube("kettle", **{f"{named}s": ("billing",)}))
        said: dict[str, dict[str, Any]] = {who: {named: who} for who in ("billing", "care")}
        assert asked(vault, "kettle", by=replace(seen_by(), **said["billing"])).visible == 1
        assert asked(vault, "kettle", by=replace(seen_by(), **said["care"])).visible == 0
        assert asked(vault, "kettle").visible == 0

    @pytest.mark.parametrize("terms", ["", "kettle"])
    def test_what_is_for_other_contexts_can_be_asked_for(self, vault: Vault, terms: str) -> None:
        stored(vault, cube("kettle bill", purposes=("billing",)))
        stored(vault, cube("kettle ward", applications=("ward",)))
        stored(vault, cube("kettle bob", purposes=("billing",)), readers=("user:bob",))
        assert texts(asked(vault, terms, by=replace(seen_by(), anywhere=True))) == ["kettle bill", "kettle ward"]
        assert texts(asked(vault, terms)) == []

    def test_a_quarantined_cube_is_absent(self, vault: Vault) -> None:
        stored(vault, cube("kettle", quarantined=True))
        assert asked(vault, "kettle", **ANY).visible == 0

    def test_hidden_cubes_change_no_score(self, vault: Vault) -> None:
        stored(vault, cube("blue kettle"))
        stored(vault, cube("red pot"))
        alone = asked(vault, "kettle").matches[0].bm25
        for number in range(5):
            stored(vault, cube(f"kettle kettle {number}"), readers=("user:bob",))
            stored(vault, cube("kettle", namespace=("other",)))
            stored(vault, cube("kettle", state=State.ARCHIVED))
        assert asked(vault, "kettle").matches[0].bm25 == alone

    # --- what is wanted

    @pytest.mark.parametrize(("fields", "wanted", "passes"), CASES)
    def test_filters(self, vault: Vault, fields: dict[str, Any], wanted: dict[str, Any], passes: bool) -> None:
        there = stored(vault, cube("kettle", **fields))
        stored(vault, cube("pot", namespace=("other",)))
        found = asked(vault, "kettle", **wanted)
        assert [match.cube for match in found.matches] == ([there] if passes else [])
        assert found.visible == int(passes)

    def test_filter_by_id(self, vault: Vault) -> None:
        one, _ = stored(vault, cube("kettle one")), stored(vault, cube("kettle two"))
        assert texts(asked(vault, "kettle", ids=(one.id, "no such", "\x00"))) == ["kettle one"]

    def test_other_tiers_come_only_when_asked_for(self, vault: Vault) -> None:
        stored(vault, cube(**activation()), terms="kettle")
        assert asked(vault, "kettle").visible == 0
        assert asked(vault, "kettle", tiers=frozenset({Tier.ACTIVATION})).visible == 1
        assert asked(vault, "kettle", tiers=frozenset()).visible == 1

    # --- scores

    def test_bm25_is_exact(self, vault: Vault) -> None:
        """The scores are those of the formula, worked out here a second time."""
        words = ["tea", "pot", "kettle", "blue", "tea tea", "İstanbul", "東京"]
        docs = {}
        for number in range(40):
            text = " ".join(words[(number * step) % len(words)] for step in range(1, 2 + number % 5))
            docs[stored(vault, cube(text)).id] = text.split()
        average = sum(map(len, docs.values())) / len(docs)
        expected = dict.fromkeys(docs, 0.0)
        for term in ("tea", "東京", "pot"):
            df = sum(term in doc for doc in docs.values())
            weight = math.log(1 + (len(docs) - df + 0.5) / (df + 0.5))
            for cube_id, doc in docs.items():
                tf = doc.count(term)
                expected[cube_id] += weight * tf / (tf + 0.9 * (1 - 0.75 + 0.75 * len(doc) / average))
        best = sorted((c for c in expected if expected[c] > 0), key=lambda c: (-expected[c], c))[:7]
        found = asked(vault, "tea 東京 pot tea", k=7)  # a repeated query term counts once
        assert [match.cube.id for match in found.matches] == sorted(best)
        assert {m.cube.id: m.bm25 for m in found.matches} == pytest.approx({c: expected[c] for c in best}, abs=1e-9)
        assert all(match.cosine is None for match in found.matches)

    def test_cosine_is_exact(self, vault: Vault) -> None:
        vault.bind_embedder(EMBEDDER)
        rows = {stored(vault, cube(f"n {seed}"), vector=unit(seed)).id: unit(seed) for seed in range(60)}
        stored(vault, cube("without a vector"))
        query = unit(1000)
        expected = {c: float(np.dot(row.astype(np.float64), query.astype(np.float64))) for c, row in rows.items()}
        best = sorted(expected, key=lambda c: (-expected[c], c))[:5]
        found = asked(vault, vector=query, k=5)
        assert [match.cube.id for match in found.matches] == sorted(best)
        assert {m.cube.id: m.cosine for m in found.matches} == pytest.approx({c: expected[c] for c in best}, abs=1e-9)
        assert all(match.bm25 is None for match in found.matches)
        assert found.visible == 61

    def test_each_match_carries_every_score_asked_for(self, vault: Vault) -> None:
        vault.bind_embedder(EMBEDDER)
        stored(vault, cube("kettle"))
        stored(vault, cube("far"), vector=-unit(1))
        stored(vault, cube("near"), vector=unit(1))
        found = asked(vault, "kettle", vector=unit(1), k=1)
        scores = {match.cube.text: (match.bm25, match.cosine) for match in found.matches}
        assert scores.keys() == {"kettle", "near"}
        assert scores["kettle"][1] is None
        assert scores["near"][0] == 0.0
        assert scores["near"][1] == pytest.approx(1.0, abs=1e-6)

    def test_around_is_what_the_neighbours_in_a_session_say(self, vault: Vault) -> None:
        """The scores are those of `ranking.around`, over the visible cubes in the order of writing."""
        said = [
            ("kettle blue", "s", "t"), ("yes since friday", "s", "t"), ("pot", "s", "t"), ("kettle", "u", "t"),
            ("pan", None, "t"), ("spoon tea", None, "t"), ("tea", None, None), ("fork", None, None),
        ]  # fmt: skip
        ids = []
        for number, (text, session, thread) in enumerate(said):
            ids.append(stored(vault, cube(text, session_id=session, thread_id=thread)).id)
            stored(vault, cube("kettle tea", session_id=session, thread_id=thread), readers=("user:bob",))
            if number == 4:
                stored(vault, cube("kettle", session_id="s", namespace=("other",)))
        words = ("kettle", "tea")
        found = vault.search(VaultQuery(20, words, None, CubeFilter(), around=True), seen_by())
        docs = [text.split() for text, _, _ in said]
        tf = [np.array([float(doc.count(word)) for doc in docs]) for word in words]
        matching = [sum(word in doc for doc in docs) for word in words]
        lengths = np.array([float(len(doc)) for doc in docs])
        sessions = np.array([1, 1, 1, 2, 3, 3, 0, 0])
        expected = around(tf, matching, lengths, sessions, documents=len(docs), average=float(lengths.mean()))
        given = {match.cube.id: match.around for match in found.matches}
        assert ids[1] in given, "a message is found by the words of the one before it"
        for place, cube_id in enumerate(ids):
            there = {name: float(scores[place]) for name, scores in expected.items()}
            if any(there[name] > 0.0 for name in ("words", "context", "earlier")):
                assert given[cube_id] == pytest.approx(there, abs=1e-9), said[place]

    def test_equal_scores_go_by_id(self, vault: Vault) -> None:
        vault.bind_embedder(EMBEDDER)
        ids = sorted(stored(vault, cube("kettle"), vector=unit(3)).id for _ in range(30))
        assert [match.cube.id for match in asked(vault, "kettle", k=4).matches] == ids[:4]
        assert [match.cube.id for match in asked(vault, vector=unit(3), k=4).matches] == ids[:4]
        assert [match.cube.id for match in asked(vault, k=4).matches] == ids[:4]

    def test_never_fewer_than_k_when_k_match(self, vault: Vault) -> None:
        """The few visible ones are found among many nearer ones that are not."""
        vault.bind_embedder(EMBEDDER)
        for seed in range(40):
            stored(vault, cube("hidden"), vector=unit(7), readers=("user:bob",))
            stored(
                vault, cube(f"mine {seed % 4}"), vector=unit(seed), readers=("user:ana" if seed < 4 else "user:bob",)
            )
        assert texts(asked(vault, vector=unit(7), k=4)) == [f"mine {number}" for number in range(4)]

    def test_no_signal_gives_the_latest_first(self, vault: Vault) -> None:
        for age in (3, 1, 2):
            stored(vault, cube(f"{age} days ago", occurred_at=NOW - days(age)))
        found = asked(vault, k=2)
        assert [match.cube.text for match in found.matches] == ["1 days ago", "2 days ago"]
        assert (found.visible, found.matches[0].bm25, found.matches[0].cosine) == (3, None, None)

    @pytest.mark.parametrize("k", [0, -1, 10**30])
    def test_odd_numbers_of_results(self, vault: Vault, k: int) -> None:
        stored(vault, cube("kettle"))
        assert len(asked(vault, "kettle", k=k).matches) == int(k > 0)
        assert len(asked(vault, k=k).matches) == int(k > 0)

    @pytest.mark.parametrize(
        "term", ["nothing", 'a"b', "NEAR(", "*", "secret:x", "\ud800", "\x00", "'; DROP TABLE cubes"]
    )
    def test_terms_that_nothing_holds_find_nothing(self, vault: Vault, term: str) -> None:
        stored(vault, cube("kettle"))
        found = vault.search(VaultQuery(5, (term,), None, CubeFilter()), seen_by())
        assert (found.matches, found.visible) == ((), 1)

    # --- reads follow writes

    def test_a_search_sees_every_write_before_it(self, vault: Vault) -> None:
        vault.bind_embedder(EMBEDDER)
        first = stored(vault, cube("kettle"), vector=unit(1))
        assert texts(asked(vault, "kettle", vector=unit(1))) == ["kettle"]
        stored(vault, revised(first, "pot"), vector=unit(2))
        assert texts(asked(vault, "kettle")) == []
        assert asked(vault, vector=unit(2)).matches[0].cosine == pytest.approx(1.0, abs=1e-6)
        stored(vault, revised(revised(first, "pot"), "pan"))
        assert asked(vault, vector=unit(2)).matches == ()
        submit(vault, PutVector(first.id, 3, unit(4)))
        assert asked(vault, vector=unit(4)).matches[0].cosine == pytest.approx(1.0, abs=1e-6)
        submit(vault, Move(first.id, State.GENERATED, State.ARCHIVED))
        assert asked(vault, "pan", vector=unit(4)).visible == 0
        submit(vault, Erase(first.id))
        assert asked(vault, "pan", vector=unit(4), **ANY).visible == 0

    # --- embedders

    def test_the_first_embedder_stays(self, vault: Vault) -> None:
        assert vault.embedder() is None
        vault.bind_embedder(EMBEDDER)
        vault.bind_embedder(EMBEDDER)
        assert vault.embedder() == EMBEDDER
        with pytest.raises(EmbedderMismatchError, match="random unit rows"):
            vault.bind_embedder(EmbedderIdentity("another", EMBEDDER.dim))
        with pytest.raises(EmbedderMismatchError):
            asked(vault, vector=unit(1, dim=4))
        with pytest.raises(EmbedderMismatchError):
            stored(vault, cube(), vector=unit(1, dim=4))
        assert asked(vault).visible == 0

    def test_no_vector_before_an_embedder(self, vault: Vault) -> None:
        with pytest.raises(EmbedderMismatchError, match="bind_embedder"):
            stored(vault, cube(), vector=unit(1))

    @pytest.mark.parametrize("bad", [np.nan, np.inf, 1e38])
    def test_vectors_that_cannot_be_compared_are_refused(self, vault: Vault, bad: float) -> None:
        vault.bind_embedder(EMBEDDER)
        row = np.full(EMBEDDER.dim, bad, dtype=np.float32)
        with pytest.raises(EmbeddingError):
            stored(vault, cube(), vector=row)
        with pytest.raises(EmbeddingError):
            asked(vault, vector=row)
        assert asked(vault).visible == 0
