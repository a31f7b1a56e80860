"""Documents: reranked by memory, and loaded from a vault."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import ConfigurableField, RunnableLambda
from pydantic import ValidationError

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import IdentityError, InvalidMemoryError
from memos_integrations.core.ports import CubeFilter
from memos_integrations.langchain import MemOSDocumentCompressor, MemOSLoader, MemOSRetriever
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from tests.tea import NOW

SHOPS = [
    Document(page_content="The corner shop sells newspapers and milk."),
    Document(page_content="The roastery sells black coffee beans."),
    Document(page_content="The tea house sells green tea and honey."),
]


def test_documents_are_ordered_by_what_memory_says_of_the_question(
    memos: MemOS, ana: Principal, bob: Principal
) -> None:
    for who, first in ((ana, "green tea"), (bob, "black coffee")):
        ranked = MemOSDocumentCompressor(memos=memos, principal=who).compress_documents(SHOPS, "What do I like: tea?")
        assert first in ranked[0].page_content
        assert len(ranked) == 3
        assert ranked[0].metadata["signals"]["affinity"] > 0
        assert ranked[0].metadata["relevance_score"] >= ranked[1].metadata["relevance_score"]
    assert all("signals" not in document.metadata for document in SHOPS)


async def test_asynchronously_the_same_and_at_most_top_n(memos: MemOS, ana: Principal) -> None:
    compressor = MemOSDocumentCompressor(memos=memos, principal=ana, top_n=2)
    ranked = await compressor.acompress_documents(SHOPS, "Which tea?")
    assert ranked == compressor.compress_documents(SHOPS, "Which tea?")
    assert len(ranked) == 2
    assert compressor.compress_documents([], "Which tea?") == []
    assert compressor.compress_documents(SHOPS, "  ")[0].page_content == SHOPS[0].page_content


def test_memories_that_may_not_be_read_any_more_are_dropped(memos: MemOS, ana: Principal, bob: Principal) -> None:
    found = MemOSRetriever(memos=memos, principal=ana, k=4).invoke("tea")
    memos.forget(str(found[0].id), by=ana)
    memos.update(str(found[1].id), by=ana, text="Ana now drinks mint tea.")
    ranked = MemOSDocumentCompressor(memos=memos, principal=ana).compress_documents([*found, *SHOPS], "tea")
    assert {document.id for document in ranked if document.id} == {document.id for document in found[1:]}
    assert "Ana now drinks mint tea." in {document.page_content for document in ranked}
    assert {
        d.page_content for d in MemOSDocumentCompressor(memos=memos, principal=bob).compress_documents(found, "tea")
    } == set()


def test_within_a_chain_the_chains_config_says_who_asks(memos: MemOS) -> None:
    compressor = MemOSDocumentCompressor(memos=memos)
    chain = RunnableLambda(lambda query: compressor.compress_documents(SHOPS, query)[0].page_content)
    asked = "What do I like: tea or coffee?"
    assert "coffee" in chain.invoke(asked, {"configurable": {"tenant": "home", "user_id": "bob"}})
    assert "green tea" in chain.invoke(asked, {"configurable": {"tenant": "home", "user_id": "ana"}})
    with pytest.raises(IdentityError):
        compressor.compress_documents(SHOPS, asked)
    with pytest.raises(ValidationError, match="no signals"):
        MemOSDocumentCompressor(memos=memos, weights={"fame": 1.0})


def test_it_compresses_for_langchains_own_retriever(memos: MemOS, ana: Principal) -> None:
    from langchain_classic.retrievers import ContextualCompressionRetriever

    retriever = ContextualCompressionRetriever(
        base_compressor=MemOSDocumentCompressor(memos=memos, principal=ana, top_n=1),
        base_retriever=MemOSRetriever(memos=memos, principal=ana),
    )
    assert len(retriever.invoke("Which tea with honey?")) == 1


def test_a_retrievers_fields_can_be_configured(memos: MemOS, ana: Principal) -> None:
    retriever = MemOSRetriever(memos=memos, principal=ana).configurable_fields(
        k=ConfigurableField(id="k"), namespace=ConfigurableField(id="where")
    )
    assert len(retriever.invoke("tea", {"configurable": {"k": 2}})) == 2
    assert retriever.invoke("tea", {"configurable": {"where": ("home", "ana", "nowhere")}}) == []
    found: Any = MemOSRetriever(memos=memos, principal=ana, k=1).invoke("tea")[0]
    assert found.metadata["memcube_id"] == found.id
    assert found.metadata["why"]


def test_the_loader_gives_everything_one_may_read_newest_first_page_by_page(ana: Principal, bob: Principal) -> None:
    ticks = iter(range(10_000))
    with MemOS(InMemoryVault(), clock=lambda: NOW + timedelta(minutes=next(ticks) // 9)) as memos:
        written = [memos.remember(f"Note {number} of Ana.", by=ana).id for number in range(60)]
        memos.remember("Bob's note.", by=bob)
        for page in (1, 4, 7, 200):
            loaded = list(MemOSLoader(memos, principal=ana, page=page).lazy_load())
            assert len(loaded) == len(written)
            assert {document.id for document in loaded} == set(written)
            stamps = [document.metadata["created_at"] for document in loaded]
            assert stamps == sorted(stamps, reverse=True)


async def test_the_loader_is_lazy_and_asynchronous_and_governed(memos: MemOS, ana: Principal, bob: Principal) -> None:
    lazy = MemOSLoader(memos, principal=ana, page=1).lazy_load()
    first = next(lazy)
    for cube in memos.find(CubeFilter(), by=ana):
        if cube.id != first.id:
            memos.forget(cube.id, by=ana)
    assert list(lazy) == []
    loader = MemOSLoader(memos, principal=bob)
    assert [document async for document in loader.alazy_load()] == loader.load()
    assert [document.page_content for document in loader.load()] == ["Bob likes black coffee, never tea."]
    where = CubeFilter(namespace=("home", "ana"))
    assert MemOSLoader(memos, principal=bob, where=where).load() == []
    with pytest.raises(IdentityError):
        MemOSLoader(memos, principal=None)  # type: ignore[arg-type]
    with pytest.raises(InvalidMemoryError):
        MemOSLoader(memos, principal=bob, page=0)
