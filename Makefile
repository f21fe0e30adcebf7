# Everything runs in .venv; `make demo` and `make test` work on a fresh machine with Python 3.11, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false
WAV ?=
MINUTES ?= 120

.PHONY: demo serve test test-all lint types train bench

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

demo: $(VENV)/installed  ## real recordings through the stock client, a live timeline, then talk yourself
	$(BIN)/poise demo $(if $(WAV),--wav "$(WAV)")

serve: $(VENV)/installed  ## the server with its web page
	$(BIN)/poise serve

test: $(VENV)/installed  ## the fast tests
	$(BIN)/pytest -n 2 -m "not slow and not parity and not browser"

test-all: $(VENV)/installed  ## all tests
	$(BIN)/pytest

lint: $(VENV)/installed  ## style and import walls
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/installed  ## strict types
	$(BIN)/mypy

train: $(VENV)/installed  ## nano's weights from data: make train DATA=folder MINUTES=120
	$(BIN)/poise train nano --data "$(DATA)" --minutes $(MINUTES)
	$(BIN)/poise train judge --weights training/weights

bench: $(VENV)/installed  ## the measurement that needs no data; docs/results.md names the others
	$(BIN)/python -m benchmarks.graph
