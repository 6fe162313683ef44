# make demo | test | lint | bench — each sets up its own environment in $(VENV) first, nothing else is needed
# but Python 3.11 or newer, pip and make.
#
#   PYTHON=python3.12   the Python that makes the environment
#   VENV=.venv          where the environment is
#   FANIN_DATA=folder   real data sets; tests and benchmarks that need them are skipped without it
#   WORKERS=2           test processes

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
BIN := $(VENV)/bin
BENCHMARKS := $(filter-out benchmarks/_%,$(sort $(wildcard benchmarks/*.py)))

# Several processes of one thread each are faster here than one process of several: the arrays are small.
export OMP_NUM_THREADS ?= 1
ifdef FANIN_DATA
export FANIN_DATA
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format bench clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

demo: $(VENV)/.stamp-demo
	@mkdir -p out
	$(BIN)/fanin demo --html out/demo.html

test: $(VENV)/.stamp-dev
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

lint: $(VENV)/.stamp-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.stamp-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.stamp-dev
	@for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) build out .pytest_cache .ruff_cache

# torch comes first and pinned, so that nothing asked for later can bring another build of it.
$(VENV)/.stamp-torch: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fanin needs Python 3.11 or newer; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt torch
	@touch $@

$(VENV)/.stamp-demo: pyproject.toml constraints.txt $(VENV)/.stamp-torch
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[torch,lab,html]'
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml constraints.txt $(VENV)/.stamp-torch
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.stamp-demo
