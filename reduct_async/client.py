"""Clients: a connection to one server, its buckets, tokens, replications and lifecycles."""

from __future__ import annotations

import builtins
import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Self

import httpx

from reduct_api import api, models
from reduct_core import names, server
from reduct_core.config import Retry, base_url, make_config, refuse_session
from reduct_core.errors import ConflictError, NotFoundError, ReductError
from reduct_core.network import (
    CertTypes,
    check_limits,
    environment_proxy,
    proxy_address,
    ssl_context,
)

from ._flavour import BaseTransport, check_transport, sleep
from ._io import Io
from ._transport import default_transport
from .bucket import Bucket


class Client:
    """A client of one ReductStore server, 1.20 or newer.

    Use it as a context manager, or call `close`. It may be shared
    between the tasks of one event loop; connections are opened when needed and kept.

    Every method may raise ReductError: AuthenticationError or PermissionDeniedError for the
    token, TransportError without an answer, ProtocolError if the answer is not the API's.

    Examples:
        >>> async with Client("http://127.0.0.1:8383", api_token="...") as client:
        ...     bucket = await client.create_bucket("my-bucket", exist_ok=True)
    """

    def __init__(
        self,
        url: str,
        api_token: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        *,
        verify_ssl: bool = True,
        ca_cert: str | os.PathLike[str] | None = None,
        client_cert: CertTypes | None = None,
        limits: httpx.Limits = httpx.Limits(),  # noqa: B008
        user_agent: str | None = None,
        retry: Retry | None = Retry(attempts=3),  # noqa: B008
        transport: BaseTransport | None = None,
        session: None = None,
    ):
        """Make a client; no request is sent.

        Args:
            url: address of the server, with the base path if it has one.
            api_token: token, if the server asks for one.
            timeout: seconds of inactivity in each phase of a request; None is 10 to connect,
                75 to read or write, and no limit to wait for a connection of the pool. There
                is no limit for a request as a whole.
            extra_headers: headers for every request, at most 8.
            verify_ssl: whether the server's certificate must be valid.
            ca_cert: file or folder of certificates to trust instead of the system's.
            client_cert: file with certificate and key, or a pair of files.
            limits: most connections, and how long idle ones are kept.
            user_agent: text of the User-Agent header.
            retry: when requests are sent again by themselves; None is never.
            transport: what sends the requests instead of the default: any httpx transport,
                e.g. one with a proxy, or ``httpx.MockTransport``. It is closed with the
                client, and the arguments for TLS, limits and proxies are its own matter.
            session: refused with TypeError; what reduct-py users passed here is `transport`.

        Without `transport`, proxies come from the usual environment variables. The transport is
        then this package's `Transport`; or httpx's own, with a proxy, and under trio.

        Raises:
            ValueError, TypeError: an argument that cannot be used.
            OSError: a certificate file that cannot be read (ssl.SSLError is one).
        """
        refuse_session(session)
        check_transport(transport)
        check_limits(limits)
        address = base_url(url)
        proxy = environment_proxy(address) if transport is None else None
        config = make_config(
            address,
            api_token,
            timeout,
            extra_headers,
            user_agent,
            retry,
            proxy_address(proxy),
        )
        tls = (address.scheme, verify_ssl, ca_cert, client_cert)
        context = ssl_context(*tls) if transport is None else None
        self._io = Io(config, transport, partial(default_transport, context, limits, proxy))

    def __repr__(self) -> str:
        url = self._io.session.config.url
        return f"<{type(self).__module__}.{type(self).__qualname__} {str(url)!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; may be called again. Later calls raise TransportError."""
        await self._io.close()

    @property
    def transport(self) -> BaseTransport | None:
        """The httpx transport that sends the requests.

        Without ``transport=`` it is chosen at the first use, None before: this package's
        `Transport`; or httpx's own, with a proxy of the environment, and under trio.
        """
        return self._io.transport

    # --- server ----------------------------------------------------------------------------

    @property
    def api_version(self) -> tuple[int, int] | None:
        """Version of the server's API, e.g. (1, 21); None before the first answer."""
        return self._io.session.api_version

    async def info(self) -> models.ServerInfo:
        """Return statistics and defaults of the server."""
        return await self._io.send(api.server.get_info.build_request())

    async def is_alive(self) -> bool:
        """Tell whether the server answers; it may still be starting."""
        return await self._answers(api.server.get_alive.build_request())

    async def is_ready(self) -> bool:
        """Tell whether the server can be used."""
        return await self._answers(api.server.get_ready.build_request())

    async def _answers(self, spec: server.Probe, timeout: float | None = None) -> bool:
        try:
            await self._io.send(spec, repeatable=False, timeout=timeout)
        except ReductError as error:
            if server.is_away(error):
                return False
            raise
        return True

    async def wait_ready(self, timeout: float = 30.0) -> None:
        """Return when the server can be used.

        Raises:
            TimeoutError: it could not be used within `timeout` seconds.
        """
        deadline = time.monotonic() + server.check_timeout(timeout)
        while not await self._answers(
            api.server.get_ready.build_request(), server.probe_timeout(deadline)
        ):
            if time.monotonic() >= deadline:
                raise server.not_ready(self._io.session.config.url, timeout)
            await sleep(server.READY_POLL_SECONDS)

    # --- buckets ---------------------------------------------------------------------------

    async def list(self) -> builtins.list[models.BucketInfo]:
        """Return the buckets that the token may read, with their statistics, sorted by name."""
        return (await self._io.send(api.server.list_buckets.build_request())).buckets

    def bucket(self, name: str) -> Bucket:
        """Return the bucket of that name without asking the server whether it exists."""
        return Bucket(name, self._io)

    async def get_bucket(self, name: str) -> Bucket:
        """Return the bucket of that name; any valid token may ask for it.

        Raises:
            NotFoundError: there is no such bucket.
        """
        bucket = self.bucket(name)
        await self._io.send(api.buckets.head_bucket.build_request(bucket.name))
        return bucket

    async def create_bucket(
        self, name: str, settings: models.BucketSettings | None = None, exist_ok: bool = False
    ) -> Bucket:
        """Create a bucket.

        Args:
            name: letters, digits, "_" and "-".
            settings: fields that are None take the server's defaults.
            exist_ok: whether an existing bucket is returned as it is; then any valid token
                will do.

        Raises:
            ConflictError: the bucket exists, or is still being removed.
        """
        names.new_bucket(name)
        body = None if settings is None else server.bucket_settings(settings)
        if exist_ok:
            try:
                return await self.get_bucket(name)
            except NotFoundError:
                pass
        try:
            await self._io.send(api.buckets.create_bucket.build_request(name, body=body))
        except ConflictError:
            # Another client may have created it meanwhile; one under removal is refused again.
            if not exist_ok:
                raise
            return await self.get_bucket(name)
        return self.bucket(name)

    # --- tokens ----------------------------------------------------------------------------

    async def get_token_list(self) -> builtins.list[models.Token]:
        """Return all tokens, sorted by name, without their values."""
        return (await self._io.send(api.tokens.list_tokens.build_request())).tokens

    async def get_token(self, name: str) -> models.FullTokenInfo:
        """Return a token with its permissions, without its value."""
        return await self._io.send(
            api.tokens.get_token.build_request(names.segment(name, "token name"))
        )

    async def create_token(
        self,
        name: str,
        permissions: models.Permissions,
        *,
        expires_at: datetime | None = None,
        ttl: int | None = None,
        ip_allowlist: Sequence[str] | None = None,
    ) -> str:
        """Create a token and return its value, which the server shows only this once.

        Args:
            name: name of the token.
            permissions: what it may do; names of buckets may end in "*".
            expires_at: when it ends; a datetime without a time zone is local time.
            ttl: seconds without use after which it ends.
            ip_allowlist: addresses or networks (CIDR) that may use it; None is all.

        Raises:
            ConflictError: a token of that name exists.
        """
        body = server.token_request(permissions, expires_at, ttl, ip_allowlist)
        name = names.segment(name, "token name")
        return (await self._io.send(api.tokens.create_token.build_request(name, body=body))).value

    async def rotate_token(self, name: str) -> str:
        """Give a token a new value and return it; the old one ends at once."""
        spec = api.tokens.rotate_token.build_request(names.segment(name, "token name"))
        return (await self._io.send(spec)).value

    async def remove_token(self, name: str) -> None:
        """Remove a token."""
        await self._io.send(
            api.tokens.remove_token.build_request(names.segment(name, "token name"))
        )

    async def me(self) -> models.FullTokenInfo:
        """Return the token that this client uses."""
        return await self._io.send(api.tokens.get_me.build_request())

    # --- replications ----------------------------------------------------------------------

    async def get_replications(self) -> builtins.list[models.ReplicationInfo]:
        """Return all replication tasks with their state, in no order."""
        return (
            await self._io.send(api.replications.list_replications.build_request())
        ).replications

    async def get_replication_detail(self, replication_name: str) -> models.ReplicationDetailInfo:
        """Return state, settings and diagnostics of a replication task."""
        name = names.segment(replication_name, "replication name")
        return await self._io.send(api.replications.get_replication.build_request(name))

    async def create_replication(
        self, replication_name: str, settings: models.ReplicationSettings
    ) -> None:
        """Create a replication task.

        Raises:
            ConflictError: a task of that name exists.
            NotFoundError: the source bucket does not exist.
        """
        name = names.segment(replication_name, "replication name")
        body = server.checked(models.ReplicationSettings, settings)
        await self._io.send(api.replications.create_replication.build_request(name, body=body))

    async def update_replication(
        self, replication_name: str, settings: models.ReplicationSettings
    ) -> None:
        """Replace the settings of a replication task.

        Fields that are not given return to their defaults, but for `dst_token` and `mode`,
        which stay as they are.
        """
        name = names.segment(replication_name, "replication name")
        body = server.checked(models.ReplicationSettings, settings)
        if body.mode is None:
            # Without a mode the server would enable a task that is paused.
            body = server.with_mode(body, (await self.get_replication_detail(name)).info.mode)
        await self._io.send(api.replications.update_replication.build_request(name, body=body))

    async def set_replication_mode(
        self, replication_name: str, mode: models.ReplicationMode | str
    ) -> None:
        """Enable, pause (records are collected) or disable (they are not) a replication task."""
        name = names.segment(replication_name, "replication name")
        body = models.ReplicationModeRequest(mode=server.mode(models.ReplicationMode, mode))
        await self._io.send(api.replications.set_replication_mode.build_request(name, body=body))

    async def delete_replication(self, replication_name: str) -> None:
        """Remove a replication task."""
        name = names.segment(replication_name, "replication name")
        await self._io.send(api.replications.delete_replication.build_request(name))

    # --- lifecycles ------------------------------------------------------------------------

    async def get_lifecycles(self) -> builtins.list[models.LifecycleInfo]:
        """Return all lifecycle policies with their state, in no order."""
        return (await self._io.send(api.lifecycles.list_lifecycles.build_request())).lifecycles

    async def get_lifecycle_detail(self, lifecycle_name: str) -> models.LifecycleDetailInfo:
        """Return state and settings of a lifecycle policy."""
        name = names.segment(lifecycle_name, "lifecycle name")
        return await self._io.send(api.lifecycles.get_lifecycle.build_request(name))

    async def create_lifecycle(
        self, lifecycle_name: str, settings: models.LifecycleSettings
    ) -> None:
        """Create a lifecycle policy.

        Raises:
            ConflictError: a policy of that name exists.
            NotFoundError: the bucket does not exist.
        """
        name = names.segment(lifecycle_name, "lifecycle name")
        body = server.checked(models.LifecycleSettings, settings)
        await self._io.send(api.lifecycles.create_lifecycle.build_request(name, body=body))

    async def update_lifecycle(
        self, lifecycle_name: str, settings: models.LifecycleSettings
    ) -> None:
        """Replace the settings of a lifecycle policy.

        Fields that are not given return to their defaults, but for `mode`, which stays as it
        is.
        """
        name = names.segment(lifecycle_name, "lifecycle name")
        body = server.checked(models.LifecycleSettings, settings)
        if body.mode is None:
            # Without a mode the server would enable a policy that is disabled.
            body = server.with_mode(body, (await self.get_lifecycle_detail(name)).info.mode)
        await self._io.send(api.lifecycles.update_lifecycle.build_request(name, body=body))

    async def set_lifecycle_mode(
        self, lifecycle_name: str, mode: models.LifecycleMode | str
    ) -> None:
        """Enable, disable or only rehearse (``dry_run``) a lifecycle policy."""
        name = names.segment(lifecycle_name, "lifecycle name")
        body = models.LifecycleModeRequest(mode=server.mode(models.LifecycleMode, mode))
        await self._io.send(api.lifecycles.set_lifecycle_mode.build_request(name, body=body))

    async def delete_lifecycle(self, lifecycle_name: str) -> None:
        """Remove a lifecycle policy."""
        name = names.segment(lifecycle_name, "lifecycle name")
        await self._io.send(api.lifecycles.delete_lifecycle.build_request(name))
