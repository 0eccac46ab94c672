"""The one exception that ends a request with an error answer."""


class ApiError(Exception):
    """A request cannot be done: the HTTP status and the message of the answer.

    Inside batches it becomes the error header of one record.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
