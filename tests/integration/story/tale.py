"""What is done in the story, and what the audit must say of it afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from jupyter_quantum.exceptions import QuantumError
from tests.integration.story.lab import Lab, Person
from tests.integration.story.provider import Provider
from tests.integration.story.receiver import Receiver

CAST: Mapping[str, tuple[str, ...]] = {
    "student-zoe": ("students",),
    "lead-carl": ("qcourse-leads",),
    "lead-lena": ("qlab-leads",),
    "operator-otto": ("quantum-operators",),
    "auditor-uma": ("quantum-auditors",),
}
"""Who is in the story, and their groups at the identity provider when it begins. Nothing else has such names."""
ADMIN = "admin-rosalind"
SERVICE = "service"


def refused(act: Callable[[], object], *codes: str) -> QuantumError:
    """The refusal that ``act`` meets; fails where it is allowed, or refused with another code."""
    with pytest.raises(QuantumError) as caught:
        act()
    assert caught.value.code in codes, f"refused with {caught.value.code}: {caught.value}"
    return caught.value


@dataclass(frozen=True)
class Said:
    """An entry that the audit must hold: its type, who did it, in which project, and some of what it says."""

    type: str
    actor: str
    project: str | None
    facts: Mapping[str, Any]

    def fits(self, entry: Mapping[str, Any], people: Mapping[str, str]) -> bool:
        """Whether a payload of the record says this; ``people``: pseudonym → name."""
        actor = people.get(str(entry["actor"]), str(entry["actor"]))
        same = (entry["type"], actor, entry.get("project")) == (self.type, self.actor, self.project)
        return same and all(entry["data"].get(name) == value for name, value in self.facts.items())

    def __str__(self) -> str:
        return f"{self.type} by {self.actor} in {self.project or 'no project'}: {dict(self.facts)}"


@dataclass
class Tale:
    """The people at their browsers, and the entries that are expected, in order."""

    lab: Lab
    provider: Provider
    receiver: Receiver
    expected: list[Said] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, groups in CAST.items():
            self.provider.enrol(name, *groups, mfa=not name.startswith("student"))

    @property
    def zoe(self) -> Person:
        """The student."""
        return self.lab.person("student-zoe")

    @property
    def carl(self) -> Person:
        """Leads the course."""
        return self.lab.person("lead-carl")

    @property
    def lena(self) -> Person:
        """Leads the lab, and so its part for students."""
        return self.lab.person("lead-lena")

    @property
    def otto(self) -> Person:
        """Operates the devices."""
        return self.lab.person("operator-otto")

    @property
    def uma(self) -> Person:
        """Audits."""
        return self.lab.person("auditor-uma")

    def says(self, type_: str, actor: str, project: str | None = None, **facts: Any) -> None:
        """The audit will say this, after what it said before."""
        self.expected.append(Said(type_, actor, project, facts))

    def ran(self, actor: str, project: str, device: str, *states: str) -> None:
        """It will say that a job of ``actor`` went through these states (those that the actor moves it to)."""
        for state in states:
            self.says("job.moved", actor, project, device=device, to=state)

    def done(self, person: Person, path: str, **body: Any) -> dict[str, Any]:
        """What the service answers to a person who does something on its page; fails where it is refused."""
        answer = person.ask("POST", path, **body)
        assert answer.status_code in {200, 201}, f"{person.name}: {path}: {answer.status_code} {answer.text}"
        found: dict[str, Any] = answer.json()
        return found

    def decided(self, person: Person, path: str, *, note: str | None = None) -> dict[str, Any]:
        """A request or an approval that ``person`` approves on the page."""
        found = self.done(person, f"{path}/decision", verdict="approve", note=note)
        assert found["state"] == "approved", found
        return found


def not_told(expected: Sequence[Said], entries: Sequence[Mapping[str, Any]], people: Mapping[str, str]) -> Said | None:
    """The first of the expected entries that does not follow those before it; None where all are told, in order."""
    rest = iter(entries)
    for one in expected:
        if not any(one.fits(entry, people) for entry in rest):
            return one
    return None


def payloads(export: str) -> list[dict[str, Any]]:
    """The entries of an export, in order."""
    lines = [json.loads(line) for line in export.splitlines()]
    return [json.loads(line["payload"]) for line in lines if "payload" in line]


def names_in(text: str, names: Collection[str]) -> list[str]:
    """Which of the names a text gives away."""
    return sorted(name for name in names if name in text)
