"""Parameter memory: memories distilled into adapters that are tried before they serve. Needs the extra `hf`.

`AdapterStore` keeps them on disk and on a model; `ParameterMemory` trains, tries and serves them; `ParameterCubes` puts
them under the governance of a MemOS. Importing this loads no torch.
"""

from __future__ import annotations

from memos_integrations.backends.lora.cubes import ParameterCubes
from memos_integrations.backends.lora.gates import GateReport, Gates
from memos_integrations.backends.lora.groups import erasure_groups
from memos_integrations.backends.lora.lessons import Curriculum, Lesson, lessons_of
from memos_integrations.backends.lora.memory import ParameterMemory
from memos_integrations.backends.lora.recipe import Recipe
from memos_integrations.backends.lora.store import Adapter, AdapterStore
from memos_integrations.backends.lora.training import Learnt, Training

__all__ = [
    "Adapter",
    "AdapterStore",
    "Curriculum",
    "GateReport",
    "Gates",
    "Learnt",
    "Lesson",
    "ParameterCubes",
    "ParameterMemory",
    "Recipe",
    "Training",
    "erasure_groups",
    "lessons_of",
]
