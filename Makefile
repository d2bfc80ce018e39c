# Every command of the house. `make` alone lists them.
# The lock is hash-pinned and names no registry (docs/decisions/0001-lock-file.md).
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo test faults attacks lint services lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(STAMP) ## an environment in .venv with everything pinned by hash

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: $(STAMP) ## two people, one directory as the bucket, the same sessions on both sides
	$(BIN)/python -m tapes.demo

lint: $(STAMP) ## ruff, mypy --strict, the floors of the house
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(STAMP) lint ## every check and every quick test
	$(BIN)/python -m pytest -n auto --dist worksteal

faults: $(STAMP) ## faults at every request, killed processes, races, odd inputs; the long runs too
	$(BIN)/python -m pytest -n auto --dist worksteal -m "long or not long" tests/faults tests/sync/test_stateful.py tests/e2e/test_races.py

attacks: $(STAMP) ## what a hostile bucket, member, ex-member or thief may try
	$(BIN)/python -m pytest -n auto --dist worksteal -m "long or not long" tests/attacks

services: ## LocalStack, SeaweedFS and (as root on Debian) Ceph RGW, for the tests on real S3
	localstack/install.sh
	infra/seaweedfs/install.sh
	infra/rgw/install.sh

lock: ## rewrite requirements.lock from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --group dev --universal --generate-hashes --no-header --no-emit-index-url \
	  --no-emit-find-links --python-version 3.11 -o requirements.lock

clean: ## remove what setup made
	rm -rf $(VENV) .localstack-venv .seaweedfs-venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
