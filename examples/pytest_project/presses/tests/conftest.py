"""Fixtures of all tests; those for ReductStore come from `reduct_pytest`."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of async tests, which the plugin of anyio runs."""
    return "asyncio"
