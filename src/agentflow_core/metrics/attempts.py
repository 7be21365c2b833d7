"""Score a task by several attempts at it: is one of k right, are all of k right."""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.config import option
from agentflow_core.records import Score

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["AttemptsConfig", "PassAtK", "PassHatK", "pass_at_k", "pass_hat_k"]


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that of ``k`` attempts at least one passes, without bias from ``n`` attempts of which ``c`` passed.

    It is ``1 − C(n − c, k) / C(n, k)``. Source: Chen et al., "Evaluating Large Language Models Trained on Code"
    (2021), equation 1.

    Raises:
        ValueError: it is not defined, since n < k, or the numbers are none of attempts.
    """
    _check(n, c, k)
    return 1.0 - comb(n - c, k) / comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """The chance that ``k`` attempts all pass, without bias from ``n`` attempts of which ``c`` passed.

    It is ``C(c, k) / C(n, k)``. Source: Yao et al., "τ-bench" (2024), section 3.

    Raises:
        ValueError: it is not defined, since n < k, or the numbers are none of attempts.
    """
    _check(n, c, k)
    return comb(c, k) / comb(n, k)


def _check(n: int, c: int, k: int) -> None:
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"{c} of {n} attempts say nothing about {k}")


@frozen(kw_only=True)
class AttemptsConfig:
    """How many attempts, and which of them pass."""

    k: int = option(1, help="attempts; the run needs as many samples at least", at_least=1)
    metric: str = option("exact_match", help="the metric that says whether a sample passes")
    threshold: float = option(0.5, help="the least score of a sample that passes")


class PassAtK:
    """`pass_at_k` of a task's samples. Undefined, so ungraded, with fewer graded samples than ``k``."""

    def __init__(self, config: AttemptsConfig | None = None) -> None:
        self._config = config or AttemptsConfig()
        self.metric = self._config.metric

    def __call__(self, scores: Sequence[Score]) -> Score:
        """See `agentflow_core.interfaces.Aggregate`."""
        n, c, k = len(scores), _passed(scores, self._config), self._config.k
        return _undefined(n, k) if n < k else Score(value=pass_at_k(n, c, k), reason=f"{c} of {n} samples pass")


class PassHatK:
    """`pass_hat_k` of a task's samples. Undefined, so ungraded, with fewer graded samples than ``k``."""

    def __init__(self, config: AttemptsConfig | None = None) -> None:
        self._config = config or AttemptsConfig()
        self.metric = self._config.metric

    def __call__(self, scores: Sequence[Score]) -> Score:
        """See `agentflow_core.interfaces.Aggregate`."""
        n, c, k = len(scores), _passed(scores, self._config), self._config.k
        return _undefined(n, k) if n < k else Score(value=pass_hat_k(n, c, k), reason=f"{c} of {n} samples pass")


def _passed(scores: Sequence[Score], config: AttemptsConfig) -> int:
    return sum(score.value >= config.threshold for score in scores)


def _undefined(n: int, k: int) -> Score:
    return Score(value=0.0, graded=False, reason=f"not defined for k = {k} with {n} graded samples of a task")
