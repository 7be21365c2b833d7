"""Query a database of a URL in a short process of the server's own, so that sessions see neither its password nor its network.

The process is bounded in memory as a session is, and killed when its time is over.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import anyio

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ask"]

_GRACE_S: Final = 15.0


async def ask(function: str, payload: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    """What `agentflow_code.inside.calls.call` returns for the function and the payload; ``{late: true}`` if it hangs."""
    order = json.dumps({"function": function, "payload": payload}).encode()
    command = [sys.executable, "-m", __name__]
    with anyio.move_on_after(timeout_s + _GRACE_S):
        done = await anyio.run_process(command, input=order, check=False, stderr=subprocess.PIPE)
        if done.returncode == 0:
            answer: dict[str, Any] = json.loads(done.stdout)
            return answer
        said = done.stderr.decode("utf-8", "replace")[-1000:]
        return {"defect": f"the process ended with {done.returncode}: {said}"}
    return {"late": True}


def main() -> None:
    """Take an order from stdin, answer on stdout."""
    from agentflow_code.inside.calls import call

    order = json.loads(sys.stdin.buffer.read())
    memory = order["payload"].get("memory_bytes")
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        order["payload"]["memory_bytes"] = None
    answer = json.dumps(call(order["function"], order["payload"]))
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with out:
        out.write(answer)


if __name__ == "__main__":
    main()
