"""Changes that wait to be forwarded, in order, kept across restarts."""

import itertools
from collections import deque
from dataclasses import dataclass
from typing import Any

from reduct_local.engine import Engine


@dataclass(frozen=True, slots=True)
class Transaction:
    """A change of one record: `kind` is "write" or "update"; `number` orders all changes."""

    number: int
    timestamp: int
    kind: str


class Queue:
    """The waiting changes of one replication, by entry.

    Each is a document of the engine, stored before the change is acknowledged.

    Args:
        engine: keeps the documents.
        name: the name of the replication.
        size: how many changes of one entry may wait; the oldest are dropped.
    """

    def __init__(self, engine: Engine, name: str, size: int) -> None:
        self._engine = engine
        self._kind = f"replication-queue/{name}"
        self._size = size
        self._entries: dict[str, deque[Transaction]] = {}
        self._last = 0
        self.pending = 0
        """How many changes wait."""
        self._load()

    def _load(self) -> None:
        documents: dict[str, dict[str, Any]] = self._engine.documents(self._kind)
        for key in sorted(documents, key=int):
            document = documents[key]
            self._last = int(key)
            transaction = Transaction(self._last, document["timestamp"], document["kind"])
            self._entries.setdefault(document["entry"], deque()).append(transaction)
        self.pending = len(documents)

    def add(self, entry: str, timestamp: int, kind: str) -> bool:
        """Append a change; return False if the oldest of the entry was dropped for it."""
        self._last += 1
        waiting = self._entries.setdefault(entry, deque())
        waiting.append(Transaction(self._last, timestamp, kind))
        document = {"entry": entry, "timestamp": timestamp, "kind": kind}
        self._engine.put_document(self._kind, str(self._last), document)
        self.pending += 1
        if len(waiting) <= self._size:
            return True
        self.done(entry, waiting[0].number)
        return False

    def entries(self) -> list[str]:
        """Return the entries with waiting changes, sorted."""
        return sorted(self._entries)

    def front(self, entry: str, count: int) -> list[Transaction]:
        """Return the oldest waiting changes of an entry, at most `count`, in order."""
        return list(itertools.islice(self._entries.get(entry, ()), count))

    def done(self, entry: str, last: int) -> None:
        """Remove the changes of an entry up to the number `last`."""
        waiting = self._entries.get(entry, deque())
        removed: list[str] = []
        while waiting and waiting[0].number <= last:
            removed.append(str(waiting.popleft().number))
        self._engine.delete_documents(self._kind, removed)
        self.pending -= len(removed)
        if not waiting:
            self._entries.pop(entry, None)

    def clear(self) -> None:
        """Remove all changes."""
        for entry in self.entries():
            self.done(entry, self._last)
