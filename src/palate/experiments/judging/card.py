"""A judge's card: which language model judges, by what rubric, with how much patience.

    model: qwen3-8b                       # a YAML file, named as judge:FILE.yaml
    base_url: http://127.0.0.1:8000/v1
    rubric: Prefer the reply that answers the question with the fact that the prompt states.
    guidelines: guidelines.md             # a longer text, in a file beside the card

The address of the server stands here or on the command line, never in data.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from palate.errors import RecipeError, UsageError
from palate.models.endpoint import Endpoint, read_key
from palate.models.remote import Patience, RemoteClient
from palate.training.recipe_keys import coerced, unknown_setting
from palate.training.settings import setting

JUDGE = "judge:"
RUBRIC = (
    "Prefer the reply that does better what the prompt asks for: correct, to the point and safe. "
    "Length, order and style alone are no reason."
)


@dataclass(frozen=True, kw_only=True)
class JudgeCard:
    """Settings of a language model that judges."""

    model: str = setting("", "the model's name at the server")
    base_url: str = setting("", "the server's address, such as https://HOST/v1")
    api_key_env: str = setting("", "environment variable with the key; PALATE_API_KEY if there is")
    api_key_file: str = setting("", "file with the key, mode 0600")
    rubric: str = setting(RUBRIC, "what makes a reply better, in a few sentences")
    guidelines: str = setting("", "file with a longer text for the judge")
    structured: Literal["auto", "off"] = setting(
        "auto", "ask for JSON of a schema where the server can, or in words alone"
    )
    temperature: float = setting(0.0, "of the judge's sampling")
    max_tokens: int = setting(512, "tokens of a verdict, its reason included")
    parse_retries: int = setting(2, "further questions where a verdict cannot be read")
    timeout: float = setting(120.0, "seconds of one request")
    max_retries: int = setting(5, "further tries of a request that failed")
    max_wait: float = setting(60.0, "seconds of one wait, also for Retry-After")
    concurrency: int = setting(8, "requests at a time")
    prompt_price: float = setting(0.0, "money for a million prompt tokens, in your currency")
    completion_price: float = setting(0.0, "money for a million tokens of replies")

    def __post_init__(self) -> None:
        for name in ("max_tokens", "timeout", "concurrency", "max_wait"):
            if not getattr(self, name) > 0:
                raise RecipeError(f"{name} is {getattr(self, name)}; it must be above 0")
        for name in (
            "temperature", "parse_retries", "max_retries", "prompt_price", "completion_price",
        ):  # fmt: skip
            if not getattr(self, name) >= 0:
                raise RecipeError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        if self.structured not in ("auto", "off"):
            raise RecipeError(f"structured is {self.structured!r}; it is auto or off")

    def client(self) -> RemoteClient:
        """A client of the server, with the key; nothing is sent yet.

        Raises:
            UsageError: the address is no good, or the key cannot be read.
        """
        key = read_key(variable=self.api_key_env or None, file=self.api_key_file or None)
        patience = Patience(
            timeout=self.timeout, max_retries=self.max_retries, max_wait=self.max_wait,
            concurrency=self.concurrency,
        )  # fmt: skip
        return RemoteClient(Endpoint(self.base_url, self.model, key), patience)

    def to_mapping(self) -> dict[str, Any]:
        """All of it by name."""
        return asdict(self)


def read_card(name: str, *, place: str) -> JudgeCard:
    """The card that `judge:FILE.yaml` or `judge:MODEL@URL` names, its guidelines read in.

    Args:
        name: what stands after "judge:".
        place: where it was named, for messages.

    Raises:
        UsageError: the file cannot be read, or it is neither form.
        RecipeError: a key is unknown, or a value cannot be used.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return _from_file(path, place)
    model, at, url = name.partition("@")
    if not (model and at and url):
        raise UsageError(
            f"{place}: write judge:FILE.yaml, or judge:MODEL@URL such as "
            "judge:qwen3-8b@http://127.0.0.1:8000/v1"
        )
    return JudgeCard(model=model, base_url=url)


def _from_file(path: Path, place: str) -> JudgeCard:
    text = _text(path, place)
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise RecipeError(f"{path}{line}: not YAML; write one `name: value` a line") from None
    if not isinstance(values, Mapping):
        raise RecipeError(f"{path}: not a mapping; write one `name: value` a line")
    known = {f.name: f for f in fields(JudgeCard)}
    for key in values:
        if key not in known:
            hint = unknown_setting(str(key), set(known), "a judge's card")
            raise RecipeError(f"{path}: {hint}")
    try:
        card = JudgeCard(**{key: coerced(known[key], value) for key, value in values.items()})
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None
    if missing := [key for key in ("model", "base_url") if not getattr(card, key)]:
        raise RecipeError(f"{path}: {' and '.join(missing)} missing; name the model and its server")
    if not card.guidelines:
        return card
    return replace(card, guidelines=_text(path.parent / card.guidelines, f"{path}: guidelines"))


def _text(path: Path, place: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"{place}: {path} cannot be read ({reason})") from None
