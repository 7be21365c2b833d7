"""The gate against benchmarks: no long run of a draft's words stands in a question that models are evaluated with."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.config import option
from agentflow_core.errors import ConfigError, DataError, Problem
from agentflow_core.evaluation.tasks import task_of
from agentflow_core.gates.run_index import RunIndex
from agentflow_core.interfaces import GateContext, GateOutcome
from agentflow_core.rows import read_rows
from agentflow_core.text import shingles_of, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentflow_core.records import QA

__all__ = ["Contamination", "ContaminationConfig"]

_READ_BYTES = 1 << 20


@frozen(kw_only=True)
class ContaminationConfig:
    """Against which benchmarks, and what counts as taken from one."""

    files: tuple[Path, ...] = option(
        (), help="benchmark files: JSON Lines, JSON, CSV or Parquet, one task a row", path=True
    )
    fields: Mapping[str, str] = option(
        factory=dict, help="which column holds 'question' or 'answer', where that is not recognised"
    )
    n: int = option(8, help="words of a run; 13 is what GPT-3's authors took", at_least=2, at_most=50)
    threshold: float = option(
        0.0, help="the share of a draft's runs that may stand in the benchmarks", at_least=0, at_most=1
    )
    answers: bool = option(True, help="answers count as words after their question, on both sides")

    def __attrs_post_init__(self) -> None:
        """Refuse a gate that looks at nothing."""
        if not self.files:
            raise ConfigError([Problem("names no benchmark file", path="files")])


class Contamination:
    """Of the runs of ``n`` words of a draft, no larger share than ``threshold`` stands in the benchmark files.

    Words are compared apart from case, punctuation and Unicode forms. The words of a draft are those of its question,
    then of its answer; a question of fewer than ``n`` words is one run, which is found where a benchmark's question is
    the same. The files are read when the gate is made; a run of theirs takes 12 bytes.

    Raises:
        DataError: a file cannot be read, or a row has no question; names file and line.
    """

    def __init__(self, config: ContaminationConfig) -> None:
        self.config = config
        self._index = RunIndex()
        self._numbers = array("Q")
        self._starts: list[int] = []
        for path in config.files:
            self._starts.append(len(self._numbers))
            self._read(path)
        #: What the verdicts depend on beside the settings.
        self.identity = {"files": [_sha256(path) for path in config.files]}

    def _read(self, path: Path) -> None:
        for row in read_rows(path):
            try:
                task = task_of(row, self.config.fields)
            except DataError as error:
                raise DataError(
                    error.message, hint="name its column in the fields of the gate 'contamination'"
                ) from error
            self._index.add(self._runs(task.question, task.references), len(self._numbers))
            self._numbers.append(row.number)
        if len(self._numbers) == self._starts[-1]:
            raise DataError(f"{path}: holds no task", hint="one task a row, with at least a 'question'")

    def _runs(self, question: str, answers: Iterable[str]) -> set[int]:
        words = tokens(question)
        runs = shingles_of(words, self.config.n)
        if self.config.answers:
            for answer in answers:
                following = tokens(answer)
                if len(words) + len(following) >= self.config.n:
                    runs |= shingles_of([*words, *following], self.config.n)
        return runs

    async def check(self, draft: QA, context: GateContext) -> GateOutcome:
        """See the class."""
        runs = self._runs(draft.question, [draft.answer])
        found = {run: row for run in runs if (row := self._index.row_of(run)) is not None}
        share = len(found) / len(runs) if runs else 0.0
        if share <= self.config.threshold:
            named = f"{len(found)} of {len(runs)} runs of words stand" if found else "no run of words stands"
            return GateOutcome(passed=True, reason=f"{named} in the benchmarks")
        words, row = self._first(draft, found)
        reason = f"{len(found)} of {len(runs)} runs of words stand in benchmarks: {words!r} in {self._where(row)}"
        return GateOutcome(passed=False, reason=reason)

    def _first(self, draft: QA, found: Mapping[int, int]) -> tuple[str, int]:
        """The first run of the draft that was found, as words, and its row."""
        words = [*tokens(draft.question), *(tokens(draft.answer) if self.config.answers else ())]
        for width in (self.config.n, len(tokens(draft.question))):
            for start in range(len(words) - width + 1):
                piece = words[start : start + width]
                for run in shingles_of(piece, width) & found.keys():
                    return " ".join(piece), found[run]
        raise AssertionError("a run that was found is a run of the draft")

    def _where(self, row: int) -> str:
        at = bisect_right(self._starts, row) - 1
        return f"{self.config.files[at].name}, row {self._numbers[row]}"


def _sha256(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            found.update(piece)
    return found.hexdigest()
