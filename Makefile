# Everything a person runs. Setup happens once and again when pyproject or constraints change.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready

.PHONY: setup demo demo-fast test check format docs bench known-optimum reward-gate ppo-memory demo-seeds over-optimization methods honesty exports round-trips real-server label-storm label-pictures label-pages bench-speed settings-survey diagnose-table watch-pages clean

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

# Half an hour on one core; goes on where it was stopped.
diagnose-table: setup
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m tests.training.diagnose_table docs/diagnose.md --kept benchmarks/runs/diagnose

round-trips: setup
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/data/formats/test_round_trips.py -m slow

# Every setting of every stage, method and loss: another run, or a sentence that says why not.
settings-survey: setup
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/training/test_settings_effect.py -m slow

reward-gate: setup
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/experiments/test_reward_pathology.py -m slow

ppo-memory: setup
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/training/test_ppo_controls.py -m slow

exports: setup
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/cli/test_export.py -m slow

real-server: setup
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/test_real_server.py -m slow

label-storm: setup
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/collection -m slow

demo-seeds: setup
	$(BIN)/python benchmarks/demo_seeds.py

over-optimization: setup
	$(BIN)/python benchmarks/over_optimization.py --output-dir benchmarks/runs/over-optimization

label-pictures: setup
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/web/test_pictures.py -m slow

label-pages: setup
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/web tests/cli/test_label_to_model.py -m slow --deselect tests/web/test_pictures.py --ignore tests/web/watch

watch-pages: setup
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/web/watch tests/experiments/live -m slow

methods: setup
	$(BIN)/python benchmarks/methods.py --output-dir benchmarks/runs/methods

# Twenty minutes on one core.
honesty: setup
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/honesty.py

bench: setup
	$(BIN)/python benchmarks/witness_trl.py

# An hour on two quiet cores: every row beside TRL, which is slow.
bench-speed: setup
	$(BIN)/python benchmarks/speed.py

clean:
	rm -rf .venv build dist src/*.egg-info
