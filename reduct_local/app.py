"""The ASGI application of one server: its state, its endpoints, its middleware."""

import importlib
import pkgutil
from collections.abc import Iterator

from starlette.routing import Route
from starlette.types import ASGIApp

from reduct_local import api
from reduct_local.api.common import State
from reduct_local.middleware import Middleware
from reduct_local.router import Router


def create_app(state: State) -> ASGIApp:
    """Return the application that serves this state."""
    config = state.config
    router = Router(_routes(), config.base_path)
    return Middleware(router, state)


def _routes() -> Iterator[Route]:
    """Yield the routes of every module of `api` that has some."""
    for module in pkgutil.iter_modules(api.__path__):
        routes = getattr(importlib.import_module(f"{api.__name__}.{module.name}"), "routes", None)
        if routes is not None:
            yield from routes()
