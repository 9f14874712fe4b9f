"""Publishing: the layout of a site, whole at every moment, in a folder and in an object store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry
from published_runs import START, check_whole, leftovers, listed, make_pages, make_run

from flows.publishing import Publication, new_run_id, publish_run, publish_site, remove_old_runs
from flows.site_stores import without_credentials
from tandem.errors import DataError, ParameterError, StorageError
from tandem.report.site import StoredRun

MEMORY = "memory://bucket/site"


@pytest.fixture
def pages(tmp_path):
    return make_pages(tmp_path / "reports")


@pytest.fixture
def site(tmp_path):
    return tmp_path / "published"


@pytest.fixture
def environment(hermetic):
    """Of a process that imports what is beside these tests, too."""
    return hermetic | {"PYTHONPATH": os.pathsep.join([hermetic["PYTHONPATH"], str(Path(__file__).parents[1])])}


@pytest.fixture
def bucket():
    """An object store of fsspec's own, empty before and after."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def stored_ids(bucket):
    source = bucket.cat_file("/bucket/site/index.html").decode()
    return [part.partition("/")[0] for part in source.split('class="one-line" href="runs/')[1:]]


def edit_record(site, run_id, change):
    path = site / "runs" / run_id / "run.json"
    path.write_bytes(change(path.read_bytes()))


# ------------------------------------------------------------------------------------------------ a folder


def test_a_site_has_an_index_and_a_folder_for_each_run(site, tmp_path):
    made = make_pages(tmp_path / "reports", "digits-mlp", "coffee", "index")
    address = publish_run(made, make_run(experiments=("digits-mlp", "coffee")), site)
    assert address == "runs/first/index.html"
    names = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert names == {".publishing.lock", "index.html"} | {
        f"runs/first/{name}" for name in ("index.html", "digits-mlp.html", "coffee.html", "run.json")
    }
    assert "report ü digits-mlp" in (site / "runs/first/digits-mlp.html").read_text("utf-8")
    assert "report ü index" not in (site / address).read_text("utf-8")
    check_whole(site)


def test_run_json_keeps_all_that_was_said_of_the_run(site, pages):
    run = make_run(overrides={"training.epochs": 3, "optimizer.learning_rate": 0.5, "x": None, "y": True}, commit="a1")
    publish_run(pages, run, site)
    stored = StoredRun.model_validate_json((site / "runs/first/run.json").read_bytes())
    assert stored.model_dump(exclude={"pages"}) == run.model_dump()
    assert list(stored.pages) == ["digits-mlp"]


def test_runs_are_listed_with_the_newest_first(site, pages):
    for run_id, minutes in (("b", 5), ("c", 1), ("a", 9)):
        publish_run(pages, make_run(run_id, minutes=minutes), site)
    assert listed(site) == ["a", "b", "c"]


def test_a_run_that_made_no_page_is_published_too(site):
    publish_run([], make_run(outcome="failed", message="1 failed"), str(site))
    assert listed(site) == ["first"]


def test_a_run_published_again_is_replaced_as_a_whole(site, tmp_path):
    publish_run(make_pages(tmp_path / "one", "digits-mlp", "coffee"), make_run(outcome="failed"), site)
    publish_run(make_pages(tmp_path / "two", text="second"), make_run(), site)
    assert listed(site) == ["first"]
    assert sorted(path.name for path in (site / "runs/first").iterdir()) == [
        "digits-mlp.html",
        "index.html",
        "run.json",
    ]
    assert "second" in (site / "runs/first/digits-mlp.html").read_text("utf-8")
    assert leftovers(site) == []


def test_a_file_system_that_cannot_exchange_folders_replaces_a_run_all_the_same(site, pages, monkeypatch):
    monkeypatch.setattr("flows.site_stores._exchange", lambda *_: False)
    publish_run(pages, make_run(outcome="failed"), site)
    publish_run(pages, make_run(), site)
    assert json.loads((site / "runs/first/run.json").read_bytes())["outcome"] == "completed"
    assert leftovers(site) == []
    (site / "runs/first").rename(site / "runs/.replaced-first")  # as if killed between its two renames
    publish_run(pages, make_run("second"), site)
    assert sorted(listed(site)) == ["first", "second"]


def test_pages_are_copies_and_no_links(site, tmp_path, pages):
    cached = tmp_path / "cached"
    pages[0].rename(cached)
    cached.chmod(0o444)
    pages[0].symlink_to(cached)
    publish_run(pages, make_run(), site)
    page = site / "runs/first/digits-mlp.html"
    assert not page.is_symlink()
    assert page.stat().st_mode & 0o200


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda content: content[: len(content) // 2], "Invalid JSON"),
        (lambda _: b"", "cannot be read"),
        (
            lambda content: content.replace(b'"outcome": "completed"', b'"outcome": "dropped"'),
            "'completed' or 'failed'",
        ),
        (lambda content: content.replace(b'"first"', b'"other"'), "it is of run 'other'"),
    ],
)
def test_a_damaged_run_is_named_and_left_out_and_stops_nothing(site, pages, caplog, damage, told):
    publish_run(pages, make_run(), site)
    edit_record(site, "first", damage)
    publish_run(pages, make_run("second"), site)
    assert listed(site) == ["second"]
    assert "runs/first/run.json is left out of the index" in caplog.text
    assert told in caplog.text


def test_folders_that_are_no_run_are_left_alone(site, pages):
    (site / "runs/Notes of mine").mkdir(parents=True)
    publish_run(pages, make_run(), site)
    assert listed(site) == ["first"]
    assert (site / "runs/Notes of mine").is_dir()


@pytest.mark.parametrize("run_id", ["", "..", "a/b", "A", ".hidden", "a b", "a\n", "-a", "a" * 101])
def test_an_id_that_is_no_safe_folder_name_is_refused(run_id):
    with pytest.raises(ValueError, match="id"):
        make_run(run_id)


def test_new_ids_are_safe_tell_the_start_and_differ():
    ids = {new_run_id(START) for _ in range(50)}
    assert len(ids) == 50
    assert all(make_run(run_id).id.startswith("20261121-093000-") for run_id in ids)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("missing",), "missing.html: cannot be published (No such file or directory); run `tandem run` to make it"),
        (("../Digits",), "no report page; its name must be that of an experiment, with .html"),
    ],
)
def test_a_page_that_cannot_be_published_is_named(site, tmp_path, names, told):
    with pytest.raises(DataError) as caught:
        publish_run([tmp_path / f"{name}.html" for name in names], make_run(), site)
    assert told in str(caught.value)
    assert not site.exists()


def test_two_pages_of_one_experiment_are_refused(site, tmp_path):
    made = make_pages(tmp_path / "one") + make_pages(tmp_path / "two")
    with pytest.raises(DataError, match="a second page of 'digits-mlp'; name each experiment's page once"):
        publish_run(made, make_run(), site)


# ----------------------------------------------------------------------------------------- interrupted, at once

# Publishes in a child that ends itself by SIGKILL before its n-th step in the file system, for n = 1, 2, ...
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from flows.publishing import publish_run
from published_runs import make_pages, make_run
STEPS = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree", "ctypes.dlsym"}  # the last: renameat2
folder, run_id = Path(sys.argv[1]), sys.argv[2]
pages = make_pages(folder / "new", "digits-mlp", "coffee", text="new")
publish_run(pages, make_run(run_id), folder / "warm")  # imports and templates: once, not in each child
for step in range(1, 200):
    site = folder / f"site-{step}"
    shutil.copytree(folder / "good", site)
    child = os.fork()
    if child == 0:
        left = step
        def take_a_step():
            global left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        def audit(event, arguments):
            if event in STEPS or event == "open" and str(site) in str(arguments[0]):
                take_a_step()
        def profile(_frame, event, function):
            if event == "c_call" and function.__qualname__ == "BufferedWriter.write":  # to a file open and empty
                take_a_step()
        sys.addaudithook(audit)
        sys.setprofile(profile)
        publish_run(pages, make_run(run_id, minutes=9), site)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
"""


@pytest.mark.parametrize(("run_id", "before"), [("new", ["first"]), ("first", ["first"])])
def test_killed_at_any_step_a_publish_leaves_the_last_good_site(tmp_path, environment, pages, run_id, before):
    publish_run(make_pages(tmp_path / "old", text="old"), make_run(), tmp_path / "good")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path, run_id], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    sites = sorted(tmp_path.glob("site-*"), key=lambda path: int(path.name.partition("-")[2]))
    assert len(sites) > 8
    seen = []
    for site in sites:
        check_whole(site)
        seen.append(listed(site))
        assert seen[-1] in (before, sorted({run_id, *before}, reverse=True))
        publish_run(pages, make_run("later", minutes=20), site)
        assert set(before) | {"later"} <= set(listed(site))
        check_whole(site)
        assert leftovers(site) == []
    assert len(sites) < 199
    assert seen[0] == before
    assert run_id in seen[-1]


PUBLISHER = """
import sys
from pathlib import Path
import fsspec
from fsspec.implementations.local import LocalFileSystem
from flows.publishing import publish_run
from published_runs import make_pages, make_run

class Objects(LocalFileSystem):  # as an object store: no lock, no rename, each object put at once
    protocol = "objects"
    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(str(path).removeprefix("objects://"))
    def mkdir(self, path, create_parents=True, **_):
        super().makedirs(path, exist_ok=True)
    def pipe_file(self, path, value, mode="overwrite", **_):
        partial = Path(f"{path}.{sys.argv[1]}")
        partial.write_bytes(value)
        partial.replace(path)
    def find(self, path, **options):
        return [found for found in super().find(path, **options) if found.endswith((".html", ".json"))]
    def mv(self, *_, **__):
        raise AssertionError("renamed")
    rename = mv

fsspec.register_implementation("objects", Objects)
name, folder, target = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
pages = make_pages(folder / name)
print("ready", flush=True)
sys.stdin.readline()
for number in range(8):
    publish_run(pages, make_run(f"{name}-{number}", minutes=number), target)
"""


@pytest.mark.parametrize("protocol", ["", "objects://"])
def test_of_two_publishes_at_once_neither_is_lost(tmp_path, environment, protocol):
    site = tmp_path / "published"
    publishers = [
        subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, name, tmp_path, f"{protocol}{site}"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    for publisher in publishers:
        assert publisher.stdout.readline() == "ready\n"
    for publisher in publishers:
        publisher.stdin.write("go\n")
        publisher.stdin.flush()
    for publisher in publishers:
        _, errors = publisher.communicate(timeout=120)
        assert (publisher.returncode, errors) == (0, "")
    assert sorted(listed(site)) == sorted(f"{name}-{number}" for name in ("one", "two") for number in range(8))
    check_whole(site)
    assert leftovers(site) == []


# ----------------------------------------------------------------------------------------------- an object store


class Failing(MemoryFileSystem):
    """Stops working after a number of writes."""

    protocol = "failing"
    store: dict = {}  # noqa: RUF012 - fsspec shares it among instances
    pseudo_dirs = [""]  # noqa: RUF012
    writes_left = 0
    written: list = []  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(str(path).removeprefix("failing://"))

    def pipe_file(self, path, value, **options):
        if Failing.writes_left == 0:
            raise ConnectionResetError("the line to key-of-mine is cut")
        Failing.writes_left -= 1
        Failing.written.append(path)
        super().pipe_file(path, value, **options)


@pytest.fixture
def failing():
    fsspec.register_implementation("failing", Failing, clobber=True)
    Failing.store.clear()
    Failing.written.clear()
    Failing.writes_left = 10**6
    yield Failing
    Failing.store.clear()


def copy_out(files, site):
    """Copy a store's site into a folder, to be looked at as one."""
    shutil.rmtree(site, ignore_errors=True)
    for path, file in files.store.items():
        place = site / path.removeprefix("/bucket/site/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.getvalue())
    return site


def test_an_object_store_gets_the_same_layout_the_record_then_the_index_last(failing, pages, site):
    assert publish_run(pages, make_run(), "failing://bucket/site") == "runs/first/index.html"
    assert listed(copy_out(failing, site)) == ["first"]
    check_whole(site)
    assert leftovers(site) == []
    assert [path.removeprefix("/bucket/site/") for path in failing.written[-2:]] == [
        "runs/first/run.json",
        "index.html",
    ]


@pytest.mark.parametrize("run_id", ["second", "first"])
def test_interrupted_at_any_write_an_object_store_shows_the_last_good_site(failing, tmp_path, site, run_id):
    target = "failing://bucket/site"
    publish_run(make_pages(tmp_path / "old", text="old"), make_run(), target)
    good = {path: file.getvalue() for path, file in failing.store.items()}
    failing.written.clear()
    publish_run(make_pages(tmp_path / "new", text="new"), make_run(run_id, minutes=1), target)
    needed = len(failing.written)
    assert needed >= 4
    for writes in range(needed):
        failing.store.clear()
        failing.writes_left = 10**6
        fsspec.filesystem("failing").pipe(good)
        failing.writes_left = writes
        with pytest.raises(StorageError, match="nothing can be published there: the line to key-of-mine is cut"):
            publish_run(make_pages(tmp_path / "new", text="new"), make_run(run_id, minutes=1), target)
        failing.writes_left = 10**6
        assert listed(copy_out(failing, site)) == ["first"]
        publish_run(make_pages(tmp_path / "later"), make_run("later", minutes=2), target)
        assert listed(copy_out(failing, site))[:1] == ["later"]
        assert "first" in listed(site)


def test_what_an_interrupted_publish_left_is_not_shown_and_cleared_after_a_day(bucket, pages):
    publish_run(pages, make_run(), MEMORY)
    for run_id, hours in (("dead", 25), ("alive", 1)):
        begun = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
        bucket.pipe_file(f"/bucket/site/runs/{run_id}/publishing.json", json.dumps({"begun": begun}).encode())
        bucket.pipe_file(f"/bucket/site/runs/{run_id}/digits-mlp.html", b"half")
    bucket.pipe_file("/bucket/site/runs/foreign/page.html", b"somebody else's")
    publish_run(pages, make_run("second", minutes=1), MEMORY)
    assert stored_ids(bucket) == ["second", "first"]
    folders = {path.split("/")[4] for path in bucket.find("/bucket/site/runs")}
    assert folders == {"first", "second", "alive", "foreign"}


def test_a_run_published_between_the_listing_and_the_index_is_not_lost(failing, tmp_path, site, monkeypatch):
    target = "failing://bucket/site"
    pages = make_pages(tmp_path / "reports")
    write = failing.pipe_file
    others = [make_run("other")]

    def overtaken(self, path, value, **options):
        if path.endswith("site/index.html") and others:
            publish_run(pages, others.pop(), target)  # its index is then replaced by one without it
        write(self, path, value, **options)

    monkeypatch.setattr(failing, "pipe_file", overtaken)
    publish_run(pages, make_run("mine", minutes=1), target)
    assert listed(copy_out(failing, site)) == ["mine", "other"]


class Remote(Failing):
    """Writes bit by bit, as SFTP does, but renames at once."""

    protocol = ("sftp", "ssh")

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(str(path).removeprefix("sftp://"))

    def mv(self, path1, path2, **_):
        self.store[path2] = self.store.pop(path1)


def test_where_files_are_written_bit_by_bit_each_is_renamed_into_place(failing, pages, site, monkeypatch):
    monkeypatch.setitem(_registry, "sftp", Remote)
    publish_run(pages, make_run(), "sftp://bucket/site")
    assert failing.written
    assert all(path.endswith(".partial") for path in failing.written)
    assert listed(copy_out(failing, site)) == ["first"]
    check_whole(site)
    assert leftovers(site) == []


def test_a_damaged_run_in_an_object_store_is_named_and_left_out(bucket, pages, caplog):
    publish_run(pages, make_run(), MEMORY)
    bucket.pipe_file("/bucket/site/runs/first/run.json", b"{")
    publish_run(pages, make_run("second"), MEMORY)
    assert stored_ids(bucket) == ["second"]
    assert "runs/first/run.json is left out of the index" in caplog.text


def test_a_file_url_is_a_folder(pages, tmp_path):
    publish_run(pages, make_run(), (tmp_path / "my site").as_uri())
    assert listed(tmp_path / "my site") == ["first"]
    assert (tmp_path / "my site/.publishing.lock").exists()


# -------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (
            "nix://place/folder",
            "nix://place/folder: 'nix' is no protocol that fsspec knows; name a folder, or a URL such",
        ),
        (
            "sftp://me:secret@place/x",
            "sftp://***@place/x: the driver of 'sftp' is not installed: SFTPFileSystem requires",
        ),
        ("s3:/bucket", "s3:/bucket: neither a folder nor a URL; write PROTOCOL://PLACE/FOLDER, or ./s3:/bucket"),
        ("", "no target to publish to: name a folder, or a URL such as s3://BUCKET/FOLDER"),
        ("memory://a/b*", "memory://a/b*: '*', '?', '[' and ']' may not stand in it"),
        ("simplecache::memory://a", "simplecache::memory://a: no URL that can be published to; write it as"),
        ("file://elsewhere/x", "file://elsewhere/x: names another machine; write file:///FOLDER with three '/'"),
    ],
)
def test_a_target_that_cannot_be_is_named_with_what_to_do(pages, target, told):
    with pytest.raises(StorageError) as caught:
        publish_run(pages, make_run(), target)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_target_inside_a_file_is_named(pages, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError) as caught:
        publish_run(pages, make_run(), tmp_path / "file/site")
    place = tmp_path / "file/site"
    assert str(caught.value) == (
        f"{place}: nothing can be published there: Not a directory ({place / 'runs'}); "
        "name a folder that you may write to, on a disk with space left"
    )


def test_a_folder_that_may_not_be_written_is_named(tmp_path, environment):
    script = f"""
        import os
        from pathlib import Path
        from published_runs import make_run
        from flows.publishing import publish_run
        if os.geteuid() == 0:
            os.seteuid(65534)
        try:
            publish_run([], make_run(), {str(tmp_path / "closed/site")!r})
        except Exception as error:
            print(error)
    """
    (tmp_path / "closed").mkdir(mode=0o500)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True, text=True, check=True
    )
    assert "closed/site: nothing can be published there: Permission denied" in done.stdout


def test_a_page_of_something_else_is_never_overwritten(pages, site, bucket):
    site.mkdir()
    (site / "index.html").write_text("<h1>My own page</h1>")
    bucket.pipe_file("/bucket/site/index.html", b"<h1>My own page</h1>")
    for target in (site, MEMORY):
        with pytest.raises(
            StorageError, match=r"index.html: is a page of something else and would be overwritten; name"
        ):
            publish_run(pages, make_run(), target)
    assert [path.name for path in site.iterdir()] == ["index.html"]
    assert bucket.find("/bucket") == ["/bucket/site/index.html"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://bucket/folder", "s3://bucket/folder"),
        ("s3://key:secret@bucket/folder", "s3://***@bucket/folder"),
        ("ftp://me:se/cr@t@place/x", "ftp://***@place/x"),
        ("https://token@place/x?sig=secret#secret", "https://***@place/x"),
        ("s3://bucket/a@b/c", "s3://bucket/a@b/c"),
        ("abfs://container@account.dfs.core.windows.net/x", "abfs://***@account.dfs.core.windows.net/x"),
        ("/a/folder", "/a/folder"),
    ],
)
def test_no_credential_of_a_url_is_shown(url, shown):
    assert without_credentials(url) == shown


def test_a_drivers_message_with_a_credential_is_not_repeated(failing, pages, caplog):
    failing.writes_left = 0
    with pytest.raises(StorageError) as caught:
        publish_run(pages, make_run(), "failing://me:key-of-mine@bucket/site")
    assert "failing://***@bucket/site: nothing can be published there: ConnectionResetError; check" in str(caught.value)
    assert caught.value.__suppress_context__
    failing.writes_left = 10**6
    publish_run(pages, make_run(), "failing://me:key-of-mine@bucket/site")
    published = b"".join(file.getvalue() for file in failing.store.values()).decode()
    assert "key-of-mine" not in published + caplog.text


# ------------------------------------------------------------------------------------------ the site elsewhere


def test_a_site_is_brought_elsewhere_and_then_only_what_is_new_or_changed(site, tmp_path, bucket):
    publish_run(make_pages(tmp_path / "one", "digits-mlp", "coffee"), make_run(), site)
    publish_run(make_pages(tmp_path / "one"), make_run("second", minutes=1), site)
    elsewhere = tmp_path / "elsewhere"
    for target, address in ((elsewhere, (elsewhere / "index.html").as_uri()), (MEMORY, f"{MEMORY}/index.html")):
        assert publish_site(site, target) == Publication(runs=2, files=4 + 3 + 1, address=address)
        assert publish_site(site, target) == Publication(runs=0, files=0, address=address)
    publish_run(make_pages(tmp_path / "two", text="changed"), make_run(), site)
    assert publish_site(site, elsewhere).runs == publish_site(site, MEMORY).runs == 1
    for path in ("index.html", "runs/first/digits-mlp.html", "runs/first/run.json", "runs/second/index.html"):
        assert (elsewhere / path).read_bytes() == (site / path).read_bytes() == bucket.cat_file(f"/bucket/site/{path}")
    assert not (elsewhere / "runs/first/coffee.html").exists()
    assert not bucket.exists("/bucket/site/runs/first/coffee.html")


def test_runs_that_are_at_the_target_alone_stay(site, pages, tmp_path):
    publish_run(pages, make_run("theirs", minutes=5), tmp_path / "elsewhere")
    publish_run(pages, make_run("ours"), site)
    publish_site(site, tmp_path / "elsewhere")
    assert listed(tmp_path / "elsewhere") == ["theirs", "ours"]


def test_a_run_whose_pages_are_not_what_it_names_is_not_spread(site, pages, tmp_path, caplog):
    for run_id in ("first", "second", "third"):
        publish_run(pages, make_run(run_id), site)
    (site / "runs/first/digits-mlp.html").write_text("other")
    (site / "runs/second/digits-mlp.html").unlink()
    assert publish_site(site, tmp_path / "elsewhere").runs == 1
    assert listed(tmp_path / "elsewhere") == ["third"]
    assert "run first is left out: digits-mlp.html has changed since it was published" in caplog.text
    assert "run second is left out: digits-mlp.html cannot be read (No such file or directory)" in caplog.text


def test_a_site_without_a_run_is_not_brought_anywhere(site, tmp_path):
    with pytest.raises(DataError, match="holds no published run; run the pipeline first, or name another folder"):
        publish_site(site, tmp_path / "elsewhere")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inside", ["", "runs", "copy"])
def test_a_site_is_not_brought_into_itself(site, pages, inside):
    publish_run(pages, make_run(), site)
    with pytest.raises(ParameterError, match="is the site itself, or lies in it; name another folder or a URL"):
        publish_site(site, site / inside)


def test_old_runs_are_removed_and_the_newest_kept(site, pages, tmp_path, bucket):
    for number in range(5):
        publish_run(pages, make_run(f"run-{number}", minutes=number), site)
    publish_site(site, MEMORY)
    for target in (site, MEMORY):
        assert remove_old_runs(target, keep=2) == ["run-0", "run-1", "run-2"]
        assert remove_old_runs(target, keep=2) == []
    assert listed(site) == stored_ids(bucket) == ["run-4", "run-3"]
    assert {path.name for path in (site / "runs").iterdir()} == {"run-4", "run-3"}
    assert {path.split("/")[4] for path in bucket.find("/bucket/site/runs")} == {"run-4", "run-3"}
    assert remove_old_runs(tmp_path / "nowhere", keep=1) == []
    assert not (tmp_path / "nowhere").exists()


def test_no_run_to_keep_is_refused(site, pages):
    publish_run(pages, make_run(), site)
    with pytest.raises(ParameterError, match="keep: 0 runs cannot be kept; allowed: 1 or more"):
        remove_old_runs(site, keep=0)
    assert listed(site) == ["first"]


HOLDER = """
import fcntl, sys, time
file = open(sys.argv[1])
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""
WRITER = """
import sys
from flows.publishing import publish_run
from published_runs import make_run
print("ready", flush=True)
publish_run([], make_run("second"), sys.argv[1])
"""


def test_the_lock_keeps_a_second_writer_waiting_until_the_first_dies(site, pages, environment):
    publish_run(pages, make_run(), site)

    def start(script, path):
        command = [sys.executable, "-c", script, str(path)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    holder = start(HOLDER, site / ".publishing.lock")
    assert holder.stdout.readline() == "held\n"
    writer = start(WRITER, site)
    assert writer.stdout.readline() == "ready\n"
    with pytest.raises(subprocess.TimeoutExpired):
        writer.wait(0.5)
    assert listed(site) == ["first"]
    holder.kill()
    holder.communicate()
    writer.communicate(timeout=60)
    assert writer.returncode == 0
    assert sorted(listed(site)) == ["first", "second"]
