"""Dataclass fields → command-line options: name, help and choices are written once."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import Field, dataclass, fields
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

Command = Callable[..., None]


@dataclass(frozen=True)
class Switch:
    """An option that is no field of a dataclass."""

    name: str
    kind: Any
    default: Any
    flag: str
    help: str


RUN_SWITCHES = (
    Switch("config", str | None, None, "--config", "recipe.yaml with any of these; flags override"),
    Switch("resume", bool, False, "--resume", "continue the run in --output-dir"),
    Switch("overwrite", bool, False, "--overwrite", "replace the run in --output-dir"),
    Switch("as_json", bool, False, "--json", "print one JSON object on standard output"),
)


def kebab(name: str) -> str:
    """`lora_r` → `lora-r`."""
    return name.replace("_", "-")


def shown_default(of: "Field[Any]") -> str:
    """A default as help and docs show it; "" where there is none."""
    if of.default is None or of.default == ():
        return ""
    if isinstance(of.default, bool):
        return "on" if of.default else "off"
    return str(of.default)


def with_options(command: Command, *groups: type[Any], switches: Iterable[Switch]) -> Command:
    """Give a function of keyword arguments the signature that typer reads.

    Args:
        command: takes every option by name; None means "not given".
        groups: dataclasses whose fields become options, in this order.
        switches: further options, which come first.
    """
    parameters = [_switch(switch) for switch in switches]
    parameters += [_option(of) for group in groups for of in fields(group)]
    signature = inspect.Signature(parameters)
    vars(command)["__signature__"] = signature
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _switch(switch: Switch) -> inspect.Parameter:
    option = typer.Option(switch.flag, help=switch.help, show_default=False)
    return _parameter(switch.name, Annotated[switch.kind, option], switch.default)


def _option(of: "Field[Any]") -> inspect.Parameter:
    flag = f"--{kebab(of.name)}"
    kind: Any = of.type
    if kind is bool:
        flag = f"{flag}/--no-{kebab(of.name)}"
    elif kind == tuple[str, ...]:
        kind = list[str]
    elif get_origin(kind) is not Literal and type(None) in get_args(kind):
        kind = next(arg for arg in get_args(kind) if arg is not type(None))
    default = shown_default(of)
    text = f"{of.metadata['help']} [default: {default}]" if default else of.metadata["help"]
    return _parameter(
        of.name, Annotated[kind | None, typer.Option(flag, help=text, show_default=False)], None
    )


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )
