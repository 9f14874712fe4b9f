"""A Prefect server that lives as long as its owner: a run, or the user interface.

Prefect's own ephemeral server shares the terminal's process group, so that Ctrl-C ends it before the run can
report how it ended (each report then takes minutes to fail), and it outlives a runner that is killed. This
one has a session of its own and watches a pipe: when the owner closes it or dies, however, the server ends.

Run as a program, this file is that server.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tandem.errors import TandemError
from tandem.imports import quick_imports

START_SECONDS = 90.0
HOST = "127.0.0.1"
REPORTS_URL_VARIABLE = "TANDEM_REPORTS_URL"  # where the report server answers, while it runs
_ANSWER_SECONDS = 5.0
_END_SECONDS = 10.0
_POLL_SECONDS = 0.1
_LOCK_SECONDS = 1.0
# By default every state of every task is a transaction of its own, which costs more than the task.
_IN_BATCHES = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "2",
}
_LONGEST_LOG = 1_000_000  # bytes; a longer log is begun anew


class ServerError(TandemError):
    """The server did not start, or is not there."""


class LocalServer:
    """A server on a port of this machine; it starts while its owner does other things.

    Args:
        port: where; by default a free one.
        ui: also serve Prefect's pages, and run the services that schedules and automations need.
    """

    def __init__(self, port: int | None = None, *, ui: bool = False) -> None:
        self.port = free_port() if port is None else port
        self.url = f"http://{HOST}:{self.port}/api"
        self.log = home_in_use() / "server.log"
        self._logged = _begin_log(self.log)
        environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
        environment |= {"PREFECT_SERVER_API_HOST": HOST, "PREFECT_SERVER_API_PORT": str(self.port)}
        environment |= _IN_BATCHES | {"PREFECT__SERVER_FINAL": "1"}
        if ui:
            environment |= {"PREFECT_UI_ENABLED": "1", "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "0"}
            environment |= {"PREFECT_SERVER_UI_V2_ENABLED": "0"}  # whose pages report on their use
        else:
            environment |= {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "flows.server", str(self.port)],
                env=environment | {"PYTHONPATH": python_path()},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Wait until the server answers.

        Raises:
            ServerError: it ended, or did not answer in time.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServerError(
                    f"Prefect's server ended with exit status {self.process.returncode}"
                    f"{last_words(self.log, self._logged)}; see {self.log}. "
                    "A damaged database is replaced if you delete .prefect/"
                )
            if answers(self.url):
                return
            time.sleep(_POLL_SECONDS)
        raise ServerError(f"Prefect's server did not answer at {self.url} within {seconds:.0f} s; see {self.log}")

    def stop(self) -> None:
        """End the server."""
        assert self.process.stdin is not None  # noqa: S101 - for the type checker
        self.process.stdin.close()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running_server() -> Iterator[LocalServer | None]:
    """Start a server for the flows called inside, unless one is there already.

    That is: one that settings or a test name, or the one of this project's user interface.
    :func:`flows.prefect_settings.apply` comes first. Prefect may be imported inside only, at once; call
    ``wait`` before calling a flow.

    Raises:
        ServerError: the server that is named does not answer.
    """
    named = os.environ.get("PREFECT_API_URL") or _configured_url()
    if named:
        require_server(named)
        yield None
        return
    interface = user_interface(home_in_use())
    server = LocalServer() if interface is None else None
    url = interface.api if interface is not None else server.url if server is not None else ""
    os.environ["PREFECT_API_URL"] = url
    if interface is not None:
        os.environ[REPORTS_URL_VARIABLE] = interface.reports
    try:
        with _settings_of(url):
            try:
                yield server
            finally:
                _send_what_is_left()  # else Prefect waits for minutes, at exit, for a server that is gone
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        if interface is not None:
            os.environ.pop(REPORTS_URL_VARIABLE, None)
        if server is not None:
            server.stop()


def require_server(url: str) -> None:
    """Check within seconds that a Prefect server answers.

    Raises:
        ServerError: it does not.
    """
    if not answers(url):
        raise ServerError(
            f"no Prefect server answers at {url}; start it, or unset TANDEM_PREFECT_API_URL "
            "for a server of this project's own"
        )


def answers(url: str) -> bool:
    """Say whether a Prefect server answers at the URL of its API."""
    with (
        contextlib.suppress(OSError, ValueError, urllib.error.URLError),
        urllib.request.urlopen(f"{url}/health", timeout=_ANSWER_SECONDS) as answer,  # noqa: S310 - http, checked
    ):
        return answer.status == 200 and answer.read(100).strip() == b"true"
    return False


@dataclass(frozen=True)
class UserInterface:
    """Where the user interface of a project answers."""

    api: str  # of Prefect's server
    reports: str  # the report server


@contextmanager
def announced(home: Path, interface: UserInterface) -> Iterator[None]:
    """Let runs of this project find its user interface, for as long as this process lives.

    Raises:
        ServerError: another one is there.
    """
    path = _announcement(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        deadline = time.monotonic() + _LOCK_SECONDS  # whoever looks for a server holds the lock for a moment
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    other = user_interface(home)
                    place = f" at {other.api.removesuffix('/api')}" if other else ""
                    raise ServerError(
                        f"the user interface of this project runs already{place}; use that one, or stop it first"
                    ) from None
                time.sleep(_POLL_SECONDS)
        file.truncate(0)
        file.write(json.dumps(asdict(interface)))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def user_interface(home: Path) -> UserInterface | None:
    """Return where this project's user interface is, if it runs and its server answers."""
    try:
        with _announcement(home).open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:  # its owner lives
                found = UserInterface(**json.loads(file.read() or "{}"))
                return found if answers(found.api) else None
    except (OSError, ValueError, TypeError):
        pass
    return None


def _announcement(home: Path) -> Path:
    return home / "ui.lock"


def home_in_use() -> Path:
    """Return Prefect's home, as :func:`flows.prefect_settings.apply` has set it."""
    return Path(os.environ.get("PREFECT_HOME", ".prefect")).resolve()


def free_port() -> int:
    """Return a port of the loopback address that nobody uses."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def python_path() -> str:
    """Return a PYTHONPATH with which a child finds the packages that this process runs from."""
    own = str(Path(__file__).resolve().parents[1])
    rest = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join([own, *(part for part in rest if part not in ("", own))])


def last_words(log: Path, start: int = 0) -> str:
    """Return ": " and the last line that was logged after ``start`` bytes, or an empty text."""
    try:
        with log.open("rb") as file:
            file.seek(start)
            lines = file.read().decode("utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return f": {said[-1][:300]}" if said else ""


def _begin_log(log: Path) -> int:
    """Make the folder of a log, and return how many bytes it holds already."""
    log.parent.mkdir(parents=True, exist_ok=True)
    size = log.stat().st_size if log.exists() else 0
    if size > _LONGEST_LOG:
        log.unlink()
        return 0
    return size


def _configured_url() -> str | None:
    if "prefect" not in sys.modules:
        return None
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


@contextmanager
def _settings_of(url: str) -> Iterator[None]:
    """Point a Prefect that is imported already, with its settings read, to a server."""
    if "prefect" not in sys.modules:
        yield
        return
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(updates={PREFECT_API_URL: url}):
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


def _own_connections_only(application: Any) -> Any:
    """Forbid the pages to connect to other machines: some of Prefect's would report on their use."""
    policy = "connect-src 'self' http://127.0.0.1:* http://localhost:* ws://127.0.0.1:* ws://localhost:*"

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"content-security-policy", policy.encode())]
            await send(message)

        await application(scope, receive, send_with_policy)

    return answer


def _serve(port: int) -> None:
    threading.Thread(target=_end_with_owner, daemon=True).start()
    with quick_imports():
        import uvicorn
        from prefect.server.api.server import create_app

    uvicorn.run(_own_connections_only(create_app(final=True)), host=HOST, port=port, log_level="error")


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
