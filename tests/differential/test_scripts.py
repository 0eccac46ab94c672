"""The same calls, the same answers: random scripts of all that concerns records."""

import pytest
from hypothesis import given

from tests.differential.pair import Pair
from tests.differential.scripts import access_scripts, link_scripts, scripts
from tests.differential.wire import Call

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]


@given(script=scripts())
def test_servers_agree(pair: Pair, script: list[Call]) -> None:
    difference = pair.first_difference(script)
    assert difference is None, str(difference)


@given(script=access_scripts())
def test_servers_agree_on_who_may_what(auth_pair: Pair, script: list[Call]) -> None:
    difference = auth_pair.first_difference(script)
    assert difference is None, str(difference)


@given(script=link_scripts())
def test_servers_agree_on_links(pair: Pair, script: list[Call]) -> None:
    difference = pair.first_difference(script)
    assert difference is None, str(difference)


@given(script=link_scripts())
def test_servers_agree_on_links_of_tokens(auth_pair: Pair, script: list[Call]) -> None:
    difference = auth_pair.first_difference(script)
    assert difference is None, str(difference)
