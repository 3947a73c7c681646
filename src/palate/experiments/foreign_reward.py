"""A reward model whose tokenizer is not the policy's: responses are encoded anew from their text.

A response that was cut at the limit stays without an end token.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from palate.data.records import Prompt
from palate.data.render import Renderer
from palate.data.tools import tools_of
from palate.data.trees import Forest, Response, Tree, pack, plant
from palate.errors import DataError
from palate.models.attention import Plan
from palate.models.protocols import texts_of
from palate.models.roles import Roles
from palate.models.scoring import rewards

MAX_TOKENS = 4096


class ForeignReward:
    """Scores the policy's responses as text.

    Args:
        roles: with the reward model as `reward`, and its own tokenizer.
        policy: renders as the policy does.
        folder: of the reward model, for messages.
        uncertainty_coef: spreads of an ensemble's heads that are taken off.

    Raises:
        DataError: a prompt cannot be written with the reward model's tokenizer, or is longer than
            its context; the message names it.
    """

    def __init__(
        self, roles: Roles, policy: Renderer, folder: Path, *, uncertainty_coef: float = 0.0
    ) -> None:
        self._roles, self._policy, self._folder = roles, policy, folder
        self._uncertainty_coef = uncertainty_coef
        self._renderer = Renderer(roles.tokenizer)
        self._limit = getattr(roles.model.config, "max_position_embeddings", None)

    def __call__(
        self, trees: Sequence[Tree], forest: Forest, plan: Plan
    ) -> Float[Tensor, " response"]:
        policy = self._policy
        prompts, texts = texts_of(trees, decode=policy.decode, respond=policy.response_text)
        stopped = [response.stopped for tree in trees for response in tree.responses]
        return self.score(prompts, texts, stopped).to(forest.tokens.device)

    @torch.no_grad()
    def score(
        self, prompts: Sequence[Prompt], texts: Sequence[str], stopped: Sequence[bool]
    ) -> Float[Tensor, " response"]:
        """Rewards of texts, each with its prompt; `stopped` is False where it was cut."""
        trees = [self._tree(*one) for one in zip(prompts, texts, stopped, strict=True)]
        found = [
            rewards(
                self._roles,
                plant([trees[i] for i in group], device=self._roles.device),
                uncertainty_coef=self._uncertainty_coef,
            )
            for group in pack(trees, max_tokens=MAX_TOKENS)
        ]
        return torch.cat(found)

    def _tree(self, prompt: Prompt, text: str, stopped: bool) -> Tree:
        renderer = self._renderer
        tokens = renderer.response_tokens(
            prompt.prompt, text, origin=prompt.origin, tools=tools_of(prompt.columns)
        )
        if not stopped and len(tokens) > 1:
            tokens = tokens[:-1]
        tree = Tree(renderer.prompt(prompt), (Response(tokens, stopped),), origin=prompt.origin)
        if self._limit is not None and tree.longest > self._limit:
            raise DataError(
                f"{prompt.origin or 'a prompt'}: prompt and response are {tree.longest} tokens to "
                f"the reward model {self._folder}, whose context is {self._limit}; leave the row "
                "out, or lower --max-new-tokens"
            )
        return tree
