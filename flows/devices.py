"""What ``tandem devices`` shows: the devices of this machine, who holds them, and who waits for them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from rich.table import Table
from rich.text import Text

from dvcgraph.devices import Device, Inventory, find_devices, size_text
from dvcgraph.filelocks import user_name
from dvcgraph.holders import Claim, Holder, Waiter
from dvcgraph.leases import DeviceQueue, lease_folder


def show_devices(environment: Mapping[str, str]) -> tuple[Table, list[Text]]:
    """Return a table of the devices that runs with this environment would use, and lines that belong below it.

    Raises:
        GraphError: TANDEM_DEVICES names no devices, or the folder of the leases cannot be read.
    """
    inventory = find_devices(environment)
    queue = DeviceQueue(inventory, lease_folder(environment))
    now = time.time()
    return devices_table(inventory, queue.holders(), now), device_lines(inventory, queue.waiters(), now)


def devices_table(inventory: Inventory, holders: Sequence[Holder], now: float) -> Table:
    """Return a row for each GPU, and one for CPU slots side by side of which the same is to be said."""
    table = Table(box=None, pad_edge=False)
    for name in ("device", "model", "memory", "held by", "since", "process", "folder"):
        table.add_column(name, overflow="fold", no_wrap=name in ("device", "memory", "since"))
    held = {holder.key: holder for holder in holders}
    for name, device in _rows(inventory.devices, held):
        memory = "" if device.memory is None else size_text(device.memory)
        table.add_row(Text(name), Text(device.model), memory, *_holder_cells(held.get(device.key), now))
    known = {device.key for device in inventory.devices}
    for holder in holders:
        if holder.key not in known:
            name = holder.claim.devices or holder.key
            table.add_row(Text(name), "of another run", "", *_holder_cells(holder, now))
    return table


def device_lines(inventory: Inventory, waiters: Sequence[Waiter], now: float) -> list[Text]:
    """Return where the GPUs come from, or why there is none, and who waits, in order."""
    lines = []
    if inventory.gpu_note:
        lines.append(f"{'GPUs' if inventory.gpus else 'no GPU'}: {inventory.gpu_note}")
    lines.append("waiting, in this order:" if waiters else "nothing waits for a device")
    for number, waiter in enumerate(waiters, 1):
        claim = waiter.claim
        asking = "" if waiter.asking else "; does not ask at present, so others may pass"
        lines.append(
            f"{number:3}. {claim.stage or '?'} for {claim.devices or '?'}, since {_since(claim, now)}, "
            f"process {_process(claim)} in {claim.workspace or '?'}{asking}"
        )
    return [Text(line) for line in lines]


def _rows(devices: Sequence[Device], held: Mapping[str, Holder]) -> Iterator[tuple[str, Device]]:
    """Return each GPU, and the first of CPU slots side by side that are alike with a name for all of them."""

    def alike(device: Device) -> tuple[object, ...]:
        claim = held[device.key].claim if device.key in held else None
        if device.kind == "gpu":
            return (device.name,)
        return (device.model, claim and (claim.stage, claim.workspace, claim.pid))

    for _, group in groupby(devices, key=alike):
        first, *others = group
        yield f"{first.name} … {others[-1].name}" if others else first.name, first


def _holder_cells(holder: Holder | None, now: float) -> tuple[Text, ...]:
    if holder is None:
        return (Text("free", style="green"),)
    claim = holder.claim
    process = _process(claim)
    if holder.left_over is not None:
        left = ", ".join(map(str, holder.left_over)) or "?"
        process = f"{left}, left over: the run, {process}, is gone"
    return (
        Text(claim.stage or "?", style="bold"), Text(_since(claim, now)), Text(process), Text(claim.workspace or "?")
    )  # fmt: skip


def _process(claim: Claim) -> str:
    number = str(claim.pid or "?")
    return number if claim.user == user_name(os.geteuid()) else f"{number} of {claim.user or '?'}"


def _since(claim: Claim, now: float) -> str:
    if not claim.since:
        return "?"
    began = time.localtime(claim.since)
    day = "" if began[:3] == time.localtime(now)[:3] else time.strftime("%Y-%m-%d ", began)
    return day + time.strftime("%H:%M:%S", began)
