"""Endpoints of lifecycle policies (`/lifecycles`)."""

from starlette.requests import Request
from starlette.routing import Route

from reduct_local.api.common import Answer, Permission, authorize, json_answer, json_body, state
from reduct_local.fields import choice
from reduct_local.lifecycle_settings import MODES, LifecycleSettings


async def list_lifecycles(request: Request) -> Answer:
    """`GET /lifecycles`"""
    await authorize(request, Permission.FULL)
    return json_answer({"lifecycles": state(request).lifecycles.infos()})


async def get_lifecycle(request: Request) -> Answer:
    """`GET /lifecycles/{name}`"""
    await authorize(request, Permission.FULL)
    return json_answer(state(request).lifecycles.describe(_name(request)))


async def create_lifecycle(request: Request) -> Answer:
    """`POST /lifecycles/{name}`"""
    settings = LifecycleSettings.parse(await json_body(request))
    await authorize(request, Permission.FULL)
    lifecycles = state(request).lifecycles
    lifecycles.create(_name(request), settings)
    return Answer()


async def update_lifecycle(request: Request) -> Answer:
    """`PUT /lifecycles/{name}`"""
    settings = LifecycleSettings.parse(await json_body(request))
    await authorize(request, Permission.FULL)
    lifecycles = state(request).lifecycles
    lifecycles.update(_name(request), settings)
    return Answer()


async def set_lifecycle_mode(request: Request) -> Answer:
    """`PATCH /lifecycles/{name}/mode`"""
    mode = choice(await json_body(request), "mode", MODES)
    await authorize(request, Permission.FULL)
    state(request).lifecycles.set_mode(_name(request), mode)
    return Answer()


async def remove_lifecycle(request: Request) -> Answer:
    """`DELETE /lifecycles/{name}`"""
    await authorize(request, Permission.FULL)
    state(request).lifecycles.remove(_name(request))
    return Answer()


def _name(request: Request) -> str:
    name: str = request.path_params["lifecycle_name"]
    return name


def routes() -> list[Route]:
    """Return the routes of this module."""
    one = "/lifecycles/{lifecycle_name}"
    return [
        Route("/lifecycles", list_lifecycles, methods=["GET"]),
        Route(one, get_lifecycle, methods=["GET"]),
        Route(one, create_lifecycle, methods=["POST"]),
        Route(one, update_lifecycle, methods=["PUT"]),
        Route(one, remove_lifecycle, methods=["DELETE"]),
        Route(f"{one}/mode", set_lifecycle_mode, methods=["PATCH"]),
    ]
