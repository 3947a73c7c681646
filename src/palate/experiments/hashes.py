"""What a model folder says, and what a run is rewarded by, in one hash each."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from palate.experiments.reward_source import RewardSource, absolute_reward
from palate.models.reward_folder import SCALE_FILE

# Files that decide what a model says; a passport, a card or a gate's report does not.
_TELLING = (
    "*.safetensors", "config.json", "adapter_config.json", "tokenizer.json",
    "tokenizer_config.json", "chat_template.jinja", SCALE_FILE,
)  # fmt: skip


def folder_hash(folder: Path) -> str:
    """A hash of weights, heads, scale, configuration and tokenizer of a model folder."""
    digest = sha256()
    for path in sorted(path for pattern in _TELLING for path in folder.glob(pattern)):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def rewards_hash(sources: Sequence[RewardSource]) -> str:
    """What a resumed run must share: weights, and folders by content, functions by name."""
    told = [
        (
            source.weight,
            folder_hash(source.folder) if source.folder else absolute_reward(source.name),
        )
        for source in sources
    ]
    return sha256(repr(told).encode()).hexdigest()
