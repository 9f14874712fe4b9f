"""Shows the findings: in colour by rich where there is a terminal and rich works, as plain lines, or as JSON."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tandem.doctor.facts import Facts
from tandem.doctor.findings import LEVELS, Finding, Level, Section, exit_status

_STYLES: dict[str, str] = {"ok": "green", "note": "cyan", "warning": "yellow", "problem": "bold red"}
_LEVEL_WIDTH = max(map(len, LEVELS))
_TOPIC_WIDTH = 13
_INDENT = 2 + _LEVEL_WIDTH + 2 + _TOPIC_WIDTH + 2
_SMALL_INDENT = 4
_NARROWEST = 30  # of the text's column
_WIDEST = 130


@dataclass(frozen=True)
class Line:
    """A line of the terminal: pieces of text, each with a style."""

    pieces: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "".join(text for text, _ in self.pieces).rstrip()


def lines(sections: Sequence[Section], width: int) -> Iterator[Line]:
    """Return what a terminal shows; a command stands in a line of its own, unbroken, to be copied."""
    for section in sections:
        yield Line(((section.title, "bold"),))
        for finding in section.findings:
            yield from _finding_lines(finding, min(width, _WIDEST))
        yield Line(())
    yield Line((_verdict(sections),))


def _finding_lines(finding: Finding, width: int) -> Iterator[Line]:
    room = max(width - _INDENT, _NARROWEST)
    margin = (" " * _INDENT, "")
    topic, text = finding.topic, list(_wrapped(finding.found, room))
    head = (("  ", ""), (finding.level.ljust(_LEVEL_WIDTH + 2), _STYLES[finding.level]))
    if len(topic) > _TOPIC_WIDTH:
        yield Line((*head, (topic, "")))
    else:
        yield Line((*head, (topic.ljust(_TOPIC_WIDTH + 2), ""), (text.pop(0), "")))
    for part in text:
        yield Line((margin, (part, "")))
    for number, part in enumerate(_wrapped(finding.remedy, room - 2)):
        yield Line((margin, ("  " if number else "→ ", _STYLES[finding.level]), (part, "")))
    if finding.command:  # one that is too long begins further left
        indent = _INDENT + 4 if _INDENT + 4 + len(finding.command) <= width else _SMALL_INDENT
        yield Line(((" " * indent, ""), (finding.command, "bold")))


def _wrapped(text: str, room: int) -> Iterator[str]:
    for paragraph in text.splitlines():
        yield from textwrap.wrap(paragraph, room, break_on_hyphens=False) or [""]


def _verdict(sections: Sequence[Section]) -> tuple[str, str]:
    counts = {level: sum(f.level == level for s in sections for f in s.findings) for level in LEVELS}
    named: tuple[Level, ...] = ("problem", "warning")
    listed = " and ".join(_counted(counts[level], level) for level in named if counts[level])
    if exit_status(sections):
        return f"The suite cannot run: {listed}.", "bold red"
    return f"The suite can run{f'; {listed}' if listed else ''}.", "bold yellow" if listed else "bold green"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def print_lines(drawn: Sequence[Line]) -> None:
    """Print, in colour if rich can."""
    with contextlib.suppress(AttributeError):  # a stream that cannot show "→" shows "?"
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        from rich.console import Console
        from rich.text import Text
    except Exception:  # rich may be missing or broken, and then plain lines do
        for line in drawn:
            print(line)
        return
    console = Console(soft_wrap=True, highlight=False)
    for line in drawn:
        console.print(Text.assemble(*line.pieces) if line.pieces else Text())


def as_json(sections: Sequence[Section], facts: Facts, seconds: float) -> str:
    """Return the findings and the facts that they follow from."""
    document: dict[str, Any] = {
        "status": exit_status(sections),
        "seconds": round(seconds, 2),
        "sections": [dataclasses.asdict(section) for section in sections],
        "facts": dataclasses.asdict(facts),
    }
    return json.dumps(document, indent=2, ensure_ascii=not _utf8())


def _utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
