"""Write a file of the earlier AgentFlow as one of today that says the same."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from agentflow_core.config.documents import read_root
from agentflow_core.config.expansion import escape
from agentflow_core.config.legacy import Ignored, is_earlier, translate
from agentflow_core.config.problems import Problems
from agentflow_core.config.resolved import to_yaml
from agentflow_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentflow_core.config.nodes import Node

__all__ = ["upgrade"]


def upgrade(path: Path, *, folder: Path | None = None) -> str:
    """The file as YAML of today, with a comment for each key that has no place there.

    Loading it gives what loading the old file gives. Variables stay as they are written; so do keys and other secrets.

    Args:
        path: the old file.
        folder: where the new one will stand, since its paths are relative to it; default: beside the old one.

    Raises:
        UsageError: it is no file of the earlier AgentFlow.
        ConfigError: it cannot be read or translated.
    """
    problems = Problems()
    root = read_root(path, problems)
    problems.raise_any()
    if not is_earlier(root):
        raise UsageError(f"{path} is no file of the earlier AgentFlow", hint=f"agentflow config check {path}")
    beside = (path.parent if folder is None else folder).absolute()
    read = partial(read_root, problems=problems)
    translation = translate(root, problems=problems, read=read, beside=beside)
    problems.raise_any()
    name = path.name if path.name.isprintable() else ascii(path.name)
    lines = [f"# Translated from {name}, a file of the earlier AgentFlow.", *_comments(translation.ignored, str(path))]
    return "".join(f"{line}\n" for line in lines) + to_yaml(_written(translation.root, is_literal=False))


def _comments(ignored: tuple[Ignored, ...], file: str) -> Iterator[str]:
    if ignored:
        yield "# It said, without effect here:"
    for one in ignored:
        other = "" if one.mark.file == file else f" of {ascii(one.mark.file)[1:-1]}"
        yield f"#   {one.mark.key} (line {one.mark.line}{other}): {one.reason}"


def _written(node: Node, *, is_literal: bool) -> Any:
    """The value as plain data, such that reading and expanding it gives the value again."""
    is_literal = is_literal or node.expanded
    if isinstance(node.value, dict):
        return {key: _written(part, is_literal=is_literal) for key, part in node.value.items()}
    if isinstance(node.value, tuple):
        return [_written(part, is_literal=is_literal) for part in node.value]
    return escape(node.value) if is_literal and isinstance(node.value, str) else node.value
