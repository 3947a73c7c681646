# Everything a person runs. Setup happens once and again when pyproject or constraints change.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready

.PHONY: setup demo demo-fast test check format docs bench known-optimum round-trips reward-gate ppo-memory real-server demo-seeds over-optimization clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; assert sys.version_info >= (3, 11), 'Palate needs Python 3.11 or newer; set PYTHON=python3.11'"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(STAMP)

demo: setup
	$(BIN)/palate demo --output-dir palate-demo --overwrite

demo-fast: setup
	$(BIN)/palate demo --fast --output-dir palate-demo --overwrite

test: setup
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n auto

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy src tests
	$(BIN)/lint-imports
	$(BIN)/python -m palate.cli.docs --check

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup
	$(BIN)/python -m palate.cli.docs

# Larger than the fast tier: run when what they show has changed.
known-optimum: setup
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m tests.training.known_optimum docs/known-optimum.md

round-trips: setup
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/data/formats/test_round_trips.py -m slow

reward-gate: setup
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/experiments/test_reward_pathology.py -m slow

ppo-memory: setup
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/training/test_ppo_controls.py -m slow

real-server: setup
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/test_real_server.py -m slow

demo-seeds: setup
	$(BIN)/python benchmarks/demo_seeds.py

over-optimization: setup
	$(BIN)/python benchmarks/over_optimization.py --output-dir benchmarks/runs/over-optimization

bench: setup
	$(BIN)/python benchmarks/witness_trl.py

clean:
	rm -rf .venv build dist src/*.egg-info
