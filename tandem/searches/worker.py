"""The process that trains settings one by one: ``python -m tandem.searches.worker``.

:mod:`tandem.searches.processes` starts it and says what to do by lines of JSON on its standard input; it answers by
lines of JSON on its standard output, where nothing else is printed. It ends as soon as its input closes.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, TextIO

Commands = queue.SimpleQueue[dict[str, Any]]
Answer = Callable[[str, Any], None]


def main() -> None:
    """Follow commands until the input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the search, whose end ends this process
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    commands: Commands = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin, commands), daemon=True).start()

    def answer(kind: str, value: Any) -> None:
        answers.write(json.dumps({kind: value}).encode() + b"\n")

    try:
        _work(commands, answer)
    except Exception as error:
        from tandem.errors import TandemError

        if not isinstance(error, TandemError):
            traceback.print_exc()
        answer("error", {"kind": type(error).__name__, "text": str(error), "clear": isinstance(error, TandemError)})
        sys.stderr.flush()
        os._exit(1)  # without waiting for the thread that reads


def _listen(pipe: TextIO, commands: Commands) -> None:
    """Pass commands on; end this process, whatever it is at, when the search has ended or wants it to."""
    for line in pipe:
        commands.put(json.loads(line))
    os._exit(0)


def _work(commands: Commands, answer: Answer) -> None:
    from pydantic import TypeAdapter

    from tandem.config import Experiment
    from tandem.frameworks import load_framework
    from tandem.searches.alone import AloneEvaluator
    from tandem.searches.evaluator import Result, Setting
    from tandem.searches.folds import load_folds
    from tandem.searches.processes import Work

    work = Work.model_validate(commands.get())
    folds = load_folds(work.fit, work.scaler, work.protocol)
    framework = load_framework(work.framework, alone=True)
    framework.set_up(work.threads)
    evaluator = AloneEvaluator(framework, work.metric, folds)
    results = TypeAdapter(Result)
    while True:
        command = commands.get()
        if "drop" in command:
            evaluator.drop(command["drop"])
            continue
        setting = Setting(command["number"], Experiment.model_validate_json(command["experiment"]))
        evaluator.train(
            [setting],
            command["epochs"],
            lambda result: answer("result", results.dump_python(result, mode="json")),
            lambda epochs: answer("epochs", epochs),
        )


if __name__ == "__main__":
    main()
