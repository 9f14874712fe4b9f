"""Leases and their queue: real locks, real processes, real deaths."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hermetic import REPOSITORY, hermetic_environment

from dvcgraph import leases
from dvcgraph.devices import Device, Inventory
from dvcgraph.errors import GraphError
from dvcgraph.holders import Claim, Holder
from dvcgraph.leases import DeviceQueue, lease_folder
from dvcgraph.needs import Needs

TWO_GPUS = Inventory((Device("gpu", 0), Device("gpu", 1), Device("cpu", 0)))
ONE_GPU = Inventory((Device("gpu", 0), Device("cpu", 0)))
GPU = Needs(device="gpu")
BOTH = Needs(device="gpu", count=2)
WORKSPACE = Path("/project")
NOBODY = 65534

# What a process of a run does: it has a queue and the needs of a GPU; `say` tells the test something.
PROGRAM = """
import os, signal, subprocess, sys, time
from pathlib import Path
from dvcgraph.devices import Device, Inventory
from dvcgraph.leases import DeviceQueue
from dvcgraph.needs import Needs
GPU = Needs(device="gpu")
queue = DeviceQueue(Inventory((Device("gpu", 0), Device("gpu", 1), Device("cpu", 0))), Path(sys.argv[1]))
def say(value):
    print(value, flush=True)
def take(needs):
    ticket = queue.ask(needs, "train", Path("/project"))
    while (lease := ticket.try_take()) is None:
        time.sleep(0.01)
    return lease
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "leases"


@pytest.fixture
def queues(folder):
    """Make queues of as many runs; each has its own locks, as if it were a process of its own."""
    with contextlib.ExitStack() as opened:
        yield lambda inventory=TWO_GPUS: opened.enter_context(DeviceQueue(inventory, folder))


@pytest.fixture
def patient(monkeypatch):
    """Make a slow machine no reason for a ticket to be passed by."""
    monkeypatch.setattr(leases, "_PATIENCE_SECONDS", 600.0)


@pytest.fixture
def process(folder, tmp_path):
    """Start a process with PROGRAM and more; ended by SIGKILL at the latest with the test."""
    with contextlib.ExitStack() as started:

        def start(code, *arguments):
            child = subprocess.Popen(
                [sys.executable, "-c", PROGRAM + code, str(folder), *map(str, arguments)],
                stdout=subprocess.PIPE,
                text=True,
                env=hermetic_environment(tmp_path / "home"),
                cwd=REPOSITORY,
            )
            started.enter_context(child)
            started.callback(child.kill)
            return child

        yield start


@contextlib.contextmanager
def sleeper(*descriptors):
    """A process that lives on and inherits descriptors."""
    with subprocess.Popen(["sleep", "600"], pass_fds=descriptors) as child:
        try:
            yield child
        finally:
            child.kill()


def ask(queue, needs=GPU, stage="train"):
    return queue.ask(needs, stage, WORKSPACE)


def take(queue, needs=GPU, stage="train"):
    lease = ask(queue, needs, stage).try_take()
    assert lease is not None
    return lease


def take_in_time(ticket):
    """Ask as a scheduler does, until the devices are there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lease = ticket.try_take()
        if lease is not None:
            return lease
        time.sleep(0.05)
    raise AssertionError(f"nobody got {ticket.wanted}")


def wait_for_end(pid):
    """Wait for a process that is not ours to be gone."""
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def error_of(call, *arguments):
    with pytest.raises(GraphError) as caught:
        call(*arguments)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------- leases


def test_a_device_is_given_to_one_at_a_time(queues):
    first, second = queues(ONE_GPU), queues(ONE_GPU)
    lease = take(first)
    ticket = ask(second)
    assert lease.devices == ("gpu:0",)
    assert lease.environment["CUDA_VISIBLE_DEVICES"] == "0"
    assert len(lease.file_descriptors) == 1
    assert ticket.try_take() is None
    lease.release()
    lease.release()
    taken = ticket.try_take()
    assert taken.devices == ("gpu:0",)
    assert ticket.try_take() is None, "a ticket is good for one lease"
    taken.release()


def test_each_of_several_devices_is_given_out(queues):
    queue = queues()
    taken = [take(queue), take(queue)]
    assert [lease.devices for lease in taken] == [("gpu:0",), ("gpu:1",)]
    assert ask(queue).try_take() is None
    for lease in taken:
        lease.release()


def test_who_holds_and_who_waits_is_told(queues):
    holding, waiting = queues(), queues()
    before = time.time()
    lease = take(holding, stage="train@a")
    ticket = waiting.ask(BOTH, "train@b", Path("/other"), since=1000.0)
    (holder,) = waiting.holders()
    (waiter,) = holding.waiters()
    assert (holder.key, holder.claim.devices, holder.claim.stage) == ("gpu-0", "gpu:0", "train@a")
    assert (holder.claim.workspace, holder.claim.pid, holder.left_over) == ("/project", os.getpid(), None)
    assert before <= holder.claim.since <= time.time()
    assert (waiter.claim.stage, waiter.claim.workspace, waiter.claim.since) == ("train@b", "/other", 1000.0)
    assert (waiter.claim.devices, waiter.asking) == ("gpu:0, gpu:1", True)
    ticket.cancel()
    lease.release()
    assert waiting.holders() == ()
    assert waiting.waiters() == ()


def test_looking_makes_no_folder(queues, folder):
    assert queues().holders() == queues().waiters() == ()
    assert not folder.exists()


def test_only_the_devices_files_stay(queues, folder):
    queue = queues()
    lease = take(queue, BOTH)
    ask(queue)
    queue.close()
    lease.release()
    assert names(folder) == ["gpu-0.device", "gpu-1.device"]


def test_a_process_that_inherited_a_device_keeps_it_after_the_release(queues):
    queue = queues(ONE_GPU)
    lease = take(queue, stage="train@a")
    ticket = ask(queue)
    with sleeper(*lease.file_descriptors):
        lease.release()
        assert ticket.try_take() is None
        assert [holder.claim.stage for holder in queue.holders()] == ["train@a"]
    take_in_time(ticket).release()


def test_other_children_of_the_run_do_not_inherit_a_device(queues):
    queue = queues(ONE_GPU)
    lease = take(queue)
    with sleeper():
        lease.release()
        take(queue).release()


def test_a_forked_process_does_not_keep_a_device(queues):
    queue = queues(ONE_GPU)
    lease = take(queue)
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    try:
        lease.release()
        take_in_time(ask(queue)).release()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_command_keeps_its_device_when_its_run_is_killed(queues, process):
    run = process(
        "lease = take(GPU)\n"
        "child = subprocess.Popen(['sleep', '600'], pass_fds=lease.file_descriptors)\n"
        "say(child.pid)\n"
        "time.sleep(600)\n"
    )
    command = int(run.stdout.readline())
    try:
        run.kill()
        run.wait()
        queue = queues(ONE_GPU)
        ticket = ask(queue)
        assert ticket.try_take() is None
        (holder,) = queue.holders()
        assert (holder.claim.stage, holder.claim.pid) == ("train", run.pid)
        assert holder.left_over == (command,)
    finally:
        os.kill(command, signal.SIGKILL)
    take_in_time(ticket).release()


def test_a_killed_run_without_commands_leaves_its_devices(queues, process):
    run = process("lease = take(Needs(device='gpu', count=2))\nsay('has both')\ntime.sleep(600)\n")
    assert run.stdout.readline() == "has both\n"
    queue = queues()
    assert [holder.claim.pid for holder in queue.holders()] == [run.pid, run.pid]
    run.kill()
    run.wait()
    take(queue, BOTH).release()


# -------------------------------------------------------------------------------------------------------- queue


@pytest.mark.usefixtures("patient")
def test_stages_of_one_class_are_served_in_the_order_in_which_they_asked(queues):
    holding, one, two = queues(ONE_GPU), queues(ONE_GPU), queues(ONE_GPU)
    lease = take(holding)
    tickets = [ask(queue, stage=f"stage-{number}") for number, queue in enumerate((one, two, one, two))]
    lease.release()
    served = []
    while len(served) < len(tickets):
        for ticket in reversed(tickets):  # the youngest asks first, each time
            lease = ticket.try_take()
            if lease is not None:
                served.append(ticket.claim.stage)
                lease.release()
    assert served == ["stage-0", "stage-1", "stage-2", "stage-3"]


@pytest.mark.parametrize("same_run", [True, False])
@pytest.mark.usefixtures("patient")
def test_a_stage_that_cannot_be_served_yet_lets_another_class_pass(queues, same_run):
    holding, waiting = queues(), queues()
    passing = waiting if same_run else queues()
    lease = take(holding)
    both = ask(waiting, BOTH)
    assert both.try_take() is None
    one = take(passing)
    assert one.devices == ("gpu:1",), "both devices or none: the free one was not kept"
    lease.release()
    assert both.try_take() is None
    one.release()
    taken = both.try_take()
    assert taken.devices == ("gpu:0", "gpu:1")
    taken.release()


@pytest.mark.usefixtures("patient")
def test_runs_that_may_use_different_devices_do_not_wait_for_one_another(queues):
    holding, other = queues(ONE_GPU), queues(Inventory((Device("gpu", 1),)))
    lease = take(holding)
    waiting = ask(holding)
    assert waiting.try_take() is None
    taken = ask(other).try_take()
    assert taken.devices == ("gpu:1",)
    for each in (lease, taken):
        each.release()


@pytest.mark.parametrize("same_run", [True, False])
@pytest.mark.usefixtures("patient")
def test_a_paused_ticket_lets_others_pass_and_keeps_its_place(queues, same_run):
    one = queues(ONE_GPU)
    two = one if same_run else queues(ONE_GPU)
    oldest, younger, youngest = ask(one), ask(two), ask(two)
    oldest.pause()
    assert oldest.try_take() is None
    assert [waiter.asking for waiter in two.waiters()] == [False, True, True]
    lease = younger.try_take()
    assert lease is not None
    oldest.resume()
    lease.release()
    assert youngest.try_take() is None
    lease = oldest.try_take()
    assert lease is not None
    lease.release()


@pytest.mark.usefixtures("patient")
def test_a_cancelled_ticket_lets_others_pass(queues):
    one, two = queues(ONE_GPU), queues(ONE_GPU)
    oldest, younger = ask(one), ask(two)
    assert younger.try_take() is None
    oldest.cancel()
    oldest.cancel()
    assert oldest.try_take() is None
    younger.try_take().release()


@pytest.mark.usefixtures("patient")
def test_a_killed_waiter_holds_nobody_up(queues, process):
    waiter = process("queue.ask(GPU, 'train', Path('/project'))\nsay('waits')\ntime.sleep(600)\n")
    assert waiter.stdout.readline() == "waits\n"
    queue = queues()
    ticket = ask(queue)
    assert ticket.try_take() is None
    waiter.kill()
    waiter.wait()
    ticket.try_take().release()
    assert len(queue.waiters()) == 0


def test_a_stopped_waiter_holds_nobody_up(queues, process):
    waiter = process("queue.ask(GPU, 'train', Path('/project'))\nsay('waits')\ntime.sleep(600)\n")
    assert waiter.stdout.readline() == "waits\n"
    waiter.send_signal(signal.SIGSTOP)
    take_in_time(ask(queues())).release()


def test_what_dead_runs_left_is_swept(queues, folder):
    queue = queues()
    take(queue).release()
    group = leases._group(TWO_GPUS.choose(GPU, "train"))
    for number in range(2000):
        (folder / f"{number:020}-000001-{group}-{number}_dead.ticket").write_text("{}")
        (folder / f"{number}_dead.run").touch()
        os.utime(folder / f"{number}_dead.run", (0, 0))
    take(queue).release()
    take(queues()).release()
    assert not list(folder.glob("*dead*"))


@pytest.mark.usefixtures("patient")
def test_a_ticket_outlives_a_cleared_folder(queues, folder):
    one, two = queues(ONE_GPU), queues(ONE_GPU)
    older, younger = ask(one), ask(two)
    shutil.rmtree(folder)
    assert younger.try_take() is not None, "nobody is known to be older"
    other = ask(two)
    assert older.try_take() is None
    assert other.try_take() is None
    assert [waiter.claim for waiter in one.waiters()] == [older.claim, other.claim]


MANY_TAKES = """
log = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND)
for number in range(int(sys.argv[3])):
    needs = Needs(device="gpu", count=2 if number % 5 == 4 else 1)
    lease = take(needs)
    for device in lease.devices:
        os.write(log, f"{device} enter {os.getpid()}\\n".encode())
    time.sleep(0.002)
    for device in lease.devices:
        os.write(log, f"{device} leave {os.getpid()}\\n".encode())
    lease.release()
queue.close()
"""


def overlaps(lines):
    """Return the entries of a device that somebody else had not left."""
    inside, found = {}, []
    for line in lines:
        device, what, pid = line.split()
        if what == "enter":
            if device in inside:
                found.append(line)
            inside[device] = pid
        else:
            assert inside.pop(device, pid) == pid
    return found


def test_five_runs_never_use_a_device_twice_at_a_time(process, tmp_path, folder):
    log = tmp_path / "log"
    log.touch()
    runs = [process(MANY_TAKES, log, 30) for _ in range(5)]
    assert [run.wait(timeout=120) for run in runs] == [0] * 5
    lines = log.read_text().splitlines()
    assert len(lines) == 5 * 2 * (24 + 2 * 6)
    assert overlaps(lines) == []
    assert names(folder) == ["gpu-0.device", "gpu-1.device"]


def test_the_check_for_overlaps_can_fail():
    assert overlaps(["gpu:0 enter 1", "gpu:1 enter 2", "gpu:0 enter 3"]) == ["gpu:0 enter 3"]


# ---------------------------------------------------------------------------------------- a folder of many users


def test_the_folder_is_open_to_all_users_whatever_the_umask(queues, folder):
    before = os.umask(0o077)
    try:
        lease = take(queues())
        ask(queues())
    finally:
        os.umask(before)
    modes = {path.suffix: path.stat().st_mode & 0o7777 for path in folder.iterdir()}
    assert folder.stat().st_mode & 0o7777 == 0o1777
    assert modes == {".device": 0o1666, ".run": 0o644, ".ticket": 0o644}
    lease.release()


def test_the_folder_is_named_by_a_variable():
    assert lease_folder({}) == Path("/tmp/tandem-leases")
    assert lease_folder({"TANDEM_LEASES": "/srv/leases"}) == Path("/srv/leases")
    assert lease_folder({"TANDEM_LEASES": "here"}) == Path("here").absolute()


def test_a_folder_that_is_a_link_is_refused(queues, folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    expected = (
        f"{folder}: is a symbolic link; remove it, or name another folder, the same for all runs, in TANDEM_LEASES"
    )
    assert error_of(ask, queues()) == expected
    assert error_of(queues().holders) == expected


def test_a_folder_that_is_a_file_is_refused(queues, folder):
    folder.touch()
    assert error_of(ask, queues()).startswith(f"{folder}: is no folder; remove it, or name another")


def test_a_folder_where_anybody_may_remove_locks_is_refused(queues, folder):
    folder.mkdir()
    folder.chmod(0o777)
    assert error_of(ask, queues()) == (
        f"{folder}: any user may remove another's locks there; call `chmod 1777 {folder}`, or name another folder, "
        "the same for all runs, in TANDEM_LEASES"
    )


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    queue = DeviceQueue(TWO_GPUS, tmp_path / "file" / "leases")
    assert error_of(ask, queue).startswith(f"{tmp_path}/file/leases: ")


def test_a_run_with_too_many_open_files_is_told(queues, folder):
    queue = queues()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        message = error_of(ask, queue)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert message == (
        f"{folder}: Too many open files; mend that, or name another folder, the same for all runs, in TANDEM_LEASES"
    )


@pytest.mark.parametrize("plant", [lambda path: os.mkfifo(path), lambda path: path.mkdir()])
def test_something_else_in_place_of_a_lock_file_is_refused(queues, folder, plant):
    queue = queues()
    ticket = ask(queue)
    plant(folder / "gpu-0.device")
    assert error_of(ticket.try_take).startswith(f"{folder}/gpu-0.device: ")
    assert ticket.try_take() is None
    assert queue.waiters() == ()


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_file_that_is_linked_in_place_of_a_lock_file_is_not_written(queues, folder, tmp_path, link):
    (tmp_path / "precious").write_text("precious")
    ticket = ask(queues())
    link(tmp_path / "precious", folder / "gpu-0.device")
    assert error_of(ticket.try_take).startswith(f"{folder}/gpu-0.device: ")
    assert (tmp_path / "precious").read_text() == "precious"


def as_nobody(action):
    """Run an action in a forked process of the user nobody; return what it returned, or its error's text."""
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            answer = action()
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(sending, json.dumps(answer).encode())
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving) as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(child, 0)
    return answer


@pytest.fixture
def open_folder():
    """A folder that every user reaches."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path / "leases"
    shutil.rmtree(path)


def test_a_lock_file_that_is_removed_while_it_is_opened_is_not_locked(queues, folder, monkeypatch):
    ticket = ask(queues(ONE_GPU))
    real = fcntl.flock

    def remove_and_lock(descriptor, operation):
        monkeypatch.undo()
        (folder / "gpu-0.device").unlink()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_and_lock)
    assert ticket.try_take() is None
    assert ticket.try_take() is not None, "made anew, it is locked the next time"


@pytest.mark.usefixtures("patient")
def test_users_share_devices(open_folder):
    def try_to_take():
        with DeviceQueue(ONE_GPU, open_folder) as queue:
            ticket = ask(queue)
            lease = ticket.try_take()
            return [holder.claim.user for holder in queue.holders()] if lease is None else "taken"

    with DeviceQueue(ONE_GPU, open_folder) as queue:
        lease = take(queue)
        assert as_nobody(try_to_take) == ["root"]
        lease.release()
        assert as_nobody(try_to_take) == "taken"
        waiting = ask(queue)
        assert as_nobody(try_to_take) == [], "a ticket of another user is older"
        waiting.cancel()


def test_a_folder_that_another_user_keeps_closed_is_told(open_folder):
    open_folder.mkdir(mode=0o755)
    answer = as_nobody(lambda: ask(DeviceQueue(ONE_GPU, open_folder)))
    assert answer == (
        f"GraphError: {open_folder}: Permission denied; it belongs to root: ask them for `chmod 1777 {open_folder}`, "
        "or name another folder, the same for all runs, in TANDEM_LEASES"
    )
    open_folder.chmod(0o700)
    assert as_nobody(lambda: DeviceQueue(ONE_GPU, open_folder).holders()) == answer


def test_a_lock_file_that_another_user_keeps_closed_is_told(open_folder):
    with DeviceQueue(ONE_GPU, open_folder) as queue:
        take(queue).release()
    path = open_folder / "gpu-0.device"
    path.chmod(0o600)

    def try_to_take():
        with DeviceQueue(ONE_GPU, open_folder) as queue:
            return ask(queue).try_take()

    assert as_nobody(try_to_take) is None, "whoever made it just now may be about to open it"
    os.utime(path, (0, 0))
    assert as_nobody(try_to_take) == (
        f"GraphError: {path}: Permission denied; it belongs to root: ask them to remove it while no run uses the "
        "device, or name another folder, the same for all runs, in TANDEM_LEASES"
    )
    with DeviceQueue(ONE_GPU, open_folder) as queue:
        take(queue).release()
    assert path.stat().st_mode & 0o7777 == 0o1666, "its owner opens it again"


# ------------------------------------------------------------------------------------------------- texts of files


def test_on_a_full_disk_the_lock_counts_and_its_text_is_left_out(queues):
    queue = queues(ONE_GPU)
    take(queue, stage="before").release()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        lease = take(queue)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert ask(queue).try_take() is None
    assert queue.holders() == (Holder("gpu-0", Claim()),)
    lease.release()


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[1]", b"null", b"[" * 5000, b"\xff", b'{"stage": 3, "pid": "x", "since": -1, "workspace": null}'],
)
def test_a_text_that_is_no_claim_is_left_out(text):
    assert Claim.from_bytes(text) == Claim()


def test_what_steers_a_terminal_is_left_out_of_a_claim():
    text = json.dumps({"stage": "a\x1b[31m\nb\u202e", "pid": 10**12, "since": 1e300}).encode()
    assert Claim.from_bytes(text) == Claim(stage="a[31mb")


def test_a_claim_is_read_as_it_was_written():
    claim = Claim.of_this_run("train", Path("/project/ünïcode"), "gpu:0")
    assert Claim.from_bytes(claim.to_bytes()) == claim
    assert claim.run_lives


def test_a_younger_process_of_the_same_number_is_not_the_run():
    assert not Claim(pid=os.getpid(), since=1000.0).run_lives
    assert not Claim(pid=2**22 + 1, since=time.time()).run_lives
    assert not Claim().run_lives
