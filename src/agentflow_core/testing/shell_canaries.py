"""What namespaces keep apart, for the subject of any backend that runs command lines of a shell."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from agentflow_core.testing.subjects import Call, Canary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["shell_canaries"]

_SERVE: Final = """
import os, socket, sys
server = socket.socket({family})
server.bind({address})
server.listen()
if os.fork() == 0:
    while True:
        server.accept()[0].sendall(sys.argv[1].encode())
"""
_ASK: Final = (
    "import socket; asked = socket.socket({family}); asked.connect({address}); print(asked.recv(100).decode())"
)


def shell_canaries(run: Callable[[str], Sequence[Call]]) -> dict[str, Canary]:
    """Canaries by kind; no fork has them, since none takes processes or temporary files along.

    Args:
        run: the calls that run a command line and show its output; what it starts in the background goes on.
    """

    def python(code: str, *arguments: str) -> Sequence[Call]:
        return run(shlex.join(("/usr/bin/python3", "-I", "-S", "-c", code, *arguments)))

    def kept_in(folder: str) -> Canary:
        return Canary(
            plant=lambda text: run(f"echo {text} >> {folder}/canary"), look=run(f"cat {folder}/*"), is_forked=False
        )

    def served(family: str, address: str) -> Canary:
        serve, ask = (code.format(family=f"socket.{family}", address=address) for code in (_SERVE, _ASK))
        return Canary(plant=lambda text: python(serve, text), look=python(ask), is_forked=False)

    return {
        "temporary files": kept_in("/tmp"),
        "shared memory": kept_in("/dev/shm"),
        "processes": Canary(
            plant=lambda text: run(f"tail -f /dev/null {text} > /dev/null 2>&1 &"),
            look=run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '"),
            is_forked=False,
        ),
        "ports": served("AF_INET", "('127.0.0.1', 8765)"),
        "abstract sockets": served("AF_UNIX", "chr(0) + 'canary'"),
    }
