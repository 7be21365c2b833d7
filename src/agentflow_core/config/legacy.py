"""Translate the flat files of the earlier AgentFlow into documents of today, and say what had no place in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.config.legacy_keys import Ignored, New, Translator
from agentflow_core.config.legacy_runs import is_run_file, run_file
from agentflow_core.config.legacy_sandbox import is_server_file, server_file
from agentflow_core.config.nodes import Node

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentflow_core.config.problems import Problems

__all__ = ["Ignored", "Translation", "is_earlier", "translate"]


@frozen(kw_only=True)
class Translation:
    """A document of today, made of one of the earlier AgentFlow."""

    root: Node
    ignored: tuple[Ignored, ...]  #: in the order of the file


def is_earlier(root: Node) -> bool:
    """Whether the document is a flat synthesis, rollout or sandbox-server file of the earlier AgentFlow."""
    return is_run_file(root) or is_server_file(root)


def translate(
    root: Node, *, problems: Problems, read: Callable[[Path], Node], beside: Path | None = None
) -> Translation:
    """Translate a document that `is_earlier`; its values keep their places, and are known by their old keys.

    Args:
        root: the document, before variables are expanded.
        problems: take what cannot be translated.
        read: gives the root of a further file, such as the one that ``sandbox_config_path`` names.
        beside: write relative paths such that they mean the same in a file of this folder, where it is given.

    Raises:
        ConfigError: what ``read`` raises.
    """
    translator = Translator(problems=problems, read=read, beside=beside)
    new = New(root.mark)
    if is_run_file(root):
        run_file(root, new, translator)
    else:
        server_file(root, new, translator)
    ignored = sorted(translator.ignored, key=lambda one: (one.mark.file, one.mark.line, one.mark.column))
    return Translation(root=new.node(), ignored=tuple(ignored))
