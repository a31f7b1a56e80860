"""Syncs a vault with a folder, with a judge that is killed over the first thing it is asked: `… VAULT FOLDER`."""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

from memos_integrations import MemCube
from memos_integrations.core.conflict import Verdict
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.core.interchange.test_sync import Device


class Killed:
    """A judge in whose hands the process dies."""

    def judge(self, newer: MemCube, older: MemCube) -> Verdict | None:
        """Never answers."""
        print("asked", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        return None


if __name__ == "__main__":
    device = Device(1, SQLiteVault(sys.argv[1]), Killed())
    device.now += timedelta(days=60)
    device.sync(Path(sys.argv[2]))
    print("done", flush=True)
