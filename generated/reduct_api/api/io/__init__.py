"""One module per operation, named by its operationId; each is imported when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import io_head, io_query, io_read, io_remove, io_update, io_write
else:

    def __getattr__(name):
        if name in __all__:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["io_write", "io_query", "io_read", "io_head", "io_update", "io_remove"]
