"""openapi.yaml says what a real server does: generated requests for every operation.

`tests/contract_run.py` says where the requests come from. Each operation has servers of its own,
one without authentication and one with, so the order of the tests does not matter.
"""

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.generation.hypothesis.builder import HypothesisTestMode
from schemathesis.generation.meta import TestPhase

from tests.contract_hooks import MISMATCHES, Mismatch
from tests.contract_run import Plan, Report, Run, phase, run, unused
from tests.contract_world import NAMES, AnyCase, World, preparation
from tests.document import OPERATIONS, Operation, document
from tests.test_openapi import schemas_within, with_value, without
from tools.real_server import RealServer

pytestmark = [
    pytest.mark.contract,
    pytest.mark.real,
    # All operations in one test take minutes on a busy machine.
    pytest.mark.timeout(900),
]

TOKEN = "full-access-token"
PLANS = {"open": Plan(), "token": Plan(token=TOKEN)}

OPERATION_NAMES = [operation.name for operation in OPERATIONS]

UNREACHED = {
    ("open", "create_token"): "tokens cannot be made while authentication is switched off",
    ("open", "get_token"): "there are no tokens while authentication is switched off",
    ("open", "rotate_token"): "there are no tokens while authentication is switched off",
}
"""Where no request can succeed, with the reason."""


@functools.cache
def report(access: str, name: str) -> Report:
    """Run an operation, once for all tests."""
    return run(name, PLANS[access])


def all_reports() -> dict[tuple[str, str], Report]:
    return {(access, name): report(access, name) for access in PLANS for name in OPERATION_NAMES}


@pytest.mark.parametrize("access", PLANS)
@pytest.mark.parametrize("name", OPERATION_NAMES)
def test_answers_are_as_documented(access: str, name: str) -> None:
    if complaint := report(access, name).complaint():
        pytest.fail(complaint, pytrace=False)


def test_every_operation_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    reports = all_reports()
    unreached = {place for place, found in reports.items() if not found.reached}
    succeeded = {name for access, name in reports.keys() - unreached}
    requests = sum(found.statuses.total() for found in reports.values())
    stopped = sum(found.stopped.total() for found in reports.values())

    with capsys.disabled():
        print(
            f"\n{len(succeeded)} of {len(OPERATION_NAMES)} operations were answered with 2xx;"
            f" {requests} requests were sent, {stopped} kept back"
        )
    assert succeeded == set(OPERATION_NAMES)
    assert unreached == UNREACHED.keys()


def test_no_difference_is_listed_in_vain() -> None:
    assert unused(MISMATCHES, all_reports().values()) == []


# --- Permissions ----------------------------------------------------------------------------------

EVERYBODY = {"none", "nobody", "reader", "writer", "full"}
MAY = {
    "no token": EVERYBODY,
    "any valid token": EVERYBODY - {"none"},
    "read permission": {"reader", "full"},
    "write permission": {"writer", "full"},
    "full access": {"full"},
}
"""Who may do what, by the last words of an operation's description."""


@pytest.mark.parametrize("operation", OPERATIONS, ids=OPERATION_NAMES)
def test_permissions_are_as_described(operation: Operation) -> None:
    phases = (HypothesisTestMode.EXAMPLES, HypothesisTestMode.FUZZING)
    with RealServer(token=TOKEN) as server:
        running = Run(Plan(token=TOKEN, phases=phases, random_cases=1), operation, server)
        credentials = {who: headers_of(who, running.world) for who in sorted(EVERYBODY - {"full"})}
        # Last, since a removed bucket leaves the permissions of all tokens.
        credentials["full"] = running.world.authorization()
        cases = running.cases()
        for case in [case for case in cases if phase(case) == TestPhase.EXAMPLES] or cases:
            for who, headers in credentials.items():
                preparation(operation)(running.world)
                status = running.exchange(running.prepared(case, True, headers)).status_code
                assert outcome(status) == expected(who, needed(operation, case)), (who, case)


def headers_of(who: str, world: World) -> dict[str, str]:
    """Return the credentials of somebody without full access."""
    permissions: dict[str, dict[str, list[str]]] = {
        "nobody": {},
        "reader": {"read": [NAMES["bucket"]]},
        "writer": {"write": [NAMES["bucket"]]},
    }
    if who == "none":
        return {}
    return {"Authorization": f"Bearer {world.new_token(who, permissions[who])}"}


def needed(operation: Operation, case: AnyCase) -> str:
    """Return what a request needs by the description of its operation."""
    sentence = operation.content["description"].rpartition("Needs ")[2].replace("\n", " ")
    found = re.findall("|".join(MAY), sentence)
    if isinstance(case.body, dict) and "query_type" in case.body:
        read, write = found
        return str(write if case.body["query_type"] == "REMOVE" else read)
    (need,) = found
    return str(need)


def expected(who: str, need: str) -> str:
    return "done" if who in MAY[need] else "401" if who == "none" else "403"


def outcome(status: int) -> str:
    return "done" if 200 <= status < 300 else str(status)


# --- Examples -------------------------------------------------------------------------------------


def wrong_examples(loaded: dict[str, Any]) -> Iterator[str]:
    """Yield the examples of parameters, bodies and answers that do not fit their schemas."""
    for place, content in schemas_within("", loaded):
        if isinstance(content.get("schema"), dict):
            named = content.get("examples", {}).values()
            values = [example["value"] for example in named]
            values += [content["example"]] if "example" in content else []
            schema = {**content["schema"], "components": loaded["components"]}
            validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
            for value in values:
                yield from (f"{place}: {error.message}" for error in validator.iter_errors(value))


def test_examples_fit_their_schemas() -> None:
    assert list(wrong_examples(document())) == []


def test_examples_that_do_not_fit_are_noticed() -> None:
    loaded = document()
    loaded["components"]["parameters"]["RecordTime"]["example"] = -1
    answer = loaded["paths"]["/info"]["get"]["responses"]["200"]["content"]["application/json"]
    del answer["example"]["uptime"]
    body = loaded["paths"]["/io/{bucket}/q"]["post"]["requestBody"]["content"]["application/json"]
    body["examples"]["remove"]["value"]["query_type"] = "ERASE"

    places = [complaint.partition(":")[0] for complaint in wrong_examples(loaded)]

    assert places == [
        "/paths//info/get/responses/200/content/application/json",
        "/paths//io/{bucket}/q/post/requestBody/content/application/json",
        "/components/parameters/RecordTime",
    ]


# --- Negative controls ----------------------------------------------------------------------------

Change = Callable[[Any], None]


def changed(change: Change, **plan: Any) -> Plan:
    """Return a plan for a document with a defect, which keeps requests few."""
    loaded = document()
    change(loaded)
    return Plan(loaded=loaded, random_cases=5, **plan)


SCHEMAS = ("components", "schemas")
INFO = ("paths", "/info", "get", "responses", "200", "content")
ANSWER = ("paths", "/b/{bucket}/{entry}", "get", "responses", "200")
COLOUR = {"description": "Missing", "required": True, "schema": {"type": "string"}}
TEXT = {"text/plain": {"schema": {"type": "string"}}}


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        (
            "get_info",
            with_value("integer", *SCHEMAS, "ServerInfo", "properties", "version", "type"),
            "Response violates schema",
        ),
        (
            "get_info",
            with_value(["version", "colour"], *SCHEMAS, "ServerInfo", "required"),
            "Response violates schema",
        ),
        (
            "list_replications",
            with_value("integer", *SCHEMAS, "ReplicationInfo", "properties", "name", "type"),
            "Response violates schema",
        ),
        ("get_info", with_value(TEXT, *INFO), "Undocumented Content-Type"),
        (
            "get_bucket",
            without("paths", "/b/{bucket}", "get", "responses", "404"),
            "Undocumented status code",
        ),
        (
            "read_record",
            with_value(COLOUR, *ANSWER, "headers", "x-reduct-colour"),
            "Missing required response headers",
        ),
        (
            "read_record",
            with_value({"type": "boolean"}, "components", "headers", "RecordTime", "schema"),
            "Response header does not conform to the schema",
        ),
        (
            "update_bucket",
            with_value(1023, *SCHEMAS, "Count", "maximum"),
            "Schema-violating request accepted",
        ),
        (
            "fetch_link",
            with_value("bytes=50-60", "components", "parameters", "Range", "example"),
            "no answer",
        ),
    ],
)
def test_a_wrong_document_is_noticed(name: str, change: Change, complaint: str) -> None:
    assert complaint in run(name, changed(change)).complaint()


def test_a_server_error_is_noticed() -> None:
    assert "Server error" in run("rename_bucket", Plan(mismatches=())).complaint()


def test_the_end_of_the_server_is_noticed_with_the_last_requests() -> None:
    when = ("paths", "/io/{bucket}/q", "post", "requestBody", "content", "application/json")
    change = with_value(
        {"when": 2**63, "query_type": "QUERY"}, *when, "examples", "between", "value"
    )

    found = run("io_query", changed(change, stop=lambda request: None))

    assert found.failures[-1].startswith("the server process is gone after\n")
    assert "9223372036854775808" in found.failures[-1]


def test_an_operation_without_success_is_noticed() -> None:
    def change(loaded: Any) -> None:
        loaded["paths"]["/nothing"] = loaded["paths"].pop("/info")

    assert not run("get_info", changed(change)).reached


def test_a_useless_row_is_noticed() -> None:
    found = run("get_info", changed(lambda loaded: None))
    somewhere = Mismatch(frozenset(), "Server error", lambda request, status: True, "anywhere")
    here = somewhere._replace(operations=frozenset({"get_info"}), reason="here")

    assert unused([somewhere, here], [found]) == [": anywhere", "get_info: here"]
