"""Answer a question by looking through pages, or do a task step by step; on the last turn say what there is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agentflow_browser.offline.answering import answer
from agentflow_browser.offline.doing import next_action
from agentflow_browser.offline.looking import look_on
from agentflow_browser.offline.seen import seen_in_steps
from agentflow_core.interfaces import Move
from agentflow_core.records import Action
from agentflow_core.text import action_key

if TYPE_CHECKING:
    from agentflow_core.records import SolveInputs

__all__ = ["solve"]

_SURE: Final = 0.95
_LIKELY: Final = 0.5
_URL: Final = re.compile(r"https?://[^\s\"'<>]+[^\s\"'<>.,;:!?)]")
_ASKS: Final = re.compile(
    r"\?\s*$|^(?:name|tell|find out|what|which|who|when|where|how|is|are|does|do)\b", re.IGNORECASE
)


def solve(inputs: SolveInputs) -> Move:
    """The next action, or the answer: what the pages tell, or that the task is done."""
    offered = {tool.name for tool in inputs.tools}
    seen = seen_in_steps(inputs.steps)
    is_last = inputs.turn >= inputs.max_turns - 1
    if inputs.steps and inputs.steps[-1].result.code == "blocked_by_dialog" and not is_last:
        accept = Action(tool="browser:dialog", params={"accept": True}, intent="Answer the dialog.")
        return Move(actions=(accept,), reasoning=accept.intent)
    if seen.now is None and not is_last:
        action = _open(inputs)
        looked = any(
            step.tool == action.tool and step.result.ok for step in inputs.steps
        )  # at a page that shows nothing
        return Move(actions=(action,), reasoning=action.intent) if action.tool in offered and not looked else Move()
    if not _ASKS.search(inputs.question.strip()):
        doing = None if is_last else next_action(inputs)
        if doing is not None and doing.tool in offered:
            return Move(actions=(doing,), reasoning=doing.intent)
        return Move(answer="done", confidence=0.5, reasoning="There is nothing more that the task asks for.")
    best = answer(inputs.question, seen)
    if best.confidence < _SURE and not is_last:
        further = look_on(inputs.question, seen, anywhere=best.confidence < _LIKELY)
        done = {action_key(step.tool, step.params) for step in inputs.steps}
        if further is not None and further.tool in offered and action_key(further.tool, further.params) not in done:
            return Move(actions=(further,), reasoning=further.intent)
    if not best.text:
        return Move()
    return Move(answer=best.text, confidence=best.confidence, reasoning=best.because)


def _open(inputs: SolveInputs) -> Action:
    """Open the address that the task names; else look at the page that is open."""
    url = _URL.search(inputs.question)
    if url is not None and not inputs.steps:
        return Action(tool="browser:navigate", params={"url": url[0]}, intent=f"Open {url[0]}.")
    return Action(tool="browser:snapshot", params={}, intent="See the page that is open.")
