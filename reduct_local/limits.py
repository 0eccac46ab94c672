"""Rate limits: requests and bytes per client and window of time."""

from dataclasses import dataclass

from reduct_local.clock import Clock
from reduct_local.durations import parse_duration, parse_size
from reduct_local.errors import ApiError
from reduct_local.integers import parse_u64

_HOUR = 3_600_000_000
_SECOND = 1_000_000
_CLIENTS = 10_000
"""How many clients are remembered; beyond it, those whose window has passed are forgotten."""


@dataclass(frozen=True, slots=True)
class Rate:
    """An amount per window of microseconds."""

    amount: int
    window_us: int = _HOUR


def parse_rate(text: str, *, requests: bool) -> Rate | None:
    """Return the rate of a text such as `100req/s`, `10MB/m`, `5000`; None if it is none."""
    amount_text, slash, period_text = text.strip().rpartition("/")
    if not slash:
        amount_text, period_text = period_text, "1h"
    amount_text, period_text = amount_text.strip(), period_text.strip()
    if period_text.isascii() and period_text.isalpha():
        period_text = "1" + period_text
    if requests:
        amount = parse_u64(amount_text.removesuffix("req").strip())
    else:
        amount = parse_size(amount_text)
    period = parse_duration(period_text)
    if amount is None or period is None or period <= 0:
        return None
    return Rate(amount, period)


class _Counter:
    """One rate, counted per client in fixed windows of at least a second."""

    def __init__(self, rate: Rate, what: str, clock: Clock) -> None:
        self._amount = rate.amount
        self._window = max(rate.window_us, _SECOND)
        self._what = what
        self._clock = clock
        self.clients: dict[str, tuple[int, int]] = {}
        """By client: start of the window, amount used in it."""

    def use(self, client: str, amount: int) -> None:
        now = self._clock.now_us()
        start, used = self.clients.get(client, (now, 0))
        if now - start >= self._window:
            start, used = now, 0
        if used + amount > self._amount:
            wait = max(-(-(start + self._window - now) // _SECOND), 1)
            raise ApiError(
                429,
                f"rate limit for {self._what} (client {client}) exceeded: used={used + amount} "
                f"limit={self._amount} retry_after={wait}s",
            )
        if client not in self.clients and len(self.clients) >= _CLIENTS:
            self._forget(now)
        self.clients[client] = (start, used + amount)

    def _forget(self, now: int) -> None:
        fresh = {
            client: state for client, state in self.clients.items() if now - state[0] < self._window
        }
        self.clients = fresh


class Limits:
    """The rate limits of one server; each None is no limit.

    Args:
        api: requests of every kind.
        ingress: announced bytes of writes.
        egress: bytes of reads.
    """

    def __init__(
        self, clock: Clock, *, api: Rate | None, ingress: Rate | None, egress: Rate | None
    ) -> None:
        self.counts_requests = api is not None
        self._api = _Counter(api, "api requests", clock) if api else None
        self._ingress = _Counter(ingress, "ingress bytes", clock) if ingress else None
        self._egress = _Counter(egress, "egress bytes", clock) if egress else None

    @property
    def known_clients(self) -> int:
        """How many clients' requests are being counted."""
        return len(self._api.clients) if self._api else 0

    def api(self, client: str) -> None:
        """Count a request; 429 beyond the limit."""
        if self._api:
            self._api.use(client, 1)

    def ingress(self, client: str, size: int) -> None:
        """Count the bytes of a write; 429 beyond the limit, and then nothing is counted."""
        if self._ingress:
            self._ingress.use(client, size)

    def egress(self, client: str, size: int) -> None:
        """Count the bytes of a read; 429 beyond the limit, and then nothing is counted."""
        if self._egress:
            self._egress.use(client, size)
