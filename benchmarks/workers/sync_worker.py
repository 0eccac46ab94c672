"""The worker of the blocking flavour: the operations of `async_worker`, with threads for tasks.

python -m benchmarks.workers.sync_worker URL
"""

import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import reduct_sync
from benchmarks.workers.measure import (
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

THREADS = 32
"""Threads that share a gathered load."""


class Worker:
    """The operations of the rows."""

    def __init__(self, client: reduct_sync.Client) -> None:
        self.bucket = client.bucket("bench")

    def query(self, order: dict[str, Any], turn: Measurement) -> None:
        """Read all records of one or several entries, again until the time is over."""
        entries = order["entries"] if len(order["entries"]) > 1 else order["entries"][0]
        options: dict[str, Any] = {"head": True} if order.get("head") else {}
        if order.get("when"):
            options["when"] = order["when"]
        turn.start()
        while turn.seconds < order["seconds"] or turn.bytes < order.get("bytes", 0):
            found = 0
            for record in self.bucket.query(entries, **ALL, **options):
                if not order.get("head"):
                    turn.bytes += len(record.read_all())
                found += 1
            turn.units += found
            turn.stop()
            turn.start()
            expect(found, order["count"], "records")
        turn.stop()

    def read(self, order: dict[str, Any], turn: Measurement) -> None:
        """Read single records, by one thread or by several."""
        wanted = stamps(order)
        lock = threading.Lock()

        def one_thread() -> tuple[int, int]:
            end = time.perf_counter() + order["seconds"]
            units = size = 0
            while time.perf_counter() < end:
                with lock:
                    timestamp = next(wanted)
                with self.bucket.read(order["entries"][0], timestamp=timestamp) as record:
                    size += len(record.read_all())
                units += 1
            return units, size

        tasks = order.get("tasks", 1)
        turn.start()
        if tasks == 1:
            done = [one_thread()]
        else:
            with ThreadPoolExecutor(tasks) as pool:
                futures = [pool.submit(one_thread) for _ in range(tasks)]
                done = [future.result() for future in futures]
        turn.stop()
        turn.units = sum(units for units, _ in done)
        turn.bytes = sum(size for _, size in done)

    def write(self, order: dict[str, Any], turn: Measurement) -> None:
        """Write single records, one after the other."""
        data = b"x" * order["size"]
        turn.start()
        while turn.seconds < order["seconds"]:
            for _ in range(100):
                self.bucket.write(order["entry"], data, timestamp=order["first"] + turn.units)
                turn.units += 1
            turn.stop()
            turn.start()
        turn.stop()

    def gather_writes(self, order: dict[str, Any], turn: Measurement) -> None:
        """Write all records by a pool of threads; count afterwards what is there."""
        names = [f"{order['entry']}-{number}" for number in range(order["spread"])]
        data = b"x" * order["size"]
        turn.start()
        with ThreadPoolExecutor(THREADS) as pool:
            writes = [
                pool.submit(
                    self.bucket.write,
                    names[number % len(names)],
                    data,
                    timestamp=order["first"] + number,
                )
                for number in range(order["count"])
            ]
            wait(writes, order["patience"])
        turn.stop()
        refused = sum(write.exception() is not None for write in writes)
        found = sum(1 for name in names for _record in self.bucket.query(name, **ALL))
        turn.units = order["count"]
        lost = order["count"] - refused - found
        if refused or lost:
            turn.note = f"{refused} refused, {lost} lost"

    def write_batches(self, order: dict[str, Any], turn: Measurement) -> None:
        """Write batches, one after the other, to the entries in turn."""
        data = b"x" * order["size"]
        names = [f"{order['entry']}-{number}" for number in range(order["spread"])]
        turn.start()
        while turn.seconds < order["seconds"]:
            for name in names:
                batch = reduct_sync.Batch()
                for number in range(order["batch"]):
                    batch.add(order["first"] + turn.units + number, data)
                expect(len(self.bucket.write_batch(name, batch)), 0, "errors")
                turn.units += order["batch"]
            turn.stop()
            turn.start()
        turn.stop()

    def writer(self, order: dict[str, Any], turn: Measurement) -> None:
        """Write to several entries by the writer."""
        data = b"x" * order["size"]
        names = [f"{order['entry']}-{number}" for number in range(order["spread"])]
        turn.start()
        end = time.perf_counter() + order["seconds"]
        with self.bucket.writer() as writer:
            while time.perf_counter() < end:
                for _ in range(order["batch"]):
                    for name in names:
                        writer.write(name, data, timestamp=order["first"] + turn.units)
                        turn.units += 1
        turn.stop()

    def change(self, order: dict[str, Any], turn: Measurement) -> None:
        """Update labels of, or remove, `count` records, in batches as large as the client takes."""
        bucket = self.bucket
        at_once = order["count"]
        package = reduct_sync
        send = bucket.update_batch if order["change"] == "labels" else bucket.remove_batch
        turn.start()
        for first in range(order["first"], order["first"] + order["count"], at_once):
            batch = package.Batch()
            for timestamp in range(first, first + at_once):
                if order["change"] == "labels":
                    batch.add(timestamp, labels={"score": order["label"]})
                else:
                    batch.add(timestamp)
            expect(len(send(order["entry"], batch)), 0, "errors")
            turn.units += at_once
        turn.stop()

    def upload(self, order: dict[str, Any], turn: Measurement) -> None:
        """Write one file as one record."""
        path = Path(order["path"])
        turn.start()
        self.bucket.upload(order["entry"], path, timestamp=order["first"])
        turn.stop()
        turn.units = turn.bytes = path.stat().st_size

    def download(self, order: dict[str, Any], turn: Measurement) -> None:
        """Read one record into a file."""
        path = Path(order["path"])
        turn.start()
        self.bucket.download(order["entry"], order["first"], path)
        turn.stop()
        turn.units = turn.bytes = path.stat().st_size
        expect(turn.bytes, order["size"], "bytes")
        path.unlink()

    def subscribe(self, order: dict[str, Any], turn: Measurement) -> None:
        """Measure the delay from a write to its arrival in a subscription."""
        sent: dict[int, float] = {}
        first = order["first"]
        self.bucket.write(order["entry"], b"x", timestamp=first)

        def write_now_and_then() -> None:
            draw = random.Random(order["first"])
            for number in range(1, order["count"] + 1):
                time.sleep(draw.uniform(0, order["poll"]))
                sent[first + number] = time.perf_counter()
                self.bucket.write(order["entry"], b"x", timestamp=first + number)

        turn.start()
        writes = threading.Thread(target=write_now_and_then)
        writes.start()
        news = self.bucket.subscribe(order["entry"], start=first + 1, poll_interval=order["poll"])
        for record in news:
            turn.samples.append(time.perf_counter() - sent[record.timestamp])
            if len(turn.samples) == order["count"]:
                break
        writes.join()
        turn.stop()
        turn.units = len(turn.samples)


def main() -> None:
    """Serve the orders of the run."""
    imports_done()
    with reduct_sync.Client(sys.argv[1]) as client:
        worker = Worker(client)
        for order in orders():
            operation: Operation = getattr(worker, order["op"])
            turn = Measurement()
            try:
                operation(order, turn)
            except Exception as error:
                answer(failure(error))
            else:
                answer(turn.result())


if __name__ == "__main__":
    main()
