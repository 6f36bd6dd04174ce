"""Whose a runner is, and what it may announce.

The runner that the service starts itself has no owner. One elsewhere belongs to a service of the hub that the
configuration names; its id is ``<service>/<instance>``, put together here, so that none can speak as another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from jupyter_quantum.core.match import matches
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict, InputError, Refused
from jupyter_quantum.pipeline.board import Board
from jupyter_quantum.pipeline.offered import bad_options, bad_target
from jupyter_quantum.pipeline.settings import Settings
from jupyter_quantum.wire.runner import Announce, DeviceAnnouncement

__all__ = ["check_announced", "owner_of", "runner_id"]

_INSTANCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_DEVICE: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_WORDS_MOST: Final = 500
_DEVICES_MOST: Final = 200
_QUBITS_MOST: Final = 1_000_000
_GATES_MOST: Final = 500
_GATE_MOST: Final = 100
_RUNNERS_MOST: Final = 64
"""Of one service at a time: each is kept in memory with its Targets."""


def owner_of(runner: str) -> str:
    """The service of the hub that a runner belongs to; empty for the one that this service started."""
    return runner.rpartition("/")[0]


def runner_id(settings: Settings, who: Principal, instance: str) -> str:
    """Id of the runner that calls itself ``instance`` and brought ``who``'s token.

    Raises Refused (``runner.service``) for everybody who is not a service that the configuration lists as a runner.
    """
    if who.kind != "service" or who.interactive or who.name not in settings.runners:
        raise Refused(
            "Only services of the hub that are configured as runners do this.",
            code="runner.service",
            hint="An administrator lists them: configure(c, runners=…), and `runners` of the quantum service.",
        )
    if not _INSTANCE.fullmatch(instance):
        raise InputError("A runner's name is 1 to 80 letters, digits, dots, dashes.", code="runner.name")
    return f"{who.name}/{instance}"


def check_announced(settings: Settings, board: Board, words: Announce) -> None:
    """Raise Refused or InputError where the runner may not announce this, Conflict where another serves it already."""
    owner = owner_of(words.runner)
    if owner:
        _check_allowed(settings, owner, words.devices)
        _check_number(board, owner, words.runner)
    for device in words.devices:
        other = next((one for one in _others(board, owner, device.name)), None)
        if other is not None:
            raise Conflict(
                f"{device.name} is served by another runner, {other or 'the one on the service’s machine'}.",
                code="runner.taken",
                hint="Stop that one first, or give the device another name.",
                details={"device": device.name},
            )


def _check_number(board: Board, owner: str, runner: str) -> None:
    beside = sum(owner_of(name) == owner and name != runner for name in board.runners)
    if beside >= _RUNNERS_MOST:
        raise Conflict(
            f"{owner} has {_RUNNERS_MOST} runners already.",
            code="runner.many",
            hint="One that has ended is forgotten once its lease has run out.",
        )


def _others(board: Board, owner: str, device: str) -> Iterable[str]:
    """Owners of live runners that announced this device, other than ``owner``; instances of one owner may share it."""
    for runner in board.runners.values():
        theirs = owner_of(runner.words.runner)
        if theirs != owner and board.alive(runner) and any(one.name == device for one in runner.words.devices):
            yield theirs


def _check_allowed(settings: Settings, owner: str, devices: list[DeviceAnnouncement]) -> None:
    told = settings.runners[owner]
    if len(devices) > _DEVICES_MOST or len({device.name for device in devices}) < len(devices):
        raise InputError(f"A runner announces up to {_DEVICES_MOST} devices, each once.", code="runner.device")
    for device in devices:
        if not _DEVICE.fullmatch(device.name) or not _sensible(device):
            raise InputError("A device's name, size or words are out of bounds.", code="runner.device")
        if (problem := bad_options(device.options)) is not None:
            raise InputError(
                f"{device.name} cannot be announced so: {problem}.",
                code="runner.device",
                details={"device": device.name},
            )
        if not any(matches(pattern, device.name) for pattern in told.devices):
            raise Refused(
                f"{owner} may not announce {device.name}.",
                code="runner.device",
                hint=f"It may announce: {', '.join(told.devices) or 'nothing'}.",
                details={"device": device.name},
            )
        if told.regions and device.region not in told.regions:
            raise Refused(
                f"{owner} may not announce a device in the region {device.region!r}.",
                code="runner.device",
                hint=f"Its regions: {', '.join(told.regions)}.",
                details={"device": device.name},
            )


def _sensible(device: DeviceAnnouncement) -> bool:
    words = (device.label, device.vendor, device.region, device.description)
    numbers = (device.num_qubits, device.max_shots, device.max_circuits)
    return (
        all(len(word) <= _WORDS_MOST and (word.isprintable() or not word) for word in words)
        and 0 < device.num_qubits <= _QUBITS_MOST
        and all(0 < number <= 10**9 for number in numbers)
        and device.slots <= 64
        and len(device.basis_gates) <= _GATES_MOST
        and all(0 < len(gate) <= _GATE_MOST and gate.isprintable() for gate in device.basis_gates)
        and not bad_target(device.target, device.num_qubits)
    )
