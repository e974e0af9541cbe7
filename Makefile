# tasearch: `make demo` and `make test` set everything up by themselves; each does only what is missing.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt

# Where the environment forbids bytecode caches, each process of the suite would compile torch anew.
export PYTHONDONTWRITEBYTECODE =

# One thread for each process: the suite runs as many processes as there are cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 --dist loadscope \
    --no-loadscope-reorder

.PHONY: install dev demo test test-slow test-all check bench clean

install: $(VENV)/.installed
dev: $(VENV)/.dev-installed

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/uv
	@echo "installing tasearch into $(VENV) (torch is large: a minute or so)"
	$(UV) --editable .
	@touch $@

$(VENV)/.dev-installed: $(VENV)/.installed
	@echo "installing what tests and checks need"
	$(UV) --group dev
	@touch $@

# A budget for minutes on two cores; the defaults of `tasearch optimize` are larger.
demo: install
	$(BIN)/tasearch optimize --teacher plain10 --student plain2 \
	    --limit-train 3000 --epochs 6 --trials 12 --finalists 2 --replicates 5 --max-replicates 5 --workers auto

# Minutes: every module, whole studies on SQLite and PostgreSQL, a worker that is killed.
test: dev
	$(PYTEST) -m "not slow"

# What `make test` leaves out: browsers, a Ray cluster, storms of kills, many processes; properties with more examples.
test-slow: dev
	$(PYTEST) -m slow

test-all: dev
	$(PYTEST) --hypothesis-profile thorough

bench: dev
	$(BIN)/python tests/bench/stage_throughput.py
	$(BIN)/python tests/bench/workers_or_threads.py

check: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build *.egg-info
