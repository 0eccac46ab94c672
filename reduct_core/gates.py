"""Gates: which calls of one client may be in flight together on an entry.

The server wedges, loses or corrupts records when writes to one entry overlap, or removals
overlap with writes or updates of it. So calls take turns, first come, first served;
different entries never wait for each other, and reads take no gate.

This module keeps the books; waiting is the flavours' part.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from enum import Enum, auto
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from attrs import define, field

from .errors import NO_ANSWER, ReductError


class Mode(Enum):
    """What a call does to an entry."""

    WRITE = auto()
    UPDATE = auto()
    REMOVE = auto()


_CONFLICTS = frozenset(
    {
        (Mode.WRITE, Mode.WRITE),
        (Mode.WRITE, Mode.REMOVE),
        (Mode.REMOVE, Mode.WRITE),
        (Mode.UPDATE, Mode.REMOVE),
        (Mode.REMOVE, Mode.UPDATE),
    }
)


class Key(NamedTuple):
    """A gate: an entry of a bucket, or the bucket as a whole (``entry`` is "")."""

    bucket: str
    entry: str = ""


Claim: TypeAlias = tuple[Key, Mode]


def entry_claims(bucket: str, entries: Iterable[str], mode: Mode) -> Sequence[Claim]:
    """Return what a call over exact entries claims, in the order in which it is taken.

    The sorted order keeps calls over several entries from waiting for each other in a ring.
    Writes and updates share the bucket's gate, which only removals by pattern take alone.
    """
    claims: list[Claim] = [(Key(bucket, entry), mode) for entry in sorted(set(entries))]
    if mode is not Mode.REMOVE:
        claims.insert(0, (Key(bucket), Mode.UPDATE))
    return claims


def bucket_claims(bucket: str) -> Sequence[Claim]:
    """Return what a removal by pattern claims: no write or update in the whole bucket."""
    return [(Key(bucket), Mode.REMOVE)]


class Signal(Protocol):
    """The part of an event that the books need."""

    def set(self) -> object: ...


S = TypeVar("S", bound=Signal)


@define(eq=False)
class Ticket(Generic[S]):
    """A place at one gate; one that has a `signal` may pass once that is set."""

    key: Key
    mode: Mode
    signal: S | None = None
    granted: bool = False


@define(eq=False)
class _Gate(Generic[S]):
    holders: list[Ticket[S]] = field(factory=list)
    queue: deque[Ticket[S]] = field(factory=deque)

    def admits(self, mode: Mode) -> bool:
        return all((mode, holder.mode) not in _CONFLICTS for holder in self.holders)

    def grant(self, ticket: Ticket[S]) -> None:
        ticket.granted = True
        self.holders.append(ticket)


# The tickets that the present task or thread holds, also seen by tasks that it starts.
_held: ContextVar[tuple["Ticket[Any]", ...]] = ContextVar("reduct_held_gates", default=())


def note_held(tickets: Sequence[Ticket[S]]) -> Callable[[], None]:
    """Remember that the present context holds `tickets`; the result undoes it."""
    token = _held.set((*_held.get(), *tickets))
    return lambda: _held.reset(token)


class Gates(Generic[S]):
    """The gates of one client; a gate exists only while somebody holds or awaits it.

    May be used from several threads.
    """

    def __init__(self, make_signal: Callable[[], S]):
        self._make_signal = make_signal
        self._lock = threading.Lock()
        self._gates: dict[Key, _Gate[S]] = {}

    def __len__(self) -> int:
        return len(self._gates)

    def enter(self, ticket: Ticket[S]) -> None:
        """Take a place at the gate; `ticket` has no signal if it may pass at once.

        Otherwise the signal is set when its turn comes. Every ticket must be given to `leave`,
        also where an interruption (Ctrl-C) may have come before or in the midst of this call.

        Raises ReductError where the present task or thread would wait for itself, e.g. in a
        body iterator that writes to the entry it is written to.
        """
        key, mode = ticket.key, ticket.mode
        with self._lock:
            gate = self._gates.get(key)
            if gate is None:
                gate = self._gates[key] = _Gate()
            nested = self._nested(gate, key, mode)
            # A nested call must not queue behind calls that wait for the outer one.
            if gate.admits(mode) and (nested or not gate.queue):
                gate.grant(ticket)
            else:
                ticket.signal = self._make_signal()
                gate.queue.append(ticket)

    def leave(self, ticket: Ticket[S]) -> None:
        """Give a place back, passed, still waiting or never taken; let the next ones pass."""
        with self._lock:
            gate = self._gates.get(ticket.key)
            if gate is None:
                return
            if ticket in gate.holders:
                gate.holders.remove(ticket)
            elif ticket in gate.queue:
                gate.queue.remove(ticket)
            while gate.queue and gate.admits(gate.queue[0].mode):
                waiting = gate.queue.popleft()
                gate.grant(waiting)
                assert waiting.signal is not None
                waiting.signal.set()
            if not gate.holders and not gate.queue:
                del self._gates[ticket.key]

    def _nested(self, gate: _Gate[S], key: Key, mode: Mode) -> bool:
        """Tell whether the present context holds this gate already, in a compatible mode."""
        held = [ticket for ticket in _held.get() if ticket in gate.holders]
        if any((mode, ticket.mode) in _CONFLICTS for ticket in held):
            where = f"entry {key.entry!r}" if key.entry else f"bucket {key.bucket!r}"
            raise ReductError(
                NO_ANSWER,
                f"this call would wait for itself: {where} is being changed by the call whose"
                " body is being produced here; do it before or after that call",
            )
        return bool(held)
