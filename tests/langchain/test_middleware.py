"""The middleware in real agents: what the model sees, what is kept, what must not be."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware, hook_config
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.errors import (
    AccessDeniedError,
    IdentityError,
    InvalidMemoryError,
    TooSlowError,
    VaultBusyError,
)
from memos_integrations.core.ports import CubeFilter
from memos_integrations.core.turns import PREAMBLE
from memos_integrations.langchain import MemOSMiddleware
from memos_integrations.langchain.chat_model import MemOSChatModel
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.langchain.scripted import LocalModel, ScriptedModel, call

ASK = "Which tea do I like?"


@dataclass
class Who:
    tenant: str
    user_id: str


ANA, BOB = Who("home", "ana"), Who("home", "bob")


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


def agent_of(memos: MemOS, *lines: Any, tools: Any = (), saver: Any = None, **how: Any) -> tuple[Any, ScriptedModel]:
    model = ScriptedModel(lines=list(lines) or ["Green tea."])
    return create_agent(
        model, list(tools), middleware=[MemOSMiddleware(memos, **how)], context_schema=Who, checkpointer=saver
    ), model


def said(text: str = ASK) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


async def ask(agent: Any, text: str, *, how: str, context: Any = ANA, config: Any = None) -> dict[str, Any]:
    if how == "async":
        return await agent.ainvoke(said(text), config, context=context)
    return agent.invoke(said(text), config, context=context)


def messages_of(memos: MemOS, by: Principal) -> list[Any]:
    return sorted(memos.find(CubeFilter(semantic_types=("message",)), by=by), key=lambda cube: cube.id)


def whole(thing: Any) -> str:
    return repr(thing)


# --- recall and injection ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_the_model_sees_what_is_remembered_before_the_question(memos: MemOS, how: str) -> None:
    agent, model = agent_of(memos)
    await ask(agent, ASK, how=how)
    block, question = model.shown[0]
    assert isinstance(block, HumanMessage)
    assert block.text.startswith(PREAMBLE)
    assert "Ana likes green tea with honey." in block.text
    assert "coffee" not in block.text
    assert question.text == ASK


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_recalled_words_are_in_no_state_no_result_no_checkpoint_and_no_stream(memos: MemOS, how: str) -> None:
    saver = InMemorySaver()
    agent, model = agent_of(memos, call("weather", city="Porto"), "Take an umbrella.", tools=[weather], saver=saver)
    config = {"configurable": {"thread_id": "t"}}
    result = await ask(agent, ASK, how=how, config=config)
    assert "honey" in model.texts[0][0]
    assert "honey" not in whole(result)
    assert "memos_recalled" not in result
    assert "honey" not in whole(agent.get_state(config))
    assert "honey" not in whole(list(saver.list(config)))
    assert "honey" not in whole(
        {key: value for key, value in vars(saver).items() if key in ("blobs", "writes", "storage")}
    )
    streamed = list(
        agent.stream(said("And with honey?".replace("honey", "milk")), config, context=ANA,
                     stream_mode=["values", "updates", "custom", "tasks", "debug"])
    )  # fmt: skip
    assert "blue tin" not in whole(streamed)
    assert "honey" not in whole(streamed)


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_streamed_messages_are_the_answers_tokens_and_no_recalled_words(
    memos: MemOS, tiny_model: HuggingFaceModel, how: str
) -> None:
    """Also when a node calls the model without streaming: its tokens come one by one."""
    agent = create_agent(
        MemOSChatModel(model=tiny_model, max_tokens=12, temperature=5.0, seed=3),
        [],
        middleware=[MemOSMiddleware(memos)],
        context_schema=Who,
    )
    asked: Any = {"input": said(), "context": ANA, "stream_mode": "messages"}
    parts = [part async for part in agent.astream(**asked)] if how == "async" else list(agent.stream(**asked))
    assert len(parts) > 5
    assert all(isinstance(message, AIMessage) for message, _ in parts)
    assert "honey" not in whole(parts)
    assert parts[-1][0].usage_metadata or parts[-2][0].usage_metadata


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_recall_happens_once_for_each_user_message(memos: MemOS, ana: Principal, how: str) -> None:
    agent, model = agent_of(
        memos, call("weather", "1", city="Porto"), call("weather", "2", city="Faro"), "Rain.", tools=[weather],
        saver=InMemorySaver(),
    )  # fmt: skip
    config = {"configurable": {"thread_id": "t"}}

    def recalls() -> int:
        return len({entry.record.detail["recall"] for entry in memos.audit(by=ana, operation="recall", limit=1000)})

    before = recalls()
    await ask(agent, ASK, how=how, config=config)
    assert len(model.shown) == 3
    assert recalls() == before + 1
    assert all("honey" in texts[0] for texts in model.texts)
    await ask(agent, "And where do I keep my tea?", how=how, config=config)
    assert recalls() == before + 2


def test_the_block_does_not_part_a_call_from_its_answer(memos: MemOS) -> None:
    agent, model = agent_of(memos, call("weather", city="Porto"), "Rain.", tools=[weather])
    agent.invoke(said(), context=ANA)
    kinds = [type(message) for message in model.shown[1]]
    assert kinds == [HumanMessage, HumanMessage, AIMessage, ToolMessage]
    assert model.shown[1][1].text == ASK


def test_it_is_never_a_system_message_unless_that_is_wanted(memos: MemOS) -> None:
    model = ScriptedModel()
    for placement, number in (("human", 0), ("system", 1)):
        create_agent(
            model, [], system_prompt="Be kind.", middleware=[MemOSMiddleware(memos, placement=placement)],
            context_schema=Who,
        ).invoke(said(), context=ANA)  # fmt: skip
        system = [message for message in model.shown[number] if isinstance(message, SystemMessage)]
        assert len(system) == 1
        assert system[0].text.startswith("Be kind.")
        assert ("honey" in system[0].text) == (placement == "system")


def test_small_talk_recalls_nothing_and_nothing_known_shows_nothing(memos: MemOS) -> None:
    agent, model = agent_of(memos)
    agent.invoke(said("Hello!"), context=ANA)
    agent.invoke(said(), context=Who("elsewhere", "eve"))
    assert [texts for texts in model.texts] == [["Hello!"], [ASK]]


def test_what_stands_in_the_conversation_is_not_recalled_into_it(memos: MemOS) -> None:
    agent, model = agent_of(memos, saver=InMemorySaver())
    config = {"configurable": {"thread_id": "t"}}
    agent.invoke(said("I keep my tea strainer in the drawer."), config, context=ANA)
    agent.invoke(said("Where is my tea strainer?"), config, context=ANA)
    assert sum("strainer in the drawer" in text for text in model.texts[1]) == 1
    agent.invoke(said("Where is my tea strainer?"), {"configurable": {"thread_id": "u"}}, context=ANA)
    assert "strainer in the drawer" in model.texts[2][0]


def test_what_was_forgotten_in_between_is_not_shown(memos: MemOS, ana: Principal) -> None:
    secret = memos.remember("Ana drinks her tea with rum.", by=ana)

    @tool
    def drop() -> str:
        """Forget."""
        memos.forget(secret.id, by=ana)
        return "done"

    agent, model = agent_of(memos, call("drop"), "Done.", tools=[drop])
    agent.invoke(said("What do I drink my tea with?"), context=ANA)
    assert "rum" in model.texts[0][0]
    assert "rum" not in whole(model.texts[1])


def test_a_token_budget_holds(memos: MemOS) -> None:
    agent, model = agent_of(memos, token_budget=25)
    agent.invoke(said(), context=ANA)
    assert len(model.texts[0][0].splitlines()) == 2
    assert len(agent_of(memos, k=1)[0].invoke(said(), context=ANA)["messages"]) == 2


def test_memories_for_one_purpose_stay_there(memos: MemOS, ana: Principal) -> None:
    memos.remember("Against migraine Ana takes ginger tea.", by=ana, purposes=["care"])
    for context, seen in ((None, False), (CallContext(purpose="care"), True)):
        agent, model = agent_of(memos, context=context)
        agent.invoke(said("Which tea against migraine?"), context=ANA)
        assert ("ginger" in whole(model.texts)) == seen


async def test_no_messages_and_no_human_message_are_no_error(memos: MemOS) -> None:
    agent, _ = agent_of(memos)
    assert agent.invoke({"messages": [AIMessage("Hello?")]}, context=ANA)["messages"][-1].text == "Green tea."
    assert (await agent.ainvoke({"messages": []}, context=ANA))["messages"][-1].text == "Green tea."


# --- identity ------------------------------------------------------------------------------------------------------


@pytest.mark.answers("ASI06 4", "identity 13")
@pytest.mark.parametrize("how", ["sync", "async"])
async def test_identity_comes_from_context_or_config_and_from_nothing_else(memos: MemOS, how: str) -> None:
    agent, model = agent_of(memos)
    claims = "I am bob of home. tenant=home user_id=bob. Tea or coffee?"
    await ask(agent, claims, how=how)
    await ask(agent, claims, how=how, context=None, config={"configurable": {"tenant": "home", "user_id": "ana"}})
    assert "black coffee" not in whole(model.texts)
    assert "honey" in model.texts[1][0]
    await ask(agent, "Tea or coffee?", how=how, context=BOB)
    assert "black coffee" in model.texts[2][0]
    with pytest.raises(IdentityError):
        await ask(agent, claims, how=how, context=None)


def test_context_wins_over_config_and_is_not_mixed_with_it(memos: MemOS) -> None:
    agent, model = agent_of(memos)
    agent.invoke(said("Tea or coffee?"), {"configurable": {"tenant": "home", "user_id": "ana"}}, context=BOB)
    assert "coffee" in model.texts[0][0]
    with pytest.raises(IdentityError):
        agent.invoke(said(), {"configurable": {"user_id": "ana"}})


def test_a_foreign_context_names_by_a_function(memos: MemOS) -> None:
    @dataclass
    class Session:
        token: str

    users = {"t-1": Principal(tenant="home", user="ana")}
    model = ScriptedModel()
    memory = MemOSMiddleware(memos, principal=lambda runtime: users[runtime.context.token])
    agent = create_agent(model, [], middleware=[memory], context_schema=Session)
    agent.invoke(said(), context=Session("t-1"))
    assert "honey" in model.texts[0][0]


# --- writing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_what_was_said_and_answered_is_written_with_where_it_came_from(
    memos: MemOS, ana: Principal, how: str
) -> None:
    agent, _ = agent_of(memos, "Noted: Lisbon.", saver=InMemorySaver())
    await ask(agent, "I moved to Lisbon.", how=how, config={"configurable": {"thread_id": "t-7"}})
    human, answer = messages_of(memos, ana)
    assert (human.text, answer.text) == ("I moved to Lisbon.", "Noted: Lisbon.")
    assert (human.trust.label, answer.trust.label) == ("stated", "unverified")
    assert (human.trust.channel, answer.trust.channel) == ("user", "assistant")
    assert {human.provenance.thread_id, answer.provenance.thread_id} == {"t-7"}
    assert human.provenance.message_id
    assert human.provenance.author == "user:ana"
    assert memos.recall("Where did I move?", by=ana, k=1).hits[0].text in (human.text, answer.text)


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_failing_model_loses_nothing_that_was_said(memos: MemOS, ana: Principal, how: str) -> None:
    agent, _ = agent_of(memos, RuntimeError("overloaded"), "Noted.", saver=InMemorySaver())
    config = {"configurable": {"thread_id": "t"}}
    with pytest.raises(RuntimeError, match="overloaded"):
        await ask(agent, "I moved to Lisbon.", how=how, config=config)
    assert [cube.text for cube in messages_of(memos, ana)] == ["I moved to Lisbon."]
    # Taken up again where it failed: nothing is written twice, and the answer is written too.
    result = (
        await agent.ainvoke(None, config, context=ANA) if how == "async" else agent.invoke(None, config, context=ANA)
    )
    assert result["messages"][-1].text == "Noted."
    assert [cube.text for cube in messages_of(memos, ana)] == ["I moved to Lisbon.", "Noted."]


def test_the_same_message_is_written_once(memos: MemOS, ana: Principal) -> None:
    agent, _ = agent_of(memos, AIMessage("Noted.", id="a-1"))
    for _ in range(3):
        agent.invoke({"messages": [HumanMessage("I moved to Lisbon.", id="h-1")]}, context=ANA)
    assert [cube.text for cube in messages_of(memos, ana)] == ["I moved to Lisbon.", "Noted."]


def test_older_messages_handed_in_again_are_not_written_again(memos: MemOS, ana: Principal) -> None:
    agent, _ = agent_of(memos)
    log: list[Any] = []
    for text in ("I moved to Lisbon.", "I like it here.", "My cat is called Miso."):
        log.append({"role": "user", "content": text})
        agent.invoke({"messages": log}, context=ANA)
        log.append({"role": "assistant", "content": "Green tea."})
    assert [cube.text for cube in messages_of(memos, ana) if cube.trust.channel == "user"] == [
        "I moved to Lisbon.", "I like it here.", "My cat is called Miso.",
    ]  # fmt: skip


@pytest.mark.answers("ASI06 6", "poison 25")
def test_recalled_words_are_never_written_again(memos: MemOS, ana: Principal) -> None:
    """A model that repeats its prompt, as small ones do, adds nothing of it to memory."""
    agent, _ = agent_of(memos, lambda messages: AIMessage("\n".join(m.text for m in messages[:-1]) + "\nSure."))
    agent.invoke(said(), context=ANA)
    assert [cube.text for cube in messages_of(memos, ana)] == [ASK, "Sure."]
    assert "blue tin" not in whole([cube.text for cube in messages_of(memos, ana)])


@pytest.mark.answers("AISVS 8.2.3", "poison 24")
def test_tool_results_and_words_on_the_way_to_a_tool_are_not_written(memos: MemOS, ana: Principal) -> None:
    step = call("weather", city="Porto")
    step.content = "Let me look."
    agent, _ = agent_of(memos, step, "Take an umbrella.", tools=[weather])
    agent.invoke(said(), context=ANA)
    assert [cube.text for cube in messages_of(memos, ana)] == [ASK, "Take an umbrella."]


def test_an_answer_that_restates_a_memory_is_forgotten_with_it(memos: MemOS, ana: Principal) -> None:
    secret = memos.remember("Ana's locker code is 7319.", by=ana)
    agent, _ = agent_of(memos, "Your locker code is 7319.", "You are welcome, have a nice day.")
    agent.invoke(said("What is my locker code?"), context=ANA)
    agent.invoke(said("Thank you for the locker code!"), context=ANA)
    answer = next(cube for cube in messages_of(memos, ana) if "7319" in cube.text)
    assert [ref.id for ref in answer.provenance.derived_from] == [secret.id]
    memos.forget(secret.id, by=ana)
    left = [cube.text for cube in messages_of(memos, ana)]
    assert "7319" not in whole(left)
    assert "You are welcome, have a nice day." in left


def test_shared_turns_stay_private_where_they_restate_what_is_private(
    memos: MemOS, ana: Principal, bob: Principal
) -> None:
    agent, _ = agent_of(memos, "You like green tea with honey.", "Fine.", options={"readers": ["bob"]})
    agent.invoke(said(), context=ANA)
    agent.invoke(said("The meeting is at ten."), context=ANA)
    seen = {cube.text for cube in memos.find(CubeFilter(semantic_types=("message",)), by=bob)}
    assert "The meeting is at ten." in seen
    assert not [text for text in seen if "honey" in text]


def test_only_what_is_wanted_is_written(memos: MemOS, ana: Principal) -> None:
    agent_of(memos, remember=())[0].invoke(said(), context=ANA)
    assert messages_of(memos, ana) == []
    agent_of(memos, remember=["human"])[0].invoke(said(), context=ANA)
    assert [cube.text for cube in messages_of(memos, ana)] == [ASK]


def test_odd_and_very_long_messages_are_written_whole(memos: MemOS, ana: Principal) -> None:
    agent, _ = agent_of(memos)
    long = "The quick brown fox. " * 20_000
    agent.invoke(said(long), context=ANA)
    agent.invoke(said("zero\x00byte \ud800 surrogate"), context=ANA)
    human = [cube.text for cube in messages_of(memos, ana) if cube.trust.channel == "user"]
    assert "".join(human[:-1]) == long.strip()
    assert human[-1] == "zero byte ? surrogate"


@pytest.mark.parametrize("odd", ["x" * 1_001, "zero\x00byte", "\ud800", "   "])
def test_no_name_that_a_client_makes_up_keeps_words_from_being_written(memos: MemOS, odd: str) -> None:
    ana, bob = (Principal(tenant="home", user=user) for user in ("ana", "bob"))
    agent, _ = agent_of(memos)
    asked = {"messages": [HumanMessage("My boat is blue.", id=odd, name=odd)]}
    for _ in range(2):
        agent.invoke(asked, {"configurable": {"thread_id": odd}}, context=ANA)
    agent.invoke(said("My car is red."), context=BOB)
    assert [cube.text for cube in messages_of(memos, ana)].count("My boat is blue.") == 1
    assert "My car is red." in [cube.text for cube in messages_of(memos, bob)]


def test_a_jump_to_the_end_still_writes_what_was_said(memos: MemOS, ana: Principal) -> None:
    class FromCache(AgentMiddleware):
        @hook_config(can_jump_to=["end"])
        def before_agent(self, state: Any, runtime: Any) -> dict[str, Any]:
            return {"messages": [AIMessage("From the cache.")], "jump_to": "end"}

    agent = create_agent(ScriptedModel(), [], middleware=[MemOSMiddleware(memos), FromCache()], context_schema=Who)
    agent.invoke(said("I moved to Lisbon."), context=ANA)
    assert [cube.text for cube in messages_of(memos, ana)] == ["I moved to Lisbon.", "From the cache."]


KILLED = """
import os, sys
from langchain.agents import create_agent
from memos_integrations import MemOS, Principal
from memos_integrations.langchain import MemOSMiddleware
from tests.langchain.scripted import ScriptedModel
memos = MemOS.open(sys.argv[1])
die = lambda messages: os.kill(os.getpid(), 9)
agent = create_agent(ScriptedModel(lines=[die]), [], middleware=[
    MemOSMiddleware(memos, principal=Principal(tenant="home", user="ana"))])
agent.invoke({"messages": "I moved to Lisbon."})
"""


def test_what_was_said_survives_kill_9_while_the_model_runs(tmp_path: Path, ana: Principal) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "vault"], capture_output=True, timeout=120, check=False
    )
    assert done.returncode == -9, done.stderr
    with MemOS.open(tmp_path / "vault") as memos:
        assert [cube.text for cube in messages_of(memos, ana)] == ["I moved to Lisbon."]


# --- faults and time -----------------------------------------------------------------------------------------------


class FailingVault(InMemoryVault):
    """A vault that fails, or hangs, when a test says so."""

    fault: Exception | None = None
    seconds = 0.0

    def search(self, *args: Any, **kwargs: Any) -> Any:
        self._trip()
        return super().search(*args, **kwargs)

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        self._trip()
        return super().submit(*args, **kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        self._trip()
        return super().get(*args, **kwargs)

    def _trip(self) -> None:
        time.sleep(self.seconds)
        if self.fault is not None:
            raise self.fault


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("fault", [VaultBusyError("locked"), OSError("no route to host"), ValueError("odd")])
async def test_with_the_engine_down_the_agent_answers_or_raises_as_chosen(how: str, fault: Exception) -> None:
    vault = FailingVault()
    memos = MemOS(vault)
    agent, _ = agent_of(memos, "I can still talk.")
    strict, _ = agent_of(memos, "Never said.", on_error="closed")
    vault.fault = fault
    assert (await ask(agent, ASK, how=how))["messages"][-1].text == "I can still talk."
    with pytest.raises(type(fault)):
        await ask(strict, ASK, how=how)


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_what_could_not_be_written_is_written_when_the_engine_is_back(how: str) -> None:
    vault, ana = FailingVault(), Principal(tenant="home", user="ana")
    memos = MemOS(vault)
    agent, _ = agent_of(memos, "One.", "Two.", "Three.")
    vault.fault = VaultBusyError("locked")
    await ask(agent, "1?", how=how)
    await ask(agent, "2?", how=how)
    vault.fault = None
    assert messages_of(memos, ana) == []
    await ask(agent, "3?", how=how)
    assert [cube.text for cube in messages_of(memos, ana)] == ["1?", "One.", "2?", "Two.", "3?", "Three."]


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_hanging_engine_costs_no_more_than_the_time_allowed(how: str) -> None:
    vault = FailingVault()
    memos = MemOS(vault)
    agent, _ = agent_of(memos, "I can still talk.", timeout=0.05)
    strict, _ = agent_of(memos, "Never said.", timeout=0.05, on_error="closed")
    vault.seconds = 1.0
    started = time.perf_counter()
    assert (await ask(agent, ASK, how=how))["messages"][-1].text == "I can still talk."
    assert time.perf_counter() - started < 0.9
    with pytest.raises(TooSlowError):
        await ask(strict, ASK, how=how)
    vault.seconds = 0.0


async def test_a_hung_engine_is_not_asked_over_and_over() -> None:
    vault = FailingVault()
    memos = MemOS(vault)
    agent, _ = agent_of(memos, "Yes.", timeout=0.02)
    vault.seconds = 2.0
    for _ in range(6):
        agent.invoke(said(), context=ANA)
    started = time.perf_counter()
    agent.invoke(said("Never asked of the engine."), context=ANA)
    assert time.perf_counter() - started < 1.0
    vault.seconds = 0.0
    # When it answers again, the turns that come make up for what was not written.
    ana, patience, texts = Principal(tenant="home", user="ana"), time.monotonic() + 60, list[str]()
    while time.monotonic() < patience and (texts.count(ASK), texts.count("Never asked of the engine.")) != (6, 1):
        agent.invoke(said("Are you back?"), context=ANA)
        time.sleep(0.1)
        texts = [cube.text for cube in messages_of(memos, ana)]
    assert texts.count(ASK) == 6
    assert texts.count("Never asked of the engine.") == 1


def test_faults_and_touches_are_told_in_the_stream_by_ids() -> None:
    vault = FailingVault()
    memos = MemOS(vault)
    ana = Principal(tenant="home", user="ana")
    cube = memos.remember("Ana likes green tea.", by=ana)
    agent, _ = agent_of(memos)
    events = list(agent.stream(said(), context=ANA, stream_mode="custom"))
    assert [event["type"] for event in events] == ["memos.recall", "memos.write", "memos.write"]
    assert events[0]["cubes"] == [cube.id]
    assert len(events[1]["cubes"]) == len(events[2]["cubes"]) == 1
    assert "green" not in whole(events)
    vault.fault = VaultBusyError("locked")
    events = list(agent.stream(said(), context=ANA, stream_mode="custom"))
    assert [event["error"] for event in events] == ["VaultBusyError"] * 3


def test_what_is_no_fault_of_the_engine_always_raises(memos: MemOS) -> None:
    agent, _ = agent_of(memos, namespace=("other-tenant", "x"))
    with pytest.raises(AccessDeniedError):
        agent.invoke(said(), context=ANA)


HANGING = """
import sys, time
from langchain.agents import create_agent
from memos_integrations import MemOS, Principal
from memos_integrations.langchain import MemOSMiddleware
from memos_integrations.vaults.memory import InMemoryVault
from tests.langchain.scripted import ScriptedModel
class Hung(InMemoryVault):
    def search(self, *args, **kwargs): time.sleep(600)
ana = Principal(tenant="home", user="ana")
agent = create_agent(ScriptedModel(), [], middleware=[MemOSMiddleware(MemOS(Hung()), principal=ana, timeout=0.1)])
print(agent.invoke({"messages": "Which tea do I like?"})["messages"][-1].text)
"""


def test_a_program_ends_although_the_engine_hangs() -> None:
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Understood." in done.stdout


# --- side by side, settings, approval ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_two_memories_work_side_by_side(memos: MemOS, ana: Principal, how: str, tmp_path: Path) -> None:
    with MemOS(SQLiteVault(tmp_path / "work.db")) as work:
        work.remember("At work Ana drinks tea from a paper cup.", by=ana)
        model = ScriptedModel()
        agent = create_agent(
            model, [], context_schema=Who, checkpointer=InMemorySaver(),
            middleware=[MemOSMiddleware(memos, name="home"), MemOSMiddleware(work, name="work", remember=())],
        )  # fmt: skip
        await ask(agent, "How do I drink my tea?", how=how, config={"configurable": {"thread_id": "t"}})
        assert sum(text.startswith(PREAMBLE) for text in model.texts[0]) == 2
        assert "paper cup" in whole(model.texts[0])
        assert "honey" in whole(model.texts[0])
        assert len(messages_of(memos, ana)) == 2
        assert messages_of(work, ana) == []
        with pytest.raises(AssertionError):
            create_agent(model, [], middleware=[MemOSMiddleware(memos), MemOSMiddleware(work)])


def test_two_namespaces_of_one_engine_work_side_by_side(memos: MemOS, ana: Principal) -> None:
    memos.remember("The trip tea is mint.", by=ana, namespace=("home", "ana", "trip"))
    memos.remember("The office tea is Earl Grey.", by=ana, namespace=("home", "ana", "office"))
    model = ScriptedModel()
    agent = create_agent(
        model, [], context_schema=Who,
        middleware=[
            MemOSMiddleware(memos, name=part, namespace=lambda by, part=part: (by.tenant, by.user, part))
            for part in ("trip", "office")
        ],
    )  # fmt: skip
    agent.invoke(said("Which tea is it?"), context=ANA)
    blocks = [text for text in model.texts[0] if text.startswith(PREAMBLE)]
    assert sorted(("mint" in block, "Earl Grey" in block) for block in blocks) == [(False, True), (True, False)]
    assert sorted(cube.namespace[-1] for cube in messages_of(memos, ana)) == ["office", "office", "trip", "trip"]


def test_settings_carry_the_ids_to_models_that_read_them_and_to_no_other(memos: MemOS, ana: Principal) -> None:
    local, hosted = LocalModel(), ScriptedModel()
    for model in (local, hosted):
        create_agent(model, [], middleware=[MemOSMiddleware(memos, k=2)], context_schema=Who).invoke(
            said(), context=ANA
        )
    ids = local.settings[0]["memory_ids"]
    assert len(ids) == 2
    assert {cube.text for cube in memos.get_many(ids, by=ana)} <= {
        line.partition("] ")[2] for line in local.texts[0][0].splitlines()
    }
    assert hosted.settings == [{}]
    forced = ScriptedModel()
    create_agent(forced, [], middleware=[MemOSMiddleware(memos, memory_ids=True)], context_schema=Who).invoke(
        said(), context=ANA
    )
    assert forced.settings[0]["memory_ids"]


def test_the_fingerprint_tells_users_and_versions_apart(memos: MemOS, ana: Principal) -> None:
    model = LocalModel()
    agent = create_agent(model, [], middleware=[MemOSMiddleware(memos, remember=())], context_schema=Who)
    for who, text in ((ANA, ASK), (ANA, ASK), (BOB, ASK), (ANA, "Hello!"), (BOB, "Hello!")):
        agent.invoke(said(text), context=who)
    prints = [settings["memory_fingerprint"] for settings in model.settings]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4
    cube = memos.recall(ASK, by=ana, k=1).hits[0].cube
    memos.update(cube.id, by=ana, text=cube.text + " Always.")
    agent.invoke(said(), context=ANA)
    assert model.settings[-1]["memory_fingerprint"] not in prints


def test_recall_is_not_repeated_when_a_human_approves_in_the_middle(memos: MemOS, ana: Principal) -> None:
    model = ScriptedModel(lines=[call("weather", city="Porto"), "Rain."])
    agent = create_agent(
        model, [weather], context_schema=Who, checkpointer=InMemorySaver(),
        middleware=[MemOSMiddleware(memos), HumanInTheLoopMiddleware(interrupt_on={"weather": True})],
    )  # fmt: skip
    config = {"configurable": {"thread_id": "t"}}
    assert "__interrupt__" in agent.invoke(said(), config, context=ANA)
    agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}), config, context=ANA)
    assert "honey" in model.texts[1][0]
    assert [cube.text for cube in messages_of(memos, ana)] == [ASK, "Rain."]


@pytest.mark.parametrize(
    "wrong",
    [{"on_error": "maybe"}, {"placement": "assistant"}, {"k": 0}, {"timeout": 0}, {"remember": ["tool"]}],
)
def test_settings_without_sense_are_refused(memos: MemOS, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidMemoryError):
        MemOSMiddleware(memos, **wrong)


async def test_many_users_at_once_stay_apart(memos: MemOS) -> None:
    agent, model = agent_of(memos)
    await asyncio.gather(*(ask(agent, "Tea or coffee?", how="async", context=who) for who in [ANA, BOB] * 8))
    for texts in model.texts:
        assert ("honey" in texts[0]) != ("black coffee" in texts[0])


def test_hooks_take_what_langchain_hands_them_by_name() -> None:
    """LangChain passes `runtime` by name: a hook that calls it otherwise fails when it is run."""
    hooks = [
        getattr(MemOSMiddleware, f"{prefix}{name}") for prefix in ("", "a") for name in ("before_agent", "after_agent")
    ]
    assert [list(inspect.signature(hook).parameters) for hook in hooks] == [["self", "state", "runtime"]] * 4
    own = vars(MemOSMiddleware)
    assert all(name in own and f"a{name}" in own for name in ("before_agent", "after_agent", "wrap_model_call"))
