"""A picture, recording or file to be remembered with a caption: where its bytes are, and what they are."""

from __future__ import annotations

import io
import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from memos_integrations.core.cube import BlobRef, PlaintextPayload
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.operator.write import Draft

ANYTHING = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes in a file, in memory or in a stream (read once), and their media type."""

    source: Path | bytes | BinaryIO
    media_type: str

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The bytes as a stream; one that the caller gave stays open.

        Raises:
            InvalidMemoryError: The file cannot be opened.
        """
        if isinstance(self.source, Path):
            try:
                stream = self.source.open("rb")
            except OSError as exc:
                raise InvalidMemoryError(f"{self.source} cannot be read ({exc.strerror}); give a file.") from exc
            with stream:
                yield stream
        else:
            yield io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source


def blob_of(source: str | Path | bytes | BinaryIO | None, media_type: str | None) -> Blob | None:
    """What `remember(blob=…, media_type=…)` was given; the media type of a file is guessed from its name.

    Raises:
        InvalidMemoryError: There is a media type of nothing.
    """
    if source is None:
        if media_type is not None:
            raise InvalidMemoryError("A media type says what a blob is; give a blob, too.")
        return None
    if isinstance(source, str | Path):
        source = Path(source)
        media_type = media_type or mimetypes.guess_type(source.name)[0]
    return Blob(source, media_type or ANYTHING)


def captioned(draft: Draft, ref: BlobRef) -> Draft:
    """The draft as the caption of a stored blob."""
    payload = draft.cube.payload
    if not isinstance(payload, PlaintextPayload):
        raise InvalidMemoryError("Only a plaintext memory can be the caption of a blob.")
    cube = draft.cube.model_copy(update={"payload": payload.model_copy(update={"blob": ref})})
    return replace(draft, cube=cube)
