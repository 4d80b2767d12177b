# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

JAX := $(shell sed -n 's/^jax==//p' requirements.lock)

.PHONY: demo test bench lint format typecheck imports gpu-plugin clean

demo: .venv
	$(BIN)/afsd demo --output demo

# Two processes at a time: some tests take 5 GiB. The order is that of tests/conftest.py.
test: .venv gpu-plugin
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# Fourteen minutes to half an hour on two cores, with nothing else running; writes README.md's table of speeds.
bench: .venv
	$(BIN)/python benchmarks/speed.py

lint: .venv typecheck imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: .venv
	$(BIN)/mypy -p afsd_jax

# The order of the rooms, which pyproject.toml states.
imports: .venv
	$(BIN)/lint-imports --no-logo --no-cache

.venv: requirements.lock setup.cfg
	@echo "installing into .venv: about three minutes, 5 GB"
	$(PYTHON) -m venv .venv
	@{ $(BIN)/pip install --quiet --requirement requirements.lock && \
	   $(BIN)/pip install --quiet --no-deps --no-build-isolation --editable '.[test,convert]'; } \
	 || { rm -rf .venv; exit 1; }
	@touch .venv
	@echo "installed; now: source .venv/bin/activate"

# JAX's CUDA plugin alone, 130 MB to download, so that tests compile for GPUs that are only described.
# It stays out of .venv, where JAX would take it for a GPU. Without it these tests are skipped.
gpu-plugin: .gpu-plugin

.gpu-plugin: requirements.lock | .venv
	@rm -rf $@
	@$(BIN)/pip install --quiet --no-deps --target $@ \
	    jax-cuda13-plugin==$(JAX) jax-cuda13-pjrt==$(JAX) && touch $@ \
	 || { rm -rf $@; echo "no CUDA plugin of JAX here: tests of GPU programs are skipped"; }

clean:
	rm -rf build demo dist src/*.egg-info
