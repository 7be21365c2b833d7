"""Gates in order, and the gate across drafts."""

from __future__ import annotations

from attrs import evolve

from agentflow_core.builtin import agentflow_gates
from agentflow_core.contributions import GateSpec
from agentflow_core.gates.duplicate import Duplicate
from agentflow_core.gates.run import in_order_of_cost, judge_draft, passed
from agentflow_core.interfaces import GateContext, GateOutcome
from agentflow_core.records import Seed, Verdict
from agentflow_core.refs import resolve


class Says:
    """A gate that answers what it was made with, and remembers whether it was asked."""

    def __init__(self, ok, **fields):
        self.ok, self.fields, self.asked = ok, fields, 0

    async def check(self, draft, context):
        self.asked += 1
        changed = evolve(draft, **self.fields) if self.fields else None
        return GateOutcome(passed=self.ok, reason=f"ok={self.ok}", draft=changed)


async def judge(case, *gates):
    context = GateContext(seed=Seed(id="s", content=""), path=case.path)
    return await judge_draft(case.draft, gates, context)


async def test_the_first_refusal_ends_the_judgement(case):
    last = Says(True)
    judged = await judge(case, ("a", Says(True)), ("b", Says(False)), ("c", last))
    assert judged.gates == (
        Verdict(name="a", passed=True, reason="ok=True"),
        Verdict(name="b", passed=False, reason="ok=False"),
    )
    assert (last.asked, passed(judged)) == (0, False)


async def test_what_a_gate_adds_is_seen_by_the_next_and_kept(case):
    judged = await judge(case, ("a", Says(True, difficulty="hard")), ("b", Says(True)))
    assert (judged.difficulty, passed(judged), len(judged.gates)) == ("hard", True, 2)


async def test_what_a_refusing_gate_changed_is_not_kept(case):
    assert (await judge(case, ("a", Says(False, difficulty="hard")))).difficulty == ""


async def test_the_built_in_gates_accept_a_good_draft(case):
    gates = [
        (spec.name, resolve(spec.target)()) for spec in agentflow_gates() if spec.scope == "draft" and not spec.config
    ]
    judged = await judge(case, *gates)
    assert passed(judged), judged.gates[-1]
    assert [verdict.name for verdict in judged.gates] == [
        "schema",
        "leak",
        "self_contained",
        "grounded",
        "answer_supported",
        "chain",
        "multi_hop",
    ]
    assert all(verdict.reason for verdict in judged.gates)


def test_cheap_gates_come_first_and_those_of_the_run_last():
    def spec(name, needs="nothing", scope="draft"):
        return GateSpec(name, target="a:B", summary="x", needs=needs, scope=scope)

    specs = [spec("d", scope="run"), spec("c", "model"), spec("b", "sandbox"), spec("a")]
    assert [item.name for item in in_order_of_cost(specs)] == ["a", "b", "c", "d"]


def test_of_the_gates_that_ask_models_those_with_few_calls_come_first():
    names = [spec.name for spec in in_order_of_cost(reversed(list(agentflow_gates()))) if spec.needs != "nothing"]
    assert set(names[:2]) == {"closed_book", "round_trip"}
    assert names[2:] == ["unique", "leave_one_out", "pass_rate"]


def other(case, number, **fields):
    return evolve(case.draft, id=f"qa-{number}", **fields)


def test_a_question_asked_again_is_refused_with_the_earlier_one_named(case):
    gate = Duplicate()
    assert gate.admit(case.draft).passed
    again = gate.admit(other(case, 2, question="where was the director of the film '11 Harrowhouse' born"))
    assert (again.passed, again.reason) == (False, "the question is that of qa-1")
    near = gate.admit(
        other(case, 3, question=case.draft.question.replace("Where was", "In which place was"), answer="x")
    )
    assert near.passed
    long = "the director of the film 11 Harrowhouse from the novel by Gerald Browne with James Mason and Trevor Howard"
    assert gate.admit(other(case, 4, question=f"Where was {long} born?", answer="y")).passed
    close = gate.admit(other(case, 5, question=f"Where was {long} himself born?", answer="z"))
    assert not close.passed
    assert close.reason.endswith("like that of qa-4")


def test_one_fact_is_asked_for_once(case):
    gate = Duplicate()
    assert gate.admit(case.draft).passed
    same_fact = other(case, 2, question="Aram Avakian made a film of 1974; in what borough did his life begin?")
    assert gate.admit(same_fact).reason == "qa-1 has the same answer from the same evidence"
    assert gate.admit(evolve(same_fact, answer="Kings County")).passed


def test_a_refused_draft_does_not_count_for_those_that_follow(case):
    gate = Duplicate()
    gate.admit(case.draft)
    refused = other(case, 2, question="What town saw the birth of the director of 11 Harrowhouse?")
    assert not gate.admit(refused).passed
    assert gate.admit(evolve(refused, id="qa-3", answer="Armenia")).passed
