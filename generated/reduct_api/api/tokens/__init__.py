"""One module per operation, named by its operationId; each is imported when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import create_token, get_me, get_token, list_tokens, remove_token, rotate_token
else:

    def __getattr__(name):
        if name in __all__:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["get_me", "list_tokens", "get_token", "create_token", "remove_token", "rotate_token"]
