"""Rows of tokens that learn side by side: one forward pass over what they share and over each of them. Needs `hf`.

A batch is a few sequences: first what all rows begin with, then row after row. A mask lets each row see the beginning
and itself, and its positions count as if it stood alone, so that little is padded and little computed twice.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memos_integrations.backends.lora.beginning import Beginning

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Row:
    """Token ids after the shared beginning; those from `start` on are to be predicted.

    Those of `value` (first, and first no more) are what a right answer turns on.
    """

    ids: tuple[int, ...]
    start: int
    value: tuple[int, int] = (0, 0)

    def weights(self, value: float) -> list[float]:
        """How much each prediction counts: 1, and *value* for those that the answer turns on."""
        first, end = self.value
        return [value if first <= place < end else 1.0 for place in range(self.start, len(self.ids))]

    @property
    def targets(self) -> tuple[int, ...]:
        """What is to be predicted."""
        return self.ids[self.start :]


SIDE_BY_SIDE = 5
"""About how many rows are in one sequence: with more, most of what attention computes is masked; with fewer, the
beginning is repeated."""

ROWS_LOOKED_AT = 32
TIE = 0.25
"""Nats by which one token may be likelier than another and still be a matter of rounding, or of the batch."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A batch as the network takes it: `ids` and `positions` (s, n), `mask` (s, 1, n, n), for s sequences.

    `places` is where predictions are made, counted through all sequences, `targets` what is right there, `rows` the row
    that each belongs to.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    places: torch.Tensor
    targets: torch.Tensor
    rows: torch.Tensor

    @property
    def real(self) -> torch.Tensor:
        """Which of the tokens are no padding, shape (s, n)."""
        return real_tokens(self.positions)


def real_tokens(positions: torch.Tensor) -> torch.Tensor:
    """Which of a packed batch's tokens are no padding, by their positions (s, n)."""
    real = positions > 0
    real[:, 0] = True
    return real


def pack(shared: Sequence[int], rows: Sequence[Row], dtype: torch.dtype, *, read: bool = False) -> Packed:
    """The batch of *rows* behind *shared*, which must not be empty: a row's first token is predicted from its end.

    With *read* the beginning is in a cache (`Beginning.fork`) and not in the batch again: `ids` and `positions` are of
    the rows alone, the mask (s, 1, n, shared + n) covers both, and no row's first token can be predicted.
    """
    import torch

    known, some = len(shared), _evened_out([len(row.ids) for row in rows])
    width = known + max(sum(len(rows[number].ids) for number in each) for each in some)
    ids, positions = torch.zeros(len(some), width, dtype=torch.long), torch.zeros(len(some), width, dtype=torch.long)
    owners = torch.full((len(some), width), -2)  # padding sees itself alone, and nobody sees it
    skipped = known if read else 0
    places: list[list[int]] = [[] for _ in rows]
    for line, each in enumerate(some):
        at = known
        ids[line, :at], positions[line, :at], owners[line, :at] = torch.tensor(shared), torch.arange(at), -1
        for number in each:
            row = rows[number]
            end = at + len(row.ids)
            ids[line, at:end], owners[line, at:end] = torch.tensor(row.ids), number
            positions[line, at:end] = torch.arange(known, known + end - at)
            # A token is predicted where the one before it stands: for a row's first, that is the end of what is shared.
            before = [known - 1 if place == 0 else at + place - 1 for place in range(row.start, end - at)]
            places[number] = [line * (width - skipped) + place - skipped for place in before]
            at = end
    own = (owners[:, :, None] == owners[:, None, :]) | ((owners == -1)[:, None, :] & (owners >= 0)[:, :, None])
    seen = (own & torch.ones(width, width, dtype=torch.bool).tril())[:, skipped:]
    mask = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)
    return Packed(
        ids=ids[:, skipped:],
        positions=positions[:, skipped:],
        mask=mask[:, None],
        places=torch.tensor([place for each in places for place in each]),
        targets=torch.tensor([token for row in rows for token in row.targets]),
        rows=torch.tensor([number for number, row in enumerate(rows) for _ in row.targets]),
    )


def packs(shared: Sequence[int], rows: Sequence[Row], dtype: torch.dtype) -> Iterator[Packed]:
    """Batches of a few of the rows each."""
    for start in range(0, len(rows), ROWS_LOOKED_AT):
        yield pack(shared, rows[start : start + ROWS_LOOKED_AT], dtype)


def _evened_out(lengths: Sequence[int]) -> list[list[int]]:
    """The numbers of the rows in each sequence, so that all are about as long: the longest first, where least is."""
    found: list[list[int]] = [[] for _ in range(-(-len(lengths) // SIDE_BY_SIDE))]
    filled = [0] * len(found)
    for number in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        line = filled.index(min(filled))
        found[line].append(number)
        filled[line] += lengths[number]
    return found


def predicted(network: Any, batch: Packed, cache: Any = None) -> torch.Tensor:
    """Log-probabilities (predictions, vocabulary), float32, where the batch's targets are to be predicted.

    *cache* holds the beginning of a batch that was packed without.
    """
    places = batch.places.to(network.device)

    def only(_: Any, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (given[0].flatten(0, 1)[places][None], *given[1:])

    with network.get_output_embeddings().register_forward_pre_hook(only):
        logits = network(
            input_ids=batch.ids.to(network.device),
            attention_mask=batch.mask.to(network.device),
            position_ids=batch.positions.to(network.device),
            past_key_values=cache,
            use_cache=cache is not None,
        ).logits
    found: torch.Tensor = logits[0].float().log_softmax(-1)
    return found


@dataclass(frozen=True, slots=True)
class Known:
    """What a teacher expects at each prediction: its likeliest tokens (n, k), their chances, and what is left."""

    tokens: torch.Tensor
    chances: torch.Tensor
    rest: torch.Tensor

    @classmethod
    def of(cls, logs: torch.Tensor, k: int) -> Known:
        """From log-probabilities (n, vocabulary)."""
        best, tokens = logs.topk(min(k, logs.shape[-1]), -1)
        chances = best.exp()
        return cls(tokens, chances, (1.0 - chances.sum(-1)).clamp_min(1e-6))

    def divergence(self, logs: torch.Tensor) -> torch.Tensor:
        """Kullback-Leibler divergence of a student's log-probabilities from these chances, in nats, shape (n,)."""
        return self.divergence_at(logs.gather(-1, self.tokens))

    def divergence_at(self, theirs: torch.Tensor) -> torch.Tensor:
        """The same from the student's log-probabilities of these tokens alone (n, k)."""
        left = (1.0 - theirs.exp().sum(-1)).clamp_min(1e-6)
        inside = (self.chances * (self.chances.clamp_min(1e-9).log() - theirs)).sum(-1)
        return inside + self.rest * (self.rest.log() - left.log())


def picked(logs: torch.Tensor, batch: Packed, known: Mapping[int, Known]) -> torch.Tensor:
    """Of a batch's log-probabilities those of its targets, then those of what is *known* of a row, by its number.

    Shape (n, 1 + k); where nothing is known of a row, its target again. Picked at once: for each picking torch fills a
    table as large as all of them on the way back, and there are as many columns as words.
    """
    k = max((each.tokens.shape[1] for each in known.values()), default=0)
    columns = batch.targets[:, None].repeat(1, 1 + k)
    for number, each in known.items():
        columns[batch.rows == number, 1:] = each.tokens
    return logs.gather(-1, columns)


def expected(
    network: Any, shared: Sequence[int], rows: Sequence[Row], dtype: torch.dtype, k: int, *, read: Beginning | None
) -> list[Known]:
    """What a network expects in each row; *read* is the shared beginning, where the network has read it already."""
    found: list[Known] = []
    for start in range(0, len(rows), 8):
        some = rows[start : start + 8]
        batch = pack(shared, some, dtype, read=read is not None)
        known = Known.of(predicted(network, batch, None if read is None else read.fork()), k)
        each = [batch.rows == number for number in range(len(some))]
        found += [Known(known.tokens[own], known.chances[own], known.rest[own]) for own in each]
    return found


def nearly_said(logs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Whether each target (n,) is likeliest by its log-probabilities (n, vocabulary), or as good as that."""
    return logs.gather(-1, targets[:, None])[:, 0] > logs.max(-1).values - TIE


def looked_at(network: Any, shared: Sequence[int], rows: Sequence[Row]) -> list[tuple[float, bool]]:
    """Of each row the chance of its least likely target, and whether each target is likeliest there, or nearly so.

    No row's first token may be a target: what all begin with is read once, and not with each few of them again.
    """
    import torch

    found: list[tuple[float, bool]] = []
    read = Beginning.read(network, shared) if rows else None
    for start in range(0, len(rows), ROWS_LOOKED_AT):
        some = rows[start : start + ROWS_LOOKED_AT]
        batch = pack(shared, some, network.dtype, read=True)
        with torch.no_grad():
            logs = predicted(network, batch, None if read is None else read.fork())
        chances, same = logs.gather(-1, batch.targets[:, None])[:, 0].exp(), nearly_said(logs, batch.targets)
        for number in range(len(some)):
            own = batch.rows == number
            found.append((float(chances[own].min()), bool(same[own].all())))
    return found


def joined(known: Sequence[Known]) -> Known:
    """Several, one after another."""
    import torch

    return Known(
        torch.cat([each.tokens for each in known]),
        torch.cat([each.chances for each in known]),
        torch.cat([each.rest for each in known]),
    )


def drawn(count: int, most: int, step: int, *, seed: str) -> list[int]:
    """The numbers below *count* that a step takes: each once, in random order, before any comes again."""
    chosen: list[int] = []
    for at in range(step * most, (step + 1) * most):
        turn, place = divmod(at, count)
        order = list(range(count))
        random.Random(f"{seed}/{turn}").shuffle(order)
        chosen.append(order[place])
    return list(dict.fromkeys(chosen))
