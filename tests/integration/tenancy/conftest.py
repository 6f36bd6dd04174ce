"""A campus of its own for tenancy: identity provider, hub, service that looks every second who has left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.story.lab import MEMBERSHIP_S, Lab, running_lab
from tests.integration.story.provider import Provider, running_provider

CI = "repo:lab:main"
SERVICE: dict[str, Any] = {
    "devices": [
        {"name": "aer", "adapter": "aer", "slots": 1},
        {"name": "campus_qpu", "adapter": "ibm_fake", "fake": "FakeMarrakesh", "kind": "qpu", "label": "emulated QPU"},
    ],
    "workers": 2,
    "threads": 1,
    "membership_age": MEMBERSHIP_S,
    "sweep_every": 1.0,
    "insecure_issuers": True,
}


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    """The campus's identity provider; what it gives lives for five minutes."""
    with running_provider(300.0) as running:
        yield running


@pytest.fixture(scope="session")
def lab(provider: Provider) -> Iterator[Lab]:
    """The hub, with tenants that an administrator has applied."""
    with running_lab(provider, SERVICE) as running:
        provider.enrol("root", "quantum-admins")
        admin = running.person("root").hub(None, "custom:quantum:read", "custom:quantum:admin")
        admin.tenancy.apply(tenants(provider.url))
        yield running


def tenants(issuer: str) -> dict[str, Any]:
    """What is declared: physics with its part vqe, both of the campus."""
    physics = {
        "organisation": "campus",
        "owner": "lena",
        "roles": {"user": ["physics"], "lead": ["physics-leads"]},
        "grant": 100,
        "user_quota": 50,
        "onboarding": True,
        "export": {"targets": ["tokens"]},
        "identities": [{"issuer": issuer, "audience": "quantum-ci", "subject": "repo:lab:*"}],
    }
    vqe = {"organisation": "campus", "parent": "physics", "tier": "pilot", "roles": {"user": ["vqe"]}}
    course = {"organisation": "campus", "roles": {"user": ["qcourse"], "lead": ["qcourse-leads"]}}
    projects = {"physics": physics, "vqe": vqe, "qcourse": course}
    return {"organisations": {"campus": {"weight": 2}}, "projects": projects}
