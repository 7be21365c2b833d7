"""Drafting: what the synthesizer is shown, what is read from its answer, and what is said of a bad one."""

from __future__ import annotations

import pytest

from agentflow_core.errors import BadOutputError
from agentflow_core.records import Evidence, Node, Observation, Path, ReasoningStep, Seed, Usage
from agentflow_core.synthesis.config import QAConfig
from agentflow_core.synthesis.drafting import Drafter
from agentflow_core.synthesis.rendering import estimate_tokens, render_history, render_observations
from agentflow_core.testing.models import ScriptedModel, says

SEED = Seed(id="s", content="Bern")
PATH = Path(id="s/p0", seed_id="s", nodes=("s/0", "s/0.0"))


def node(number: int, text: str, *, novelty: float = 1.0, ok: bool = True, shown: str | None = None) -> Node:
    result = Observation(ok=ok, code="ok" if ok else "not_found", text=text, shown=shown)
    return Node(
        id=f"s/0{'.0' * number}",
        seed_id="s",
        depth=number,
        tool="facts:look",
        params={"name": "é"},
        result=result,
        novelty=novelty,
    )


ROOT = Node(id="s/0", seed_id="s", intent="Bern")
NODES = (ROOT, node(1, "Bern is a town"))
DRAFT = {
    "question": " Where? ",
    "answer": 1848,
    "aliases": ["1848 AD", 48],
    "answer_type": "date",
    "difficulty": "hard",
    "reasoning_steps": [{"step": "one", "evidence": [{"node": "s/0.0", "quote": "a town"}]}],
}


async def draft(*replies, **config):
    model = ScriptedModel(replies)
    drafter = Drafter(model=model, tools=(), config=QAConfig(**config))
    made = await drafter.draft(SEED, PATH, NODES)
    return made, model


async def test_a_draft_is_read_whole():
    made, _ = await draft(says(json={"drafts": [{**DRAFT, "sql": "select 1", "code": None}]}))
    (qa,) = made.drafts
    assert (qa.id, qa.seed_id, qa.path_id) == ("s/p0#0", "s", "s/p0")
    assert (qa.question, qa.answer, qa.aliases, qa.answer_type) == ("Where?", "1848", ("1848 AD", "48"), "date")
    assert qa.reasoning_steps == (ReasoningStep(step="one", evidence=(Evidence(node="s/0.0", quote="a town"),)),)
    assert (qa.difficulty, qa.model) == ("hard", "scripted")
    assert qa.extra == {"sql": "select 1", "code": None}


@pytest.mark.parametrize(
    "value", [{"drafts": [DRAFT]}, [DRAFT], DRAFT, {"drafts": [DRAFT, DRAFT]}], ids=["object", "list", "bare", "more"]
)
async def test_drafts_may_be_written_in_several_ways(value):
    made, _ = await draft(says(json=value))
    assert len(made.drafts) == 1


async def test_one_thing_in_place_of_a_list_is_understood():
    loose = {
        **DRAFT,
        "aliases": "1848 AD",
        "reasoning_steps": [{"step": "one", "evidence": {"node": "n", "quote": "q"}}],
    }
    made, _ = await draft(says(json={"drafts": [loose]}))
    assert made.drafts[0].aliases == ("1848 AD",)
    assert made.drafts[0].reasoning_steps[0].evidence == (Evidence(node="n", quote="q"),)


async def test_missing_parts_are_left_to_the_gates():
    made, _ = await draft(says(json={"drafts": [{"question": None, "reasoning_steps": ["just so"]}]}))
    (qa,) = made.drafts
    assert (qa.question, qa.answer, qa.aliases) == ("", "", ())
    assert qa.reasoning_steps == (ReasoningStep(step="just so"),)


async def test_no_draft_is_an_answer():
    made, model = await draft(says(json={"drafts": []}, usage=Usage(calls=1, prompt_tokens=9)))
    assert made.drafts == ()
    assert made.usage.prompt_tokens == 9
    assert len(model.requests) == 1


@pytest.mark.parametrize("bad", ["no json here", says(json={"drafts": ["text"]}), says(json={"pairs": []})], ids=str)
async def test_an_answer_that_cannot_be_read_is_asked_for_again(bad):
    made, model = await draft(bad, says(json={"drafts": [DRAFT]}))
    assert len(made.drafts) == 1
    assert "That answer cannot be used" in model.requests[1].messages[-1].text
    assert made.usage.calls == 2


async def test_a_second_bad_answer_is_a_typed_failure():
    with pytest.raises(BadOutputError, match="no usable answer in 2 attempts") as caught:
        await draft("nothing", "nothing again")
    assert len(caught.value.attempts) == 2


async def test_the_usage_of_a_request_is_counted_with_its_first_draft():
    made, _ = await draft(says(json=[DRAFT, DRAFT], usage=Usage(calls=1, prompt_tokens=9)), per_trajectory=2)
    assert [qa.usage.prompt_tokens for qa in made.drafts] == [9, 0]
    assert [qa.id for qa in made.drafts] == ["s/p0#0", "s/p0#1"]


async def test_the_synthesizer_is_told_what_is_wanted():
    _, model = await draft(
        says(json=[]),
        per_trajectory=3,
        min_hops=4,
        tips="Ask of ${places}.",
        examples=({"question": "Wo?", "answer": "Zürich"},),
        answer_types=("place", "date"),
    )
    text = model.requests[0].messages[-1].text
    for part in ("up to 3 question", "at least 4 different", "Ask of ${places}.", '"Zürich"', "of type place or date"):
        assert part in text
    assert '<observation node="s/0.0" tool="facts:look" params={"name": "é"}>\nBern is a town\n</observation>' in text


# ---- budgets


def test_observations_are_shown_whole_or_not_at_all():
    nodes = [ROOT, node(1, "a" * 400, novelty=0.9), node(2, "b" * 400, novelty=0.2), node(3, "c" * 400, novelty=0.5)]
    text = render_observations(nodes, 2 * estimate_tokens("a" * 400))
    assert "a" * 400 in text
    assert "c" * 400 in text
    assert "b" not in text.replace("observation", "")


def test_the_observation_with_the_most_new_text_is_shown_in_any_case():
    text = render_observations([ROOT, node(1, "a" * 4000, novelty=0.1), node(2, "b" * 4000, novelty=0.9)], 10)
    assert "b" * 4000 in text
    assert "a" * 4000 not in text


def test_a_smaller_observation_takes_the_place_of_one_that_does_not_fit():
    nodes = [node(1, "a" * 400, novelty=0.9), node(2, "b" * 4000, novelty=0.8), node(3, "c" * 40, novelty=0.1)]
    text = render_observations(nodes, 150)
    assert "c" * 40 in text
    assert "b" * 4000 not in text


def test_failures_are_not_shown_to_the_synthesizer_and_long_texts_as_the_explorer_saw_them():
    text = render_observations([node(1, "error", ok=False), node(2, "whole", shown="cut")], 1000)
    assert "error" not in text
    assert "cut" in text
    assert "whole" not in text


def test_the_history_keeps_the_latest_observations_and_names_the_others():
    text = render_history([ROOT, node(1, "a" * 400), node(2, "b" * 400), node(3, "c" * 400)], 210)
    assert "a" * 400 not in text
    assert "[s/0.0] facts:look" in text
    assert "[left out for length]" in text
    assert text.index("b" * 400) < text.index("c" * 400)


def test_a_path_without_steps_has_no_history():
    assert render_history([ROOT], 100) == "(nothing yet)"
