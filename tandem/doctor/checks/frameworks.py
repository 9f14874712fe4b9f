"""What each framework sees, or why it cannot be used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from tandem.doctor.facts import Facts, Failure, Framework
from tandem.doctor.findings import Finding, SectionTitle
from tandem.doctor.remedies import FRAMEWORK_PACKAGES, FRAMEWORK_TITLES, install, install_missing, uninstall

SECTION: SectionTitle = "Frameworks"
ORDER = 1


def check(facts: Facts) -> Iterator[Finding]:
    """Look at every framework; one that the suite names must work."""
    for name, probe in facts.frameworks.items():
        if probe.answer is not None:
            yield _working(facts, name, probe.answer)
        elif probe.failure is not None:
            yield _failed(facts, name, probe.failure)
    project = facts.project.answer
    for name in project.frameworks if project else ():
        if name not in facts.frameworks:
            yield Finding("note", name, "the suite names it, and there is no probe for it")


def _working(facts: Facts, name: str, framework: Framework) -> Finding:
    versions = ", ".join(f"{package} {version}" for package, version in framework.versions.items())
    broken = [device for device in framework.devices if device.failure]
    if broken:
        text = "; ".join(f"{device.name}: {device.failure}" for device in broken)
        packages = FRAMEWORK_PACKAGES.get(name, (name,))
        command = install(facts, *packages, options="--force-reinstall --no-deps")
        remedy = "Install it anew; on a GPU, look at the driver first:"
        return Finding(_level(facts, name), _title(name), f"{versions}: {text}", remedy, command)
    parts = [f"computes on {', '.join(device.name for device in framework.devices)}"]
    if framework.backend:
        parts.insert(0, f"backend {framework.backend}")
    if framework.warnings:
        parts.append(f"it warns: {framework.warnings[0]}")
    return Finding("ok", _title(name), f"{versions}; {'; '.join(parts)}")


def _failed(facts: Facts, name: str, failure: Failure) -> Finding:
    packages = FRAMEWORK_PACKAGES.get(name, (name,))
    level, title = _level(facts, name), _title(name)
    top = failure.module.partition(".")[0]
    unneeded = "" if facts.needs(name) else "; the suite does not name it"
    if failure.kind == "missing" and top in packages and "." not in failure.module:
        return Finding(level, title, f"{top} is not installed{unneeded}", *install_missing(facts, *packages))
    remedy, command = _remedy(facts, packages, failure)
    if name == "keras" and facts.variables.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        remedy, command = "First take KERAS_BACKEND away, then look again:", "unset KERAS_BACKEND"
    return Finding(level, title, f"{_what_happened(failure)}{unneeded}", remedy, command)


def _what_happened(failure: Failure) -> str:
    if failure.kind == "killed":
        return f"importing it ended the process by {failure.text}"
    if failure.kind == "hung":
        return f"importing it did not end within {failure.seconds:.0f} s"
    if failure.kind == "silent":
        return f"importing it ended the process ({failure.text})"
    return f"cannot be imported: {failure.text}"


def _remedy(facts: Facts, packages: tuple[str, ...], failure: Failure) -> tuple[str, str]:
    """Return the remedy for a failure that is known, or else to install anew."""
    again = install(facts, *packages, options="--force-reinstall")
    signals = {
        "SIGILL": "The build needs processor instructions (AVX) that this processor has not; use another machine, or:",
        "SIGKILL": "Something ended it, mostly the kernel when memory runs out; free memory and look again:",
    }
    if failure.kind == "killed" and failure.text in signals:
        command = "free -h" if failure.text == "SIGKILL" else again
        return signals[failure.text], command
    if failure.kind == "hung":
        return (
            "Look again with more time, for the first import after an installation is slow; if it hangs, install anew:",
            again,
        )
    for pattern, remedy, command in (
        (r"Duplicate registrations", "Two Kerases are installed; remove both, then install one:",
         f"{uninstall(facts, 'keras', 'tf-keras')} && {install(facts, 'keras')}"),
        (r"tensorflow\.keras", "An old Keras or another interpreter's TensorFlow is in the way; install both anew:",
         again),
        (r"compiled using NumPy 1|_ARRAY_API|numpy\.core\.multiarray", "It was built for another NumPy:",
         install(facts, "numpy", *packages)),
        (r"lib(cu|nv|nccl)\w*[.-]", "A library of CUDA is missing; install the build that brings it:", again),
        (r"GLIBC(XX)?_", "The operating system's C library is too old for this build; use a newer system, or:", again),
        (r"DLL load failed", "Install Microsoft's Visual C++ Redistributable, then:", again),
    ):  # fmt: skip
        if re.search(pattern, failure.text):
            return remedy, command
    if failure.kind == "missing":
        return "A package that it needs is missing; install it with all that it needs:", again
    return "The installation is broken; install it anew:", again


def _level(facts: Facts, name: str) -> Literal["problem", "note"]:
    return "problem" if facts.needs(name) else "note"


def _title(name: str) -> str:
    return FRAMEWORK_TITLES.get(name, name)
