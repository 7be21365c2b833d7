"""Read a configuration file, or plain Python data, into nodes that know their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from agentflow_core.config.json_text import read_json
from agentflow_core.config.nodes import Lines, Node, Refused, describe, from_python, plain
from agentflow_core.config.overrides import apply_sets
from agentflow_core.config.problems import Mark, Problems
from agentflow_core.config.yaml_text import read_yaml
from agentflow_core.names import did_you_mean

__all__ = ["Document", "load_document"]

#: A configuration is a few kilobytes; more is data, which has a file of its own.
MAX_BYTES: Final = 1 << 20


@frozen(kw_only=True)
class Document:
    """A mapping of nodes before variables are expanded, and the problems found while reading it."""

    root: Node
    path: Path | None
    problems: Problems

    def plain(self) -> dict[str, Any]:
        """The values as plain data, ``${VAR}`` as written."""
        found: dict[str, Any] = plain(self.root)
        return found


def load_document(source: Path | str | Mapping[str, Any], *, sets: Sequence[str] = ()) -> Document:
    """Read the file (``.json`` as JSON, anything else as YAML 1.2) or mapping, and apply ``a.b=value`` overrides.

    Problems that leave a readable document (a duplicate key, a tag, a wrong override) are kept in
    ``Document.problems``, so that `load_config` reports them together with its own.

    Raises:
        ConfigError: there is no such file, or its syntax is wrong.
    """
    problems = Problems()
    if isinstance(source, Mapping):
        path, root = None, from_python(source, problems)
    else:
        path = Path(source)
        root = _read(path, problems)
    return Document(root=apply_sets(root, sets, problems), path=path, problems=problems)


def _read(path: Path, problems: Problems) -> Node:
    start = Mark(str(path), 1, 1)
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
    except FileNotFoundError:
        near = [other.name for other in path.parent.glob("*")] if path.parent.is_dir() else []
        problems.add(f"no such file{did_you_mean(path.name, near)}", Mark(str(path)))
        data = b""
    except OSError as error:
        problems.add(f"cannot be read: {error.strerror or error}", Mark(str(path)))
        data = b""
    if data is None:
        problems.add(
            f"larger than {MAX_BYTES >> 20} MiB; a configuration names data and does not hold it", Mark(str(path))
        )
    root: Node | None = None
    if not problems:
        root = _parse(data or b"", path, problems)
    if root is None:
        problems.raise_any()
        return Node(value={}, mark=start, folder=path.absolute().parent)
    if not isinstance(root.value, dict):
        problems.add(f"a configuration is a mapping (key: value), this file holds {describe(root)}", root.mark)
        problems.raise_any()
    return root


def _parse(data: bytes, path: Path, problems: Problems) -> Node | None:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        problems.add("not UTF-8; save the file as UTF-8", Lines(before, str(path)).mark(len(before)))
        return None
    text = text.removeprefix("\ufeff")
    lines = Lines(text, str(path))
    read = read_json if path.suffix.lower() == ".json" else read_yaml
    try:
        return read(text, lines, path.absolute().parent, problems)
    except Refused as refused:
        problems.add(refused.message, lines.mark(refused.offset))
        problems.raise_any()
        return None
