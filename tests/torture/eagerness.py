"""Make the index do at a hundred cubes what it otherwise does at a hundred thousand: seal, merge, plan by codes."""

from __future__ import annotations

from memos_integrations.vaults import faiss_index, planner, sqlite

SEAL_AT, MOST_SEGMENTS, EXACT_MOST = 30, 4, 60


def be_eager() -> None:
    """For the rest of this process."""
    faiss_index.SEAL_AT = sqlite.SEAL_AT = SEAL_AT
    faiss_index.MOST_SEGMENTS = MOST_SEGMENTS


def plan_by_codes() -> None:
    """For the rest of this process: more than a few dozen allowed rows are searched by codes first."""
    planner.EXACT_MOST = EXACT_MOST
