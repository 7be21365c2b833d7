"""Which drafts of a run count."""

from __future__ import annotations

import pytest
from attrs import evolve

from agentflow_core.gates.duplicate import Duplicate
from agentflow_core.records import QA, Evidence, ReasoningStep, Verdict
from agentflow_core.synthesis.judging import Admission, Gates

GATES = Gates(of_draft=(), of_run=(("duplicate", Duplicate),))
PASSED = Verdict(name="schema", passed=True)


def draft(number, question="", **fields):
    quote = Evidence(node=f"s{number}/0.0", quote=f"the quote of number {number}")
    return QA(
        id=f"qa-{number}",
        seed_id=f"s{number}",
        path_id="p",
        question=question or f"What is the colour of the thing that is called thing number {number} of all?",
        answer=f"colour {number}",
        reasoning_steps=(ReasoningStep(step="x", evidence=(quote,)),),
        gates=(PASSED,),
        **fields,
    )


def version(original, question):
    return evolve(original, id=f"{original.id}~obfuscate", question=question, parent_qa_id=original.id, gates=(PASSED,))


def admitted(*drafts, target=None):
    admission = Admission(GATES, target)
    for each in drafts:
        admission.add(each)
    return admission


def ids(drafts):
    return [each.id for each in drafts]


def test_a_version_is_no_duplicate_of_the_draft_that_it_was_made_from():
    first = draft(1)
    found = admitted(first, version(first, f"{first.question[:-1]}, really?"))
    assert ids(found.accepted) == ["qa-1", "qa-1~obfuscate"]


def test_a_version_can_be_a_duplicate_of_another_draft():
    first, second = draft(1), draft(2, "Of which hue would you say that it is?")
    found = admitted(first, second, version(second, first.question))
    assert ids(found.rejected) == ["qa-2~obfuscate"]
    assert found.rejected[0].gates[-1].reason == "the question is that of qa-1"


def test_a_later_draft_can_be_a_duplicate_of_a_version():
    first = draft(1)
    found = admitted(
        first, version(first, "Of which hue is the first thing?"), draft(2, "Of which hue is the first thing?")
    )
    assert ids(found.rejected) == ["qa-2"]


def test_a_version_falls_with_the_draft_that_it_was_made_from():
    first = draft(1)
    second = draft(2, first.question)
    found = admitted(first, second, version(second, "Something else, in other words altogether?"))
    assert ids(found.accepted) == ["qa-1"]
    assert ids(found.rejected) == ["qa-2", "qa-2~obfuscate"]
    verdict = found.rejected[1].gates[-1]
    assert (verdict.name, verdict.passed) == ("duplicate", False)
    assert verdict.reason == "qa-2, which it was made from, was refused"


def test_what_follows_the_target_is_neither_accepted_nor_rejected():
    refused = evolve(draft(3), gates=(Verdict(name="leak", passed=False),))
    found = admitted(draft(1), draft(2), refused, draft(4), target=2)
    assert (ids(found.accepted), ids(found.rejected), found.beyond) == (["qa-1", "qa-2"], [], 2)


def test_what_is_refused_does_not_count_towards_the_target():
    refused = evolve(draft(1), gates=(Verdict(name="leak", passed=False),))
    found = admitted(refused, draft(2), target=1)
    assert (found.is_full, ids(found.accepted)) == (True, ["qa-2"])


def test_a_version_of_the_last_question_of_the_target_is_accepted_too():
    first, second = draft(1), draft(2)
    versions = [version(each, f"{each.question[:-1]}, in other words?") for each in (first, second)]
    found = admitted(first, versions[0], second, versions[1], target=1)
    assert (ids(found.accepted), found.beyond) == (["qa-1", "qa-1~obfuscate"], 2)


@pytest.mark.parametrize("passed", [False, None])
def test_a_draft_that_was_not_passed_is_not_accepted(passed):
    found = admitted(evolve(draft(1), gates=(PASSED, Verdict(name="closed_book", passed=passed, reason="error:x: y"))))
    assert (found.accepted, ids(found.rejected)) == ([], ["qa-1"])
