"""What Python programs call to evaluate: from a mapping or a file, blocking or not."""

from __future__ import annotations

import pytest
import yaml

from agentflow_core.errors import AuthenticationError, ConfigError, RunError, UsageError
from agentflow_core.evaluation import aquick_rollout, arollout, quick_rollout, rollout


@pytest.fixture
def config(quiz, tmp_path):
    return {
        "model": "script",
        "data": {"path": str(tmp_path / "tasks.jsonl")},
        "sandbox": {"enabled": ["towns"], "state_dir": str(tmp_path / "state")},
    }


async def test_the_result_is_a_mapping_over_the_summary(config, tmp_path):
    results = await arollout(config=config, output_dir=tmp_path / "run")
    assert results["metrics"]["exact_match"]["mean"] == pytest.approx(2 / 3)
    assert set(results) == set(dict(results)) >= {"kind", "status", "counts", "metrics", "usage", "versions"}
    assert len(results) == len(dict(results))
    assert (results.status, results.run_dir) == ("complete", tmp_path / "run")
    assert [result.answer for result in results.results] == ["Paris", "Oslo", "Stockholm"]


def test_blocking_code_gives_a_file_and_another_benchmark(config, tmp_path):
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    data = tmp_path / "my: tasks, #1 [new].jsonl"
    data.write_text('{"question": "Norway", "answer": "Oslo"}\n')
    results = rollout(tmp_path / "run.yaml", data, metric="f1_score", output_dir=tmp_path / "run")
    assert {name: figures["mean"] for name, figures in results["metrics"].items()} == {"f1_score": 1.0}


async def test_it_works_beside_a_running_loop(config, tmp_path):
    results = rollout(config=config, metric=["exact_match", "calls"], output_dir=tmp_path / "run")
    assert set(results["metrics"]) == {"exact_match", "calls"}


async def test_without_evaluation_nothing_is_scored(config, tmp_path):
    results = await arollout(config=config, evaluate=False, output_dir=tmp_path / "run")
    assert results["metrics"] == {}


@pytest.mark.parametrize("given", [{}, {"config_path": "x.yaml", "config": {}}], ids=["neither", "both"])
async def test_one_configuration_is_needed_and_one_only(given):
    with pytest.raises(UsageError, match="give either config_path or config"):
        await arollout(**given)


async def test_an_unknown_metric_is_a_problem_of_the_configuration(config, tmp_path):
    with pytest.raises(ConfigError, match="exact_match"):
        await arollout(config=config, metric="exact_mach", output_dir=tmp_path / "run")


async def test_a_run_that_fails_raises(quiz, config, tmp_path):
    quiz.parts.BROKEN["France"] = AuthenticationError("the key is wrong")
    with pytest.raises(AuthenticationError, match="the key is wrong"):
        await arollout(config=config, output_dir=tmp_path / "run")
    for country in quiz.parts.TOWNS:
        quiz.parts.BROKEN[country] = ValueError("a bug")
    with pytest.raises(RunError, match="all 3 units"):
        await arollout(config=config, output_dir=tmp_path / "other")


async def test_one_question_needs_no_run(quiz, tmp_path):
    answer = await aquick_rollout("Norway", tools=["towns:*"], model_name="script", host=quiz.host)
    assert (answer["answer"], answer["success"], answer["outcome"], answer["error"]) == ("Oslo", True, "answered", None)
    assert answer["usage"]["calls"] == 2
    assert answer["trajectory"]["messages"][3]["content"] == "Oslo"


def test_one_question_without_an_answer_says_why(quiz):
    answer = quick_rollout("Norway", tools=["towns:capital"], model_name="script", max_turns=1, host=quiz.host)
    assert (answer["answer"], answer["success"], answer["outcome"]) == (None, False, "limit:turns")
