"""One request on its way to its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from agentflow_core.sandbox.server.access import STRANGER
from agentflow_core.sandbox.server.bodies import label_of
from agentflow_core.sandbox.wire import DEFAULT_WORKER

if TYPE_CHECKING:
    import anyio

__all__ = ["Exchange"]


class Exchange:
    """Who asks for what, and what the log will say of it."""

    __slots__ = ("body", "caller", "headers", "is_answered", "is_inside", "log", "path", "query_string", "work")

    def __init__(self, headers: dict[bytes, bytes], query_string: bytes = b"") -> None:
        self.caller = STRANGER
        self.is_inside = False  # does the gate count it?
        self.is_answered = False  # has the handler begun to send the answer itself?
        self.work: anyio.Event | None = None  # set at the end of what goes on without the caller
        self.headers = headers
        self.query_string = query_string
        self.path: dict[str, str] = {}
        self.body = b""
        self.log: dict[str, Any] = {}

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query; of one that is repeated, the last."""
        return dict(parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True))

    @property
    def worker_label(self) -> str | None:
        """The worker that the query names, or None. Raises `Rejected` for what is no label."""
        return label_of(self.query.get("worker_id"), "worker_id")

    def worker(self, label: str | None) -> str:
        """The engine's worker for a label of the caller, or for none."""
        worker = self.caller.worker(label or DEFAULT_WORKER)
        self.log["worker"] = worker
        return worker
