"""Ask for what one text tells of what another one names: ``the telephone of the maker of the Birch Stool``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentflow_core.records import QA, Evidence, ReasoningStep
from agentflow_core.text import hash64, numbers
from agentflow_vm.offline.seen import plain, seen_on_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_core.records import DraftInputs
    from agentflow_vm.offline.seen import Fact, Seen

__all__ = ["draft"]

_CHAIN: Final = 4  #: facts of one chain at most


def draft(inputs: DraftInputs) -> list[QA]:
    """A question for each chain of facts over at least two texts, the longest first."""
    seen = seen_on_path(inputs.path)
    salt = inputs.path[-1].id
    chains = sorted(_chains(seen), key=lambda chain: (-len(chain), hash64(f"{salt}\n{_question(chain)}")))
    drafts = [_drafted(chain, inputs.seed.id) for chain in chains if _is_fair(chain)]
    if inputs.answer_types:
        drafts = [each for each in drafts if each.answer_type in inputs.answer_types]
    return drafts[: inputs.n]


def _chains(seen: Seen) -> Iterator[tuple[Fact, ...]]:
    by_subject: dict[str, list[Fact]] = {}
    for fact in seen.facts:
        by_subject.setdefault(plain(fact.subject), []).append(fact)

    def longer(chain: tuple[Fact, ...]) -> Iterator[tuple[Fact, ...]]:
        for fact in by_subject.get(plain(chain[-1].value), ()):
            if all(fact.file != earlier.file for earlier in chain):
                yield (*chain, fact)
                if len(chain) + 1 < _CHAIN:
                    yield from longer((*chain, fact))

    for fact in seen.facts:
        yield from longer((fact,))


def _is_fair(chain: tuple[Fact, ...]) -> bool:
    """Whether the question does not tell the answer."""
    return plain(chain[-1].value) not in plain(_question(chain))


def _question(chain: tuple[Fact, ...]) -> str:
    of = f"the {chain[0].subject}"
    for fact in chain:
        of = f"the {fact.name.lower()} of {of}"
    return f"What is {of}?"


def _drafted(chain: tuple[Fact, ...], seed: str) -> QA:
    answer = chain[-1].value
    found = numbers(answer)
    is_number = len(found) == 1 and found[0].text == answer
    return QA(
        id="",
        seed_id=seed,
        path_id="",
        question=_question(chain),
        answer=answer,
        answer_type="number" if is_number else "entity",
        reasoning_steps=tuple(
            ReasoningStep(
                step=f"{fact.file} tells: the {fact.name.lower()} of the {fact.subject} is {fact.value}.",
                evidence=(Evidence(node=fact.node, quote=f"{fact.subject}"), Evidence(node=fact.node, quote=fact.line)),
            )
            for fact in chain
        ),
        difficulty="hard" if len(chain) > 2 else "medium",
        extra={"files": [fact.file for fact in chain]},
    )
