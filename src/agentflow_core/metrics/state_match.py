"""Is the state that the agent leaves behind the one that the task asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

from agentflow_core.config import option
from agentflow_core.errors import DataError
from agentflow_core.records import Score

if TYPE_CHECKING:
    from agentflow_core.interfaces import MetricContext, ScoredSample

__all__ = ["StateMatch", "StateMatchConfig", "check_expected"]

_LONGEST_SHOWN = 80


@frozen(kw_only=True)
class StateMatchConfig:
    """How to count."""

    value: Literal["all", "share"] = option(
        "all",
        help="all: 1 if every probe sees what is expected, else 0; share: the share that does",
        choices=("all", "share"),
    )


class StateMatch:
    """Compares what the probes of a task saw at the end (``end_state`` of its trajectory) with what it expects.

    An expectation is a JSON value, which must be equal; ``{"contains": text}``: the text stands in what was seen;
    ``{"matches": regex}``: all of it matches (`re.fullmatch`). Where a probe saw nothing (null) only null is right. A
    task that expects nothing is ungraded, and so is one whose backend could not be asked: nobody knows how it ended.

    Raises:
        DataError: an expectation is no such thing.
    """

    def __init__(self, config: StateMatchConfig | None = None) -> None:
        self._value = (config or StateMatchConfig()).value

    async def score(self, sample: ScoredSample, context: MetricContext) -> Score:
        """See the class."""
        wanted = {
            (backend, probe): expected
            for backend, probes in sample.task.end_state.items()
            for probe, expected in probes.items()
        }
        if not wanted:
            return Score(value=0.0, graded=False, reason="the task expects no state")
        wrong = []
        for (backend, probe), expected in wanted.items():
            seen = sample.end_state.get(backend, {})
            if probe not in seen:
                why = seen.get("error", "it was not asked")
                return Score(
                    value=0.0, graded=False, reason=f"what {backend} would see of {probe!r} is not known: {why}"
                )
            if not _fits(seen[probe], expected):
                wrong.append(f"{backend} {probe} is {_shown(seen[probe])}, expected {_shown(expected)}")
        share = 1 - len(wrong) / len(wanted)
        value = share if self._value == "share" else float(not wrong)
        return Score(value=value, reason="; ".join(wrong) or f"all {len(wanted)} probes see what is expected")


def check_expected(expected: Any) -> None:
    """Raise `DataError` if what a probe is expected to see cannot be read."""
    if not _is_rule(expected):
        return
    (how, text), *others = expected.items()
    if others or not isinstance(text, str):
        message = f"the expectation {_shown(expected)} cannot be read"
        raise DataError(message, hint='one of {"contains": text}, {"matches": regex}')
    if how == "matches":
        try:
            re.compile(text)
        except re.error as error:
            raise DataError(f"the expectation {_shown(expected)} is no regular expression: {error}") from error


def _is_rule(expected: Any) -> bool:
    return isinstance(expected, Mapping) and bool(expected.keys() & {"contains", "matches"})


def _fits(seen: Any, expected: Any) -> bool:
    if not _is_rule(expected):
        return bool(seen == expected) and isinstance(seen, bool) == isinstance(expected, bool)
    check_expected(expected)
    ((how, text),) = expected.items()
    if not isinstance(seen, str):
        return False
    return text in seen if how == "contains" else re.fullmatch(text, seen, re.DOTALL) is not None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
