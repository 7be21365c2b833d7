"""Every format, read as its consumers read it: by their own libraries where these are on PyPI and light."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest
from attrs import evolve

from agentflow_core.errors import DataError, UsageError
from agentflow_core.export import Source, Unfit
from agentflow_core.export.atif import ATIFExporter
from agentflow_core.export.openai import OpenAIExporter
from agentflow_core.export.preferences import PreferenceExporter, worse_sibling
from agentflow_core.export.sharegpt import ShareGPTExporter
from agentflow_core.export.tables import CSVExporter, ParquetExporter
from agentflow_core.export.trl import TRLExporter
from agentflow_core.export.verl import VerlExporter
from agentflow_core.records import (
    QA,
    ImagePart,
    Message,
    Node,
    Observation,
    TextPart,
    ToolCall,
    assistant,
    system,
    user,
)
from agentflow_core.records import Path as TreePath
from agentflow_core.records.codec import dumps
from agentflow_core.runs import Run, RunReader

PNG = b"\x89PNG\r\n\x1a\n-- not much of a picture"
PICTURE = hashlib.sha256(PNG).hexdigest()
EXPORTERS = {
    "openai": OpenAIExporter,
    "trl": TRLExporter,
    "trl-dpo": PreferenceExporter,
    "sharegpt": ShareGPTExporter,
    "atif": ATIFExporter,
    "verl": VerlExporter,
    "parquet": ParquetExporter,
    "csv": CSVExporter,
}


@pytest.fixture
def trl_schema(needed):
    schema = json.loads((Path(__file__).parent / "trl.schema.json").read_text(encoding="utf-8"))
    return needed("jsonschema").Draft202012Validator(schema)


@pytest.fixture
def with_picture(rollout_of, sample, calling):
    """A run whose second tool result is a picture, and whose question has one too."""
    messages = [
        system("Look."),
        Message(role="user", content=(TextPart("What is on "), ImagePart(PICTURE), TextPart("?"))),
        *calling(("vm_screenshot", {}, ImagePart(PICTURE)), ("rag_search", {"query": "x"}, "found")),
        assistant("A cat."),
    ]
    return rollout_of([sample("Mozart", messages=messages), sample("Bach")], blobs=[PNG])


@pytest.mark.parametrize("form", EXPORTERS)
def test_every_format_writes_every_kind_of_run_and_reads_it_back(form, synthesized, rolled_out, tmp_path):
    for number, run_dir in enumerate((synthesized.run_dir, rolled_out)):
        assert EXPORTERS[form]().export(run_dir, tmp_path / f"out-{number}") > 0


@pytest.mark.parametrize("form", ["openai", "trl", "trl-dpo", "sharegpt"])
def test_datasets_reads_the_lines_as_they_are(form, rolled_out, load_dataset, read, tmp_path):
    out = tmp_path / "data.jsonl"
    EXPORTERS[form]().export(rolled_out, out)

    rows = load_dataset("json", data_files=str(out))
    assert [_without_nulls(row) for row in rows] == [_without_nulls(line) for line in read(out)]


def _without_nulls(value):
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def test_datasets_reads_the_conversations_of_a_synthesis_too(synthesized, load_dataset, read, tmp_path):
    out = tmp_path / "data.jsonl"
    TRLExporter().export(synthesized.run_dir, out)

    rows = load_dataset("json", data_files=str(out))
    assert [_without_nulls(row) for row in rows] == [_without_nulls(line) for line in read(out)]


def test_trl_is_given_arguments_as_objects(rolled_out, trl_schema, read, tmp_path):
    out = tmp_path / "data.jsonl"
    TRLExporter().export(rolled_out, out)

    for line in read(out):
        trl_schema.validate(line)
    call = read(out)[0]["messages"][2]["tool_calls"][0]["function"]
    assert call == {"name": "rag_search", "arguments": {"query": "task-00", "k": 2}}
    assert [message["name"] for message in read(out)[0]["messages"] if message["role"] == "tool"] == [
        "rag_search",
        "rag_get",
        "rag_search",
    ]


def test_a_call_whose_arguments_are_no_object_has_no_place_in_trl(rollout_of, sample, tmp_path, read):
    broken = ToolCall(id="c", name="rag_search", arguments='{"query": ')
    messages = [
        user("Q?"),
        assistant(tool_calls=(broken,)),
        Message(role="tool", tool_call_id="c", content=(TextPart("error"),)),
        assistant("A"),
    ]
    run = rollout_of([sample("Mozart", messages=messages), sample("Bach")])
    source = Source(RunReader(run))

    assert TRLExporter().export_source(source, tmp_path / "x.jsonl") == 1
    assert sum(source.left_out.values()) == 1
    assert OpenAIExporter().export(run, tmp_path / "y.jsonl") == 2
    assert read(tmp_path / "y.jsonl")[0]["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"query": '


def test_of_two_samples_of_one_question_the_right_one_is_chosen(rolled_out, trl_schema, read, tmp_path):
    out = tmp_path / "data.jsonl"

    assert PreferenceExporter().export(rolled_out, out) == 16
    for line in read(out):
        trl_schema.validate(line)
        assert [message["role"] for message in line["prompt"]] == ["system", "user"]
        assert line["chosen"][-1]["content"] == "<answer>Vienna</answer>"
        assert line["rejected"][-1]["content"] == "<answer>Bonn</answer>"


def test_samples_that_no_metric_could_judge_make_no_pair(rollout_of, sample, tmp_path):
    ungraded = [sample("Mozart", 0, score=None), sample("Mozart", 1, score=None)]
    judged = [sample("Bach", 0), sample("Bach", 1, score=0.2, answer="Bonn")]

    assert PreferenceExporter().export(rollout_of([*ungraded, *judged]), tmp_path / "x.jsonl") == 1


def test_of_two_branches_the_one_of_the_path_is_chosen(synthesized, trl_schema, read, tmp_path):
    out = tmp_path / "data.jsonl"
    count = PreferenceExporter().export(synthesized.run_dir, out)

    nodes = {node.id: node for node in RunReader(synthesized.run_dir).tree()}
    assert count == len(read(out)) > 0
    for line in read(out):
        trl_schema.validate(line)
        assert len(line["chosen"]) == len(line["rejected"]) == 1
        rejected = line["rejected"][0]["tool_calls"][0]["function"]
        assert any(
            node.tool == rejected["name"].replace("_", ":", 1) and dict(node.params) == rejected["arguments"]
            for node in nodes.values()
            if not node.kept_by
        )


@pytest.mark.parametrize(
    ("others", "worst"),
    [
        ([{"error": "not_found"}, {"novelty": 0.1}], "s/0.1"),
        ([{"novelty": 0.2}, {"novelty": 0.1}], "s/0.2"),
        ([{"stale": True, "novelty": 0.4}, {"novelty": 0.1}], "s/0.1"),
        ([{"novelty": 0.9}, {"novelty": 0.1, "kept_by": ("p",)}], None),
        ([{"novelty": 0.1, "params": {"q": 0}}], None),
    ],
)
def test_the_worst_sibling_is_one_that_failed_else_stale_else_said_less(others, worst):
    def node(number, **more):
        return Node(
            **{
                "id": f"s/0.{number}",
                "seed_id": "s",
                "parent": "s/0",
                "tool": "rag:search",
                "params": {"q": number},
                "result": Observation(text="x"),
                "novelty": 0.5,
                **more,
            }
        )

    own = node(0)
    found = worse_sibling(own, [own, *(node(number, **more) for number, more in enumerate(others, 1))])
    assert (found.id if found else None) == worst


def test_sharegpt_turns_alternate_as_llama_factory_wants_them(synthesized, rolled_out, read, tmp_path):
    for name, run_dir in (("a", synthesized.run_dir), ("b", rolled_out)):
        ShareGPTExporter().export(run_dir, tmp_path / name)
        for line in read(tmp_path / name):
            turns = line["conversations"]
            assert all(turn["from"] in ("human", "observation") for turn in turns[::2])
            assert all(turn["from"] in ("gpt", "function_call") for turn in turns[1::2])
            assert len(turns) % 2 == 0
            assert {tool["name"] for tool in json.loads(line["tools"])} >= {"rag_search"}
    turns = read(tmp_path / "b")[0]["conversations"]
    assert [call["name"] for call in json.loads(turns[1]["value"])] == ["rag_search", "rag_get"]
    assert json.loads(turns[2]["value"]) == ["[1] a page", "a text"]
    assert json.loads(turns[3]["value"]) == {"name": "rag_search", "arguments": {"query": "where"}}
    assert turns[4]["value"] == "[1] another"


def test_the_card_of_sharegpt_says_what_dataset_info_needs(rolled_out, cli, tmp_path):
    assert cli("export", rolled_out, "--to", "sharegpt", "--split", "0.5", "-o", tmp_path / "data.jsonl").code == 0

    card = (tmp_path / "data.jsonl.card.md").read_text(encoding="utf-8")
    entries = json.loads(card.split("```json\n")[1].split("```")[0])
    assert {entry["file_name"] for entry in entries.values()} == {"data.train.jsonl", "data.validation.jsonl"}
    assert {entry["formatting"] for entry in entries.values()} == {"sharegpt"}


def test_verl_has_a_row_for_each_question_with_its_ground_truth(rolled_out, load_dataset, tmp_path):
    out = tmp_path / "data.parquet"

    assert VerlExporter().export(rolled_out, out) == 20
    rows = load_dataset("parquet", data_files=str(out))
    assert set(rows.column_names) == {"data_source", "prompt", "ability", "reward_model", "extra_info"}
    first = rows[0]
    assert first["prompt"] == [
        {"role": "system", "content": "Answer."},
        {"role": "user", "content": "Where did task-00 die?"},
    ]
    assert first["reward_model"] == {"style": "rule", "ground_truth": "Vienna"}
    assert [row["extra_info"]["index"] for row in rows] == list(range(20))
    assert first["extra_info"]["references"] == ["Vienna", "Wien"]
    assert len(json.loads(first["extra_info"]["tools"])) == 2


def test_a_question_without_a_reference_has_no_ground_truth(rollout_of, sample, tmp_path):
    run = rollout_of([sample("Mozart", references=()), sample("Bach")])
    source = Source(RunReader(run))

    assert VerlExporter().export_source(source, tmp_path / "x.parquet") == 1
    assert dict(source.left_out) == {"no reference answer": 1}


def test_harbors_models_accept_every_trajectory(synthesized, rolled_out, needed, tmp_path):
    trajectory_of = needed("atif").Trajectory.model_validate
    for name, run_dir, count in (("a", synthesized.run_dir, len(synthesized.accepted)), ("b", rolled_out, 40)):
        assert ATIFExporter().export(run_dir, tmp_path / name) == count
        documents = [json.loads(path.read_bytes()) for path in sorted((tmp_path / name).glob("*.json"))]
        assert len(documents) == count
        for document in documents:
            trajectory = trajectory_of(document)
            assert trajectory.schema_version == "ATIF-v1.7"
            assert trajectory.agent.model_name in ("offline", "openai/tiny")
            called = [call.tool_call_id for step in trajectory.steps for call in step.tool_calls or ()]
            seen = [
                result.source_call_id
                for step in trajectory.steps
                if step.observation
                for result in step.observation.results
            ]
            assert called == seen != []


def test_atif_carries_the_tree_of_a_path(synthesized, tmp_path):
    ATIFExporter().export(synthesized.run_dir, tmp_path / "out")

    nodes = list(RunReader(synthesized.run_dir).tree())
    for path in (tmp_path / "out").glob("*.json"):
        about = json.loads(path.read_bytes())["extra"]["agentflow"]
        assert [node["id"] for node in about["tree"]] == [
            node.id for node in nodes if node.seed_id == about["qa"]["seed_id"]
        ]
        assert set(about["path"]) <= {node["id"] for node in about["tree"]}


def test_a_folder_of_others_is_not_replaced_and_one_of_ours_is(rolled_out, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        ATIFExporter().export(rolled_out, tmp_path / "out")
    (tmp_path / "out" / "thesis.txt").unlink()

    ATIFExporter().export(rolled_out, tmp_path / "out")
    (tmp_path / "out" / "old.json").write_text("{}")
    ATIFExporter().export(rolled_out, tmp_path / "out")
    assert not (tmp_path / "out" / "old.json").exists()


@pytest.mark.parametrize("form", ["openai", "trl", "sharegpt", "atif"])
def test_pictures_come_along(form, with_picture, tmp_path, read, needed, trl_schema):
    assert EXPORTERS[form]().export(with_picture, tmp_path / "data.x") == 2

    if form == "atif":
        document = json.loads(next((tmp_path / "data.x").glob("Mozart*.json")).read_bytes())
        needed("atif").Trajectory.model_validate(document)
        shown = document["steps"][2]["observation"]["results"][0]["content"][0]["source"]
        assert (tmp_path / "data.x" / shown["path"]).read_bytes() == PNG
        return
    first, second = read(tmp_path / "data.x")
    if form == "openai":
        question, after = first["messages"][1], first["messages"][5]
        assert question["content"][1]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
        assert (after["role"], after["content"][0]["type"]) == ("user", "image_url")
        return
    assert [(tmp_path / name).read_bytes() for name in first["images"]] == [PNG, PNG]
    if form == "trl":
        trl_schema.validate(first)
        assert "images" not in second
    else:
        assert first["conversations"][0]["value"] == "What is on <image>?"
        assert json.loads(first["conversations"][2]["value"]) == ["<image>", "found"]


def test_the_pictures_of_a_synthesis_come_along(tmp_path):
    with Run.open(tmp_path / "run", kind="synthesis", config={}, stages={}) as run:
        sha256 = run.blobs.put(PNG)
        other = run.blobs.put(b"no picture")
        seen = Observation(text="a screen", blobs=(other, sha256))
        root = Node(id="s/0", seed_id="s", intent="look")
        leaf = Node(id="s/0.0", seed_id="s", parent="s/0", tool="vm:screenshot", result=seen)
        qa = QA(id="s/q", seed_id="s", path_id="s/p", question="What?", answer="A cat")
        run.write("tree.jsonl", map(dumps, (root, leaf)))
        run.write("paths.jsonl", [dumps(TreePath(id="s/p", seed_id="s", nodes=("s/0", "s/0.0")))])
        run.write("qa.jsonl", [dumps(qa)])

    TRLExporter().export(tmp_path / "run", tmp_path / "data.jsonl")
    line = json.loads((tmp_path / "data.jsonl").read_bytes())
    assert line["images"] == [f"data.images/{sha256}.png"]
    assert [message["role"] for message in line["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "user",
        "assistant",
    ]


def test_a_table_of_samples_has_a_column_for_each_metric(rolled_out, load_dataset, needed, tmp_path):
    ParquetExporter().export(rolled_out, tmp_path / "data.parquet")

    table = needed("pyarrow.parquet").read_table(tmp_path / "data.parquet")
    assert table.num_rows == 40
    assert table["score_f1_score"].to_pylist()[:2] == [1.0, 0.0]
    first = table.slice(0, 1).to_pylist()[0]
    assert [message["role"] for message in first["messages"]][:4] == ["system", "user", "assistant", "tool"]
    assert first["usage"]["cost_usd"] == 0.001
    assert load_dataset("parquet", data_files=str(tmp_path / "data.parquet"))[0]["messages"] == first["messages"]


def test_a_table_of_pairs_keeps_evidence_and_gates(synthesized, needed, tmp_path):
    ParquetExporter().export(synthesized.run_dir, tmp_path / "data.parquet")

    rows = needed("pyarrow.parquet").read_table(tmp_path / "data.parquet").to_pylist()
    for qa, row in zip(synthesized.accepted, rows, strict=True):
        assert (row["id"], row["question"], row["answer"]) == (qa.id, qa.question, qa.answer)
        quotes = [evidence.quote for step in qa.reasoning_steps for evidence in step.evidence]
        assert [evidence["quote"] for step in row["reasoning_steps"] for evidence in step["evidence"]] == quotes
        assert [gate["name"] for gate in row["gates"]] == [verdict.name for verdict in qa.gates]


def test_cells_of_csv_hold_json_where_they_are_nested(rolled_out, load_dataset, tmp_path):
    CSVExporter().export(rolled_out, tmp_path / "data.csv")

    with (tmp_path / "data.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    assert json.loads(rows[0]["references"]) == ["Vienna", "Wien"]
    assert json.loads(rows[0]["messages"])[1]["content"] == rows[0]["question"]
    assert float(rows[1]["score_f1_score"]) == 0.0
    loaded = load_dataset("csv", data_files=str(tmp_path / "data.csv"))
    assert loaded["task_id"] == [row["task_id"] for row in rows]


def test_parquet_is_written_in_row_groups(rollout_of, sample, needed, tmp_path):
    run = rollout_of([sample(f"task-{number}") for number in range(2500)])

    ParquetExporter().export(run, tmp_path / "data.parquet")
    with needed("pyarrow.parquet").ParquetFile(tmp_path / "data.parquet") as file:
        assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [1024, 1024, 452]


def test_without_pyarrow_the_extra_is_named(rolled_out, cli, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    ran = cli("export", rolled_out, "--to", "parquet", "-o", tmp_path / "x.parquet")
    assert (ran.code, "pip install 'agentflow-core[parquet]'" in ran.err) == (2, True)


def test_an_answer_by_submit_ends_a_conversation(rollout_of, sample, calling, tmp_path, read):
    messages = [user("Q?"), *calling(("submit", {"answer": "Vienna"}, "submitted"))]
    run = rollout_of([sample("Mozart", messages=messages)])

    for form in ("openai", "trl", "sharegpt"):
        assert EXPORTERS[form]().export(run, tmp_path / form) == 1
    assert [turn["from"] for turn in read(tmp_path / "sharegpt")[0]["conversations"]] == ["human", "function_call"]


def test_a_run_with_nothing_to_write_is_an_error_that_says_why(rollout_of, sample, cli, tmp_path):
    run = rollout_of([sample("Mozart", outcome="limit:turns", answer=None)])

    ran = cli("export", run, "--to", "openai", "-o", tmp_path / "x.jsonl")
    assert (ran.code, "1 with no answer" in ran.err, (tmp_path / "x.jsonl").exists()) == (2, True, False)


def test_a_crashed_sample_has_a_row_in_the_table_and_no_conversation(rollout_of, sample, tmp_path, needed):
    crashed, _ = sample("Mozart", outcome="error:transient", answer=None, score=None)
    run = rollout_of([(crashed, None), sample("Bach")])

    assert OpenAIExporter().export(run, tmp_path / "x.jsonl") == 1
    assert ParquetExporter().export(run, tmp_path / "x.parquet") == 2
    rows = needed("pyarrow.parquet").read_table(tmp_path / "x.parquet").to_pylist()
    assert [(row["outcome"], len(row["messages"])) for row in rows] == [("error:transient", 0), ("answered", 8)]


def test_files_in_different_orders_are_refused(rollout_of, sample, tmp_path):
    run = rollout_of([sample("Mozart"), sample("Bach")])
    lines = (run / "results.jsonl").read_bytes().splitlines(keepends=True)
    (run / "results.jsonl").write_bytes(b"".join(reversed(lines)))

    with pytest.raises(DataError, match="another order"):
        OpenAIExporter().export(run, tmp_path / "x.jsonl")


class Forgetful(OpenAIExporter):
    """Writes conversations whose last call nobody answered."""

    def write(self, source, output, pictures):
        count = super().write(source, output, pictures)
        lines = [json.loads(line) for line in output.read_text().splitlines()]
        for line in lines:
            del line["messages"][3]
        output.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return count


def test_what_does_not_read_back_is_not_put_in_place(rolled_out, tmp_path):
    (tmp_path / "x.jsonl").write_text("what was there")

    with pytest.raises(DataError, match=r"line 1, message 5: the tool call 'call_0' before it has no answer"):
        Forgetful().export(rolled_out, tmp_path / "x.jsonl")
    assert (tmp_path / "x.jsonl").read_text() == "what was there"
    assert [path.name for path in tmp_path.iterdir() if "x.jsonl" in path.name] == ["x.jsonl"]


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "assistant", "content": "A"}],
        [{"role": "user", "content": "Q"}],
        [{"role": "user", "content": 3}, {"role": "assistant", "content": "A"}],
        [{"role": "user", "content": "Q"}, {"role": "system", "content": "S"}, {"role": "assistant", "content": "A"}],
        [{"role": "user", "content": "Q"}, {"role": "tool", "tool_call_id": "1", "content": "x"}],
        [{"role": "user", "content": "Q"}, {"role": "assistant", "content": None}],
    ],
)
def test_a_conversation_that_is_none_is_not_read_back(messages, tmp_path):
    (tmp_path / "x.jsonl").write_text(json.dumps({"messages": messages, "tools": []}))

    with pytest.raises(Unfit):
        OpenAIExporter().check(tmp_path / "x.jsonl")


def test_the_tree_may_be_in_any_order_of_seeds(synthesized, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(synthesized.run_dir, run)
    lines = [json.loads(line) for line in (run / "qa.jsonl").read_bytes().splitlines()]
    (run / "qa.jsonl").write_text("".join(json.dumps(line) + "\n" for line in reversed(lines)))

    assert OpenAIExporter().export(run, tmp_path / "x.jsonl") == len(synthesized.accepted)


def test_a_pair_whose_path_is_gone_is_named(synthesized, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(synthesized.run_dir, run)
    (run / "tree.jsonl").write_bytes(b"")

    with pytest.raises(DataError, match="is not in the tree"):
        OpenAIExporter().export(run, tmp_path / "x.jsonl")


def test_ids_that_are_no_file_names_make_files_of_their_own(rollout_of, sample, tmp_path):
    samples = [sample("a/b"), sample("a_b"), sample("../c"), sample("x" * 300)]
    run = rollout_of([(evolve(result), trajectory) for result, trajectory in samples])

    assert ATIFExporter().export(run, tmp_path / "out") == 4
    assert len(list((tmp_path / "out").glob("*.json"))) == 4
