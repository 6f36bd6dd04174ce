"""Devices appear by themselves when a runner announces them; people see them once an operator has admitted them.

What the configuration prices is admitted at the start, and so is what the service's own runner simulates. Everything
else waits. An admission is bound to what was looked at (runner, kind, region, number of qubits, what can be known after
a crash): where one of these changes, the device takes no jobs until an operator has looked again.
"""

from __future__ import annotations

import builtins
import json
from dataclasses import asdict
from typing import Any, Final

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.core.money import PriceList
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict, InputError, Refused
from jupyter_quantum.pipeline.board import Runner
from jupyter_quantum.pipeline.budgets import prices_json
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.named import Naming
from jupyter_quantum.pipeline.origins import owner_of
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.runners import Runners
from jupyter_quantum.pipeline.schedule import Scheduling
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import AdmissionRow, JobRow
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.devices import AdmissionDecision, Admissions, AdmissionView, PriceView
from jupyter_quantum.wire.runner import DeviceAnnouncement

__all__ = ["Admitting"]

_ORDER: Final = ("pending", "rejected", "admitted")
_PRICE: Final = ("per_task", "per_shot", "per_second", "per_queue_minute", "queue_minutes")


class Admitting:
    """What operators see of announced devices, and say about them."""

    def __init__(self, context: Context, runners: Runners, scheduling: Scheduling, live: Live) -> None:
        self._context = context
        self._runners = runners
        self._scheduling = scheduling
        self._live = live

    async def restore(self) -> None:
        """Know what was decided before a restart, before any device of then is."""
        self._context.registry.learn(await self._context.store.read(lambda view: view.admissions()))

    async def list(self, who: Principal) -> Admissions:
        """Those that wait first. Raises Refused for everybody who operates no devices."""
        self._check(who)

        def read(view: View) -> list[AdmissionView]:
            naming = Naming(view)
            return [self._view(row, naming) for row in view.admissions()]

        found = await self._context.store.read(read)
        return Admissions(admissions=sorted(found, key=lambda one: (_ORDER.index(one.state), one.device)))

    async def decide(self, who: Principal, name: str, answer: AdmissionDecision) -> AdmissionView:
        """Admit or reject. Raises Refused for others than operators, and Conflict.

        ``device.configured``: the configuration decides; ``device.changed``: it was announced anew since it was looked
        at; ``device.state``: it is so already. Raises InputError ``admission.note`` where a rejection gives no reason.
        """
        self._check(who)
        if answer.verdict == "reject" and not (answer.note and answer.note.strip()):
            raise InputError("A rejection needs a reason.", code="admission.note", hint="Say why, in a sentence.")
        if self._context.registry.is_configured(name):
            raise Conflict(
                f"The configuration prices {name}, and so admits it.",
                code="device.configured",
                hint="Pause it, or take its price out of the configuration.",
            )
        admit = answer.verdict == "admit"
        made: PriceList | None = PriceList(**answer.model_dump(include=set(_PRICE))) if admit else None
        row = await self._context.store.write(lambda tx: self._write(tx, who, name, answer, made))
        await self._took_effect(row)
        return await self._context.store.read(lambda view: self._view(row, Naming(view)))

    def _check(self, who: Principal) -> None:
        if not self._context.people.operates(who):
            raise Refused("Operators do this.", code="device.role")

    def _write(
        self, tx: Tx, who: Principal, name: str, answer: AdmissionDecision, made: PriceList | None
    ) -> AdmissionRow:
        row = tx.admission(name)
        if row is None:
            raise absent("device")
        if answer.version not in (None, digest_of(row.announcement.encode())):
            raise Conflict(f"{name} was announced anew since.", code="device.changed", hint="Look at it again.")
        state = "rejected" if made is None else "admitted"
        if row.state == state:
            raise Conflict(f"{name} is {state} already.", code="device.state")
        prices = None if made is None else prices_json(made)
        if prices is not None:
            tx.add_prices(name, tx.now, prices, actor=who.id)
        return tx.decide_admission(
            row,
            "rejected" if made is None else "admitted",
            actor=who.id,
            prices=prices,
            label=answer.label,
            max_seconds=answer.max_seconds,
            note=answer.note,
        )

    async def _took_effect(self, row: AdmissionRow) -> None:
        registry = self._context.registry
        registry.book.learn(await self._context.store.read(lambda view: view.price_lists()))
        registry.learn([row])
        if row.state == "admitted":
            for runner in self._announcing(row):
                await self._runners.announce(runner.words)
        else:
            await self._take_out(row.device)
        self._live.committed()

    def _announcing(self, row: AdmissionRow) -> builtins.list[Runner]:
        """Live runners of the owner that announce the device, the one that serves last."""
        board = self._context.board
        return [
            runner
            for runner in list(board.runners.values())
            if owner_of(runner.words.runner) == row.runner
            and board.alive(runner)
            and any(device.name == row.device for device in runner.words.devices)
        ]

    async def _take_out(self, name: str) -> None:
        """It takes no more jobs, and those that wait for it are taken back."""
        device = self._context.registry.drop(name)
        self._context.board.withdraw(name)
        if device is None:
            return

        def write(tx: Tx) -> builtins.list[JobRow]:
            tx.mark_admitted(tx.device(name), False)
            return tx.jobs(device=name, states=(JobState.QUEUED,), limit=100_000)

        waiting = await self._context.store.write(write)
        self._scheduling.device(device)
        gone = Refused(f"{name} is no longer there.", code="device.gone", hint="Choose another device.")
        for job in waiting:
            await self._scheduling.take_back(job, gone)

    def _view(self, row: AdmissionRow, naming: Naming) -> AdmissionView:
        words = DeviceAnnouncement.model_validate(json.loads(row.announcement))
        told: dict[str, Any] = {
            name: getattr(words, name)
            for name in ("kind", "vendor", "region", "description", "num_qubits", "slots", "max_shots", "recovery")
        }
        return AdmissionView(
            **told,
            remote=words.remote,
            device=row.device,
            runner=row.runner,
            state=row.state,
            why=row.why,
            version=digest_of(row.announcement.encode()),
            announced=row.announced,
            serving=bool(self._announcing(row)),
            label=row.label or words.label,
            jobs=sorted(words.options),
            price=None if row.prices is None else PriceView(**asdict(PriceList(**json.loads(row.prices)))),
            max_seconds=row.max_seconds,
            note=row.note,
            decided_by=None if row.decided_by is None else naming.actor(row.decided_by),
            decided=row.decided,
        )
