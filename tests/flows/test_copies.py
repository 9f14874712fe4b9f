"""Copies of the workspace: what they hold, what they refuse, and how old ones go; with real git and DVC."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hermetic import REPOSITORY, hermetic_environment, hermetic_variables

from flows.copies import COPIES, IsolatedCopy, copies_in_use, old_copies, open_copy, remove_old_copies
from flows.repository import RepositoryError
from tandem.errors import StorageError

Git = Callable[..., str]
BINARY = bytes(range(256)) * 4


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("GIT_", "DVC", "TANDEM_"))]:
        monkeypatch.delenv(name)
    for name, value in hermetic_variables(tmp_path / "home").items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git and DVC repository with one commit."""
    folder = tmp_path_factory.mktemp("template") / "project"
    folder.mkdir()
    environment = hermetic_environment(folder.parent / "home")
    for name in ("edited.txt", "staged.txt", "deleted.txt", "script.sh", "kept.txt"):
        (folder / name).write_text(f"{name}\n")
    (folder / "image.bin").write_bytes(BINARY)
    (folder / "crlf.txt").write_bytes(b"a\r\nb\r\n")
    (folder / "link").symlink_to("kept.txt")
    (folder / ".gitignore").write_text("/big/\n/dvc.lock\n")
    for command in (
        ["git", "init", "-q"],
        [sys.executable, "-m", "dvc", "init", "-q"],
        ["git", "add", "-A"],
        ["git", "commit", "-q", "-m", "start"],
    ):
        subprocess.run(command, cwd=folder, env=environment, check=True)
    return folder


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    return shutil.copytree(template, tmp_path / "project", symlinks=True)


def call(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return mode and bytes (or the target of a link) of every file, but git's and DVC's own and the copies."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[0] in (".git", ".dvc", ".tandem") or (path.is_dir() and not path.is_symlink()):
            continue
        data = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        found[str(name)] = (path.lstat().st_mode, data)
    return found


def git_state(root: Path) -> tuple[str, ...]:
    return tuple(
        call(root, "git", *command)
        for command in (["status", "--porcelain=v2", "-uall"], ["diff", "HEAD"], ["ls-files", "-s"], ["stash", "list"])
    )


# ------------------------------------------------------------------------------------------ what it holds


def test_a_copy_is_the_workspace_with_its_uncommitted_edits(root):
    (root / "edited.txt").write_text("edited, not staged\n")
    (root / "staged.txt").write_text("staged\n")
    (root / "added.txt").write_text("new and staged\n")
    call(root, "git", "add", "staged.txt", "added.txt")
    (root / "staged.txt").write_text("staged, then edited\n")
    (root / "deleted.txt").unlink()
    (root / "script.sh").chmod(0o755)
    (root / "image.bin").write_bytes(BINARY[::-1])
    (root / "link").unlink()
    (root / "link").symlink_to("edited.txt")
    (root / "new folder").mkdir()
    (root / "new folder" / "ünträcked\n.txt").write_bytes(BINARY)
    (root / "dvc.lock").write_text("ignored by git, needed all the same\n")
    (root / "big").mkdir()
    (root / "big" / "file").write_text("ignored")
    before, state = contents(root), git_state(root)
    with open_copy(root, "one") as copy:
        assert contents(copy.project) == {name: entry for name, entry in before.items() if name != "big/file"}
        assert copy.base == call(root, "git", "rev-parse", "HEAD").strip()
    assert contents(root) == before
    assert git_state(root) == state


def test_a_copy_of_a_clean_workspace_is_clean(root):
    with open_copy(root, "one") as copy:
        assert call(copy.project, "git", "status", "--porcelain") == ""
        assert copy.folder == root / COPIES / "one"
    assert call(root, "git", "status", "--porcelain", "-uall") == ""


def test_a_project_below_the_top_of_its_git_repository_is_copied(root):
    inner = root / "inner"
    inner.mkdir()
    (inner / "params.yaml").write_text("a: 1\n")
    with open_copy(inner, "one") as copy:
        assert copy.project == copy.folder / "inner"
        assert (copy.project / "params.yaml").read_text() == "a: 1\n"
        assert (copy.folder / "kept.txt").exists()


def test_hooks_of_the_users_do_not_run(root):
    for name in ("post-checkout", "post-index-change", "reference-transaction"):
        hook = root / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {root.parent}/{name}-has-run\n")
        hook.chmod(0o755)
    with open_copy(root, "one"):
        assert list(root.parent.glob("*-has-run")) == []


def test_variables_of_a_git_hook_do_not_lead_elsewhere(root, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    with open_copy(root, "one") as copy:
        assert "GIT_DIR" not in copy.environment(os.environ)
        assert (copy.folder / "kept.txt").exists()
    assert not (tmp_path / "index").exists()


def test_a_nested_git_repository_is_left_out(root):
    nested = root / "nested"
    nested.mkdir()
    call(nested, "git", "init", "-q")
    (nested / "file").write_text("of another repository\n")
    with open_copy(root, "one") as copy:
        assert not (copy.folder / "nested" / "file").exists()


# --------------------------------------------------------------------------------------------- DVC's cache


def dvc(folder: Path, *arguments: str) -> str:
    return call(folder, sys.executable, "-m", "dvc", *arguments)


def test_a_copy_shares_the_workspaces_cache(root):
    with open_copy(root, "one") as copy:
        assert dvc(copy.project, "cache", "dir").strip() == str(root / ".dvc" / "cache")


def test_a_copy_takes_the_local_configuration_of_the_workspace_with_its_paths(root, tmp_path):
    with (root / ".dvc" / "config").open("a") as file:
        file.write("['remote \"near\"']\n    url = ../../near\n")
    (root / ".dvc" / "config.local").write_text(
        "[core]\n    remote = my.store\n    autostage = true\n"
        "[cache]\n    dir = ../../shared cache\n    type = hardlink,copy\n"
        "['remote \"my.store\"']\n    url = ../../store\n"
        '[\'remote "web"\']\n    url = https://example.com/a\n    password = "it\'s # secret"\n'
    )
    with open_copy(root, "one") as copy:
        listed = dvc(copy.project, "config", "--list").splitlines()
        assert {
            f"cache.dir={tmp_path / 'shared cache'}",
            "cache.type=hardlink,copy",
            "core.autostage=true",
            f"remote.near.url={tmp_path / 'near'}",
            f"remote.my.store.url={tmp_path / 'store'}",
            "core.remote=my.store",
            "remote.web.password=it's # secret",
        } <= set(listed)
        config = copy.project / ".dvc" / "config.local"
        assert config.stat().st_mode & 0o777 == 0o600
        assert call(copy.project, "git", "status", "--porcelain", "--", ".dvc/config.local") == ""


# --------------------------------------------------------------------------------------------- environment


def test_the_copys_own_code_runs(root):
    """Even where the product is installed in place or on PYTHONPATH, and Python leaves out the current folder."""
    for package in ("tandem", "stages"):
        (root / package).mkdir()
        (root / package / "__init__.py").write_text("")
    (root / "stages" / "where.py").write_text("import stages, tandem\nprint(stages.__file__, tandem.__file__)\n")
    with open_copy(root, "one") as copy:
        expected = [str(copy.project / package / "__init__.py") for package in ("stages", "tandem")]
        for more in ({}, {"PYTHONSAFEPATH": "1"}, {"PYTHONPATH": str(REPOSITORY)}):
            environment = copy.environment({"PATH": os.environ["PATH"]} | more)
            done = subprocess.run(
                [sys.executable, "-m", "stages.where"],
                cwd=copy.project, env=environment, capture_output=True, text=True, check=True,
            )  # fmt: skip
            assert done.stdout.split() == expected


def test_a_data_folder_named_relative_to_the_workspace_is_found(root):
    copy = IsolatedCopy("one", root, root / COPIES / "one", root / COPIES / "one", "0" * 40)
    assert copy.environment({"TANDEM_DATA": "genuine"})["TANDEM_DATA"] == str(root / "genuine")
    assert copy.environment({"TANDEM_DATA": "/data"})["TANDEM_DATA"] == "/data"
    assert "TANDEM_DATA" not in copy.environment({})


# ----------------------------------------------------------------------------------------------- refusals


def refusal(root: Path, kind: type[Exception] = RepositoryError) -> str:
    """Return the error's text; nothing may have been left behind."""
    copies = root / COPIES
    with pytest.raises(kind) as caught, open_copy(root, "one"):
        pass
    assert not copies.exists() or list(copies.iterdir()) == []
    return str(caught.value)


def test_a_folder_without_git_is_told(tmp_path):
    assert refusal(tmp_path) == (
        f"{tmp_path}: no git repository; a run with overrides works in a copy that git makes: "
        "run `git init`, `git add -A` and `git commit`"
    )


def test_a_repository_without_a_commit_is_told(tmp_path):
    call(tmp_path, "git", "init", "-q")
    assert refusal(tmp_path) == (
        f"{tmp_path}: the git repository has no commit; a run with overrides works in a copy that git makes: "
        "run `git add -A` and `git commit`"
    )


def test_a_repository_without_dvc_is_told(tmp_path):
    call(tmp_path, "git", "init", "-q")
    call(tmp_path, "git", "commit", "-q", "--allow-empty", "-m", "start")
    assert refusal(tmp_path) == f"{tmp_path}: no DVC repository; run `dvc init`"


def test_an_unfinished_merge_is_told(root):
    call(root, "git", "checkout", "-q", "-b", "other")
    (root / "edited.txt").write_text("other\n")
    call(root, "git", "commit", "-q", "-a", "-m", "other")
    call(root, "git", "checkout", "-q", "-")
    (root / "edited.txt").write_text("mine\n")
    call(root, "git", "commit", "-q", "-a", "-m", "mine")
    subprocess.run(["git", "merge", "-q", "other"], cwd=root, capture_output=True, check=False)
    before = contents(root)
    assert refusal(root) == (
        f"{root}: a merge is not finished (edited.txt); finish it with `git commit` or leave it with "
        "`git merge --abort`"
    )
    call(root, "git", "add", "edited.txt")
    assert "a merge is not finished; finish it" in refusal(root)
    assert contents(root) == before


def test_submodules_are_told(root):
    commit = call(root, "git", "rev-parse", "HEAD").strip()
    call(root, "git", "update-index", "--add", "--cacheinfo", f"160000,{commit},library")
    assert refusal(root) == (
        f"{root}: submodules (library) are not copied; change the parameters in params.yaml itself"
    )


def test_a_git_that_does_not_know_its_user_is_told(root, monkeypatch):
    for who in ("AUTHOR", "COMMITTER"):
        for what in ("NAME", "EMAIL"):
            monkeypatch.delenv(f"GIT_{who}_{what}")
    call(root, "git", "config", "user.useConfigOnly", "true")
    assert refusal(root).startswith(f"{root}: git does not know who you are")


def test_a_missing_git_is_told(root, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusal(root) == "git rev-parse: git is not installed; install it and run again"


def test_a_full_disk_is_told_and_nothing_is_kept(root):
    """A limit on the size of files stands for it: git and Python meet it while they write."""
    (root / "new.bin").write_bytes(bytes(3_000_000))
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from flows.copies import open_copy\n"
        "from tandem.errors import StorageError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "try:\n"
        "    with open_copy(Path(sys.argv[1]), 'one'):\n"
        "        print('copied')\n"
        "except StorageError as error:\n"
        "    print(error)\n"
    )
    said = call(root, sys.executable, "-c", script, str(root))
    assert said == (
        f"{root / COPIES / 'one'}: the copy of the workspace cannot be written (File too large); nothing was kept of "
        "it; free some space (`tandem clean` removes old runs and copies) or make the folder writable, and run again\n"
    )
    assert list((root / COPIES).iterdir()) == []
    assert len(call(root, "git", "worktree", "list").splitlines()) == 1


def test_a_full_disk_that_git_meets_is_told_like_any_other(root, tmp_path, monkeypatch):
    """A git that fails as on a full disk, since a test cannot fill one."""
    real = shutil.which("git")
    script = tmp_path / "bin" / "git"
    script.parent.mkdir()
    script.write_text(
        "#!/bin/sh\n"
        'for word in "$@"; do [ "$word" = read-tree ] && full=yes; done\n'
        '[ -n "$full" ] && { echo "fatal: cannot create file: No space left on device" >&2; exit 128; }\n'
        f'exec {real} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    folder = root / COPIES / "one"
    assert refusal(root, StorageError) == (
        f"{folder}: no space left on the device for a copy of the workspace; nothing was kept of it; free some "
        "space (`tandem clean` removes old runs and copies) and run again"
    )
    assert len(call(root, "git", "worktree", "list").splitlines()) == 1


# ---------------------------------------------------------------------------------------------- retention


HOLD = """
import sys
from pathlib import Path
from flows.copies import open_copy
with open_copy(Path(sys.argv[1]), sys.argv[2]) as copy:
    print(copy.name, flush=True)
    sys.stdin.read()
"""


def holder(root: Path, name: str) -> subprocess.Popen[str]:
    """Start a process that makes a copy and holds it until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root), name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=hermetic_environment(root.parent / "home"),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().strip() == name
    return process


def leave(root: Path, name: str, ended: int) -> Path:
    """Make a copy and leave it behind, as of a time in seconds."""
    with open_copy(root, name) as copy:
        pass
    os.utime(root / COPIES / f"{copy.name}.lock", (ended, ended))
    return copy.folder


def test_the_newest_copies_are_kept_and_older_ones_removed(root):
    two, three, one = leave(root, "two", 2), leave(root, "three", 3), leave(root, "one", 1)
    assert old_copies(root, keep=1) == (one, two)
    assert old_copies(root, keep=3) == ()
    assert remove_old_copies(root, keep=1) == (one, two)
    assert [path.name for path in sorted((root / COPIES).iterdir())] == ["three", "three.lock"]
    assert call(root, "git", "worktree", "list").count("\n") == 2
    assert remove_old_copies(root, keep=0) == (three,)
    assert list((root / COPIES).iterdir()) == []
    assert call(root, "git", "worktree", "list").count("\n") == 1


def test_a_copy_that_comes_into_use_while_old_ones_are_removed_is_left(root, monkeypatch):
    with open_copy(root, "one") as copy:
        monkeypatch.setattr("flows.copies.old_copies", lambda *_: (copy.folder,))
        assert remove_old_copies(root, keep=0) == ()
        assert (copy.folder / "kept.txt").exists()


def test_a_copy_in_use_is_never_removed_and_one_of_a_killed_process_is(root):
    process = holder(root, "one")
    try:
        assert copies_in_use(root) == ("one",)
        assert remove_old_copies(root, keep=0) == ()
        assert (root / COPIES / "one" / "kept.txt").exists()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert copies_in_use(root) == ()
        assert remove_old_copies(root, keep=0) == (root / COPIES / "one",)
    finally:
        process.kill()
        process.communicate()
    assert list((root / COPIES).iterdir()) == []


def test_a_name_that_an_older_copy_has_is_not_taken_twice(root):
    folder = leave(root, "one", 1)
    with open_copy(root, "one") as second, open_copy(root, "one") as third:
        assert [second.name, third.name] == ["one-2", "one-3"]
    assert folder.exists()


def test_a_copy_that_is_removed_leaves_nothing(root):
    with open_copy(root, "one") as copy:
        (copy.folder / "more").mkdir()
        (copy.folder / "more" / "file").write_text("made by a run")
        (copy.folder / "more" / "file").chmod(0o444)
        copy.remove()
    assert list((root / COPIES).iterdir()) == []
    assert call(root, "git", "worktree", "list").count("\n") == 1


def test_copies_that_somebody_removed_by_hand_are_forgotten(root):
    shutil.rmtree(leave(root, "one", 1))
    assert remove_old_copies(root, keep=3) == ()
    assert list((root / COPIES).iterdir()) == []
    assert call(root, "git", "worktree", "list").count("\n") == 1


def test_a_worktree_of_the_users_own_is_left_alone(root, tmp_path):
    call(root, "git", "worktree", "add", "-q", "--detach", str(tmp_path / "own"))
    shutil.rmtree(tmp_path / "own")  # on a drive that is not there at the moment
    leave(root, "one", 1)
    remove_old_copies(root, keep=0)
    assert str(tmp_path / "own") in call(root, "git", "worktree", "list")


def test_without_copies_there_is_nothing_to_remove(tmp_path):
    assert (old_copies(tmp_path), remove_old_copies(tmp_path), copies_in_use(tmp_path)) == ((), (), ())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(root):
    (root / ".tandem").write_text("a file\n")
    with (
        pytest.raises(StorageError, match=r"\.tandem/copies: the copy of the workspace cannot be written"),
        open_copy(root, "one"),
    ):
        pass
