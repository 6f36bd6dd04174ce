"""The connection: retries that are safe, errors as exceptions, a token that nobody sees."""

from __future__ import annotations

import copy
import pickle
import threading
import time
import traceback
from types import SimpleNamespace
from typing import Any

import pytest
from qiskit import QuantumCircuit

from jupyter_quantum.client.http import Connection
from jupyter_quantum.client.hub import Hub
from jupyter_quantum.exceptions import PolicyRefused, QuantumError, TooBusy, Unauthenticated, Unavailable
from jupyter_quantum.wire.jobs import Me
from tests.unit.client.conftest import TOKEN, Service


def _posts(service: Service) -> list[dict[str, str]]:
    return [headers for method, _, headers in service.seen if method == "POST"]


def test_resends_a_lost_post_with_its_key(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """A connection that is cut after the request is sent costs no second job."""
    backend = hub.backend("aer")
    service.before = [lambda handler: handler.drop(), lambda handler: handler.drop()]
    backend.run(bell, shots=10).result()
    keys = {headers["Idempotency-Key"] for headers in _posts(service)}
    assert len(_posts(service)) == 3
    assert len(keys) == 1
    assert len(service.jobs) == 1


def test_each_post_has_its_own_key(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """Running the same circuit twice is two jobs."""
    for _ in range(2):
        hub.backend("aer").run(bell, shots=10)
    assert len({headers["Idempotency-Key"] for headers in _posts(service)}) == 2


def test_honours_retry_after(service: Service, hub: Hub) -> None:
    """A service that is restarting is waited for as long as it says."""
    service.before = [lambda handler: handler.refuse(Unavailable("restarting"), Retry_After="1")]
    began = time.monotonic()
    assert hub.me().name == "ada"
    assert time.monotonic() - began >= 1


def test_waits_for_a_proxy_without_its_service(service: Service, hub: Hub) -> None:
    """The hub's proxy answers 503 with a page while the service is away; the request comes back."""
    service.before = [lambda handler: handler.send(503, "<html>", "text/html") or True]
    assert hub.me().name == "ada"


def test_gives_up_after_its_patience() -> None:
    """Without a service the wait is bounded, and the error says what goes on."""
    nowhere = Connection("http://127.0.0.1:9/services/quantum", TOKEN)
    with pytest.raises(Unavailable, match="does not answer") as caught:
        nowhere.get("me", Me, patience_s=0.3)
    assert caught.value.hint is not None
    assert caught.value.__suppress_context__


def test_a_refusal_is_not_retried(service: Service, hub: Hub) -> None:
    """An error of the service is raised at once, as its own class."""
    service.before = [lambda handler: handler.refuse(PolicyRefused("No.", code="policy.shots", hint="Use fewer."))]
    with pytest.raises(PolicyRefused) as caught:
        hub.me()
    assert (caught.value.code, caught.value.hint) == ("policy.shots", "Use fewer.")
    assert len(service.seen) == 1


def test_an_unavailable_device_is_not_waited_for(service: Service, hub: Hub) -> None:
    """503 from the service itself, without Retry-After, is an answer and no outage."""
    service.before = [lambda handler: handler.refuse(Unavailable("offline", code="device.offline"))]
    with pytest.raises(Unavailable, match="offline"):
        hub.me()


def test_a_full_intake_is_waited_for(service: Service, hub: Hub) -> None:
    """429 means later."""
    service.before = [lambda handler: handler.refuse(TooBusy("full"), Retry_After="0")]
    assert hub.me().name == "ada"


def test_a_login_page_is_no_answer(service: Service, hub: Hub) -> None:
    """An answer of something else is named as such."""
    service.before = [lambda handler: handler.send(200, "<html>", "text/html") or True]
    with pytest.raises(Unavailable, match="something else"):
        hub.me()


def test_a_proxys_403_is_about_the_token(service: Service, hub: Hub) -> None:
    """A 403 that is not the service's says how to get a fresh token."""
    service.before = [lambda handler: handler.send(403, "<html>", "text/html") or True]
    with pytest.raises(Unauthenticated, match="token"):
        hub.me()


def test_token_is_in_no_representation(service: Service, hub: Hub) -> None:
    """Not in repr, variables of tracebacks or pickles."""
    service.before = [lambda handler: handler.refuse(QuantumError("broken"))]
    with pytest.raises(QuantumError) as caught:
        hub.me()
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert TOKEN not in "".join(shown.format())
    assert TOKEN not in repr(hub) + repr(hub._connection) + repr(vars(hub._connection))
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(hub._connection)
    assert copy.deepcopy(hub._connection) is hub._connection


def test_one_connection_serves_many_requests(service: Service, hub: Hub) -> None:
    """The connection is kept alive, and threads may share the hub."""
    threads = [threading.Thread(target=lambda: [hub.me() for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(service.seen) == 20
    assert hub._connection._open().num_connections <= 4


def test_tells_a_terminal_that_it_waits(
    service: Service, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Silence in a notebook, a line on a terminal."""
    monkeypatch.setattr("jupyter_quantum.client.http.time.sleep", lambda seconds: None)
    drops: list[Any] = [lambda handler: handler.drop() for _ in range(6)]
    service.before = list(drops)
    hub.me()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    service.before = list(drops)
    hub.me()
    assert "waiting up to 60 s" in capsys.readouterr().err


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_request_leaves_in_one_piece(scheme: str) -> None:
    """Head and body are one write: the service wakes once."""
    own = Connection(f"{scheme}://127.0.0.1:9/services/quantum", TOKEN)._open()._new_conn()
    sent: list[bytes] = []
    own.sock = SimpleNamespace(sendall=sent.append, settimeout=lambda _: None)
    own.request("POST", "/", body=b"body", headers={"A": "b"})
    (whole,) = sent
    assert whole.startswith(b"POST / HTTP/1.1\r\n")
    assert whole.endswith(b"A: b\r\n\r\nbody")
