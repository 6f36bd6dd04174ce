"""A pipeline over a real store (SQLite in a temporary directory) and a runner in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.core.money import CREDIT, PriceList, credits_to_micro
from jupyter_quantum.core.tenancy import Principal, ProjectSpec
from jupyter_quantum.exceptions import Unavailable
from jupyter_quantum.pipeline import Pipeline, Settings
from jupyter_quantum.store import Store
from jupyter_quantum.store.books import BOOKS
from jupyter_quantum.testing.runner import MemoryRunner, announcement
from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.jobs import JobRequest
from jupyter_quantum.wire.runner import DeviceAnnouncement

POLICIES = Path(__file__).parents[3] / "hub_config" / "policies"
COURSE = ProjectSpec(
    "qcourse", "campus", "sandbox", frozenset({"qcourse"}), frozenset({"qcourse-leads"}), 100 * CREDIT, 50 * CREDIT
)
OTHER = ProjectSpec("lab", "campus", "pilot", frozenset({"lab"}), frozenset({"lab-leads"}), 100 * CREDIT, 50 * CREDIT)


def _prices(task: str, shot: str, second: str) -> PriceList:
    return PriceList(credits_to_micro(task), credits_to_micro(shot), credits_to_micro(second))


PRICES = {
    "fake_torino": _prices("0.02", "0.0004", "0.0005"),
    "fake_fez": _prices("0.02", "0.0004", "0.0005"),
    "campus_qpu": _prices("0.10", "0.006", "0.008"),
}
DEVICES = (
    announcement("aer", slots=2),
    announcement("fake_torino", DeviceKind.EMULATOR),
    announcement("fake_fez", DeviceKind.EMULATOR),
    announcement("campus_qpu", DeviceKind.QPU),
)


def person(name: str, *groups: str, interactive: bool = False) -> Principal:
    """A principal; those in tests are as old as the hub."""
    return Principal(name, "2026-01-01T00:00:00Z", frozenset(groups), interactive=interactive)


ADA = person("ada", "qcourse")
BEN = person("ben", "qcourse")
GRACE = person("grace", "qcourse", "qcourse-leads", interactive=True)
HEDY = person("hedy", "qcourse", "qcourse-leads", interactive=True)
OTTO = person("otto", "quantum-operators", interactive=True)
LISE = person("lise", "lab")
EVE = person("eve")


@dataclass
class Groups:
    """Who is in which group now; a test may change it."""

    now: dict[str, frozenset[str]] = field(
        default_factory=lambda: {who.id: who.groups for who in (ADA, BEN, GRACE, HEDY, OTTO, LISE, EVE)}
    )
    silent: bool = False

    async def groups_of(self, principal_id: str) -> frozenset[str] | None:
        """As the hub would say."""
        if self.silent:
            raise Unavailable("The hub does not answer.", code="hub.unavailable")
        return self.now.get(principal_id)

    async def refreshed(self, principal_id: str) -> frozenset[str] | None:
        """The same."""
        return await self.groups_of(principal_id)

    async def find(self, name: str) -> str | None:
        """By name."""
        return next((key for key in self.now if key.partition("@")[0] == name), None)


@dataclass
class House:
    """The parts of one service, and how to start it again."""

    settings: Settings
    directory: Groups = field(default_factory=Groups)
    pipeline: Pipeline = field(init=False)
    store: Store = field(init=False)

    async def open(self) -> Pipeline:
        """Start a service over what is on disk."""
        self.store = Store(self.settings.db_url, artefacts=f"file://{self.settings.data_dir}/artefacts")
        self.store.migrate()
        self.pipeline = Pipeline(self.settings, self.store, self.directory)
        await self.pipeline.start()
        return self.pipeline

    async def close(self) -> None:
        """Stop it as a kill would: nothing is said to anybody."""
        await self.pipeline.stop()
        self.store.close()

    def runner(self, *devices: DeviceAnnouncement, **options: Any) -> MemoryRunner:
        """A runner for it, of all devices where none is named."""
        return MemoryRunner(self.pipeline, devices or DEVICES, **options)

    async def ledger(self) -> None:
        """Check that balances equal the sums of the entries, and that nothing final holds anything."""

        def check(view: Any) -> None:
            for account in view.accounts():
                assert account.used + account.held <= account.limit
            assert [found for name, check in BOOKS.items() for found in check(view)] == []

        await self.store.read(check)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The demo's, in a temporary directory."""
    return Settings(
        data_dir=tmp_path,
        db_url=f"sqlite:///{tmp_path}/quantum.sqlite",
        policies=POLICIES,
        projects={spec.name: spec for spec in (COURSE, OTHER)},
        prices=PRICES,
        secret=b"test",
        intake_s=5.0,
    )


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    """A running service without a runner."""
    made = House(settings)
    await made.open()
    yield made
    await made.close()


@asynccontextmanager
async def running(settings: Settings, **changes: Any) -> AsyncIterator[House]:
    """A service with other settings."""
    made = House(replace(settings, **changes))
    await made.open()
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def runner(house: House) -> AsyncIterator[MemoryRunner]:
    """A runner that serves every device."""
    async with house.runner() as made:
        yield made


def request(device: str = "aer", shots: int | None = 1000, *, data: bytes = b"n=2", **fields: Any) -> JobRequest:
    """A request for one circuit."""
    options = {} if shots is None else {"shots": shots}
    bundle = CircuitBundle(format="qpy", data=data)
    return JobRequest(**({"device": device, "circuits": bundle, "options": options} | fields))


async def until(check: Callable[[], Any], timeout_s: float = 5.0) -> Any:
    """Wait until ``check`` (plain or async) says something true."""
    async with asyncio.timeout(timeout_s):
        while True:
            found = check()
            found = await found if asyncio.iscoroutine(found) else found
            if found:
                return found
            await asyncio.sleep(0.01)
