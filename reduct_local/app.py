"""The ASGI application of one server: its endpoints inside its middleware."""

import importlib
import pkgutil

from starlette.types import ASGIApp

from reduct_local import api
from reduct_local.api.common import State
from reduct_local.middleware import Middleware
from reduct_local.router import Router

# Every module of `api` that has routes, imported now: a start of a server shall be quick.
_MODULES = [
    importlib.import_module(f"{api.__name__}.{module.name}")
    for module in pkgutil.iter_modules(api.__path__)
]
_ROUTED = [module for module in _MODULES if hasattr(module, "routes")]


def create_app(state: State) -> ASGIApp:
    """Return the application that serves this state."""
    routes = [route for module in _ROUTED for route in module.routes()]
    return Middleware(Router(routes, state.config.base_path), state)
