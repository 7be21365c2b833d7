"""Score a path by what its observations say: information, names, and how one step leads to the next."""

from __future__ import annotations

import re
from math import fsum
from typing import TYPE_CHECKING

from agentflow_core.scorers.features import Features, features_of, observed_words
from agentflow_core.text import param_texts, tokens
from agentflow_core.text.vocabulary import FUNCTION_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from agentflow_core.interfaces import ScoringContext
    from agentflow_core.records import Node

__all__ = ["Chain", "EntityDensity", "Information"]

#: Summed weight at which `Information` is one half: about three paragraphs of a hundred rare words.
_HALF = 1000.0
_SHORTEST = 3
_WORD = re.compile(r"[^\W_]+")
_CAPITAL = re.compile(r"[A-Z](?<![A-Za-z0-9].)[A-Za-z0-9]*")


class _Weights(dict[str, float]):
    """The idf of words, asked for once each."""

    def __init__(self, idf: Callable[[str], float]) -> None:
        super().__init__()
        self.idf = idf

    def __missing__(self, word: str) -> float:
        value = self[word] = self.idf(word)
        return value


class Information:
    """How much the observations tell: ``w / (w + 1000)`` with ``w`` the summed idf of their different words.

    Each word counts once, when it is new to the path; words of the seed count nothing, failed calls tell nothing, and
    what stands in every observation of the run (boilerplate) weighs nothing.
    """

    def __init__(self) -> None:
        self._weights = _Weights(lambda _: 0.0)

    def score(self, path: Sequence[Node], context: ScoringContext) -> float:
        """See the class."""
        if not path:
            return 0.0
        if self._weights.idf is not context.idf:
            self._weights = _Weights(context.idf)
        words = set().union(*[features_of(node).words for node in path])
        words.difference_update(tokens(path[0].intent))
        # summed exactly, since the order of a set of strings differs from process to process
        weight = fsum(map(self._weights.__getitem__, words))
        return weight / (weight + _HALF)


class EntityDensity:
    """The share of the observations' words that begin with a capital and are not function words, 0 to 1.

    It stands for the names per word; scripts without capitals have none.
    """

    def score(self, path: Sequence[Node], context: ScoringContext) -> float:
        """See the class."""
        told = [features_of(node) for node in path]
        total = sum([len(one.tokens) for one in told])
        return min(1.0, sum(map(_count_capital, told)) / total) if total else 0.0


def _count_capital(told: Features) -> int:
    if told.capitals < 0:
        text = told.text
        if text.isascii():
            capital = _CAPITAL.findall(text)
        else:
            capital = [word for word in _WORD.findall(text) if word[0].isupper()]
        told.capitals = sum([word.casefold() not in FUNCTION_WORDS for word in capital])
    return told.capitals


class Chain:
    """The share of steps, the first left out, whose arguments use something first seen in an earlier observation.

    *Something* is a word of three characters or a number in the values of the call's parameters, not a function word,
    that stands in an earlier observation of the path, and neither in the seed nor in the arguments before that
    observation. 0 for a path of one step.
    """

    def score(self, path: Sequence[Node], context: ScoringContext) -> float:
        """See the class."""
        steps = [node for node in path if node.tool is not None]
        if len(steps) < 2:
            return 0.0
        known = set(tokens(path[0].intent))
        followed: set[str] = set()
        told: set[str] = set()
        linked = 0
        for node in steps:
            arguments = _argument_words(node.params)
            followed |= (arguments - known) & told
            linked += not followed.isdisjoint(arguments)
            known |= arguments
            told |= observed_words(node)
        return linked / (len(steps) - 1)


def _argument_words(params: Mapping[str, Any]) -> set[str]:
    words = set(tokens("\n".join(param_texts(params)))) - FUNCTION_WORDS
    return {word for word in words if len(word) >= _SHORTEST or word.isdigit()}
