"""The LangGraph door: the walk of a prompt as a subgraph, nodes around it, requests that a human approves, a store.

Converts in, calls the engine once, converts out. Needs the extra `langgraph`.
"""

from memos_integrations.core.extras import require

require("langgraph", extra="langgraph")
require("langchain", extra="langgraph")

from memos_integrations.langgraph.approvals import RequestState, memory_requests  # noqa: E402
from memos_integrations.langgraph.identity import Identity  # noqa: E402
from memos_integrations.langgraph.nodes import as_node, memory_writer  # noqa: E402
from memos_integrations.langgraph.pipeline import PipelineState, pipeline_graph  # noqa: E402
from memos_integrations.langgraph.policies import RETRY  # noqa: E402
from memos_integrations.langgraph.pool import (  # noqa: E402
    PoolState,
    pool_acknowledger,
    pool_publisher,
    pool_subscriber,
)
from memos_integrations.langgraph.recalled_context import RecalledContext  # noqa: E402
from memos_integrations.langgraph.request import MemoryRequest  # noqa: E402
from memos_integrations.langgraph.store import MemOSStore  # noqa: E402
from memos_integrations.langgraph.subgraph import MemoryState, memory_subgraph  # noqa: E402

__all__ = [
    "RETRY",
    "Identity",
    "MemOSStore",
    "MemoryRequest",
    "MemoryState",
    "PipelineState",
    "PoolState",
    "RecalledContext",
    "RequestState",
    "as_node",
    "memory_requests",
    "memory_subgraph",
    "memory_writer",
    "pipeline_graph",
    "pool_acknowledger",
    "pool_publisher",
    "pool_subscriber",
]
