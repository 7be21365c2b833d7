"""Gates that ask a solver without tools: it needs the evidence, all of it, and the evidence allows one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.config import option
from agentflow_core.errors import ConfigError, Problem
from agentflow_core.gates.asking import Grading, all_answers, ask_solver, grade
from agentflow_core.gates.reading import hops
from agentflow_core.gates.showing import TAGS, evidence_steps, show_evidence, tools_of
from agentflow_core.interfaces import GateContext, GateOutcome
from agentflow_core.prompts import defused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.gates.asking import Grade
    from agentflow_core.gates.reading import Hop
    from agentflow_core.records import QA

__all__ = [
    "ClosedBook",
    "ClosedBookConfig",
    "LeaveOneOut",
    "LeaveOneOutConfig",
    "RoundTrip",
    "RoundTripConfig",
    "Unique",
    "UniqueConfig",
]

#: A solver that lists more answers than this does not know one.
_MOST_ANSWERS = 20
_GRADING = "'judge': a model decides where the texts are not plainly equal; 'match': they have to be"


@frozen(kw_only=True)
class ClosedBookConfig:
    """How often the solver tries without tools, and how often it may be right."""

    samples: int = option(1, help="answers that the solver gives", at_least=1, at_most=100)
    max_solved: int = option(0, help="how many of them may be right", at_least=0)
    grading: Grading = option("judge", help=_GRADING)


class ClosedBook:
    """The solver, without tools and documents, does not know the answer.

    It is asked for its best guess, so that of yes and no it is right by chance half of the time: where such questions
    are wanted, several samples tell knowing from guessing.
    """

    prompts = ("gates.closed_book", "metrics.judge")

    def __init__(self, config: ClosedBookConfig | None = None) -> None:
        self.config = config or ClosedBookConfig()

    async def check(self, draft: QA, context: GateContext) -> GateOutcome:
        """See the class."""
        config = self.config
        text = context.prompts("gates.closed_book").render(question=defused(draft.question, *TAGS))
        solved = 0
        said = ""
        for sample in range(config.samples):
            answer = await ask_solver(context, text, draft.question, sample=sample)
            found = await grade(draft, answer, context, config.grading, sample=sample)
            solved += found.right
            said = said or found.answer
            if solved > config.max_solved:
                reason = f"without tools the solver says {found.answer!r}{_of(solved, sample + 1)}"
                return GateOutcome(passed=False, reason=reason)
        reason = f"without tools the solver says {said!r}{_of(solved, config.samples)}"
        return GateOutcome(passed=True, reason=reason)


@frozen(kw_only=True)
class RoundTripConfig:
    """How often the solver tries with the evidence, and how often it has to be right."""

    samples: int = option(1, help="answers that the solver gives", at_least=1, at_most=100)
    min_solved: int = option(1, help="how many of them have to be right", at_least=1)
    grading: Grading = option("judge", help=_GRADING)

    def __attrs_post_init__(self) -> None:
        """Refuse what no draft can pass."""
        if self.min_solved > self.samples:
            raise ConfigError([Problem(f"is more than samples, {self.samples}", path="min_solved")])


class RoundTrip:
    """The solver, given the question and the quoted evidence and nothing else, gets the answer."""

    prompts = ("gates.from_evidence", "metrics.judge")

    def __init__(self, config: RoundTripConfig | None = None) -> None:
        self.config = config or RoundTripConfig()

    async def check(self, draft: QA, context: GateContext) -> GateOutcome:
        """See the class."""
        config = self.config
        solved = 0
        said = ""
        for sample in range(config.samples):
            found = await _from_evidence(draft, hops(draft), context, config.grading, sample)
            solved += found.right
            said = found.answer
            if solved >= config.min_solved:
                reason = f"from the evidence the solver says {said!r}{_of(solved, sample + 1)}"
                return GateOutcome(passed=True, reason=reason)
        reason = f"from the evidence the solver says {said!r}{_of(solved, config.samples)}"
        return GateOutcome(passed=False, reason=reason)


@frozen(kw_only=True)
class LeaveOneOutConfig:
    """How often the solver tries without each hop."""

    samples: int = option(1, help="answers that the solver gives without a hop; none may be right", at_least=1)
    grading: Grading = option("judge", help=_GRADING)


class LeaveOneOut:
    """Without the evidence of any one hop the solver does not get the answer: every hop is needed.

    It says something only of a draft that the solver gets with all of the evidence: `RoundTrip` goes before it.
    """

    prompts = ("gates.from_evidence", "metrics.judge")

    def __init__(self, config: LeaveOneOutConfig | None = None) -> None:
        self.config = config or LeaveOneOutConfig()

    async def check(self, draft: QA, context: GateContext) -> GateOutcome:
        """See the class."""
        found = hops(draft)
        if len(found) < 2:
            return GateOutcome(
                passed=False, reason=f"there are {len(found)} hops with evidence; to leave one out takes two"
            )
        for left_out in found:
            others = [hop for hop in found if hop is not left_out]
            for sample in range(self.config.samples):
                said = await _from_evidence(draft, others, context, self.config.grading, sample)
                if said.right:
                    reason = f"without the evidence of step {left_out.number} the solver still says {said.answer!r}"
                    return GateOutcome(passed=False, reason=reason)
        return GateOutcome(passed=True, reason=f"the solver needs the evidence of each of the {len(found)} hops")


@frozen(kw_only=True)
class UniqueConfig:
    """How the answers that the solver finds are compared with the draft's."""

    samples: int = option(1, help="how often the solver looks for answers", at_least=1, at_most=100)
    grading: Grading = option("judge", help=_GRADING)


class Unique:
    """Every answer that the solver finds consistent with the evidence is the answer or an alias, and it finds one."""

    prompts = ("gates.all_answers", "metrics.judge")

    def __init__(self, config: UniqueConfig | None = None) -> None:
        self.config = config or UniqueConfig()

    async def check(self, draft: QA, context: GateContext) -> GateOutcome:
        """See the class."""
        found = hops(draft)
        text = context.prompts("gates.all_answers").render(
            question=defused(draft.question, *TAGS), evidence=show_evidence(found, context.path)
        )
        answers: dict[str, None] = {}
        for sample in range(self.config.samples):
            said = await ask_solver(
                context,
                text,
                draft.question,
                sample=sample,
                steps=evidence_steps(found, context.path),
                tools=tools_of(context.path),
            )
            answers |= dict.fromkeys(all_answers(said))
        if not answers:
            return GateOutcome(passed=False, reason="the solver finds no answer that is consistent with the evidence")
        if len(answers) > _MOST_ANSWERS:
            return GateOutcome(passed=False, reason=f"the solver finds {len(answers)} different answers")
        for answer in answers:
            said_answer = f"<answer>{answer}</answer>"
            graded = await grade(draft, said_answer, context, self.config.grading)
            if not graded.right:
                reason = f"the evidence allows {graded.answer!r} too, which is no alias of {draft.answer!r}"
                return GateOutcome(passed=False, reason=reason)
        return GateOutcome(passed=True, reason=f"the evidence allows {draft.answer!r} only")


async def _from_evidence(draft: QA, shown: Sequence[Hop], context: GateContext, grading: Grading, sample: int) -> Grade:
    """What the solver makes of the question and the evidence of some hops."""
    text = context.prompts("gates.from_evidence").render(
        question=defused(draft.question, *TAGS), evidence=show_evidence(shown, context.path)
    )
    said = await ask_solver(
        context,
        text,
        draft.question,
        sample=sample,
        steps=evidence_steps(shown, context.path),
        tools=tools_of(context.path),
    )
    return await grade(draft, said, context, grading, sample=sample)


def _of(solved: int, tried: int) -> str:
    return f" and is right {solved} of {tried} times" if tried > 1 else ""
