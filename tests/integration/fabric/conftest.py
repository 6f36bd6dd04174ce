"""A runner process for a module's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.fabric.asking import Fabric
from tests.integration.fabric.standin import running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fabric(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fabric]:
    """A runner with the demo's devices."""
    async with running(tmp_path_factory.mktemp("fabric")) as (standin, runner):
        yield Fabric(standin, runner)
