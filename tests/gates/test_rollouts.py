"""The gate that lets an agent try with tools."""

from __future__ import annotations

import pytest
from attrs import evolve

from agentflow_core.errors import ConfigError, RateLimitError
from agentflow_core.gates.rollouts import PassRate, PassRateConfig
from agentflow_core.gates.run import judge_draft, passed
from agentflow_core.interfaces import GateContext
from agentflow_core.records import Seed, ToolCall
from agentflow_core.sandbox import Backend, Catalog, Sandbox, Session, tool
from agentflow_core.testing.models import ScriptedModel, says


class Notes(Backend):
    """A note that the seed brings, one a session."""

    async def initialize(self, session: Session) -> str:
        return str(session.settings.get("note", "nothing"))

    @tool(read_only=True)
    async def read(self, state: str) -> str:
        """Read the note."""
        return state


def solver(*answers):
    """Reads the note, then gives the answer of the sample; an exception is raised."""

    def answer(request):
        if request.messages[-1].role == "user":
            return says(tool_calls=(ToolCall(id="c", name="notes_read", arguments="{}"),))
        said = answers[request.sample]
        if isinstance(said, Exception):
            return said
        return says(f"<answer>{said.format(note=request.messages[-1].text)}</answer>")

    return ScriptedModel(answer)


@pytest.fixture
async def judge(case, tmp_path):
    """Judge the draft of the case by its pass rate: ``await judge(answers, min=0.5)``."""

    async def run(*answers, seed=None, draft=None, **settings):
        async with Sandbox(catalog=Catalog.of(notes=Notes), config={"state_dir": str(tmp_path)}) as sandbox:
            context = GateContext(
                seed=seed or Seed(id="s", content="x"),
                path=case.path,
                models=lambda role: run.model,
                sandbox=sandbox,
                tools=tuple(await sandbox.list_tools()),
            )
            run.model = solver(*answers)
            gate = PassRate(PassRateConfig(rollouts=len(answers), grading="match", **settings))
            found = await judge_draft(draft or case.draft, [("pass_rate", gate)], context)
            run.left = await sandbox.worker(f"{case.draft.id}/pass_rate#0").list_sessions()
            return found

    return run


async def test_the_share_that_is_solved_is_the_difficulty(judge):
    draft = await judge("Manhattan", "Boston", "manhattan", "unknown")
    assert passed(draft)
    assert draft.gates[0].reason == "the solver with tools solves 2 of 4"
    assert (draft.difficulty, draft.extra["pass_rate"]) == ("2/4", 0.5)
    assert [request.sample for request in judge.model.requests] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert list(judge.left) == []


async def test_what_the_draft_said_of_its_difficulty_is_kept_beside_it(judge, case):
    draft = await judge("Manhattan", draft=evolve(case.draft, difficulty="easy", extra={"sql": "select 1"}))
    assert draft.difficulty == "1/1"
    assert draft.extra == {"sql": "select 1", "pass_rate": 1.0, "drafted_difficulty": "easy"}


@pytest.mark.parametrize(
    ("settings", "bound"),
    [({"min": 0.75}, "at least 75%"), ({"max": 0.25}, "at most 25%"), ({"min": 0.5, "max": 0.5}, "")],
)
async def test_too_hard_and_too_easy_drafts_are_refused(judge, settings, bound):
    draft = await judge("Manhattan", "Boston", **settings)
    assert passed(draft) is not bool(bound)
    assert bound in draft.gates[0].reason


async def test_a_rollout_that_fails_leaves_the_draft_unjudged(judge):
    draft = await judge("Manhattan", RateLimitError("slow down"))
    assert draft.gates[0].passed is None
    assert draft.gates[0].reason == "error:rate_limit: rollout 2 failed: slow down"
    assert draft.difficulty == ""


async def test_a_rollout_that_reaches_its_limit_is_not_solved(judge):
    draft = await judge("Manhattan", max_turns=1)
    assert (passed(draft), draft.difficulty) == (True, "0/1")


async def test_sessions_begin_as_those_of_the_seed_did(judge):
    seed = Seed(id="s", content="x", session={"notes": {"note": "Manhattan"}})
    draft = await judge("{note}", "{note}", seed=seed)
    assert draft.difficulty == "2/2"
    assert (await judge("{note}")).difficulty == "0/1"


def test_a_range_that_holds_nothing_is_refused():
    with pytest.raises(ConfigError, match="is over max"):
        PassRateConfig(min=0.6, max=0.5)
