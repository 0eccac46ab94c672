"""One package per tag of the document, one module per operation; imported when first used."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import (
        batch,
        buckets,
        entries,
        io,
        lifecycles,
        links,
        queries,
        records,
        replications,
        server,
        tokens,
    )
else:

    def __getattr__(name):
        if name in __all__:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "server",
    "tokens",
    "buckets",
    "entries",
    "records",
    "batch",
    "queries",
    "io",
    "links",
    "replications",
    "lifecycles",
]
