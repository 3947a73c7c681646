"""Samples of fixed prompts as training goes on, beside the reference's: samples.jsonl.

Loss and accuracy do not show a model that rambles or never stops; its own words do.
"""

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from palate.data.trees import Tree
from palate.models.roles import Roles
from palate.models.sampling import sample

SAMPLE_SEED = 104729


class FixedSamples:
    """Writes one row a prompt each time it is called with a step."""

    def __init__(
        self,
        path: Path,
        roles: Roles,
        prompts: Sequence[Tree],
        *,
        decode: Callable[[Sequence[int]], str],
        end_tokens: Collection[int],
        max_new_tokens: int,
        temperature: float = 1.0,
        stop: Sequence[str] = (),
    ) -> None:
        self._path, self._roles, self._prompts = path, roles, prompts
        self._decode, self._end_tokens = decode, end_tokens
        self._max_new_tokens, self._temperature, self._stop = max_new_tokens, temperature, stop
        self._reference: list[str] | None = None

    def __call__(self, step: int) -> None:
        """Sample now; the draw is the same at every step, so that rows can be compared."""
        if self._reference is None and "reference" in self._roles:
            self._reference = self._answers("reference")
        answers = self._answers("policy")
        with self._path.open("a", encoding="utf-8") as file:
            for number, (prompt, answer) in enumerate(zip(self._prompts, answers, strict=True)):
                row = {"step": step, "prompt": self._decode(prompt.prompt), "policy": answer}
                if self._reference is not None:
                    row["reference"] = self._reference[number]
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def _answers(self, role: str) -> list[str]:
        drawn = sample(
            self._roles,
            role,
            [tree.prompt for tree in self._prompts],
            max_new_tokens=self._max_new_tokens,
            end_tokens=self._end_tokens,
            stop=self._stop,
            temperature=self._temperature,
            seed=SAMPLE_SEED,
        )
        return [self._decode(some[0].tokens) for some in drawn]
