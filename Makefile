# `make demo` runs the main job, `make test` the tests; each creates .venv and installs what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export OMP_NUM_THREADS ?= 1

.PHONY: demo test lint type unit install clean

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)  # also where its making was interrupted
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	# imitation's metadata pins a 2023 stack, so it comes last and without its dependencies
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps imitation==1.0.1 tqdm
	touch $@

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/gail-suite demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/python -m benchmarks.tables --check

type: $(STAMP)
	$(BIN)/mypy

unit: $(STAMP)
	$(BIN)/pytest

test: lint type unit

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
