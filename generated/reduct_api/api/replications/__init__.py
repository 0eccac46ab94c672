"""One module per operation, named by its operationId; each is imported when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import (
        create_replication,
        delete_replication,
        get_replication,
        list_replications,
        set_replication_mode,
        update_replication,
    )
else:

    def __getattr__(name):
        if name in __all__:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "list_replications",
    "get_replication",
    "update_replication",
    "create_replication",
    "delete_replication",
    "set_replication_mode",
]
