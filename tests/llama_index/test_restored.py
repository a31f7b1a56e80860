"""Parts taken apart and put together again: the right engine, the right principal, and nothing owed that is lost."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.workflow import Context, JsonSerializer

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import IdentityError, VaultError
from memos_integrations.llama_index import (
    MemOSAccessPostprocessor,
    MemOSAsyncChatStore,
    MemOSChatStore,
    MemOSIngestion,
    MemOSMemory,
    MemOSMemoryBlock,
    MemOSNodePostprocessor,
    MemOSRerankPostprocessor,
    MemOSRetriever,
    acting_as,
)
from memos_integrations.memos import MemOS
from tests.llama_index.failing import Failing
from tests.llama_index.scripted import says, scripted
from tests.words_embedder import WordsEmbedder

# LlamaIndex's workflows look at every attribute of an agent, deprecated ones too.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")

ANA = Principal(tenant="home", user="ana")
BOB = Principal(tenant="home", user="bob")


def user(text: str) -> ChatMessage:
    return ChatMessage(role=MessageRole.USER, content=text)


def said(messages: Any) -> list[str]:
    return [str(message.content) for message in messages]


def as_json(part: Any) -> Any:
    """The part after a workflow's context was stored and restored."""
    return JsonSerializer().deserialize(json.loads(json.dumps(JsonSerializer().serialize(part))))


def as_pickle(part: Any) -> Any:
    return pickle.loads(pickle.dumps(part))


def copied(part: Any) -> Any:
    return copy.deepcopy(part)


def asked(part: Any) -> str:
    """What a part finds on tea, or an empty text."""
    if isinstance(part, MemOSRetriever):
        return " ".join(node.node.get_content() for node in part.retrieve("Which tea?"))
    return " ".join(node.node.get_content() for node in part.postprocess_nodes([], query_str="Which tea?"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A vault in which Ana likes green tea, closed."""
    with MemOS.open(tmp_path / "vault") as memos:
        memos.remember("Ana likes green tea.", by=ANA)
    return tmp_path / "vault"


# --- the engine ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [as_json, as_pickle, copied])
def test_an_engine_that_was_closed_and_opened_again_is_found(folder: Path, again: Callable) -> None:
    with MemOS.open(folder) as memos:
        given = MemOSMemory(memos, principal=ANA, session_id="s", on_fault="raise")
        given.put(user("Before."))
        restored = again(given)
        assert said(restored.get_all()) == ["Before."]
    with MemOS.open(folder) as memos:
        for part in (given, restored):
            assert part.memos is memos
            assert said(part.get_all()) == ["Before."]


def test_a_closed_engine_that_was_given_is_not_opened_behind_its_owners_back(folder: Path) -> None:
    with MemOS.open(folder) as memos:
        part = MemOSNodePostprocessor(memos, principal=ANA)
    with pytest.raises(VaultError, match="open it again"):
        asked(part)


def test_the_closing_of_one_engine_hides_no_other_on_the_same_vault(tmp_path: Path) -> None:
    with MemOS.open(tmp_path, embedder=WordsEmbedder()) as memos:
        memos.remember("Ana likes green tea.", by=ANA)
        restored = as_pickle(MemOSNodePostprocessor(memos, principal=ANA))
        MemOS.open(tmp_path, embedder=WordsEmbedder()).close()
        assert asked(restored) == "Ana likes green tea."


def test_of_two_engines_the_one_with_the_embedder_is_asked(folder: Path) -> None:
    """Else what was restored would write memories without vectors, and find less."""
    with MemOS.open(folder) as memos:
        pickled = pickle.dumps(MemOSNodePostprocessor(memos, principal=ANA))
    restored = pickle.loads(pickled)
    assert asked(restored) == "Ana likes green tea."  # opened by its address
    with MemOS.open(folder, embedder=WordsEmbedder()) as memos:
        assert restored.memos is memos
        with MemOS.open(folder) as lexical:
            assert restored.memos is memos
            assert MemOSNodePostprocessor(lexical, principal=ANA).memos is lexical


def test_a_vault_that_is_gone_is_not_made_anew(folder: Path) -> None:
    with MemOS.open(folder) as memos:
        parts = [as_pickle(MemOSNodePostprocessor(memos, principal=ANA)), as_json(MemOSMemory(memos, principal=ANA))]
    shutil.rmtree(folder)
    for ask in (lambda: asked(parts[0]), parts[1].get_all, lambda: parts[1].put(user("Hello."))):
        with pytest.raises(VaultError, match="no vault at"):
            ask()
    assert not folder.exists()


ELSEWHERE = """
import json, pickle, sys
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.workflow import JsonSerializer
from memos_integrations import Principal
from memos_integrations.core.errors import IdentityError
from memos_integrations.llama_index import acting_as

print(*[found.node.text for found in pickle.load(open(sys.argv[1], "rb")).retrieve("Which tea?")])
memory = JsonSerializer().deserialize(json.load(open(sys.argv[2])))
try:
    memory.get_all()
except IdentityError:
    print("Nobody asks.")
for name in ("bob", "ana"):
    with acting_as(Principal(tenant="home", user=name)):
        try:
            memory.put(ChatMessage(role="user", content="After."))
            print(*[message.content for message in memory.get_all()])
        except IdentityError:
            print("Another asks.")
"""


def test_another_process_takes_up_a_pickled_retriever_and_a_stored_memory(folder: Path, tmp_path: Path) -> None:
    """The retriever's principal is in its pickle; the memory's is only named in JSON, and has to be said anew."""
    pickled, stored = tmp_path / "retriever.pickle", tmp_path / "memory.json"
    with MemOS.open(folder) as memos:
        retriever = MemOSRetriever(memos, principal=ANA, k=1)
        assert asked(as_pickle(retriever)) == asked(copied(retriever)) == "Ana likes green tea."
        memory = MemOSMemory(memos, principal=ANA, session_id="s")
        memory.put(user("Before."))
        pickled.write_bytes(pickle.dumps(retriever))
        stored.write_text(json.dumps(JsonSerializer().serialize(memory)))
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(pickled), str(stored)], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [
        "Ana likes green tea.", "Nobody asks.", "Another asks.", "Before. After.",
    ], done.stderr  # fmt: skip


# --- the principal ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [as_json, as_pickle])
def test_what_is_restored_serves_nobody_but_the_one_it_was_made_for(folder: Path, again: Callable) -> None:
    """The application's word counts for more than a stored one, in the process that stored it as in any other."""
    with MemOS.open(folder) as memos:
        memory = MemOSMemory(memos, principal=ANA, session_id="s")
        memory.put(user("My code is 4711."))
        restored = again(memory)
        assert said(restored.get_all()) == ["My code is 4711."]
        with acting_as(ANA):
            assert said(restored.get_all()) == ["My code is 4711."]
        with acting_as(BOB):
            for use in (restored.get_all, restored.reset, lambda: restored.put(user("Mine."))):
                with pytest.raises(IdentityError, match="another principal"):
                    use()
            # A part that is given a principal where it is used acts for that one, whoever else is asking.
            assert said(memory.get_all()) == ["My code is 4711."]


@pytest.mark.parametrize("again", [as_json, as_pickle])
def test_rights_are_those_of_now_where_the_application_says_them(folder: Path, again: Callable) -> None:
    member = Principal(tenant="home", user="ana", groups=frozenset({"team"}))
    with MemOS.open(folder) as memos:
        memos.remember("The team drinks oolong tea.", by=BOB, readers=["group:team"])
        block = again(MemOSMemoryBlock(memos, principal=member))
        question = [user("Which tea?")]
        assert "oolong" in asyncio.run(block.aget(question))
        with acting_as(ANA):  # who has left the team
            assert "oolong" not in asyncio.run(block.aget(question))


@pytest.mark.parametrize("again", [as_json, as_pickle, copied])
def test_a_function_that_says_who_asks_is_found_again_in_its_process(folder: Path, again: Callable) -> None:
    asking = [ANA]
    with MemOS.open(folder) as memos:
        memory = MemOSMemory(memos, principal=lambda: asking[0], session_id="s")
        memory.put(user("I am Ana."))
        restored = again(memory)
        assert said(restored.get_all()) == ["I am Ana."]
        asking[0] = BOB
        assert restored.get_all() == []
        elsewhere = MemOSMemory.from_dict({**memory.to_dict(), "acts_for": {"asks": "a name of another process"}})
        with pytest.raises(IdentityError):
            elsewhere.get_all()
        with acting_as(ANA):
            assert said(elsewhere.get_all()) == ["I am Ana."]


async def test_a_context_stored_for_one_user_and_restored_for_another_gives_nothing_away(folder: Path) -> None:
    with MemOS.open(folder) as memos:
        agent = FunctionAgent(llm=scripted(lambda messages: says("Noted.")), streaming=False)
        memory = MemOSMemory(memos, session_id="support")
        context = Context(agent)
        with acting_as(ANA):
            await agent.run("My code is 4711.", ctx=context, memory=memory)
        stored = json.dumps(context.to_dict(serializer=JsonSerializer()))
        shown: list[list[ChatMessage]] = []
        other = FunctionAgent(llm=scripted(lambda messages: says("Hello."), shown), streaming=False)
        with acting_as(BOB):
            again = Context.from_dict(other, json.loads(stored), serializer=JsonSerializer())
            await other.run("What is my code?", ctx=again)
            assert said(await memory.aget_all()) == ["What is my code?", "Hello."]
        assert "4711" not in str(shown)
        with acting_as(ANA):
            assert said(await memory.aget_all()) == ["My code is 4711.", "Noted."]


# --- tasks and threads --------------------------------------------------------------------------------------------


async def test_acting_as_reaches_every_thread_and_task_that_the_framework_starts(folder: Path) -> None:
    with MemOS.open(folder) as memos:
        memos.remember("Bob likes black tea.", by=BOB)
        memory, retriever = MemOSMemory(memos, session_id="shared"), MemOSRetriever(memos)
        fused = QueryFusionRetriever(
            [retriever, retriever], num_queries=1, use_async=True, llm=scripted(lambda _: says(""))
        )
        part, store = MemOSNodePostprocessor(memos), MemOSChatStore(memos)

        async def turn(who: Principal, number: int) -> str:
            with acting_as(who):
                await memory.aput(user(f"{who.user} {number}: which tea?"))
                await store.aset_messages(f"k{number}", [user(who.user)])
                nodes = fused.retrieve("Which tea?")  # sync within a loop: in a thread with a loop of its own
                nodes += await part.apostprocess_nodes([], query_str="Which tea?")
                nodes += await asyncio.to_thread(retriever.retrieve, "Which tea?")
                found = " ".join(node.node.get_content() for node in nodes)
                return found + str(said(await memory.aget())) + str(said(await store.aget_messages(f"k{number}")))

        found = await asyncio.gather(*(turn(who, number) for number, who in enumerate([ANA, BOB] * 6)))
        assert not [text for text in found[::2] if "black" in text or "bob" in text or "green" not in text]
        assert not [text for text in found[1::2] if "green" in text or "ana" in text or "black" not in text]
        for who in (ANA, BOB):
            with acting_as(who):
                assert {text.split()[0] for text in said(memory.get_all())} == {who.user}
                assert len(memory.get_all()) == 6


async def test_one_recall_a_turn_though_several_people_share_the_memory(folder: Path) -> None:
    with MemOS.open(folder) as memos:
        memory = MemOSMemory(memos, session_id="shared")
        for _ in range(3):  # as an agent asks three times a turn, here in turn with somebody else's
            for who in (ANA, BOB):
                with acting_as(who):
                    await memory.aget(input="Which tea?")
        for who in (ANA, BOB):
            assert len(memos.audit(by=who, operation="recall")) == 1


# --- what is owed -------------------------------------------------------------------------------------------------


def test_what_one_is_owed_is_neither_shown_to_another_nor_written_for_another() -> None:
    vault = Failing()
    with MemOS(vault) as memos:
        memory = MemOSMemory(memos, session_id="shared")
        vault.broken = True
        with acting_as(ANA):
            memory.put(user("My code is 4711."))
        with acting_as(BOB):
            assert (said(memory.get()), memory.pending) == ([], ())
            vault.broken = False
            memory.put(user("Hello."))
            assert said(memory.get_all()) == ["Hello."]
        with acting_as(ANA):
            memory.put(user("And my locker is 12."))
            assert said(memory.get_all()) == ["My code is 4711.", "And my locker is 12."]


@pytest.mark.parametrize("again", [as_json, as_pickle, copied])
def test_what_is_owed_is_found_by_what_is_restored_and_written_once(again: Callable) -> None:
    vault = Failing()
    with MemOS(vault) as memos:
        memory = MemOSMemory(memos, principal=ANA, session_id="s")
        vault.broken = True
        memory.put(user("One."))
        restored = again(memory)
        assert said(restored.get()) == ["One."]
        other = memory.model_copy(update={"session_id": "another"})
        vault.broken = False
        other.put(user("Elsewhere."))
        restored.put(user("Two."))
        memory.put(user("Three."))
        assert said(memory.get_all()) == ["One.", "Two.", "Three."]
        assert said(other.get_all()) == ["Elsewhere."]


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_history_that_could_not_be_set_is_set_later_and_nothing_stands_twice(how: str) -> None:
    vault = Failing()

    def run(memory: MemOSMemory, name: str, argument: Any) -> None:
        sync = getattr(memory, name)
        sync(argument) if how == "sync" else asyncio.run(getattr(memory, f"a{name}")(argument))

    with MemOS(vault) as memos:
        memos.remember("Ana likes green tea.", by=ANA)
        memory = MemOSMemory(memos, principal=ANA, session_id="s")
        run(memory, "put_messages", [user("Which tea do I like?")]) if how == "sync" else run(
            memory, "put", user("Which tea do I like?")
        )
        shown = memory.get()
        assert len(shown) == 2  # with what was recalled, which is no history
        vault.broken = True
        run(memory, "set", [*shown, says("Green.")])
        run(memory, "put", user("Thanks."))
        assert said(memory.get_all()) == said(memory.get()) == ["Which tea do I like?", "Green.", "Thanks."]
        vault.broken = False
        run(memory, "put", says("You are welcome."))
        kept = ["Which tea do I like?", "Green.", "Thanks.", "You are welcome."]
        assert said(memory.get_all()) == said(MemOSMemory(memos, principal=ANA, session_id="s").get_all()) == kept
        assert memory.pending == ()
        vault.broken = True
        run(memory, "set", [user("Old.")])
        run(memory, "set", [user("New.")])
        vault.broken = False
        run(memory, "put", says("Newer."))
        assert said(memory.get_all()) == ["New.", "Newer."]


def test_a_reset_that_fails_forgets_nothing_that_is_owed() -> None:
    vault = Failing()
    with MemOS(vault) as memos:
        memory = MemOSMemory(memos, principal=ANA, session_id="s")
        vault.broken = True
        memory.put(user("Owed."))
        with pytest.raises(VaultError):
            memory.reset()
        with pytest.raises(VaultError):
            asyncio.run(memory.areset())
        assert said(memory.pending) == ["Owed."]
        vault.broken = False
        memory.reset()
        assert (memory.pending, memory.get_all()) == ((), [])


def test_what_is_no_message_is_refused_and_takes_nothing_with_it() -> None:
    vault = Failing()
    with MemOS(vault) as memos:
        memory = MemOSMemory(memos, principal=ANA, session_id="s")
        vault.broken = True
        memory.put(user("Owed."))
        vault.broken = False
        for wrong in (None, "Hello.", {"role": "user", "content": "Hello."}):
            for use in (memory.put, lambda what: memory.set([what]), lambda what: asyncio.run(memory.aput(what))):
                with pytest.raises(ValueError, match="made of ChatMessage"):
                    use(wrong)
        assert said(memory.get_all()) == ["Owed."]
        memory.put(user("Next."))
        assert said(memory.get_all()) == ["Owed.", "Next."]


@pytest.mark.parametrize(
    "kind",
    [
        MemOSAccessPostprocessor, MemOSAsyncChatStore, MemOSChatStore, MemOSIngestion, MemOSMemory, MemOSMemoryBlock,
        MemOSNodePostprocessor, MemOSRerankPostprocessor,
    ],
)  # fmt: skip
def test_every_part_is_restored_with_its_settings(folder: Path, kind: type) -> None:
    with MemOS.open(folder) as memos:
        part = kind(memos, principal=ANA)
        for again in (as_json, as_pickle, copied):
            restored = again(part)
            assert type(restored) is kind
            assert (restored.memos, restored.by) == (memos, ANA)
            assert {k: v for k, v in restored.model_dump().items() if k != "callback_manager"} == {
                k: v for k, v in part.model_dump().items() if k != "callback_manager"
            }
