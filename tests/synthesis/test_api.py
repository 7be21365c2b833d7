"""What Python programs call to synthesize: from a mapping or a file, blocking or not."""

from __future__ import annotations

import pytest
import yaml

from agentflow_core.errors import ConfigError, DataError, ModelRequestError, RunError, UsageError
from agentflow_core.records import Seed
from agentflow_core.synthesis import asynthesize, synthesize


@pytest.fixture
def config(tiny, tmp_path):
    return {
        "model": "script",
        "seeds": {"items": ["Alder"]},
        "tools": ["facts:*"],
        "sandbox": {"enabled": ["facts"], "state_dir": str(tmp_path / "state")},
        "sampling": {"max_depth": 2, "branching_factor": 2, "depth_threshold": 1},
    }


async def test_the_result_reads_its_records_from_the_run(config, tmp_path):
    result = await asynthesize(config=config, output_dir=tmp_path / "run")
    assert [qa.answer for qa in result.accepted] == ["Dornmouth"]
    assert result.rejected == []
    assert result.funnel["accepted"] == 1
    assert (result.status, result.run_dir) == ("complete", tmp_path / "run")


def test_blocking_code_gives_a_file(config, tmp_path):
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    assert synthesize(tmp_path / "run.yaml", output_dir=tmp_path / "run").funnel["seeds"] == 1


async def test_it_works_beside_a_running_loop(config, tmp_path):
    assert synthesize(config=config, output_dir=tmp_path / "run").funnel["accepted"] == 1


async def test_seeds_may_be_given_in_place_of_those_of_the_configuration(config, tmp_path):
    seeds = ["Birch", {"content": "Cedar"}, Seed(id="own", content="Alder")]
    result = await asynthesize(config=config, seeds=seeds, output_dir=tmp_path / "run")
    assert [qa.seed_id for qa in result.accepted] == ["seed-0001", "seed-0002", "own"]


@pytest.mark.parametrize("given", [{}, {"config_path": "x.yaml", "config": {}}], ids=["neither", "both"])
async def test_one_configuration_is_needed_and_one_only(given):
    with pytest.raises(UsageError, match="give either config_path or config"):
        await asynthesize(**given)


async def test_all_problems_of_a_configuration_are_told_at_once(config):
    wrong = {**config, "smapling": {}, "qa": {"gates": ["lek"]}, "selection": {"min_depth": 0}}
    with pytest.raises(ConfigError) as caught:
        await asynthesize(config=wrong)
    assert len(caught.value.problems) == 3
    assert "did you mean 'sampling'" in str(caught.value)


async def test_a_bad_seed_is_found_before_a_run_directory_is_made(config, tmp_path):
    with pytest.raises(DataError, match=r"seeds\.items\.1"):
        await asynthesize(config=config, seeds=["Alder", 3], output_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


async def test_a_run_that_fails_raises_and_keeps_its_directory(tiny, config, tmp_path):
    tiny.parts.BROKEN["propose", "seed-0001"] = ModelRequestError("the model is not there")
    with pytest.raises(RunError, match="the model is not there"):
        await asynthesize(config=config, output_dir=tmp_path / "run")
    assert (tmp_path / "run" / "summary.json").exists()
