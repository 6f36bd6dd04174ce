"""Who asks: the hub's answer about a token, remembered for as long as the act allows.

The hub is the only user table. Its ``GET /hub/api/user`` says whose a token is, with groups and scopes, but not when
the user was created; since names are used again, that is fetched once for each token with the service's own token
(scope ``read:users``).
"""

from __future__ import annotations

import hashlib
import json
import ssl
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from jupyter_quantum.core.tenancy import SERVICE, WORKLOAD, Principal
from jupyter_quantum.exceptions import Unavailable
from jupyter_quantum.hub.claims import ACR
from jupyter_quantum.pipeline.workloads import PREFIX

__all__ = ["ADMINISTER", "READ", "SUBMIT", "Gate", "HubApi", "HubDirectory", "Identified"]

READ: Final = 60.0
"""Seconds for which an answer of the hub serves reads."""
SUBMIT: Final = 30.0
"""Seconds for which it serves submits to devices without a price."""
ADMINISTER: Final = 0.0
"""Priced submits and administrative acts ask the hub each time."""

_REMEMBERED = 10_000
T = TypeVar("T")


class HubApi:
    """The hub's REST API with the few calls that the service makes.

    Args:
        url: of the hub's API, such as ``http://127.0.0.1:8081/hub/api``.
        token: the service's own token.
        tls: where the hub uses internal TLS.
    """

    def __init__(self, url: str, token: str, tls: ssl.SSLContext | None = None) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._tls = tls
        self._client = AsyncHTTPClient(force_instance=True, max_clients=32)

    async def get(self, path: str, *, token: str | None = None) -> dict[str, Any] | None:
        """The JSON object at ``path``; None where the hub does not know the token or the thing.

        Raises :class:`Unavailable`: ``hub.unavailable`` where the hub does not answer, ``hub.scope`` where it does not
        let the service itself ask; that says nothing about who was asked about.
        """
        request = HTTPRequest(
            f"{self._url}/{path}",
            headers={"Authorization": f"token {token or self._token}", "Accept": "application/json"},
            connect_timeout=5.0,
            request_timeout=10.0,
            ssl_options=self._tls,
        )
        try:
            answer = await self._client.fetch(request)
        except HTTPClientError as error:
            if error.code == 404 or (token is not None and error.code in {401, 403}):
                return None
            if error.code in {401, 403}:
                raise _unheard() from error
            raise _silent_hub() from error
        except OSError as error:
            raise _silent_hub() from error
        found: dict[str, Any] = json.loads(answer.body)
        return found

    async def user(self, name: str) -> dict[str, Any] | None:
        """The hub's model of a user, or None where there is none of this name."""
        return await self.get(f"users/{quote(name, safe='')}")

    async def refreshed(self, name: str) -> dict[str, Any] | None:
        """The model of a user after the identity provider was asked; None where they are gone."""
        found = await self.get(f"quantum/refresh/{quote(name, safe='')}")
        return found if found is not None else await self.user(name)

    def close(self) -> None:
        """Close open connections."""
        self._client.close()


def _silent_hub() -> Unavailable:
    return Unavailable(
        "The hub does not answer, so nobody can be identified.", code="hub.unavailable", hint="Try again in a minute."
    )


def _unheard() -> Unavailable:
    return Unavailable(
        "The service may not read users from the hub.",
        code="hub.scope",
        hint="An administrator must give the service's role the scope read:users.",
    )


class _Memory(Generic[T]):
    """Values with the time at which they were learnt; the least recently learnt go first."""

    def __init__(self, size: int = _REMEMBERED) -> None:
        self._size = size
        self._known: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def get(self, key: str, max_age: float) -> tuple[float, T] | None:
        known = self._known.get(key)
        return known if known is not None and time.monotonic() - known[0] < max_age else None

    def put(self, key: str, value: T, at: float) -> None:
        self._known[key] = (at, value)
        self._known.move_to_end(key)
        if len(self._known) > self._size:
            self._known.popitem(last=False)

    def drop(self, key: str) -> None:
        self._known.pop(key, None)


@dataclass(frozen=True, slots=True)
class Identified:
    """A principal and when (``time.monotonic``) the hub was asked about it."""

    who: Principal
    at: float


async def _nobody(_: str) -> Principal | None:
    return None


def _as_is(who: Principal) -> Principal:
    return who


class Gate:
    """Turns tokens into principals.

    Args:
        hub: the hub's API.
        mfa_group: the hub group that stands for a sign-in with a second factor.
        longest: seconds that no answer may be older than, whatever the act would allow.
    """

    def __init__(self, hub: HubApi, *, mfa_group: str = "quantum-mfa", longest: float = READ) -> None:
        self._hub = hub
        self._mfa_group = mfa_group
        self._longest = longest
        self._tokens: _Memory[Principal] = _Memory()
        self._created: _Memory[str] = _Memory()
        self.workload: Callable[[str], Awaitable[Principal | None]] = _nobody
        """Whose a token is that the service itself gave to a workload."""
        self.signed_in: Callable[[Principal], Principal] = _as_is
        """What roles of the service's own bring a person who is signed in; set when the pipeline is there."""

    def knows(self, token: str, interactive: bool) -> bool:
        """Whether the hub has known this token, at any time that is remembered."""
        return self._tokens.get(_key(token, interactive), float("inf")) is not None

    async def identify(self, token: str, *, interactive: bool, max_age: float) -> Identified | None:
        """Whose ``token`` is; None where the hub does not know it (any more).

        ``max_age`` is how old, in seconds, the hub's answer may be; 0 asks anew.
        """
        if token.startswith(PREFIX):  # ours: the store is asked each time, since it may be revoked
            bound = None if interactive else await self.workload(token)
            return None if bound is None else Identified(bound, time.monotonic())
        key = _key(token, interactive)
        known = self._tokens.get(key, min(max_age, self._longest))
        if known is not None:
            return Identified(self.signed_in(known[1]), known[0])
        asked = time.monotonic()
        model = await self._hub.get("user", token=token)
        if model is None:
            self._tokens.drop(key)
            return None
        who = await self._principal(model, interactive=interactive)
        self._tokens.put(key, who, asked)
        return Identified(self.signed_in(who), asked)

    async def _principal(self, model: Mapping[str, Any], *, interactive: bool) -> Principal:
        groups = frozenset(model.get("groups") or ())
        return Principal(
            name=model["name"],
            created=await self._when_created(model),
            groups=groups,
            scopes=frozenset(model.get("scopes") or ()),
            admin=bool(model.get("admin")),
            interactive=interactive and model.get("kind", "user") == "user",
            mfa=self._mfa_group in groups,
            acr=next((one.removeprefix(ACR) for one in sorted(groups) if one.startswith(ACR)), ""),
            token=str(model.get("token_id") or model.get("session_id") or ""),
        )

    async def _when_created(self, model: Mapping[str, Any]) -> str:
        if model.get("kind") == "service":
            return SERVICE
        if model.get("created"):
            return str(model["created"])
        # A token dies with its user, so what is known for the token stays true.
        key = f"{model['name']}:{model.get('token_id')}"
        known = self._created.get(key, float("inf")) if model.get("token_id") else None
        if known is not None:
            return known[1]
        user = await self._hub.user(model["name"])
        if user is None or not user.get("created"):
            raise _unheard()
        self._created.put(key, str(user["created"]), time.monotonic())
        return str(user["created"])


def _key(token: str, interactive: bool) -> str:
    return f"{interactive}:{hashlib.sha256(token.encode('utf8', 'replace')).hexdigest()}"


class HubDirectory:
    """Membership as the hub has it now (at most ``max_age`` seconds ago): the pipeline's ``Directory``."""

    def __init__(self, hub: HubApi, *, max_age: float = READ) -> None:
        self._hub = hub
        self._max_age = max_age
        self._known: _Memory[tuple[str, frozenset[str]] | None] = _Memory()

    async def groups_of(self, principal_id: str) -> frozenset[str] | None:
        """Groups of ``name@created``; None where the user is gone or the name is now another's."""
        name, _, created = principal_id.rpartition("@")
        if created == SERVICE or created.startswith(WORKLOAD):
            return frozenset()
        known = self._known.get(name, self._max_age)
        user = known[1] if known is not None else await self._ask(name)
        return user[1] if user is not None and user[0] == created else None

    async def refreshed(self, principal_id: str) -> frozenset[str] | None:
        """As :meth:`groups_of`, after the hub has asked the identity provider anew, also for somebody who is absent.

        None also where the provider does not let them in any more.

        A hub whose configuration did not come through ``configure(c)`` cannot do that, and says what it knows.
        """
        name, _, created = principal_id.rpartition("@")
        if created == SERVICE or created.startswith(WORKLOAD):
            return frozenset()
        asked = time.monotonic()
        model = await self._hub.refreshed(name)
        if model is not None and model.get("refused"):  # not remembered: the hub itself still knows them
            return None
        user = _known(model)
        self._known.put(name, user, asked)
        return user[1] if user is not None and user[0] == created else None

    async def find(self, name: str) -> str | None:
        """``name@created`` of the user of this name now; None where there is none."""
        user = await self._ask(name)
        return None if user is None else f"{name}@{user[0]}"

    async def _ask(self, name: str) -> tuple[str, frozenset[str]] | None:
        asked = time.monotonic()
        model = await self._hub.user(name)
        user = _known(model)
        self._known.put(name, user, asked)
        return user


def _known(model: Mapping[str, Any] | None) -> tuple[str, frozenset[str]] | None:
    """When a user was created, and their groups."""
    if model is None:
        return None
    return str(model.get("created")), frozenset(model.get("groups") or ())
