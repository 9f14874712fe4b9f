"""What is refused before the user interface starts anything."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.server import free_port

Call = Callable[..., Any]


@pytest.fixture
def refusal(python: Call, write_params: Callable[..., Path]) -> Callable[..., str]:
    """Start it in a folder with a small params.yaml; return the error's text. Nothing else may be said."""
    write_params()

    def call(*arguments: str, **more: str) -> str:
        done = python("-m", "flows.ui", *arguments, **more)
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        return done.stderr.removeprefix("error: ").rstrip("\n")

    return call


def test_a_port_that_is_taken_is_named_with_who_has_it(refusal: Callable[..., str], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        free = str(free_port())
        by = f"port {port} of 127.0.0.1 is taken by process {os.getpid()} "
        assert refusal("--port", port, "--reports-port", free).startswith(by)
        said = refusal("--port", free, "--reports-port", port)
    assert said.startswith(by)
    assert said.endswith("; end that, or choose another port with --reports-port")
    assert not list(tmp_path.glob(".prefect/*.log"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "70000"], "--port: 70000 is no port; allowed: 1 to 65535"),
        (["--port", "5", "--reports-port", "5"], "--port and --reports-port are both 5; choose two different ones"),
        (["--limit", "0"], "--limit: 0 runs at a time; allowed: 1 or more"),
        (["--nightly", "at three"],
         "--nightly: 'at three' is no cron line; write minute, hour, day, month and weekday, for instance '0 3 * * *' "
         "for three o'clock every night"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused(refusal: Callable[..., str], arguments: list[str], message: str) -> None:
    assert refusal(*arguments) == message


def test_a_server_that_is_not_there_is_told(refusal: Callable[..., str]) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    assert refusal(TANDEM_PREFECT_API_URL=url) == (
        f"no Prefect server answers at {url}; start it, or unset TANDEM_PREFECT_API_URL "
        "for a server of this project's own"
    )


def test_a_folder_without_a_declaration_is_told(python: Call, tmp_path: Path) -> None:
    done = python("-m", "flows.ui")
    assert done.stderr.startswith(f"error: {tmp_path}/params.yaml: missing; run the command in a Tandem project")


def test_an_interface_is_found_while_its_process_lives_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import server
    from flows.server import ServerError, UserInterface, announced, user_interface

    monkeypatch.setattr(server, "answers", lambda url: url == "http://127.0.0.1:1/api")
    here = UserInterface("http://127.0.0.1:1/api", "http://127.0.0.1:2")
    assert user_interface(tmp_path) is None
    with announced(tmp_path, here):
        assert user_interface(tmp_path) == here
        with (
            pytest.raises(ServerError, match=r"runs already at http://127\.0\.0\.1:1; use that one"),
            announced(tmp_path, here),
        ):
            pass
    assert user_interface(tmp_path) is None
