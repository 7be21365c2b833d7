"""Describe how an agent used its tools; nothing is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.records import Score

if TYPE_CHECKING:
    from agentflow_core.interfaces import MetricContext, ScoredSample

__all__ = ["ToolUse"]


class ToolUse:
    """Figures of a trajectory, whatever its outcome; ungraded, since more calls are neither better nor worse.

    - ``turns``: answers of the model.
    - ``calls``: tool calls that were answered.
    - ``distinct_tools``: different tools among them.
    - ``errors``: calls that failed, by the code of their result.
    - ``recovery``: the share of the failed calls after which a later call succeeded; only where a call failed.

    Calls of one turn count as one after the other, in their order. Of a conversation that was imported without the
    codes of its results, errors and recovery are not known and left out.
    """

    async def score(self, sample: ScoredSample, context: MetricContext) -> Score:
        """See the class."""
        if sample.trajectory is None:
            return Score(value=0.0, graded=False, reason="there is no trajectory")
        messages = sample.trajectory.messages
        figures = {"turns": float(sum(message.role == "assistant" for message in messages))}
        ended = [call for step in sample.trajectory.steps for call in step.tools]
        names = [str(call.get("tool")) for call in ended] or [call.name for one in messages for call in one.tool_calls]
        figures |= {"calls": float(len(names)), "distinct_tools": float(len(set(names)))}
        reason = f"{len(names)} calls of {len(set(names))} tools"
        if ended or not names:
            succeeded = [call.get("code") == "ok" for call in ended]
            last_success = max((index for index, good in enumerate(succeeded) if good), default=0)
            errors, recovered = succeeded.count(False), succeeded[:last_success].count(False)
            figures["errors"] = float(errors)
            if errors:
                figures["recovery"] = recovered / errors
                reason += f", {errors} failed, {recovered} of them with a success after it"
        return Score(value=0.0, graded=False, reason=reason, figures=figures)
