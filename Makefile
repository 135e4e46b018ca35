# Every chore of the project. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PY := .venv/bin/python
WORKERS ?= 2
ROUNDS ?= 5
ONLY ?=
SOURCES := faas triggers runners tests examples

.PHONY: help setup test bench check format docker-stop clean

help: ## list every chore
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: ## virtual environment, pinned packages, and Docker where it can be had
	@sh tools/setup.sh

test: setup ## all tests (WORKERS=2)
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile

bench: setup ## time against other platforms, as ratios (ONLY='http cold queue' ROUNDS=5; needs wrk)
	@$(PY) -m tests.bench --rounds $(ROUNDS) $(addprefix --only ,$(ONLY))

check: setup ## format, lint, types and layers
	@$(PY) -m ruff format --check $(SOURCES)
	@$(PY) -m ruff check $(SOURCES)
	@$(PY) -m mypy --strict
	@.venv/bin/lint-imports

format: setup ## put the code into its form
	@$(PY) -m ruff format $(SOURCES)
	@$(PY) -m ruff check --fix $(SOURCES)

docker-stop: ## end the Docker daemon that set-up started, and no other
	@sh tools/docker.sh stop

clean: docker-stop ## remove what set-up and the tests made in the checkout
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build faas.egg-info
