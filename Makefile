# Everything happens in .venv; a fresh machine needs Python >= 3.11 and nothing else.

VENV := .venv
PYTHON ?= $(shell for python in python3.12 python3.11 python3.13 python3.14 python3; do \
	$$python -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
OUT := out/demo
RUN := $(VENV)/bin/python
# Tests that start processes of their own share what was compiled.
COMPILED := JAX_COMPILATION_CACHE_DIR=$${JAX_COMPILATION_CACHE_DIR:-$(CURDIR)/$(VENV)/compiled} \
	JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0
PYTEST := JAX_PLATFORMS=$${JAX_PLATFORMS:-cpu} $(COMPILED) $(RUN) -m pytest -n 2 --dist loadscope --no-loadscope-reorder
VALIDATOR := node_modules/gltf-validator/package.json

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint benchmark accuracy experiments clean

help:  ## print this
	@echo "jaxface: a photo or a video of a face in, a detailed and textured 3D mesh out."
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo  ## reconstruct two public-domain portraits into out/demo (at most 5 minutes)
	@mkdir -p $(OUT)
	@portraits=$$($(RUN) -c 'import matplotlib, skimage; print(skimage.__path__[0] + "/data/astronaut.png", \
		matplotlib.get_data_path() + "/sample_data/grace_hopper.jpg")'); \
	$(VENV)/bin/jaxface reconstruct $$portraits --output_dir=$(OUT)
	@echo "Look at $(OUT)/astronaut/overview.png, and open $(OUT)/astronaut/mesh.glb in any 3D viewer."

test: $(VENV)/.test  ## the tests, on the CPU (about 15 minutes on 2 cores)
	$(PYTEST) -m "not slow"

# Optimised as for users; `test` does without, see tests/fast_compiles.py.
test-all: $(VENV)/.test $(VALIDATOR)  ## the same with the long ones, and Khronos' glTF validator where npm is there
	XLA_FLAGS=$${XLA_FLAGS:-} $(PYTEST)

lint: $(VENV)/.test  ## check style, formatting and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

benchmark: $(VENV)/.landmarks  ## seconds and memory per stage
	$(RUN) experiments/benchmark.py

accuracy: $(VENV)/.landmarks  ## errors on faces whose shape is known
	$(RUN) experiments/accuracy.py

experiments: $(VENV)/.test  ## every experiment at a tiny size, and the index of all results
	JAX_PLATFORMS=$${JAX_PLATFORMS:-cpu} $(RUN) experiments/run_all.py --smoke

clean:  ## remove the environment and what the other targets made
	rm -rf $(VENV) node_modules build out/demo .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find jaxface tests experiments -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with venv found: install one (on Debian and Ubuntu" \
		"also python3-venv), or say make PYTHON=/path/to/python3." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install -q --disable-pip-version-check --upgrade pip

$(VENV)/.landmarks: $(VENV)/bin/python pyproject.toml
	$(RUN) -m pip install -q --disable-pip-version-check -e ".[landmarks]"
	@touch $@

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml
	$(RUN) -m pip install -q --disable-pip-version-check -e ".[landmarks,demo]"
	@touch $@ $(VENV)/.landmarks

$(VENV)/.test: $(VENV)/bin/python pyproject.toml
	$(RUN) -m pip install -q --disable-pip-version-check -e ".[landmarks,test]"
	@touch $@ $(VENV)/.demo $(VENV)/.landmarks

$(VALIDATOR):
	@if command -v npm >/dev/null; then npm install --no-save --no-package-lock --silent gltf-validator; \
	else echo "npm not found: the glTF validator's tests will be skipped."; fi
