"""Shows a run: live on a terminal, as plain lines elsewhere. All text from outside is shown as it is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.control import strip_control_codes
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dvcgraph.events import Ended, Event, Notice, Outcome, Output, Progress, Queued, Started, Waiting
from tandem.searches.progress import SearchProgress, read_progress

_BAR_WIDTH = 30
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
    """One line when a stage ends, and when a search has found better or gone on by a tenth.

    A failed stage also shows its last lines.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: dict[str, tuple[object, int]] = {}  # of each search: its leader, and tenths done

    def __call__(self, event: Event) -> None:
        """Show the end of a stage, or what concerns the run as a whole."""
        match event:
            case Ended(_, outcome):
                for line in ended_lines(outcome):
                    self._console.print(line, soft_wrap=True)
            case Progress(stage, values) if (search := read_progress(values)) is not None:
                told = (search.leaders[:1], int(10 * (search.share or 0)))
                if self._told.get(stage) != told:
                    self._told[stage] = told
                    words = f"{stage}  {describe_progress(values)}  {_best_parameters(search)}".rstrip()
                    self._console.print(Text(_clean(words)), soft_wrap=True)
            case Notice(text):
                self._console.print(Text(_clean(text)), soft_wrap=True)


@dataclass
class _Running:
    """A stage whose command runs, or that waits for something."""

    began: float
    values: Mapping[str, Any] = field(default_factory=dict)
    line: str = ""  # what it said last, or what it waits for
    waits: bool = False


class LiveDisplay:
    """Stages done of all, searches in a table, and a line for each other stage that runs.

    The stages that did something scroll by above.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = 0
        self._done = 0
        self._unchanged = 0
        self._running: dict[str, _Running] = {}
        self._searches: dict[str, SearchProgress] = {}

    def __call__(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case Queued():
                self._total += 1
            case Waiting(stage, reason):
                self._running[stage] = _Running(time.monotonic(), line=reason, waits=True)
            case Started(stage):
                self._running[stage] = _Running(time.monotonic())
            case Progress(stage, values) if stage in self._running:
                self._running[stage].values = values
                search = read_progress(values)
                if search is not None:
                    self._searches[stage] = search
            case Output(stage, line) if stage in self._running and line.strip():
                self._running[stage].line = line
            case Ended(stage, outcome):
                self._done += 1
                self._running.pop(stage, None)
                if outcome.state == "unchanged":
                    self._unchanged += 1
                else:
                    for text in ended_lines(outcome):
                        self._console.print(text)
            case Notice(text):
                self._console.print(Text(_clean(text)))

    def render(self) -> RenderableType:
        """Draw the state of the run."""
        head = Table.grid(padding=(0, 1))
        unchanged = f", {self._unchanged} unchanged" if self._unchanged else ""
        bar = ProgressBar(total=max(self._total, 1), completed=self._done, width=_BAR_WIDTH)
        head.add_row(bar, Text(f"{self._done}/{self._total} stages{unchanged}"))
        # Those that run come first; Live would cut what is higher than the terminal, its end unseen.
        running = sorted(dict(self._running).items(), key=lambda entry: entry[1].waits)
        searches = [(search, self._left(stage, search)) for stage, search in dict(self._searches).items()]
        table = [search_table(searches, self._console.width)] if searches else []
        running = [(stage, state) for stage, state in running if read_progress(state.values) is None]
        room = max(1, self._console.height - 3 - len(searches) - len(table))
        lines = [self._line_of(stage, state) for stage, state in running[:room]]
        if len(running) > room:
            lines.append(Text(f"and {len(running) - room} more", style="dim"))
        return Group(head, *table, *lines)

    def _left(self, stage: str, search: SearchProgress) -> str:
        """Say how long a search still takes, or what it is at once all trials are trained."""
        state = self._running.get(stage)
        if state is None:
            return "ended"
        if read_progress(state.values) is None:
            return "trains the best"
        return "" if search.seconds_left is None else duration(search.seconds_left)

    def _line_of(self, stage: str, state: _Running) -> Text:
        """Say how a stage gets on, in one line that fits: its name, its time, its progress or its last words."""
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(_clean(stage))
        if not state.waits:
            line.append(f"  {duration(time.monotonic() - state.began)}", style="dim")
        left = self._console.width - line.cell_len - 2
        progress = describe_progress(state.values, width=left)
        if progress:
            line.append(f"  {progress}")
        elif state.line and left > 0:
            line.append(f"  {_clean(state.line)}", style="dim")
        return line


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


def describe_progress(values: Mapping[str, Any], width: int | None = None) -> str:
    """Put a stage's progress into words: "replicate 1/5  epoch 3/10  train loss 0.4  12 s left".

    ``replicate`` counts from 0, ``epoch`` from 1. What is missing or no number is left out; so are, where ``width``
    characters do not hold all of it, the losses first, then the time left, then the replicate.
    """
    parts: list[tuple[int, str]] = []  # how soon a part is given up, and the part
    search = read_progress(values)
    if search is not None:
        parts.append((4, f"{_of(search.trials, search.trials_limit)} trials"))
        parts.append((1, f"{_of(search.epochs, search.epochs_limit)} epochs"))
        parts += [(3, f"best {search.metric} {search.leaders[0].value:.4g}")] if search.leaders else []
    for one, all_of_them, first, rank in (("replicate", "replicates", 1, 3), ("epoch", "epochs", 0, 4)):
        number, total = _number(values, one), _number(values, all_of_them)
        if number is not None:
            parts.append((rank, f"{one} {int(number) + first}" + (f"/{int(total)}" if total is not None else "")))
    for rank, name in ((1, "train_loss"), (0, "valid_loss")):
        loss = _number(values, name)
        if loss is not None:
            parts.append((rank, f"{name.replace('_', ' ')} {loss:.4g}"))
    left = _number(values, "seconds_left") if search is None else search.seconds_left
    if left is not None:
        parts.append((2, f"{duration(left)} left"))
    text = "  ".join(part for _, part in parts)
    while width is not None and parts and len(text) > width:
        parts.remove(min(parts))
        text = "  ".join(part for _, part in parts)
    return text


def percent_done(values: Mapping[str, Any]) -> float | None:
    """Return how much of a stage is done, from 0 to 100; None if its progress does not say."""
    search = read_progress(values)
    if search is not None:
        return None if search.share is None else 100.0 * search.share
    epoch, epochs = _number(values, "epoch"), _number(values, "epochs")
    if epoch is None or not epochs:
        return None
    replicate, replicates = _number(values, "replicate") or 0.0, _number(values, "replicates") or 1.0
    return min(100.0, max(0.0, 100.0 * (replicate + epoch / epochs) / max(replicates, 1.0)))


def search_table(searches: Iterable[tuple[SearchProgress, str]], width: int) -> Table:
    """Return a table of searches: how far each is, the best value so far and its parameters.

    Args:
        searches: each with what is said in the column "left".
        width: of the table, in characters.
    """
    table = Table(box=None, pad_edge=False, width=width)
    for title in ("search", "framework", "trials", "epochs", "best", "left"):
        table.add_column(title, no_wrap=True)
    table.add_column("best parameters", no_wrap=True, overflow="ellipsis", ratio=1)
    for search, left in searches:
        table.add_row(
            Text(_clean(search.search)),
            Text(_clean(search.framework)),
            _of(search.trials, search.trials_limit),
            _of(search.epochs, search.epochs_limit),
            f"{search.metric} {search.leaders[0].value:.4g}" if search.leaders else "–",
            left,
            Text(_clean(_best_parameters(search))),
        )
    return table


def values_text(parameters: Mapping[str, Any]) -> str:
    """Return parameters in a line: "units 15, learning_rate 0.002"; two that end alike with their whole paths."""
    ends = [name.rpartition(".")[2] for name in parameters]
    names = [end if ends.count(end) == 1 else name for end, name in zip(ends, parameters, strict=True)]
    values = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in parameters.values()]
    return ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))


def _best_parameters(search: SearchProgress) -> str:
    return values_text(search.leaders[0].parameters) if search.leaders else ""


def _of(done: int, limit: int | None) -> str:
    return f"{done}/{limit}" if limit is not None else str(done)


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
