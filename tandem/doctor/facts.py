"""The facts that the checks look at: frozen, so that a test can make an environment of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Failure:
    """Why a child gave no answer.

    Attributes:
        kind: missing: no module of that name; raised: an exception; killed: by a signal; hung: past its time;
            silent: it ended by itself.
        text: the exception with its type, the signal's name, or the exit status.
        module: the missing one.
        seconds: that a hung child was given.
    """

    kind: Literal["missing", "raised", "killed", "hung", "silent"]
    text: str
    module: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Probe(Generic[Answer]):
    """What a child answered, or why it did not: exactly one of the two is there."""

    answer: Answer | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Interpreter:
    """The Python that runs.

    Attributes:
        executable: its path.
        version: major, minor, micro.
        prefix: folder of the environment.
        base_prefix: folder of the Python that a virtual environment was made from; else the same.
        virtual_env: VIRTUAL_ENV of the environment variables.
        conda_prefix: CONDA_PREFIX, likewise.
        python_path: PYTHONPATH, likewise.
        python_on_path: what the word ``python`` starts, which DVC's commands use; empty: nothing.
        has_pip: whether ``-m pip`` works.
    """

    executable: str
    version: tuple[int, int, int]
    prefix: str
    base_prefix: str
    virtual_env: str = ""
    conda_prefix: str = ""
    python_path: str = ""
    python_on_path: str = ""
    has_pip: bool = True


@dataclass(frozen=True)
class Installation:
    """Where Tandem is installed.

    Attributes:
        source: folder of the ``tandem`` package that runs (its parent).
        installed: version in this interpreter; empty: not installed in it.
        editable: folder that an editable installation points at; empty: a plain copy.
        elsewhere: interpreters that have Tandem installed, this one left out.
    """

    source: str
    installed: str
    editable: str = ""
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True)
class Machine:
    """Cores and memory (bytes; None: not known)."""

    platform: str
    cores: int
    usable_cores: int
    core_quota: float | None
    memory: int | None
    available_memory: int | None
    memory_limit: int | None
    nvidia_devices: int = 0  # on the PCI bus, with or without a driver


@dataclass(frozen=True)
class Gpu:
    """A GPU as NVML sees it (memory in bytes; None: it shares the machine's); ``failure``: why it cannot be used."""

    index: int
    name: str
    memory: int | None = None
    used: int | None = None
    failure: str = ""


@dataclass(frozen=True)
class Nvml:
    """What NVIDIA's driver says, or the reason why it says nothing.

    Attributes:
        absent: the reason; empty: it answered.
        kind: of the reason: "package", "library", "mismatch" (library and kernel module differ), "other".
        driver: its version.
        cuda: newest CUDA version that it can run.
        gpus: those it lists.
    """

    absent: str = ""
    kind: str = ""
    driver: str = ""
    cuda: tuple[int, int] | None = None
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True)
class ComputeDevice:
    """What a framework computes on; ``failure`` says why a small matrix product went wrong there."""

    name: str
    kind: Literal["cpu", "gpu"]
    failure: str = ""


@dataclass(frozen=True)
class Framework:
    """What a framework says about itself.

    Attributes:
        versions: by package.
        origin: file that it was imported from.
        devices: on which a small matrix product was tried.
        cuda: version that it was built for; None: built without.
        backend: Keras's; empty for others.
        warnings: what it warned of.
    """

    versions: Mapping[str, str]
    origin: str
    devices: tuple[ComputeDevice, ...]
    cuda: tuple[int, int] | None = None
    backend: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Distribution:
    """An installed package; the name in lower case with "-" between words."""

    name: str
    version: str
    location: str


@dataclass(frozen=True)
class Unmet:
    """A requirement that is not met.

    Attributes:
        package: the one that requires.
        requirement: as it says so.
        name: the package required.
        found: its version; empty: not installed.
    """

    package: str
    requirement: str
    name: str
    found: str = ""


@dataclass(frozen=True)
class Packages:
    """Installed packages, in the order in which Python finds them, and the pins of constraints.txt.

    Attributes:
        unmet: requirements that are not met.
        unchecked: why requirements could not be checked; empty: they were.
    """

    distributions: tuple[Distribution, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)
    unmet: tuple[Unmet, ...] = ()
    unchecked: str = ""

    def version(self, name: str) -> str:
        """Return the version that Python would import; empty: not installed."""
        return next((found.version for found in self.distributions if found.name == name), "")


@dataclass(frozen=True)
class Disk:
    """Free space (bytes; None: not known) below a folder; ``device`` tells disks apart."""

    purpose: str
    path: str
    free: int | None
    device: int = 0


@dataclass(frozen=True)
class Workspace:
    """The project's folder.

    Attributes:
        root: its path.
        missing: files that a project has and this folder has not.
        write_error: why no file can be written into it; empty: one can.
        locked: folders in it that may not be written.
        disks: space for the workspace, DVC's cache and temporary files.
        git: version of git; empty: not there.
        git_error: why git does not take the folder for a repository; empty: it does.
        shadows: files and folders in it that hide a package of the same name from the stages.
    """

    root: str
    missing: tuple[str, ...] = ()
    write_error: str = ""
    locked: tuple[str, ...] = ()
    disks: tuple[Disk, ...] = ()
    git: str = ""
    git_error: str = ""
    shadows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Port:
    """A port of this machine that ``tandem ui`` listens on."""

    number: int
    purpose: str
    option: str
    taken: bool


@dataclass(frozen=True)
class DataState:
    """Whether a data set can be had.

    Attributes:
        dataset: its name.
        state: fetched: the files are in the workspace; local: needs no file from elsewhere; given: in the folder
            that TANDEM_DATA names; download: from the internet; refused: the folder that TANDEM_DATA names lacks a
            file, or has a wrong one; absent: the user's own file is not there.
        detail: addresses, or why it cannot be had.
    """

    dataset: str
    state: Literal["fetched", "local", "given", "download", "refused", "absent"]
    detail: str = ""


@dataclass(frozen=True)
class Project:
    """What params.yaml declares.

    Attributes:
        mistakes: what is wrong in it; empty: nothing.
        experiments: of the suite.
        frameworks: of the suite.
        plan_error: what is wrong with runs.yaml; empty: it is the plan of params.yaml.
        data: one entry a data set of the suite.
    """

    mistakes: str = ""
    experiments: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    plan_error: str = ""
    data: tuple[DataState, ...] = ()


@dataclass(frozen=True)
class Program:
    """A package that runs things: DVC, Prefect."""

    version: str


@dataclass(frozen=True)
class Facts:
    """Everything that the checks look at."""

    interpreter: Interpreter
    installation: Installation
    machine: Machine
    nvml: Probe[Nvml]
    frameworks: Mapping[str, Probe[Framework]]
    packages: Packages
    workspace: Workspace
    project: Probe[Project]
    dvc: Probe[Program]
    prefect: Probe[Program]
    ports: tuple[Port, ...]
    variables: Mapping[str, str]  # those environment variables that matter

    def needs(self, framework: str) -> bool:
        """Return whether the suite names a framework; while it is unknown, Keras and PyTorch count as named.

        NumPy is needed whatever the suite names.
        """
        if framework == "numpy":
            return True
        project = self.project.answer
        if project is None or not project.frameworks:
            return framework in ("keras", "torch")
        return framework in project.frameworks
