"""A role: a trunk, an adapter on it, a head, and whether they are trained."""

from dataclasses import dataclass, field
from functools import cached_property

from torch import nn

from palate.models.load import weights_hash
from palate.models.reward_folder import RewardScale
from palate.models.trunk import Trunk


@dataclass
class Role:
    """What a role computes with.

    Attributes:
        trunk: the causal language model whose hidden rows it uses.
        adapter: name of its adapter on that model; None: adapters off (or none there).
        head: scalar head [1, width] of a reward or value role; [head, width] of an ensemble.
        trainable: whether its adapter (or, without one, its whole model) and head are trained.
    """

    trunk: Trunk
    adapter: str | None = None
    head: nn.Linear | None = None
    trainable: bool = False
    scale: RewardScale = field(default_factory=RewardScale)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the weights, base and adapter, of a role that is never trained.

        Equal where two such roles compute the same numbers; computed once, until `moved`.
        """
        assert not self.trainable
        return weights_hash(self.trunk.model, adapter=self.adapter)

    def moved(self) -> None:
        """Weights of this role have been changed in place: it is another function now."""
        self.__dict__.pop("fingerprint", None)
