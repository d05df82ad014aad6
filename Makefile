# Two commands from nothing: `make demo` and `make test`. Both make a virtual environment in .venv first.

export PYTHONSAFEPATH := 1
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := PYTHONWARNINGS=ignore $(PIP) install --quiet -c constraints.txt
EDITABLE := --no-build-isolation --config-settings editable_mode=strict -e
# PyPI's Linux build of torch brings gigabytes of CUDA libraries; the CPU build is all that training needs.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

# On a machine with a GPU: its own Python, which has torch, cupy, numba and numba-cuda; nothing is fetched.
GPU_PYTHON ?= python3
OUT ?= gpu-results
LIMIT ?= 520
ROUND ?=
WHEELS ?=

.PHONY: help dev demo test lint format bench site gpu clean FORCE
.DELETE_ON_ERROR:

help:
	@echo "make demo    set up, scan real packages and freshly compiled kernels, let the agent watch six jobs, guard a process"
	@echo "make test    set up, check style, types and layers, run all tests"
	@echo "make lint    the checks of 'make test' without the tests"
	@echo "make format  lay out the code as the checks want it"
	@echo "make bench   run the benchmarks, write benchmarks/results"
	@echo "make site    make build/site/index.html from docs/"
	@echo "make gpu     on a machine with a GPU: all that needs one, into OUT=folder, in LIMIT=520 s; ROUND='check', 'ask' or 'record', ONLY='LEG ...' for some"
	@echo "make dev     set up only"

$(BIN)/python:
	@echo "== making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) --upgrade pip setuptools

# A strict editable install is a tree of links: it has to be made again when a file comes or goes,
# so stamps depend on the list of files. The list is only touched when it changes.
$(VENV)/files: FORCE $(BIN)/python
	@find src kernels model serve training -type f ! -path '*/__pycache__/*' | LC_ALL=C sort > $@.new
	@if cmp -s $@ $@.new; then rm $@.new; else mv $@.new $@; fi

$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "== installing what the scanner, the agent and the demo's compiler need"
	@$(INSTALL) $(EDITABLE) '.[node]' cuda-core cuda-bindings nvidia-cuda-nvrtc
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "== installing what training, tests and checks need"
	@cpu=$$($(BIN)/python -c "import urllib.request as u; u.urlopen('$(TORCH_INDEX)/torch/', timeout=5)" 2>/dev/null \
		&& echo "--extra-index-url $(TORCH_INDEX)"); \
	$(INSTALL) $$cpu $(EDITABLE) '.[train,node,api,top,report,kubernetes,attest,otel,ray,cuda13,docs,dev]'
	@touch $@ $(VENV)/demo.stamp

$(VENV)/links.stamp: $(VENV)/files
	@echo "== linking the package"
	@$(INSTALL) --no-deps $(EDITABLE) .
	@touch $@

dev: $(VENV)/dev.stamp
	@$(MAKE) --no-print-directory $(VENV)/links.stamp

demo: $(VENV)/demo.stamp
	@$(MAKE) --no-print-directory $(VENV)/links.stamp
	$(BIN)/python examples/demo.py

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p hashwarden
	$(BIN)/lint-imports

format: dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadgroup

bench: dev
	@set -e; for script in $$(grep -l '__main__' benchmarks/*.py); do echo "== $$script"; PYTHONPATH=benchmarks $(BIN)/python $$script; done

site: dev
	$(BIN)/python -m sphinx -W --keep-going -q -b html -d build/site-doctrees docs build/site
	@echo "build/site/index.html"

gpu:
	@$(GPU_PYTHON) benchmarks/gpu/run.py --out $(OUT) --limit $(LIMIT) $(addprefix --round ,$(ROUND)) $(addprefix --only ,$(ONLY)) \
		$(addprefix --wheels ,$(WHEELS))

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
