"""The archive: writes curves and finds them again."""

from collections.abc import Iterable, Iterator

from reduct_sync import Batch, Bucket

from .curve import CONTENT_TYPE, Curve, curve_from_bytes


class Archive:
    """Curves of presses in a bucket: one entry for each press.

    Args:
        bucket: where they are.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def store(self, press: str, curves: Iterable[Curve]) -> list[int]:
        """Write curves; return the times of those that were there already."""
        batch = Batch()
        for curve in curves:
            batch.add(curve.time, curve.to_bytes(), CONTENT_TYPE, curve.labels())
        errors = self._bucket.write_batch(press, batch)
        for error in errors.values():
            if error.status_code != 409:
                raise error
        return sorted(errors)

    def overloads(self, press: str, limit: float) -> Iterator[Curve]:
        """Yield the curves of a press with a peak above `limit` newtons, by time."""
        for record in self._bucket.query(press, when={"&peak": {"$gt": limit}}):
            yield curve_from_bytes(record.timestamp, record.read_all())

    def confirm(self, press: str, time: int, inspector: str) -> None:
        """Note who looked at the curve of an overload."""
        self._bucket.update(press, time, labels={"confirmed": inspector})

    def unconfirmed(self, press: str, limit: float) -> int:
        """Return how many overloads of a press nobody has looked at yet."""
        when = {"$and": [{"&peak": {"$gt": limit}}, {"$not": [{"$has": "confirmed"}]}]}
        return sum(1 for _ in self._bucket.query(press, when=when, head=True))
