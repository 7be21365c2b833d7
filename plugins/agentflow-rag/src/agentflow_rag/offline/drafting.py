"""Draft questions that bridge two documents: one says who or what is meant, the other holds the answer."""

from __future__ import annotations

import re
from collections import Counter
from itertools import permutations
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.policies import Ranked, best_drafts, calls_on_path
from agentflow_core.prose import answers_alone, base_title, hides, mentions_name, name_key
from agentflow_core.records import QA, Evidence, ReasoningStep
from agentflow_core.text import mentions
from agentflow_rag.offline.asking import Fact, facts
from agentflow_rag.offline.comparing import comparisons
from agentflow_rag.offline.describing import Description, descriptions
from agentflow_rag.offline.profiles import profile
from agentflow_rag.offline.reading import seen_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentflow_core.records import DraftInputs
    from agentflow_rag.offline.profiles import Profile

__all__ = ["draft"]

#: Of each pair of documents, so many descriptions and facts are combined.
_DESCRIPTIONS = 4
_FACTS = 8
_QUESTION_WORDS_MOST = 60
_SELF_WORDS_MOST = 14
_PARTED = re.compile(r",(?! \d{4}\b)")
_SINGULAR = {"are": "is", "were": "was"}


def draft(inputs: DraftInputs) -> list[QA]:
    """Up to ``inputs.n`` drafts over the documents that were read on the path, best first."""
    seen = seen_of(calls_on_path(inputs.path))
    profiles = _distinct([profile(read) for read in seen.read])
    texts = list(seen.texts.values())
    names = Counter(name_key(base_title(title)) for title in seen.hits.values())
    found = [
        draft
        for source, target in permutations(profiles, 2)
        if names[name_key(target.name)] == 1
        for draft in _bridges(inputs, source, target, texts)
    ]
    found += [
        Ranked(qa=_qa(inputs, made.question, made.answer, "yes_no", made.steps), rank=20)
        for left, right in permutations(profiles, 2)
        for made in comparisons(left, right)
    ]
    return best_drafts(found, inputs)


def _distinct(profiles: Sequence[Profile]) -> list[Profile]:
    found: dict[str, Profile] = {}
    for item in profiles:
        kept = found.get(item.doc_id)
        if kept is None or len(item.text) > len(kept.text):
            found[item.doc_id] = item
    return list(found.values())


def _bridges(inputs: DraftInputs, source: Profile, target: Profile, texts: Sequence[str]) -> Iterator[Ranked]:
    for description in descriptions(source, target)[:_DESCRIPTIONS]:
        for fact in facts(target)[:_FACTS]:
            question = _question(description, fact, target)
            if question is None or not hides(question, fact.answer, (target.name,)):
                continue
            for asked in _ways(question, source, target):
                if len(asked.question.split()) > _QUESTION_WORDS_MOST or not hides(
                    asked.question, fact.answer, (target.name,)
                ):
                    continue
                if answers_alone(asked.question, fact.answer, texts):
                    continue
                quotes = tuple(dict.fromkeys((description.sentence, *asked.sentences)))
                steps = (
                    _step(_first_step(description, target), source, quotes),
                    _step(_sentence(fact.statement.replace("{}", target.name)), target, (fact.sentence,)),
                )
                rank = description.rank + fact.rank + asked.rank
                yield Ranked(qa=_qa(inputs, asked.question, fact.answer, fact.answer_type, steps), rank=rank)
                break


@frozen(kw_only=True)
class _Asked:
    question: str
    sentences: tuple[str, ...] = ()  #: of the source, that it rests on too
    rank: int = 0


def _ways(question: str, source: Profile, target: Profile) -> Iterator[_Asked]:
    """The question with the source named, then with what the source says of itself in the place of its name."""
    yield _Asked(question=question)
    kind = source.kind
    named = re.compile(rf"(?<!\w)(?:[Tt]he )?{re.escape(source.name)}(?!\w|['’]s)")
    if kind is None or len(named.findall(question)) != 1:
        return
    for clause in source.clauses:
        words = clause.phrase.split()
        if clause.phrase.startswith((f"is the {kind.head}", f"was the {kind.head}")):
            continue
        if not 3 <= len(words) <= _SELF_WORDS_MOST or words[1] in ("a", "an") or _PARTED.search(clause.phrase):
            continue
        if mentions_name(target.name, clause.phrase) or not any(not item.weak for item in mentions(clause.phrase)):
            continue
        if any(item.text in question for item in mentions(clause.phrase)):
            continue
        said = f"the {kind.phrase} {kind.relative} {clause.phrase}"
        asked = named.sub(said.replace("\\", r"\\"), question, count=1)
        if not mentions_name(source.name, asked):
            yield _Asked(question=asked, sentences=(clause.sentence,), rank=2)


def _question(description: Description, fact: Fact, target: Profile) -> str | None:
    """The fact's question about the description; a description that holds the answer says less of its kind."""
    subject = description.text
    if target.kind is None:
        return None
    clue = description.clue
    if re.search(rf"(?<!\w){re.escape(fact.answer)}(?!\w)", f"{clue} {subject}"):
        subject = subject.replace(f"the {target.kind.phrase}", f"the {target.kind.head}", 1)
        clue = clue.replace(f"a certain {target.kind.phrase}", f"a certain {target.kind.head}", 1)
    asked = fact.question.replace("{}", subject)
    if target.kind.head in fact.question.replace("{}", "").split():
        return None
    asked = re.sub(r"\b(are|were) (that|the) ", lambda found: f"{_SINGULAR[found[1]]} {found[2]} ", asked, count=1)
    return f"{clue} {asked[0].upper()}{asked[1:]}" if clue else asked


def _first_step(description: Description, target: Profile) -> str:
    if not description.clue or target.kind is None:
        return _sentence(f"{description.text} is {target.name}")
    said = description.clue.replace(f"a certain {target.kind.phrase}", target.name)
    return said if said != description.clue else f"{description.clue} Meant is {target.name}."


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _step(said: str, where: Profile, quotes: tuple[str, ...]) -> ReasoningStep:
    return ReasoningStep(step=said, evidence=tuple(Evidence(node=where.node, quote=quote) for quote in quotes))


def _qa(inputs: DraftInputs, question: str, answer: str, answer_type: str, steps: tuple[ReasoningStep, ...]) -> QA:
    return QA(
        id="",
        seed_id=inputs.seed.id,
        path_id="",
        question=f"{question[0].upper()}{question[1:]}",
        answer=answer,
        answer_type=answer_type,
        reasoning_steps=steps,
    )
