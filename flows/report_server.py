"""Serves the site of published runs on this machine, and nothing else: ``python -m flows.report_server``.

It answers GET and HEAD of the site's own files, on the loopback address alone. It ends on SIGTERM and SIGINT,
and, when its standard input is a pipe, as soon as the pipe's other end is closed: it never outlives its owner.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import re
import signal
import socketserver
import stat
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from flows.site_stores import INDEX

HOST = "127.0.0.1"
PORT = 4201
_IDLE_SECONDS = 15.0
_OWN_NAMES = {HOST, "localhost"}
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".png": "image/png",
}
_HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "frame-ancestors 'none'",
}


class ReportServer(socketserver.ThreadingTCPServer):
    """Answers requests for the files of a folder, each in a thread."""

    allow_reuse_address = True  # a port is free again as soon as its last server has ended
    daemon_threads = True
    block_on_close = False

    def __init__(self, folder: Path, port: int) -> None:
        """Take the port; 0: any free one.

        Raises:
            OSError: the port cannot be had.
        """
        self.folder = folder
        super().__init__((HOST, port), _Handler)

    @property
    def url(self) -> str:
        """Return the address of the site's index."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Say what went wrong in a line; nothing of a reader who has gone."""
        error = sys.exception()
        if not isinstance(error, (ConnectionError, TimeoutError)):
            print(f"report server: {type(error).__name__}: {error}", file=sys.stderr)


class _Handler(BaseHTTPRequestHandler):
    server: ReportServer
    server_version = "tandem"
    sys_version = ""
    timeout = _IDLE_SECONDS  # of a connection that says nothing

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def _refuse(self) -> None:
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET and HEAD\n", {"Allow": "GET, HEAD"})

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _refuse  # noqa: N815

    def _serve(self) -> None:
        if not self._is_asked_by_own_name():
            # A page elsewhere could have pointed its own name at this machine, to read what is served here.
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, f"open http://{HOST} instead\n".encode())
            return
        path = urlsplit(self.path).path
        found = site_file(self.server.folder, path)
        if found is None:
            if path in ("/", f"/{INDEX}"):
                self._answer(HTTPStatus.OK, _empty_page(), {"Content-Type": _TYPES[".html"]})
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"not found; all runs are listed at /\n")
        elif found.is_dir():
            self._answer(HTTPStatus.MOVED_PERMANENTLY, b"", {"Location": quote(f"/{path.strip('/')}/", safe="/%")})
        else:
            try:
                content = found.read_bytes()
            except OSError as error:
                self._answer(HTTPStatus.NOT_FOUND, f"cannot be read: {error.strerror}\n".encode())
                return
            self._answer(HTTPStatus.OK, content, {"Content-Type": _content_type(found)})

    def _is_asked_by_own_name(self) -> bool:
        host = self.headers.get("Host")
        return host is None or re.sub(r":\d+\Z", "", host.lower()) in _OWN_NAMES

    def _answer(self, status: HTTPStatus, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        sent = {"Content-Type": _TYPES[".txt"], "Content-Length": str(len(body)), **_HEADERS, **(headers or {})}
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep quiet: the terminal belongs to the runs."""


def site_file(folder: Path, path: str) -> Path | None:
    """Return the file of a site that a URL's path means, or the folder if it lacks its last "/".

    None: there is none, or it lies outside the folder, or is hidden.
    """
    try:
        parts = unquote(path, errors="strict").split("/")
    except UnicodeDecodeError:
        return None
    if parts[0] or any(part.startswith(".") or "\0" in part or "\\" in part for part in parts):
        return None
    wanted = [part for part in parts[1:] if part]
    is_folder = not parts[-1]
    try:
        root = folder.resolve(strict=True)
        found = root.joinpath(*wanted, *([INDEX] if is_folder else [])).resolve(strict=True)
        mode = found.stat().st_mode
    except (OSError, RuntimeError):  # a loop of links is a RuntimeError
        return None
    if not found.is_relative_to(root):
        return None
    if stat.S_ISDIR(mode):
        return found if not is_folder and (found / INDEX).is_file() else None
    return found if stat.S_ISREG(mode) else None


def serve(folder: Path, port: int) -> int:
    """Serve a folder until a signal or the owner ends it; return the exit status."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    try:
        server = ReportServer(folder, port)
    except OSError as error:
        print(f"error: {_why_not(port, error)}", file=sys.stderr)
        return 1
    with server:
        print(f"reports: {server.url}", flush=True)
        if stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
            threading.Thread(target=_end_with_owner, daemon=True).start()
        server.serve_forever()
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.report_server", description="Serve the published runs on this machine."
    )
    parser.add_argument("--folder", type=Path, default=Path("published"), help="the site (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=PORT, help="0: any free one (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    return serve(chosen.folder.absolute(), chosen.port)


def _why_not(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {HOST} is taken by another program; end that one, or choose another port with --port"
    return f"port {port} of {HOST} cannot be had ({error.strerror}); choose another with --port, from 1024 to 65535"


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port; allowed: 0 to 65535")
    return int(text)


def _content_type(path: Path) -> str:
    return _TYPES.get(path.suffix.lower(), "application/octet-stream")


def _empty_page() -> bytes:
    from tandem.report.site import site_page  # most servers never need it

    return site_page(()).encode()


def _end(_number: int, _frame: Any) -> None:
    os._exit(0)  # nothing is held that would need an orderly end


def _end_with_owner() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):  # empty when the owner closed the pipe, or is gone
            pass
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
