"""Prompts of the user in rollouts: the agent's and the judge's."""

from __future__ import annotations

import pytest

from agentflow_core.errors import RunConflictError


async def test_the_users_prompts_are_sent_and_belong_to_what_the_run_is(quiz, tmp_path):
    agent, judge = tmp_path / "agent.md", tmp_path / "judge.md"
    agent.write_text("BE BRIEF. ${answer_rule}")
    judge.write_text("JUDGE ${question} ${references} ${prediction}")
    config = {
        "prompts": {"agent.system": str(agent), "metrics.judge": str(judge)},
        "metrics": ["llm_judgement"],
        "roles": {
            "judge": {"provider": "mock", "rules": {"judge": [{"text": '{"correct": true, "reason": "{last}"}'}]}}
        },
    }
    await quiz.run(**config)
    solving = [request for request in quiz.parts.REQUESTS if request.purpose == "solve"]
    assert all(request.messages[0].text.startswith("BE BRIEF. ") for request in solving)
    reasons = [line["scores"]["llm_judgement"]["reason"] for line in quiz.lines("results.jsonl")]
    assert all(reason.startswith("JUDGE ") for reason in reasons)
    judge.write_text("DECIDE ${question} ${references} ${prediction}")
    with pytest.raises(RunConflictError, match=r"prompts\.metrics\.judge"):
        await quiz.run(**config)
