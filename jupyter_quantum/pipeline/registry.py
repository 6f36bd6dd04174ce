"""The devices: what runners announced, what the operators made of it, and which options each has."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from jupyter_quantum.core.jobs import DeviceKind, JobKind
from jupyter_quantum.core.money import PriceList
from jupyter_quantum.exceptions import InputError, OptionRejected, Refused
from jupyter_quantum.pipeline.board import Board
from jupyter_quantum.pipeline.prices import PriceBook
from jupyter_quantum.pipeline.settings import Settings
from jupyter_quantum.pipeline.views import price_view
from jupyter_quantum.store.rows import AdmissionRow, DeviceRow
from jupyter_quantum.wire.devices import DeviceView, Wait
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.runner import DeviceAnnouncement

__all__ = ["Device", "Registry", "what_changed"]

_REMEMBERED: Final = 512
_SHORT: Final = 1_000
"""Characters of options that are worth remembering."""

State = Literal["ready", "paused", "isolated", "drained", "offline"]


@dataclass(slots=True)
class Device:
    """One device as the service knows it."""

    words: DeviceAnnouncement
    row: DeviceRow
    priced: Callable[[], PriceList | None]
    """The price list in force; None before the first of dated ones."""
    label: str
    max_seconds: float
    _checks: dict[JobKind, Any] = field(default_factory=dict)
    _passed: set[tuple[JobKind, str]] = field(default_factory=set)
    """Options, as JSON, that were found to be right."""

    @property
    def name(self) -> str:
        """What users pick."""
        return self.words.name

    @property
    def prices(self) -> PriceList:
        """The price list in force now."""
        found = self.priced()
        if found is None:
            raise Refused(f"{self.name} has no price list now.", code="device.unpriced", hint="Choose another device.")
        return found

    @property
    def max_shots(self) -> int:
        """Of one circuit."""
        return self.words.max_shots

    def check_options(self, kind: JobKind, options: Mapping[str, Any], others: Iterable[Device] = ()) -> None:
        """Raise OptionRejected, naming the option, unless the device has all of these for this kind of job.

        It also names those of ``others`` that have it.
        """
        schema = self.words.options.get(kind.value)
        if schema is None:
            raise OptionRejected(f"{self.name} does not offer {kind.value} jobs.", code="option.kind")
        if not options:
            return
        known = schema.get("properties", {})
        for name in options:
            if name not in known:
                offered = ", ".join(sorted(known)) or "none"
                able = [other.name for other in others if other.offers(kind, name)]
                raise OptionRejected(
                    f"{self.name} has no option {name!r} for {kind.value} jobs.",
                    hint=f"It has: {offered}." + (f" Devices that have it: {', '.join(able)}." if able else ""),
                    details={"option": name, "device": self.name, "devices": able},
                )
        self._check_values(kind, dict(options))

    def offers(self, kind: JobKind, option: str) -> bool:
        """Whether the device has this option for this kind of job."""
        return option in self.words.options.get(kind.value, {}).get("properties", {})

    def _check_values(self, kind: JobKind, options: dict[str, Any]) -> None:
        said = (kind, json.dumps(options))
        if said in self._passed:
            return
        if kind not in self._checks:
            self._checks[kind] = Draft202012Validator(self.words.options[kind.value])
        problem: ValidationError | None = best_match(self._checks[kind].iter_errors(options))
        if problem is not None:
            name = str(problem.absolute_path[0]) if problem.absolute_path else "options"
            raise OptionRejected(
                f"The option {name!r} of {self.name} cannot be this: {problem.message}.",
                code="option.value",
                details={"option": name, "device": self.name},
            )
        if len(self._passed) >= _REMEMBERED:
            self._passed.clear()
        if len(said[1]) <= _SHORT:
            self._passed.add(said)

    def executions_at_least(self, kind: JobKind, pubs: Sequence[Pub], options: Mapping[str, Any]) -> int:
        """The fewest executions that a request comes to, whatever its circuits hold: each once, with one binding."""
        schema = self.words.options.get(kind.value, {}).get("properties", {})
        chosen = {name: options.get(name) or schema.get(name, {}).get("default") for name in schema}
        if kind is JobKind.ESTIMATOR:
            precision = chosen.get("precision") or chosen.get("default_precision")
            return sum(_executions(pub.precision or precision) for pub in pubs)
        shots = chosen.get("shots") or chosen.get("default_shots") or 1
        return shots if kind is JobKind.RUN else sum(pub.shots or shots for pub in pubs)

    def check_shots(self, shots: int | None, limit: int) -> None:
        """Raise InputError where the device takes fewer shots at once; ``limit`` is the service's own."""
        most = min(self.max_shots, limit)
        if shots is not None and shots > most:
            raise InputError(
                f"{self.name} takes at most {most:,} shots of a circuit at once; {shots:,} were asked for.".replace(
                    ",", "\u202f"
                ),
                code="shots.limit",
                hint=f"Use {most:,} shots or fewer.".replace(",", "\u202f"),
                details={"most": most, "shots": shots},
            )


class Registry:
    """Devices by name."""

    def __init__(self, settings: Settings, board: Board) -> None:
        self._settings = settings
        self._board = board
        self._devices: dict[str, Device] = {}
        self._admissions: dict[str, AdmissionRow] = {}
        self.book = PriceBook(settings)
        """Which price list is in force."""

    def __iter__(self) -> Any:
        return iter(sorted(self._devices.values(), key=_order))

    def get(self, name: str) -> Device | None:
        """The device that was announced under this name and admitted."""
        return self._devices.get(name)

    def restore(self, row: DeviceRow) -> None:
        """A device from before a restart: known, and offline until a runner announces it again."""
        if row.admitted:
            self._put(DeviceAnnouncement.model_validate(json.loads(row.announcement)), row)

    def prices(self, device: str, kind: DeviceKind) -> PriceList | None:
        """The price list; a simulator without one is free, anything else is not admitted."""
        found = self.book.at(device)
        return PriceList() if found is None and kind is DeviceKind.SIMULATOR else found

    def learn(self, rows: Iterable[AdmissionRow]) -> None:
        """What operators said about devices, or that they were announced."""
        self._admissions.update((row.device, row) for row in rows)

    def is_configured(self, name: str) -> bool:
        """Whether the configuration says what the device costs, and so admits it."""
        return name in self._settings.prices or name in self._settings.dated_prices

    def admits(self, words: DeviceAnnouncement, owner: str) -> bool:
        """Whether configuration or operator want it, as it is, from the runner of this owner."""
        if self.is_configured(words.name):
            return True
        row = self._admissions.get(words.name)
        if row is not None:
            return row.state == "admitted" and not what_changed(row, words, owner)
        return not owner and self.prices(words.name, words.kind) is not None

    def awaits(self, words: DeviceAnnouncement, owner: str) -> str | None:
        """Why an operator must look at a device that is not admitted, in words; None where one has."""
        row = self._admissions.get(words.name)
        if row is None:
            return "new"
        changed = what_changed(row, words, owner)
        if not changed:
            return None
        return "new" if row.why == "new" and row.state == "pending" else f"changed: {changed}"

    @property
    def pending(self) -> int:
        """How many devices wait for an operator."""
        return sum(row.state == "pending" for row in self._admissions.values())

    def pending_of(self, owner: str, names: Iterable[str]) -> int:
        """How many of this owner's devices would wait, were these to wait too."""
        wait = {row.device for row in self._admissions.values() if row.state == "pending" and row.runner == owner}
        return len(wait | set(names))

    def drop(self, name: str) -> Device | None:
        """An operator took it back."""
        return self._devices.pop(name, None)

    def put(self, words: DeviceAnnouncement, row: DeviceRow) -> bool:
        """A runner announced it; whether its calibration or anything else that users see changed."""
        before = self._devices.get(words.name)
        self._put(words, row)
        return before is None or before.words != words

    def _put(self, words: DeviceAnnouncement, row: DeviceRow) -> None:
        prices = self.prices(words.name, words.kind)
        if prices is None:
            self._devices.pop(words.name, None)
            return
        said = self._admissions.get(words.name)
        label = self._settings.device_labels.get(words.name, (said and said.label) or words.label)
        seconds = self._settings.seconds_at_most(words.name)
        if said is not None and said.max_seconds is not None and words.name not in self._settings.max_seconds:
            seconds = said.max_seconds
        self._devices[words.name] = Device(words, row, lambda: self.prices(words.name, words.kind), label, seconds)

    def set_row(self, row: DeviceRow) -> None:
        """The operator changed it."""
        self._devices[row.name].row = row

    def state(self, device: Device) -> State:
        """What it does now: the operator's word, unless nobody serves it."""
        return device.row.state if self._board.serving(device.name) else "offline"

    def view(self, device: Device, wait: Wait) -> DeviceView:
        """As its users see it."""
        words, row = device.words, device.row
        return DeviceView(
            name=words.name,
            kind=words.kind,
            label=device.label,
            vendor=words.vendor,
            region=words.region,
            description=words.description,
            num_qubits=words.num_qubits,
            state=self.state(device),
            state_reason=row.reason,
            state_until=row.until,
            awaits_calibration=row.awaits is not None,
            basis_gates=words.basis_gates,
            max_shots=min(words.max_shots, self._settings.limits.shots),
            max_circuits=min(words.max_circuits, self._settings.limits.circuits),
            calibration=words.calibration,
            price=price_view(device.prices),
            wait=wait,
            options=words.options,
            sessions=words.sessions,
        )

    def due(self, now: datetime) -> list[Device]:
        """Devices whose pause or drain has ended by itself."""
        return [d for d in self._devices.values() if d.row.until is not None and d.row.until <= now]


def what_changed(row: AdmissionRow, words: DeviceAnnouncement, owner: str) -> str:
    """What differs from what an operator looked at; empty where nothing does that would matter."""
    before = json.loads(row.announcement)
    pairs = {
        "runner": (row.runner, owner),
        "kind": (before["kind"], words.kind.value),
        "region": (before["region"], words.region),
        "qubits": (before["num_qubits"], words.num_qubits),
        "after a crash": (before["recovery"], words.recovery),
        "sessions": (_paid(before.get("sessions", {})), _paid(words.sessions)),
    }
    return ", ".join(f"{name} {old or '–'} → {new or '–'}" for name, (old, new) in pairs.items() if old != new)


def _paid(sessions: Mapping[Any, str]) -> str:
    """What an operator must know of a device's sessions: that they cost more than their jobs."""
    return "dedicated" if "dedicated" in sessions.values() else ""


def _executions(precision: float | None) -> int:
    """Shots that an expectation value of this precision takes."""
    return 1 if precision is None else math.ceil(1.0 / max(precision, 1e-9) ** 2)


def _order(device: Device) -> tuple[int, str]:
    """Simulators first, then emulators, then hardware."""
    return list(DeviceKind).index(device.words.kind), device.name
