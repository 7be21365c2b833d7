"""TRL's conversational language modelling: ``{messages, tools}`` a line, arguments as objects, pictures by path.

By the tool calling section of TRL's documentation, "Dataset formats and types". ``datasets`` 4.7 and later reads the
objects as they are; older versions fill them up with the keys of other lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentflow_core.export.chat import chat_messages, check_chat, check_tools, conversations, function_of
from agentflow_core.export.formats import Format, Pictures, Unfit, read_lines, write_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from agentflow_core.export.selection import Source
    from agentflow_core.records import ImagePart, Message

__all__ = ["TRLExporter", "check_pictures", "trl_messages"]


class TRLExporter(Format):
    """A line for each answered conversation; ``images`` lists the pictures of a line, in the order of their parts."""

    def write(self, source: Source, output: Path, pictures: Pictures) -> int:
        """See `Format.write`."""

        def lines() -> Iterator[dict[str, Any]]:
            for example in conversations(source, parsed_arguments=True):
                images: list[str] = []
                messages = trl_messages(example.messages, source, pictures, images)
                line: dict[str, Any] = {"messages": messages, "tools": [function_of(tool) for tool in example.tools]}
                yield {**line, "images": images} if images else line

        return write_lines(output, lines())

    def check(self, output: Path) -> int:
        """Every call is answered, every conversation comes to an answer, every picture is listed."""
        count = 0
        for where, value in read_lines(output):
            check_chat(value.get("messages"), where, parsed_arguments=True)
            check_tools(value.get("tools"), where)
            check_pictures(value, ("messages",), where)
            count += 1
        return count


def trl_messages(
    messages: Sequence[Message], source: Source, pictures: Pictures, images: list[str]
) -> list[dict[str, Any]]:
    """The messages as TRL takes them; the paths of their pictures are added to ``images``."""

    def picture(part: ImagePart) -> dict[str, Any]:
        images.append(pictures.add(source.run.blobs, part))
        return {"type": "image"}

    return chat_messages(messages, picture, parsed_arguments=True)


def check_pictures(value: dict[str, Any], columns: Sequence[str], where: str) -> None:
    """As many pictures are listed as the messages have places for. Raises `Unfit` where they differ."""
    contents = [message.get("content") for column in columns for message in value[column]]
    places = sum(part["type"] == "image" for content in contents if isinstance(content, list) for part in content)
    if places != len(value.get("images") or ()):
        raise Unfit(f"{where}: {places} places for pictures, but {len(value.get('images') or ())} pictures")
