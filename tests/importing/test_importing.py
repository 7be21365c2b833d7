"""Runs made of what others wrote: they read, score and export like any other."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow_core.blobs import BlobStore
from agentflow_core.export import Pictures
from agentflow_core.export.atif import trajectory_of
from agentflow_core.export.examples import Example
from agentflow_core.importing import Notes, import_run
from agentflow_core.importing.atif import read_atif
from agentflow_core.importing.samples import mended
from agentflow_core.records import (
    ImagePart,
    Message,
    TaskResult,
    TextPart,
    ToolCall,
    Trajectory,
    assistant,
    user,
)
from agentflow_core.runs import RunReader

SEARCH = {
    "type": "function",
    "function": {"name": "rag_search", "description": "Search.", "parameters": {"type": "object", "properties": {}}},
}


def lines(path, *values):
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def call(id, name="rag_search", arguments='{"query": "x"}'):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


CONVERSATION = [
    {"role": "system", "content": "Answer."},
    {"role": "user", "content": "Where did Mozart die?"},
    {"role": "assistant", "content": None, "tool_calls": [call("a"), call("b", arguments='{"query":  "y"}')]},
    {"role": "tool", "content": "Vienna", "tool_call_id": "a"},
    {"role": "tool", "content": "", "tool_call_id": "b"},
    {"role": "assistant", "content": "<answer>Vienna</answer>"},
]


# ---- OpenAI


def test_what_was_exported_comes_back_the_same(cli, tmp_path):
    first = lines(tmp_path / "first.jsonl", {"messages": CONVERSATION, "tools": [SEARCH]})

    assert cli("import", first, "--from", "openai", "--run", tmp_path / "run").code == 0
    assert cli("export", tmp_path / "run", "--to", "openai", "-o", tmp_path / "second.jsonl").code == 0
    assert read(tmp_path / "second.jsonl") == read(first)


def test_an_imported_run_is_read_and_scored_like_any_other(cli, tmp_path):
    source = lines(
        tmp_path / "x.jsonl",
        {"messages": CONVERSATION, "id": "mozart", "references": ["Vienna"], "model": "openai/tiny"},
        {"messages": CONVERSATION, "id": "mozart", "references": ["Bonn"]},
        {"messages": CONVERSATION[:2], "metadata": {"level": "easy"}},
    )

    ran = cli("import", source, "--from", "openai", "--run", tmp_path / "run")
    assert ran.code == 0
    assert "3 samples" in ran.out
    run = RunReader(tmp_path / "run")
    results = list(run.results())
    assert [(result.task_id, result.sample, result.outcome, result.answer) for result in results] == [
        ("mozart", 0, "answered", "Vienna"),
        ("mozart", 1, "answered", "Vienna"),
        ("row-3", 0, "limit:unknown", None),
    ]
    assert results[2].metadata == {"level": "easy"}
    assert [trajectory.model for trajectory in run.trajectories()] == ["openai/tiny", "", ""]
    scored = cli("score", tmp_path / "run", "--metric", "exact_match", "--json")
    assert scored.code == 0
    assert json.loads(scored.out)["metrics"]["exact_match"]["mean"] == pytest.approx(1 / 2)
    assert cli("runs", "show", tmp_path / "run").code == 0
    for form in ("openai", "trl", "sharegpt", "csv", "parquet", "atif", "verl"):
        assert cli("export", tmp_path / "run", "--to", form, "-o", tmp_path / "out" / form).code == 0


def test_calls_that_nobody_answered_are_answered_as_not_run(cli, tmp_path):
    conversation = [
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "", "tool_calls": [call("a"), call("b")]},
        {"role": "tool", "content": "found", "tool_call_id": "a"},
        {"role": "tool", "content": "stray", "tool_call_id": "z"},
        {"role": "assistant", "content": "A"},
    ]
    ran = cli(
        "import", lines(tmp_path / "x.jsonl", {"messages": conversation}), "--from", "openai", "--run", tmp_path / "r"
    )

    assert ran.code == 0
    assert "a tool call without an answer; answered as not run (1x)" in ran.err
    assert "a tool message that answers no call; left out (1x)" in ran.err
    messages = next(RunReader(tmp_path / "r").trajectories()).messages
    assert [message.tool_call_id for message in messages if message.role == "tool"] == ["a", "b"]
    assert messages[3].text.startswith("error [cancelled]")


def test_what_is_ignored_is_named_once(cli, tmp_path):
    row = {"messages": CONVERSATION, "weight": 0.5, "parallel_tool_calls": True}
    ran = cli("import", lines(tmp_path / "x.jsonl", row, row, row), "--from", "openai", "--run", tmp_path / "r")

    assert ran.err.count("ignored: weight (3x)") == 1
    assert ran.err.count("parallel_tool_calls") == 1


def test_pictures_come_back_the_same(cli, tmp_path):
    url = "data:image/png;base64,iVBORw0KGgo="
    question = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
    first = lines(
        tmp_path / "x.jsonl",
        {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": "A cat."}], "tools": []},
    )

    assert cli("import", first, "--from", "openai", "--run", tmp_path / "run").code == 0
    assert cli("export", tmp_path / "run", "--to", "openai", "-o", tmp_path / "y.jsonl").code == 0
    assert read(tmp_path / "y.jsonl") == read(first)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "x"}, "a list of messages is expected"),
        ({"messages": []}, "a list of messages is expected"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "message 1: no message with one of the roles"),
        ({"messages": [{"role": "user", "content": 3}]}, "neither a text nor a list of parts"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "x"}]}]}, "names no function"),
        ({"messages": CONVERSATION, "tools": "search"}, "'tools' is no list"),
    ],
)
def test_a_row_that_is_no_conversation_is_named_by_its_line(row, message, cli, tmp_path):
    source = lines(tmp_path / "x.jsonl", {"messages": CONVERSATION}, row)

    ran = cli("import", source, "--from", "openai", "--run", tmp_path / "run")
    assert (ran.code, "x.jsonl:2" in ran.err, message in ran.err) == (2, True, True)


def test_importing_again_changes_nothing_and_another_file_is_refused(cli, tmp_path):
    source = lines(tmp_path / "x.jsonl", {"messages": CONVERSATION})
    assert cli("import", source, "--from", "openai", "--run", tmp_path / "run").code == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*.jsonl")}

    assert cli("import", source, "--from", "openai", "--run", tmp_path / "run").code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*.jsonl")} == before
    lines(tmp_path / "x.jsonl", {"messages": CONVERSATION}, {"messages": CONVERSATION})
    ran = cli("import", source, "--from", "openai", "--run", tmp_path / "run")
    assert (ran.code, "another configuration" in ran.err) == (2, True)


def test_a_rollout_does_not_go_on_in_an_imported_run(cli, tmp_path):
    source = lines(tmp_path / "x.jsonl", {"messages": CONVERSATION})
    assert cli("import", source, "--from", "openai", "--run", tmp_path / "run").code == 0
    lines(tmp_path / "b.jsonl", {"question": "Q", "answer": "A"})
    (tmp_path / "c.yaml").write_text("model: offline\ndata: {path: b.jsonl}\n")

    ran = cli("rollout", tmp_path / "c.yaml", "--run", tmp_path / "run")
    assert (ran.code, "another configuration" in ran.err) == (2, True)


def test_a_form_that_nobody_reads_is_refused_with_a_suggestion(cli, tmp_path):
    ran = cli("import", tmp_path, "--from", "opnai", "--run", tmp_path / "run")

    assert (ran.code, "did you mean 'openai'" in ran.err) == (2, True)


# ---- ATIF


def test_a_rollout_in_atif_comes_back_without_loss(cli, tmp_path):
    source = lines(
        tmp_path / "x.jsonl", {"messages": CONVERSATION, "id": "mozart", "references": ["Vienna"], "tools": [SEARCH]}
    )
    assert cli("import", source, "--from", "openai", "--run", tmp_path / "one").code == 0
    assert cli("export", tmp_path / "one", "--to", "atif", "-o", tmp_path / "out").code == 0

    assert cli("import", tmp_path / "out", "--from", "atif", "--run", tmp_path / "two").code == 0
    for name in ("results.jsonl", "trajectories.jsonl", "tools.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_trajectory_of_another_agent_is_a_sample(cli, tmp_path):
    document = {
        "schema_version": "ATIF-v1.5",
        "session_id": "s-1",
        "agent": {"name": "terminus", "version": "2", "model_name": "openai/tiny"},
        "steps": [
            {"step_id": 1, "source": "user", "message": "How many files?", "timestamp": "2026-01-01T00:00:00Z"},
            {
                "step_id": 2,
                "source": "agent",
                "message": "ls",
                "observation": {"results": [{"content": "a b c"}]},
                "metrics": {"prompt_tokens": 20, "completion_tokens": 3, "cost_usd": 0.01},
            },
            {
                "step_id": 3,
                "source": "agent",
                "message": "",
                "tool_calls": [{"tool_call_id": "c", "function_name": "count", "arguments": {"n": 3}}],
                "observation": {"results": [{"source_call_id": "c", "content": "3"}]},
            },
            {"step_id": 4, "source": "agent", "message": "3"},
        ],
    }
    (tmp_path / "t.json").write_text(json.dumps(document))

    ran = cli("import", tmp_path / "t.json", "--from", "atif", "--run", tmp_path / "run")
    assert ran.code == 0
    assert "ignored: steps[].timestamp (1x)" in ran.err
    run = RunReader(tmp_path / "run")
    (result,), (trajectory,) = run.results(), run.trajectories()
    assert (result.task_id, result.question, result.answer) == ("s-1", "How many files?", "3")
    assert (result.usage.prompt_tokens, result.usage.cost_usd) == (20, 0.01)
    assert [message.role for message in trajectory.messages] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert trajectory.model == "openai/tiny"


@pytest.mark.parametrize("place", ["../secret.png", "/etc/hostname", "https://a.example/x.png"])
def test_a_picture_elsewhere_is_never_read(place, cli, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"\x89PNG secret")
    (tmp_path / "in").mkdir()
    part = {"type": "image", "source": {"media_type": "image/png", "path": place}}
    document = {
        "schema_version": "ATIF-v1.7",
        "agent": {"name": "a", "version": "1"},
        "steps": [
            {"step_id": 1, "source": "user", "message": [part]},
            {"step_id": 2, "source": "agent", "message": "A"},
        ],
    }
    (tmp_path / "in" / "t.json").write_text(json.dumps(document))

    assert cli("import", tmp_path / "in", "--from", "atif", "--run", tmp_path / "run").code == 0
    message = next(RunReader(tmp_path / "run").trajectories()).messages[0]
    assert message.content == (TextPart(f"[picture: {place}]"),)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"schema_version": "ATIF-v2.0"}', '{"schema_version": "ATIF-v1.7", "agent": {}}']
)
def test_a_file_that_is_no_trajectory_is_named(text, cli, tmp_path):
    (tmp_path / "t.json").write_text(text)

    ran = cli("import", tmp_path / "t.json", "--from", "atif", "--run", tmp_path / "run")
    assert (ran.code, "t.json" in ran.err) == (2, True)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PARTS = st.lists(st.builds(TextPart, TEXT), max_size=2).map(tuple)
ARGUMENTS = st.one_of(TEXT, st.dictionaries(TEXT, st.integers(-9, 9) | TEXT, max_size=2).map(json.dumps))
UNKNOWN = st.dictionaries(st.sampled_from(["name", "weight"]), TEXT, max_size=1)


@st.composite
def turns(draw):
    calls = [
        ToolCall(id=f"call_{number}", name=draw(st.sampled_from(["rag_search", "x"])), arguments=draw(ARGUMENTS))
        for number in range(draw(st.integers(0, 3)))
    ]
    said = Message(
        role="assistant",
        content=draw(PARTS),
        tool_calls=tuple(calls),
        reasoning=draw(st.none() | TEXT),
        unknown=draw(UNKNOWN),
    )
    return [
        said,
        *(Message(role="tool", tool_call_id=each.id, content=draw(PARTS), unknown=draw(UNKNOWN)) for each in calls),
    ]


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            lambda role, content: [Message(role=role, content=content)], st.sampled_from(["system", "user"]), PARTS
        ),
        min_size=1,
        max_size=2,
    ),
    st.lists(turns(), max_size=3),
)
def test_any_conversation_goes_through_atif_without_loss(tmp_path_factory, begin, rest):
    folder = tmp_path_factory.mktemp("atif")
    messages = tuple(message for turn in (*begin, *rest) for message in turn)
    trajectory = Trajectory(id="t#0", task_id="t", messages=messages, model="m")
    example = Example(
        id="t#0", model="m", messages=messages, tools=(), result=TaskResult(task_id="t"), trajectory=trajectory
    )
    blobs = BlobStore(folder / "blobs")
    document = trajectory_of(example, blobs, Pictures(folder=folder / "images", name="images"))
    (folder / "t.json").write_text(json.dumps(document))

    (sample,) = read_atif(folder / "t.json", blobs, Notes())
    assert sample.trajectory == trajectory


# ---- the earlier AgentFlow


def earlier_result(task="t-1", **more):
    messages = [
        {"role": "system", "content": "You search."},
        {"role": "user", "content": "How many live in Tokyo?"},
        {"role": "assistant", "content": "", "tool_calls": [call("a", "web_search"), call("b", "web_search")]},
        {"role": "tool", "content": "null", "tool_call_id": "a", "name": "web_search"},
        {"role": "assistant", "content": "About 14 million."},
    ]
    return {
        "task_id": task,
        "question": "How many live in Tokyo?",
        "predicted_answer": "About 14 million.",
        "success": True,
        "ground_truth": "14 million",
        "score": 0.5,
        "metadata": {"level": 1},
        "trajectory": {
            "task_id": task,
            "messages": messages,
            "tool_calls": [{"tool_name": "web_search"}],
            "final_answer": "About 14 million.",
            "total_turns": 2,
            "execution_time_ms": 12.5,
        },
        **more,
    }


def test_results_of_the_earlier_agentflow_are_samples(cli, tmp_path):
    failed = {"task_id": "t-2", "question": "Q", "predicted_answer": "", "success": False, "error": "timeout"}
    source = lines(tmp_path / "results_x.jsonl", earlier_result(), failed)

    ran = cli("import", source, "--from", "agentflow", "--run", tmp_path / "run")
    assert ran.code == 0
    for name in ("trajectory.tool_calls", "trajectory.total_turns", "trajectory.execution_time_ms"):
        assert ran.err.count(f"ignored: {name} (1x)") == 1
    first, second = RunReader(tmp_path / "run").results()
    assert (first.references, first.answer, first.scores["score"].value) == (("14 million",), "About 14 million.", 0.5)
    assert (second.outcome, second.answer, second.metadata) == ("error:imported", None, {"error": "timeout"})
    trajectory = next(RunReader(tmp_path / "run").trajectories())
    assert [message.tool_call_id for message in trajectory.messages if message.role == "tool"] == ["a", "b"]
    assert cli("score", tmp_path / "run", "--metric", "contains_answer").code == 0
    assert cli("export", tmp_path / "run", "--to", "openai", "-o", tmp_path / "o.jsonl").code == 0


def test_trajectories_alone_are_samples_too(cli, tmp_path):
    trajectory = earlier_result()["trajectory"]
    lines(tmp_path / "out.jsonl", {**trajectory, "question": "Q?"}, {"messages": [{"role": "user", "content": "only"}]})

    assert cli("import", tmp_path / "out.jsonl", "--from", "agentflow", "--run", tmp_path / "run").code == 0
    first, second = RunReader(tmp_path / "run").results()
    assert (first.question, first.answer, first.references) == ("Q?", "About 14 million.", ())
    assert (second.task_id, second.question, second.outcome) == ("row-2", "only", "limit:unknown")


def test_an_output_folder_is_read_as_a_whole(cli, tmp_path):
    (tmp_path / "out").mkdir()
    lines(tmp_path / "out" / "results_a.jsonl", earlier_result("a"))
    lines(tmp_path / "out" / "results_b.jsonl", earlier_result("b"))
    (tmp_path / "out" / "summary_a.json").write_text("{}")

    assert cli("import", tmp_path / "out", "--from", "agentflow", "--run", tmp_path / "run").code == 0
    assert [result.task_id for result in RunReader(tmp_path / "run").results()] == ["a", "b"]


def synthesized_by_the_earlier(folder):
    folder.mkdir()

    def step(number, parent, tool="rag_search", **more):
        return {
            "node_id": f"n{number}",
            "parent_id": parent,
            "observation": f"page {number}: the Danube rises in the Black Forest",
            "intent": f"look {number}",
            "action": {"tool_name": tool, "parameters": {"query": str(number)}},
            "depth": number,
            **more,
        }

    root = {"node_id": "n0", "observation": "", "intent": "start", "action": None, "depth": 0}
    pair = {
        "question": "Where does it rise?",
        "answer": "Black Forest",
        "source_id": "src_1",
        "metadata": {"seed_data": "Danube", "synthesis_date": "2026-01-01"},
        "reasoning_steps": [
            {"step": 1, "description": "Find it.", "observation": "the Danube rises in the Black Forest"},
            {"step": 2, "description": "Name it.", "observation": "words that nobody said"},
        ],
    }
    chains = [
        {
            "trajectory_id": "traj_0",
            "source_id": "src_1",
            "seed_data": "Danube",
            "nodes": [root, step(1, "n0"), step(2, "n1")],
        },
        {
            "trajectory_id": "traj_1",
            "source_id": "src_1",
            "seed_data": "Danube",
            "nodes": [root, step(1, "n0"), step(3, "n1")],
        },
    ]
    lines(folder / "trajectories.jsonl", *chains)
    other = {
        **pair,
        "source_id": "src_2",
        "trajectory_id": "traj_0",
        "qa_id": "q-9",
        "metadata": {"seed_data": "Rhine"},
    }
    lines(
        folder / "synthesized_qa.jsonl", {**pair, "trajectory_id": "traj_0"}, other, {**pair, "trajectory_id": "traj_1"}
    )
    return folder


def test_pairs_of_the_earlier_agentflow_are_a_synthesis_with_its_tree(cli, tmp_path):
    source = synthesized_by_the_earlier(tmp_path / "out")

    ran = cli("import", source, "--from", "agentflow", "--run", tmp_path / "run")
    assert ran.code == 0
    assert "3 pairs" in ran.out
    assert "a pair without its trajectory" in ran.err
    run = RunReader(tmp_path / "run")
    assert [node.id for node in run.tree()] == [
        "seed-001/0",
        "seed-001/0.0",
        "seed-001/0.0.0",
        "seed-001/0.0.1",
        "seed-002/0",
    ]
    assert [path.nodes[-1] for path in run.paths()] == ["seed-001/0.0.0", "seed-001/0.0.1", "seed-002/0"]
    qas = list(run.qa())
    assert [qa.seed_id for qa in qas] == ["seed-001", "seed-001", "seed-002"]
    found, unverified = qas[0].reasoning_steps
    assert (found.evidence[0].node, found.evidence[0].start) == ("seed-001/0.0", 8)
    assert unverified.evidence == ()
    nodes = {node.id: node for node in run.tree()}
    for evidence in found.evidence:
        assert nodes[evidence.node].result.text[evidence.start : evidence.end] == evidence.quote
    for form in ("openai", "trl-dpo", "parquet", "atif"):
        exported = cli("export", tmp_path / "run", "--to", form, "-o", tmp_path / f"x-{form}")
        assert exported.code == (2 if form == "trl-dpo" else 0)


def test_rows_of_both_kinds_are_refused(cli, tmp_path):
    lines(tmp_path / "x.jsonl", earlier_result(), {"question": "Q", "answer": "A"})

    ran = cli("import", tmp_path / "x.jsonl", "--from", "agentflow", "--run", tmp_path / "run")
    assert (ran.code, "x.jsonl:2: a row of a synthesis among those of a rollout" in ran.err) == (2, True)


def test_a_row_of_neither_kind_is_refused(cli, tmp_path):
    lines(tmp_path / "x.jsonl", {"text": "Q"})

    ran = cli("import", tmp_path / "x.jsonl", "--from", "agentflow", "--run", tmp_path / "run")
    assert (ran.code, "predicted_answer" in ran.err) == (2, True)


# ---- mending


MESSAGES = st.lists(
    st.one_of(
        st.builds(user, TEXT),
        st.lists(st.sampled_from("abc"), max_size=3).map(
            lambda ids: assistant("x", tool_calls=tuple(ToolCall(id=id, name="t", arguments="{}") for id in ids))
        ),
        st.sampled_from("abcd").map(lambda id: Message(role="tool", tool_call_id=id, content=(TextPart("r"),))),
    ),
    max_size=10,
)


@settings(deadline=None)
@given(MESSAGES)
def test_after_mending_every_call_is_answered_once_right_after_it(messages):
    found = mended(messages, Notes())

    pending: list[str] = []
    for message in found:
        if message.role == "tool":
            pending.remove(message.tool_call_id)
        else:
            assert pending == []
            pending = [each.id for each in message.tool_calls]
            assert len(set(pending)) == len(pending)
    assert pending == []
    assert [message for message in found if message.role == "user"] == [
        message for message in messages if message.role == "user"
    ]
    assert mended(found, Notes()) == found


def test_an_empty_file_is_no_run(tmp_path, cli):
    (tmp_path / "x.jsonl").write_text("")

    ran = cli("import", tmp_path / "x.jsonl", "--from", "openai", "--run", tmp_path / "run")
    assert (ran.code, "nothing to import" in ran.err) == (2, True)


def test_python_imports_too(tmp_path):
    imported = import_run(lines(tmp_path / "x.jsonl", {"messages": CONVERSATION}), "openai", tmp_path / "run")

    assert (imported.kind, imported.count, list(imported.notes.lines())) == ("rollout", 1, [])
    assert isinstance(next(RunReader(imported.run_dir).trajectories()).messages[0].content[0], TextPart | ImagePart)
