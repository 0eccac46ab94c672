"""One module per operation, named by its operationId; each is imported when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import (
        create_lifecycle,
        delete_lifecycle,
        get_lifecycle,
        list_lifecycles,
        set_lifecycle_mode,
        update_lifecycle,
    )
else:

    def __getattr__(name):
        if name in __all__:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "list_lifecycles",
    "get_lifecycle",
    "update_lifecycle",
    "create_lifecycle",
    "delete_lifecycle",
    "set_lifecycle_mode",
]
