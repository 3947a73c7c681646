"""A role written for stock libraries: nothing of Palate's is left to apply to it.

Adapters are merged into their base, and the mean and spread of a reward model into its weights.
Whatever is written here was changed in memory first: the roles are spent.

The spread goes into the head. The mean needs a bias behind the last nonlinearity: stock heads
have none, so it goes into the bias of the final norm (GPT-2 and other models with LayerNorm). An
RMSNorm (Llama and its kin) has no bias either: no weights of such a model add a constant to its
logit, and the logit stays above the reward by one and the same number in every row.
"""

from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, PreTrainedTokenizerBase

from palate.errors import ModelError
from palate.models.quiet import quiet
from palate.models.reward_folder import RewardScale, write_model
from palate.models.roles import Roles
from palate.models.trunk import Trunk

PAD = "<|pad|>"
FINAL_NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm")


def write_merged(roles: Roles, folder: Path) -> None:
    """Write the policy as a causal language model of its architecture, adapters merged."""
    _merge(roles, "policy")
    with quiet():
        roles.model.save_pretrained(folder)
    roles.tokenizer.save_pretrained(folder)


def write_classifier(roles: Roles, folder: Path, *, ends: Collection[int]) -> float:
    """Write the reward model as its architecture's sequence classifier with one label.

    Stock classifiers read the token before the padding, so the padding token must be none that
    ends a response; where the tokenizer has no other, one is added.

    Args:
        roles: have the frozen `reward`.
        folder: to write into.
        ends: ids that end a response.

    Returns:
        What the classifier's logit is above the reward: 0 where the mean could be folded in.

    Raises:
        ModelError: transformers has no sequence classifier of this architecture.
    """
    role = roles["reward"]
    trunk, tokenizer = role.trunk, roles.tokenizer
    config = trunk.model.config
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise ModelError(
            f"transformers has no sequence classifier for {config.model_type} models; the run's "
            "own model folder is what Palate reads"
        )
    assert role.head is not None
    _merge(roles, "reward")
    # Of an ensemble the mean head gives the mean of the heads' rewards.
    mean_head = role.head.weight.detach().cpu().float().mean(0, keepdim=True)
    head, shift = _fold(trunk, mean_head, role.scale)
    _give_padding(trunk, tokenizer, ends)
    # Pipelines take a regression's logit as it is, and the sigmoid of any other single label's.
    config.problem_type = "regression"
    config.id2label, config.label2id = {0: "reward"}, {"reward": 0}
    write_model(trunk, head, folder, tokenizer)
    tokenizer.save_pretrained(folder)
    return shift


def _merge(roles: Roles, name: str) -> None:
    adapter = roles[name].adapter
    if adapter is not None:
        assert roles.peft is not None
        roles.peft.merge_and_unload(adapter_names=[adapter])
    for trunk in (roles.trunk, roles[name].trunk):
        trunk.model.cpu()


@torch.no_grad()
def _fold(trunk: Trunk, weight: Tensor, scale: RewardScale) -> tuple[Tensor, float]:
    """(w·h − mean) / spread as another head on another final norm, and what could not go in."""
    head = weight / scale.spread
    shift = scale.mean / scale.spread
    biases = [getattr(getattr(trunk.decoder, name, None), "bias", None) for name in FINAL_NORMS]
    bias = next((bias for bias in biases if isinstance(bias, Tensor)), None)
    if shift == 0 or bias is None:
        return head, shift
    row = head[0].double()
    bias.sub_((shift * row / row.square().sum()).to(bias.dtype))
    return head, 0.0


def _give_padding(trunk: Trunk, tokenizer: PreTrainedTokenizerBase, ends: Collection[int]) -> None:
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id not in ends:
        return
    tokenizer.add_special_tokens({"pad_token": PAD})
    if len(tokenizer) > trunk.model.get_input_embeddings().num_embeddings:
        with quiet():
            # Its row is read for padding alone, which no other row attends to.
            trunk.model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
