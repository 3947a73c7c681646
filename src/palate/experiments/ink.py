"""Inks, and a figure as SVG for inline use in HTML.

Inks are CSS variables with a light-mode fallback, so that one drawing serves light and dark pages;
texts stay text, in the page's font. The same figure gives the same bytes: nothing dated, nothing
random, and only identifiers that are referred to are kept, each prefixed by the figure's name.
"""

import io
import re
import warnings
from typing import Any
from xml.etree import ElementTree

from matplotlib.figure import Figure

# Okabe and Ito's blue, vermilion and green, darkened until they read on white; the page's dark
# mode sets lighter ones.
INKS = {
    "ink": "#1b1f24",
    "muted": "#57606a",
    "rule": "#d5dae0",
    "card": "#ffffff",
    "sft": "#57606b",
    "dpo": "#0060a0",
    "rlhf": "#b34700",
    "yardstick": "#00704f",
}
STYLE: dict[Any, Any] = {  # matplotlib types its keys one by one
    "axes.edgecolor": INKS["muted"],
    "axes.labelcolor": INKS["ink"],
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 13.0,
    "grid.color": INKS["rule"],
    "svg.fonttype": "none",
    "svg.hashsalt": "palate",
    "text.color": INKS["ink"],
    "text.parse_math": False,  # a label's $ is a dollar
    "xtick.color": INKS["muted"],
    "xtick.labelcolor": INKS["ink"],
    "ytick.color": INKS["muted"],
    "ytick.labelcolor": INKS["ink"],
}


def to_svg(figure: Figure, *, name: str, title: str) -> str:
    """The figure as one inline element: an image with a name for those who do not see it.

    Args:
        figure: drawn under `STYLE`, with no colors but `INKS`.
        name: prefix of its identifiers; no other figure of the page may have it.
        title: what it shows, in words.

    Returns:
        An `<svg>` element without a namespace, as HTML wants it.
    """
    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        # Widths are estimated without the glyph; the reader's own font draws it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(drawn, format="svg")
    root = ElementTree.fromstring(drawn.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    nodes = list(root.iter())
    referred = {
        reference
        for node in nodes
        for value in node.attrib.values()
        for reference in re.findall(r"^#(.+)$|url\(#([^)]+)\)", value)
        for reference in reference
        if reference
    }
    for node in nodes:
        node.tag = _local(node.tag)
        node.attrib = {
            _local(key): _inked(re.sub(r"^#|(?<=url\()#", f"#{name}-", value))
            if key != "id"
            else f"{name}-{value}"
            for key, value in node.attrib.items()
            if key != "id" or value in referred
        }
    box = root.attrib["viewBox"]
    root.attrib = {
        "viewBox": box,
        "role": "img",
        "aria-label": title,
        "class": f"figure-{name}",
        "style": "stroke-linejoin: round; stroke-linecap: butt",
    }
    return ElementTree.tostring(root, encoding="unicode")


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _inked(style: str) -> str:
    for ink, color in INKS.items():
        style = style.replace(color, f"var(--{ink}, {color})")
    return style
