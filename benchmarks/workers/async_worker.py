"""The worker of async clients: reduct-py and `reduct_async`, by the same code.

python -m benchmarks.workers.async_worker {reduct | reduct_async} URL [--stock]
"""

import asyncio
import importlib
import random
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from benchmarks.workers.measure import (
    FILE_PIECE,
    Measurement,
    Operation,
    answer,
    expect,
    failure,
    imports_done,
    orders,
    stamps,
)

ALL: dict[str, Any] = {"start": 0, "stop": 2**63 - 1}


class Worker:
    """The operations of the rows; `package` is the client's module."""

    def __init__(self, package: Any, client: Any) -> None:
        self.package = package
        self.client = client
        self.ours = package.__name__ == "reduct_async"

    async def query(self, order: dict[str, Any], turn: Measurement) -> None:
        """Read all records of one or several entries, again until the time is over."""
        bucket = await self.client.get_bucket("bench")
        entries = order["entries"] if len(order["entries"]) > 1 else order["entries"][0]
        options: dict[str, Any] = {"head": True} if order.get("head") else {}
        if order.get("when"):
            options["when"] = order["when"]
        turn.start()
        while turn.seconds < order["seconds"] or turn.bytes < order.get("bytes", 0):
            found = 0
            async for record in bucket.query(entries, **ALL, **options):
                if not order.get("head"):
                    turn.bytes += len(await record.read_all())
                found += 1
            turn.units += found
            turn.stop()
            turn.start()
            expect(found, order["count"], "records")
        turn.stop()

    async def read(self, order: dict[str, Any], turn: Measurement) -> None:
        """Read single records, by one task or by several."""
        bucket = await self.client.get_bucket("bench")
        wanted = stamps(order)

        async def one_task() -> None:
            end = time.perf_counter() + order["seconds"]
            while time.perf_counter() < end:
                async with bucket.read(order["entries"][0], timestamp=next(wanted)) as record:
                    turn.bytes += len(await record.read_all())
                turn.units += 1

        turn.start()
        await asyncio.gather(*(one_task() for _ in range(order.get("tasks", 1))))
        turn.stop()

    async def write(self, order: dict[str, Any], turn: Measurement) -> None:
        """Write single records, one after the other."""
        bucket = await self.client.get_bucket("bench")
        data = b"x" * order["size"]
        turn.start()
        while turn.seconds < order["seconds"]:
            for _ in range(100):
                await bucket.write(order["entry"], data, timestamp=order["first"] + turn.units)
                turn.units += 1
            turn.stop()
            turn.start()
        turn.stop()

    async def gather_writes(self, order: dict[str, Any], turn: Measurement) -> None:
        """Write all records by one gather; count afterwards what is there."""
        bucket = await self.client.get_bucket("bench")
        names = [f"{order['entry']}-{number}" for number in range(order["spread"])]
        data = b"x" * order["size"]
        turn.start()
        writes = [
            bucket.write(names[number % len(names)], data, timestamp=order["first"] + number)
            for number in range(order["count"])
        ]
        done = asyncio.gather(*writes, return_exceptions=True)
        results = await asyncio.wait_for(done, order["patience"])
        turn.stop()
        refused = sum(isinstance(result, Exception) for result in results)
        found = 0
        for name in names:
            async for _record in bucket.query(name, **ALL):
                found += 1
        turn.units = order["count"]
        lost = order["count"] - refused - found
        if refused or lost:
            turn.note = f"{refused} refused, {lost} lost"

    async def write_batches(self, order: dict[str, Any], turn: Measurement) -> None:
        """Write batches, one after the other, to the entries in turn."""
        bucket = await self.client.get_bucket("bench")
        data = b"x" * order["size"]
        names = [f"{order['entry']}-{number}" for number in range(order["spread"])]
        turn.start()
        while turn.seconds < order["seconds"]:
            for name in names:
                batch = self.package.Batch()
                for number in range(order["batch"]):
                    batch.add(order["first"] + turn.units + number, data)
                expect(len(await bucket.write_batch(name, batch)), 0, "errors")
                turn.units += order["batch"]
            turn.stop()
            turn.start()
        turn.stop()

    async def writer(self, order: dict[str, Any], turn: Measurement) -> None:
        """Write to several entries the fastest way the client has."""
        if not self.ours:
            await self.write_batches(order, turn)
            return
        bucket = await self.client.get_bucket("bench")
        data = b"x" * order["size"]
        names = [f"{order['entry']}-{number}" for number in range(order["spread"])]
        turn.start()
        end = time.perf_counter() + order["seconds"]
        async with bucket.writer() as writer:
            while time.perf_counter() < end:
                for _ in range(order["batch"]):
                    for name in names:
                        timestamp = order["first"] + turn.units
                        await writer.write(name, data, timestamp=timestamp)
                        turn.units += 1
        turn.stop()

    async def change(self, order: dict[str, Any], turn: Measurement) -> None:
        """Update labels of, or remove, `count` records, in batches as large as the client takes."""
        bucket = await self.client.get_bucket("bench")
        at_once = order["count"] if self.ours else order["batch"]
        package = self.package
        send = bucket.update_batch if order["change"] == "labels" else bucket.remove_batch
        turn.start()
        for first in range(order["first"], order["first"] + order["count"], at_once):
            batch = package.Batch()
            for timestamp in range(first, first + at_once):
                if order["change"] == "labels":
                    batch.add(timestamp, labels={"score": order["label"]})
                else:
                    batch.add(timestamp)
            expect(len(await send(order["entry"], batch)), 0, "errors")
            turn.units += at_once
        turn.stop()

    async def upload(self, order: dict[str, Any], turn: Measurement) -> None:
        """Write one file as one record."""
        bucket = await self.client.get_bucket("bench")
        path = Path(order["path"])
        size = path.stat().st_size

        async def pieces() -> AsyncIterator[bytes]:
            with path.open("rb") as file:
                while piece := file.read(FILE_PIECE):
                    yield piece

        turn.start()
        if self.ours:
            await bucket.upload(order["entry"], path, timestamp=order["first"])
        else:
            await bucket.write(
                order["entry"], pieces(), timestamp=order["first"], content_length=size
            )
        turn.stop()
        turn.units = turn.bytes = size

    async def download(self, order: dict[str, Any], turn: Measurement) -> None:
        """Read one record into a file."""
        bucket = await self.client.get_bucket("bench")
        path = Path(order["path"])
        turn.start()
        if self.ours:
            await bucket.download(order["entry"], order["first"], path)
        else:
            async with bucket.read(order["entry"], timestamp=order["first"]) as record:
                with path.open("wb") as file:
                    async for piece in record.read(FILE_PIECE):
                        file.write(piece)
        turn.stop()
        turn.units = turn.bytes = path.stat().st_size
        expect(turn.bytes, order["size"], "bytes")
        path.unlink()

    async def subscribe(self, order: dict[str, Any], turn: Measurement) -> None:
        """Measure the delay from a write to its arrival in a subscription."""
        bucket = await self.client.get_bucket("bench")
        sent: dict[int, float] = {}
        first = order["first"]
        await bucket.write(order["entry"], b"x", timestamp=first)

        async def write_now_and_then() -> None:
            draw = random.Random(order["first"])
            for number in range(1, order["count"] + 1):
                await asyncio.sleep(draw.uniform(0, order["poll"]))
                sent[first + number] = time.perf_counter()
                await bucket.write(order["entry"], b"x", timestamp=first + number)

        turn.start()
        writes = asyncio.create_task(write_now_and_then())
        news = bucket.subscribe(order["entry"], start=first + 1, poll_interval=order["poll"])
        async for record in news:
            turn.samples.append(time.perf_counter() - sent[record.timestamp])
            if len(turn.samples) == order["count"]:
                break
        await writes
        turn.stop()
        turn.units = len(turn.samples)


async def main() -> None:
    """Serve the orders of the run."""
    package: Any = importlib.import_module(sys.argv[1])
    options: dict[str, Any] = {}
    if "--stock" in sys.argv:
        httpx: Any = importlib.import_module("httpx")
        options["transport"] = httpx.AsyncHTTPTransport()
    imports_done()
    async with package.Client(sys.argv[2], **options) as client:
        worker = Worker(package, client)
        for order in orders():
            operation: Operation = getattr(worker, order["op"])
            turn = Measurement()
            try:
                await operation(order, turn)
            except Exception as error:
                answer(failure(error))
            else:
                answer(turn.result())


if __name__ == "__main__":
    asyncio.run(main())
