"""The port that a vault fills."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import BinaryIO, Protocol, runtime_checkable

from memos_integrations.core.cube import BlobRef, CubeRef, MemCube
from memos_integrations.core.events import MemEvent
from memos_integrations.core.ports.embedder import EmbedderIdentity
from memos_integrations.core.ports.log import AuditEntry, AuditReport, LogQuery
from memos_integrations.core.ports.query import CubeFilter, Edge, Found, VaultQuery, Visibility
from memos_integrations.core.ports.transaction import Durability, Receipt, Transaction


class Vault(Protocol):
    """The truth: cubes, versions, vectors, full text, audit chain and outbox, in one transaction.

    Thread-safe. A write is a future that is done when the transaction is durable. After it is done, every read,
    in every thread, sees it. Only `MemGovernance` holds a vault.
    """

    def submit(self, transaction: Transaction, *, durability: Durability | None = None) -> Future[Receipt]:
        """Queue a transaction; the future gives the receipt when it is durable, or the reason why nothing happened.

        It may be done on return: a vault writes in the calling thread where that costs nobody else time.

        *durability* says what the acknowledged transaction must survive; None means what the vault was opened with.
        Transactions of one thread become true in the order in which they were submitted.

        The future raises:
            VersionConflictError: A Put is not the next version of its cube, a Move not from its state, or an Expect
                not met.
            StillDerivedError: An Erase would leave a cube that is derived from the erased one.
            AlreadyRememberedError: A Put's key is taken.
            ForgottenError: The cube of a Put's key was erased for good, and the Put does not say `again`.
            RateSpentError: A Room is not there.
            CubeNotFoundError: A change names a cube that is not there (Use of an erased cube is ignored).
            VaultError: The store failed; nothing of the transaction happened.
        """
        ...

    def submit_whole(self, transactions: Iterable[Transaction]) -> Receipt:
        """Make all of *transactions* true in one commit, or none; durable on return.

        They are asked for one after another, in this thread, and need never be in memory together: so comes in what is
        too large for one `Transaction`. Other writes wait meanwhile, for as long as it takes. What makes them may read
        the vault, and sees it as it was before; it may not wait for anything that it writes to it.

        Raises:
            VaultError: The store failed, or *transactions* wrote to the vault; nothing of them happened.
            MemOSError: One is refused, see `submit`, or *transactions* raised; nothing of them happened.
        """
        ...

    def walk(self, wanted: CubeFilter, visible: Visibility, *, page: int = 500) -> Iterator[list[MemCube]]:
        """The current versions of all that is visible and wanted and was there at the start, page by page, each once.

        The order is the same as long as nothing changes. A cube that changes or goes meanwhile comes as it then is, or
        not at all.

        Raises:
            IntegrityError: A row does not match its digest.
        """
        ...

    def get(self, tenant: str, ids: Sequence[str]) -> list[MemCube]:
        """The current versions of those of *ids* that exist in *tenant*, in the order asked, states of all kinds.

        Raises:
            IntegrityError: A row does not match its digest.
        """
        ...

    def history(self, tenant: str, cube_id: str) -> list[MemCube]:
        """Every version of a cube, oldest first; empty when there is none."""
        ...

    def find_key(self, tenant: str, key: str) -> str | None:
        """The id of the cube that was put with this key."""
        ...

    def forgotten(self, tenant: str, keys: Sequence[str]) -> set[str]:
        """Those of *keys* whose cube a lasting Erase took away, and that were not put again since."""
        ...

    def search(self, query: VaultQuery, visible: Visibility) -> Found:
        """The best matches among what is visible: exact, never fewer than k when k match."""
        ...

    def places(self, wanted: CubeFilter, visible: Visibility) -> list[MemCube]:
        """One cube of every namespace in which there is a visible one that passes *wanted*, by namespace.

        Raises:
            IntegrityError: A row does not match its digest.
        """
        ...

    def generation(self, tenant: str) -> int:
        """A number that is another one after any change in *tenant* that a search could notice (a use is none).

        It says nothing of other tenants.
        """
        ...

    def pointing_at(self, tenant: str, ids: Sequence[str]) -> list[Edge]:
        """The edges that end at one of *ids*: links of current versions, and their `derived_from`."""
        ...

    def tokens(self, tenant: str, refs: Sequence[CubeRef]) -> dict[str, bytes]:
        """What was put as `tokens` of those of *refs* that are present versions in *tenant*, by id.

        A derivative, gone with its version: a vault may keep none of it.

        Raises:
            IntegrityError: Some are not what was put.
        """
        ...

    def unembedded(self, limit: int) -> list[MemCube]:
        """Current plaintext cubes without a vector, of all tenants."""
        ...

    def put_blob(self, source: bytes | BinaryIO, media_type: str = "application/octet-stream") -> BlobRef:
        """Store bytes under their digest, durably, before a cube names them. A stream is read once, block by block.

        Erasing the last cube that names a blob erases the blob; one that no cube ever names is collected.

        Raises:
            InvalidMemoryError: Too large, or not bytes.
            VaultError: The store failed; nothing is left of it.
        """
        ...

    def open_blob(self, ref: BlobRef) -> BinaryIO:
        """A blob to be read from its start; the caller closes it.

        Raises:
            IntegrityError: It is not there, or does not match its digest.
        """
        ...

    def collect_blobs(self, now: datetime, grace: timedelta = timedelta(days=1)) -> int:
        """Remove the blobs that no version of any cube names and that nobody stored within *grace*; how many."""
        ...

    def scrub(self, now: datetime, *, gently: bool = False) -> int:
        """Overwrite copies of erased cubes that the storage engine may have left; how many erasures still wait for it.

        *gently*: only if that is soon done or has not been done for long, and if there is room.

        Raises:
            VaultError: There is no room for it; what is stored did not change.
        """
        ...

    def embedder(self) -> EmbedderIdentity | None:
        """The embedder that this vault's vectors came from."""
        ...

    def bind_embedder(self, identity: EmbedderIdentity) -> None:
        """Remember the embedder, once.

        Raises:
            EmbedderMismatchError: Another one is remembered.
        """
        ...

    def log(self, query: LogQuery) -> list[AuditEntry]:
        """Audit entries, oldest first."""
        ...

    def verify_audit(self) -> AuditReport:
        """Walk the whole chain, and hold every stored version against what the chain says was written."""
        ...

    def events(self, after: int, limit: int = 100) -> list[tuple[int, MemEvent]]:
        """Outbox events with a number above *after*, oldest first, each with its number."""
        ...

    def last_event(self) -> int:
        """The number of the newest outbox event; 0 when there is none."""
        ...

    def traces(self, cube_id: str) -> dict[str, int]:
        """How many rows of a cube each place still holds (place -> count); all zero after an Erase."""
        ...

    def close(self) -> None:
        """Finish what is queued, save what can be saved, release files. Safe to call twice."""
        ...


@runtime_checkable
class Stage(Vault, Protocol):
    """A vault over another one: what is written to it is seen in it, and nowhere else until `pending` is submitted."""

    tenant: str
    """The one in reach."""

    def pending(self) -> Transaction:
        """Everything that was written, in order, as one transaction for the vault below."""
        ...

    def read_only(self) -> Transaction:
        """What was only read, or refused, and used of licences for it; true whatever becomes of the rest."""
        ...

    def beneath(self, ids: Sequence[str]) -> dict[str, list[tuple[MemCube, MemCube | None]]]:
        """Those of *ids* that were brought up to be changed: as each was then, and as it stands below (None: erased).

        One pair for each vault below, where that is a stage itself.
        """
        ...

    def changed(self) -> list[tuple[MemCube | None, MemCube | None]]:
        """Each cube that would be another one: as it stands below (None: not there), and as it would stand."""
        ...
