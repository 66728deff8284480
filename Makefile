# `make demo` runs the main job, `make test` the tests, `make quick` those of a minute; each creates .venv and installs what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export OMP_NUM_THREADS ?= 1

# a minute's worth: who imports whom, pages and examples, and the laws that need no training
QUICK := tests/test_imports.py tests/test_docs.py tests/test_doctests.py tests/benchmarks/test_tables.py tests/demos/test_trajectory.py \
  tests/gail_suite/learning/test_losses.py tests/gail_suite/learning/test_rewards.py tests/gail_suite/learning/test_replay.py

DOCS := $(VENV)/.installed-docs

.PHONY: docs soak demo quick test lint type unit install clean

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)  # also where its making was interrupted
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	# imitation's metadata pins a 2023 stack, so it comes last and without its dependencies; of today's stack the extra
	# imitation has what its data.serialize and its command line import
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps imitation==1.0.1 tqdm
	@echo "left out: imitation's scripts parallel and tuning, which need ray and optuna"
	touch $@

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/gail-suite demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/python -m benchmarks.tables --check
	$(BIN)/python tests/field/table.py --check

type: $(STAMP)
	$(BIN)/mypy

unit: $(STAMP)
	$(BIN)/pytest -n 2 --dist loadfile

quick: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/pytest $(QUICK)

test: lint type unit

soak: $(STAMP)  # hostile and clumsy treatment of files and runs; SOAK=0.1 for a tenth
	$(BIN)/python -m benchmarks.soak

$(DOCS): $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

docs: $(DOCS)  # site/index.html: pages, API, search; once installed it needs no network
	$(BIN)/python -m sphinx -q -W --keep-going -c docs -d site/.doctrees . site
	cp site/README.html site/index.html
	@! grep -rnoE '(src=|<link[^>]*href=|url\()"?https?://[^")]*' site --include='*.html' --include='*.css'  # nothing is fetched
	@echo site/index.html

clean:
	rm -rf site $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
