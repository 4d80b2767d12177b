# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test bench lint format typecheck imports clean

demo: .venv
	$(BIN)/afsd demo --output demo

# Two processes at a time: some tests take 5 GiB. The order is that of tests/conftest.py.
test: .venv
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
	$(PYTHON) -m venv .venv
	@{ $(BIN)/pip install --quiet --requirement requirements.lock && \
	   $(BIN)/pip install --quiet --no-deps --no-build-isolation --editable '.[test,convert]'; } \
	 || { rm -rf .venv; exit 1; }
	@touch .venv

clean:
	rm -rf build demo dist src/*.egg-info
