# `make demo` and `make test` set up all they need; `make help` lists the rest.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Idle OpenMP threads that spin would triple the CPU time on shared cores.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-heavy lint chaos lock released clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "t2i-repro needs Python 3.11 or newer; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --require-hashes --requirement requirements.lock
	.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: .venv/installed ## run the whole pipeline on stand-in data, up to an HTML report
	snakemake --cores all --resources gpu=2
	@echo "Open $(CURDIR)/results/smoke/report/index.html"

# A process per core, each with one thread.
test: export OMP_NUM_THREADS ?= 1
test: .venv/installed ## run the tests
	pytest -m "not heavy" --numprocesses auto --dist loadfile

test-fast: export OMP_NUM_THREADS ?= 1
test-fast: .venv/installed ## run the quick tests, for the loop of development: less than three minutes on two cores
	pytest -m "not heavy and not slow" --numprocesses auto --dist loadfile

test-heavy: .venv/installed ## run the long checks too: the demo and real data end to end, SLURM, kill and resume
	pytest -m heavy

lint: .venv/installed ## check style, types, layers and the workflow
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	snakefmt --check Snakefile workflow
	snakemake --lint

SEED ?= 1
chaos: .venv/installed ## disturb small runs in every way: DISTURBANCES=200 or MINUTES=30, and SEED=1
	python tests/chaos/chaos.py --seed $(SEED) $(if $(MINUTES),--minutes $(MINUTES),--disturbances $(or $(DISTURBANCES),200))

lock: ## write requirements.lock anew (newest versions that pyproject.toml allows)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --upgrade \
	  --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" --output-file requirements.lock

released: .venv/installed ## write src/t2i_repro/planning/released.json anew: what params.yaml and papers/ ship
	python -m t2i_repro.planning.shipping

clean: ## remove what smoke runs built
	rm -rf results/smoke results/.cache .snakemake
