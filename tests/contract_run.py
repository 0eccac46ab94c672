"""Sends generated requests for one operation to a real server, and judges the answers.

Settings: all examples of openapi.yaml; every case of schemathesis' coverage phase, which tries
each limit, type and required part of the document from both sides; and a bounded number of random
cases. All of it is derived from the document alone, without a seed, so two runs send the same.
"""

import collections
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import hypothesis
import requests
import schemathesis
from schemathesis import Case, CheckContext, Response
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.transport import SCHEMATHESIS_TEST_CASE_HEADER
from schemathesis.generation.hypothesis.builder import (
    HypothesisTestConfig,
    HypothesisTestMode,
    create_test,
)
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
