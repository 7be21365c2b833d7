"""What an MCP client gets, through the official SDK's own client over real sockets."""

from __future__ import annotations

import base64
import json
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from attrs import define, field

from agentflow_core import register_api_tool
from agentflow_core.records import ImageContent, ResourceContent, ToolResult
from agentflow_core.sandbox import Backend, Catalog, LimitsConfig, Session, tool
from agentflow_core.sandbox.server import ServeConfig, ServerConfig
from agentflow_core.sandbox.server.access import Tokens
from agentflow_core.sandbox.server.handlers import ServerFacts
from agentflow_core.sandbox.server.process import Ending, listen, run_server, url_of
from agentflow_core.sandbox.wire import decode_result
from agentflow_core.testing.backends import CounterBackend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

ANN, BOB = "ann-token-0123456789", "bob-token-0123456789"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
ACCEPT = {"accept": "application/json, text/event-stream"}


class BrokenBackend(Backend):
    """Never starts."""

    async def initialize(self, session: Session) -> None:
        raise RuntimeError("no such display")

    @tool
    async def look(self, state: None) -> str:
        """Look."""
        return ""


@register_api_tool(name="probe:echo", read_only=True)
async def echo(text: str = "hi") -> str:
    """Answer the text.

    Args:
        text: anything.
    """
    return text


@register_api_tool(name="probe:both")
async def both() -> ToolResult:
    """Answer text, and data beside it."""
    return ToolResult.success({"sources": [1, None]}, text="as a person reads it")


@register_api_tool(name="probe:rows")
async def rows(count: int) -> dict[str, Any]:
    """Answer data.

    Args:
        count: how many rows.
    """
    return {"rows": list(range(count)), "next": None}


@register_api_tool(name="probe:picture")
async def picture() -> ToolResult:
    """Show a picture."""
    parts = (
        ImageContent(mime="image/png", data=PNG),
        ResourceContent(uri="file:///notes.txt", text="what the notes say"),
        ResourceContent(uri="https://example.org/far", mime="text/html"),
    )
    return ToolResult.success({"width": 16}, text="a picture", content=parts)


@register_api_tool(name="probe:answer")
async def answer(code: str) -> ToolResult:
    """Fail in the tool's own terms.

    Args:
        code: how.
    """
    return ToolResult.failure(code, "as it was asked to", hint="ask for another")


@register_api_tool(name="probe:raise")
async def defect() -> str:
    """Fail as no tool should."""
    raise KeyError("the key")


@define
class Stay:
    """A call that stays until it is cancelled, as it tells."""

    began: anyio.Event = field(factory=anyio.Event)
    cancelled: anyio.Event = field(factory=anyio.Event)

    def as_tool(self) -> Callable[[], Any]:
        @register_api_tool(name="probe:stay")
        async def stay() -> None:
            """Stay."""
            self.began.set()
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                self.cancelled.set()
                raise

        return stay


@define
class Here:
    """A server in this process."""

    url: str
    ending: Ending
    stay: Stay


@pytest.fixture
async def here(tmp_path: Path) -> Any:
    """Run a server in this process: ``async with here(limits={…}) as server``; ``server.url``."""

    @asynccontextmanager
    async def run(
        *tokens: tuple[Any, str], limits: dict[str, Any] | None = None, **options: Any
    ) -> AsyncIterator[Here]:
        stay = Stay()
        catalog = Catalog.of(
            echo, both, rows, picture, answer, defect, stay.as_tool(), counter=CounterBackend, broken=BrokenBackend
        )
        bounds = LimitsConfig(**(limits or {}))
        config = ServeConfig(
            limits=dict.fromkeys((*catalog.backends, *catalog.api_groups), bounds),
            state_dir=tmp_path / "state",
            server=ServerConfig(**options),
        )
        facts = ServerFacts(max_body_bytes=config.server.max_body_bytes)
        ending, listening = Ending(), anyio.Event()
        with listen("127.0.0.1", 0) as listener:
            async with anyio.create_task_group() as tasks:

                async def serve() -> None:
                    await run_server(
                        catalog,
                        config,
                        listener,
                        tokens=Tokens(tokens),
                        facts=facts,
                        announce=listening.set,
                        ending=ending,
                    )

                tasks.start_soon(serve)
                await listening.wait()
                yield Here(url_of(listener), ending, stay)
                ending.gently.set()

    return run


@pytest.fixture
def connected(needed: Callable[[str], Any]) -> Any:
    """Connect the SDK's client: ``async with connected(url, token=…) as client``."""
    needed("mcp")

    @asynccontextmanager
    async def connect(url: str, token: str = "", mode: str = "auto") -> AsyncIterator[Any]:
        import httpx2
        from mcp import Client
        from mcp.client.streamable_http import streamable_http_client

        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
        ):
            yield client

    return connect


def shown(result: Any) -> str:
    """The text of a result."""
    return result.content[0].text


async def sessions(url: str, token: str = "") -> list[dict[str, Any]]:
    """The open sessions of the engine."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(base_url=url, headers=headers) as client:
        return decode_result((await client.get("/v1/sessions")).content).data["sessions"]


async def until_sessions(url: str, count: int) -> None:
    """Wait until so many sessions are open."""
    with anyio.fail_after(20):
        while len(await sessions(url)) != count:
            pass


# ---- tools and their calls


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_finds_the_tools_under_the_names_that_models_are_given(here, connected, mode):
    async with here() as server, connected(server.url, mode=mode) as client:
        found = {one.name: one for one in (await client.list_tools()).tools}
        async with httpx.AsyncClient(base_url=server.url) as http:
            native = decode_result((await http.get("/v1/tools?format=mcp")).content).data["tools"]
        called = await client.call_tool("probe_echo", {"text": "hello"})
    assert [
        {
            "name": one.name,
            "description": one.description,
            "inputSchema": one.input_schema,
            "annotations": {"readOnlyHint": one.annotations.read_only_hint},
        }
        for one in found.values()
    ] == native
    assert found["probe_echo"].annotations.read_only_hint
    assert not found["counter_add"].annotations.read_only_hint
    assert (shown(called), called.is_error, called.structured_content) == ("hello", False, None)


async def test_data_are_structured_content_where_they_are_the_whole_answer(here, connected):
    async with here() as server, connected(server.url) as client:
        alone = await client.call_tool("probe_rows", {"count": 2})
        beside_text = await client.call_tool("probe_both")
        too_long = await client.call_tool("probe_rows", {"count": 20_000})
    assert alone.structured_content == {"rows": [0, 1], "next": None} == json.loads(shown(alone))
    assert (shown(beside_text), beside_text.structured_content) == ("as a person reads it", None)
    assert beside_text.meta == {"agentflow/data": {"sources": [1, None]}}
    assert too_long.structured_content is None
    assert "bytes omitted" in shown(too_long)


async def test_images_and_resources_follow_the_text(here, connected):
    async with here() as server, connected(server.url) as client:
        result = await client.call_tool("probe_picture")
    text, image, embedded, link = result.content
    assert text.text == "a picture"
    assert (image.type, image.mime_type) == ("image", "image/png")
    assert base64.b64decode(image.data) == PNG
    assert (embedded.type, embedded.resource.text) == ("resource", "what the notes say")
    assert (link.type, link.uri, link.mime_type) == ("resource_link", "https://example.org/far", "text/html")


async def test_a_long_text_is_cut_and_links_to_the_whole(here, connected):
    text = "é" * 100_000
    async with here() as server, connected(server.url) as client:
        result = await client.call_tool("probe_echo", {"text": text})
        link = result.content[1]
        whole = await client.read_resource(link.uri)
        [template] = (await client.list_resource_templates()).resource_templates
        listed = await client.list_resources()
    assert len(shown(result).encode()) < 40_000
    assert (link.type, link.size) == ("resource_link", 200_000)
    assert whole.contents[0].text == text
    assert template.uri_template.replace("{sha256}", link.uri[-64:]) == link.uri
    assert listed.resources == []


async def test_an_artifact_that_is_not_there_is_an_error_of_the_protocol(here, connected):
    from mcp import MCPError

    async with here() as server, connected(server.url) as client:
        for uri in (
            "agentflow://artifacts/" + "0" * 64,
            "agentflow://artifacts/../../etc/passwd",
            "file:///etc/passwd",
        ):
            with pytest.raises(MCPError, match="there is no artifact"):
                await client.read_resource(uri)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("probe_ecko", {}, ["unknown_tool", "did you mean 'probe_echo'?"]),
        ("probe:echo", {}, ["unknown_tool", "did you mean 'probe_echo'?"]),
        ("x" * 10_000, {}, ["unknown_tool"]),
        ("counter_add", {"amount": "many"}, ["invalid_argument", "'amount'"]),
        ("counter_add", {"amonut": 1}, ["invalid_argument", "did you mean 'amount'?"]),
        ("counter_add", {"amount": 1e400}, ["invalid_argument", "'amount'"]),
        ("probe_rows", None, ["invalid_argument", "'count' is missing"]),
        ("probe_answer", {"code": "not_found"}, ["not_found", "as it was asked to", "ask for another"]),
        ("probe_raise", {}, ["internal", "the key"]),
        ("broken_look", {}, ["internal", "no such display"]),
    ],
)
async def test_what_goes_wrong_is_a_result_that_says_what_and_what_to_do(here, connected, name, arguments, said):
    async with here() as server, connected(server.url) as client:
        result = await client.call_tool(name, arguments)
        after = await client.call_tool("probe_echo")
    assert result.is_error
    assert [part for part in said if part not in shown(result)] == []
    assert shown(result).startswith("error [")
    assert "Traceback" not in shown(result)
    assert shown(after) == "hi"


async def test_a_call_ends_at_its_timeout(here, connected):
    async with here(limits={"timeout_s": 0.2}) as server, connected(server.url) as client:
        result = await client.call_tool("probe_stay")
        await server.stay.cancelled.wait()
    assert result.is_error
    assert "error [timeout]" in shown(result)


async def test_a_client_that_cancels_a_call_cancels_the_work(here, connected):
    async with here() as server, connected(server.url) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.call_tool, "probe_stay")
        await server.stay.began.wait()
        tasks.cancel_scope.cancel()
        with anyio.fail_after(20, shield=True):
            await server.stay.cancelled.wait()
            assert shown(await client.call_tool("probe_echo")) == "hi"


async def test_an_argument_may_be_as_large_as_a_request(here, connected):
    text = "x" * 10_000_000
    async with here() as server, connected(server.url) as client:
        labelled = await client.call_tool("counter_label", {"text": text})
        looked = await client.call_tool("counter_look")
    assert labelled.structured_content == {"labels": 1}
    assert looked.content[1].size == len("total 0\n") + len(text)


# ---- sessions


async def test_the_first_clients_may_come_at_once(serve, connected):
    server = serve()
    found = []

    async def come() -> None:
        async with connected(server.url) as client:
            found.append(shown(await client.call_tool("probe_echo")))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(come)
    assert found == ["hi"] * 5


async def test_two_clients_have_sessions_of_their_own_and_the_end_of_one_closes_its_own(here, connected):
    async with here() as server:
        async with connected(server.url) as one:
            await one.call_tool("counter_add", {"amount": 5})
            async with connected(server.url, mode="legacy") as other:
                await other.call_tool("counter_add", {"amount": 1})
                assert (await one.call_tool("counter_add")).structured_content == {"total": 6}
                workers = {session["worker_id"] for session in await sessions(server.url)}
            await until_sessions(server.url, 1)
            [left] = await sessions(server.url)
            assert (await one.call_tool("counter_add")).structured_content == {"total": 7}
        await until_sessions(server.url, 0)
    assert len(workers) == 2
    assert left["worker_id"] in workers


async def begun(client: httpx.AsyncClient, **headers: str) -> dict[str, str]:
    """Begin an MCP session by hand; the headers of its requests."""
    opened = await client.post("/mcp", json=INITIALIZE, headers={**ACCEPT, **headers})
    assert opened.status_code == 200, opened.text
    found = {**ACCEPT, **headers, "mcp-session-id": opened.headers["mcp-session-id"]}
    told = await client.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=found)
    assert told.status_code == 202
    return found


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """The message of a call."""
    params = {"name": name, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}


async def test_the_end_of_a_session_cancels_what_runs_in_it(here, needed):
    needed("mcp")
    async with here() as server, httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        headers = await begun(client)
        await client.post("/mcp", json=call("counter_add"), headers=headers)
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                unanswered = await client.post("/mcp", json=call("probe_stay"), headers=headers)
                assert "data:" not in unanswered.text

            tasks.start_soon(ask)
            await server.stay.began.wait()
            assert (await client.delete("/mcp", headers=headers)).status_code == 200
            with anyio.fail_after(20):
                await server.stay.cancelled.wait()
        await until_sessions(server.url, 0)


async def test_a_session_ends_when_it_has_been_idle(here, needed):
    needed("mcp")
    async with here(limits={"idle_ttl_s": 2}) as server, httpx.AsyncClient(base_url=server.url) as client:
        headers = await begun(client)
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                await client.post("/mcp", json=call("probe_stay"), headers=headers, timeout=60)

            tasks.start_soon(ask)
            await server.stay.began.wait()
            tasks.cancel_scope.cancel()  # the client is gone
        with anyio.fail_after(20):
            await server.stay.cancelled.wait()
        after = await client.post("/mcp", json=call("probe_echo"), headers=headers)
    assert (after.status_code, decode_result(after.content).code) == (404, "not_found")


# ---- who may, and what is no MCP


async def test_tokens_hosts_and_origins_are_looked_at_as_everywhere(here, connected):
    async with here(("worker", ANN)) as server, httpx.AsyncClient(base_url=server.url) as client:
        for headers, status, code in [
            ({}, 401, "unauthenticated"),
            ({"authorization": f"Bearer {BOB}"}, 401, "unauthenticated"),
            ({"authorization": f"Bearer {ANN}", "host": "evil.example"}, 403, "forbidden"),
            ({"authorization": f"Bearer {ANN}", "origin": "https://evil.example"}, 403, "forbidden"),
        ]:
            refused = await client.post("/mcp", json=INITIALIZE, headers={**ACCEPT, **headers})
            assert (refused.status_code, decode_result(refused.content).code) == (status, code)
        async with connected(server.url, ANN) as mine:
            assert shown(await mine.call_tool("probe_echo")) == "hi"
        with pytest.raises(BaseExceptionGroup) as caught:
            async with connected(server.url, BOB):
                pass
    assert [type(one).__name__ for one in leaves(caught.value)] == ["MCPError"]


def leaves(error: Any) -> list[BaseException]:
    """The exceptions of a group."""
    return [leaf for one in error.exceptions for leaf in leaves(one)] if hasattr(error, "exceptions") else [error]


async def test_the_session_of_another_token_is_not_found(here, needed):
    needed("mcp")
    async with here(("worker", ANN), ("worker", BOB)) as server, httpx.AsyncClient(base_url=server.url) as client:
        mine = await begun(client, authorization=f"Bearer {ANN}")
        await client.post("/mcp", json=call("counter_add"), headers=mine)
        theirs = {**mine, "authorization": f"Bearer {BOB}"}
        for method in ("POST", "GET", "DELETE"):
            refused = await client.request(method, "/mcp", json=call("counter_add"), headers=theirs)
            assert (refused.status_code, decode_result(refused.content).code) == (404, "not_found")
        called = await client.post("/mcp", json=call("counter_add"), headers=mine)
        listed = [len(await sessions(server.url, token)) for token in (ANN, BOB)]
        await client.delete("/mcp", headers=mine)
    assert '"total":2' in called.text
    assert listed == [1, 0]


@pytest.mark.parametrize(
    ("method", "body", "headers", "status"),
    [
        ("GET", b"", {}, 400),
        ("DELETE", b"", {}, 400),
        ("POST", b"{", {}, 400),
        ("POST", b"[]", {}, 400),
        ("POST", b"null", {}, 400),
        ("POST", b"[" * 1000, {}, 400),
        ("POST", json.dumps(call("probe_echo")).encode(), {}, 400),
        ("POST", json.dumps(INITIALIZE).encode(), {"accept": "text/html"}, 406),
        ("POST", json.dumps(INITIALIZE).encode(), {"content-type": "text/plain"}, 400),
        ("POST", json.dumps(INITIALIZE).encode(), {"mcp-session-id": "made-up"}, 404),
        ("GET", b"", {"mcp-session-id": "\xff"}, 404),
        ("POST", b"x" * 2000, {}, 413),
        ("PUT", b"", {}, 405),
    ],
)
async def test_what_is_no_mcp_is_refused_and_leaves_no_session(here, needed, method, body, headers, status):
    needed("mcp")
    async with here(max_body_bytes=1024) as server, httpx.AsyncClient(base_url=server.url) as client:
        sent = {**ACCEPT, "content-type": "application/json", **headers}
        encoded = {name: value.encode("latin-1") for name, value in sent.items()}
        refused = await client.request(method, "/mcp", content=body, headers=encoded)
        if "mcp-session-id" in refused.headers:
            left = {**ACCEPT, "mcp-session-id": refused.headers["mcp-session-id"]}
            assert (await client.post("/mcp", json=call("probe_echo"), headers=left)).status_code == 404
        headers = await begun(client)
        assert "hi" in (await client.post("/mcp", json=call("probe_echo"), headers=headers)).text
        await client.delete("/mcp", headers=headers)
    assert refused.status_code == status


async def test_a_revision_without_sessions_is_answered_with_those_that_have_them(here, needed):
    needed("mcp")
    async with here() as server, httpx.AsyncClient(base_url=server.url) as client:
        asked = {"jsonrpc": "2.0", "id": "d", "method": "server/discover", "params": {}}
        headers = {**ACCEPT, "mcp-protocol-version": "2026-07-28"}
        refused = await client.post("/mcp", json=asked, headers=headers)
    said = refused.json()
    assert (refused.status_code, said["id"], said["error"]["code"]) == (400, "d", -32022)
    assert said["error"]["data"]["requested"] == "2026-07-28"
    assert "2025-11-25" in said["error"]["data"]["supported"]
    assert "2026-07-28" not in said["error"]["data"]["supported"]


# ---- the server's own life

HIDE = '''
import sys

from agentflow_core import register_api_tool

sys.modules["mcp"] = None  # as where it is not installed

@register_api_tool(name="hide:seek")
async def seek() -> None:
    """Find nothing."""
'''

LOOK = '''
import sys

from agentflow_core import register_api_tool

@register_api_tool(name="look:modules")
async def modules() -> list[str]:
    """The libraries that are imported."""
    return sorted({name.partition(".")[0] for name in sys.modules} & {"mcp", "mcp_types", "sse_starlette"})
'''


async def test_without_the_extra_the_route_says_what_to_install(serve, tmp_path):
    hide = tmp_path / "hide.py"
    hide.write_text(HIDE)
    server = serve("--load", hide)
    async with httpx.AsyncClient(base_url=server.url) as client:
        for _ in range(2):
            refused = await client.post("/mcp", json=INITIALIZE, headers=ACCEPT)
            result = decode_result(refused.content)
            assert (refused.status_code, result.code) == (501, "provider_unavailable")
            assert result.hint == "pip install 'agentflow-core[mcp]'"
        assert (await client.post("/v1/execute", json={"tool": "probe:echo"})).status_code == 200
    server.signal(signal.SIGTERM)
    assert await server.ended() == 0
    assert server.log.read_text() == ""


async def test_nothing_of_it_is_imported_before_it_is_asked_for(serve, tmp_path, connected):
    look = tmp_path / "look.py"
    look.write_text(LOOK)
    server = serve("--load", look)
    async with httpx.AsyncClient(base_url=server.url) as http:
        before = await http.post("/v1/execute", json={"tool": "look:modules"})
        async with connected(server.url) as client:
            after = await client.call_tool("look_modules")
    assert decode_result(before.content).data == []
    assert json.loads(shown(after)) == ["mcp", "mcp_types", "sse_starlette"]


async def test_a_signal_ends_the_server_at_once_though_a_client_holds_a_stream_open(serve, needed):
    needed("mcp")
    server = serve("--set", "server.grace_s=60", "--log-format", "json")
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        headers = await begun(client)
        assert "here" in (await client.post("/mcp", json=call("probe_echo", text="here"), headers=headers)).text
        async with client.stream("GET", "/mcp", headers=headers) as stream:
            assert stream.status_code == 200
            server.signal(signal.SIGTERM)
            assert await server.ended() == 0
            assert [line async for line in stream.aiter_lines() if line.startswith("data")] == []
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert [line for line in lines if line["level"] != "info"] == []
    [logged] = [line for line in lines if line.get("tool")]
    assert (logged["tool"], logged["route"], logged["status"], logged["code"]) == ("probe:echo", "/mcp", 200, "ok")


async def test_a_signal_during_calls_loses_none_and_lets_no_other_begin(serve, connected, meeting):
    server = serve()
    results: list[Any] = []
    async with httpx.AsyncClient(base_url=server.url) as http, connected(server.url) as client:
        await client.list_tools()  # which it would do after its first call
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                results.append(await client.call_tool("probe_meet", {"port": meeting.port}))

            for _ in range(20):
                tasks.start_soon(ask)
            await meeting.wait_for(20)
            server.signal(signal.SIGTERM)
            with anyio.fail_after(15):
                while (await http.get("/readyz")).status_code == 200:
                    pass
            late = await client.call_tool("probe_echo")
            refused = await http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
            await meeting.let_go()
        assert await server.ended() == 0
    assert [shown(one) for one in results] == ["met"] * 20
    assert late.is_error
    assert "error [not_ready]" in shown(late)
    assert (refused.status_code, decode_result(refused.content).code) == (503, "not_ready")
    assert server.log.read_text() == ""


async def test_a_call_whose_client_is_gone_is_waited_for(serve, needed, meeting):
    needed("mcp")
    server = serve()
    async with httpx.AsyncClient(base_url=server.url) as client:
        headers = await begun(client)
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                await client.post("/mcp", json=call("probe_meet", port=meeting.port), headers=headers, timeout=60)

            tasks.start_soon(ask)
            await meeting.wait_for(1)
            tasks.cancel_scope.cancel()
        drained = await client.post("/v1/admin/drain")
        assert decode_result(drained.content).data == {"in_flight": 1}
        await meeting.let_go()
    assert await server.ended() == 0
    assert server.log.read_text() == ""


async def test_a_call_that_outlasts_the_grace_is_answered_as_cancelled(serve, connected, meeting):
    server = serve("--set", "server.grace_s=0.1")
    results: list[Any] = []
    async with connected(server.url) as client, anyio.create_task_group() as tasks:
        await client.list_tools()  # which it would do after its first call

        async def ask() -> None:
            results.append(await client.call_tool("probe_meet", {"port": meeting.port}))

        tasks.start_soon(ask)
        await meeting.wait_for(1)
        server.signal(signal.SIGTERM)
        assert await server.ended() == 0
    assert "error [cancelled]" in shown(results[0])
    assert "1 calls did not end within 0.1 s" in server.log.read_text()
