"""The vault at size: governed search, durable writes, opening, memory; with peers on the same corpus beside it.

    python tests/benchmarks/vault.py --cubes 100k --tenants 1000 --peers all --json vault.json

Everything of ours is measured with access rules, versions, audit and outbox on. A search counts from the question to
the rows in hand, its record in the audit log durable. Every figure is the median of what was repeated, in one caller's
thread unless it says otherwise. `timings` in the JSON holds wall and CPU of each.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import batched
from pathlib import Path
from statistics import fmean, median
from typing import Any

import faiss
import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from memos_integrations import MemOS, Principal
from memos_integrations.core.access import CallContext, Caller
from memos_integrations.core.cube import MemCube, new_id
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.operator import draft_memory
from memos_integrations.core.ports import (
    EmbedderIdentity,
    Found,
    Receipt,
    Vault,
    VaultQuery,
    Vectors,
    Visibility,
)
from memos_integrations.core.text import terms
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.benchmarks.compare import compare
from tests.benchmarks.corpus import DIM, Corpus, Floats, Lookup, Numbers, Rows, number_of, recall_at
from tests.benchmarks.meta import ROOT, Timing, meta, private_bytes, single_threaded, timed, together
from tests.benchmarks.peers import PEERS, K
