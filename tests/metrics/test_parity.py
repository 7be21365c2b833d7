"""The parity modes against the rules of the official scripts, on published examples and on every pair that is tried.

The rules are written here once more, from the papers' and the scripts' description: SQuAD 1.1 (Rajpurkar et al. 2016,
``evaluate-v1.1.py``), SQuAD 2.0 (Rajpurkar et al. 2018, ``evaluate-v2.0.py``), HotpotQA (Yang et al. 2018,
``hotpot_evaluate_v1.py``).
"""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.interfaces import MetricContext, ScoredSample
from agentflow_core.metrics.squad import ExactMatch, F1Score, HotpotExact, HotpotF1, Squad2Exact, Squad2F1
from agentflow_core.records import Task

ARTICLES = ("a", "an", "the")
WHOLE = ("yes", "no", "noanswer")


def words(text):
    """Lower case; ASCII punctuation is deleted; articles are deleted where they are whole words; split at space.

    A word in the sense of the scripts is a run of letters, digits and underscores, whatever the script.
    """
    kept = "".join(character for character in text.lower() if not 33 <= ord(character) <= 126 or character.isalnum())
    pieces, run = [], ""
    for character in [*kept, " "]:
        if character.isalnum() or character == "_":
            run += character
            continue
        pieces += [" " if run in ARTICLES else run, character]
        run = ""
    return "".join(pieces).split()


def overlap(said, expected):
    """The harmonic mean of precision and recall over tokens, each counted as often as it stands."""
    common = sum(min(said.count(token), expected.count(token)) for token in set(said))
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(expected)
    return 2 * precision * recall / (precision + recall)


def squad1(prediction, references):
    said, gold = words(prediction), [words(reference) for reference in references]
    return max(float(said == one) for one in gold), max(overlap(said, one) for one in gold)


def squad2(prediction, references):
    said = words(prediction)
    gold = [found for reference in references if (found := words(reference))] or [[]]
    f1 = [overlap(said, one) if said and one else float(said == one) for one in gold]
    return max(float(said == one) for one in gold), max(f1)


def hotpotqa(prediction, references):
    said, gold = words(prediction), [words(reference) for reference in references]

    def f1(one):
        whole = " ".join(said) in WHOLE or " ".join(one) in WHOLE
        return 0.0 if whole and said != one else overlap(said, one)

    return max(float(said == one) for one in gold), max(map(f1, gold))


SCRIPTS = [
    pytest.param(squad1, ExactMatch(), F1Score(), id="squad 1.1"),
    pytest.param(squad2, Squad2Exact(), Squad2F1(), id="squad 2.0"),
    pytest.param(hotpotqa, HotpotExact(), HotpotF1(), id="hotpotqa"),
]


def scored(metric, prediction, references):
    sample = ScoredSample(task=Task(id="t", question="?"), prediction=prediction, references=tuple(references))
    return anyio.run(metric.score, sample, MetricContext()).value


PLAIN = (
    "a",
    "A.",
    "an",
    "The",
    "the,",
    "yes",
    "No!",
    "noanswer",
    "no answer",
    "U.S.",
    "us",
    "1,000",
    "1000",
    "$5",
    "x_y",
)
FOREIGN = (
    "l'été",
    "the-end",
    "théâtre",
    "«the»",
    "№5",
    "ﬁ",
    "İ",
    "ß",
    "ǅ",
    "Σας",
    "二",
    "\u0430",
    "\u00a0",
    "\u2028",
    "…",
    "-",
)
tokens = st.sampled_from([*PLAIN, *FOREIGN])
texts = st.lists(tokens, max_size=5).flatmap(
    lambda parts: st.sampled_from([" ", "", "-", "\t", ", "]).map(lambda joint: joint.join(parts))
) | st.text(max_size=12)


@pytest.mark.parametrize(("script", "exact", "f1"), SCRIPTS)
@given(prediction=texts, references=st.lists(texts, min_size=1, max_size=3))
def test_every_pair_scores_as_by_the_official_rule(script, exact, f1, prediction, references):
    expected_exact, expected_f1 = script(prediction, references)
    assert scored(exact, prediction, references) == expected_exact
    assert scored(f1, prediction, references) == expected_f1


#: The examples of the metric cards that wrap the official scripts, in per cent.
CARD = [("1976", ["1976"]), ("Beyonce", ["Beyoncé and Bruno Mars"]), ("climate change", ["climate change"])]


@pytest.mark.parametrize(
    "metric", [ExactMatch(), F1Score(), Squad2Exact(), Squad2F1()], ids=lambda one: type(one).__name__
)
@pytest.mark.parametrize(
    ("pairs", "percent"),
    [(CARD[:1], 100.0), ([("1999", ["1976"])], 0.0), (CARD, 66.66666666666667)],
    ids=["all", "none", "two of three"],
)
def test_the_examples_of_the_metric_cards_come_out_as_published(metric, pairs, percent):
    found = [scored(metric, prediction, references) for prediction, references in pairs]
    assert 100 * sum(found) / len(found) == pytest.approx(percent)


@pytest.mark.parametrize(
    ("prediction", "references", "squad", "squad_2", "hotpot"),
    [
        # a gold set of several annotators: the best of them counts
        ("Denver Broncos", ["Denver Broncos", "The Denver Broncos"], (1, 1), (1, 1), (1, 1)),
        ("Broncos", ["Denver Broncos", "The Denver Broncos"], (0, 2 / 3), (0, 2 / 3), (0, 2 / 3)),
        ("in the Santa Clara, California", ["Santa Clara, California"], (0, 6 / 7), (0, 6 / 7), (0, 6 / 7)),
        # punctuation is deleted and leaves no space behind
        ("U.S.A", ["USA"], (1, 1), (1, 1), (1, 1)),
        ("July 12-13", ["July 1213"], (1, 1), (1, 1), (1, 1)),
        # articles alone are nothing, and nothing equals nothing
        ("the", [""], (1, 0), (1, 1), (1, 0)),
        ("", [""], (1, 0), (1, 1), (1, 0)),
        # SQuAD 2.0 leaves empty references out where there are others
        ("", ["", "Paris"], (1, 0), (0, 0), (1, 0)),
        # HotpotQA: yes and no are all or nothing
        ("yes", ["yes"], (1, 1), (1, 1), (1, 1)),
        ("yes indeed", ["yes"], (0, 2 / 3), (0, 2 / 3), (0, 0)),
        ("no", ["no one"], (0, 2 / 3), (0, 2 / 3), (0, 0)),
        ("noanswer", ["no answer"], (0, 0), (0, 0), (0, 0)),
    ],
)
def test_known_pairs_score_as_the_scripts_say(prediction, references, squad, squad_2, hotpot):
    for (_, exact, f1), expected in zip((item.values for item in SCRIPTS), (squad, squad_2, hotpot), strict=True):
        found = scored(exact, prediction, references), scored(f1, prediction, references)
        assert found == pytest.approx(expected)
