"""Fixtures every test may use: one asyncio backend, and one Azurite that all tests share, each under its own names."""

import secrets
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.simulation.azurite import Azurite

# How long an example takes depends on the machine, and is no property of the product.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Answers with the only event loop the product runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """Answers with the connection string of one Azurite in memory that the whole run shares: see `name_prefix`."""
    with Azurite.in_memory() as running:
        yield running.connection_string


@pytest.fixture
def name_prefix() -> str:
    """Answers with a start for names of tables, queues and containers that no other test has: `t` and 10 hex digits."""
    return f"t{secrets.token_hex(5)}"
