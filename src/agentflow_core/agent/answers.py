"""Where an agent's answer stands: in a tag, in its whole last message, or in a call of ``submit``."""

from __future__ import annotations

import re

from agentflow_core.records import ToolDefinition

__all__ = ["ANSWER_RULES", "SUBMIT", "tagged_answer"]

_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)

#: What the default system prompt says, by the configured rule.
ANSWER_RULES = {
    "tag": "When you know the answer, give it alone, as short as it can be, between <answer> and </answer>.",
    "last_message": "When you know the answer, reply with the answer alone, as short as it can be.",
    "tool": "When you know the answer, call the tool `submit` with it, as short as it can be.",
}

SUBMIT = ToolDefinition(
    name="submit",
    description="Give the final answer and end the task.",
    parameters={
        "type": "object",
        "properties": {"answer": {"type": "string", "description": "the answer alone, as short as it can be"}},
        "required": ["answer"],
        "additionalProperties": False,
    },
)


def tagged_answer(text: str) -> str:
    """The content of the last ``<answer>`` tag; a message without the tag is the answer as a whole."""
    found = _TAG.findall(text)
    return (found[-1] if found else text).strip()
