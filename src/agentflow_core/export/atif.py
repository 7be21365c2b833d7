"""The Agent Trajectory Interchange Format, ATIF 1.7: a folder with a JSON file for each path or sample.

The format is published by the Harbor project (RFC 0001, "Trajectory format"). A path of a synthesis is the conversation
of its accepted pair; ``extra.agentflow`` of a file holds what the format has no place for: the pair with its evidence
and gates, the seed's whole tree without its texts, or the result with its scores. `agentflow_core.importing` reads it
back without loss.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import orjson

from agentflow_core import __version__
from agentflow_core.export.chat import arguments_of, function_of
from agentflow_core.export.formats import CARD, Format, Pictures, Unfit
from agentflow_core.records import TextPart, Usage
from agentflow_core.records.codec import dump

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from agentflow_core.blobs import BlobStore
    from agentflow_core.export.examples import Example
    from agentflow_core.export.selection import Source
    from agentflow_core.records import Message, Node, Part, ToolCall

__all__ = ["VERSION", "ATIFExporter", "check_trajectory", "plain_arguments", "trajectory_of"]

VERSION = "ATIF-v1.7"
_SOURCES = {"system": "system", "user": "user", "assistant": "agent"}
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_AGENT_ONLY = ("model_name", "reasoning_effort", "reasoning_content", "tool_calls", "metrics")


class ATIFExporter(Format):
    """A file for each accepted pair, or for each sample that has a conversation, answered or not."""

    noun = "trajectories"
    is_folder = True

    def write(self, source: Source, output: Path, pictures: Pictures) -> int:
        """See `Format.write`."""
        count = 0
        for example in source.examples():
            if not example.messages:
                source.left_out["no conversation"] += 1
                continue
            document = trajectory_of(example, source.run.blobs, pictures)
            (output / f"{_file_name(example.id)}.json").write_bytes(
                orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
            )
            count += 1
        return count

    def check(self, output: Path) -> int:
        """Every file is what the format says, every call is answered, every picture is there."""
        count = 0
        for path in sorted(output.glob("*.json")):
            try:
                document = orjson.loads(path.read_bytes())
            except orjson.JSONDecodeError as error:
                raise Unfit(f"{path.name}: {error}") from error
            for picture in check_trajectory(document, path.name):
                if not (output / picture).is_file():
                    raise Unfit(f"{path.name}: no picture {picture}")
            count += 1
        return count


def _file_name(id: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]", "_", id).lstrip(".")
    if name == id and len(name) < 100 and f"{name}.md" != CARD:
        return name
    return f"{name[:100]}-{hashlib.sha256(id.encode('utf-8', 'replace')).hexdigest()[:8]}"


# ---- writing


def trajectory_of(example: Example, blobs: BlobStore, pictures: Pictures) -> dict[str, Any]:
    """The example as a document of the format; its pictures go to their folder."""
    steps = list(_steps(example, blobs, pictures))
    usage = example.result.usage if example.result is not None else None
    document: dict[str, Any] = {
        "schema_version": VERSION,
        "trajectory_id": example.id,
        "agent": {"name": "agentflow", "version": __version__},
        "steps": steps,
        "final_metrics": _final(usage, len(steps)),
        "extra": {"agentflow": _about(example)},
    }
    if example.model:
        document["agent"]["model_name"] = example.model
    if example.tools:
        document["agent"]["tool_definitions"] = [function_of(tool) for tool in example.tools]
    return document


def _steps(example: Example, blobs: BlobStore, pictures: Pictures) -> Iterator[dict[str, Any]]:
    turns = iter(example.trajectory.steps if example.trajectory is not None else ())
    step: dict[str, Any] | None = None
    number = 0
    for message in example.messages:
        if message.role == "tool" and step is not None:
            result: dict[str, Any] = {
                "source_call_id": message.tool_call_id,
                "content": _content(message.content, blobs, pictures),
            }
            step.setdefault("observation", {"results": []})["results"].append(_with_rest(result, message))
            continue
        if step is not None:
            yield step
        number += 1
        step = {"step_id": number, "source": _SOURCES[message.role]}
        step["message"] = _content(message.content, blobs, pictures)
        if message.role == "assistant":
            turn = next(turns, None)
            _add_turn(step, message, None if turn is None else turn.usage)
        step = _with_rest(step, message)
    if step is not None:
        yield step


def _content(parts: Sequence[Part], blobs: BlobStore, pictures: Pictures) -> str | list[dict[str, Any]]:
    """A text as it is; no text is the empty one, and an empty text is a part, so that both are read back."""
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(parts[0], TextPart) and parts[0].text:
        return parts[0].text
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, TextPart)
        else {"type": "image", "source": {"media_type": part.mime, "path": pictures.add(blobs, part)}}
        for part in parts
    ]


def _add_turn(step: dict[str, Any], message: Message, usage: Usage | None) -> None:
    if message.reasoning is not None:
        step["reasoning_content"] = message.reasoning
    if message.tool_calls:
        step["tool_calls"] = [_call(call) for call in message.tool_calls]
    if usage is not None and usage.calls:
        step["metrics"] = {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cached_tokens": usage.cached_tokens,
            "extra": {"reasoning_tokens": usage.reasoning_tokens},
        }
        if usage.cost_usd is not None:
            step["metrics"]["cost_usd"] = usage.cost_usd


def _call(call: ToolCall) -> dict[str, Any]:
    """The call with its arguments as an object; the text of them goes along where it is not the plain form of it."""
    arguments = arguments_of(call.arguments)
    value: dict[str, Any] = {
        "tool_call_id": call.id,
        "function_name": call.name,
        "arguments": arguments if arguments is not None else {},
    }
    if arguments is None or plain_arguments(arguments) != call.arguments:
        value["extra"] = {"arguments": call.arguments}
    return value


def plain_arguments(arguments: Mapping[str, Any]) -> str:
    """The text that arguments have unless a call says another."""
    return json.dumps(arguments, ensure_ascii=False)


def _with_rest(value: dict[str, Any], message: Message) -> dict[str, Any]:
    return {**value, "extra": {"chat": dict(message.unknown)}} if message.unknown else value


def _final(usage: Usage | None, steps: int) -> dict[str, Any]:
    if usage is None:
        return {"total_steps": steps}
    final: dict[str, Any] = {
        "total_prompt_tokens": usage.prompt_tokens,
        "total_completion_tokens": usage.completion_tokens,
        "total_cached_tokens": usage.cached_tokens,
        "total_steps": steps,
    }
    if usage.cost_usd is not None:
        final["total_cost_usd"] = usage.cost_usd
    return final


def _about(example: Example) -> dict[str, Any]:
    """What AgentFlow knows beside the conversation."""
    about: dict[str, Any] = {"question": example.question, "outcome": example.outcome}
    if example.qa is not None:
        about["qa"] = dump(example.qa)
        about["path"] = [node.id for node in example.path]
        about["tree"] = [_branch(node) for node in example.tree]
    if example.result is not None:
        about["result"] = dump(example.result)
    if example.trajectory is not None:
        about["trajectory"] = {**dump(example.trajectory), "messages": None}
    return about


def _branch(node: Node) -> dict[str, Any]:
    """A node without what its tool returned."""
    value = dump(node)
    return {name: value[name] for name in value if name not in ("seed_id", "result", "reasoning", "usage")}


# ---- reading back


def check_trajectory(document: Any, where: str) -> Iterator[str]:
    """Check a document by the rules of the format; gives the paths of its pictures.

    Raises:
        Unfit: it breaks one.
    """
    if not isinstance(document, dict) or not str(document.get("schema_version", "")).startswith("ATIF-v1."):
        raise Unfit(f"{where}: it is no trajectory of ATIF 1")
    agent = document.get("agent")
    if not isinstance(agent, dict) or not all(isinstance(agent.get(name), str) for name in ("name", "version")):
        raise Unfit(f"{where}: its agent has no name and version")
    steps = document.get("steps")
    if not isinstance(steps, list) or not steps:
        raise Unfit(f"{where}: it has no steps")
    for number, step in enumerate(steps, 1):
        yield from _check_step(step, number, f"{where}, step {number}")


def _check_step(step: Any, number: int, at: str) -> Iterator[str]:
    if not isinstance(step, dict) or step.get("step_id") != number or step.get("source") not in _SOURCES.values():
        raise Unfit(f"{at}: it has another number, or no source")
    if step["source"] != "agent" and any(step.get(name) is not None for name in _AGENT_ONLY):
        raise Unfit(f"{at}: only an agent has what it has")
    yield from _check_content(step.get("message"), at)
    asked = [_check_call(call, at) for call in step.get("tool_calls") or ()]
    results = (step.get("observation") or {}).get("results") or ()
    answered = [result.get("source_call_id") for result in results]
    if sorted(asked) != sorted(id for id in answered if id is not None):
        raise Unfit(f"{at}: its calls are not the ones that are answered")
    for result in results:
        yield from _check_content(result.get("content"), at)


def _check_call(call: Any, at: str) -> str:
    if not isinstance(call, dict) or not isinstance(call.get("arguments"), dict):
        raise Unfit(f"{at}: a call has no arguments")
    if not isinstance(call.get("tool_call_id"), str) or not isinstance(call.get("function_name"), str):
        raise Unfit(f"{at}: a call has no id or no name")
    return str(call["tool_call_id"])


def _check_content(content: Any, at: str) -> Iterator[str]:
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise Unfit(f"{at}: its content is neither a text nor a list of parts")
    for part in content:
        picture = part.get("source") if isinstance(part, dict) else None
        if isinstance(picture, dict) and part.get("type") == "image" and picture.get("media_type") in _PICTURES:
            yield str(picture.get("path"))
        elif not (isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)):
            raise Unfit(f"{at}: a part of its content is neither text nor picture")
