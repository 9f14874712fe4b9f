"""What a check says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "warning", "problem"]
SectionTitle = Literal["Interpreter", "Machine", "GPUs", "Frameworks", "Packages", "Workspace", "Suite"]
LEVELS: tuple[Level, ...] = ("ok", "note", "warning", "problem")
SECTIONS: tuple[SectionTitle, ...] = (
    "Interpreter", "Machine", "GPUs", "Frameworks", "Packages", "Workspace", "Suite",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: ok; note: good to know; warning: the suite runs, but not as well as it could; problem: it cannot run.
        topic: a word or two.
        found: what is there.
        remedy: what to do about it, in plain words; every warning and problem has one.
        command: the exact command that does it, where there is one.
    """

    level: Level
    topic: str
    found: str
    remedy: str = ""
    command: str = ""

    def __post_init__(self) -> None:
        if self.level in ("warning", "problem") and not self.remedy:
            raise ValueError(f"{self.topic}: a {self.level} without a remedy")


@dataclass(frozen=True)
class Section:
    """Findings about one part of the environment."""

    title: SectionTitle
    findings: tuple[Finding, ...]


def exit_status(sections: Iterable[Section]) -> int:
    """Return 0 when the declared suite can run, and 1 when a problem keeps it from running."""
    return int(any(finding.level == "problem" for section in sections for finding in section.findings))
