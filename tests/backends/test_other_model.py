"""Memory moves to another base model: as text at once, and computed anew there when it pays, with the price told."""

from __future__ import annotations

from pathlib import Path

import pytest

from memos_integrations import MemOS, Principal, Recall
from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.kv import ActivationCubes, ActivationMemory, KVStore, plain_prompt
from memos_integrations.backends.signing import Ed25519Signer
from memos_integrations.core.cube import ActivationPayload
from memos_integrations.core.interchange import Addressee
from memos_integrations.core.ports import CubeFilter
from memos_integrations.core.tiers import Placement
from tests.tiny_llama import build_tiny_llama

ANA = Principal(tenant="acme", user="ana")
KEY = Ed25519Signer(bytes(range(32)))
ASK = [{"role": "user", "content": "What is the cat called?"}]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[HuggingFaceModel]:
    folder = tmp_path_factory.mktemp("m")
    return [HuggingFaceModel(build_tiny_llama(folder / str(seed), seed=seed, context=1024)) for seed in (0, 1)]


def ask(memos: MemOS) -> Recall:
    return memos.recall("What about the cat?", by=ANA, needed=True)


def ids(tokens: list[object]) -> list[int]:
    return [token.id for token in tokens]  # type: ignore[attr-defined]


def test_a_vault_moves_to_another_model(models: list[HuggingFaceModel], tmp_path: Path) -> None:
    old, new = models
    assert old.fingerprint != new.fingerprint
    with MemOS.open(tmp_path / "from") as source, ActivationMemory(KVStore(old)) as memory:
        cubes = [source.remember(text, by=ANA) for text in ("The cat is called Miso.", "The cat eats tuna.")]
        keeper = ActivationCubes(source, memory)
        cache = keeper.promote([cube.id for cube in cubes], by=ANA)
        assert isinstance(cache.payload, ActivationPayload)
        assert cache.payload.fingerprint == old.fingerprint
        source.dump(tmp_path / "all.mip", by=ANA, signer=KEY, issuer="old", recipient="new")
        card = Addressee(recipient="new", models=(new.fingerprint,))
        sent = source.dump(tmp_path / "text.mip", by=ANA, signer=KEY, issuer="old", to=card)
        assert (sent.cubes, sent.blobs, sent.declined) == (2, 0, {"fingerprint": 1})

    with MemOS.open(tmp_path / "to") as target, ActivationMemory(KVStore(new)) as memory:
        how = {"by": ANA, "trusted": {KEY.key: "old"}, "recipient": "new", "models": [new.fingerprint]}
        assert target.load(tmp_path / "all.mip", **how).counts == {"new": 2, "fingerprint": 1}
        assert target.activations(by=ANA) == []
        cold = ids(list(new.stream(plain_prompt(new, ASK, ask(target)).ids, max_new_tokens=6)))

        # At once, as text: what it costs to compute it anew is in the usage.
        keeper = ActivationCubes(target, memory)
        first = list(memory.stream(ASK, recall=ask(target), max_new_tokens=6))
        usage = first[-1].usage
        assert usage is not None
        assert usage.recomputed_tokens > 0
        assert ids(first) == cold

        # On demand, by the cost model: how often it has to be asked for, and what that saves and costs.
        (use,) = memory.uses
        dear = memory.decide(use, expected_uses=0.0)
        worth = memory.decide(use, expected_uses=1_000.0)
        assert dear.placement is Placement.TEXT
        assert worth.placement is not Placement.TEXT
        assert worth.saved_seconds > dear.saved_seconds
        assert worth.reason
        rebuilt = keeper.promote(
            [cube.id for cube in target.find(CubeFilter(), by=ANA) if cube.text.startswith("The cat")], by=ANA
        )
        assert isinstance(rebuilt.payload, ActivationPayload)
        assert rebuilt.payload.fingerprint == new.fingerprint
        warm = list(memory.stream(ASK, recall=ask(target), max_new_tokens=6))
        usage = warm[-1].usage
        assert usage is not None
        assert usage.cached_tokens > 0
        assert ids(warm) == cold
