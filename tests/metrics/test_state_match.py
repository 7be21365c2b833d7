"""``state_match``: what probes saw at the end, against what the task expects."""

from __future__ import annotations

import pytest

from agentflow_core.errors import DataError
from agentflow_core.interfaces import MetricContext, ScoredSample
from agentflow_core.metrics.state_match import StateMatch, StateMatchConfig, check_expected
from agentflow_core.records import Task


@pytest.fixture
def match():
    """The score where a task expects this, and that was seen."""

    async def run(expected, seen, value="all"):
        task = Task(id="t", question="?", end_state=expected)
        sample = ScoredSample(task=task, prediction=None, references=(), end_state=seen)
        return await StateMatch(StateMatchConfig(value=value)).score(sample, MetricContext())

    return run


@pytest.mark.parametrize(
    ("expected", "seen", "value"),
    [
        ("2", "2", 1),
        ("2", 2, 0),
        (1, True, 0),
        (1, 1.0, 1),
        (None, None, 1),
        (None, "", 0),
        ({"a": [1]}, {"a": [1]}, 1),
        ({"contains": "done"}, "all done!", 1),
        ({"contains": "done"}, None, 0),
        ({"contains": ""}, None, 0),
        ({"matches": "a.*z"}, "a\nz", 1),
        ({"matches": "a"}, "ab", 0),
    ],
)
async def test_a_probe_sees_what_is_expected_or_not(match, expected, seen, value):
    assert (await match({"web": {"url": expected}}, {"web": {"url": seen}})).value == value


async def test_all_probes_count_together_or_each_for_its_share(match):
    expected, seen = (
        {"web": {"url": "a", "title": "b"}, "vm": {"file": "c"}},
        {"web": {"url": "a", "title": "x"}, "vm": {"file": "c"}},
    )
    assert (await match(expected, seen)).value == 0
    score = await match(expected, seen, value="share")
    assert (score.value, score.reason) == (pytest.approx(2 / 3), "web title is 'x', expected 'b'")


async def test_what_is_not_known_is_ungraded(match):
    assert not (await match({}, {})).graded
    score = await match({"web": {"url": "a"}}, {"web": {"error": "session_lost: it is gone"}})
    assert not score.graded
    assert "session_lost" in score.reason
    assert not (await match({"web": {"url": "a"}}, {})).graded


@pytest.mark.parametrize("expected", [{"matches": "("}, {"contains": 3}, {"contains": "a", "matches": "b"}])
def test_an_expectation_that_cannot_be_read_is_refused(expected):
    with pytest.raises(DataError):
        check_expected(expected)
