"""Recall and access as a LlamaIndex node postprocessor."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import subprocess
import sys
import threading
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.embeddings.mock_embed_model import MockEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import MetadataMode, NodeRelationship, NodeWithScore, QueryBundle, TextNode
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict
from pydantic import ValidationError

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.cube import CubeRef, Provenance
from memos_integrations.core.errors import EmbedderMismatchError, IdentityError, VaultError
from memos_integrations.llama_index import MemOSNodePostprocessor, acting_as
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from tests.words_embedder import WordsEmbedder

QUERY = QueryBundle("Which tea or coffee do I like?")


def document(text: str = "Tea is a drink.", score: float | None = 0.5, **metadata: str) -> NodeWithScore:
    return NodeWithScore(node=TextNode(text=text, metadata=metadata), score=score)


def contents(nodes: list[NodeWithScore]) -> list[str]:
    return [node.node.get_content(MetadataMode.NONE) for node in nodes]


def both(one: MemOSNodePostprocessor, nodes: list[NodeWithScore], query: QueryBundle | None = QUERY) -> list[str]:
    """The contents, found to be the same by the sync and the async way."""
    sync = one.postprocess_nodes(nodes, query_bundle=query)
    later = asyncio.run(one.apostprocess_nodes(nodes, query_bundle=query))
    assert contents(sync) == contents(later)
    return contents(sync)


def test_recalled_memories_come_before_the_documents_or_after(memos: MemOS, ana: Principal) -> None:
    first = both(MemOSNodePostprocessor(memos, principal=ana, k=2), [document()])
    last = both(MemOSNodePostprocessor(memos, principal=ana, k=2, position="last"), [document()])
    assert len(first) == 3
    assert first[-1] == last[0] == "Tea is a drink."
    assert sorted(first) == sorted(last)


def test_nobody_elses_memory_is_added(memos: MemOS, ana: Principal, bob: Principal) -> None:
    assert "coffee" not in " ".join(both(MemOSNodePostprocessor(memos, principal=ana), []))
    assert both(MemOSNodePostprocessor(memos, principal=bob), []) == ["Bob likes black coffee, never tea."]


def test_nodes_of_cubes_one_may_not_read_are_dropped(memos: MemOS, ana: Principal, bob: Principal) -> None:
    bobs = memos.remember("Bob's locker code is 4711.", by=bob)
    nodes = [document(), document(bobs.text, memcube_id=bobs.id), document("Gone.", memcube_id="no-such-cube")]
    for query in (QUERY, None):
        kept = both(MemOSNodePostprocessor(memos, principal=ana), nodes, query)
        assert "Tea is a drink." in kept
        assert "Gone." not in kept
        assert bobs.text not in kept
        assert bobs.text in both(MemOSNodePostprocessor(memos, principal=bob), nodes, query)


def test_a_forgotten_memory_leaves_an_index_that_still_holds_it(memos: MemOS, ana: Principal) -> None:
    cube = memos.remember("Ana's old address is Rua Nova 1.", by=ana)
    node, postprocessor = document(cube.text, memcube_id=cube.id), MemOSNodePostprocessor(memos, principal=ana)
    assert both(postprocessor, [node], None) == [cube.text]
    memos.forget(cube.id, by=ana)
    assert both(postprocessor, [node], None) == []


def test_a_memory_that_an_index_holds_in_old_words_is_shown_in_the_present_ones(memos: MemOS, ana: Principal) -> None:
    cube = memos.remember("Ana's locker code is 4711.", by=ana)
    node = document(cube.text, memcube_id=cube.id)
    memos.update(cube.id, by=ana, text="Ana's locker code was taken out.")
    for query in (QUERY, None):
        shown = both(MemOSNodePostprocessor(memos, principal=ana), [node], query)
        assert "Ana's locker code was taken out." in shown
        assert "4711" not in " ".join(shown)
    assert node.node.get_content() == "Ana's locker code is 4711."


def test_without_a_query_nothing_is_added(memos: MemOS, ana: Principal) -> None:
    postprocessor = MemOSNodePostprocessor(memos, principal=ana)
    assert both(postprocessor, [document()], None) == ["Tea is a drink."]
    assert both(postprocessor, [], None) == []
    assert both(postprocessor, [document()], QueryBundle(" ")) == ["Tea is a drink."]
    assert len(postprocessor.postprocess_nodes([], query_str="Which tea do I like?")) == 4


def test_nothing_known_leaves_the_documents(ana: Principal) -> None:
    with MemOS(InMemoryVault()) as empty:
        assert both(MemOSNodePostprocessor(empty, principal=ana), [document()]) == ["Tea is a drink."]


def test_the_same_memory_is_not_told_twice(memos: MemOS, ana: Principal) -> None:
    cube = memos.remember("Ana likes mint tea best.", by=ana)
    stale = document("Ana likes tea, we think.", memcube_id=cube.id)
    quoted = document("Ana likes green tea with honey. ")
    found = both(MemOSNodePostprocessor(memos, principal=ana), [stale, quoted])
    assert found.count("Ana likes mint tea best.") == 1
    assert stale.text not in found
    assert [text.strip() for text in found].count("Ana likes green tea with honey.") == 1


def test_incoming_nodes_are_not_changed(memos: MemOS, ana: Principal, bob: Principal) -> None:
    cube = memos.remember("Ana likes mint tea best.", by=ana)
    hidden = memos.remember("Bob's secret.", by=bob)
    nodes = [document(), document(cube.text, memcube_id=cube.id), document("x", memcube_id=hidden.id, score=None)]
    before = copy.deepcopy(nodes)
    both(MemOSNodePostprocessor(memos, principal=ana), nodes)
    assert [node.to_dict() for node in nodes] == [node.to_dict() for node in before]


def test_a_memory_node_is_stable_scored_and_tells_the_model_speaker_and_date_only(memos: MemOS, ana: Principal) -> None:
    told = Provenance(source="chat.json", message_id="D1:3", session_id="s1", speaker="Ana")
    cube = memos.remember(
        "I was born in Porto.", by=ana, provenance=told, occurred_at=datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
    )
    postprocessor = MemOSNodePostprocessor(memos, principal=ana, k=1)
    query = QueryBundle("Where was Ana born?")
    (found,) = postprocessor.postprocess_nodes([], query)
    assert (found.node.node_id, found.node.ref_doc_id) == (f"mem:{cube.id}", "chat.json")
    assert found.score is not None
    assert found.score > 0
    shown = found.node.get_content(MetadataMode.LLM)
    assert "speaker: Ana" in shown
    assert "date: 2023-05-08" in shown
    assert cube.id not in shown
    assert "D1:3" not in shown
    assert found.node.get_content(MetadataMode.EMBED) == "I was born in Porto."
    assert found.node.metadata["memcube_id"] == cube.id
    (again,) = postprocessor.postprocess_nodes([], QueryBundle("Was it Porto that Ana was born in?"))
    assert again.node.hash == found.node.hash
    flat = node_to_metadata_dict(found.node, flat_metadata=True)
    assert metadata_dict_to_node(flat).to_dict() == found.node.to_dict()


def test_lineage_becomes_relationships(memos: MemOS, ana: Principal) -> None:
    old = memos.remember("The dentist is on Monday.", by=ana)
    new = memos.remember("The dentist is on Friday instead.", by=ana, supersedes=[old.id])
    summary = memos.remember(
        "Dentist: Monday, then Friday.", by=ana, provenance=Provenance(derived_from=(CubeRef(id=old.id, version=1),))
    )
    found = MemOSNodePostprocessor(memos, principal=ana).postprocess_nodes([], query_str="When is the dentist?")
    nodes = {node.node.node_id: node.node.relationships for node in found}
    assert nodes[f"mem:{old.id}"][NodeRelationship.NEXT].node_id == f"mem:{new.id}"
    assert nodes[f"mem:{new.id}"][NodeRelationship.PREVIOUS].node_id == f"mem:{old.id}"
    assert [child.node_id for child in nodes[f"mem:{summary.id}"][NodeRelationship.CHILD]] == [f"mem:{old.id}"]


# --- identity ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("principal", [None, lambda: None, lambda: "ana"])
@pytest.mark.parametrize("query", [QUERY, None])
async def test_without_identity_nothing_passes(memos: MemOS, principal: object, query: QueryBundle | None) -> None:
    postprocessor = MemOSNodePostprocessor(memos, principal=principal)
    with pytest.raises(IdentityError):
        postprocessor.postprocess_nodes([document()], query)
    with pytest.raises(IdentityError):
        await postprocessor.apostprocess_nodes([document()], query)


async def test_a_context_variable_may_say_who_asks(memos: MemOS, ana: Principal, bob: Principal) -> None:
    user: ContextVar[Principal] = ContextVar("user")
    postprocessor = MemOSNodePostprocessor(memos, principal=user.get)

    async def ask(who: Principal) -> str:
        user.set(who)
        return " ".join(contents(await postprocessor.apostprocess_nodes([], QUERY)))

    found = await asyncio.gather(*(ask(who) for who in [ana, bob] * 10))
    assert all("green tea" in text and "coffee" not in text for text in found[::2])
    assert all("coffee" in text and "green tea" not in text for text in found[1::2])


def test_namespace_and_context_narrow_recall(memos: MemOS, ana: Principal) -> None:
    memos.remember("I like mint tea on the trip.", by=ana, namespace=("home", "ana", "trip"))
    care = memos.remember("I like ginger tea against migraine.", by=ana, purposes=["care"])
    trip = MemOSNodePostprocessor(memos, principal=ana, namespace=("home", "ana", "trip"))
    assert both(trip, []) == ["I like mint tea on the trip."]
    node = document(care.text, memcube_id=care.id)
    caring = MemOSNodePostprocessor(memos, principal=ana, context=CallContext(purpose="care"))
    assert care.text in both(caring, [node])
    assert both(MemOSNodePostprocessor(memos, principal=ana), [node], None) == []


# --- in the framework ---------------------------------------------------------------------------------------------


class Fixed(BaseRetriever):
    def __init__(self, nodes: list[NodeWithScore]) -> None:
        super().__init__()
        self.nodes = nodes

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self.nodes


def engine(memos: MemOS, who: Principal, nodes: list[NodeWithScore]) -> RetrieverQueryEngine:
    return RetrieverQueryEngine(
        retriever=Fixed(nodes),
        response_synthesizer=get_response_synthesizer(llm=MockLLM(), response_mode=ResponseMode.COMPACT),
        node_postprocessors=[MemOSNodePostprocessor(memos, principal=who)],
    )


async def test_a_query_engine_answers_from_memory_and_documents(memos: MemOS, ana: Principal, bob: Principal) -> None:
    bobs = memos.remember("Bob's locker code is 4711.", by=bob)
    nodes = [document(), document(bobs.text, memcube_id=bobs.id)]
    for answer in (engine(memos, ana, nodes).query(QUERY), await engine(memos, ana, nodes).aquery(QUERY)):
        # MockLLM answers with the prompt it was given.
        assert "Ana likes green tea with honey." in str(answer)
        assert "Tea is a drink." in str(answer)
        assert "4711" not in str(answer)
        assert "memcube_id" not in str(answer)
        assert len(answer.source_nodes) == 5


async def test_memory_alone_can_answer(memos: MemOS, ana: Principal) -> None:
    assert "blue tin" in str(engine(memos, ana, []).query("Where is the tea?"))
    assert "blue tin" in str(await engine(memos, ana, []).aquery("Where is the tea?"))


def test_it_works_behind_a_vector_index(memos: MemOS, ana: Principal) -> None:
    index = VectorStoreIndex([TextNode(text="Tea is a drink.")], embed_model=MockEmbedding(embed_dim=4))
    asked = index.as_query_engine(llm=MockLLM(), node_postprocessors=[MemOSNodePostprocessor(memos, principal=ana)])
    answer = str(asked.query("Which tea do I like?"))
    assert answer.index("green tea") < answer.index("Tea is a drink.")


async def test_a_slow_recall_does_not_block_the_event_loop(ana: Principal) -> None:
    class SlowVault(InMemoryVault):
        def search(self, *args, **kwargs):
            time.sleep(0.3)
            return super().search(*args, **kwargs)

    with MemOS(SlowVault()) as memos:
        memos.remember("I like tea.", by=ana)
        postprocessor = MemOSNodePostprocessor(memos, principal=ana)
        recalling = asyncio.ensure_future(postprocessor.apostprocess_nodes([], QUERY))
        ticks = 0
        while not recalling.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert contents(await recalling) == ["I like tea."]
        assert ticks >= 10


def test_threads_share_one_postprocessor(memos: MemOS, ana: Principal) -> None:
    postprocessor, counts = MemOSNodePostprocessor(memos, principal=ana), []
    threads = [
        threading.Thread(target=lambda: counts.append(len(postprocessor.postprocess_nodes([], QUERY))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [4] * 8


# --- settings -----------------------------------------------------------------------------------------------------


def test_settings_are_json_and_find_engine_and_identity_again(memos: MemOS, ana: Principal) -> None:
    given = MemOSNodePostprocessor(
        memos, principal=ana, k=3, position="last", namespace=("home", "ana"), context=CallContext(purpose="chat")
    )
    settings = json.loads(json.dumps(given.to_dict()))
    assert (settings["k"], settings["position"], settings["namespace"]) == (3, "last", ["home", "ana"])
    assert settings["vault"] == memos.uri
    again = MemOSNodePostprocessor.from_dict(settings)
    assert both(again, [document()]) == both(given, [document()])
    handed = MemOSNodePostprocessor.from_dict(settings, memos=memos, principal=ana)
    assert both(handed, [document()]) == both(given, [document()])


def test_settings_cannot_be_edited_into_somebody_elses(memos: MemOS, ana: Principal, bob: Principal) -> None:
    settings = MemOSNodePostprocessor(memos, principal=ana).to_dict()
    for change in ({"user": "bob"}, {"roles": ["admin"]}, {"seal": "0" * 64}, {"tenant": "other"}):
        forged = MemOSNodePostprocessor.from_dict({**settings, "acts_for": {**settings["acts_for"], **change}})
        with pytest.raises(IdentityError):
            forged.postprocess_nodes([], QUERY)
    unknown = {**settings, "acts_for": {**settings["acts_for"], "seal": "of another process"}}
    with acting_as(ana):
        assert both(MemOSNodePostprocessor.from_dict(unknown), [])
    with acting_as(bob), pytest.raises(IdentityError, match="another principal"):
        MemOSNodePostprocessor.from_dict(unknown).postprocess_nodes([], QUERY)


@pytest.mark.parametrize("wrong", [{"k": 0}, {"position": "middle"}])
def test_settings_that_make_no_sense_are_refused(memos: MemOS, ana: Principal, wrong: dict) -> None:
    with pytest.raises(ValidationError):
        MemOSNodePostprocessor(memos, principal=ana, **wrong)


def test_a_pickled_copy_finds_the_engine_again(memos: MemOS, ana: Principal) -> None:
    given = MemOSNodePostprocessor(memos, principal=ana, k=2)
    copied = pickle.loads(pickle.dumps(given))
    assert (copied.k, copied.memos) == (2, memos)
    assert both(copied, [document()]) == both(given, [document()])
    nobodys = pickle.loads(pickle.dumps(MemOSNodePostprocessor(memos)))
    with pytest.raises(IdentityError):
        nobodys.postprocess_nodes([], QUERY)


def test_another_process_opens_the_vault_by_its_address(tmp_path: Path, ana: Principal) -> None:
    with MemOS.open(tmp_path / "vault") as memos:
        memos.remember("Ana likes green tea with honey.", by=ana)
        kept = tmp_path / "part.pickle"
        kept.write_bytes(pickle.dumps(MemOSNodePostprocessor(memos, principal=ana)))
    code = (
        "import pickle, sys; part = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(*[n.node.text for n in part.postprocess_nodes([], query_str='Which tea do I like?')])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(kept)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "Ana likes green tea with honey.", done.stderr


def test_a_vault_with_vectors_is_not_quietly_opened_without_its_embedder(tmp_path: Path, ana: Principal) -> None:
    with MemOS.open(tmp_path / "vault", embedder=WordsEmbedder()) as memos:
        memos.remember("Ana likes tea.", by=ana)
        part = pickle.dumps(MemOSNodePostprocessor(memos, principal=ana))
    with pytest.raises(EmbedderMismatchError, match="embedder="):
        pickle.loads(part).postprocess_nodes([], QUERY)
    with MemOS.open(tmp_path / "vault", embedder=WordsEmbedder()):
        assert contents(pickle.loads(part).postprocess_nodes([], QUERY)) == ["Ana likes tea."]


def test_a_budget_keeps_what_is_best_of_memories_and_documents(memos: MemOS, ana: Principal) -> None:
    documents = [document(f"Document {number} about tea and how it is grown in the hills.") for number in range(6)]
    fused = both(MemOSNodePostprocessor(memos, principal=ana, position="fused", token_budget=110), documents)
    assert 3 <= len(fused) < 10
    assert fused[0] in " ".join(both(MemOSNodePostprocessor(memos, principal=ana), []))
    assert fused[1] == documents[0].text
    first = both(MemOSNodePostprocessor(memos, principal=ana, token_budget=110), documents)
    assert sorted(first) == sorted(fused)
    assert first != fused


def test_a_failing_recall_ends_the_query_or_leaves_the_nodes_as_the_policy_says(ana: Principal) -> None:
    class Broken(InMemoryVault):
        def search(self, *args, **kwargs):
            raise VaultError("The disk is gone.")

    with MemOS(Broken()) as memos:
        assert both(MemOSNodePostprocessor(memos, principal=ana, on_fault="continue"), [document()]) == [
            "Tea is a drink."
        ]
        with pytest.raises(VaultError):
            MemOSNodePostprocessor(memos, principal=ana).postprocess_nodes([], QUERY)


def test_a_copy_shares_the_engine(memos: MemOS, ana: Principal) -> None:
    assert both(copy.deepcopy(MemOSNodePostprocessor(memos, principal=ana)), [])
