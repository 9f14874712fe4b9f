"""``python -m dvcgraph repro [TARGETS] [--force] [--dry]``: run a DVC graph from the shell."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from dvcgraph.adapter import Graph
from dvcgraph.errors import GraphError
from dvcgraph.events import Ended, Event, Output
from dvcgraph.schedule import reproduce


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0; 1 if a stage failed; 2 if the graph cannot be run; 130 if it was interrupted.
    """
    options = _parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        if options.dry:
            return _show_plan(options.targets)
        summary = reproduce(Path.cwd(), options.targets, force=options.force, on_event=_print)
    except GraphError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was finished is recorded", file=sys.stderr)
        return 130
    print(summary.text)
    return 1 if summary.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dvcgraph", description="Runs a DVC graph; a failed stage stops only its dependents."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    repro = commands.add_parser("repro", help="bring stages up to date, as `dvc repro --keep-going` does")
    repro.add_argument("targets", nargs="*", help="stages or DVC files; all of ./dvc.yaml by default")
    repro.add_argument("-f", "--force", action="store_true", help="run commands even if nothing changed")
    repro.add_argument("--dry", action="store_true", help="only say what would run")
    return parser


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Let SIGTERM end commands and record what is finished, as Ctrl-C does."""
    raise KeyboardInterrupt


def _print(event: Event) -> None:
    match event:
        case Output(stage, line):
            print(f"{stage} | {line}", flush=True)
        case Ended(stage, outcome):
            message = f": {outcome.message}" if outcome.message else ""
            print(f"{stage}: {outcome.state} ({outcome.seconds:.1f} s){message}", flush=True)
            if outcome.state == "failed" and outcome.log is not None:
                print(f"{stage}: its output is in {outcome.log}", flush=True)


def _show_plan(targets: Sequence[str]) -> int:
    graph = Graph.load(Path.cwd(), targets)
    try:
        stale: set[str] = set()
        for node in graph.stages:
            after = [name for name in node.upstream if name in stale]
            if graph.changed(node.name):
                stale.add(node.name)
                print(f"{node.name}: would run: {' && '.join(node.commands) or 'record what lies there'}")
            elif after:
                stale.add(node.name)
                print(f"{node.name}: would run if {', '.join(after)} changes its inputs")
            else:
                print(f"{node.name}: unchanged")
    finally:
        graph.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
