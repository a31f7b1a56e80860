"""Rows of tokens side by side: little is padded, whatever stands next to what, and each is predicted as alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from memos_integrations.backends.lora.rows import Known, Row, pack, picked, predicted


def mixed() -> list[Row]:
    """Long ones first, then short ones, as lessons and general questions stand in a step."""
    lengths = [30, 26, 29, 35, 22, 28, 31, 27, 40, *[19, 14, 21, 17, 24, 18, 16, 20]]
    return [Row(tuple(1 + (7 * number + at) % 50 for at in range(n)), n - 5) for number, n in enumerate(lengths)]


@pytest.mark.parametrize("read", [False, True])
def test_long_and_short_rows_are_spread_over_the_sequences_so_that_little_is_padded(read: bool) -> None:
    import torch

    rows, head = mixed(), list(range(1, 25))
    batch = pack(head, rows, torch.float32, read=read)
    needed = sum(len(row.ids) for row in rows) + (0 if read else len(batch.ids) * len(head))
    assert batch.ids.numel() <= 1.1 * needed
    assert batch.targets.tolist() == [token for row in rows for token in row.targets], "in the order of the rows"
    assert batch.rows.tolist() == [number for number in range(len(rows)) for _ in range(5)]


def test_a_row_is_predicted_as_if_it_stood_alone_wherever_it_stands(tmp_path: Path) -> None:
    import torch

    from memos_integrations.backends.huggingface import HuggingFaceModel
    from tests.tiny_llama import build_tiny_llama

    network = HuggingFaceModel(build_tiny_llama(tmp_path / "tiny")).network
    rows, head = mixed(), [3, 1, 2]
    with torch.no_grad():
        together = predicted(network, pack(head, rows, network.dtype))
        for number, row in enumerate(rows):
            alone = predicted(network, pack(head, [row], network.dtype))
            assert torch.allclose(together[5 * number : 5 * number + 5], alone, atol=1e-4)


def test_what_is_picked_at_once_is_what_each_row_says_and_so_is_what_is_learnt_from_it() -> None:
    import torch

    torch.manual_seed(0)
    rows = mixed()[:4]
    batch = pack([1, 2], rows, torch.float32)
    known = {row: Known.of(torch.randn(5, 60).log_softmax(-1), 8) for row in (1, 3)}

    def loss(start: torch.Tensor, at_once: bool) -> torch.Tensor:
        logs = start.log_softmax(-1)
        some = picked(logs, batch, known)
        assert some.shape == (20, 9)
        own = {row: batch.rows == row for row in known}
        if at_once:
            far = [each.divergence_at(some[own[row], 1:]) for row, each in known.items()]
            return torch.cat(far).mean() - some[:, 0].mean()
        right = logs.gather(-1, batch.targets[:, None])[:, 0]
        return torch.cat([each.divergence(logs[own[row]]) for row, each in known.items()]).mean() - right.mean()

    starts = [torch.linspace(-2, 2, 20 * 60).reshape(20, 60).sin().requires_grad_() for _ in range(2)]
    losses = [loss(start, at_once) for start, at_once in zip(starts, (True, False), strict=True)]
    for each in losses:
        each.backward()
    assert torch.allclose(*losses)
    assert torch.allclose(starts[0].grad, starts[1].grad, atol=1e-7)
    assert picked(losses[0].detach().expand(20, 60), batch, {}).shape == (20, 1)
