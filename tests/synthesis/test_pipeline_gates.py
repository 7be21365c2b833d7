"""Whole runs with gates that ask models, obfuscated versions, a target, and prompts of the user."""

from __future__ import annotations

import json

import pytest

from agentflow_core.errors import ConfigError, DataError, RateLimitError, RunConflictError
from agentflow_core.records import Usage
from agentflow_core.records.events import DraftJudged
from agentflow_core.runs import RunOptions
from agentflow_core.testing.models import says
from agentflow_core.testing.openai_server import OpenAIServer

SEEDS = ["seed-0001", "seed-0002", "seed-0003"]
PRICED = Usage(calls=1, prompt_tokens=90, completion_tokens=10, cost_usd=0.5)


@pytest.fixture
def solving(tiny):
    """Let the model solve: ``solving({"Alder": "Dornmouth"})`` by a word of the question, else it says unknown."""

    def script(known=(), usage=PRICED):
        def solve(request):
            text = request.messages[-1].text
            answer = next((said for word, said in dict(known).items() if word in text), "unknown")
            return answer if isinstance(answer, Exception) else says(f"<answer>{answer}</answer>", usage=usage)

        tiny.parts.SAYS["solve"] = solve
        tiny.parts.SAYS["judge"] = lambda _: says(json={"correct": False, "reason": "no"}, usage=usage)

    return script


def rewriting(tiny, make):
    tiny.parts.SAYS["rewrite"] = lambda request: make(request.messages[-1].text)


def rewritten(text):
    """A version without the name of the works."""
    works = next(name for name in ("Alder", "Birch", "Cedar") if f"{name} Works?\n</question>" in text)
    where = {"Alder": "slow", "Birch": "quiet", "Cedar": "broad"}[works]
    return says(json={"question": f"Where did the life of the {where} river foundry's founder begin?"})


ASKING = {"gates": ["schema", "grounded", "closed_book", "duplicate"]}


# ---- gates that ask models


async def test_what_gates_use_is_on_the_records_and_in_the_summary_by_role(tiny, solving):
    solving({"Birch": "Eastvale", "Cedar": "Paris"})
    finished = await tiny.run(qa=ASKING)
    assert [qa.seed_id for qa in tiny.reader().qa()] == ["seed-0001", "seed-0003"]
    assert [qa.gates[-1].name for qa in tiny.reader().rejected()] == ["closed_book"]
    by_role = finished.summary["usage"]["by_role"]
    assert (by_role["solver"]["calls"], by_role["solver"]["cost_usd"]) == (3, 1.5)
    assert (by_role["judge"]["calls"], by_role["judge"]["cost_usd"]) == (1, 0.5)
    assert finished.summary["usage"]["cost_usd"] == 2.0
    assert finished.summary["usage"]["cost_per_accepted"] == 1.0
    cedar = list(tiny.reader().qa())[-1]
    assert (cedar.usage.calls, cedar.usage.cost_usd) == (3, 1.0)


async def test_a_draft_that_could_not_be_judged_is_not_accepted_and_judged_on_resume(tiny, solving):
    solving({"Birch": RateLimitError("slow down")})
    retries = {"max_attempts": 1, "deadline_s": 0}
    finished = await tiny.run(qa=ASKING, retries=retries)
    assert finished.status == "complete"
    assert [qa.seed_id for qa in tiny.reader().qa()] == ["seed-0001", "seed-0003"]
    (kept,) = tiny.lines("rejected.jsonl")
    assert kept["gates"][-1]["passed"] is None
    assert kept["gates"][-1]["reason"].startswith("error:rate_limit: ")
    funnel = finished.summary["funnel"]
    assert (funnel["rejected"], funnel["not_judged"], funnel["drafting_failed"]) == ({}, {"closed_book": 1}, 0)
    assert funnel["drafts"] == funnel["accepted"] + sum(funnel["not_judged"].values())
    assert {event.gate for event in tiny.events if isinstance(event, DraftJudged) and not event.accepted} == {
        "closed_book"
    }
    solving()
    again = await tiny.run(qa=ASKING, retries=retries)
    assert [qa.seed_id for qa in tiny.reader().qa()] == SEEDS
    assert "not_judged" not in again.summary["funnel"]


async def test_when_no_draft_can_be_judged_the_run_has_failed_and_says_why(tiny, solving):
    solving({"": RateLimitError("slow down")})
    finished = await tiny.run(qa=ASKING, retries={"max_attempts": 1, "deadline_s": 0})
    assert finished.status == "failed"
    assert "stage 'qa' failed" in finished.error.message
    assert "slow down" in finished.error.message
    assert tiny.lines("qa.jsonl") == []


async def test_a_draft_beyond_the_budget_of_its_gates_is_kept_unjudged_and_the_run_goes_on(tiny, solving):
    solving({"Birch": "Paris"})
    finished = await tiny.run(qa={**ASKING, "gate_budget": {"calls": 1}})
    assert finished.status == "complete"
    (kept,) = tiny.reader().rejected()
    assert kept.gates[-1].reason == "limit:calls: the gates' budget of 1 model calls for one draft is used up"
    tiny.purposes()
    await tiny.run(qa={**ASKING, "gate_budget": {"calls": 1}})
    assert tiny.purposes() == []


async def test_the_budget_of_the_run_ends_it_and_it_can_go_on(tiny, solving):
    solving()
    finished = await tiny.run(qa=ASKING, budget={"usd": 0.6}, max_workers=1)
    assert finished.status == "limited"
    assert len(tiny.lines("qa.jsonl")) < 3
    again = await tiny.run(qa=ASKING)
    assert again.status == "complete"
    assert [qa.seed_id for qa in tiny.reader().qa()] == SEEDS


async def test_solver_and_judge_can_be_models_of_their_own(tiny):
    by_question = OpenAIServer(lambda body: {"content": "<answer>Eastvale</answer>" if "Birch" in str(body) else "?"})
    async with by_question.serving():
        roles = {
            "solver": {"provider": "openai", "name": "m", "base_url": by_question.url, "api_key": "k"},
            "judge": {"provider": "mock", "rules": {"judge": [{"json": {"correct": False, "reason": "no"}}]}},
        }
        finished = await tiny.run(qa=ASKING, roles=roles)
    assert [qa.seed_id for qa in tiny.reader().rejected()] == ["seed-0002"]
    assert finished.summary["usage"]["by_role"]["solver"]["calls"] == 3
    assert finished.summary["usage"]["by_role"]["judge"]["calls"] == 2
    assert finished.summary["usage"]["cost_per_accepted"] is None  # the price of that model is not known


async def test_the_pass_rate_lets_agents_try_with_the_tools_of_the_run(tiny, solving):
    solving({"Alder": "Dornmouth", "Birch": "Eastvale"})
    gate = {"pass_rate": {"rollouts": 2, "min": 0.5}}
    await tiny.run(qa={"gates": ["schema", gate]})
    assert [(qa.seed_id, qa.difficulty) for qa in tiny.reader().qa()] == [("seed-0001", "2/2"), ("seed-0002", "2/2")]
    assert next(tiny.reader().qa()).extra == {"sql": "select 1", "pass_rate": 1.0, "drafted_difficulty": "easy"}


async def test_a_benchmark_that_cannot_be_read_is_told_before_anything_runs(tiny, tmp_path):
    file = tmp_path / "bench.jsonl"
    gates = ["schema", {"contamination": {"files": [str(file)]}}]
    with pytest.raises(DataError, match="no such file"):
        await tiny.run(qa={"gates": gates})
    file.write_text(json.dumps({"question": "In which town was the engineer born who founded Birch Works?"}) + "\n")
    await tiny.run(qa={"gates": gates})
    assert [qa.gates[-1].name for qa in tiny.reader().rejected()] == ["contamination"] * 3
    file.write_text(json.dumps({"question": "Is it?"}) + "\n")
    with pytest.raises(RunConflictError, match=r"gates\.contamination\.files"):
        await tiny.run(qa={"gates": gates})


# ---- obfuscated versions

HIDING = {"gates": ["schema", "leak", "grounded", "duplicate"], "obfuscate": {"names": "description"}}


async def test_both_versions_are_kept_and_linked(tiny):
    rewriting(tiny, rewritten)
    finished = await tiny.run(qa=HIDING)
    accepted = list(tiny.reader().qa())
    assert len(accepted) == 6
    for original, version in zip(accepted[::2], accepted[1::2], strict=True):
        assert (version.parent_qa_id, original.parent_qa_id) == (original.id, None)
        assert version.id == f"{original.id}~obfuscate"
        assert (version.answer, version.reasoning_steps) == (original.answer, original.reasoning_steps)
        assert "Works" in original.question
        assert "Works" not in version.question
        assert [verdict.name for verdict in version.gates] == ["obfuscate", *(each.name for each in original.gates)]
    funnel = finished.summary["funnel"]
    assert (funnel["drafts"], funnel["rewritten"], funnel["accepted"]) == (6, 3, 6)


async def test_a_version_has_to_hide_what_it_should_and_to_pass_the_gates(tiny):
    def make(text):
        if "Alder Works?\n</question>" in text:
            return says(json={"question": "In which town was the founder of the foundry Alder Works born?"})
        if "Birch Works?\n</question>" in text:
            return says(json={"question": "Was it Eastvale where the quiet river foundry's founder was born?"})
        return says(json={"question": "In which town was the engineer born who founded Cedar Works?"})

    rewriting(tiny, make)
    finished = await tiny.run(qa=HIDING)
    assert [qa.seed_id for qa in tiny.reader().qa()] == SEEDS
    rejected = {qa.seed_id: qa.gates[-1] for qa in tiny.reader().rejected()}
    assert (rejected["seed-0001"].name, rejected["seed-0002"].name) == ("obfuscate", "leak")
    assert "still has every name" in rejected["seed-0001"].reason
    funnel = finished.summary["funnel"]
    assert (funnel["rewritten"], funnel["rewriting_failed"]) == (2, 1)
    assert funnel["rejected"] == {"leak": 1, "obfuscate": 1}


async def test_where_there_is_nothing_to_hide_nobody_is_asked(tiny):
    rewriting(tiny, lambda _: AssertionError("asked"))
    finished = await tiny.run(qa={**HIDING, "obfuscate": {"dates": "range"}})
    assert [qa.seed_id for qa in tiny.reader().qa()] == SEEDS
    assert "rewritten" not in finished.summary["funnel"]


async def test_a_synthesizer_that_fails_for_now_costs_the_version_only_until_the_run_is_resumed(tiny):
    rewriting(tiny, lambda text: RateLimitError("slow") if "Birch Works?" in text else rewritten(text))
    retries = {"max_attempts": 1, "deadline_s": 0}
    await tiny.run(qa=HIDING, retries=retries)
    assert [qa.seed_id for qa in tiny.reader().qa() if qa.parent_qa_id is None] == SEEDS
    assert len(tiny.lines("qa.jsonl")) == 5
    rewriting(tiny, rewritten)
    await tiny.run(qa=HIDING, retries=retries)
    assert len(tiny.lines("qa.jsonl")) == 6


# ---- a target


async def test_no_further_seeds_are_taken_up_when_the_target_is_reached(tiny):
    finished = await tiny.run(target_qa_count=1, seeds_per_wave=1)
    assert [qa.seed_id for qa in tiny.reader().qa()] == ["seed-0001"]
    assert tiny.parts.CALLS.count("Birch") == 0
    assert finished.summary["funnel"]["seeds_sampled"] == 1
    assert finished.summary["counts"] == {"seeds": 3, "accepted": 1, "rejected": 0, "target": 1}


async def test_what_a_wave_found_beyond_the_target_is_kept_and_not_counted(tiny):
    finished = await tiny.run(target_qa_count=1, seeds_per_wave=2)
    assert [qa.seed_id for qa in tiny.reader().qa()] == ["seed-0001"]
    funnel = finished.summary["funnel"]
    assert (funnel["drafts"], funnel["accepted"], funnel["beyond_target"]) == (2, 1, 1)
    tiny.purposes()
    again = await tiny.run(target_qa_count=2, seeds_per_wave=2)
    assert tiny.purposes() == []
    assert [qa.seed_id for qa in tiny.reader().qa()] == ["seed-0001", "seed-0002"]
    assert again.summary["counts"]["accepted"] == 2


async def test_seeds_are_taken_up_until_the_target_is_reached(tiny, solving):
    solving({"Alder": "Dornmouth"})
    finished = await tiny.run(qa=ASKING, target_qa_count=1, seeds_per_wave=1)
    assert [qa.seed_id for qa in tiny.reader().qa()] == ["seed-0002"]
    assert [qa.seed_id for qa in tiny.reader().rejected()] == ["seed-0001"]
    assert finished.summary["funnel"]["seeds_sampled"] == 2
    short = await tiny.run(qa=ASKING, target_qa_count=9, seeds_per_wave=1)
    assert (short.status, short.summary["counts"]["accepted"]) == ("complete", 2)


async def test_the_files_of_a_target_do_not_depend_on_how_the_work_was_done(tiny, tmp_path):
    config = {"target_qa_count": 2, "seeds_per_wave": 1}
    await tiny.run(**config)
    await tiny.run(**{**config, "target_qa_count": 3})
    await tiny.run(**config)
    await tiny.run(run_dir=tmp_path / "second", max_workers=1, **config)
    for name in ("tree.jsonl", "paths.jsonl", "qa.jsonl", "rejected.jsonl"):
        assert (tmp_path / "second" / name).read_bytes() == (tiny.dir / name).read_bytes()


async def test_an_obfuscated_version_counts_with_its_original(tiny):
    rewriting(tiny, rewritten)
    finished = await tiny.run(qa=HIDING, target_qa_count=2, seeds_per_wave=3)
    assert [qa.parent_qa_id is None for qa in tiny.reader().qa()] == [True, False, True, False]
    assert finished.summary["funnel"]["beyond_target"] == 2


# ---- prompts of the user


async def test_the_users_prompt_is_sent_and_belongs_to_what_the_run_is(tiny, tmp_path):
    mine = tmp_path / "draft.md"
    fields = "${n} ${seed} ${observations} ${min_hops} ${answer_types} ${tips} ${examples}"
    mine.write_text(f"MY OWN {fields}")
    config = {"prompts": {"synthesis.draft": str(mine)}}
    await tiny.run(**config)
    drafting = [request for request in tiny.parts.REQUESTS if request.purpose == "draft"]
    assert all(request.messages[-1].text.startswith("MY OWN 1 ") for request in drafting)
    stages = json.loads((tiny.dir / "run.json").read_text())["stages"]
    assert len(stages["qa"]["config"]["prompts"]["synthesis.draft"]) == 12
    tiny.purposes()
    await tiny.run(**config)
    assert tiny.purposes() == []
    mine.write_text(f"MINE {fields}")
    with pytest.raises(RunConflictError, match=r"prompts\.synthesis\.draft"):
        await tiny.run(**config)
    forked = RunOptions(run_dir=tmp_path / "forked", fork=tiny.dir)
    await tiny.run(options=forked, **config)
    assert set(tiny.purposes()) == {"draft"}


async def test_the_explorers_prompt_can_be_the_users_too(tiny, tmp_path):
    mine = tmp_path / "propose.md"
    mine.write_text("EXPLORE ${seed} ${seed_description} ${history} ${tools} ${taken} ${k} ${tips}")
    await tiny.run(prompts={"synthesis.propose": str(mine)})
    proposing = [request for request in tiny.parts.REQUESTS if request.purpose == "propose"]
    assert all(request.messages[-1].text.startswith("EXPLORE ") for request in proposing)


async def test_a_prompt_that_misses_fields_is_a_mistake_in_the_configuration(tiny, tmp_path):
    (tmp_path / "draft.md").write_text("Just do it.")
    with pytest.raises(ConfigError, match=r"draft\.md: has no "):
        await tiny.run(prompts={"synthesis.draft": str(tmp_path / "draft.md")})
