"""Shows a run: live on a terminal, as plain lines elsewhere. All text from outside is shown as it is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.control import strip_control_codes
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dvcgraph.events import Ended, Event, Outcome, Output, Progress, Queued, Started

_TAIL_LINES = 12  # of a failed stage's output
_STYLES = {
    "completed": "green",
    "restored": "cyan",
    "unchanged": "dim",
    "failed": "bold red",
    "skipped": "yellow",
}


class Display(Protocol):
    """Shows the events of a run."""

    def __call__(self, event: Event) -> None:
        """Show one event."""


@contextmanager
def showing(console: Console) -> Iterator[Display]:
    """Give the display that suits the console, for the duration of a run."""
    if not console.is_terminal:
        yield PlainDisplay(console)
        return
    display = LiveDisplay(console)
    with Live(get_renderable=display.render, console=console, refresh_per_second=4, transient=True):
        yield display


class PlainDisplay:
    """One line when a stage ends; a failed one also shows its last lines."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __call__(self, event: Event) -> None:
        """Show the end of a stage."""
        if isinstance(event, Ended):
            for line in ended_lines(event.outcome):
                self._console.print(line, soft_wrap=True)


class LiveDisplay:
    """Stages done of all, and how the current one gets on; the stages that did something scroll by above."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = 0
        self._done = 0
        self._unchanged = 0
        self._stage = ""
        self._began = time.monotonic()
        self._detail = ""
        self._line = ""

    def __call__(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case Queued():
                self._total += 1
            case Started(stage):
                self._stage, self._detail, self._line = stage, "", ""
                self._began = time.monotonic()
            case Progress(_, values):
                self._detail = describe_progress(values)
            case Output(_, line):
                self._line = line
            case Ended(_, outcome):
                self._done += 1
                self._stage = ""
                if outcome.state == "unchanged":
                    self._unchanged += 1
                else:
                    for text in ended_lines(outcome):
                        self._console.print(text)

    def render(self) -> RenderableType:
        """Draw the state of the run."""
        head = Table.grid(padding=(0, 1))
        unchanged = f", {self._unchanged} unchanged" if self._unchanged else ""
        bar = ProgressBar(total=max(self._total, 1), completed=self._done, width=30)
        head.add_row(bar, Text(f"{self._done}/{self._total} stages{unchanged}"))
        if not self._stage:
            return head
        elapsed = duration(time.monotonic() - self._began)
        parts = [self._stage, elapsed, self._detail]
        current = Text(_clean("  ".join(part for part in parts if part)), no_wrap=True, overflow="ellipsis")
        line = Text(_clean(self._line), style="dim", no_wrap=True, overflow="ellipsis")
        return Group(head, current, line)


def ended_lines(outcome: Outcome) -> list[Text]:
    """Return what is said when a stage ended: name, state and seconds, and why it failed."""
    head = Text.assemble(
        (f"{outcome.state:>9}", _STYLES[outcome.state]),
        f"  {_clean(outcome.stage)}  ",
        (duration(outcome.seconds), "dim"),
    )
    if outcome.message:
        head.append(f"  {_clean(outcome.message)}")
    if outcome.state != "failed":
        return [head]
    return [head, *(Text(f"          | {_clean(line)}") for line in outcome.tail[-_TAIL_LINES:])]


def describe_progress(values: Mapping[str, Any]) -> str:
    """Put a stage's progress into words: "replicate 1/5  epoch 3/10  train loss 0.4000  12 s left".

    ``replicate`` counts from 0, ``epoch`` from 1. What is missing or no number is left out.
    """
    parts = []
    for one, all_of_them, first in (("replicate", "replicates", 1), ("epoch", "epochs", 0)):
        number, total = _number(values, one), _number(values, all_of_them)
        if number is not None:
            parts.append(f"{one} {int(number) + first}" + (f"/{int(total)}" if total is not None else ""))
    for name in ("train_loss", "valid_loss"):
        loss = _number(values, name)
        if loss is not None:
            parts.append(f"{name.replace('_', ' ')} {loss:.4g}")
    left = _number(values, "seconds_left")
    if left is not None:
        parts.append(f"{duration(left)} left")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Return a duration as it is said: "0.3 s", "12 s", "3 min 05 s", "1 h 02 min"."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _number(values: Mapping[str, Any], key: str) -> float | None:
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < 1e15 else None  # not NaN, not infinite


def _clean(text: str) -> str:
    return strip_control_codes(text).replace("\t", " ").replace("\n", " ").replace("\x1b", "")
