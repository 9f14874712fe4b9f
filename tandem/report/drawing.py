"""The style that all figures share, and how one becomes an SVG element of a page.

The same bytes for the same figure, in any process. Text stays text, and colours are CSS variables of the page
(``--ink``, ``--series-1`` ...). ``key`` names a figure on its page: it salts and prefixes the ids.
"""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Colours that no figure has by chance stand in for the page's CSS variables until the SVG is written.
INK, SOFT, GRID, PAPER = "#010203", "#010204", "#010205", "#010206"
SERIES = ("#010207", "#010208", "#010209")
CLASSES = ("#01020a", "#01020b", "#01020c", "#01020d", "#01020e", "#01020f")  # none is a framework's
VARIABLES = {
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    GRID: "var(--rule)",
    PAPER: "var(--paper)",
    SERIES[0]: "var(--series-1)",
    SERIES[1]: "var(--series-2)",
    SERIES[2]: "var(--series-3)",
    **{colour: f"var(--class-{number})" for number, colour in enumerate(CLASSES, 1)},
}
# Framework -> colour, marker. A framework looks the same in every figure, alone or compared.
LOOKS = {"keras": (SERIES[0], "o"), "torch": (SERIES[1], "s"), "numpy": (SERIES[2], "^")}
OTHER_LOOK = (SOFT, "D")
STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 12,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 12,
    "figure.facecolor": "none",
}


def look_of(framework: str) -> tuple[str, str]:
    """Return a framework's colour and marker."""
    return LOOKS.get(framework, OTHER_LOOK)


def shorten(name: str, letters: int) -> str:
    """Cut a name that is longer than ``letters``."""
    return name if len(name) <= letters else name[: letters - 1] + "…"


def text_width(text: str, size: float = 12) -> float:
    """Estimate a text's width in pixels; the fonts are the reader's."""
    return sum(size if unicodedata.east_asian_width(letter) in "WF" else 0.56 * size for letter in text)


@contextmanager
def drawing(width: float, height: float, key: str) -> Iterator[Figure]:
    """Yield a figure of ``width`` by ``height`` pixels in the report's own style, whatever the user's is."""
    with matplotlib.style.context(["default", {**STYLE, "svg.hashsalt": f"figure {key}"}]):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        FigureCanvasSVG(figure)
        yield figure


def add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes placed in pixels: measured layouts would depend on the fonts of this machine."""
    across, up = figure.get_size_inches() * 72
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def write_svg(figure: Figure, key: str, title: str, words: str, decimals: int | None = None) -> str:
    """Write the figure as an SVG element fit for a page: named, described, coloured by the page.

    Args:
        figure: what :func:`drawing` yields.
        key, title, words: of the figure; see the module.
        decimals: of a pixel that paths keep; None: all that matplotlib writes. For figures of many marks.
    """
    buffer = io.StringIO()
    bare = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the browser has the glyphs
        figure.savefig(buffer, format="svg", transparent=True, metadata=bare)
    source = buffer.getvalue()
    root = ElementTree.fromstring(source[source.index("<svg") :])  # noqa: S314 (matplotlib wrote it just now)
    _clean(root, key)
    if decimals is not None:
        _round_paths(root, decimals)
    box = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib.update(
        {
            "viewBox": box,
            "width": "100%",
            "role": "img",
            "style": f"max-width: {1.1 * float(box.split()[2]):.0f}px",
        }
    )
    root.set("aria-labelledby", f"{key}-title {key}-words")
    for place, (tag, text) in enumerate((("title", title), ("desc", words))):
        element = ElementTree.Element(tag, {"id": f"{key}-{'title' if place == 0 else 'words'}"})
        element.text = text
        root.insert(place, element)
    return ElementTree.tostring(root, encoding="unicode")


def _clean(root: ElementTree.Element, key: str) -> None:
    """Drop name spaces, style sheets and unused ids, prefix the rest, and bring in the CSS variables."""
    elements = list(root.iter())
    used = {value for element in elements for value in _references(element)}
    for element in elements:
        for child in [child for child in element if child.tag.endswith("}style")]:
            element.remove(child)
        element.tag = element.tag.rpartition("}")[2]
        for name, value in list(element.attrib.items()):
            del element.attrib[name]
            plain = name.rpartition("}")[2]
            if plain == "id" and value not in used:
                continue
            if plain == "id":
                value = f"{key}-{value}"
            elif plain == "href" and value.startswith("#"):
                value = f"#{key}-{value[1:]}"
            elif plain == "clip-path":
                value = value.replace("url(#", f"url(#{key}-")
            elif plain == "style":
                value = _restyle(value, key)
            elif plain == "transform" and value.startswith("rotate(-0 "):
                continue
            element.set(plain, " ".join(value.split()) if plain == "d" else value)


def _round_paths(root: ElementTree.Element, decimals: int) -> None:
    def rounded(number: re.Match[str]) -> str:
        text = f"{float(number[0]):.{decimals}f}".rstrip("0").rstrip(".")
        return "0" if text == "-0" else text

    for path in root.iter("path"):
        path.set("d", re.sub(r"-?\d+\.\d+", rounded, path.get("d", "")))


def _references(element: ElementTree.Element) -> Iterator[str]:
    for name, value in element.attrib.items():
        if name.endswith("href") and value.startswith("#"):
            yield value[1:]
        for piece in value.split("url(#")[1:]:
            yield piece.partition(")")[0]


def _restyle(style: str, key: str) -> str:
    kept: list[str] = []
    for rule in style.replace("url(#", f"url(#{key}-").split(";"):
        name, _, value = rule.partition(":")
        if name.strip() != "font-family":  # the page's
            kept.append(f"{name.strip()}: {VARIABLES.get(value.strip(), value.strip())}")
    return "; ".join(kept)
