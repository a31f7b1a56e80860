"""Sentence vectors from all-MiniLM-L6-v2, computed with numpy alone.

The model is a 6-layer BERT encoder (Devlin et al. 2018, arXiv:1810.04805) distilled by Wang et al. (2020,
arXiv:2002.10957) and trained for sentence similarity by the sentence-transformers project: mean of the token
vectors, then unit length. Needs the extra `embeddings` (safetensors, tokenizers, threadpoolctl), not torch.

A batch is kept ragged: the tokens of all its texts lie under each other in one matrix, so that no arithmetic is
spent on padding and a text gets the same vector whatever its neighbours are (up to rounding).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from memos_integrations.core.errors import EmbeddingError, ModelError, ModelFolderError
from memos_integrations.core.extras import require
from memos_integrations.core.ports import Vectors

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILES = ("config.json", "tokenizer.json", "model.safetensors")
MAX_TOKENS = 256
"""As the model was trained and published: the one vector of a text is made of its first so many tokens."""

PIECE, MOST_PIECES = 128, 8
"""The tokens of a longer text are read in alike pieces of at most so many, and so many pieces: some 700 words."""

MAX_CHARACTERS = 65_536
"""Text beyond this is not even tokenised: the pieces are full long before, except in long runs of blanks."""

TOGETHER = 8
"""Columns that matrix products of numpy's BLAS take in one go at least; one to seven more take as long as eight."""

TokenIds = npt.NDArray[np.int64]


class MiniLMEmbedder:
    """Fills the `Embedder` port from a local folder: 384 dimensions; a vector tells of the first 256 tokens of a text.

    `folder` holds config.json, tokenizer.json and model.safetensors (`backends.weights` gets them). `batch` texts
    are computed at once. `threads` is set for the linear algebra library of the whole process, like
    `torch.set_num_threads`; more than the free cores makes it slower. One embedder may be shared by threads.

    Raises:
        ModelFolderError: The folder lacks a file; the message names it.
        ModelError: The files are damaged or hold another kind of model.
        MissingExtraError: The extra `embeddings` is not installed.
    """

    def __init__(self, folder: str | Path, *, threads: int = 1, batch: int = 32) -> None:
        if threads < 1 or batch < 1:
            raise ModelError(f"threads={threads} and batch={batch} must both be at least 1.")
        require("threadpoolctl", extra="embeddings").threadpool_limits(limits=threads, user_api="blas")
        folder = _complete(Path(folder))
        weights = (folder / "model.safetensors").read_bytes()
        self._tokenizer = _read_tokenizer(folder / "tokenizer.json")
        self._encoder = _read_encoder(folder / "config.json", weights)
        self._batch = batch
        digest = hashlib.sha256(weights).hexdigest()[:12]
        self._name = f"minilm-l{len(self._encoder.layers)}-{self.dim}-{digest}"

    @property
    def name(self) -> str:
        """Architecture and a digest of the weights, for example `minilm-l6-384-` and 12 hexadecimal digits."""
        return self._name

    @property
    def dim(self) -> int:
        """Length of each vector: 384 for all-MiniLM-L6-v2."""
        return self._encoder.width

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit row per text, float32, shape `(len(texts), dim)`; `(0, dim)` for no texts.

        Raises:
            EmbeddingError: A text cannot be tokenised (lone surrogates, not a string).
        """
        rows: Vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        for places, ids, hidden in self._run([self._encode(text)[0] for text in texts]):
            lengths = np.array([len(one) for one in ids])
            starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
            rows[places] = np.add.reduceat(hidden, starts, axis=0) / lengths[:, None]
        return _unit(rows)

    def embed_tokens(self, texts: Sequence[str]) -> list[tuple[Vectors, TokenIds]]:
        """Per text, one unit row per token and the token ids, without the marks at the ends of a piece.

        For late interaction (Khattab and Zaharia 2020, arXiv:2004.12832); of more than 256 tokens in pieces of at most
        128, `MOST_PIECES` of them. An empty text gives no rows. Raises as `embed` does.
        """
        return self.embed_with_tokens(texts)[1]

    def embed_with_tokens(self, texts: Sequence[str]) -> tuple[Vectors, list[tuple[Vectors, TokenIds]]]:
        """What `embed` and `embed_tokens` give, for the price of one.

        Raises:
            EmbeddingError: A text cannot be tokenised.
        """
        every = [self._encode(text) for text in texts]
        firsts = np.cumsum([0, *map(len, every)]).tolist()
        means: Vectors = np.empty((firsts[-1], self.dim), dtype=np.float32)
        read: list[tuple[Vectors, TokenIds]] = [(means[:0], np.empty(0, np.int64))] * len(means)
        for places, ids, hidden in self._run([piece for each in every for piece in each]):
            ends = np.cumsum([len(one) for one in ids])
            for place, one, each in zip(places, ids, np.split(hidden, ends[:-1]), strict=True):
                means[place] = each.mean(axis=0)
                read[place] = (_unit(each[1:-1]), one[1:-1])
        return _unit(means[firsts[:-1]]), [_joined(read[at:to]) for at, to in pairwise(firsts)]

    def _run(self, ids: Sequence[TokenIds]) -> Iterator[tuple[list[int], list[TokenIds], Vectors]]:
        """Batches of alike length: places in *ids*, token ids, and the last layer's rows of all their tokens."""
        order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
        for start in range(0, len(order), self._batch):
            places = order[start : start + self._batch]
            together = [ids[place] for place in places]
            yield places, together, self._encoder(together)

    def _encode(self, text: str) -> list[TokenIds]:
        """The ids of a text's first 256 tokens, and, where it has more, behind them those of its pieces."""
        try:  # one text at a time: encode_batch starts threads of its own, which then warn in every forked process
            first = self._tokenizer.encode(text[:MAX_CHARACTERS])
        except (TypeError, ValueError) as exc:
            raise EmbeddingError(f"A text cannot be tokenised: {exc}. Remove what is not valid Unicode.") from exc
        ids = [np.array(each.ids, dtype=np.int64) for each in (first, *first.overflowing[: MOST_PIECES // 2])]
        if len(ids) == 1:
            return ids
        told = np.concatenate([each[1:-1] for each in ids])[: MOST_PIECES * (PIECE - 2)]
        parts = np.array_split(told, -(-told.size // (PIECE - 2)))
        return [ids[0], *(np.concatenate([ids[0][:1], part, ids[0][-1:]]) for part in parts)]


def _complete(folder: Path) -> Path:
    for file in FILES:
        if not (folder / file).is_file():
            raise ModelFolderError(
                f"{folder} has no {file}. Get the model with `python -m memos_integrations.backends.weights "
                "--only minilm` (or `make models`), or name a folder that holds " + ", ".join(FILES) + "."
            )
    return folder


def _read_tokenizer(file: Path) -> Tokenizer:
    tokenizers = require("tokenizers", extra="embeddings")
    try:
        tokenizer: Tokenizer = tokenizers.Tokenizer.from_file(str(file))
    except Exception as exc:  # tokenizers has no error class of its own: it raises Exception itself
        raise ModelError(f"{file} is not a tokenizer ({exc}). Delete its folder and get the model again.") from exc
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=MAX_TOKENS)
    return tokenizer


def _read_encoder(config: Path, weights: bytes) -> _Encoder:
    safetensors = require("safetensors", extra="embeddings")
    load = require("safetensors.numpy", extra="embeddings").load
    try:
        return _Encoder.of(load(weights), json.loads(config.read_text("utf-8")))
    except (KeyError, ValueError, safetensors.SafetensorError) as exc:
        raise ModelError(
            f"{config.parent} does not hold a readable all-MiniLM-L6-v2 ({exc!r}). Delete the folder and get the "
            "model again."
        ) from exc


def _joined(read: Sequence[tuple[Vectors, TokenIds]]) -> tuple[Vectors, TokenIds]:
    """Token rows and ids of a text: of its pieces one behind the other, where it was read in pieces."""
    if len(read) == 1:
        return read[0]
    return np.concatenate([rows for rows, _ in read[1:]]), np.concatenate([ids for _, ids in read[1:]])


def _unit(rows: Vectors) -> Vectors:
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    unit: Vectors = rows / np.maximum(length, np.float32(1e-12))[:, None]
    return unit


@dataclass(frozen=True, slots=True)
class _Layer:
    """One encoder layer. Matrices stand as in the file, one row per output; biases and norms are columns."""

    qkv: Vectors
    qkv_bias: Vectors
    out: Vectors
    out_bias: Vectors
    norm: tuple[Vectors, Vectors]
    up: Vectors
    up_bias: Vectors
    down: Vectors
    down_bias: Vectors
    last_norm: tuple[Vectors, Vectors]

    @classmethod
    def of(cls, tensors: Mapping[str, Vectors], number: int, head: int) -> _Layer:
        at = f"encoder.layer.{number}."
        parts = [_dense(tensors, f"{at}attention.self.{part}") for part in ("query", "key", "value")]
        # The attention's 1/sqrt(head) is folded into the query, once.
        scale = np.float32(head**-0.5)
        parts[0] = (parts[0][0] * scale, parts[0][1] * scale)
        out, out_bias = _dense(tensors, f"{at}attention.output.dense")
        up, up_bias = _dense(tensors, f"{at}intermediate.dense")
        down, down_bias = _dense(tensors, f"{at}output.dense")
        return cls(
            qkv=np.concatenate([weight for weight, _ in parts]),
            qkv_bias=np.concatenate([bias for _, bias in parts]),
            out=out,
            out_bias=out_bias,
            norm=_norm_weights(tensors, f"{at}attention.output.LayerNorm"),
            up=up,
            up_bias=up_bias,
            down=down,
            down_bias=down_bias,
            last_norm=_norm_weights(tensors, f"{at}output.LayerNorm"),
        )


@dataclass(frozen=True, slots=True)
class _Encoder:
    """BERT without its pooler, over ragged batches."""

    words: Vectors
    positions: Vectors
    norm: tuple[Vectors, Vectors]
    layers: tuple[_Layer, ...]
    heads: int
    epsilon: float

    @classmethod
    def of(cls, tensors: Mapping[str, Vectors], config: Mapping[str, Any]) -> _Encoder:
        if (config["model_type"], config["hidden_act"]) != ("bert", "gelu"):
            raise ValueError(f"it is a {config['model_type']} with {config['hidden_act']}, not a BERT with gelu")
        head = config["hidden_size"] // config["num_attention_heads"]
        embeddings = {
            kind: np.asarray(tensors[f"embeddings.{kind}_embeddings.weight"], np.float32)
            for kind in ("word", "position", "token_type")
        }
        return cls(
            words=embeddings["word"],
            positions=embeddings["position"] + embeddings["token_type"][0],
            norm=_norm_weights(tensors, "embeddings.LayerNorm"),
            layers=tuple(_Layer.of(tensors, number, head) for number in range(config["num_hidden_layers"])),
            heads=config["num_attention_heads"],
            epsilon=config["layer_norm_eps"],
        )

    @property
    def width(self) -> int:
        return int(self.words.shape[1])

    def __call__(self, ids: Sequence[TokenIds]) -> Vectors:
        """Rows of the last layer for all tokens of all texts, one text under the other.

        Within, tokens are columns: a product of weights and columns is quicker than one of rows and weights, by a tenth
        with many tokens and by a third with the dozen of a question (OpenBLAS 0.3.31 on AVX2). Columns of nothing fill
        the last eight up, which go through a processor together: thirteen columns take a sixth longer than sixteen.
        """
        lengths = [len(one) for one in ids]
        at = np.concatenate([np.arange(length) for length in lengths])
        columns = np.zeros((self.width, -(-at.size // TOGETHER) * TOGETHER), dtype=np.float32)
        columns[:, : at.size] = (self.words[np.concatenate(ids)] + self.positions[at]).T
        x = self._normalise(columns, self.norm)
        for layer in self.layers:
            qkv = layer.qkv @ x
            qkv += layer.qkv_bias
            mixed = layer.out @ self._attend(qkv, lengths)
            mixed += layer.out_bias
            mixed += x
            x = self._normalise(mixed, layer.norm)
            down = layer.down @ _gelu(layer.up @ x, layer.up_bias)
            down += layer.down_bias
            down += x
            x = self._normalise(down, layer.last_norm)
        return np.ascontiguousarray(x[:, : at.size].T)

    def _attend(self, qkv: Vectors, lengths: Sequence[int]) -> Vectors:
        """Softmax attention within each text; texts of one length are computed together."""
        mixed: Vectors = np.zeros((self.width, qkv.shape[1]), dtype=np.float32)
        start = 0
        for length, group in groupby(lengths):
            count = len(list(group))
            stop = start + count * length
            split = qkv[:, start:stop].reshape(3, self.heads, -1, count, length).transpose(0, 3, 1, 2, 4)
            scores = split[0].swapaxes(-1, -2) @ split[1]
            scores -= scores.max(axis=-1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=-1, keepdims=True)
            told = split[2] @ scores.swapaxes(-1, -2)
            mixed[:, start:stop] = told.transpose(1, 2, 0, 3).reshape(self.width, count * length)
            start = stop
        return mixed

    def _normalise(self, x: Vectors, weights: tuple[Vectors, Vectors]) -> Vectors:
        # A product with a row of ones sums few columns up in half the time of a sum along them.
        share: Vectors = np.full((1, len(x)), 1 / len(x), dtype=np.float32)
        x -= share @ x
        x /= np.sqrt(share @ (x * x) + np.float32(self.epsilon))
        x *= weights[0]
        x += weights[1]
        return x


def _dense(tensors: Mapping[str, Vectors], name: str) -> tuple[Vectors, Vectors]:
    weight = np.ascontiguousarray(np.asarray(tensors[f"{name}.weight"], np.float32))
    return weight, np.asarray(tensors[f"{name}.bias"], np.float32)[:, None]


def _norm_weights(tensors: Mapping[str, Vectors], name: str) -> tuple[Vectors, Vectors]:
    weight, bias = (np.asarray(tensors[f"{name}.{part}"], np.float32)[:, None] for part in ("weight", "bias"))
    return weight, bias


# Abramowitz and Stegun 7.1.26: erfc(z) = polynomial(1 / (1 + P z)) exp(-z^2), absolute error below 1.5e-7.
_P = np.float32(0.3275911 / 2**0.5)
_TERMS = [np.float32(term / 2) for term in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)]
_AT_ONCE = 49_152
"""Numbers per step, so that what is worked out of them stays in the processor's cache."""


def _gelu(x: Vectors, bias: Vectors) -> Vectors:
    """GELU of x + bias, in place: max(x, 0) - |x| erfc(|x| / sqrt 2) / 2."""
    step = max(1, _AT_ONCE // max(1, x.shape[1]))
    for start in range(0, len(x), step):
        rows = x[start : start + step]
        rows += bias[start : start + step]
        size = np.abs(rows)
        t = size * _P
        t += np.float32(1)
        np.reciprocal(t, out=t)
        tail = t * _TERMS[0]
        for term in _TERMS[1:]:
            tail += term
            tail *= t
        np.multiply(size, size, out=t)
        t *= np.float32(-0.5)
        tail *= np.exp(t, out=t)
        tail *= size
        np.maximum(rows, np.float32(0), out=rows)
        rows -= tail
    return x
