"""Gates on how the hops of a draft depend on one another: each is used, and no single observation does without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.gates.reading import (
    Hop,
    answer_forms,
    head_of_source,
    hops,
    is_executed_number,
    is_yes_no,
    place_id,
    usable_text,
)
from agentflow_core.interfaces import GateContext, GateOutcome
from agentflow_core.text import (
    Mention,
    constants,
    find_quote,
    is_function_word,
    mention_stands_in,
    param_texts,
    stands_in,
    states,
    strong_mentions,
    tokens,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentflow_core.records import QA, Node

__all__ = ["Chain", "MultiHop"]

_LONG_WORD = 4


class Chain:
    """Each hop's result is used by a later hop.

    A hop's *result* is what its evidence mentions by name (proper names, numbers, quoted strings, identifiers; where
    it mentions nothing, its words of four letters and more) that neither the question nor the answer has. It is *used*
    when it stands in the parameters of an action after the hop's node and up to the node of a later hop, in a later
    hop's quotes, or in the title of the document that they come from; of a name of several words the last word is
    enough. Where the answer is no quote but a conclusion (yes or no, or computed), a hop is also used when its evidence
    or the title above it names something of the question: the conclusion compares what was asked about.
    """

    async def check(self, draft: QA, context: GateContext) -> GateOutcome:
        """See the class."""
        found = hops(draft)
        if len(found) < 2:
            return GateOutcome(passed=False, reason=f"there are {len(found)} hops with evidence; a chain has two")
        nodes = {node.id: node for node in context.path}
        derived = _is_derived(draft, found)
        links = []
        for index, hop in enumerate(found):
            later = found[index + 1 :]
            link = _link(draft, hop, later, context.path, nodes) if later else None
            if link is None and derived:
                link = _asked_about(draft, hop, nodes)
            if link is None and (later or derived):
                return GateOutcome(passed=False, reason=f"nothing that step {hop.number} found is used by a later step")
            if link is not None:
                links.append(link)
        return GateOutcome(passed=True, reason="; ".join(links))


def _is_derived(draft: QA, found: Sequence[Hop]) -> bool:
    """Whether the answer is a conclusion rather than something that the last hop's evidence states."""
    return is_yes_no(draft) or not any(
        states(form, draft.answer_type, found[-1].quotes) for form in answer_forms(draft)
    )


def _link(draft: QA, hop: Hop, later: Sequence[Hop], path: Sequence[Node], nodes: Mapping[str, Node]) -> str | None:
    """How a later hop uses the hop's result, in words."""
    order = {node.id: position for position, node in enumerate(path)}
    made_at = max((order.get(evidence.node, 0) for evidence in hop.evidence), default=0)
    for mention in _results(draft, hop):
        for next_hop in later:
            reached = max((order.get(evidence.node, 0) for evidence in next_hop.evidence), default=0)
            heads = (head_of_source(item, nodes[item.node]) for item in next_hop.evidence if item.node in nodes)
            if _used_in(mention, "\n".join((next_hop.quotes, *heads))):
                return f"{mention.text!r} of step {hop.number} stands in the evidence of step {next_hop.number}"
            for node in path[made_at + 1 : reached + 1]:
                if _used_in(mention, "\n".join(param_texts(node.params))):
                    return f"{mention.text!r} of step {hop.number} is what {node.tool} was called with for step {next_hop.number}"
    return None


def _results(draft: QA, hop: Hop) -> list[Mention]:
    known = "\n".join((draft.question, *answer_forms(draft)))
    named = [mention for mention in strong_mentions(hop.quotes) if not mention_stands_in(mention, known)]
    if named or strong_mentions(hop.quotes):
        return named
    words = dict.fromkeys(word for word in tokens(hop.quotes) if len(word) >= _LONG_WORD and not is_function_word(word))
    return [Mention(kind="word", text=word, words=(word,)) for word in words if not stands_in(word, known)]


def _used_in(mention: Mention, text: str) -> bool:
    if mention_stands_in(mention, text):
        return True
    last = mention.words[-1]
    return mention.kind == "name" and len(mention.words) > 1 and len(last) >= _LONG_WORD and stands_in(last, text)


def _asked_about(draft: QA, hop: Hop, nodes: Mapping[str, Node]) -> str | None:
    heads = (head_of_source(evidence, nodes[evidence.node]) for evidence in hop.evidence if evidence.node in nodes)
    text = "\n".join((hop.quotes, *heads))
    for mention in strong_mentions(draft.question):
        if _used_in(mention, text):
            return f"the conclusion compares {mention.text!r}, which step {hop.number} is about"
    return None


class MultiHop:
    """No single observation answers the question, and the evidence comes from enough nodes and sources.

    The evidence has at least ``min_hops`` different nodes, and as many different sources where every quote has one.
    An observation of the path *answers* the question if it states the answer and holds every constant of the question:
    names, numbers, quoted strings; where the question has none, all its words of four letters and more. Where the
    answer is a conclusion (yes or no, or computed) or a number that the draft's query or program returned (schemas and
    profiles hold so many numbers that one is often there by chance), an observation answers the question if it holds
    every quote.
    """

    async def check(self, draft: QA, context: GateContext) -> GateOutcome:
        """See the class."""
        found = hops(draft)
        evidence = [item for hop in found for item in hop.evidence]
        used = {item.node for item in evidence}
        if len(used) < context.min_hops:
            return GateOutcome(
                passed=False, reason=f"the evidence comes from {len(used)} observation(s), not from {context.min_hops}"
            )
        sources = {place_id(item) for item in evidence}
        if None not in sources and len(sources) < context.min_hops:
            return GateOutcome(
                passed=False, reason=f"the evidence comes from {len(sources)} source(s): {min(map(str, sources))}"
            )
        if _is_derived(draft, found) or is_executed_number(draft):
            for node in context.path:
                text = usable_text(node)
                if text and all(next(find_quote(item.quote, text), None) is not None for item in evidence):
                    return GateOutcome(passed=False, reason=f"the observation of {node.id} holds every quote")
            return GateOutcome(passed=True, reason=f"no observation holds all {len(evidence)} quotes")
        wanted = constants(draft.question)
        for node in context.path:
            text = usable_text(node)
            if (
                text
                and any(states(form, draft.answer_type, text) for form in answer_forms(draft))
                and all(mention_stands_in(constant, text) for constant in wanted)
            ):
                named = ", ".join(constant.text for constant in wanted[:4]) or "nothing to look for"
                return GateOutcome(
                    passed=False,
                    reason=f"the observation of {node.id} holds {draft.answer!r} with all the question names: {named}",
                )
        return GateOutcome(
            passed=True,
            reason=f"no observation holds {draft.answer!r} with all {len(wanted)} constants of the question",
        )
