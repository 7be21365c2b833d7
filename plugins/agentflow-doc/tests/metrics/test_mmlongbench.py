"""The metrics of MMLongBench-Doc, beside an implementation of the rules that was written apart from them."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentflow_core.interfaces import MetricContext, ScoredSample
from agentflow_core.records import Score, Task
from agentflow_doc.metrics.mmlongbench import (
    NOT_ANSWERABLE,
    MMLongBenchAcc,
    MMLongBenchF1,
    answer_type,
    f1_of,
    mmlongbench_score,
)

# ---- the rules once more, in other words


def edits(one: str, other: str) -> int:
    rows = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        corner, rows[0] = rows[0], at
        for to, wanted in enumerate(other, 1):
            corner, rows[to] = rows[to], min(rows[to] + 1, rows[to - 1] + 1, corner + (letter != wanted))
    return rows[-1]


def alike(reference: str, prediction: str) -> float:
    length = max(len(reference.upper()), len(prediction.upper()))
    likeness = 1.0 if length == 0 else 1.0 - edits(reference, prediction) / length
    return 0.0 if likeness <= 0.5 else likeness


def clean(value: object) -> str:
    said = str(value).lower().strip()
    said = re.sub(r"\s*\([^)]*\)", "", said).strip()
    if said[:1] in ("'", '"') and said:
        said = said[1:]
    if said[-1:] in ("'", '"') and said:
        said = said[:-1]
    return said.strip().lstrip("$").strip().rstrip("%").strip()


def is_whole_or_nothing(text: str) -> bool:
    shapes = [
        r"\d+(-\d+|\s\d+)?",
        r"\d{4}[-\s]\d{2}[-\s]\d{2}",
        r"\d{4}[-\s]\d{2}",
        r"[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}",
    ]
    if "https://" in text or text[-3:] == ".py" or text[-5:] == "ipynb" or text[:4] == "page":
        return True
    return "a.m." in text or "p.m." in text or any(re.fullmatch(shape, text) for shape in shapes)


def decimals(value: float) -> int:
    return len(str(value).split(".")[-1]) if "." in str(value) else 3


def near(expected: float, said: float) -> bool:
    if math.isclose(expected, said, rel_tol=0.01):
        return True
    places = max(2, min(decimals(expected), decimals(said)))
    return round(expected, places) == round(said, places)


def as_float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def official(reference: str, prediction: str, kind: str) -> float:
    """The score; 0 where the script of the benchmark itself would fail."""
    if kind == "Int":
        try:
            return float(int(reference) == int(float(prediction)))
        except (ValueError, OverflowError):
            return float(reference == "")
    if kind == "Float":
        expected, said = as_float(clean(reference)), as_float(clean(prediction))
        if expected is None or said is None:
            return 0.0
        return float(near(expected / 100, said) or near(expected, said) or near(expected * 100, said))
    if kind in ("Str", "None"):
        one, other = clean(reference), clean(prediction)
        return float(one == other) if is_whole_or_nothing(one) else alike(one, other)
    wanted = json.loads(reference) if reference.startswith("[") else [reference]
    told = json.loads(prediction) if prediction.startswith("[") else [prediction]
    if len(wanted) != len(told) or not wanted:
        return 0.0
    wanted, told = sorted(clean(item) for item in wanted), sorted(clean(item) for item in told)
    if as_float(wanted[0]) is not None or is_whole_or_nothing(wanted[0]):
        return float("-".join(wanted) == "-".join(told))
    return min(alike(one, other) for one, other in zip(wanted, told, strict=True))


WORDS = st.one_of(
    st.text(st.sampled_from("abc AB12.,-%$()'\"@ß"), max_size=10),
    st.sampled_from(
        [
            "Not answerable",
            "page 3",
            "page 4",
            "2020-01-02",
            "2020-01",
            "555-1234",
            "a@b.com",
            "https://x.org",
            "run.py",
        ]
    ),
    st.sampled_from(["10 a.m.", "11 a.m.", "nb.ipynb", "$12", "12%", "'quoted'", "five (5)", "12 miles", "3 million"]),
)
NUMBERS = st.one_of(
    st.integers(-2000, 2000).map(str),
    st.decimals(Decimal(-1000), Decimal(1000), places=3).map(str),
    st.floats(-1e9, 1e9).map(str),
    st.sampled_from(
        ["12%", "$3.50", "0.12", "12", "12.0", "1e-7", "1.5e-07", "nan", "inf", "1,200", "", "3.999", "0.5 %"]
    ),
)
ITEMS = st.lists(st.one_of(WORDS, st.integers(0, 50)), min_size=1, max_size=4)
LISTS = ITEMS.map(lambda items: json.dumps(items, ensure_ascii=False))


@given(WORDS, WORDS, st.sampled_from(["Str", "None"]))
@example("abcd", "abxx", "Str")
@example("", "", "Str")
def test_strings_score_as_by_the_official_rules(reference, prediction, kind):
    assert mmlongbench_score(prediction, reference, kind) == pytest.approx(
        official(reference, prediction, kind), abs=1e-12
    )


@given(st.one_of(NUMBERS, WORDS), st.one_of(NUMBERS, WORDS), st.sampled_from(["Int", "Float"]))
@example("12", "12.9", "Int")
@example("0.12", "12%", "Float")
@example("12", "0.12", "Float")
@example("100", "100.9", "Float")
@example("100", "102", "Float")
@example("inf", "inf", "Int")
def test_numbers_score_as_by_the_official_rules(reference, prediction, kind):
    assert mmlongbench_score(prediction, reference, kind) == official(reference, prediction, kind)


@given(st.one_of(LISTS, WORDS), st.one_of(LISTS, WORDS))
@example('["b", "a"]', '["a", "b"]')
@example('["a"]', "a")
@example("[3, 12]", "[12, 3]")
def test_lists_score_as_by_the_official_rules(reference, prediction):
    assert mmlongbench_score(prediction, reference, "List") == pytest.approx(
        official(reference, prediction, "List"), abs=1e-12
    )


@pytest.mark.parametrize(
    "said", ["[__import__('os').getcwd()]", "[1, 2", "[" * 5000, "[open('/etc/passwd').read()]", "[1] + [2]", "[\\d]"]
)
def test_lists_are_never_evaluated(said):
    assert mmlongbench_score(said, "[1, 2]", "List") == 0.0


@pytest.mark.parametrize(
    ("prediction", "reference", "kind", "value"),
    [
        ("18", "18", "Int", 1),
        ("18.0", "18", "Int", 1),
        ("about 18", "18", "Int", 0),
        ("0.256", "25.6%", "Float", 1),
        ("25.4", "25.6%", "Float", 1),
        ("26", "25.6%", "Float", 0),
        ("['Whites', 'Blacks']", "['Blacks', 'Whites']", "List", 1),
        ("['Whites']", "['Blacks', 'Whites']", "List", 0),
        ("Not answerable", "Not answerable", "None", 1),
        ("Less well-off", "less well off", "Str", 1 - 1 / 13),
        ("page 12", "page 13", "Str", 0),
    ],
)
def test_examples(prediction, reference, kind, value):
    assert mmlongbench_score(prediction, reference, kind) == pytest.approx(value)


def sample(prediction, *references, **metadata):
    task = Task(id="t", question="?", references=references, metadata=metadata)
    return ScoredSample(task=task, prediction=prediction, references=references)


@pytest.mark.parametrize(
    ("references", "metadata", "kind"),
    [
        (("18",), {}, "Int"),
        (("18%",), {}, "Float"),
        (("1.8",), {}, "Float"),
        (("['a', 'b']",), {}, "List"),
        (("Not answerable",), {}, "None"),
        (("a ferry",), {}, "Str"),
        (("18",), {"answer_format": "Str"}, "Str"),
        (("18",), {"answer_type": "integer"}, "Int"),
    ],
)
def test_the_type_is_that_of_the_metadata_else_of_the_reference(references, metadata, kind):
    assert answer_type(sample("x", *references, **metadata)) == kind


async def test_the_best_reference_counts():
    score = await MMLongBenchAcc().score(sample("18", "17", "18"), MetricContext())
    assert score.value == 1.0


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.booleans()), max_size=12))
def test_f1_is_that_of_the_paper(rows):
    """Over questions ``(score, has an answer, was given one)``."""
    scores = [
        Score(value=value, figures={"answerable": float(has), "answered": float(given_one)})
        for value, has, given_one in rows
    ]
    answerable = [value for value, has, _ in rows if has]
    answered = [value for value, _, given_one in rows if given_one]
    found = f1_of(scores)
    if not answerable and not answered:
        assert not found.graded
        return
    recall = sum(answerable) / len(answerable) if answerable else 0.0
    precision = sum(answerable) / len(answered) if answered else 0.0
    expected = 2 * recall * precision / (recall + precision) if recall + precision else 0.0
    assert found.value == pytest.approx(expected)


async def test_f1_leaves_out_questions_without_an_answer_that_were_given_none():
    metric = MMLongBenchAcc()
    asked = [
        sample("18", "18"),
        sample("blue", "red"),
        sample(NOT_ANSWERABLE, "12"),
        sample("invented", NOT_ANSWERABLE),
        sample(NOT_ANSWERABLE, NOT_ANSWERABLE),
    ]
    scores = [await metric.score(one, MetricContext()) for one in asked]
    recall, precision = 1 / 3, 1 / 3
    assert MMLongBenchF1()(scores).value == pytest.approx(2 * recall * precision / (recall + precision))
    assert not MMLongBenchF1()(scores[-1:]).graded
