"""Hold a container's program back until the proxy stands in its network, which is there only once it has started."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers.spec import CONTROL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Gate", "check_proxied"]

_NAME: Final = "gate"
#: Runtimes whose containers have their network in the kernel of this machine.
_SHARED_KERNEL: Final = frozenset({None, "runc", "crun"})


def check_proxied(runtime: str | None) -> None:
    """Refuse what has no network that can be entered.

    Raises:
        SandboxError: ``unsupported``.
    """
    if os.geteuid() != 0:
        raise SandboxError(
            "allow_hosts under the launcher 'docker' takes root, to stand in the container's network",
            code="unsupported",
            hint="use the launcher bwrap, run the server as root, or set network: {mode: off}",
        )
    if runtime not in _SHARED_KERNEL:
        raise SandboxError(
            f"containers of the runtime {runtime!r} have a network of their own kind, where no proxy can stand",
            code="unsupported",
            hint="leave the launcher's runtime out, or set network: {mode: off}",
        )


class Gate:
    """A FIFO in the control folder, from which a shell reads a line before it becomes the program.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, control: Path, uid: int) -> None:
        os.mkfifo(control / _NAME, 0o600)
        os.chown(control / _NAME, uid, uid)
        self._fd = os.open(control / _NAME, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    @staticmethod
    def command(argv: Sequence[str]) -> list[str]:
        """What the container runs for the program."""
        return ["/bin/sh", "-c", f'read -r go < {CONTROL}/{_NAME}; unset go; exec "$@"', "sh", *argv]

    def is_of(self, process: int) -> bool:
        """Whether the process, a descriptor of its folder in ``/proc``, sees this gate: else it is not the container."""
        seen = os.stat(f"root{CONTROL}/{_NAME}", dir_fd=process)
        return os.path.samestat(seen, os.fstat(self._fd))

    def open(self) -> None:
        """Let the program run."""
        os.write(self._fd, b"\n")

    def close(self) -> None:
        """Forget the line, if nobody has read it."""
        os.close(self._fd)
