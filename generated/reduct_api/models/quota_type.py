from ..types import OpenEnum


class QuotaType(OpenEnum):
    """What happens when a bucket outgrows its quota: nothing, the oldest blocks are removed, or
    writes are refused.
    """

    NONE = "NONE"
    FIFO = "FIFO"
    HARD = "HARD"
