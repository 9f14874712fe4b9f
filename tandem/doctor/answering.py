"""The child's side of a probe: ``answering.py PROBE_FILE REQUEST`` writes one JSON object to standard output.

It is run by its file and imports nothing of Tandem's, since it may run where Tandem's packages are missing.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType


def main(probe_file: str, request: str) -> None:
    """Run a probe and end the process at once: what a framework does at its end is of no interest."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what a framework prints is no part of the answer
    message: dict[str, object]
    try:
        message = {"answer": _load(Path(probe_file)).probe(json.loads(request))}
    except ModuleNotFoundError as error:
        message = {"failure": {"kind": "missing", "text": _text(error), "module": error.name or ""}}
    except BaseException as error:  # SystemExit too: a package may end the process that imports it
        message = {"failure": {"kind": "raised", "text": _text(error)}}
    with os.fdopen(answers, "w", encoding="utf-8") as file:
        file.write(json.dumps(message))
    os._exit(0)


def _load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tandem_probe_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _text(error: BaseException) -> str:
    """Return the exception in a line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


if __name__ == "__main__":
    main(sys.argv[2], sys.argv[3])
