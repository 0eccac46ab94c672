"""Conditions that end the real server: refused here, and told in the log."""

import logging

from reduct_local.errors import ApiError

_logger = logging.getLogger("reduct_local")


class EndsRealServerError(ApiError):
    """A condition at which the real server ends; 422 here, also when the query is not strict.

    Args:
        what: the input, for the message and for the log.
    """

    def __init__(self, what: str) -> None:
        super().__init__(422, f"Not supported in conditions: {what}")
        _logger.warning("the real server would not survive this condition: %s", what)
