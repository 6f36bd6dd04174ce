"""Sessions at each vendor that has them, on its real SDK: opened once, used, ended, and what each counts for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from qiskit import QuantumCircuit

from jupyter_quantum.fabric.adapters import build
from jupyter_quantum.fabric.adapters.vendor import Submission, VendorRefused, VendorUnavailable, VendorUnsure
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.testing.adapters.conformance import Bench
from tests.vendors import azure, ibm, ionq

_HERE = "jupyter_quantum.fabric.adapters."


@dataclass
class Case:
    """A device, its vendor's fake, and the path at which sessions are opened."""

    name: str
    bench: Bench
    fake: Any
    payload: bytes
    path: str

    def open(self, *plan: int | str, name: str = "", mode: str = "", most_s: float = 600.0) -> str:
        """Open a session while the plan goes wrong."""
        before, self.fake.faulty, self.fake.plan = self.fake.faulty, self.path, list(plan)
        try:
            vendor = self.bench.vendor
            return vendor.open_session(name or self.bench.tag(), mode or self.bench.device.sessions["session"], most_s)
        finally:
            self.fake.faulty, self.fake.plan = before, []


def _case(stack: ExitStack, name: str) -> Case:
    fake: Any = stack.enter_context({"ibm": ibm.Ibm, "ionq": ionq.Ionq, "azure": azure.Azure}[name]())
    spec: dict[str, Any] = {"adapter": f"{_HERE}{name}:{name.capitalize()}Device"}
    spec |= fake.settings("qpu.forte-1") if name == "ionq" else fake.settings
    spec |= {} if name == "azure" else {"sessions": "dedicated", "session_s": 600}
    secret = {"token": ionq.TOKEN} if name == "ionq" else fake.secret
    path = {"ibm": "/api/v1/sessions", "ionq": "/v0.4/sessions", "azure": "/sessions/"}[name]
    bench = stack.enter_context(Bench({"name": "d", **spec}, secret, shots=20))
    circuit = QuantumCircuit(1)
    circuit.x(0)
    circuit.measure_all()
    _, order = bench.prepare("run", circuit, shots=20)
    (payload,) = bench.encode(order)
    return Case(name, bench, fake, payload, path)


@pytest.fixture(scope="module", params=["ibm", "ionq", "azure"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """One vendor."""
    with ExitStack() as stack:
        yield _case(stack, request.param)


def test_what_the_vendor_is_told(case: Case) -> None:
    """The session is opened for this machine with its limit, the job names it, and the payload cannot name another."""
    handle = case.open()
    body = case.fake.sessions[handle]
    expected: Any
    if case.name == "ibm":
        assert body.body == {"backend": case.fake.backend, "mode": "dedicated", "max_ttl": 600}
        expected = "session_id"
    elif case.name == "ionq":
        assert (body["backend"], body["settings"]) == ("qpu.forte-1", {"duration_limit_min": 10})
        expected = "session_id"
    else:
        assert (body["target"], body["providerId"], body["jobFailurePolicy"]) == (azure.TARGET, "rigetti", "Continue")
        expected = "sessionId"
    job = case.bench.vendor.submit_in_session(handle, case.bench.tag(), case.payload)
    kept = case.fake.jobs[job]
    assert (kept.details if case.name == "azure" else kept.body)[expected] == handle
    alone = case.fake.jobs[case.bench.submit(case.bench.tag(), case.payload)]
    assert not (alone.details if case.name == "azure" else alone.body).get(expected)


def test_the_answer_to_opening_is_lost(case: Case) -> None:
    """Unsure, and one session is there; asked again by name, Azure gives the same one."""
    name, before = case.bench.tag(), len(case.fake.sessions)
    with pytest.raises(VendorUnsure):
        case.open("lost", name=name)
    assert len(case.fake.sessions) == before + 1
    assert case.bench.vendor.same_session is (case.name == "azure")
    if case.name == "azure":
        assert case.open(name=name) == list(case.fake.sessions)[-1]
        assert len(case.fake.sessions) == before + 1


@pytest.mark.parametrize(("plan", "kind"), [(429, VendorUnavailable), (403, VendorRefused), (500, VendorUnsure)])
def test_how_opening_goes_wrong(case: Case, plan: int, kind: type[Exception]) -> None:
    """Nothing done, a no, or nobody knows: and no session is there."""
    before = len(case.fake.sessions)
    with pytest.raises(kind):
        case.open(plan)
    assert len(case.fake.sessions) == before


def test_ended_by_the_vendor(case: Case) -> None:
    """A session that the vendor has ended is not open, refuses, and one that it does not know is none either."""
    handle = case.open()
    assert case.bench.vendor.session(handle).open
    case.fake.end(handle)
    assert not case.bench.vendor.session(handle).open
    with pytest.raises(VendorRefused):
        case.bench.vendor.submit_in_session(handle, case.bench.tag(), case.payload)
    if case.name == "ibm":
        assert not case.bench.vendor.session("nobody-has-this").open


def test_what_is_counted(case: Case) -> None:
    """IBM counts a dedicated session by the clock and a batch by its jobs, IonQ tells from when to when."""
    vendor = case.bench.vendor
    used: dict[str, float | None] = {}
    for mode in sorted(set(case.bench.device.sessions.values())):
        handle = case.open(mode=mode)
        case.bench.wait(vendor.submit_in_session(handle, case.bench.tag(), case.payload))
        used[mode] = vendor.end_session(handle).usage_s
    if case.name == "ibm":
        assert used == {"batch": 2.0, "dedicated": 60.0}
    elif case.name == "ionq":
        assert used["dedicated"] is not None
        assert 0 <= used["dedicated"] < 60
    else:
        assert used == {"batch": None}


def test_ibms_time_is_up() -> None:
    """IBM cancels what waits in a session whose time is up: it has used nothing, and its session is over."""
    with ibm.Ibm(held=True) as fake:
        spec = {"name": "d", "adapter": f"{_HERE}ibm:IbmDevice", **fake.settings}
        with Bench(spec, fake.secret, shots=20) as bench:
            circuit = QuantumCircuit(1)
            circuit.measure_all()
            _, order = bench.prepare("run", circuit, shots=20)
            handle = bench.vendor.open_session("n", "batch", 1.0)
            job = bench.vendor.submit_in_session(handle, bench.tag(), bench.encode(order)[0])
            assert bench.vendor.status(job).state is Submission.QUEUED
            fake.sessions[handle].began -= 2
            assert not bench.vendor.session(handle).open
            status = bench.vendor.status(job)
            assert (status.state, status.usage_s) == (Submission.CANCELLED, None)


def test_ibms_open_plan_has_no_dedicated_sessions() -> None:
    """A plan without them refuses; a batch is opened."""
    with ExitStack() as stack:
        case = _case(stack, "ibm")
        case.fake.open_plan = True
        with pytest.raises(VendorRefused):
            case.open(mode="dedicated")
        assert case.open(mode="batch")


MODES: list[tuple[str, dict[str, Any], Any]] = [
    ("ibm", {}, {"session": "batch", "batch": "batch"}),
    ("ibm", {"sessions": "off"}, {}),
    ("ibm", {"sessions": "dedicated", "session_s": 600}, {"session": "dedicated", "batch": "batch"}),
    ("ibm", {"sessions": "dedicated"}, "session_s"),
    ("ionq", {}, {}),
    ("ionq", {"sessions": "dedicated", "session_s": 600}, {"session": "dedicated"}),
    ("ionq", {"sessions": "batch"}, "sessions: batch is not what its vendor has"),
    ("azure", {}, {"session": "batch", "batch": "batch"}),
    ("azure", {"sessions": "dedicated", "session_s": 600}, "sessions: dedicated is not what its vendor has"),
]


@pytest.mark.parametrize(("name", "said", "found"), MODES, ids=lambda value: str(value)[:40])
def test_what_an_operator_can_say(name: str, said: dict[str, Any], found: Any) -> None:
    """Nothing that costs more than its jobs is opened unasked, nor without a limit; what is not there is refused."""
    with ExitStack() as stack:
        made = _case(stack, name).bench
        settings = {key: value for key, value in made.spec.model_dump().items() if key not in ("sessions", "session_s")}
        spec = DeviceSpec.model_validate(settings | said)
        calibration = made.vendor.calibration()
        if isinstance(found, str):
            with pytest.raises(ValueError, match=found):
                build(spec, 1, calibration)
        else:
            assert build(spec, 1, calibration).announcement().sessions == found


def test_a_simulator_has_none() -> None:
    """A device that runs in the worker takes no setting for sessions."""
    for said in ({"sessions": "batch"}, {"sessions": "dedicated", "session_s": 600}):
        with pytest.raises(ValueError, match="is not what its vendor has"):
            build(DeviceSpec.model_validate({"name": "d", "adapter": "aer", **said}), 1)
