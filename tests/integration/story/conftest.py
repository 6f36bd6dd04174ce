"""One campus for all tests of this directory: identity provider, hub, service, runner."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.story.lab import MEMBERSHIP_S, Lab, running_lab
from tests.integration.story.provider import Provider, running_provider

_DEVICES = [
    {"name": "aer", "adapter": "aer", "slots": 1},
    {"name": "fake_torino", "adapter": "ibm_fake", "fake": "FakeTorino", "kind": "emulator"},
    {"name": "campus_qpu", "adapter": "ibm_fake", "fake": "FakeMarrakesh", "kind": "qpu", "label": "emulated QPU"},
]


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    """The campus's identity provider."""
    with running_provider() as running:
        yield running


_PROJECTS = {"qcourse": {"members": ["qcourse"], "leads": ["qcourse-leads"], "grant": 100, "user_quota": 50}}


@pytest.fixture(scope="session")
def lab(provider: Provider) -> Iterator[Lab]:
    """The hub."""
    service = {"projects": _PROJECTS, "devices": _DEVICES, "workers": 2, "threads": 1, "membership_age": MEMBERSHIP_S}
    with running_lab(provider, service) as running:
        yield running
