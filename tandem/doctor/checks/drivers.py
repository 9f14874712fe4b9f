"""The driver against the CUDA version that each framework was built for, and GPUs that a framework does not see.

A driver runs programs built for its own CUDA version, for older ones, and, from CUDA 11 on, for newer ones of the same
major version (https://docs.nvidia.com/deploy/cuda-compatibility/).
"""

from __future__ import annotations

from collections.abc import Iterator

from tandem.doctor.facts import Facts, Framework
from tandem.doctor.findings import Finding, SectionTitle
from tandem.doctor.remedies import FRAMEWORK_TITLES, install

SECTION: SectionTitle = "GPUs"
ORDER = 2
# The oldest Linux driver for a major version of CUDA
# (https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/index.html).
OLDEST_DRIVER = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}


def check(facts: Facts) -> Iterator[Finding]:
    """Compare, where there is a driver with GPUs."""
    nvml = facts.nvml.answer
    if nvml is None or nvml.cuda is None or not nvml.gpus or facts.variables.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return
    for name, probe in facts.frameworks.items():
        if probe.answer is not None and name != "numpy":
            yield _compare(facts, name, probe.answer, nvml.driver, nvml.cuda)


def _compare(facts: Facts, name: str, framework: Framework, driver: str, newest: tuple[int, int]) -> Finding:
    title, built = FRAMEWORK_TITLES.get(name, name), framework.cuda
    if built is None:
        return Finding(
            "warning",
            title,
            f"is a build without CUDA: it trains on the CPU, beside {_dotted(newest)} of the driver",
            "Install the build with CUDA:",
            _cuda_build(facts, name),
        )
    text = f"built for CUDA {_dotted(built)}; driver {driver} runs up to {_dotted(newest)}"
    if newest[0] < built[0]:
        needed = f"{OLDEST_DRIVER[built[0]]} or newer" if built[0] in OLDEST_DRIVER else f"for CUDA {_dotted(built)}"
        return Finding(
            "warning",
            title,
            f"{text}: the driver is older than the runtime, so it trains on the CPU or fails",
            f"Install an NVIDIA driver {needed}, restart, and look at its version:",
            "nvidia-smi",
        )
    if not any(device.kind == "gpu" for device in framework.devices):
        return Finding(
            "warning",
            title,
            f"{text}, but it sees no GPU",
            "CUDA's libraries are missing or of another version; install the build that brings them:",
            _cuda_build(facts, name),
        )
    if newest < built:
        return Finding("note", title, f"{text}: within one major version that works, but for new features")
    return Finding("ok", title, text)


def _cuda_build(facts: Facts, name: str) -> str:
    if name == "keras":
        return install(facts, "tensorflow[and-cuda]")
    return install(facts, name, options="--force-reinstall --no-deps" if _is_cpu_build(facts, name) else "")


def _is_cpu_build(facts: Facts, name: str) -> bool:
    return "+cpu" in facts.packages.version(name)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
