SHELL := /bin/bash -eu -o pipefail
.DEFAULT_GOAL := help

PYTHON  ?=# the interpreter of .venv; when empty, the newest that fits
WORKERS ?= 2# test processes side by side
BIN     := .venv/bin
STAMP   := .venv/made

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help env demo test test-all lint docs wheel wheel-test bazel-test lock clean

help: ## Show this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

env: $(STAMP) ## Make .venv: the locked packages, and this one editable

# An interpreter counts only if it runs: a name on PATH may be a stub.
$(STAMP): requirements.lock setup.py
	@python= ; \
	for p in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do \
	  if "$$p" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	      >/dev/null 2>&1; then python=$$p; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "No Python 3.11, 3.12 or 3.13 with its venv and ensurepip modules was found." >&2; \
	  echo "Install one (Debian: apt-get install python3-venv), or name it: make env PYTHON=/path/to/python" >&2; \
	  exit 1; \
	fi; \
	echo "Making .venv with $$("$$python" --version) ($$python); this takes some minutes."; \
	"$$python" -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: env ## Train a small Glow on digits and ask that it beats both baselines by 0.25 bits/dim
	$(BIN)/python -m launch.train --flagfile=launch/flagfiles/digits_glow.flags \
	  --output_dir=runs/demo-$$(date +%Y%m%d-%H%M%S) --require_margin=0.25

# By class, so that what a class sets up is made once.
test: lint ## Check layout and types, and run the tests but for those of tests/slow.txt
	$(BIN)/python -m pytest -n $(WORKERS) --dist=loadscope --durations=25 --without_slow tests

test-all: lint ## The same, with all tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist=loadscope --durations=25 tests

lint: env ## Run ruff, its checks and its layout, and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The variable silences an advertisement of mkdocs-material's.
docs: env ## Build the pages of docs/ into site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

wheel: env ## Build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

wheel-test: ## Install the wheel into a new environment for each Python, and try it there
	tools/wheel_test.sh

bazel-test: env ## Run the tests through the BUILD files, without network
	tools/bazel_test.sh

lock: ## Resolve setup.py anew into requirements.lock, with python3.11
	@lock=$$(mktemp -d); trap 'rm -r "$$lock"' EXIT; \
	"$(or $(PYTHON),python3.11)" -m venv "$$lock"; \
	"$$lock/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade setuptools --editable '.[dev]'; \
	{ sed -n '/^#/p' requirements.lock; \
	  "$$lock/bin/python" -m pip freeze --all --exclude-editable --exclude pip; } >"$$lock/new"; \
	cp "$$lock/new" requirements.lock

clean: ## Remove .venv and what tools left behind; runs/ stays
	rm -rf .venv .build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
