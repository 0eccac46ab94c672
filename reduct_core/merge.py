"""Records of several queries, each in the order of time, as one sequence in the order of time."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import TypeVar

from .record_info import RecordInfo
from .records import by_time

R = TypeVar("R", bound=RecordInfo)


def take_ready(waiting: Sequence[list[R]]) -> list[R]:
    """Take out what can be handed out now, in the order of time.

    Each list holds the next records of a query that goes on behind them; that of a query which
    has ended is empty. At least one list is empty afterwards.
    """
    ready: list[R] = []
    bound = min((by_time(found[-1]) for found in waiting if found), default=None)
    if bound is None:
        return ready
    for found in waiting:
        end = bisect_right(found, bound, key=by_time)
        ready += found[:end]
        del found[:end]
    ready.sort(key=by_time)
    return ready
