"""TRL's own losses on random numbers, recorded for the ordinary test suite.

    .venv-trl/bin/python witness_losses.py [OUT.json]

Runs in TRL's environment (see README.md; `witness_trl.py` makes it) and never sees Palate. TRL's
loss methods are called as they are, on a stand-in for the model that returns given
log-probabilities, one pair at a time where the loss is a pair's and on the whole batch where it
is the batch's. All log-probabilities are multiples of 1/64, so that their sums are exact in
float32 and what is compared is the loss alone.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from trl import DPOTrainer, KTOTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer

RECORD = Path(__file__).resolve().parent / "data" / "witness_losses_trl_1.16.0.json"
PAIRS, LONGEST = 8, 9
SETTINGS: dict[str, Any] = {
    "beta": 0.3, "label_smoothing": 0.0, "f_divergence_type": "reverse_kl",
    "f_alpha_divergence_coef": 0.5, "discopop_tau": 0.05, "use_weighting": False, "ld_alpha": None,
}  # fmt: skip
MARGIN_LOSSES = ("sigmoid", "sigmoid_norm", "hinge", "ipo", "discopop")
# Settings of a case besides the defaults; each is computed a pair at a time.
PAIR_CASES: dict[str, dict[str, Any]] = {
    **{name: {"loss_type": name} for name in MARGIN_LOSSES},
    **{
        name: {"loss_type": name}
        for name in ("nca_pair", "bco_pair", "sppo_hard", "apo_zero", "apo_down")
    },
    "robust ε=0.1": {"loss_type": "robust", "label_smoothing": 0.1},
    "exo_pair ε=0.01": {"loss_type": "exo_pair", "label_smoothing": 0.01},
    "discopop τ=0.5": {"loss_type": "discopop", "discopop_tau": 0.5},
    "sigmoid ld_alpha=0": {"loss_type": "sigmoid", "ld_alpha": 0.0},
    "sigmoid ld_alpha=0.4": {"loss_type": "sigmoid", "ld_alpha": 0.4},
    "apo_zero ld_alpha=0.4": {"loss_type": "apo_zero", "ld_alpha": 0.4},
    "sigmoid weighted": {"loss_type": "sigmoid", "use_weighting": True},
    **{
        f"{name} {kind}": {"loss_type": name, "f_divergence_type": kind}
        for name in MARGIN_LOSSES
        for kind in ("forward_kl", "js_divergence", "alpha_divergence")
    },
    "sigmoid alpha=1.5": {
        "loss_type": "sigmoid", "f_divergence_type": "alpha_divergence",
        "f_alpha_divergence_coef": 1.5,
    },
    "sigmoid+apo_zero": {
        "loss_type": "sigmoid,apo_zero", "loss_weights": "0.8,0.3",
    },
}  # fmt: skip
BATCH_CASES: dict[str, dict[str, Any]] = {
    "aot": {"loss_type": "aot"},
    "aot ε=0.1": {"loss_type": "aot", "label_smoothing": 0.1},
    "aot_unpaired": {"loss_type": "aot_unpaired"},
    "sft": {"loss_type": "sft"},
    "sigmoid+sft": {"loss_type": "sigmoid,sft", "loss_weights": "1.0,0.5"},
}


def numbers(rng: np.random.Generator) -> dict[str, Any]:
    """Per-token log-probabilities of pairs: rows 0…PAIRS−1 chosen, the others rejected."""
    lengths = rng.integers(1, LONGEST + 1, size=2 * PAIRS)
    policy = [(-rng.integers(0, 160, size=n) / 64).tolist() for n in lengths]
    drift = [(rng.integers(-40, 41, size=n) / 64).tolist() for n in lengths]
    return {
        "policy": policy,
        "reference": [
            [p + d for p, d in zip(ps, ds, strict=True)]
            for ps, ds in zip(policy, drift, strict=True)
        ],
        # log Σ p² of the distribution that each token was drawn from.
        "log_collision": [(-rng.integers(0, 160, size=n) / 64).tolist() for n in lengths],
    }


def padded(rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor([row + [0.0] * (LONGEST - len(row)) for row in rows], dtype=torch.float32)


class Given(torch.nn.Module):
    """Stands in for a model: the outputs that TRL's loss reads of one."""

    def __init__(self, logprobs: list[list[float]], log_collision: list[list[float]]) -> None:
        super().__init__()
        values = padded(logprobs)
        self.outputs = SimpleNamespace(
            log_probs=values, log_sum_sq_probs=padded(log_collision),
            entropy=torch.zeros_like(values), mean_logits=torch.zeros_like(values),
            is_top1=torch.zeros_like(values, dtype=torch.bool),
        )  # fmt: skip
        self.eval()
        self.is_gradient_checkpointing = False

    def forward(self, **inputs: Any) -> Any:
        """The same outputs whatever the inputs."""
        return self.outputs


def trainer(case: dict[str, Any], policy: Given, reference: Given) -> Any:
    """What TRL's loss method reads of its trainer."""
    chosen = SETTINGS | case
    names = chosen.pop("loss_type").split(",")
    weights = [float(w) for w in chosen.pop("loss_weights", "").split(",") if w]
    accelerator = SimpleNamespace(
        device=torch.device("cpu"), gather=lambda x: x, gather_for_metrics=lambda x: x,
        unwrap_model=lambda x: x,
    )  # fmt: skip
    return SimpleNamespace(
        **chosen, loss_types=names, loss_weights=weights or [1.0] * len(names), model=policy,
        ref_model=reference, accelerator=accelerator, aux_loss_enabled=False,
        precompute_ref_logps=False, _total_train_tokens=0, _tp_size=1,
        args=SimpleNamespace(
            gradient_checkpointing_kwargs=None, discopop_tau=chosen["discopop_tau"]
        ),
        _metrics={"eval": _Anything(), "train": _Anything()},
    )  # fmt: skip


class _Anything(dict[str, list[float]]):
    def __missing__(self, key: str) -> list[float]:
        return self.setdefault(key, [])


def dpo_loss(case: dict[str, Any], given: dict[str, Any], pairs: list[int]) -> float:
    """TRL's loss of a batch of pairs."""
    rows = [*pairs, *(PAIRS + i for i in pairs)]
    policy, reference = (
        Given([given[role][i] for i in rows], [given["log_collision"][i] for i in rows])
        for role in ("policy", "reference")
    )
    # One prompt token before every completion.
    mask = torch.zeros(len(rows), 1 + LONGEST, dtype=torch.long)
    for row, source in enumerate(rows):
        mask[row, 1 : 1 + len(given["policy"][source])] = 1
    inputs = {
        "input_ids": torch.zeros_like(mask), "attention_mask": torch.ones_like(mask),
        "completion_mask": mask,
    }  # fmt: skip
    made = trainer(case, policy, reference)
    return float(DPOTrainer._compute_loss(made, policy, inputs, False))


def kto_losses(given: dict[str, Any], loss_type: str) -> dict[str, Any]:
    """TRL's KTO loss of each row, all rows sharing the KL that their mismatched rows give."""
    sums = {role: [sum(row) for row in given[role]] for role in ("policy", "reference")}
    mismatched = [sums["policy"][i] - sums["reference"][i] for i in range(3)]
    found = []
    for row in range(2 * PAIRS):
        batch = {
            "label": torch.tensor([row < PAIRS]),
            "input_ids": torch.zeros(1, 1 + LONGEST, dtype=torch.long),
            "attention_mask": torch.ones(1, 1 + LONGEST, dtype=torch.long),
            "completion_mask": torch.ones(1, 1 + LONGEST, dtype=torch.long),
        }
        policy, reference = (
            Given([given[role][row]], [given["log_collision"][row]])
            for role in ("policy", "reference")
        )
        made = trainer({"loss_type": loss_type}, policy, reference)
        made.loss_type, made.calculate_KL = loss_type, loss_type == "kto"
        made.desirable_weight, made.undesirable_weight = 1.5, 0.75
        role_of = {id(policy): "policy", id(reference): "reference"}
        made._compute_kl_logps = lambda model, batch, role_of=role_of: torch.tensor(
            sums[role_of[id(model)]][:3], dtype=torch.float32
        )
        found.append(float(KTOTrainer._compute_loss(made, policy, batch, False)))
    return {"values": found, "kl_log_ratios": mismatched, "weights": [1.5, 0.75]}


def reference_free(given: dict[str, Any]) -> dict[str, list[float]]:
    """CPO, SimPO and ORPO without their likelihood term, which TRL adds outside these methods."""
    sums = torch.tensor([sum(row) for row in given["policy"]], dtype=torch.float32)
    means = sums / torch.tensor([float(len(row)) for row in given["policy"]])
    accelerator = SimpleNamespace(device=torch.device("cpu"))
    cpo = {"alpha": 0.0, "beta": 0.3, "simpo_gamma": 0.6, "accelerator": accelerator}

    def values(method: Any, numbers: torch.Tensor, **attributes: Any) -> list[float]:
        found = method(SimpleNamespace(**(cpo | attributes)), *numbers.split(PAIRS))
        return [float(x) for x in found[0]]

    def smooth(epsilon: float, numbers: torch.Tensor, loss_type: str) -> list[float]:
        return values(CPOTrainer.cpo_loss, numbers, loss_type=loss_type, label_smoothing=epsilon)

    return {
        "cpo": smooth(0.0, sums, "sigmoid"),
        "cpo ε=0.1": smooth(0.1, sums, "sigmoid"),
        "simpo": smooth(0.0, means, "simpo"),
        "simpo ε=0.1": smooth(0.1, means, "simpo"),
        "orpo": [-x for x in values(ORPOTrainer.odds_ratio_loss, means)],
    }


def main() -> None:
    given = numbers(np.random.default_rng(20))
    every = list(range(PAIRS))
    record = {
        "versions": {name: version(name) for name in ("trl", "torch")},
        "settings": SETTINGS,
        "numbers": given,
        "pair": {
            name: {"settings": case, "values": [dpo_loss(case, given, [i]) for i in every]}
            for name, case in PAIR_CASES.items()
        },
        "batch": {
            name: {"settings": case, "value": dpo_loss(case, given, every)}
            for name, case in BATCH_CASES.items()
        },
        "unpaired": {name: kto_losses(given, name) for name in ("kto", "apo_zero_unpaired")},
        "reference_free": {"simpo_gamma": 0.6, "values": reference_free(given)},
    }
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else RECORD
    out.write_text(json.dumps(record, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
