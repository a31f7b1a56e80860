"""What the reader makes of prompts, by rules and with a parser in front of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from memos_integrations.core.errors import InvalidMemoryError, ModelError
from memos_integrations.core.reader import MAX_PROMPT, Intent, MemoryCall, MemReader, Turn, read_by_rules

NOW = datetime(2024, 6, 12, 15, 30, tzinfo=ZoneInfo("Europe/Berlin"))  # a Wednesday
SPEAKERS = ("Ana", "Bob", "Will", "May")


def read(prompt: str, history: Sequence[Turn] = ()) -> MemoryCall:
    return MemReader().read(prompt, history=history, now=NOW, speakers=SPEAKERS)


INTENTS = {  # prompt: intent, query, words of the window
    "Summarise my meeting notes from last week": ("summarise", "my meeting notes from last week", "last week"),
    "could you please summarize what Bob said yesterday?": ("summarise", "what Bob said yesterday?", "yesterday"),
    "RECAP LAST MONTH": ("summarise", "LAST MONTH", "LAST MONTH"),
    "Give me a quick overview of the budget talks in March 2023": (
        "summarise", "the budget talks in March 2023", "March 2023"),
    "tl;dr of my trip": ("summarise", "my trip", None),
    "Bring me up to speed on the project": ("summarise", "the project", None),
    "I have a call at ten. Summarise my notes, please": ("summarise", "my notes", None),
    "what were the main points of our chat": ("summarise", "our chat", None),
    "Did Ana send the summary?": ("recall", "Did Ana send the summary?", None),
    "Who summarised the meeting?": ("recall", "Who summarised the meeting?", None),
    "Forget my old address": ("forget", "my old address", None),
    "Can you please forget everything about Bob?": ("forget", "everything about Bob?", None),
    "delete my phone number": ("forget", "my phone number", None),
    "i want you to erase what i told you about my salary": ("forget", "what i told you about my salary", None),
    "Hi! Please remove Bob's number from memory.": ("forget", "Bob's number from memory.", None),
    "Stop remembering my location": ("forget", "my location", None),
    "Don't remember my medical notes": ("forget", "my medical notes", None),
    "Did I forget my keys?": ("recall", "Did I forget my keys?", None),
    "I forgot where Ana lives": ("recall", "where Ana lives", None),
    "Forget it, let's talk about dinner": ("recall", "Forget it, let's talk about dinner", None),
    "Delete the duplicate lines in this code": ("recall", "Delete the duplicate lines in this code", None),
    "Can you clear the table?": ("recall", "clear the table?", None),
    "My address is now 5 Elm Street": ("update", "My address is now 5 Elm Street", None),
    "Actually, I prefer tea": ("update", "I prefer tea", None),
    "Change my phone number to 555": ("update", "my phone number to 555", None),
    "could you update Ana's birthday to 5 May": ("update", "Ana's birthday to 5 May", "5 May"),
    "I no longer work at the bank": ("update", "I no longer work at the bank", None),
    "i don't eat meat anymore": ("update", "i don't eat meat anymore", None),
    "We moved to Berlin last month": ("update", "We moved to Berlin last month", "last month"),
    "my favourite colour isn't red, it's blue": ("update", "my favourite colour isn't red, it's blue", None),
    "Remember that I'm allergic to nuts": ("update", "I'm allergic to nuts", None),
    "Don't forget that my mum's birthday is 5 May": ("update", "my mum's birthday is 5 May", "5 May"),
    "Please note that I am vegan": ("update", "I am vegan", None),
    "Is my address now Elm Street?": ("recall", "Is my address now Elm Street?", None),
    "Did I change my address to Elm Street?": ("recall", "Did I change my address to Elm Street?", None),
    "Actually, where did I put my keys?": ("recall", "Actually, where did I put my keys?", None),
    "Compare Rome and Paris": ("compare", "Rome and Paris", None),
    "How does Ana's plan differ from Bob's?": ("compare", "How does Ana's plan differ from Bob's?", None),
    "what's the difference between my old and new contract": (
        "compare", "what's the difference between my old and new contract", None),
    "Compare my spending in May and June": ("compare", "my spending in May and June", "May … June"),
    "is tea better than coffee for me?": ("compare", "is tea better than coffee for me?", None),
    "No, my dog is called Rex": ("update", "No, my dog is called Rex", None),
    "9/11": ("recall", "9/11", None),
    "Why did you forget my name?": ("recall", "Why did you forget my name?", None),
    "Which is better, tea or coffee?": ("compare", "Which is better, tea or coffee?", None),
    "last year vs. this year: where did I travel more?": (
        "compare", "last year vs. this year: where did I travel more?", "last year … this year"),
    "That makes no difference": ("recall", "That makes no difference", None),
    "Where do I live?": ("recall", "Where do I live?", None),
    "where do i live": ("recall", "where do i live", None),
    "Hello! Can you tell me where I live?": ("recall", "where I live?", None),
    "Hey Ana, what did Bob say on Friday?": ("recall", "what did Bob say on Friday?", "Friday"),
    "Do you remember when we went to Rome?": ("recall", "when we went to Rome?", None),
    "May I ask what Ana said in May?": ("recall", "May I ask what Ana said in May?", "May"),
    "I may march there": ("recall", "I may march there", None),
    "What changed since March?": ("recall", "What changed since March?", "since March"),
    "Show me my documents about taxes from 2022": ("recall", "my documents about taxes from 2022", "2022"),
    "Who did I meet at 3 pm yesterday?": ("recall", "Who did I meet at 3 pm yesterday?", "at 3 pm yesterday"),
    "Hi, I'm Ana": ("recall", "I'm Ana", None),
    "Write an email to Ana about my trip": ("recall", "Write an email to Ana about my trip", None),
    "Write a poem about my dog": ("recall", "Write a poem about my dog", None),
    "Translate my last message to French": ("recall", "Translate my last message to French", None),
    "What is 7 times Ana's age?": ("recall", "What is 7 times Ana's age?", None),
    "What is the capital of the land of my birth?": ("recall", "What is the capital of the land of my birth?", None),
    "thanks, and where is the key?": ("recall", "where is the key?", None),
}  # fmt: skip


@pytest.mark.parametrize("prompt", INTENTS)
def test_a_prompt_is_read_for_intent_query_and_time(prompt: str) -> None:
    call = read(prompt)
    intent, query, window = INTENTS[prompt]
    assert (call.intent, call.query) == (intent, query)
    assert (call.window.text if call.window else None) == window
    assert call.is_memory_needed
    assert call.why_not is None
    assert call.prompt == prompt


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("Hi!", "small talk"), ("HELLO THERE", "small talk"), ("hey, how are you today?", "small talk"),
        ("Thanks a lot, that helped!", "small talk"), ("Good morning Bob!", "small talk"), ("ok", "small talk"),
        ("Forget it.", "small talk"), ("never mind", "small talk"), ("Bye, see you later", "small talk"),
        ("Who are you?", "small talk"), ("👍", "no words"), ("?!", "no words"),
        ("What is 2+2?", "arithmetic"), ("15% of 80", "arithmetic"), ("calculate (3.5 * 12) / 7", "arithmetic"),
        ("what is seven times eight", "arithmetic"),
        ("Translate 'hello' to French", "general"), ("please translate “I love my dog” into Spanish", "general"),
        ("What does 'ephemeral' mean?", "general"), ("How do you say 'my dog' in Italian?", "general"),
        ("Write me a poem about the sea", "general"), ("can you write a Python function that sorts numbers", "general"),
        ("Convert 5 km to miles", "general"), ("what is the capital of France", "general"),
        ("what time is it?", "general"),
        ("How many days are in a year?", "general"),
        ("Summarise the following text: my cat sat on Bob.", "the text to work on"),
    ],
)  # fmt: skip
def test_small_talk_sums_and_general_tasks_need_no_memory(prompt: str, reason: str) -> None:
    call = read(prompt)
    assert (call.is_memory_needed, call.intent) == (False, Intent.NONE)
    assert call.why_not is not None
    assert reason in call.why_not


@pytest.mark.parametrize(
    ("prompt", "entities", "speakers"),
    [
        ("When did Noor join the NASA choir?", ("Noor", "NASA"), ()),
        ("what did ana tell bob", (), ("Ana", "Bob")),
        ("WHAT DID BOB TELL ANA", (), ("Bob", "Ana")),
        ("Ana's plan", ("Ana",), ("Ana",)),
        ("Will you call Banana Inc about the may-bug?", ("Banana Inc",), ()),
        ("What did Will say in May?", ("Will",), ("Will",)),
        ("Where is Anastasia?", ("Anastasia",), ()),
    ],
)
def test_names_and_known_speakers_are_found(prompt: str, entities: tuple[str, ...], speakers: tuple[str, ...]) -> None:
    call = read(prompt)
    assert (call.entities, call.speakers) == (entities, speakers)


@pytest.mark.parametrize(
    ("prompt", "types", "asks_when", "about_past"),
    [
        ("What do I like to eat?", ("preference",), False, False),
        ("what's my favourite food", ("preference",), False, False),
        ("Does Ana prefer tea?", ("preference",), False, False),
        ("What did the house look like?", (), False, False),
        ("Would you like some music like Bob's?", (), False, False),
        ("When did Bob move?", ("event",), True, False),
        ("tell me when Ana moved", ("event",), True, False),
        ("What happened on Friday?", ("event",), False, False),
        ("What did Ana say when she was in Rome?", (), False, False),
        ("When I was in Rome, what did I eat?", (), False, False),
        ("How long have they been married?", (), True, False),
        ("What year was that", (), True, False),
        ("How do I reset the router?", ("procedure", "task_prompt"), False, False),
        ("Find my notes about the roof", ("document",), False, False),
        ("Where did I use to live?", (), False, True),
        ("Where I used to live", (), False, True),
        ("What is flour used to bake?", (), False, False),
        ("I am used to rain", (), False, False),
        ("What was the original plan?", (), False, True),
        ("Who had my job before?", (), False, True),
        ("My old address?", (), False, True),
        ("What did I have for dinner the day before yesterday?", (), False, False),
        ("How old is my old friend?", (), False, False),
    ],
)
def test_the_kind_of_answer_is_recognised(
    prompt: str, types: tuple[str, ...], asks_when: bool, about_past: bool
) -> None:
    call = read(prompt)
    assert (call.semantic_types, call.asks_when, call.about_past) == (types, asks_when, about_past)


@pytest.mark.parametrize(
    ("prompt", "topic"),
    [
        ("Summarise my meeting notes from last week", "meeting notes"),
        ("When did Noor leave the ADHD parents forum?", "adhd parents forum"),
        ("What is my dog's name?", "dog's name"),
        ("Where does Ana live?", "ana"),
    ],
)
def test_the_topic_is_the_longest_noun_phrase(prompt: str, topic: str) -> None:
    assert read(prompt).topic == topic


def said(*texts: str, answer: str = "I see.") -> list[Turn]:
    return [turn for text in texts for turn in (Turn(role="user", text=text), Turn(role="assistant", text=answer))]


@pytest.mark.parametrize(
    ("history", "prompt", "query"),
    [
        (said("I had lunch with Ana in Rome."), "Where does she work?", "Where does Ana work?"),
        (said("I had lunch with Ana in Rome."), "What's her job?", "What's Ana's job?"),
        (said("I had lunch with Ana in Rome."), "Did I tell her yesterday?", "Did I tell Ana yesterday?"),
        (said("I had lunch with Ana in Rome."), "When was I there?", "When was I in Rome?"),
        (said("I had lunch with Ana in Rome."), "Do I like that place?", "Do I like Rome?"),
        (said("Ana Silva called.", "Ana is well."), "where does she live", "where does Ana Silva live"),
        (said("Ana and Bob got a dog."), "What do they like?", "What do Ana and Bob like?"),
        (said("I bought a new car."), "where did I park it", "where did I park the new car"),
        (said("Who is my dentist?", answer="Your dentist is Dr. Okafor."), "Where is he?", "Where is Dr. Okafor?"),
        (said("I'm Noor. Ana called."), "What's her number?", "What's Ana's number?"),
        (said("Ana called."), "What does her sister do?", "What does Ana's sister do?"),
        (said("Ana called."), "Is that book hers?", "Is that book Ana's?"),
        (said("Ana called."), "Who is that woman?", "Who is Ana?"),
        (said("Ana and Bob got a dog."), "Where do the two of them live?", "Where do Ana and Bob live?"),
        (said("Ana and Bob got a dog."), "What is their address?", "What is Ana and Bob's address?"),
        (said("Ana met Bob."), "What does the former do?", "What does Ana do?"),
        (said("Ana met Bob."), "What is the latter's job?", "What is Bob's job?"),
        (said("I flew to Rome and moved to Oslo."), "When was I in the latter?", "When was I in Oslo?"),
        (said("I flew to Rome."), "Who came along on that trip?", "Who came along on the trip to Rome?"),
        (said("I flew to Rome."), "Which museums does that city have?", "Which museums does Rome have?"),
        (said("I bought a new car."), "What is its colour?", "What is the new car's colour?"),
        (said("I had lunch with Ana."), "What's she like?", "What's Ana like?"),
        (said("I had lunch with Ana."), "I think she's ill, since when?", "I think Ana's ill, since when?"),
        (said("My sister lives in Oslo."), "When is her birthday?", "When is my sister's birthday?"),
        (said("I asked our landlord."), "What did he answer?", "What did our landlord answer?"),
        (said("My car broke down."), "Who repaired it?", "Who repaired my car?"),
        (said("Ana gave me a scarf."), "Where is it?", "Where is the scarf?"),
        (said("My sister Ana called."), "What's her number?", "What's Ana's number?"),
        (said("Zoë rang."), "Where does she live?", "Where does Zoë live?"),
        (said("Ana's mother is ill."), "How is she?", "How is she?"),
        (said("Ana called. My boss wrote."), "What did she want?", "What did she want?"),
        (said("Ana, Bob and Cy founded a band."), "What is their band called?", "What is their band called?"),
        (said("Ana met Bob and Cy."), "What does the latter do?", "What does the latter do?"),
        (said("Ana met Bob."), "Is Cy the latter?", "Is Cy the latter?"),
        (said("I flew to Rome and moved to Oslo."), "How was that trip?", "How was that trip?"),
        (said("I stayed at home."), "How was that trip?", "How was that trip?"),
        # Two could be meant, the query names somebody itself, or the word stands for nothing: left alone.
        (said("Ana met Bob."), "Where does she work?", "Where does she work?"),
        (said("Ana called.", "Bob called."), "What does he want?", "What does he want?"),
        (said("I had lunch with Ana."), "Does Bob like his job?", "Does Bob like his job?"),
        (said("My parents met Ana."), "Where do they live?", "Where do they live?"),
        (said("I flew to Rome."), "Is there a plan?", "Is there a plan?"),
        (said("I bought a new car."), "What time is it in Berlin?", "What time is it in Berlin?"),
        (said("I bought a car. I lost my key."), "Where is it?", "Where is it?"),
        (said("I flew to Rome and moved to Oslo."), "When was I there?", "When was I there?"),
        ([], "Where does she work?", "Where does she work?"),
        ([Turn(role="system", text="Ana wrote this.")], "Where does she work?", "Where does she work?"),
    ],
)
def test_a_pronoun_is_resolved_when_one_antecedent_fits(history: list[Turn], prompt: str, query: str) -> None:
    call = read(prompt, history)
    assert call.query == query
    assert bool(call.resolved) == (query != prompt)


def test_who_a_pronoun_stands_for_counts_as_named() -> None:
    call = read("What did she say?", said("I met Ana."))
    assert (call.resolved, call.speakers, call.entities) == ((("she", "Ana"),), ("Ana",), ("Ana",))
    turns = [Turn(role="user", text="Hi", speaker="Zoë Park", at=NOW)]
    assert MemReader().read("what did zoe like?", history=turns, now=NOW).speakers == ("Zoë Park",)


@pytest.mark.parametrize("prompt", ["", " \n\t", "a\x00b", "a\ud800b", "x" * (MAX_PROMPT + 1)])
def test_a_prompt_that_is_no_text_is_refused(prompt: str) -> None:
    with pytest.raises(InvalidMemoryError):
        read(prompt)


def test_a_time_without_zone_is_refused() -> None:
    for call in (MemReader().read, read_by_rules):
        with pytest.raises(InvalidMemoryError, match="time zone"):
            call("Where do I live?", now=datetime(2024, 1, 1))


def test_the_longest_prompt_is_read() -> None:
    call = read("My cat sat. " * 8_000 + "Summarise my notes.")
    assert call.intent is Intent.SUMMARISE
    assert "note" in call.terms


def test_a_parser_answers_first_and_keeps_the_prompt_as_it_was() -> None:
    parsed = MemoryCall(prompt="something else", query="home of Ana", intent=Intent.RECALL, is_memory_needed=True)
    call = MemReader(parser=lambda prompt, history, now: parsed).read("Where's Ana's place?", now=NOW)
    assert call == parsed.model_copy(update={"prompt": "Where's Ana's place?"})


def no_answer(prompt: str, history: Sequence[Turn], now: datetime) -> MemoryCall | None:
    return None


def bad_answer(prompt: str, history: Sequence[Turn], now: datetime) -> MemoryCall | None:
    return MemoryCall.model_validate_json('{"prompt": "x", "intent": "dance"}')


def broken_model(prompt: str, history: Sequence[Turn], now: datetime) -> MemoryCall | None:
    raise ModelError("The model is gone; load it again.")


@pytest.mark.parametrize("parser", [no_answer, bad_answer, broken_model])
def test_the_rules_stand_behind_a_parser_that_fails(parser: object) -> None:
    reader = MemReader(parser=parser)  # type: ignore[arg-type]
    assert reader.read("Forget my old address", now=NOW) == read_by_rules("Forget my old address", now=NOW)


def test_a_bug_in_a_parser_is_not_hidden() -> None:
    def buggy(prompt: str, history: Sequence[Turn], now: datetime) -> MemoryCall | None:
        raise KeyError("model")

    with pytest.raises(KeyError):
        MemReader(parser=buggy).read("Where do I live?", now=NOW)


@given(st.sampled_from(list(INTENTS)) | st.text(min_size=1), st.lists(st.text(), max_size=3))
def test_a_call_is_the_same_each_time_and_survives_json(prompt: str, before: list[str]) -> None:
    history = [Turn(role="user", text=text) for text in before]
    try:
        call = read(prompt, history)
    except InvalidMemoryError:
        assert not prompt.strip() or "\x00" in prompt or any("\ud800" <= c <= "\udfff" for c in prompt)
        return
    assert call == read(prompt, history)
    assert MemoryCall.model_validate_json(call.model_dump_json()) == call
    assert call.query.strip()
    assert call.is_memory_needed == (call.why_not is None) == (call.intent is not Intent.NONE)


def test_calls_and_turns_cannot_be_changed_or_extended() -> None:
    with pytest.raises(ValidationError):
        read("Where do I live?").query = "else"
    with pytest.raises(ValidationError):
        Turn.model_validate({"role": "user", "text": "x", "mood": "good"})
    with pytest.raises(ValidationError):
        Turn(role="user", text="x", at=datetime(2024, 1, 1))


@pytest.mark.parametrize(
    "prompt",
    [
        "What's the time of the dentist appointment?",
        "What is the date of the wedding?",
        "What is the area of the flat?",
        "Translate the letter from the bank",
        "Convert the recipe to grams",
    ],
)
def test_a_particular_thing_may_be_remembered(prompt: str) -> None:
    assert read_by_rules(prompt, now=NOW).is_memory_needed


@pytest.mark.parametrize(
    "prompt",
    [
        "What is the time?",
        "What's the date today?",
        "What is the area of France?",
        "What is the capital of the Netherlands?",
        "Translate the word apple into Spanish",
        "Convert 5 miles to kilometres",
    ],
)
def test_general_knowledge_needs_no_memory(prompt: str) -> None:
    assert not read_by_rules(prompt, now=NOW).is_memory_needed
