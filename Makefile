# Every target makes the virtual environment it needs; nothing has to be installed by hand.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ROWS   ?= 1000000
EXAMPLES ?= 25

# Rewritten asserts are kept from run to run: to rewrite them anew is most of what collecting tests takes.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test matrix lint format bench fuzz-sandbox clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[postgres]' --group dev
	@touch $@

demo: $(STAMP) ## import the four sample exports into a local Klaviyo and write the reports
	$(BIN)/python sample_data/demo.py

test: lint ## lint, types, and every test
	$(BIN)/python -m pytest -n 2 --dist worksteal

matrix: $(STAMP) ## die at every point of an import instead of a sample of them; an hour
	ETL_MATRIX=full $(BIN)/python -m pytest -n 2 --dist worksteal --timeout 3600 $$(grep -rl --include="test_*.py" support.effort tests)

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## let ruff rewrite what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## measure ratios in one run; ROWS=200000 scales it
	$(BIN)/python -m tests.bench --rows $(ROWS)

fuzz-sandbox: $(STAMP) ## throw Klaviyo's OpenAPI document at the sandbox; OPENAPI=file names the document
	$(BIN)/python -m tests.bench.fuzz_sandbox $(if $(OPENAPI),--openapi $(OPENAPI)) --examples $(EXAMPLES)

clean: ## remove what the other targets made
	rm -rf $(VENV) demo runs .pytest_cache .mypy_cache .ruff_cache
