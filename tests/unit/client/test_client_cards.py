"""Representations: complete as text, plain as HTML, and safe with names of others."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from qiskit import QuantumCircuit

from jupyter_quantum.client import cards
from jupyter_quantum.client.html import Html, clean, esc, table
from jupyter_quantum.client.hub import Hub
from jupyter_quantum.client.provenance import ProvenanceCard
from jupyter_quantum.client.report import Report
from jupyter_quantum.core.jobs import DeviceKind, JobState
from jupyter_quantum.lab.widgets import jobcard
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.devices import Interval, MirrorResult, Score, Wait
from jupyter_quantum.wire.jobs import DecisionView, JobRequest, Origin, Provenance
from jupyter_quantum.wire.reports import ReportRow
from tests.unit.client.conftest import NOW, Service

HOSTILE = "<img src=x onerror=alert(1)>\"'&\x1b[31m\u202egnp\n" + "x" * 300
_ALLOWED = {"table", "caption", "thead", "tbody", "tr", "th", "td", "meter", "details", "summary", "time"}


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def _plain(markup: str) -> str:
    """Assert that only the few allowed elements and attributes are used."""
    found = _Tags()
    found.feed(markup)
    assert found.tags <= _ALLOWED
    assert found.attributes <= {"scope", "min", "max", "low", "optimum", "value", "title", "datetime"}
    return markup


def test_hostile_names_are_harmless(service: Service, hub: Hub) -> None:
    """Markup, control characters, direction marks and length of a name change nothing, in HTML or on a terminal."""
    view = service.add(JobRequest(device="aer"), name=HOSTILE, error={"message": HOSTILE}, state=JobState.FAILED)
    device = service.devices["aer"].model_copy(update={"name": HOSTILE, "label": HOSTILE, "state_reason": HOSTILE})
    for markup in (cards.job_html(view), cards.jobs_html([view]), cards.devices_html([device])):
        assert "<img" not in _plain(markup)
    for text in (cards.job_text(view), cards.jobs_text([view]), cards.devices_text([device])):
        assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", text)
    assert len(clean(HOSTILE)) == 201


def test_quota_card(hub: Hub) -> None:
    """Left rounded down, meters, the moment of the reset."""
    quota = hub.quota()
    assert repr(quota).startswith("qcourse: 12.40 of 50 credits left\n")
    assert "you · May" in repr(quota)
    assert "used" not in repr(quota)
    markup = _plain(quota._repr_html_())
    assert '<meter min="0" max="50000000"' in markup
    assert "<time" in markup
    assert quota.left == 12_400_000


def test_rules_refuse_and_people_reject(service: Service) -> None:
    """One word for each state everywhere; a no of a person is another word than a no of a rule."""
    ask = JobRequest(device="fake_torino", name="bell")
    rule = service.add(ask, state=JobState.REJECTED, error={"code": "policy.refused", "message": "Not allowed."})
    said = {"code": "approval.rejected", "message": 'Rejected by grace: "Use the emulator first."'}
    person = service.add(ask, state=JobState.REJECTED, error=said)
    assert "✕ refused" in cards.jobs_text([rule])
    assert "✕ rejected" in cards.jobs_text([person])
    assert "Rejected by grace" in cards.job_text(person)
    waiting = [service.add(ask, state=state) for state in (JobState.AWAITING_APPROVAL, JobState.QUEUED)]
    assert "◆ awaiting approval" in cards.jobs_text(waiting)
    assert "◷ waiting" in cards.jobs_html(waiting)


def test_job_card_names_reason_and_money(service: Service) -> None:
    """Waiting, ended, free: each says what a person asks."""
    wait = Wait(p50=60, p90=90, reason="wait.share", words="Waiting because your project used more than its share.")
    queued = service.add(JobRequest(device="fake_torino", name="bell"), wait=wait, on_hold=6_600_000)
    assert "6.60 credits on hold" in cards.job_text(queued)
    assert "your project used more" in cards.job_text(queued)
    assert "your project used more" in _plain(cards.job_html(queued))
    free = service.add(JobRequest(device="aer"), state=JobState.COMPLETED, cost=0)
    assert "free" in cards.job_text(free)
    refused = service.add(
        JobRequest(device="aer"), state=JobState.REJECTED, error={"message": "No.", "hint": "Ask."}, cost=None
    )
    assert "nothing charged" in cards.job_text(refused)
    assert "No. Ask." in cards.job_text(refused)
    decision = DecisionView(effect="needs_approval", version=digest_of(b""), words="Needs a lead's approval.")
    asked = service.add(JobRequest(device="aer"), state=JobState.AWAITING_APPROVAL, decision=decision)
    assert "◆" in cards.job_text(asked)
    assert "Needs a lead's approval." in cards.job_text(asked)


def test_devices_say_why_not(service: Service) -> None:
    """A drained device has no start; the reason and the end stand there."""
    device = service.devices["fake_torino"].model_copy(
        update={"state": "drained", "state_reason": "cooling", "state_until": NOW}
    )
    assert re.search(r"■ drained until .*: cooling\s+–", cards.devices_text([device]))
    assert "about 1 min" in cards.devices_text([service.devices["fake_torino"]])


def test_report_card(hub: Hub, bell: QuantumCircuit) -> None:
    """The comparison: numbers with ranges, verdicts in words, why in full."""
    view = hub.report(bell).view
    decision = DecisionView(effect="needs_approval", version=digest_of(b""), words="Over 5 credits.")
    rows = [
        ReportRow(
            device="campus_qpu", kind=DeviceKind.QPU, label="emulated QPU", state="ready", depth=11, two_qubit_gates=1,
            success=Interval(value=0.94, low=0.92, high=0.96), wait=Wait(p50=720, p90=900), price=6_100_000,
            decision=decision,
        ),
        ReportRow(device="small", kind=DeviceKind.QPU, label="QPU", state="ready", problem="Too wide."),
        ReportRow(device="old", kind=DeviceKind.QPU, label="QPU", state="drained"),
    ]  # fmt: skip
    report = Report(view.model_copy(update={"rows": rows}))
    text = repr(report)
    assert re.search(
        r"campus_qpu\s+emulated QPU\s+1\s+11\s+0.94 \(0.92–0.96\)\s+about 12 min\s+6.10\s+◆ approval", text
    )
    assert re.search(r"old\s+QPU\s+–\s+–\s+–\s+–\s+–\s+■ drained", text)
    assert report.why("small") == "Too wide."
    assert report.why("campus_qpu") == "Over 5 credits."
    assert "<details>" in _plain(report._repr_html_())


def test_a_report_says_what_its_estimates_are_worth(hub: Hub, bell: QuantumCircuit) -> None:
    """What they rest on, mirror circuits of this size, how good they have been: in text and in HTML."""
    view = hub.report(bell).view
    row = ReportRow(
        device="campus_qpu",
        kind=DeviceKind.QPU,
        label="QPU",
        state="ready",
        rests_on="the calibration of today",
        mirror=MirrorResult(value=0.9, low=0.88, high=0.92, qubits=2, depth=10, at=NOW),
        scores=[Score(what="success", runs=40, words="90 % of 40 finished runs came out within the range.")],
    )
    report = Report(view.model_copy(update={"rows": [row]}))
    for words in (
        "campus_qpu, estimate from: the calibration of today",
        "campus_qpu, mirror circuits: 0.90 (0.88–0.92) came back (2 qubits, depth 10)",
        "campus_qpu, chance of success: 90 % of 40 finished runs came out within the range.",
    ):
        assert words in repr(report)
        assert words.partition(": ")[2] in report._repr_html_()


def test_provenance_card(service: Service) -> None:
    """Unknown is a dash, never made up."""
    view = service.add(JobRequest(device="aer", name="bell"))
    record = Provenance(
        id=view.id, job=view, tenant="campus", user="ada", source=view.source, executable=None,
        compiler={"name": "qiskit", "level": 1, "layout": {"0": 1}}, versions={"qiskit": "2.6.2"}, calibration=None,
        policy=None, approver=None, attempts=[{}], times={}, summary={},
        events=[{"seq": 1, "type": "job.moved", "hash": "ab", "time": "12:00"}],
    )  # fmt: skip
    card = ProvenanceCard.model_validate(record.model_dump())
    assert re.search(r"Calibration\s+–", repr(card))
    assert re.search(r"Transpiled\s+–", repr(card))
    assert "layout" not in repr(card)
    assert "1 entry of the record" in _plain(card._repr_html_())


_SEEN = {"name": "qiskit", "version": "2.6.2", "altered": True, "level": 1, "seed": 7, "layout": [[0, 1]]}


@pytest.mark.parametrize(
    ("told", "compiler", "said"),
    [
        ({"mode": "auto", "altered": True, "level": 1, "seed": 7}, _SEEN, "by qiskit 2.6.2, level 1, seed 7"),
        (
            {"mode": "auto", "altered": True, "level": 1, "seed": 7},
            _SEEN | {"circuits": [1]},
            "by qiskit 2.6.2, level 1, seed 7 (1 of 2 circuits)",
        ),
        ({"mode": "auto", "altered": False, "level": 1}, {}, "no, they fitted the device as they were sent"),
        ({"mode": "never", "altered": False}, {}, "no, as was asked"),
        ({}, {}, "–"),
    ],
    ids=["whole", "some", "fits", "never", "unknown"],
)
def test_a_record_is_written_as_a_person_would(
    service: Service, told: dict[str, Any], compiler: dict[str, Any], said: str
) -> None:
    """No names of fields and no ``True``: sentences; entries by what happened, at the reader's time."""
    origin = Origin(notebook="bell.ipynb", cell="a-1")
    view = service.add(JobRequest(device="aer", name="bell", origin=origin)).model_copy(update={"num_circuits": 2})
    entries = [
        {"type": "job.moved", "hash": "ab" * 32, "time": "2026-05-12T12:00:00+00:00", "data": {"to": "draft"}},
        {"type": "approval.changed", "hash": "cd" * 32, "time": "2026-05-12T12:00:01+00:00", "data": {"state": "open"}},
        {"type": "job.moved", "hash": "ef" * 32, "time": "2026-05-12T12:00:02+00:00", "data": {"to": "completed"}},
    ]
    record = Provenance(
        id=view.id, job=view, tenant="campus", user="ada", source=view.source, executable=view.source,
        compiler=compiler, versions={"qiskit": "2.6.2", "runner": "0.1"}, calibration=None, policy=None, approver=None,
        attempts=[], times={"queue_seconds": 3.0}, summary={}, transpile=told, events=entries,
    )  # fmt: skip
    card = ProvenanceCard.model_validate(record.model_dump())
    rows = dict(card.rows())
    assert rows["Transpiled"] == said
    assert (rows["Sent from"], rows["Circuits run"]) == ("bell.ipynb, cell a-1", "the same")
    assert (rows["Mitigation"], rows["Waited"]) == ("none", "3 s")
    shown = _plain(card._repr_html_())
    assert "True" not in shown + repr(card)
    assert "altered" not in shown + repr(card)
    assert re.search(r"3 entries of the record.*sent.*approval asked for.*done", shown, re.DOTALL)
    assert "ab" * 8 + "…" in shown


def test_me_card(hub: Hub) -> None:
    """Name, project, role."""
    assert repr(hub.me()) == "ada: qcourse (user)"
    assert "sandbox" in _plain(hub.me()._repr_html_())


@pytest.mark.parametrize(("value", "shown"), [("<b>", "&lt;b&gt;"), (Html("<b>"), "<b>"), (3, "3"), (None, "None")])
def test_escaping(value: object, shown: str) -> None:
    """Only what says that it is markup is taken as markup."""
    assert esc(value) == shown
    assert shown in table(("h",), [(value,)])


def test_lists_show_as_tables(hub: Hub, bell: QuantumCircuit) -> None:
    """Backends and jobs are lists that show as tables; without jobs there is a sentence."""
    assert repr(hub.jobs()) == "No jobs yet."
    hub.backend("aer").run(bell)
    assert "bell" in _plain(hub.jobs()._repr_html_())
    assert "fake_torino" in _plain(hub.backends()._repr_html_())
    assert "simulator, 29 qubits, ready" in repr(hub.backend("aer"))
    assert "aer" in _plain(hub.backend("aer")._repr_html_())
    assert "bell" in _plain(hub.jobs()[0]._repr_html_())
    assert "22" not in _plain(hub.usage()._repr_html_())


def test_a_job_cards_details_say_only_what_is_set(service: Service) -> None:
    """Options that nobody set are left out, switches are on or off, and the cell is named."""
    options = {"shots": 100, "memory": False, "seed_simulator": None}
    origin = Origin(notebook="bell.ipynb", cell="a-1")
    view = service.add(JobRequest(device="aer", name="bell", options=options, origin=origin))
    told = dict(jobcard.card(view, NOW)["details"])
    assert told["Options"] == "memory off, shots 100"
    assert told["Sent from"] == "bell.ipynb, cell a-1"
    assert "Sent from" not in dict(jobcard.card(view.model_copy(update={"origin": None}), NOW)["details"])
