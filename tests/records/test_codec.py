"""Records and JSON: what is written is read back, in the order and with the fields that the files promise."""

from __future__ import annotations

import json
from typing import Any

import attrs
import orjson
import pytest

import agentflow_core.records as records
from agentflow_core.records import (
    QA,
    Action,
    Artifact,
    Completion,
    Evidence,
    ImageContent,
    ImagePart,
    Message,
    Node,
    Observation,
    Path,
    ReasoningStep,
    Record,
    Replay,
    ResourceContent,
    Score,
    Seed,
    StepRecord,
    Task,
    TaskResult,
    TextContent,
    TextPart,
    ToolCall,
    ToolResult,
    ToolUsage,
    Trajectory,
    Truncation,
    Usage,
    Verdict,
    assistant,
    system,
    user,
)
from agentflow_core.records.codec import dump, dumps, load, loads

USAGE = Usage(calls=2, prompt_tokens=10, cached_tokens=3, completion_tokens=5, reasoning_tokens=1, cost_usd=None)
OBSERVATION = Observation(ok=False, code="timeout", data={"a": [1, None]}, text="whole", shown="wh", blobs=("ab" * 32,))
CALL = ToolCall(id="call_0", name="rag_search", arguments='{"query": "x"}')

#: One of each record, every field set to something that is not its default.
SAMPLES: list[Record] = [
    USAGE,
    OBSERVATION,
    Replay(equal=False, step=2, similarity=0.25),
    Seed(id="seed-007", content="Bern", kwargs={"k": 1}, session={"bash": {"image": "x"}}),
    Node(
        id="seed-007/0.1",
        seed_id="seed-007",
        parent="seed-007/0",
        depth=1,
        intent="look",
        reasoning="because",
        tool="rag:search",
        params={"query": "Bern"},
        result=OBSERVATION,
        novelty=0.5,
        stale=True,
        error="timeout",
        replay=Replay(equal=False, step=2, similarity=0.25),
        kept_by=("seed-007/p0",),
        usage=USAGE,
    ),
    Path(id="p", seed_id="s", nodes=("a", "b"), scores={"depth": 0.5}, total=0.5, selected=True, reason="first"),
    Evidence(node="n", quote="q", start=1, end=2, source={"doc_id": "d"}),
    ReasoningStep(step="s", evidence=(Evidence(node="n", quote="q"),)),
    Verdict(name="leak", passed=False, reason="said"),
    QA(
        id="q",
        seed_id="s",
        path_id="p",
        question="Where?",
        answer="Bern",
        aliases=("Berne",),
        answer_type="place",
        reasoning_steps=(ReasoningStep(step="s", evidence=(Evidence(node="n", quote="q"),)),),
        gates=(Verdict(name="leak", passed=True),),
        difficulty="hard",
        model="offline",
        extra={"sql": "select 1"},
        parent_qa_id="q0",
        usage=USAGE,
    ),
    Task(id="t", question="Where?", references=("Bern",), kwargs={"k": 1}, metadata={"level": "hard"}),
    Score(value=0.5, reason="half", graded=False),
    StepRecord(usage=USAGE, tools=({"call_id": "call_0", "tool": "rag:search", "code": "ok", "blobs": []},)),
    Trajectory(
        id="t#1",
        task_id="t",
        sample=1,
        model="m",
        tools=("rag:search",),
        messages=(
            system("be exact"),
            user("Where?"),
            assistant("I look", tool_calls=(CALL,), reasoning="hidden"),
            Message(
                role="tool", tool_call_id="call_0", content=(TextPart("found"), ImagePart("cd" * 32, "image/webp"))
            ),
            assistant("Bern"),
        ),
        steps=(StepRecord(usage=USAGE),),
        end_state={"vm": {"file:a": None}},
        outcome="limit:turns",
        answer="Bern",
    ),
    TaskResult(
        task_id="t",
        sample=1,
        question="Where?",
        answer="Bern",
        references=("Bern",),
        outcome="limit:turns",
        scores={"em": Score(value=1.0)},
        trajectory_id="t#1",
        usage=USAGE,
        metadata={"level": "hard"},
    ),
    assistant("text", tool_calls=(CALL,), reasoning="r"),
    Completion(
        message=assistant("{}"), finish_reason="length", usage=USAGE, model="m", parsed={"a": 1}, details={"x": [1]}
    ),
    ToolResult(
        ok=False,
        code="timeout",
        message="late",
        hint="wait",
        retryable=True,
        retry_after_s=1.5,
        data={"a": 1},
        content=(
            TextContent("t"),
            ImageContent(mime="image/png", data=b"\x00\xff"),
            ResourceContent(uri="file:///x", text="x"),
        ),
        artifacts=(Artifact(sha256="ab" * 32, mime="text/plain", bytes=3, name="x"),),
        truncation=Truncation(bytes_total=9, bytes_kept=3, artifact="ab" * 32),
        usage=ToolUsage(wall_ms=1.0, queue_ms=2.0, cpu_ms=3.0, max_rss=4, bytes_out=5),
        tool="rag:search",
        session_id="s",
        call_id="c",
        trace_id="t",
    ),
]

SAMPLE: dict[type, Any] = {type(sample): sample for sample in SAMPLES}


def by_class(record: Record) -> str:
    return type(record).__name__


def test_there_is_a_sample_of_every_record():
    kinds = {kind for name in records.__all__ if isinstance(kind := getattr(records, name), type)}
    written = {kind for kind in kinds if issubclass(kind, Record) and kind is not Record}
    assert written == {type(sample) for sample in SAMPLES}


@pytest.mark.parametrize("record", SAMPLES, ids=by_class)
def test_a_record_comes_back_from_its_line(record: Record):
    line = dumps(record)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert loads(type(record), line) == record


@pytest.mark.parametrize("record", SAMPLES, ids=by_class)
def test_fields_of_a_later_version_are_kept_and_written_last(record: Record):
    value = {**dump(record), "from_the_future": {"a": [1]}, "unknown": "even this"}
    again = load(type(record), value)
    assert again.unknown == {"from_the_future": {"a": [1]}, "unknown": "even this"}
    assert json.loads(dumps(again)) == value
    assert list(dump(again))[-2:] == ["from_the_future", "unknown"]


def test_unknown_fields_inside_of_records_in_records_are_kept():
    value = dump(SAMPLE[Node])
    value["result"]["later"] = 1
    value["usage"]["audio_tokens"] = 7
    value["replay"]["seconds"] = 0.5
    assert dump(load(Node, value)) == value


@pytest.mark.parametrize("record", SAMPLES, ids=by_class)
def test_a_record_needs_only_what_has_no_default(record: Record):
    required = {field.name for field in attrs.fields(type(record)) if field.default is attrs.NOTHING}
    value = {name: item for name, item in dump(record).items() if name in required}
    assert load(type(record), value) == type(record)(**{name: getattr(record, name) for name in required})


KEYS = {
    Node: "id seed_id parent depth intent reasoning tool params result novelty stale error replay kept_by usage",
    Observation: "ok code data text shown blobs",
    Path: "id seed_id nodes scores total selected reason",
    QA: "id seed_id path_id question answer aliases answer_type reasoning_steps gates difficulty model extra "
    "parent_qa_id usage",
    ReasoningStep: "step evidence",
    Evidence: "node quote start end source",
    Verdict: "name passed reason",
    TaskResult: "task_id sample question answer references outcome scores trajectory_id usage metadata",
    Score: "value graded reason",
    Trajectory: "id task_id sample model tools messages steps end_state outcome answer",
}


@pytest.mark.parametrize("cls", KEYS, ids=lambda cls: cls.__name__)
def test_the_keys_stand_in_the_order_of_the_file_format(cls: type):
    assert list(orjson.loads(dumps(SAMPLE[cls]))) == KEYS[cls].split()


def test_messages_are_written_in_the_chat_form_of_openai():
    assert dump(SAMPLE[Trajectory])["messages"] == [
        {"role": "system", "content": "be exact"},
        {"role": "user", "content": "Where?"},
        {
            "role": "assistant",
            "content": "I look",
            "tool_calls": [
                {
                    "id": "call_0",
                    "type": "function",
                    "function": {"name": "rag_search", "arguments": '{"query": "x"}'},
                }
            ],
            "reasoning_content": "hidden",
        },
        {
            "role": "tool",
            "content": [
                {"type": "text", "text": "found"},
                {"type": "image", "sha256": "cd" * 32, "mime": "image/webp"},
            ],
            "tool_call_id": "call_0",
        },
        {"role": "assistant", "content": "Bern"},
    ]


@pytest.mark.parametrize(
    "content", [(), (TextPart(""),), (TextPart("a"), TextPart("b")), (ImagePart("ab" * 32),)], ids=str
)
def test_every_content_of_a_message_comes_back(content: Any):
    message = Message(role="tool", tool_call_id="c", content=content)
    assert loads(Message, dumps(message)) == message


def test_what_orjson_cannot_write_is_written_all_the_same():
    qa = attrs.evolve(SAMPLE[QA], extra={"n": 2**80, "text": "a\ud800b", 3: "key"})
    value = json.loads(dumps(qa))
    assert value["extra"] == {"n": str(2**80), "text": "a?b", "3": "key"}


def test_an_action_of_an_explorer_survives_a_round_trip():
    action = Action(tool="rag:search", params={"query": "x"}, intent="i", reasoning="r")
    assert load(Action, dump(action)) == action


def test_a_line_that_is_no_record_says_which_field_is_missing():
    with pytest.raises(Exception, match="While structuring Node") as caught:
        loads(Node, b'{"id": "x"}')
    assert "seed_id" in str(caught.value.exceptions)  # type: ignore[attr-defined]


def test_a_sum_with_an_unknown_price_has_an_unknown_price():
    assert (Usage(cost_usd=1.0) + Usage(cost_usd=None)).cost_usd is None
    assert (Usage(calls=1, cost_usd=1.0) + Usage(calls=2, cost_usd=0.5)) == Usage(calls=3, cost_usd=1.5)
