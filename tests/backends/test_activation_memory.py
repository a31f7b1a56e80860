"""A recall in front of a chat: laid out once, cached, counted, governed, kept as cubes, joined only when allowed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import MemOS, Principal, Recall
from memos_integrations.backends.huggingface import HuggingFaceModel, Token
from memos_integrations.backends.kv import ActivationCubes, ActivationMemory, KVStore, plain_prompt
from memos_integrations.backends.kv.composition import Calibration, Composition
from memos_integrations.backends.kv.layout import PREAMBLE, MemoryLine, lines_of
from memos_integrations.backends.kv.transfer import dump, undump
from memos_integrations.core.cube import ActivationPayload, CubeRef, Tier
from memos_integrations.core.errors import CubeNotFoundError, InvalidMemoryError, ModelError
from memos_integrations.core.tiers import Placement, Rent, TierCosts, decide_tier
from memos_integrations.langchain.chat_model import MemOSChatModel
from memos_integrations.vaults.memory import InMemoryVault
from tests.tiny_llama import build_tiny_llama

ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")
CY = Principal(tenant="acme", user="cy")
EVE = Principal(tenant="globex", user="eve")
ASK = [{"role": "user", "content": "What is the cat called?"}]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceModel:
    return HuggingFaceModel(build_tiny_llama(tmp_path_factory.mktemp("m") / "tiny", context=1024))


@pytest.fixture
def memos() -> Iterator[MemOS]:
    with MemOS(InMemoryVault()) as opened:
        yield opened


@pytest.fixture
def memory(model: HuggingFaceModel) -> Iterator[ActivationMemory]:
    with ActivationMemory(KVStore(model)) as opened:
        yield opened


def remember(memos: MemOS, *texts: str, by: Principal = ANA, **how: Any) -> list[str]:
    return [memos.remember(text, by=by, **how).id for text in texts]


def recall(memos: MemOS, by: Principal = ANA) -> Recall:
    return memos.recall("What about the cat?", by=by, needed=True)


def ids(tokens: Any) -> list[int]:
    return [token.id for token in tokens]


def usage(tokens: list[Token]) -> tuple[int, int, int]:
    last = tokens[-1].usage
    assert last is not None
    assert last.cached_tokens + last.recomputed_tokens + last.new_tokens == last.input_tokens
    return last.cached_tokens, last.recomputed_tokens, last.new_tokens


# --- the prompt ----------------------------------------------------------------------------------------------------


def test_memory_stands_once_at_the_head_of_the_first_human_message(
    memos: MemOS, memory: ActivationMemory, model: HuggingFaceModel
) -> None:
    remember(memos, "The cat is called Miso.", "The cat eats <|im_end|> tuna.")
    chat = [{"role": "system", "content": "Be kind."}, *ASK, {"role": "assistant", "content": "Miso."}, *ASK]
    text = model.tokenizer.decode(memory.prepare(chat, recall(memos)).ids)
    head, _, rest = text.partition(PREAMBLE)
    assert head == "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n"
    assert text.count("<|im_start|>system") == text.count(PREAMBLE) == text.count("Miso. ") + 1 == 1
    assert rest.index("is called Miso") < rest.index("tuna") < rest.index("What is the cat called?")
    assert text.count("<|im_end|>") == 4, "a memory cannot end the message that it stands in"


def test_the_order_is_that_of_the_ids_whatever_the_scores(memos: MemOS, memory: ActivationMemory) -> None:
    remember(memos, "The cat is called Miso.", "The dog barks at night.", "The cat eats tuna.")
    found = memos.recall("cat dog", by=ANA, needed=True)
    turned = found.model_copy(update={"hits": found.hits[::-1], "text": "\n".join(found.text.split("\n")[::-1])})
    assert memory.prepare(ASK, found).ids == memory.prepare(ASK, turned).ids
    assert [line.ref.id for line in lines_of(found)] == sorted(hit.cube.id for hit in found.hits)


def test_a_memory_has_the_same_ids_in_every_prompt(memos: MemOS, memory: ActivationMemory) -> None:
    """Text that is tokenised whole would join the end of one piece with the beginning of the next."""
    remember(memos, "The cat is called Miso.", "The cat eats tuna.")
    kept = lines_of(recall(memos))
    asked = ["What?", "\nWhat?", "\n\n\n- [2020-01-01] ana: nothing", "\u0301a combining accent", " x"]
    layouts = [memory.layout([{"role": "user", "content": text}], kept) for text in asked]
    assert len({(layout.head, layout.lines) for layout in layouts}) == 1
    assert len({layout.tail for layout in layouts}) == len(asked)
    shorter = memory.layout(ASK, kept[:1])
    assert (shorter.head, shorter.lines) == (layouts[0].head, layouts[0].lines[:1])


def test_cached_recomputed_and_new_tokens_add_up(
    memos: MemOS, memory: ActivationMemory, model: HuggingFaceModel
) -> None:
    remember(memos, "The cat is called Miso.")
    found = recall(memos)
    plain = plain_prompt(model, ASK, found)
    cold = ids(model.stream(plain.ids, max_new_tokens=8))
    one = list(memory.stream(ASK, recall=found, max_new_tokens=8))
    two = list(memory.stream(ASK, recall=found, max_new_tokens=8))
    assert ids(one) == ids(two) == cold
    new = len(plain.ids) - plain.memory_tokens
    assert usage(one) == (0, plain.memory_tokens, new)
    assert usage(two) == (plain.memory_tokens, 0, new)
    remember(memos, "The cat eats tuna.")
    cached, recomputed, _ = usage(list(memory.stream(ASK, recall=recall(memos), max_new_tokens=8)))
    assert cached == plain.memory_tokens
    assert recomputed > 0


def test_without_memories_it_is_the_plain_prompt(
    memos: MemOS, memory: ActivationMemory, model: HuggingFaceModel
) -> None:
    for nothing in (None, recall(memos)):
        tokens = list(memory.stream(ASK, recall=nothing, max_new_tokens=6))
        assert ids(tokens) == ids(model.stream(model.render(ASK), max_new_tokens=6))
        assert usage(tokens) == (0, 0, len(model.render(ASK)))
    assert memory.store.statistics.prefixes == 0


def test_rows_over_one_recall(memos: MemOS, memory: ActivationMemory) -> None:
    remember(memos, "The cat is called Miso.", "The cat eats tuna.")
    found = recall(memos)
    chats = [[{"role": "user", "content": text}] for text in ("Hi", "What does the cat eat, please?", "Who?")]
    rows = memory.answer_batch(chats, recall=found, max_new_tokens=6)
    assert [ids(row) for row in rows] == [ids(memory.stream(chat, recall=found, max_new_tokens=6)) for chat in chats]
    assert usage(rows[1])[1] == 0


def test_turns_are_kept_when_asked(memos: MemOS, model: HuggingFaceModel) -> None:
    remember(memos, "The cat is called Miso.")
    found = recall(memos)
    with ActivationMemory(KVStore(model), keep_turns=True) as memory:
        chat: list[dict[str, str]] = [*ASK]
        for _ in range(3):
            prompt = plain_prompt(model, chat, found)
            tokens = list(memory.stream(chat, recall=found, max_new_tokens=8))
            assert ids(tokens) == ids(model.stream(prompt.ids, max_new_tokens=8))
            chat += [{"role": "assistant", "content": "".join(token.text for token in tokens)}, *ASK]
        assert usage(tokens)[0] > prompt.memory_tokens + 20
        memory.drop([found.hits[0].cube.id])
        assert memory.store.statistics.prefixes == 1, "the turns went with the memory that they follow; the head stays"


def test_too_long_a_memory_is_refused_with_its_length(memos: MemOS, memory: ActivationMemory) -> None:
    remember(memos, *[f"The cat number {n} is called Miso and sleeps all day long." for n in range(20)])
    found = memos.recall("cat", by=ANA, k=20, needed=True)
    with pytest.raises(ModelError, match="reads 1023"):
        memory.prepare(ASK, found)


def test_the_chat_model_takes_a_recall_and_counts(memos: MemOS, memory: ActivationMemory) -> None:
    remember(memos, "The cat is called Miso.")
    found, question = recall(memos), ASK[0]["content"]
    plain = MemOSChatModel(model=memory.model, max_tokens=12)
    warm = MemOSChatModel(model=memory.model, memory=memory, max_tokens=12)
    answers = [chat.invoke(question, recall=found) for chat in (plain, warm, warm)]
    assert len({answer.text for answer in answers}) == 1
    details = [dict(answer.usage_metadata["input_token_details"]) for answer in answers if answer.usage_metadata]
    assert details[0] == details[1]
    assert details[0]["cache_read"] == details[2]["recomputed"] == 0 < details[2]["cache_read"]
    assert "".join(chunk.text for chunk in warm.bind(recall=found).stream(question)) == answers[0].text
    assert warm.invoke(question).text == plain.invoke(question).text
    with pytest.raises(ModelError, match="not both"):
        warm.invoke(question, recall=found, kv_prefix=object())


# --- governance ----------------------------------------------------------------------------------------------------


def test_an_activation_cube_is_for_those_who_may_read_every_source(memos: MemOS, memory: ActivationMemory) -> None:
    cubes = ActivationCubes(memos, memory)
    one = remember(memos, "The cat is called Miso.", readers=["ben", "cy"])
    two = remember(memos, "The cat eats tuna.", readers=["ben"], purposes=[], sensitivity=["health"])
    cube = cubes.promote([*two, *one], by=ANA)
    assert cube.tier is Tier.ACTIVATION
    assert isinstance(cube.payload, ActivationPayload)
    assert cube.governance.readers == ("user:ben",)
    assert cube.governance.sensitivity == ("health",)
    assert {ref.id for ref in cube.provenance.derived_from} == {*one, *two}
    assert cubes.promote([*one, *two], by=BEN).id == cube.id, "kept once for the tenant"
    assert cubes.verify(cube, by=BEN) <= 1e-4
    for other in (CY, EVE):
        with pytest.raises(CubeNotFoundError):
            cubes.load(cube, by=other)
        assert memos.activations(by=other) == []
    assert [each.id for each in memos.activations(by=BEN)] == [cube.id]
    assert not [hit for hit in recall(memos, BEN).hits if hit.cube.tier is not Tier.PLAINTEXT]


def test_it_survives_a_restart_and_serves_the_recall(model: HuggingFaceModel, tmp_path: Path) -> None:
    with MemOS.open(tmp_path) as memos, ActivationMemory(KVStore(model)) as memory:
        wanted = remember(memos, "The cat is called Miso.", "The cat eats tuna.")
        cube_id = ActivationCubes(memos, memory).promote(wanted, by=ANA).id
    with MemOS.open(tmp_path) as memos, ActivationMemory(KVStore(model)) as memory:
        prefix = ActivationCubes(memos, memory).load(cube_id, by=ANA)
        tokens = list(memory.stream(ASK, recall=recall(memos), max_new_tokens=5))
        assert usage(tokens)[:2] == (len(prefix.token_ids), 0)
        assert memory.store.statistics.built_tokens == 0


@pytest.mark.parametrize("how", ["forget", "update"])
def test_it_dies_with_its_source(memos: MemOS, memory: ActivationMemory, how: str) -> None:
    cubes = ActivationCubes(memos, memory)
    wanted = remember(memos, "The cat is called Miso.", "The cat eats tuna.")
    cube = cubes.promote(wanted, by=ANA)
    old = recall(memos)
    if how == "forget":
        receipt = memos.forget(wanted[0], by=ANA)
        assert receipt.derived == (cube.id,)
        assert receipt.erased["derivatives"] == 2
        assert not any(receipt.remaining.values())
    else:
        memos.update(wanted[0], by=ANA, text="The cat is called Tom.")
    with pytest.raises(CubeNotFoundError):
        cubes.load(cube, by=ANA)
    assert memory.sources() == set()
    list(memory.stream(ASK, recall=old, max_new_tokens=2))
    assert memory.sources() == set(), "an old recall does not bring it back"


def test_a_changed_memory_is_kept_again_in_its_new_words(memos: MemOS, memory: ActivationMemory) -> None:
    cubes = ActivationCubes(memos, memory)
    wanted = remember(memos, "The cat is called Miso.", "The cat eats tuna.")
    list(memory.stream(ASK, recall=recall(memos), max_new_tokens=2))
    memos.update(wanted[0], by=ANA, text="The cat is called Tom.")
    assert memory.sources() == set()
    first, second = (list(memory.stream(ASK, recall=recall(memos), max_new_tokens=2)) for _ in range(2))
    assert usage(first)[1] > 0
    assert usage(second)[1] == 0, "computed once, and taken from then on"
    assert {(ref.id, ref.version) for _, ref in memory.sources()} == {(wanted[0], 2), (wanted[1], 1)}
    assert cubes.verify(cubes.promote(wanted, by=ANA), by=ANA) <= 1e-4


def test_what_was_forgotten_while_the_store_was_away_goes_when_it_is_attached(
    memos: MemOS, model: HuggingFaceModel, tmp_path: Path
) -> None:
    gone, kept = remember(memos, "The cat is called Miso.", "The cat eats tuna.")
    with ActivationMemory(KVStore(model, folder=tmp_path)) as memory:
        list(memory.stream(ASK, recall=recall(memos), max_new_tokens=2))
    memos.forget(gone, by=ANA)
    with ActivationMemory(KVStore(model, folder=tmp_path)) as memory:
        assert {ref.id for _, ref in memory.sources()} == {gone, kept}
        memos.attach(memory)
        assert memory.sources() == set()
        assert len(list(tmp_path.glob("*.safetensors"))) == 1, "the head, which quotes nobody"


def test_the_same_words_of_two_tenants_are_computed_twice(memos: MemOS, memory: ActivationMemory) -> None:
    for by in (ANA, EVE):
        remember(memos, "The cat is called Miso.", by=by)
        assert usage(list(memory.stream(ASK, recall=recall(memos, by), max_new_tokens=2)))[0] == 0
    both = recall(memos).hits + recall(memos, EVE).hits
    mixed = recall(memos).model_copy(update={"hits": both})
    with pytest.raises(ModelError, match="several tenants"):
        memory.prepare(ASK, mixed)


def test_a_cube_of_another_model_is_refused_and_says_why(
    memos: MemOS, memory: ActivationMemory, tmp_path: Path
) -> None:
    wanted = remember(memos, "The cat is called Miso.")
    cube = ActivationCubes(memos, memory).promote(wanted, by=ANA)
    other = HuggingFaceModel(build_tiny_llama(tmp_path / "m", seed=4, context=1024))
    with ActivationMemory(KVStore(other)) as foreign, pytest.raises(ModelError, match="another model, weights"):
        ActivationCubes(memos, foreign).load(cube, by=ANA)
    half = HuggingFaceModel(memory.model.folder, dtype="bfloat16")
    with ActivationMemory(KVStore(half)) as foreign, pytest.raises(ModelError, match="another dtype"):
        ActivationCubes(memos, foreign).load(cube, by=ANA)
    with pytest.raises(InvalidMemoryError, match="not activation memory"):
        ActivationCubes(memos, memory).load(wanted[0], by=ANA)


@pytest.mark.answers("AISVS 8.3.1")
def test_what_expires_stays_text(memos: MemOS, memory: ActivationMemory) -> None:
    wanted = remember(memos, "The cat is called Miso.", ttl=timedelta(days=1))
    with pytest.raises(InvalidMemoryError, match="kept as text only: it expires"):
        ActivationCubes(memos, memory).promote(wanted, by=ANA)


@pytest.mark.parametrize("damage", ["truncated", "nan", "pickle", "foreign shape"])
def test_a_damaged_dump_is_refused(model: HuggingFaceModel, damage: str) -> None:
    import io

    import torch

    store = KVStore(model)
    prefix = store.put(list(range(40)), tenant="a")
    out = io.BytesIO()
    dump(prefix, out)
    content = bytearray(out.getvalue())
    tokens, parts = undump(model, bytearray(content), "cube x")
    assert tokens == list(range(40))
    assert torch.equal(parts[1][1], prefix.layers[1][0][1])
    if damage == "truncated":
        content = content[:-4]
    elif damage == "nan":
        content[-4:] = b"\x00\x00\xc0\x7f"
    elif damage == "pickle":
        content = bytearray(b"\x80\x04." + content)
    else:
        from memos_integrations.backends.kv.spill import pour
        from memos_integrations.backends.kv.tiers import exact

        out = io.BytesIO()
        pour(out, exact([(torch.zeros(1, 3, 40, 8), torch.zeros(1, 3, 40, 8))] * 2), tokens, {}, b"")
        content = bytearray(out.getvalue())
    with pytest.raises(ModelError, match="cube x"):
        undump(model, content, "cube x")


# --- tiers ---------------------------------------------------------------------------------------------------------


def test_hot_memories_are_warmed_and_cold_ones_become_text(memos: MemOS, memory: ActivationMemory) -> None:
    remember(memos, "The cat is called Miso.", "The cat eats tuna.")
    found = recall(memos)
    prefix = memory.warm(found).result()
    for _ in range(3):
        list(memory.stream(ASK, recall=found, max_new_tokens=1))
    ((cubes, decision),) = memory.tend()
    assert cubes == tuple(line.ref.id for line in lines_of(found))
    assert decision.placement is Placement.MEMORY
    assert memory.store.holds(prefix.token_ids, tenant="acme") == len(prefix.token_ids)
    memory._rent = Rent(memory=1.0, disk=1.0)
    ((_, decision),) = memory.tend()
    assert decision.placement is Placement.TEXT
    assert memory.store.holds(prefix.token_ids, tenant="acme") == 0


@pytest.mark.parametrize(
    ("costs", "placement"),
    [
        ({"build_seconds": 4.0, "load_seconds": 0.01, "expected_uses": 20.0, "size": 10**7}, Placement.MEMORY),
        ({"build_seconds": 4.0, "load_seconds": 0.01, "expected_uses": 2.0, "size": 10**9}, Placement.DISK),
        ({"build_seconds": 4.0, "load_seconds": 0.01, "expected_uses": 0.5, "size": 10**7}, Placement.TEXT),
        (
            {"build_seconds": 4.0, "load_seconds": 0.01, "expected_uses": 5.0, "size": 10**7, "changes": 9.0},
            Placement.TEXT,
        ),
        ({"build_seconds": 0.0, "load_seconds": 0.0, "expected_uses": 9.0, "size": 1}, Placement.TEXT),
    ],
)
def test_the_decision_is_one_comparison_of_measured_costs(costs: dict[str, float], placement: Placement) -> None:
    decision = decide_tier(TierCosts(**costs))  # type: ignore[arg-type]
    assert decision.placement is placement
    assert decision.saved_seconds >= 0
    assert "uses x" in decision.reason


# --- memories computed apart ----------------------------------------------------------------------------------------


def lines(count: int) -> list[MemoryLine]:
    return [
        MemoryLine(f"- Person {n} lives in town {n}.", CubeRef(id=f"c{n}", version=1), "acme", float(n == 1))
        for n in range(count)
    ]


def test_joined_memories_are_the_exact_ones_in_the_first_layer(memory: ActivationMemory) -> None:
    """There, keys and values depend on token and position only: turned to its place, each must be what it would be."""
    composition = Composition(memory.store)
    layout = memory.layout(ASK, lines(4))
    joined = composition.join(layout, lines(4), link=0)
    prefix = joined.prefix
    exact = memory.store.put(prefix.token_ids, tenant="other")
    for place in (0, 1):
        one = prefix.layers[0][0][place]
        two = exact.layers[0][0][place]
        assert float((one - two).abs().max()) <= 1e-5
    assert sorted(joined.ids) == sorted(layout.ids)
    assert not prefix.exact
    assert joined.ids[len(prefix.token_ids) :][: len(layout.lines[1])] == list(layout.lines[1]), "the best one last"


def test_link_tokens_cover_everything_exactly_when_they_are_all_tokens(memory: ActivationMemory) -> None:
    composition = Composition(memory.store)
    layout = memory.layout(ASK, lines(4))
    joined = composition.join(layout, lines(4), link=10_000).prefix
    exact = memory.store.put(joined.token_ids, tenant="other")
    for one, two in zip(joined.layers, exact.layers, strict=True):
        assert float((one[0][0] - two[0][0]).abs().max()) <= 1e-4


def test_joining_needs_a_calibration_of_this_model_and_falls_back_to_exact(
    memos: MemOS, model: HuggingFaceModel
) -> None:
    remember(memos, "The cat is called Miso.", "The cat eats tuna.", "The cat sleeps all day.")
    found = recall(memos)
    store = KVStore(model)
    gate = Composition(store, max_kl=0.0)
    with ActivationMemory(store, compose=gate) as memory:
        assert not memory.prepare(ASK, found).approximate
        store.drop([])
        measured = gate.calibrate([(ASK, lines(4))], tokens=3)
        assert measured.kl > 0
        assert not gate.allowed()
        assert not memory.prepare(ASK, found).approximate
        gate.max_kl, gate.min_agreement = 1e9, 0.0
        assert gate.allowed(memories=4)
        assert not gate.allowed(memories=5), "more were joined than were measured"
        fresh = Composition(KVStore(model), calibration=Calibration.model_validate_json(measured.model_dump_json()))
        fresh.max_kl, fresh.min_agreement = 1e9, 0.0
        joining = ActivationMemory(fresh.store, compose=fresh)
        plain = plain_prompt(model, ASK, found)
        cached = []
        for _ in range(2):
            tokens = list(joining.stream(ASK, recall=found, max_new_tokens=3))
            assert usage(tokens)[2] == len(plain.ids) - plain.memory_tokens, "the last memory is no new token"
            cached.append(usage(tokens)[0])
        assert cached[0] < cached[1] < plain.memory_tokens
        assert tokens[-1].usage is not None
        assert tokens[-1].usage.approximate
        assert 0 < usage(tokens)[1] < usage(tokens)[0] + usage(tokens)[1]
        answer = MemOSChatModel(model=model, memory=joining, max_tokens=3).invoke(ASK[0]["content"], recall=found)
        assert answer.response_metadata["approximate_memory"] is True
        joining.close()
    with pytest.raises(ModelError, match="at least two"):
        gate.calibrate([(ASK, lines(1))])


def test_a_calibration_of_another_model_counts_for_nothing(model: HuggingFaceModel, tmp_path: Path) -> None:
    other = KVStore(HuggingFaceModel(build_tiny_llama(tmp_path / "m", seed=8, context=1024)))
    found = Calibration(fingerprint=other.model.fingerprint, samples=9, memories=4, kl=0.0, agreement=1.0)
    assert Composition(other, calibration=found).allowed()
    assert not Composition(KVStore(model), calibration=found).allowed()
