"""What operators do from Python and the command line: the requests that go out, and how the answers read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from jupyter_quantum.client.devices_commands import app
from jupyter_quantum.client.operate import DeviceCard, Operations, UnknownTable
from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.devices import CalibrationRef, PriceView, Wait
from jupyter_quantum.wire.operations import Difference, UnknownAttempt

NOW = datetime(2026, 11, 5, 9, tzinfo=UTC)
MYSTERY = UnknownAttempt(
    tag="job_1-1",
    job="job_1",
    device="campus_qpu",
    project="qcourse",
    owner="ada\x1b[31m",
    since=NOW,
    on_hold=6_100_000,
    can_look=True,
)


class Wire:
    """Answers in the service's place and keeps what was asked."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, dict[str, Any]]] = []

    def get(self, path: str, shape: type[Any], **_: object) -> Any:
        """A list."""
        self.sent.append(("GET", path, {}))
        if path == "attempts/unknown":
            return shape(attempts=[MYSTERY])
        said = "The vendor counted 3.1 s, we 2.9 s; the vendor's were charged."
        one = Difference(
            tag="job_1-1", job="job_1", device="qpu", ended=NOW, seconds=2.9, vendor_seconds=3.1, words=said
        )
        return shape(differences=[one])

    def post(self, path: str, shape: type[Any], body: BaseModel) -> Any:
        """An act."""
        self.sent.append(("POST", path, body.model_dump(mode="json", exclude_defaults=True)))
        return shape(**(MYSTERY.model_dump() if path.startswith("attempts") else device("isolated")))


def device(state: str) -> dict[str, Any]:
    """A device in this state."""
    calibration = CalibrationRef(digest=digest_of(b""))
    fields: dict[str, Any] = {
        "name": "campus_qpu",
        "kind": DeviceKind.QPU,
        "label": "QPU",
        "vendor": "v",
        "region": "r",
    }
    fields |= {"num_qubits": 5, "state": state, "state_reason": "noise", "max_shots": 1, "max_circuits": 1}
    return fields | {"calibration": calibration, "price": PriceView(), "wait": Wait(), "awaits_calibration": True}


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """The way to the service, for commands as well."""
    found = Wire()
    monkeypatch.setenv("JUPYTER_QUANTUM_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "t")
    monkeypatch.setattr("jupyter_quantum.client.hub.Hub.operations", Operations(found))  # type: ignore[arg-type]
    return found


def call(*words: str) -> Any:
    """Run a command."""
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("action", ["pause", "isolate", "drain", "recalibrate", "resume"])
def test_a_device_is_taken_out_of_order_and_back(wire: Wire, action: str) -> None:
    """One request each; the answer says the state, why, and what ends it."""
    done = call(action, "campus_qpu", *(() if action == "resume" else ("--reason", "noise")))
    assert (done.exit_code, done.stdout) == (
        0,
        "campus_qpu is isolated: noise; resumes by itself with the next calibration\n",
    )
    reason = {} if action == "resume" else {"reason": "noise"}
    assert wire.sent == [("POST", "devices/campus_qpu/state", {"action": action} | reason)]


def test_unknown_attempts_are_listed_and_resolved(wire: Wire) -> None:
    """Where to look, at most how much; one verdict exactly; credits on the way out are micro-credits."""
    assert "job_1-1" in call("unknown").stdout
    assert json.loads(call("unknown", "--json").stdout)["attempts"][0]["on_hold"] == 6_100_000
    wire.sent.clear()
    for words in (("--ran", "0.5"), ("--not-run",), ("--look", "--note", "asked them")):
        assert call("resolve", "job_1-1", *words).exit_code == 0
    assert [sent for _, _, sent in wire.sent] == [
        {"verdict": "ran", "charge": 500_000},
        {"verdict": "not_run"},
        {"verdict": "look", "note": "asked them"},
    ]
    for words in ((), ("--not-run", "--look")):
        wrong = call("resolve", "job_1-1", *words)
        assert (wrong.exit_code, "say one of --ran, --not-run and --look" in wrong.output) == (2, True), wrong.output
    assert len(wire.sent) == 3


def test_what_the_vendor_counts_otherwise_is_said(wire: Wire) -> None:
    """In seconds, both."""
    assert "The vendor counted 3.1 s, we 2.9 s" in call("differences").stdout


def test_words_of_others_do_no_harm() -> None:
    """Control characters in a name do not reach the terminal; a state without a reason is a plain sentence."""
    assert "\x1b" not in repr(UnknownTable(attempts=[MYSTERY]))
    assert repr(DeviceCard(**(device("ready") | {"state_reason": None, "awaits_calibration": False}))) == (
        "campus_qpu is ready"
    )
