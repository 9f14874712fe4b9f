"""What every stage's command line shares: arguments in, one clear line and exit status 1 on an error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from tandem.errors import ParameterError, TandemError


def take_arguments(arguments: list[str], stage: str, *names: str) -> tuple[str, ...]:
    """Return the arguments of a stage.

    Raises:
        ParameterError: there are more or fewer than ``names``.
    """
    if len(arguments) != len(names):
        raise ParameterError(
            f"{len(arguments)} arguments given; usage: {' '.join(('python -m stages.' + stage, *names))}"
        )
    return tuple(arguments)


def run_stage_command(function: Callable[[list[str]], None]) -> int:
    """Call ``function`` with the command's arguments; print a TandemError as plain lines.

    Set ``TANDEM_DEBUG=1`` to see the traceback instead.

    Returns:
        The exit status: 0, 1 after an error of Tandem's, 75 (try again later) after one that may pass, 130 after
        Ctrl-C.
    """
    try:
        function(sys.argv[1:])
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except TandemError as error:
        if os.environ.get("TANDEM_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return getattr(error, "exit_status", 1)
    return 0


def limit_threads(threads: int) -> None:
    """Set what the frameworks' thread pools read when they are imported."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
