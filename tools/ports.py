"""Free ports of this machine for servers that are started again on the same one."""

import socket
import sys


class ReservedPort:
    """A free port of the loopback address, on Linux kept from other programs until `release`.

    Attributes:
        number: the port.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]
        if sys.platform == "linux":
            # Set after the bind: the port is ours alone, and yet a server, which sets the
            # option too, may listen on it, since this socket never listens.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            self.release()

    def release(self) -> None:
        """Give the port back; may be called twice."""
        self._socket.close()
