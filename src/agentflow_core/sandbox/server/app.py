"""The ASGI application: who may pass, to which route, and an envelope whatever happens."""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING

import orjson
from starlette.exceptions import HTTPException
from starlette.routing import Route, Router

from agentflow_core.records import ToolResult
from agentflow_core.sandbox.server.access import STRANGER
from agentflow_core.sandbox.server.bodies import ClientGone, read_body
from agentflow_core.sandbox.server.exchange import Exchange
from agentflow_core.sandbox.server.logs import CALLS
from agentflow_core.sandbox.server.mcp import MCP, MCP_METHODS
from agentflow_core.sandbox.server.openapi import openapi
from agentflow_core.sandbox.server.replies import Rejected, Reply, failure_of, reply_with, send_reply
from agentflow_core.sandbox.server.routes import EXECUTE, OPERATIONS, Operation

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from agentflow_core.sandbox.server.access import Caller, HostGuard, Tokens
    from agentflow_core.sandbox.server.handlers import Handlers
    from agentflow_core.sandbox.server.mcp import McpRoute

__all__ = ["App"]

_OPEN = frozenset(one.path for one in OPERATIONS if one.access == "open") | {"/openapi.json"}
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"))


class App:
    """The application over the routes' handlers.

    Calls have a way of their own: authentication, body, engine, answer, with no search for a route in between. A
    request is handled in its own task, which goes on when the caller goes away.
    """

    def __init__(self, handlers: Handlers, mcp: McpRoute, tokens: Tokens, guard: HostGuard) -> None:
        self.handlers = handlers
        self._tokens = tokens
        self._guard = guard
        self._execute = _Endpoint(handlers, next(one for one in OPERATIONS if one.path == EXECUTE))
        document = _Constant(Reply(200, orjson.dumps(openapi())))
        self._router = Router(
            [
                *(_route(one, _Endpoint(handlers, one)) for one in OPERATIONS),
                Route("/openapi.json", document, methods=["GET"]),
                Route(MCP, _Streaming(mcp), methods=MCP_METHODS),
            ],
            redirect_slashes=False,
            default=_no_route,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        begun = time.perf_counter()
        path, method = scope["path"], scope["method"]
        exchange = Exchange(dict(scope["headers"]), scope["query_string"])
        try:
            reply = await self._answer(exchange, path, method, scope, receive, send)
            if not exchange.is_answered:
                await send_reply(send, reply, with_body=method != "HEAD")
        except ClientGone:
            return
        finally:
            if exchange.is_inside:
                self.handlers.gate.leave()
        route = EXECUTE if path == EXECUTE else getattr(scope.get("route"), "path", "unknown")
        self.handlers.metrics.count_request(method if method in _METHODS else "other", route, reply.status)
        if CALLS.isEnabledFor(logging.INFO):
            _log(exchange, method, route, reply, time.perf_counter() - begun)

    async def _answer(
        self, exchange: Exchange, path: str, method: str, scope: Scope, receive: Receive, send: Send
    ) -> Reply:
        try:
            exchange.caller = self._admitted(path, exchange.headers)
            if path == EXECUTE and method == "POST":
                return await self._execute.answer(exchange, receive)
            scope["app"], scope["exchange"] = self, exchange
            await self._router(scope, receive, send)
            reply: Reply = scope["reply"]
        except Rejected as rejection:
            return rejection.reply
        except HTTPException as error:
            return _wrong_method(error)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an envelope
            return reply_with(failure_of(error, debug=self.handlers.facts.debug))
        return reply

    def _admitted(self, path: str, headers: dict[bytes, bytes]) -> Caller:
        if problem := self._guard.refuses(headers.get(b"host"), headers.get(b"origin")):
            hint = "the operator can name it in server.allowed_hosts"
            raise Rejected(ToolResult.failure("forbidden", problem, hint=hint))
        caller = self._tokens.caller(headers.get(b"authorization"))
        if caller is not None:
            return caller
        if path in _OPEN:
            return STRANGER
        said = "the token is wrong" if b"authorization" in headers else "a token is needed"
        failure = ToolResult.failure("unauthenticated", said, hint="send the header 'Authorization: Bearer TOKEN'")
        raise Rejected(failure, headers=((b"www-authenticate", b"Bearer"),))


def _route(operation: Operation, endpoint: _Endpoint) -> Route:
    route = Route(operation.path, endpoint, methods=[operation.method])
    route.path_regex = re.compile(route.path_regex.pattern, re.DOTALL)  # the path of a file may hold a line break
    return route


class _Endpoint:
    """One operation: may the caller, is the request whole, is the server open; then the handler."""

    def __init__(self, handlers: Handlers, operation: Operation) -> None:
        self._operation = operation
        self._handler = getattr(handlers, operation.handler)
        self._gate = handlers.gate
        self._limit = handlers.facts.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope["exchange"]
        exchange.path = scope["path_params"]
        scope["reply"] = await self.answer(exchange, receive)

    async def answer(self, exchange: Exchange, receive: Receive) -> Reply:
        """The handler's answer. Raises `Rejected`, `ClientGone` and whatever the engine raises."""
        operation = self._operation
        if operation.access == "admin" and not exchange.caller.is_admin:
            raise Rejected(ToolResult.failure("forbidden", "this needs an admin token"))
        if operation.body is not None:
            exchange.body = await read_body(receive, self._limit, exchange.headers.get(b"content-length"))
        if operation.admits:
            self._gate.enter()
            exchange.is_inside = True
        reply: Reply = await self._handler(exchange)
        return reply


class _Streaming:
    """``/mcp``, which sends its answers itself."""

    def __init__(self, mcp: McpRoute) -> None:
        self._mcp = mcp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["reply"] = await self._mcp.answer(scope["exchange"], scope, receive, send)


class _Constant:
    """The same answer to everybody."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["reply"] = self._reply


async def _no_route(scope: Scope, receive: Receive, send: Send) -> None:
    failure = ToolResult.failure(
        "not_found", "there is no such route", hint="/openapi.json lists the routes, and /mcp is for MCP"
    )
    raise Rejected(failure)


def _wrong_method(error: HTTPException) -> Reply:
    headers = [(name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items()]
    failure = ToolResult.failure("invalid_argument", "the route has no such method", hint="/openapi.json lists them")
    return reply_with(failure, status=error.status_code, headers=headers)


def _log(exchange: Exchange, method: str, route: str, reply: Reply, wall_s: float) -> None:
    fields = {
        "method": method,
        "route": route,
        "status": reply.status,
        "code": reply.code,
        "caller": exchange.caller.name,
        "took_ms": round(wall_s * 1000, 3),
        "bytes_in": len(exchange.body),
        "bytes_out": len(reply.body),
        **exchange.log,
    }
    CALLS.info(
        "%s %s",
        method,
        route,
        extra={"fields": {key: value for key, value in fields.items() if value not in (None, "")}},
    )
