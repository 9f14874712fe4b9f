"""What a run tells while it goes on: frozen events, and the outcome of each stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

State = Literal["unchanged", "restored", "completed", "failed", "skipped"]


@dataclass(frozen=True)
class Outcome:
    """How a stage ended.

    ``unchanged``: nothing to do; ``restored``: its outs came from DVC's cache; ``completed``: its command
    ran, or (a frozen stage, a ``.dvc`` file) what lies there was recorded; ``failed``: it, or the recording
    of its outs, failed; ``skipped``: a stage that it depends on failed, or the run was stopped before it began.
    """

    stage: str
    state: State
    seconds: float = 0.0
    message: str = ""
    tail: tuple[str, ...] = ()  # the last lines of its output
    status: int | None = None  # exit status of its last command, negative for a signal; None if none ran
    log: Path | None = None  # all of its output; None if no command ran


@dataclass(frozen=True)
class Queued:
    """A stage belongs to this run; one event for each, inputs before what depends on them."""

    stage: str
    upstream: tuple[str, ...]


@dataclass(frozen=True)
class Waiting:
    """A stage could run, but for a device, another DVC process, or a pause before another try."""

    stage: str
    reason: str


@dataclass(frozen=True)
class Started:
    """A stage's command starts; a stage that needs no command, or is skipped, has no such event."""

    stage: str
    devices: tuple[str, ...] = ()  # that it leases, such as "gpu:0"
    log: Path | None = None  # where all of its output goes


@dataclass(frozen=True)
class Output:
    """One line that a stage's command wrote, or that the runner says about it."""

    stage: str
    line: str


@dataclass(frozen=True)
class Progress:
    """What a stage told about its progress, as it wrote it."""

    stage: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Ended:
    """A stage ended."""

    stage: str
    outcome: Outcome


@dataclass(frozen=True)
class Notice:
    """Something about the run as a whole, such as the other run that it waits for."""

    text: str


Event = Queued | Waiting | Started | Output | Progress | Ended | Notice
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Summary:
    """How a run ended: the outcomes in the order in which the stages ended."""

    outcomes: tuple[Outcome, ...] = field(default=())
    stopped: bool = False  # by a signal or a caller, before every stage had ended

    def stages(self, *states: State) -> tuple[str, ...]:
        """Return the names of the stages that ended in one of ``states``."""
        return tuple(outcome.stage for outcome in self.outcomes if outcome.state in states)

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the stages that failed themselves."""
        return self.stages("failed")

    @property
    def text(self) -> str:
        """Return, for instance, "3 completed, 1 failed, 2 skipped"."""
        states: tuple[State, ...] = ("completed", "restored", "unchanged", "failed", "skipped")
        counts = [(len(self.stages(state)), state) for state in states]
        return ", ".join(f"{count} {state}" for count, state in counts if count) or "no stages"
