"""Memory pipelines (paper §5.2): steps over memory that become true together, in one transaction, or not at all."""

from memos_integrations.core.pipeline.branch import MemBranch, Snapshot
from memos_integrations.core.pipeline.pipeline import MemPipeline, PipelineRun, Step
from memos_integrations.core.pipeline.report import CubeChange, PipelineReport
from memos_integrations.core.pipeline.steps import STEPS, DeclaredStep

__all__ = [
    "STEPS",
    "CubeChange",
    "DeclaredStep",
    "MemBranch",
    "MemPipeline",
    "PipelineReport",
    "PipelineRun",
    "Snapshot",
    "Step",
]
