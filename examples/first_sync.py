import reduct_sync as reduct

with reduct.Client("http://127.0.0.1:8383") as client:
    bucket = client.create_bucket("first-sync", exist_ok=True)
    bucket.write("sensor", b"\x00\x01\x02", labels={"unit": "mm", "good": True})
    for record in bucket.query("sensor"):
        print(record.time, record.labels, record.read_all())
