"""A Prefect server that lives as long as a run.

Prefect's own ephemeral server shares the terminal's process group, so that Ctrl-C ends it before the run can
report how it ended (each report then takes minutes to fail), and it outlives a runner that is killed. This
one has a session of its own and watches a pipe: when the runner closes it or dies, however, the server ends.

Run as a program, this file is that server.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 90.0
_HOST = "127.0.0.1"
_END_SECONDS = 10.0
_POLL_SECONDS = 0.1


class ServerError(RuntimeError):
    """The server did not start."""


class LocalServer:
    """A server on a free port of this machine; it starts while its owner does other things."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind((_HOST, 0))
            port = probe.getsockname()[1]
        self.url = f"http://{_HOST}:{port}/api"
        environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).resolve()), str(port)],
            env=environment
            | {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Wait until the server answers.

        Raises:
            ServerError: it ended, or did not answer in time.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServerError(
                    f"Prefect's server ended with exit status {self._process.returncode}; "
                    "its message is above. A damaged database is replaced if you delete .prefect/"
                )
            with (
                contextlib.suppress(OSError, urllib.error.URLError),
                urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer,  # noqa: S310 - our own URL
            ):
                if answer.status == 200:
                    return
            time.sleep(_POLL_SECONDS)
        raise ServerError(f"Prefect's server did not answer at {self.url} within {seconds:.0f} s; try again")

    def stop(self) -> None:
        """End the server."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running_server() -> Iterator[LocalServer | None]:
    """Start a server for the flows called inside, unless settings or a test already name one.

    :func:`flows.prefect_settings.apply` comes first. Prefect may be imported inside only, at once; call
    ``wait`` before calling a flow.
    """
    if os.environ.get("PREFECT_API_URL") or _configured_url():
        yield None
        return
    server = LocalServer()
    os.environ["PREFECT_API_URL"] = server.url
    try:
        with _settings_of(server):
            try:
                yield server
            finally:
                _send_what_is_left()  # else Prefect waits for minutes, at exit, for a server that is gone
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        server.stop()


def _configured_url() -> str | None:
    if "prefect" not in sys.modules:
        return None
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


@contextmanager
def _settings_of(server: LocalServer) -> Iterator[None]:
    """Point a Prefect that is imported already, with its settings read, to this server."""
    if "prefect" not in sys.modules:
        yield
        return
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(updates={PREFECT_API_URL: server.url}):
        yield


def _send_what_is_left() -> None:
    """Wait for the log lines and task states that Prefect sends in the background."""
    if "prefect" not in sys.modules:
        return
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    with contextlib.suppress(Exception):
        EventsWorker.drain_all(timeout=_END_SECONDS)
        APILogWorker.drain_all(timeout=_END_SECONDS)


def _end_with_owner() -> None:
    sys.stdin.buffer.read()  # returns when the owner closed the pipe, or is gone
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_END_SECONDS / 2)
    os._exit(1)


def _serve(port: int) -> None:
    import uvicorn

    threading.Thread(target=_end_with_owner, daemon=True).start()
    uvicorn.run("prefect.server.api.server:create_app", factory=True, host=_HOST, port=port, log_level="error")


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
