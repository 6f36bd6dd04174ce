"""The client's door to the demo hub that the session shares."""

from __future__ import annotations

import pytest

from jupyter_quantum import Hub
from jupyter_quantum.testing.demo import DemoHub


@pytest.fixture
def hub(demo: DemoHub) -> Hub:
    """Ben's door."""
    return Hub(url=demo.service, token=demo.token("ben"))
