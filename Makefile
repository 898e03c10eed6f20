# Two commands: `make demo` shows the whole way on drawn faces, `make test` checks everything.
# Both set up `.venv` first; once that is done they need no network.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test long check clean

demo: $(READY)
	$(BIN)/mien demo

test: $(READY) check
	$(BIN)/python -m pytest

long: $(READY)
	$(BIN)/python -m pytest -m long

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check
	$(BIN)/lint-imports --no-logo

$(READY): requirements.txt requirements-dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Mien needs Python 3.11 or newer; try make PYTHON=python3.11") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	touch $(READY)

clean:
	rm -rf .venv runs
