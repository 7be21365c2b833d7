"""Listen on loopback inside another network namespace. Leans on nothing of ours: it is also run as a program.

A thread can enter such a namespace, with the right ``CAP_SYS_ADMIN``. Who has it only in the user namespace to which
the network namespace belongs enters that one first, which a process with more than one thread cannot.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from typing import Final

__all__ = ["listen_inside"]

_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_IP_FREEBIND: Final = 15
_BACKLOG: Final = 64


def listen_inside(network: int, user: int | None, port: int) -> socket.socket:
    """A socket that listens on 127.0.0.1 in the namespaces of these descriptors; the calling thread stays in there.

    Raises:
        OSError: they cannot be entered, or the port is taken.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    wanted = [] if user is None else [(user, _CLONE_NEWUSER)]
    for namespace, kind in (*wanted, (network, _CLONE_NEWNET)):
        if libc.setns(namespace, kind) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)  # loopback may not be up yet
        listener.bind(("127.0.0.1", port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def main(network: int, user: int, port: int, channel: int) -> None:
    """Listen, and hand the socket back through the channel."""
    with listen_inside(network, user, port) as listener, socket.socket(fileno=channel) as back:
        socket.send_fds(back, [b"."], [listener.fileno()])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
