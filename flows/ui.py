"""The user interface: Prefect's server, the deployments and the report server, started and ended together.

``python -m flows.ui`` in the project's folder. Each part is a process in a session of its own that watches a pipe
from this one: they end in order on Ctrl-C, SIGTERM and when the terminal is closed, and by themselves when this
process is killed.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

import psutil

from flows import prefect_settings
from flows.prefect_settings import API_URL_VARIABLE
from flows.publishing import PUBLISHED
from flows.server import (
    HOST,
    REPORTS_URL_VARIABLE,
    LocalServer,
    ServerError,
    UserInterface,
    announced,
    home_in_use,
    last_words,
    python_path,
    require_server,
)
from stages import paths
from tandem.config import read_params
from tandem.errors import ParameterError, TandemError

PORT = 4200
REPORTS_PORT = 4201
RUNS_AT_ONCE = 2

_START_SECONDS = 60.0
_END_SECONDS = 20.0  # longer than the deployments' own grace
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class UiOptions:
    """How the user interface is started.

    Attributes:
        port: of Prefect's server and its pages.
        reports_port: of the report server.
        limit: how many flow runs may go on at a time.
        nightly: when the pipeline runs by itself, as a cron line in local time; None: never.
    """

    port: int = PORT
    reports_port: int = REPORTS_PORT
    limit: int = RUNS_AT_ONCE
    nightly: str | None = None


def run_ui(root: Path, options: UiOptions, say: Callable[[str], None] = print) -> None:
    """Start everything, say where it is, and go on until a signal comes or a part ends.

    Args:
        root: the project's folder.
        options: ports and limits.
        say: told each line for the user.

    Raises:
        TandemError: a port is taken, the declaration is wrong, a part did not start or has ended by itself.
    """
    root = root.resolve()
    with _signals_as_interrupt():
        try:
            with _started(root, options, say) as parts:
                say("Ctrl-C stops all of it")
                while True:
                    for part in parts:
                        part.require_alive()
                    time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            say("stopped")


@contextmanager
def _started(root: Path, options: UiOptions, say: Callable[[str], None]) -> Iterator[list[_Part]]:
    read_params(root / paths.PARAMS)
    named = os.environ.get(API_URL_VARIABLE)
    prefect_settings.apply(root)
    _check_options(options)
    if named:
        require_server(named.rstrip("/"))
    else:
        _require_free(options.port, "--port")
    _require_free(options.reports_port, "--reports-port")
    home = home_in_use()
    api = named.rstrip("/") if named else f"http://{HOST}:{options.port}/api"
    reports = f"http://{HOST}:{options.reports_port}"
    with ExitStack() as stack:
        if not named:
            stack.enter_context(announced(home, UserInterface(api, reports)))
        say("starting ...")
        parts = []
        environment = os.environ | {"PYTHONPATH": python_path(), REPORTS_URL_VARIABLE: reports}
        if not named:
            server = LocalServer(options.port, ui=True)
            stack.callback(server.stop)
            parts.append(_Part("Prefect's server", server.process, server.log))
        site = _start_reports(root, options, environment, home)
        stack.callback(site.stop)
        parts.append(site)
        if not named:
            server.wait()
        site.wait_for(reports)
        served = _start_deployments(root, options, environment | {"PREFECT_API_URL": api}, home)
        stack.callback(served.stop)
        parts.append(served)
        served.wait_until_ready()
        say(f"Prefect:  {api.removesuffix('/api')}")
        say(f"reports:  {reports}")
        yield parts


@dataclass
class _Part:
    """A process of the user interface that ends when its standard input is closed."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    ready: IO[bytes] | None = None  # where it says that it is ready

    def require_alive(self) -> None:
        """Check that it runs.

        Raises:
            ServerError: it does not.
        """
        status = self.process.poll()
        if status is not None:
            said = last_words(self.log)
            raise ServerError(f"{self.name} ended with exit status {status}{said}; see {self.log}")

    def wait_for(self, url: str) -> None:
        """Wait until it answers at a URL.

        Raises:
            ServerError: it ended, or does not answer.
        """
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            self.require_alive()
            with (
                contextlib.suppress(OSError, urllib.error.URLError),
                urllib.request.urlopen(url, timeout=5),  # noqa: S310 - our own URL
            ):
                return
            time.sleep(_POLL_SECONDS)
        raise ServerError(f"{self.name} did not answer at {url} within {_START_SECONDS:.0f} s; see {self.log}")

    def wait_until_ready(self) -> None:
        """Wait until it says that it is ready.

        Raises:
            ServerError: it ended before.
        """
        assert self.ready is not None  # noqa: S101 - for the type checker
        with self.ready as pipe:
            if not pipe.readline():
                self.process.wait()
                self.require_alive()

    def stop(self) -> None:
        """End it, and every process of its group."""
        assert self.process.stdin is not None  # noqa: S101 - for the type checker
        self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _start_reports(root: Path, options: UiOptions, environment: dict[str, str], home: Path) -> _Part:
    command = ["flows.report_server", "--folder", str(root / PUBLISHED), "--port", str(options.reports_port)]
    return _start("the report server", command, root, environment, home / "reports.log")


def _start_deployments(root: Path, options: UiOptions, environment: dict[str, str], home: Path) -> _Part:
    receiving, sending = os.pipe()
    try:
        command = ["flows.deployments", str(options.limit), options.nightly or "", str(sending)]
        part = _start(
            "the process of the deployments", command, root, environment, home / "deployments.log", (sending,)
        )
    except BaseException:
        os.close(receiving)
        raise
    finally:
        os.close(sending)
    part.ready = os.fdopen(receiving, "rb")
    return part


def _start(
    name: str, command: Sequence[str], root: Path, environment: dict[str, str], log: Path, passed: Sequence[int] = ()
) -> _Part:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", *command],
            cwd=root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=passed,
        )
    return _Part(name, process, log)


# ------------------------------------------------------------------------------------ options and ports


def _check_options(options: UiOptions) -> None:
    for name, port in (("--port", options.port), ("--reports-port", options.reports_port)):
        if not 1 <= port <= 65535:
            raise ParameterError(f"{name}: {port} is no port; allowed: 1 to 65535")
    if options.port == options.reports_port:
        raise ParameterError(f"--port and --reports-port are both {options.port}; choose two different ones")
    if options.limit < 1:
        raise ParameterError(f"--limit: {options.limit} runs at a time; allowed: 1 or more")
    if options.nightly is not None and not _is_cron(options.nightly):
        raise ParameterError(
            f"--nightly: '{options.nightly}' is no cron line; write minute, hour, day, month and weekday, "
            "for instance '0 3 * * *' for three o'clock every night"
        )


def _is_cron(line: str) -> bool:
    from prefect.client.schemas.schedules import CronSchedule

    try:
        CronSchedule(cron=line)
    except ValueError:
        return False
    return True


def _require_free(port: int, option: str) -> None:
    """Check that a port can be had.

    Raises:
        ServerError: it cannot; the message says who has it, if this user may know.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ServerError(
                    f"port {port} of {HOST} cannot be had ({error.strerror}); choose another one with {option}"
                ) from None
            raise ServerError(
                f"port {port} of {HOST} is taken by {_owner(port)}; end that, or choose another port with {option}"
            ) from None


def _owner(port: int) -> str:
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return "another program"


@contextmanager
def _signals_as_interrupt() -> Iterator[None]:
    """Let SIGTERM and the end of the terminal stop everything in order, as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and start; a failure is one clear line on stderr and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m flows.ui", description="Start the user interface.")
    parser.add_argument("--port", type=int, default=PORT, help="of Prefect's pages (default: %(default)s)")
    parser.add_argument("--reports-port", type=int, default=REPORTS_PORT, help="of the reports (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=RUNS_AT_ONCE, help="flow runs at a time (default: %(default)s)")
    parser.add_argument("--nightly", metavar="CRON", help="run the pipeline by itself, for instance at '0 3 * * *'")
    chosen = parser.parse_args(arguments)
    options = UiOptions(chosen.port, chosen.reports_port, chosen.limit, chosen.nightly)
    try:
        run_ui(Path.cwd(), options, lambda line: print(line, flush=True))
    except TandemError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
