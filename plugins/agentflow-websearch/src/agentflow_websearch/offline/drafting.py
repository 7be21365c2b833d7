"""Draft questions over two or three pages: each says what the next one is called, the last holds the answer."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from agentflow_core.policies import Ranked, best_drafts, calls_on_path
from agentflow_core.prose import answers_alone, hides, is_named_first, mentions_name, name_key
from agentflow_core.records import QA, Evidence, ReasoningStep
from agentflow_core.text import numbers
from agentflow_websearch.offline.asking import facts
from agentflow_websearch.offline.describing import descriptions
from agentflow_websearch.offline.pages import seen_of
from agentflow_websearch.offline.portraits import Portrait, portrait

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agentflow_core.records import DraftInputs
    from agentflow_websearch.offline.asking import Fact

__all__ = ["draft"]

_DESCRIPTIONS = 2  #: of a pair of pages
_FACTS = 8  #: of a page
_QUESTION_WORDS_MOST = 55
_COMPARISON_RANK = 6


@frozen(kw_only=True)
class _Described:
    """A subject, in words that do not name it, and the steps that lead to it."""

    text: str
    subject: Portrait
    on_the_way: tuple[Portrait, ...]  #: pages whose names the words hide, or begin from
    steps: tuple[ReasoningStep, ...]
    rank: int


def draft(inputs: DraftInputs) -> list[QA]:
    """Up to ``inputs.n`` drafts over the pages that were read on the path, best first."""
    seen = seen_of(calls_on_path(inputs.path))
    subjects = _distinct(portrait(page) for page in seen.pages)
    texts = list(seen.texts.values())
    found = [item for described in _described(subjects) for item in _asked(inputs, described, texts)]
    found += [item for left, right in permutations(subjects, 2) for item in _compared(inputs, left, right)]
    return best_drafts(found, inputs)


def _distinct(subjects: Iterable[Portrait]) -> list[Portrait]:
    """One page of a name, that with the longer text; a name that two different sites use is left out."""
    found: dict[str, Portrait] = {}
    for item in subjects:
        kept = found.get(item.page.key)
        if kept is None or len(item.page.text) > len(kept.page.text):
            found[item.page.key] = item
    uses = Counter(name_key(item.name) for item in found.values())
    return [item for item in found.values() if uses[name_key(item.name)] == 1 and item.kind is not None]


def _described(subjects: Sequence[Portrait]) -> Iterator[_Described]:
    """Every subject in the words of another page, and of another page about that page."""
    direct: list[_Described] = []
    for source, target in permutations(subjects, 2):
        for item in descriptions(source, target)[:_DESCRIPTIONS]:
            said = f"{item.text[0].upper()}{item.text[1:]} is {target.name}."
            step = ReasoningStep(step=said, evidence=(Evidence(node=source.page.node, quote=item.sentence),))
            direct.append(
                _Described(text=item.text, subject=target, on_the_way=(source,), steps=(step,), rank=2 * item.rank)
            )
    yield from direct
    for first in direct:
        for second in direct:
            bridge, names = second.on_the_way[0], (first.on_the_way[0], second.subject)
            if (
                first.subject is not bridge
                or bridge in names
                or names[0] is names[1]
                or second.text.count(bridge.shown) != 1
            ):
                continue
            yield _Described(
                text=second.text.replace(bridge.shown, first.text),
                subject=second.subject,
                on_the_way=(*first.on_the_way, bridge),
                steps=(
                    *first.steps,
                    evolve(second.steps[0], evidence=_naming(bridge, second.steps[0].evidence[0].quote)),
                ),
                rank=first.rank + second.rank,
            )


def _naming(subject: Portrait, quote: str) -> tuple[Evidence, ...]:
    """The quote, with the sentence before it that says what ``it`` is."""
    node = subject.page.node
    if mentions_name(subject.name, quote) or not subject.first:
        return (Evidence(node=node, quote=quote),)
    return (Evidence(node=node, quote=subject.first), Evidence(node=node, quote=quote))


def _asked(inputs: DraftInputs, described: _Described, texts: Sequence[str]) -> Iterator[Ranked]:
    target = described.subject
    hidden = [item.name for item in (target, *described.on_the_way[1:])]
    for fact in facts(target)[:_FACTS]:
        question = fact.question.replace("{}", described.text)
        question = f"{question[0].upper()}{question[1:]}"
        if len(question.split()) > _QUESTION_WORDS_MOST or not hides(question, fact.answer, hidden):
            continue
        if answers_alone(question, fact.answer, texts):
            continue
        last = ReasoningStep(step=_said(fact, target), evidence=_naming(target, fact.sentence))
        yield Ranked(
            qa=_qa(inputs, question, fact.answer, fact.answer_type, (*described.steps, last)),
            rank=described.rank + fact.rank,
        )


def _compared(inputs: DraftInputs, left: Portrait, right: Portrait) -> Iterator[Ranked]:
    """Which is greater, later, longer; each pair in one order only, which the names decide, so that yes and no come alike."""
    if not is_named_first(left.name, right.name):
        return
    theirs = {fact.compared: fact for fact in facts(right) if fact.compared}
    for mine in facts(left):
        other = theirs.get(mine.compared)
        if other is None or other.question != mine.question:
            continue
        values = [numbers(fact.answer) for fact in (mine, other)]
        if not all(len(value) == 1 for value in values) or values[0][0].value == values[1][0].value:
            continue
        steps = tuple(
            ReasoningStep(step=_said(fact, subject), evidence=_naming(subject, fact.sentence))
            for fact, subject in ((mine, left), (other, right))
        )
        question = mine.compared.format(left=left.shown, right=right.shown)
        answer = "yes" if values[0][0].value > values[1][0].value else "no"
        yield Ranked(qa=_qa(inputs, question, answer, "yes_no", steps), rank=_COMPARISON_RANK)
        return


def _said(fact: Fact, subject: Portrait) -> str:
    said = fact.said.replace("{}", subject.shown)
    return f"{said[0].upper()}{said[1:]}."


def _qa(inputs: DraftInputs, question: str, answer: str, answer_type: str, steps: tuple[ReasoningStep, ...]) -> QA:
    return QA(
        id="",
        seed_id=inputs.seed.id,
        path_id="",
        question=question,
        answer=answer,
        answer_type=answer_type,
        reasoning_steps=steps,
        extra={"hops": len(steps)},
    )
