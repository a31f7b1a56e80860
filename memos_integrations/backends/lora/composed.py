"""Two adapters as one, for a request that needs both: only if each still knows its own, and nothing else is spoilt.

A composed adapter is kept and served like any other, with the sources of both, so that it goes with each of them. One
that fails its gates is kept with its report and never serves; a request is then answered with one of the two. Needs
`hf`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from memos_integrations.backends.lora.adapter_file import CONFIG, WEIGHTS, read_adapter
from memos_integrations.backends.lora.gates import CANDIDATE, MOST_TAUGHT, GateReport, Gates, Trial, judged
from memos_integrations.backends.lora.lessons import Curriculum, Lesson
from memos_integrations.backends.lora.store import COMPOSED, Adapter, AdapterStore
from memos_integrations.backends.lora.yardstick import QUESTIONS
from memos_integrations.core.errors import ModelError

if TYPE_CHECKING:
    import torch

How = Literal["sum", "ties"]
DENSITY = 0.5
"""The share of each adapter's weights that TIES keeps (Yadav et al., arXiv 2306.01708)."""


def compose(
    store: AdapterStore,
    one: str,
    other: str,
    *,
    gates: Gates,
    how: How = "sum",
    behind: Mapping[str, Curriculum] | None = None,
) -> Adapter:
    """Both adapters as one, tried and kept; active if it passed.

    `sum` does what both do together, exactly, at the sum of their ranks; `ties` merges the weights of two adapters of
    the same rank into as many again. The gates are those of any adapter: `neighbours` is the share of each one's own
    recall that must be left, `taught` and `probes` are met by the mean of both. *behind* is what each was taught, by
    name; without it, the probes that are kept with each stand for that, and `taught` is not asked.

    Raises:
        ModelError: They are one and the same, of two tenants, not accepted, without probes, or have other layers.
    """
    pair = [store.get(name) for name in (one, other)]
    probes = {each.name: behind[each.name].probes if behind else each.probes for each in pair}
    _check(pair, probes)
    taught = [lesson for each in (behind or {}).values() for lesson in each.taught[: MOST_TAUGHT // 2]]
    read = [read_adapter(each.folder, files=store.files) for each in pair]
    tensors = _joined([weights for weights, _ in read], [_scaling(said) for _, said in read], how)
    rank = next(len(weight) for name, weight in tensors.items() if ".lora_A." in name)
    staged = store.staging()
    try:
        store.files.put_tensors(staged / WEIGHTS, tensors)
        said = {**read[0][1], "r": rank, "lora_alpha": rank}
        store.files.put(staged / CONFIG, json.dumps(said, indent=1).encode())
        trial = Trial(store.model)
        trial.load(CANDIDATE, staged, files=store.files)
        made = store.keep(
            staged,
            tenant=pair[0].tenant,
            sources=pair[0].sources | pair[1].sources,
            report=_report(trial, pair, gates, probes, taught),
            training={COMPOSED: [each.name for each in pair], "how": how},
        )
    except OSError as exc:
        raise ModelError(f"{store.folder} cannot hold a new adapter: {exc}. Free some space.") from exc
    finally:
        store.discard(staged)
    return store.activate(made.name) if made.accepted else made


def _report(
    trial: Trial,
    pair: Sequence[Adapter],
    gates: Gates,
    probes: Mapping[str, Sequence[Lesson]],
    taught: Sequence[Lesson],
) -> GateReport:
    recalls = {each.name: trial.recall(probes[each.name], CANDIDATE) for each in pair}
    kept = {
        each.name: recalls[each.name] / each.report.recall_probes if each.report.recall_probes else 1.0 for each in pair
    }
    before, after = trial.known(None), trial.known(CANDIDATE)
    mean = sum(recalls.values()) / len(recalls)
    report = GateReport(
        recall_taught=trial.recall(taught, CANDIDATE) if taught else mean,
        recall_probes=mean,
        perplexity_before=trial.perplexity(None),
        perplexity_after=trial.perplexity(CANDIDATE),
        questions=len(QUESTIONS),
        right_before=sum(before),
        lost=sum(was and not now for was, now in zip(before, after, strict=True)),
        gained=sum(now and not was for was, now in zip(before, after, strict=True)),
        neighbours=kept,
    )
    return judged(report, gates if taught else gates.model_copy(update={"taught": 0.0}))


def _check(pair: Sequence[Adapter], probes: Mapping[str, Sequence[Lesson]]) -> None:
    one, other = pair
    if one.name == other.name or one.tenant != other.tenant:
        raise ModelError("Only two different adapters of one tenant are composed.")
    for each in pair:
        if not each.accepted:
            raise ModelError(f"Adapter {each.name!r} did not pass its gates; it is not composed with another.")
        if COMPOSED in each.training or not probes[each.name]:
            raise ModelError(
                f"Nothing tells what adapter {each.name!r} knows, or it is composed itself, so that it is not composed."
            )


def _scaling(said: Mapping[str, Any]) -> float:
    return float(said["lora_alpha"]) / float(said["r"])


def _joined(both: list[dict[str, torch.Tensor]], scalings: list[float], how: How) -> dict[str, torch.Tensor]:
    """One adapter's weights, at scaling 1, out of those of two."""
    import torch

    first, second = both
    if first.keys() != second.keys():
        raise ModelError("The two adapters are on other layers; they are not composed.")
    if how == "ties" and any(first[name].shape != second[name].shape for name in first):
        raise ModelError("The two adapters have other ranks; compose them by `sum`.")
    made: dict[str, torch.Tensor] = {}
    for name in first:
        strong = [
            each[name].float() * (scaling if ".lora_B." in name else 1.0)
            for each, scaling in zip(both, scalings, strict=True)
        ]
        if how == "sum":
            made[name] = torch.cat(strong, dim=1 if ".lora_B." in name else 0).half()
        else:
            from peft.utils.merge_utils import ties

            made[name] = ties(strong, torch.ones(2), DENSITY).half()
    return made
