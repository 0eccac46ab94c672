"""The async recorder, on an embedded server that fails on purpose."""

import pytest

from reduct_async import Bucket
from reduct_local import Server

from ..curve import Curve
from ..recorder import Recorder

pytestmark = pytest.mark.anyio

CURVES = [Curve(time, (float(time),)) for time in range(1, 6)]


@pytest.fixture
def recorder(reduct_async_bucket: Bucket) -> Recorder:
    """A recorder of one press."""
    return Recorder(reduct_async_bucket, "press-1")


async def archived(bucket: Bucket) -> list[int]:
    """Return the times of the archived curves."""
    return [record.timestamp async for record in bucket.query("press-1", head=True)]


async def test_curves_arrive(recorder: Recorder, reduct_async_bucket: Bucket) -> None:
    for curve in CURVES:
        await recorder.take(curve)
    assert recorder.waiting == 0
    assert await archived(reduct_async_bucket) == [1, 2, 3, 4, 5]


async def test_nothing_is_lost_while_the_store_is_busy(
    recorder: Recorder, reduct_async_bucket: Bucket, reduct_server: Server
) -> None:
    reduct_server.faults.status(503, method="POST", times=3)
    for curve in CURVES:
        await recorder.take(curve)
    assert recorder.waiting == 0
    assert await archived(reduct_async_bucket) == [1, 2, 3, 4, 5]


async def test_nothing_is_lost_while_the_store_is_away(
    recorder: Recorder, reduct_async_bucket: Bucket, reduct_server: Server
) -> None:
    reduct_server.faults.reset_after(0, method="POST")
    await recorder.take(CURVES[0])
    await recorder.take(CURVES[1])
    assert recorder.waiting == 2
    assert not await recorder.flush()
    reduct_server.faults.clear()
    # The first one had arrived, only its answer was lost.
    assert await recorder.flush()
    assert await archived(reduct_async_bucket) == [1, 2]


async def test_a_refusal_is_an_error(recorder: Recorder, reduct_server: Server) -> None:
    reduct_server.faults.status(422, "no", times=1)
    with pytest.raises(Exception, match="no"):
        await recorder.take(CURVES[0])


async def test_the_oldest_are_dropped(reduct_async_bucket: Bucket, reduct_server: Server) -> None:
    recorder = Recorder(reduct_async_bucket, "press-1", most=2)
    reduct_server.faults.rate_limit(times=2)
    for curve in CURVES[:3]:
        await recorder.take(curve)
    assert await archived(reduct_async_bucket) == [2, 3]
