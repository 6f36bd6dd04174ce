"""One real demo hub for the client's integration tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jupyter_quantum import Hub
from jupyter_quantum.testing.demo import DemoHub, demo_hub


@pytest.fixture(scope="session")
def demo() -> Iterator[DemoHub]:
    """A running demo."""
    with demo_hub() as running:
        yield running


@pytest.fixture
def hub(demo: DemoHub) -> Hub:
    """Ada's door."""
    return Hub(url=demo.service, token=demo.token("ada"))
