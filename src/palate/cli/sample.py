"""`palate sample`: responses of a model, in memory or behind a server."""

from typing import Annotated, Literal

import typer

from palate.cli.output import only_json
from palate.cli.rows import Columns, Form, layout
from palate.errors import UsageError

HELP = """Write responses to prompts as JSON lines: a prompt and its responses a row.

Each response has text, stopped (false where it was cut at --max-new-tokens), temperature and, of a
model in memory, logprob: nats of the whole response under the distribution that it was drawn from.
Further columns of the prompts' rows are kept. Rows are written as they come; --resume goes on after
the last whole one. Several --temperature are taken in turn. With --base-url the model is one behind
an OpenAI-compatible server, which continues plain text and answers conversations."""


def sample(
    model: Annotated[str, typer.Option(help="model, adapter or run folder, hub or server's name")],
    prompt: Annotated[list[str] | None, typer.Option(help="a prompt's text; repeat it")] = None,
    prompts: Annotated[str | None, typer.Option(help="file of prompts or pairs")] = None,
    format: Form = None,
    columns: Columns = None,
    num_samples: Annotated[int, typer.Option(help="responses a prompt", min=1)] = 1,
    max_new_tokens: Annotated[int, typer.Option(help="tokens of a response", min=1)] = 64,
    temperature: Annotated[
        list[float] | None, typer.Option(help="0: always the likeliest; repeat for a mix [1.0]")
    ] = None,
    seed: Annotated[int, typer.Option(help="of the draw", min=0)] = 0,
    dedupe: Annotated[bool, typer.Option("--dedupe", help="one of equal texts, counted")] = False,
    output: Annotated[str | None, typer.Option(help="file; none: standard output")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with --output")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace --output")] = False,
    base_url: Annotated[str | None, typer.Option(help="server's address, https://HOST/v1")] = None,
    api: Annotated[
        Literal["auto", "chat", "completions"], typer.Option(help="chat: text as a user turn")
    ] = "auto",
    api_key_env: Annotated[str | None, typer.Option(help="variable with the key")] = None,
    api_key_file: Annotated[str | None, typer.Option(help="file with the key, mode 0600")] = None,
    concurrency: Annotated[int, typer.Option(help="requests at a time", min=1)] = 8,
    timeout: Annotated[float, typer.Option(help="seconds of a request", min=0.1)] = 120.0,
) -> None:
    if (prompts is None) == (prompt is None):
        raise UsageError("palate sample: give --prompt TEXT or --prompts FILE, one of the two")
    if any(not 0 <= t < float("inf") for t in temperature or ()):
        raise UsageError("--temperature: each must be 0 or a number above it")
    from palate.cli.samplers import SampleFile, Server, asked_prompts, sampler_of

    file, how = SampleFile(output, resume, overwrite), layout(format, columns)
    file.check()
    records = asked_prompts(prompt, prompts, how)
    server = base_url and Server(base_url, api, api_key_env, api_key_file, concurrency, timeout)
    with only_json(True):
        from palate.experiments.answers import Draws

        draws = Draws(num_samples, max_new_tokens, tuple(temperature or (1.0,)), seed)
        rows = file.fill(lambda: sampler_of(model, server or None), records, draws, model, dedupe)
    file.show(rows)
