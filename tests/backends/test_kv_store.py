"""Stored keys and values: never a wrong token, whatever is stored, forked, pushed out, damaged or shared."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from memos_integrations.backends.huggingface import HuggingFaceModel, KVPrefix
from memos_integrations.backends.kv import KVStore, StoredPrefix
from memos_integrations.core.cube import CubeRef
from memos_integrations.core.errors import ModelError
from tests.tiny_llama import build_tiny_llama

IDS = [(7 * n * n + 3) % 250 for n in range(160)]
NEAR = 1e-4


def answer(model: HuggingFaceModel, ids: list[int], prefix: KVPrefix | None = None, tokens: int = 8) -> list[int]:
    return [token.id for token in model.stream(ids, max_new_tokens=tokens, prefix=prefix)]


def digest(prefix: StoredPrefix) -> str:
    tensors = (t for layer in prefix.layers for part in layer for t in part)
    return hashlib.sha256(b"".join(t.contiguous().numpy().tobytes() for t in tensors)).hexdigest()


# --- exact --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
def test_a_stored_prefix_changes_no_answer_and_is_not_changed(tiny_model: HuggingFaceModel, shared: bool) -> None:
    store = KVStore(tiny_model)
    prefix = store.put(IDS[:100], tenant="a")
    assert isinstance(prefix, KVPrefix)
    before = digest(prefix)
    import torch

    with torch.inference_mode():
        for query in (IDS[100:126], IDS[90:91]):
            cold = tiny_model.network(torch.tensor([IDS[:100] + query]), use_cache=False).logits[0, -1]
            for _ in range(2):
                cache = prefix.fork(shared=shared)
                assert cache.get_seq_length() == 100
                warm = tiny_model.network(torch.tensor([query]), past_key_values=cache).logits[0, -1]
                assert float((cold - warm).abs().max()) <= NEAR
                assert cache.get_seq_length() == 100 + len(query)
    assert answer(tiny_model, IDS[:126], prefix) == answer(tiny_model, IDS[:126])
    assert digest(prefix) == before
    assert store.verify(prefix) <= NEAR


def test_generate_of_transformers_forwards_only_the_rest(tiny_model: HuggingFaceModel) -> None:
    import torch

    prefix = KVStore(tiny_model).put(IDS[:80], tenant="a")
    full = torch.tensor([IDS[:97]])
    seen: list[int] = []
    hook = tiny_model.network.model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    how: dict[str, Any] = {"attention_mask": torch.ones_like(full), "max_new_tokens": 6, "do_sample": False}
    try:
        warm = tiny_model.network.generate(full, past_key_values=prefix.fork(), **how)
    finally:
        hook.remove()
    assert seen[0] == 17
    assert warm[0, 97:].tolist() == answer(tiny_model, IDS[:97], tokens=6)


def test_a_full_hit_leaves_one_token_to_compute(tiny_model: HuggingFaceModel) -> None:
    store = KVStore(tiny_model)
    prefix = store.put(IDS[:50], tenant="a")
    *_, last = tiny_model.stream(IDS[:50], max_new_tokens=5, prefix=prefix)
    assert last.usage is not None
    assert last.usage.cached_tokens == 49
    assert answer(tiny_model, IDS[:50], prefix) == answer(tiny_model, IDS[:50])
    found = store.match(IDS[:50], tenant="a")
    assert found is not None
    assert len(found.token_ids) == 49


def test_a_fork_is_cropped_without_touching_what_is_stored(tiny_model: HuggingFaceModel) -> None:
    prefix = KVStore(tiny_model).put(IDS[:50], tenant="a")
    before = digest(prefix)
    for shared in (True, False):
        cache = prefix.fork(shared=shared)
        tiny_model._forward(IDS[50:60], cache, ())
        cache.crop(-10)
        assert cache.get_seq_length() == 50
        cache.crop(-20)
        assert cache.get_seq_length() == 30
        import torch

        with torch.inference_mode():
            cold = tiny_model.network(torch.tensor([IDS[:40]]), use_cache=False).logits[0, -1]
        assert float((tiny_model._forward(IDS[30:40], cache, ()) - cold).abs().max()) <= NEAR
    assert digest(prefix) == before


def test_any_number_of_sessions_share_one_copy(tiny_model: HuggingFaceModel) -> None:
    """A fork takes no tensor and copies none; what a session has of its own is its own tokens."""
    import torch

    prefix = KVStore(tiny_model).put(IDS[:100], tenant="a")
    stored = [tensor.data_ptr() for layer in prefix.layers for part in layer for tensor in part]
    caches = [prefix.fork() for _ in range(4)]
    batch = torch.tensor([IDS[100:103]] * 8)
    with torch.inference_mode():
        for cache in caches:
            rows = tiny_model.network(batch, past_key_values=cache).logits
            assert float((rows[0] - rows[7]).abs().max()) <= NEAR
    for cache in caches:
        held = [tensor.data_ptr() for layer in cache.layers for part in layer.parts for tensor in part]
        assert held == stored
        own = {tuple(tensor.shape[:3:2]) for layer in cache.layers for tensor in (layer.keys, layer.values)}
        assert own == {(8, 3)}


def test_bfloat16_is_as_exact_as_bfloat16_is(tiny_llama: Path, tiny_model: HuggingFaceModel) -> None:
    """The order of sums shows in bfloat16: injected and cold are equally far from float32, and no farther apart."""
    import torch

    model = HuggingFaceModel(tiny_llama, dtype="bfloat16")
    store = KVStore(model)
    for start in range(0, 60, 10):
        ids = torch.tensor([IDS[start : start + 70]])
        prefix = store.put(ids[0, :50].tolist(), tenant="a")
        with torch.inference_mode():
            real = tiny_model.network(ids, use_cache=False).logits[0, -1]
            cold = model.network(ids, use_cache=False).logits[0, -1].float()
            warm = model.network(ids[:, 50:], past_key_values=prefix.fork()).logits[0, -1].float()
        noise = float((cold - real).abs().max())
        assert float((warm - real).abs().max()) <= 2 * noise
        assert float((warm - cold).abs().max()) <= 2 * noise


def test_a_model_in_float64_is_spilled_like_any_other(tiny_llama: Path, tmp_path: Path) -> None:
    model = HuggingFaceModel(tiny_llama, dtype="float64")
    store = KVStore(model, folder=tmp_path, memory_bytes=1)
    store.put(IDS[:40], tenant="a")
    found = store.match(IDS[:50], tenant="a")
    assert found is not None
    assert store.verify(found) <= NEAR
    assert store.statistics.loads == 1


def test_packed_weights_give_the_same_tokens(tiny_llama: Path, tiny_model: HuggingFaceModel) -> None:
    model = HuggingFaceModel(tiny_llama, packed=True)
    assert answer(model, IDS[:40]) == answer(tiny_model, IDS[:40])
    import torch

    with torch.inference_mode():
        model.network.model.layers[0].mlp.up_proj.weight.mul_(0)  # somebody merged something into it
    assert answer(model, IDS[:40]) != answer(tiny_model, IDS[:40])


# --- a tree of runs, under every kind of use ----------------------------------------------------------------------


class Trees(RuleBasedStateMachine):
    """Random prompts over few tokens, two tenants, budgets too small, files: always the answer of a cold prefill."""

    model: HuggingFaceModel
    folder: Path
    count = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).count += 1
        self.place = self.folder / str(self.count)
        self.store = KVStore(self.model, memory_bytes=12_000, folder=self.place, disk_bytes=20_000)
        self.kept: list[tuple[StoredPrefix, str]] = []

    prompts = st.lists(st.integers(1, 3), min_size=2, max_size=24)
    tenants = st.sampled_from(["a", "b"])

    @rule(ids=prompts, tenant=tenants, source=st.sampled_from(["x", "y"]))
    def put(self, ids: list[int], tenant: str, source: str) -> None:
        prefix = self.store.put(ids, tenant=tenant, sources=[CubeRef(id=source, version=1)])
        assert list(prefix.token_ids) == ids
        assert self.store.verify(prefix) <= NEAR
        self.kept = [*self.kept[-2:], (prefix, digest(prefix))]

    @rule(ids=prompts, tenant=tenants)
    def match(self, ids: list[int], tenant: str) -> None:
        found = self.store.match(ids, tenant=tenant)
        if found is not None:
            assert list(found.token_ids) == ids[: len(found.token_ids)]
            assert len(found.token_ids) < len(ids)
            assert answer(self.model, ids, found, 3) == answer(self.model, ids, None, 3)

    @rule(ids=prompts, tenant=tenants)
    def demote(self, ids: list[int], tenant: str) -> None:
        self.store.demote(ids, tenant=tenant)

    @rule(source=st.sampled_from(["x", "y"]))
    def drop(self, source: str) -> None:
        self.store.drop([source])
        assert source not in {ref.id for _, ref in self.store.sources()}
        self.store._gone.clear()  # so that the machine can go on

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = KVStore(self.model, memory_bytes=12_000, folder=self.place, disk_bytes=20_000)

    @invariant()
    def budgets_hold_and_nothing_held_changes(self) -> None:
        counts = self.store.statistics
        assert 0 <= counts.memory_bytes <= 12_000
        assert 0 <= counts.disk_bytes <= 20_000
        assert counts.refused_files == 0
        assert all(digest(prefix) == before for prefix, before in self.kept)


def test_no_order_of_use_gives_a_wrong_token(tiny_model: HuggingFaceModel, tmp_path: Path) -> None:
    Trees.model, Trees.folder = tiny_model, tmp_path
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Trees,
        settings=settings(
            max_examples=12, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_eight_threads_on_one_store(tiny_model: HuggingFaceModel, tmp_path: Path) -> None:
    store = KVStore(tiny_model, memory_bytes=60_000, folder=tmp_path)
    prompts = [IDS[n % 3 : n % 3 + 30 + n] for n in range(16)]
    alone = [answer(tiny_model, ids, None, 4) for ids in prompts]

    def ask(number: int) -> list[int]:
        ids = prompts[number % 16]
        prefix = store.put(ids[: 20 + number % 7], tenant="ab"[number % 2])
        if number % 5 == 0:
            store.demote(prefix, tenant="ab"[number % 2])
        return answer(tiny_model, ids, prefix, 4)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(64))) == alone * 4
    assert store.statistics.memory_bytes <= 60_000


# --- keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.answers("input 10")
def test_whatever_changes_the_values_changes_the_key(tiny_llama: Path, tmp_path: Path) -> None:
    def key(folder: Path, tenant: str = "a", secret: bytes = b"s" * 32, **how: Any) -> str:
        return KVStore(HuggingFaceModel(folder, **how), secret=secret).key(IDS[:9], tenant=tenant)

    same = key(tiny_llama)
    assert same == key(tiny_llama)
    others = [
        key(tiny_llama, tenant="b"),
        key(tiny_llama, secret=b"t" * 32),
        key(tiny_llama, dtype="bfloat16"),
        key(build_tiny_llama(tmp_path / "seed", seed=1)),
        key(build_tiny_llama(tmp_path / "long", context=1024)),
    ]
    assert len({same, *others}) == 6


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")
def test_prefixes_are_kept_per_adapter(tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig

    model = HuggingFaceModel(build_tiny_llama(tmp_path / "m"))
    torch.manual_seed(1)
    model.network.add_adapter(LoraConfig(r=4, target_modules=["v_proj"], init_lora_weights=False), "ana")
    store = KVStore(model)
    plain, tuned = store.put(IDS[:40], tenant="a"), store.put(IDS[:40], tenant="a", adapters=("ana",))
    assert plain.key != tuned.key
    assert digest(plain) != digest(tuned)
    assert store.verify(tuned, adapters=("ana",)) <= NEAR < store.verify(tuned)
    before = store.key(IDS[:40], tenant="a", adapters=("ana",))
    with torch.no_grad():
        next(p for n, p in model.network.named_parameters() if "lora_B.ana" in n).add_(1)
    assert store.key(IDS[:40], tenant="a", adapters=("ana",)) != before
    assert store.match(IDS[:40], tenant="a", adapters=("ana",)) is None
    with pytest.raises(ModelError, match="not loaded"):
        store.put(IDS[:40], tenant="a", adapters=("bob",))


def test_tenants_never_meet(tiny_model: HuggingFaceModel) -> None:
    store = KVStore(tiny_model)
    store.put(IDS[:40], tenant="a")
    assert store.match(IDS[:50], tenant="b") is None
    with pytest.raises(ModelError, match="tenant"):
        store.put(IDS[:40], tenant="")


# --- budgets, tiers, pins ------------------------------------------------------------------------------------------


def test_a_budget_of_zero_keeps_nothing_and_still_answers(tiny_model: HuggingFaceModel, tmp_path: Path) -> None:
    for how in ({}, {"folder": tmp_path, "disk_bytes": 0}):
        store = KVStore(tiny_model, memory_bytes=0, **how)  # type: ignore[arg-type]
        prefix = store.put(IDS[:40], tenant="a")
        assert answer(tiny_model, IDS[:50], prefix) == answer(tiny_model, IDS[:50])
        assert store.match(IDS[:50], tenant="a") is None
        assert store.statistics.memory_bytes == store.statistics.disk_bytes == 0
    assert not list(tmp_path.glob("*.safetensors"))


def test_what_saves_least_per_byte_goes_first_and_pins_stay(tiny_model: HuggingFaceModel) -> None:
    now = [0.0]
    store = KVStore(tiny_model, memory_bytes=3 * 40 * 256, clock=lambda: now[0])
    size = store.put([9] * 40, tenant="a") and store.statistics.memory_bytes
    store = KVStore(tiny_model, memory_bytes=3 * size, clock=lambda: now[0])
    prompts = [[n] * 40 for n in (1, 2, 3, 4)]
    first = store.put(prompts[0], tenant="a")
    store.pin(first, tenant="a")
    for ids in prompts[1:3]:
        store.put(ids, tenant="a")
    for _ in range(50):
        assert store.match([*prompts[2], 5], tenant="a")
    store.put(prompts[3], tenant="a")
    assert [store.holds(prompts[n], tenant="a") for n in (0, 2)] == [40, 40]
    assert sum(store.holds(ids, tenant="a") for ids in prompts) == 120
    assert store.statistics.evictions == 1
    store.pin(first, tenant="a", pinned=False)
    with pytest.raises(ModelError, match="not stored"):
        store.pin(StoredPrefix([8, 8], "k", True, 0.0, (), True), tenant="a")


def test_taking_back_a_pin_that_another_prefix_needs_takes_nothing(tiny_model: HuggingFaceModel) -> None:
    store = KVStore(tiny_model)
    store.put(IDS[:60], tenant="a")
    now = [0.0]
    store = KVStore(tiny_model, memory_bytes=2 * store.statistics.memory_bytes, clock=lambda: now[0])
    short, long = store.put(IDS[:40], tenant="a"), store.put(IDS[:60], tenant="a")
    store.pin(long, tenant="a")
    store.pin(short, tenant="a", pinned=False)
    store.demote(long, tenant="a")
    now[0] = 1e6  # by now worth less than anything new
    for start in [each for each in range(1, 5) if each != IDS[0]][:3]:  # with no beginning in common
        store.put([start] * 60, tenant="a")
    assert store.holds(IDS[:60], tenant="a") == 60
    store.pin(long, tenant="a", pinned=False)
    store.demote(long, tenant="a")
    assert store.holds(IDS[:60], tenant="a") == 0


@pytest.mark.parametrize(("cold", "smaller", "near"), [("fp16", 1.9, 0.05), ("int8", 2.5, 1.0)])
def test_rounded_tiers_are_smaller_named_and_close(
    tiny_model: HuggingFaceModel, tmp_path: Path, cold: Any, smaller: float, near: float
) -> None:
    with KVStore(tiny_model, folder=tmp_path, cold=cold) as store:
        prefix = store.put(IDS[:100], tenant="a")
        whole = store.statistics.memory_bytes
        store.demote(prefix, tenant="a")
        assert whole / store.statistics.disk_bytes > smaller  # one scale for 8 numbers here, for 64 in a real model
        found = store.match(IDS[:120], tenant="a")
        assert found is not None
        assert prefix.exact
        assert not found.exact
        assert "rounded" in repr(found)
        assert store.verify(found) <= near


def test_statistics_count_what_was_saved(tiny_model: HuggingFaceModel) -> None:
    store = KVStore(tiny_model)
    assert store.match(IDS[:50], tenant="a") is None
    store.put(IDS[:40], tenant="a")
    assert store.match(IDS[:50], tenant="a")
    counts = store.statistics
    assert (counts.hits, counts.misses, counts.hit_tokens, counts.built_tokens) == (1, 2, 40, 40)
    assert counts.saved_seconds == pytest.approx(counts.built_seconds)


def test_a_source_takes_what_was_made_of_it_along(tiny_model: HuggingFaceModel, tmp_path: Path) -> None:
    one, two = CubeRef(id="one", version=1), CubeRef(id="two", version=3)
    with KVStore(tiny_model, folder=tmp_path) as store:
        store.put(IDS[:60], tenant="a", sources=[one, two], ends=[20, 40, 60])
        store.demote(IDS[:60], tenant="a")
        assert store.sources() == {("a", one), ("a", two)}
    store = KVStore(tiny_model, folder=tmp_path)
    assert store.sources() == {("a", one), ("a", two)}
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    assert store.drop(["two"]) == 1
    assert store.holds(IDS[:60], tenant="a") == 40
    assert store.drop(["one"]) == 1
    assert store.holds(IDS[:60], tenant="a") == 20
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    store.put(IDS[:60], tenant="a", sources=[one])
    assert store.holds(IDS[:60], tenant="a") == 20, "what is forgotten does not come back through a late writer"


def test_a_later_version_of_what_was_changed_is_stored(tiny_model: HuggingFaceModel) -> None:
    one, two, three = (CubeRef(id="one", version=n) for n in (1, 2, 3))
    store = KVStore(tiny_model)
    store.drop(["one"], [three])
    store.drop(["one"], [two])  # told late
    for old in (one, two):
        store.put(IDS[:40], tenant="a", sources=[old])
        assert store.holds(IDS[:40], tenant="a") == 0
    store.put(IDS[:40], tenant="a", sources=[three])
    assert store.holds(IDS[:40], tenant="a") == 40
    store.drop(["one"])
    store.drop(["one"], [three])
    store.put(IDS[:40], tenant="a", sources=[three])
    assert store.holds(IDS[:40], tenant="a") == 0, "forgotten is forgotten"


@pytest.mark.parametrize("shared", [True, False])
def test_a_turn_does_not_outlive_the_memory_that_went_while_it_was_answered(
    tiny_model: HuggingFaceModel, shared: bool
) -> None:
    store = KVStore(tiny_model)
    prefix = store.put(IDS[:40], tenant="a", sources=[CubeRef(id="one", version=1)])
    for gone in (False, True):
        cache = prefix.fork(shared=shared)
        tiny_model._forward(IDS[40:50], cache, ())
        if gone:
            store.drop(["one"])
        store.put_tail(IDS[:50], cache, after=40, tenant="a")
        assert store.holds(IDS[:50], tenant="a") == (0 if gone else 50)
    assert store.sources() == set()


# --- files that cannot be trusted ------------------------------------------------------------------------------------


def spilled(model: HuggingFaceModel, folder: Path) -> Path:
    with KVStore(model, folder=folder) as store:
        store.put(IDS[:60], tenant="a", sources=[CubeRef(id="miso", version=1)])
    return next(folder.glob("*.safetensors"))


def truncate(content: bytes) -> bytes:
    return content[:-100]


def flip(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


def not_a_number(content: bytes) -> bytes:
    return content[:-4] + struct.pack("<f", float("nan"))


def other_dtype(content: bytes) -> bytes:
    return content.replace(b'"F32"', b'"F64"')


def other_tokens(content: bytes) -> bytes:
    start = 8 + struct.unpack("<Q", content[:8])[0]
    return content[:start] + struct.pack("<i", 77) + content[start + 4 :]


def pickled(content: bytes) -> bytes:
    return b"\x80\x04cos\nsystem\n(S'true'\ntR." + content


def huge_header(content: bytes) -> bytes:
    return struct.pack("<Q", 1 << 60) + content[8:]


def other_precision(content: bytes) -> bytes:
    return content.replace(b'"exact"', b'"int8!"')


def empty(content: bytes) -> bytes:
    return b""


def other_sources(content: bytes) -> bytes:
    return content.replace(b"miso@1", b"miso@x")


DAMAGE = [
    truncate, flip, not_a_number, other_dtype, other_tokens, pickled, huge_header, other_precision, empty,
    other_sources,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("opened", ["before", "after"])
def test_a_damaged_file_is_a_miss_and_never_a_wrong_token(
    tiny_model: HuggingFaceModel, tmp_path: Path, damage: Any, opened: str
) -> None:
    file = spilled(tiny_model, tmp_path)
    store = KVStore(tiny_model, folder=tmp_path) if opened == "before" else None
    file.write_bytes(damage(file.read_bytes()))
    store = store or KVStore(tiny_model, folder=tmp_path)
    assert store.match(IDS[:70], tenant="a") is None
    assert store.statistics.refused_files == 1 or damage is other_tokens
    prefix = store.put(IDS[:60], tenant="a")
    assert answer(tiny_model, IDS[:70], prefix) == answer(tiny_model, IDS[:70])


def test_a_file_that_this_process_wrote_is_checked_again_once_somebody_touched_it(
    tiny_model: HuggingFaceModel, tmp_path: Path
) -> None:
    store = KVStore(tiny_model, folder=tmp_path)
    prefix = store.put(IDS[:60], tenant="a")
    store.demote(prefix, tenant="a")
    file = next(tmp_path.glob("*.safetensors"))
    about = file.stat()
    file.write_bytes(flip(file.read_bytes()))
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert store.match(IDS[:70], tenant="a") is None


@pytest.mark.answers("input 10")
def test_a_file_of_another_model_or_another_secret_is_not_used(tiny_model: HuggingFaceModel, tmp_path: Path) -> None:
    spilled(tiny_model, tmp_path / "kv")
    other = HuggingFaceModel(build_tiny_llama(tmp_path / "m", seed=5))
    assert KVStore(other, folder=tmp_path / "kv").match(IDS[:70], tenant="a") is None
    store = KVStore(tiny_model, folder=tmp_path / "kv", secret=b"x" * 32)
    assert store.match(IDS[:70], tenant="a") is None


def test_what_goes_on_from_a_run_that_was_parted_is_found_again(tiny_model: HuggingFaceModel, tmp_path: Path) -> None:
    with KVStore(tiny_model, folder=tmp_path) as store:
        store.put(IDS[:60], tenant="a")
        store.demote(store.put(IDS[:100], tenant="a"), tenant="a")
        store.put([*IDS[:20], 9, 9, 9], tenant="a")
    store = KVStore(tiny_model, folder=tmp_path)
    assert store.holds(IDS[:100], tenant="a") == 100
    found = store.match(IDS[:101], tenant="a")
    assert found is not None
    assert len(found.token_ids) == 100
    assert store.verify(found) <= NEAR


def test_two_stores_on_one_folder_leave_nothing_that_cannot_be_erased(
    tiny_model: HuggingFaceModel, tmp_path: Path
) -> None:
    one, two = KVStore(tiny_model, folder=tmp_path), KVStore(tiny_model, folder=tmp_path)
    for store, length in ((one, 60), (two, 40)):
        store.put(IDS[:length], tenant="a", sources=[CubeRef(id="miso", version=1)])
        store.close()
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    store = KVStore(tiny_model, folder=tmp_path)
    store.drop(["miso"])
    assert not list(tmp_path.glob("*.safetensors"))
    assert store.statistics.disk_bytes == 0


def test_a_file_is_valid_safetensors_and_private(tiny_model: HuggingFaceModel, tmp_path: Path) -> None:
    from safetensors import safe_open

    file = spilled(tiny_model, tmp_path)
    with safe_open(file, framework="pt") as opened:  # type: ignore[no-untyped-call]
        assert opened.get_tensor("tokens").tolist() == IDS[:60]
        assert opened.get_tensor("k.0").shape == (1, 2, 60, 8)
        assert json.loads(json.dumps(opened.metadata()))["format"] == "memos-kv/1"
    assert file.stat().st_mode & 0o077 == 0
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0


def test_a_full_disk_loses_a_cache_and_nothing_else(
    tiny_model: HuggingFaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memos_integrations.backends.kv import spill

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = KVStore(tiny_model, folder=tmp_path)
    prefix = store.put(IDS[:60], tenant="a")
    monkeypatch.setattr(spill.os, "replace", full)
    with pytest.raises(ModelError, match="full or cannot be written"):
        store.demote(prefix, tenant="a")
    assert store.holds(IDS[:60], tenant="a") == 60
    small = KVStore(tiny_model, folder=tmp_path, memory_bytes=1)
    again = small.put(IDS[:60], tenant="a")
    assert answer(tiny_model, IDS[:70], again) == answer(tiny_model, IDS[:70])
    assert small.statistics.failed_spills == 1
    assert not [file for file in tmp_path.iterdir() if file.name != "key"]


# --- what makes no sense --------------------------------------------------------------------------------------------


def test_senseless_prefixes_are_refused(tiny_model: HuggingFaceModel) -> None:
    store = KVStore(tiny_model)
    for wrong, says in (
        ([], "1 to 512"),
        ([5] * 513, "1 to 512"),
        ([10_000], "does not have"),
        ([-1], "does not have"),
    ):
        with pytest.raises(ModelError, match=says):
            store.put(wrong, tenant="a")
    assert len(store.put([5] * 512, tenant="a").token_ids) == 512
    for how in ({"memory_bytes": -1}, {"cold": "int4"}):
        with pytest.raises(ModelError, match="not a budget"):
            KVStore(tiny_model, **how)  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=12))
def test_the_common_beginning_of_two_runs(one: list[int], two: list[int]) -> None:
    from memos_integrations.backends.kv.tree import shared_length

    expected = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    assert shared_length(one, two) == expected
