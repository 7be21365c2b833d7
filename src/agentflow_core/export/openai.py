"""The JSON Lines of OpenAI fine-tuning: ``{messages, tools}`` a line, in the chat format with tool calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from agentflow_core.errors import DataError
from agentflow_core.export.conversations import conversations, offered_tools
from agentflow_core.records.chat import from_chat, to_chat
from agentflow_core.runs import RunReader
from agentflow_core.runs.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentflow_core.records import Message

__all__ = ["OpenAIExporter"]


class OpenAIExporter:
    """Writes a line for each conversation, and reads back what it wrote."""

    def export(self, run_dir: Path, output: Path) -> int:
        """Write ``output``; returns how many conversations it holds.

        Raises:
            DataError: a record of the run cannot be read, or what was written does not read back the same.
            StorageError: the disk refuses.
        """
        run = RunReader(run_dir)
        tools = offered_tools(run)
        output.parent.mkdir(parents=True, exist_ok=True)

        def lines() -> Iterator[bytes]:
            for conversation in conversations(run):
                example = {"messages": [_said(message) for message in conversation.messages], "tools": tools}
                yield orjson.dumps(example, option=orjson.OPT_APPEND_NEWLINE)

        write_atomic(output, lines())
        return _checked(output)


def _said(message: Message) -> dict[str, object]:
    value = to_chat(message)
    value.pop("reasoning_content", None)  # the format knows no reasoning
    return value


def _checked(output: Path) -> int:
    """How many conversations a file holds, each with every call answered and an answer at its end."""
    count = 0
    with output.open("rb") as file:
        for count, line in enumerate(file, 1):
            messages = [from_chat(value) for value in orjson.loads(line)["messages"]]
            asked = [call.id for message in messages for call in message.tool_calls]
            answered = [message.tool_call_id for message in messages if message.role == "tool"]
            if asked != answered or messages[-1].role != "assistant":
                raise DataError(f"{output}:{count}: a tool call without its answer, or no answer at the end")
    return count
