"""`python -m memos_integrations.cli` is `memos`."""

from __future__ import annotations

from memos_integrations.cli import main

main()
