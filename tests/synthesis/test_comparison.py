"""Near-copies across seeds in whole runs, and what each selector would keep of stored trees."""

from __future__ import annotations

import json

import pytest

from agentflow_core.contributions import SelectorSpec
from agentflow_core.errors import UsageError
from agentflow_core.synthesis.comparison import compare_selectors

TWICE = {"seeds": {"items": ["Alder", "Alder", "Birch"]}}


async def test_a_path_that_an_earlier_seed_has_is_left_out(tiny):
    finished = await tiny.run(**TWICE)
    paths = {path.id: path for path in tiny.reader().paths()}
    assert {path.seed_id for path in paths.values() if path.selected} == {"seed-0001", "seed-0003"}
    reason = paths["seed-0002/0.0.0"].reason
    assert reason == "100% like seed-0001/0.0.0 of an earlier seed, over the threshold of 70%"
    assert finished.summary["funnel"]["selected"] < finished.summary["funnel"]["paths"]


async def test_the_filter_may_be_left_out(tiny):
    await tiny.run(**TWICE, selection={"across_seeds": False})
    assert {path.seed_id for path in tiny.reader().paths() if path.selected} == {"seed-0001", "seed-0002", "seed-0003"}


async def test_every_selector_is_asked_with_the_limits_of_the_run(tiny):
    await tiny.run(selection={"max_selected_traj": 1, "min_depth": 1, "selector": {"mmr": {"relevance": 0.2}}})
    report = compare_selectors(tiny.dir, tiny.host.registry)
    assert {one.selector for one in report.kept} == {"agentflow", "coverage", "mmr", "random", "stratified", "topk"}
    assert (report.selector, report.seeds, report.max_selected) == ("mmr", 3, 1)
    assert [one.selector for one in report.kept if one.used] == ["mmr"]
    by_name = {one.selector: one for one in report.kept}
    assert by_name["mmr"].paths == report.selected
    best = by_name["coverage"]
    assert (best.paths, best.mean_steps, best.error_share, best.repeat_share) == (3, 2.0, 0.0, 0.0)
    assert best.coverage == 1.0
    assert report.kept[0].coverage == max(one.coverage for one in report.kept)
    assert [one.coverage for one in report.kept] == sorted((one.coverage for one in report.kept), reverse=True)


async def test_the_selector_of_the_run_keeps_again_what_the_run_keeps(tiny):
    for number, selector in enumerate(
        ["coverage", "topk", "stratified", "random", "agentflow", {"mmr": {"relevance": 0.1}}]
    ):
        run_dir = tiny.dir.with_name(f"run-{number}")
        config = {"min_depth": 1, "max_selected_traj": 1, "selector": selector}
        await tiny.run(run_dir=run_dir, selection=config, **TWICE)
        report = compare_selectors(run_dir, tiny.host.registry)
        used = next(one for one in report.kept if one.used)
        stored = [path for path in tiny.reader(run_dir).paths() if path.selected]
        assert (used.paths, used.steps) == (len(stored), sum(len(path.nodes) - 1 for path in stored))


async def test_steps_that_fail_and_calls_that_repeat_are_counted(tiny):
    await tiny.run(selection={"min_depth": 1, "max_selected_traj": 3, "across_seeds": False}, **TWICE)
    report = compare_selectors(tiny.dir, tiny.host.registry)
    top = next(one for one in report.kept if one.selector == "topk")
    paths = list(tiny.reader().paths())
    assert top.paths == len(paths)
    assert top.failed == sum(node.error is not None for node in tiny.reader().tree() if node.tool)
    assert 0 < top.error_share < 1


async def test_a_selector_that_fails_is_said_to_and_the_others_stand(tiny, plugin_host):
    await tiny.run()
    spec = SelectorSpec("broken", target=f"{__name__}:Broken", summary="s")
    report = compare_selectors(tiny.dir, plugin_host(spec).registry)
    assert report.kept[-1].selector == "broken"
    assert "broken" in report.kept[-1].error
    assert len(report.kept) == 7


async def test_only_runs_with_paths_are_compared(tiny):
    await tiny.run(sampling={"max_depth": 1}, selection={"min_depth": 2})
    with pytest.raises(UsageError, match="has no paths to choose among"):
        compare_selectors(tiny.dir, tiny.host.registry)


async def test_the_command_shows_a_table_and_json_and_writes_nothing(tiny, cli):
    import anyio.to_thread

    await tiny.run(selection={"min_depth": 1})
    before = {path.name: path.stat().st_mtime_ns for path in tiny.dir.iterdir() if path.is_file()}
    shown = await anyio.to_thread.run_sync(cli, "compare-selection", tiny.dir)
    assert shown.code == 0, shown.err
    assert "The run used 'coverage' (*) and keeps" in shown.out
    assert [line.split()[:2] for line in shown.out.splitlines() if line.startswith("*")] == [["*", "coverage"]]
    told = await anyio.to_thread.run_sync(cli, "compare-selection", tiny.dir, "--max-selected", "1", "--json")
    found = json.loads(told.out)
    assert (found["max_selected"], len(found["selectors"])) == (1, 6)
    assert list(found["selectors"][0])[:6] == [
        "selector",
        "used",
        "coverage",
        "mean_steps",
        "error_share",
        "repeat_share",
    ]
    assert {path.name: path.stat().st_mtime_ns for path in tiny.dir.iterdir() if path.is_file()} == before
