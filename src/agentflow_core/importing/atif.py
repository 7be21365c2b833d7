"""Trajectories in ATIF 1.0 to 1.7, a JSON file each, as samples of a rollout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import orjson
from attrs import evolve

from agentflow_core.errors import DataError
from agentflow_core.export.atif import plain_arguments
from agentflow_core.importing.samples import Sample, finished, function_tool, mended
from agentflow_core.records import (
    ImagePart,
    Message,
    Part,
    StepRecord,
    TaskResult,
    TextPart,
    ToolCall,
    Trajectory,
    Usage,
)
from agentflow_core.records.codec import load
from agentflow_core.runs.images import picture_type

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentflow_core.blobs import BlobStore
    from agentflow_core.importing.notes import Notes

__all__ = ["files_of", "read_atif"]

_ROLES = {"system": "system", "user": "user", "agent": "assistant"}
_DOCUMENT = frozenset({"schema_version", "trajectory_id", "session_id", "agent", "steps", "final_metrics", "extra"})
_STEP = frozenset(
    {"step_id", "source", "message", "reasoning_content", "tool_calls", "observation", "metrics", "model_name", "extra"}
)
#: What a pair knows that a task keeps as metadata.
_OF_PAIR = ("seed_id", "path_id", "answer_type", "difficulty", "reasoning_steps", "gates", "extra", "parent_qa_id")


def files_of(path: Path) -> list[Path]:
    """The files of a path: itself, or the JSON files of a folder and of those in it, by name."""
    if path.is_dir():
        return sorted(path.rglob("*.json"))
    return [path]


def read_atif(path: Path, blobs: BlobStore, notes: Notes) -> Iterator[Sample]:
    """A sample for each file; what AgentFlow put into ``extra`` is taken back.

    Raises:
        DataError: a file is no trajectory, or one of its pictures is not there.
    """
    for file in files_of(path):
        try:
            document = orjson.loads(file.read_bytes())
        except OSError as error:
            raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error
        except orjson.JSONDecodeError as error:
            raise DataError(f"{file}: not JSON: {error}") from error
        version = document.get("schema_version") if isinstance(document, Mapping) else None
        if not isinstance(version, str) or not version.startswith("ATIF-v1."):
            raise DataError(f"{file}: no trajectory of ATIF 1: its schema_version is {version!r}")
        notes.rest(document, _DOCUMENT)
        yield _Reading(file, blobs, notes).sample(document)


class _Reading:
    """One file while it is read."""

    def __init__(self, file: Path, blobs: BlobStore, notes: Notes) -> None:
        self.file = file
        self.blobs = blobs
        self.notes = notes

    def sample(self, document: Mapping[str, Any]) -> Sample:
        agent = _mapping(document.get("agent"))
        steps = document.get("steps")
        if not isinstance(steps, list) or not steps:
            raise DataError(f"{self.file}: it has no steps")
        messages: list[Message] = []
        usages = []
        for number, step in enumerate(steps, 1):
            messages += self.messages(_mapping(step), f"{self.file}: step {number}")
            if _mapping(step).get("source") == "agent":
                usages.append(StepRecord(usage=_usage(_mapping(step).get("metrics"))))
        tools = tuple(tool for tool in map(function_tool, agent.get("tool_definitions") or ()) if tool is not None)
        made = finished(
            mended(messages, self.notes),
            task_id=str(document.get("trajectory_id") or document.get("session_id") or self.file.stem),
            model=str(agent.get("model_name") or ""),
            tools=tools,
            steps=tuple(usages),
        )
        return self.with_ours(made, _mapping(_mapping(document.get("extra")).get("agentflow")))

    def messages(self, step: Mapping[str, Any], where: str) -> Iterator[Message]:
        role = _ROLES.get(str(step.get("source")))
        if role is None:
            raise DataError(f"{where}: its source is {step.get('source')!r}, not one of {', '.join(_ROLES)}")
        self.notes.rest(step, _STEP, "steps[].")
        calls = [
            self.call(_mapping(call), f"{where}, call {index}")
            for index, call in enumerate(step.get("tool_calls") or ())
        ]
        yield Message(
            role=role,  # type: ignore[arg-type]
            content=self.parts(step.get("message"), where),
            tool_calls=tuple(calls),
            reasoning=step.get("reasoning_content"),
            unknown=_mapping(_mapping(step.get("extra")).get("chat")),
        )
        ids = {call.id for call in calls}
        for result in _mapping(step.get("observation")).get("results") or ():
            content = self.parts(_mapping(result).get("content"), where)
            if (id := _mapping(result).get("source_call_id")) in ids:
                unknown = _mapping(_mapping(_mapping(result).get("extra")).get("chat"))
                yield Message(role="tool", tool_call_id=id, content=content, unknown=unknown)
            else:
                self.notes.remark("an observation that answers no tool call; kept as a message of the user")
                yield Message(role="user", content=content)

    def call(self, value: Mapping[str, Any], where: str) -> ToolCall:
        if not isinstance(value.get("function_name"), str):
            raise DataError(f"{where}: it names no function")
        text = _mapping(value.get("extra")).get("arguments")
        arguments = text if isinstance(text, str) else plain_arguments(_mapping(value.get("arguments")))
        return ToolCall(id=str(value.get("tool_call_id")), name=value["function_name"], arguments=arguments)

    def parts(self, content: Any, where: str) -> tuple[Part, ...]:
        if content is None or content == "":
            return ()
        if isinstance(content, str):
            return (TextPart(content),)
        if not isinstance(content, list):
            raise DataError(f"{where}: its content is neither a text nor a list of parts")
        return tuple(self.part(_mapping(part), where) for part in content)

    def part(self, value: Mapping[str, Any], where: str) -> Part:
        if value.get("type") == "text":
            return TextPart(str(value.get("text", "")))
        source = _mapping(value.get("source"))
        name = str(source.get("path", ""))
        place = PurePosixPath(name)
        if "://" in name or place.is_absolute() or ".." in place.parts:  # a file says nothing of others' files
            self.notes.remark("a picture that is not beside its trajectory; the address is kept as text")
            return TextPart(f"[picture: {name}]")
        try:
            data = (self.file.parent / place).read_bytes()
        except OSError as error:
            raise DataError(f"{where}: the picture {name!r} cannot be read: {error.strerror or error}") from error
        return ImagePart(self.blobs.put(data), str(source.get("media_type") or picture_type(data) or "image/png"))

    def with_ours(self, made: Sample, about: Mapping[str, Any]) -> Sample:
        """The sample with what an export of AgentFlow said beside the conversation."""
        assert made.trajectory is not None
        result, trajectory = made.result, made.trajectory
        try:
            if about.get("trajectory"):
                ours = load(Trajectory, {**about["trajectory"], "messages": []})
                trajectory = evolve(ours, messages=trajectory.messages)
            if about.get("result"):
                result = load(TaskResult, about["result"])
        except Exception as error:
            from cattrs import transform_error

            raise DataError(f"{self.file}: extra.agentflow: {'; '.join(transform_error(error))}") from error
        if qa := _mapping(about.get("qa")):
            kept = {name: qa[name] for name in _OF_PAIR if qa.get(name) is not None}
            references = tuple(str(each) for each in (qa.get("answer", ""), *(qa.get("aliases") or ())) if each)
            result = evolve(result, references=references, metadata=kept)
        return evolve(made, result=result, trajectory=trajectory)


def _usage(metrics: Any) -> Usage:
    if not isinstance(metrics, Mapping):
        return Usage()
    extra = _mapping(metrics.get("extra"))
    return Usage(
        calls=1,
        prompt_tokens=metrics.get("prompt_tokens") or 0,
        cached_tokens=metrics.get("cached_tokens") or 0,
        completion_tokens=metrics.get("completion_tokens") or 0,
        reasoning_tokens=extra.get("reasoning_tokens") or 0,
        cost_usd=metrics.get("cost_usd"),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
