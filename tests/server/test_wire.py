from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.errors import SandboxError
from agentflow_core.interfaces import SessionInfo
from agentflow_core.records import Artifact, ImageContent, ResourceContent, TextContent, ToolResult, ToolUsage
from agentflow_core.records.codec import dump
from agentflow_core.records.codes import CODES
from agentflow_core.sandbox.server.bodies import parse, read_json
from agentflow_core.sandbox.wire import (
    BatchRequest,
    CreateSessionRequest,
    ExecuteRequest,
    ForkRequest,
    HeartbeatRequest,
    WarmupRequest,
    decode_result,
    dump_result,
    dump_session,
    encode_request,
    encode_result,
    failure_from,
    load_session,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
contents = st.one_of(
    st.builds(TextContent, texts),
    st.builds(ImageContent, mime=texts, data=st.none() | st.binary(max_size=20), sha256=st.none() | texts),
    st.builds(ResourceContent, uri=texts, mime=texts, text=texts),
)
results = st.builds(
    ToolResult,
    ok=st.booleans(),
    code=st.sampled_from(sorted(CODES)),
    message=texts,
    hint=texts,
    retryable=st.booleans(),
    retry_after_s=st.none() | st.floats(0, 60),
    data=json_values,
    content=st.lists(contents, max_size=3).map(tuple),
    artifacts=st.lists(st.builds(Artifact, sha256=texts, mime=texts, bytes=st.integers(0, 9)), max_size=2).map(tuple),
    usage=st.builds(ToolUsage, wall_ms=st.floats(0, 9), cpu_ms=st.none() | st.floats(0, 9)),
    tool=texts,
    call_id=texts,
)
requests = st.one_of(
    st.builds(
        ExecuteRequest,
        tool=texts,
        params=st.none() | st.dictionaries(texts, json_values, max_size=3),
        session_id=st.none() | st.just("bash-1"),
        timeout_s=st.none() | st.floats(0.1, 60),
    ),
    st.builds(
        BatchRequest,
        calls=st.lists(st.builds(ExecuteRequest, tool=texts), max_size=3).map(tuple),
        stop_on_error=st.booleans(),
    ),
    st.builds(
        CreateSessionRequest,
        backends=st.dictionaries(
            st.sampled_from(["a", "b"]), st.none() | st.dictionaries(texts, json_values, max_size=2), max_size=2
        ),
        call_id=st.none() | st.just("c"),
    ),
    st.builds(ForkRequest, call_id=st.none() | st.just("c")),
    st.builds(WarmupRequest, backends=st.lists(st.sampled_from(["a", "b"]), max_size=2).map(tuple)),
    st.builds(HeartbeatRequest, workers=st.lists(st.sampled_from(["a", "b"]), max_size=2).map(tuple)),
)


@given(results)
def test_a_result_comes_back_as_it_was_sent(result):
    assert decode_result(encode_result(result)) == result


@given(results)
def test_a_result_is_written_as_the_codec_of_records_does_but_for_image_bytes(result):
    ours, theirs = dump_result(result), dump(result)
    for value in (ours, theirs):
        for part in value["content"]:
            if part["type"] == "image":
                del part["data"]
    assert ours == theirs


@given(requests)
def test_a_request_comes_back_as_it_was_sent(request):
    assert parse(type(request), read_json(encode_request(request))) == request


def test_what_json_has_no_value_for_still_travels_so_that_it_can_be_named():
    body = encode_request(ExecuteRequest(tool="a:b", params={"x": float("nan"), "y": "\ud800", "z": 2**70}))
    params = read_json(body)["params"]
    assert params["x"] != params["x"]
    assert params["y"] == "\ud800"


def test_a_result_that_json_cannot_hold_is_cleaned():
    assert json.loads(encode_result(ToolResult(data={"x": "\ud800", "n": 2**70})))["data"]["x"] == "?"


def test_arguments_that_are_no_json_are_refused():
    with pytest.raises(SandboxError, match="cannot be written as JSON") as caught:
        encode_request(ExecuteRequest(tool="a:b", params={"x": object()}))
    assert caught.value.code == "invalid_argument"


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"ok": 1, "content": [{"type": "zip"}]}', b'{"ok":true,"content":5}'],
)
def test_an_answer_that_is_no_envelope_is_refused(body):
    with pytest.raises(SandboxError, match="the server's answer is not"):
        decode_result(body)


def test_a_field_that_a_later_server_added_is_kept_in_results_and_passed_over_in_sessions():
    assert decode_result(b'{"ok": true, "colour": "red"}').unknown == {"colour": "red"}
    session = SessionInfo(id="a-1", backend="a", worker_id="w", state="ready", data={"url": "x"})
    assert load_session({**dump_session(session), "colour": "red"}) == session


def test_the_exception_of_an_envelope_has_its_code_and_hint():
    error = failure_from(ToolResult.failure("overloaded", "full", hint="wait"))
    assert (error.code, error.message, error.hint) == ("overloaded", "full", "wait")
