"""What a tokenizer and a length limit make of rows: what cannot be rendered, what would be cut."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from palate.data.faults import Fault, fault
from palate.data.records import Demonstration, Preference, Prompt
from palate.data.tools import tools_of
from palate.errors import DataError

if TYPE_CHECKING:
    from palate.data.render import Renderer


@dataclass(frozen=True, slots=True)
class Rendered:
    """A row as training would see it.

    Attributes:
        num_tokens: of the prompt with its longer response; None where it cannot be rendered.
        faults: at most one.
    """

    num_tokens: int | None
    faults: tuple[Fault, ...] = ()


def render_row(
    record: Preference | Demonstration | Prompt, renderer: "Renderer", *, max_length: int
) -> Rendered:
    """Render a row and hold it against a limit.

    Palate cuts nothing: a row that is too long is refused, or left out. What a program that cuts
    the end off would be left with is told beside it, as such programs are many.

    Args:
        record: the row.
        renderer: text to tokens.
        max_length: tokens of prompt + response.
    """
    responses: list[str] = []
    if isinstance(record, Preference):
        responses = [record.chosen, record.rejected]
    elif isinstance(record, Demonstration):
        responses = [record.response]
    try:
        tools = tools_of(record.columns)
        prompt = renderer.prompt_tokens(record.prompt, tools=tools)
        answers = [renderer.response_tokens(record.prompt, one, tools=tools) for one in responses]
    except DataError as error:
        return Rendered(None, (fault("E406", str(error), origin=record.origin),))
    if any(len(answer) == 1 for answer in answers):
        message = "a response is nothing but an end token"
        return Rendered(None, (fault("E406", message, origin=record.origin),))
    if len(answers) == 2 and answers[0] == answers[1]:
        message = f"both responses are the same {len(answers[0])} tokens"
        return Rendered(None, (fault("E405", message, origin=record.origin),))
    num_tokens = len(prompt) + max(map(len, answers), default=0)
    if num_tokens <= max_length:
        return Rendered(num_tokens)
    room = max(0, max_length - len(prompt))
    message = f"{num_tokens:,} tokens ({len(prompt):,} of prompt), where {max_length:,} are allowed"
    code = "W409"
    if answers and room == 0:
        code = "W410"
    elif len(answers) == 2 and answers[0][:room] == answers[1][:room]:
        code = "W411"
    return Rendered(num_tokens, (fault(code, message, origin=record.origin),))
