"""One authority, and one that nobody trusts."""

from __future__ import annotations

import pytest

from tests.integration.runners.certificates import Authority, authority


@pytest.fixture(scope="session")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"), "campus")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"), "stranger")
