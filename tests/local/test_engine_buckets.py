"""Buckets and entries of the storage engine, as the real server has them."""

import pytest

from reduct_local.engine import Engine
from reduct_local.settings import BucketSettings
from tests.local.engines import BUCKET, Action, refused, rows, settle, statuses, times, write


@pytest.fixture(autouse=True)
def _bucket(engine: Engine) -> None:
    engine.create_bucket(BUCKET)


def test_new_bucket_has_the_defaults() -> None:
    engine = Engine(defaults=BucketSettings(quota_type="FIFO", quota_size=10))
    engine.create_bucket("a")
    engine.create_bucket("b", {"quota_type": None, "quota_size": 20, "unknown": 1})
    assert engine.settings("a") == BucketSettings("FIFO", 10, 64_000_000, 1024)
    assert engine.settings("b") == BucketSettings("FIFO", 20, 64_000_000, 1024)
    engine.close()


@pytest.mark.parametrize(
    "change",
    [
        {"quota_type": "fifo"},
        {"quota_type": 1},
        {"quota_size": -1},
        {"quota_size": "1"},
        {"quota_size": 1.0},
        {"quota_size": True},
        {"max_block_size": 2**64},
        {"max_block_records": []},
    ],
)
def test_wrong_settings(engine: Engine, change: dict[str, object]) -> None:
    with refused(422):
        engine.create_bucket("new", change)
    with refused(404):
        engine.check_bucket("new")
    with refused(422):
        engine.change_settings(BUCKET, change)
    # The body is read before the bucket is looked for.
    with refused(422):
        engine.change_settings("missing", change)
    assert engine.settings(BUCKET) == BucketSettings()


def test_changed_settings(engine: Engine) -> None:
    engine.change_settings(BUCKET, {"quota_type": "HARD", "quota_size": 2**64 - 1})
    engine.change_settings(BUCKET, {"max_block_records": 3, "quota_size": None})
    engine.change_settings(BUCKET, None)
    settings = BucketSettings("HARD", 2**64 - 1, 64_000_000, 3)
    assert engine.settings(BUCKET) == settings
    assert settings.to_dict() == {
        "quota_type": "HARD",
        "quota_size": 2**64 - 1,
        "max_block_size": 64_000_000,
        "max_block_records": 3,
    }


def test_existing_and_invalid_buckets(engine: Engine) -> None:
    with refused(409, "'bucket' already exists"):
        engine.create_bucket(BUCKET)
    for name in ("", "a b", "$system", "a/b"):
        with refused(422):
            engine.create_bucket(name)


MISSING: list[Action] = [
    lambda engine: engine.settings("missing"),
    lambda engine: engine.check_bucket("missing"),
    lambda engine: engine.bucket_info("missing"),
    lambda engine: engine.change_settings("missing", {}),
    lambda engine: engine.rename_bucket("missing", "new"),
    lambda engine: engine.remove_bucket("missing"),
    lambda engine: engine.set_provisioned("missing"),
    lambda engine: engine.entry_infos("missing"),
    lambda engine: engine.entry_names("missing"),
    lambda engine: engine.check_entry("missing", "a"),
    lambda engine: engine.create_entry("missing", "a"),
    lambda engine: engine.remove_entry("missing", "a"),
    lambda engine: engine.rename_entry("missing", "a", "b"),
    lambda engine: engine.begin_write("missing", "a", 1, 1, "", {}),
    lambda engine: engine.write("missing", "a", 1, b"", "", {}),
    lambda engine: engine.read("missing", "a"),
    lambda engine: engine.update_labels("missing", "a", 1, {}),
    lambda engine: engine.remove_records("missing", "a", []),
    lambda engine: engine.scan("missing", "a"),
    lambda engine: engine.bounds("missing", "a"),
]


@pytest.mark.parametrize("action", MISSING)
def test_missing_bucket(engine: Engine, action: Action) -> None:
    with refused(404, "Bucket 'missing' is not found"):
        action(engine)


def test_bucket_being_removed(engine: Engine) -> None:
    engine.create_bucket("missing")
    write(engine, "a", 1, bucket="missing")
    engine.remove_bucket("missing")
    statuses = {info.name: info.status for info in engine.bucket_infos()}
    assert statuses == {BUCKET: "READY", "missing": "DELETING"}
    with refused(409, "already exists"):
        engine.create_bucket("missing")
    for action in MISSING:
        if action is not MISSING[6]:
            with refused(409, "Bucket 'missing' is being deleted"):
                action(engine)
    settle(engine)
    assert not engine.finish_removals()
    with refused(404):
        engine.check_bucket("missing")
    engine.create_bucket("missing")
    assert engine.entry_infos("missing") == []
    assert [rows(engine, table) for table in ("entries", "blocks", "records", "pieces")] == [0] * 4


def test_provisioned_bucket(engine: Engine) -> None:
    engine.set_provisioned(BUCKET)
    assert engine.bucket_info(BUCKET).is_provisioned
    with refused(409, "settings of provisioned"):
        engine.change_settings(BUCKET, {})
    with refused(409, "rename provisioned"):
        engine.rename_bucket(BUCKET, "new")
    with refused(409, "remove provisioned"):
        engine.remove_bucket(BUCKET)
    write(engine, "a", 1)
    engine.set_provisioned(BUCKET, False)
    engine.rename_bucket(BUCKET, "new")
    assert engine.bucket_info("new").entry_count == 1


def test_renamed_bucket(engine: Engine) -> None:
    write(engine, "a/b", 5, b"12345")
    engine.create_bucket("other")
    with refused(409, "'other' already exists"):
        engine.rename_bucket(BUCKET, "other")
    with refused(409):
        engine.rename_bucket(BUCKET, BUCKET)
    for name in ("a b", ""):
        with refused(422):
            engine.rename_bucket(BUCKET, name)
    engine.rename_bucket(BUCKET, "new")
    with refused(404):
        engine.check_bucket(BUCKET)
    record = engine.read("new", "a/b")
    assert (record.bucket, record.timestamp) == ("new", 5)
    assert [info.name for info in engine.bucket_infos()] == ["new", "other"]


def test_bucket_info(engine: Engine) -> None:
    assert engine.bucket_info(BUCKET).to_dict() == {
        "name": BUCKET,
        "entry_count": 0,
        "size": 0,
        "oldest_record": 0,
        "latest_record": 0,
        "is_provisioned": False,
        "status": "READY",
    }
    write(engine, "empty/a", 100, b"x" * 1000)
    write(engine, "b", 300, b"x" * 1000)
    write(engine, "b", 200, b"")
    # Attachments count in the size only.
    write(engine, "b/$meta", 1, b"x" * 1000, {"key": "k"})
    info = engine.bucket_info(BUCKET)
    assert (info.entry_count, info.oldest_record, info.latest_record) == (3, 100, 300)
    # Beside the contents there are some bytes for each record.
    assert 3000 + 4 * 10 < info.size < 3000 + 4 * 60
    assert info.size > sum(entry.size for entry in engine.entry_infos(BUCKET))


def test_last_time_alone_is_shown_as_none(engine: Engine) -> None:
    write(engine, "a", 2**64 - 1)
    info = engine.bucket_info(BUCKET)
    assert (info.oldest_record, info.latest_record) == (0, 2**64 - 1)


def test_entry_infos(engine: Engine) -> None:
    write(engine, "b", 20, b"xy")
    write(engine, "b", 10, b"")
    write(engine, "a/b/$meta", 1, b"", {"key": "k"})
    infos = engine.entry_infos(BUCKET)
    assert [info.name for info in infos] == ["a", "a/b", "b"]
    assert infos[0].to_dict() == {
        "name": "a",
        "size": 0,
        "record_count": 0,
        "block_count": 0,
        "oldest_record": 0,
        "latest_record": 0,
        "status": "READY",
    }
    # As the real server counts: 2 bytes of content, 20 and 17 that describe the records.
    assert infos[2].to_dict() == {
        "name": "b",
        "size": 2 + 20 + 17,
        "record_count": 2,
        "block_count": 2,
        "oldest_record": 10,
        "latest_record": 20,
        "status": "READY",
    }
    assert engine.entry_names(BUCKET) == ["a", "a/b", "a/b/$meta", "b"]
    assert engine.bounds(BUCKET, "b") == (10, 20)
    assert engine.bounds(BUCKET, "a") is None


def test_sizes_are_those_of_the_records(engine: Engine) -> None:
    for time in (1, 2, 3):
        write(engine, "a", time, b"x" * 10)
    before = engine.bucket_info(BUCKET).size
    engine.remove_records(BUCKET, "a", [2])
    engine.change_settings(BUCKET, {"max_block_records": 1})
    write(engine, "a", 4, b"x" * 10)
    # The third record needs a byte more or less for its place in the block.
    assert abs(engine.bucket_info(BUCKET).size - before) <= 2


def test_created_entry(engine: Engine) -> None:
    engine.create_entry(BUCKET, "a/b/c")
    engine.create_entry(BUCKET, "a/b")
    assert engine.entry_names(BUCKET) == ["a", "a/b", "a/b/c"]
    with refused(422):
        engine.create_entry(BUCKET, "a//b")
    engine.check_entry(BUCKET, "a")
    with refused(404, "Entry 'b' not found in bucket 'bucket'"):
        engine.check_entry(BUCKET, "b")


def test_removed_subtree(engine: Engine) -> None:
    for entry in ("a", "a/b/c", "ab"):
        write(engine, entry, 1)
    write(engine, "a/b/$meta", 1, b"", {"key": "k"})
    engine.remove_entry(BUCKET, "a/b")
    assert statuses(engine) == {
        "a": "READY",
        "a/b": "DELETING",
        "a/b/c": "DELETING",
        "ab": "READY",
    }
    settle(engine)
    assert engine.entry_names(BUCKET) == ["a", "ab"]
    with refused(404):
        engine.remove_entry(BUCKET, "a/b")
    write(engine, "a/b/c", 2)
    assert times(engine, "a/b/c") == [2]
    assert times(engine, "a") == [1]


def test_entry_being_removed(engine: Engine) -> None:
    write(engine, "a/b", 1)
    engine.remove_entry(BUCKET, "a")
    deleting: list[Action] = [
        lambda engine: engine.check_entry(BUCKET, "a"),
        lambda engine: engine.create_entry(BUCKET, "a/b"),
        lambda engine: engine.remove_entry(BUCKET, "a"),
        lambda engine: engine.remove_entry(BUCKET, "a/b"),
        lambda engine: engine.rename_entry(BUCKET, "a", "b"),
        lambda engine: engine.write(BUCKET, "a", 2, b"", "", {}),
        # An ancestor counts, too.
        lambda engine: engine.write(BUCKET, "a/c/d", 2, b"", "", {}),
        lambda engine: engine.read(BUCKET, "a/b"),
        lambda engine: engine.update_labels(BUCKET, "a/b", 1, {}),
        lambda engine: engine.remove_records(BUCKET, "a/b", [1]),
        lambda engine: engine.scan(BUCKET, "a/b"),
        lambda engine: engine.bounds(BUCKET, "a/b"),
        lambda engine: engine.change_settings(BUCKET, {}),
    ]
    for action in deleting:
        with refused(409, "Entry 'a", "in bucket 'bucket' is being deleted"):
            action(engine)
    # As on the real server: it says 409, and the bucket goes all the same.
    with refused(409):
        engine.remove_bucket(BUCKET)
    settle(engine)
    with refused(404):
        engine.check_bucket(BUCKET)


def test_attachments_go_with_their_entry_only(engine: Engine) -> None:
    write(engine, "a/$meta", 1, b"", {"key": "k"})
    with refused(422, "Can't delete system entry 'a/$meta'"):
        engine.remove_entry(BUCKET, "a/$meta")
    engine.remove_entry(BUCKET, "a")
    settle(engine)
    assert engine.entry_names(BUCKET) == []


def test_large_removals_take_several_steps(engine: Engine) -> None:
    for time in range(1300):
        write(engine, "a", time, b"x")
    write(engine, "a", 9999, b"x" * 40_000_000)
    engine.remove_entry(BUCKET, "a")
    assert engine.finish_removals()
    # Gone for everybody, while rows are still there.
    assert engine.entry_names(BUCKET) == []
    assert engine.bucket_info(BUCKET).size == 0
    assert rows(engine, "records") > 0
    write(engine, "a", 1, b"new")
    steps = 0
    while engine.finish_removals():
        steps += 1
    assert steps >= 3 + 2
    assert times(engine, "a") == [1]
    assert [rows(engine, table) for table in ("records", "pieces", "garbage")] == [1, 1, 0]


def test_renamed_subtree(engine: Engine) -> None:
    write(engine, "a/b", 1, b"content")
    write(engine, "a/b/c", 2)
    write(engine, "a/b/$meta", 1, b"", {"key": "k"})
    write(engine, "ab", 3)
    engine.rename_entry(BUCKET, "a/b", "x/y/z")
    assert engine.entry_names(BUCKET) == [
        *("a", "ab", "x", "x/y", "x/y/z", "x/y/z/$meta", "x/y/z/c"),
    ]
    record = engine.read(BUCKET, "x/y/z")
    assert (record.entry, record.timestamp) == ("x/y/z", 1)
    with refused(404):
        engine.read(BUCKET, "a/b")


def test_refused_renames_of_entries(engine: Engine) -> None:
    write(engine, "a/b", 1)
    write(engine, "c", 1)
    for new in ("a", "a/c", "a/b/d", "c"):
        with refused(409, f"Entry '{new}' already exists"):
            engine.rename_entry(BUCKET, "a", new)
    for new in ("", "a//b", "x y"):
        with refused(422):
            engine.rename_entry(BUCKET, "a", new)
    with refused(404):
        engine.rename_entry(BUCKET, "missing", "new")
    # The name comes before anything else but the bucket.
    with refused(422):
        engine.rename_entry(BUCKET, "missing", "x y")
    engine.remove_entry(BUCKET, "c")
    with refused(409, "being deleted"):
        engine.rename_entry(BUCKET, "a", "c/d")
    assert statuses(engine) == {"a": "READY", "a/b": "READY", "c": "DELETING"}


def test_too_long_names(engine: Engine) -> None:
    longest = "x" * 255
    engine.create_bucket(longest)
    engine.create_entry(longest, f"{longest}/{longest}/$meta")
    engine.rename_entry(longest, longest, f"a/{longest}")
    for name in (f"{longest}y", f"b/{longest}y", f"{longest}y/a"):
        with refused(500, "File name too long"):
            engine.rename_entry(longest, "a", name)
        with refused(500, "File name too long"):
            engine.create_entry(BUCKET, name)
    with refused(500, "File name too long"):
        engine.create_bucket(f"{longest}y")
    with refused(500, "File name too long"):
        engine.rename_bucket(longest, f"{longest}y")
    assert engine.entry_names(longest)[1] == f"a/{longest}"
