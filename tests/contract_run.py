"""Sends generated requests for one operation to a real server of its own, and judges the answers.

Requests come from the document alone: all its examples; every case of schemathesis' coverage
phase, which tries each limit, type and required part from both sides; and a bounded number of
random cases. There is no seed and no database, so two runs send the same.
"""

import collections
import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import Any

import hypothesis
import requests
from schemathesis import CheckContext, Config, Response, openapi
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core import SCHEMATHESIS_TEST_CASE_HEADER
from schemathesis.core.failures import FailureGroup
from schemathesis.generation.hypothesis.builder import (
    HypothesisTestConfig,
    HypothesisTestMode,
    create_test,
)
from schemathesis.generation.meta import TestPhase
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.contract_hooks import MISMATCHES, Mismatch, Request, body_of, stopped_by
from tests.contract_world import (
    REQUEST_SECONDS,
    AnyCase,
    World,
    add_records,
    at_home,
    lead,
    new_session,
    preparation,
)
from tests.document import Operation, document, operations
from tools.real_server import RealServer

VERSION = "1.21"
"""What the tested server calls its API."""

LAST_REQUESTS = 5
"""How many requests a message shows when the server process is gone."""

END_SECONDS = 2.0
"""How long a server may take to end; a few milliseconds, if it does."""

SHOWN_FAILURES = 10
"""How many failures of one operation a message shows."""

CONFIG = {
    # The token comes from the runs below, and other methods than the document's are not its matter.
    "generation": {"with-security-parameters": False},
    "phases": {"coverage": {"unexpected-methods": []}},
}


def error_conformance(ctx: CheckContext, response: Response, case: AnyCase) -> None:
    """The body of an error is its header, put into JSON without escapes."""
    header = response.headers.get("x-reduct-error")
    if response.status_code < 400 or header is None or case.method == "HEAD":
        return
    message = header[0].encode("latin-1").decode().replace('"', "'")
    body = response.content.decode()
    assert body.startswith('{"detail": "'), body
    assert message == "Unparsable message" or body == f'{{"detail": "{message}"}}', body


def common_headers_conformance(ctx: CheckContext, response: Response, case: AnyCase) -> None:
    """Each answer names the server and the version of its API."""
    assert response.headers["server"][0].startswith(f"ReductStore {VERSION}."), response.headers
    assert response.headers["x-reduct-api"] == [VERSION], response.headers


CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    error_conformance,
    common_headers_conformance,
]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        loaded: the document.
        token: the server's full-access token; None switches authentication off.
        phases: where requests come from.
        random_cases: how many of them are random.
        stop: names what keeps a request from being sent.
        mismatches: failures that are expected.
    """

    loaded: dict[str, Any] = dataclasses.field(default_factory=document)
    token: str | None = None
    phases: tuple[HypothesisTestMode, ...] = tuple(HypothesisTestMode)
    random_cases: int = 60
    stop: Callable[[Request], str | None] = stopped_by
    mismatches: tuple[Mismatch, ...] = MISMATCHES


class Report:
    """What came of one operation.

    Attributes:
        name: the operation.
        statuses: how many requests were answered with each status.
        stopped: how many requests were kept back, by the reason.
        failures: what is wrong with the answers, each with its request.
        used: the expected failures that occurred.
        last: the latest requests.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.statuses: collections.Counter[int] = collections.Counter()
        self.stopped: collections.Counter[str] = collections.Counter()
        self.failures: list[str] = []
        self.used: set[Mismatch] = set()
        self.last: collections.deque[str] = collections.deque(maxlen=LAST_REQUESTS)

    @property
    def reached(self) -> bool:
        """Whether any request succeeded."""
        return any(200 <= status < 300 for status in self.statuses)

    def complaint(self) -> str:
        """Return the failures as text, empty if there are none."""
        more = len(self.failures) - SHOWN_FAILURES
        shown = self.failures[:SHOWN_FAILURES] + ([f"and {more} more"] if more > 0 else [])
        return "\n\n".join(shown)


class Run:
    """One operation on one server."""

    def __init__(self, plan: Plan, operation: Operation, server: RealServer) -> None:
        self.plan = plan
        self.operation = operation
        self.server = server
        self.world = World(server)
        self.report = Report(operation.name)

    def send_all(self) -> None:
        """Send each case after making its state; ends early with a failure if the server does."""
        prepare = preparation(self.operation)
        for number, case in enumerate(self.cases()):
            # Every third random request goes where chance leads it.
            led = phase(case) != TestPhase.FUZZING or number % 3 != 0
            try:
                prepare(self.world)
                self.send(case, led)
            except requests.ConnectionError:
                self.wait_for_end()
                if self.server.alive():
                    raise
            if not self.server.alive():
                last = "\n".join(self.report.last)
                self.report.failures.append(f"the server process is gone after\n{last}")
                return

    def cases(self) -> list[AnyCase]:
        """Return the generated requests."""
        cases: list[AnyCase] = []

        def collect(case: AnyCase) -> None:
            cases.append(case)

        schema = openapi.from_dict(self.plan.loaded, config=Config.from_dict(CONFIG))
        # What `schema.parametrize()` makes of an operation.
        config = HypothesisTestConfig(
            project=schema.config, modes=list(self.plan.phases), explicit_settings=self.settings()
        )
        found = schema[self.operation.path][self.operation.method]
        create_test(operation=found, test_func=collect, config=config)()
        return cases

    def settings(self) -> hypothesis.settings:
        return hypothesis.settings(
            max_examples=self.plan.random_cases,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )

    def send(self, case: AnyCase, led: bool) -> None:
        """Send a request unless it has to be kept back, and judge the answer."""
        prepared = self.prepared(case, led, self.world.authorization())
        request = Request.of(prepared)
        if reason := self.plan.stop(request):
            self.report.stopped[reason] += 1
            return
        self.report.last.append(shown(prepared))
        try:
            response = self.exchange(prepared)
        except requests.RequestException as error:
            self.report.failures.append(f"no answer: {error}\n{shown(prepared)}")
            self.wait_for_end()
            return
        self.report.statuses[response.status_code] += 1
        self.judge(case, request, response)

    def prepared(
        self, case: AnyCase, led: bool, credentials: dict[str, str]
    ) -> requests.PreparedRequest:
        """Return what goes on the wire."""
        if led:
            lead(case, self.operation, self.world)
        if isinstance(case.body, dict):
            case.body = at_home(case.body)
        parts = case.as_transport_kwargs(base_url=self.world.url, headers=credentials)
        prepared = requests.Request(**parts).prepare()
        # A random number.
        del prepared.headers[SCHEMATHESIS_TEST_CASE_HEADER]
        if led:
            add_records(prepared, self.operation)
        return prepared

    def exchange(self, prepared: requests.PreparedRequest) -> requests.Response:
        """Return the answer; on a connection of its own, since the server may have closed others.

        It does so after an answer that it sent before it read the whole body.
        """
        with new_session() as session:
            return session.send(prepared, timeout=REQUEST_SECONDS, allow_redirects=False)

    def wait_for_end(self) -> None:
        """Wait as long as it takes a server that ends to end, after it closed its connections."""
        deadline = time.monotonic() + END_SECONDS
        while self.server.alive() and time.monotonic() < deadline:
            time.sleep(0.01)

    def judge(self, case: AnyCase, request: Request, response: requests.Response) -> None:
        """Note what is wrong with an answer, unless it is expected."""
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as group:
            for failure in group.exceptions:
                if not self.expected(failure.title, request, response.status_code):
                    answer = f"{response.status_code} {dict(response.headers)}"
                    self.report.failures.append(
                        f"{failure.title}: {failure.message}\n{shown(response.request)}\n"
                        f"{answer} {response.text[:300]}"
                    )

    def expected(self, title: str, request: Request, status: int) -> bool:
        """Return whether the table has a row for a failure, and note its use."""
        for row in self.plan.mismatches:
            here = not row.operations or self.operation.name in row.operations
            if here and row.title == title and row.applies(request, status):
                self.report.used.add(row)
                return True
        return False


def phase(case: AnyCase) -> TestPhase:
    """Return where a case comes from."""
    assert case.meta is not None
    return case.meta.phase.name


def shown(prepared: requests.PreparedRequest) -> str:
    """Return a request as text."""
    body = body_of(prepared)[:500]
    return f"{prepared.method} {prepared.url}\n{dict(prepared.headers)}\n{body!r}"


def run(name: str, plan: Plan) -> Report:
    """Send the requests of a plan for the operation of this name, to a fresh server."""
    (operation,) = (found for found in operations(plan.loaded) if found.name == name)
    with RealServer(token=plan.token) as server:
        running = Run(plan, operation, server)
        running.send_all()
    return running.report


def unused(rows: Iterable[Mismatch], reports: Iterable[Report]) -> list[str]:
    """Return the expected failures that did not occur, each with its operation if it has one."""
    used = {(row, name) for report in reports for row in report.used for name in ("", report.name)}
    named = ((row, name) for row in rows for name in sorted(row.operations) or [""])
    return [f"{name}: {row.reason}" for row, name in named if (row, name) not in used]
