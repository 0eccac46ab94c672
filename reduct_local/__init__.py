"""An embedded server with ReductStore's HTTP API, for demos, notebooks and tests."""

import importlib

try:
    # Needed for query links only, and imported late: whether it is there shall show now.
    importlib.import_module("cryptography")
    from reduct_local.clock import Clock, ManualClock
    from reduct_local.config import ConfigError
    from reduct_local.faults import Faults
    from reduct_local.server import Server
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] == "reduct_local":
        raise
    raise ModuleNotFoundError(
        f"the embedded server needs the package {error.name!r}: pip install 'reduct-httpx[local]'",
        name=error.name,
    ) from None

__all__ = ["Clock", "ConfigError", "Faults", "ManualClock", "Server"]
