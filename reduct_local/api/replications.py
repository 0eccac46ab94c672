"""Endpoints of replications (`/replications`)."""

from starlette.requests import Request
from starlette.routing import Route

from reduct_local.api.common import Answer, Permission, authorize, json_answer, json_body, state
from reduct_local.fields import choice
from reduct_local.replication.settings import MODES, ReplicationSettings


async def list_replications(request: Request) -> Answer:
    """`GET /replications`"""
    await authorize(request, Permission.FULL)
    return json_answer({"replications": state(request).replications.infos()})


async def get_replication(request: Request) -> Answer:
    """`GET /replications/{name}`"""
    await authorize(request, Permission.FULL)
    return json_answer(state(request).replications.describe(_name(request)))


async def create_replication(request: Request) -> Answer:
    """`POST /replications/{name}`"""
    settings = ReplicationSettings.parse(await json_body(request))
    await authorize(request, Permission.FULL)
    replications = state(request).replications
    replications.create(_name(request), settings, own_port=_own_port(request))
    return Answer()


async def update_replication(request: Request) -> Answer:
    """`PUT /replications/{name}`"""
    settings = ReplicationSettings.parse(await json_body(request))
    await authorize(request, Permission.FULL)
    replications = state(request).replications
    replications.update(_name(request), settings, own_port=_own_port(request))
    return Answer()


async def set_replication_mode(request: Request) -> Answer:
    """`PATCH /replications/{name}/mode`"""
    mode = choice(await json_body(request), "mode", MODES)
    await authorize(request, Permission.FULL)
    state(request).replications.set_mode(_name(request), mode)
    return Answer()


async def remove_replication(request: Request) -> Answer:
    """`DELETE /replications/{name}`"""
    await authorize(request, Permission.FULL)
    await state(request).replications.remove(_name(request))
    return Answer()


def _name(request: Request) -> str:
    name: str = request.path_params["replication_name"]
    return name


def _own_port(request: Request) -> int:
    port: int = request.scope["server"][1]
    return port


def routes() -> list[Route]:
    """Return the routes of this module."""
    one = "/replications/{replication_name}"
    return [
        Route("/replications", list_replications, methods=["GET"]),
        Route(one, get_replication, methods=["GET"]),
        Route(one, create_replication, methods=["POST"]),
        Route(one, update_replication, methods=["PUT"]),
        Route(one, remove_replication, methods=["DELETE"]),
        Route(f"{one}/mode", set_replication_mode, methods=["PATCH"]),
    ]
