"""The ShareGPT form of LLaMA-Factory: ``{conversations, system, tools}`` a line, with turns ``{from, value}``.

Turns alternate: ``human`` or ``observation``, then ``gpt`` or ``function_call``, as its converter wants it
(``src/llamafactory/data/converter.py``). ``function_call`` is the JSON of a call ``{name, arguments}``, or of a list of
them; the observations of several calls are one turn, the JSON list of their texts. ``tools`` is JSON in a text. What an
agent says beside a call has no place in the form and is left out.
"""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

import orjson

from agentflow_core.export.chat import arguments_of, conversations, function_of
from agentflow_core.export.formats import Format, Pictures, Unfit, read_lines, write_lines
from agentflow_core.records import ImagePart, Message, TextPart

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from agentflow_core.blobs import BlobStore
    from agentflow_core.export.selection import Source

__all__ = ["DATASET_INFO", "PICTURE", "ShareGPTExporter"]

PICTURE = "<image>"
_TAGS = (PICTURE, "<video>", "<audio>")  #: what the trainer puts media in place of
#: What ``dataset_info.json`` of LLaMA-Factory says of such a file, beside its name.
DATASET_INFO = {
    "formatting": "sharegpt",
    "columns": {"messages": "conversations", "system": "system", "tools": "tools", "images": "images"},
}
_ASKING = ("human", "observation")
_SAYING = ("gpt", "function_call")


class ShareGPTExporter(Format):
    """A line for each answered conversation whose turns alternate."""

    def write(self, source: Source, output: Path, pictures: Pictures) -> int:
        """See `Format.write`."""

        def lines() -> Iterator[dict[str, Any]]:
            for example in conversations(source, parsed_arguments=True):
                images: list[str] = []
                turns = _turns(example.messages, source.run.blobs, pictures, images)
                if turns is None:
                    source.left_out["turns that do not alternate"] += 1
                    continue
                if any(_places(turns, tag) != (len(images) if tag == PICTURE else 0) for tag in _TAGS):
                    source.left_out["a text that holds a place for pictures"] += 1
                    continue
                functions = [function_of(tool)["function"] for tool in example.tools]
                yield {
                    "conversations": turns,
                    "system": "\n\n".join(message.text for message in example.messages if message.role == "system"),
                    "tools": json.dumps(functions, ensure_ascii=False) if functions else "",
                    "images": images,
                }

        return write_lines(output, lines())

    def check(self, output: Path) -> int:
        """Turns alternate from a question to an answer, calls and tools are JSON, every picture has its place."""
        count = 0
        for where, value in read_lines(output):
            _check(value, where)
            count += 1
        return count

    def note(self, files: Sequence[Path]) -> str:
        """The entries for ``dataset_info.json``."""
        named = {path.stem.replace(".", "_"): {"file_name": path.name, **DATASET_INFO} for path in files}
        entries = json.dumps(named, ensure_ascii=False, indent=2)
        return f"## For LLaMA-Factory\n\nIn `dataset_info.json`:\n\n```json\n{entries}\n```"


def _turns(
    messages: Sequence[Message], blobs: BlobStore, pictures: Pictures, images: list[str]
) -> list[dict[str, str]] | None:
    """The turns; None where they cannot alternate."""
    turns: list[dict[str, str]] = []
    for role, group in groupby((message for message in messages if message.role != "system"), lambda each: each.role):
        said = list(group)
        if role == "assistant":
            if len(said) > 1:
                return None
            turns.append(_said(said[0]))
            continue
        texts = []
        for message in said:
            images += [pictures.add(blobs, part) for part in message.content if isinstance(part, ImagePart)]
            texts.append("".join(part.text if isinstance(part, TextPart) else PICTURE for part in message.content))
        if role == "tool":
            value = texts[0] if len(texts) == 1 else json.dumps(texts, ensure_ascii=False)
            turns.append({"from": "observation", "value": value})
        else:
            turns.append({"from": "human", "value": "\n\n".join(texts)})
    if turns and turns[-1]["from"] == "observation":  # of a call of submit, which is the answer
        turns.pop()
    is_even = len(turns) % 2 == 0 and bool(turns) and turns[0]["from"] == "human"
    alternate = all(turn["from"] in (_SAYING if number % 2 else _ASKING) for number, turn in enumerate(turns))
    return turns if is_even and alternate else None


def _places(turns: Sequence[dict[str, str]], tag: str) -> int:
    return sum(turn["value"].count(tag) for turn in turns)


def _said(message: Message) -> dict[str, str]:
    if not message.tool_calls:
        return {"from": "gpt", "value": message.text}
    calls = [{"name": call.name, "arguments": arguments_of(call.arguments)} for call in message.tool_calls]
    return {"from": "function_call", "value": json.dumps(calls[0] if len(calls) == 1 else calls, ensure_ascii=False)}


def _check(value: dict[str, Any], where: str) -> None:
    turns = value.get("conversations")
    if not isinstance(turns, list) or not turns or len(turns) % 2:
        raise Unfit(f"{where}: turns come in pairs")
    for number, turn in enumerate(turns):
        at = f"{where}, turn {number + 1}"
        if turn.get("from") not in (_SAYING if number % 2 else _ASKING) or not isinstance(turn.get("value"), str):
            raise Unfit(f"{at}: {turn.get('from')!r} does not stand there")
        if turn["from"] == "function_call":
            _check_calls(turn["value"], turns[number + 1 : number + 2], at)
        elif turn["from"] == "observation" and turns[number - 1]["from"] != "function_call":
            raise Unfit(f"{at}: it answers no call")
    for name in ("system", "tools"):
        if not isinstance(value.get(name), str):
            raise Unfit(f"{where}: {name!r} is no text")
    if value["tools"] and not isinstance(orjson.loads(value["tools"]), list):
        raise Unfit(f"{where}: 'tools' is no JSON list")
    if _places(turns, PICTURE) != len(value.get("images") or ()):
        raise Unfit(f"{where}: not as many pictures as places for them")


def _check_calls(text: str, following: list[dict[str, str]], at: str) -> None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Unfit(f"{at}: not JSON: {error}") from error
    calls = value if isinstance(value, list) else [value]
    if not all(
        isinstance(call, dict) and isinstance(call.get("arguments"), dict) and call.get("name") for call in calls
    ):
        raise Unfit(f"{at}: not a call {{name, arguments}}")
    if following and following[0]["from"] != "observation":
        raise Unfit(f"{at}: its calls are not answered")
