"""Two servers that get the same calls."""

import json
import re
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tests.differential.answers import Comparable, comparable
from tests.differential.wire import Answer, Call, Connection, NoAnswerError

SETTLING_SECONDS = 30.0
"""After this long a removal that is still going on counts as hanging."""

BUCKETS = ("b0", "b1", "b2")
"""The placeholders `<b0>`, `<b1>`, `<b2>` of buckets, which no other script uses."""

REMOVAL = re.compile(r"/b/([^/?]+)(/[^?]+)?")


class Difference(NamedTuple):
    """Where two servers differ.

    Attributes:
        call: the call as the first server got it.
        answers: what counts of both answers; the text of a NoAnswerError where there was none.
        words: the errors' own words, which are not compared.
        before: the calls that led there, with the statuses of the first server.
    """

    call: Call
    answers: tuple[Comparable | str, Comparable | str]
    words: tuple[str, str]
    before: tuple[tuple[Call, int], ...]

    def __str__(self) -> str:
        steps = [f"  {status} {show(call)}" for call, status in self.before]
        lines = ["after", *steps, f"two servers differ on\n  {show(self.call)}"]
        for answer, words in zip(self.answers, self.words, strict=True):
            lines.append(f"  {answer}  {words}")
        return "\n".join(lines)


def show(call: Call) -> str:
    """Return a call in one line, large bodies cut."""
    body = f" {call.body[:200]!r}" if call.body else ""
    rest = "" if call.size == "body" else f" size={call.size}"
    return f"{call.method} {call.target} {dict(call.headers)}{body}{rest}" + (
        " chunked" if call.chunked else ""
    )


class Pair:
    """Two servers side by side; close it after use.

    Args:
        first: to the server whose answers are expected.
        second: to the one that is compared.
        token: sent with every call without authorization of its own; None sends none.
    """

    def __init__(self, first: Connection, second: Connection, *, token: str | None = None) -> None:
        self._connections = (first, second)
        self._token = token

    def close(self) -> None:
        """Close both connections."""
        for connection in self._connections:
            connection.close()

    def first_difference(self, script: Iterable[Call]) -> Difference | None:
        """Send the calls of a script to both servers, up to the first difference.

        Buckets of the script are removed afterwards.
        """
        prefix = f"d{uuid.uuid4().hex[:12]}"
        kept = {name: (f"{prefix}-{name}",) * 2 for name in BUCKETS}
        before: list[tuple[Call, int]] = []
        try:
            for call in script:
                calls = tuple(filled(call, kept, number) for number in (0, 1))
                answers = self._exchange(calls)
                seen = tuple(counted(answer) for answer in answers)
                if seen[0] != seen[1]:
                    words = tuple(map(words_of, answers))
                    return Difference(calls[0], seen, words, tuple(before))  # type: ignore[arg-type]
                first, second = answers
                assert isinstance(first, Answer)
                assert isinstance(second, Answer)
                before.append((calls[0], first.status))
                if call.keep is not None:
                    kept[call.keep] = (kept_text(first), kept_text(second))
                self._settle(calls[0], first.status)
            return None
        finally:
            for name in BUCKETS:
                self._exchange([self._authorized(Call("DELETE", f"/b/{kept[name][0]}"))] * 2)

    def _exchange(self, calls: Sequence[Call]) -> list[Answer | NoAnswerError]:
        answers: list[Answer | NoAnswerError] = []
        for connection, call in zip(self._connections, calls, strict=True):
            try:
                answers.append(connection.send(self._authorized(call)))
            except NoAnswerError as error:
                answers.append(error)
        return answers

    def _authorized(self, call: Call) -> Call:
        if self._token is None or any(name == "authorization" for name, _ in call.headers):
            return call
        return call._replace(headers=(*call.headers, ("authorization", f"Bearer {self._token}")))

    def _settle(self, call: Call, status: int) -> None:
        """Wait until a removal that was just answered is done on both servers."""
        removal = REMOVAL.fullmatch(call.target)
        if call.method != "DELETE" or status != 200 or removal is None:
            return
        everything = json.dumps(
            {"query_type": "QUERY", "entries": ["*"], "start": 0, "stop": 2**64 - 1}
        ).encode()
        checks = [
            Call("GET", f"/b/{removal[1]}", size=None),
            Call("POST", f"/io/{removal[1]}/q", body=everything),
        ]
        deadline = time.monotonic() + SETTLING_SECONDS
        for connection in self._connections:
            while any(unsettled(connection.send(self._authorized(check))) for check in checks):
                assert time.monotonic() < deadline, f"the removal hangs: {call}"
                time.sleep(0.005)


def unsettled(answer: Answer) -> bool:
    """Return whether an answer tells of a removal that is going on."""
    return answer.status == 409 or b'"DELETING"' in answer.body


def counted(answer: Answer | NoAnswerError) -> Comparable | str:
    """Return what counts of what came."""
    return comparable(answer) if isinstance(answer, Answer) else str(answer)


def words_of(answer: Answer | NoAnswerError) -> str:
    """Return the words of an error, and of the errors of single records."""
    if isinstance(answer, NoAnswerError):
        return ""
    return "; ".join(value for name, value in answer.headers if name.startswith("x-reduct-error"))


def filled(call: Call, kept: Mapping[str, tuple[str, str]], number: int) -> Call:
    """Return a call with what one of the servers gave in place of the placeholders."""

    def fill(text: str) -> str:
        return re.sub(r"<(\w+)>", lambda found: kept.get(found[1], ("999999",) * 2)[number], text)

    return call._replace(
        target=fill(call.target),
        headers=tuple((name, fill(value)) for name, value in call.headers),
        body=fill(call.body.decode("latin-1")).encode("latin-1")
        if b"<" in call.body
        else call.body,
    )


def kept_text(answer: Answer) -> str:
    """Return the id, the parameters of the link, or the token of an answer; "0" for none."""
    try:
        document = json.loads(answer.body)
    except ValueError:
        return "0"
    value = next((document[name] for name in ("id", "link", "value") if name in document), "0")
    return str(value).partition("?")[2] if "?" in str(value) else str(value)
