"""What scorers and selectors read of an observation. Paths share nodes, so what was made of the last texts is kept."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from agentflow_core.text import shingles_of, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from agentflow_core.records import Node

__all__ = ["Features", "features_of", "observed_shingles", "observed_text", "observed_words", "path_shingles"]

#: Paths come leaf by leaf, so what is shared was seen lately. More would cost more than it saves: what is kept longer
#: has left the processor's cache when it is wanted again.
_KEPT = 256


class Features:
    """What one text gives; each part is made when it is first asked for."""

    __slots__ = ("_shingles", "_tokens", "_words", "capitals", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.capitals = -1  #: how many words begin with a capital; set by who counts them
        self._tokens: tuple[str, ...] | None = None
        self._words: frozenset[str] | None = None
        self._shingles: Set[int] | None = None

    @property
    def tokens(self) -> tuple[str, ...]:
        """The words, in order."""
        if self._tokens is None:
            self._tokens = tuple(tokens(self.text))
        return self._tokens

    @property
    def words(self) -> frozenset[str]:
        """The different words."""
        if self._words is None:
            self._words = frozenset(self.tokens)
        return self._words

    @property
    def shingles(self) -> Set[int]:
        """The 5-word shingles."""
        if self._shingles is None:
            self._shingles = shingles_of(self.tokens)
        return self._shingles


_features = lru_cache(maxsize=_KEPT)(Features)


def observed_text(node: Node) -> str:
    """The whole text of the node's observation; empty for the root and for a failed call, which inform of nothing."""
    if node.result is None or not node.result.ok or node.error is not None:
        return ""
    return node.result.text


def features_of(node: Node) -> Features:
    """What the node's observation gives."""
    return _features(observed_text(node))


def observed_words(node: Node) -> frozenset[str]:
    """The different words of the node's observation."""
    return features_of(node).words


def observed_shingles(node: Node) -> Set[int]:
    """The 5-word shingles of the node's observation."""
    return features_of(node).shingles


def path_shingles(nodes: Sequence[Node]) -> set[int]:
    """The 5-word shingles of all observations of a path: the content by which paths are compared."""
    return set().union(*[features_of(node).shingles for node in nodes])
