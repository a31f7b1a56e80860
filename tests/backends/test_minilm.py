"""MiniLM without torch gives the vectors that it gives with torch."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from memos_integrations.backends.minilm import MiniLMEmbedder
from memos_integrations.core.errors import EmbeddingError, MissingExtraError, ModelError, ModelFolderError
from memos_integrations.core.ports import Embedder

TEXTS = [
    "Alice likes to meet on Thursday mornings.",
    "The quick brown fox jumps over the lazy dog.",
    "Grüße aus Zürich 🎉, 日本語のテキスト, café",
    "",
    "a",
    "w" * 300,
    "many words " * 400,
    "Kubernetes pods restart when the probe fails; look at the events first.",
]


@pytest.fixture(scope="module")
def embedder(models: dict[str, Path]) -> MiniLMEmbedder:
    return MiniLMEmbedder(models["minilm"], batch=3)


@pytest.fixture(scope="module")
def reference(models: dict[str, Path]) -> np.ndarray:
    """The same texts through transformers: mean of the last layer over the mask, unit length."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(models["minilm"], local_files_only=True)
    model = AutoModel.from_pretrained(models["minilm"], local_files_only=True).eval()
    batch = tokenizer(TEXTS, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None].float()
    return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1).numpy()


def test_vectors_equal_those_of_transformers(embedder: MiniLMEmbedder, reference: np.ndarray) -> None:
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, reference, atol=1e-5)


def test_every_vector_has_unit_length(embedder: MiniLMEmbedder) -> None:
    np.testing.assert_allclose(np.linalg.norm(embedder.embed(TEXTS), axis=1), 1, atol=1e-6)


def test_a_text_has_the_same_vector_in_any_company(embedder: MiniLMEmbedder) -> None:
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    np.testing.assert_allclose(embedder.embed(TEXTS), alone, atol=1e-6)


def test_the_nearest_text_is_the_one_that_answers(embedder: MiniLMEmbedder) -> None:
    scores = embedder.embed(TEXTS) @ embedder.embed(["When does Alice want to see people?"])[0]
    assert int(scores.argmax()) == 0


def test_no_texts_give_no_rows(embedder: MiniLMEmbedder) -> None:
    assert embedder.embed([]).shape == (0, 384)
    assert embedder.embed_tokens([]) == []


def test_it_fills_the_port_and_names_its_weights(embedder: MiniLMEmbedder) -> None:
    assert isinstance(embedder, Embedder)
    assert embedder.dim == 384
    assert embedder.name == "minilm-l6-384-53aa51172d14"


def test_token_vectors_are_unit_rows_without_the_marks(embedder: MiniLMEmbedder) -> None:
    (vectors, ids), (none, no_ids) = embedder.embed_tokens(["Alice likes tea", ""])
    assert len(ids) == 3
    assert not {101, 102} & set(ids.tolist())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert none.shape == (0, 384)
    assert len(no_ids) == 0


def test_a_long_text_is_read_to_its_end_in_pieces(embedder: MiniLMEmbedder) -> None:
    text = "many words " * 300 + "The kettle is blue."
    rows, ((vectors, ids), (_, most)) = embedder.embed_with_tokens([text, "many words " * 2_000])
    assert len(vectors) == len(ids) == 605
    assert ids[-2] == embedder.embed_tokens(["blue."])[0][1][0]
    np.testing.assert_allclose(vectors[:121], embedder.embed_tokens(["many words " * 60 + "many"])[0][0], atol=1e-5)
    np.testing.assert_allclose(rows, embedder.embed([text, "many words " * 2_000]), atol=1e-6)
    assert len(most) == 8 * 126


def test_threads_share_one_embedder(embedder: MiniLMEmbedder) -> None:
    expected = embedder.embed(TEXTS)
    with ThreadPoolExecutor(8) as pool:
        for vectors in pool.map(lambda _: embedder.embed(TEXTS), range(16)):
            np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_a_text_of_five_megabytes_costs_no_more_than_its_beginning(embedder: MiniLMEmbedder) -> None:
    text = "Alice likes tea. " * 300_000
    np.testing.assert_allclose(embedder.embed([text]), embedder.embed([text[:10_000]]), atol=1e-6)


def test_a_lone_surrogate_is_refused_in_plain_words(embedder: MiniLMEmbedder) -> None:
    with pytest.raises(EmbeddingError, match="cannot be tokenised"):
        embedder.embed(["fine", "broken \ud800"])


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named_with_the_way_to_get_it(models: dict[str, Path], tmp_path: Path, file: str) -> None:
    for name in {"config.json", "tokenizer.json", "model.safetensors"} - {file}:
        (tmp_path / name).symlink_to(models["minilm"] / name)
    with pytest.raises(ModelFolderError, match=rf"no {file}.*memos_integrations\.backends\.weights"):
        MiniLMEmbedder(tmp_path)


def test_a_folder_that_is_not_there_is_a_folder_without_files(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"config\.json"):
        MiniLMEmbedder(tmp_path / "nowhere")


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_damaged_file_is_an_error_of_ours(models: dict[str, Path], tmp_path: Path, file: str) -> None:
    shutil.copytree(models["minilm"], tmp_path / "m", copy_function=lambda a, b: Path(b).symlink_to(a))
    (tmp_path / "m" / file).unlink()
    (tmp_path / "m" / file).write_bytes(b"{}garbage")
    with pytest.raises(ModelError, match="get the model again"):
        MiniLMEmbedder(tmp_path / "m")


def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(MissingExtraError, match=r'pip install "memos-integrations\[embeddings\]"'):
        MiniLMEmbedder(tmp_path)
