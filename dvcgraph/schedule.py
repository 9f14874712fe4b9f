"""Runs a graph's stages in order: a failed one stops what depends on it, and nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dvcgraph.adapter import Graph, StageNode
from dvcgraph.events import Ended, Event, Listener, Outcome, Output, Progress, Queued, Started, Summary
from dvcgraph.run import run_stage

FOLDER = ".dvcgraph"  # beside .dvc; ignored by git through a .gitignore of its own


class Reproduction:
    """One run of a graph: give it its stages, in their order, one by one."""

    def __init__(
        self, graph: Graph, *, force: bool, on_event: Listener, environment: Mapping[str, str], logs: Path
    ) -> None:
        self.stages: tuple[StageNode, ...] = graph.stages
        self.logs = logs
        self._graph = graph
        self._force = force
        self._on_event = on_event
        self._environment = environment
        self._nodes = {node.name: node for node in graph.stages}
        self._outcomes: dict[str, Outcome] = {}
        self._stopped_by: dict[str, str] = {}  # failed or skipped stage -> the one that failed
        for node in self.stages:
            on_event(Queued(node.name, node.upstream))

    def run(self, name: str, on_event: Listener | None = None) -> Outcome:
        """Run one stage, or skip it because of a failure before it.

        Args:
            name: the stage; the stages it depends on must have been run.
            on_event: told this stage's events too, before the run's own listener.
        """

        def tell(event: Event) -> None:
            if on_event is not None:
                on_event(event)
            self._on_event(event)

        tell(Started(name))
        outcome = self._skipped(name) or run_stage(
            self._graph,
            name,
            force=self._force,
            on_output=lambda line: tell(Output(name, line)),
            on_progress=lambda values: tell(Progress(name, values)),
            environment=self._environment,
            logs=self.logs,
        )
        self._outcomes[name] = outcome
        if outcome.state == "failed":
            self._stopped_by[name] = name
        tell(Ended(name, outcome))
        return outcome

    @property
    def summary(self) -> Summary:
        """How the stages that were run ended."""
        return Summary(tuple(self._outcomes.values()))

    def _skipped(self, name: str) -> Outcome | None:
        for upstream in self._nodes[name].upstream:
            if upstream in self._stopped_by:
                failed = self._stopped_by[name] = self._stopped_by[upstream]
                return Outcome(name, "skipped", message=f"{failed} failed")
        return None


@contextmanager
def open_reproduction(
    root: Path,
    targets: Sequence[str] = (),
    *,
    force: bool = False,
    on_event: Listener,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Reproduction]:
    """Load the graph, and at the end, whatever it is, write what was finished to ``dvc.lock``.

    Raises:
        GraphError: the project cannot be loaded, or a target does not exist; nothing was touched.
    """
    graph = Graph.load(Path(root), targets)
    try:
        yield Reproduction(
            graph,
            force=force,
            on_event=on_event,
            environment=os.environ if environment is None else environment,
            logs=_new_log_folder(graph.root),
        )
    finally:
        graph.close()


def reproduce(
    root: Path,
    targets: Sequence[str] = (),
    *,
    force: bool = False,
    on_event: Listener,
    environment: Mapping[str, str] | None = None,
) -> Summary:
    """Run what ``dvc repro --keep-going TARGETS`` would run in ``root``.

    Args:
        root: the folder from which targets are named, in a DVC project.
        targets: stages, groups of stages (``train``), ``dvc.yaml`` or ``.dvc`` files; by default the stages
            of ``root/dvc.yaml``. What they depend on runs too.
        force: run commands even if nothing changed.
        on_event: told what happens, in this thread.
        environment: what the commands' environment is made from; by default this process's.

    Raises:
        GraphError: the project cannot be loaded, or a target does not exist; nothing was touched.
    """
    with open_reproduction(root, targets, force=force, on_event=on_event, environment=environment) as reproduction:
        for node in reproduction.stages:
            reproduction.run(node.name)
        return reproduction.summary


def _new_log_folder(root: Path) -> Path:
    """Return the path of this run's logs, ``.dvcgraph/logs/<run>``; made when the first command runs."""
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
    return folder / "logs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{time.monotonic_ns() % 10**6}"
