"""The reward model: Bradley–Terry on a scalar read at each response's last token.

Ouyang et al. 2022 (arXiv 2203.02155), equation 1. It starts from the SFT model; the mean and
spread of its rewards on that model's own samples are stored with it and applied once, in PPO.

With `num_heads` above 1 every head is trained by its own loss, from its own initialization, on one
trunk: the mean of the heads is the reward, their spread its uncertainty.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from palate.data.trees import Forest, Tree, pack, plant
from palate.models.attention import Plan
from palate.models.reward_folder import RewardScale
from palate.models.roles import Roles
from palate.models.sampling import sample
from palate.models.scoring import hidden_rows, raw_head_rewards_from, raw_rewards_from
from palate.objectives.preference import bradley_terry_loss
from palate.training.run import Result, Run
from palate.training.session import Session
from palate.training.settings import RewardSettings
from palate.training.signs import pair_lengths, pair_signs
from palate.training.stage_cautions import reward_cautions

log = logging.getLogger("palate")


@torch.no_grad()
def evaluate_rewards(
    roles: Roles, pairs: Sequence[Tree], settings: RewardSettings
) -> dict[str, float]:
    """Means over held-out pairs of what training logs, each name with `eval_` before it."""
    sums: dict[str, float] = {}
    margins: dict[int, Tensor] = {}
    for indices in pack(pairs, max_tokens=settings.max_tokens_per_microbatch):
        trees = [pairs[i] for i in indices]
        forest = plant(trees, device=roles.device)
        per_pair, rewards = _losses(roles, trees, forest, settings)
        for name, total in _sums(per_pair, rewards).items():
            sums[name] = sums.get(name, 0.0) + float(total)
        margins |= dict(zip(indices, rewards[:, 0] - rewards[:, 1], strict=True))
    means = {name: total / len(pairs) for name, total in sums.items()}
    in_order = torch.stack([margins[i] for i in range(len(pairs))])
    means |= pair_signs(in_order, pair_lengths(pairs))
    return {f"eval_{name}": value for name, value in means.items()}


def train_reward(
    roles: Roles,
    pairs: Sequence[Tree],
    settings: RewardSettings,
    *,
    end_tokens: Collection[int],
    eval_pairs: Sequence[Tree] = (),
    run: Run | None = None,
) -> Result:
    """Train the reward role on preference pairs, then measure its scale on SFT samples.

    Args:
        roles: has a trainable `reward`, on the SFT model.
        pairs: trees of two responses, chosen first; `weight` multiplies a pair's loss, `margin`
            (in reward) is what the chosen response must lead by.
        settings: see `RewardSettings`.
        end_tokens: ids that end a response, for the samples.
        eval_pairs: held-out pairs, for `eval_loss` and `eval_accuracy`.
        run: folder, resume, listeners.
    """
    for sentence in reward_cautions(settings):
        log.warning("%s", sentence)
    samples = _start_samples(roles, pairs, settings, end_tokens)

    def evaluate() -> dict[str, float]:
        return evaluate_rewards(roles, eval_pairs, settings)

    with Session(
        "reward", roles, ("reward",), settings, num_rows=len(pairs), run=run or Run(),
        evaluate=evaluate if eval_pairs else None,
    ) as session:  # fmt: skip
        session.rehearse(
            pairs,
            lambda forest, plan, trees: _losses(roles, trees, forest, settings, plan)[0].sum(),
        )
        for step in session.steps():
            rows = [pairs[i] for i in step.rows]
            session.accumulate(rows, partial(_learn, session, rows, settings))
            session.update()
    if samples:
        roles["reward"].scale = measure_scale(roles, samples, settings.max_tokens_per_microbatch)
    return session.result()


@torch.no_grad()
def measure_scale(roles: Roles, samples: Sequence[Tree], max_tokens: int) -> RewardScale:
    """Mean and spread of raw rewards over samples."""
    raw = []
    for indices in pack(samples, max_tokens=max_tokens):
        forest = plant([samples[i] for i in indices], device=roles.device)
        raw.append(raw_rewards_from(roles["reward"], hidden_rows(roles, "reward", forest), forest))
    rewards = torch.cat(raw).double()
    spread = float(rewards.std()) if len(rewards) > 1 else 1.0
    # Rewards that are all alike carry no scale; PPO would see the same with any.
    return RewardScale(float(rewards.mean()), spread if spread > 1e-6 else 1.0)


def _start_samples(
    roles: Roles, pairs: Sequence[Tree], settings: RewardSettings, end_tokens: Collection[int]
) -> list[Tree]:
    """Responses of the model that training starts from: drawn before anything is trained."""
    prompts = list(dict.fromkeys(tree.prompt for tree in pairs))[: settings.num_scale_samples]
    if not prompts:
        return []
    roles.add_start("reward")
    drawn = sample(
        roles, "start", prompts, max_new_tokens=settings.max_new_tokens, end_tokens=end_tokens,
        seed=settings.seed,
    )  # fmt: skip
    roles.drop("start")
    return [
        Tree(prompt, (some[0].response(),)) for prompt, some in zip(prompts, drawn, strict=True)
    ]


def _learn(
    session: Session,
    rows: Sequence[Tree],
    settings: RewardSettings,
    forest: Forest,
    plan: Plan,
    indices: Sequence[int],
) -> None:
    """Add the gradient of one micro-batch, `indices` of the step's rows."""
    trees = [rows[i] for i in indices]
    per_pair, rewards = _losses(session.roles, trees, forest, settings, plan)
    session.backward(per_pair.sum() / len(rows), tokens=len(forest.tokens))
    for name, total in _sums(per_pair, rewards).items():
        session.record(name, total, len(indices))


def _losses(
    roles: Roles,
    trees: Sequence[Tree],
    forest: Forest,
    settings: RewardSettings,
    plan: Plan | None = None,
) -> tuple[Tensor, Tensor]:
    """Loss of each pair, and raw rewards [pair, 2]: chosen, rejected; both are means over heads."""
    hidden = hidden_rows(roles, "reward", forest, plan=plan)
    by_head = raw_head_rewards_from(roles["reward"], hidden, forest).view(len(trees), 2, -1)
    margins = by_head[:, 0] - by_head[:, 1]
    asked = margins.new_tensor([tree.margin or 0.0 for tree in trees])[:, None]
    flat = (margins - asked).flatten()
    losses = bradley_terry_loss(margin=flat, label_smoothing=settings.label_smoothing)
    center = settings.center_rewards_coefficient * by_head.sum(1).square()
    weights = margins.new_tensor([tree.weight for tree in trees])
    return (losses.view_as(margins) + center).mean(1) * weights, by_head.mean(2)


@torch.no_grad()
def _sums(per_pair: Tensor, rewards: Tensor) -> Mapping[str, Tensor]:
    chosen, rejected = rewards.unbind(1)
    right = (chosen > rejected).float() + 0.5 * (chosen == rejected).float()
    return {
        "loss": per_pair.sum(),
        "accuracy": right.sum(),
        "rewards/chosen": chosen.sum(),
        "rewards/rejected": rejected.sum(),
        "rewards/margins": (chosen - rejected).sum(),
    }
