"""The generated models read, write, and refuse what they should."""

import copy
import datetime
import pickle
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import reduct_api.models
from reduct_api.api.buckets import get_bucket, update_bucket
from reduct_api.models import (
    BucketInfo,
    BucketSettings,
    LifecycleSettings,
    LifecycleType,
    Permissions,
    QueryEntry,
    QueryType,
    QuotaType,
    RemovedRecords,
    ReplicationDiagnosticsDetail,
    ReplicationMode,
    ReplicationSettings,
    ServerInfo,
    Status,
    Token,
    TokenCreateRequest,
    TokenCreateResponse,
)
from tests.document import SCHEMAS, is_nullable, minimal

OBJECTS = sorted(name for name, schema in SCHEMAS.items() if schema.get("type") == "object")
ENUMS = sorted(name for name, schema in SCHEMAS.items() if "enum" in schema)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
UNTYPED = {"when", "ext"}
UTC_TIMES = st.datetimes(timezones=st.just(datetime.UTC)).map(datetime.datetime.isoformat)


def values(schema: dict[str, Any]) -> SearchStrategy[Any]:
    """Return JSON values that fit a schema, with unknown fields."""
    if "$ref" in schema:
        return values(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    for parts in (schema.get(key) for key in ("anyOf", "allOf")):
        if parts:
            return st.one_of([values(part) for part in parts])
    kinds = schema.get("type", [])
    return st.one_of(
        [values_of(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
        or [JSON]
    )


def values_of(kind: str, schema: dict[str, Any]) -> SearchStrategy[Any]:
    if kind == "object":
        return objects(schema)
    if kind == "array":
        return st.lists(values(schema["items"]), max_size=3)
    if "enum" in schema:
        return st.sampled_from(schema["enum"]) | st.text()
    if schema.get("format") == "date-time" and kind == "string":
        return UTC_TIMES
    return {
        "string": st.text(),
        "boolean": st.booleans(),
        "null": st.none(),
        "integer": st.integers(schema.get("minimum"), schema.get("maximum")),
    }[kind]


def objects(schema: dict[str, Any]) -> SearchStrategy[Any]:
    if "properties" not in schema:
        keys = st.integers().map(str)
        return st.dictionaries(keys, values(schema["additionalProperties"]), max_size=3)
    fields = {name: values(field) for name, field in schema["properties"].items()}
    required = {name: fields.pop(name) for name in schema.get("required", [])}
    known = st.fixed_dictionaries(required, optional=fields)
    unknown = st.dictionaries(st.text(), JSON, max_size=2)
    return st.tuples(unknown, known).map(
        lambda pair: {
            **{name: value for name, value in pair[0].items() if name not in schema["properties"]},
            **pair[1],
        }
    )


def normal(schema: dict[str, Any], value: Any) -> Any:
    """Return the value as a model writes it: with defaults, without null in known fields."""
    if "$ref" in schema:
        return normal(SCHEMAS[schema["$ref"].rpartition("/")[2]], value)
    if schema.get("anyOf"):
        return None if value is None else normal(schema["anyOf"][0], value)
    if isinstance(value, list) and "items" in schema:
        return [normal(schema["items"], item) for item in value]
    if schema.get("type") != "object":
        return value
    if "properties" not in schema:
        inner = schema["additionalProperties"]
        return {name: normal(inner, item) for name, item in value.items()}
    fields = schema["properties"]
    known = {name: field["default"] for name, field in fields.items() if "default" in field}
    known |= {name: normal(fields[name], value[name]) for name in fields if name in value}
    unknown = {name: item for name, item in value.items() if name not in fields}
    return unknown | {name: item for name, item in known.items() if item is not None}


@pytest.mark.parametrize("name", OBJECTS)
@settings(max_examples=40)
@given(data=st.data())
def test_models_keep_what_they_read(name: str, data: st.DataObject) -> None:
    model = getattr(reduct_api.models, name)
    value = data.draw(values(SCHEMAS[name]))

    read = model.from_dict(value)

    assert read.to_dict() == normal(SCHEMAS[name], value)
    assert model.from_dict(read.to_dict()) == read


def spoilt(schema: dict[str, Any]) -> Iterator[Any]:
    """Yield JSON values that do not fit an object's schema, each with one thing wrong."""
    good = minimal(schema)
    yield from (None, [], "text", 1, [good])
    for name, field in schema.get("properties", {}).items():
        if name not in UNTYPED:
            yield from ({**good, name: wrong} for wrong in ([1], 1.5))
        if name in schema.get("required", []) and not is_nullable(field):
            yield {key: value for key, value in good.items() if key != name}
            yield {**good, name: None}


@pytest.mark.parametrize("name", OBJECTS)
def test_models_refuse_what_does_not_fit(name: str) -> None:
    model = getattr(reduct_api.models, name)
    model.from_dict(minimal(SCHEMAS[name]))

    for value in spoilt(SCHEMAS[name]):
        with pytest.raises((KeyError, TypeError, ValueError)):
            model.from_dict(value)


def test_integers_are_not_booleans() -> None:
    with pytest.raises(TypeError, match="expected an integer, got bool"):
        RemovedRecords.from_dict({"removed_records": True})


def test_a_partial_update_sends_what_is_given() -> None:
    settings = BucketSettings(quota_size=1)

    assert settings.quota_type is None
    assert update_bucket.build_request("b", body=settings).json == {"quota_size": 1}
    assert BucketSettings(quota_type=QuotaType.FIFO, quota_size=0).to_dict() == {
        "quota_type": "FIFO",
        "quota_size": 0,
    }


def test_null_is_absent() -> None:
    assert BucketSettings.from_dict({"quota_type": None, "quota_size": None}) == BucketSettings()
    assert BucketSettings(quota_type=None).to_dict() == {}
    assert QueryEntry(query_type="QUERY", when=None).to_dict() == {"query_type": "QUERY"}


@pytest.mark.parametrize("when", [False, 0, "", {}, {"&a": None}])
def test_a_condition_is_sent_as_it_is(when: object) -> None:
    query = QueryEntry(query_type=QueryType.QUERY, when=when)

    assert query.to_dict() == {"query_type": "QUERY", "when": when}


def test_constructors_as_in_reduct_py() -> None:
    assert Permissions(full_access=True).to_dict() == {
        "full_access": True,
        "read": [],
        "write": [],
    }
    assert Permissions(read=["a"]).write == []
    assert TokenCreateRequest(permissions=Permissions()).ip_allowlist == []
    replication = ReplicationSettings(src_bucket="a", dst_bucket="b", dst_host="http://c")
    assert (replication.entries, replication.dst_prefix, replication.mode) == ([], "", None)
    lifecycle = LifecycleSettings(bucket="b", older_than="1d")
    assert lifecycle.type is LifecycleType.DELETE
    assert lifecycle.to_dict()["type"] == "delete"


def test_lists_are_not_shared() -> None:
    Permissions().read.append("a")

    assert Permissions().read == []


def test_arguments_are_keywords_and_known() -> None:
    with pytest.raises(TypeError):
        BucketSettings("FIFO")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        BucketSettings(quota="FIFO")  # type: ignore[call-arg]


def test_text_becomes_a_member() -> None:
    settings = BucketSettings(quota_type="FIFO")
    replication = ReplicationSettings(src_bucket="a", dst_bucket="b", dst_host="c", mode="paused")

    assert settings.quota_type is QuotaType.FIFO
    assert replication.mode is ReplicationMode.PAUSED
    settings.quota_type = "HARD"  # type: ignore[assignment]
    assert settings.quota_type is QuotaType.HARD


@pytest.mark.parametrize("name", ENUMS)
def test_members_are_those_of_the_document(name: str) -> None:
    enum = getattr(reduct_api.models, name)

    assert [member.value for member in enum] == SCHEMAS[name]["enum"]
    assert [member.name for member in enum] == [text.upper() for text in SCHEMAS[name]["enum"]]


@given(st.text())
def test_unknown_values_are_kept(text: str) -> None:
    value = Status(text)

    assert (value, value.name, value.value, str(value)) == (text, text, text, text)
    assert (value, hash(value)) == (Status(text), hash(Status(text)))
    assert isinstance(value, Status)
    assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value
    assert [member.value for member in Status] == ["READY", "DELETING"]


@pytest.mark.parametrize("value", [None, 1, True, [], {}])
def test_only_text_is_a_value(value: Any) -> None:
    with pytest.raises(ValueError, match="is not a valid Status"):
        Status(value)


def test_unknown_fields_are_kept() -> None:
    source = {"quota_size": 1, "new": {"a": [1]}, "newer": None}
    settings = BucketSettings.from_dict(source)

    assert settings.additional_properties == {"new": {"a": [1]}, "newer": None}
    assert settings.to_dict() == source
    assert settings != BucketSettings(quota_size=1)


def test_reading_does_not_change_the_source() -> None:
    source = {"quota_size": 1, "new": 2}
    BucketSettings.from_dict(source)

    assert source == {"quota_size": 1, "new": 2}


def test_secrets_stay_out_of_the_repr() -> None:
    replication = ReplicationSettings(
        src_bucket="a", dst_bucket="b", dst_host="c", dst_token="SECRET"
    )
    created = TokenCreateResponse(value="SECRET", created_at=datetime.datetime.now(datetime.UTC))
    token = Token.from_dict({**minimal(SCHEMAS["Token"]), "value": "SECRET", "new": "SECRET"})

    for model in (replication, created, token):
        assert "SECRET" not in repr(model)
        assert "SECRET" in repr(model.to_dict())
    assert "src_bucket='a'" in repr(replication)


def test_fields_have_the_names_of_the_api() -> None:
    info = ServerInfo.from_dict(minimal(SCHEMAS["ServerInfo"]))

    assert info.license is None
    assert info.instance_name is None


def test_errors_of_a_replication_are_a_dict_by_integer() -> None:
    error = {"count": 2, "last_message": "no"}
    source = {"ok": 1, "errored": 2, "errors": {"404": error, "-3": error}}

    detail = ReplicationDiagnosticsDetail.from_dict(source)

    assert list(detail.errors) == [404, -3]
    assert isinstance(detail.errors, dict)
    assert detail.errors[404].last_message == "no"
    assert detail.to_dict() == source
    with pytest.raises(ValueError, match="'x'"):
        ReplicationDiagnosticsDetail.from_dict({**source, "errors": {"x": error}})


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-01-02T03:04:05Z", 0),
        ("2026-01-02T03:04:05.123Z", 123000),
        ("2026-01-02T03:04:05.123456Z", 123456),
        ("2026-01-02T03:04:05.123456789Z", 123456),
    ],
)
def test_times_have_any_number_of_digits(text: str, microsecond: int) -> None:
    token = TokenCreateResponse.from_dict({"value": "", "created_at": text})

    assert token.created_at == datetime.datetime(
        2026, 1, 2, 3, 4, 5, microsecond, tzinfo=datetime.UTC
    )


def test_times_are_sent_in_utc() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    local = datetime.datetime(2030, 1, 2, 3, 4, 5)

    def sent(expires_at: datetime.datetime) -> object:
        request = TokenCreateRequest(permissions=Permissions(), expires_at=expires_at)
        return request.to_dict()["expires_at"]

    assert sent(local.replace(tzinfo=zone)) == "2030-01-02T01:04:05+00:00"
    assert sent(local) == sent(local.astimezone())


def test_the_answer_of_a_bucket_is_typed_throughout() -> None:
    answer = httpx.Response(200, json=minimal(SCHEMAS["BucketFullInfo"]))

    info = get_bucket.parse_response(answer)

    assert isinstance(info.info, BucketInfo)
    assert info.info.status is Status.READY
    assert info.entries == []
