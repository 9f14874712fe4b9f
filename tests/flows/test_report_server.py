"""The report server: a real process that serves a site's own files on the loopback address, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browsing import headless_browser
from published_runs import START, make_pages, make_run
from selenium.webdriver.common.keys import Keys

from flows.publishing import publish_run
from flows.report_server import main

SECRET = "nobody is to read this"  # noqa: S105


@pytest.fixture
def start(hermetic, tmp_path):
    """Start servers that end with the test, however they are asked to."""
    started = []

    def call(folder, *options, **more):
        command = [sys.executable, "-m", "flows.report_server", "--folder", str(folder), *options]
        more = {"stdin": subprocess.PIPE, "env": hermetic, "cwd": tmp_path, **more}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def site(tmp_path):
    """A site with a secret beside it, and ways that lead to it."""
    folder = tmp_path / "published"
    publish_run(make_pages(tmp_path / "reports"), make_run(), folder)
    (tmp_path / "secret.html").write_text(SECRET)
    (tmp_path / "published-too").mkdir()
    (tmp_path / "published-too/secret.html").write_text(SECRET)
    (folder / "link.html").symlink_to(tmp_path / "secret.html")
    (folder / "out").symlink_to(tmp_path)
    (folder / "inside.html").symlink_to(folder / "index.html")
    (folder / "around").symlink_to("around")
    (folder / ".hidden.html").write_text(SECRET)
    os.mkfifo(folder / "pipe.html")
    return folder


def address(process):
    line = process.stdout.readline()
    assert line.startswith("reports: http://127.0.0.1:"), (line, process.stderr.read() if not line else "")
    return line.removeprefix("reports: ").strip()


@pytest.fixture
def url(start, site):
    return address(start(site, "--port", "0"))


def ask(url, request):
    """Send bytes as they are; return status, headers and body."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body


def get(url, path, method="GET", host="127.0.0.1"):
    return ask(url, f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1"))


def test_pages_are_served_with_their_types_and_never_kept_by_the_browser(url, site):
    for path, kind in {
        "/": "text/html; charset=utf-8",
        "/index.html": "text/html; charset=utf-8",
        "/runs/first/": "text/html; charset=utf-8",
        "/runs/first/digits-mlp.html?x=1": "text/html; charset=utf-8",
        "/runs/first/run.json": "application/json; charset=utf-8",
        "/inside.html": "text/html; charset=utf-8",
    }.items():
        status, headers, body = get(url, path)
        file = site / path.partition("?")[0].lstrip("/")
        assert (status, body) == (200, (file / "index.html" if path.endswith("/") else file).read_bytes())
        assert headers["Content-Type"] == kind
        assert headers["Cache-Control"] == "no-cache"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert int(headers["Content-Length"]) == len(body)
        status, of_head, body = get(url, path, "HEAD")
        assert (status, body) == (200, b"")
        assert {**of_head, "Date": ""} == {**headers, "Date": ""}


def test_a_file_of_a_kind_that_is_not_known_is_for_download(url, site):
    (site / "model.bin").write_bytes(b"<script>")
    assert get(url, "/model.bin")[1]["Content-Type"] == "application/octet-stream"


OUTSIDE = (
    "/../secret.html", "/%2e%2e/secret.html", "/..%2fsecret.html", "/runs/../../secret.html", "/..\\secret.html",
    "/%252e%252e/secret.html", "/runs/first/..%2F..%2F..%2Fsecret.html", "//../secret.html", "../secret.html",
    "/link.html", "/out/secret.html", "/out/", "/../published-too/secret.html", "/.hidden.html", "/%2ehidden.html",
    "/.publishing.lock", "/pipe.html", "/around", "/runs", "/runs/", "/link.html%00.html", "/%ff", "/%", "*",
    "http://127.0.0.1/../secret.html", "/index.html/", "/index.html/secret.html", "/absent.html", f"/{'a' * 5000}",
    "/etc/passwd", "//etc/passwd", "/%2fetc/passwd", "file:///etc/passwd",
)  # fmt: skip


def test_nothing_outside_the_site_and_no_listing_is_served(url):
    for path in OUTSIDE:
        for method in ("GET", "HEAD"):
            status, _, body = get(url, path, method)
            assert status == 404, path
            assert SECRET.encode() not in body
            assert b"root:" not in body


def test_a_folder_without_its_slash_leads_to_it(url):
    status, headers, _ = get(url, "/runs/first")
    assert (status, headers["Location"]) == (301, "/runs/first/")
    assert get(url, "//runs/first")[1]["Location"] == "/runs/first/"


def test_other_methods_are_refused(url, site):
    before = sorted(site.rglob("*"))
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"):
        status, headers, _ = get(url, "/index.html", method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD"), method
    assert sorted(site.rglob("*")) == before


def test_a_name_of_somebody_elses_for_this_machine_is_refused(url):
    for host in ("localhost", "LOCALHOST:4201", "127.0.0.1:1"):
        assert get(url, "/", host=host)[0] == 200
    for host in ("evil.example", "evil.example:4201", "127.0.0.1.evil.example", "localhost@evil.example", ""):
        assert get(url, "/", host=host)[0] == 421


def test_nonsense_and_vanished_readers_disturb_nobody(start, site):
    process = start(site, "--port", "0")
    url = address(process)
    place = urlsplit(url)
    for nonsense in (b"", b"\r\n", b"GET\r\n\r\n", b"nonsense / / /\r\n\r\n", b"\0\xff" * 999 + b"\r\n"):
        with socket.create_connection((place.hostname, place.port)) as connection:
            connection.sendall(nonsense)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closes by a reset
    silent = socket.create_connection((place.hostname, place.port))
    assert get(url, "/")[0] == 200
    silent.close()
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30) == ("", "")


def test_what_is_published_meanwhile_is_served_at_once(url, site, tmp_path):
    publish_run(make_pages(tmp_path / "new"), make_run("second", minutes=1), site)
    assert b"runs/second/" in get(url, "/")[2]
    assert get(url, "/runs/second/digits-mlp.html")[0] == 200


def test_readers_at_once_during_publishes_always_get_whole_pages(url, site, tmp_path):
    pages = make_pages(tmp_path / "new", text="word " * 20_000)
    faults = []
    done = threading.Event()

    def read():
        while not done.is_set():
            for path in ("/", "/runs/first/digits-mlp.html", "/runs/first/"):
                status, headers, body = get(url, path)
                if status != 200 or not body.rstrip().endswith((b"</html>", b"</a>")):
                    faults.append((path, status, headers, body[-50:]))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(15):
            publish_run(pages, make_run(), site)
    finally:
        done.set()
    for reader in readers:
        reader.join()
    assert faults == []


@pytest.mark.parametrize("exists", [True, False])
def test_before_the_first_run_the_index_says_so(start, tmp_path, exists):
    folder = tmp_path / "empty"
    if exists:
        folder.mkdir()
    url = address(start(folder, "--port", "0"))
    status, headers, body = get(url, "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"No run has been published yet." in body
    assert get(url, "/absent.html")[0] == 404
    publish_run([], make_run(), folder)
    assert b"runs/first/" in get(url, "/")[2]


def test_a_port_that_is_taken_is_said_in_one_line(start, site):
    port = str(urlsplit(address(start(site, "--port", "0"))).port)
    second = start(site, "--port", port)
    output, errors = second.communicate(timeout=30)
    assert (second.returncode, output) == (1, "")
    assert errors == (
        f"error: port {port} of 127.0.0.1 is taken by another program; "
        "end that one, or choose another port with --port\n"
    )


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_cannot_be_is_refused(capsys, port):
    with pytest.raises(SystemExit) as ended:
        main(["--port", port])
    assert ended.value.code == 2
    assert f"'{port}' is no port; allowed: 0 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_without_a_word(start, site, number):
    process = start(site, "--port", "0")
    port = urlsplit(address(process)).port
    open_connection = socket.create_connection(("127.0.0.1", port))
    process.send_signal(number)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0
    open_connection.close()
    again = start(site, "--port", str(port))  # the port is free at once
    assert address(again).endswith(f":{port}/")


def test_it_ends_when_its_owner_does(start, site):
    process = start(site, "--port", "0")
    address(process)
    process.stdin.close()
    process.stdin = None  # or the fixture would close it again
    assert process.wait(30) == 0


def test_it_ends_when_its_owner_is_killed(hermetic, site):
    owner = f"""
import subprocess, sys, time
server = subprocess.Popen([sys.executable, "-m", "flows.report_server", "--folder", {str(site)!r}, "--port", "0"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
print(server.stdout.readline().decode(), end="", flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", owner], env=hermetic, stdout=subprocess.PIPE, text=True) as process:
        place = urlsplit(address(process))
        with socket.create_connection((place.hostname, place.port)) as connection:
            process.kill()
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""  # returns when the server is gone


def test_without_a_pipe_it_stays(start, site):
    process = start(site, "--port", "0", stdin=subprocess.DEVNULL)
    url = address(process)
    assert get(url, "/")[0] == 200
    assert process.poll() is None


def test_it_listens_on_the_loopback_address_alone(start, site):
    process = start(site, "--port", "0")
    port = urlsplit(address(process)).port
    bound = [
        line.split()[1]
        for line in Path(f"/proc/{process.pid}/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
    ]
    assert bound == [f"0100007F:{port:04X}"]


# ------------------------------------------------------------------------------------------------ in a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with headless_browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.mark.browser
def test_a_reader_goes_from_the_index_to_a_run_to_a_report_and_back(browser, start, tmp_path):
    site = tmp_path / "published"
    for number in range(3):
        publish_run(
            make_pages(tmp_path / "reports", "digits-mlp", "coffee"), make_run(f"run-{number}", minutes=number), site
        )
    url = address(start(site, "--port", "0"))
    browser.get(url)
    browser.find_element("link text", f"{START:%Y-%m-%d %H}:31:00 UTC").click()
    assert browser.current_url == f"{url}runs/run-1/index.html"
    browser.find_element("link text", "digits-mlp").send_keys(Keys.ENTER)
    assert browser.find_element("tag name", "h1").text == "report ü digits-mlp"
    browser.find_element("link text", "all experiments").click()
    assert browser.current_url == f"{url}runs/run-1/index.html"
    browser.find_element("link text", "All runs").click()
    assert browser.find_element("tag name", "h1").text == "Published runs"
    asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    places = {m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"}
    assert {place for place in places if not place.startswith((url, "data:", "about:", "chrome"))} == set()
    assert browser.get_log("browser") == []
