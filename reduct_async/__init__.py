"""ReductStore client, async flavour: ``reduct_sync`` has the same names, blocking.

import reduct_async as reduct

async with reduct.Client("http://127.0.0.1:8383") as client:
    bucket = await client.create_bucket("my-bucket", exist_ok=True)
    await bucket.write("sensor", b"payload", labels={"unit": "mm"})
    async for record in bucket.query("sensor"):
        print(record.time, record.labels, await record.read_all())
"""

import typing

from reduct_api import models
from reduct_core.config import Retry
from reduct_core.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    ReductError,
    TimeoutError,
    TransportError,
)
from reduct_core.version import __version__
from reduct_core.write_report import FailedRecord, WriteError, WriteReport

from ._transport import Transport
from .batch import Batch, RecordBatch
from .bucket import Bucket
from .client import Client
from .record import Record
from .subscription import Subscription
from .writer import Writer

if typing.TYPE_CHECKING:
    from reduct_api.models import (
        BucketFullInfo,
        BucketInfo,
        BucketList,
        BucketSettings,
        Defaults,
        EntryInfo,
        FullTokenInfo,
        LicenseInfo,
        LifecycleDetailInfo,
        LifecycleInfo,
        LifecycleMode,
        LifecycleSettings,
        LifecycleType,
        Permissions,
        QuotaType,
        ReplicationCompression,
        ReplicationDetailInfo,
        ReplicationInfo,
        ReplicationMode,
        ReplicationSettings,
        ServerInfo,
        Status,
        Token,
        TokenCreateRequest,
        TokenList,
    )
else:

    def __getattr__(name):
        # The objects of the API are imported when they are first used.
        if name in __all__ and name in models.__all__:
            value = globals()[name] = getattr(models, name)
            return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ApiError",
    "AuthenticationError",
    "Batch",
    "Bucket",
    "BucketFullInfo",
    "BucketInfo",
    "BucketList",
    "BucketSettings",
    "Client",
    "ConflictError",
    "Defaults",
    "EntryInfo",
    "FailedRecord",
    "FullTokenInfo",
    "LicenseInfo",
    "LifecycleDetailInfo",
    "LifecycleInfo",
    "LifecycleMode",
    "LifecycleSettings",
    "LifecycleType",
    "NotFoundError",
    "PermissionDeniedError",
    "Permissions",
    "ProtocolError",
    "QuotaType",
    "Record",
    "RecordBatch",
    "ReductError",
    "ReplicationCompression",
    "ReplicationDetailInfo",
    "ReplicationInfo",
    "ReplicationMode",
    "ReplicationSettings",
    "Retry",
    "ServerInfo",
    "Status",
    "Subscription",
    "TimeoutError",
    "Token",
    "TokenCreateRequest",
    "TokenList",
    "Transport",
    "TransportError",
    "WriteError",
    "WriteReport",
    "Writer",
    "__version__",
]

for _class in (Batch, Bucket, Client, Record, RecordBatch, Subscription, Transport, Writer):
    _class.__module__ = __name__
