"""Endpoints about the server itself: info, list, alive, ready, me."""

import time

from starlette.requests import Request
from starlette.routing import Route

from reduct_local.api.common import (
    U64_MAX,
    VERSION,
    Answer,
    Permission,
    authorize,
    json_answer,
    state,
)


async def info(request: Request) -> Answer:
    """Describe the server and the extent of what it stores."""
    await authorize(request, Permission.ANY)
    server = state(request)
    buckets = server.engine.bucket_infos()
    return json_answer(
        {
            "version": VERSION,
            "instance_name": server.config.instance_name,
            "instance_role": "STANDALONE",
            "bucket_count": len(buckets),
            "usage": sum(bucket.size for bucket in buckets),
            "uptime": int(time.monotonic() - server.started),
            "oldest_record": min((bucket.oldest_record for bucket in buckets), default=U64_MAX),
            "latest_record": max((bucket.latest_record for bucket in buckets), default=0),
            "defaults": {"bucket": server.config.defaults.to_dict()},
            "license": None,
        }
    )


async def list_buckets(request: Request) -> Answer:
    """List the buckets that the caller may read."""
    token = await authorize(request, Permission.ANY)
    buckets = state(request).engine.bucket_infos()
    return json_answer(
        {
            "buckets": [
                bucket.to_dict() for bucket in buckets if token.permissions.may_read(bucket.name)
            ]
        }
    )


async def alive(request: Request) -> Answer:
    """Tell that the server runs; needs no token."""
    return Answer()


async def me(request: Request) -> Answer:
    """Describe the caller's token."""
    token = await authorize(request, Permission.ANY)
    return json_answer(state(request).auth.describe(token))


def routes() -> list[Route]:
    """Return the routes of this module."""
    return [
        Route("/info", info),
        Route("/list", list_buckets),
        Route("/alive", alive),
        Route("/ready", alive),
        Route("/me", me),
    ]
