from ..types import OpenEnum


class ReplicationMode(OpenEnum):
    """Whether records are sent, only collected to be sent later, or passed over."""

    ENABLED = "enabled"
    PAUSED = "paused"
    DISABLED = "disabled"
