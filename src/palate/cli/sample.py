"""`palate sample`: responses of a model."""

from typing import Annotated

import typer

from palate.cli.inputs import load_model
from palate.cli.output import check_output, only_json, write_rows
from palate.data.records import Prompt
from palate.data.sources import read_prompts
from palate.errors import UsageError

HELP = """Write responses to prompts as JSON lines: prompt, response, stopped, logprob.

`stopped` is false where a response was cut at --max-new-tokens; `logprob` is in nats, of the whole
response under the distribution that it was drawn from."""


def sample(
    model: Annotated[str, typer.Option(help="model, adapter or run folder, or hub name")],
    prompt: Annotated[list[str] | None, typer.Option(help="a prompt's text; repeat it")] = None,
    prompts: Annotated[str | None, typer.Option(help="file of prompts or pairs")] = None,
    num_samples: Annotated[int, typer.Option(help="responses a prompt", min=1)] = 1,
    max_new_tokens: Annotated[int, typer.Option(help="tokens of a response", min=1)] = 64,
    temperature: Annotated[float, typer.Option(help="0: always the likeliest", min=0.0)] = 1.0,
    seed: Annotated[int, typer.Option(help="of the draw", min=0)] = 0,
    output: Annotated[str | None, typer.Option(help="file; none: standard output")] = None,
) -> None:
    if (prompts is None) == (prompt is None):
        raise UsageError("palate sample: give --prompt TEXT or --prompts FILE, one of the two")
    check_output(output)
    asked = read_prompts(prompts).records if prompts else [Prompt(text) for text in prompt or ()]
    with only_json(True):
        from palate.experiments.answers import answer

        rows = answer(
            load_model(model), asked, num_samples=num_samples, max_new_tokens=max_new_tokens,
            temperature=temperature, seed=seed,
        )  # fmt: skip
    write_rows(rows, output)
