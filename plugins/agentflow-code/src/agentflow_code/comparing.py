"""When two observations of code count as equal on replay: but for addresses and times, which differ each time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agentflow_core.records import Observation

__all__ = ["same_observation"]

_ADDRESS: Final = re.compile(r"\b0x[0-9a-f]{6,16}\b")
_DURATION: Final = re.compile(r"\b\d+(?:\.\d+)? ?(?:ns|µs|μs|us|ms|s|min)\b")


def same_observation(recorded: Observation, replayed: Observation) -> bool:
    """Are the texts equal, addresses of objects and durations aside?"""
    return _steady(recorded.text) == _steady(replayed.text)


def _steady(text: str) -> str:
    return _DURATION.sub("<time>", _ADDRESS.sub("<address>", text))
