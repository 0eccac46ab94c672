"""The recorder: runs next to a press and brings its curves to the archive, sooner or later."""

from collections import deque

from reduct_async import ApiError, Bucket, ConflictError, TransportError

from .curve import CONTENT_TYPE, Curve


class Recorder:
    """Takes the curves of one press; keeps them until the archive has them.

    Args:
        bucket: the archive.
        press: the name of the press.
        most: how many curves are kept; the oldest are dropped.
    """

    def __init__(self, bucket: Bucket, press: str, most: int = 10_000) -> None:
        self._bucket = bucket
        self._press = press
        self._waiting: deque[Curve] = deque(maxlen=most)

    @property
    def waiting(self) -> int:
        """How many curves the archive does not have yet."""
        return len(self._waiting)

    async def take(self, curve: Curve) -> None:
        """Take a curve, and try to bring all that wait to the archive."""
        self._waiting.append(curve)
        await self.flush()

    async def flush(self) -> bool:
        """Bring what waits to the archive; return False if it takes no more for now."""
        while self._waiting:
            if not await self._write(self._waiting[0]):
                return False
            self._waiting.popleft()
        return True

    async def _write(self, curve: Curve) -> bool:
        try:
            await self._bucket.write(
                self._press,
                curve.to_bytes(),
                curve.time,
                content_type=CONTENT_TYPE,
                labels=curve.labels(),
            )
        except ConflictError:
            # It arrived before, but the answer did not.
            return True
        except TransportError:
            return False
        except ApiError as error:
            if error.status_code in {429, 503, 507}:
                return False
            raise
        return True
