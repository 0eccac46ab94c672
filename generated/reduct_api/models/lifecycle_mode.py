from ..types import OpenEnum


class LifecycleMode(OpenEnum):
    """Whether a policy acts, rests, or only reports what it would do."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DRY_RUN = "dry_run"
