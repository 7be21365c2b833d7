"""A small HTTP server on loopback that answers as it is told, wrongly too: for tests and for the laws of the sandbox."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, urlsplit

import anyio
from attrs import field, frozen

from agentflow_core.sandbox.launchers.proxy.connections import Connection, TooLongError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

__all__ = ["Heard", "Reply", "SmallWeb"]

_HEAD_BYTES = 65536


@frozen(kw_only=True)
class Heard:
    """One request."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  #: names in lower case
    body: bytes = b""

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@frozen(kw_only=True)
class Reply:
    """One answer. ``break_off``: the connection closes in its middle; ``hang``: nothing ever comes."""

    status: int = 200
    body: bytes = b""
    type: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(factory=dict)
    how: Literal["whole", "break_off", "hang"] = "whole"

    @classmethod
    def of_json(cls, value: Any, status: int = 200, **headers: str) -> Reply:
        """JSON."""
        data = json.dumps(value).encode()
        return cls(status=status, body=data, type="application/json", headers=headers)


class SmallWeb:
    """See the module. Open it with ``async with``; ``heard`` holds every request.

    Args:
        answer: what it answers.
    """

    def __init__(self, answer: Callable[[Heard], Awaitable[Reply]]) -> None:
        self._answer = answer
        self._stack = AsyncExitStack()
        self.heard: list[Heard] = []
        self.port = 0

    @property
    def host(self) -> str:
        """``127.0.0.1:port``."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """``http://127.0.0.1:port``."""
        return f"http://{self.host}"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen(128)
            listener.setblocking(False)
            self.port = listener.getsockname()[1]
            group = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(group.cancel_scope.cancel)
            group.start_soon(self._take, listener, group)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _take(self, listener: socket.socket, group: TaskGroup) -> None:
        while True:
            await anyio.wait_readable(listener)
            try:
                client, _ = listener.accept()
            except BlockingIOError:  # it is gone again
                continue
            group.start_soon(self._serve, Connection(client))

    async def _serve(self, client: Connection) -> None:
        try:
            await self._exchange(client)
        except (OSError, TooLongError):
            return  # the client is gone
        finally:
            client.close()

    async def _exchange(self, client: Connection) -> None:
        head = (await client.receive_until(b"\r\n\r\n", _HEAD_BYTES)).decode("latin-1")
        if not head:
            return
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = b""
        while len(body) < int(headers.get("content-length", "0")) and (more := await client.receive()):
            body += more
        parts = urlsplit(target)
        heard = Heard(method=method, path=parts.path, query=dict(parse_qsl(parts.query)), headers=headers, body=body)
        self.heard.append(heard)
        reply = await self._answer(heard)
        if reply.how == "hang":
            await client.receive()  # until the client gives up
            return
        size = len(reply.body)
        rows = {"Content-Type": reply.type, "Content-Length": str(size), **reply.headers, "Connection": "close"}
        shown = "".join(f"{name}: {value}\r\n" for name, value in rows.items() if value)
        sent = reply.body if reply.how == "whole" else reply.body[: size // 2]
        await client.send(f"HTTP/1.1 {reply.status} Said\r\n{shown}\r\n".encode("latin-1") + sent)
