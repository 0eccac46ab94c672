"""The objects and enumerations of the API; each is imported when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bucket_full_info import BucketFullInfo
    from .bucket_info import BucketInfo
    from .bucket_list import BucketList
    from .bucket_settings import BucketSettings
    from .defaults import Defaults
    from .entry_info import EntryInfo
    from .error_detail import ErrorDetail
    from .full_token_info import FullTokenInfo
    from .license_info import LicenseInfo
    from .lifecycle_detail_info import LifecycleDetailInfo
    from .lifecycle_info import LifecycleInfo
    from .lifecycle_list import LifecycleList
    from .lifecycle_mode import LifecycleMode
    from .lifecycle_mode_request import LifecycleModeRequest
    from .lifecycle_settings import LifecycleSettings
    from .lifecycle_type import LifecycleType
    from .permissions import Permissions
    from .query_entry import QueryEntry
    from .query_id import QueryId
    from .query_link_request import QueryLinkRequest
    from .query_link_response import QueryLinkResponse
    from .query_type import QueryType
    from .quota_type import QuotaType
    from .removed_records import RemovedRecords
    from .rename_bucket_request import RenameBucketRequest
    from .rename_entry_request import RenameEntryRequest
    from .replication_compression import ReplicationCompression
    from .replication_detail_info import ReplicationDetailInfo
    from .replication_diagnostics import ReplicationDiagnostics
    from .replication_diagnostics_detail import ReplicationDiagnosticsDetail
    from .replication_diagnostics_error import ReplicationDiagnosticsError
    from .replication_diagnostics_errors import ReplicationDiagnosticsErrors
    from .replication_info import ReplicationInfo
    from .replication_list import ReplicationList
    from .replication_mode import ReplicationMode
    from .replication_mode_request import ReplicationModeRequest
    from .replication_settings import ReplicationSettings
    from .server_info import ServerInfo
    from .status import Status
    from .token import Token
    from .token_create_request import TokenCreateRequest
    from .token_create_response import TokenCreateResponse
    from .token_list import TokenList
else:
    _MODULES = {
        "BucketFullInfo": ".bucket_full_info",
        "BucketInfo": ".bucket_info",
        "BucketList": ".bucket_list",
        "BucketSettings": ".bucket_settings",
        "Defaults": ".defaults",
        "EntryInfo": ".entry_info",
        "ErrorDetail": ".error_detail",
        "FullTokenInfo": ".full_token_info",
        "LicenseInfo": ".license_info",
        "LifecycleDetailInfo": ".lifecycle_detail_info",
        "LifecycleInfo": ".lifecycle_info",
        "LifecycleList": ".lifecycle_list",
        "LifecycleMode": ".lifecycle_mode",
        "LifecycleModeRequest": ".lifecycle_mode_request",
        "LifecycleSettings": ".lifecycle_settings",
        "LifecycleType": ".lifecycle_type",
        "Permissions": ".permissions",
        "QueryEntry": ".query_entry",
        "QueryId": ".query_id",
        "QueryLinkRequest": ".query_link_request",
        "QueryLinkResponse": ".query_link_response",
        "QueryType": ".query_type",
        "QuotaType": ".quota_type",
        "RemovedRecords": ".removed_records",
        "RenameBucketRequest": ".rename_bucket_request",
        "RenameEntryRequest": ".rename_entry_request",
        "ReplicationCompression": ".replication_compression",
        "ReplicationDetailInfo": ".replication_detail_info",
        "ReplicationDiagnostics": ".replication_diagnostics",
        "ReplicationDiagnosticsDetail": ".replication_diagnostics_detail",
        "ReplicationDiagnosticsError": ".replication_diagnostics_error",
        "ReplicationDiagnosticsErrors": ".replication_diagnostics_errors",
        "ReplicationInfo": ".replication_info",
        "ReplicationList": ".replication_list",
        "ReplicationMode": ".replication_mode",
        "ReplicationModeRequest": ".replication_mode_request",
        "ReplicationSettings": ".replication_settings",
        "ServerInfo": ".server_info",
        "Status": ".status",
        "Token": ".token",
        "TokenCreateRequest": ".token_create_request",
        "TokenCreateResponse": ".token_create_response",
        "TokenList": ".token_list",
    }

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_MODULES[name], __name__), name)
        return value


__all__ = [
    "BucketFullInfo",
    "BucketInfo",
    "BucketList",
    "BucketSettings",
    "Defaults",
    "EntryInfo",
    "ErrorDetail",
    "FullTokenInfo",
    "LicenseInfo",
    "LifecycleDetailInfo",
    "LifecycleInfo",
    "LifecycleList",
    "LifecycleMode",
    "LifecycleModeRequest",
    "LifecycleSettings",
    "LifecycleType",
    "Permissions",
    "QueryEntry",
    "QueryId",
    "QueryLinkRequest",
    "QueryLinkResponse",
    "QueryType",
    "QuotaType",
    "RemovedRecords",
    "RenameBucketRequest",
    "RenameEntryRequest",
    "ReplicationCompression",
    "ReplicationDetailInfo",
    "ReplicationDiagnostics",
    "ReplicationDiagnosticsDetail",
    "ReplicationDiagnosticsError",
    "ReplicationDiagnosticsErrors",
    "ReplicationInfo",
    "ReplicationList",
    "ReplicationMode",
    "ReplicationModeRequest",
    "ReplicationSettings",
    "ServerInfo",
    "Status",
    "Token",
    "TokenCreateRequest",
    "TokenCreateResponse",
    "TokenList",
]
