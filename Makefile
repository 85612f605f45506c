# Everything a person does here, one command each. `make` lists them.
PYTHON ?= python3
VENV ?= .venv
PORT ?=
NOTEBOOK_DIR ?= flowlab-notebooks

BIN := $(VENV)/bin
PAGE := $(shell find widgets -name node_modules -prune -o -type f -print 2>/dev/null)
PROJECT := pyproject.toml hatch_build.py $(PAGE)

.DEFAULT_GOAL := help
.PHONY: help lab test test-all demo docs dev check protocol words schema onnx bench clean

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

lab: $(VENV)/.lab  ## JupyterLab with the first notebook open
	$(BIN)/flowlab lab --notebook-dir "$(NOTEBOOK_DIR)" $(if $(PORT),--port $(PORT))

test: $(VENV)/.test  ## every test, those in a real browser too, except the slow ones
	$(BIN)/python tools/run_tests.py $(ARGS)

test-all: $(VENV)/.test  ## the slow tests as well
	$(BIN)/python -m pytest $(ARGS)

demo: $(VENV)/.lab  ## read a captcha, headless: prints the accuracy (FLOWLAB_BUDGET=short for a quick look)
	$(BIN)/python tools/run_notebook.py notebooks/08_read_a_captcha.ipynb

docs: $(VENV)/.docs  ## the documentation as a site, in site/: every example run, every link followed; it opens from the disk
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --clean
	@echo "The documentation: $(CURDIR)/site/index.html"

dev: $(VENV)/.test  ## rebuild the page on every change to widgets/src
	$(BIN)/python hatch_build.py npm run watch

check: $(VENV)/.test  ## style, layers, types of the page, messages
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/python hatch_build.py npm run typecheck
	$(BIN)/python -m pytest -q tests/test_project.py

protocol: $(VENV)/.test  ## write the page's side of the messages from flowlab/widgets/protocol.py
	$(BIN)/python -c "from flowlab.widgets import protocol; print(protocol.render(), end='')" > widgets/src/protocol.gen.ts.new
	mv widgets/src/protocol.gen.ts.new widgets/src/protocol.gen.ts

schema: $(VENV)/.test  ## write the JSON Schema of graph files from what flowlab reads by
	$(BIN)/python -c "from flowlab.io import schema; print(schema.text(), end='')" > flowlab/io/flow.schema.json.new
	mv flowlab/io/flow.schema.json.new flowlab/io/flow.schema.json

words: $(VENV)/.test  ## write the words of 繁體中文 from those of 简体中文
	$(BIN)/python -m pip install -q -e '.[words]'
	$(BIN)/python tools/words.py

onnx: $(VENV)/.test  ## how many cases of ONNX's own suite pass, by category
	$(BIN)/python -m tests.io.onnx_suite

bench: $(VENV)/.bench  ## the engine, the recurrent layers and the captcha network beside NumPy by hand and torch, models that PyTorch and Keras export, the lab beside bare React Flow
	$(BIN)/python tests/benchmarks/engine.py
	$(BIN)/python tests/benchmarks/branches.py
	$(BIN)/python tests/benchmarks/torch_gates.py
	$(BIN)/python tests/benchmarks/from_torch.py
	$(BIN)/python tests/benchmarks/from_keras.py
	$(BIN)/python tests/benchmarks/elsewhere.py
	$(BIN)/python tests/benchmarks/screen.py
	$(BIN)/python tests/benchmarks/editor.py
	$(BIN)/python tests/benchmarks/read_captcha.py $(ARGS)

clean:  ## forget the environment and everything built
	rm -rf $(VENV) flowlab/widgets/static widgets/node_modules site

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.lab: $(PROJECT) | $(BIN)/python
	$(BIN)/python -m pip install -e '.[course]'
	@touch $@

$(VENV)/.test: $(PROJECT) | $(BIN)/python
	$(BIN)/python -m pip install -e '.[test]'
	@touch $@

$(VENV)/.docs: $(PROJECT) | $(BIN)/python
	$(BIN)/python -m pip install -e '.[docs]'
	@touch $@

$(VENV)/.bench: $(PROJECT) | $(BIN)/python
	$(BIN)/python -m pip install -e '.[bench]'
	@touch $@
