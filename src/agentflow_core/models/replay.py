"""The replay model: answers from a recording; what was not recorded is an error that shows the nearest request."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from attrs import frozen

from agentflow_core.config import option
from agentflow_core.errors import DataError, ReplayMissError
from agentflow_core.models.documents import key_of
from agentflow_core.models.recording import read_answer, recorded_request, recording_store
from agentflow_core.models.trace import call_trace
from agentflow_core.records.results import clean_text

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from agentflow_core.answers import StoredAnswer
    from agentflow_core.records import Completion, ModelRequest

__all__ = ["ReplayConfig", "ReplayModel"]

_DIFF_LINES = 12
_LINE_CHARS = 160
#: How much of a long text stands before the place where two requests begin to differ.
_LEAD_CHARS = 40


@frozen(kw_only=True)
class ReplayConfig:
    """Where the recording is."""

    path: Path = option(help="directory of a recording, made with --record", path=True)


class ReplayModel:
    """Answers in place of the model that was recorded, and says that model's name where it is given."""

    host = ""
    local = True  #: no network: its answers need no cache, no retries and no limiter

    def __init__(self, config: ReplayConfig, *, name: str = "replay") -> None:
        self.config = config
        self.name = name
        self._store = recording_store(config.path)

    async def __aenter__(self) -> Self:
        if not self._store.path.is_file():
            raise DataError(f"{self.config.path} holds no recording of model calls", hint="make one with --record DIR")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def complete(self, request: ModelRequest) -> Completion:
        """The recorded answer; raises the failure that was recorded in its place.

        Raises:
            ReplayMissError: it was not recorded; the hint shows the nearest request and the difference.
            StorageError: the recording cannot be read.
        """
        asked = recorded_request(request)
        stored = await self._store.get(key_of(asked))
        if stored is None:
            raise _miss(request, asked, await self._store.nearest(asked), self.config.path)
        with call_trace() as trace:
            trace.cached = True  # what it once cost is part of the answer, but is not spent again
        return read_answer(stored)

    async def aclose(self) -> None:
        """Close the recording."""
        await self._store.aclose()


def _miss(request: ModelRequest, asked: bytes, nearest: StoredAnswer | None, path: Path) -> ReplayMissError:
    what = f"the recording in {path} has no answer to this {request.purpose} request of the {request.role}"
    if nearest is None or nearest.request is None:
        return ReplayMissError(what, hint="it holds no request at all")
    difference = "\n  ".join(_difference(nearest.request, asked))
    return ReplayMissError(
        what, hint=f"the nearest recorded request is {nearest.key[:12]}; - recorded, + asked now:\n  {difference}"
    )


def _difference(recorded: bytes, asked: bytes) -> list[str]:
    """The lines of the two documents that differ, a few, each cut around the place where it differs."""
    old, new = _lines(recorded), _lines(asked)
    shown: list[str] = []
    for tag, a0, a1, b0, b1 in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        for index in range(max(a1 - a0, b1 - b0)):
            before = old[a0 + index] if a0 + index < a1 else None
            after = new[b0 + index] if b0 + index < b1 else None
            start = _differs_at(before, after)
            if before is not None:
                shown.append(f"- {_excerpt(before, start)}")
            if after is not None:
                shown.append(f"+ {_excerpt(after, start)}")
        if len(shown) > _DIFF_LINES:
            return [*shown[:_DIFF_LINES], "…"]
    return shown


def _lines(document: bytes) -> list[str]:
    return json.dumps(orjson.loads(document), ensure_ascii=False, indent=1, sort_keys=True).splitlines()


def _differs_at(before: str | None, after: str | None) -> int:
    if before is None or after is None:
        return 0
    for position, (one, other) in enumerate(zip(before, after, strict=False)):
        if one != other:
            return position
    return min(len(before), len(after))


def _excerpt(line: str, differs_at: int) -> str:
    start = max(0, differs_at - _LEAD_CHARS) if len(line) > _LINE_CHARS else 0
    cut = line[start : start + _LINE_CHARS].strip()
    return clean_text(f"{'…' if start else ''}{cut}{'…' if start + _LINE_CHARS < len(line) else ''}")
