"""The clocks of a server."""

import asyncio
import threading
import time

import pytest

from reduct_local.clock import Clock, ManualClock


def test_machine_clock() -> None:
    before = time.time_ns() // 1000
    now = Clock().now_us()
    assert before <= now <= time.time_ns() // 1000


def test_manual_clock_moves_when_it_is_told_to() -> None:
    assert abs(ManualClock().now_us() - Clock().now_us()) < 60_000_000
    clock = ManualClock(5)
    assert clock.now_us() == 5
    clock.advance(1.5)
    assert clock.now_us() == 1_500_005
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)
    assert clock.now_us() == 1_500_005


@pytest.mark.anyio
@pytest.mark.parametrize("clock", [Clock(), ManualClock()])
async def test_past_moments_need_no_sleep(clock: Clock) -> None:
    await asyncio.wait_for(clock.sleep_until(clock.now_us()), timeout=30)


@pytest.mark.anyio
async def test_sleep_by_the_machine_clock() -> None:
    clock = Clock()
    end = clock.now_us() + 20_000
    await asyncio.wait_for(clock.sleep_until(end), timeout=30)
    assert clock.now_us() >= end


@pytest.mark.anyio
async def test_sleepers_are_woken_from_another_thread() -> None:
    clock = ManualClock(0)
    first = asyncio.ensure_future(clock.sleep_until(10_000_000))
    second = asyncio.ensure_future(clock.sleep_until(20_000_000))
    given_up = asyncio.ensure_future(clock.sleep_until(10_000_000))
    await asyncio.sleep(0)
    given_up.cancel()
    threading.Thread(target=clock.advance, args=[9.0]).start()
    await asyncio.sleep(0.02)
    assert not first.done()
    threading.Thread(target=clock.advance, args=[1.0]).start()
    await asyncio.wait_for(first, timeout=30)
    assert not second.done()
    threading.Thread(target=clock.advance, args=[100.0]).start()
    await asyncio.wait_for(second, timeout=30)
    assert given_up.cancelled()


def test_sleepers_of_a_closed_loop_do_no_harm() -> None:
    clock = ManualClock(0)
    loop = asyncio.new_event_loop()
    task = loop.create_task(clock.sleep_until(1))
    loop.run_until_complete(asyncio.sleep(0))
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    loop.close()
    clock.advance(1)
