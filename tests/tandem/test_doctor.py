"""The doctor's command in real environments: exit status, text and JSON; nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hermetic import REPOSITORY
from workspace import Workspace, make_workspace

BROKEN = "raise ImportError('broken on purpose')"
COSTLY = ("torch", "tensorflow", "keras", "prefect", "dvc")  # to import


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A project with a git and a DVC repository."""
    made = make_workspace(tmp_path_factory.mktemp("doctor"), repository=True)
    for name in ("constraints.txt", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, made.root)
    return made


def fake_packages(folder: Path, **packages: str) -> Path:
    """Make packages of the given code in a folder, to come first on the path."""
    for name, code in packages.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(code, encoding="utf-8")
    return folder


def findings(done: subprocess.CompletedProcess[str]) -> dict[tuple[str, str], list[dict[str, str]]]:
    """Return the findings of the JSON by level and topic."""
    assert done.stderr == ""
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    for section in json.loads(done.stdout)["sections"]:
        for finding in section["findings"]:
            found.setdefault((finding["level"], finding["topic"]), []).append(finding)
    return found


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "__pycache__" not in path.parts and ".git" not in path.parts}


def doctor(workspace: Workspace, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    before = files(workspace.root)
    python_path = os.pathsep.join(str(folder) for folder in (path, workspace.root) if folder)
    done = workspace.call(sys.executable, "-m", "tandem.doctor", *arguments, PYTHONPATH=python_path)
    assert files(workspace.root) == before, "the doctor writes nothing into the workspace"
    return done


@pytest.fixture(scope="module")
def broken(workspace, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """`tandem doctor --json` where much is broken, and a Keras 2 comes first."""
    path = fake_packages(
        tmp_path_factory.mktemp("broken"),
        torch=BROKEN, prefect=BROKEN, dvc=BROKEN, keras="",
        tensorflow="import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    )  # fmt: skip
    metadata = path / "keras-2.15.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: keras\nVersion: 2.15.0\n", encoding="utf-8")
    return workspace.tandem("doctor", "--json", PYTHONPATH=os.pathsep.join([str(path), str(workspace.root)]))


def test_broken_frameworks_that_the_suite_names_block_it(broken):
    found = findings(broken)
    assert broken.returncode == json.loads(broken.stdout)["status"] == 1
    assert found["problem", "PyTorch"] == [
        {
            "level": "problem",
            "topic": "PyTorch",
            "found": "cannot be imported: ImportError: broken on purpose",
            "remedy": "The installation is broken; install it anew:",
            "command": "python -m pip install --force-reinstall -c constraints.txt torch",
        }
    ]
    assert found["problem", "Keras"][0]["found"] == "importing it ended the process by SIGSEGV"


def test_what_is_not_broken_is_still_looked_at(broken):
    found = findings(broken)
    assert {("ok", "NumPy"), ("ok", "params.yaml"), ("ok", "Python"), ("ok", "git")} <= set(found)
    assert {topic for level, topic in found if level == "problem"} == {"PyTorch", "Keras", "Prefect", "DVC"}


def test_a_keras_2_that_comes_first_is_found_by_its_metadata(broken):
    found = findings(broken)
    (problem,) = (entry for entry in found["problem", "Keras"] if "beside" in entry["found"])
    assert problem["found"].startswith("keras 2.15.0 stands beside tensorflow 2.21")
    assert "Duplicate registrations for type 'optimizer'" in problem["found"]
    assert found["warning", "keras"][0]["found"].startswith("stands 2 times: 2.15.0 in /")
    assert "tandem requires keras<3.16,>=3.15, but 2.15.0 is installed" in found["warning", "requirements"][0]["found"]


def test_the_text_names_what_is_wrong_and_ends_with_the_verdict(workspace, tmp_path):
    done = doctor(workspace, path=fake_packages(tmp_path / "first", **dict.fromkeys(COSTLY, BROKEN)))
    assert done.returncode == 1
    assert done.stderr == ""
    text = done.stdout.splitlines()
    assert "  problem  PyTorch        cannot be imported: ImportError: broken on purpose" in text
    assert f"{' ' * 30}python -m pip install --force-reinstall -c constraints.txt torch" in text
    assert re.match(r"The suite cannot run: 4 problems", text[-1])
    assert "\x1b" not in done.stdout, "colour only in a terminal"


@pytest.fixture(scope="module")
def bare_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with nothing in it."""
    prefix = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    return prefix


def test_another_interpreter_than_the_one_installed_into_is_told_and_the_right_one_named(workspace, bare_environment):
    installed = workspace.root / ".venv"
    packages = installed / "lib/python3.11/site-packages/tandem-0.1.0.dist-info"
    packages.mkdir(parents=True)
    (installed / "bin").mkdir()
    (installed / "bin/python").write_text("")
    made_by_an_installation = workspace.root / "tandem.egg-info"
    made_by_an_installation.mkdir()
    (made_by_an_installation / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: tandem\nVersion: 0.1.0\n")
    try:
        done = workspace.call(str(bare_environment / "bin/python"), "-m", "tandem.doctor", "--json", PYTHONPATH="")
    finally:
        shutil.rmtree(installed)
        shutil.rmtree(made_by_an_installation)
    assert done.returncode == 1
    found = findings(done)
    (finding,) = found["problem", "installation"]
    assert finding["found"].startswith(f"Tandem is not installed in {bare_environment}/bin/python")
    assert finding["remedy"].startswith(f"It is installed in {installed}/bin/python")
    assert finding["command"] == ".venv/bin/python -m tandem.doctor"
    assert {topic for level, topic in found if level == "problem"} >= {"Keras", "PyTorch", "DVC", "Prefect"}
    assert found["note", "params.yaml"][0]["found"].startswith("not checked")
    commands = {finding["command"] for entries in found.values() for finding in entries}
    assert not any("pip install" in command for command in commands), "nothing goes into the wrong interpreter"


def test_the_text_needs_nothing_but_python(workspace, bare_environment):
    done = workspace.call(str(bare_environment / "bin/python"), "-m", "tandem.doctor", PYTHONPATH="", LC_ALL="C")
    assert (done.returncode, done.stderr) == (1, "")
    assert "Tandem is not installed in" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("The suite cannot run: ")


def test_a_folder_that_is_no_project_is_told(tmp_path, workspace):
    broken = fake_packages(tmp_path / "first", **dict.fromkeys(COSTLY, BROKEN))
    (tmp_path / "empty").mkdir()
    elsewhere = Workspace(tmp_path / "empty", workspace.environment | {"GIT_CEILING_DIRECTORIES": str(tmp_path)})
    path = os.pathsep.join([str(broken), str(workspace.root)])
    done = elsewhere.call(sys.executable, "-m", "tandem.doctor", "--json", PYTHONPATH=path)
    assert done.returncode == 1
    found = findings(done)
    folder = f"{tmp_path / 'empty'} has no params.yaml, dvc.yaml, .dvc: it is no Tandem project"
    assert found["problem", "folder"][0]["found"] == folder
    assert found["problem", "git"][0]["command"] == "git init && git add -A && git commit -m Start"
    assert found["problem", "params.yaml"][0]["found"].startswith("params.yaml: missing")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB; only root may make one."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tandem-test", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("this user may not mount a file system; made facts stand for it in test_doctor_findings.py")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_blocks_the_suite(tiny_disk, workspace, tmp_path):
    (tiny_disk / "full").write_bytes(bytes(60 * 1024))
    path = os.pathsep.join(
        [str(fake_packages(tmp_path / "first", **dict.fromkeys(COSTLY, BROKEN))), str(workspace.root)]
    )
    environment = workspace.environment | {"PYTHONPATH": path}
    done = Workspace(tiny_disk, environment).call(sys.executable, "-m", "tandem.doctor", "--json")
    assert done.returncode == 1
    (finding,) = findings(done)["problem", "disk"]
    assert finding["found"].startswith(f"0 MiB free: workspace ({tiny_disk}), DVC's cache ({tiny_disk}/.dvc/cache)")
    assert finding["command"] == "tandem clean --cache"


# ------------------------------------------------------------------------------------ with real frameworks


@pytest.mark.slow
def test_in_this_environment_the_suite_can_run(workspace):
    done = doctor(workspace, "--json")
    assert done.returncode == 0, done.stdout
    found = findings(done)
    assert {("ok", "Keras"), ("ok", "PyTorch"), ("ok", "NumPy"), ("ok", "DVC"), ("ok", "Prefect")} <= set(found)
    assert "backend tensorflow; computes on CPU" in found["ok", "Keras"][0]["found"]
    assert not [topic for level, topic in found if level == "problem"]


@pytest.mark.slow
def test_a_broken_framework_that_the_suite_does_not_name_blocks_nothing(workspace, tmp_path):
    params = workspace.root / "params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(text.replace("  frameworks: [keras, torch]", "  frameworks: [keras]", 1), encoding="utf-8")
    try:
        done = doctor(workspace, "--json", path=fake_packages(tmp_path, torch=BROKEN))
    finally:
        params.write_text(text, encoding="utf-8")
    found = findings(done)
    assert done.returncode == 0
    assert found["note", "PyTorch"][0]["found"].endswith("broken on purpose; the suite does not name it")
    assert ("warning", "runs.yaml") in found, "it is the plan of both frameworks"
