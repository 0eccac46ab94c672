"""What `parse_response` raises when an answer is not what the document says.

The texts leave the content out, which may hold a token.
"""


class UnexpectedStatus(Exception):
    """An answer with a status that is not one of the operation's successes."""

    def __init__(self, status_code: int, content: bytes) -> None:
        super().__init__(status_code, content)
        self.status_code = status_code
        self.content = content

    def __str__(self) -> str:
        return f"unexpected status {self.status_code}"


class UnexpectedBody(Exception):
    """An answer with a status of success whose body is not the JSON that the document describes.

    The cause says what was wrong.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.content = content

    def __str__(self) -> str:
        return f"{len(self.content)} bytes that are not the documented JSON"


__all__ = ["UnexpectedBody", "UnexpectedStatus"]
