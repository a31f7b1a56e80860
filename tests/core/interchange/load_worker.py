"""Takes a bundle in and says how far it is, to be killed by a test: `python load_worker.py VAULT BUNDLE KEY`."""

from __future__ import annotations

import sys

from memos_integrations import MemOS, Principal
from memos_integrations.vaults.sqlite import SQLiteVault

if __name__ == "__main__":
    folder, bundle, key = sys.argv[1:]

    def said(done: int, total: int) -> None:
        print(done, total, flush=True)

    with MemOS(SQLiteVault(folder)) as memos:
        memos.load(
            bundle, by=Principal(tenant="clinic-b", user="bo"), trusted={key: "a"}, recipient="clinic-b", progress=said
        )
    print("done", flush=True)
