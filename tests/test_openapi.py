"""openapi.yaml is valid, covers the API and nothing else, and describes everything it names."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError
from referencing.exceptions import Unresolvable

from tests.document import OPERATIONS, Operation, document, operations, resolved

EXPECTED = """
GET    /info                                server/get_info
GET    /list                                server/list_buckets
GET    /alive                               server/get_alive
HEAD   /alive                               server/head_alive
GET    /ready                               server/get_ready
HEAD   /ready                               server/head_ready
GET    /me                                  tokens/get_me
GET    /tokens                              tokens/list_tokens
GET    /tokens/{token_name}                 tokens/get_token
POST   /tokens/{token_name}                 tokens/create_token
POST   /tokens/{token_name}/rotate          tokens/rotate_token
DELETE /tokens/{token_name}                 tokens/remove_token
GET    /b/{bucket}                          buckets/get_bucket
HEAD   /b/{bucket}                          buckets/head_bucket
POST   /b/{bucket}                          buckets/create_bucket
PUT    /b/{bucket}                          buckets/update_bucket
DELETE /b/{bucket}                          buckets/remove_bucket
PUT    /b/{bucket}/rename                   buckets/rename_bucket
POST   /b/{bucket}/{entry}                  records/write_record
GET    /b/{bucket}/{entry}                  records/read_record
HEAD   /b/{bucket}/{entry}                  records/head_record
PATCH  /b/{bucket}/{entry}                  records/update_record
DELETE /b/{bucket}/{entry}                  records/remove_record_or_entry
POST   /b/{bucket}/{entry}/batch            batch/write_batch
GET    /b/{bucket}/{entry}/batch            batch/read_batch
HEAD   /b/{bucket}/{entry}/batch            batch/head_batch
PATCH  /b/{bucket}/{entry}/batch            batch/update_batch
DELETE /b/{bucket}/{entry}/batch            batch/remove_batch
POST   /b/{bucket}/{entry}/q                queries/create_query
GET    /b/{bucket}/{entry}/q                queries/create_query_by_parameters
HEAD   /b/{bucket}/{entry}/q                queries/head_query_by_parameters
DELETE /b/{bucket}/{entry}/q                queries/remove_query_by_parameters
PUT    /b/{bucket}/{entry}/rename           entries/rename_entry
POST   /io/{bucket}/write                   io/io_write
POST   /io/{bucket}/q                       io/io_query
GET    /io/{bucket}/read                    io/io_read
HEAD   /io/{bucket}/read                    io/io_head
PATCH  /io/{bucket}/update                  io/io_update
DELETE /io/{bucket}/remove                  io/io_remove
POST   /links/{file_name}                   links/create_link
GET    /links/{file_name}                   links/fetch_link
HEAD   /links/{file_name}                   links/head_link
GET    /replications                        replications/list_replications
GET    /replications/{replication_name}     replications/get_replication
POST   /replications/{replication_name}     replications/create_replication
PUT    /replications/{replication_name}     replications/update_replication
DELETE /replications/{replication_name}     replications/delete_replication
PATCH  /replications/{replication_name}/mode replications/set_replication_mode
GET    /lifecycles                          lifecycles/list_lifecycles
GET    /lifecycles/{lifecycle_name}         lifecycles/get_lifecycle
POST   /lifecycles/{lifecycle_name}         lifecycles/create_lifecycle
PUT    /lifecycles/{lifecycle_name}         lifecycles/update_lifecycle
DELETE /lifecycles/{lifecycle_name}         lifecycles/delete_lifecycle
PATCH  /lifecycles/{lifecycle_name}/mode    lifecycles/set_lifecycle_mode
"""
"""Every operation of the server, and the module that is generated for it."""

LIMITS: dict[str, list[tuple[Any, Any]]] = {
    "uint64": [(0, 2**64 - 1), (1, 2**64 - 1)],
    "uint32": [(0, 2**32 - 1)],
    "int32": [(-(2**31), 2**31 - 1)],
    "int64": [("none", "none")],
}
"""Minimum and maximum of integers by format."""

PUBLIC = {"get_alive", "head_alive", "get_ready", "head_ready", "fetch_link", "head_link"}
"""Operations that need no token."""

NO_STORAGE = {"get_alive", "head_alive"}
"""Operations that are answered while the server still starts."""

PLAIN = {"413", "415", "416", "431"}
"""Statuses that come from layers below the API, without its error format."""

TEXT = {("rename_bucket", "400")}
"""Errors of the operation itself that are plain text."""

Document = dict[str, Any]


# --- Checks, each of which yields what is wrong ---------------------------------------------------


def undescribed_operations(loaded: Document) -> Iterator[str]:
    """Each operation has a known tag, a summary without a full stop, and a description with one."""
    tags = {tag["name"] for tag in loaded["tags"]}
    for operation in operations(loaded):
        content = operation.content
        if len(content["tags"]) != 1 or not tags.issuperset(content["tags"]):
            yield f"{operation.name}: tags {content['tags']}"
        if not content.get("summary") or content["summary"].endswith("."):
            yield f"{operation.name}: summary"
        if not content.get("description", "").strip().endswith("."):
            yield f"{operation.name}: description"


def missing_statuses(loaded: Document) -> Iterator[str]:
    """Each operation says how it succeeds, and how it fails for reasons common to all."""
    for operation in operations(loaded):
        statuses = set(operation.content["responses"])
        needed = {"200", "429", "500"}
        if operation.name not in NO_STORAGE:
            needed.add("503")
        if operation.name not in PUBLIC:
            needed.add("401")
        yield from (f"{operation.name}: {status}" for status in sorted(needed - statuses))
        if not operation.parameters and "404" in statuses:
            yield f"{operation.name}: 404 without anything to be missing"


def wrong_errors(loaded: Document) -> Iterator[str]:
    """Errors have the header and the schema of all errors; answers to HEAD have no body."""
    schema = {"schema": {"$ref": "#/components/schemas/ErrorDetail"}}
    for operation in operations(loaded):
        for status, reference in operation.content["responses"].items():
            response = resolved(loaded, reference)
            if not response.get("description"):
                yield f"{operation.name}: {status}: description"
            if operation.method == "HEAD" and "content" in response:
                yield f"{operation.name}: {status}: content"
            if status < "300" or status in PLAIN or (operation.name, status) in TEXT:
                continue
            if "x-reduct-error" not in response.get("headers", {}):
                yield f"{operation.name}: {status}: header"
            wanted = None if operation.method == "HEAD" else schema
            if response.get("content", {}).get("application/json") != wanted:
                yield f"{operation.name}: {status}: schema"


def undescribed_properties(loaded: Document) -> Iterator[str]:
    """Every schema and every property of an object has a description."""
    for name, schema in loaded["components"]["schemas"].items():
        if "$ref" not in schema and not schema.get("description"):
            yield name
        for field, content in schema.get("properties", {}).items():
            if not content.get("description"):
                yield f"{name}.{field}"


def undescribed_parameters(loaded: Document) -> Iterator[str]:
    """Every parameter, header and request body has a description."""
    for kind in ("parameters", "headers"):
        for name, content in loaded["components"][kind].items():
            if not content.get("description"):
                yield f"{kind}.{name}"
    for operation in operations(loaded):
        for parameter in operation.parameters:
            if not parameter.get("description"):
                yield f"{operation.name}: {parameter['name']}"
        if not operation.content.get("requestBody", {"description": "none"}).get("description"):
            yield f"{operation.name}: body"


def unlimited_integers(loaded: Document) -> Iterator[str]:
    """Every integer says how small and how large it may be, as its format has it."""
    for name, schema in schemas_within("", loaded):
        if schema.get("type") == "integer":
            limits = schema.get("minimum", "none"), schema.get("maximum", "none")
            if limits not in LIMITS[schema["format"]]:
                yield name


def schemas_within(name: str, value: Any) -> Iterator[tuple[str, Document]]:
    """Yield each mapping of the document with its place."""
    if isinstance(value, dict):
        yield name, value
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(child, dict | list):
            yield from schemas_within(f"{name}/{key}", child)


def unused_components(loaded: Document) -> Iterator[str]:
    """Every component is referred to from somewhere."""
    used = {value.get("$ref") for _, value in schemas_within("", loaded)}
    for kind, components in loaded["components"].items():
        for name in components:
            if kind != "securitySchemes" and f"#/components/{kind}/{name}" not in used:
                yield f"{kind}.{name}"


def wrong_security(loaded: Document) -> Iterator[str]:
    """Every operation but the public ones needs a token."""
    for operation in operations(loaded):
        public = operation.content.get("security", loaded["security"]) == []
        if public != (operation.name in PUBLIC):
            yield operation.name


def operation_lines(loaded: Document) -> set[str]:
    return {
        f"{operation.method} {operation.path} {operation.content['tags'][0]}/{operation.name}"
        for operation in operations(loaded)
    }


# --- The document passes --------------------------------------------------------------------------

CHECKS = [
    undescribed_operations,
    missing_statuses,
    wrong_errors,
    undescribed_properties,
    undescribed_parameters,
    unlimited_integers,
    unused_components,
    wrong_security,
]


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(document()).validate()


def test_every_operation_is_there_and_no_other() -> None:
    expected = [" ".join(line.split()) for line in EXPECTED.strip().splitlines()]

    assert operation_lines(document()) == set(expected)
    assert len(OPERATIONS) == len(expected)


@pytest.mark.parametrize("check", CHECKS)
def test_the_document_passes(check: Callable[[Document], Iterator[str]]) -> None:
    assert list(check(document())) == []


def test_a_head_takes_the_parameters_of_its_get() -> None:
    by_place = {(operation.method, operation.path): operation for operation in OPERATIONS}
    heads = [operation for operation in OPERATIONS if operation.method == "HEAD"]

    assert heads
    for head in heads:
        if ("GET", head.path) in by_place:
            assert head.parameters == by_place["GET", head.path].parameters
            differing = statuses(by_place["GET", head.path]) ^ statuses(head)
            assert differing == ({"403"} if head.name == "head_bucket" else set())


def statuses(operation: Operation) -> set[str]:
    return set(operation.content["responses"])


def test_server_url() -> None:
    (server,) = document()["servers"]

    assert server["url"].format(base_url="http://host") == "http://host/api/v1"
    assert server["variables"].keys() == {"base_url"}


# --- Negative controls: each check fails on a document with the defect ----------------------------


def without(*keys: str | int) -> Callable[[Document], None]:
    """Return a change that removes what the keys lead to."""

    def remove(loaded: Any) -> None:
        *path, last = keys
        for key in path:
            loaded = loaded[key]
        del loaded[last]

    return remove


def with_value(value: Any, *keys: str) -> Callable[[Document], None]:
    """Return a change that sets what the keys lead to."""

    def put(loaded: Any) -> None:
        *path, last = keys
        for key in path:
            loaded = loaded[key]
        loaded[last] = value

    return put


INFO = ("paths", "/info", "get")
QUERY = ("components", "schemas", "QueryEntry", "properties")


@pytest.mark.parametrize(
    ("check", "change", "complaint"),
    [
        (undescribed_operations, without(*INFO, "summary"), "get_info: summary"),
        (undescribed_operations, without(*INFO, "description"), "get_info: description"),
        (undescribed_operations, with_value(["x"], *INFO, "tags"), "get_info: tags ['x']"),
        (missing_statuses, without(*INFO, "responses", "401"), "get_info: 401"),
        (missing_statuses, without(*INFO, "responses", "503"), "get_info: 503"),
        (
            wrong_errors,
            with_value({"description": "x"}, *INFO, "responses", "500"),
            "get_info: 500: schema",
        ),
        (
            wrong_errors,
            with_value(
                {"$ref": "#/components/responses/NotFound"},
                *("paths", "/b/{bucket}", "head", "responses", "404"),
            ),
            "head_bucket: 404: content",
        ),
        (undescribed_properties, without(*QUERY, "start", "description"), "QueryEntry.start"),
        (
            undescribed_parameters,
            without("components", "parameters", "Start", "description"),
            "parameters.Start",
        ),
        (
            undescribed_parameters,
            without("paths", "/io/{bucket}/q", "post", "requestBody", "description"),
            "io_query: body",
        ),
        (
            unlimited_integers,
            without("components", "schemas", "Timestamp", "maximum"),
            "/components/schemas/Timestamp",
        ),
        (
            unlimited_integers,
            with_value(2**63, "components", "schemas", "Count", "maximum"),
            "/components/schemas/Count",
        ),
        (
            unused_components,
            with_value({"description": "x"}, "components", "responses", "Other"),
            "responses.Other",
        ),
        (wrong_security, with_value([], *INFO, "security"), "get_info"),
        (wrong_security, without("paths", "/alive", "get", "security"), "get_alive"),
    ],
)
def test_defects_are_noticed(
    check: Callable[[Document], Iterator[str]],
    change: Callable[[Document], None],
    complaint: str,
) -> None:
    loaded = document()
    change(loaded)

    assert complaint in list(check(loaded))


@pytest.mark.parametrize(
    "change",
    [
        with_value("1", "openapi"),
        without(*INFO, "responses", "200", "description"),
        with_value({"$ref": "#/components/schemas/No"}, *QUERY, "start"),
        with_value("get_me", *INFO, "operationId"),
        without("paths", "/b/{bucket}", "parameters", 0),
    ],
)
def test_an_invalid_document_is_noticed(change: Callable[[Document], None]) -> None:
    loaded = document()
    change(loaded)

    with pytest.raises((OpenAPIValidationError, Unresolvable)):
        OpenAPIV31SpecValidator(loaded).validate()


def test_a_missing_or_extra_operation_is_noticed() -> None:
    expected = operation_lines(document())
    missing, extra = document(), document()
    del missing["paths"]["/me"]
    extra["paths"]["/new"] = copy.deepcopy(extra["paths"]["/me"])

    assert operation_lines(missing) < expected
    assert operation_lines(extra) > expected
