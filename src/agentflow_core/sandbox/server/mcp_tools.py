"""What an MCP client asks for, answered by the engine: the tools, their calls, and the artifacts of their results."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread
import mcp_types as types
import orjson
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from agentflow_core import __version__
from agentflow_core.errors import DataError
from agentflow_core.names import unknown_name, wire_name
from agentflow_core.records import ToolResult, clean_json
from agentflow_core.records.results import SHOWN_LIMIT_BYTES, ImageContent, ResourceContent
from agentflow_core.sandbox.wire import ExecuteRequest

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

    from agentflow_core.blobs import BlobStore
    from agentflow_core.records import Artifact
    from agentflow_core.sandbox.server.access import Caller
    from agentflow_core.sandbox.server.exchange import Exchange
    from agentflow_core.sandbox.server.handlers import Handlers

__all__ = ["SESSION_HEADER", "mcp_result", "mcp_server", "worker_of"]

SESSION_HEADER: Final = b"mcp-session-id"
#: The key in ``_meta`` under which the data of a result stand that has text or images too.
DATA_KEY: Final = "agentflow/data"
_URI: Final = "agentflow://artifacts/"
_MOST_READ_BYTES: Final = 8 * 1024 * 1024
_INSTRUCTIONS = (
    "Tools of AgentFlow environments. What a call leaves behind, such as files, variables or open pages, is there for "
    "the later calls of this connection, and is removed when it ends."
)


def worker_of(caller: Caller, session_id: str) -> str:
    """The engine's worker for a caller's MCP session."""
    return caller.worker(f"mcp-{session_id}")


def mcp_server(handlers: Handlers) -> Server[Any]:
    """The MCP server over an engine; it holds nothing of a session."""
    answers = _Answers(handlers)
    return Server(
        "agentflow",
        title="AgentFlow",
        version=__version__,
        instructions=_INSTRUCTIONS,
        on_list_tools=answers.list_tools,
        on_call_tool=answers.call_tool,
        on_list_resources=answers.list_resources,
        on_list_resource_templates=answers.list_templates,
        on_read_resource=answers.read_resource,
    )


class _Answers:
    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._blobs = handlers.engine.blobs
        offered = {name: handlers.engine.catalog.find(name)[1] for name in handlers.tool_names}
        self._native = {wire_name(name): name for name in offered}
        self._tools = [
            types.Tool(
                name=wire_name(name),
                description=tool.definition.description,
                input_schema=clean_json(tool.definition.parameters),
                annotations=types.ToolAnnotations(read_only_hint=tool.function.read_only),
            )
            for name, tool in offered.items()
        ]

    async def list_tools(
        self, context: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=self._tools)

    async def call_tool(
        self, context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        """Run a tool in the sessions of the MCP session's worker. Whatever goes wrong is a result that the model reads."""
        assert context.request is not None  # it came by HTTP
        exchange: Exchange = context.request.scope["exchange"]
        result = await self._call(exchange, params)
        exchange.log.update(tool=result.tool, session=result.session_id, code=result.code)
        return await mcp_result(result, self._blobs)

    async def _call(self, exchange: Exchange, params: types.CallToolRequestParams) -> ToolResult:
        tool = self._native.get(params.name)
        if tool is None:
            error = unknown_name("tool", params.name[:200], self._native)
            return ToolResult.failure("unknown_tool", error.message, hint=error.hint)
        if not exchange.is_inside:
            return ToolResult.failure("not_ready", "the server is about to stop", hint="use another server")
        worker = worker_of(exchange.caller, exchange.headers[SESSION_HEADER].decode("latin-1"))
        exchange.work = anyio.Event()
        try:
            return await self._handlers.result_of(worker, ExecuteRequest(tool=tool, params=params.arguments))
        finally:
            exchange.work.set()

    async def list_resources(
        self, context: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """None: artifacts are found by the links in results, and a list would show those of other callers."""
        return types.ListResourcesResult(resources=[])

    async def list_templates(
        self, context: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        template = types.ResourceTemplate(
            name="artifact",
            uri_template=f"{_URI}{{sha256}}",
            description="what a result was too large to hold; results link to theirs",
        )
        return types.ListResourceTemplatesResult(resource_templates=[template])

    async def read_resource(
        self, context: ServerRequestContext[Any], params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """An artifact, as text where it is text.

        Raises:
            MCPError: there is none, or it is too large for one answer.
        """
        sha256 = params.uri.removeprefix(_URI)
        try:
            data = await anyio.to_thread.run_sync(self._blobs.get, sha256)
        except DataError as error:
            message = f"there is no artifact {params.uri[:200]!r}"
            raise MCPError(code=types.INVALID_PARAMS, message=message) from error
        if len(data) > _MOST_READ_BYTES:
            message = f"the artifact has {len(data)} bytes: read it in ranges from /v1/artifacts/{sha256}"
            raise MCPError(code=types.INVALID_PARAMS, message=message)
        try:
            found: types.TextResourceContents | types.BlobResourceContents = types.TextResourceContents(
                uri=params.uri, mime_type="text/plain", text=data.decode("utf-8")
            )
        except UnicodeDecodeError:
            found = types.BlobResourceContents(
                uri=params.uri, mime_type="application/octet-stream", blob=base64.b64encode(data).decode("ascii")
            )
        return types.ReadResourceResult(contents=[found])


async def mcp_result(result: ToolResult, blobs: BlobStore) -> types.CallToolResult:
    """The result as MCP says it: first the text that a model is shown, then images, resources, links to artifacts.

    Data are the structured content only where they are the whole answer, since there are hosts that show a model the
    structured content and nothing else. Beside text or images they stand in ``_meta``, where they are as short as what
    a model is shown.
    """
    shown = result.shown
    content: list[types.ContentBlock] = [types.TextContent(text=shown)] if shown else []
    for part in result.content:
        if isinstance(part, ImageContent):
            content.append(await _image(part, blobs))
        elif isinstance(part, ResourceContent):
            content.append(_resource(part))
    content += [_link(artifact) for artifact in result.artifacts]
    made = types.CallToolResult(content=content, is_error=not result.ok)
    data = result.data
    if result.content or not result.ok:
        if data is not None and len(orjson.dumps(data)) <= SHOWN_LIMIT_BYTES:
            made.meta = {DATA_KEY: data}
    elif isinstance(data, dict) and result.truncation is None:
        made.structured_content = data
    return made


async def _image(part: ImageContent, blobs: BlobStore) -> types.ContentBlock:
    data = part.data
    if data is None and part.sha256 is not None:
        try:
            data = await anyio.to_thread.run_sync(blobs.get, part.sha256)
        except DataError:
            return types.TextContent(text=f"[the image {part.sha256} is no longer stored]")
    return types.ImageContent(data=base64.b64encode(data or b"").decode("ascii"), mime_type=part.mime)


def _resource(part: ResourceContent) -> types.ContentBlock:
    if not part.text:
        return types.ResourceLink(uri=part.uri, name=part.uri, mime_type=part.mime)
    return types.EmbeddedResource(
        resource=types.TextResourceContents(uri=part.uri, mime_type=part.mime, text=part.text)
    )


def _link(artifact: Artifact) -> types.ContentBlock:
    return types.ResourceLink(
        uri=f"{_URI}{artifact.sha256}",
        name=artifact.name or artifact.sha256,
        mime_type=artifact.mime,
        size=artifact.bytes,
    )
