"""The books of the gates, against a model: nobody conflicts, waits in vain or is passed by."""

import contextvars
import threading
from collections.abc import Callable

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from reduct_core.errors import ReductError
from reduct_core.gates import Gates, Key, Mode, Ticket, bucket_claims, entry_claims, note_held
from tests.recording import entered

WRITE, UPDATE, REMOVE = Mode.WRITE, Mode.UPDATE, Mode.REMOVE

APART = [{WRITE}, {WRITE, REMOVE}, {UPDATE, REMOVE}]
"""What must not overlap on an entry; `{WRITE}` are two writes."""


def conflict(one: Mode, other: Mode) -> bool:
    return {one, other} in APART


@define
class Flag:
    """A signal that can be looked at."""

    up: bool = False

    def set(self) -> None:
        assert not self.up, "a ticket was called twice"
        self.up = True


@define(eq=False)
class Guest:
    """What the model knows of a ticket."""

    ticket: Ticket[Flag]
    inside: bool


@define
class Room:
    """What the model knows of a gate: who is in, and who waits, in order."""

    inside: list[Guest] = field(factory=list)
    waiting: list[Guest] = field(factory=list)

    def admits(self, mode: Mode) -> bool:
        return not any(conflict(mode, guest.ticket.mode) for guest in self.inside)


@define(eq=False)
class Task:
    """A task or thread, with the tickets that it noted."""

    context: contextvars.Context = field(factory=contextvars.copy_context)
    held: list[Guest] = field(factory=list)
    undo: list[Callable[[], None]] = field(factory=list)


KEYS = st.sampled_from([Key("b"), Key("b", "x"), Key("b", "y"), Key("c", "x")])


class Books(RuleBasedStateMachine):
    """Calls come, are let in, go, and give up waiting, in any order."""

    tasks = Bundle("tasks")
    guests = Bundle("guests")

    def __init__(self) -> None:
        super().__init__()
        self.gates = Gates(Flag)
        self.rooms: dict[Key, Room] = {}

    @initialize(target=tasks)
    def first_task(self) -> Task:
        return Task()

    @rule(target=tasks)
    def new_task(self) -> Task:
        return Task()

    @rule(target=tasks, parent=tasks)
    def child_task(self, parent: Task) -> Task:
        """A task that another one starts sees what that one holds."""
        return Task(parent.context.copy(), list(parent.held))

    @rule(target=guests, task=tasks, key=KEYS, mode=st.sampled_from(Mode))
    def enter(self, task: Task, key: Key, mode: Mode) -> Guest | None:
        room = self.rooms.get(key, Room())
        own = [guest for guest in task.held if guest in room.inside]
        if any(conflict(mode, guest.ticket.mode) for guest in own):
            with pytest.raises(ReductError, match="would wait for itself"):
                task.context.run(entered, self.gates, key, mode)
            return None
        ticket = task.context.run(entered, self.gates, key, mode)
        guest = Guest(ticket, inside=room.admits(mode) and (bool(own) or not room.waiting))
        (room.inside if guest.inside else room.waiting).append(guest)
        self.rooms[key] = room
        assert (ticket.key, ticket.mode) == (key, mode)
        assert (ticket.signal is None) is guest.inside
        return guest

    @rule(task=tasks, guest=guests)
    def note(self, task: Task, guest: Guest | None) -> None:
        """A task that is in goes on to do its work, in which it may call again."""
        if guest is not None and guest.inside and guest not in task.held:
            task.held.append(guest)
            task.undo.append(task.context.run(note_held, [guest.ticket]))

    @rule(task=tasks)
    def forget(self, task: Task) -> None:
        if task.undo:
            task.held.pop()
            task.context.run(task.undo.pop())

    @rule(guest=consumes(guests))
    def leave(self, guest: Guest | None) -> None:
        """A call ends, or gives up waiting."""
        if guest is None:
            return
        room = self.rooms[guest.ticket.key]
        self.gates.leave(guest.ticket)
        (room.inside if guest.inside else room.waiting).remove(guest)
        while room.waiting and room.admits(room.waiting[0].ticket.mode):
            following = room.waiting.pop(0)
            following.inside = True
            room.inside.append(following)
        if not room.inside and not room.waiting:
            del self.rooms[guest.ticket.key]

    @invariant()
    def exactly_those_who_are_in_know_it(self) -> None:
        for room in self.rooms.values():
            for guest in [*room.inside, *room.waiting]:
                ticket = guest.ticket
                assert ticket.granted is guest.inside
                assert (ticket.signal is None or ticket.signal.up) is guest.inside

    @invariant()
    def nobody_conflicts(self) -> None:
        for room in self.rooms.values():
            for position, guest in enumerate(room.inside):
                for other in room.inside[:position]:
                    assert not conflict(guest.ticket.mode, other.ticket.mode)

    @invariant()
    def gates_vanish(self) -> None:
        assert len(self.gates) == len(self.rooms)


def test_books_keep_to_the_model() -> None:
    run_state_machine_as_test(Books, settings=settings(max_examples=150, stateful_step_count=40))


@pytest.mark.parametrize("first", Mode)
@pytest.mark.parametrize("second", Mode)
def test_conflicts(first: Mode, second: Mode) -> None:
    """The rules of design.md 7, in both orders."""
    gates = Gates(Flag)
    entered(gates, Key("b", "x"), first)
    assert (entered(gates, Key("b", "x"), second).signal is not None) is conflict(first, second)
    assert entered(gates, Key("b", "y"), second).signal is None
    assert entered(gates, Key("c", "x"), second).signal is None


def test_first_come_first_served() -> None:
    """A call that could go at once does not pass those that wait."""
    gates = Gates(Flag)
    key = Key("b", "x")
    holder = entered(gates, key, UPDATE)
    waiting = entered(gates, key, REMOVE)
    late = entered(gates, key, UPDATE)
    assert waiting.signal == Flag(up=False)
    assert late.signal == Flag(up=False)
    gates.leave(holder)
    assert (waiting.signal, late.signal) == (Flag(up=True), Flag(up=False))
    gates.leave(waiting)
    assert late.signal == Flag(up=True)
    gates.leave(late)
    assert len(gates) == 0


def test_an_abandoned_place_lets_the_next_ones_pass() -> None:
    gates = Gates(Flag)
    key = Key("b", "x")
    holder = entered(gates, key, UPDATE)
    waiting = entered(gates, key, REMOVE)
    late = entered(gates, key, WRITE)
    gates.leave(waiting)
    assert late.signal == Flag(up=True)
    gates.leave(late)
    gates.leave(holder)
    assert len(gates) == 0


def test_a_nested_call_does_not_queue_behind_those_that_wait_for_the_outer_one() -> None:
    gates = Gates(Flag)
    bucket = Key("b")
    outer = entered(gates, bucket, UPDATE)
    waiting = entered(gates, bucket, REMOVE)
    undo = note_held([outer])
    assert entered(gates, bucket, UPDATE).signal is None
    undo()
    assert entered(gates, bucket, UPDATE).signal is not None
    assert waiting.signal == Flag(up=False)


@pytest.mark.parametrize(("entry", "text"), [("x", "entry 'x'"), ("", "bucket 'b'")])
def test_a_call_that_would_wait_for_itself_is_an_error(entry: str, text: str) -> None:
    gates = Gates(Flag)
    key = Key("b", entry)
    ticket = entered(gates, key, WRITE)
    undo = note_held([ticket])
    with pytest.raises(ReductError, match=f"wait for itself: {text}"):
        entered(gates, key, WRITE)
    undo()
    assert entered(gates, key, WRITE).signal == Flag(up=False)
    gates.leave(ticket)


def test_what_a_context_held_before_is_forgotten() -> None:
    gates = Gates(Flag)
    key = Key("b", "x")
    ticket = entered(gates, key, WRITE)
    undo = note_held([ticket])
    gates.leave(ticket)
    again = entered(gates, key, WRITE)
    assert again.signal is None
    undo()


def test_another_client_has_gates_of_its_own() -> None:
    ticket = entered(Gates(Flag), Key("b", "x"), WRITE)
    undo = note_held([ticket])
    assert entered(Gates(Flag), Key("b", "x"), WRITE).signal is None
    undo()


# --- claims --------------------------------------------------------------------------------


@given(st.lists(st.text(min_size=1)), st.sampled_from(Mode))
def test_claims_are_taken_in_one_order(entries: list[str], mode: Mode) -> None:
    """So calls over several entries never wait for each other in a ring."""
    claims = entry_claims("b", entries, mode)
    keys = [key for key, _ in claims]
    assert keys == sorted(set(keys))
    assert [key.entry for key in keys if key.entry] == sorted(set(entries))
    assert {claimed for key, claimed in claims if key.entry} <= {mode}


def test_writes_and_updates_share_the_bucket_with_all_but_removals_by_pattern() -> None:
    shared = (Key("b"), UPDATE)
    assert entry_claims("b", ["y", "x", "y"], WRITE) == [
        shared,
        (Key("b", "x"), WRITE),
        (Key("b", "y"), WRITE),
    ]
    assert entry_claims("b", ["x"], UPDATE) == [shared, (Key("b", "x"), UPDATE)]
    assert entry_claims("b", ["x"], REMOVE) == [(Key("b", "x"), REMOVE)]
    assert bucket_claims("b") == [(Key("b"), REMOVE)]
    assert conflict(REMOVE, shared[1])
    assert not conflict(shared[1], shared[1])


# --- threads -------------------------------------------------------------------------------

THREADS = 8
TURNS = 200


def test_threads_take_turns() -> None:
    gates = Gates(threading.Event)
    key = Key("b", "x")
    inside: list[int] = []
    overlaps: list[list[int]] = []

    def work(number: int) -> None:
        for _ in range(TURNS):
            ticket = entered(gates, key, WRITE)
            if ticket.signal is not None:
                assert ticket.signal.wait(60)
            inside.append(number)
            if len(inside) != 1:
                overlaps.append(list(inside))
            inside.remove(number)
            gates.leave(ticket)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert overlaps == []
    assert len(gates) == 0
