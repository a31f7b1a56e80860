"""The LlamaIndex door: recall and access as a node postprocessor, embedding models as the engine's embedder.

Converts in, calls the engine once, converts out. Needs the extra `llama-index`.
"""

from memos_integrations.core.extras import require

require("llama_index.core", extra="llama-index")

from memos_integrations.llama_index.embeddings import LlamaIndexEmbedder  # noqa: E402
from memos_integrations.llama_index.postprocessor import MemOSNodePostprocessor  # noqa: E402
from memos_integrations.llama_index.reranker import LlamaIndexReranker  # noqa: E402

__all__ = ["LlamaIndexEmbedder", "LlamaIndexReranker", "MemOSNodePostprocessor"]
