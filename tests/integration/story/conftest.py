"""One campus for all tests of this directory: identity provider, hub, service, runner, an address for webhooks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from tests.integration.story.lab import MEMBERSHIP_S, TENANTS, Lab, running_lab
from tests.integration.story.provider import Provider, running_provider
from tests.integration.story.receiver import Receiver, running_receiver

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


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    """Where webhooks arrive."""
    with running_receiver() as running:
        yield running


@pytest.fixture(scope="session")
def lab(provider: Provider, receiver: Receiver) -> Iterator[Lab]:
    """The hub, with the organisations and projects of the shipped tenants.yaml, which an administrator has applied."""
    service = {
        "devices": _DEVICES,
        "workers": 2,
        "threads": 1,
        "membership_age": MEMBERSHIP_S,
        "sweep_every": 1.0,
        "audit_every": 1.0,
        "insecure_issuers": True,
        "webhook_allow": ["127.0.0.1"],
        "webhook_ports": [receiver.port],
        "webhook_http": True,
    }
    with running_lab(provider, service) as running:
        provider.enrol("admin-rosalind", "quantum-admins", mfa=True)
        token = running.person("admin-rosalind").token("custom:quantum:admin", "custom:quantum:read")
        declared = yaml.safe_load(TENANTS.read_text())
        declared["projects"]["qlab-pilot"]["identities"][0] |= {"issuer": provider.url, "subject": "ci:vqe:*"}
        applied = running.folder / "tenants.yaml"
        applied.write_text(yaml.safe_dump(declared))
        running.command(token, "admin", "apply", str(applied), "--yes", "--json")
        yield running
