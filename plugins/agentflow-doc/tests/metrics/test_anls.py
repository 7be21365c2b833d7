"""The metric ``anls``, beside an implementation that follows the equation of the paper letter by letter."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentflow_core.interfaces import MetricContext, ScoredSample
from agentflow_core.records import Task
from agentflow_doc.metrics.anls import Anls, AnlsConfig, anls

LETTERS = st.text(st.sampled_from("abAB ß1.,\t"), max_size=8)


def distance(one: str, other: str) -> int:
    """Levenshtein, by the full table."""
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for row in range(len(one) + 1):
        for column in range(len(other) + 1):
            if not row or not column:
                table[row][column] = row + column
                continue
            changed = table[row - 1][column - 1] + (one[row - 1] != other[column - 1])
            table[row][column] = min(changed, table[row - 1][column] + 1, table[row][column - 1] + 1)
    return table[-1][-1]


def official(references: list[str], prediction: str) -> float:
    """The score of one question as the script of the DocVQA challenge works it out."""
    shares = []
    for reference in references:
        length = max(len(reference.upper()), len(prediction.upper()))
        away = distance(" ".join(reference.lower().split()), " ".join(prediction.lower().split()))
        shares.append(0.0 if length == 0 else away / length)
    result = 1 - min(shares)
    return 0.0 if result < 0.5 else result


@given(st.lists(LETTERS, min_size=1, max_size=3), LETTERS)
@example(["ab"], "aB ")
@example(["abcd"], "abxx")
@example([""], "")
async def test_it_is_what_the_official_script_gives(references, prediction):
    task = Task(id="t", question="?", references=tuple(references))
    sample = ScoredSample(task=task, prediction=prediction, references=tuple(references))
    score = await Anls().score(sample, MetricContext())
    assert score.value == pytest.approx(official(references, prediction), abs=1e-12)


def test_half_alike_still_counts_and_less_does_not():
    assert anls("abxx", "abcd") == 0.5
    assert anls("axxx", "abcd") == 0.0
    assert anls("axxx", "abcd", threshold=0.25) == 0.25


async def test_the_threshold_is_a_setting():
    sample = ScoredSample(task=Task(id="t", question="?"), prediction="abxx", references=("abcd",))
    assert (await Anls(AnlsConfig(threshold=0.6)).score(sample, MetricContext())).value == 0.0


async def test_without_a_reference_nothing_is_graded():
    sample = ScoredSample(task=Task(id="t", question="?"), prediction="abxx", references=())
    assert not (await Anls().score(sample, MetricContext())).graded
