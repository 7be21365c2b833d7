"""End the process where its cleanup does not come to an end: the last resort, which needs no event loop."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ended_within"]

_log = logging.getLogger("agentflow_core.server")


@contextmanager
def ended_within(seconds: float) -> Iterator[None]:
    """What runs in here ends within so many seconds, or the process does, with code 1.

    A cleanup that shields itself from cancellation, or blocks the loop, is stopped by nothing else.
    """

    def end() -> None:
        _log.error(
            "the cleanup did not end within %g s and is given up: what it leaves is removed at the next start", seconds
        )
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
