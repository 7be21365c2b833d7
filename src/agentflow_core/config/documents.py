"""Read a configuration file, or plain Python data, into nodes that know their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from agentflow_core.config.json_text import read_json
from agentflow_core.config.legacy import Ignored, is_earlier, translate
from agentflow_core.config.nodes import Lines, Node, Refused, describe, from_python, plain
from agentflow_core.config.overrides import apply_sets
from agentflow_core.config.problems import Mark, Problems
from agentflow_core.config.yaml_text import read_yaml
from agentflow_core.names import did_you_mean

__all__ = ["Document", "load_document", "read_root"]

#: A configuration is a few kilobytes; more is data, which has a file of its own.
MAX_BYTES: Final = 1 << 20


@frozen(kw_only=True)
class Document:
    """A mapping of nodes before variables are expanded, and the problems found while reading it."""

    root: Node
    path: Path | None
    problems: Problems
    ignored: tuple[Ignored, ...] = ()  #: keys of a file of the earlier AgentFlow that have no place here

    def plain(self) -> dict[str, Any]:
        """The values as plain data, ``${VAR}`` as written."""
        found: dict[str, Any] = plain(self.root)
        return found


def load_document(
    source: Path | str | Mapping[str, Any], *, sets: Sequence[str] = (), earlier: bool = True
) -> Document:
    """Read the file (``.json`` as JSON, anything else as YAML 1.2) or mapping, and apply ``a.b=value`` overrides.

    A flat file of the earlier AgentFlow is translated first, unless ``earlier`` is false; a warning is logged for each
    of its keys that has no place here. The overrides are those of today.

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
        root = read_root(path, problems)
    ignored: tuple[Ignored, ...] = ()
    if earlier and is_earlier(root):
        translation = translate(root, problems=problems, read=lambda further: read_root(further, problems))
        root, ignored = translation.root, translation.ignored
        _warn(ignored)
    return Document(root=apply_sets(root, sets, problems), path=path, problems=problems, ignored=ignored)


def _warn(ignored: Sequence[Ignored]) -> None:
    import logging  # 5 ms; only for files of the earlier AgentFlow

    log = logging.getLogger(__name__)
    for one in ignored:
        log.warning("%s", one)


def read_root(path: Path, problems: Problems) -> Node:
    """The root of a file, as it was written. Raises `ConfigError` where it cannot be read."""
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
