# Every chore of the project. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PY := .venv/bin/python
WORKERS ?= 2
ROUNDS ?= 5
ONLY ?=
PACKAGES ?=
NODES ?=
CLIENTS ?=
SECONDS ?=
WRITE ?=
MINUTES ?= 20
SEED ?= 1
SOURCES := faas triggers runners tests examples tools

.PHONY: help setup demo test test-postgresql check format bench docker-stop clean

help: ## list every chore
	@grep -E '^[a-z0-9-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: ## virtual environment, pinned packages, Docker where it can be had, and the base image
	@sh tools/setup.sh

demo: setup ## real photos from a bucket to a bill (PHOTOS=DIR for your own)
	@$(PY) -m examples.photos.demo

test: setup ## all tests (WORKERS=2)
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile

test-postgresql: setup ## store, recorder and control API on a PostgreSQL of their own (needs its binaries)
	@$(PY) -m pytest --database postgresql tests/integration/test_store.py tests/integration/test_recorder.py \
		tests/integration/test_api_functions.py tests/integration/test_api_ledger.py tests/integration/test_api_metrics.py \
		tests/integration/test_retention.py tests/integration/test_upgrade.py tests/integration/test_alarms.py \
		tests/integration/test_api_alarms.py tests/integration/test_chains.py \
		tests/integration/test_api_traces.py

.PHONY: test-wheels
test-wheels: setup ## deploy and run some twenty packages that hold compiled code, in containers (downloads them; ONLY=numpy)
	@$(PY) -m pytest tests/long/wheels.py $(addprefix -k ,$(ONLY))

.PHONY: test-cgroup2
test-cgroup2: ## sandboxes on version 2 of cgroups, systemd and Debian trixie, in an emulator (root; ONLY='tests/...')
	@sh tests/guest/run.sh $(ONLY)

bench: setup ## time against other platforms, as ratios (ONLY='cpu http cold queue growth observe' ROUNDS=5 NODES=1,2,4 WRITE=1; needs wrk)
	@$(PY) -m tests.bench --rounds $(ROUNDS) $(addprefix --only ,$(ONLY)) $(addprefix --nodes ,$(NODES)) \
		$(addprefix --clients ,$(CLIENTS)) $(addprefix --seconds ,$(SECONDS)) $(addprefix --rows ,$(ROWS)) $(if $(WRITE),--write)

.PHONY: torture
torture: setup ## real platform, seeded work and seeded faults, checked from outside (MINUTES=20 SEED=1 WRITE=1)
	@$(PY) -m tests.torture --minutes $(MINUTES) --seed $(SEED) $(if $(WRITE),--write)

.PHONY: fuzz
fuzz: setup ## inputs without end for each edge of the platform (MINUTES=60 SEED=1 ONLY='gateway frames'; 20 minutes by default)
	@$(PY) -m tests.fuzz --minutes $(MINUTES) --seed $(SEED) $(addprefix --only ,$(ONLY))

check: setup ## format, lint, types, layers, and the shape of the code
	@$(PY) -m ruff format --check $(SOURCES)
	@$(PY) -m ruff check $(SOURCES)
	@$(PY) -m mypy --strict
	@.venv/bin/lint-imports
	@$(PY) tools/shape.py faas triggers runners

format: setup ## put the code into its form
	@$(PY) -m ruff format $(SOURCES)
	@$(PY) -m ruff check --fix $(SOURCES)

.PHONY: docs
docs: setup ## write the reference pages anew from the code
	@$(PY) -m faas.cli.reference docs/reference

.PHONY: pin
pin: setup ## write versions and hashes of all packages anew (PACKAGES='aiohttp uv' to take newer ones)
	@sh tools/pin.sh $(PACKAGES)

docker-stop: ## end the Docker daemon that set-up started, and no other
	@sh tools/docker.sh stop

clean: docker-stop ## remove what set-up and the tests made in the checkout
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build faas.egg-info
