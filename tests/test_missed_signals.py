"""Waits of the blocking flavour end by Ctrl-C, also by one that Python's own waits miss.

Python takes note of a signal, and acts when the main thread returns from a wait. The signal ends
the wait, unless it comes at the moment the wait begins. Here another thread receives it, which
has the same effect and happens every time.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from reduct_sync._flavour import Crew, Event, sleep
from tests.recording import HANG_SECONDS


class Interrupted(Exception):
    """What the signal makes of a wait."""


def interrupt(_number: int, _frame: object) -> None:
    """Handle the signal as Ctrl-C is handled."""
    raise Interrupted


@pytest.fixture
def missed_signal() -> Iterator[None]:
    """A signal that comes soon, and ends no wait of this thread."""

    def receive() -> None:
        time.sleep(0.2)
        signal.raise_signal(signal.SIGUSR1)

    receiver = threading.Thread(target=receive)
    before = signal.signal(signal.SIGUSR1, interrupt)
    receiver.start()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    yield
    receiver.join()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    signal.signal(signal.SIGUSR1, before)


def wait_for_work() -> None:
    """Wait for work that does not end before this does."""
    crew = Crew()
    end = threading.Event()

    def work() -> None:
        end.wait(HANG_SECONDS)

    crew.start(work)
    try:
        crew.leave(None)
    finally:
        end.set()
        crew.leave(None)


WAITS: dict[str, Callable[[], object]] = {
    "event": lambda: Event().wait(),
    "event with timeout": lambda: Event().wait(HANG_SECONDS),
    "sleep": lambda: sleep(HANG_SECONDS),
    "work": wait_for_work,
}


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.usefixtures("missed_signal")
def test_it_is_seen_soon(name: str) -> None:
    began = time.monotonic()
    with pytest.raises(Interrupted):
        WAITS[name]()
    assert time.monotonic() - began < HANG_SECONDS / 2


@pytest.mark.usefixtures("missed_signal")
def test_pythons_own_wait_misses_it() -> None:
    """Else the test above would show nothing."""
    began = time.monotonic()
    with pytest.raises(Interrupted):
        threading.Event().wait(2)
    assert time.monotonic() - began > 1.9


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.05, 1.05])
def test_times_are_kept(seconds: float) -> None:
    began = time.monotonic()
    assert not Event().wait(seconds)
    sleep(seconds)
    assert time.monotonic() - began >= 2 * seconds


def test_what_is_set_ends_a_wait() -> None:
    event = Event()
    threading.Timer(0.05, event.set).start()
    assert event.wait()
    assert event.wait(0)


def test_all_work_is_waited_for_as_long_as_was_said() -> None:
    crew = Crew()
    done: list[int] = []

    def work() -> None:
        time.sleep(0.1)
        done.append(1)

    for _ in range(3):
        crew.start(work)
    crew.leave(0.9)
    assert len(done) == 3
