"""Rewriting questions so that they are harder to look up."""

from __future__ import annotations

import pytest

from agentflow_core.errors import BadOutputError, ConfigError, RateLimitError
from agentflow_core.prompts import Prompts
from agentflow_core.records import QA, Evidence, Node, Observation, ReasoningStep, Usage
from agentflow_core.synthesis.obfuscating import ObfuscateConfig, Obfuscator
from agentflow_core.testing.models import ScriptedModel, says

TEXT = "11 Harrowhouse is a 1974 British film directed by Aram Avakian."
PATH = (
    Node(id="s/0", seed_id="s"),
    Node(id="s/0.0", seed_id="s", tool="rag:get", result=Observation(text=TEXT)),
)


def draft(question, **fields):
    steps = (ReasoningStep(step="the director", evidence=(Evidence(node="s/0.0", quote=TEXT),)),)
    return QA(id="qa", seed_id="s", path_id="p", question=question, answer="Aram", reasoning_steps=steps, **fields)


async def rewrite(question, said, config=None, **fields):
    reply = says(json={"question": said}) if isinstance(said, str) else said
    model = ScriptedModel([reply, reply])
    made = Obfuscator(
        model=model, config=config or ObfuscateConfig(dates="range", names="description"), prompts=Prompts()
    )
    found = await made.rewrite(draft(question, **fields), PATH)
    return found, model.requests


ASKED = "Who directed the film 11 Harrowhouse, which was first shown on 3 October 1974 in London?"


async def test_what_is_asked_for_is_what_the_question_has():
    _, (request,) = await rewrite(ASKED, "Who directed that film?")
    text = request.messages[-1].text
    assert "Dates and years become ranges" in text
    assert "Names become descriptions" in text
    assert TEXT in text
    _, (request,) = await rewrite("Who directed it in 1974?", "Who directed it in the 1970s?")
    assert "Names become" not in request.messages[-1].text


@pytest.mark.parametrize(
    ("question", "said", "reason"),
    [
        (ASKED, "Who directed the jewel heist film that was first shown in autumn?", ""),
        (ASKED, "Who directed the jewel heist film that was first shown on October 3, 1974?", "a date of the original"),
        ("Who directed it in 1974?", "Who directed it between 1974 and 1976?", "a date of the original"),
        ("Who directed it in 1974?", "Who directed it in the 1970s?", ""),
        ("Who directed 11 Harrowhouse?", "Who was it that directed 11 Harrowhouse?", "every name of the original"),
    ],
)
async def test_a_version_says_whether_it_hides_what_it_should(question, said, reason):
    found, _ = await rewrite(question, said)
    (verdict,) = found.draft.gates
    assert (verdict.name, verdict.passed) == ("obfuscate", not reason)
    assert reason in verdict.reason


async def test_a_version_is_linked_and_carries_what_it_used():
    found, _ = await rewrite(ASKED, "Who directed that film?", aliases=("A. Avakian",), answer_type="person")
    version = found.draft
    assert (version.id, version.parent_qa_id, version.usage) == ("qa~obfuscate", "qa", Usage(calls=1))
    assert (version.answer, version.aliases, version.answer_type) == ("Aram", ("A. Avakian",), "person")


async def test_the_pass_rate_of_the_original_is_not_that_of_the_version():
    extra = {"sql": "select 1", "pass_rate": 0.25, "drafted_difficulty": "easy"}
    found, _ = await rewrite(ASKED, "Who directed that film?", difficulty="1/4", extra=extra)
    assert (found.draft.difficulty, found.draft.extra) == ("easy", {"sql": "select 1"})


async def test_without_a_date_or_name_nobody_is_asked():
    found, requests = await rewrite("who was it that directed the film?", "x")
    assert (found.draft, found.failed, requests) == (None, False, [])


@pytest.mark.parametrize("said", [ASKED.upper(), BadOutputError("what?"), says("no JSON at all")])
async def test_what_is_no_other_question_is_no_version(said):
    found, _ = await rewrite(ASKED, said)
    assert (found.draft, found.failed) == (None, True)


async def test_a_model_that_fails_for_now_is_an_error():
    with pytest.raises(RateLimitError):
        await rewrite(ASKED, RateLimitError("slow down"))


async def test_the_users_advice_reaches_the_synthesizer():
    config = ObfuscateConfig(names="description", tips="Keep countries.")
    _, (request,) = await rewrite(ASKED, "Who directed that film?", config)
    assert "\nKeep countries.\n" in request.messages[-1].text


def test_an_obfuscation_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="obfuscates nothing"):
        ObfuscateConfig()
