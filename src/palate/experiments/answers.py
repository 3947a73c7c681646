"""A loaded model and prompts → rows of responses."""

from collections.abc import Sequence
from typing import Any

from palate.data.records import Prompt
from palate.data.render import Renderer
from palate.data.rows import to_row
from palate.experiments.prepare import on_device
from palate.models.load import Loaded
from palate.models.roles import Roles
from palate.models.sampling import sample
from palate.training.progress import progress


def as_policy(loaded: Loaded) -> Roles:
    """A model to ask and to score with, on the accelerator where there is one."""
    roles = Roles(on_device(loaded.model), loaded.tokenizer)
    roles.add_policy_as_is(adapter=loaded.adapter)
    return roles


def answer(
    loaded: Loaded,
    prompts: Sequence[Prompt],
    *,
    num_samples: int,
    max_new_tokens: int,
    temperature: float,
    seed: int,
) -> list[dict[str, Any]]:
    """Sample and describe each response: prompt, response, stopped, logprob (nats)."""
    renderer = Renderer(loaded.tokenizer)
    tokens = [renderer.prompt(prompt) for prompt in prompts]
    roles = as_policy(loaded)
    with progress("sample", len(prompts)) as advance:
        drawn = sample(
            roles, "policy", tokens, num_samples=num_samples, max_new_tokens=max_new_tokens,
            end_tokens=renderer.end_token_ids, temperature=temperature, seed=seed,
            advance=lambda count: advance(count, ""),
        )  # fmt: skip
    return [
        {
            "prompt": to_row(prompt)["prompt"],
            "response": renderer.decode(one.tokens),
            "stopped": one.stopped,
            "logprob": sum(one.logprobs),
        }
        for prompt, some in zip(prompts, drawn, strict=True)
        for one in some
    ]
