"""The openai provider against a real HTTP server."""

from __future__ import annotations

import base64
import json
import socket

import anyio
import pytest

from agentflow_core.blobs import BlobStore
from agentflow_core.errors import (
    AuthenticationError,
    ContentFilterError,
    ContextOverflowError,
    ModelRequestError,
    RateLimitError,
    TransientError,
)
from agentflow_core.models.openai import OpenAIConfig, OpenAIModel
from agentflow_core.models.prices import PriceConfig
from agentflow_core.models.trace import call_trace
from agentflow_core.records import (
    ImagePart,
    Message,
    ModelRequest,
    Sampling,
    TextPart,
    ToolCall,
    ToolDefinition,
    assistant,
    system,
    user,
)
from agentflow_core.testing.openai_server import Fault, OpenAIServer

SEARCH = ToolDefinition(name="rag:search", description="Search.", parameters={"type": "object", "properties": {}})
SCHEMA = {"type": "object", "properties": {"echo": {"type": "string"}}, "required": ["echo"]}


@pytest.fixture
def serve():
    """Open a server, and a model at it."""
    opened = []

    def open_one(responder=None, *, settings=None, **options):
        given = {} if responder is None else {"responder": responder}
        server = OpenAIServer(**given, **options)
        opened.append(server.__enter__())
        model = OpenAIModel(OpenAIConfig(**{"name": "m-1", "base_url": server.url, **(settings or {})}))
        return server, model

    yield open_one
    for server in opened:
        server.__exit__(None, None, None)


def ask_for(text="hi", **fields):
    return ModelRequest(messages=(user(text),), **fields)


async def test_a_question_is_answered_with_text_usage_and_the_models_name(serve):
    server, model = serve()
    async with model:
        completion = await model.complete(ask_for("hello there"))
    assert completion.text == "hello there"
    assert completion.finish_reason == "stop"
    assert completion.model == "m-1"
    assert completion.usage.calls == 1
    assert completion.usage.prompt_tokens > 0
    assert server.requests == [{"model": "m-1", "messages": [{"role": "user", "content": "hello there"}]}]


async def test_every_tool_call_is_kept_with_its_arguments_as_sent(serve):
    odd = '{"query" : "Fähre",  "n":1e0}'
    calls = [
        {"name": "rag_search", "arguments": odd, "id": "a"},
        {"name": "rag_get", "arguments": "{broken", "id": "b"},
    ]
    _, model = serve(script=[{"tool_calls": calls, "content": "I look it up."}])
    async with model:
        completion = await model.complete(ask_for(tools=(SEARCH,)))
    assert completion.tool_calls == (
        ToolCall(id="a", name="rag_search", arguments=odd),
        ToolCall(id="b", name="rag_get", arguments="{broken"),
    )
    assert completion.text == "I look it up."
    assert completion.finish_reason == "tool_calls"


async def test_a_conversation_is_sent_in_the_form_of_openai_chat(serve):
    server, model = serve()
    call = ToolCall(id="c1", name="rag_search", arguments='{"query": "x"}')
    conversation = (
        system("Be brief."),
        user("Who?"),
        assistant(tool_calls=(call,), reasoning="hidden"),
        Message(role="tool", content=(TextPart("found"),), tool_call_id="c1"),
    )
    async with model:
        await model.complete(ModelRequest(messages=conversation, tools=(SEARCH,), tool_choice="rag_search"))
    sent = server.requests[0]
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Who?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "rag_search", "arguments": '{"query": "x"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
    ]
    assert sent["tools"][0]["function"]["name"] == "rag_search"
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "rag_search"}}
    assert "hidden" not in json.dumps(sent)


async def test_images_are_sent_as_data_urls_and_those_of_tools_after_their_results(serve, tmp_path):
    blobs = BlobStore(tmp_path)
    image = ImagePart(blobs.put(b"picture"))
    server, model = serve()
    model.bind(None, blobs)
    call = ToolCall(id="c1", name="vm_screenshot", arguments="{}")
    messages = (
        Message(role="user", content=(TextPart("What is this?"), image)),
        assistant(tool_calls=(call,)),
        Message(role="tool", content=(image,), tool_call_id="c1"),
    )
    async with model:
        await model.complete(ModelRequest(messages=messages))
    url = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(b"picture").decode()}}
    sent = server.requests[0]["messages"]
    assert sent[0]["content"] == [{"type": "text", "text": "What is this?"}, url]
    assert isinstance(sent[2]["content"], str)
    assert sent[3] == {"role": "user", "content": [url]}


async def test_settings_are_sent_and_the_request_overrides_them(serve):
    settings = {"temperature": 0.5, "max_tokens": 9, "seed": 3, "top_p": 0.9, "extra": {"top_k": 5}}
    server, model = serve(settings=settings)
    sampling = Sampling(temperature=0.0, stop=("END",), extra={"min_p": 0.1})
    async with model:
        await model.complete(ask_for(sampling=sampling))
    sent = server.requests[0]
    assert {name: sent[name] for name in ("temperature", "max_tokens", "seed", "top_p", "stop", "top_k", "min_p")} == {
        "temperature": 0.0,
        "max_tokens": 9,
        "seed": 3,
        "top_p": 0.9,
        "stop": ["END"],
        "top_k": 5,
        "min_p": 0.1,
    }


async def test_reasoning_cached_and_reasoning_tokens_are_kept_and_priced(serve):
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "prompt_tokens_details": {"cached_tokens": 400},
        "completion_tokens_details": {"reasoning_tokens": 60},
    }
    answer = {"content": "Paris", "reasoning_content": "It is Paris.", "usage": usage}
    _, model = serve(script=[answer], settings={"prices": PriceConfig(input=2, cached=0.5, output=8)})
    async with model:
        completion = await model.complete(ask_for())
    assert completion.message.reasoning == "It is Paris."
    assert completion.usage.cached_tokens == 400
    assert completion.usage.reasoning_tokens == 60
    assert completion.usage.cost_usd == pytest.approx((600 * 2 + 400 * 0.5 + 100 * 8) / 1e6)


async def test_a_price_that_nobody_knows_is_none(serve):
    _, model = serve()
    async with model:
        assert (await model.complete(ask_for())).usage.cost_usd is None


async def test_a_truncated_answer_says_so(serve):
    _, model = serve(script=[{"content": "Par", "finish_reason": "length"}])
    async with model:
        assert (await model.complete(ask_for())).finish_reason == "length"


# ---- structured output


async def test_json_is_asked_for_by_schema_and_parsed(serve):
    server, model = serve()
    async with model:
        completion = await model.complete(ask_for("x", response_schema=SCHEMA))
    assert completion.parsed == {"echo": "x"}
    assert server.requests[0]["response_format"]["json_schema"]["schema"] == SCHEMA


@pytest.mark.parametrize(
    ("refused", "asked"),
    [
        (["json_schema"], ["json_schema", "tool"]),
        (["json_schema", "tool"], ["json_schema", "tool", "json_object"]),
        (["json_schema", "tool", "json_object"], ["json_schema", "tool", "json_object", "text"]),
    ],
)
async def test_a_refused_way_to_ask_falls_to_the_next_and_is_remembered(serve, refused, asked):
    def brain(body):
        if "tools" in body:
            return {"tool_calls": [{"name": "answer", "arguments": {"echo": "x"}}]}
        return 'Here you are:\n```json\n{"echo": "x",}\n```'

    server, model = serve(brain, refuse=refused)
    async with model:
        first = await model.complete(ask_for("x", response_schema=SCHEMA))
        second = await model.complete(ask_for("y", response_schema=SCHEMA))
    assert first.parsed == second.parsed == {"echo": "x"}
    assert first.tool_calls == ()
    assert [_way(body) for body in server.requests] == [*asked, asked[-1]]


async def test_json_beside_offered_tools_is_never_asked_for_by_a_forced_call(serve):
    server, model = serve(refuse=["json_schema"])
    async with model:
        await model.complete(ask_for("x", response_schema=SCHEMA, tools=(SEARCH,)))
    assert [_way(body) for body in server.requests] == ["json_schema", "json_object"]


async def test_an_answer_that_is_no_json_is_handed_over_unparsed(serve):
    _, model = serve(script=["I will not."])
    async with model:
        completion = await model.complete(ask_for("x", response_schema=SCHEMA))
    assert completion.parsed is None
    assert completion.text == "I will not."


async def test_strict_mode_is_asked_for_only_where_the_schema_allows_it(serve):
    server, model = serve()
    closed = {**SCHEMA, "additionalProperties": False}
    async with model:
        await model.complete(ask_for(response_schema=SCHEMA))
        await model.complete(ask_for(response_schema=closed))
    assert [body["response_format"]["json_schema"]["strict"] for body in server.requests] == [False, True]


def _way(body):
    if "tool_choice" in body and isinstance(body["tool_choice"], dict):
        return "tool"
    return body.get("response_format", {}).get("type", "text")


# ---- failures


async def test_a_wrong_key_stops_the_run(serve):
    _, model = serve(api_key="right", settings={"api_key": "wrong"})
    async with model:
        with pytest.raises(AuthenticationError, match="401") as caught:
            await model.complete(ask_for())
    assert "wrong" not in str(caught.value)


async def test_the_right_key_is_accepted(serve):
    _, model = serve(api_key="right", settings={"api_key": "right"})
    async with model:
        assert (await model.complete(ask_for())).text == "hi"


async def test_an_unknown_model_is_named_with_a_way_to_find_the_known_ones(serve):
    _, model = serve(models=["other"])
    async with model:
        with pytest.raises(ModelRequestError, match="m-1") as caught:
            await model.complete(ask_for())
    assert "/models" in caught.value.hint


async def test_a_url_without_chat_completions_is_hinted_at(serve):
    server, _ = serve()
    model = OpenAIModel(OpenAIConfig(name="m", base_url=server.url.removesuffix("/v1")))
    async with model:
        with pytest.raises(ModelRequestError) as caught:
            await model.complete(ask_for())
    assert "ends with /v1" in caught.value.hint


async def test_a_rate_limit_says_how_long_to_wait(serve):
    reset = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2.5s"}
    script = [
        Fault(kind="rate_limit", retry_after_s=7),
        Fault(kind="rate_limit", headers=reset),
        Fault(kind="rate_limit"),
    ]
    _, model = serve(script=script)
    waits = []
    async with model:
        for _ in range(3):
            with pytest.raises(RateLimitError) as caught:
                await model.complete(ask_for())
            waits.append(caught.value.retry_after_s)
    assert waits == [7.0, 62.5, None]


@pytest.mark.parametrize("kind", ["server_error", "disconnect", "malformed", "empty"])
async def test_what_a_server_gets_wrong_for_a_while_is_transient(serve, kind):
    server, model = serve(script=[Fault(kind=kind), "fine again"])
    async with model:
        with pytest.raises(TransientError) as caught:
            await model.complete(ask_for())
        assert server.url in str(caught.value)
        assert (await model.complete(ask_for())).text == "fine again"


async def test_a_server_that_is_too_slow_is_transient(serve):
    _, model = serve(latency_ms=5000, settings={"timeout_s": 0.05})
    async with model:
        with pytest.raises(TransientError, match=r"within 0\.05 s"):
            await model.complete(ask_for())


async def test_a_server_that_is_not_there_is_named():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    async with OpenAIModel(OpenAIConfig(name="m", base_url=url)) as model:
        with pytest.raises(TransientError, match=r"127\.0\.0\.1") as caught:
            await model.complete(ask_for())
    assert "is the server running" in caught.value.hint


async def test_a_server_that_speaks_no_http_is_transient():
    async def babble(stream):
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/9.9 banana\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    url = f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}/v1"
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, babble)
        async with OpenAIModel(OpenAIConfig(name="m", base_url=url)) as model:
            with pytest.raises(TransientError, match=url):
                await model.complete(ask_for())
        group.cancel_scope.cancel()


async def test_a_model_without_tools_does_not_change_how_json_is_asked_for(serve):
    server, model = serve(without_tools=["m-1"])
    async with model:
        with pytest.raises(ModelRequestError):
            await model.complete(ask_for("x", response_schema=SCHEMA, tools=(SEARCH,)))
        await model.complete(ask_for("x", response_schema=SCHEMA))
    assert [_way(body) for body in server.requests] == ["json_schema", "json_schema"]


async def test_a_conversation_that_is_too_long_is_a_context_overflow(serve):
    _, model = serve(context_chars=10)
    async with model:
        with pytest.raises(ContextOverflowError):
            await model.complete(ask_for("much too long for it"))


async def test_a_filter_is_named_whether_it_refuses_or_stops(serve):
    script = [Fault(kind="content_filter"), {"content": "Well,", "finish_reason": "content_filter"}]
    _, model = serve(script=script)
    async with model:
        for _ in range(2):
            with pytest.raises(ContentFilterError):
                await model.complete(ask_for())


async def test_a_model_without_tools_is_told_apart_from_other_bad_requests(serve):
    _, model = serve(without_tools=["m-1"])
    async with model:
        with pytest.raises(ModelRequestError, match="does not support tools") as caught:
            await model.complete(ask_for(tools=(SEARCH,)))
    assert "choose a model that can" in caught.value.hint


async def test_streaming_is_refused_by_the_server_as_a_bad_request(serve):
    _, model = serve(settings={"extra": {"stream": True}})
    async with model:
        with pytest.raises(ModelRequestError, match="stream"):
            await model.complete(ask_for())


async def test_a_server_that_wants_max_completion_tokens_gets_them(serve):
    server, model = serve(refuse=["max_tokens"], settings={"max_tokens": 5})
    async with model:
        assert (await model.complete(ask_for())).text == "hi"
        assert (await model.complete(ask_for())).text == "hi"
    assert ["max_completion_tokens" in body for body in server.requests] == [False, True, True]


async def test_openai_itself_needs_a_key_and_the_error_names_the_variable(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(AuthenticationError, match=r"api\.openai\.com") as caught:
        async with OpenAIModel(OpenAIConfig(name="gpt-4.1")):
            pass
    assert "OPENAI_API_KEY" in caught.value.hint


async def test_other_servers_need_no_key(serve, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server, model = serve()
    async with model:
        await model.complete(ask_for())
    assert server.headers[0]["Authorization"] == "Bearer no-key-needed"


async def test_a_quota_that_is_used_up_is_told_to_the_layers_above(serve):
    _, model = serve(headers={"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "250ms"})
    async with model:
        with call_trace() as trace:
            await model.complete(ask_for())
    assert trace.pause_s == 0.25


async def test_sixty_four_requests_are_under_way_at_once(serve):
    all_are_there = []

    async def when_all_are_there(body):
        if not all_are_there:
            all_are_there.append(anyio.Event())
        if server.in_flight == 64:
            all_are_there[0].set()
        with anyio.move_on_after(30):
            await all_are_there[0].wait()
        return "hello"

    server, model = serve(when_all_are_there)
    async with model, anyio.create_task_group() as group:
        for number in range(64):
            group.start_soon(model.complete, ask_for(str(number)))
    assert server.max_in_flight == 64


def test_a_configuration_never_shows_its_key():
    assert "sk-secret" not in repr(OpenAIConfig(name="m", api_key="sk-secret"))


def test_a_base_url_without_a_scheme_is_refused_before_anything_is_sent():
    with pytest.raises(ModelRequestError, match="no URL"):
        OpenAIModel(OpenAIConfig(name="m", base_url="localhost:8000/v1"))
