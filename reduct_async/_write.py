"""Runs the calls of `reduct_core.writes` through the gates, one after the other."""

import time
from collections.abc import Sequence
from functools import partial

from reduct_core import batch_writes, writes
from reduct_core.errors import ApiError, ReductError, TransportError
from reduct_core.writes import Call, Errors

from ._flavour import finished
from ._io import Io


async def run(io: Io, calls: Sequence[Call]) -> Errors:
    """Send `calls` in order; return the errors of single records, raise those of a call."""
    found: Errors = {}
    for done, call in enumerate(calls):
        try:
            found |= await _run_one(io, call)
        except ReductError as error:
            if len(calls) > 1:
                error.add_note(batch_writes.progress_note(done, len(calls)))
            raise
    return found


async def run_single(io: Io, call: Call) -> None:
    """Send a call that concerns one record; raise its error."""
    for error in (await _run_one(io, call)).values():
        raise error


async def attempt(io: Io, call: Call) -> Errors:
    """Send a call; return the errors of its records. Nobody waits for it to be cancelled."""
    async with io.gate(call.claims):
        return await _exchange(io, call)


async def _run_one(io: Io, call: Call) -> Errors:
    async with io.gate(call.claims):
        if call.must_finish:
            return await finished(partial(_exchange, io, call), writes.FINISH_SECONDS)
        return await _exchange(io, call)


async def _exchange(io: Io, call: Call) -> Errors:
    began = time.monotonic()
    try:
        response = await io.complete(call.spec, repeatable=False)
    except ApiError as error:
        return call.failure(error)
    except TransportError as error:
        refusal = await _refusal(io, call) if writes.was_cut_off(call, error) else None
        raise refusal or error from error.__cause__
    seconds = time.monotonic() - began
    found = call.outcome(response)
    for key in writes.in_doubt(call, found, seconds):
        try:
            await io.complete(call.probe(key))
        except ReductError as error:
            found[key] = writes.not_verified(key, seconds, error)
    if call.adds:
        io.own_writes.note(call.bucket, [key for key in call.keys if key not in found])
    return found


async def _refusal(io: Io, call: Call) -> ReductError | None:
    """Return why a write was cut off: early answers may be lost together with the connection."""
    try:
        await io.complete(call.bucket_probe())
    except ReductError as error:
        return writes.refusal(error)
    return None
