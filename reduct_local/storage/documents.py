"""Documents of other parts: tokens, replications, lifecycles."""

import json
from collections.abc import Iterable, Mapping

from .database import Database


class Documents:
    """JSON-able objects by kind and name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, kind: str) -> dict[str, dict[str, object]]:
        """Return all documents of a kind by name, sorted."""
        rows = self._database.execute(
            "SELECT name, value FROM documents WHERE kind = ? ORDER BY name", (kind,)
        )
        return {name: json.loads(value) for name, value in rows}

    def put(self, kind: str, name: str, value: Mapping[str, object]) -> None:
        """Store a document, in the place of one of the same kind and name."""
        with self._database.transaction:
            self._database.execute(
                "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)",
                (kind, name, json.dumps(dict(value))),
            )

    def delete(self, kind: str, names: Iterable[str]) -> None:
        """Remove documents; missing ones are fine."""
        with self._database.transaction:
            self._database.executemany(
                "DELETE FROM documents WHERE kind = ? AND name = ?",
                [(kind, name) for name in names],
            )
