"""What scorers and selectors read of an observation. Paths share nodes, so the last results are kept."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from agentflow_core.text import shingles_of, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from agentflow_core.records import Node

__all__ = ["observed_shingles", "observed_text", "observed_tokens", "observed_words", "path_shingles"]

#: Paths come leaf by leaf, so what is shared was seen lately.
_KEPT = 256


def observed_text(node: Node) -> str:
    """The whole text of the node's observation; empty for the root and for a failed call, which inform of nothing."""
    if node.result is None or not node.result.ok or node.error is not None:
        return ""
    return node.result.text


def observed_tokens(node: Node) -> tuple[str, ...]:
    """The words of the node's observation, in order."""
    return _tokens(observed_text(node))


def observed_words(node: Node) -> frozenset[str]:
    """The different words of the node's observation."""
    return _words(observed_text(node))


def observed_shingles(node: Node) -> Set[int]:
    """The 5-word shingles of the node's observation."""
    return _shingles(observed_text(node))


def path_shingles(nodes: Sequence[Node]) -> set[int]:
    """The 5-word shingles of all observations of a path: the content by which paths are compared."""
    return set().union(*map(observed_shingles, nodes))


@lru_cache(maxsize=_KEPT)
def _tokens(text: str) -> tuple[str, ...]:
    return tuple(tokens(text))


@lru_cache(maxsize=_KEPT)
def _words(text: str) -> frozenset[str]:
    return frozenset(_tokens(text))


@lru_cache(maxsize=_KEPT)
def _shingles(text: str) -> Set[int]:
    return shingles_of(_tokens(text))
