"""Secrets are found where the operator put them, refused where others can read them, and scrubbed in every form."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import TypeAdapter, ValidationError

from jupyter_quantum.fabric.config import load
from jupyter_quantum.fabric.secrets import Secrets, SecretsSettings
from jupyter_quantum.fabric.settings import Settings
from jupyter_quantum.fabric.vendors.scrub import HIDDEN, Scrubber

VALUE = 'tok+en/with="marks" ümläut'
TOKEN = "hvs.root-of-tests"


def provider(**settings: Any) -> Secrets:
    found: Secrets = TypeAdapter(SecretsSettings).validate_python(settings)
    return found


def private(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(0o600)
    return path


class FakeKV:
    """The KV engine, version 2, after HashiCorp's "KV Secrets Engine - Version 2 (API)": read of the latest version."""

    def __init__(self) -> None:
        self.secrets = {"secret/data/jupyter-quantum/ibm": {"token": VALUE}}
        self.deleted = {"secret/data/jupyter-quantum/gone"}
        self.asked: list[tuple[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.removeprefix("/v1/")
                outer.asked.append((path, self.headers.get("X-Vault-Namespace", "")))
                status, body = outer.answer(path, self.headers.get("X-Vault-Token", ""))
                said = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str, token: str) -> tuple[int, dict[str, Any]]:
        if token != TOKEN:
            return 403, {"errors": ["permission denied"]}
        if path in self.deleted:
            metadata = {"deletion_time": "2026-01-01T00:00:00Z", "destroyed": False, "version": 1}
            return 404, {"data": {"data": None, "metadata": metadata}}
        if path not in self.secrets:
            return 404, {"errors": []}
        return 200, {"data": {"data": self.secrets[path], "metadata": {"version": 1, "destroyed": False}}}


@pytest.fixture
def kv() -> Iterator[FakeKV]:
    fake = FakeKV()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()


def test_file_holds_several(tmp_path: Path) -> None:
    """One file, or one a secret in a directory."""
    one = private(tmp_path / "all.json", {"ibm": {"token": VALUE}, "iqm": {"token": "other"}})
    assert provider(provider="file", path=one).of("ibm") == {"token": VALUE}
    private(tmp_path / "ibm.json", {"token": VALUE})
    assert provider(provider="file", path=tmp_path).of("ibm") == {"token": VALUE}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_file_that_others_read_is_refused(tmp_path: Path, mode: int) -> None:
    """A secret that others may read is one no more; the words hold nothing of it."""
    path = private(tmp_path / "all.json", {"ibm": {"token": VALUE}})
    path.chmod(mode)
    with pytest.raises(ValueError, match="chmod 600") as caught:
        provider(provider="file", path=path).of("ibm")
    assert VALUE not in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[1]", '{"ibm": "text"}', '{"ibm": {"token": 5}}', '{"iqm": {}}'])
def test_file_that_cannot_be_used(tmp_path: Path, content: str) -> None:
    """What is no mapping of names to texts is refused in words."""
    path = private(tmp_path / "all.json", content)
    with pytest.raises(ValueError, match=r"ibm|JSON"):
        provider(provider="file", path=path).of("ibm")


@pytest.mark.parametrize("name", ["../ibm", "/etc/passwd", "", ".hidden", "a\nb", "x" * 101])
def test_names_are_no_paths(tmp_path: Path, name: str) -> None:
    """A device's settings cannot name a file outside the provider's directory."""
    with pytest.raises(ValueError, match="cannot be named"):
        provider(provider="file", path=tmp_path).of(name)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable holds JSON; its name follows from the secret's."""
    monkeypatch.setenv("JQ_SECRET_IBM_PROD", json.dumps({"token": VALUE}))
    found = provider(provider="environment")
    assert found.of("ibm-prod") == {"token": VALUE}
    with pytest.raises(ValueError, match="JQ_SECRET_IQM is not set"):
        found.of("iqm")


def test_vault(tmp_path: Path, kv: FakeKV) -> None:
    """Through the real client: the secret, an absent one, a deleted one, a wrong token."""
    token = private(tmp_path / "token", TOKEN + "\n")
    found = provider(provider="vault", url=kv.url, token_file=token, namespace="lab")
    assert found.of("ibm") == {"token": VALUE}
    assert kv.asked[-1] == ("secret/data/jupyter-quantum/ibm", "lab")
    for name in ("iqm", "gone"):
        with pytest.raises(ValueError, match="no secret at secret/jupyter-quantum/"):
            found.of(name)
    private(token, "wrong")
    with pytest.raises(ValueError, match="Forbidden") as caught:
        found.of("ibm")
    assert "wrong" not in str(caught.value)


def test_vault_that_is_away(tmp_path: Path) -> None:
    """No answer is told as such."""
    token = private(tmp_path / "token", TOKEN)
    with pytest.raises(ValueError, match="ConnectionError"):
        provider(provider="vault", url="http://127.0.0.1:9", token_file=token).of("ibm")


def test_no_provider_no_secret() -> None:
    """A device without a secret needs no provider; one with a secret does."""
    settings = Settings(socket="s", token="t", runner="r", devices=())
    assert settings.secrets.of(None) == {}
    with pytest.raises(ValueError, match="no provider"):
        settings.secrets.of("ibm")


@pytest.mark.parametrize(
    "told", [{"provider": "file"}, {"provider": "nowhere"}, {"provider": "file", "path": "x", "y": 1}]
)
def test_settings_are_checked(told: dict[str, Any]) -> None:
    """A provider that is unknown, or lacks or has too much, is an error at start."""
    with pytest.raises(ValidationError):
        provider(**told)


def test_runner_file_names_the_provider(tmp_path: Path) -> None:
    """In ``runner.toml``, with paths beside it; what is wrong is said with its line."""
    private(tmp_path / "token", "t")
    private(tmp_path / "secrets.json", {"ibm": {"token": VALUE}})
    file = tmp_path / "runner.toml"
    text = '[service]\nurl = "https://hub.example.org/"\ntoken_file = "token"\n[secrets]\nprovider = "file"\n'
    devices = '[[devices]]\nname = "aer"\nadapter = "aer"\n'
    file.write_text(text + 'path = "secrets.json"\n' + devices)
    assert load(file, {}).secrets.of("ibm") == {"token": VALUE}
    file.write_text(text + "pth = 1\n" + devices)
    with pytest.raises(Exception, match=r"line \d+: secrets\.file\.p"):
        load(file, {})


@pytest.mark.parametrize(
    "said",
    [
        f"401: bad token {VALUE}",
        f"GET /v1?token={quote(VALUE)}&x=1",
        f"GET /v1?token={quote(VALUE, safe='')}",
        repr({"token": VALUE}),
        json.dumps({"token": VALUE}),
        "Authorization: Basic " + base64.b64encode(f"user:{VALUE}".encode()).decode(),
        "Authorization: Basic " + base64.b64encode(f"me:{VALUE}:x".encode()).decode(),
        base64.urlsafe_b64encode(VALUE.encode()).decode(),
    ],
)
def test_every_form_is_scrubbed(said: str) -> None:
    """As it is, in URLs, in JSON, in reprs, in basic authentication."""
    scrubber = Scrubber([VALUE])
    found = scrubber.text(said)
    assert HIDDEN in found
    assert VALUE not in found
    assert VALUE.encode() not in scrubber.raw(said.encode())
    assert len(scrubber.raw(said.encode())) == len(said.encode())


def test_short_values_are_left() -> None:
    """A region or a small number is no secret, and is everywhere."""
    assert Scrubber(["eu", "12345"]).text("eu: 12345 shots") == "eu: 12345 shots"


def test_nested_values_are_scrubbed() -> None:
    """Metadata of an answer, keys included."""
    found = Scrubber(["s3cretvalue"]).plain({"a": ["x s3cretvalue"], "s3cretvalue": 1})
    assert found == {"a": [f"x {HIDDEN}"], HIDDEN: 1}


def test_every_line_is_scrubbed() -> None:
    """A private key that is printed line by line, and a token that came with the end of its file."""
    key = "-----BEGIN KEY-----\r\nMIIEvQIBADANBgkq\r\nhkiG9w0BAQEFAASC\r\n-----END KEY-----\r\n"
    scrubber = Scrubber([key, "token-of-a-file\n"])
    for line in [*key.splitlines(), "bearer token-of-a-file?"]:
        said = scrubber.text(f"sdk: {line}")
        assert HIDDEN in said
        assert "token-of" not in said
        assert line not in said
