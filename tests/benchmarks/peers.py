"""Other stores behind one small port, each through its own public API, on vectors and texts that it is given.

Their packages are imported when they are opened, by name: none of them is a dependency of this project.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Protocol

from tests.benchmarks.corpus import DIM, Floats, Lookup, Rows, number_of

K = 10


class Peer(Protocol):
    """A store under comparison: made open, in an empty folder, with an embedder for those that want text.

    `batch` is how many rows it is given at once in a load; `survives` what a single add is safe from on return.
    """

    batch: ClassVar[int]
    survives: ClassVar[str]

    def __init__(self, folder: Path, lookup: Lookup) -> None: ...

    def add(self, rows: Rows) -> None:
        """Store these rows, as durably as the store does."""
        ...

    def settle(self) -> bool:
        """Build what the store builds after a load; whether there was anything to do."""
        ...

    def search(self, text: str, vector: Floats, tenant: int | None) -> list[int]:
        """The rows nearest to a question, in one tenant or in all; the texts are read where the store keeps them."""
        ...

    def close(self) -> None:
        """Release what is held."""
        ...


class InProcess:
    """What peers have that need neither building nor closing."""

    batch: ClassVar[int] = 1_000
    survives: ClassVar[str] = "nothing"

    def settle(self) -> bool:
        return False

    def close(self) -> None:
        return


class LangGraphInMemoryStore(InProcess):
    def __init__(self, folder: Path, lookup: Lookup) -> None:
        self._item: Any = import_module("langgraph.store.base").PutOp
        # SqliteStore reads the undocumented name, and embeds the whole JSON of an item without it.
        index = {"dims": DIM, "embed": lookup, "fields": ["text"], "text_fields": ["text"]}
        self._store: Any = self._opened(folder, index)

    def _opened(self, folder: Path, index: dict[str, Any]) -> Any:
        return import_module("langgraph.store.memory").InMemoryStore(index=index)

    def add(self, rows: Rows) -> None:
        items = zip(rows.numbers, rows.tenants, rows.texts, strict=True)
        self._store.batch([self._item(("cubes", f"t{t}"), f"m{number}", {"text": text}) for number, t, text in items])

    def search(self, text: str, vector: Floats, tenant: int | None) -> list[int]:
        place = ("cubes",) if tenant is None else ("cubes", f"t{tenant}")
        return [number_of(item.value["text"]) for item in self._store.search(place, query=text, limit=K)]


def loadable_sqlite() -> ModuleType:
    """An SQLite that can load extensions: Python's own where it can, else pysqlite3 in its place."""
    own = import_module("sqlite3")
    if hasattr(own.Connection, "enable_load_extension"):
        return own
    sys.modules["sqlite3"] = other = import_module("pysqlite3")
    return other


class LangGraphSqliteStore(LangGraphInMemoryStore):
    survives: ClassVar[str] = "power loss"

    def _opened(self, folder: Path, index: dict[str, Any]) -> Any:
        loadable_sqlite()
        self._entered = import_module("langgraph.store.sqlite").SqliteStore.from_conn_string(
            str(folder / "store.db"), index=index
        )
        store = self._entered.__enter__()
        store.setup()
        return store

    def close(self) -> None:
        self._entered.__exit__(None, None, None)


def langchain_embeddings(lookup: Lookup) -> Any:
    """The lookup as LangChain's `Embeddings`."""
    parent: Any = import_module("langchain_core.embeddings").Embeddings
    methods = {
        "embed_documents": lambda self, texts: lookup(texts),
        "embed_query": lambda self, text: lookup([text])[0],
    }
    return type("Embeddings", (parent,), methods)()


class LangChainInMemoryVectorStore(InProcess):
    def __init__(self, folder: Path, lookup: Lookup) -> None:
        stores, documents = import_module("langchain_core.vectorstores"), import_module("langchain_core.documents")
        self._store: Any = stores.InMemoryVectorStore(langchain_embeddings(lookup))
        self._document: Any = documents.Document

    def add(self, rows: Rows) -> None:
        pairs = zip(rows.texts, rows.tenants, strict=True)
        documents = [self._document(page_content=text, metadata={"tenant": tenant}) for text, tenant in pairs]
        self._store.add_documents(documents, ids=[f"m{number}" for number in rows.numbers])

    def search(self, text: str, vector: Floats, tenant: int | None) -> list[int]:
        def mine(document: Any) -> bool:
            return bool(document.metadata["tenant"] == tenant)

        found = self._store.similarity_search(text, k=K, filter=None if tenant is None else mine)
        return [number_of(document.page_content) for document in found]


class LlamaIndexSimpleVectorStore(InProcess):
    def __init__(self, folder: Path, lookup: Lookup) -> None:
        self._types = import_module("llama_index.core.vector_stores.types")
        self._node: Any = import_module("llama_index.core.schema").TextNode
        self._store: Any = import_module("llama_index.core.vector_stores").SimpleVectorStore()

    def add(self, rows: Rows) -> None:
        columns = zip(rows.numbers, rows.tenants, rows.texts, rows.vectors.tolist(), strict=True)
        self._store.add(
            [
                self._node(id_=str(number), text=text, embedding=vector, metadata={"tenant": tenant})
                for number, tenant, text, vector in columns
            ]
        )

    def search(self, text: str, vector: Floats, tenant: int | None) -> list[int]:
        only = None
        if tenant is not None:
            only = self._types.MetadataFilters(filters=[self._types.MetadataFilter(key="tenant", value=tenant)])
        question = self._types.VectorStoreQuery(query_embedding=vector.tolist(), similarity_top_k=K, filters=only)
        return [int(name) for name in self._store.query(question).ids]


class Chroma(InProcess):
    survives: ClassVar[str] = "power loss"

    def __init__(self, folder: Path, lookup: Lookup) -> None:
        chroma = import_module("chromadb")
        settings = import_module("chromadb.config").Settings(anonymized_telemetry=False)
        self._client: Any = chroma.PersistentClient(path=str(folder), settings=settings)
        self._cubes: Any = self._client.create_collection(
            "cubes", configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
        )

    def add(self, rows: Rows) -> None:
        self._cubes.add(
            ids=[f"m{number}" for number in rows.numbers],
            embeddings=rows.vectors,
            documents=rows.texts,
            metadatas=[{"tenant": tenant} for tenant in rows.tenants],
        )

    def search(self, text: str, vector: Floats, tenant: int | None) -> list[int]:
        only = None if tenant is None else {"tenant": tenant}
        found = self._cubes.query(query_embeddings=vector.reshape(1, -1), n_results=K, where=only)
        return [number_of(each) for each in found["documents"][0]]


class LanceDB(InProcess):
    survives: ClassVar[str] = "process death"  # LanceDB 0.40 asks for no sync: counted with strace, ten adds

    def __init__(self, folder: Path, lookup: Lookup) -> None:
        self._arrow: Any = import_module("pyarrow")
        fields = [("number", self._arrow.int64()), ("tenant", self._arrow.int64()), ("text", self._arrow.string())]
        self._schema: Any = self._arrow.schema([*fields, ("vector", self._arrow.list_(self._arrow.float32(), DIM))])
        self._table: Any = import_module("lancedb").connect(str(folder)).create_table("cubes", schema=self._schema)

    def add(self, rows: Rows) -> None:
        vectors = self._arrow.FixedSizeListArray.from_arrays(self._arrow.array(rows.vectors.ravel()), DIM)
        columns = [self._arrow.array(column) for column in (rows.numbers, rows.tenants, rows.texts)]
        self._table.add(self._arrow.Table.from_arrays([*columns, vectors], schema=self._schema))

    def settle(self) -> bool:
        self._table.create_scalar_index("tenant", index_type="BITMAP")
        self._table.optimize()
        return True

    def search(self, text: str, vector: Floats, tenant: int | None) -> list[int]:
        question = self._table.search(vector).distance_type("cosine").select(["number", "text", "_distance"]).limit(K)
        if tenant is not None:
            question = question.where(f"tenant = {tenant}", prefilter=True)
        return [number_of(row["text"]) for row in question.to_list()]


class QdrantEdge(InProcess):
    survives: ClassVar[str] = "power loss"

    def __init__(self, folder: Path, lookup: Lookup) -> None:
        self._edge: Any = import_module("qdrant_edge")
        vectors = self._edge.EdgeVectorParams(size=DIM, distance=self._edge.Distance.Cosine)
        (folder / "shard").mkdir()
        self._shard: Any = self._edge.EdgeShard.create(
            str(folder / "shard"), self._edge.EdgeConfig(vectors=vectors, max_search_threads=1)
        )
        tenants = self._edge.KeywordIndexParams(is_tenant=True)
        self._shard.update(self._edge.UpdateOperation.create_field_index("tenant", tenants))

    def add(self, rows: Rows) -> None:
        columns = zip(rows.numbers, rows.tenants, rows.texts, rows.vectors.tolist(), strict=True)
        points = [
            self._edge.Point(number, vector, {"tenant": f"t{tenant}", "text": text})
            for number, tenant, text, vector in columns
        ]
        self._shard.update(self._edge.UpdateOperation.upsert_points(points))
        self._shard.flush()

    def settle(self) -> bool:
        self._shard.optimize()
        return True

    def search(self, text: str, vector: Floats, tenant: int | None) -> list[int]:
        only = None
        if tenant is not None:
            match = self._edge.MatchValue(f"t{tenant}")
            only = self._edge.Filter(must=[self._edge.FieldCondition(key="tenant", match=match)])
        nearest = self._edge.Query.Nearest(vector.tolist())
        request = self._edge.QueryRequest(limit=K, query=nearest, filter=only, with_payload=True)
        return [number_of(point.payload["text"]) for point in self._shard.query(request)]

    def close(self) -> None:
        self._shard.close()


class Mem0(InProcess):
    batch: ClassVar[int] = 50
    survives: ClassVar[str] = "power loss"

    def __init__(self, folder: Path, lookup: Lookup) -> None:
        os.environ.update({"MEM0_TELEMETRY": "False", "MEM0_DIR": str(folder)})
        chat = import_module("langchain_core.language_models.fake_chat_models").FakeListChatModel(responses=["{}"])
        qdrant = {"path": str(folder / "qdrant"), "embedding_model_dims": DIM, "on_disk": True}
        self._memory: Any = import_module("mem0").Memory.from_config(
            {
                "embedder": {"provider": "langchain", "config": {"model": langchain_embeddings(lookup)}},
                "llm": {"provider": "langchain", "config": {"model": chat}},
                "vector_store": {"provider": "qdrant", "config": qdrant},
                "history_db_path": str(folder / "history.db"),
            }
        )

    def add(self, rows: Rows) -> None:
        for tenant, text in zip(rows.tenants, rows.texts, strict=True):
            self._memory.add(text, user_id=f"t{tenant}", run_id="all", infer=False)

    def search(self, text: str, vector: Floats, tenant: int | None) -> list[int]:
        only = {"run_id": "all"} if tenant is None else {"user_id": f"t{tenant}"}
        found = self._memory.search(text, top_k=K, filters=only, threshold=0.0)
        return [number_of(each["memory"]) for each in found["results"]]


class SqliteVec(InProcess):
    survives: ClassVar[str] = "power loss"

    def __init__(self, folder: Path, lookup: Lookup) -> None:
        sqlite, extension = loadable_sqlite(), import_module("sqlite_vec")
        self._connection: Any = sqlite.connect(folder / "vec.db", isolation_level=None)
        self._connection.enable_load_extension(True)
        extension.load(self._connection)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE cubes (number INTEGER PRIMARY KEY, text TEXT)")
        # A partition key per tenant would reserve 1,024 vectors for each; a metadata column does not.
        self._connection.execute(
            f"CREATE VIRTUAL TABLE vectors USING vec0 (tenant INTEGER, vector float[{DIM}] distance_metric=cosine)"
        )

    def add(self, rows: Rows) -> None:
        self._connection.execute("BEGIN")
        texts = zip(rows.numbers, rows.texts, strict=True)
        self._connection.executemany("INSERT INTO cubes VALUES (?, ?)", texts)
        vectors = zip(rows.numbers, rows.tenants, (row.tobytes() for row in rows.vectors), strict=True)
        self._connection.executemany("INSERT INTO vectors (rowid, tenant, vector) VALUES (?, ?, ?)", vectors)
        self._connection.execute("COMMIT")

    def search(self, text: str, vector: Floats, tenant: int | None) -> list[int]:
        only, values = ("", ()) if tenant is None else (" AND tenant = ?", (tenant,))
        found = self._connection.execute(
            "WITH nearest AS (SELECT rowid FROM vectors WHERE vector MATCH ? AND k = ?" + only + ")"
            " SELECT text FROM nearest JOIN cubes ON cubes.number = nearest.rowid",
            (vector.tobytes(), K, *values),
        )
        return [number_of(row[0]) for row in found]

    def close(self) -> None:
        self._connection.close()


PEERS: dict[str, Callable[[Path, Lookup], Peer]] = {
    "langgraph-memory": LangGraphInMemoryStore,
    "langgraph-sqlite": LangGraphSqliteStore,
    "langchain-memory": LangChainInMemoryVectorStore,
    "llama-index": LlamaIndexSimpleVectorStore,
    "chroma": Chroma,
    "lancedb": LanceDB,
    "qdrant-edge": QdrantEdge,
    "mem0": Mem0,
    "sqlite-vec": SqliteVec,
}
