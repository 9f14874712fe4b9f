"""``python -m dvcgraph repro [TARGETS] [-j N] [--force] [--keep-going] [--dry]``: run a DVC graph in parallel."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from dvcgraph.adapter import Graph
from dvcgraph.errors import GraphError, StoppedError
from dvcgraph.events import Ended, Event, Notice, Output, Waiting
from dvcgraph.schedule import reproduce, stop_on_signals

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0; 1 if a stage failed; 2 if the graph cannot be run; 130 if it was interrupted.
    """
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a stage may write what this terminal cannot show
    try:
        if options.dry:
            return _show_plan(options.targets)
        summary = reproduce(
            Path.cwd(),
            options.targets,
            jobs=_jobs(options.jobs),
            force=options.force,
            keep_going=options.keep_going,
            on_event=_print,
            stopping=stop_on_signals,
        )
    except StoppedError:
        print("interrupted before anything ran", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output is gone; the run was stopped in order
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except GraphError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was finished is recorded", file=sys.stderr)
        return INTERRUPTED
    if summary.stopped:
        print("interrupted; what was finished is recorded", file=sys.stderr)
        return INTERRUPTED
    print(summary.text)
    return 1 if summary.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dvcgraph", description="Runs the stages of a DVC project in parallel, as `dvc repro` would."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    repro = commands.add_parser("repro", help="bring stages up to date, as `dvc repro` does")
    repro.add_argument("targets", nargs="*", help="stages or DVC files; all of ./dvc.yaml by default")
    repro.add_argument("-j", "--jobs", metavar="N", help="threads that may work at a time; by default the cores")
    repro.add_argument("-f", "--force", action="store_true", help="run commands even if nothing changed")
    repro.add_argument(
        "-k", "--keep-going", action="store_true", help="after a failure, go on with what does not depend on it"
    )
    repro.add_argument("--dry", action="store_true", help="only say what would run")
    return parser


def _jobs(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise GraphError(f"jobs is {text}; allowed: a whole number of at least 1") from None


def _print(event: Event) -> None:
    match event:
        case Output(stage, line):
            print(f"{stage} | {line}", flush=True)
        case Waiting(stage, reason):
            print(f"{stage}: {reason}", flush=True)
        case Notice(text):
            print(text, flush=True)
        case Ended(stage, outcome):
            message = f": {outcome.message}" if outcome.message else ""
            print(f"{stage}: {outcome.state} ({outcome.seconds:.1f} s){message}", flush=True)
            if outcome.state == "failed":
                for line in outcome.tail:
                    print(f"{stage} >> {line}", flush=True)
                if outcome.log is not None:
                    print(f"{stage}: its output is in {outcome.log}", flush=True)


def _show_plan(targets: Sequence[str]) -> int:
    graph = Graph.load(Path.cwd(), targets)
    try:
        stale: set[str] = set()
        for node in graph.stages:
            after = [name for name in node.upstream if name in stale]
            if graph.looks_changed(node.name):
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
