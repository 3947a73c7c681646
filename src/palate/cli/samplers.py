"""What `palate sample` asks, and the file that it fills."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from palate.cli.inputs import load_model
from palate.cli.output import check_output, say, write_rows
from palate.data.layout import Layout
from palate.data.records import Prompt
from palate.data.sources import read_prompts
from palate.errors import UsageError

if TYPE_CHECKING:
    from palate.experiments.answers import Draws, Sampler


@dataclass(frozen=True)
class Server:
    """An OpenAI-compatible server, as flags give it."""

    base_url: str
    api: Literal["auto", "chat", "completions"]
    api_key_env: str | None
    api_key_file: str | None
    concurrency: int
    timeout: float


def sampler_of(model: str, server: Server | None) -> "Sampler":
    """The model in memory, or behind a server.

    Raises:
        ModelError: it cannot be loaded.
        UsageError: the server's address or key cannot be used.
    """
    if server is None:
        from palate.experiments.answers import ModelSampler

        return ModelSampler(load_model(model))
    from palate.experiments.remote_answers import RemoteSampler
    from palate.models.endpoint import Endpoint, read_key
    from palate.models.remote import Patience, RemoteClient

    key = read_key(variable=server.api_key_env, file=server.api_key_file)
    patience = Patience(concurrency=server.concurrency, timeout=server.timeout)
    client = RemoteClient(Endpoint(server.base_url, model, key), patience)
    return RemoteSampler(client, server.api)


def asked_prompts(
    texts: Sequence[str] | None, path: str | None, layout: Layout
) -> Sequence[Prompt]:
    """Prompts as they were written on the command line, or those of a file."""
    return read_prompts(path, layout=layout).records if path else [Prompt(t) for t in texts or ()]


@dataclass(frozen=True)
class SampleFile:
    """Where rows go: a file that is added to, or standard output."""

    output: str | None
    resume: bool
    overwrite: bool

    def check(self) -> None:
        """Find out before the work whether there is place for its result.

        Raises:
            UsageError: there is a file already, none to go on with, or it cannot be written.
        """
        if self.resume and (self.overwrite or self.output is None):
            raise UsageError("--resume goes on with --output FILE, and excludes --overwrite")
        if self.output is None:
            return
        there = Path(self.output).exists()
        if there and not (self.resume or self.overwrite or Path(self.output).is_dir()):
            raise UsageError(
                f"--output {self.output}: is there already; go on with --resume, replace it with "
                "--overwrite, or choose another file"
            )
        check_output(self.output)

    def fill(
        self,
        load: "Callable[[], Sampler]",
        prompts: Sequence[Prompt],
        draws: "Draws",
        model: str,
        dedupe: bool,
    ) -> list[dict[str, Any]]:
        """Answer the prompts that the file does not have; returns rows where there is no file."""
        from palate.experiments.answers import numbered
        from palate.experiments.sample_rows import append_rows, done_rows, sample_rows
        from palate.training.progress import progress

        asked, shown = numbered(prompts), []
        path = None if self.output is None else Path(self.output)
        done = 0
        if path is not None and path.exists() and self.resume:
            done = done_rows(path, asked, draws, model=model)
            say(f"{path}: {done} of {len(asked)} prompts are answered already")
            if done == len(asked):
                return []
        sampler = load()
        if path is not None and self.overwrite:
            path.unlink(missing_ok=True)
        with progress("sample", len(asked), done=done) as advance:
            for rows in sample_rows(sampler, asked[done:], draws, model=model, dedupe=dedupe):
                if path is None:
                    shown += rows
                else:
                    append_rows(path, rows)
                advance(len(rows), "")
        for kind, count in sorted(sampler.failures.items()):
            say(f"warning: {count} responses are missing, which the server did not give: {kind}")
        return shown

    def show(self, rows: Sequence[dict[str, Any]]) -> None:
        """Print rows where there is no file."""
        if self.output is None:
            write_rows(rows, None)
