"""A missing extra is told from a broken one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from memos_integrations.core.errors import MissingExtraError
from memos_integrations.core.extras import require


def test_what_is_there_is_imported() -> None:
    assert require("json.decoder", extra="any").JSONDecoder


def test_what_is_missing_is_named_with_its_install_line() -> None:
    with pytest.raises(MissingExtraError, match=r'^nowhere_at_all .*pip install "memos-integrations\[hf\]"$') as caught:
        require("nowhere_at_all.part", extra="hf")
    assert isinstance(caught.value, ImportError)
    assert caught.value.name == "nowhere_at_all"


def test_a_library_that_lacks_something_itself_keeps_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_installed.py").write_text("import nowhere_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all") as caught:
        require("half_installed", extra="hf")
    assert not isinstance(caught.value, MissingExtraError)
    assert "half_installed" not in sys.modules
