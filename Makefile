# Two commands for a fresh machine with Python 3.11 or later:
#   make train   train ResNet32(sparsity=0.9) on the digits; everything it learns goes to RUN_DIR
#   make test    lint, then the tests on TensorFlow (oneDNN on and off) and on JAX

PYTHON  ?= python3
VENV    := .venv
JAX     := .venv-jax
RUN_DIR ?= runs/digits-resnet32

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: train test campaign faults fuzz distributed steady docs lint format test-jax-only clean

train: $(VENV)/train.stamp
	$(VENV)/bin/python applications/train.py --model ResNet32 --sparsity 0.9 --dataset digits \
	    --run-dir $(RUN_DIR) --resume

# TensorFlow turns oneDNN on by itself only where the CPU has AVX-512: both ways are asked for by name.
# Two processes side by side: most tests keep one core busy.
PYTEST := $(VENV)/bin/python -m pytest -q -n 2 --dist loadfile

# The kernels are compiled, for both backends, before tests wait for them. On JAX, half of the time went
# into LLVM's optimisation of what a test compiles and runs once: it is off here, on in test-jax-only.
test: lint
	$(VENV)/bin/python -m keras_ssc kernels --compile
	KERAS_BACKEND=jax $(VENV)/bin/python -m keras_ssc kernels --compile
	TF_ENABLE_ONEDNN_OPTS=1 $(PYTEST)
	TF_ENABLE_ONEDNN_OPTS=0 $(PYTEST) -m "backends and not campaign"
	KERAS_BACKEND=jax JAX_ENABLE_X64=1 JAX_DISABLE_MOST_OPTIMIZATIONS=1 $(PYTEST) \
	    -m "(backends or jax) and not (jax_long or campaign)"

# What takes too long for every change; prints tables.
campaign: $(VENV)/all.stamp
	$(VENV)/bin/python -m pytest -q -s -m campaign
	KERAS_BACKEND=jax JAX_ENABLE_X64=1 $(VENV)/bin/python -m pytest -q -m "campaign and (backends or jax)"

# Kills, stops, damages and fills up a real training, and compares its end; takes half an hour.
faults: $(VENV)/all.stamp
	$(VENV)/bin/python tests/faults/faults_in_forks.py
	$(VENV)/bin/python tests/faults/faults.py

# Misuse: FUZZ times as many cases as in the tests, new ones by SEED; prints outcomes and findings.
FUZZ ?= 30
SEED ?= $(shell date +%s)
fuzz: $(VENV)/all.stamp
	FUZZ=$(FUZZ) $(VENV)/bin/python -m pytest -q -m fuzz --hypothesis-seed=$(SEED)
	@echo "Again the same: make fuzz FUZZ=$(FUZZ) SEED=$(SEED)"

# 2,000 training steps, 10,000 calls: memory and traces, printed.
steady: $(VENV)/all.stamp
	$(VENV)/bin/python -m pytest -q -s -m campaign tests/test_steady.py

# Several devices and processes against one; prints the largest differences.
distributed: $(VENV)/all.stamp
	KERAS_BACKEND=tensorflow $(VENV)/bin/python -m pytest -q -s -m campaign tests/training/test_distributed.py
	KERAS_BACKEND=jax $(VENV)/bin/python -m pytest -q -s -m campaign tests/training/test_distributed.py

# The site, with the API from the docstrings: build/docs/index.html. A dead link fails.
docs: $(VENV)/all.stamp
	$(VENV)/bin/python -m mkdocs build --strict

CPP := $(shell find keras_ssc/native tests -name '*.cc' -o -name '*.h' -o -name '*.cu')

lint: $(VENV)/all.stamp
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/clang-format --dry-run --Werror $(CPP)

format: $(VENV)/all.stamp
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format
	$(VENV)/bin/clang-format -i $(CPP)

# The package without TensorFlow: an environment of its own, in which `import tensorflow` must fail.
test-jax-only: $(JAX)/ready.stamp
	! $(JAX)/bin/python -c "import tensorflow" 2> /dev/null
	KERAS_BACKEND=jax JAX_ENABLE_X64=1 $(JAX)/bin/python -m pytest -q \
	    -m "(backends or jax or jax_long) and not campaign"

clean:
	rm -rf $(VENV) $(JAX) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis

# Environments: set up once, and again when pyproject.toml changes.
%/bin/python:
	$(PYTHON) -m venv $*

$(VENV)/%.stamp: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --editable ".[$*]"
	touch $@

$(JAX)/ready.stamp: pyproject.toml | $(JAX)/bin/python
	$(JAX)/bin/python -m pip install --quiet --editable ".[jax,test]"
	touch $@

.PRECIOUS: %/bin/python
