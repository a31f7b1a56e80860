"""The contracts, on our parts and on LlamaIndex's own. What its own do not keep is named, with its report upstream."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from llama_index.core.memory import ChatMemoryBuffer, Memory
from llama_index.core.postprocessor import (
    LongContextReorder,
    MetadataReplacementPostProcessor,
    SimilarityPostprocessor,
)
from llama_index.core.postprocessor.types import BaseNodePostprocessor

from memos_integrations.core.access import Principal
from memos_integrations.llama_index import (
    MemOSAccessPostprocessor,
    MemOSAsyncChatStore,
    MemOSChatStore,
    MemOSMemory,
    MemOSMemoryBlock,
    MemOSNodePostprocessor,
    MemOSRerankPostprocessor,
)
from memos_integrations.memos import MemOS
from memos_integrations.testing import LlamaIndexMemoryContract, PostprocessorContract

ANA = Principal(tenant="home", user="ana")


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    """An engine for each test, where the contract's classes find it."""
    with MemOS.open(tmp_path / "vault") as memos:
        memos.remember("She likes green tea with honey.", by=ANA)
        memos.remember("She keeps her tea in the blue tin.", by=ANA)
        request.instance.memos = memos
        request.instance.tmp_path = tmp_path
        yield memos


OF_MEMORY = {
    "test_tool_calls_count_as_tokens": "run-llama/llama_index#21950: calls count nothing",
    "test_a_workflows_context_keeps_it": "run-llama/llama_index#19228, for Memory: how it inserts blocks is no JSON",
}


class TestMemOSMemory(LlamaIndexMemoryContract):
    memos: MemOS
    tmp_path: Path

    def memory(self, session_id: str, token_limit: int = 30_000) -> MemOSMemory:
        return MemOSMemory(self.memos, principal=ANA, session_id=session_id, token_limit=token_limit)

    def reopened(self, session_id: str) -> MemOSMemory:
        self.memos.close()
        self.memos = MemOS.open(self.tmp_path / "vault")
        return self.memory(session_id)


class TestChatBufferOverOurStore(LlamaIndexMemoryContract):
    known_faults: ClassVar[dict[str, str]] = {
        "test_tool_calls_count_as_tokens": "run-llama/llama_index#21950: the buffer counts the words of messages only",
        "test_a_workflows_context_keeps_it": "run-llama/llama_index#18475: the buffer restores only stores of its own",
    }
    memos: MemOS
    tmp_path: Path

    def memory(self, session_id: str, token_limit: int = 30_000) -> ChatMemoryBuffer:
        store = MemOSChatStore(self.memos, principal=ANA)
        return ChatMemoryBuffer.from_defaults(chat_store=store, chat_store_key=session_id, token_limit=token_limit)

    def reopened(self, session_id: str) -> ChatMemoryBuffer:
        self.memos.close()
        self.memos = MemOS.open(self.tmp_path / "vault")
        return self.memory(session_id)


class TestLlamaIndexMemoryOverOurStore(LlamaIndexMemoryContract):
    known_faults: ClassVar[dict[str, str]] = OF_MEMORY
    memos: MemOS
    tmp_path: Path

    def memory(self, session_id: str, token_limit: int = 30_000) -> Memory:
        return Memory.from_defaults(
            session_id=session_id,
            token_limit=token_limit,
            chat_store=MemOSAsyncChatStore(self.memos, principal=ANA),
            memory_blocks=[MemOSMemoryBlock(self.memos, principal=ANA)],
        )


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
class TestLlamaIndexMemory(LlamaIndexMemoryContract):
    known_faults: ClassVar[dict[str, str]] = {
        **OF_MEMORY,
        "test_putting_nothing_is_no_error": "run-llama/llama_index#23185: an empty batch is an IntegrityError",
        "test_concurrent_puts_keep_every_message_in_the_order_of_the_calls": "its tables are made by the first of many",
        "test_a_pickled_copy_keeps_it": "its store cannot be pickled, is left out, and made anew, empty",
    }
    hangs: ClassVar[dict[str, str]] = {
        "test_threads_lose_nothing": "its lock belongs to the event loop that took it first",
    }

    @pytest.fixture(autouse=True)
    def _collected(self) -> Iterator[None]:
        """It leaves connections to the garbage collector, which complains; in this test, not in the next."""
        yield
        gc.collect()

    def memory(self, session_id: str, token_limit: int = 30_000) -> Memory:
        return Memory.from_defaults(session_id=session_id, token_limit=token_limit)


class TestLlamaIndexChatBuffer(LlamaIndexMemoryContract):
    known_faults: ClassVar[dict[str, str]] = {
        "test_tool_calls_count_as_tokens": "run-llama/llama_index#21950: the buffer counts the words of messages only",
        "test_a_workflows_context_keeps_it": "run-llama/llama_index#18475: a buffer with messages is no JSON",
        "test_changing_what_was_given_changes_no_memory": "it gives its own messages away, not copies",
    }

    def memory(self, session_id: str, token_limit: int = 30_000) -> ChatMemoryBuffer:
        return ChatMemoryBuffer.from_defaults(chat_store_key=session_id, token_limit=token_limit)


class TestMemOSNodePostprocessor(PostprocessorContract):
    memos: MemOS

    def postprocessor(self) -> BaseNodePostprocessor:
        return MemOSNodePostprocessor(self.memos, principal=ANA)


class TestFusedUnderABudget(TestMemOSNodePostprocessor):
    def postprocessor(self) -> BaseNodePostprocessor:
        return MemOSNodePostprocessor(self.memos, principal=ANA, position="fused", token_budget=40)


class TestMemOSAccessPostprocessor(PostprocessorContract):
    memos: MemOS

    def postprocessor(self) -> BaseNodePostprocessor:
        return MemOSAccessPostprocessor(self.memos, principal=ANA)


class TestMemOSRerankPostprocessor(PostprocessorContract):
    memos: MemOS

    def postprocessor(self) -> BaseNodePostprocessor:
        return MemOSRerankPostprocessor(self.memos, principal=ANA, top_n=2)


class TestSimilarityPostprocessor(PostprocessorContract):
    def postprocessor(self) -> BaseNodePostprocessor:
        return SimilarityPostprocessor(similarity_cutoff=0.3)


class TestLongContextReorder(PostprocessorContract):
    def postprocessor(self) -> BaseNodePostprocessor:
        return LongContextReorder()


class TestMetadataReplacementPostProcessor(PostprocessorContract):
    known_faults: ClassVar[dict[str, str]] = {
        "test_what_comes_in_is_not_changed": "it sets the content of the nodes it is given"
    }

    def postprocessor(self) -> BaseNodePostprocessor:
        return MetadataReplacementPostProcessor(target_metadata_key="window")
