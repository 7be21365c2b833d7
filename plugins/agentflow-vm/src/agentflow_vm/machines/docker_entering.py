"""Connect to a port of a container that has no network but its own loopback."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from typing import Final

__all__ = ["connect_inside"]

_CLONE_NEWNET: Final = 0x40000000
_CONNECT_S: Final = 5.0


def connect_inside(pid: int, port: int) -> socket.socket:
    """A connection to ``127.0.0.1`` where the process has its network; blocks, so call it from a thread.

    It is made in a thread that ends right after: one that were used again would be in the wrong network.

    Raises:
        OSError: nobody listens there, or this process has not the right to enter.
    """
    made: list[socket.socket | OSError] = []

    def enter() -> None:
        try:
            made.append(_connected(pid, port))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=enter, name="agentflow-enter")
    thread.start()
    thread.join()
    (found,) = made
    if isinstance(found, OSError):
        raise found
    return found


def _connected(pid: int, port: int) -> socket.socket:
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(network, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(network)
    return socket.create_connection(("127.0.0.1", port), _CONNECT_S)
