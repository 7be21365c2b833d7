"""What Python programs call: `rollout` and `quick_rollout`, and their async twins."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from agentflow_core.concurrency import run_blocking
from agentflow_core.errors import UsageError
from agentflow_core.evaluation.config import RolloutConfig
from agentflow_core.evaluation.pipeline import run_rollout
from agentflow_core.records.events import ignore_event
from agentflow_core.runs import Finished, RunOptions, RunReader, StopSignal, prepare, raise_failure

if TYPE_CHECKING:
    from agentflow_core.records import TaskResult
    from agentflow_core.records.events import Event

__all__ = ["RolloutResults", "arollout", "rollout"]


class RolloutResults(Mapping[str, Any]):
    """A mapping over ``summary.json``; ``results`` are the stored records, ``run_dir`` is where everything lies."""

    def __init__(self, finished: Finished) -> None:
        self._summary = finished.summary
        self.run_dir = finished.run_dir
        self.status = finished.status

    @property
    def results(self) -> list[TaskResult]:
        """The result of every finished sample, in the order of the benchmark."""
        return list(RunReader(self.run_dir).results())

    def __getitem__(self, key: str) -> Any:
        return self._summary[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._summary)

    def __len__(self) -> int:
        return len(self._summary)


async def arollout(
    config_path: str | Path | None = None,
    data_path: str | Path | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    evaluate: bool = True,
    metric: str | Sequence[str] | None = None,
    output_dir: str | Path | None = None,
    options: RunOptions | None = None,
    observe: Callable[[Event], None] = ignore_event,
) -> RolloutResults:
    """Roll an agent out over a benchmark and score it.

    Args:
        config_path: the configuration file; or give ``config`` as a mapping.
        data_path: a benchmark file in place of the configuration's.
        config: the configuration itself.
        evaluate: False runs without scoring.
        metric: one metric or several in place of the configuration's.
        output_dir: the run directory in place of the configuration's.
        options: resume, fork, record, replay, budget.
        observe: is told every run event.

    Raises:
        ConfigError, DataError, UnknownNameError: with every problem that was found.
        AgentFlowError: what made the run fail; a limit does not raise, see ``status``.
    """
    if (config_path is None) == (config is None):
        raise UsageError("give either config_path or config")
    sets = [] if data_path is None else [f"data.path={_quoted(str(data_path))}"]
    if not evaluate:
        sets.append("metrics=[]")
    elif metric is not None:
        sets.append(f"metrics={_quoted([metric] if isinstance(metric, str) else list(metric))}")
    prepared = prepare(RolloutConfig, config_path if config is None else config, sets=sets)  # type: ignore[arg-type]
    chosen = options or RunOptions()
    if output_dir is not None:
        chosen = evolve(chosen, run_dir=Path(output_dir))
    finished = await run_rollout(
        prepared.loaded, host=prepared.host, options=chosen, observe=observe, stop=StopSignal()
    )
    raise_failure(finished)
    return RolloutResults(finished)


def rollout(
    config_path: str | Path | None = None, data_path: str | Path | None = None, **others: Any
) -> RolloutResults:
    """`arollout`, from blocking code; works in notebooks too."""
    return run_blocking(partial(arollout, config_path, data_path, **others))


def _quoted(value: str | list[str]) -> str:
    """A value for ``--set`` that is taken as it is: JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)
