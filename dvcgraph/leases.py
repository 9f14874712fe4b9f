"""Leases of devices, shared by all runs of the machine.

Everything lies in one folder. ``KEY.device`` is locked by whoever holds the device; its text says who. Such files
are never removed: one that is removed and made anew could be locked twice. ``RUN.run`` is locked by a run for as
long as it lives. ``ORDER-CLASS-RUN.ticket`` is a stage of that run that waits, and the file's time says when it
last asked. A ticket lets younger ones of its class pass once its run is dead, or has not asked for a moment: then
it is paused, or the run is stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from dvcgraph.devices import Choice, Device, Inventory, child_environment
from dvcgraph.errors import GraphError
from dvcgraph.filelocks import FOLDER_VARIABLE, LockFolder, close_lock, look_into_folder, open_folder, write
from dvcgraph.holders import DEVICE_SUFFIX, Claim, Holder, Waiter, read_holders
from dvcgraph.needs import Needs

_DEFAULT_FOLDER = "/tmp/tandem-leases"  # noqa: S108 - the same for every user; open_folder refuses an unsafe one
_RUN_SUFFIX = ".run"
_TICKET_SUFFIX = ".ticket"
_PATIENCE_SECONDS = 0.75  # a ticket that has not asked for so long lets younger ones pass
_LISTING_SECONDS = 0.02  # how long one look at the folder serves all tickets of a run


class Lease:
    """Devices that nobody else gets until every process that inherited ``file_descriptors`` has ended.

    Hand these to the command by ``pass_fds`` (not together with ``preexec_fn``, before which a forked process
    closes its parent's locks), and put ``environment`` over its own. Nothing else that the run starts inherits
    them.
    """

    def __init__(self, devices: tuple[Device, ...], file_descriptors: tuple[int, ...]) -> None:
        self.devices = tuple(device.name for device in devices)
        self.environment = child_environment(devices)
        self.file_descriptors = file_descriptors

    def release(self) -> None:
        """Give the devices back; one that a process of the command still holds stays leased until it ends."""
        for descriptor in self.file_descriptors:
            close_lock(descriptor)
        self.file_descriptors = ()


class Ticket:
    """A stage's place in the queue; made by :meth:`DeviceQueue.ask`."""

    def __init__(self, queue: DeviceQueue, choice: Choice, claim: Claim, order: str) -> None:
        self.choice = choice
        self.claim = claim
        self.group = _group(choice)
        self.name = f"{order}-{self.group}-{queue.run}{_TICKET_SUFFIX}"
        self.asked = time.monotonic()
        self.paused = False
        self._queue = queue

    @property
    def wanted(self) -> str:
        """What is waited for: "gpu:0", or "one of gpu:0, gpu:1"."""
        return self.claim.devices

    def try_take(self) -> Lease | None:
        """Take the devices if they are free and no older ticket of the class asks for them.

        Ask again every tenth of a second: a ticket that does not ask lets younger ones pass.

        Raises:
            GraphError: the folder cannot be used any more; the ticket is cancelled.
        """
        return self._queue._serve(self)

    def pause(self) -> None:
        """Let younger tickets pass until :meth:`resume`, and keep the place."""
        self.paused = True
        self._queue._show_whether_asking(self)

    def resume(self) -> None:
        """Ask again from now on."""
        self.paused = False
        self.asked = time.monotonic()
        self._queue._show_whether_asking(self)

    def cancel(self) -> None:
        """Leave the queue; a ticket that was served or cancelled already has left it."""
        self._queue._withdraw(self)


class DeviceQueue:
    """One run's access to the queue of the machine; for one thread. No call waits for anybody.

    Stages that can use the same devices and want as many of them form a class, and are served in the order in
    which they asked, whichever run they belong to. Other classes may overtake. A stage gets all of its devices
    at once or none.
    """

    def __init__(self, inventory: Inventory, folder: Path | None = None) -> None:
        """Set the queue up; nothing is touched before the first :meth:`ask`.

        Args:
            inventory: the devices to choose from.
            folder: shared by all runs of the machine; by default the one that TANDEM_LEASES names, or else
                /tmp/tandem-leases.
        """
        self.inventory = inventory
        self.folder = lease_folder(os.environ) if folder is None else folder.absolute()
        self.run = f"{os.getpid()}_{secrets.token_hex(6)}"
        self._own_lock: int | None = None
        self._tickets: list[Ticket] = []  # those that wait, in their order
        self._asked = 0
        self._listing: list[str] = []
        self._listed = float("-inf")

    def __enter__(self) -> DeviceQueue:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, needs: Needs, stage: str, workspace: Path, since: float | None = None) -> Ticket:
        """Queue a stage.

        Args:
            needs: what it needs, with a ``device``.
            stage: its name, shown to whoever asks for the holders.
            workspace: the project's folder; shown, too.
            since: when it began to wait, in seconds since the epoch, by default now; shown, and of no effect
                on the order.

        Raises:
            GraphError: the inventory can never meet the needs, or the folder cannot be used.
        """
        choice = self.inventory.choose(needs, stage)
        claim = Claim.of_this_run(stage, workspace, _wanted(choice), since)
        self._asked += 1
        # The monotonic clock is the same for all processes, so that the names of tickets sort by age.
        ticket = Ticket(self, choice, claim, f"{time.monotonic_ns():020}-{self._asked:06}")
        with open_folder(self.folder) as folder:
            if self._own_lock is None:
                _sweep(folder)
            self._publish(folder, ticket)
        self._tickets.append(ticket)
        return ticket

    def holders(self) -> tuple[Holder, ...]:
        """Return who holds a device, of all runs of the machine.

        Raises:
            GraphError: the folder cannot be read.
        """
        with look_into_folder(self.folder) as folder:
            return () if folder is None else read_holders(folder)

    def waiters(self) -> tuple[Waiter, ...]:
        """Return who waits, of all runs of the machine, in the order in which they asked.

        Raises:
            GraphError: the folder cannot be read.
        """
        with look_into_folder(self.folder) as folder:
            if folder is None:
                return ()
            live = [name for name in _tickets(folder) if folder.is_locked(_run(name) + _RUN_SUFFIX)]
            return tuple(Waiter(Claim.from_bytes(folder.read(name)), _asks(folder, name)) for name in live)

    def close(self) -> None:
        """Cancel what waits. Leases stay; who took them releases them."""
        for ticket in list(self._tickets):
            self._withdraw(ticket)
        if self._own_lock is not None:
            with contextlib.suppress(GraphError), open_folder(self.folder) as folder:
                folder.remove(self.run + _RUN_SUFFIX)
            close_lock(self._own_lock)
            self._own_lock = None

    def _serve(self, ticket: Ticket) -> Lease | None:
        if ticket.paused or ticket not in self._tickets:
            return None
        ticket.asked = time.monotonic()
        try:
            with open_folder(self.folder) as folder:
                try:
                    folder.mark(ticket.name)
                except FileNotFoundError:  # somebody cleared the folder
                    self._publish(folder, ticket)
                lease = None if self._older_asks(folder, ticket) else _take(folder, ticket)
        except GraphError:
            self._withdraw(ticket)
            raise
        if lease is not None:
            self._withdraw(ticket)
        return lease

    def _show_whether_asking(self, ticket: Ticket) -> None:
        """Tell other runs by the time of the ticket's file. Should it fail, they notice a moment later."""
        if ticket in self._tickets:
            with contextlib.suppress(GraphError, OSError), open_folder(self.folder) as folder:
                folder.mark(ticket.name, past=ticket.paused)

    def _withdraw(self, ticket: Ticket) -> None:
        if ticket in self._tickets:
            self._tickets.remove(ticket)
            # Should the file stay: it does not ask any more, hinders nobody, and goes when the run is gone.
            with contextlib.suppress(GraphError), open_folder(self.folder) as folder:
                folder.remove(ticket.name)

    def _older_asks(self, folder: LockFolder, ticket: Ticket) -> bool:
        for own in self._tickets:
            if own is ticket:
                break
            if own.group == ticket.group and not own.paused and ticket.asked - own.asked < _PATIENCE_SECONDS:
                return True
        if ticket.asked - self._listed > _LISTING_SECONDS:
            self._listing = _tickets(folder)
            self._listed = ticket.asked
        return any(
            _asks(folder, name) and folder.is_locked(_run(name) + _RUN_SUFFIX)
            for name in self._listing
            if name < ticket.name and f"-{ticket.group}-" in name and _run(name) != self.run
        )

    def _publish(self, folder: LockFolder, ticket: Ticket) -> None:
        """Write a ticket, after the run's own lock, by which others know that the ticket's run lives."""
        name = self.run + _RUN_SUFFIX
        if self._own_lock is not None and not folder.holds(self._own_lock, name):
            close_lock(self._own_lock)
            self._own_lock = None
        if self._own_lock is None:
            self._own_lock = folder.lock_new(name)
        folder.make(ticket.name, ticket.claim.to_bytes())


def lease_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder that all runs of the machine share."""
    return Path(environment.get(FOLDER_VARIABLE) or _DEFAULT_FOLDER).absolute()


def _take(folder: LockFolder, ticket: Ticket) -> Lease | None:
    """Lock as many devices as the ticket wants, or none."""
    choice = ticket.choice
    taken: dict[Device, int] = {}
    try:
        for device in choice.devices:
            descriptor = folder.lock_shared(device.key + DEVICE_SUFFIX)
            if descriptor is not None:
                taken[device] = descriptor
            if len(taken) == choice.count:
                break
    except GraphError:
        _give_back(taken)
        raise
    if len(taken) < choice.count:
        _give_back(taken)
        return None
    for device, descriptor in taken.items():
        claim = Claim.of_this_run(ticket.claim.stage, Path(ticket.claim.workspace), device.name)
        write(descriptor, claim.to_bytes())
    return Lease(tuple(taken), tuple(taken.values()))


def _give_back(taken: Mapping[Device, int]) -> None:
    for descriptor in taken.values():
        close_lock(descriptor)


def _group(choice: Choice) -> str:
    """Return the same text for tickets that can use the same devices and want as many of them."""
    keys = ",".join(sorted(device.key for device in choice.devices))
    return hashlib.sha256(f"{choice.count} of {keys}".encode()).hexdigest()[:12]


def _wanted(choice: Choice) -> str:
    names = ", ".join(device.name for device in choice.devices)
    if len(choice.devices) == choice.count:
        return names
    return f"{'one' if choice.count == 1 else choice.count} of {names}"


def _tickets(folder: LockFolder) -> list[str]:
    return [name for name in folder.names(_TICKET_SUFFIX) if name.count("-") == 3]


def _run(ticket: str) -> str:
    return ticket.removesuffix(_TICKET_SUFFIX).rpartition("-")[2]


def _asks(folder: LockFolder, ticket: str) -> bool:
    return folder.age(ticket) < _PATIENCE_SECONDS


def _sweep(folder: LockFolder) -> None:
    """Remove what dead runs left; another user's files stay, and hinder nobody."""
    tickets = _tickets(folder)  # before the runs: no ticket is older than its run's file
    runs = [name.removesuffix(_RUN_SUFFIX) for name in folder.names(_RUN_SUFFIX)]
    live = {run for run in runs if folder.is_young(run + _RUN_SUFFIX) or folder.is_locked(run + _RUN_SUFFIX)}
    dead = [run + _RUN_SUFFIX for run in runs if run not in live]
    for name in (*dead, *(ticket for ticket in tickets if _run(ticket) not in live)):
        folder.remove(name)
