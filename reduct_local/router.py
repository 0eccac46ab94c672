"""From a request's path and method to its endpoint, by the real server's matching rules.

Starlette's routes are the declarations; its router is not used, because it matches decoded
paths, where `%2F` is a slash, and tells the methods of one route only in `Allow`.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from reduct_local.api.common import Answer, Endpoint, TextError
from reduct_local.errors import ApiError

_ORDER = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class _Path:
    """One path pattern with the endpoints of its methods."""

    def __init__(self, route: Route) -> None:
        # A rest of a path has at least one character on the real server.
        self.pattern = re.compile(route.path_regex.pattern.replace(">.*)", ">.+)"))
        self.methods: dict[str, Endpoint] = {}
        self.add(route)

    def add(self, route: Route) -> None:
        for method in route.methods or ():
            self.methods[method] = route.endpoint

    @property
    def allow(self) -> bytes:
        return ",".join(name for name in _ORDER if name in self.methods).encode()


class Router:
    """The ASGI application that calls the endpoints; `ApiError`s pass through it.

    Args:
        routes: what the modules of `api` declare, in any order.
        base: the path before `api/v1`, beginning and ending with `/`.
    """

    def __init__(self, routes: Iterable[Route], base: str) -> None:
        self._root = base + "api/v1"
        self._base = base
        paths: dict[str, _Path] = {}
        for route in routes:
            if route.path in paths:
                paths[route.path].add(route)
            else:
                paths[route.path] = _Path(route)
        # By first segment, so that few patterns are tried; literal segments before parameters.
        self._paths: dict[str, list[_Path]] = {}
        for text in sorted(paths, key=_specificity):
            self._paths.setdefault(text.split("/", 2)[1], []).append(paths[text])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request by its endpoint; 404, 405 and the console's paths by itself."""
        path = scope["raw_path"].decode("latin-1")
        method = scope["method"]
        found, groups = self._find(path)
        if found is None:
            answer = self._other(path, method)
        elif method in found.methods:
            scope["path_params"] = _decode(groups)
            answer = await found.methods[method](Request(scope, receive, send))
        else:
            answer = Answer(405, [(b"allow", found.allow)])
        await answer(scope, receive, send)

    def allow(self, scope: Scope) -> bytes | None:
        """Return the methods of the path as a header value, None for an unknown path."""
        found, _groups = self._find(scope["raw_path"].decode("latin-1"))
        return None if found is None else found.allow

    def _find(self, path: str) -> tuple[_Path | None, dict[str, str]]:
        if path.startswith(self._root):
            rest = path[len(self._root) :]
            for candidate in self._paths.get(rest[1:].split("/", 1)[0], ()):
                match = candidate.pattern.fullmatch(rest)
                if match:
                    return candidate, match.groupdict()
        return None, {}

    def _other(self, path: str, method: str) -> Answer:
        if method not in ("GET", "HEAD"):
            return Answer(405, [(b"allow", b"GET,HEAD")])
        if path == self._base:
            location = (self._base + "ui/").encode("latin-1")
            text = (b"content-type", b"text/plain; charset=utf-8")
            return Answer(302, [text, (b"location", location)])
        if path.startswith(self._base + "ui/"):
            raise ApiError(404, "No static files supported")
        raise ApiError(404, "Not found")


def _specificity(path: str) -> tuple[tuple[bool, bool], ...]:
    """Sort key: segment by segment literal text, then a parameter, then the rest of a path."""
    return tuple(("{" in segment, ":path" in segment) for segment in path.split("/")[1:])


def _decode(groups: dict[str, str]) -> dict[str, str]:
    """Return path parameters percent-decoded; 400 as text where that is not UTF-8."""
    decoded = {}
    for name, value in groups.items():
        try:
            decoded[name] = unquote_to_bytes(value).decode() if "%" in value else value
        except UnicodeDecodeError:
            raise TextError(400, f"Invalid URL: Invalid UTF-8 in `{name}`") from None
    return decoded
