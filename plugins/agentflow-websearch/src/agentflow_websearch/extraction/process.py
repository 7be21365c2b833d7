"""The process that takes texts out: reads pages from its input, writes texts to its output, ends with its input.

It bounds itself: in memory by a limit of the system, in time by an alarm, which ends it whatever it is doing.
A request is two lengths (four bytes each), a JSON header and the page; an answer is a length and JSON.
"""

from __future__ import annotations

import json
import resource
import signal
import struct
import sys
from typing import IO

__all__ = ["main"]

_LENGTHS = struct.Struct(">II")
_LENGTH = struct.Struct(">I")


def main(memory_mb: int) -> None:
    """Serve until the input ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # others do not keep to it, and some refuse it
        limit = memory_mb << 20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    from agentflow_websearch.charsets import decoded
    from agentflow_websearch.extraction.texts import extract_page

    source, target = sys.stdin.buffer, sys.stdout.buffer
    _send(target, {"ready": True})
    while (head := source.read(_LENGTHS.size)) and len(head) == _LENGTHS.size:
        header_size, body_size = _LENGTHS.unpack(head)
        header = json.loads(source.read(header_size))
        body = source.read(body_size)
        signal.setitimer(signal.ITIMER_REAL, header["timeout_s"])
        try:
            html = decoded(body, header["charset"], is_cut=header["is_cut"])
            page = extract_page(
                html,
                header["url"],
                format=header["format"],
                max_chars=header["max_chars"],
                max_links=header["max_links"],
            )
            answer: dict[str, object] = {"page": page}
        except MemoryError:
            answer = {"failed": "it takes too much memory"}
        except Exception as error:  # noqa: BLE001 - hostile boundary: the page must not end the process
            answer = {"failed": f"{type(error).__name__}: {error}"[:300]}
        signal.setitimer(signal.ITIMER_REAL, 0)
        _send(target, answer)


def _send(target: IO[bytes], value: object) -> None:
    data = json.dumps(value).encode()
    target.write(_LENGTH.pack(len(data)) + data)
    target.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
