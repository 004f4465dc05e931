# make demo   sets everything up and runs the whole path on procedural people
# make test   sets everything up and runs the tests
# make lint   checks the style, and who imports whom
# make bench  runs the benchmarks
# make conformance  runs the tests of the serving API against TensorFlow Serving's image (Docker)
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
STAMP := .venv/.installed
# TensorFlow prints errors about CUDA plugins on every start; real ones come as exceptions.
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PYTHONUNBUFFERED := 1

.PHONY: help venv demo test lint bench conformance clean

help:
	@sed -n 's/^# make/make/p' Makefile

venv: $(STAMP)

$(STAMP): requirements.txt .ci/make_venv.sh
	bash .ci/make_venv.sh .venv
	touch $@

demo: $(STAMP)
	$(PYTHON) -m serving.demo_train --output=demo

test: $(STAMP)
	$(PYTHON) -m pytest -n 2 --dist loadfile

lint: $(STAMP)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports

bench: $(STAMP)
	[ -d demo/run ] || $(MAKE) demo
	for f in $$(grep -l __main__ benchmarks/*.py | grep -v -e soak -e chaos -e table2 -e memorisation); do $(PYTHON) -m benchmarks.$$(basename $$f .py); done
	$(PYTHON) -m benchmarks.soak --minutes=3
	$(PYTHON) -m benchmarks.chaos --minutes=3
	$(PYTHON) -m benchmarks.table2 --preset=tiny

# 77: there is no Docker, which the script has said.
conformance: $(STAMP)
	bash tests/serving/conformance_in_docker.sh || [ $$? -eq 77 ]

clean:
	rm -rf .venv demo
