"""A vendor that misbehaves as told, and a runner that serves its devices; a module says which (``runner``)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jupyter_quantum.testing.adapters.server import VendorServer
from tests.integration.vendors.far import CALM, Far


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorServer]:
    with VendorServer(CALM) as server:
        yield server


@pytest.fixture
def far(runner: Far, vendor: VendorServer) -> Iterator[Far]:
    """The vendor behaves well at the beginning of each test."""
    vendor.behave(**CALM.model_dump())
    yield runner
    vendor.behave(**CALM.model_dump())
