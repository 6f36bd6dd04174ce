"""A write with an idempotency key: one act, one answer, however often and however close together it is sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.exceptions import Refused
from jupyter_quantum.hub.api.json import Api, by_path
from jupyter_quantum.hub.api.route import File, Route, pattern
from jupyter_quantum.pipeline.once import Once
from jupyter_quantum.store import Store
from jupyter_quantum.store.crypt import is_sealed
from jupyter_quantum.wire.base import Request
from tests.unit.hub.support import PREFIX, Service


class Note(Request):
    """What is written."""

    text: str = ""


class Made(BaseModel):
    """What was written, and how often something was written before."""

    text: str
    number: int


@dataclass
class Desk:
    """Counts acts; each writes to the store, unless it is refused before."""

    store: Store
    acts: int = 0
    slow: asyncio.Event | None = None
    refuse: str = ""
    clock = staticmethod(lambda: datetime.now(UTC))

    async def write(self, text: str) -> Made:
        if self.refuse == "before":
            raise Refused("Not you.")
        if self.slow is not None:
            await self.slow.wait()
        self.acts += 1
        await self.store.write(lambda tx: tx.put_blob("lab", text.encode()))
        if self.refuse == "after":
            raise Refused("Noted, and refused.")
        if self.refuse == "crash":
            raise RuntimeError("half way")
        return Made(text=text, number=self.acts)


async def _write(api: Api) -> Made:
    return await api.context.pipeline.desk.write(api.body(Note).text)  # type: ignore[attr-defined]


async def _remove(api: Api) -> None:
    await _write(api)


async def _pack(api: Api) -> File:
    await _write(api)
    return File(b"PK")


ROUTES = (
    Route("POST", "notes", Scope.SUBMIT, "Write", Made, _write, body=Note, status=201),
    Route("PUT", "notes", Scope.SUBMIT, "Write", Made, _write, body=Note),
    Route("PATCH", "notes", Scope.SUBMIT, "Write", None, _remove, body=Note, status=204),
    Route("POST", "secret", Scope.SUBMIT, "Show once", Made, _write, body=Note, secret=True),
    Route("POST", "pack", Scope.SUBMIT, "A file", None, _pack, body=Note, media="application/zip"),
)


@dataclass
class Place:
    """The service with these routes, and what they do."""

    service: Service
    desk: Desk
    token: str

    async def send(
        self, key: str | None = "k", text: str = "a", path: str = "notes", method: str = "POST"
    ) -> tuple[int, bytes, bool]:
        headers = {} if key is None else {"Idempotency-Key": key}
        body = json.dumps({"text": text})
        answer = await self.service.fetch(path, token=self.token, method=method, headers=headers, body=body)
        return answer.code, answer.body, answer.headers.get("Idempotency-Replayed") == "true"

    def code(self, answer: tuple[int, bytes, bool]) -> tuple[int, str]:
        return answer[0], json.loads(answer[1])["code"]


@pytest.fixture
async def place(service: Service, tmp_path: Path) -> AsyncIterator[Place]:
    store = Store(f"sqlite:///{tmp_path}/s.sqlite", artefacts=f"file://{tmp_path}/a")
    store.migrate()
    desk = Desk(store)
    service.pipeline.desk = desk  # type: ignore[attr-defined]
    service.pipeline.door.once = Once(desk)  # type: ignore[arg-type]
    handlers = [(PREFIX + pattern(path), Api, {"routes": found}) for path, found in by_path(ROUTES).items()]
    service.app.add_handlers(".*", handlers)
    yield Place(service, desk, service.hub.add("t", [Scope.SUBMIT]))
    store.close()


async def test_what_is_kept_of_an_answer_is_sealed(place: Place) -> None:
    """An answer shows as much as what it is about: the database holds it under its tenant's key only."""
    word = "circuit-of-ada"
    first, again = await place.send(text=word), await place.send(text=word)
    assert (first[1], again[2]) == (again[1], True)
    row = await place.desk.store.read(lambda view: view.answer("ada@2026-05-12T09:00:00Z", "k"))
    assert row is not None
    assert row.body is not None
    assert is_sealed(row.body)
    await place.desk.store.write(lambda tx: tx.shred(row.tenant or "", actor="service"))
    assert place.code(await place.send(text=word)) == (409, "data.shredded")


async def test_the_first_answer_comes_again(place: Place) -> None:
    """Same key and request: the same status and body, one act; without a key each request acts."""
    first, again = await place.send(), await place.send()
    assert first == (201, b'{"text":"a","number":1}', False)
    assert again == (*first[:2], True)
    await place.send(None)
    assert place.desk.acts == 2
    for _ in range(2):
        assert (await place.send("empty", method="PATCH"))[:2] == (204, b"")
    assert place.desk.acts == 3


async def test_another_request_with_the_key_is_a_mismatch(place: Place) -> None:
    """Another body, another path or another method with the key is 409; another principal's key is its own."""
    await place.send()
    for other in ({"text": "b"}, {"path": "secret"}, {"method": "PUT"}, {"path": "notes?x=1"}):
        assert place.code(await place.send(**other)) == (409, "idempotency.mismatch")
    place.token = place.service.hub.add("b", [Scope.SUBMIT], name="ben")
    assert (await place.send(text="b"))[0] == 201
    assert place.desk.acts == 2
    assert place.code(await place.send("")) == (422, "request.malformed")
    assert place.code(await place.send("x" * 201)) == (422, "request.malformed")


async def test_duplicates_at_once_are_one_act(place: Place) -> None:
    """Twenty requests with one key at the same time act once, and all get its answer."""
    place.desk.slow = asyncio.Event()
    sent = [asyncio.create_task(place.send()) for _ in range(20)]
    await asyncio.sleep(0.2)
    place.desk.slow.set()
    answers = await asyncio.gather(*sent)
    assert {answer[:2] for answer in answers} == {(201, b'{"text":"a","number":1}')}
    assert [replayed for *_, replayed in answers].count(False) == 1


async def test_a_refusal_that_changed_nothing_frees_the_key(place: Place) -> None:
    """A refusal before the act may be tried again; one that was written down is the answer."""
    place.desk.refuse = "before"
    assert place.code(await place.send()) == (403, "refused")
    place.desk.refuse = "after"
    assert place.code(await place.send()) == (403, "refused")
    place.desk.refuse = ""
    kept = await place.send()
    assert (place.code(kept), kept[2], place.desk.acts) == ((403, "refused"), True, 1)
    assert (await place.send("k2", text=""))[0] == 201


async def test_what_broke_half_way_is_not_run_again(place: Place) -> None:
    """After a crash behind the act: 409 idempotency.unfinished; where repeating does no harm, it is done again."""
    place.desk.refuse = "crash"
    assert (await place.send())[0] == 500
    assert (await place.send("p", method="PUT"))[0] == 500
    place.desk.refuse = ""
    await place.service.pipeline.door.once.start()  # as after a restart
    assert place.code(await place.send()) == (409, "idempotency.unfinished")
    assert (await place.send("p", method="PUT"))[0] == 200
    assert place.desk.acts == 3


async def test_secrets_and_files_are_not_given_again(place: Place) -> None:
    """An answer with a secret, or a file, comes once: its repeat says that it was done."""
    for path in ("secret", "pack"):
        assert (await place.send(path, path=path))[0] == 200
        assert place.code(await place.send(path, path=path)) == (409, "idempotency.withheld")
    assert place.desk.acts == 2


async def test_answers_are_forgotten_after_a_day(place: Place) -> None:
    """They are kept for over 24 hours, then swept."""
    once, now = place.service.pipeline.door.once, datetime.now(UTC)
    await place.send()
    for hours, replayed in ((24.5, True), (25.5, False)):
        later = now + timedelta(hours=hours)
        place.desk.clock = lambda at=later: at  # type: ignore[assignment]
        once._swept = -1e9
        await once.turn()
        place.desk.clock = lambda: datetime.now(UTC)  # type: ignore[assignment]
        assert (await place.send())[2] is replayed


async def test_a_long_act_keeps_its_key(place: Place) -> None:
    """An act that takes longer than its lease is renewed: nobody takes its key over."""
    once = place.service.pipeline.door.once
    place.desk.slow = asyncio.Event()
    sent = asyncio.create_task(place.send())
    await asyncio.sleep(0.3)
    claim = next(iter(once._open.values()))[1]
    before = await place.desk.store.read(lambda view: view.answer(claim.principal, claim.key))
    once._open[claim.holder] = (-1e9, claim)
    await once.turn()
    after = await place.desk.store.read(lambda view: view.answer(claim.principal, claim.key))
    assert before is not None
    assert after is not None
    assert after.until > before.until
    place.desk.slow.set()
    assert (await sent)[0] == 201
