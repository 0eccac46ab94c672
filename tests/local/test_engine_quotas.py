"""Blocks and quotas of the storage engine, as the real server has them."""

import pytest

from reduct_local.engine import Engine
from reduct_local.storage.state import META_BLOCK_SIZE
from tests.local.engines import BUCKET, refused, times, write

META = {"key": "k"}


def create(engine: Engine, **settings: object) -> None:
    engine.create_bucket(BUCKET, settings)


def blocks(engine: Engine, entry: str = "a") -> tuple[int, int, int]:
    """Return block count, oldest and latest time of an entry."""
    infos = {info.name: info for info in engine.entry_infos(BUCKET)}
    info = infos[entry]
    return info.block_count, info.oldest_record, info.latest_record


def test_blocks_by_number_of_records(engine: Engine) -> None:
    create(engine, max_block_records=2)
    for time in range(5):
        write(engine, "a", time)
    assert blocks(engine) == (3, 0, 4)


def test_blocks_by_size(engine: Engine) -> None:
    create(engine, max_block_size=10)
    for time, size in enumerate([5, 5, 1, 100, 1]):
        write(engine, "a", time, b"x" * size)
    # 5 + 5 | 1 | 100 | 1: only contents count.
    assert blocks(engine) == (4, 0, 4)


def test_block_limit_of_zero_makes_a_block_of_each_record(engine: Engine) -> None:
    create(engine, max_block_size=0, max_block_records=0)
    for time in range(3):
        write(engine, "a", time, b"x" * time)
    assert blocks(engine) == (3, 0, 2)


def test_changed_limits_apply_to_later_blocks(engine: Engine) -> None:
    create(engine)
    write(engine, "a", 1)
    write(engine, "a", 2)
    engine.change_settings(BUCKET, {"max_block_records": 1})
    write(engine, "a", 3)
    assert blocks(engine) == (2, 1, 3)


def test_late_records(engine: Engine) -> None:
    create(engine, max_block_records=3)
    for time in (10, 20, 30, 40):
        write(engine, "a", time)
    # Before everything: a block of its own.
    write(engine, "a", 5)
    assert blocks(engine) == (3, 5, 40)
    # Into a full block: a new one that begins inside of it.
    write(engine, "a", 15)
    assert blocks(engine) == (4, 5, 40)
    # Into the last block that begins before it, and that has room.
    write(engine, "a", 25)
    assert blocks(engine) == (4, 5, 40)
    assert times(engine, "a") == [5, 10, 15, 20, 25, 30, 40]
    # A taken time is found wherever it lies.
    for time in (5, 10, 15, 20, 25, 30, 40):
        with refused(409):
            write(engine, "a", time)


def test_latest_time_is_that_of_the_last_block(engine: Engine) -> None:
    create(engine, max_block_records=2)
    for time in (10, 30, 20):
        write(engine, "a", time)
    assert blocks(engine) == (2, 10, 20)
    assert engine.read(BUCKET, "a").timestamp == 20


def test_times_after_removals(engine: Engine) -> None:
    create(engine, max_block_records=2)
    for time in (1, 2, 3, 4, 5):
        write(engine, "a", time)
    engine.remove_records(BUCKET, "a", [1])
    # A block keeps its beginning, so the oldest time may be that of no record.
    assert blocks(engine) == (3, 1, 5)
    engine.remove_records(BUCKET, "a", [2])
    assert blocks(engine) == (2, 3, 5)
    engine.remove_records(BUCKET, "a", [5])
    assert blocks(engine) == (1, 3, 4)
    engine.remove_records(BUCKET, "a", [4])
    assert blocks(engine) == (1, 3, 3)


def test_beginning_of_a_block_may_come_back(engine: Engine) -> None:
    create(engine, max_block_records=1)
    write(engine, "a", 1)
    engine.change_settings(BUCKET, {"max_block_records": 2})
    write(engine, "a", 2)
    engine.remove_records(BUCKET, "a", [1])
    engine.change_settings(BUCKET, {"max_block_records": 1})
    # The block is full, but there cannot be two of one beginning.
    write(engine, "a", 1)
    assert blocks(engine) == (1, 1, 2)
    assert times(engine, "a") == [1, 2]


def test_blocks_of_attachments_are_small(engine: Engine) -> None:
    create(engine)
    half = b"x" * (META_BLOCK_SIZE // 2)
    for time in range(3):
        write(engine, "$meta", time, half, {"key": str(time)})
    assert engine.bounds(BUCKET, "$meta") == (0, 2)
    assert len(engine._store.entry(BUCKET, "$meta").blocks) == 2


def test_no_quota(engine: Engine) -> None:
    create(engine, quota_type="NONE", quota_size=1)
    write(engine, "a", 1, b"x" * 1000)


def test_hard_quota(engine: Engine) -> None:
    create(engine, quota_type="HARD", quota_size=1000)
    write(engine, "a", 1, b"x" * 900)
    with refused(400, "Quota of 'bucket' exceeded"):
        write(engine, "b", 1, b"x" * 100)
    # What is refused creates nothing; what describes the records counts, too.
    assert engine.entry_names(BUCKET) == ["a"]
    free = 1000 - engine.bucket_info(BUCKET).size
    assert 0 < free < 90
    with refused(400):
        write(engine, "a", 2, b"x" * (free + 1))
    write(engine, "a", 2, b"x" * free)
    # It may lie above the quota now by what describes the last record: then even nothing is too
    # much.
    assert engine.bucket_info(BUCKET).size > 1000
    with refused(400):
        write(engine, "a", 3, b"")
    engine.remove_records(BUCKET, "a", [1])
    write(engine, "a", 3, b"x" * 500)


@pytest.mark.parametrize("quota_type", ["HARD", "FIFO"])
def test_quota_of_zero(engine: Engine, quota_type: str) -> None:
    create(engine, quota_type=quota_type)
    with refused(400 if quota_type == "HARD" else 500, "quota of" if quota_type == "FIFO" else ""):
        write(engine, "a", 1, b"x")
    write(engine, "a", 1, b"")
    assert times(engine, "a") == [1]


def test_fifo_quota_drops_whole_oldest_blocks(engine: Engine) -> None:
    create(engine, quota_type="FIFO", quota_size=920, max_block_records=2)
    for time in range(7):
        write(engine, "a", time, b"x" * 100)
    assert times(engine, "a") == [0, 1, 2, 3, 4, 5, 6]
    write(engine, "a", 7, b"x" * 100)
    assert times(engine, "a") == [2, 3, 4, 5, 6, 7]
    write(engine, "a", 8, b"x" * 400)
    assert times(engine, "a") == [4, 5, 6, 7, 8]
    assert blocks(engine)[1:] == (4, 8)
    assert engine.bucket_info(BUCKET).size <= 920


def test_fifo_quota_takes_the_oldest_of_all_entries(engine: Engine) -> None:
    create(engine, quota_type="FIFO", quota_size=1000, max_block_records=1)
    for time, entry in enumerate(["a", "b", "c/d", "b", "a"]):
        write(engine, entry, time, b"x" * 150)
    write(engine, "new", 9, b"x" * 400)
    assert [times(engine, entry) for entry in ("a", "b", "c/d", "new")] == [[4], [3], [2], [9]]


def test_fifo_quota_spares_attachments(engine: Engine) -> None:
    create(engine, quota_type="FIFO", quota_size=1000)
    write(engine, "a/$meta", 1, b"x" * 500, META)
    write(engine, "a", 2, b"x" * 200)
    write(engine, "a", 3, b"x" * 400)
    assert times(engine, "a") == [3]
    assert times(engine, "a/$meta") == [1]
    with refused(500, "Failed to keep quota of 'bucket'"):
        write(engine, "a", 4, b"x" * 600)
    # It has dropped all it could before it gave up.
    assert times(engine, "a") == []
    assert times(engine, "a/$meta") == [1]


def test_fifo_quota_comes_before_a_taken_time(engine: Engine) -> None:
    create(engine, quota_type="FIFO", quota_size=1000, max_block_records=1)
    for time in (1, 2, 3):
        write(engine, "a", time, b"x" * 250)
    with refused(409):
        write(engine, "a", 3, b"x" * 300)
    assert times(engine, "a") == [2, 3]


def test_greatest_storage() -> None:
    engine = Engine(max_storage=1000)
    for bucket in (BUCKET, "other"):
        engine.create_bucket(bucket, {"quota_type": "FIFO", "quota_size": 600})
    write(engine, "a", 1, b"x" * 500)
    write(engine, "a", 1, b"x" * 300, bucket="other")
    with refused(500, "storage limit exceeded"):
        write(engine, "a", 2, b"x" * 200)
    assert times(engine, "a") == [1]
    write(engine, "a", 2, b"x" * 50)
    assert times(engine, "a") == [1, 2]
    engine.close()
