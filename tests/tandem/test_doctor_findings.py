"""What the doctor says about made environments: level, text, remedy and command, word for word."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from tandem.doctor import examination
from tandem.doctor.checks.interpreter import HIGHEST, LOWEST
from tandem.doctor.drawing import lines
from tandem.doctor.examination import all_checks, examine
from tandem.doctor.facts import (
    ComputeDevice,
    DataState,
    Disk,
    Distribution,
    Facts,
    Failure,
    Framework,
    Gpu,
    Installation,
    Interpreter,
    Machine,
    Nvml,
    Packages,
    Port,
    Probe,
    Program,
    Project,
    Unmet,
    Workspace,
)
from tandem.doctor.findings import LEVELS, SECTIONS, Finding, Section, exit_status
from tandem.doctor.gathering import framework_names

REPOSITORY = Path(__file__).resolve().parents[2]
GIB = 2**30
CPU = (ComputeDevice("CPU", "cpu"),)
PIP = "python -m pip"
INSTALL = f"{PIP} install -c constraints.txt"


def distribution(name: str, version: str, location: str = "/project/.venv/lib/site-packages") -> Distribution:
    return Distribution(name, version, location)


HEALTHY = Facts(
    interpreter=Interpreter(
        "/project/.venv/bin/python", (3, 11, 7), "/project/.venv", "/usr", python_on_path="/project/.venv/bin/python"
    ),
    installation=Installation("/project", "0.1.0", "/project"),
    machine=Machine("Linux", 8, 8, None, 32 * GIB, 20 * GIB, None),
    nvml=Probe(Nvml(driver="580.82.07", cuda=(13, 0), gpus=(Gpu(0, "NVIDIA H100", 80 * GIB, 2 * GIB),))),
    frameworks={
        "keras": Probe(
            Framework(
                {"keras": "3.15.1", "tensorflow": "2.21.0"},
                "/x",
                (*CPU, ComputeDevice("GPU 0", "gpu")),
                (12, 5),
                "tensorflow",
            )
        ),
        "numpy": Probe(Framework({"numpy": "2.4.6"}, "/x", CPU)),
        "torch": Probe(Framework({"torch": "2.13.0"}, "/x", (*CPU, ComputeDevice("GPU 0", "gpu")), (13, 0))),
    },
    packages=Packages(
        (
            distribution("tandem", "0.1.0"),
            distribution("tensorflow", "2.21.0"),
            distribution("keras", "3.15.1"),
            distribution("torch", "2.13.0+cpu"),
            distribution("prefect", "3.8.8"),
            distribution("fastapi", "0.150.0"),
            distribution("sqlalchemy", "2.0.58"),
        ),
        {"tensorflow": "2.21.0", "keras": "3.15.1", "torch": "2.13.0", "fastapi": "0.150.0", "sqlalchemy": "2.0.58"},
    ),
    workspace=Workspace("/project", disks=(Disk("workspace", "/project", 50 * GIB, 1),), git="2.39.5"),
    project=Probe(
        Project(experiments=("coffee",), frameworks=("keras", "torch"), data=(DataState("coffee", "local"),))
    ),
    dvc=Probe(Program("3.67.1")),
    prefect=Probe(Program("3.8.8")),
    ports=(Port(4200, "Prefect's pages", "--port", False),),
    variables={},
)


def with_changes(facts: Facts, changes: dict[str, Any]) -> Facts:
    """Replace fields: "machine.cores" is a field of a part, "machine" the part."""
    for place, value in changes.items():
        part, _, name = place.partition(".")
        whole = dataclasses.replace(getattr(facts, part), **{name: value}) if name else value
        facts = dataclasses.replace(facts, **{part: whole})
    return facts


def more_packages(*found: Distribution) -> tuple[Distribution, ...]:
    """Return the healthy packages with others instead of those of the same name."""
    names = {entry.name for entry in found}
    return (*found, *(entry for entry in HEALTHY.packages.distributions if entry.name not in names))


def framework(name: str, probe: Probe[Framework]) -> dict[str, Any]:
    return {"frameworks": {**HEALTHY.frameworks, name: probe}}


def failed(kind: Any, text: str, module: str = "", seconds: float = 0.0) -> Probe[Any]:
    return Probe(failure=Failure(kind, text, module, seconds))


def project(**changes: Any) -> dict[str, Any]:
    assert HEALTHY.project.answer is not None
    return {"project": Probe(dataclasses.replace(HEALTHY.project.answer, **changes))}


def nvml(**changes: Any) -> dict[str, Any]:
    assert HEALTHY.nvml.answer is not None
    return {"nvml": Probe(dataclasses.replace(HEALTHY.nvml.answer, **changes))}


def said(facts: Facts, at_least: str = "note") -> list[Finding]:
    worth = LEVELS.index(at_least)  # type: ignore[arg-type]
    return [
        finding for section in examine(facts) for finding in section.findings if LEVELS.index(finding.level) >= worth
    ]


def test_nothing_is_wrong_with_a_healthy_environment():
    assert said(HEALTHY) == []
    assert exit_status(examine(HEALTHY)) == 0


CASES: dict[str, tuple[dict[str, Any], Finding]] = {
    # ---------------------------------------------------------------------------------------- interpreter
    "too new a Python": (
        {"interpreter.version": (3, 14, 0)},
        Finding(
            "problem", "Python", "3.14.0, /project/.venv/bin/python; supported: 3.11 to 3.13",
            "Install Python 3.13 and make the environment anew with it:",
            "make clean-venv install PYTHON=python3.13",
        ),
    ),
    "too old a Python": (
        {"interpreter.version": (3, 10, 13)},
        Finding(
            "problem", "Python", "3.10.13, /project/.venv/bin/python; supported: 3.11 to 3.13",
            "Install Python 3.13 and make the environment anew with it:",
            "make clean-venv install PYTHON=python3.13",
        ),
    ),
    "the system's Python": (
        {"interpreter": Interpreter("/usr/bin/python3", (3, 11, 2), "/usr", "/usr")},
        Finding(
            "note", "environment", "/usr, no virtual environment: other programs' packages can disturb Tandem's",
            "Give Tandem an environment of its own:", "make install",
        ),
    ),
    "another environment is active": (
        {"interpreter.virtual_env": "/elsewhere"},
        Finding(
            "warning", "active", "/elsewhere is active in this shell, but /project/.venv/bin/python runs",
            "Activate the environment in this shell:", "source .venv/bin/activate",
        ),
    ),
    "no python on PATH": (
        {"interpreter.python_on_path": ""},
        Finding(
            "warning", "active", "PATH has no `python`, so `dvc repro` cannot run the stages; `tandem run` can",
            "Activate the environment in this shell:", "source .venv/bin/activate",
        ),
    ),
    "another python on PATH": (
        {"interpreter.python_on_path": "/usr/bin/python"},
        Finding(
            "warning", "active",
            "`dvc repro` runs the stages with /usr/bin/python, another interpreter; `tandem run` takes this one",
            "Activate the environment in this shell:", "source .venv/bin/activate",
        ),
    ),
    "PYTHONPATH": (
        {"interpreter.python_path": "/mine"},
        Finding("note", "PYTHONPATH", "/mine: its folders come before the installed packages"),
    ),
    "installed into another interpreter": (
        {
            "installation": Installation("/project", "", elsewhere=("/project/.venv/bin/python3",)),
            "interpreter": Interpreter("/usr/bin/python3", (3, 11, 2), "/usr/lib/x", "/usr", has_pip=False),
            "packages": Packages(unmet=(Unmet("tandem", "pydantic>=2", "pydantic"),)),
        },
        Finding(
            "problem", "installation", "Tandem is not installed in /usr/bin/python3, and neither is pydantic",
            "It is installed in /project/.venv/bin/python3; use that interpreter:",
            ".venv/bin/python3 -m tandem.doctor",
        ),
    ),
    "not installed anywhere": (
        {
            "installation": Installation("/project", ""),
            "interpreter.has_pip": False,
            "packages.unmet": (Unmet("tandem", "pydantic>=2", "pydantic"),),
        },
        Finding(
            "problem", "installation", "Tandem is not installed in /project/.venv/bin/python, and neither is pydantic",
            "No other interpreter found here has it either; install it in .venv/bin/python:",
            f"python -m ensurepip && {INSTALL} -e '.[dev]'",
        ),
    ),
    "not installed, but all it needs is": (
        {"installation": Installation("/project", "")},
        Finding(
            "warning", "installation", "Tandem is not installed in /project/.venv/bin/python",
            "No other interpreter found here has it either; install it in .venv/bin/python:",
            f"{INSTALL} -e '.[dev]'",
        ),
    ),
    "a package is missing": (
        {"packages.unmet": (Unmet("tandem", "pooch>=1.8", "pooch"),)},
        Finding(
            "problem", "installation", "Tandem 0.1.0 is installed, but not pooch", "Install what is missing:",
            f"{INSTALL} -e '.[dev]'",
        ),
    ),
    "another checkout is installed": (
        {"installation.editable": "/other"},
        Finding(
            "warning", "installation", "the Tandem that runs is /project, but the one installed is /other",
            "Install this one, or work in the other folder:", f"{INSTALL} -e '.[dev]'",
        ),
    ),
    # -------------------------------------------------------------------------------------------- machine
    "little memory": (
        {"machine.available_memory": 300 * 2**20},
        Finding(
            "warning", "memory", "32 GiB, 300 MiB available: a training may be killed",
            "Close other programs or raise the container's limit, and run one stage at a time:", "tandem run -j 1",
        ),
    ),
    "a container with little memory": (
        {"machine.memory_limit": GIB // 2},
        Finding(
            "warning", "memory",
            "32 GiB, 20 GiB available, the control group allows 512 MiB: a training may be killed",
            "Close other programs or raise the container's limit, and run one stage at a time:", "tandem run -j 1",
        ),
    ),
    # ----------------------------------------------------------------------------------------------- GPUs
    "no NVML": (
        {"nvml": Probe(Nvml("NVML Shared Library Not Found", "library"))},
        Finding(
            "note", "GPU", "none: NVML, the library of NVIDIA's driver, is not there; training runs on the CPU"
        ),
    ),
    "a GPU without a driver": (
        {"nvml": Probe(Nvml("NVML Shared Library Not Found", "library")), "machine.nvidia_devices": 2},
        Finding(
            "warning", "driver",
            "the machine has 2 NVIDIA GPUs, but no driver that answers (NVML Shared Library Not Found); training runs "
            "on the CPU",
            "Install NVIDIA's driver, or start the container with `--gpus all`; then this should list the GPU:",
            "nvidia-smi",
        ),
    ),
    "a driver updated while it ran": (
        {"nvml": Probe(Nvml("Driver/library version mismatch", "mismatch"))},
        Finding(
            "warning", "driver", "Driver/library version mismatch: the driver was updated, and the old one still runs",
            "Restart the machine:", "sudo reboot",
        ),
    ),
    "NVML's package is missing": (
        {"nvml": Probe(Nvml("the package nvidia-ml-py is not installed", "package"))},
        Finding(
            "warning", "driver", "the package nvidia-ml-py is not installed", "Install it:", f"{INSTALL} nvidia-ml-py"
        ),
    ),
    "NVML hangs": (
        {"nvml": failed("hung", "no answer", seconds=60)},
        Finding(
            "warning", "driver", "NVML gave no answer: no answer",
            "The driver hangs or fails; restart the machine:", "sudo reboot",
        ),
    ),
    "a GPU that fell off the bus": (
        nvml(gpus=(Gpu(0, "", failure="GPU is lost"),)),
        Finding(
            "warning", "GPU 0", "cannot be used: GPU is lost",
            "Restart the machine; if it stays so, the GPU or its slot is at fault:", "sudo reboot",
        ),
    ),
    "a full GPU": (
        nvml(gpus=(Gpu(0, "NVIDIA H100", 80 * GIB, 79 * GIB),)),
        Finding(
            "warning", "GPU 0", "NVIDIA H100, 79 GiB of 80 GiB used",
            "Nearly all of its memory is taken; end what holds it, which this lists:", "nvidia-smi",
        ),
    ),
    "hidden GPUs": (
        {"variables": {"CUDA_VISIBLE_DEVICES": ""}},
        Finding("note", "CUDA_VISIBLE_DEVICES", "'': only these devices are used"),
    ),
    "a driver older than the runtime": (
        nvml(driver="550.54.15", cuda=(12, 4)),
        Finding(
            "warning", "PyTorch",
            "built for CUDA 13.0; driver 550.54.15 runs up to 12.4: the driver is older than the runtime, so it trains "
            "on the CPU or fails",
            "Install an NVIDIA driver 580.65.06 or newer, restart, and look at its version:", "nvidia-smi",
        ),
    ),
    "a driver older within the major version": (
        nvml(driver="550.54.15", cuda=(12, 4)),
        Finding(
            "note", "Keras",
            "built for CUDA 12.5; driver 550.54.15 runs up to 12.4: within one major version that works, but for new "
            "features",
        ),
    ),
    "a build without CUDA beside a GPU": (
        framework("torch", Probe(Framework({"torch": "2.13.0+cpu"}, "/x", CPU))),
        Finding(
            "warning", "PyTorch", "is a build without CUDA: it trains on the CPU, beside 13.0 of the driver",
            "Install the build with CUDA:", f"{PIP} install --force-reinstall --no-deps -c constraints.txt torch",
        ),
    ),
    "CUDA's libraries are missing": (
        framework("keras", Probe(Framework({"tensorflow": "2.21.0"}, "/x", CPU, (12, 5), "tensorflow"))),
        Finding(
            "warning", "Keras", "built for CUDA 12.5; driver 580.82.07 runs up to 13.0, but it sees no GPU",
            "CUDA's libraries are missing or of another version; install the build that brings them:",
            f"{INSTALL} 'tensorflow[and-cuda]'",
        ),
    ),
    # ----------------------------------------------------------------------------------------- frameworks
    "a framework is missing": (
        framework("torch", failed("missing", "ModuleNotFoundError: No module named 'torch'", "torch")),
        Finding("problem", "PyTorch", "torch is not installed", "Install it:", f"{INSTALL} torch"),
    ),
    "a framework that the suite does not name is missing": (
        framework("torch", failed("missing", "ModuleNotFoundError: No module named 'torch'", "torch"))
        | project(frameworks=("keras",)),
        Finding(
            "note", "PyTorch", "torch is not installed; the suite does not name it", "Install it:", f"{INSTALL} torch"
        ),
    ),
    "a broken import": (
        framework("torch", failed("raised", "RuntimeError: torch is broken")),
        Finding(
            "problem", "PyTorch", "cannot be imported: RuntimeError: torch is broken",
            "The installation is broken; install it anew:",
            f"{PIP} install --force-reinstall -c constraints.txt torch",
        ),
    ),
    "a library of CUDA is missing": (
        framework("torch", failed("raised", "OSError: libcudnn.so.9: cannot open shared object file")),
        Finding(
            "problem", "PyTorch", "cannot be imported: OSError: libcudnn.so.9: cannot open shared object file",
            "A library of CUDA is missing; install the build that brings it:",
            f"{PIP} install --force-reinstall -c constraints.txt torch",
        ),
    ),
    "built for another NumPy": (
        framework("torch", failed("raised", "ImportError: numpy.core.multiarray failed to import")),
        Finding(
            "problem", "PyTorch", "cannot be imported: ImportError: numpy.core.multiarray failed to import",
            "It was built for another NumPy:", f"{INSTALL} numpy torch",
        ),
    ),
    "a package of the framework is missing": (
        framework("torch", failed("missing", "ModuleNotFoundError: No module named 'sympy'", "sympy")),
        Finding(
            "problem", "PyTorch", "cannot be imported: ModuleNotFoundError: No module named 'sympy'",
            "A package that it needs is missing; install it with all that it needs:",
            f"{PIP} install --force-reinstall -c constraints.txt torch",
        ),
    ),
    "two Kerases meet": (
        framework("keras", failed("raised", "ValueError: Duplicate registrations for type 'optimizer'")),
        Finding(
            "problem", "Keras", "cannot be imported: ValueError: Duplicate registrations for type 'optimizer'",
            "Two Kerases are installed; remove both, then install one:",
            f"{PIP} uninstall -y keras tf-keras && {INSTALL} keras",
        ),
    ),
    "no module named tensorflow.keras": (
        framework("keras", failed("missing", "ModuleNotFoundError: No module named 'tensorflow.keras'",
                                  "tensorflow.keras")),
        Finding(
            "problem", "Keras", "cannot be imported: ModuleNotFoundError: No module named 'tensorflow.keras'",
            "An old Keras or another interpreter's TensorFlow is in the way; install both anew:",
            f"{PIP} install --force-reinstall -c constraints.txt tensorflow keras",
        ),
    ),
    "a processor without AVX": (
        framework("keras", failed("killed", "SIGILL")),
        Finding(
            "problem", "Keras", "importing it ended the process by SIGILL",
            "The build needs processor instructions (AVX) that this processor has not; use another machine, or:",
            f"{PIP} install --force-reinstall -c constraints.txt tensorflow keras",
        ),
    ),
    "killed for memory": (
        framework("keras", failed("killed", "SIGKILL")),
        Finding(
            "problem", "Keras", "importing it ended the process by SIGKILL",
            "Something ended it, mostly the kernel when memory runs out; free memory and look again:", "free -h",
        ),
    ),
    "an import that hangs": (
        framework("torch", failed("hung", "no answer", seconds=60.0)),
        Finding(
            "problem", "PyTorch", "importing it did not end within 60 s",
            "Look again with more time, for the first import after an installation is slow; if it hangs, install anew:",
            f"{PIP} install --force-reinstall -c constraints.txt torch",
        ),
    ),
    "an import that ends the process": (
        framework("torch", failed("silent", "exit status 3")),
        Finding(
            "problem", "PyTorch", "importing it ended the process (exit status 3)",
            "The installation is broken; install it anew:",
            f"{PIP} install --force-reinstall -c constraints.txt torch",
        ),
    ),
    "a wrong product": (
        framework("torch", Probe(Framework({"torch": "2.13.0"}, "/x", (ComputeDevice("GPU 0", "gpu", "is wrong"),),
                                           (13, 0)))),
        Finding(
            "problem", "PyTorch", "torch 2.13.0: GPU 0: is wrong",
            "Install it anew; on a GPU, look at the driver first:",
            f"{PIP} install --force-reinstall --no-deps -c constraints.txt torch",
        ),
    ),
    "another backend of Keras": (
        {"variables": {"KERAS_BACKEND": "jax"}},
        Finding(
            "problem", "KERAS_BACKEND", "is 'jax': Tandem's Keras networks need 'tensorflow'",
            "Take the variable away, in this shell and in its start-up file:", "unset KERAS_BACKEND",
        ),
    ),
    "another backend of Keras, which the suite does not name": (
        {"variables": {"KERAS_BACKEND": "jax"}, **project(frameworks=("torch",))},
        Finding(
            "note", "KERAS_BACKEND", "is 'jax': Tandem's Keras networks need 'tensorflow'",
            "Take the variable away, in this shell and in its start-up file:", "unset KERAS_BACKEND",
        ),
    ),
    "a backend of Keras that is not there": (
        framework("keras", failed("missing", "No module named 'jax'", "jax")) | {"variables": {"KERAS_BACKEND": "jax"}},
        Finding(
            "problem",
            "Keras",
            "cannot be imported: No module named 'jax'",
            "First take KERAS_BACKEND away, then look again:",
            "unset KERAS_BACKEND",
        ),
    ),
    "outside of the environment": (
        {"interpreter.python_on_path": "/usr/bin/python", "packages.unmet": (Unmet("tandem", "pooch", "pooch"),)},
        Finding(
            "problem",
            "installation",
            "Tandem 0.1.0 is installed, but not pooch",
            "Install what is missing:",
            ".venv/bin/python -m pip install -c constraints.txt -e '.[dev]'",
        ),
    ),
    "legacy Keras": (
        {"variables": {"TF_USE_LEGACY_KERAS": "1"}},
        Finding(
            "problem", "TF_USE_LEGACY_KERAS", "is set: TensorFlow takes Keras 2 (tf-keras), Tandem Keras 3",
            "Take the variable away, in this shell and in its start-up file:", "unset TF_USE_LEGACY_KERAS",
        ),
    ),
    # ------------------------------------------------------------------------------------------- packages
    "Keras 2 beside TensorFlow": (
        {"packages.distributions": more_packages(distribution("keras", "2.15.0"))},
        Finding(
            "problem", "Keras",
            "keras 2.15.0 stands beside tensorflow 2.21.0, which needs Keras 3: imports fail, or end in \"Duplicate "
            "registrations for type 'optimizer'\"",
            "Remove the old Keras, then install the one that fits:", f"{PIP} uninstall -y keras && {INSTALL} keras",
        ),
    ),
    "tf-keras beside Keras": (
        {"packages.distributions": more_packages(distribution("tf-keras", "2.20.1"))},
        Finding(
            "warning", "Keras",
            "tf-keras 2.20.1, a Keras 2, stands beside keras 3.15.1: code that mixes them ends in \"Duplicate "
            "registrations for type 'optimizer'\"",
            "Tandem does not need it; remove it:", f"{PIP} uninstall -y tf-keras",
        ),
    ),
    "two TensorFlows": (
        {"packages.distributions": more_packages(distribution("tensorflow-cpu", "2.20.0"))},
        Finding(
            "problem", "TensorFlow",
            "tensorflow 2.21.0 and tensorflow-cpu 2.20.0 are installed: they write the same files, so that neither is "
            "whole",
            "Remove all of them, then install one:",
            f"{PIP} uninstall -y tensorflow tensorflow-cpu && {INSTALL} tensorflow",
        ),
    ),
    "a package twice": (
        {"packages.distributions": (distribution("torch", "2.9.0", "/mine"), *HEALTHY.packages.distributions)},
        Finding(
            "warning", "torch",
            "stands 2 times: 2.9.0 in /mine, 2.13.0+cpu in /project/.venv/lib/site-packages; Python takes the first",
            "Remove it until none is left (or take the other folder from PYTHONPATH), then install it:",
            f"{PIP} uninstall -y torch && {INSTALL} torch",
        ),
    ),
    "Prefect with too new a FastAPI": (
        {"packages.distributions": more_packages(distribution("fastapi", "0.165.0"))},
        Finding(
            "problem", "prefect",
            "prefect 3.8.8 does not work with fastapi 0.165.0: Prefect's server does not start (\"Body() got an "
            "unexpected keyword argument 'min_items'\")",
            "Install a fastapi that works with it:", f"{INSTALL} fastapi==0.150.0",
        ),
    ),
    "Prefect with too new a SQLAlchemy": (
        {"packages.distributions": more_packages(distribution("sqlalchemy", "2.1.0b2")), "packages.pins": {}},
        Finding(
            "warning", "prefect",
            "prefect 3.8.8 does not work with sqlalchemy 2.1.0b2: Prefect's scheduler fails (\"Can't evaluate bulk DML "
            "statement\") and no schedule starts a run",
            "Install a sqlalchemy that works with it:", f"{PIP} install 'sqlalchemy<2.1'",
        ),
    ),
    "a requirement that is not met": (
        {"packages.unmet": (Unmet("keras", "numpy>=2", "numpy", "1.26.4"), Unmet("dvc", "funcy>=1.14", "funcy"))},
        Finding(
            "warning", "requirements",
            "2 not met: keras requires numpy>=2, but 1.26.4 is installed; dvc requires funcy>=1.14, but it is not "
            "installed",
            "Install the pinned versions of them:", f"{INSTALL} numpy funcy",
        ),
    ),
    "requirements that cannot be checked": (
        {"packages.unchecked": "neither the package packaging nor pip is installed"},
        Finding(
            "warning", "requirements", "cannot be checked: neither the package packaging nor pip is installed",
            "Install it:", f"{INSTALL} packaging",
        ),
    ),
    "pins that do not hold": (
        {"packages.distributions": more_packages(distribution("torch", "2.12.1"))},
        Finding(
            "warning", "pins",
            "1 of 5 packages differ from constraints.txt: torch 2.12.1 (pinned 2.13.0); results may differ, too",
            "Install the pinned, tested set:", f"{INSTALL} -e '.[dev]'",
        ),
    ),
    # ------------------------------------------------------------------------------------------ workspace
    "no project": (
        {"workspace.missing": ("params.yaml", ".dvc")},
        Finding(
            "problem", "folder", "/project has no params.yaml, .dvc: it is no Tandem project",
            "Name the project's folder:", "tandem -C FOLDER doctor",
        ),
    ),
    "no write permission": (
        {"workspace.write_error": "Permission denied"},
        Finding(
            "problem", "folder", "/project cannot be written: Permission denied",
            "Make the folder yours, or work in a copy in a folder that is:", 'sudo chown -R "$USER" /project',
        ),
    ),
    "folders of another user": (
        {"workspace.locked": ("data", "models")},
        Finding(
            "problem", "folders",
            "cannot be written: data, models; another user made them, perhaps a run as root", "Make them yours:",
            'sudo chown -R "$USER" data models',
        ),
    ),
    "a file that hides a package": (
        {"workspace.shadows": ("torch.py",)},
        Finding(
            "problem", "names", "torch.py would be imported by the stages instead of the package of that name",
            "Rename them, for instance:", "mv torch.py my_torch.py",
        ),
    ),
    "no disk space": (
        {"workspace.disks": (Disk("workspace", "/project", 3 * 2**20, 1), Disk("DVC's cache", "/cache", 9, 1))},
        Finding(
            "problem", "disk", "3 MiB free: workspace (/project), DVC's cache (/cache)",
            "Free space, or drop results of old runs from DVC's cache:", "tandem clean --cache",
        ),
    ),
    "little disk space": (
        {"workspace.disks": (Disk("workspace", "/project", 500 * 2**20, 1),)},
        Finding(
            "warning", "disk", "500 MiB free: workspace (/project)",
            "Free space, or drop results of old runs from DVC's cache:", "tandem clean --cache",
        ),
    ),
    "no space for temporary files": (
        {"workspace.disks": (*HEALTHY.workspace.disks, Disk("temporary files", "/tmp", 0, 2))},
        Finding(
            "problem", "disk", "0 MiB free: temporary files (/tmp)",
            "Free space there, or name another folder for temporary files:", "export TMPDIR=FOLDER",
        ),
    ),
    "no git": (
        {"workspace.git": "", "workspace.git_error": "git is not installed"},
        Finding(
            "problem", "git", "is not installed; DVC needs it", "Install it, on Debian or Ubuntu:",
            "sudo apt-get install git",
        ),
    ),
    "no git repository": (
        {"workspace.git_error": "fatal: not a git repository"},
        Finding(
            "problem", "git",
            "2.39.5; /project is no git repository (fatal: not a git repository), and DVC needs one", "Make it one:",
            "git init && git add -A && git commit -m Start",
        ),
    ),
    "a repository of another user": (
        {"workspace.git_error": "fatal: detected dubious ownership in repository at '/project'"},
        Finding(
            "problem", "git", "2.39.5; does not touch /project, which belongs to another user",
            "Tell git that you trust the folder:", "git config --global --add safe.directory /project",
        ),
    ),
    "no DVC": (
        {"dvc": failed("missing", "ModuleNotFoundError: No module named 'dvc'", "dvc")},
        Finding("problem", "DVC", "is not installed", "Install it:", f"{INSTALL} dvc"),
    ),
    "a broken Prefect": (
        {"prefect": failed("raised", "TypeError: Body() got an unexpected keyword argument 'min_items'")},
        Finding(
            "problem", "Prefect",
            "cannot be imported: TypeError: Body() got an unexpected keyword argument 'min_items'",
            "Install it anew, with all that it needs:", f"{PIP} install --force-reinstall -c constraints.txt prefect",
        ),
    ),
    "a port is taken": (
        {"ports": (Port(4201, "the reports", "--reports-port", True),)},
        Finding(
            "note", "port 4201", "taken (the reports): `tandem ui` runs already, or another program is there",
            "If it is another program, take another port:", "tandem ui --reports-port 4301",
        ),
    ),
    # ---------------------------------------------------------------------------------------------- suite
    "mistakes in params.yaml": (
        project(mistakes="params.yaml:3: suite.frameworks: 'tourch' is not known", frameworks=()),
        Finding(
            "problem", "params.yaml", "params.yaml:3: suite.frameworks: 'tourch' is not known",
            "Correct each of these places in params.yaml, then look again:", "tandem doctor",
        ),
    ),
    "params.yaml cannot be read": (
        {"project": failed("raised", "ImportError: pydantic is broken")},
        Finding(
            "problem", "params.yaml", "cannot be read: ImportError: pydantic is broken",
            "Install the packages that Tandem reads it with:", f"{INSTALL} -e '.[dev]'",
        ),
    ),
    "an old plan": (
        project(plan_error="runs.yaml: not the plan of params.yaml"),
        Finding(
            "warning", "runs.yaml", "runs.yaml: not the plan of params.yaml",
            "`tandem run` plans by itself, `dvc repro` does not; write the plan:", "tandem plan",
        ),
    ),
    "data to download": (
        project(data=(DataState("fashion", "download", "example.org"),)),
        Finding(
            "note", "data", "fashion is not here yet; the first run downloads it from example.org",
            "Without a network, name a folder that holds the files:", "export TANDEM_DATA=FOLDER",
        ),
    ),
    "data that the folder lacks": (
        project(data=(DataState("fashion", "refused", "/data/a.gz: missing"),)),
        Finding(
            "problem", "data", "fashion cannot be had: /data/a.gz: missing",
            "Put the file there, or let Tandem download it:", "unset TANDEM_DATA",
        ),
    ),
    "own data that is not there": (
        project(data=(DataState("ships", "absent", "ships.csv"),)),
        Finding(
            "problem", "data", "ships cannot be had: ships.csv is not there",
            "Put it there, or correct its path in params.yaml.",
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_finding_says_what_is_there_and_what_to_do(name):
    changes, expected = CASES[name]
    facts = with_changes(HEALTHY, changes)
    assert expected in said(facts)
    blocked = any(finding.level == "problem" for finding in said(facts))
    assert exit_status(examine(facts)) == int(blocked)
    if expected.level == "problem":
        assert blocked


def test_only_the_one_thing_that_is_wrong_is_told():
    several = {"a driver older than the runtime", "a driver older within the major version", "not installed anywhere",
               "installed into another interpreter", "a package twice", "Keras 2 beside TensorFlow",
               "Prefect with too new a FastAPI", "no project",
               "a backend of Keras that is not there", "outside of the environment"}  # fmt: skip
    for name, (changes, expected) in CASES.items():
        if name not in several:
            assert said(with_changes(HEALTHY, changes)) == [expected], name


def test_where_tandem_is_not_installed_nothing_else_is_to_be_installed_one_by_one():
    facts = with_changes(
        HEALTHY,
        {
            "installation": Installation("/project", "", elsewhere=("/other/bin/python",)),
            "frameworks": {"torch": failed("missing", "No module named 'torch'", "torch")},
            "dvc": failed("missing", "No module named 'dvc'", "dvc"),
            "packages": Packages(unmet=(Unmet("tandem", "torch>=2", "torch"), Unmet("tandem", "dvc>=3", "dvc"))),
            "project": failed("missing", "No module named 'pydantic'", "pydantic"),
        },
    )
    problems = {finding.topic: finding for finding in said(facts, "problem")}
    assert set(problems) == {"installation", "PyTorch", "DVC"}
    assert problems["installation"].command == "/other/bin/python -m tandem.doctor"
    assert {problems[topic].remedy for topic in ("PyTorch", "DVC")} == {
        "It comes with the installation; see Interpreter."
    }


def test_another_build_of_tensorflow_is_no_missing_package():
    others = tuple(entry for entry in HEALTHY.packages.distributions if entry.name != "tensorflow")
    changes = {
        "packages.distributions": (distribution("tensorflow-cpu", "2.21.0"), *others),
        "packages.unmet": (Unmet("tandem", "tensorflow>=2.21", "tensorflow"),),
    }
    assert said(with_changes(HEALTHY, changes)) == []


def test_frameworks_count_as_named_while_the_suite_is_unknown():
    facts = with_changes(HEALTHY, project(mistakes="params.yaml: missing", frameworks=()))
    assert [facts.needs(name) for name in ("keras", "torch", "numpy", "jax")] == [True, True, True, False]


def test_every_check_is_shown_in_a_known_section_in_its_order():
    checks = all_checks()
    assert {check.section for check in checks} == set(SECTIONS)
    places = [(SECTIONS.index(check.section), check.order) for check in checks]
    assert places == sorted(set(places)), "two checks with the same place"


def test_a_check_that_fails_itself_hides_no_other(monkeypatch):
    def broken(_facts: Facts) -> Any:
        raise KeyError("nothing")

    checks = all_checks()
    monkeypatch.setattr(examination, "all_checks", lambda: (dataclasses.replace(checks[0], run=broken), *checks[1:]))
    sections = examine(HEALTHY)
    assert sections[0].findings[0] == Finding(
        "warning",
        "interpreter",
        "this check failed itself: KeyError: 'nothing'",
        "Report it with the output of --json.",
    )
    assert [section.title for section in sections] == list(SECTIONS)


def test_a_warning_without_a_remedy_cannot_be_made():
    with pytest.raises(ValueError, match="x: a warning without a remedy"):
        Finding("warning", "x", "is wrong")


def test_the_supported_versions_are_those_of_the_project_file():
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    bounds = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', text)
    assert bounds is not None
    assert ((3, int(bounds[1])), (3, int(bounds[2]) - 1)) == (LOWEST, HIGHEST)


def test_every_framework_of_tandem_is_probed():
    folders = {path.parent.name for path in (REPOSITORY / "tandem" / "frameworks").glob("*/__init__.py")}
    assert {"keras", "torch"} <= folders <= set(framework_names())


# ------------------------------------------------------------------------------------------------ drawing


def test_a_command_stands_in_a_line_of_its_own_however_narrow_the_terminal():
    command = "python -m pip install -c constraints.txt a-package-with-a-long-name another-one"
    finding = Finding("problem", "torch", "is not installed " * 5, "Install it:", command)
    drawn = [str(line) for line in lines([Section("Frameworks", (finding,))], 60)]
    assert drawn[0] == "Frameworks"
    assert drawn[1].startswith("  problem  torch          is not installed")
    assert [line.strip() for line in drawn].count(command) == 1
    assert [line for line in drawn if "→ Install it:" in line]
    assert max(len(line) for line in drawn if command not in line) <= 60
    assert drawn[-1] == "The suite cannot run: 1 problem."


@pytest.mark.parametrize(
    ("levels", "verdict"),
    [
        (("ok", "note"), "The suite can run."),
        (("warning", "warning"), "The suite can run; 2 warnings."),
        (("problem", "warning"), "The suite cannot run: 1 problem and 1 warning."),
    ],
)
def test_the_last_line_is_the_verdict(levels, verdict):
    findings = tuple(Finding(level, "x", "found", "Do this.") for level in levels)
    assert str(list(lines([Section("Suite", findings)], 80))[-1]) == verdict


def test_a_long_topic_and_several_lines_stay_in_their_columns():
    drawn = [
        str(line) for line in lines([Section("Frameworks", (Finding("note", "TF_USE_LEGACY_KERAS", "one\ntwo"),))], 80)
    ]
    assert drawn[1:4] == ["  note     TF_USE_LEGACY_KERAS", " " * 26 + "one", " " * 26 + "two"]
