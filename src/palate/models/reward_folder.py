"""A reward model on disk: a folder that stock transformers and PEFT load, with equal scores.

An adapter is a PEFT folder of task type SEQ_CLS whose head stands among its weights, as PEFT
stores a saved module. A model with weights of its own is a folder of its architecture's
sequence-classification class with one label. What stock libraries give is the raw reward; mean
and spread, by which Palate scales it once, stand beside it.

Of an ensemble of heads, stock libraries get the mean head, which gives the mean of the heads'
rewards; the heads themselves stand beside it.

Stock classes read the score at the last token that is not `pad_token_id`: rows of several lengths
need a padding token, and one that differs from the token that ends a response.
"""

import copy
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from palate.errors import ModelError
from palate.models.load import read_weights
from palate.models.quiet import quiet
from palate.models.trunk import Trunk

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
SCALE_FILE = "reward_scale.json"
HEADS_FILE = "reward_heads.safetensors"
HEAD = "score.weight"
ADAPTER_HEAD = f"base_model.model.{HEAD}"


@dataclass(frozen=True)
class RewardScale:
    """Mean and spread of raw rewards on SFT samples: applied once, as (raw − mean) / spread."""

    mean: float = 0.0
    spread: float = 1.0


@dataclass(frozen=True)
class SavedAdapter:
    """An adapter as its folder holds it; a reward model's has a head [1, width]."""

    config: PeftConfig
    weights: dict[str, Tensor]
    head: Tensor | None = None


def write_scale(folder: Path, scale: RewardScale, *, num_heads: int = 1) -> None:
    """Put mean and spread beside the weights, and how many heads there must be."""
    content = asdict(scale) | ({"num_heads": num_heads} if num_heads > 1 else {})
    (folder / SCALE_FILE).write_text(json.dumps(content), encoding="utf-8")


def read_scale(folder: Path) -> RewardScale:
    """Mean and spread of a folder; 0 and 1 where another tool wrote it, so that rewards are raw."""
    content = _read_scale_file(folder)
    content.pop("num_heads", None)
    try:
        return RewardScale(**content)
    except TypeError as error:
        raise ModelError(f"{folder / SCALE_FILE}: not a mean and a spread ({error})") from error


def _read_scale_file(folder: Path) -> dict[str, Any]:
    path = folder / SCALE_FILE
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ModelError(f"{path}: not a mean and a spread ({error})") from error


def write_heads(folder: Path, heads: Tensor) -> None:
    """Put an ensemble's heads [head, width] beside the mean head; of one head there is no more."""
    path = folder / HEADS_FILE
    if len(heads) == 1:
        path.unlink(missing_ok=True)
        return
    rows = heads.detach().float().cpu()
    save_file({f"heads.{i}.weight": row.contiguous() for i, row in enumerate(rows)}, path)


def read_heads(folder: Path, mean_head: Tensor) -> Tensor:
    """The heads [head, width] of a folder: an ensemble's, or the one that stock libraries get.

    Raises:
        ModelError: a head is missing, or the heads' mean is not `mean_head` [1, width].
    """
    num_heads = _read_scale_file(folder).get("num_heads", 1)
    if num_heads == 1:
        return mean_head
    path = folder / HEADS_FILE
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{path}: cannot be read ({error}); {folder} is an ensemble of {num_heads} heads, "
            "which would be lost: copy the folder whole, or train the reward model again"
        ) from error
    names = [f"heads.{i}.weight" for i in range(num_heads)]
    if found.keys() != set(names):
        odd = sorted(found.keys() ^ set(names))[0]
        raise ModelError(
            f"{path}: it should hold {num_heads} heads and differs in {odd}; copy the folder "
            "whole, or train the reward model again"
        )
    heads = torch.stack([found[name] for name in names])
    if heads.shape[1:] != mean_head.shape[1:] or not torch.allclose(
        heads.mean(0), mean_head[0], rtol=1e-4, atol=1e-6
    ):
        raise ModelError(
            f"{path}: the mean of its heads is not the folder's {HEAD}; its files belong to "
            "different models: copy the folder whole, or train the reward model again"
        )
    return heads


def add_head(folder: Path, head: Tensor) -> None:
    """Turn a saved adapter folder into a reward model's: add its head and name its task."""
    weights = load_file(folder / ADAPTER_WEIGHTS)
    weights[ADAPTER_HEAD] = head.detach().float().cpu().contiguous()
    save_file(weights, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    path = folder / ADAPTER_CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {"task_type": "SEQ_CLS", "modules_to_save": ["score"], "auto_mapping": None}
    path.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")


def read_adapter(folder: Path) -> SavedAdapter:
    """Read an adapter folder.

    Raises:
        ModelError: it has no readable weights.
    """
    try:
        weights = load_file(folder / ADAPTER_WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{folder}: no readable {ADAPTER_WEIGHTS} ({error})") from error
    config = PeftConfig.from_pretrained(str(folder))
    # The base is the one in memory, wherever the adapter's own stood.
    config.base_model_name_or_path, config.inference_mode = None, False
    return SavedAdapter(config, weights)


def read_reward_adapter(folder: Path) -> SavedAdapter:
    """Read a reward model's adapter folder, its head apart.

    Raises:
        ModelError: it has no readable weights, or no head.
    """
    found = read_adapter(folder)
    head = found.weights.pop(ADAPTER_HEAD, None)
    if head is None:
        raise ModelError(
            f"{folder}: the adapter has no {ADAPTER_HEAD}; not a reward model folder (train one: "
            "palate reward)"
        )
    # The head is applied by its role, not by PEFT, and the base is a causal language model.
    found.config.task_type, found.config.modules_to_save = None, None
    return SavedAdapter(found.config, found.weights, head.float())


def write_model(
    trunk: Trunk, head: Tensor, folder: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Write a decoder and its head [1, width] as the architecture's sequence-classification class.

    Where transformers has no such class, the causal model is written with the head beside it.
    """
    config = copy.deepcopy(trunk.model.config)
    config.num_labels = 1
    if tokenizer.pad_token_id is not None:
        config.pad_token_id = tokenizer.pad_token_id
    try:
        with torch.device("meta"):
            shell = AutoModelForSequenceClassification.from_config(config)
    except ValueError:
        with quiet():
            trunk.model.save_pretrained(folder)
        weight = head.detach().float().cpu().contiguous()
        save_file({HEAD: weight}, folder / "head.safetensors")
        return
    setattr(shell, shell.base_model_prefix, trunk.decoder)
    shell.score.weight = nn.Parameter(head.detach())
    with quiet():
        shell.save_pretrained(folder)


def read_model(folder: Path, *, dtype: torch.dtype) -> PreTrainedModel:
    """The model of a reward model folder with weights of its own."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: no readable config.json ({error})") from error
    names = config.get("architectures") or [""]
    classifier = names[0].endswith("ForSequenceClassification")
    kind = AutoModelForSequenceClassification if classifier else AutoModelForCausalLM
    return read_weights(str(folder), dtype=dtype, kind=kind)


def read_head(folder: Path) -> Tensor:
    """The head [1, width] of a reward model with weights of its own, in full precision.

    Raises:
        ModelError: there is none.
    """
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            if HEAD in file.keys():  # noqa: SIM118 (not a dict)
                head: Tensor = file.get_tensor(HEAD)
                return head.float()
    raise ModelError(
        f"{folder}: no {HEAD} in its weights; not a reward model folder (train one: palate reward)"
    )
