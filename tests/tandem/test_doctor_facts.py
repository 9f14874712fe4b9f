"""How the doctor learns its facts: from real children, real packages on a path, real folders and ports."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from packaging.requirements import Requirement

from tandem.doctor import workspaces
from tandem.doctor.facts import Failure, Unmet
from tandem.doctor.interpreters import other_interpreters
from tandem.doctor.machine import core_quota, count_nvidia_devices, gather_machine, memory_limit, read_memory
from tandem.doctor.packages import gather_packages, read_pins, unmet_requirements
from tandem.doctor.probing import Outcome, run_probes
from tandem.doctor.versions import release, same_release

Call = Callable[..., "subprocess.CompletedProcess[str]"]
NOBODY = 65534


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# ------------------------------------------------------------------------------------------------- probes


@pytest.fixture
def import_torch(tmp_path: Path, hermetic: dict[str, str]) -> Callable[..., Outcome]:
    """Run the probe of PyTorch where another `torch` comes first."""

    def probe(code: str, limit: float = 60.0) -> Outcome:
        write(tmp_path / "first" / "torch" / "__init__.py", code)
        (tmp_path / "work").mkdir()
        environment = hermetic | {"PYTHONPATH": str(tmp_path / "first")}
        return run_probes({"torch": {}}, tmp_path / "work", environment, limit)["torch"]

    return probe


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("raise RuntimeError('torch is\\nbroken')", Failure("raised", "RuntimeError: torch is broken")),
        ("import no_such_package", Failure("missing", "ModuleNotFoundError: No module named 'no_such_package'",
                                           "no_such_package")),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", Failure("killed", "SIGSEGV")),
        ("import os; os._exit(3)", Failure("silent", "exit status 3")),
        ("import sys; sys.exit('over')", Failure("raised", "SystemExit: over")),
        ("import os; os.write(2, b'first\\nno GPU\\n'); os._exit(1)",
         Failure("silent", "exit status 1: first / no GPU")),
        ("x = 1", Failure("raised", "AttributeError: module 'torch' has no attribute 'cuda'")),
    ],
)  # fmt: skip
def test_a_broken_import_is_told_and_breaks_nothing_else(import_torch, code, failure):
    assert import_torch(code) == Outcome(failure=failure)


def test_an_import_that_hangs_is_ended_with_all_that_it_started(import_torch, tmp_path):
    code = f"""
import subprocess, time
child = subprocess.Popen(["sleep", "600"])
open({str(tmp_path / "child")!r}, "w").write(str(child.pid))
time.sleep(600)
"""
    outcome = import_torch(code, limit=5)
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.answer) == ("hung", None)
    assert outcome.failure.seconds >= 5
    assert has_ended(int((tmp_path / "child").read_text()))


def has_ended(process: int) -> bool:
    """Wait for a killed process, which whoever inherited it has to take notice of first."""
    for _ in range(200):
        try:
            if psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


FAKE_TORCH = """
print("a framework that talks", flush=True)
import warnings
warnings.warn("The NVIDIA driver on your system is too old (found version 11040).")
warnings.warn("old", DeprecationWarning)
__version__ = "9.9"
class version: cuda = "13.0"
class cuda:
    is_available = staticmethod(lambda: {gpu})
    device_count = staticmethod(lambda: 1)
    get_device_name = staticmethod(lambda index: "Fast")
class tensor:
    def __init__(self, rows, device):
        if device != "cpu": raise RuntimeError("no kernel image")
        self.rows = rows
    def __matmul__(self, other): return self
    cpu = lambda self: self
    tolist = lambda self: self.rows
"""


def test_what_a_framework_says_and_computes_is_told_per_device(import_torch):
    answer = import_torch(FAKE_TORCH.replace("{gpu}", "True")).answer
    assert answer is not None
    assert answer["versions"] == {"torch": "9.9"}
    assert answer["cuda"] == "13.0"
    assert answer["warnings"] == ["The NVIDIA driver on your system is too old (found version 11040)."]
    assert [(device["name"], device["failure"]) for device in answer["devices"]] == [
        ("CPU", "the product of two small matrices is wrong"),
        ("GPU 0 Fast", "RuntimeError: no kernel image"),
    ]


def test_a_module_of_the_workspace_comes_first_as_it_does_for_the_stages(tmp_path, hermetic):
    write(tmp_path / "torch.py", "raise OSError('mine')")
    outcome = run_probes({"torch": {}}, tmp_path, hermetic, 60)["torch"]
    assert outcome == Outcome(failure=Failure("raised", "OSError: mine"))
    assert list(workspaces.shadowing_files(tmp_path)) == ["torch.py"]


FAKE_NVML = """
class NVMLError(Exception):
    value = 0
class NVMLError_LibraryNotFound(NVMLError):
    value = 12
class Mismatch(NVMLError):
    value = 18
class Lost(NVMLError):
    value = 15
class Memory: total, used = 80 * 2**30, 2 * 2**30
def nvmlInit():
    {init}
nvmlShutdown = lambda: None
nvmlSystemGetDriverVersion = lambda: "550.54.15"
nvmlSystemGetCudaDriverVersion_v2 = lambda: 12040
nvmlDeviceGetCount = lambda: 2
def nvmlDeviceGetHandleByIndex(index):
    if index: raise Lost("GPU is lost")
nvmlDeviceGetName = lambda handle: "NVIDIA H100"
nvmlDeviceGetMemoryInfo = lambda handle: Memory
"""


@pytest.mark.parametrize(
    ("init", "answer"),
    [
        ("raise NVMLError_LibraryNotFound('not found')", {"absent": "not found", "kind": "library"}),
        ("raise Mismatch('mismatch')", {"absent": "mismatch", "kind": "mismatch"}),
        ("raise Lost('unknown')", {"absent": "unknown", "kind": "other"}),
        (
            "pass",
            {
                "driver": "550.54.15",
                "cuda": [12, 4],
                "gpus": [
                    {"index": 0, "name": "NVIDIA H100", "memory": 80 * 2**30, "used": 2 * 2**30},
                    {"index": 1, "name": "", "failure": "GPU is lost"},
                ],
            },
        ),
    ],
)
def test_nvml_answers_or_says_why_not(tmp_path, hermetic, init, answer):
    write(tmp_path / "first" / "pynvml.py", FAKE_NVML.replace("{init}", init))
    environment = hermetic | {"PYTHONPATH": str(tmp_path / "first")}
    assert run_probes({"nvml": {}}, tmp_path, environment, 60)["nvml"] == Outcome(answer)


# ------------------------------------------------------------------------------------------------ project


def read_project(folder: Path, environment: dict[str, str]) -> dict:
    request = {
        "source": str(Path(__file__).resolve().parents[2]),
        "params": "params.yaml",
        "runs": "runs.yaml",
        "raw": "data/raw",
    }
    outcome = run_probes({"project": request}, folder, environment, 60)["project"]
    assert outcome.answer is not None, outcome.failure
    return outcome.answer


def test_the_suite_is_read_and_an_old_plan_is_told(write_params, tmp_path, hermetic):
    write_params()
    project = read_project(tmp_path, hermetic)
    assert project["experiments"] == ["digits-mlp", "coffee"]
    assert project["frameworks"] == ["keras", "torch"]
    assert project["plan_error"].startswith("runs.yaml: missing")
    assert {entry["dataset"]: entry["state"] for entry in project["data"]} == {"digits": "local", "coffee": "local"}


def test_mistakes_in_params_are_told_with_their_places(write_params, tmp_path, hermetic):
    write_params(("frameworks: [keras, torch]", "frameworks: [keras, tourch]"))
    mistakes = read_project(tmp_path, hermetic)["mistakes"].splitlines()
    assert mistakes[0].startswith("params.yaml:3: suite.frameworks[1]: 'tourch' is not known; ")


@pytest.fixture
def housing(write_params, tmp_path: Path) -> Path:
    """A project whose suite needs a file from elsewhere."""
    write_params(
        ("    source: digits\n", "    source: california_housing\n"),
        (", stratify: true", ""),
        ("loss: cross_entropy", "loss: mse"),
    )
    return tmp_path


def data_state(folder: Path, environment: dict[str, str]) -> dict[str, str]:
    return read_project(folder, environment)["data"][0]


def test_data_that_is_not_here_is_to_be_downloaded(housing, hermetic):
    assert data_state(housing, hermetic) == {
        "dataset": "digits", "state": "download", "detail": "ndownloader.figshare.com",
    }  # fmt: skip


def test_data_in_the_workspace_is_there(housing, hermetic):
    write(housing / "data/raw/digits/cal_housing.data", "1")
    assert data_state(housing, hermetic)["state"] == "fetched"


def test_a_folder_without_the_file_or_with_a_damaged_one_is_refused(housing, hermetic, tmp_path):
    environment = hermetic | {"TANDEM_DATA": str(tmp_path / "mine")}
    missing = data_state(housing, environment)
    assert missing["state"] == "refused"
    assert missing["detail"].startswith(f"{tmp_path}/mine/california_housing/cal_housing.data: missing; ")
    write(tmp_path / "mine/california_housing/cal_housing.data", "1")
    damaged = data_state(housing, environment)
    assert damaged["state"] == "refused"
    assert "wrong sha256" in damaged["detail"]


@pytest.mark.data
def test_a_folder_with_the_files_gives_them(housing, hermetic, mirror):
    assert data_state(housing, hermetic | {"TANDEM_DATA": str(mirror)})["state"] == "given"


# ----------------------------------------------------------------------------------------------- packages


def make_distribution(folder: Path, name: str, version: str, *requires: str) -> None:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    write(folder / f"{name.replace('-', '_')}-{version}.dist-info" / "METADATA", "\n".join(lines) + "\n")


LIST_PACKAGES = """
import dataclasses, json, sys
from pathlib import Path
from tandem.doctor.packages import gather_packages
print(json.dumps(dataclasses.asdict(gather_packages(Path(sys.argv[1]), Path("constraints.txt")))))
"""


def test_packages_are_found_as_python_finds_them(python: Call, tmp_path, hermetic):
    first = tmp_path / "first"
    make_distribution(first, "keras", "2.15.0")
    make_distribution(first, "tf_keras", "2.20.1", "tensorflow>=99", "absent; extra == 'never'", "gone>=1")
    (first / "~roken-1.dist-info").mkdir()
    write(tmp_path / "constraints.txt", "# pins\ntorch==2.13.0\nruamel.yaml==0.19.1 ; python_version > '3'\n-e .\n")
    path = os.pathsep.join([str(first), hermetic["PYTHONPATH"]])
    done = python("-c", LIST_PACKAGES, hermetic["PYTHONPATH"], PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    kerases = [(entry["version"], entry["location"]) for entry in found["distributions"] if entry["name"] == "keras"]
    assert kerases[0] == ("2.15.0", str(first))
    assert len(kerases) == 2, "the real one is behind it"
    assert found["pins"] == {"torch": "2.13.0", "ruamel-yaml": "0.19.1"}
    unmet = {entry["requirement"]: entry for entry in found["unmet"] if entry["package"] == "tf-keras"}
    assert set(unmet) == {"tensorflow>=99", "gone>=1"}
    assert unmet["gone>=1"] == {"package": "tf-keras", "requirement": "gone>=1", "name": "gone", "found": ""}
    assert Unmet("tandem", "keras>=3.15", "keras", "2.15.0").found in {entry["found"] for entry in found["unmet"]}


def test_the_packages_of_this_environment_are_found():
    repository = Path(__file__).resolve().parents[2]
    packages = gather_packages(repository, repository / "constraints.txt")
    assert packages.unchecked == ""
    assert packages.version("torch").startswith("2.13.0")
    assert len(packages.pins) > 100


def test_requirements_are_judged_as_pip_check_does():
    texts = ["B_c>=2", "d; python_version < '3'", "e[x]==1.*", "not a requirement!"]
    requirements = {"a": texts, "b": ["torch==2.13.0"]}
    versions = {"b-c": "2.0rc1", "e": "1.5", "torch": "2.13.0+cpu"}
    assert list(unmet_requirements(requirements, versions, Requirement)) == [Unmet("a", "B_c>=2", "b-c", "2.0rc1")]


def test_without_constraints_there_are_no_pins(tmp_path):
    assert read_pins(tmp_path / "constraints.txt") == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2.13.0+cpu", (2, 13, 0)), ("1!3.8", (3, 8)), ("2.1.0b2", (2, 1, 0)), ("unknown", ())],
)
def test_a_release_is_the_numbers_of_a_version(text, expected):
    assert release(text) == expected


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("2.13.0+cpu", "2.13.0", True), ("1.0", "1", True), ("1.0rc1", "1.0", False), ("1.1", "1.10", False)],
)
def test_versions_are_the_same_but_for_the_local_part(one, other, same):
    assert same_release(one, other) is same


# ------------------------------------------------------------------------------------------- interpreters


def make_environment(prefix: Path, *, tandem: bool = True) -> Path:
    """Make what an environment with Tandem looks like on disk."""
    python = write(prefix / "bin" / "python3", "")
    if tandem:
        make_distribution(prefix / "lib/python3.11/site-packages", "tandem", "0.1.0")
    return python


def test_interpreters_with_tandem_are_found_in_the_project_on_the_path_and_by_the_command(tmp_path):
    project, source = tmp_path / "project", tmp_path / "source"
    own, active = make_environment(project / ".venv"), make_environment(tmp_path / "active")
    behind = make_environment(tmp_path / "behind")
    make_environment(tmp_path / "without", tandem=False)
    write(tmp_path / "scripts" / "tandem", f"#!{behind}\nprint()\n")
    folders = [tmp_path / "without/bin", tmp_path / "scripts", project / ".venv/bin"]
    variables = {"VIRTUAL_ENV": str(tmp_path / "active"), "PATH": os.pathsep.join(map(str, folders))}
    assert list(other_interpreters(project, source, variables)) == [str(own), str(active), str(behind)]


# ---------------------------------------------------------------------------------------------- workspace


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path):
    assert workspaces.write_error(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []
    assert workspaces.write_error(tmp_path / "absent") == "No such file or directory"


AS_ORDINARY_USER = """
import json, os, sys
from pathlib import Path
from tandem.doctor import workspaces
if os.geteuid() == 0:
    os.setegid(int(sys.argv[2])), os.setreuid(int(sys.argv[2]), int(sys.argv[2]))
root = Path(sys.argv[1])
print(json.dumps([workspaces.write_error(root), list(workspaces.locked_folders(root.parent))]))
"""


def test_a_folder_of_another_user_is_told(tmp_path, hermetic):
    if os.geteuid() == 0:
        own = [folder for folder in (tmp_path, *tmp_path.parents) if folder.stat().st_mode & 0o077 == 0]
        for folder in own:
            folder.chmod(0o755)  # pytest's own folders are its user's alone
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    done = subprocess.run(
        [sys.executable, "-c", AS_ORDINARY_USER, str(locked), str(NOBODY)],
        env=hermetic, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["Permission denied", ["locked"]]


def test_a_full_disk_is_told_by_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(100, 96, 4))  # type: ignore[attr-defined]
    disk = workspaces.look_at_disk("workspace", tmp_path / "not" / "yet" / "there")
    assert (disk.free, disk.path) == (4, str(tmp_path / "not/yet/there"))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "project/.dvc/cache"),
        ({"config": "[cache]\n    dir = ../../shared\n"}, "shared"),
        ({"config": "[core]\n    analytics = false\n['remote \"x\"']\n    url = y\n"}, "project/.dvc/cache"),
        ({"config": "[cache]\n    dir = /a\n", "config.local": "[cache]\n    dir = ../local\n"}, "project/local"),
        ({"config": "no section\n"}, "project/.dvc/cache"),
    ],
)
def test_the_cache_is_where_dvcs_settings_place_it(tmp_path, files, expected):
    for name, text in files.items():
        write(tmp_path / "project" / ".dvc" / name, text)
    assert workspaces.cache_folder(tmp_path / "project") == tmp_path / expected


def test_a_port_that_something_listens_on_is_taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        number = listener.getsockname()[1]
        assert workspaces.gather_ports(((number, "pages", "--port"),))[0].taken
    assert not workspaces.gather_ports(((number, "pages", "--port"),))[0].taken


def test_git_says_whether_the_folder_is_a_repository(tmp_path, hermetic):
    (tmp_path / "project").mkdir()
    hermetic = hermetic | {"GIT_CEILING_DIRECTORIES": str(tmp_path)}
    before = workspaces.gather_workspace(tmp_path / "project", ("params.yaml",), hermetic)
    assert before.git[0].isdigit()
    assert before.git_error.startswith("fatal: not a git repository")
    assert before.missing == ("params.yaml",)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path / "project", env=hermetic, check=True)
    assert workspaces.gather_workspace(tmp_path / "project", (), hermetic).git_error == ""
    without = workspaces.gather_workspace(tmp_path / "project", (), hermetic | {"PATH": str(tmp_path)})
    assert (without.git, without.git_error) == ("", "git is not installed")


# ------------------------------------------------------------------------------------------------ machine


def test_the_limits_of_control_groups_count(tmp_path):
    write(tmp_path / "proc/self/cgroup", "0::/box/inner\n")
    groups = tmp_path / "sys/fs/cgroup"
    for group, memory, cpu in (("box", "2147483648", "150000 100000"), ("box/inner", "max", "max 100000")):
        write(groups / group / "memory.max", f"{memory}\n")
        write(groups / group / "cpu.max", f"{cpu}\n")
    assert (memory_limit(tmp_path), core_quota(tmp_path)) == (2 * 2**30, 1.5)


def test_a_container_that_sees_its_own_group_as_the_topmost_has_its_limit(tmp_path):
    write(tmp_path / "proc/self/cgroup", "0::/docker/1234\n")
    write(tmp_path / "sys/fs/cgroup/memory.max", "1073741824\n")
    assert memory_limit(tmp_path) == 2**30


def test_the_limits_of_old_control_groups_count(tmp_path):
    write(tmp_path / "proc/self/cgroup", "4:memory:/box\n3:cpu,cpuacct:/\n2:cpuset:/\n")
    write(tmp_path / "sys/fs/cgroup/memory/box/memory.limit_in_bytes", "536870912\n")
    write(tmp_path / "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    write(tmp_path / "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n")
    write(tmp_path / "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    assert (memory_limit(tmp_path), core_quota(tmp_path)) == (2**29, 0.5)


def test_without_limits_there_are_none(tmp_path):
    assert (memory_limit(tmp_path), core_quota(tmp_path), read_memory(tmp_path)) == (None, None, {})


def test_nvidias_display_controllers_are_counted_without_a_driver(tmp_path):
    devices = {"gpu": ("0x10de", "0x030200"), "sound": ("0x10de", "0x040300"), "other": ("0x8086", "0x030000")}
    for name, (vendor, kind) in devices.items():
        write(tmp_path / "sys/bus/pci/devices" / name / "vendor", f"{vendor}\n")
        write(tmp_path / "sys/bus/pci/devices" / name / "class", f"{kind}\n")
    assert count_nvidia_devices(tmp_path) == 1


def test_this_machine_has_cores_and_memory():
    machine = gather_machine()
    assert 1 <= machine.usable_cores <= machine.cores
    assert machine.memory == psutil.virtual_memory().total
    assert machine.available_memory is not None
    assert 0 < machine.available_memory < machine.memory
