"""Webhooks over a real store: who is told what, in order, at least once, and what becomes of one that fails."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jupyter_quantum.core.egress import Egress
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict, InputError, NotFound, Refused
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.pipeline.deliver import Pace
from jupyter_quantum.wire.webhooks import ChangeWebhook, NewWebhook
from tests.integration.pipeline.conftest import ADA, BEN, GRACE, HEDY, LISE, House, person, request, until
from tests.integration.pipeline.receiver import Receiver, receiving

QUICK = Pace(first=0.02, factor=1.5, longest=0.1)


@dataclass
class Place:
    """A service that may send to the receiver."""

    house: House
    receiver: Receiver

    @property
    def hooks(self) -> Any:
        return self.house.pipeline.webhooks

    def pace(self, pace: Pace) -> None:
        self.house.pipeline._delivering._pace = pace

    async def add(self, who: Principal, **fields: Any) -> str:
        made = await self.hooks.add(who, NewWebhook(url=self.receiver.url, **fields))
        self.receiver.secret = made.secret
        webhook_id: str = made.webhook.id
        return webhook_id

    async def run(self, who: Principal, device: str = "aer") -> str:
        view = await self.house.pipeline.submit(who, request(device), key=None, wait_s=5.0)
        return view.id

    async def again(self) -> None:
        """Kill the service and start another one over the same store."""
        await self.house.close()
        await self.house.open()
        self.pace(QUICK)

    async def told(self, *, job: str, type_: str = "job.moved") -> list[dict[str, Any]]:
        return [one for one in self.receiver.taken if one["job"] == job and one["type"] == type_]


@pytest.fixture
async def place(settings: Settings) -> AsyncIterator[Place]:
    async with at_place(settings) as made:
        yield made


@asynccontextmanager
async def at_place(settings: Settings) -> AsyncIterator[Place]:
    async with receiving() as receiver:
        egress = Egress(["127.0.0.1"], ports=(receiver.port,), plain=True)
        house = House(replace(settings, egress=egress))
        await house.open()
        made = Place(house, receiver)
        made.pace(QUICK)
        async with house.runner():
            yield made
        await house.close()


async def test_a_users_webhook_is_told_of_their_own_jobs(place: Place) -> None:
    """Each move of ada's job arrives once, signed and in order; nothing of ben's does; the payload is the view."""
    webhook = await place.add(ADA, events=["job.*"])
    await place.run(BEN)
    job = await place.run(ADA)
    states = await until(lambda: final(place, job))
    assert states[-1] == "completed"
    assert states == [one["data"]["state"] for one in await place.told(job=job)]
    assert {one["job"] for one in place.receiver.taken} == {job}
    assert len(set(place.receiver.ids)) == len(place.receiver.ids)
    first = place.receiver.taken[0]
    assert (first["version"], first["project"], first["data"]["owner"]) == (1, "qcourse", "ada")
    assert "seq" not in first
    view = await place.hooks.get(ADA, webhook)
    assert (view.state, view.error, view.dead) == ("active", None, 0)
    assert view.delivered is not None


async def test_a_webhook_tells_nothing_of_a_project_that_its_owner_left(place: Place) -> None:
    """What becomes of ada's waiting job after she left is her project's matter; her other projects' jobs are told."""
    await place.add(ADA, events=["job.*"])
    left = await place.house.pipeline.submit(ADA, request("campus_qpu"), key=None, wait_s=0)
    await until(lambda: "awaiting_approval" in [one["data"]["state"] for one in place.receiver.taken])
    place.house.directory.now[ADA.id] = LISE.groups
    await place.house.pipeline.cancel(GRACE, left.id)
    there = replace(ADA, groups=LISE.groups)
    job = await place.run(there)
    await until(lambda: final(place, job))
    assert [one["data"]["state"] for one in await place.told(job=left.id)][-1] == "awaiting_approval"


async def final(place: Place, job: str) -> list[str] | None:
    states = [one["data"]["state"] for one in await place.told(job=job)]
    return states if "completed" in states else None


async def test_a_projects_webhook_is_its_leads_matter(place: Place) -> None:
    """Leads register and see it, members cannot, and for strangers it does not exist; it is told of all its jobs."""
    with pytest.raises(Refused, match="Leads"):
        await place.add(ADA, project="qcourse")
    with pytest.raises(NotFound):
        await place.add(LISE, project="qcourse")
    webhook = await place.add(GRACE, project="qcourse", events=["job.moved"])
    mine, theirs = await place.run(ADA), await place.run(LISE)
    await until(lambda: final(place, mine))
    assert theirs not in {one["job"] for one in place.receiver.taken}
    assert [one.id for one in (await place.hooks.list(HEDY)).webhooks] == [webhook]
    assert (await place.hooks.list(ADA)).webhooks == []
    for act in (place.hooks.get, place.hooks.rotate, place.hooks.test, place.hooks.dead, place.hooks.remove):
        with pytest.raises(NotFound):
            await act(ADA, webhook)
        with pytest.raises(NotFound):
            await act(LISE, webhook)


async def test_nothing_is_lost_over_a_restart(place: Place) -> None:
    """What happened while the receiver was away and the service was killed arrives afterwards, in order, once."""
    await place.add(ADA, events=["job.moved"])
    place.receiver.answers = [503]
    job = await place.run(ADA)
    await until(lambda: len(place.receiver.ids) > 2)
    await place.again()
    assert place.receiver.taken == []
    place.receiver.answers = [200]
    states = await until(lambda: final(place, job))
    assert len(set(states)) == len(states)
    tried = place.receiver.ids
    firsts = [one for at, one in enumerate(tried) if one not in tried[:at]]
    assert firsts == [one["id"] for one in place.receiver.taken]


async def test_a_message_is_given_up_after_its_day(place: Place) -> None:
    """A message that failed for a day goes to the dead letters, the next ones follow; by hand it is sent again."""
    webhook = await place.add(ADA, events=["job.moved"])
    place.pace(replace(QUICK, give_up=0.2))
    place.receiver.answers = [500]
    job = await place.run(ADA)

    async def buried() -> Any:
        found = (await place.hooks.dead(ADA, webhook)).dead
        return found if len(found) >= 2 else None

    dead = await until(buried)
    assert (dead[0].error, dead[0].type) == ("It answered with status 500.", "job.moved")
    tried = await place.hooks.redeliver(ADA, webhook, dead[-1].id)
    assert (tried.ok, tried.status) == (False, 500)
    place.receiver.answers = [200]
    assert (await place.hooks.redeliver(ADA, webhook, dead[-1].id)).ok
    assert place.receiver.taken[-1]["id"] == dead[-1].event or dead[-1].event in place.receiver.ids
    assert dead[-1].id not in {one.id for one in (await place.hooks.dead(ADA, webhook)).dead}
    with pytest.raises(NotFound):
        await place.hooks.redeliver(ADA, webhook, dead[-1].id)
    other = await place.add(ADA)
    with pytest.raises(NotFound):
        await place.hooks.redeliver(ADA, other, dead[0].id)
    assert job


async def test_one_that_fails_for_long_is_disabled_and_said_so(place: Place) -> None:
    """After days of failure, or a 410, the webhook is disabled, its owner is told, and it can go on where it was."""
    webhook = await place.add(ADA, events=["job.moved"])
    place.pace(replace(QUICK, disable=0.3))
    place.receiver.answers = [500]
    job = await place.run(ADA)

    async def disabled() -> Any:
        view = await place.hooks.get(ADA, webhook)
        return view if view.state == "disabled" else None

    assert (await until(disabled)).reason == "webhook.failing"

    async def told() -> Any:
        events = await place.house.store.read(lambda view: view.events(0))
        return [one.data for one in events if one.type == "webhook.changed"]

    assert [(one["state"], one["reason"]) for one in await until(told)] == [("disabled", "webhook.failing")]
    place.receiver.answers = [200]
    await place.hooks.change(ADA, webhook, ChangeWebhook(state="active"))
    assert await until(lambda: final(place, job))
    place.receiver.answers = [410]
    await place.run(ADA)
    assert (await until(disabled)).reason == "webhook.gone"


async def test_a_rotated_secret_overlaps(place: Place) -> None:
    """After a rotation messages carry two signatures, so that a receiver with either secret takes them."""
    webhook = await place.add(ADA)
    old = place.receiver.secret
    made = await place.hooks.rotate(ADA, webhook)
    assert made.secret != old
    for secret in (old, made.secret):
        place.receiver.secret = secret
        assert (await place.hooks.test(ADA, webhook)).ok
    assert place.receiver.signatures[-2:] == [2, 2]
    place.house.pipeline._context.clock = lambda: datetime.now(UTC) + timedelta(hours=25)
    await place.hooks.test(ADA, webhook)
    assert place.receiver.signatures[-1] == 1


async def test_secrets_are_sealed_and_gone_with_it(place: Place) -> None:
    """The database holds no secret in clear; removing a webhook removes what it could not deliver."""
    webhook = await place.add(ADA)
    row = await place.house.store.read(lambda view: view.webhook(webhook))
    raw = base64.b64decode(place.receiver.secret.removeprefix("whsec_"))
    assert raw not in row.secret
    for path in place.house.settings.data_dir.rglob("*.sqlite*"):
        assert raw not in path.read_bytes()
    await place.hooks.remove(ADA, webhook)
    with pytest.raises(NotFound):
        await place.hooks.get(ADA, webhook)


async def test_leaving_ends_it(place: Place) -> None:
    """A lead who is none any more, or who is gone, has no webhook of the project any more."""
    webhook = await place.add(GRACE, project="qcourse", events=["job.moved"])
    place.house.directory.now[GRACE.id] = frozenset({"qcourse"})
    await place.run(ADA)

    async def disabled() -> Any:
        view = await place.hooks.get(HEDY, webhook)
        return view if view.state == "disabled" else None

    assert (await until(disabled, 10.0)).reason == "webhook.rights"
    assert place.receiver.taken == []


async def test_leaving_while_it_waits_ends_it(place: Place) -> None:
    """What failed is tried again for whoever has the rights then, not for who had them when it failed."""
    place.pace(Pace(first=1.0, factor=1.0, longest=1.0))
    webhook = await place.add(GRACE, project="qcourse", events=["job.moved"])
    place.receiver.answers = [503]
    await place.run(ADA)
    await until(lambda: place.receiver.ids)
    await asyncio.sleep(0.3)  # it waits for its next try now
    place.house.directory.now[GRACE.id] = frozenset({"qcourse"})
    place.receiver.answers = [200]

    async def disabled() -> Any:
        view = await place.hooks.get(HEDY, webhook)
        return view if view.state == "disabled" else None

    assert (await until(disabled, 10.0)).reason == "webhook.rights"
    assert place.receiver.taken == []


async def test_who_is_absent_is_asked_about_at_the_provider(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lead who never comes back is in the hub's groups for ever: before it tells, the provider is asked anew."""

    async def refreshed(_: str) -> frozenset[str]:
        return frozenset({"qcourse"})

    webhook = await place.add(GRACE, project="qcourse", events=["job.moved"])
    monkeypatch.setattr(place.house.directory, "refreshed", refreshed)
    await place.run(ADA)

    async def disabled() -> Any:
        view = await place.hooks.get(HEDY, webhook)
        return view if view.state == "disabled" else None

    assert (await until(disabled, 10.0)).reason == "webhook.rights"
    assert place.receiver.taken == []


async def test_where_it_may_not_be_sent(place: Place) -> None:
    """Addresses inside are refused when they are registered, and again when they are sent to; redirects end there."""
    for url in ("https://169.254.169.254/latest", "https://10.0.0.1/", "http://127.0.0.2/", "https://x:22/"):
        with pytest.raises((InputError, Refused)):
            await place.hooks.add(ADA, NewWebhook(url=url))
    webhook = await place.add(ADA)
    place.receiver.answers, place.receiver.headers = [302], {"Location": place.receiver.url}
    tried = await place.hooks.test(ADA, webhook)
    assert (tried.ok, tried.status) == (False, 302)
    place.receiver.answers, place.receiver.headers = [200], {}
    place.receiver.body = b"x" * 200_000
    assert not (await place.hooks.test(ADA, webhook)).ok
    place.house.pipeline._delivering.sender.egress = Egress()
    assert not (await place.hooks.test(ADA, webhook)).ok
    inside = await place.house.store.read(lambda view: view.webhook(webhook))
    assert inside.url == place.receiver.url


async def test_there_are_so_many_at_most(place: Place) -> None:
    """A person has 20 webhooks at most."""
    for _ in range(20):
        await place.add(ADA)
    with pytest.raises(Conflict) as caught:
        await place.add(ADA)
    assert caught.value.code == "webhook.many"
    await place.add(BEN)


async def test_over_tls_the_name_is_kept_and_checked(settings: Settings, tmp_path: Path) -> None:
    """The checked address is connected to with the target's own name: its certificate must be for that name."""
    authority, server = certificates(tmp_path, "localhost")
    async with receiving(server) as receiver:
        egress = Egress(["localhost", "127.0.0.1"], ports=(receiver.port,))
        house = House(replace(settings, egress=egress, authorities=authority))
        await house.open()
        hooks = house.pipeline.webhooks
        for host, ok in (("localhost", True), ("127.0.0.1", False)):
            made = await hooks.add(ADA, NewWebhook(url=f"https://{host}:{receiver.port}/hook", events=["x"]))
            receiver.secret = made.secret
            tried = await hooks.test(ADA, made.webhook.id)
            assert tried.ok is ok, tried.words
            if not ok:
                assert "certificate" in tried.words
        assert receiver.hosts == [f"localhost:{receiver.port}"]
        await house.close()


def certificates(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate for this name that is its own authority: its file, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)
    return pem, context


async def test_a_forgotten_person_has_no_webhook(place: Place) -> None:
    """Forgetting somebody removes their webhooks, addresses included."""
    webhook = await place.add(LISE)
    root = replace(person("root", "quantum-admins"), interactive=True)
    await place.house.pipeline.forgetting.forget(root, "lise")
    assert await place.house.store.read(lambda view: view.webhooks()) == []
    with pytest.raises(NotFound):
        await place.hooks.get(LISE, webhook)
