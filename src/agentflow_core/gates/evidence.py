"""Gates on the evidence of a draft: its quotes stand in the observations, and they give the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from agentflow_core.gates.computing import computation
from agentflow_core.gates.reading import answer_forms, hops, is_yes_no, list_items
from agentflow_core.interfaces import GateContext, GateOutcome
from agentflow_core.text import Span, find_quote, is_bare_number, normalize_answer, only_number, states

if TYPE_CHECKING:
    from agentflow_core.records import QA, Evidence, Node, Observation

__all__ = ["AnswerSupported", "Grounded"]

_SHORTEST_QUOTE = 8
_SOURCE_RANGE = frozenset({"start", "end"})
_TOP_LEVEL_SOURCE = ("doc_id", "url", "file", "path", "page", "table")


class Grounded:
    """Every quote stands in the stored, whole observation of its node; its place and source are put on the draft.

    A quote may differ in white space, quotation marks and dashes; it is then replaced by what the observation has, so
    that ``text[start:end] == quote`` always. Refused are quotes of failed observations and of nodes off the path,
    quotes that run over the cut of what the model was shown or over two sources, and quotes of fewer than 8 characters
    unless they are the answer. ``source`` is the entry of the observation's ``data.sources`` that the quote lies in.
    """

    async def check(self, draft: QA, context: GateContext) -> GateOutcome:
        """See the class."""
        nodes = {node.id: node for node in context.path}
        answers = {normalize_answer(form) for form in answer_forms(draft)}
        steps = []
        count = 0
        for number, step in enumerate(draft.reasoning_steps, 1):
            found = []
            for evidence in step.evidence:
                placed = _placed(evidence, nodes.get(evidence.node), answers)
                if isinstance(placed, str):
                    return GateOutcome(passed=False, reason=f"step {number}: {placed}")
                found.append(placed)
            count += len(found)
            steps.append(evolve(step, evidence=tuple(found)))
        if not count:
            return GateOutcome(passed=False, reason="there is no evidence")
        refined = evolve(draft, reasoning_steps=tuple(steps))
        reason = (
            "the quote stands in its observation" if count == 1 else f"all {count} quotes stand in their observations"
        )
        return GateOutcome(passed=True, reason=reason, draft=refined)


def _placed(evidence: Evidence, node: Node | None, answers: set[str]) -> Evidence | str:
    """The evidence with its place, or why it has none."""
    if node is None:
        return f"{evidence.node!r} is not a node of the path"
    observation = node.result
    if observation is None:
        return f"node {node.id} has no observation"
    if not observation.ok or node.error is not None:
        return f"the observation of {node.id} is a failure ({node.error or observation.code})"
    quote = evidence.quote.strip()
    shown = quote if len(quote) <= 60 else f"{quote[:57]}…"
    if len(quote) < _SHORTEST_QUOTE and normalize_answer(quote) not in answers:
        return f"the quote {shown!r} is too short to be evidence" if quote else "a quote is empty"
    hidden = _hidden(observation)
    ranges = _source_ranges(observation.data)
    problem = f"the quote {shown!r} does not stand in the observation of {node.id}"
    for span in _preferred(find_quote(quote, observation.text), evidence):
        if hidden is not None and _crosses(span, hidden):
            problem = f"the quote {shown!r} crosses the cut of what was shown of {node.id}"
            continue
        touched = [entry for entry in ranges if entry.start < span.end and span.start < entry.end]
        if len(touched) > 1 and not any(_inside(span, entry) for entry in touched):
            problem = f"the quote {shown!r} runs over {len(touched)} sources of {node.id}"
            continue
        source = next((entry.source for entry in touched if _inside(span, entry)), None)
        if source is None:
            source = _whole_source(observation.data) if not ranges else evidence.source
        exact = observation.text[span.start : span.end]
        return evolve(evidence, quote=exact, start=span.start, end=span.end, source=source or evidence.source)
    return problem


def _preferred(spans: Iterator[Span], evidence: Evidence) -> Iterator[Span]:
    """The span that the draft itself names first, so that judging twice changes nothing; then the others."""
    if evidence.start is None:
        return islice(spans, 64)
    return iter(sorted(islice(spans, 64), key=lambda span: span.start != evidence.start))


def _hidden(observation: Observation) -> Span | None:
    """The part of the text that the model was not shown."""
    text, shown = observation.text, observation.shown
    if shown is None or shown == text:
        return None
    head = _alike(text, shown)
    tail = _alike(text[::-1], shown[::-1])
    return Span(head, max(head, len(text) - tail))


def _alike(left: str, right: str) -> int:
    """How many characters at the start of two texts are the same."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[:middle] == right[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _crosses(span: Span, hidden: Span) -> bool:
    starts_shown = span.start < hidden.start
    ends_shown = span.end > hidden.end
    touches = span.start < hidden.end and span.end > hidden.start
    return touches and (starts_shown or ends_shown)


@frozen
class _Range:
    start: int
    end: int
    source: Mapping[str, Any]


def _inside(span: Span, entry: _Range) -> bool:
    return entry.start <= span.start and span.end <= entry.end


def _source_ranges(data: Any) -> list[_Range]:
    sources = data.get("sources") if isinstance(data, Mapping) else None
    if not isinstance(sources, list | tuple):
        return []
    return [
        _Range(entry["start"], entry["end"], {key: value for key, value in entry.items() if key not in _SOURCE_RANGE})
        for entry in sources
        if isinstance(entry, Mapping) and isinstance(entry.get("start"), int) and isinstance(entry.get("end"), int)
    ]


def _whole_source(data: Any) -> Mapping[str, Any]:
    """What the observation as a whole comes from, where its data say it at the top."""
    if not isinstance(data, Mapping):
        return {}
    return {key: data[key] for key in _TOP_LEVEL_SOURCE if isinstance(data.get(key), str | int)}


class AnswerSupported:
    """The last hop's evidence states the answer or an alias, or the answer is computed from the evidence.

    Stated: word for word apart from case, punctuation and articles, as an equal number, or as the same date in another
    form; of a list, every item in the evidence of some hop. Computed: a number that is a count, sum, difference, ratio,
    average, greatest or least of numbers in the evidence (see `computation`); yes or no, where two hops have evidence.
    """

    async def check(self, draft: QA, context: GateContext) -> GateOutcome:
        """See the class."""
        found = hops(draft)
        if not found:
            return GateOutcome(passed=False, reason="there is no evidence")
        last = found[-1]
        if is_yes_no(draft):
            supported = len(found) >= 2
            reason = f"yes or no is decided from the evidence of {len(found)} hop{'s' if len(found) > 1 else ''}"
            return GateOutcome(passed=supported, reason=reason if supported else f"{reason}; it takes two")
        for form in answer_forms(draft):
            if states(form, draft.answer_type, last.quotes):
                return GateOutcome(passed=True, reason=f"{form!r} stands in the evidence of step {last.number}")
        everything = "\n".join(hop.quotes for hop in found)
        if draft.answer_type == "list":
            missing = [item for item in list_items(draft.answer) if not states(item, "entity", everything)]
            if not missing:
                return GateOutcome(passed=True, reason="every item of the list stands in the evidence")
            return GateOutcome(passed=False, reason=f"{missing[0]!r} of the list does not stand in the evidence")
        if draft.answer_type == "number" or is_bare_number(draft.answer):
            value = only_number(draft.answer)
            if value is not None and (how := computation(value, draft.answer, found)):
                return GateOutcome(passed=True, reason=f"{draft.answer!r} is {how}")
        return GateOutcome(
            passed=False,
            reason=f"{draft.answer!r} neither stands in the evidence of step {last.number} nor follows from it",
        )
