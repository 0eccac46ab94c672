"""Queries through proxies that do not take large heads: they ask for smaller ones and go on."""

import json
from typing import Any

import httpx
import pytest

from reduct_async import ApiError, Bucket, ReductError
from tests.flavours import Flavour

RECORDS = 300


class Proxy:
    """A server behind a proxy that takes heads of at most so many bytes."""

    def __init__(self, largest: int, refusal: int = 431) -> None:
        self.largest = largest
        self.refusal = refusal
        self.from_answer = 0
        """Heads are refused from this answer on."""
        self.queries: list[dict[str, Any]] = []
        self._answers = 0
        self._positions: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.queries.append(json.loads(request.content))
            self._positions.append(self.queries[-1].get("start") or 0)
            return httpx.Response(200, json={"id": len(self.queries) - 1})
        number = int(request.url.params["q"])
        self._answers += 1
        if self._answers > self.from_answer and self.asked(number) > self.largest:
            return httpx.Response(self.refusal, text="too large for this proxy")
        return self._answer(number)

    def asked(self, number: int) -> int:
        """Return the bytes of heads that a query asked for."""
        size: int = self.queries[number]["when"]["#batch_metadata_size"]
        return size

    def _answer(self, number: int) -> httpx.Response:
        first = self._positions[number]
        end = min(first + self.queries[number]["when"]["#batch_records"], RECORDS)
        self._positions[number] = end
        heads = {f"x-reduct-time-{us}": "1," for us in range(first, end)}
        last = {"x-reduct-last": "true" if end == RECORDS else "false"}
        return httpx.Response(200, headers={**heads, **last}, content=b"x" * (end - first))


def through(flavour: Flavour, proxy: Proxy) -> Bucket:
    """Return a bucket behind `proxy`."""
    client = flavour.client("http://test", transport=httpx.MockTransport(proxy))
    return client.bucket("bucket")


async def times(found: Any) -> list[int]:
    return [record.timestamp async for record in found]


@pytest.mark.parametrize(("largest", "queries"), [(10**6, 1), (60_000, 1), (8_000, 3)])
@pytest.mark.parametrize("refusal", [431, 502])
async def test_heads_become_smaller(
    flavour: Flavour, largest: int, queries: int, refusal: int
) -> None:
    proxy = Proxy(largest, refusal)
    assert await times(through(flavour, proxy).query("entry")) == list(range(RECORDS))
    assert len(proxy.queries) == queries
    if queries == 3:
        assert [proxy.asked(number) for number in range(3)][-1] == 6_000
        assert proxy.queries[-1]["when"]["#batch_records"] == 70


async def test_on_the_way_it_goes_on_behind_the_last_record(flavour: Flavour) -> None:
    proxy = Proxy(8_000)
    proxy.from_answer = 2
    found = through(flavour, proxy).query("entry", when={"#batch_records": 100})
    assert await times(found) == list(range(RECORDS))
    assert [query["start"] for query in proxy.queries] == [0, 200, 200]


async def test_a_condition_with_a_memory_is_not_begun_anew(flavour: Flavour) -> None:
    proxy = Proxy(8_000)
    proxy.from_answer = 1
    when = {"$each_n": 2, "#batch_records": 100}
    with pytest.raises(ReductError, match="431"):
        await times(through(flavour, proxy).query("entry", when=when))
    assert len(proxy.queries) == 1


async def test_the_choice_of_the_user_stays(flavour: Flavour) -> None:
    proxy = Proxy(8_000)
    with pytest.raises(ApiError, match="431"):
        await times(through(flavour, proxy).query("entry", when={"#batch_metadata_size": 20_000}))
    assert [proxy.asked(number) for number in range(len(proxy.queries))] == [20_000]


async def test_it_ends_where_nothing_helps(flavour: Flavour) -> None:
    proxy = Proxy(100)
    with pytest.raises(ApiError, match="431"):
        await times(through(flavour, proxy).query("entry"))
    assert [proxy.asked(number) for number in range(len(proxy.queries))] == [60_000, 60_000, 6_000]
