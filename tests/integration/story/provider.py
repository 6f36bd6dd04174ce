"""The campus's identity provider: a real OpenID issuer whose people and groups a test changes while the hub runs."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import threading
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import oidc_provider_mock
import requests
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler, make_server

MFA_ACR = "https://refeds.org/profile/mfa"
"""What a campus says of a sign-in with a second factor (REFEDS MFA profile)."""


class Pkce:
    """Makes the issuer insist on PKCE with S256, which oidc-provider-mock itself accepts and ignores."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._challenges: dict[str, str] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """WSGI: remember each code's challenge, and answer a token request only with the verifier that fits."""
        path = environ["PATH_INFO"]
        if path == "/oauth2/authorize" and environ["REQUEST_METHOD"] == "POST":
            return self._app(environ, self._noting(environ, start_response))  # type: ignore[no-any-return]
        if path == "/oauth2/token" and not self._fits(environ):
            start_response("400 Bad Request", [("Content-Type", "application/json")])
            return [b'{"error": "invalid_grant", "error_description": "PKCE"}']
        return self._app(environ, start_response)  # type: ignore[no-any-return]

    def _noting(self, environ: dict[str, Any], start_response: Any) -> Any:
        asked = parse_qs(environ["QUERY_STRING"])

        def note(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            location = dict(headers).get("Location", "")
            for code in parse_qs(urlsplit(location).query).get("code", ()):
                if asked.get("code_challenge_method") == ["S256"]:
                    self._challenges[code] = asked["code_challenge"][0]
            return start_response(status, headers, *rest)

        return note

    def _fits(self, environ: dict[str, Any]) -> bool:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        form = parse_qs(body.decode())
        if form.get("grant_type") != ["authorization_code"]:
            return True
        digest = hashlib.sha256(form.get("code_verifier", [""])[0].encode()).digest()
        expected = self._challenges.pop(form.get("code", [""])[0], None)
        return expected == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class _Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        """Nothing: a failing test shows what the hub and the service say."""


@dataclass
class Provider:
    """An issuer at ``url``; people are known by their subject, which is also their name at the hub."""

    url: str
    people: dict[str, dict[str, Any]] = field(default_factory=dict)

    def enrol(self, name: str, *groups: str, mfa: bool = False) -> None:
        """Give ``name`` an account with exactly these groups; ``mfa``: they sign in with a second factor."""
        claims: dict[str, Any] = {"preferred_username": name, "groups": sorted(groups)}
        if mfa:
            claims |= {"acr": MFA_ACR, "amr": ["pwd", "otp"]}
        self._put(name, claims)

    def leave(self, name: str, *groups: str) -> None:
        """Take ``name`` out of groups; whatever they signed in with stays valid."""
        claims = self.people[name]
        self._put(name, claims | {"groups": [group for group in claims["groups"] if group not in groups]})

    def join(self, name: str, *groups: str) -> None:
        """Put ``name`` into further groups."""
        claims = self.people[name]
        self._put(name, claims | {"groups": sorted({*claims["groups"], *groups})})

    def revoke(self, name: str) -> None:
        """End every token that the issuer gave for ``name``: the account is closed."""
        requests.post(f"{self.url}/users/{name}/revoke-tokens", timeout=10).raise_for_status()

    def sign_in(self, browser: requests.Session, form_url: str, name: str) -> requests.Response:
        """Fill in the issuer's form, at which a browser has arrived, and follow it back to where it came from."""
        assert form_url.startswith(self.url), form_url
        return browser.post(form_url, data={"sub": name}, timeout=30)

    def workload_token(self, subject: str, audience: str, **claims: Any) -> str:
        """An ID token of a CI job, signed by this issuer, with a ``jti``; ``subject`` has no slashes."""
        self._put(subject, {"jti": uuid.uuid4().hex, **claims})
        query = {"client_id": audience, "redirect_uri": "http://localhost/ci", "response_type": "code"}
        challenge, verifier = _pkce_pair()
        query |= {"scope": "openid", "code_challenge": challenge, "code_challenge_method": "S256"}
        answer = requests.post(
            f"{self.url}/oauth2/authorize", params=query, data={"sub": subject}, allow_redirects=False, timeout=10
        )
        code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": query["redirect_uri"]}
        form |= {"client_id": audience, "client_secret": "any", "code_verifier": verifier}
        given = requests.post(f"{self.url}/oauth2/token", data=form, timeout=10)
        given.raise_for_status()
        return str(given.json()["id_token"])

    def _put(self, name: str, claims: dict[str, Any]) -> None:
        self.people[name] = claims
        requests.put(f"{self.url}/users/{quote(name, safe='')}", json=claims, timeout=10).raise_for_status()


def _pkce_pair() -> tuple[str, str]:
    verifier = uuid.uuid4().hex + uuid.uuid4().hex
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), verifier


@contextlib.contextmanager
def running_provider(token_s: float = 600.0) -> Iterator[Provider]:
    """The issuer on a free port of loopback; its tokens live for ``token_s`` seconds, refresh tokens included."""
    app = oidc_provider_mock.app(access_token_max_age=timedelta(seconds=token_s))
    server = make_server("127.0.0.1", 0, Pkce(app), threaded=True, request_handler=_Quiet)
    assert isinstance(server, ThreadedWSGIServer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield Provider(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
