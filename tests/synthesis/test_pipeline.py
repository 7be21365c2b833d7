"""A synthesis from seeds to derived files, with a scripted model over a small plugin."""

from __future__ import annotations

import json

import pytest

from agentflow_core.errors import (
    BadOutputError,
    ModelRequestError,
    RunConflictError,
    RunError,
    UnknownNameError,
)
from agentflow_core.records import QA, Node, Path
from agentflow_core.records.codec import load
from agentflow_core.records.events import DraftJudged, ModelCalled
from agentflow_core.runs import RunOptions

SEEDS = ["seed-0001", "seed-0002", "seed-0003"]


async def test_a_run_makes_questions_that_pass_every_gate(tiny):
    finished = await tiny.run()
    assert finished.status == "complete"
    accepted = list(tiny.reader().qa())
    assert [qa.answer for qa in accepted] == ["Dornmouth", "Eastvale", "Farholm"]
    assert [qa.seed_id for qa in accepted] == SEEDS
    gates = ["schema", "leak", "self_contained", "grounded", "answer_supported", "chain", "multi_hop", "duplicate"]
    assert {tuple(verdict.name for verdict in qa.gates if verdict.passed) for qa in accepted} == {tuple(gates)}


async def test_the_files_have_the_shape_that_is_promised(tiny):
    await tiny.run()
    root, first, *_ = tiny.lines("tree.jsonl")
    assert root["id"] == "seed-0001/0"
    assert (root["tool"], root["result"], root["intent"]) == (None, None, "Alder")
    assert list(first) == (
        [
            "id",
            "seed_id",
            "parent",
            "depth",
            "intent",
            "reasoning",
            "tool",
            "params",
            "result",
            "novelty",
            "stale",
            "error",
            "replay",
            "kept_by",
            "usage",
        ]
    )
    assert list(first["result"]) == ["ok", "code", "data", "text", "blobs"]
    assert [load(Node, line).id for line in tiny.lines("tree.jsonl")][:4] == [
        "seed-0001/0", "seed-0001/0.0", "seed-0001/0.0.0", "seed-0001/0.1",
    ]  # fmt: skip
    (path, *_) = tiny.lines("paths.jsonl")
    assert list(path) == ["id", "seed_id", "nodes", "scores", "total", "selected", "reason"]
    assert list(path["scores"]) == ["depth", "information", "tool_diversity"]
    (qa, *_) = tiny.lines("qa.jsonl")
    assert qa["extra"] == {"sql": "select 1"}
    assert (qa["difficulty"], qa["model"]) == ("easy", "scripted")
    evidence = qa["reasoning_steps"][1]["evidence"][0]
    text = next(line["result"]["text"] for line in tiny.lines("tree.jsonl") if line["id"] == evidence["node"])
    assert text[evidence["start"] : evidence["end"]] == evidence["quote"]
    assert json.loads((tiny.dir / "summary.json").read_text())["funnel"]["accepted"] == 3


async def test_nodes_name_the_selected_paths_through_them(tiny):
    await tiny.run()
    selected = {line["id"]: line["nodes"] for line in tiny.lines("paths.jsonl") if line["selected"]}
    assert len(selected) >= 3
    for line in tiny.lines("tree.jsonl"):
        assert sorted(line["kept_by"]) == sorted(path for path, nodes in selected.items() if line["id"] in nodes)


async def test_the_funnel_adds_up(tiny):
    tiny.parts.BROKEN["propose", "seed-0002"] = ModelRequestError("not this one")
    tiny.parts.SAME_QUESTION.append(True)
    finished = await tiny.run()
    funnel = finished.summary["funnel"]
    lines = tiny.lines("tree.jsonl")
    assert funnel["seeds"] == 3 == funnel["seeds_sampled"] + funnel["seeds_failed"]
    assert funnel["seeds_failed"] == 1
    assert funnel["nodes"] == sum(line["tool"] is not None for line in lines)
    assert funnel["errors"] == sum(line["error"] is not None for line in lines) > 0
    assert funnel["stale"] == sum(line["stale"] for line in lines)
    assert funnel["paths"] == len(tiny.lines("paths.jsonl"))
    assert funnel["selected"] == sum(line["selected"] for line in tiny.lines("paths.jsonl"))
    assert funnel["drafts"] == funnel["accepted"] + sum(funnel["rejected"].values())
    assert (funnel["accepted"], funnel["drafts"]) == (len(tiny.lines("qa.jsonl")), funnel["selected"])
    assert sum(funnel["rejected"].values()) == len(tiny.lines("rejected.jsonl"))
    assert finished.summary["usage"]["by_role"]["explorer"]["calls"] == tiny.purposes().count("propose") - 1


# ---- gates


async def test_a_rejected_draft_carries_the_verdict_that_says_why(tiny):
    tiny.parts.WORKS["Alder"] = ("Boris Crane", "Alder")  # the question holds the answer
    await tiny.run()
    (rejected,) = tiny.reader().rejected()
    assert rejected.seed_id == "seed-0001"
    assert [verdict.passed for verdict in rejected.gates] == [True, False]
    assert rejected.gates[-1].name == "leak"
    assert rejected.gates[-1].reason
    judged = [event for event in tiny.events if isinstance(event, DraftJudged)]
    assert {event.gate for event in judged if not event.accepted} == {"leak"}


async def test_gates_of_the_run_judge_in_seed_order(tiny):
    tiny.parts.SAME_QUESTION.append(True)
    config = {"qa": {"gates": ["duplicate", "schema"]}}
    finished = await tiny.run(**config)
    assert [qa.seed_id for qa in tiny.reader().qa()] == ["seed-0001"]
    assert [qa.seed_id for qa in tiny.reader().rejected()] == ["seed-0002", "seed-0003"]
    assert finished.summary["funnel"]["rejected"] == {"duplicate": 2}
    assert [verdict.name for verdict in next(tiny.reader().rejected()).gates] == ["schema", "duplicate"]


async def test_without_gates_every_draft_is_accepted(tiny):
    finished = await tiny.run(qa={"gates": []})
    assert finished.summary["funnel"]["accepted"] == 3


# ---- resume and fork


async def test_a_finished_run_is_resumed_without_a_call(tiny):
    first = await tiny.run()
    files = {
        name: (tiny.dir / name).read_bytes() for name in ("tree.jsonl", "paths.jsonl", "qa.jsonl", "rejected.jsonl")
    }
    tiny.purposes()
    tiny.parts.CALLS.clear()
    tiny.events.clear()
    again = await tiny.run()
    assert tiny.purposes() == []
    assert tiny.parts.CALLS == []
    assert [event for event in tiny.events if isinstance(event, ModelCalled)] == []
    assert again.summary == first.summary
    assert {name: (tiny.dir / name).read_bytes() for name in files} == files


async def test_two_runs_of_one_configuration_have_equal_files(tiny, tmp_path):
    await tiny.run()
    await tiny.run(run_dir=tmp_path / "second", max_workers=1)
    for name in ("tree.jsonl", "paths.jsonl", "qa.jsonl", "rejected.jsonl"):
        assert (tmp_path / "second" / name).read_bytes() == (tiny.dir / name).read_bytes()


async def test_more_seeds_are_sampled_on_top_of_what_is_there(tiny):
    await tiny.run(seeds={"items": ["Alder"]})
    tiny.purposes()
    finished = await tiny.run()
    assert set(tiny.purposes()) == {"propose", "draft"}
    assert tiny.parts.CALLS.count("Alder") == 1
    assert finished.summary["funnel"]["seeds_sampled"] == 3


async def test_fewer_seeds_leave_the_others_out_of_the_files(tiny):
    await tiny.run()
    finished = await tiny.run(seeds={"items": ["Alder", "Birch"]})
    assert finished.summary["funnel"]["seeds"] == finished.summary["funnel"]["seeds_sampled"] == 2
    assert [qa.seed_id for qa in tiny.reader().qa()] == ["seed-0001", "seed-0002"]


async def test_a_failed_seed_is_tried_again_on_resume(tiny):
    tiny.parts.BROKEN["propose", "seed-0002"] = ModelRequestError("not now")
    await tiny.run()
    assert [qa.seed_id for qa in tiny.reader().qa()] == ["seed-0001", "seed-0003"]
    tiny.parts.BROKEN.clear()
    finished = await tiny.run()
    assert [qa.seed_id for qa in tiny.reader().qa()] == SEEDS
    assert finished.summary["funnel"]["seeds_failed"] == 0


async def test_another_place_for_the_state_of_backends_is_the_same_run(tiny, tmp_path):
    await tiny.run()
    tiny.purposes()
    finished = await tiny.run(sandbox={"state_dir": str(tmp_path / "elsewhere")})
    assert finished.status == "complete"
    assert tiny.purposes() == []


async def test_another_selection_in_the_same_directory_is_refused_with_the_difference(tiny):
    await tiny.run()
    with pytest.raises(RunConflictError, match=r"selection\.max_selected_traj: 3 -> 1"):
        await tiny.run(selection={"max_selected_traj": 1})


async def test_a_fork_with_another_selection_samples_nothing_again(tiny, tmp_path):
    await tiny.run()
    tiny.purposes()
    tiny.parts.CALLS.clear()
    tree = [load(Node, line) for line in tiny.lines("tree.jsonl")]
    options = RunOptions(run_dir=tmp_path / "forked", fork=tiny.dir)
    finished = await tiny.run(options=options, selection={"max_selected_traj": 1, "selector": "agentflow"})
    assert finished.status == "complete"
    assert "propose" not in tiny.purposes()
    assert tiny.parts.CALLS == []
    forked = list(tiny.reader(tmp_path / "forked").tree())
    assert [(node.id, node.result) for node in forked] == [(node.id, node.result) for node in tree]


async def test_a_stopped_run_keeps_what_it_has_and_says_so(tiny):
    tiny.stop.request()
    finished = await tiny.run()
    assert finished.status == "interrupted"
    assert tiny.purposes() == []
    assert finished.summary["funnel"]["accepted"] == 0


# ---- failures


async def test_when_every_seed_fails_the_run_has_failed_and_says_why(tiny):
    for seed in SEEDS:
        tiny.parts.BROKEN["propose", seed] = ModelRequestError("the model is not there")
    finished = await tiny.run()
    assert finished.status == "failed"
    assert isinstance(finished.error, RunError)
    assert finished.error.message == "all 3 units of stage 'sample' failed; the first: the model is not there"
    assert finished.summary["funnel"]["seeds_failed"] == 3
    assert tiny.lines("qa.jsonl") == []


async def test_when_no_seed_can_be_started_the_run_has_failed(tiny):
    for seed in SEEDS:
        tiny.parts.BROKEN["propose", seed] = BadOutputError("gibberish")
    finished = await tiny.run()
    assert finished.status == "failed"
    assert "gibberish" in finished.error.message


async def test_a_path_that_cannot_be_drafted_from_is_counted_and_the_others_go_on(tiny):
    tiny.parts.BROKEN["draft", "seed-0002"] = BadOutputError("what?")
    finished = await tiny.run()
    assert finished.status == "complete"
    assert finished.summary["funnel"]["drafting_failed"] == 1
    assert [qa.seed_id for qa in tiny.reader().qa()] == ["seed-0001", "seed-0003"]


@pytest.mark.parametrize(
    ("config", "kind"),
    [({"tools": ["facts:loook"]}, "tool"), ({"tools": ["web:search"]}, "tool")],
    ids=["misspelt", "not installed"],
)
async def test_a_tool_that_is_not_there_is_found_before_anything_runs(tiny, config, kind):
    with pytest.raises(UnknownNameError, match=f"unknown {kind}"):
        await tiny.run(**config)
    assert tiny.purposes() == []


# ---- large things


async def test_a_large_observation_is_a_blob_in_the_file_and_whole_for_its_reader(tiny):
    long = "Boris Crane" + " and others" * 5000
    tiny.parts.WORKS["Alder"] = (long, "Dornmouth")
    await tiny.run(seeds={"items": ["Alder"]}, qa={"gates": []})
    stored = [line["result"] for line in tiny.lines("tree.jsonl") if line["result"]]
    large = [result for result in stored if not isinstance(result["text"], str)]
    assert large
    assert all(len(result["text"]["blob"]) == 64 and "bytes omitted" in result["shown"] for result in large)
    assert any(long in node.result.text for node in tiny.reader().tree() if node.result)


async def test_the_records_can_be_read_back(tiny):
    await tiny.run()
    assert all(isinstance(record, QA) for record in tiny.reader().qa())
    assert all(isinstance(record, Path) for record in tiny.reader().paths())
