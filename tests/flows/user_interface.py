"""A genuine `python -m flows.ui` for tests, and its server's API."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests

from flows.server import free_port

PATIENCE_SECONDS = 120.0
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class Interface:
    """A running user interface of a project."""

    def __init__(self, root: Path, environment: Mapping[str, str], *arguments: str) -> None:
        self.root = root
        self.address = f"http://127.0.0.1:{free_port()}"
        self.reports = f"http://127.0.0.1:{free_port()}"
        ports = ("--port", self.address.rpartition(":")[2], "--reports-port", self.reports.rpartition(":")[2])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flows.ui", *ports, *arguments],
            cwd=root, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        self.said = list(self._lines_until_started())

    def _lines_until_started(self) -> Iterator[str]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield line.rstrip("\n")
            if line.startswith("Ctrl-C"):
                return
        raise AssertionError("it ended before it had started")

    def family(self) -> list[psutil.Process]:
        """Return the processes of all parts, and what they started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: int = signal.SIGINT) -> str:
        """End it by a signal; return the rest of what it said. No process of it is left."""
        family = self.family() if self.process.poll() is None else []
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        rest, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        _, alive = psutil.wait_procs(family, timeout=PATIENCE_SECONDS)
        for process in alive:
            process.kill()
        assert not alive, alive
        return rest

    def ask(self, path: str, body: Any = None) -> Any:
        """Call the server's API; as Prefect's own client, try again when its database is busy (503)."""
        for _ in range(20):
            answer = requests.request(
                "GET" if body is None else "POST", f"{self.address}/api/{path}", json=body, timeout=60
            )
            if answer.status_code != requests.codes.service_unavailable:
                break
            time.sleep(0.5)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def deployment(self, name: str = "pipeline") -> dict[str, Any]:
        return next(one for one in self.ask("deployments/filter", {}) if one["name"] == name)

    def start(self, deployment: str = "pipeline", **parameters: Any) -> str:
        """Start a flow run; return its identifier."""
        path = f"deployments/{self.deployment(deployment)['id']}/create_flow_run"
        return self.ask(path, {"parameters": parameters})["id"]

    def refusal(self, deployment: str = "pipeline", **parameters: Any) -> str:
        """Return what the server says against these parameters."""
        try:
            self.start(deployment, **parameters)
        except requests.HTTPError as error:
            return error.response.json()["detail"]
        raise AssertionError("it was not refused")

    def state(self, run: str) -> dict[str, Any]:
        return self.ask(f"flow_runs/{run}")["state"]

    def end(self, run: str) -> dict[str, Any]:
        """Wait until a flow run is over; return its state."""
        wait_for(lambda: self.state(run)["type"] in FINAL, lambda: str(self.state(run)))
        return self.state(run)

    def tasks(self, run: str) -> dict[str, tuple[str, str]]:
        """Return the type and the name of each task's state, the newest of a name."""
        found = self.ask("task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}, "limit": 200})
        found.sort(key=lambda task: task["created"])
        return {task["name"]: (task["state"]["type"], task["state"]["name"]) for task in found if task["state"]}

    def await_tasks(self, run: str, expected: Mapping[str, tuple[str, str]]) -> None:
        """Wait until these tasks are in these states: the server learns of them a little later."""
        wait_for(lambda: expected.items() <= self.tasks(run).items(), lambda: str(self.tasks(run)))

    def artifacts(self, run: str) -> dict[str, dict[str, Any]]:
        found = self.ask("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
        return {artifact["key"]: artifact for artifact in found}


def find(page: Any, xpath: str) -> Any:
    """Wait for an element that is shown; return it."""
    return _act(page, xpath, lambda element: element if element.is_displayed() else None)


def click(page: Any, xpath: str) -> None:
    """Wait for an element that can be clicked, and click it."""
    _act(page, xpath, lambda element: element.is_displayed() and (element.click() or True))


def _act(page: Any, xpath: str, action: Callable[[Any], Any]) -> Any:
    """Wait until an action on one of the elements succeeds: pages replace and move them all the time."""
    from selenium.common.exceptions import (
        ElementClickInterceptedException,
        ElementNotInteractableException,
        StaleElementReferenceException,
    )

    passing = (ElementClickInterceptedException, ElementNotInteractableException, StaleElementReferenceException)
    done: list[Any] = []

    def succeeded() -> bool:
        for element in page.find_elements("xpath", xpath):
            with contextlib.suppress(*passing):
                done[:] = [result for result in [action(element)] if result]
            if done:
                return True
        return False

    wait_for(succeeded, lambda: f"{xpath} is not on {page.current_url}: {page.find_element('xpath', '//body').text}")
    return done[0]


def wait_for(ready: Callable[[], Any], explain: Callable[[], str] = str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.1)


@contextmanager
def interface(root: Path, environment: Mapping[str, str], *arguments: str) -> Iterator[Interface]:
    """Start a user interface, and end it whatever happens."""
    started = Interface(root, environment, *arguments)
    try:
        yield started
    finally:
        started.stop()
