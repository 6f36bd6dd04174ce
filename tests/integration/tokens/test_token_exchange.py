"""A CI job's token is exchanged for one of a project: real issuers, a real store, the service's real addresses."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from joserfc.jwk import ECKey, RSAKey
from jupyterhub.services.auth import HubOAuth
from oidc_provider_mock import User, run_server_in_thread
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.core.tenancy import IdentitySpec, ProjectSpec
from jupyter_quantum.exceptions import Unavailable
from jupyter_quantum.hub.auth import Gate, HubApi
from jupyter_quantum.hub.context import Context
from jupyter_quantum.hub.cursor import Cursors
from jupyter_quantum.hub.exchange import Verifier
from jupyter_quantum.hub.issuers import Issuers
from jupyter_quantum.hub.metrics import Metrics
from jupyter_quantum.hub.web import web_application
from jupyter_quantum.pipeline import Pipeline, Settings
from jupyter_quantum.store import Store
from jupyter_quantum.testing.runner import MemoryRunner, announcement
from jupyter_quantum.wire.tokens import EXCHANGE, JWT
from tests.integration.pipeline.conftest import GRACE, POLICIES, Groups, person
from tests.integration.tokens.issuer import KEYS, Issuer, issuing
from tests.unit.hub.support import JOB, PREFIX, listen, parts

LEAD = replace(GRACE, groups=frozenset({"vqe-leads"}))


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as running:
        yield running


def project(name: str, *identities: IdentitySpec) -> ProjectSpec:
    lead = frozenset({f"{name}-leads"})
    return ProjectSpec(
        name, "campus", "sandbox", frozenset({name}), lead, 10 * CREDIT, 10 * CREDIT, identities=identities
    )


@dataclass
class Door:
    """A service on a port, and what is behind it."""

    port: int
    pipeline: Pipeline
    store: Store

    async def fetch(self, path: str, *, token: str | None = None, method: str = "GET", **options: Any) -> HTTPResponse:
        headers = options.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        client = AsyncHTTPClient(force_instance=True)
        url = f"http://127.0.0.1:{self.port}{PREFIX}api/v1/{path}"
        try:
            return await client.fetch(url, method=method, headers=headers, raise_error=False, **options)
        finally:
            client.close()

    async def exchange(self, subject: str, **changes: str | None) -> HTTPResponse:
        """As a CI job does it: a form."""
        form = {"grant_type": EXCHANGE, "subject_token": subject, "subject_token_type": JWT, "project": "vqe"} | changes
        body = urlencode({name: value for name, value in form.items() if value is not None})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self.fetch("token", method="POST", body=body, headers=kind)

    async def refused(self, subject: str, **changes: str | None) -> tuple[int, str]:
        answer = await self.exchange(subject, **changes)
        said = json.loads(answer.body)
        assert answer.code >= 400, said
        return answer.code, said["code"]


def kept(door: Door) -> bytes:
    """Everything that is in the database's files."""
    return door.store.path.read_bytes() + Path(f"{door.store.path}-wal").read_bytes()


async def opened(settings: Settings, *, insecure: bool = True) -> AsyncIterator[Door]:
    store = Store(settings.db_url, artefacts=f"file://{settings.data_dir}/artefacts")
    store.migrate()
    pipeline = Pipeline(settings, store, Groups())
    await pipeline.start()
    oauth = HubOAuth(api_url="http://127.0.0.1:1/hub/api", api_token="t", base_url=PREFIX, oauth_client_id="q")
    api, issuers = HubApi(oauth.api_url, "t"), Issuers(insecure_loopback=insecure)
    gate = Gate(api)
    gate.workload = pipeline.workloads.identify
    context = Context(
        gate=gate,
        metrics=Metrics(),
        prefix=PREFIX,
        hub_base="/",
        oauth=oauth,
        ready=parts("ready"),
        metrics_token="scraper",
        cursors=Cursors(b"key"),
        verifier=Verifier(issuers, pipeline.workloads.issuers),
        started=pipeline,
    )
    server, port = listen(web_application(context, set(), b"0" * 32))
    async with MemoryRunner(pipeline, [announcement("aer")]):
        yield Door(port, pipeline, store)
    server.stop()
    await server.close_all_connections()
    await pipeline.stop()
    issuers.close()
    api.close()
    store.close()


def told(tmp_path: Path, *specs: ProjectSpec) -> Settings:
    return Settings(
        data_dir=tmp_path,
        db_url=f"sqlite:///{tmp_path}/quantum.sqlite",
        policies=POLICIES,
        projects={spec.name: spec for spec in specs},
        secret=b"test",
    )


@pytest.fixture
async def door(tmp_path: Path, issuer: Issuer) -> AsyncIterator[Door]:
    vqe = project("vqe", IdentitySpec(issuer.url, "quantum", "repo:lab/vqe:ref:refs/heads/*"))
    async for one in opened(told(tmp_path, vqe, project("other"))):
        yield one


@pytest.mark.parametrize("alg", list(KEYS))
async def test_exchanged_and_used(door: Door, issuer: Issuer, alg: str) -> None:
    """RS256, ES256, EdDSA: a form in, an opaque token out, with which a job of the project runs; a hash is kept."""
    answer = await door.exchange(issuer.token(alg))
    assert answer.code == 200, answer.body
    said = json.loads(answer.body)
    assert (said["token_type"], said["expires_in"], said["project"]) == ("Bearer", 600, "vqe")
    assert said["issued_token_type"].endswith(":access_token")
    assert answer.headers["Cache-Control"] == "no-store"
    token = said["access_token"]
    me = json.loads((await door.fetch("me", token=token)).body)
    assert (me["name"], me["projects"]) == ("ci:repo:lab/vqe:ref:refs/heads/main", {"vqe": "user"})
    assert me["scopes"] == ["custom:quantum:read", "custom:quantum:submit"]
    run = await door.fetch("jobs?wait=10", token=token, method="POST", body=json.dumps(JOB))
    assert (run.code, json.loads(run.body)["state"], json.loads(run.body)["project"]) == (201, "completed", "vqe")
    assert token.encode() not in kept(door)


async def test_json_and_the_standards_audience(door: Door, issuer: Issuer) -> None:
    """A JSON body works too, and `audience` names the project in the standard's word; unknown parameters pass."""
    form = {"grant_type": EXCHANGE, "subject_token": issuer.token(), "subject_token_type": JWT, "audience": "vqe"}
    kind = {"Content-Type": "application/json"}
    answer = await door.fetch(
        "token", method="POST", body=json.dumps(form | {"resource": "https://x.org"}), headers=kind
    )
    assert answer.code == 200, answer.body


async def test_a_token_is_exchanged_once(door: Door, issuer: Issuer) -> None:
    """Its jti counts, not its bytes; a refusal does not use it up."""
    token = issuer.token(jti="once")
    assert await door.refused(token, project="other") == (403, "token.refused")
    assert (await door.exchange(token)).code == 200
    assert await door.refused(token) == (403, "token.replayed")
    assert await door.refused(issuer.token("ES256", jti="once")) == (403, "token.replayed")


def wrong(now: int) -> tuple[tuple[dict[str, Any], str], ...]:
    """Changes to the claims of a good token, and the code of each; the suite may run long after its collection."""
    return (
        ({"exp": now - 100, "iat": now - 200, "nbf": None}, "token.expired"),
        ({"nbf": now + 500}, "token.early"),
        ({"iat": now + 500, "exp": now + 600, "nbf": None}, "token.early"),
        ({"exp": now + 3600}, "token.lifetime"),
        ({"exp": None}, "token.exp"),
        ({"iat": None}, "token.iat"),
        ({"exp": "soon"}, "token.exp"),
        ({"jti": None}, "token.jti"),
        ({"jti": ""}, "token.jti"),
        ({"jti": "x" * 300}, "token.jti"),
        ({"sub": None}, "token.sub"),
        ({"sub": "ada\x1b[31m"}, "token.sub"),
        ({"aud": None}, "token.audience"),
        ({"aud": [1]}, "token.audience"),
        ({"aud": "elsewhere"}, "token.refused"),
        ({"aud": ["elsewhere", "quantum2"]}, "token.refused"),
        ({"sub": "repo:lab/vqe-evil:ref:refs/heads/main"}, "token.refused"),
        ({"sub": "repo:lab/vqe:pull_request"}, "token.refused"),
        ({"iss": "https://elsewhere.example"}, "token.issuer"),
        ({"iss": None}, "token.issuer"),
    )


async def test_claims_that_do_not_do(door: Door, issuer: Issuer) -> None:
    """Each has its code, and nothing is given."""
    for changes, code in wrong(int(time.time())):
        assert (await door.refused(issuer.token(**changes)))[1] == code, changes


async def test_signatures_that_do_not_do(door: Door, issuer: Issuer) -> None:
    """Other keys, other algorithms, none at all, a public key taken for a secret: refused."""
    fresh = RSAKey.generate_key(2048, {"kid": "rsa"})
    good = issuer.token()
    head, body, _ = good.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    said = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"rsa"}').rstrip(b"=").decode()
    mac = hmac.digest(KEYS["RS256"].as_pem(private=False), f"{said}.{body}".encode(), "sha256")
    confused = f"{said}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    for token, code in (
        (issuer.token(key=fresh), "token.signature"),
        (f"{head}.{body}.AAAA", "token.signature"),
        (f"{head}.{body[:-2]}AA.{good.split('.')[2]}", "token.malformed"),
        (f"{none}.{body}.", "token.algorithm"),
        (confused, "token.algorithm"),
        (issuer.token("RS512", key=KEYS["RS256"]), "token.algorithm"),
        (issuer.token("ES256", key=ECKey.generate_key("P-256", {"kid": "rsa"})), "token.signature"),
        (issuer.token(header={"kid": "unknown"}), "token.signature"),
        ("x.y.z", "token.malformed"),
        ("a.b", "token.malformed"),
    ):
        status, found = await door.refused(token)
        assert (status, found) in {(401, code), (401, "token.signature")}, (token, found)


async def test_what_is_no_exchange(door: Door, issuer: Issuer) -> None:
    """Another grant, no token, a parameter twice, no project: 422."""
    token = issuer.token()
    assert await door.refused(token, grant_type="password") == (422, "request.malformed")
    assert await door.refused(token, subject_token=None) == (422, "request.malformed")
    assert await door.refused(token, project=None) == (422, "token.project")
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    twice = f"grant_type={EXCHANGE}&grant_type={EXCHANGE}"
    answer = await door.fetch("token", method="POST", body=twice, headers=kind)
    assert answer.code == 422


async def test_absent_and_foreign_projects_answer_alike(door: Door, issuer: Issuer) -> None:
    """A workload cannot find out which projects there are."""
    bodies = {(await door.exchange(issuer.token(), project=name)).body for name in ("other", "nowhere", "vqe2")}
    assert len(bodies) == 1


async def test_bound_to_its_project(door: Door, issuer: Issuer) -> None:
    """It reads and submits in its project; every other act and project is refused; a cookie with it is nobody."""
    token = json.loads((await door.exchange(issuer.token())).body)["access_token"]
    elsewhere = await door.fetch("jobs", token=token, method="POST", body=json.dumps(JOB | {"project": "other"}))
    assert (elsewhere.code, json.loads(elsewhere.body)["code"]) == (404, "absent")
    for method, path, body in (
        ("GET", "tenants", None),
        ("POST", "requests/decisions", '{"verdict":"approve","ids":["x"]}'),
        ("POST", "breakglass", '{"reason":"because","project":"vqe"}'),
    ):
        answer = await door.fetch(path, token=token, method=method, body=body)
        assert answer.code == 403, path
    asked = {"kind": "onboarding", "project": "vqe", "reason": "more"}
    answer = await door.fetch("requests", token=token, method="POST", body=json.dumps(asked))
    assert json.loads(answer.body)["code"] == "onboarding.person"


async def test_listed_and_revoked(door: Door, issuer: Issuer) -> None:
    """A lead of the project sees and ends it; to others it is not there; then it is worth nothing."""
    said = json.loads((await door.exchange(issuer.token())).body)
    workloads = door.pipeline.workloads
    assert [one.id for one in (await workloads.list(LEAD, "vqe")).tokens] == [said["id"]]
    stranger = person("lise", "other", interactive=True)
    texts = set()
    for key in (said["id"], "wlt_" + "0" * 32):
        with pytest.raises(Exception, match="No such token") as error:
            await workloads.revoke(stranger, key)
        texts.add(str(error.value))
    assert len(texts) == 1
    await workloads.revoke(LEAD, said["id"])
    assert (await door.fetch("me", token=said["access_token"])).code == 401
    assert (await workloads.list(LEAD, "vqe")).tokens == []


async def test_it_ends_with_time_and_with_its_identity(door: Door, issuer: Issuer) -> None:
    """After ten minutes, or as soon as the project does not declare the workload any more."""
    first = json.loads((await door.exchange(issuer.token())).body)["access_token"]
    tenants = door.pipeline._context.tenants
    before = tenants._projects
    tenants._projects = before | {"vqe": replace(before["vqe"], identities=())}
    assert (await door.fetch("me", token=first)).code == 401
    tenants._projects = before
    assert (await door.fetch("me", token=first)).code == 200
    clock = door.pipeline._context.clock
    door.pipeline._context.clock = lambda: clock() + timedelta(seconds=601)
    assert (await door.fetch("me", token=first)).code == 401


async def test_keys_are_asked_for_rarely(door: Door, issuer: Issuer) -> None:
    """Ten exchanges ask the issuer once; unknown key ids do not make it ask again at once."""
    for _ in range(5):
        assert (await door.exchange(issuer.token())).code == 200
        assert (await door.refused(issuer.token(header={"kid": "new"})))[1] == "token.signature"
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_asking_in_vain_makes_keys_no_younger(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the issuer is away, strangers' tokens with unknown key ids do not keep its old keys alive."""
    issuers, now = Issuers(insecure_loopback=True), time.monotonic()
    clock = [now]
    monkeypatch.setattr("jupyter_quantum.hub.issuers.time.monotonic", lambda: clock[0])
    await issuers.keys(issuer.url, "rsa")
    issuer.down = True
    for at in (40, 300, 590):
        clock[0] = now + at
        await issuers.keys(issuer.url, "nobody knows")
    clock[0] = now + 610
    with pytest.raises(Unavailable):
        await issuers.keys(issuer.url, "rsa")
    issuers.close()


@pytest.mark.parametrize(
    "trouble",
    [{"down": True}, {"name": "https://other.example"}, {"redirect": "http://127.0.0.1:1/"}, {"padding": 300_000}],
)
async def test_an_issuer_in_trouble(door: Door, issuer: Issuer, trouble: dict[str, Any]) -> None:
    """One that does not answer, calls itself something else, redirects or says too much: unavailable, nothing given."""
    for name, value in trouble.items():
        setattr(issuer, name, value)
    assert await door.refused(issuer.token()) == (503, "token.issuer_silent")


async def test_plain_http_is_for_tests(tmp_path: Path, issuer: Issuer) -> None:
    """Without the setting, an issuer on loopback without HTTPS is not asked."""
    vqe = project("vqe", IdentitySpec(issuer.url, "quantum", "*:main"))
    async for door in opened(told(tmp_path, vqe), insecure=False):
        assert await door.refused(issuer.token()) == (503, "token.issuer_silent")
    assert issuer.asked == []


async def test_with_a_provider_made_by_others(tmp_path: Path) -> None:
    """oidc-provider-mock: discovery, keys and an id_token from its real authorization code flow."""
    user = User(sub="repo:lab/vqe:ref:refs/heads/main", claims={"jti": "from-the-mock"})
    with run_server_in_thread(access_token_max_age=timedelta(minutes=5), user_claims=[user]) as server:
        url = f"http://localhost:{server.server_port}"
        token = await asyncio.to_thread(signed_in_at, url, user.sub)
        vqe = project("vqe", IdentitySpec(url, "quantum", "repo:lab/vqe:*"))
        async for door in opened(told(tmp_path, vqe)):
            answer = await door.exchange(token)
            assert answer.code == 200, answer.body
            assert await door.refused(token) == (403, "token.replayed")


def signed_in_at(url: str, sub: str) -> str:
    """The id_token of the authorization code flow."""
    back = "https://ci.example/back"
    asked = {"client_id": "quantum", "redirect_uri": back, "response_type": "code", "scope": "openid", "state": "s"}
    agreed = requests.post(
        f"{url}/oauth2/authorize", params=asked, data={"sub": sub}, allow_redirects=False, timeout=10
    )
    code = agreed.headers["Location"].partition("code=")[2].partition("&")[0]
    grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "client_id": "quantum"}
    made = requests.post(f"{url}/oauth2/token", data=grant | {"client_secret": "s"}, timeout=10).json()
    return str(made["id_token"])
