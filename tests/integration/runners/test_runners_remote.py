"""Runners on other machines: real processes that come over TLS."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest
from tornado.web import Application, RequestHandler

from jupyter_quantum.core.jobs import DeviceKind, JobState
from jupyter_quantum.core.money import PriceList
from jupyter_quantum.exceptions import CircuitRejected
from jupyter_quantum.pipeline.board import Ticket
from jupyter_quantum.testing.runner import announcement
from jupyter_quantum.wire.jobs import JobRequest
from jupyter_quantum.wire.reports import ReportRequest
from tests.integration.runners.certificates import Authority
from tests.integration.runners.support import (
    ADA,
    RUNNER,
    Site,
    announce,
    bell,
    bundle,
    far_runner,
    scraped,
    settings_file,
    site,
    slow,
    until,
)
from tests.unit.hub.support import listen

FAR = announcement("far_qpu", DeviceKind.QPU, region="eu")


async def test_a_job_runs_far_away_and_sigterm_drains(tmp_path: Path, trusted: Authority) -> None:
    """Over TLS: announced, run, counted; on SIGTERM the run under way ends well, and the process with status 0."""
    async with site(tmp_path, trusted) as here:
        token = here.token("quantum-far")
        file = settings_file(tmp_path / "far", here.url, token, trusted.ca, more="metrics_port = 0")
        async with far_runner(file) as runner:
            await runner.says("admitted: far_aer")
            done = await here.run("far_aer")
            assert done.state is JobState.COMPLETED, done.error
            result = await here.house.pipeline.result(ADA, done.id)
            assert sum(result.experiments[0].counts.values()) == 100
            counted = await scraped(runner)
            assert 'quantum_task_end_total{outcome="done",task="execute"} 1.0' in counted
            assert "quantum_worker_live_count 2.0" in counted or "quantum_worker_live_count 1.0" in counted
            assert 'quantum_message_send_total{message="announce",outcome="answered"} 1.0' in counted
            assert token not in counted
            long = await here.submit("far_aer", circuit=slow())
            await until(lambda: any(t.job == long.id and t.leased for t in _leases(here)))
            assert await runner.end() == 0
            assert (await here.ended(long.id)).state is JobState.COMPLETED
        assert here.states() == {"far_aer": "offline"}  # it said farewell: nobody waits for its leases to run out
        assert here.context.metrics.text().count(b'quantum_task_report_total{runner="quantum-far",state="done"}') == 1


async def test_a_certificate_of_a_stranger_is_refused(tmp_path: Path, trusted: Authority, stranger: Authority) -> None:
    """A runner that trusts another authority says so and sends its token to nobody."""
    async with site(tmp_path, trusted) as here:
        file = settings_file(tmp_path / "far", here.url, here.token("quantum-far"), stranger.ca)
        async with far_runner(file) as runner:
            await runner.says("certificate verify failed")
            assert here.states() == {}
            assert here.hub.asked == []
            assert await runner.end() == 0


async def test_a_circuit_that_a_runner_cannot_read_is_refused_in_words(tmp_path: Path, trusted: Authority) -> None:
    """The versions of QPY that the device's runner reads are said, before anything is sent there."""
    async with site(tmp_path, trusted, prices={"far_qpu": PriceList()}) as here:
        token = here.token("quantum-far")
        assert (await here.post("runner/v1/announce", announce(FAR, qpy_versions=[13, 14]), token))[0] == 200
        request = JobRequest(device="far_qpu", circuits=bundle(bell(), version=15))
        with pytest.raises(CircuitRejected, match=r"version 15; the runner of far_qpu reads 13 to 14") as refused:
            await here.house.pipeline.submit(ADA, request, key=None, wait_s=0)
        assert refused.value.code == "circuit.qpy_version"
        report = await here.house.pipeline.report(ADA, ReportRequest(circuits=request.circuits))
        assert [row.code for row in report.rows] == ["circuit.qpy_version"]


async def test_a_runner_comes_back_after_the_service(tmp_path: Path, trusted: Authority) -> None:
    """The service is killed and started again: the runner announces itself anew, and jobs run."""
    async with site(tmp_path, trusted) as here:
        file = settings_file(tmp_path / "far", here.url, here.token("quantum-far"), trusted.ca)
        async with far_runner(file) as runner:
            await runner.says("admitted: far_aer")
            await here.close()
            await runner.says("does not answer")
            await here.open()
            await until(lambda: here.states() == {"far_aer": "ready"}, lambda: "".join(runner.said))
            assert (await here.run("far_aer")).state is JobState.COMPLETED


async def test_one_of_two_runners_dies(tmp_path: Path, trusted: Authority) -> None:
    """Of two with one token, the one that came last serves; killed, it is replaced by the other, and jobs go on."""
    async with site(tmp_path, trusted) as here:
        token = here.token("quantum-far")
        first = settings_file(tmp_path / "first", here.url, token, trusted.ca)
        second = settings_file(tmp_path / "second", here.url, token, trusted.ca)
        async with far_runner(first) as one:
            await one.says("admitted: far_aer")
            async with far_runner(second) as two:
                await two.says("admitted: far_aer")
                assert _server(here) == "second"
                assert (await here.run("far_aer")).state is JobState.COMPLETED
                two.process.send_signal(signal.SIGKILL)
                waiting = await here.submit("far_aer")
                done = await here.ended(waiting.id)
            assert done.state is JobState.COMPLETED, done.error
            assert _server(here) == "first"
            attempts = (await here.house.pipeline.provenance(ADA, done.id)).attempts
            assert "/first." in attempts[-1]["runner"]


async def test_tokens_of_people_and_of_other_services_are_no_runners(tmp_path: Path, trusted: Authority) -> None:
    """A person with the scope, a service without it, and one that is not configured are refused on every route."""
    async with site(tmp_path, trusted) as here:
        person = here.token("ada", "user", [RUNNER, "custom:quantum:read"])
        bare = here.token("quantum-far", scopes=["custom:quantum:read"])
        unknown = here.token("grader")
        for path, body in (
            ("runner/v1/announce", announce(FAR)),
            ("runner/v1/lease", {"runner": "one", "slots": 1}),
            ("runner/v1/tasks/tsk_1/report", {"runner": "one", "fence": 1, "state": "started"}),
        ):
            said = [await here.post(path, body, token) for token in (person, bare, unknown, "nobody's")]
            assert [(status, answer["code"]) for status, answer in said] == [
                (403, "runner.service"),
                (403, "scope.missing"),
                (403, "runner.service"),
                (401, "auth.missing"),
            ]
        assert here.states() == {}
        status, answer = await here.post("api/v1/reports", {}, here.token("quantum-far"))
        assert (status, answer["code"]) == (403, "scope.missing")


async def test_a_runner_announces_what_it_was_allowed(tmp_path: Path, trusted: Authority) -> None:
    """Other names, other regions, and devices out of bounds are refused, with the allowed ones in the hint."""
    async with site(tmp_path, trusted) as here:
        token = here.token("quantum-far")
        wrong = {
            "near_qpu": announcement("near_qpu", DeviceKind.QPU, region="eu"),
            "us": announcement("far_qpu", DeviceKind.QPU, region="us"),
            "bounds": announcement("far_qpu", DeviceKind.QPU, region="eu", num_qubits=0),
            "words": announcement("far_qpu", DeviceKind.QPU, region="eu", label="\u202eUPQ"),
            "gates": announcement("far_qpu", DeviceKind.QPU, region="eu", basis_gates=["x" * 100_000]),
            "many gates": announcement("far_qpu", DeviceKind.QPU, region="eu", basis_gates=["x"] * 1000),
        }
        for told in wrong.values():
            status, answer = await here.post("runner/v1/announce", announce(told), token)
            assert (status, answer["code"]) in {(403, "runner.device"), (422, "runner.device")}, answer
        status, answer = await here.post("runner/v1/announce", announce(FAR, protocols=[7, 9]), token)
        assert (status, answer["code"]) == (422, "runner.protocol")
        assert "protocols 1" in answer["message"]
        assert "7 to 9" in answer["message"]


async def test_a_runner_does_not_fill_the_service(tmp_path: Path, trusted: Authority) -> None:
    """So many runners of one service at a time, and so many devices that wait for an operator; the known ones go on."""
    async with site(tmp_path, trusted) as here:
        token = here.token("quantum-far")
        for at in range(64):
            assert (await here.post("runner/v1/announce", announce(runner=f"r{at}"), token))[0] == 200
        status, answer = await here.post("runner/v1/announce", announce(FAR, runner="r64"), token)
        assert (status, answer["code"]) == (409, "runner.many")
        told: list[int] = []
        first: list[Any] = []
        for batch in range(4):
            devices = [
                announcement(f"far_{batch}_{at}", DeviceKind.QPU, region="eu", target={}, options={})
                for at in range(150)
            ]
            first = first or devices
            status, answer = await here.post("runner/v1/announce", announce(*devices, runner="r0"), token)
            told.append(status)
        assert told == [200, 200, 422, 422]
        assert here.house.pipeline._context.registry.pending == 300
        assert (await here.post("runner/v1/announce", announce(*first, runner="r0"), token))[0] == 200
        assert (await here.post("runner/v1/announce", announce(FAR, runner="r1"), token))[0] == 200


async def test_options_are_no_errand_for_the_service(tmp_path: Path, trusted: Authority) -> None:
    """The service checks users' options by what a runner announces: a schema that has it fetch an address, or match a
    pattern for ever, or that is none, is refused before any user meets it; so is a Target that has no shape.
    """
    fetched: list[str] = []

    class Inside(RequestHandler):
        def get(self) -> None:
            fetched.append(self.request.path)
            self.write("{}")

    inside, port = listen(Application([(r"/.*", Inside)]))
    rules: list[Any] = [
        {"$ref": f"http://127.0.0.1:{port}/inside"},
        {"type": "string", "pattern": "^(a+)+$"},
        {"type": "nonsense"},
        7,
        {"items": {"items": {"items": {"items": {"items": {}}}}}},
    ]
    wrong = [{"run": {"type": "object", "properties": {"a": rule}}} for rule in rules]
    wrong += [{"run": "x"}, {"run": {"properties": []}}, {"walk": {"properties": {}}}]
    async with site(tmp_path, trusted, prices={"far_qpu": PriceList()}) as here:
        token = here.token("quantum-far")
        for options in wrong:
            told = announcement("far_qpu", DeviceKind.QPU, region="eu", options=options)
            status, answer = await here.post("runner/v1/announce", announce(told), token)
            assert (status, answer["code"]) == (422, "runner.device"), (options, answer)
        torn: list[dict[str, Any]] = [{"operations": 7}, {"operations": [7]}, {"num_qubits": 10**9}]
        for target in (*torn, {"operations": [{"num_qubits": 2, "props": [[]]}]}):
            told = announcement("far_qpu", DeviceKind.QPU, region="eu", target=target)
            status, answer = await here.post("runner/v1/announce", announce(told), token)
            assert (status, answer["code"]) == (422, "runner.device"), (target, answer)
        assert here.states() == {}
        assert (await here.post("runner/v1/announce", announce(FAR), token))[0] == 200
    inside.stop()
    assert fetched == []


async def test_a_runner_takes_neither_devices_nor_leases_of_another(tmp_path: Path, trusted: Authority) -> None:
    """A device that is served is a conflict; a report on another's task is refused like one on a task that never was.

    Whatever a runner calls itself, its id begins with its service.
    """
    prices = {"far_qpu": PriceList()}
    async with site(tmp_path, trusted, prices=prices) as here:
        far, other = here.token("quantum-far"), here.token("quantum-other")
        assert (await here.post("runner/v1/announce", announce(FAR), far))[0] == 200
        status, answer = await here.post("runner/v1/announce", announce(FAR, runner="two"), other)
        assert (status, answer["code"]) == (409, "runner.taken")
        submitting = asyncio.create_task(here.submit("far_qpu"))
        status, leased = await here.post("runner/v1/lease", {"runner": "one", "slots": 1, "wait_s": 10}, far)
        [task] = leased["tasks"]
        report = {"runner": "one", "fence": task["fence"], "state": "failed", "error": _ERROR}
        said = [
            await here.post(f"runner/v1/tasks/{name}/report", report, other) for name in (task["id"], "tsk_nothing")
        ]
        assert said[0] == said[1]
        assert said[0][0] == 409
        assert said[0][1]["code"] == "fence"
        assert (await here.post(f"runner/v1/tasks/{task['id']}/report", report, far))[0] == 200
        await asyncio.wait([submitting], timeout=10)
        assert set(here.house.pipeline._context.board.runners) == {"quantum-far/one"}
        status, answer = await here.post("runner/v1/announce", announce(FAR, runner="quantum-far/x"), other)
        assert (status, answer["code"]) == (422, "runner.name")


_ERROR = {"error": "CircuitRejected", "code": "circuit.rejected", "message": "No."}


def _leases(here: Site) -> list[Ticket]:
    return list(here.house.pipeline._context.board._leased.values())


def _server(here: Site) -> str:
    serving = here.house.pipeline._context.board.serving("far_aer")
    return "" if serving is None else serving.words.runner.rpartition("/")[2].partition(".")[0]
