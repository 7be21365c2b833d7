"""The gate across drafts: no question twice, and no fact asked for twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.interfaces import GateOutcome
from agentflow_core.text import NearDuplicates, hash64, normalize, normalize_answer, shingles, tokens

if TYPE_CHECKING:
    from agentflow_core.records import QA

__all__ = ["Duplicate"]


class Duplicate:
    """Refuses a question that is nearly one before it, and one with the answer and the evidence of one before it.

    Nearly: the Jaccard similarity of their runs of two words is at least 0.8. An admitted draft counts for those that
    follow, so the order of the calls decides, and is the caller's: seed order. Drafts have different ids. A rewritten
    version may be like the draft that it was made from, and no other.
    """

    THRESHOLD = 0.8
    WORDS = 2

    def __init__(self) -> None:
        self._questions: NearDuplicates[str] = NearDuplicates(self.THRESHOLD)
        self._facts: dict[tuple[str, frozenset[int]], str] = {}
        self._admitted: dict[str, str] = {}

    def admit(self, draft: QA) -> GateOutcome:
        """The verdict on a draft that passed the other gates."""
        runs = shingles(draft.question, self.WORDS)
        same_words = " ".join(tokens(draft.question)) or normalize(draft.question)
        same = self._admitted.get(same_words)
        if same is not None and same != draft.parent_qa_id:
            return GateOutcome(passed=False, reason=f"the question is that of {same}")
        for key, similarity in self._questions.query(runs):
            if key == draft.parent_qa_id:
                continue
            return GateOutcome(passed=False, reason=f"the question is {similarity:.0%} like that of {key}")
        fact = (
            normalize_answer(draft.answer),
            frozenset(hash64(normalize(item.quote)) for step in draft.reasoning_steps for item in step.evidence),
        )
        other = self._facts.get(fact)
        if fact[1] and other is not None and other != draft.parent_qa_id:
            return GateOutcome(passed=False, reason=f"{other} has the same answer from the same evidence")
        self._questions.add(draft.id, runs)
        self._admitted.setdefault(same_words, draft.id)
        self._facts.setdefault(fact, draft.id)
        return GateOutcome(passed=True, reason="no earlier question is like it")
