"""Platform, cores and memory."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.doctor.facts import Facts, Machine
from tandem.doctor.findings import Finding, SectionTitle
from tandem.doctor.remedies import size

SECTION: SectionTitle = "Machine"
ORDER = 1
LITTLE_MEMORY = 2**30  # a training process of either framework takes about half of it before it has any data


def check(facts: Facts) -> Iterator[Finding]:
    """Say what there is; little memory is a warning."""
    machine = facts.machine
    yield Finding("ok", "platform", machine.platform)
    yield Finding("ok", "cores", _cores(machine))
    yield _memory(machine)


def _cores(machine: Machine) -> str:
    text = f"{machine.usable_cores} of {machine.cores}" if machine.usable_cores < machine.cores else f"{machine.cores}"
    if machine.core_quota is not None and machine.core_quota < machine.usable_cores:
        text += f", held to {machine.core_quota:.3g} by the control group"
    return text


def _memory(machine: Machine) -> Finding:
    known = [number for number in (machine.available_memory, machine.memory_limit) if number is not None]
    parts = [f"{size(machine.memory)}"] if machine.memory is not None else ["total not known"]
    if machine.available_memory is not None:
        parts.append(f"{size(machine.available_memory)} available")
    if machine.memory_limit is not None:
        parts.append(f"the control group allows {size(machine.memory_limit)}")
    text = ", ".join(parts)
    if known and min(known) < LITTLE_MEMORY:
        return Finding(
            "warning",
            "memory",
            f"{text}: a training may be killed",
            "Close other programs or raise the container's limit, and run one stage at a time:",
            "tandem run -j 1",
        )
    return Finding("ok", "memory", text)
