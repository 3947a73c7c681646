"""Over-optimization on the embedded world: the proxy goes up, gold goes down.

    python benchmarks/over_optimization.py --output-dir benchmarks/runs/over-optimization

A reward model trained on few pairs, PPO by recipes/over-optimization.yaml (a weak KL coefficient),
and the gold reward watched beside the proxy. Prints the curve and writes its plot,
over-optimization.svg. Exits with 1 where gold does not fall.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import yaml

from palate.data.render import Renderer
from palate.experiments.demo import curve, find_over_optimization
from palate.experiments.embedded import (
    FULL,
    draw_world_pairs,
    gold_function,
    train_world_sft,
    world_settings,
)
from palate.experiments.figures import over_optimization_figure
from palate.experiments.reward_gate import GateRule
from palate.experiments.run import Frame, run_ppo, run_reward
from palate.experiments.world import world_prompts
from palate.models.load import load
from palate.models.protocols import FunctionReward
from palate.training.settings import PPOSettings, RewardSettings

RECIPE = Path(__file__).parent.parent / "recipes" / "over-optimization.yaml"


def main() -> int:
    """Run it; the exit code says whether over-optimization was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    frame = Frame(overwrite=True)
    sft = train_world_sft(given.output_dir / "sft", seed=given.seed, sizes=FULL, frame=frame)
    pairs = draw_world_pairs(load(sft.model_dir), num_pairs=given.pairs, seed=given.seed)
    reward_settings = world_settings("reward")
    assert isinstance(reward_settings, RewardSettings)
    reward = run_reward(
        replace(reward_settings, output_dir=str(given.output_dir / "reward"), seed=given.seed),
        load(sft.model_dir), pairs, frame=frame,
    )  # fmt: skip
    recipe = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    settings = PPOSettings.from_mapping(
        {**recipe, "output_dir": str(given.output_dir / "ppo"), "seed": given.seed}
    )
    loaded = load(sft.model_dir)
    outcome = run_ppo(
        settings, loaded, world_prompts(2000, seed=given.seed + 2000), reward=reward.model_dir,
        gate=GateRule("off"),
        gold=FunctionReward(gold_function, Renderer(loaded.tokenizer).decode),
        eval_prompts=world_prompts(128, seed=given.seed + 3000, split="heldout"), frame=frame,
    )  # fmt: skip
    points = curve(outcome)
    print(f"{'step':>5} {'KL, nats':>9} {'proxy':>7} {'gold':>7}")
    for point in points:
        print(f"{point['step']:5d} {point['kl']:9.2f} {point['proxy']:7.2f} {point['gold']:7.2f}")
    found = find_over_optimization({f"PPO KL {settings.kl_coef:g}": points})
    if found is None:
        print("no over-optimization: gold did not fall while the proxy rose")
        return 1
    print(found["sentence"])
    arms = {found["arm"]: {"label": found["arm"], "road": "rlhf", "kind": "ppo"}}
    figure = over_optimization_figure({"over_optimization": found, "arms": arms, "schema": 1})
    assert figure is not None
    standalone = figure.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    (given.output_dir / "over-optimization.svg").write_text(standalone, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
