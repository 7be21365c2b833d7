"""Score a path by what its observations say: information, names, and how one step leads to the next."""

from __future__ import annotations

import re
from math import fsum
from typing import TYPE_CHECKING

from agentflow_core.selectors.features import PerNode, observed_text
from agentflow_core.text import is_function_word, proper_names, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from agentflow_core.interfaces import ScoringContext
    from agentflow_core.records import Node

__all__ = ["Chain", "EntityDensity", "Information"]

#: Summed weight at which `Information` is one half: about three paragraphs of a hundred rare words.
_HALF = 1000.0
_SHORTEST = 3
_NUMERIC = re.compile(r"\d+")


class Information:
    """How much the observations tell: ``w / (w + 1000)`` with ``w`` the summed idf of their different words.

    Each word counts once, when it is new to the path; words of the seed count nothing, failed calls tell nothing, and
    what stands in every observation of the run (boilerplate) weighs nothing.
    """

    def __init__(self) -> None:
        self._words = PerNode(lambda node: frozenset(tokens(observed_text(node))))

    def score(self, path: Sequence[Node], context: ScoringContext) -> float:
        """See the class."""
        if not path:
            return 0.0
        words = set().union(*map(self._words, path))
        words.difference_update(tokens(path[0].intent))
        # summed exactly, since the order of a set of strings differs from process to process
        weight = fsum(map(context.idf, words))
        return weight / (weight + _HALF)


class EntityDensity:
    """The share of the observations' words that stand in proper names, 0 to 1."""

    def __init__(self) -> None:
        self._counts = PerNode(_count_names)

    def score(self, path: Sequence[Node], context: ScoringContext) -> float:
        """See the class."""
        counts = [self._counts(node) for node in path]
        total = sum(words for _, words in counts)
        return sum(named for named, _ in counts) / total if total else 0.0


def _count_names(node: Node) -> tuple[int, int]:
    text = observed_text(node)
    words = len(tokens(text))
    return min(words, sum(len(tokens(name)) for name in proper_names(text))), words


class Chain:
    """The share of steps, the first left out, whose arguments use something first seen in an earlier observation.

    *Something* is a word of three characters or a number in the values of the call's parameters, not a function word,
    that stands in an earlier observation of the path, and neither in the seed nor in the arguments before that
    observation. 0 for a path of one step.
    """

    def __init__(self) -> None:
        self._seen = PerNode(lambda node: frozenset(tokens(observed_text(node))))
        self._used = PerNode(lambda node: frozenset(_argument_words(node.params)))

    def score(self, path: Sequence[Node], context: ScoringContext) -> float:
        """See the class."""
        steps = [node for node in path if node.tool is not None]
        if len(steps) < 2:
            return 0.0
        known = set(tokens(path[0].intent))
        discovered: set[str] = set()
        linked = 0
        for node in steps:
            arguments = self._used(node)
            linked += not discovered.isdisjoint(arguments)
            known |= arguments
            discovered |= self._seen(node) - known
        return linked / (len(steps) - 1)


def _argument_words(value: Any) -> Iterator[str]:
    for leaf in _leaves(value):
        for word in tokens(leaf):
            if (len(word) >= _SHORTEST or _NUMERIC.fullmatch(word)) and not is_function_word(word):
                yield word


def _leaves(value: Mapping[str, Any] | Sequence[Any] | Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
