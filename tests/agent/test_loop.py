"""The agent loop: calls are run and answered, answers are found, limits end it, sessions are its own."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

from agentflow_core.concurrency import run_all
from agentflow_core.errors import (
    AuthenticationError,
    ContentFilterError,
    ContextOverflowError,
    DataError,
    LimitReached,
    RateLimitError,
    ReplayMissError,
)
from agentflow_core.records import Task, Usage
from agentflow_core.records.results import SHOWN_LIMIT_BYTES
from agentflow_core.testing.models import ScriptedModel, says

# ---- calls


async def test_every_call_of_a_message_is_answered_in_order(bench, script):
    solved = await bench.solve(
        [
            script.calls(("eye_look", {"what": "a"}), ("pad_write", {"word": "b"}), ("eye_look", {})),
            "<answer>Bern</answer>",
        ]
    )
    assert script.results(solved.trajectory) == ["you see a", "b", "you see here"]
    assert [tool["tool"] for tool in solved.trajectory.steps[0].tools] == ["eye:look", "pad:write", "eye:look"]
    assert [message.role for message in solved.trajectory.messages] == [
        "system", "user", "assistant", "tool", "tool", "tool", "assistant",
    ]  # fmt: skip
    assert solved.trajectory.answer == "Bern"
    assert solved.trajectory.outcome == "answered"


async def test_calls_that_change_nothing_run_at_the_same_time(bench, script):
    calls = script.calls(("hall_meet", {"name": "a"}), ("hall_meet", {"name": "b"}))  # each waits for the other
    solved = await bench.solve([calls, "done"])
    assert script.results(solved.trajectory) == ["a met", "b met"]


async def test_calls_that_may_change_something_run_one_after_the_other(bench, world, script):
    await bench.solve([script.calls(*(("pad_write", {"word": word}) for word in "abc"), ("eye_look", {})), "done"])
    assert world.log == ["begin a", "end a", "begin b", "end b", "begin c", "end c"]


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (("eye_look", "{"), "error [invalid_argument]: the arguments are not JSON"),
        (("eye_look", "[" * 100_000), "error [invalid_argument]: the arguments are not JSON"),
        (("eye_look", "[1]"), "error [invalid_argument]: the arguments are not a JSON object"),
        (("eye_look", {"wat": 1}), "error [invalid_argument]: argument 'wat' is not an argument"),
        (("pad_writ", {}), "error [unknown_tool]: there is no tool 'pad_writ', did you mean 'pad_write'?"),
        (("", {}), "error [unknown_tool]: there is no tool ''"),
        (("hall_missing", {}), "error [not_found]: there is none\nlook elsewhere"),
        (("eye_look", ""), "you see here"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_wrong_call_is_answered_and_the_agent_goes_on(bench, script, call, answer):
    solved = await bench.solve([script.calls(call), "Bern"])
    assert script.results(solved.trajectory)[0].startswith(answer)
    assert solved.trajectory.answer == "Bern"


async def test_an_unknown_tool_is_answered_with_what_there_is(bench, script):
    solved = await bench.solve([script.calls(("nothing", {})), "Bern"])
    assert (
        "the tools are: eye_look, hall_draw, hall_long, hall_meet, hall_missing, pad_wait, pad_write"
        in (script.results(solved.trajectory)[0])
    )


async def test_one_wrong_call_does_not_keep_the_others_from_running(bench, script):
    solved = await bench.solve([script.calls(("eye_look", "{"), ("eye_look", {}), ("nothing", {})), "Bern"])
    codes = [tool["code"] for tool in solved.trajectory.steps[0].tools]
    assert codes == ["invalid_argument", "ok", "unknown_tool"]


async def test_a_long_result_is_cut_for_the_model_and_kept_whole(bench, script):
    solved = await bench.solve([script.calls(("hall_long", {"size": 50_000})), "done"])
    (shown,) = script.results(solved.trajectory)
    assert len(shown) <= SHOWN_LIMIT_BYTES + 64
    assert "bytes omitted" in shown
    (blob,) = [sha256 for sha256 in _artifacts(bench) if len(bench.blobs.get(sha256)) == 50_000]
    assert bench.blobs.get(blob) == b"x" * 50_000


def _artifacts(bench) -> list[str]:
    return [path.parent.name + path.name for path in bench.blobs.root.rglob("*") if path.is_file()]


async def test_an_image_is_shown_by_the_hash_of_its_bytes_and_with_its_kind(bench, script):
    solved = await bench.solve([script.calls(("hall_draw", {})), "done"])
    text, image = solved.trajectory.messages[3].content
    assert text.text == "a picture"
    assert image.mime == "image/webp"
    assert bench.blobs.get(image.sha256) == script.image
    assert solved.trajectory.steps[0].tools[0]["blobs"] == [image.sha256]


# ---- answers


@pytest.mark.parametrize(
    ("rule", "said", "answer"),
    [
        ("tag", "I think <answer> Bern </answer> it is", "Bern"),
        ("tag", "<answer>Basel</answer> no, <ANSWER>Bern\nin Switzerland</ANSWER>", "Bern\nin Switzerland"),
        ("tag", "so the answer is therefore Bern", "so the answer is therefore Bern"),
        ("tag", "<answer>Bern", "<answer>Bern"),
        ("tag", "", ""),
        ("last_message", " The answer is <answer>Bern</answer>. ", "The answer is <answer>Bern</answer>."),
        ("tool", " Bern ", "Bern"),
    ],
)
async def test_the_answer_is_taken_by_the_rule_and_never_guessed(bench, rule, said, answer):
    solved = await bench.solve([says(said)], answer=rule)
    assert solved.trajectory.answer == answer
    assert solved.trajectory.outcome == "answered"


async def test_an_answer_that_is_submitted_ends_the_task(bench, script):
    solved = await bench.solve([script.calls(("eye_look", {}), ("submit", {"answer": " Bern "}))], answer="tool")
    assert solved.trajectory.answer == "Bern"
    assert script.results(solved.trajectory) == ["you see here", "submitted"]
    assert solved.trajectory.tools[-1] == "submit"


async def test_a_wrong_submission_is_answered_and_the_agent_goes_on(bench, script):
    solved = await bench.solve(
        [script.calls(("submit", {"answer": 3})), script.calls(("submit", {"answer": "3"}))], answer="tool"
    )
    assert "submit takes the answer as a string" in script.results(solved.trajectory)[0]
    assert solved.trajectory.answer == "3"


async def test_submit_is_offered_under_its_rule_only(bench):
    await bench.solve(["Bern"], answer="last_message")
    assert "submit" not in [tool.name for tool in bench.model.requests[0].tools]


async def test_the_system_prompt_says_how_to_answer(bench, tmp_path):
    await bench.solve(["Bern"])
    assert "<answer>" in bench.shown[0].text
    await bench.solve(["Bern"], system_prompt="Be ${brief}.")
    assert bench.shown[0].text == "Be ${brief}."
    (tmp_path / "prompt.md").write_text("From a file.\n")
    await bench.solve(["Bern"], system_prompt_file=tmp_path / "prompt.md")
    assert bench.shown[0].text == "From a file."


async def test_a_prompt_file_that_is_not_there_is_named(bench, tmp_path):
    with pytest.raises(DataError, match=r"nothing\.md: cannot be read"):
        await bench.agent([], system_prompt_file=tmp_path / "nothing.md")


# ---- limits

TOKENS = Usage(calls=1, prompt_tokens=60, completion_tokens=40, cost_usd=0.5)


@pytest.mark.parametrize(
    ("limit", "outcome", "turns"),
    [
        ({"max_turns": 3}, "limit:turns", 3),
        ({"max_tokens": 200}, "limit:tokens", 2),
        ({"max_usd": 1.0}, "limit:usd", 2),
    ],
    ids=str,
)
async def test_a_limit_ends_the_task_and_keeps_what_was_done(bench, script, limit, outcome, turns):
    solved = await bench.solve(lambda _: script.calls(("eye_look", {}), usage=TOKENS), **limit)
    assert solved.trajectory.outcome == outcome
    assert solved.trajectory.answer is None
    assert len(solved.trajectory.steps) == turns
    assert script.results(solved.trajectory) == ["you see here"] * turns
    assert solved.usage.total_tokens == 100 * turns
    assert solved.error == ""


async def test_calls_beyond_their_limit_are_refused_and_end_the_task(bench, script):
    made = script.calls(*(("eye_look", {"what": word}) for word in "abcde"))
    solved = await bench.solve([script.calls(("eye_look", {})), made], max_tool_calls=3)
    assert solved.trajectory.outcome == "limit:tool_calls"
    refused = "error [quota_exceeded]: the 3 tool calls are used up"
    assert script.results(solved.trajectory) == ["you see here", "you see a", "you see b", *[refused] * 3]


async def test_an_agent_may_use_up_its_calls_and_then_answer(bench, script):
    solved = await bench.solve([script.calls(("eye_look", {}), ("eye_look", {})), "Bern"], max_tool_calls=2)
    assert solved.trajectory.outcome == "answered"


async def test_an_answer_may_be_submitted_when_the_calls_are_used_up(bench, script):
    solved = await bench.solve(
        [script.calls(("eye_look", {}), ("submit", {"answer": "Bern"}))], max_tool_calls=1, answer="tool"
    )
    assert (solved.trajectory.outcome, solved.trajectory.answer) == ("answered", "Bern")


async def test_when_the_time_is_over_the_calls_that_ended_keep_their_results(bench, world, script):
    made = script.calls(("eye_look", {}), ("pad_wait", {}), ("pad_write", {"word": "a"}))
    solved = await bench.solve([script.calls(("eye_look", {})), made], timeout_s=2)
    assert solved.trajectory.outcome == "limit:wall_time"
    never = "error [cancelled]: the task ended before this call did"
    assert script.results(solved.trajectory) == ["you see here", "you see here", never, never]
    assert [tool["code"] for tool in solved.trajectory.steps[1].tools] == ["ok", "cancelled", "cancelled"]
    assert world.opened == world.closed == ["t#0"]


async def test_an_unknown_price_is_not_a_price_of_nothing(bench, script):
    free = Usage(calls=1, cost_usd=None)
    solved = await bench.solve([script.calls(("eye_look", {}), usage=free), "Bern"], max_usd=0.01)
    assert solved.usage.cost_usd is None


# ---- a conversation that is too long


async def test_a_conversation_that_is_too_long_ends_the_task(bench, script):
    solved = await bench.solve([script.calls(("eye_look", {})), ContextOverflowError("too long")])
    assert solved.trajectory.outcome == "limit:context"
    assert script.results(solved.trajectory) == ["you see here"]


def overflowing(script, whole: int, turns: int):
    """A model with room for so many whole tool results, which calls for so many turns and then answers."""
    state = {"turn": 0}

    def answer(request):
        shown = [message for message in request.messages if message.role == "tool"]
        if sum("left out" not in message.text for message in shown) > whole:
            return ContextOverflowError("too long")
        state["turn"] += 1
        return script.calls(("eye_look", {"what": str(state["turn"])})) if state["turn"] <= turns else says("Bern")

    return answer


async def test_compacting_leaves_the_oldest_results_out_for_the_model_only(bench, script):
    solved = await bench.solve(overflowing(script, 2, 4), on_context_overflow="compact")
    assert solved.trajectory.answer == "Bern"
    assert script.results(solved.trajectory) == [f"you see {turn}" for turn in range(1, 5)]
    assert [message.text for message in bench.shown if message.role == "tool"] == [
        *["[left out: the conversation was too long]"] * 2,
        "you see 3",
        "you see 4",
    ]


async def test_what_was_left_out_stays_out(bench, script):
    await bench.solve(overflowing(script, 2, 4), on_context_overflow="compact")
    assert len(bench.model.requests) == 5 + 1  # one request was too long, once


async def test_a_conversation_that_cannot_be_made_shorter_ends_the_task(bench, script):
    solved = await bench.solve(overflowing(script, -1, 4), on_context_overflow="compact")
    assert solved.trajectory.outcome == "limit:context"
    assert len(bench.model.requests) == 1


# ---- failures


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(ContentFilterError("refused"), "error:content_filter"), (RateLimitError("too many"), "error:rate_limit")],
    ids=["content filter", "retries used up"],
)
async def test_a_model_that_fails_for_good_leaves_what_was_done(bench, script, error, outcome):
    solved = await bench.solve([script.calls(("eye_look", {}), usage=TOKENS), error])
    assert solved.trajectory.outcome == outcome
    assert solved.error == str(error)
    assert script.results(solved.trajectory) == ["you see here"]
    assert solved.usage == TOKENS


@pytest.mark.parametrize(
    "error",
    [AuthenticationError("no key"), ReplayMissError("not recorded"), LimitReached("usd", "spent")],
    ids=lambda error: type(error).__name__,
)
async def test_what_no_other_task_could_do_better_is_raised(bench, world, script, error):
    with pytest.raises(type(error)):
        await bench.solve([script.calls(("pad_write", {"word": "a"})), error])
    assert world.opened == world.closed == ["t#0"]


async def test_a_sandbox_that_fails_ends_the_task_and_keeps_what_was_done(bench, world, script):
    world.may_start = False
    solved = await bench.solve([script.calls(("eye_look", {}), ("pad_write", {"word": "a"})), "never asked"])
    assert solved.trajectory.outcome == "error:internal"
    assert "no room for a pad" in solved.error
    assert script.results(solved.trajectory)[0] == "you see here"


# ---- sessions


async def test_sessions_are_closed_when_the_task_is_done(bench, world, script):
    await bench.solve([script.calls(("pad_write", {"word": "a"})), "done"], task="task-7", sample=2)
    assert world.opened == world.closed == ["task-7#2"]


async def test_sessions_are_closed_when_the_task_is_cancelled(bench, world, script):
    agent = await bench.agent([script.calls(("pad_wait", {}))])
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(agent.solve, Task(id="t", question="?"))
            await world.running.wait()
            group.cancel_scope.cancel()
    assert world.opened == world.closed == ["t#0"]


async def test_two_tasks_at_once_do_not_share_a_session(bench, world, script):
    both = {"a": anyio.Event(), "b": anyio.Event()}

    async def answer(request):
        name = request.inputs.question
        if request.inputs.turn == 0:
            return script.calls(("pad_write", {"word": name}))
        both[name].set()
        for event in both.values():  # both sessions are open now
            await event.wait()
        return script.calls(("pad_write", {"word": name})) if request.inputs.turn == 1 else says("done")

    agent = await bench.agent(answer)
    with anyio.fail_after(10):
        solved = await run_all(partial(agent.solve, Task(id=name, question=name)) for name in both)
    assert [script.results(one.trajectory) for one in solved] == [["a", "a a"], ["b", "b b"]]
    assert sorted(world.opened) == sorted(world.closed) == ["a#0", "b#0"]


async def test_samples_of_one_task_are_told_apart_by_the_request(bench):
    agent = await bench.agent(lambda request: says(str(request.sample)))
    solved = [await agent.solve(Task(id="t", question="?"), sample) for sample in range(3)]
    assert [one.trajectory.answer for one in solved] == ["0", "1", "2"]
    assert [one.trajectory.id for one in solved] == ["t#0", "t#1", "t#2"]


async def test_the_offline_model_is_given_the_state_of_the_task(bench, script):
    await bench.solve([script.calls(("eye_look", {"what": "a"})), "done"], max_turns=7)
    inputs = bench.model.requests[-1].inputs
    assert (inputs.question, inputs.turn, inputs.max_turns) == ("Where is Bern?", 1, 7)
    assert [(step.tool, step.params, step.result.text) for step in inputs.steps] == [
        ("eye:look", {"what": "a"}, "you see a")
    ]


def test_a_script_that_ends_is_a_failing_test():
    with pytest.raises(AssertionError, match="ended before request 1"):
        anyio.run(ScriptedModel([]).complete, None)


# ---- how a task begins and ends


def state_task(**parts) -> Task:
    return Task(id="t", question="Write.", **parts)


async def test_a_task_begins_with_its_session_and_its_probes_see_how_it_ends(bench, script, world):
    task = state_task(session={"pad": {"words": ["a"]}}, end_state={"pad": {"words": "a b"}})
    solved = await bench.solve([script.calls(("pad_write", {"word": "b"})), "done"], task=task)
    assert script.results(solved.trajectory) == ["a b"]
    assert solved.trajectory.end_state == {"pad": {"words": "a b"}}
    assert (len(world.opened), len(world.closed)) == (1, 1)


async def test_probes_are_asked_also_when_a_limit_ended_the_task(bench, script):
    task = state_task(end_state={"pad": {"words": "a"}})
    script = [script.calls(("pad_write", {"word": "a"})), script.calls(("pad_wait", {}))]
    solved = await bench.solve(script, task=task, timeout_s=2)
    assert (solved.trajectory.outcome, solved.trajectory.end_state) == ("limit:wall_time", {"pad": {"words": "a"}})


async def test_why_probes_could_not_be_asked_stands_in_the_trajectory(bench, world):
    solved = await bench.solve(["done"], task=state_task(end_state={"pad": {"weight": 3}}))
    assert solved.trajectory.end_state == {"pad": {"error": "invalid_argument: the only probe is 'words'"}}
    world.may_start = False
    solved = await bench.solve(["done"], task=state_task(end_state={"pad": {"words": ""}}))
    assert "no room for a pad" in solved.trajectory.end_state["pad"]["error"]


async def test_a_session_that_cannot_begin_ends_the_task(bench, world):
    world.may_start = False
    solved = await bench.solve(["done"], task=state_task(session={"pad": {}}))
    assert solved.trajectory.outcome == "error:internal"
    assert "no room for a pad" in solved.error
