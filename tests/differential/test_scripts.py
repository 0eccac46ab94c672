"""The same calls, the same answers: random scripts of every kind of call."""

import pytest
from hypothesis import given

from tests.differential import scripts
from tests.differential.effort import examples
from tests.differential.pair import Pair
from tests.differential.wire import Call

pytestmark = [pytest.mark.real, pytest.mark.timeout(7200)]


@examples(400)
@given(script=scripts.scripts())
def test_records_and_buckets(pair: Pair, script: list[Call]) -> None:
    difference = pair.first_difference(script)
    assert difference is None, str(difference)


@examples(60)
@given(script=scripts.access_scripts())
def test_tokens(auth_pair: Pair, script: list[Call]) -> None:
    difference = auth_pair.first_difference(script)
    assert difference is None, str(difference)


@examples(40)
@given(script=scripts.link_scripts())
def test_links(pair: Pair, script: list[Call]) -> None:
    difference = pair.first_difference(script)
    assert difference is None, str(difference)


@examples(20)
@given(script=scripts.link_scripts())
def test_links_of_tokens(auth_pair: Pair, script: list[Call]) -> None:
    difference = auth_pair.first_difference(script)
    assert difference is None, str(difference)


@examples(60)
@given(script=scripts.service_scripts())
def test_replications_and_lifecycles(pair: Pair, script: list[Call]) -> None:
    difference = pair.first_difference(script)
    assert difference is None, str(difference)


@examples(60)
@given(script=scripts.quota_scripts())
def test_quotas(pair: Pair, script: list[Call]) -> None:
    difference = pair.first_difference(script)
    assert difference is None, str(difference)


@examples(40)
@given(script=scripts.compression_scripts())
def test_compressed_bodies(pair: Pair, script: list[Call]) -> None:
    difference = pair.first_difference(script)
    assert difference is None, str(difference)


@examples(15)
@given(script=scripts.continuous_scripts())
def test_continuous_queries(pair: Pair, script: list[Call]) -> None:
    difference = pair.first_difference(script)
    assert difference is None, str(difference)
