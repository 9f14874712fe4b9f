"""What `tandem devices` shows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from dvcgraph.devices import Device, Inventory
from dvcgraph.errors import GraphError
from dvcgraph.holders import Claim, Holder, Waiter
from dvcgraph.leases import DeviceQueue
from dvcgraph.needs import Needs
from flows.devices import device_lines, devices_table, show_devices

GIB = 2**30
NOW = time.mktime((2026, 3, 4, 12, 0, 0, 0, 0, -1))


def shown(table, lines=()):
    """Return the lines of the table and those below it, as a terminal of 120 columns shows them."""
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table, *lines, sep="\n")
    return [line.rstrip() for line in capture.get().splitlines()]


def cells(line):
    """Return the cells of a table's line, which two blanks divide."""
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


@pytest.fixture
def pretended(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    return {"TANDEM_DEVICES": "gpu:0=16GiB,gpu:1,cpu:0,cpu:1,cpu:2", "TANDEM_LEASES": str(tmp_path / "leases")}


def test_free_devices_are_listed_and_cpu_slots_alike_share_a_row(pretended, tmp_path):
    header, *rows, gpus, waiting = shown(*show_devices(pretended))
    assert cells(header) == ["device", "model", "memory", "held by", "since", "process", "folder"]
    assert [cells(row) for row in rows] == [
        ["gpu:0", "pretended", "16 GiB", "free"],
        ["gpu:1", "pretended", "free"],
        ["cpu:0 … cpu:2", "pretended", "free"],
    ]
    assert gpus == "GPUs: TANDEM_DEVICES=gpu:0=16GiB,gpu:1,cpu:0,cpu:1,cpu:2 lists them"
    assert waiting == "nothing waits for a device"
    assert not (tmp_path / "leases").exists()


def test_holders_and_waiters_of_all_runs_are_shown(pretended, tmp_path):
    inventory = Inventory((Device("gpu", 1), Device("gpu", 7), Device("cpu", 0), Device("cpu", 1), Device("cpu", 2)))
    with DeviceQueue(inventory, tmp_path / "leases") as queue:
        held = [
            queue.ask(Needs(device="gpu", count=2), "train@a", Path("/project")).try_take(),
            queue.ask(Needs(device="cpu", count=2), "train@b", Path("/project")).try_take(),
        ]
        queue.ask(Needs(device="gpu", count=2), "train@c", Path("/other"))
        _, *rows, _, waiting, waiter = shown(*show_devices(pretended))
        for lease in held:
            lease.release()
    pid = str(os.getpid())
    found = [cells(row) for row in rows]
    assert [row[0] for row in found] == ["gpu:0", "gpu:1", "cpu:0 … cpu:1", "cpu:2", "gpu:7"]
    assert ["train@a" in row for row in found] == [False, True, False, False, True]
    assert ["train@b" in row for row in found] == [False, False, True, False, False]
    assert ["free" in row for row in found] == [True, False, False, True, False]
    assert [row[-2:] == [pid, "/project"] for row in found] == [False, True, True, False, True]
    assert found[-1][1] == "of another run"
    assert waiting == "waiting, in this order:"
    assert waiter.startswith("  1. train@c for gpu:1, gpu:7, since ")
    assert waiter.endswith(f", process {pid} in /other")


def test_a_command_whose_run_was_killed_is_shown_as_left_over(tmp_path):
    with DeviceQueue(Inventory((Device("gpu", 0),)), tmp_path / "leases") as queue:
        code = (
            "import os, signal, subprocess, sys; from pathlib import Path; from dvcgraph.devices import *\n"
            "from dvcgraph.leases import DeviceQueue; from dvcgraph.needs import Needs\n"
            "queue = DeviceQueue(Inventory((Device('gpu', 0),)), Path(sys.argv[1]))\n"
            "lease = queue.ask(Needs(device='gpu'), 'train', Path('/project')).try_take()\n"
            "child = subprocess.Popen(['sleep', '600'], pass_fds=lease.file_descriptors, stdout=subprocess.DEVNULL)\n"
            "print(child.pid, flush=True)\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        run = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "leases")],
            stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[2],
        )  # fmt: skip
        command = int(run.communicate(timeout=60)[0])
        try:
            _, row = shown(devices_table(queue.inventory, queue.holders(), time.time()))
        finally:
            os.kill(command, signal.SIGKILL)
    assert cells(row)[0] == "gpu:0"
    assert f"{command}, left over: the run, {run.pid}, is gone" in row


def test_times_of_another_day_and_what_is_not_known_are_shown():
    inventory = Inventory((Device("gpu", 0, "Tesla T4", int(15.5 * GIB), "GPU-1"), Device("gpu", 1)))
    claim = Claim("train", "/project", 7, "ann", NOW - 86400, "gpu:0")
    table = devices_table(inventory, [Holder("GPU-1", claim, ()), Holder("gpu-1", Claim())], NOW)
    _, first, second = shown(table)
    assert cells(first) == [
        "gpu:0", "Tesla T4", "15.5 GiB", "train", "2026-03-03 12:00:00", "?, left over: the run, 7 of ann, is gone",
        "/project",
    ]  # fmt: skip
    assert cells(second) == ["gpu:1", "?", "?", "? of ?", "?"]


def test_why_there_is_no_gpu_and_who_does_not_ask_is_said():
    claim = Claim("train", "/project", 7, "ann", NOW, "one of cpu:0, cpu:1")
    lines = device_lines(Inventory((), "CUDA_VISIBLE_DEVICES='' hides 2 of 2"), [Waiter(claim, asking=False)], NOW)
    assert [line.plain for line in lines] == [
        "no GPU: CUDA_VISIBLE_DEVICES='' hides 2 of 2",
        "waiting, in this order:",
        "  1. train for one of cpu:0, cpu:1, since 12:00:00, process 7 of ann in /project; does not ask at present, "
        "so others may pass",
    ]


def test_markup_in_a_stages_name_is_shown_as_it_stands():
    table = devices_table(Inventory((Device("gpu", 0),)), [Holder("gpu-0", Claim("train[red]"))], NOW)
    assert "train[red]" in shown(table)[1]


def test_a_list_that_names_no_device_is_an_error(pretended):
    with pytest.raises(GraphError, match="TANDEM_DEVICES is 'gpus'"):
        show_devices(pretended | {"TANDEM_DEVICES": "gpus"})
