# One definition of every step: CI, pre-commit and people all call these targets.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FUZZ_SECONDS ?= 60

.PHONY: help demo test check format format-check lint types imports docs docs-check tests fuzz fresh bench clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## Scan, trace, slim and verify the image that ships with mlbloat
	@$(BIN)/mlbloat demo

test: $(VENV)/.developing ## Run the tests that need nothing but Python
	@$(BIN)/pytest -m "not engine and not corpus"

check: $(VENV)/.developing format-check lint types imports docs-check tests fuzz ## Everything that CI runs

format: $(VENV)/.developing ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

format-check: $(VENV)/.developing
	@$(BIN)/ruff format --check .

lint: $(VENV)/.developing ## Look for mistakes
	@$(BIN)/ruff check .

types: $(VENV)/.developing ## Check the types
	@$(BIN)/mypy

imports: $(VENV)/.developing ## Hold imports against the layers of docs/how-it-works.md
	@$(BIN)/lint-imports

docs: $(VENV)/.developing ## Generate the CLI reference and the report schema
	@$(BIN)/python docs/generate.py

docs-check: $(VENV)/.developing
	@$(BIN)/python docs/generate.py --check

tests: $(VENV)/.developing ## Run every test; those that need an engine are skipped where it is missing
	@$(BIN)/pytest -m "not corpus"

fuzz: $(VENV)/.developing ## Fuzz whatever reads bytes of an image, for FUZZ_SECONDS=60
	@$(BIN)/python -m tests.fuzz $(FUZZ_SECONDS)

fresh: ## Run the two README commands in a clone inside a minimal Debian (root, mmdebstrap)
	@.ci/fresh

bench: $(VENV)/.developing ## Run the benchmarks (docs/benchmarks.md says what they need)
	@$(BIN)/python -m bench trace

clean: ## Remove what the targets made
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.installed: pyproject.toml
	@.ci/environment $(PYTHON) $(VENV) .
	@touch $@

$(VENV)/.developing: pyproject.toml
	@.ci/environment $(PYTHON) $(VENV) '.[dev]'
	@touch $@ $(VENV)/.installed
