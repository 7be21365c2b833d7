"""What servers of many kinds mean by their errors; the texts are theirs."""

from __future__ import annotations

import pytest

from agentflow_core.errors import (
    AuthenticationError,
    ContentFilterError,
    ContextOverflowError,
    ModelRequestError,
    RateLimitError,
    TransientError,
)
from agentflow_core.models.openai_errors import Refusal, error_of, pause_after, retry_after, wants_next_rung

CASES = [
    (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 4096 tokens.",
                "code": "context_length_exceeded",
            }
        },
        ContextOverflowError,
    ),
    (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 2048 tokens. However, you requested 4000 tokens",
            "type": "BadRequestError",
            "code": 400,
        },
        ContextOverflowError,
    ),
    (
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size, try increasing it",
                "type": "exceed_context_size_error",
            }
        },
        ContextOverflowError,
    ),
    (400, {"error": {"message": "prompt is too long: 210000 tokens > 200000 maximum"}}, ContextOverflowError),
    (413, "Request Entity Too Large", ContextOverflowError),
    (
        400,
        {
            "error": {
                "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
                "code": "content_filter",
            }
        },
        ContentFilterError,
    ),
    (403, {"error": {"message": "Input was flagged", "code": 403, "metadata": {}}}, ContentFilterError),
    (401, {"error": {"message": "Incorrect API key provided: sk-***", "code": "invalid_api_key"}}, AuthenticationError),
    (402, {"error": {"message": "Insufficient credits", "code": 402}}, AuthenticationError),
    (403, {"error": {"message": "You do not have access to this model"}}, AuthenticationError),
    (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}, AuthenticationError),
    (429, {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}, RateLimitError),
    (
        400,
        {"error": {"message": "Expecting ',' delimiter: line 8 column 61 (char 4982)", "type": "BadRequestError"}},
        TransientError,
    ),
    (400, {"error": {"message": "We could not parse the JSON body of your request."}}, TransientError),
    (408, "", TransientError),
    (500, "<html>Internal Server Error</html>", TransientError),
    (503, {"detail": "model is loading"}, TransientError),
    (404, {"error": {"message": "The model 'x' does not exist", "code": "model_not_found"}}, ModelRequestError),
    (422, {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]}, ModelRequestError),
    (418, None, ModelRequestError),
]


@pytest.mark.parametrize(("status", "body", "expected"), CASES, ids=lambda value: getattr(value, "kind", None))
def test_an_error_is_typed_by_what_it_means(status, body, expected):
    error = error_of(Refusal.of(status, body), {}, url="http://server/v1", model="m")
    assert type(error) is expected
    assert error.status == status
    assert "http://server/v1" in error.message


@pytest.mark.parametrize(
    "message",
    [
        "registry.ollama.ai/library/gemma:2b does not support tools",
        '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
        "No endpoints found that support tool use. Try disabling tools",
    ],
)
def test_a_server_without_tools_gets_a_hint_what_to_change(message):
    error = error_of(Refusal.of(400, {"error": {"message": message}}), {}, url="u", model="m")
    assert type(error) is ModelRequestError
    assert "choose a model that can" in error.hint


@pytest.mark.parametrize(
    ("message", "next_rung"),
    [
        ("Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.", True),
        ("Invalid schema for response_format 'answer': additionalProperties is required", True),
        ("guided decoding is not available", True),
        ("Unsupported value: 'temperature' does not support 0", False),
    ],
)
def test_only_what_speaks_of_structured_output_leads_to_the_next_way(message, next_rung):
    error = error_of(Refusal.of(400, {"error": {"message": message}}), {}, url="u", model="m")
    assert wants_next_rung(error) is next_rung


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({"x-ratelimit-remaining-tokens": "7", "x-ratelimit-reset-tokens": "20s"}, None),
    ],
)
def test_how_long_to_wait_is_read_from_all_the_headers_that_say_it(headers, expected):
    assert retry_after(headers) == expected


def test_no_pause_is_made_while_a_quota_has_something_left():
    assert pause_after({"x-ratelimit-remaining-requests": "12", "x-ratelimit-reset-requests": "1s"}) == 0.0


def test_what_a_server_writes_is_shown_on_one_line_without_escapes():
    error = error_of(Refusal.of(500, "a\x1b[31mred\n\nline"), {}, url="u", model="m")
    assert "ared line" in error.message
