"""The JSON Lines of OpenAI fine-tuning: ``{messages, tools}`` a line, in the chat format with tool calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentflow_core.export.chat import chat_messages, check_chat, check_tools, conversations, data_url, function_of
from agentflow_core.export.formats import Format, Pictures, read_lines, write_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentflow_core.export.selection import Source

__all__ = ["OpenAIExporter"]


class OpenAIExporter(Format):
    """A line for each answered conversation; arguments as the model wrote them, pictures as data URLs."""

    def write(self, source: Source, output: Path, pictures: Pictures) -> int:
        """See `Format.write`."""
        picture = data_url(source.run.blobs)

        def lines() -> Iterator[dict[str, Any]]:
            for example in conversations(source):
                messages = chat_messages(example.messages, picture)
                yield {"messages": messages, "tools": [function_of(tool) for tool in example.tools]}

        return write_lines(output, lines())

    def check(self, output: Path) -> int:
        """Every call is answered, every conversation comes to an answer."""
        count = 0
        for where, value in read_lines(output):
            check_chat(value.get("messages"), where)
            check_tools(value.get("tools"), where)
            count += 1
        return count
