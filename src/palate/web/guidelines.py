"""Guidelines for voters: Markdown of the project's owner → HTML that can do nothing.

Twice safe: the parser takes no HTML, and what it makes goes through a sanitizer that lets only
text structure and http(s) links pass. Images are left out, since their addresses would be fetched.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import nh3
from markdown_it import MarkdownIt

from palate.errors import UsageError

MOST_CHARACTERS = 100_000

DEFAULT = """\
Choose the response that you would rather have got to this prompt.

- **Right before nice.** A wrong answer in good words is a bad answer.
- **What was asked.** Format, length and language count where the prompt asks for them.
- **Longer is not better.** Padding, flattery and repetition count against a response.
- **Tie** where you could not say why one is better; **both bad** where you would send neither.
- **Skip** what you cannot judge. A skipped pair goes to others.

The sides are shuffled: left and right mean nothing.
"""

_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "ul", "ol", "li", "blockquote", "pre", "code"),
    *("strong", "em", "a", "table", "thead", "tbody", "tr", "th", "td"),
}
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


_FIRST_HEADING = re.compile(r"\A<h1>(.+?)</h1>\s*", re.DOTALL)


@dataclass(frozen=True)
class Sheet:
    """Guidelines as a page shows them, both parts HTML that can do nothing.

    Attributes:
        title: their own first heading, "Guidelines" where they begin with none.
        body: the rest.
    """

    title: str
    body: str


def to_sheet(markdown: str) -> Sheet:
    """Part guidelines from the heading that they begin with, which is then shown once."""
    html = to_html(markdown)
    heading = _FIRST_HEADING.match(html)
    return Sheet(heading[1], html[heading.end() :]) if heading else Sheet("Guidelines", html)


def to_html(markdown: str) -> str:
    """Markdown as HTML of a few harmless elements."""
    return nh3.clean(
        _MARKDOWN.render(markdown),
        tags=_TAGS,
        attributes={"a": {"href"}},
        url_schemes={"http", "https"},
        link_rel="noopener noreferrer nofollow",
    )


def read_guidelines(path: str) -> str:
    """Guidelines from a file.

    Raises:
        UsageError: there is no text in it, or too much.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"--guidelines {path}: cannot be read ({reason})") from None
    if not text.strip() or len(text) > MOST_CHARACTERS:
        raise UsageError(
            f"--guidelines {path}: has {len(text)} characters; 1 to {MOST_CHARACTERS} are shown"
        )
    return text
