"""A process that has DVC imported already and forks for each command, so that hundreds of runs take minutes.

What a command does is what its command line does: each runs in a fork of its own that has opened no project
before. Run as a program, this file is that process: one JSON object per line, in and out.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Done:
    """How a command ended; of a run of ours also each stage's state."""

    status: int
    output: str
    states: dict[str, str] = field(default_factory=dict)


class WarmProcess:
    """Runs command lines of ``dvc`` and ``dvcgraph``, and the latter's ``reproduce``, one after another."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def dvc(self, folder: Path, *arguments: str, **environment: str) -> Done:
        """Run ``dvc ARGUMENTS`` in ``folder``."""
        return self._ask(kind="dvc", folder=str(folder), arguments=arguments, environment=environment)

    def dvcgraph(self, folder: Path, *arguments: str, **environment: str) -> Done:
        """Run ``python -m dvcgraph ARGUMENTS`` in ``folder``."""
        return self._ask(kind="command line", folder=str(folder), arguments=arguments, environment=environment)

    def reproduce(
        self, folder: Path, targets: Sequence[str] = (), *, jobs: int, force: bool = False, **environment: str
    ) -> Done:
        """Run what ``python -m dvcgraph repro --keep-going`` runs in ``folder``, and note how each stage ended."""
        return self._ask(
            kind="reproduce", folder=str(folder), arguments=targets, jobs=jobs, force=force, environment=environment
        )

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def _ask(self, **request: Any) -> Done:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the warm process ended"
        return Done(**json.loads(answer))


@contextmanager
def warm_process(environment: Mapping[str, str]) -> Iterator[WarmProcess]:
    """Start a process, and end it at last."""
    process = WarmProcess(environment)
    try:
        yield process
    finally:
        process.close()


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile("w+") as notes:
            child = os.fork()
            if child == 0:
                _run(request, output.fileno(), notes)
            _, code = os.waitpid(child, 0)
            output.seek(0)
            notes.seek(0)
            told = json.loads(notes.read() or "{}")
            _import(told.get("modules", []))
            answer = {
                "status": os.waitstatus_to_exitcode(code),
                "output": output.read().decode("utf-8", errors="replace"),
                "states": told.get("states", {}),
            }
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _run(request: dict[str, Any], output: int, notes: Any) -> None:
    """Run one command in this fork, write down what is to be told, and end."""
    status, states = 1, {}
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        sys.argv = ["dvc", *request["arguments"]]  # DVC names itself by it in its locks
        if request["kind"] == "dvc":
            from dvc.cli import main

            status = main(request["arguments"]) or 0
        elif request["kind"] == "command line":
            from dvcgraph.__main__ import main as run

            status = run(request["arguments"])
        else:
            status, states = _reproduce(request)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        json.dump({"states": states, "modules": list(sys.modules)}, notes)
        notes.flush()
        os._exit(status)


def _reproduce(request: dict[str, Any]) -> tuple[int, dict[str, str]]:
    from dvcgraph.errors import GraphError
    from dvcgraph.events import Ended, Event, Output
    from dvcgraph.schedule import reproduce

    def tell(event: Event) -> None:
        if isinstance(event, Output):
            print(f"{event.stage} | {event.line}")
        if isinstance(event, Ended):
            print(f"{event.stage}: {event.outcome.state}: {event.outcome.message}")

    try:
        summary = reproduce(
            Path.cwd(),
            request["arguments"],
            jobs=request["jobs"],
            force=request["force"],
            keep_going=True,
            on_event=tell,
        )
    except GraphError as error:
        print(f"error: {error}")
        return 2, {}
    return int(bool(summary.failed)), {outcome.stage: outcome.state for outcome in summary.outcomes}


def _import(names: Sequence[str]) -> None:
    """Import what a fork had to import, so that the next one need not."""
    for name in names:
        if name not in sys.modules:
            try:
                importlib.import_module(name)
            except Exception:  # some modules exist only under the name their parent gives them
                sys.modules.pop(name, None)


if __name__ == "__main__":
    _serve()
