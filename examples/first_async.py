import asyncio

import reduct_async as reduct


async def main() -> None:
    async with reduct.Client("http://127.0.0.1:8383") as client:
        bucket = await client.create_bucket("first-async", exist_ok=True)
        await bucket.write("sensor", b"\x00\x01\x02", labels={"unit": "mm", "good": True})
        async for record in bucket.query("sensor"):
            print(record.time, record.labels, await record.read_all())


asyncio.run(main())
