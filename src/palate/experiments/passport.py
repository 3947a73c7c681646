"""palate.json, the passport of a model folder: trained how, from what, and at what cost.

It travels with the weights, so that a comparison needs the folders alone. What it does not say is
unknown, never zero.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from palate.errors import ModelError
from palate.experiments.cost import Cost
from palate.models.load import Loaded, weights_hash
from palate.models.reward_folder import ADAPTER_WEIGHTS

PASSPORT = "palate.json"
# An adapter that training went on from and that lay in no folder has no hash.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Start:
    """What training started from.

    Attributes:
        name: its folder or hub name.
        weights: hash of the whole model's weights, before training.
        dtype: of those weights in memory; hashes of two types cannot be compared.
        adapter: hash of the adapter that training went on from, or UNKNOWN; None: there was none.
    """

    name: str
    weights: str
    dtype: str
    adapter: str | None = None


@dataclass(frozen=True)
class RewardBill:
    """The reward model that a policy was trained against; its bill as it was then."""

    folder: str
    cost: Cost | None


@dataclass(frozen=True)
class Passport:
    """What a model folder says of itself.

    Attributes:
        stage: sft, reward, dpo, ppo or online.
        role: policy or reward.
        base: folder or hub name of the model in memory.
        base_hash: hash of the base's weights, where the folder holds an adapter.
        start: what training started from; None where that is not known.
        settings: what sets the run apart: its seed, beta or KL coefficient.
        cost: the run's own bill; None where it was not measured whole.
        reward: the reward model that it was trained against, where there was one.
    """

    stage: str
    role: str
    base: str
    base_hash: str | None = None
    start: Start | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    cost: Cost | None = None
    reward: RewardBill | None = None

    @property
    def road_cost(self) -> Cost | None:
        """The bill with that of the reward model, as a user of the road pays it."""
        if self.reward is None or self.cost is None:
            return self.cost
        return self.reward.cost.plus(self.cost) if self.reward.cost else None

    def shared_cost(self, num_arms: int) -> Cost | None:
        """`road_cost` with the reward model's share alone; None where nothing is shared."""
        if self.reward is None or self.reward.cost is None or self.cost is None:
            return None
        return self.reward.cost.shared_by(num_arms).plus(self.cost)


def write_passport(passport: Passport, folder: Path) -> None:
    """Put the passport into a model folder; it comes last, when the weights are there."""
    text = json.dumps(asdict(passport), indent=1, ensure_ascii=False)
    (folder / PASSPORT).write_text(text, encoding="utf-8")


def read_passport(folder: Path) -> Passport | None:
    """The passport of a model folder; None where another tool made it.

    Raises:
        ModelError: there is one, and it is damaged.
    """
    path = folder / PASSPORT
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        start, reward = found.get("start"), found.get("reward")
        return Passport(
            stage=str(found["stage"]),
            role=str(found["role"]),
            base=str(found["base"]),
            base_hash=found.get("base_hash"),
            start=Start(**start) if start else None,
            settings=dict(found.get("settings") or {}),
            cost=Cost.from_json(found.get("cost")),
            reward=RewardBill(reward["folder"], Cost.from_json(reward["cost"])) if reward else None,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path}: damaged ({type(error).__name__}: {error}); train the model again, or remove "
            "the file to have the folder taken for another tool's"
        ) from None


def start_of(loaded: Loaded) -> Start:
    """Name and hashes of a loaded model; of one that is to be trained, before it is."""
    model = loaded.model
    return Start(
        name=str(loaded.adapter or model.name_or_path),
        weights=weights_hash(model),
        dtype=str(model.dtype).removeprefix("torch."),
        adapter=adapter_hash(loaded.adapter) if loaded.adapter else None,
    )


def adapter_hash(folder: Path) -> str:
    """A hash of an adapter's weights, by name and value."""
    digest = sha256()
    for name, tensor in sorted(load_file(folder / ADAPTER_WEIGHTS).items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
