"""GPUs, as nvidia-smi shows them."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.doctor.facts import Facts, Gpu, Nvml
from tandem.doctor.findings import Finding, SectionTitle
from tandem.doctor.remedies import install, install_missing, size

SECTION: SectionTitle = "GPUs"
ORDER = 1
FULL = 0.9  # of a GPU's memory


def check(facts: Facts) -> Iterator[Finding]:
    """Look at driver, GPUs and what hides them."""
    nvml = facts.nvml.answer
    if nvml is None:
        yield _unanswered(facts)
    elif nvml.absent:
        yield _absent(facts, nvml)
    else:
        cuda = f", CUDA up to {nvml.cuda[0]}.{nvml.cuda[1]}" if nvml.cuda else ""
        yield Finding("ok", "driver", f"{nvml.driver}{cuda}")
        if not nvml.gpus:
            yield Finding("note", "GPU", "the driver lists none; training runs on the CPU")
        yield from map(_gpu, nvml.gpus)
    for name in ("CUDA_VISIBLE_DEVICES", "TANDEM_DEVICES"):
        if name in facts.variables:
            yield Finding("note", name, f"{facts.variables[name]!r}: only these devices are used")


def _unanswered(facts: Facts) -> Finding:
    failure = facts.nvml.failure
    said = f"NVML gave no answer: {failure.text if failure else ''}"
    if failure and failure.kind == "raised":
        command = install(facts, "nvidia-ml-py", options="--force-reinstall")
        return Finding("warning", "driver", said, "The package that asks it is broken; install it anew:", command)
    return Finding("warning", "driver", said, "The driver hangs or fails; restart the machine:", "sudo reboot")


def _absent(facts: Facts, nvml: Nvml) -> Finding:
    if nvml.kind == "package":
        return Finding("warning", "driver", nvml.absent, *install_missing(facts, "nvidia-ml-py"))
    if nvml.kind == "mismatch":
        return Finding(
            "warning",
            "driver",
            f"{nvml.absent}: the driver was updated, and the old one still runs",
            "Restart the machine:",
            "sudo reboot",
        )
    count = facts.machine.nvidia_devices
    if count:
        gpus = "an NVIDIA GPU" if count == 1 else f"{count} NVIDIA GPUs"
        return Finding(
            "warning",
            "driver",
            f"the machine has {gpus}, but no driver that answers ({nvml.absent}); training runs on the CPU",
            "Install NVIDIA's driver, or start the container with `--gpus all`; then this should list the GPU:",
            "nvidia-smi",
        )
    if nvml.kind == "library":
        return Finding(
            "note", "GPU", "none: NVML, the library of NVIDIA's driver, is not there; training runs on the CPU"
        )
    return Finding("note", "GPU", f"none: NVML cannot be used ({nvml.absent}); training runs on the CPU")


def _gpu(gpu: Gpu) -> Finding:
    topic = f"GPU {gpu.index}"
    if gpu.failure:
        remedy = "Restart the machine; if it stays so, the GPU or its slot is at fault:"
        return Finding("warning", topic, f"cannot be used: {gpu.failure}", remedy, "sudo reboot")
    if gpu.memory is None or gpu.used is None:
        return Finding("ok", topic, gpu.name)
    text = f"{gpu.name}, {size(gpu.used)} of {size(gpu.memory)} used"
    if gpu.used > FULL * gpu.memory:
        return Finding(
            "warning", topic, text, "Nearly all of its memory is taken; end what holds it, which this lists:",
            "nvidia-smi",
        )  # fmt: skip
    return Finding("ok", topic, text)
