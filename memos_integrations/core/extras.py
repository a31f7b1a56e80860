"""Optional dependencies: asked for where they are needed, missing in plain words."""

from __future__ import annotations

import importlib
from types import ModuleType

from memos_integrations.core.errors import MissingExtraError


def require(module: str, *, extra: str) -> ModuleType:
    """The imported *module*, or an error that says which extra brings it.

    Only the absence of the dependency itself is translated. A module that is there but fails to import
    (because something that it needs is missing in turn) keeps its own error.

    Raises:
        MissingExtraError: The distribution that holds *module* is not installed.
    """
    root = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] != root:
            raise
        raise MissingExtraError(
            f'{root} is not installed. Run: pip install "memos-integrations[{extra}]"', name=root
        ) from exc
